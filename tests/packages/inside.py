#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""The packages in a system of their own, which `run` has entered: built by an
ordinary user, looked at, installed over an older version while a program is
connected, used, and purged.

    inside.py"""

import os
import pathlib
import platform
import pwd
import re
import shutil
import socket
import struct
import subprocess
import sys
import time

import manual

SRC = pathlib.Path('/src')
WORK = pathlib.Path('/work')
CACHE = pathlib.Path('/var/cache/vhost-user-wl')
NOBODY = pwd.getpwnam('nobody')
VERSION = re.search(r"version: '([^']+)'",
                    (SRC / 'meson.build').read_text()).group(1)
OLD = '0.1.0'
NAMES = ('vhost-user-wl', 'vhost-user-wl-qemu', 'vhost-user-wl-gtk',
         'vhost-user-wl-guest', 'vhost-user-wl-dev')
MODULES = pathlib.Path('/usr/lib') / f'{platform.machine()}-linux-gnu/qemu'
# What dpkg, apt and the like note down for themselves, and what others make of
# a folder when something in it changed.
OTHERS = re.compile(
    r'/(dev|proc|run|tmp|src|host|ccache|work|headers|made-of)(/|$)|'
    r'/var/(lib/(dpkg|apt|systemd)|log|cache/(man|ldconfig|debconf|apt|'
    r'apparmor))(/|$)|/var/lib/dkms/mok|/etc/ld.so.cache|/root(/|$)|'
    r'/usr/lib/modules/[^/]*/modules\.')


class Failed(Exception):
    pass


def call(*argv, user=False, ok=True, env=None, timeout=1200):
    """What it said, both streams; a failure is an exception unless ok."""
    done = subprocess.run(
        argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, timeout=timeout,
        stderr=subprocess.STDOUT, text=True, errors='replace', check=False,
        env={**os.environ, 'HOME': str(WORK), 'TMPDIR': str(WORK),
             **(env or {})},
        user=NOBODY.pw_uid if user else None,
        group=NOBODY.pw_gid if user else None,
        extra_groups=[] if user else None)
    if ok and done.returncode:
        raise Failed(f'{" ".join(map(str, argv))}: status {done.returncode}\n'
                     + done.stdout[-4000:])
    return done.stdout


def need(condition, text):
    if not condition:
        raise Failed(text)


def wait_for(what, text, seconds=60):
    end = time.monotonic() + seconds
    while not what():
        if time.monotonic() > end:
            raise Failed(f'waited in vain for {text}')
        time.sleep(0.05)


class Client:
    """As little of a Wayland client as shows that somebody answers."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(60)
        self.socket.connect(str(path))
        self.serial = 1

    def answers(self):
        """wl_display.sync, until its callback is done"""
        self.serial += 1
        self.socket.sendall(struct.pack('=IHHI', 1, 0, 12, self.serial))
        buffer = b''
        while True:
            data = self.socket.recv(4096)
            if not data:
                return False
            buffer += data
            while len(buffer) >= 8:
                who, what = struct.unpack_from('=II', buffer)
                if len(buffer) < what >> 16:
                    break
                if who == self.serial:
                    return True
                buffer = buffer[what >> 16:]


class World:
    def __init__(self):
        self.before = None
        self.daemon = self.loopback = self.client = None
        self.headers = None


def build(world):
    "an ordinary user builds them"
    WORK.mkdir()
    os.chown(WORK, NOBODY.pw_uid, NOBODY.pw_gid)
    said = call(SRC / 'qemu-glue/make-packages', '--no-install',
                f'--output={WORK}/new', user=True,
                env={'CCACHE_DIR': '/ccache',
                     'PATH': '/usr/lib/ccache:' + os.environ['PATH']})
    for name in NAMES:
        need(re.search(rf'^{WORK}/new/{name}_{re.escape(VERSION)}_\w+\.deb$',
                       said, re.M), f'no package {name}:\n{said}')


def lintian(world):
    "lintian has nothing to say"
    said = call('lintian', '--fail-on', 'error,warning',
                *WORK.glob('new/*.changes'), user=True)
    need(not re.search(r'^[EW]:', said, re.M), said)


