#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""qemu-glue/demo in good and in bad surroundings, without its virtual machine
(`--no-vm`), on the desktop of another user: a headless compositor that was
there before. apt, where it is asked at all, is a double that fails.

    test-demo.py BUILD
"""
import contextlib
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

TOP = pathlib.Path(__file__).resolve().parent.parent.parent
DEMO = TOP / 'qemu-glue/demo'
COMPOSITOR = TOP / 'qemu-glue/host-compositor'
BUILD = pathlib.Path(sys.argv[1]).resolve()
PATTERN = TOP / 'tests/pattern.py'


class Skip(Exception):
    pass


def needs(is_there, what):
    if not is_there:
        raise Skip('needs ' + what)


def heed_signals():
    """A job in a shell's background ignores the one, nohup the other."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


class Demo:
    """One run; what it leaves in its TMPDIR or running is a failure."""

    def __init__(self, folder, *options, apt=None, command=(), demo=DEMO,
                 **env):
        self.tmp = pathlib.Path(tempfile.mkdtemp(dir=folder, prefix='run.'))
        (self.tmp / 'bin').mkdir()
        (self.tmp / 'tmp').mkdir()
        for name in ('apt-get', 'apt-cache', 'sudo'):
            path = self.tmp / 'bin' / name
            path.write_text('#!/bin/sh\necho "$0 $*" >>"$APT_ASKED"\n'
                            'echo "no network" >&2\nexit 100\n')
            path.chmod(0o755)
        if apt is not None:
            path = self.tmp / 'bin/dpkg-query'
            path.write_text('#!/bin/sh\nexit 1\n')
            path.chmod(0o755)
        self.mark = f'vwl-kit-{self.tmp.name}'
        settings = {
            'PATH': f'{self.tmp}/bin:' + os.environ['PATH'],
            'HOME': os.environ.get('HOME', '/root'), 'VWL_MARK': self.mark,
            'VWL_DEMO_BUILD': str(BUILD), 'TMPDIR': f'{self.tmp}/tmp',
            'XDG_CACHE_HOME': f'{self.tmp}/cache',
            'APT_ASKED': f'{self.tmp}/asked', **env}
        self.process = subprocess.Popen(
            [*command, demo, '--no-vm', f'--output={self.tmp}/shot.png',
             *options], env=settings, cwd=self.tmp, text=True,
            stdout=open(self.tmp / 'said', 'w'), stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL, start_new_session=True,
            preexec_fn=heed_signals)

    def said(self):
        return (self.tmp / 'said').read_text(errors='replace')

    def asked_apt(self):
        return (self.tmp / 'asked').exists()

    def wait_for(self, text):
        until(lambda: f'{text!r} in: {self.said()}', lambda: (
            re.search(text, self.said()) or self.process.poll() is not None))
        assert re.search(text, self.said()), self.said()

    def of_ours(self):
        """Processes with our mark in their environment: {id: words}"""
        found = {}
        for path in pathlib.Path('/proc').glob('[0-9]*/environ'):
            with contextlib.suppress(OSError):
                if self.mark.encode() in path.read_bytes():
                    found[int(path.parent.name)] = path.parent.joinpath(
                        'cmdline').read_bytes()
        return {pid: words for pid, words in found.items() if words}

    def close(self):
        """What must have ended already."""
        for pid in self.of_ours():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait()

    def ends(self, status, *texts):
        try:
            got = self.process.wait(200)
        except subprocess.TimeoutExpired:
            self.close()
            raise AssertionError('it does not end: ' + self.said()) from None
        assert got == status, f'{got}, not {status}: {self.said()}'
        for text in texts:
            assert text in self.said(), f'not {text!r}: {self.said()}'
        try:
            until(lambda: f'left running: {self.of_ours()}',
                  lambda: not self.of_ours(), 60)
        finally:
            self.close()
        left = os.listdir(self.tmp / 'tmp')
        assert not left, f'left behind: {left}'


def until(what, check, seconds=200):
    end = time.monotonic() + seconds
    while True:
        got = check()
        if got:
            return got
        assert time.monotonic() < end, f'never: {what()}'
        time.sleep(0.1)


class Desktop:
    """Somebody else's, with a picture of its screen."""

    def __init__(self, kind='sway'):
        self.process = subprocess.Popen(
            [COMPOSITOR, kind, 'sh', '-c', 'echo $WAYLAND_DISPLAY '
             '$VWL_HOST_COMPOSITOR_DIR; exec sleep 3600'],
            stdout=subprocess.PIPE, text=True)
        path, self.folder = self.process.stdout.readline().split()
        self.path = pathlib.Path(path)
        self.env = {'XDG_RUNTIME_DIR': str(self.path.parent),
                    'WAYLAND_DISPLAY': self.path.name}
        self.kind = kind

    def shows(self, folder, *options):
        shot = f'{folder}/look.png'
        subprocess.run(
            [COMPOSITOR, 'screenshot', shot], check=True, timeout=60,
            env={**os.environ, 'WAYLAND_DISPLAY': str(self.path),
                 'VWL_HOST_COMPOSITOR': self.kind,
                 'VWL_HOST_COMPOSITOR_DIR': self.folder})
        return subprocess.run([sys.executable, PATTERN, shot, *options],
                              stdout=subprocess.DEVNULL,
                              check=False).returncode == 0

    def close(self):
        self.process.terminate()
        self.process.wait()
        self.process.stdout.close()


