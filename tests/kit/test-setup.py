#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""What qemu-glue/guest/setup asks apt for, on systems that are not here: apt,
dpkg and their answers are doubles, the kernels are empty folders. (That it
works is vm-guest's to tell, in a Debian guest.)

    test-setup.py
"""
import contextlib
import os
import pathlib
import subprocess
import sys
import tempfile

TOP = pathlib.Path(__file__).resolve().parent.parent.parent
SETUP = TOP / 'qemu-glue/guest/setup'
TOOLS = ('gcc meson ninja-build pkg-config libc6-dev libglib2.0-dev '
         'libwayland-bin libwayland-dev wayland-protocols '
         'libgdk-pixbuf-2.0-dev dkms').split()
DOUBLES = {
    'apt-get': 'echo "$*" >>"$FAKE/asked"\nexit $(cat "$FAKE/apt-status")',
    'apt-cache': 'grep -qx -- "$2" "$FAKE/known"',
    'dpkg-query': '''for last; do :; done
case $last in
*'*') sed 's/$/ install ok installed/' "$FAKE/installed" |
    grep "^${last%?}" ;;
*) grep -qx -- "$last" "$FAKE/installed" && echo 'install ok installed' ;;
esac''',
    'uname': 'cat "$FAKE/running"',
    'id': 'echo 0',
}


class System:
    def __init__(self, folder, kernels, installed, known, built=(),
                 apt_status=0):
        """kernels: that are installed, the first one runs; built: those of
        which the headers are there."""
        self.folder = pathlib.Path(folder)
        (self.folder / 'bin').mkdir()
        for name, text in DOUBLES.items():
            path = self.folder / 'bin' / name
            path.write_text('#!/bin/sh\n' + text + '\n')
            path.chmod(0o755)
        for kernel in kernels:
            (self.folder / 'modules' / kernel / 'kernel').mkdir(parents=True)
            if kernel in built:
                (self.folder / 'modules' / kernel / 'build').mkdir()
        for name, lines in (('installed', installed), ('known', known),
                            ('running', kernels[:1]), ('asked', []),
                            ('apt-status', [str(apt_status)])):
            (self.folder / name).write_text(
                ''.join(line + '\n' for line in lines))

    def setup(self):
        """(exit status, what it said, what apt installed)"""
        done = subprocess.run(
            [SETUP, '--packages-only'], text=True, timeout=60,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            env={'PATH': f'{self.folder}/bin:/usr/bin:/bin',
                 'FAKE': str(self.folder), 'TMPDIR': str(self.folder),
                 'VWL_SETUP_MODULES': f'{self.folder}/modules'})
        asked = (self.folder / 'asked').read_text().splitlines()
        got = [line.split(' install ', 1)[1].split()
               for line in asked if ' install ' in line]
        assert len(got) <= 1 and len(asked) in (0, 1, 2), asked
        left = [p.name for p in self.folder.iterdir()
                if p.name.startswith('vwl-setup')]
        assert not left, left
        return done.returncode, done.stdout, got[0] if got else None


def ubuntu(system):
    """Its kernels' names end in -generic, and a package follows them."""
    version = '6.8.0-50-generic'
    headers = ['linux-headers-' + version, 'linux-headers-generic']
    status, said, got = system(
        [version], ['linux-image-' + version, 'linux-image-generic'],
        TOOLS + headers).setup()
    assert status == 0 and got == TOOLS + headers, (said, got)


def ubuntu_in_a_cloud(system):
    """Flavours that nobody can know beforehand."""
    version = '6.8.0-1021-aws'
    headers = ['linux-headers-' + version, 'linux-headers-aws-lts-24.04']
    status, said, got = system(
        [version], TOOLS + ['linux-image-aws-lts-24.04'],
        headers).setup()
    assert status == 0 and got == headers, (said, got)


def debian(system):
    """Two kernels; headers of one are there already."""
    got = system(
        ['6.1.0-42-amd64', '6.1.0-41-amd64'],
        TOOLS + ['linux-image-amd64', 'linux-headers-6.1.0-41-amd64',
                 'linux-image-amd64-dbg'],
        ['linux-headers-6.1.0-42-amd64', 'linux-headers-amd64'],
        built=['6.1.0-41-amd64']).setup()[2]
    assert got == ['linux-headers-6.1.0-42-amd64', 'linux-headers-amd64'], got


def x11_programs(system):
    """In cage: what their clipboard is built with."""
    status, said, got = system(
        ['6.1.0-42-amd64'],
        TOOLS + ['linux-image-amd64', 'linux-headers-amd64', 'cage'],
        ['libgtk-4-dev'], built=['6.1.0-42-amd64']).setup()
    assert status == 0 and got == ['libgtk-4-dev'], (said, got)


def nothing_to_do(system):
    """No apt then: it may be offline."""
    status, said, got = system(
        ['6.1.0-42-amd64'],
        TOOLS + ['linux-image-amd64', 'linux-headers-amd64'], [],
        built=['6.1.0-42-amd64'], apt_status=100).setup()
    assert status == 0 and got is None, said


def an_old_kernel(system):
    """Its headers have left the archive: it is named, and left out."""
    status, said, got = system(
        ['6.1.0-42-amd64', '6.1.0-18-amd64'], TOOLS,
        ['linux-headers-6.1.0-42-amd64']).setup()
    assert status == 0 and got == ['linux-headers-6.1.0-42-amd64'], got
    assert 'Without linux-headers-6.1.0-18-amd64' in said, said


def own_kernel(system):
    """It runs, and no package has its headers: it says what to do."""
    status, said, got = system(['6.99-own'], TOOLS, []).setup()
    assert status == 0 and got is None, (said, got)
    assert '/lib/modules/6.99-own/build' in said, said


def no_universe(system):
    status, said, got = system(
        ['6.8.0-50-generic'], ['gcc'],
        [tool for tool in TOOLS if tool != 'meson']).setup()
    assert status == 1 and got is None and 'universe' in said, (said, got)


def no_network(system):
    status, said, got = system(['6.1.0-42-amd64'], [], TOOLS,
                               apt_status=100).setup()
    assert status == 1 and got is None and 'apt-get update failed' in said, \
        (said, got)


def main():
    tests = [ubuntu, ubuntu_in_a_cloud, debian, x11_programs, nothing_to_do,
             an_old_kernel, own_kernel, no_universe, no_network]
    failed = 0
    print(f'1..{len(tests)}')
    for number, test in enumerate(tests, 1):
        with contextlib.ExitStack() as stack:
            folder = stack.enter_context(
                tempfile.TemporaryDirectory(prefix='vwl-kit.'))
            try:
                test(lambda *words, **more: System(folder, *words, **more))
                print(f'ok {number} - {test.__name__}')
            except AssertionError as error:
                failed += 1
                print('# ' + str(error).replace('\n', '\n# '))
                print(f'not ok {number} - {test.__name__}')
    sys.exit(failed != 0)


if __name__ == '__main__':
    main()
