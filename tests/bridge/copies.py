#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Memory of wl_shm as it is copied: laid out so that a compositor can let the
GPU read it, every pixel right, and no more of them moved than changed.

    copies.py TOOL CORE_XML PROTOCOLS_DIRECTORY
"""
import contextlib
import mmap
import os
import pathlib
import random
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import wayland
import world
from buffers import OFFERED, PAGE, World, memory

TOOL, CORE, PROTOCOLS = sys.argv[1:4]
INTERFACES = wayland.load_all(CORE, PROTOCOLS)
INVALID_STRIDE, INVALID_FD = 1, 2
XRGB, RGB565, RGB888, WIDE, UNKNOWN = (
    1, 0x36314752, 0x34324752, 0x48345258, 0x3231564e)
INT_MAX = 2**31 - 1


def painted(fd, offset, stride, row_bytes, height, seed):
    """Pixels, and other bytes between them; the rows."""
    dice = random.Random(seed)
    rows = [dice.randbytes(row_bytes) for _ in range(height)]
    for y, row in enumerate(rows):
        os.pwrite(fd, row + dice.randbytes(stride - row_bytes),
                  offset + y * stride)
    return rows


def every_pixel(w, form, pixel, width, height, more, sealed):
    """All of it, and then a part whose edges are odd."""
    row, offset = width * pixel, 36
    stride = row + more
    size = offset + stride * height
    fd = memory(size, sealed)
    buffer = w.make(fd, size, offset, width, height, stride, form)
    old = painted(fd, offset, stride, row, height, 1)
    shown = w.show(buffer, (0, 0, width, height))
    what = f'{width}x{height} by {pixel}, stride {stride}, sealed {sealed}'
    assert shown.is_for_a_gpu(), f'{what}: stride {shown.stride}'
    assert (shown.width, shown.height, shown.form) == (width, height, form)
    assert shown.rows(row) == old, f'{what}: other pixels'
    new = painted(fd, offset, stride, row, height, 2)
    x0, y0, x1, y1 = (width // 3, height // 3, max(width - width // 4, 1),
                      max(height - height // 4, 1))
    got = w.show(buffer, (x0, y0, x1 - x0, y1 - y0)).rows(row)
    for y in range(height):
        if y0 <= y < y1:
            assert got[y][x0 * pixel:x1 * pixel] == \
                new[y][x0 * pixel:x1 * pixel], f'{what}: stale in row {y}'
        else:
            assert got[y] == old[y], f'{what}: row {y} was copied'
    os.close(fd)


def layouts(w):
    for form, pixel in ((XRGB, 4), (RGB565, 2), (RGB888, 3), (WIDE, 8)):
        for width, height in ((1, 1), (1, 7), (3, 90), (63, 65), (64, 64),
                              (65, 63), (333, 71)):
            for more in (0, 1, 64, 300, 5000):
                every_pixel(w, form, pixel, width, height, more, False)


def large(w):
    """Mapped ones past the cache, others by many rows at once."""
    for sealed in (True, False):
        for width in (1366, 1280, 1919):
            for more in (0, 4, 300, 5000):
                every_pixel(w, XRGB, 4, width, 301, more, sealed)


def scattered(w):
    """More places than are kept one by one: far fewer pixels than the
    rectangle that holds them all."""
    size = 256 * 256 * 4
    fd = memory(size)
    buffer = w.make(fd, size, 0, 256, 256, 1024, XRGB)
    old = painted(fd, 0, 1024, 1024, 256, 1)
    assert w.show(buffer, (0, 0, 256, 256)).rows(1024) == old
    new = painted(fd, 0, 1024, 1024, 256, 2)
    rects = [(x, y, 3, 2) for x in (0, 4, 249, 253)
             for y in (0, 3, 6, 9, 245, 248, 251, 254)]
    got = w.show(buffer, *rects).rows(1024)
    for x, y, wide, high in rects:
        for line in range(y, y + high):
            assert got[line][4 * x:4 * (x + wide)] == \
                new[line][4 * x:4 * (x + wide)], f'stale at {x}, {line}'
    for line in range(16, 240):
        assert got[line] == old[line], f'row {line} was copied'
    os.close(fd)


def narrow(w):
    """Aligned rows would be mostly empty: memory that a program does not have
    does not become sixty times as much."""
    fd = memory(4 * 16000)
    buffer = w.make(fd, 4 * 16000, 0, 1, 16000, 4, XRGB)
    rows = painted(fd, 0, 4, 4, 16000, 1)
    shown = w.show(buffer, (0, 0, 1, 16000))
    assert shown.stride == 4 and shown.size <= 4 * 16000 + PAGE
    assert shown.rows(4) == rows
    os.close(fd)


def sparse(w):
    """Rows that are far apart in the file are not at the host."""
    fd = memory(2**30)
    buffer = w.make(fd, 2**30, 0, 5, 4, 2**28, XRGB)
    for y in range(4):
        os.pwrite(fd, bytes([y + 1]) * 20, y * 2**28)
    shown = w.show(buffer, (0, 0, 5, 4))
    assert shown.size <= PAGE and shown.is_for_a_gpu(), shown.size
    assert shown.rows(20) == [bytes([y + 1]) * 20 for y in range(4)]
    buffer = w.make(fd, INT_MAX, 0, 5, 1, INT_MAX, XRGB)
    assert w.show(buffer, (0, 0, 5, 1)).rows(20) == [b'\1' * 20]
    os.close(fd)


def older_host(tool):
    """It may take the width for the stride: no gaps, whatever the client's."""
    with contextlib.closing(World(tool, INTERFACES, OFFERED[:2])) as w:
        for form, pixel in ((XRGB, 4), (RGB565, 2), (RGB888, 3), (WIDE, 8)):
            for width, height in ((1, 1), (3, 90), (63, 65), (333, 71)):
                for more in (0, 4, 300):
                    row = width * pixel
                    stride = row + more
                    fd = memory(stride * height)
                    buffer = w.make(fd, stride * height, 0, width, height,
                                    stride, form)
                    rows = painted(fd, 0, stride, row, height, 1)
                    shown = w.show(buffer, (0, 0, width, height))
                    assert shown.stride == (row + 3) // 4 * 4, shown.stride
                    assert shown.rows(row) == rows
                    os.close(fd)


