# SPDX-License-Identifier: BSD-3-Clause
"""A daemon that turns hostile: it stands between a front-end and a real daemon
and passes on what both say, until `mode` says otherwise:

    good     passes everything on
    silent   answers nothing
    late     answers what is asked before there is a device, and then nothing
    trickle  begins one answer, and goes on with it byte by byte for an hour
    flood    answers nothing, and sends requests of its own without end

`connections` counts those that were made.
"""

import os
import socket
import struct
import threading
import time

SET_BACKEND_REQ_FD = 21
SHMEM_UNMAP = 10
VERSION, REPLY = 1, 4
INTERVIEW = 4  # messages


class Liar:
    def __init__(self, path, daemon):
        self.path = path
        self.daemon = daemon
        self.mode = "good"
        self.connections = 0
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.bind(path)
        self._socket.listen(16)
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self):
        self._socket.close()
        os.unlink(self.path)

    def _accept(self):
        while True:
            try:
                front, _ = self._socket.accept()
            except OSError:
                return
            self.connections += 1
            _Connection(self, front)


class _Connection:
    def __init__(self, liar, front):
        self.liar = liar
        self.front = front
        self.back = socket.socket(socket.AF_UNIX)
        self.back.connect(liar.daemon)
        self.channel = None
        self.asked = 0
        for work in (self._to_daemon, self._to_front):
            threading.Thread(target=self._until_end, args=(work,),
                             daemon=True).start()

    def _until_end(self, work):
        try:
            while True:
                work()
        except (OSError, EOFError):
            pass
        for sock in (self.front, self.back):
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    @staticmethod
    def _message(sock):
        data, fds, need = b"", [], 12
        while len(data) < need:
            piece, more, _, _ = socket.recv_fds(sock, need - len(data), 16)
            if not piece:
                raise EOFError
            data += piece
            fds += more
            if len(data) == 12:
                need += struct.unpack("<I", data[8:])[0]
        return data, fds

    @staticmethod
    def _send(sock, data, fds):
        sent = socket.send_fds(sock, [data], fds)
        sock.sendall(data[sent:])
        for fd in fds:
            os.close(fd)

    def _to_daemon(self):
        data, fds = self._message(self.front)
        self.asked += 1
        if struct.unpack("<I", data[:4])[0] == SET_BACKEND_REQ_FD and fds:
            self.channel = socket.socket(fileno=os.dup(fds[0]))
        self._send(self.back, data, fds)

    def _to_front(self):
        data, fds = self._message(self.back)
        mode = self.liar.mode
        if mode == "late" and self.asked <= INTERVIEW:
            mode = "good"
        if mode == "good":
            self._send(self.front, data, fds)
            return
        for fd in fds:
            os.close(fd)
        if mode == "trickle":
            request = struct.unpack("<I", data[:4])[0]
            data = struct.pack("<III", request, VERSION | REPLY, 4000)
            self.front.sendall(data)
            for _ in range(3600):
                time.sleep(1)
                self.front.sendall(b"\0")
        elif mode == "flood":
            lie = struct.pack("<III", SHMEM_UNMAP, VERSION, 40) + bytes(40)
            while True:
                self.channel.sendall(lie)
