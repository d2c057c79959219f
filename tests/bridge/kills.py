#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Programs, the bridge and the compositor killed when it suits nobody: in the
middle of frames, and of what goes through a clipboard.

    kills.py            the story; VWL_TOOL is the bridge's program
    kills.py frames SOCKET APP_ID     a program that never rests
"""
import os
import select
import signal
import subprocess
import sys
import threading
import time

import stage
from actor import Actor, Window
from stage import GUEST, HOST, PREFIX, WORK, must, until

OWN = WORK + '/own'
RED, GREEN = (200, 0, 0), (0, 200, 0)
MIME = 'application/x-vwl'
HERE = os.path.abspath(__file__)


def frames(display, app_id):
    actor = Actor(display).start()
    win = Window(actor, app_id, 400, 300, (0, 0, 0))
    for turn in range(1 << 30):
        win.colour = turn % 256, turn // 256 % 256, 255
        win.paint()
        if turn % 3 == 0:
            actor.sync()
        if turn == 20:
            print('going', flush=True)
        if actor.gone:
            sys.exit('the server is gone')


def painter(programs, display, app_id):
    process = programs.run(display, sys.executable, HERE, 'frames', display,
                           app_id, stdout=subprocess.PIPE)
    ready = select.select([process.stdout], [], [], stage.PATIENCE)[0]
    must('%s paints' % app_id,
         ready and process.stdout.readline() == b'going\n')
    return process


def killed(process):
    process.send_signal(signal.SIGKILL)
    process.wait()


def bystander():
    actor = Actor(GUEST).start()
    Window(actor, 'bystander', 200, 150, RED)
    stage.place(stage.window(PREFIX + 'bystander'), 10, 10)
    return actor


def unharmed(actor):
    actor.sync()
    until('the bystander on the screen', lambda: stage.shot().box(RED) ==
          (10, 10, 200, 150))


def client_in_frames():
    actor = bystander()
    with stage.Programs() as programs:
        for turn in range(8):
            victim = painter(programs, GUEST, 'victim')
            time.sleep(turn * 0.013)
            killed(victim)
            until('its window gone', lambda: not stage.named(
                PREFIX + 'victim'))
    unharmed(actor)
    must('a killed program takes its window along, and nothing else', True)
    actor.close()


def focus(display, app_id):
    if display not in (GUEST, HOST, OWN):
        return  # a compositor of its own, where the newest window has it
    prefix = {GUEST: PREFIX, HOST: ''}.get(display, 'own.')
    stage.place(stage.window(prefix + app_id), 400, 300)


class Selection:
    """A clipboard whose owner never ends, or says a little and waits."""

    def __init__(self, owner, taker, endless=True, ends=None):
        self.endless = endless
        self.owner = Actor(owner).start().take_seat()
        self.taker = Actor(taker).start().take_seat()
        Window(self.owner, 'owner', 200, 200, GREEN)
        focus(owner, 'owner')
        serial = self.owner.wait('wl_keyboard.enter').args[0]
        data = self.owner.make(self.owner.devices, 'create_data_source')
        self.written = []
        self.owner.give = self.begin
        self.owner.say(data, 'offer', MIME)
        self.owner.say(self.owner.device, 'set_selection', data, serial)
        self.owner.sync()
        Window(self.taker, 'taker', 200, 200, GREEN)
        focus(taker, 'taker')
        offer = until('the selection', self.offered)
        self.end, theirs = ends or os.pipe()
        self.taker.say(offer, 'receive', MIME, theirs)
        os.close(theirs)
        until('the transfer', lambda: self.written)
        until('its first bytes',
              lambda: select.select([self.end], [], [], 0)[0])

    def offered(self):
        last = self.taker.last('wl_data_device.selection')
        return last and last.args[0]

    def begin(self, _source, _mime, fd):
        """More than all the pipes on the way hold; it never ends itself."""
        self.fd, self.ended = fd, threading.Event()

        def write():
            try:
                while self.endless:
                    os.write(fd, b'x' * 65536)
                    self.written.append(65536)
                self.written.append(os.write(fd, b'x'))
                poll = select.poll()
                poll.register(fd, 0)
                poll.poll()
            except OSError:
                pass
            self.ended.set()
        threading.Thread(target=write, daemon=True).start()

    def close(self):
        for actor in (self.owner, self.taker):
            actor.close()


def reader_in_transfer():
    for owner, taker in ((GUEST, HOST), (HOST, GUEST), (GUEST, GUEST)):
        transfer = Selection(owner, taker)
        transfer.taker.close()
        os.close(transfer.end)
        must('a writer learns that its reader died',
             transfer.ended.wait(stage.PATIENCE))
        os.close(transfer.fd)
        transfer.close()
    # Without a word to say, too; a bridge before the reader tries no write.
    transfer = Selection(GUEST, HOST, endless=False)
    must('its first byte', os.read(transfer.end, 9) == b'x')
    os.close(transfer.end)
    must('a writer that waits learns it, too',
         transfer.ended.wait(stage.PATIENCE))
    os.close(transfer.fd)
    transfer.close()


def owner_in_transfer():
    """The owner is a program of its own here, killed as it writes."""
    for owner, taker in ((GUEST, HOST), (HOST, GUEST), (GUEST, GUEST)):
        with stage.Programs() as programs:
            copier = programs.run(owner, sys.executable, HERE, 'owner', owner,
                                  stdout=subprocess.PIPE)
            focus(owner, 'owner')
            must('it owns', copier.stdout.readline() == b'going\n')
            reader = Actor(taker).start().take_seat()
            Window(reader, 'taker', 200, 200, GREEN)
            focus(taker, 'taker')
            offer = until('the selection', lambda: (
                reader.last('wl_data_device.selection') or
                [0, 0, 0, [0]])[3][0])
            ours, theirs = os.pipe()
            reader.say(offer, 'receive', MIME, theirs)
            os.close(theirs)
            reader.sync()
            got = os.read(ours, 65536)
            killed(copier)
            while True:
                piece = os.read(ours, 1 << 20)
                if not piece:
                    break
                got += piece
            must('a reader has what a killed writer said, and the end: %d' %
                 len(got), got and not got.strip(b'x'))
            os.close(ours)
            reader.close()


def own(display):
    actor = Actor(display).start().take_seat()
    Window(actor, 'owner', 200, 200, GREEN)
    serial = actor.wait('wl_keyboard.enter').args[0]
    data = actor.make(actor.devices, 'create_data_source')
    actor.gives[data] = {MIME: b'x' * (1 << 28)}
    actor.say(data, 'offer', MIME)
    actor.say(actor.device, 'set_selection', data, serial)
    actor.sync()
    print('going', flush=True)
    until('death', lambda: actor.gone, patience=1 << 30)


class Tool:
    """A bridge of the story's own."""

    def __init__(self, programs, upstream, path, *before, copies=False):
        """copies: it has a hand in what programs copy, in any case."""
        options = '--copy-pools' if copies else os.environ['VWL_POOLS']
        self.path = path
        self.process = programs.run(
            upstream, *before, os.environ['VWL_TOOL'],
            '--wayland-sock=' + upstream, '--listen=' + path,
            '--app-id-prefix=own.', *options.split())
        until('a bridge', self.answers)

    def answers(self):
        if self.process.poll() is not None:
            raise SystemExit('FAILED: the bridge ended')
        try:
            Actor(self.path).close()
        except OSError:
            return False
        return True


