#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Finds the painter's pattern in a screenshot and compares every pixel.

    tests/pattern.py FILE.png|FILE.ppm [--size WxH] [--absent] [--write FILE]

Prints where it stands and how many pixels differ, by channel. Status 0: all
are right; 1: some are wrong, or it is not there (with --absent: it is there);
2: the file cannot be read. --write makes a PPM of the pattern instead.
Needs nothing but Python's standard library.
"""
import argparse
import struct
import sys
import zlib


def pixel(x, y, width, height):
    """The pattern, as qemu-glue/guest/painter.h describes it."""
    mx, my = width // 4, height * 5 // 8
    if 0 <= x - mx < 24 and 0 <= y - my < 10:
        return (255, 0, 255) if x - mx < (y - my) * 2 else (0, 0, 0)
    if y < 8 or y >= height - 8:
        top = y < 8
        if x < 12:
            return (255, 0, 0) if top else (0, 0, 255)
        if x >= width - 12:
            return (0, 255, 0) if top else (255, 255, 0)
    return (x * 255 // (width - 1), y * 255 // (height - 1),
            (x * 3 + y * 5) & 255)


def pattern_rows(width, height):
    return [bytes(channel for x in range(width)
                  for channel in pixel(x, y, width, height))
            for y in range(height)]


def unfilter(kind, line, above, step):
    line = bytearray(line)
    for i in range(len(line)):
        left = line[i - step] if i >= step else 0
        up = above[i]
        corner = above[i - step] if i >= step else 0
        if kind == 1:
            guess = left
        elif kind == 2:
            guess = up
        elif kind == 3:
            guess = (left + up) // 2
        elif kind == 4:
            estimate = left + up - corner
            guess = min((abs(estimate - left), 0, left),
                        (abs(estimate - up), 1, up),
                        (abs(estimate - corner), 2, corner))[2]
        else:
            raise ValueError("PNG filter %d" % kind)
        line[i] = (line[i] + guess) & 255
    return bytes(line)


def read_png(data):
    at, packed, head = 8, b"", None
    while at + 8 <= len(data):
        size, kind = struct.unpack_from(">I4s", data, at)
        body = data[at + 8:at + 8 + size]
        if kind == b"IHDR":
            head = struct.unpack(">IIBBBBB", body)
        elif kind == b"IDAT":
            packed += body
        at += 12 + size
    width, height, depth, colour, _, _, interlace = head
    if depth != 8 or colour not in (2, 6) or interlace:
        raise ValueError("only 8-bit RGB and RGBA PNGs")
    step = 3 if colour == 2 else 4
    raw, stride = zlib.decompress(packed), width * step
    rows, above = [], bytes(stride)
    for y in range(height):
        start = y * (stride + 1)
        line = raw[start + 1:start + 1 + stride]
        if raw[start]:
            line = unfilter(raw[start], line, above, step)
        above = line
        if step == 4:
            rgb = bytearray(width * 3)
            for channel in range(3):
                rgb[channel::3] = line[channel::4]
            line = bytes(rgb)
        rows.append(line)
    return width, height, rows


def read_ppm(data):
    fields, at = [], 0
    while len(fields) < 4:
        end = at
        while not data[end:end + 1].isspace():
            end += 1
        fields.append(data[at:end])
        at = end + 1
    width, height = int(fields[1]), int(fields[2])
    if fields[0] != b"P6" or fields[3] != b"255":
        raise ValueError("only P6 PPMs of 255")
    return width, height, [data[at + y * width * 3:at + (y + 1) * width * 3]
                           for y in range(height)]


def read_image(path):
    with open(path, "rb") as file:
        data = file.read()
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return read_png(data)
    return read_ppm(data)


def places_of_exact_rows(rows, wanted):
    """Where whole rows of the pattern stand, most often first."""
    votes = {}
    probes = range(0, len(wanted), max(1, len(wanted) // 16))
    for probe in probes:
        for y, row in enumerate(rows):
            at = row.find(wanted[probe])
            if at >= 0 and at % 3 == 0 and y >= probe:
                place = (at // 3, y - probe)
                votes[place] = votes.get(place, 0) + 1
    return sorted(votes, key=votes.get, reverse=True)


def places_of_corner(rows, width):
    """Where a wrong picture may begin: its first rows, by their left edge."""
    red = b"\xff\x00\x00" * 12
    for y, row in enumerate(rows):
        at = row.find(red)
        if at >= 0 and at % 3 == 0 and at // 3 + width <= len(row) // 3:
            return [(at // 3, y)]
    return []


def differences(rows, wanted, place):
    x, y = place
    pixels, channels, first = 0, [0, 0, 0], None
    for dy, want in enumerate(wanted):
        row = rows[y + dy] if y + dy < len(rows) else b""
        have = row[x * 3:x * 3 + len(want)].ljust(len(want), b"\x00")
        if have == want:
            continue
        for i in range(0, len(want), 3):
            if have[i:i + 3] != want[i:i + 3]:
                pixels += 1
                first = first or (i // 3, dy, have[i:i + 3], want[i:i + 3])
                for c in range(3):
                    channels[c] += have[i + c] != want[i + c]
    return pixels, channels, first


def parse(argv):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", nargs="?")
    parser.add_argument("--size", default="320x200", metavar="WxH")
    parser.add_argument("--absent", action="store_true",
                        help="succeed when the pattern is not there")
    parser.add_argument("--write", metavar="FILE",
                        help="write the pattern as PPM")
    args = parser.parse_args(argv)
    if (args.file is None) == (args.write is None):
        parser.error("one picture, please")
    return args


def main(argv):
    args = parse(argv)
    width, height = (int(n) for n in args.size.split("x"))
    wanted = pattern_rows(width, height)
    if args.write:
        with open(args.write, "wb") as file:
            file.write(b"P6\n%d %d\n255\n" % (width, height))
            file.write(b"".join(wanted))
        return 0
    try:
        shot_width, shot_height, rows = read_image(args.file)
    except (OSError, ValueError, TypeError, zlib.error, struct.error) as e:
        print("%s: %s" % (args.file, e), file=sys.stderr)
        return 2
    places = places_of_exact_rows(rows, wanted)
    if args.absent:
        print("pattern %s in %dx%d" % ("found" if places else "absent",
                                       shot_width, shot_height))
        return 1 if places else 0
    places = places or places_of_corner(rows, width)
    total = width * height
    if not places:
        print("pattern not found in %dx%d: %d of %d pixels wrong" %
              (shot_width, shot_height, total, total))
        return 1
    pixels, channels, first = differences(rows, wanted, places[0])
    print("pattern %dx%d at %d,%d of %dx%d: %d of %d pixels wrong"
          " (red %d, green %d, blue %d)" %
          (width, height, places[0][0], places[0][1], shot_width,
           shot_height, pixels, total, *channels))
    if first:
        print("first: at %d,%d is #%s, should be #%s" %
              (first[0], first[1], first[2].hex(), first[3].hex()))
    return 1 if pixels else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
