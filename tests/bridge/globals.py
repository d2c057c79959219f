#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""What a compositor offers to its own programs, and to those behind the bridge:
all, but what the Wayland policy refuses by name. With VWL_GLOBALS_OUT, the two
lists are written to that file, for tests/bridge/globals-page.
"""
import os
import pathlib
import re
import sys

import raw

TABLE = (pathlib.Path(__file__).resolve().parents[2] /
         'plugin/wayland/table.c').read_text()
# Offered only where the device or the guest has what they need.
NEEDS = {'zwp_linux_dmabuf_v1', 'zwp_linux_explicit_synchronization_v1'}


class Lister(raw.Client):
    """Every global, also several of one interface."""

    def __init__(self, path):
        self.all = []
        super().__init__(path)

    def event(self, obj, opcode, body):
        super().event(obj, opcode, body)
        if (obj, opcode) == (self.registry, 0):
            self.all = [(name, version) for name, (_, version)
                        in self.globals.items()]


def main():
    refused = set(re.findall(r'REFUSED\((\w+),', TABLE))
    asked = set(re.findall(r'TABLED\((\w+), VWL_ASKED,', TABLE))
    caps = {name: int(version) for name, version in re.findall(
        r'\bTABLED\((\w+), VWL_\w+, (\d+),', TABLE)}
    native = dict(Lister(os.environ['WAYLAND_DISPLAY']).all)
    bridged = dict(Lister(os.environ['VWL_GUEST']).all)
    out = os.environ.get('VWL_GLOBALS_OUT')
    if out:
        with open(out, 'w') as file:
            for name, version in sorted(native.items()):
                file.write(f'{name} {version} {bridged.get(name, "-")}\n')
    assert native, 'no globals at all'
    wrong = []
    for name, version in sorted(native.items()):
        got = bridged.get(name)
        print(f'# {name} {version}: {got}')
        if got is None and name not in refused | asked | NEEDS:
            wrong.append(f'{name} is neither passed nor refused')
        if got is not None and name in refused:
            wrong.append(f'{name} is refused, and passed')
        if got is not None and got < min(version, caps.get(name, 0)) and \
                name not in NEEDS:
            wrong.append(f'{name}: version {got} of {version}')
    wrong += [f'{name} is made up' for name in bridged.keys() - native.keys()]
    if wrong:
        sys.exit('FAILED: ' + '; '.join(wrong))


main()
