# SPDX-License-Identifier: BSD-3-Clause
"""A Wayland client without a library: it says exactly what it is told to."""
import array
import fcntl
import os
import select
import socket
import struct
import time


class Gone(Exception):
    """The server ended the connection; args: the error event, or None."""


class Client:
    def __init__(self, path):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.connect(path)
        self.sock.settimeout(60)
        self.next = 2
        self.data = b''
        self.events = []
        self.error = None
        self.globals = {}
        self.registry = self.new()
        self.send(1, 1, 'n', self.registry)
        self.sync()

    def new(self):
        self.next += 1
        return self.next - 1

    def send(self, obj, opcode, signature='', *args, fds=()):
        body = b''
        for kind, arg in zip(signature, args):
            if kind == 's':
                text = arg.encode() + b'\0'
                body += struct.pack('=I', len(text)) + text
                body += bytes(-len(text) % 4)
            else:
                body += struct.pack('=i' if arg < 0 else '=I', arg)
        self.send_raw(struct.pack('=II', obj, (8 + len(body)) << 16 | opcode)
                      + body, fds)

    def send_raw(self, data, fds=()):
        ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS,
                      array.array('i', fds))] if fds else []
        try:
            sent = self.sock.sendmsg([data], ancillary)
            if sent != len(data):
                self.sock.sendall(data[sent:])
        except (BrokenPipeError, ConnectionResetError):
            self.drain()

    def drain(self):
        """Reads what is left; never returns."""
        while True:
            self.read()

    def read(self):
        try:
            data = self.sock.recv(65536)
        except ConnectionResetError:
            data = b''
        if not data:
            raise Gone(self.error)
        self.data += data
        while len(self.data) >= 8:
            obj, word = struct.unpack_from('=II', self.data)
            size = word >> 16
            if len(self.data) < size:
                break
            self.event(obj, word & 0xffff, self.data[8:size])
            self.data = self.data[size:]

    def event(self, obj, opcode, body):
        if (obj, opcode) == (1, 0):
            where, code, size = struct.unpack_from('=III', body)
            self.error = (where, code, body[12:12 + size - 1].decode())
        elif (obj, opcode) == (self.registry, 0):
            name, size = struct.unpack_from('=II', body)
            iface = body[8:8 + size - 1].decode()
            self.globals[iface] = (name, struct.unpack('=I', body[-4:])[0])
        self.events.append((obj, opcode, body))

    def seen(self, obj, opcode):
        return [e for e in self.events if e[:2] == (obj, opcode)]

    def wait(self, obj, opcode, count=1):
        while len(self.seen(obj, opcode)) < count:
            self.read()

    def sync(self):
        done = self.new()
        self.send(1, 0, 'n', done)
        self.wait(done, 0)

    def bind(self, iface, version=1):
        new = self.new()
        self.send(self.registry, 0, 'usun', self.globals[iface][0], iface,
                  version, new)
        return new

    def silent_for(self, seconds):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if select.select([self.sock], [], [], 0.05)[0]:
                self.read()


class Window(Client):
    """One with a surface that may be painted."""

    def __init__(self, path):
        super().__init__(path)
        self.compositor = self.bind('wl_compositor', 4)
        self.shm = self.bind('wl_shm')
        self.base = self.bind('xdg_wm_base')
        self.surface = self.new()
        self.send(self.compositor, 0, 'n', self.surface)
        self.xdg = self.new()
        self.send(self.base, 2, 'no', self.xdg, self.surface)
        self.toplevel = self.new()
        self.send(self.xdg, 1, 'n', self.toplevel)
        self.send(self.surface, 6)
        self.wait(self.xdg, 0)
        self.ack()

    def ack(self):
        serial = struct.unpack('=I', self.seen(self.xdg, 0)[-1][2])[0]
        self.send(self.xdg, 4, 'u', serial)

    def pool(self, size, fd=None, sealed=False):
        """(id, file): memory of the given size, which may stay so."""
        if fd is None:
            fd = os.memfd_create('pool', os.MFD_ALLOW_SEALING)
            os.ftruncate(fd, size)
            if sealed:
                fcntl.fcntl(fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK)
        new = self.new()
        self.send(self.shm, 0, 'ni', new, size, fds=[fd])
        return new, fd

    def buffer(self, pool, offset, width, height, stride, form=1):
        new = self.new()
        self.send(pool, 0, 'niiiiu', new, offset, width, height, stride, form)
        return new

    def commit(self, buffer, *rects):
        self.send(self.surface, 1, 'oii', buffer, 0, 0)
        for rect in rects:
            self.send(self.surface, 9, 'iiii', *rect)
        self.send(self.surface, 6)
