#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""How qemu-glue/guest/virtio-wl-x11 runs a program, by what is installed:
xwayland-satellite, cage and systemctl are doubles. (That a window comes of it
is bridge-x11's to tell.)

    test-x11.py
"""
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import time

TOP = pathlib.Path(__file__).resolve().parent.parent.parent
GUEST = TOP / 'qemu-glue/guest'
# It listens as an X server does.
SATELLITE = f'''#!{sys.executable}
import os, socket, sys, time
open(os.environ['FAKE'] + '/satellite', 'w').write(' '.join(sys.argv[1:]))
server = socket.socket(socket.AF_UNIX)
server.bind(os.environ['VWL_X11_SOCKETS'] + '/X' + sys.argv[1][1:])
server.listen(1)
time.sleep(600)
'''
PROGRAM = '''#!/bin/sh
echo "${DISPLAY-none} $WAYLAND_DISPLAY $*" >"$FAKE/ran"
exit 7
'''
CAGE = '''#!/bin/sh
[ "$1" = -- ] && shift
echo "${DISPLAY-none} $WLR_BACKENDS $WLR_RENDERER" >"$FAKE/cage"
"$@"
'''


class Place:
    def __init__(self, folder, **programs):
        self.path = pathlib.Path(folder)
        for name in ('bin', 'sockets'):
            (self.path / name).mkdir()
        for tool in ('sh', 'sed', 'date', 'sleep', 'kill'):
            (self.path / 'bin' / tool).symlink_to(f'/bin/{tool}')
        for name, text in {'program': PROGRAM, **programs}.items():
            file = self.path / 'bin' / name.replace('_', '-')
            file.write_text(text)
            file.chmod(0o755)

    def run(self, *words, **env):
        return subprocess.run(
            [GUEST / 'virtio-wl-x11', *words], text=True, timeout=60,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
            env={'PATH': f'{self.path}/bin', 'FAKE': str(self.path),
                 'VWL_X11_SOCKETS': f'{self.path}/sockets',
                 'XDG_RUNTIME_DIR': str(self.path), **env})

    def read(self, name):
        return (self.path / name).read_text().strip()


def satellite(place):
    """The first display that is free; it ends with the program."""
    p = place(xwayland_satellite=SATELLITE, cage=CAGE)
    (p.path / 'sockets/X0').touch()
    done = p.run('program', 'a  b', DISPLAY=':9')
    assert done.returncode == 7, done.stdout
    number = p.read('satellite')[1:]
    assert number != '0' and number.isdigit(), number
    assert p.read('ran') == f':{number} wayland-0 a  b'
    end = time.monotonic() + 60
    while str(p.path) in (left := subprocess.run(
            ['ps', 'axww', '-o', 'args'], text=True, check=True,
            stdout=subprocess.PIPE).stdout):
        assert time.monotonic() < end, left
        time.sleep(0.05)


def session(place):
    """systemd has it, and starts it."""
    p = place(xwayland_satellite=SATELLITE, systemctl='#!/bin/sh\nexit 0\n')
    done = p.run('program', WAYLAND_DISPLAY='wayland-7')
    assert done.returncode == 7, done.stdout
    assert p.read('ran') == ':0 wayland-7'
    assert not (p.path / 'satellite').exists()


def broken_satellite(place):
    p = place(xwayland_satellite='#!/bin/sh\nexit 1\n')
    done = p.run('program')
    assert done.returncode == 1 and 'ended' in done.stdout, done.stdout


def nested(place):
    p = place(cage=CAGE, Xwayland='#!/bin/sh\n')
    done = p.run('program', 'x', DISPLAY=':9')
    assert done.returncode == 7, done.stdout
    assert p.read('cage') == 'none wayland pixman'
    assert p.read('ran') == 'none wayland-0 x'


def with_clipboard(place, works):
    p = place(cage=CAGE.replace('>"$FAKE/cage"', '$LD_PRELOAD >"$FAKE/cage"'),
              Xwayland='#!/bin/sh\n')
    parts = p.path / 'parts'
    parts.mkdir()
    (parts / 'virtio-wl-x11-cage.so').touch()
    client = parts / 'virtio-wl-x11-clipboard'
    client.write_text('#!/bin/sh\n' + (
        '[ "$1" = --version ] || { : >"$FAKE/client"; exec "$@"; }\n'
        if works else 'echo no libgtk >&2\nexit 127\n'))
    client.chmod(0o755)
    done = p.run('program', 'x', VWL_X11_PARTS=str(parts))
    assert done.returncode == 7, done.stdout
    assert (p.path / 'client').exists() == works, done.stdout
    assert ('no copy and paste: no libgtk' in done.stdout) != works
    loaded = f' {parts}/virtio-wl-x11-cage.so' if works else ''
    assert p.read('cage') == 'none wayland pixman' + loaded
    assert p.read('ran').endswith('wayland-0 x')


def clipboard(place):
    """One part is loaded into cage, the other starts the program."""
    with_clipboard(place, True)


def no_clipboard(place):
    """Without what it is linked to: it is said, and done without."""
    with_clipboard(place, False)


def nothing(place):
    done = place().run('program')
    assert done.returncode == 1 and 'install xwayland-satellite' in done.stdout


def units(_place):
    """Both units speak of the same display and socket."""
    socket = (GUEST / 'system/virtio-wl-x11.socket').read_text()
    service = (GUEST / 'system/virtio-wl-x11.service').read_text()
    assert 'ListenStream=/tmp/.X11-unix/X0\n' in socket
    assert 'ConditionPathExists=/usr/bin/xwayland-satellite\n' in socket
    assert 'ConditionPathExists=!/tmp/.X11-unix/X0\n' in socket
    assert re.search(r'ExecStart=\S+/xwayland-satellite :0 -listenfd 3\n',
                     service)


def main():
    tests = [satellite, session, broken_satellite, nested, clipboard,
             no_clipboard, nothing, units]
    failed = 0
    print(f'1..{len(tests)}')
    for number, test in enumerate(tests, 1):
        with tempfile.TemporaryDirectory(prefix='vwl-x11.') as folder:
            try:
                test(lambda **more: Place(folder, **more))  # noqa: B023
                print(f'ok {number} - {test.__name__}')
            except AssertionError as error:
                failed += 1
                print('# ' + str(error).replace('\n', '\n# '))
                print(f'not ok {number} - {test.__name__}')
    sys.exit(failed != 0)


if __name__ == '__main__':
    main()