def age(world):
    "the same packages as an older version"
    (WORK / 'old').mkdir()
    call('dpkg-deb', '-x', *WORK.glob('new/vhost-user-wl-guest_*.deb'),
         WORK / 'guest')
    bridge = WORK / 'guest/usr/bin/virtio-wl-bridge'
    for package in sorted(WORK.glob('new/*.deb')):
        tree = WORK / 'old' / package.name.split('_')[0]
        if tree.name == 'vhost-user-wl-guest':
            # as a guest of that version made it for itself
            package = call(SRC / 'qemu-glue/guest/make-package',
                           bridge, WORK / 'plain').strip()
        call('dpkg-deb', '-R', package, tree)
        sources = tree / f'usr/src/virtio-wl-{VERSION}'
        if sources.exists():
            sources = sources.rename(sources.with_name(f'virtio-wl-{OLD}'))
        for path in (tree / 'DEBIAN/control', tree / 'DEBIAN/postinst',
                     tree / 'DEBIAN/prerm', sources / 'dkms.conf'):
            if path.exists():
                path.write_text(path.read_text().replace(VERSION, OLD))
        call('dpkg-deb', '--root-owner-group', '-Znone', '-b', tree,
             f'{tree}.deb')


def files():
    found = set()
    for folder, folders, names in os.walk('/'):
        folders[:] = [name for name in folders if not
                      OTHERS.match(os.path.join(folder, name))]
        found |= {path for path in (os.path.join(folder, name)
                                    for name in names + folders)
                  if not OTHERS.match(path)}
    return found


def apt_install(folder):
    """The headers for others come last: no other package may need them."""
    packages = list(WORK.glob(f'{folder}/*.deb'))
    headers = [path for path in packages if '-dev_' in path.name]
    for some in ([path for path in packages if path not in headers], headers):
        call('apt-get', '-qq', '-y', '--no-install-recommends', 'install',
             *some)


def install(world):
    "the older one is installed"
    # there is no network, and no use in asking again
    pathlib.Path('/etc/apt/apt.conf.d/99test').write_text(
        'Acquire::Retries "0";\n')
    world.before = files()
    shutil.copytree('/headers', CACHE, symlinks=True)
    apt_install('old')
    glue()


def glue():
    found = [path for path in MODULES.glob('vhost-user-wl-qemu-*.so')
             if not path.name.endswith('-device.so')]
    need(len(found) == 1, f'glue in {MODULES}: {found}')
    need(call('vhost-user-wl-build-glue', '--system', '--path').strip()
         == str(found[0]), 'build-glue names another path')
    return found[0]


def connect(world):
    "a program connects through the installed daemon"
    listen, offer = WORK / 'daemon', WORK / 'wayland'
    display = os.environ['WAYLAND_DISPLAY']
    log = open(WORK / 'daemon.log', 'w')
    say = {'user': NOBODY.pw_uid, 'group': NOBODY.pw_gid, 'extra_groups': [],
           'stdout': log, 'stderr': log,
           'env': {**os.environ, 'XDG_RUNTIME_DIR': str(WORK)}}
    world.daemon = subprocess.Popen(
        ['vhost-user-wl', f'--socket-path={listen}',
         f'--wayland-sock={display},policy=wayland',
         '--policy-file=/usr/share/doc/vhost-user-wl/examples/policy.conf'],
        **say)
    wait_for(listen.exists, "the daemon's socket")
    world.loopback = subprocess.Popen(
        ['virtio-wl-loopback', f'--daemon-socket={listen}',
         f'--listen={offer}'], **say)
    wait_for(offer.exists, "the loopback's socket")
    world.client = Client(offer)
    need(world.client.answers(), 'no answer from the compositor:\n'
         + (WORK / 'daemon.log').read_text())


def upgrade(world):
    "the new one replaces it, and the connection lives on"
    apt_install('new')
    need(world.daemon.poll() is None and world.loopback.poll() is None,
         'a program ended:\n' + (WORK / 'daemon.log').read_text())
    need(world.client.answers(), 'the connection ended')
    need(Client(WORK / 'wayland').answers(), 'a new connection fails')
    for program in (world.loopback, world.daemon):
        program.terminate()
        program.wait(60)
    for path in ('daemon', 'wayland'):
        wait_for(lambda path=path: not (WORK / path).exists(), f'{path} to go')
    connect(world)
    for program in (world.loopback, world.daemon):
        program.terminate()
        program.wait(60)
    world.client.socket.close()


def versions(world):
    "every program says the version of the packages"
    for program in programs():
        said = call(program, '--version')
        need(re.fullmatch(rf'[\w-]+ {re.escape(VERSION)}( \(.*\))?\n', said),
             f'{program}: {said}')


def programs():
    listed = call('dpkg', '-L', *NAMES)
    return re.findall(r'^/usr/bin/(\S+)$', listed, re.M)


