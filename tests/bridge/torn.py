#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Pools of wl_shm whose files change under the bridge, or cannot be mapped:
nobody but their client comes to harm, and pixels are those of the file.

    torn.py TOOL CORE_XML PROTOCOLS_DIRECTORY
"""
import contextlib
import os
import pathlib
import re
import resource
import sys
import threading

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import wayland
import world
from buffers import World, memory

TOOL, CORE, PROTOCOLS = sys.argv[1:4]
INTERFACES = wayland.load_all(CORE, PROTOCOLS)
INVALID_FD, XRGB, INT_MAX = 2, 1, 2**31 - 1
# one that is mapped, in rows of a page
ROWS, ROW = 128, 4096
SIZE, WIDTH = ROWS * ROW, ROW // 4
ALL = (0, 0, WIDTH, ROWS)


def whole(w, fd, offset=0, size=SIZE):
    return w.make(fd, size, offset, WIDTH, ROWS, ROW, XRGB)


def fill(fd, value, rows=range(ROWS)):
    for row in rows:
        os.pwrite(fd, bytes([value]) * ROW, row * ROW)


def filled(value):
    return [bytes([value]) * ROW] * ROWS


def commit(w, buffer):
    w.client.say(w.surface, 'attach', buffer, 0, 0)
    w.client.say(w.surface, 'damage_buffer', *ALL)
    w.client.say(w.surface, 'commit')


def cut_off(w):
    """Its end is gone when it is to be shown."""
    fd = memory(SIZE)
    buffer = whole(w, fd)
    fill(fd, 1)
    assert w.show(buffer, ALL).rows(ROW) == filled(1)
    os.ftruncate(fd, SIZE - ROW)
    commit(w, buffer)
    w.fails(w.shm, INVALID_FD, 'error accessing SHM buffer')
    os.close(fd)


def in_its_last_page(w):
    """The rest of that page is there to be read, as for a compositor."""
    fd = memory(SIZE)
    buffer = whole(w, fd)
    fill(fd, 1)
    os.ftruncate(fd, SIZE - 1)
    last = bytes([1]) * (ROW - 1) + b'\0'
    assert w.show(buffer, ALL).rows(ROW) == filled(1)[:-1] + [last]
    os.close(fd)


def back_again(w):
    """Emptied and as long as before: what it holds is what is shown, from
    then on, too."""
    fd = memory(SIZE)
    buffer = whole(w, fd)
    fill(fd, 1)
    assert w.show(buffer, ALL).rows(ROW) == filled(1)
    for value in (2, 3):
        os.ftruncate(fd, 0)
        os.ftruncate(fd, SIZE)
        fill(fd, value)
        assert w.show(buffer, ALL).rows(ROW) == filled(value)
    os.close(fd)


def not_yet(w):
    """A file that gets its length after its pool was made."""
    fd = memory(0)
    buffer = whole(w, fd)
    os.ftruncate(fd, SIZE)
    fill(fd, 1)
    assert w.show(buffer, ALL).rows(ROW) == filled(1)
    os.close(fd)


def holes(w):
    fd = memory(SIZE)
    buffer = whole(w, fd)
    fill(fd, 1, range(3, ROWS, 5))
    got = w.show(buffer, ALL).rows(ROW)
    for row in range(ROWS):
        assert got[row] == bytes([row % 5 == 3]) * ROW, row
    os.close(fd)


def cut_and_grow(fd, stop):
    while not stop.is_set():
        os.ftruncate(fd, 0)
        os.ftruncate(fd, SIZE)


def at_any_time(tool):
    """Each frame is shown, or its client told why not."""
    for _ in range(60):
        fd, stop = memory(SIZE), threading.Event()
        thread = threading.Thread(target=cut_and_grow, args=(fd, stop))
        with contextlib.closing(World(tool, INTERFACES)) as w:
            buffer = whole(w, fd)
            w.show(buffer, ALL)
            thread.start()
            try:
                for _ in range(20):
                    w.show(buffer, ALL)
            except wayland.Gone:
                w.fails(w.shm, INVALID_FD, 'error accessing SHM buffer')
            finally:
                stop.set()
                thread.join()
        os.close(fd)


def other_files(w):
    """Of filesystems where files are not memory, or cannot be mapped."""
    tried = 0
    for path in ('/proc/kallsyms', sys.executable):
        try:
            fd = os.open(path, os.O_RDONLY)
            there = os.pread(fd, 64, SIZE)
        except OSError:
            continue
        if len(there) == 64:
            rows = w.show(whole(w, fd), ALL).rows(ROW)
            for row in range(0, ROWS, 7):
                assert rows[row][:64] == os.pread(fd, 64, row * ROW), path
            tried += 1
        os.close(fd)
    assert tried != 0, 'no such file here'


def huge(w):
    """More of the largest pools than one program can have mapped."""
    for number in range(40):
        fd = memory(INT_MAX)
        offset = INT_MAX - SIZE - number
        buffer = whole(w, fd, offset, INT_MAX)
        os.pwrite(fd, bytes([number]) * SIZE, offset)
        assert w.show(buffer, ALL).rows(ROW) == filled(number), number
        os.close(fd)


def used_addresses(tool):
    status = pathlib.Path(f'/proc/{tool.process.pid}/status').read_text()
    return int(re.search(r'VmSize:\s*(\d+)', status)[1]) << 10


def few_addresses(tool):
    """Maps do not take the last of them."""
    limit = used_addresses(tool) + (600 << 20)
    before = resource.prlimit(tool.process.pid, resource.RLIMIT_AS)
    resource.prlimit(tool.process.pid, resource.RLIMIT_AS, (limit, before[1]))
    with contextlib.closing(World(tool, INTERFACES)) as w:
        pools = [memory(100 << 20) for _ in range(12)]
        buffers = [whole(w, fd, 0, 100 << 20) for fd in pools]
        for number, (fd, buffer) in enumerate(zip(pools, buffers)):
            fill(fd, number)
            assert w.show(buffer, ALL).rows(ROW) == filled(number), number
        used = used_addresses(tool)
        assert limit - used > 150 << 20, f'{limit - used} bytes are left'
        for fd in pools:
            os.close(fd)
    resource.prlimit(tool.process.pid, resource.RLIMIT_AS, before)


suite = world.Suite()
tool = world.Tool(TOOL, '--copy-pools')
bystander = World(tool, INTERFACES)
before = tool.fds()
for name, test in [
        ('a file that is cut off', cut_off),
        ('one that is cut off in its last page', in_its_last_page),
        ('one that is as long as before again', back_again),
        ('one that is not there yet', not_yet),
        ('holes', holes),
        ('files that are no memory', other_files),
        ('the largest pools', huge)]:
    with suite.case(name):
        with contextlib.closing(World(tool, INTERFACES)) as w:
            test(w)
        bystander.sync()
for name, test in [
        ('cut off at any time', at_any_time),
        ('few addresses', few_addresses)]:
    with suite.case(name):
        test(tool)
        bystander.sync()
with suite.case('descriptors are back where they began'):
    world.until('descriptors are back', lambda: tool.fds() <= before)
bystander.close()
with suite.case('the tool ends well'):
    tool.stop()
suite.end()
