#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""What qemu-glue/guest/setup does on Fedora, Arch and Alpine, as far as doubles
of their programs can show: packages, files, and who is told of them.

    test-others.py
"""
import os
import pathlib
import subprocess
import sys
import tempfile

TOP = pathlib.Path(__file__).resolve().parent.parent.parent
SETUP = TOP / 'qemu-glue/guest/setup'
BASICS = ('sh sed grep cat mkdir rm tar install mktemp dirname basename chmod '
          'ls tr date env cut du ln').split()
NOTE = '#!/bin/sh\necho "${0##*/} $*" >>"$FAKE/asked"\n'
DOUBLES = {
    'uname': '#!/bin/sh\necho 6.12.9-0-virt\n',
    'id': '#!/bin/sh\necho 0\n',
    'ninja': NOTE + '''folder=$2/qemu-glue/guest/bridge
mkdir -p "$folder"
echo program >"$folder/virtio-wl-bridge"
mkdir -p "$folder/../agent"
echo program >"$folder/../agent/vwl-guest"
chmod 755 "$folder/virtio-wl-bridge" "$folder/../agent/vwl-guest"
''',
    'meson': NOTE, 'modprobe': NOTE,
}


class System:
    def __init__(self, folder, *programs, files=()):
        self.folder = pathlib.Path(folder)
        self.root = self.folder / 'root'
        for path in 'bin', 'root/etc', 'modules/6.12.9-0-virt':
            (self.folder / path).mkdir(parents=True)
        for name in BASICS:
            (self.folder / 'bin' / name).symlink_to(f'/bin/{name}')
        for name, text in {**DOUBLES, **dict.fromkeys(programs, NOTE)}.items():
            path = self.folder / 'bin' / name
            path.write_text(text)
            path.chmod(0o755)
        for name, text in files:
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        (self.folder / 'asked').touch()

    def setup(self, *words):
        """(exit status, what it said, what the programs were asked)"""
        done = subprocess.run(
            [SETUP, *words], text=True, timeout=60, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, check=False,
            env={'PATH': f'{self.folder}/bin', 'FAKE': str(self.folder),
                 'TMPDIR': str(self.folder),
                 'VWL_SETUP_ROOT': str(self.root),
                 'VWL_SETUP_MODULES': f'{self.folder}/modules'})
        left = [p.name for p in self.folder.iterdir()
                if p.name.startswith('vwl-')]
        assert not left, left
        return (done.returncode, done.stdout,
                (self.folder / 'asked').read_text().splitlines())

    def has(self, path):
        return os.path.exists(f'{self.root}/{path}')


def asked(lines, program):
    return [line for line in lines if line.split()[0] == program]


def installed(system):
    for path in ('usr/bin/virtio-wl-bridge', 'usr/bin/virtio-wl-x11',
                 'usr/bin/vwl-guest', 'usr/lib/vhost-user-wl/vwl-relay',
                 'etc/profile.d/virtio-wl.sh',
                 'usr/src/virtio-wl-0.2.0/dkms.conf',
                 'usr/src/virtio-wl-0.2.0/include/vhost-user-wl/virtio_wl.h'):
        assert system.has(path), path


def fedora(make):
    system = make('dnf', 'dkms', 'udevadm', 'systemctl', files=[
        ('root/run/systemd/system/x', '')])
    status, said, lines = system.setup()
    assert status == 0 and said.endswith('foot, say.\n'), said
    (packages,) = asked(lines, 'dnf')
    assert 'kernel-devel-6.12.9-0-virt' in packages
    assert 'wayland-protocols-devel' in packages
    assert asked(lines, 'dkms')[-1] == \
        'dkms install --force virtio-wl/0.2.0 -k 6.12.9-0-virt'
    assert asked(lines, 'modprobe') == ['modprobe virtio_wl']
    assert 'systemctl --global enable virtio-wl-bridge.socket' in lines
    assert 'udevadm control --reload' in lines
    installed(system)
    assert system.has('usr/lib/udev/rules.d/60-virtio-wl.rules')
    assert system.has('usr/lib/systemd/user/virtio-wl-bridge.socket')
    text = (system.root / 'etc/profile.d/virtio-wl.sh').read_text()
    assert 'virtio-wl-bridge ' not in text, text


def arch(make):
    """The headers of each kernel that is installed."""
    system = make('pacman', 'dkms', 'udevadm', 'systemctl', files=[
        ('root/run/systemd/system/x', ''),
        ('modules/6.12.9-0-virt/pkgbase', 'linux-zen\n'),
        ('modules/6.6.1-lts/pkgbase', 'linux-lts\n')])
    status, said, lines = system.setup('--packages-only')
    assert status == 0, said
    (packages,) = asked(lines, 'pacman')
    assert packages.endswith(' dkms linux-zen-headers linux-lts-headers') or \
        packages.endswith(' dkms linux-lts-headers linux-zen-headers')
    assert not system.has('usr/bin/virtio-wl-bridge')


def alpine(make):
    """No systemd, no udev, no dkms."""
    system = make('apk', 'make', 'depmod', 'addgroup', 'mdev', files=[
        ('root/etc/mdev.conf', 'null root:root 0666\n'),
        ('root/etc/group', 'root:x:0:\n')])
    for _ in range(2):  # and again: nothing twice
        status, said, lines = system.setup()
        assert status == 0, said
    assert asked(lines, 'apk')[0].endswith(' linux-virt-dev'), lines
    assert 'no dkms' in said and 'no systemd' in said and \
        'addgroup NAME render' in said, said
    assert 'install KVER=6.12.9-0-virt' in asked(lines, 'make')[0]
    assert asked(lines, 'addgroup')[0] == 'addgroup -S render'
    assert (system.root / 'etc/mdev.conf').read_text() == \
        'wl[0-9]+ root:render 0660\nnull root:root 0666\n'
    installed(system)
    assert not system.has('usr/lib/systemd')
    assert not system.has('usr/lib/udev')
    text = (system.root / 'etc/profile.d/virtio-wl.sh').read_text()
    assert text.count('virtio-wl-bridge ') == 1, text
    subprocess.run(['sh', '-n'], input=text, text=True, check=True)


def failing(make):
    """What a program says is passed on."""
    system = make('dnf')
    (system.folder / 'bin/dnf').write_text('#!/bin/sh\necho no way\nexit 1\n')
    status, said, _ = system.setup()
    assert status == 1 and 'no way' in said and 'failed' in said, said


def nothing_known(make):
    system = make()
    status, said, _ = system.setup()
    assert status == 1 and 'Other systems' in said, said
    assert '## Other systems' in (TOP / 'docs/guest.md').read_text()


def main():
    tests = [fedora, arch, alpine, failing, nothing_known]
    failed = 0
    print(f'1..{len(tests)}')
    for number, test in enumerate(tests, 1):
        with tempfile.TemporaryDirectory(prefix='vwl-kit.') as folder:
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
