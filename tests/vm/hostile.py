# SPDX-License-Identifier: BSD-3-Clause
"""A vhost-user back-end that says to the guest's driver what no device should.

Only what a driver test needs: split rings without event index or indirect
descriptors. Requests of the guest are answered by `answer(request)`, which
returns the response's bytes, or None for none (yet); `say(message, length)`
puts a message into the in queue, with a used length that may be a lie.
"""

import collections
import mmap
import os
import select
import socket
import struct
import threading

VERSION_1 = 1 << 32
PROTOCOL_FEATURES = 1 << 30
TRANS_FLAGS, USE_SHMEM = 1 << 1, 1 << 3
GUEST_PAGES = 1 << 16

NEW, CLOSE, SEND, RECV, NEW_CTX, NEW_PIPE, HUP = range(0x100, 0x107)
NEW_PAGES = 0x180
OK, RESP_NEW, ERR = 0x1000, 0x1001, 0x1100
NO_PFN = 0x100000

Request = collections.namedtuple("Request", "type id data head room")


def new_answer(request, pfn=NO_PFN, size=0, flags=3, kind=RESP_NEW):
    return struct.pack("<IIIIQII", kind, 0, request.id, flags, pfn, size, 0)


def new_message(number, pfn=NO_PFN, size=0, flags=3):
    return struct.pack("<IIIIQII", NEW, 0, number, flags, pfn, size, 0)


def recv_message(number, ids=(), data=b"", count=None):
    return struct.pack(f"<IIII{len(ids)}I", RECV, 0, number,
                       len(ids) if count is None else count, *ids) + data


def hup_message(number):
    return struct.pack("<III", HUP, 0, number)


class Ring:
    def __init__(self):
        self.size = 256
        self.kick = self.call = None
        self.desc = self.used = self.avail = 0
        self.next = 0  # of the available ring
        self.enabled = False