def manuals(world):
    "pages and completions have all options of --help"
    pages = call('dpkg', '-L', *NAMES)
    for page in re.findall(r'^/usr/share/man/\S+\.gz$', pages, re.M):
        said = call('man', '--warnings', '-l', page,
                    env={'MANROFFSEQ': '', 'MANWIDTH': '80'})
        warned = [line for line in said.splitlines() if 'warning' in line]
        need(not warned, f'{page}: {warned}')
    for program in programs():
        for problem in manual.problems(program, manual.Installed()):
            raise Failed(problem)


def units(world):
    "systemd, udev and AppArmor can read theirs"
    runtime = WORK / 'units'
    runtime.mkdir(mode=0o700)
    said = call('systemd-analyze', '--user', '--man=no', 'verify',
                'vhost-user-wl@test.socket', 'vhost-user-wl@test.service',
                'virtio-wl-bridge.socket', 'virtio-wl-bridge.service',
                env={'XDG_RUNTIME_DIR': str(runtime)}, ok=False)
    need('wl' not in said, said)
    for unit in 'virtio-wl-bridge.socket', 'virtio-wl-x11.socket':
        for target in 'sockets', 'virtio-wl':
            need(os.path.islink(
                f'/etc/systemd/user/{target}.target.wants/{unit}'),
                f'{unit} is not enabled for {target}.target')
    (WORK / 'profile').write_text('''include <tunables/global>
profile test {
  include <abstractions/base>
  include <abstractions/vhost-user-wl>
}
''')
    call('apparmor_parser', '--skip-kernel-load', '--skip-cache',
         WORK / 'profile')


def activation(world):
    "the daemon starts as its unit has it, when somebody connects"
    unit = pathlib.Path('/usr/lib/systemd/user/vhost-user-wl@.service')
    line = re.search(r'^ExecStart=(.*)$', unit.read_text(), re.M).group(1)
    words = line.replace('%i', 'test').replace(
        '$OPTIONS', '--clipboard=off').split()
    listen, offer = WORK / 'unit', WORK / 'through'
    say = {'user': NOBODY.pw_uid, 'group': NOBODY.pw_gid, 'extra_groups': [],
           'env': {**os.environ, 'XDG_RUNTIME_DIR': str(WORK)}}
    started = [subprocess.Popen(['systemd-socket-activate', '-l', listen,
                                 '-E', 'WAYLAND_DISPLAY', *words],
                                stderr=subprocess.DEVNULL, **say)]
    try:
        wait_for(listen.exists, "the unit's socket")
        started.append(subprocess.Popen(
            ['virtio-wl-loopback', f'--daemon-socket={listen}',
             f'--listen={offer}'], **say))
        wait_for(offer.exists, "the loopback's socket")
        need(Client(offer).answers(), 'no answer from the compositor')
    finally:
        for program in started:
            program.terminate()
            program.wait(60)