def unknown(w):
    """Formats that are not known stay as they were laid out."""
    fd = memory(1000 * 15)
    buffer = w.make(fd, 1000 * 15, 0, 90, 10, 100, UNKNOWN)
    content = random.Random(1).randbytes(1000 * 15)
    os.pwrite(fd, content, 0)
    shown = w.show(buffer, (0, 0, 90, 10))
    assert shown.stride == 100
    with mmap.mmap(shown.fd, shown.size, prot=mmap.PROT_READ) as there:
        assert there[:3000] == content[:3000]
    os.close(fd)


def short_file(w):
    """It may end with its last pixel, and not before."""
    fd = memory(4 * 100 * 3 + 4 * 37)
    buffer = w.make(fd, 1600, 0, 37, 4, 400, XRGB)
    rows = painted(fd, 0, 400, 148, 3, 1) + [b'x' * 148]
    os.pwrite(fd, rows[3], 1200)
    assert w.show(buffer, (0, 0, 37, 4)).rows(148) == rows
    os.ftruncate(fd, 4 * 100 * 3 + 4 * 37 - 1)
    w.client.say(w.surface, 'attach', buffer, 0, 0)
    w.client.say(w.surface, 'damage_buffer', 0, 0, 37, 4)
    w.client.say(w.surface, 'commit')
    w.fails(w.shm, INVALID_FD, 'error accessing SHM buffer')
    os.close(fd)


def outside(*said):
    def test(w):
        fd = memory(4096)
        w.make(fd, 4096, *said, keep=True)
        w.fails(w.shm, INVALID_STRIDE, 'invalid width, height or stride')
        os.close(fd)
    return test


def longest_rows(tool):
    """Whose alignment cannot be told in 32 bits; they are the client's to pay
    for, and are too much here."""
    with contextlib.closing(World(tool, INTERFACES)) as w:
        fd = memory(INT_MAX)
        buffer = w.make(fd, INT_MAX, 0, INT_MAX // 4, 1, INT_MAX, XRGB)
        w.client.say(w.surface, 'attach', buffer, 0, 0)
        w.fails(1, 2, f'no memory for a buffer of {INT_MAX} bytes')
        os.close(fd)


suite = world.Suite()
tool = world.Tool(TOOL, '--copy-pools', '--max-memory=64')
bystander = World(tool, INTERFACES)
before = tool.fds()
for name, test in [
        ('every pixel of every layout', layouts),
        ('large ones', large),
        ('many places', scattered),
        ('narrow ones', narrow),
        ('rows that are far apart', sparse),
        ('formats of other layouts', unknown),
        ('a file that is short', short_file),
        ('a stride whose product is too large',
         outside(0, 16, 65536, 65536, XRGB)),
        ('a stride that is too small', outside(0, 16, 4, 63, XRGB)),
        ('a stride below nothing', outside(0, 16, 4, -64, XRGB)),
        ('a width whose bytes cannot be told',
         outside(0, INT_MAX, 1, INT_MAX, XRGB)),
        ('no rows', outside(0, 16, 0, 64, XRGB)),
        ('a host that may not know of strides', lambda w: older_host(tool)),
        ('the longest rows', lambda w: longest_rows(tool))]:
    with suite.case(name):
        with contextlib.closing(World(tool, INTERFACES)) as w:
            test(w)
        bystander.sync()
with suite.case('descriptors are back where they began'):
    world.until('descriptors are back', lambda: tool.fds() <= before)
bystander.close()
with suite.case('the tool ends well'):
    tool.stop()
suite.end()
