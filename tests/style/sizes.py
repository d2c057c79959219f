#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""How long a file and a function may be.

Files: 500 lines in the plugin and the bridge, 600 anywhere else, scripts and
tests included. Functions of the product: 60 lines between their braces, which
clang-format puts at the start of a line."""

import pathlib
import re
import sys

# Longest first: the first that the file is in decides.
FILE_CAPS = (('qemu-glue/guest/bridge/', 500), ('plugin/', 500), ('', 600))
FUNCTION_CAP = 60
PRODUCT = ('include/', 'plugin/', 'qemu-glue/')

# What is longer today: each entry goes when what it names is short enough.
LONG_FILES = set()
LONG_FUNCTIONS = set()


def sources(root):
    """C, Python and shell; the build's folders are not the tree's."""
    for top in ('include', 'plugin', 'qemu-glue', 'tests', '.ci'):
        for path in sorted((root / top).rglob('*')):
            if not path.is_file() or '__pycache__' in path.parts \
                    or path.name.endswith('.mod.c'): # made by kbuild
                continue
            if path.suffix in ('.c', '.h', '.py', '.sh'):
                yield path
            elif path.suffix == '':
                with path.open('rb') as file:
                    if file.read(2) == b'#!':
                        yield path


def functions(lines):
    """(name, lines between its braces) for each function"""
    start = None
    for number, line in enumerate(lines):
        if line == '{':
            start = number
        elif line.startswith('}') and start is not None:
            head, at = '', start
            while at > 0 and '(' not in head.partition(')')[0]:
                at -= 1
                head = lines[at] + ' ' + head
                if not lines[at].startswith((' ', '\t')):
                    break
            name = re.search(r'(\w+)\s*\(', head)
            yield name.group(1) if name else '?', number - start - 1
            start = None


def main():
    root = pathlib.Path(sys.argv[1])
    long_files, long_functions, problems = {}, {}, []
    for path in sources(root):
        where = path.relative_to(root).as_posix()
        lines = path.read_text().split('\n')
        cap = next(cap for under, cap in FILE_CAPS if where.startswith(under))
        if len(lines) - 1 > cap:
            long_files[where] = f'{len(lines) - 1} lines, the cap is {cap}'
        if path.suffix not in ('.c', '.h') or not where.startswith(PRODUCT):
            continue
        for name, count in functions(lines):
            if count > FUNCTION_CAP:
                long_functions[f'{where}: {name}'] = \
                    f'{count} lines, the cap is {FUNCTION_CAP}'
    for found, known in ((long_files, LONG_FILES),
                         (long_functions, LONG_FUNCTIONS)):
        problems += [f'{what}: {why}' for what, why in found.items()
                     if what not in known]
        problems += [f'{what}: is short enough now, so take it out of '
                     'tests/style/sizes.py' for what in sorted(known)
                     if what not in found]
    print('1..1')
    for problem in problems:
        print('#', problem)
    print('not ok 1' if problems else 'ok 1', '- sizes')
    return bool(problems)


if __name__ == '__main__':
    sys.exit(main())
