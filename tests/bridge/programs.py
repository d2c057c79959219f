#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""A program of people's desktops, first beside the bridge, then through it: it
starts, is typed into, opens menus, copies both ways, takes another size and
another scale. What it looks like must be the same, and stays in VWL_PICTURES
for somebody to look at. VWL_PROGRAM names it; the table says what it needs.
"""
import collections
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time

import desk
import stage
from stage import GUEST, HOST, RIGHT, WORK, until

TEXT, PASTED = 'Some words 123', 'Out of the host 456'
AT, FIRST, SMALLER, TINY = (30, 20), (760, 520), (640, 400), (500, 310)
HOME = WORK + '/home'

PAGE = '''<!doctype html><title>page</title><style>body { margin: 0 }
textarea { width: 90vw; height: 80vh; font: 20px monospace;
caret-color: transparent }</style><textarea autofocus></textarea>'''
QML = '''import QtQuick
import QtQuick.Controls
ApplicationWindow {
    visible: true; width: 700; height: 500; title: "qml"
    menuBar: MenuBar {
        Menu { title: "&File"; Action { text: "&Open" }
               Action { text: "&Save" } }
    }
    TextArea { id: area; anchors.fill: parent; focus: true
        cursorDelegate: Item {} }
}'''
FIREFOX = '\n'.join('user_pref("%s", %s);' % pair for pair in (
    ('browser.aboutwelcome.enabled', 'false'),
    ('browser.shell.checkDefaultBrowser', 'false'),
    ('browser.startup.homepage_override.mstone', '"ignore"'),
    ('browser.tabs.warnOnClose', 'false'),
    ('datareporting.policy.dataSubmissionEnabled', 'false'),
    ('termsofuse.bypassNotification', 'true'),
    ('trailhead.firstrun.didSeeAboutWelcome', 'true'),
    ('ui.prefersReducedMotion', '1')))
GTK = '[Settings]\ngtk-enable-animations=false\ngtk-cursor-blink=false\n'
FILES = {
    'page.html': PAGE,
    'text.qml': QML,
    'firefox/user.js': FIREFOX,
    'config/gtk-3.0/settings.ini': GTK,
    'config/gtk-4.0/settings.ini': GTK,
    'config/kdeglobals':
        '[KDE]\nAnimationDurationFactor=0\nCursorBlinkRate=0\n',
    'config/katerc': '[General]\nShow welcome view for new window=false\n',
    'config/libreoffice/4/user/registrymodifications.xcu': '''<?xml
version="1.0" encoding="UTF-8"?><oor:items
xmlns:oor="http://openoffice.org/2001/registry"
xmlns:xs="http://www.w3.org/2001/XMLSchema"
xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">
<item oor:path="/org.openoffice.Office.Common/Misc"><prop
oor:name="ShowTipOfTheDay" oor:op="fuse"><value>false</value></prop></item>
<item oor:path="/org.openoffice.Setup/Product"><prop
oor:name="ooSetupLastVersion" oor:op="fuse"><value>7.4</value></prop></item>
</oor:items>''',
}

# field: where a click goes before typing, within the window; before: keys that
# make a place for text; all, copy, paste: keys, or how many clicks select; menu:
# keys, or where to click. None: it has no such thing. slack: pixels that may
# differ, at scale 1: a cursor has four times as many at scale 2. openings: how
# often a menu is opened before it has to look the same. Firefox on KWin draws
# what it opens first with an arrow in place of its last line by chance, also
# beside the bridge: in 2 of 11 runs, and in 3 of 4 through it, 2805 pixels of
# them and never another; opened again it was right.
Program = collections.namedtuple(
    'Program', 'command field before all copy paste menu context slack openings',
    defaults=((300, 300), (), ('ctrl', 'a'), ('ctrl', 'c'), ('ctrl', 'v'),
              ('f10',), True, 200, 1))
NO_TEXT = {'field': None, 'all': None, 'menu': None, 'context': False}
MPV = ['mpv', '--pause', '--no-config', '--osd-level=0',
       'av://lavfi:testsrc=size=640x400']
PLACE = {'before': ('ctrl', 'l'), 'field': None}
PROGRAMS = {
    'chromium': Program(
        ['chromium', '--no-sandbox', '--test-type', '--disable-gpu',
         '--ozone-platform=wayland', '--no-first-run', '--password-store=basic',
         '--disable-background-networking', '--user-data-dir=' + HOME + '/c',
         'file://' + HOME + '/page.html'], menu=('alt', 'f'), slack=800),
    'firefox': Program(
        ['firefox-esr', '--no-remote', '--profile', HOME + '/firefox',
         'file://' + HOME + '/page.html'], menu=('alt', 'f'), slack=800,
        openings=8),
    'writer': Program(['soffice', '--writer', '--norestore', '--nologo'],
                      menu=('alt', 'f'), slack=800),
    # it says how much room there is on the disk, which others use, too
    'thunar': Program(['thunar', HOME + '/empty'], slack=400, **PLACE),
    'gedit': Program(['gedit', '--standalone']),
    'nautilus': Program(['nautilus', HOME + '/empty'], slack=400, **PLACE),
    'konsole': Program(
        ['konsole', '-e', 'cat'], field=(60, 60), all=3,
        copy=('ctrl', 'shift', 'c'), paste=('ctrl', 'shift', 'v'),
        menu=(20, 10), slack=400),
    'kate': Program(['kate', HOME + '/text'], menu=('alt', 'f'), slack=400),
    'qml6': Program(['/usr/lib/qt6/bin/qml', HOME + '/text.qml'],
                    menu=('alt', 'f'), context=False),
    'mpv': Program([*MPV, '--vo=wlshm'], **NO_TEXT),
    'sdl': Program([*MPV, '--vo=sdl'], **NO_TEXT),
}


class Play:
    """One side of it."""

    def __init__(self, hands, name, native=None):
        self.desk, self.program = hands, PROGRAMS[name]
        self.side = 'bridge' if native else 'native'
        self.native = native
        self.shots, self.wrong, self.factor = {}, [], 1
        self.openings = self.program.openings if native else \
            min(self.program.openings, 2)
        self.prefix = '%s/%s-%s' % (
            os.environ.get('VWL_PICTURES', WORK), name,
            os.environ['VWL_HOST_COMPOSITOR'])

    @property
    def slack(self):
        return self.program.slack * self.factor ** 2

    def rest(self, seconds=1.0):
        """A picture that stays for so long."""
        last, since = self.desk.shot(), time.monotonic()

        def check():
            nonlocal last, since
            picture = self.desk.shot()
            if picture.differs(last) > self.slack:
                last, since = picture, time.monotonic()
            return time.monotonic() - since >= seconds
        until('%s rests' % self.side, check)
        return last

    def differs(self, what, seconds):
        """From what was beside the bridge, after so long at the latest."""
        end = time.monotonic() + seconds
        while True:
            found = self.rest(0.3)
            count = found.differs(self.native.shots[what])
            if count <= self.slack or time.monotonic() > end:
                return found, count

    def picture(self, what):
        """Beside the bridge, what is to be; through it, that comes."""
        if not self.native:
            found = self.rest(2.0)
        else:
            found, count = self.differs(what, 20)
            print('# %s: %d pixels differ' % (what, count), flush=True)
            if count > self.slack:
                self.wrong.append('%s: %d pixels' % (what, count))
        self.shots[what] = found
        found.png('%s-%s-%s.png' % (self.prefix, what, self.side))
        return found

    def changed(self, what, before, least=400):
        until('%s: %s' % (self.side, what), lambda: self.desk.shot().differs(
            before) > max(least, self.slack))

    def start(self, programs):
        shutil.rmtree(HOME, ignore_errors=True)
        os.makedirs(HOME + '/empty')
        for name, text in FILES.items():
            path = pathlib.Path(HOME, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        self.desk.move(*(size - 1 for size in self.desk.size))
        empty = self.rest(0.3)
        self.empty = empty
        self.process = programs.run(
            GUEST if self.native else HOST, 'env', 'HOME=' + HOME,
            'XDG_CONFIG_HOME=' + HOME + '/config', 'GDK_BACKEND=wayland',
            'MOZ_ENABLE_WAYLAND=1', 'SAL_USE_VCLPLUGIN=gtk3',
            'SDL_VIDEODRIVER=wayland', 'NO_AT_BRIDGE=1',
            'LIBGL_ALWAYS_SOFTWARE=1', 'QT_QUICK_BACKEND=software',
            'dbus-run-session', '--', *self.program.command,
            start_new_session=True)
        self.changed('a window', empty, 20000)
        self.rest()
        self.desk.place(*AT, *FIRST)
        self.picture('start')

    def click_field(self):
        x, y = self.program.field
        if isinstance(self.program.all, int):
            y += self.desk.title  # its very line
        self.desk.click(AT[0] + x, AT[1] + y)

    def type(self):
        if self.program.field:
            self.click_field()
            self.desk.move(*(size - 1 for size in self.desk.size))
        before = self.rest(0.5)
        if self.program.before:
            self.desk.press(*self.program.before)
            before = self.rest(0.5)
        self.desk.type(TEXT if self.program.field or self.program.before
                       else 'O')
        self.changed('typed text', before, 100)
        self.picture('typed')

    def selected(self):
        """What the clipboard has after all was selected and copied."""
        if isinstance(self.program.all, int):
            for _ in range(self.program.all):
                self.click_field()
        else:
            self.desk.press(*self.program.all)
        self.desk.press(*self.program.copy)

    def clipboard(self):
        return subprocess.run(
            ['timeout', '5', 'wl-paste', '-n'], stdout=subprocess.PIPE,
            text=True, stderr=subprocess.DEVNULL, check=False,
            env=dict(os.environ, WAYLAND_DISPLAY=HOST)).stdout.strip()

    def copies(self, programs):
        def comes(text):
            def check():
                self.selected()
                end = time.monotonic() + 3
                while time.monotonic() < end:
                    if self.clipboard() == text:
                        return True
                    time.sleep(0.1)
                return False
            until(lambda: '%s: copied %r, not %r' % (
                self.side, self.clipboard(), text), check)
        comes(TEXT)
        copier = programs.run(HOST, 'wl-copy', '--foreground', PASTED)
        until('an offer', lambda: self.clipboard() == PASTED)
        # The copy is the program's own only if there is more than was pasted.
        self.desk.press(*self.program.paste)
        self.rest(0.5)
        self.desk.type('7')
        before = TEXT if isinstance(self.program.all, int) else ''
        comes(before + PASTED + '7')
        copier.terminate()
        print('# ok: %s copied both ways' % self.side, flush=True)

    def open_menu(self):
        if isinstance(self.program.menu[0], int):
            x, y = self.program.menu
            self.desk.click(AT[0] + x, AT[1] + self.desk.title + y)
        else:
            self.desk.press(*self.program.menu)

    def closed(self, before, least):
        """Some close a menu, and its bar only at the next Escape; one that is
        not needed goes to the program. The key is let go once that is seen, as
        people do: KWin gives the keyboard back to the window at the next key
        after the menu, and if there is none, never.
        """
        def within(seconds):
            end = time.monotonic() + seconds
            while time.monotonic() < end:
                if self.desk.shot().differs(before) < least:
                    return True
            return False
        self.desk.key('escape', True)
        gone = within(0.4)  # and no longer: keys that are held repeat
        self.desk.key('escape', False)
        return gone or within(5)

    def opened(self, what, do, last):
        """Whether its picture was taken; it is closed again."""
        before = self.rest(0.5)
        do()
        self.changed(what, before, 1000)
        # what the pointer is on is marked, or not, by chance
        self.desk.move(*(size - 1 for size in self.desk.size))
        last = last or (self.native is not None and
                        self.differs(what, 5)[1] <= self.slack)
        shown = self.picture(what) if last else self.rest(0.3)
        least = shown.differs(before) // 2
        until(lambda: '%s: no %s: %d pixels of it, it had %d' % (
            self.side, what, self.desk.shot().differs(before), 2 * least),
              lambda: self.closed(before, least))
        return last

    def menus(self):
        for what, do in (
                ('menu', self.program.menu and self.open_menu),
                ('context', self.program.context and
                 (lambda: self.desk.click(400, 350, RIGHT)))):
            if not do:
                continue
            for turn in range(self.openings, 0, -1):
                if self.opened(what, do, turn == 1):
                    break

    def sizes(self):
        before = self.rest(0.5)
        self.desk.place(*AT, *SMALLER)
        self.changed('another size', before, 5000)
        self.picture('smaller')
        for factor in (2, 1):
            self.desk.scale(factor)
            self.factor = factor
            self.rest()  # KWin puts it where it was at that scale
            self.desk.place(0, 0, *TINY)
            self.picture('scale-%d' % factor)

    def end(self):
        def tell(what):
            try:
                os.killpg(self.process.pid, what)
            except ProcessLookupError:
                pass
        tell(signal.SIGTERM)
        end = time.monotonic() + 10

        def gone():
            if time.monotonic() > end:
                tell(signal.SIGKILL)
            return self.desk.shot().differs(self.empty) < 2000
        until('%s: no window' % self.side, gone)
        tell(signal.SIGKILL)

    def all(self):
        with stage.Programs() as programs:
            self.start(programs)
            self.type()
            if self.program.all:
                self.copies(programs)
            self.menus()
            self.sizes()
            self.end()
        print('# ok: all of it, %s' % self.side, flush=True)
        return self


def main():
    name = os.environ['VWL_PROGRAM']
    hands = desk.of_host()
    os.makedirs(os.environ.get('VWL_PICTURES', WORK), exist_ok=True)
    native = Play(hands, name).all()
    wrong = Play(hands, name, native).all().wrong
    if wrong:
        sys.exit('FAILED: %s looks otherwise: %s' % (name, '; '.join(wrong)))


if __name__ == '__main__':
    main()
