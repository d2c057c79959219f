#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""One version: that of meson.build, in the kernel module, DKMS, the pages, and
what each program says to --version.

    test-versions.py PROGRAM...
"""
import pathlib
import re
import subprocess
import sys

TOP = pathlib.Path(__file__).resolve().parent.parent.parent
GUEST = TOP / 'qemu-glue/guest'
SAYS = [
    ('qemu-glue/guest/driver/dkms.conf', r'^PACKAGE_VERSION="(.*)"$'),
    ('qemu-glue/guest/driver/main.c', r'^MODULE_VERSION\("(.*)"\);$'),
    ('docs/guest.md', r'virtio-wl/(\d+\.\d+\.\d+)'),
    ('docs/changes.md', r'\A# Changes\n\n## (?:Unreleased\n[\s\S]*?\n## )?'
                        r'(\S+) '),
]


def main():
    version = re.search(r"^  version: '(.*)',$",
                        (TOP / 'meson.build').read_text(), re.M).group(1)
    bad = []
    for path, pattern in SAYS:
        found = set(re.findall(pattern, (TOP / path).read_text(), re.M))
        if found != {version}:
            bad.append(f'{path}: {found or "none"}')
    for program in [*sys.argv[1:], TOP / 'qemu-glue/device/build-glue',
                    GUEST / 'virtio-wl-x11']:
        said = subprocess.run([program, '--version'], text=True, check=False,
                              capture_output=True).stdout
        if not re.fullmatch(rf'[\w-]+ {re.escape(version)}( \(.*\))?\n', said):
            bad.append(f'{program} --version: {said!r}')
    print('1..1')
    for line in bad:
        print('#', line)
    print('not ok 1' if bad else 'ok 1', f'- everything is {version}')
    return bool(bad)


if __name__ == '__main__':
    sys.exit(main())
