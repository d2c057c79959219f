# SPDX-License-Identifier: BSD-3-Clause
"""What wltest.c talks to: a host program behind a socket of the device.

A message is u32 op, u32 argument, both little-endian, and what the op takes;
an op's name says what a guest wants to see done. Each connection has a thread
of its own; `connections` counts those that are open.
"""

import array
import errno
import fcntl
import mmap
import os
import socket
import struct
import sys
import threading
import time

ECHO, FLOOD, MEMFD, PIPE_R, PIPE_W, HANG_UP, SLEEP, SUM, FILL, FDS, \
    DRAIN = range(1, 12)

F_ADD_SEALS = 1033
SEALS = 0xf  # seal, shrink, grow, write


def pattern(size, at=0):
    """Bytes that tell where they belong."""
    words = range(at // 4, (at + size + 3) // 4 + 1)
    data = struct.pack(f"<{len(words)}I",
                       *(w * 2654435761 & 0xffffffff for w in words))
    return data[at % 4:at % 4 + size]


def checksum(data):
    a, b = 1, 0
    if len(data) > 1 << 16:
        import zlib
        return zlib.adler32(data)
    for byte in data:
        a = (a + byte) % 65521
        b = (b + a) % 65521
    return b << 16 | a


class Peer:
    def __init__(self, path, backlog=64):
        self.path = path
        self.connections = 0
        self.total = 0
        self.release = threading.Event()  # ends every SLEEP
        self._lock = threading.Lock()
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.bind(path)
        self._socket.listen(backlog)
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self):
        self.release.set()
        self._socket.close()
        os.unlink(self.path)

    def _accept(self):
        while True:
            try:
                sock, _ = self._socket.accept()
            except OSError as error:
                if error.errno in (errno.EBADF, errno.EINVAL):
                    return  # closed
                print(f"# peer: accept: {error}", file=sys.stderr)
                time.sleep(0.05)  # no descriptor to be had, say
                continue
            threading.Thread(target=self._serve, args=(sock,),
                             daemon=True).start()

    def _serve(self, sock):
        with self._lock:
            self.connections += 1
            self.total += 1
        try:
            while self._one(sock):
                pass
        except (ConnectionError, BrokenPipeError, EOFError):
            pass
        finally:
            sock.close()
            with self._lock:
                self.connections -= 1

    @staticmethod
    def _read(sock, size, fds):
        data = b""
        while len(data) < size:
            piece, new, _, _ = socket.recv_fds(sock, size - len(data), 64)
            if not piece:
                raise EOFError
            data += piece
            fds += new
        return data

    @staticmethod
    def _send_fds(sock, data, fds):
        sent = sock.sendmsg([data], [(socket.SOL_SOCKET, socket.SCM_RIGHTS,
                                      array.array("i", fds))])
        sock.sendall(data[sent:])
        for fd in fds:
            os.close(fd)

    def _one(self, sock):
        fds = []
        op, arg = struct.unpack("<II", self._read(sock, 8, fds))
        try:
            return self._do(sock, op, arg, fds)
        finally:
            for fd in fds:
                os.close(fd)

    def _do(self, sock, op, arg, fds):
        if op == ECHO:  # arg bytes and their descriptors
            data = self._read(sock, arg, fds)
            if fds:
                self._send_fds(sock, data, [os.dup(fd) for fd in fds])
            else:
                sock.sendall(data)
        elif op == FLOOD:  # arg bytes of the pattern
            for at in range(0, arg, 65536):
                sock.sendall(pattern(min(65536, arg - at), at))
        elif op == MEMFD:  # arg bytes; sealed, opened for reading only
            fd = os.memfd_create("peer", os.MFD_ALLOW_SEALING)
            os.write(fd, pattern(arg))
            fcntl.fcntl(fd, F_ADD_SEALS, SEALS)
            ro = os.open(f"/proc/self/fd/{fd}", os.O_RDONLY)
            os.close(fd)
            self._send_fds(sock, b"memfd", [ro])
        elif op == PIPE_R:  # the guest reads arg bytes
            r, w = os.pipe()
            self._send_fds(sock, b"pipe", [r])
            with open(w, "wb") as file:
                file.write(pattern(arg))
        elif op == PIPE_W:  # the guest writes till it closes; sum comes back
            r, w = os.pipe()
            self._send_fds(sock, b"pipe", [w])
            with open(r, "rb") as file:
                data = file.read()
            sock.sendall(struct.pack("<II", len(data), checksum(data)))
        elif op == HANG_UP:  # arg bytes first
            sock.sendall(pattern(arg))
            return False
        elif op == SLEEP:  # until released
            self.release.wait()
        elif op == SUM:  # of arg bytes of a descriptor that is memory
            with mmap.mmap(fds[0], arg) as memory:
                sock.sendall(struct.pack("<I", checksum(memory[:])))
        elif op == FILL:  # memory with the pattern
            with mmap.mmap(fds[0], arg) as memory:
                memory[:] = pattern(arg)
            sock.sendall(b"done")
        elif op == FDS:  # arg memory descriptors in one message
            many = []
            for number in range(arg):
                fd = os.memfd_create("many")
                os.write(fd, struct.pack("<I", number) * 1024)
                many.append(fd)
            self._send_fds(sock, b"fds!", many)
        elif op == DRAIN:  # the descriptor is a pipe's end
            mode = fcntl.fcntl(fds[0], fcntl.F_GETFL) & os.O_ACCMODE
            fd = os.dup(fds[0])
            if mode == os.O_RDONLY:  # read till its end; sum comes back
                with open(fd, "rb") as file:
                    data = file.read()
                sock.sendall(struct.pack("<II", len(data), checksum(data)))
            else:  # write arg bytes
                with open(fd, "wb") as file:
                    os.close(fds.pop())
                    file.write(pattern(arg))
        else:
            return False
        return True


def full_socket(path):
    """A listening socket that takes nobody any more; keep what it returns."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen(0)
    queued = []
    while True:
        sock = socket.socket(socket.AF_UNIX)
        sock.setblocking(False)
        try:
            sock.connect(path)
        except BlockingIOError:
            sock.close()
            return listener, queued
        queued.append(sock)
