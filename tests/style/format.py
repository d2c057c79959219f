#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Every C file is laid out as clang-format 14 does it with the nearest
`.clang-format`. Other versions break lines elsewhere, so without that one
the test is skipped."""

import pathlib
import re
import subprocess
import sys


def version(tool):
    try:
        said = subprocess.run([tool, '--version'], capture_output=True,
                              text=True).stdout
    except FileNotFoundError:
        return None
    found = re.search(r'version (\d+)', said)
    return found and int(found.group(1))


def main():
    root = pathlib.Path(sys.argv[1])
    tool = next((name for name in ('clang-format-14', 'clang-format')
                 if version(name) == 14), None)
    if not tool:
        print('1..0 # SKIP clang-format 14 is not installed '
              '(apt install clang-format-14)')
        return 0
    paths = sorted(str(path.relative_to(root))
                   for top in ('include', 'plugin', 'qemu-glue', 'tests')
                   for path in (root / top).rglob('*.[ch]')
                   if not path.name.endswith('.mod.c')) # made by kbuild
    done = subprocess.run([tool, '--dry-run', '-Werror', *paths], cwd=root,
                          capture_output=True, text=True)
    wrong = re.findall(r'^(\S+?):(\d+):\d+: error: code should be',
                       done.stderr, flags=re.M)
    first = {}
    for path, line in wrong:
        first.setdefault(path, line)
    print('1..1')
    for path, line in first.items():
        print(f'# {path}:{line}: run clang-format -i on it')
    if done.returncode and not wrong:
        print('#', '\n# '.join(done.stderr.split('\n')[:20]))
    good = done.returncode == 0
    print('ok 1' if good else 'not ok 1', f'- {len(paths)} files are formatted')
    return not good


if __name__ == '__main__':
    sys.exit(main())
