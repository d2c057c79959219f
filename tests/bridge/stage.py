# SPDX-License-Identifier: BSD-3-Clause
"""Where a story with real programs plays: sway, a bridge, and the hands of a
user. tests/bridge/run sets VWL_GUEST (the bridge's socket), WAYLAND_DISPLAY
(the host's), VWL_HOST_COMPOSITOR_DIR and XDG_RUNTIME_DIR (a directory of the
story's own).
"""
import glob
import json
import os
import signal
import struct
import subprocess
import sys
import time
import zlib

import raw

GUEST = os.environ['VWL_GUEST']
HOST = os.environ['WAYLAND_DISPLAY']
WORK = os.environ['XDG_RUNTIME_DIR']
PREFIX, TITLE = 'vm.', '[vm] '
SIZE = (1024, 640)
PATIENCE = int(os.environ.get("VWL_PATIENCE", 60))
LEFT, RIGHT = 0x110, 0x111
# Who answers while the story waits.
actors = []


class Never(SystemExit):
    """What was waited for did not come."""


def until(what, check, *args, patience=PATIENCE):
    """What check returns, once that is true."""
    end = time.monotonic() + patience
    while True:
        for actor in actors:
            actor.pump()
        got = check(*args)
        if got:
            return got
        if time.monotonic() > end:
            failure = Never('FAILED: never: %s' %
                            (what() if callable(what) else what))
            tell_scene('failure')
            raise failure
        time.sleep(0.1)


def must(what, truth):
    if not truth:
        raise SystemExit('FAILED: ' + what)
    print('# ok:', what, flush=True)


class Picture:
    def __init__(self, ppm):
        fields = ppm.split(b'\n', 3)
        self.width, self.height = map(int, fields[1].split())
        self.data = fields[3]

    def ppm(self, path):
        with open(path, 'wb') as file:
            file.write(b'P6\n%d %d\n255\n' % (self.width, self.height))
            file.write(self.data)

    def at(self, x, y):
        start = 3 * (y * self.width + x)
        return tuple(self.data[start:start + 3])

    def row(self, x, y, width):
        start = 3 * (y * self.width + x)
        return self.data[start:start + 3 * width]

    def cut(self, x, y, width, height):
        return b''.join(self.row(x, y + i, width) for i in range(height))

    def part(self, x, y, width, height):
        return Picture(b'P6\n%d %d\n255\n' % (width, height) +
                       self.cut(x, y, width, height))

    def count(self, colour):
        wanted = bytes(colour)
        return sum(self.data[i:i + 3] == wanted
                   for i in range(self.data.find(wanted) // 3 * 3,
                                  len(self.data), 3)
                   ) if wanted in self.data else 0

    def box(self, colour):
        """(x, y, width, height) of all that has this colour, or None."""
        wanted = bytes(colour)
        left, top, right, bottom = self.width, None, -1, -1
        for y in range(self.height):
            row = self.row(0, y, self.width)
            found = [x for x in aligned(row, wanted)]
            if found:
                top = y if top is None else top
                bottom = y
                left, right = min(left, found[0]), max(right, found[-1])
        if top is None:
            return None
        return left, top, right - left + 1, bottom - top + 1

    def differs(self, other, where=None):
        """In how many pixels; the first and last of them go into where."""
        if (self.width, self.height) != (other.width, other.height):
            return self.width * self.height
        if self.data == other.data:
            return 0
        count = 0
        for y in range(self.height):
            a = self.row(0, y, self.width)
            b = other.row(0, y, self.width)
            if a != b:
                found = [i // 3 for i in range(0, len(a), 3)
                         if a[i:i + 3] != b[i:i + 3]]
                count += len(found)
                if where is not None:
                    where[:] = (where or [(found[0], y)])[:1] + [
                        (found[-1], y)]
        return count

    def png(self, path):
        def chunk(kind, data):
            return struct.pack('>I', len(data)) + kind + data + \
                struct.pack('>I', zlib.crc32(kind + data))
        rows = b''.join(b'\0' + self.row(0, y, self.width)
                        for y in range(self.height))
        head = struct.pack('>IIBBBBB', self.width, self.height, 8, 2, 0, 0, 0)
        with open(path, 'wb') as file:
            file.write(b'\x89PNG\r\n\x1a\n' + chunk(b'IHDR', head) +
                       chunk(b'IDAT', zlib.compress(rows, 6)) +
                       chunk(b'IEND', b''))


def aligned(row, wanted):
    at = row.find(wanted)
    while at >= 0:
        if at % 3 == 0:
            yield at // 3
            at = row.find(wanted, at + 3)
        else:
            at = row.find(wanted, at + 1)


def shot(rect=None, cursor=False):
    """Of the screen's own pixels, whatever the scale."""
    command = ['grim', '-t', 'ppm']
    if rect:
        command += ['-g', '%d,%d %dx%d' % rect]
    if cursor:
        command.append('-c')
    return Picture(subprocess.run(
        command + ['-'], stdout=subprocess.PIPE, check=True, timeout=60,
        env=dict(os.environ, WAYLAND_DISPLAY=HOST)).stdout)


def sway_sockets():
    return glob.glob(os.environ['VWL_HOST_COMPOSITOR_DIR'] +
                     '/sway-ipc.*.sock')


def sway(*words):
    """One command; with -t, the answer."""
    got = subprocess.run(['swaymsg', '-s', sway_sockets()[0], '-r', *words],
                         stdout=subprocess.PIPE, timeout=60, check=False)
    return json.loads(got.stdout)


