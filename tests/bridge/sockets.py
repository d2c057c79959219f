#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Named sockets: what the host offers under a name, at a path of the guest's.

    sockets.py TOOL
"""
import array
import contextlib
import hashlib
import os
import pathlib
import socket
import struct
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import world

TOOL = sys.argv[1]
MEGA = 1 << 20


class Pair:
    """A connection: the guest's end and the host's."""

    def __init__(self, tool):
        self.guest = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.guest.settimeout(60)
        self.guest.connect(str(tool.path / 'here'))
        self.host = tool.other.accept()[0]
        self.host.settimeout(60)

    def close(self):
        self.guest.close()
        self.host.close()


def read(sock, size):
    data = b''
    while len(data) < size:
        some = sock.recv(size - len(data))
        assert some, f'the end after {len(data)} bytes of {size}'
        data += some
    return data


def digest(sock, size):
    """Of exactly so many bytes."""
    sha, left = hashlib.sha256(), size
    while left:
        some = sock.recv(min(left, 65536))
        assert some, f'the end {left} bytes too early'
        sha.update(some)
        left -= len(some)
    return sha.hexdigest()


def pour(sock, data, after=lambda: None):
    def run():
        sock.sendall(data)
        after()
    thread = threading.Thread(target=run)
    thread.start()
    return thread


def is_end(sock):
    assert sock.recv(1) == b'', 'more than was said'


def both_ways(p):
    there, back = os.urandom(24 * MEGA), os.urandom(24 * MEGA)
    threads = [pour(p.guest, there), pour(p.host, back)]
    got = []
    reader = threading.Thread(
        target=lambda: got.append(digest(p.host, len(there))))
    reader.start()
    assert digest(p.guest, len(back)) == hashlib.sha256(back).hexdigest()
    for thread in threads + [reader]:
        thread.join()
    assert got == [hashlib.sha256(there).hexdigest()]


def one_byte(p):
    for size in (1, 2, 3):
        p.guest.sendall(b'x' * size)
        assert read(p.host, size) == b'x' * size
        p.host.sendall(b'y' * size)
        assert read(p.guest, size) == b'y' * size


def host_ends(p):
    """All that it said comes first, however late it is read."""
    data = os.urandom(6 * MEGA)
    pour(p.host, data, p.host.close)
    time.sleep(0.5)
    assert digest(p.guest, len(data)) == hashlib.sha256(data).hexdigest()
    is_end(p.guest)


def late_reader(p):
    """It finds much waiting and takes it faster than it comes: what the
    device still holds must follow though nothing new arrives."""
    size = 4 * MEGA
    data = os.urandom(size)
    room = memoryview(bytearray(size))
    for _ in range(25):
        thread = pour(p.host, data)
        time.sleep(0.05)
        got = 0
        while got < size:
            got += p.guest.recv_into(room[got:])
        thread.join()
        assert room == data


def client_ends(p):
    data = os.urandom(6 * MEGA)
    pour(p.guest, data, p.guest.close)
    time.sleep(0.5)
    assert digest(p.host, len(data)) == hashlib.sha256(data).hexdigest()
    is_end(p.host)


def client_half_closes(p):
    """It has said all and waits for the answer."""
    p.guest.sendall(b'question')
    p.guest.shutdown(socket.SHUT_WR)
    assert read(p.host, 8) == b'question'
    p.host.sendall(b'answer')
    assert read(p.guest, 6) == b'answer'
    p.host.close()
    is_end(p.guest)


def client_half_closes_and_goes(p):
    p.guest.shutdown(socket.SHUT_WR)
    p.guest.close()
    is_end(p.host)


def host_half_closes(p):
    p.host.sendall(b'enough')
    p.host.shutdown(socket.SHUT_WR)
    assert read(p.guest, 6) == b'enough'
    is_end(p.guest)


def flood(p):
    """Nobody reads at the host: the client has to wait, soon."""
    p.guest.setblocking(False)
    sent = 0
    end = time.monotonic() + 2
    while time.monotonic() < end:
        try:
            sent += p.guest.send(bytes(65536))
        except BlockingIOError:
            time.sleep(0.02)
    assert sent < 8 * MEGA, f'{sent} bytes were taken'


def flood_of_the_host(p):
    p.host.setblocking(False)
    sent = 0
    end = time.monotonic() + 2
    while time.monotonic() < end:
        try:
            sent += p.host.send(bytes(65536))
        except BlockingIOError:
            time.sleep(0.02)
    assert sent < 8 * MEGA, f'{sent} bytes were taken'


def send_fds(sock, data, *fds):
    sock.sendmsg([data], [(socket.SOL_SOCKET, socket.SCM_RIGHTS,
                           array.array('i', fds))])


def receive_fds(sock, size):
    data, ancillary, _, _ = sock.recvmsg(size, socket.CMSG_SPACE(16 * 4))
    fds = array.array('i')
    for _, _, some in ancillary:
        fds.frombytes(some)
    return data, list(fds)


def pipes(p):
    """The client gives a reading end and a writing end."""
    inwards, outwards = os.pipe(), os.pipe()
    send_fds(p.guest, b'two', inwards[1], outwards[0])
    os.close(inwards[1])
    os.close(outwards[0])
    data, fds = receive_fds(p.host, 3)
    assert data == b'two' and len(fds) == 2
    os.write(fds[0], b'to the client')
    os.close(fds[0])
    with open(inwards[0], 'rb') as file:
        assert file.read() == b'to the client'
    os.write(outwards[1], b'to the host')
    os.close(outwards[1])
    with open(fds[1], 'rb') as file:
        assert file.read() == b'to the host'


def of_the_host(p):
    """Its pipes and sockets are sockets in the guest."""
    ends, pair = os.pipe(), socket.socketpair()
    send_fds(p.host, b'x', ends[1], pair[1].fileno())
    os.close(ends[1])
    pair[1].close()
    data, fds = receive_fds(p.guest, 1)
    assert data == b'x' and len(fds) == 2
    os.write(fds[0], b'written')
    os.close(fds[0])
    with open(ends[0], 'rb') as file:
        assert file.read() == b'written'
    there = socket.socket(fileno=fds[1])
    there.settimeout(60)
    there.sendall(b'ping')
    assert read(pair[0], 4) == b'ping'
    pair[0].sendall(b'pong')
    assert read(there, 4) == b'pong'
    pair[0].close()
    is_end(there)
    there.close()


def memory(p):
    """It would not be the same memory there: the connection ends."""
    fd = os.memfd_create('x')
    send_fds(p.guest, b'memory', fd)
    os.close(fd)
    is_end(p.guest)
    is_end(p.host)


AUTH = struct.pack('>IIIII', 20, 0xffffffff, 0, 0, 0) + \
    b'L' + struct.pack('>I', 8) + b'L' + struct.pack('>I', 0x12345678) + b'L'


def sound(p):
    """PulseAudio's client does not say that it can share memory; nothing
    else of what it says is changed."""
    rest = os.urandom(300)
    for i, byte in enumerate(AUTH + b'\xc0\x00\x00\x23' + rest):
        p.guest.sendall(bytes([byte]))
        got = read(p.host, 1)[0]
        assert got == (byte & 0x3f if i == 31 else byte), i
    p.guest.sendall(AUTH + b'\xc0\x00\x00\x23')
    assert read(p.host, 35) == AUTH + b'\xc0\x00\x00\x23'


def not_sound(p):
    """Almost the same is something else."""
    other = AUTH[:24] + b'\x09' + AUTH[25:] + b'\xc0\x00\x00\x23'
    p.guest.sendall(other)
    assert read(p.host, 35) == other


def not_sound_at_all(p):
    p.guest.sendall(b'\xff' * 1000)
    assert read(p.host, 1000) == b'\xff' * 1000


NAME = '\u20acine Verbindung, 32 Bytes lang'
assert len(NAME.encode()) == 32
suite = world.Suite()
# a list, as the daemon and QEMU take it
tool = world.Tool(TOOL, '--wayland-sock=@DIR@/other,policy=none,name=' +
                  NAME.replace(',', '\\,') +
                  ';@DIR@/nobody,name=nobody,policy=none',
                  f'--socket={NAME}:@DIR@/here', '--socket=nobody:@DIR@/x/y/z',
                  '--socket=unknown:x/unknown',
                  env={'XDG_RUNTIME_DIR': '@DIR@'})
tool.other = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
tool.other.bind(str(tool.path / 'other'))
tool.other.listen(8)
tool.other.settimeout(60)
before = tool.fds_at_rest()
for name, test in [
        ('one byte', one_byte), ('both ways at once', both_ways),
        ('the host ends', host_ends), ('the client ends', client_ends),
        ('a client that reads late', late_reader),
        ('the client has said all', client_half_closes),
        ('the client has said all and goes', client_half_closes_and_goes),
        ('the host has said all', host_half_closes),
        ('a host that does not read', flood),
        ('a client that does not read', flood_of_the_host),
        ('pipes', pipes), ("the host's pipes and sockets", of_the_host),
        ('memory', memory), ('sound', sound), ('not sound', not_sound),
        ('not sound at all', not_sound_at_all)]:
    with suite.case(name):
        with contextlib.closing(Pair(tool)) as pair:
            test(pair)
        world.until('descriptors are back', lambda: tool.fds() <= before)
for path in ('x/y/z', 'x/unknown'):
    with suite.case(f'no such socket at the host: {path}'):
        lost = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        lost.settimeout(60)
        lost.connect(str(tool.path / path))
        is_end(lost)
        lost.close()
with suite.case('the sockets go with the tool'):
    paths = [tool.path / p for p in ('guest', 'here', 'x/y/z', 'x/unknown')]
    assert all(p.exists() for p in paths)
    tool.process.terminate()
    tool.process.wait(60)
    assert not any(p.exists() for p in paths)
    tool.stop()
tool.other.close()
suite.end()
