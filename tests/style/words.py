#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""House rules that a search can hold: licence lines, line length, tabs,
unfinished work; and that no text holds the marks of a merge, and each shell
script can be parsed."""

import pathlib
import re
import subprocess
import sys

from sizes import sources

UNFINISHED = re.compile(r'\b(TODO|FIXME|XXX|HACK)\b')
GPL = ('qemu-glue/device/', 'qemu-glue/guest/driver/')


MERGE = re.compile(r'^(<{7}|>{7})( |$)', re.M)


def check_scripts(root, problems):
    pages = [root / 'README.md', *(root / 'docs').glob('*.md'),
             *(path for top in ('plugin', 'qemu-glue', 'tests')
               for path in (root / top).rglob('meson.build'))]
    for path in [*sources(root), *pages]:
        text = path.read_text()
        where = path.relative_to(root).as_posix()
        if MERGE.search(text):
            problems.append(f'{where}: the marks of a merge')
        shell = re.match(r'#!/bin/(\w*sh)\b', text)
        if not shell:
            continue
        said = subprocess.run([shell.group(1), '-n', str(path)],
                              capture_output=True, text=True)
        if said.returncode:
            problems.append(f'{where}: {said.stderr.strip()}')


def main():
    root = pathlib.Path(sys.argv[1])
    problems = []
    check_scripts(root, problems)
    paths = sorted(p for folder in ('include', 'plugin', 'qemu-glue', 'tests')
                   for p in (root / folder).rglob('*.[ch]'))
    for path in paths:
        where = path.relative_to(root).as_posix()
        text = path.read_text()
        first = '\n'.join(text.split('\n')[:20])
        licence = re.search(r'SPDX-License-Identifier: (\S+)', first)
        if not licence:
            problems.append(f'{where}: no SPDX line')
        elif not where.startswith(GPL) and \
                licence.group(1) != 'BSD-3-Clause':
            problems.append(f'{where}: licence {licence.group(1)}')
        for number, line in enumerate(text.split('\n'), 1):
            if UNFINISHED.search(line):
                problems.append(f'{where}:{number}: unfinished')
            if where.startswith(GPL):
                continue
            if len(line) > 80:
                problems.append(f'{where}:{number}: {len(line)} columns')
            if '\t' in line or line != line.rstrip():
                problems.append(f'{where}:{number}: white space')
    print('1..1')
    for problem in problems:
        print('#', problem)
    print('not ok 1' if problems else 'ok 1', '- words')
    return bool(problems)


if __name__ == '__main__':
    sys.exit(main())
