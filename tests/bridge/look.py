#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""What is on a screenshot.

    look.py FILE.png --squares N       weston-simple-shm's windows: 250x250,
                                       each with all of its white frame and a
                                       coloured inside
    look.py FILE.png --colour 0xRRGGBB --at-least N    so many pixels of it
"""
import argparse
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
import pattern

WHITE = b'\xff\xff\xff'


def square_at(rows, x, y):
    """A window whose upper left corner is there, not hidden by another."""
    full = WHITE * 250
    if y + 250 > len(rows):
        return False
    for line in range(250):
        row = rows[y + line][3 * x:3 * (x + 250)]
        if line < 20 or line >= 230:
            if row != full:
                return False
        elif row[:60] != WHITE * 20 or row[-60:] != WHITE * 20:
            return False
    inside = b''.join(rows[y + line][3 * (x + 20):3 * (x + 230)]
                      for line in range(20, 230))
    return len(set(zip(inside[::3], inside[1::3], inside[2::3]))) > 50


def squares(rows):
    """How many; one that hides another's edge is counted, that is not."""
    found = []
    run = WHITE * 250
    for y, row in enumerate(rows):
        at = row.find(run)
        while at >= 0:
            x = at // 3
            if at % 3 == 0 and not any(
                    abs(x - fx) < 250 and abs(y - fy) < 250
                    for fx, fy in found) and square_at(rows, x, y):
                found.append((x, y))
            at = row.find(run, at + 3)
    return found


def main():
    args = argparse.ArgumentParser()
    args.add_argument('file')
    args.add_argument('--squares', type=int)
    args.add_argument('--colour', type=lambda text: int(text, 16))
    args.add_argument('--at-least', type=int)
    args = args.parse_args()
    rows = pattern.read_image(args.file)[2]
    if args.squares is not None:
        found = squares(rows)
        print('squares at', found)
        return len(found) != args.squares
    wanted = args.colour.to_bytes(3, 'big')
    count = sum(1 for row in rows for i in range(0, len(row), 3)
                if row[i:i + 3] == wanted)
    print('pixels:', count)
    return count < args.at_least


if __name__ == '__main__':
    sys.exit(main())
