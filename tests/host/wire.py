# SPDX-License-Identifier: BSD-3-Clause
"""A client of a compositor by hand: bytes of Wayland, and what tests that use
it have in common."""

import socket
import struct
import sys
import time

PATIENCE_S = 60


def until(what, check):
    deadline = time.monotonic() + PATIENCE_S
    while not check():
        assert time.monotonic() < deadline, f'never: {what}'
        time.sleep(0.05)


def listens(path):
    """Somebody does, at that socket: it is there before."""
    with open('/proc/net/unix', encoding='ascii') as file:
        return any(' 00010000 ' in line and line.rstrip().endswith(f' {path}')
                   for line in file)


class Report:
    """TAP, a line for each fact."""

    def __init__(self):
        self.verdicts = []

    def __call__(self, good, text):
        self.verdicts.append(bool(good))
        print('ok' if good else 'not ok', len(self.verdicts), '-', text,
              flush=True)

    def good(self):
        return all(self.verdicts)

    def end(self):
        print(f'1..{len(self.verdicts)}')
        sys.exit(not self.good())


def request(thing, opcode, body=b''):
    return struct.pack('=II', thing, (8 + len(body)) << 16 | opcode) + body


def string(text):
    data = text.encode() + b'\0'
    return struct.pack('=I', len(data)) + data + b'\0' * (-len(data) % 4)


class Client:
    """Bytes of Wayland by hand: display 1, registry 2."""

    def __init__(self, path):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(PATIENCE_S)
        deadline = time.monotonic() + PATIENCE_S
        while True:
            try:
                self.sock.connect(path)
                break
            except OSError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)
        self.left = b''
        self.callback = 3

    def event(self):
        """(object, opcode, body), or None at the end of the connection"""
        while True:
            if len(self.left) >= 8:
                thing, word = struct.unpack_from('=II', self.left)
                if len(self.left) >= word >> 16:
                    body = self.left[8:word >> 16]
                    self.left = self.left[word >> 16:]
                    return thing, word & 0xffff, body
            try:
                more = self.sock.recv(65536)
            except ConnectionResetError:
                more = b''
            if not more:
                return None
            self.left += more

    def round_trip(self):
        """The events up to the answer; an error or the end: what came."""
        callback = self.callback
        self.callback += 1
        self.sock.sendall(request(1, 0, struct.pack('=I', callback)))
        events = []
        while True:
            event = self.event()
            if event is None:
                return events, 'end'
            if event[:2] == (1, 0):
                return events + [event], 'error'
            if event[0] == callback:
                return events, 'answer'
            events.append(event)

    def globals(self):
        self.sock.sendall(request(1, 1, struct.pack('=I', 2)))
        events, how = self.round_trip()
        assert how == 'answer', how
        found = {}
        for thing, opcode, body in events:
            if (thing, opcode) == (2, 0):
                name, length = struct.unpack_from('=II', body)
                found[body[8:8 + length - 1].decode()] = name
        return found

    def try_globals(self):
        """None: the connection ended instead."""
        try:
            return self.globals()
        except (AssertionError, OSError):
            return None

    def bind(self, name, interface):
        new = self.callback
        self.callback += 1
        self.sock.sendall(request(2, 0, struct.pack('=I', name)
                                  + string(interface)
                                  + struct.pack('=II', 1, new)))