class Backend:
    def __init__(self, path, features=0):
        self.features = features
        self.answer = self.usual
        self.requests = []
        self.lock = threading.RLock()
        self.rings = [Ring(), Ring()]
        self.regions = []
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(path)
        self._listener.listen(1)
        self._quit = False
        threading.Thread(target=self._run, daemon=True).start()

    def close(self):
        self._quit = True
        self._listener.close()

    def usual(self, request):
        if request.type == NEW:
            size, = struct.unpack_from("<I", request.data, 24)
            return new_answer(request, 0, size, 0)
        if request.type in (NEW_CTX, NEW_PIPE, 0x10a):
            return new_answer(request)
        if request.type == NEW_PAGES:
            return new_answer(request, size=4096 * len(self.pages(request)),
                              flags=0)
        return struct.pack("<I", OK)

    # Guest memory

    @staticmethod
    def pages(request):
        """The addresses of a NEW_PAGES, a page each."""
        number, flags, count, rest = struct.unpack_from("<4I", request.data, 8)
        runs = struct.unpack_from(f"<{count}Q", request.data, 24)
        assert flags == rest == 0 and 0 < count <= 1024
        assert len(request.data) == 24 + 8 * count
        return [(run & ~4095) + 4096 * i for run in runs
                for i in range((run & 4095) + 1)]

    def words(self, address, n):
        return self._get(f"<{n}I", address)

    def _at(self, address, user=False):
        for gpa, size, uva, memory in self.regions:
            base = uva if user else gpa
            if base <= address < base + size:
                return memory, address - base
        raise KeyError(hex(address))

    def _get(self, form, address, user=False):
        memory, at = self._at(address, user)
        return struct.unpack_from(form, memory, at)

    def _put(self, form, address, *values, user=False):
        memory, at = self._at(address, user)
        struct.pack_into(form, memory, at, *values)

    # Rings

    def _take(self, ring):
        """(head, [(address, length, writable)]) or None."""
        index, = self._get("<H", ring.avail + 2, True)
        if index == ring.next:
            return None
        head, = self._get("<H", ring.avail + 4 + ring.next % ring.size * 2,
                          True)
        ring.next = (ring.next + 1) & 0xffff
        pieces, at = [], head
        while True:
            address, length, flags, following = self._get(
                "<QIHH", ring.desc + 16 * at, True)
            pieces.append((address, length, bool(flags & 2)))
            if not flags & 1:
                return head, pieces
            at = following

    def used(self, ring, head, length):
        index, = self._get("<H", ring.used + 2, True)
        self._put("<II", ring.used + 4 + index % ring.size * 8, head,
                  length & 0xffffffff, user=True)
        self._put("<H", ring.used + 2, index + 1 & 0xffff, user=True)
        if ring.call is not None:
            os.write(ring.call, struct.pack("<Q", 1))

    def respond(self, request, response, length=None):
        with self.lock:
            data = response[:sum(length for _, length in request.room)]
            for address, room in request.room:
                piece, data = data[:room], data[room:]
                memory, at = self._at(address)
                memory[at:at + len(piece)] = piece
            self.used(self.rings[1], request.head,
                      len(response) if length is None else length)

    def say(self, message, length=None):
        """False when the guest posted no buffer."""
        with self.lock:
            taken = self._take(self.rings[0])
            if taken is None:
                return False
            head, ((address, room, _),) = taken
            memory, at = self._at(address)
            message = message[:room]
            memory[at:at + len(message)] = message
            self.used(self.rings[0], head,
                      len(message) if length is None else length)
            return True

    def _out(self):
        ring = self.rings[1]
        while True:
            taken = self._take(ring)
            if taken is None:
                return
            head, pieces = taken
            data = b""
            for address, length, writable in pieces:
                if not writable:
                    memory, at = self._at(address)
                    data += memory[at:at + length]
            kind, = struct.unpack_from("<I", data)
            number, = struct.unpack_from("<I", data, 8)
            request = Request(kind, number, data, head,
                              [(a, n) for a, n, w in pieces if w])
            self.requests.append(request)
            response = self.answer(request)
            if response is not None:
                self.respond(request, response)

    # vhost-user

    def _run(self):
        try:
            sock, _ = self._listener.accept()
        except OSError:
            return
        while not self._quit:
            kicks = [ring.kick for ring in self.rings if ring.kick is not None]
            ready, _, _ = select.select([sock] + kicks, [], [], 0.2)
            with self.lock:
                for each in ready:
                    if each is sock:
                        if not self._message(sock):
                            return
                    else:
                        os.read(each, 8)
                if self.rings[1].kick in ready and self.rings[1].desc:
                    self._out()

    def _message(self, sock):
        header, fds, _, _ = socket.recv_fds(sock, 12, 16)
        if len(header) < 12:
            return False
        request, flags, size = struct.unpack("=III", header)
        body = b""
        while len(body) < size:
            body += sock.recv(size - len(body))
        reply = self._handle(request, body, list(fds))
        if reply is None and flags & 8:
            reply = struct.pack("=Q", 0)
        if reply is not None:
            sock.sendall(struct.pack("=III", request, 5, len(reply)) + reply)
        return True

    def _handle(self, request, body, fds):
        def ring():
            return self.rings[struct.unpack_from("=I", body)[0] & 0xff]
        if request == 1:
            return struct.pack("=Q", VERSION_1 | PROTOCOL_FEATURES |
                               TRANS_FLAGS | USE_SHMEM | self.features)
        if request == 15:
            # REPLY_ACK, BACKEND_REQ, CONFIG, SHMEM
            return struct.pack("=Q", 1 << 3 | 1 << 5 | 1 << 9 | 1 << 22)
        if request == 44:  # one region of 4 GiB; nothing is mapped there
            return struct.pack("=II256Q", 1, 0, 1 << 32, *[0] * 255)
        if request == 24:
            return body
        if request == 17:
            return struct.pack("=Q", 2)
        if request == 5:
            count, = struct.unpack_from("=I", body)
            self.regions = []
            for i in range(count):
                gpa, size, uva, offset = struct.unpack_from(
                    "=4Q", body, 8 + 32 * i)
                self.regions.append(
                    (gpa, size, uva, mmap.mmap(fds[i], size, offset=offset)))
            for fd in fds:
                os.close(fd)
        elif request == 8:
            ring().size, = struct.unpack_from("=I", body, 4)
        elif request == 10:
            ring().next, = struct.unpack_from("=I", body, 4)
        elif request == 9:
            ring().desc, ring().used, ring().avail = struct.unpack_from(
                "=3Q", body, 8)
        elif request == 21:
            self.fds = fds  # held open, never used
        elif request == 12:
            ring().kick = fds[0] if fds else None
        elif request == 13:
            ring().call = fds[0] if fds else None
        elif request == 11:
            stopped = ring()
            stopped.kick = None
            stopped.desc = 0
            return body[:4] + struct.pack("=I", stopped.next)
        return None