def bridge():
    path = OWN
    there = bystander()
    with stage.Programs() as programs:
        for turn in range(4):
            # the socket of the one that was killed is in its way
            tool = Tool(programs, HOST, path)
            victim = painter(programs, path, 'victim')
            stage.window('own.victim')
            time.sleep(turn * 0.017)
            killed(tool.process)
            until('its windows gone', lambda: not stage.named('own.victim'))
            must('programs learn of it',
                 victim.wait(timeout=stage.PATIENCE) != 0)
    unharmed(there)
    there.close()


def bridge_in_transfer():
    path = OWN
    with stage.Programs() as programs:
        for guest_owns in (True, False):
            tool = Tool(programs, HOST, path, copies=True)
            transfer = Selection(*((path, HOST) if guest_owns else
                                   (HOST, path)))
            killed(tool.process)
            if guest_owns:
                while os.read(transfer.end, 1 << 20):
                    pass
                must('a reader on the host sees the end', True)
                must('a writer learns of it',
                     transfer.ended.wait(stage.PATIENCE))
            else:
                must('a writer on the host learns of it',
                     transfer.ended.wait(stage.PATIENCE))
            os.close(transfer.end)
            os.close(transfer.fd)
            transfer.close()
            until('nothing left', lambda: not stage.windows())