def qemu(world):
    "QEMU loads the device, and it finds the plugin"
    said = call('qemu-system-x86_64', '-plugin', f'{glue()},help=on',
                ok=False)
    need('wayland-sock=' in said, said)
    said = subprocess.run(
        ['qemu-system-x86_64', '-nodefaults', '-no-user-config', '-display',
         'none', '-accel', 'tcg', '-M', 'q35,memory-backend=mem', '-m', '64M',
         '-object', 'memory-backend-memfd,id=mem,size=64M,share=on', '-S',
         '-plugin', glue(), '-device',
         f'vhost-user-wl-pci,id=wl0,wayland-sock={os.environ["WAYLAND_DISPLAY"]}'
         ',,policy=wayland', '-monitor', 'stdio'],
        input='info qtree\nquit\n', text=True, timeout=120, check=False,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    need(said.returncode == 0 and 'dev: vhost-user-wl-pci' in said.stdout,
         said.stdout)


def command(world):
    "vwl finds QEMU's device, and its service by the session bus"
    display = os.environ['WAYLAND_DISPLAY']
    runtime = WORK / 'session'
    runtime.mkdir(mode=0o700)
    os.chown(runtime, NOBODY.pw_uid, NOBODY.pw_gid)
    disk = WORK / 'disk.img'
    disk.touch()
    os.truncate(disk, 1 << 20)
    env = {'XDG_RUNTIME_DIR': str(runtime)}
    said = call('vwl', 'run', disk, '--print', '--accel=tcg', '--sound=off',
                '--memory=512M', f'--display={display}', user=True, env=env)
    need(str(glue()) in said and '/usr/bin/vhost-user-wl' in said, said)
    said = call('dbus-run-session', '--', 'vwl', 'list', user=True, env=env)
    need('vwl create' in said or 'NAME' in said, said)
    kits = list(pathlib.Path('/usr/share/vhost-user-wl/kit').iterdir())
    need([kit.name.split('_')[:2] for kit in kits] ==
         [['vhost-user-wl-guest', VERSION]], f'the kit for machines: {kits}')
    files = call('dpkg-deb', '-c', kits[0])
    for name in ('bin/virtio-wl-bridge',
                 'lib/vhost-user-wl/virtio-wl-x11-cage.so',
                 'lib/vhost-user-wl/virtio-wl-x11-clipboard'):
        need(f'./usr/{name}\n' in files, f'{kits[0]} has no {name}')
    # that is for who runs X11 programs in cage
    need('gtk' not in call('dpkg-deb', '-f', kits[0], 'Depends'), kits[0])


def module(world):
    "DKMS has built the driver, of the new version alone"
    said = call('dkms', 'status')
    need(re.search(rf'^virtio-wl/{re.escape(VERSION)}, .*: installed', said,
                   re.M) and OLD not in said, said)
    built = list(pathlib.Path('/lib/modules').glob(
        '*/updates/dkms/virtio_wl.ko*'))
    need(built and call('modinfo', '-F', 'version', built[0]).strip()
         == VERSION, f'{built}')
    conf = pathlib.Path(f'/usr/src/virtio-wl-{VERSION}/dkms.conf')
    need('AUTOINSTALL="yes"' in conf.read_text(), 'no AUTOINSTALL')


def another_qemu(version):
    """A package that brings a file the trigger looks at; what dpkg said."""
    tree = WORK / f'qemu-{version}'
    (tree / 'DEBIAN').mkdir(parents=True)
    (tree / 'DEBIAN/control').write_text(f'''Package: another-qemu
Version: {version}
Architecture: all
Maintainer: nobody <nobody@example.org>
Description: a system emulator for a test
''')
    (tree / 'usr/bin').mkdir(parents=True)
    (tree / 'usr/bin/qemu-system-riscv64').write_text('#!/bin/false\n')
    call('dpkg-deb', '-Znone', '-b', tree, f'{tree}.deb')
    return call('dpkg', '-i', f'{tree}.deb')


def trigger(world):
    "another QEMU has the glue built anew, others' is removed"
    path = glue()
    path.unlink()
    stale = MODULES / 'vhost-user-wl-qemu-1.2.3.so'
    stale.touch()
    for kept in CACHE.glob('glue-*'):
        shutil.rmtree(kept)
    another_qemu(1)
    need(glue() == path and not stale.exists(), 'the trigger built nothing')
    need('wayland-sock=' in call('qemu-system-x86_64', '-plugin',
                                 f'{path},help=on', ok=False), 'no device')


def unbuildable(world):
    "where it cannot be built, dpkg goes on and says what to run"
    for kept in CACHE.iterdir():
        shutil.rmtree(kept) if kept.is_dir() else kept.unlink()
    said = another_qemu(2)
    need('dpkg-reconfigure vhost-user-wl-qemu' in said, said)
    need(call('dpkg', '--audit') == '', 'dpkg has unfinished work')
    shutil.copytree('/headers', CACHE, symlinks=True, dirs_exist_ok=True)
    call('dpkg-reconfigure', 'vhost-user-wl-qemu')
    glue()
    call('dpkg', '-P', 'another-qemu')


def purge(world):
    "a purge leaves nothing behind"
    call('dpkg', '-P', *NAMES)
    left = files() - world.before
    need(not left, 'left: ' + ' '.join(sorted(left)))
    gone = world.before - files()
    need(not gone, 'gone, too: ' + ' '.join(sorted(gone)))
    need('virtio-wl' not in call('dkms', 'status'), 'DKMS knows the module')
    for folder in '/var/lib/dkms', '/var/lib/systemd':
        for path in pathlib.Path(folder).rglob('*virtio*wl*'):
            raise Failed(f'left: {path}')


STEPS = (build, lintian, age, install, connect, upgrade, versions, manuals,
         units, activation, qemu, command, module, trigger, unbuildable, purge)


def main():
    world = World()
    print(f'1..{len(STEPS)}', flush=True)
    bad = 0
    for number, step in enumerate(STEPS, 1):
        began = time.monotonic()
        try:
            step(world)
            good = True
        except (Failed, OSError, subprocess.SubprocessError) as error:
            good = False
            bad += 1
            for line in str(error).splitlines():
                print('#', line)
        print(f'{"ok" if good else "not ok"} {number} - {step.__doc__} '
              f'# {time.monotonic() - began:.1f} s', flush=True)
        if not good and step in (build, age, install):
            print(f'Bail out! nothing can be tried without that')
            return 1
    return bool(bad)


if __name__ == '__main__':
    sys.exit(main())
