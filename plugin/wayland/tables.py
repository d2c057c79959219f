#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Makes the tables (struct wl_interface) that table.c has rows for.

    tables.py SCANNER CORE_XML PROTOCOLS OUT_C OUT_H DEPFILE SOURCE...

Each `TABLED(NAME, ...)` of the sources is looked for in the XML of Wayland and
of the folder PROTOCOLS (wayland-protocols); OUT_C is what wayland-scanner makes
of the files where they are, OUT_H declares all interfaces of these. An
interface that a source defines by hand is declared, and not looked for."""

import pathlib
import re
import subprocess
import sys

ROW = re.compile(r'^\s*TABLED\((\w+)', re.M)
BY_HAND = re.compile(r'^(?!extern|static)[\w ]*struct wl_interface '
                     r'(\w+)_interface\s*=', re.M)
IN_XML = re.compile(r'<interface\s+name="(\w+)"')
# A protocol that has become stable may still be installed as unstable, too.
FOLDERS = ('stable', 'staging', 'unstable')

HEAD = """\
/* Made by plugin/wayland/tables.py: the interfaces whose tables are built in.
 * Pointers to them can be compared: each program has one of each. */
#ifndef VWL_WAYLAND_INTERFACES_H
#define VWL_WAYLAND_INTERFACES_H

#include <wayland-util.h>

"""


def find_xml(core, protocols):
    """interface -> the file that describes it"""
    files = [core]
    for folder in FOLDERS:
        files += sorted((protocols / folder).rglob('*.xml'))
    found = {}
    for file in files:
        for name in IN_XML.findall(file.read_text(encoding='utf-8')):
            found.setdefault(name, file)
    return found


def private_code(scanner, file):
    with file.open('rb') as xml: # a file: the scanner reads it twice
        return subprocess.run([scanner, 'private-code'], check=True, stdin=xml,
                              stdout=subprocess.PIPE).stdout.decode()


def main():
    scanner, core, protocols, out_c, out_h, depfile = sys.argv[1:7]
    text = '\n'.join(pathlib.Path(path).read_text(encoding='utf-8')
                     for path in sys.argv[7:])
    by_hand = BY_HAND.findall(text)
    described = find_xml(pathlib.Path(core), pathlib.Path(protocols))
    missing = [name for name in ROW.findall(text)
               if name not in by_hand and name not in described]
    if missing:
        sys.exit(f'{", ".join(missing)}: TABLED, but neither in {core}, nor '
                 f'below {protocols}, nor written by hand')
    files = list(dict.fromkeys(described[name] for name in ROW.findall(text)
                               if name not in by_hand))
    code = [private_code(scanner, file) for file in files]
    names = sorted({*by_hand, *(name for name, file in described.items()
                                if file in files)})
    pathlib.Path(out_c).write_text('\n'.join(code), encoding='utf-8')
    pathlib.Path(out_h).write_text(
        HEAD + ''.join(f'extern const struct wl_interface {name}_interface;\n'
                       for name in names) + '\n#endif\n', encoding='utf-8')
    pathlib.Path(depfile).write_text(
        f'{out_c}: ' + ' '.join(map(str, files)) + '\n', encoding='utf-8')


if __name__ == '__main__':
    main()