def own_desktop(folder, desktop):
    """Its window is there until Ctrl-C, and apt is not asked. As sudo -E
    leaves it, the home is the user's: nothing of root's comes into it."""
    home = pathlib.Path(folder) / 'home'
    home.mkdir()
    if os.getuid() == 0:
        shutil.chown(home, 'nobody')
    demo = Demo(folder, '--keep', **desktop.env, HOME=str(home),
                XDG_CACHE_HOME=f'{home}/.cache')
    demo.wait_for('runs on until Ctrl-C')
    until(lambda: 'no window on the desktop', lambda: desktop.shows(folder))
    os.kill(demo.process.pid, signal.SIGINT)
    demo.ends(130, str(desktop.path))
    assert not demo.asked_apt(), demo.said()
    assert os.getuid() or not list(home.iterdir()), 'files of root at home'
    until(lambda: 'the window is there still', lambda: desktop.shows(
        folder, '--absent'))


def interrupted(folder, desktop):
    """At some of its steps, by Ctrl-C or by a terminal that closes."""
    for text, signum in (('Building the device', signal.SIGINT),
                         ('Starting the device', signal.SIGHUP),
                         ('Starting a guest program', signal.SIGTERM)):
        demo = Demo(folder, '--keep', **desktop.env)
        demo.wait_for(text)
        os.killpg(demo.process.pid, signum)
        demo.ends(128 + signum)


def no_runtime_dir(folder, _):
    Demo(folder, WAYLAND_DISPLAY='wayland-7').ends(
        1, 'no XDG_RUNTIME_DIR')


def no_compositor(folder, _):
    Demo(folder, WAYLAND_DISPLAY='wayland-7', XDG_RUNTIME_DIR=folder).ends(
        1, f'no compositor at {folder}/wayland-7', '--headless')


def dead_compositor(folder, _):
    """Its socket is there still."""
    with contextlib.closing(socket.socket(socket.AF_UNIX)) as sock:
        sock.bind(f'{folder}/dead')
    Demo(folder, WAYLAND_DISPLAY=f'{folder}/dead').ends(
        1, f'nobody listens at {folder}/dead')


def no_permission(folder, desktop):
    """Another user than the desktop's, and than root."""
    needs(os.getuid() == 0, 'root')
    # where that one can read it, wherever this tree is
    glue = shutil.copytree(TOP / 'qemu-glue', f'{folder}/qemu-glue')
    demo = Demo(folder, **desktop.env, demo=f'{glue}/demo', command=(
        'setpriv', '--reuid=games', '--regid=games', '--clear-groups'))
    demo.ends(1, 'for games to see')


def no_room(folder, desktop):
    """The cache is on a file system of 8 MB, which needs root to make."""
    needs(subprocess.run(['unshare', '-m', 'true'], check=False).returncode ==
          0, 'a mount of its own')
    demo = Demo(folder, **desktop.env, XDG_CACHE_HOME='/mnt', command=(
        'unshare', '-m', 'sh', '-c',
        'mount -t tmpfs -o size=8m none /mnt && exec "$@"', 'sh'))
    demo.ends(1, 'MB of room', 'MB are needed')


def cache_of_another(folder, desktop):
    (pathlib.Path(folder) / 'file').touch()
    Demo(folder, **desktop.env, XDG_CACHE_HOME=f'{folder}/file').ends(
        1, f'{folder}/file/vhost-user-wl cannot be written to')


def no_packages(folder, desktop):
    """Not installed, and apt cannot have them."""
    demo = Demo(folder, apt=False, **desktop.env)
    demo.ends(1, 'apt-get installs, as root:', 'gcc libc6-dev',
              'apt-get update failed')
    Demo(folder, '--no-install', apt=False, **desktop.env).ends(
        1, '--no-install was given')


def main():
    tests = [own_desktop, interrupted, no_runtime_dir, no_compositor,
             dead_compositor, no_permission, no_room, cache_of_another,
             no_packages]
    check = subprocess.run([COMPOSITOR, 'check', 'sway'], check=False)
    if check.returncode:
        print('1..0 # SKIP no sway')
        return False
    failed = 0
    print(f'1..{len(tests)}')
    with tempfile.TemporaryDirectory(prefix='vwl-kit.') as folder, \
            contextlib.closing(Desktop()) as desktop:
        os.chmod(folder, 0o755)
        for number, test in enumerate(tests, 1):
            try:
                test(folder, desktop)
                print(f'ok {number} - {test.__name__}', flush=True)
            except Skip as reason:
                print(f'ok {number} - {test.__name__} # SKIP {reason}',
                      flush=True)
            except AssertionError as error:
                failed += 1
                print('# ' + str(error).replace('\n', '\n# '))
                print(f'not ok {number} - {test.__name__}', flush=True)
    return failed != 0


if __name__ == '__main__':
    sys.exit(main())