def windows():
    found = []

    def walk(node):
        if node.get('pid') and node.get('type') in ('con', 'floating_con'):
            found.append(node)
        for child in node['nodes'] + node['floating_nodes']:
            walk(child)
    walk(sway('-t', 'get_tree'))
    return found


def named(app_id):
    return [w for w in windows() if w['app_id'] == app_id]


def window(app_id):
    return until('a window of ' + app_id, named, app_id)[0]


def place(win, x, y, width=None, height=None):
    """Where win's picture is, then: its size is of the program's choice."""
    con = '[con_id=%d]' % win['id']
    if width is not None:
        sway(con, 'resize', 'set', str(width), str(height))
    sway(con, 'move', 'absolute', 'position', str(x), str(y))
    sway(con, 'focus')


def rect_of(win):
    """(x, y, width, height) of a window's content, now."""
    for w in windows():
        if w['id'] == win['id']:
            inner, outer = w['window_rect'], w['rect']
            return (outer['x'] + inner['x'], outer['y'] + inner['y'],
                    inner['width'], inner['height'])
    return None


class Programs:
    """Everything that was started; ended with the block."""

    def __init__(self):
        self.all = []

    def __enter__(self):
        return self

    def __exit__(self, *args):
        for process in self.all:
            if process.poll() is None:
                process.kill()
            process.wait()

    def run(self, display, *command, **more):
        env = {
            'PATH': os.environ['PATH'], 'HOME': WORK, 'LANG': 'C.UTF-8',
            'XDG_RUNTIME_DIR': WORK, 'XDG_CONFIG_HOME': WORK + '/config',
            'WAYLAND_DISPLAY': display, 'GSK_RENDERER': 'cairo',
            'GTK_A11Y': 'none', 'GSETTINGS_BACKEND': 'memory',
            'QT_QPA_PLATFORM': 'wayland', 'SHELL': '/bin/sh', 'PS1': '> ',
        }
        env.update((name, value) for name, value in os.environ.items()
                   if name.startswith('VWL_'))
        more.setdefault('stdout', open(WORK + '/program.log', 'ab'))
        process = subprocess.Popen(command, env=env, cwd=WORK,
                                   stderr=open(WORK + '/program.log', 'ab'),
                                   **more)
        self.all.append(process)
        return process

    def keyboard(self):
        """One on the seat, for as long as this lives."""
        self.run(HOST, 'wtype', '-s', '3600000', '')
        until('a keyboard', lambda: any(
            device['type'] == 'keyboard'
            for device in sway('-t', 'get_inputs')))


def keys(*words):
    """wtype's, to whatever has the focus."""
    subprocess.run(['wtype', *words], check=True, timeout=60,
                   env=dict(os.environ, WAYLAND_DISPLAY=HOST))


class Pointer(raw.Client):
    """A mouse of our own, by zwlr_virtual_pointer_v1's numbers."""

    at = None  # where one was moved to last

    def __init__(self, size=SIZE):
        super().__init__(HOST)
        self.size = size
        seat = self.bind('wl_seat')
        manager = self.bind('zwlr_virtual_pointer_manager_v1')
        self.mouse = self.new()
        self.send(manager, 0, 'on', seat, self.mouse)
        self.sync()

    def time(self):
        return int(time.monotonic() * 1000) & 0xffffffff

    def move(self, x, y):
        self.send(self.mouse, 1, 'uuuuu', self.time(), int(x), int(y),
                  *self.size)
        Pointer.at = x, y
        self.send(self.mouse, 4)
        self.sync()

    def button(self, pressed, which=LEFT):
        self.send(self.mouse, 2, 'uuu', self.time(), which, int(pressed))
        self.send(self.mouse, 4)
        self.sync()

    def click(self, x, y, which=LEFT):
        self.move(x, y)
        self.button(True, which)
        self.button(False, which)

    def scroll(self, steps):
        self.send(self.mouse, 5, 'u', 0)
        self.send(self.mouse, 3, 'uui', self.time(), 0, steps * 15 * 256)
        self.send(self.mouse, 4)
        self.sync()


def keep(picture, name):
    """For somebody to look at, if there is a place for it."""
    folder = os.environ.get('VWL_PICTURES', WORK)
    os.makedirs(folder, exist_ok=True)
    path = '%s/%s.png' % (folder, name)
    picture.png(path)
    print('# kept: ' + path, flush=True)


def scene(name):
    """All that sway knows of what a story failed over, for who has its log
    alone."""
    print('# pointer: %s' % (Pointer.at,))
    for output in sway('-t', 'get_outputs'):
        print('# output %s: %s, scale %s' % (
            output['name'], output['rect'], output.get('scale')))
    for seat in sway('-t', 'get_seats'):
        print('# focus: con %s, devices: %s' % (
            seat['focus'], [d['name'] for d in seat['devices']]))
    for win in windows():
        print('# con %d %s: %s%s, at %s, of it %s, geometry %s' % (
            win['id'], win['app_id'],
            'focused' if win['focused'] else 'not focused',
            '' if win['visible'] else ', hidden', win['rect'],
            win['window_rect'], win['geometry']))
    keep(shot(), name + '-screen')


def tell_scene(name):
    """If it is sway's; what goes wrong with that is not the failure."""
    try:
        if sway_sockets():
            scene(name)
    except (OSError, ValueError, LookupError,
            subprocess.SubprocessError) as error:
        print('# no scene: %r' % error, flush=True)


def main(*stories):
    """Those named on the command line, or all."""
    # whoever ends us early ends what we started, too
    signal.signal(signal.SIGTERM, lambda *_: sys.exit('terminated'))
    for story in stories:
        if len(sys.argv) < 2 or story.__name__ in sys.argv[1:]:
            print('-- ' + story.__name__, flush=True)
            story()
