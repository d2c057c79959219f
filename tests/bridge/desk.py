# SPDX-License-Identifier: BSD-3-Clause
"""The same hands and eyes on every compositor: keys by the kernel's numbers of
a US keyboard, a pointer, and, where there are any, pictures, the size of the
one window, and the screen's scale.
"""
import os
import pathlib
import pwd
import subprocess
import time

import raw
import stage
from stage import HOST, LEFT, WORK, until

CODES = {name: code for first, names in (
    (2, '1234567890-='), (16, 'qwertyuiop[]'), (30, "asdfghjkl;'`"),
    (43, '\\zxcvbnm,./')) for code, name in enumerate(names, first)}
CODES.update(escape=1, backspace=14, tab=15, enter=28, ctrl=29, shift=42,
             alt=56, home=102, end=107, f4=62, f10=68, down=108, menu=127)
CODES[' '] = 57
SHIFTED = dict(zip('!@#$%^&*()_+{}:"~|<>?', '1234567890-=[];\'`\\,./'))
MODIFIERS = {'shift': 1, 'ctrl': 4, 'alt': 8}
KEYMAP = b'''xkb_keymap {
    xkb_keycodes { include "evdev+aliases(qwerty)" };
    xkb_types { include "complete" };
    xkb_compat { include "complete" };
    xkb_symbols { include "pc+us+inet(evdev)" };
};\0'''


class Desk:
    """What follows from the few things that each compositor can do."""

    size = (1024, 640)
    title = 0  # how high the bar is that windows get from the compositor

    def press(self, *names):
        """Together: the first are held while the last is struck."""
        for name in names:
            self.key(name, True)
        for name in reversed(names):
            self.key(name, False)

    def type(self, text):
        for letter in text:
            plain = SHIFTED.get(letter, letter.lower())
            self.press(*(['shift'] if plain != letter else []), plain)

    def click(self, x, y, which=LEFT):
        self.move(x, y)
        self.button(True, which)
        self.button(False, which)


def now():
    return int(time.monotonic() * 1000) & 0xffffffff


class Sway(Desk):
    def __init__(self):
        self.mouse = stage.Pointer()
        self.move, self.button = self.mouse.move, self.mouse.button
        self.wheel = self.mouse.scroll
        self.client = raw.Client(HOST)
        manager = self.client.bind('zwp_virtual_keyboard_manager_v1')
        seat = self.client.bind('wl_seat')
        self.keyboard = self.client.new()
        self.client.send(manager, 0, 'on', seat, self.keyboard)
        fd = os.memfd_create('keymap')
        os.write(fd, KEYMAP)
        self.client.send(self.keyboard, 0, 'uu', 1, len(KEYMAP), fds=[fd])
        os.close(fd)
        self.client.sync()
        self.held = 0

    def key(self, name, down):
        self.client.send(self.keyboard, 1, 'uuu', now(), CODES[name],
                         int(down))
        bit = MODIFIERS.get(name, 0)
        self.held = self.held | bit if down else self.held & ~bit
        if bit:  # sway derives none from a virtual keyboard's keys
            self.client.send(self.keyboard, 2, 'uuuu', self.held, 0, 0, 0)
        self.client.sync()

    def shot(self):
        return stage.shot()

    def place(self, x, y, width, height):
        for win in stage.windows():
            stage.place(win, x, y, width, height)

    def scale(self, factor):
        stage.sway('output', 'HEADLESS-1', 'scale', str(factor))
        self.mouse.size = tuple(s // factor for s in self.size)


def host_user():
    """The compositor's, whom alone its bus and KWin's input serve."""
    if os.getuid() != 0:
        return {}
    uid = os.stat(os.environ['VWL_HOST_COMPOSITOR_DIR']).st_uid
    return {'user': uid, 'group': pwd.getpwuid(uid).pw_gid,
            'extra_groups': []}


class Dbus:
    """dbus-desk and raw.py beside this file, where that user may not be able
    to read them.
    """

    def __init__(self):
        here = pathlib.Path(__file__).resolve().parent
        text = (here / 'raw.py').read_text() + (here / 'dbus-desk').read_text()
        self.process = subprocess.Popen(
            ['/usr/bin/python3', '-c', text], text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd='/',
            **host_user())

    def do(self, *words):
        self.process.stdin.write(' '.join(map(str, words)) + '\n')
        self.process.stdin.flush()
        answer = self.process.stdout.readline().strip()
        if answer != 'ok':
            raise SystemExit('FAILED: %s: %s' % (words[0], answer))


class Mutter(Desk):
    """Input only."""

    size = (1280, 800)

    def __init__(self):
        self.dbus = Dbus()
        self.dbus.do('input')
        # the seat has neither before it is used
        self.press('shift')
        self.move(1, 1)

    def key(self, name, down):
        self.dbus.do('key', CODES[name], int(down))

    def move(self, x, y):
        self.dbus.do('motion', -9999, -9999)
        self.dbus.do('motion', x, y)

    def button(self, down, which=LEFT):
        self.dbus.do('button', which, int(down))

    def wheel(self, steps):
        self.dbus.do('wheel', steps)


class Kwin(Desk):
    """By its own protocols' numbers, and by D-Bus."""

    size = (1280, 800)
    title = 36

    def __init__(self):
        self.dbus = Dbus()
        self.dbus.do('kwin')

    def key(self, name, down):
        self.dbus.do('fake', 10, CODES[name], int(down))

    def move(self, x, y):
        self.dbus.do('fake', 9, int(x * 256), int(y * 256))

    def button(self, down, which=LEFT):
        self.dbus.do('fake', 2, which, int(down))

    def wheel(self, steps):
        self.dbus.do('fake', 3, 0, steps * 15 * 256)

    def shot(self):
        path = os.environ['VWL_HOST_COMPOSITOR_DIR'] + '/shot.ppm'
        self.dbus.do('shot', path)
        return stage.Picture(pathlib.Path(path).read_bytes())

    def place(self, x, y, width, height):
        """Its frame, which is larger than its content by a title bar."""
        path = os.environ['VWL_HOST_COMPOSITOR_DIR'] + '/place.js'
        pathlib.Path(path).write_text(
            'workspace.clientList().forEach(function (c) {'
            'if (c.normalWindow) { c.setMaximize(false, false);'
            'c.frameGeometry = {x: %d, y: %d, width: %d, height: %d}; }});' %
            (x, y, width, height))
        os.chmod(path, 0o644)
        self.dbus.do('script', path)

    def scale(self, factor):
        """By kde_output_management_v2."""
        client = raw.Client(HOST)
        device = client.bind('kde_output_device_v2', 2)
        manager = client.bind('kde_output_management_v2', 2)
        client.sync()
        change = client.new()
        client.send(manager, 0, 'n', change)
        client.send(change, 4, 'oi', device, factor * 256)
        client.send(change, 5)
        until('scale %d' % factor, lambda: client.sync() or
              client.seen(change, 0) or client.seen(change, 1))
        if not client.seen(change, 0):
            raise SystemExit('FAILED: KWin did not take scale %d' % factor)
        client.sock.close()


def of_host():
    return {'sway': Sway, 'mutter': Mutter, 'kwin': Kwin}[
        os.environ['VWL_HOST_COMPOSITOR']]()
