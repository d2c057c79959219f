#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Paints the pattern of tests/pattern.py piece by piece: two buffers in turn,
each commit with the damage of its own change alone, a pool that grows, a
buffer that is made anew. What stays on the screen is right in every pixel
only if whoever copies by damage keeps count of it.

    painted.py SOCKET WIDTH HEIGHT [sealed]    prints "painted", then waits

Its file may be sealed against shrinking: then a bridge can trust its size.
"""
import os
import pathlib
import random
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
import pattern
import raw


def main():
    path, width, height = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    rows = pattern.pattern_rows(width, height)
    bgrx = []
    for row in rows:
        line = bytearray()
        for x in range(width):
            r, g, b = row[3 * x:3 * x + 3]
            line += bytes((b, g, r, 255))
        bgrx.append(bytes(line))
    stride = width * 4 + 64
    size = stride * height
    dice = random.Random(11)
    client = raw.Window(path)
    pool, fd = client.pool(size, sealed='sealed' in sys.argv[4:])
    buffers = [client.buffer(pool, 0, width, height, stride)]
    os.ftruncate(fd, 2 * size + 4096)
    client.send(pool, 2, 'i', 2 * size + 4096)
    buffers.append(client.buffer(pool, size + 4096, width, height, stride))
    starts = [0, size + 4096]
    uses = [0, 0]
    tiles = [(x, y, min(37, width - x), min(29, height - y))
             for x in range(0, width, 37) for y in range(0, height, 29)]
    dice.shuffle(tiles)
    drawn = []
    for turn, tile in enumerate([None] + tiles):
        which = turn % 2
        if uses[which]:
            client.wait(buffers[which], 0, uses[which])
        if turn == 10:
            client.send(buffers[which], 0)
            buffers[which] = client.buffer(pool, starts[which], width, height,
                                           stride)
            uses[which] = 0
        if tile:
            drawn.append(tile)
        # the whole picture so far, as a renderer with a buffer age would
        for x, y, w, h in drawn:
            for line in range(y, y + h):
                os.pwrite(fd, bgrx[line][4 * x:4 * (x + w)],
                          starts[which] + line * stride + 4 * x)
        uses[which] += 1
        client.commit(buffers[which],
                      tile if tile else (0, 0, 1 << 30, 1 << 30))
    client.sync()
    print('painted', flush=True)
    try:
        client.drain()
    except (raw.Gone, TimeoutError):
        pass


if __name__ == '__main__':
    main()
