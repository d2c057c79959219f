#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Clients that do everything wrong, each on a connection of its own: each
ends with the protocol's error where there is one, and nobody else notices.

    hostile.py SOCKET DIRECTORY
"""
import os
import pathlib
import socket
import struct
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import raw

PATH, WORK = sys.argv[1], sys.argv[2]
INVALID_OBJECT, INVALID_METHOD, NO_MEMORY = 0, 1, 2
STRIDE, BAD_FD = 1, 2
failures = 0


def expect(name, code, do, make=raw.Window, on=None):
    """code None: any end. on: which object the error names."""
    global failures
    error = 'not ended'
    client = None
    try:
        client = make(PATH)
        do(client)
        client.sync()
    except raw.Gone as gone:
        error = gone.args[0]
    except TimeoutError:
        error = 'hangs'
    ok = error != 'not ended' and error != 'hangs' and (
        code is None or (error is not None and error[1] == code and
                         (on is None or error[0] == getattr(client, on))))
    print('ok' if ok else 'FAILED', name, error)
    failures += not ok
    if client:
        client.sock.close()


def buffers(*numbers, **how):
    return lambda c: c.buffer(c.pool(4096, **how)[0], *numbers)


TOP = 0x7fffffff
for numbers in [(-4, 8, 8, 32), (0, 0, 8, 32), (0, 8, 0, 32), (0, -8, 8, 32),
                (0, 8, -8, 32), (0, 8, 8, 0), (0, 8, 8, -32), (0, 8, 8, 31),
                (0, 8, 8, 7), (4096, 8, 8, 32), (4096 - 255, 8, 8, 32),
                (0, 8, 129, 32), (TOP, TOP, TOP, TOP), (0, 1, TOP, TOP),
                (0, 16384, 65536, 65536), (TOP, 8, 8, 32),
                (-TOP, 8, 8, TOP), (0, TOP, 1, 4)]:
    expect('buffer %s' % (numbers,), STRIDE, buffers(*numbers), on='shm')
    expect('buffer %s in a file that stays' % (numbers,), STRIDE,
           buffers(*numbers, sealed=True), on='shm')
for size in (0, -1, -4096):
    expect('pool of %d' % size, STRIDE,
           lambda c, size=size: c.send(c.shm, 0, 'ni', c.new(), size,
                                       fds=[os.memfd_create('x')]), on='shm')


def resize(size, **how):
    return lambda c: c.send(c.pool(8192, **how)[0], 2, 'i', size)


expect('a pool that shrinks', BAD_FD, resize(4096), on='shm')
expect('a pool that shrinks, in a file that stays', BAD_FD,
       resize(4096, sealed=True), on='shm')


def kinds():
    fifo = os.path.join(WORK, 'fifo')
    if not os.path.exists(fifo):
        os.mkfifo(fifo)
    memory = os.memfd_create('x')
    os.ftruncate(memory, 4096)
    pair = socket.socketpair()
    return {
        'a pipe': os.pipe()[0],
        'a fifo': os.open(fifo, os.O_RDWR),
        'a socket': pair[0].detach(),
        'an event': os.eventfd(0),
        'a folder': os.open(WORK, os.O_RDONLY),
        'the null device': os.open('/dev/null', os.O_RDWR),
        'a terminal': os.openpty()[0],
        'a path': os.open(f'/proc/self/fd/{memory}', os.O_PATH),
        'a write-only file': os.open(f'/proc/self/fd/{memory}', os.O_WRONLY),
    }


def show(fd, size=4096):
    def do(c):
        pool, _ = c.pool(size, fd)
        c.commit(c.buffer(pool, 0, 8, 8, 32), (0, 0, 8, 8))
    return do


for name, fd in kinds().items():
    expect('a pool of ' + name, BAD_FD, show(fd), on='shm')
expect('a pool of an empty file', BAD_FD, show(os.memfd_create('x')),
       on='shm')


def shrinks(c):
    size = 1920 * 1080 * 4
    pool, fd = c.pool(size)
    buffer = c.buffer(pool, 0, 1920, 1080, 7680)
    c.commit(buffer, (0, 0, 1920, 1080))
    c.sync()
    os.ftruncate(fd, size // 2)
    c.commit(c.buffer(pool, 0, 1920, 1080, 7680), (0, 0, 1920, 1080))


expect('a file that shrank', BAD_FD, shrinks, on='shm')


def shrinks_meanwhile(c):
    size = 1920 * 1080 * 4
    pool, fd = c.pool(size)
    some = [c.buffer(pool, 0, 1920, 1080, 7680) for _ in range(3)]
    for i in range(200):
        c.commit(some[i % 3], (0, 0, 1920, 1080))
        os.ftruncate(fd, 0)
        os.ftruncate(fd, size)
    os.ftruncate(fd, 0)
    c.commit(some[0], (0, 0, 1920, 1080))


expect('a file that shrinks meanwhile', BAD_FD, shrinks_meanwhile, on='shm')


def word(obj, opcode, size):
    return struct.pack('=II', obj, size << 16 | opcode)


bind = struct.pack('=IIII', 2, 32 << 16, 1, 14) + b'wl_compositor\0\0\0' + \
    struct.pack('=II', 1, 3)
expect('size 0', INVALID_METHOD, lambda c: c.send_raw(word(1, 0, 0)))
expect('size 4', INVALID_METHOD, lambda c: c.send_raw(word(1, 0, 4)))
expect('size 10', INVALID_METHOD, lambda c: c.send_raw(word(1, 0, 10)))
expect('no such request', INVALID_METHOD,
       lambda c: c.send_raw(word(1, 9, 8)))
expect('too new a request', INVALID_METHOD,
       lambda c: c.send(c.bind('xdg_wm_base'), 9999))
expect('no such object', INVALID_OBJECT,
       lambda c: c.send_raw(word(99999, 0, 8)))
expect("the server's object", INVALID_OBJECT,
       lambda c: c.send_raw(word(0xff000000, 0, 8)))
expect('the null object', INVALID_OBJECT,
       lambda c: c.send_raw(word(0, 0, 8)))
for size in range(8, 40, 4):
    body = bind[8:size]
    expect('bind of %d bytes' % size, None,
           lambda c, size=size, body=body: c.send_raw(
               word(2, 0, size) + body + bytes(size - 8 - len(body))))
for new in (0, 1, 2, 40000, 0xfeffffff, 0xff000000, 0xffffffff):
    expect('new id %#x' % new, None,
           lambda c, new=new: c.send_raw(word(1, 0, 12) +
                                         struct.pack('=I', new)))
for name in ('wl_drm', 'wl_surface', 'weston_screenshooter', '', 'wl_seat'):
    expect('bind of ' + repr(name), INVALID_OBJECT,
           lambda c, name=name: c.send(c.registry, 0, 'usun',
                                       c.globals['wl_shm'][0], name, 1,
                                       c.new()), on='registry')
expect('bind of a hidden number', INVALID_OBJECT,
       lambda c: [c.send(c.registry, 0, 'usun', n, 'weston_debug_v1', 1,
                         c.new()) for n in range(1, 40)])
for version in (0, 2, 999, -1):
    expect('wl_shm of version %d' % version, INVALID_OBJECT,
           lambda c, version=version: c.send(
               c.registry, 0, 'usun', c.globals['wl_shm'][0], 'wl_shm',
               version, c.new()))
expect('a pool without a file', INVALID_METHOD,
       lambda c: c.send(c.shm, 0, 'ni', c.new(), 4096))
expect('a surface as a buffer', INVALID_OBJECT,
       lambda c: c.send(c.surface, 1, 'oii', c.surface, 0, 0))


def flood_of_descriptors(c):
    fd = os.memfd_create('x')
    for _ in range(100):
        c.send_raw(struct.pack('=II', 1, 12 << 16)[:1], [fd] * 28)


expect('descriptors without messages', None, flood_of_descriptors)


def pools_without_end(c):
    fd = os.memfd_create('x')
    os.ftruncate(fd, 4096)
    for _ in range(100000):
        c.pool(4096, fd)


def objects_without_end(c):
    for _ in range(200000):
        c.send(c.compositor, 1, 'n', c.new())


def memory_without_end(c):
    size = 4096 * 4096 * 4
    pool, _ = c.pool(size)
    for _ in range(100):
        c.commit(c.buffer(pool, 0, 4096, 4096, 16384))
        c.sync()


expect('pools without end', NO_MEMORY, pools_without_end)
expect('objects without end', None, objects_without_end)
if os.environ.get('VWL_SLOW') is None:
    expect('memory without end', NO_MEMORY, memory_without_end)


def never_reads():
    """Asks for answers and leaves them; others must not notice."""
    deaf = raw.Client(PATH)
    deaf.sock.settimeout(0.5)
    message = b''
    for _ in range(500):
        new = deaf.new()
        message += word(1, 0, 12) + struct.pack('=I', new)
    try:
        for _ in range(100):
            deaf.sock.sendall(message)
    except OSError:
        pass
    return deaf


deaf = never_reads()
start = time.monotonic()
good = raw.Client(PATH)
good.sync()
print('ok a bystander of one that never reads, after',
      round(time.monotonic() - start, 3))
deaf.sock.close()
good.sock.close()

# What is hidden stays hidden.
good = raw.Client(PATH)
for name in good.globals:
    if name.startswith(('weston_', 'wl_drm', 'zwp_input_panel',
                        'zwp_input_method')):
        print('FAILED', name, 'is offered')
        failures += 1
print('offered:', ' '.join(sorted(good.globals)))
good.sock.close()
sys.exit(failures != 0)