class Compositor:
    def __init__(self, programs, link):
        self.process = programs.run(
            HOST, os.environ['VWL_HOST_COMPOSITOR_PROGRAM'], 'sway', 'sh',
            '-c', 'echo $VWL_HOST_COMPOSITOR_PID $WAYLAND_DISPLAY;'
            'exec sleep 3600', stdout=subprocess.PIPE)
        pid, self.path = self.process.stdout.readline().decode().split()
        self.pid = int(pid)
        if os.path.islink(link):
            os.unlink(link)
        os.symlink(self.path, link)

    def kill(self):
        os.kill(self.pid, signal.SIGKILL)

    def end(self):
        self.process.terminate()
        self.process.wait()


def compositor():
    link, path = WORK + '/upstream', OWN
    with stage.Programs() as programs:
        tool = None
        for turn in range(3):
            other = Compositor(programs, link)
            tool = tool or Tool(programs, link, path)
            idle = Actor(path).start()
            victims = [painter(programs, path, 'victim%d' % i)
                       for i in range(2)]
            time.sleep(turn * 0.017)
            other.kill()
            for victim in victims:
                must('programs learn of it',
                     victim.wait(timeout=stage.PATIENCE) != 0)
            until('the one at rest, too', lambda: idle.gone)
            idle.close()
            other.end()
            must('the bridge waits for the next',
                 tool.process.poll() is None)
        tool.process.terminate()
        must('and ends as it should',
             tool.process.wait(timeout=stage.PATIENCE) == 0)


def has_keyboard(display):
    actor = Actor(display)
    seat = actor.bind('wl_seat')
    has = actor.wait('wl_seat.capabilities', seat).args[0] & 2
    actor.close()
    return has


def compositor_in_transfer():
    link, path = WORK + '/upstream', WORK + '/alone'
    with stage.Programs() as programs:
        tool = None
        for guest_owns in (True, False):
            other = Compositor(programs, link)
            tool = tool or Tool(programs, link, path)
            wtype = programs.run(other.path, 'wtype', '-s', '3600000', '')
            until('a keyboard', has_keyboard, path)
            transfer = Selection(*((path, other.path) if guest_owns else
                                   (other.path, path)))
            other.kill()
            until('the end of both', lambda: transfer.owner.gone and
                  transfer.taker.gone)
            # what goes from one to the other goes on, as without a bridge
            got = sum(len(os.read(transfer.end, 1 << 16)) for _ in range(99))
            must('more: %d' % got, got > 99)
            os.close(transfer.end)
            must('and the writer learns that nobody reads',
                 transfer.ended.wait(stage.PATIENCE))
            os.close(transfer.fd)
            transfer.close()
            killed(wtype)
            other.end()
        tool.process.terminate()
        must('the bridge ends as it should',
             tool.process.wait(timeout=stage.PATIENCE) == 0)


def main():
    with stage.Programs() as programs:
        programs.keyboard()
        stage.main(client_in_frames, reader_in_transfer, owner_in_transfer,
                   bridge, bridge_in_transfer, compositor,
                   compositor_in_transfer)


if __name__ == '__main__':
    if sys.argv[1:2] == ['frames']:
        frames(*sys.argv[2:])
    elif sys.argv[1:2] == ['owner']:
        own(sys.argv[2])
    else:
        main()
