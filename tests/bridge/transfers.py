#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""What programs have data written into: pipes, pipes of another user's, and
sockets; slow readers of much.
"""
import hashlib
import os
import pwd
import socket
import sys

import stage
from actor import Actor, Window
from kills import Tool
from stage import GUEST, HOST, PREFIX, WORK, must, until

MIME = 'application/x-vwl'
DATA = os.urandom((1 << 20) + 13)


class Offer:
    """A selection of the host's, offered to a program of a guest's."""

    def __init__(self, display, prefix):
        self.owner = Actor(HOST).start().take_seat()
        Window(self.owner, 'owner', 200, 200, (200, 0, 0))
        stage.place(stage.window('owner'), 400, 300)
        serial = self.owner.wait('wl_keyboard.enter').args[0]
        source = self.owner.make(self.owner.devices, 'create_data_source')
        self.owner.gives[source] = {MIME: DATA}
        self.owner.say(source, 'offer', MIME)
        self.owner.say(self.owner.device, 'set_selection', source, serial)
        self.owner.sync()
        self.taker = Actor(display).start().take_seat()
        Window(self.taker, 'taker', 200, 200, (0, 200, 0))
        stage.place(stage.window(prefix + 'taker'), 100, 300)
        self.offer = until('the selection', self.offered)

    def offered(self):
        last = self.taker.last('wl_data_device.selection')
        return last and last.args[0]

    def into(self, theirs):
        self.taker.say(self.offer, 'receive', MIME, theirs)

    def end(self):
        self.owner.close()
        self.taker.close()
        until('both gone', lambda: not stage.windows())


def drain(what, read):
    """All of it, in small pieces, as it comes."""
    got = []

    def ended():
        try:
            while not got or got[-1]:
                got.append(read(10007))
        except BlockingIOError:
            return False
        return True
    until(what, ended)
    must(what, hashlib.sha256(b''.join(got)).digest() ==
         hashlib.sha256(DATA).digest())


def nobodys_pipe():
    os.seteuid(pwd.getpwnam('nobody').pw_uid)
    try:
        return os.pipe()
    finally:
        os.seteuid(0)


def sockets():
    offer = Offer(GUEST, PREFIX)
    ours, theirs = socket.socketpair()
    # a bridge that heeds the flags of what it is given would hang for good
    theirs.setblocking(True)
    offer.into(theirs.fileno())
    theirs.close()
    offer.taker.sync()
    must('others are served while nobody reads',
         Actor(GUEST).start().close() is None)
    ours.setblocking(False)
    drain('data into a socket', ours.recv)
    ours.close()
    offer.end()


def files():
    """Another kind of file might make everybody wait: the paste is empty,
    and the program goes on."""
    offer = Offer(GUEST, PREFIX)
    fd = os.memfd_create('no pipe')
    offer.into(fd)
    offer.taker.sync()
    must('nothing is written into a file', os.fstat(fd).st_size == 0)
    os.close(fd)
    ours, theirs = os.pipe()
    offer.into(theirs)
    os.close(theirs)
    offer.taker.sync()
    os.set_blocking(ours, False)
    drain('data into a pipe, then', lambda n: os.read(ours, n))
    os.close(ours)
    offer.end()


def anothers():
    """A program of root's on a user's bridge, as with sudo: the bridge may
    not open its pipe anew. Seen from the other side, as that is easier."""
    if os.geteuid() != 0:
        print('skipped: only root can be another user')
        return
    directory = os.path.dirname(HOST)
    modes = [(path, os.stat(path).st_mode) for path in (directory, HOST)]
    for path, _ in modes:
        os.chmod(path, 0o777)
    with stage.Programs() as programs:
        path = WORK + '/own'
        tool = Tool(programs, HOST, path, 'setpriv', '--bounding-set',
                    '-dac_override,-dac_read_search')
        offer = Offer(path, 'own.')
        ours, theirs = nobodys_pipe()
        offer.into(theirs)
        os.close(theirs)
        offer.taker.sync()
        must('others are served while nobody reads',
             Actor(path).start().close() is None)
        os.set_blocking(ours, False)
        drain("data into another user's pipe", lambda n: os.read(ours, n))
        os.close(ours)
        ours, theirs = nobodys_pipe()
        os.close(ours)  # nobody reads: no signal for the bridge
        offer.into(theirs)
        os.close(theirs)
        offer.taker.sync()
        offer.end()
        tool.process.terminate()
        must('the bridge ends as it should', tool.process.wait() == 0)
    for path, mode in modes:
        os.chmod(path, mode)


def main():
    with stage.Programs() as programs:
        programs.keyboard()
        stage.main(sockets, files, anothers)


if __name__ == '__main__':
    sys.exit(main())
