#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Real programs beside themselves: each is started on the host and through
the bridge, both get the same keys, clicks and sizes, and must look the same
in every pixel.
"""
import os
import subprocess
import time

import stage
from stage import GUEST, HOST, PREFIX, WORK, must, until

WHERE = (40, 30)
SIDES = ('host', 'guest')


class Twins:
    """One program, twice; the guest's window has the prefix."""

    def __init__(self, programs, app_id, command, slack=0):
        self.slack = slack
        self.lost = []
        self.calm = 0.1
        self.app_id = app_id
        self.processes = [
            programs.run(display, *[word.replace('@', side)
                                    for word in command])
            for display, side in ((HOST, 'host'), (GUEST, 'guest'))]
        self.windows = [stage.window(app_id), stage.window(PREFIX + app_id)]
        self.host, self.guest = self.windows
        must('%s is on the screen through the bridge' % app_id, True)

    def size(self, width, height):
        for win in self.windows:
            stage.place(win, *WHERE, width, height)
        until('%s has %dx%d' % (self.app_id, width, height), self.has,
              width, height)

    def has(self, width, height):
        return all((stage.rect_of(win) or ())[2:] == (width, height)
                   for win in self.windows)

    def fullscreen(self, side):
        """As alike() wants it: one has it at a time."""
        win = self.of(side)
        stage.sway('[con_id=%d]' % win['id'], 'fullscreen', 'enable')
        until(self.app_id + ' has the whole screen',
              lambda: stage.rect_of(win)[2:] == stage.SIZE)

    def of(self, side):
        return self.windows[SIDES.index(side)]

    def focus(self, win):
        stage.sway('[con_id=%d]' % win['id'], 'focus')

    def pictures(self, do=None, undo=None):
        """Of everything around the windows, too: menus and shadows."""
        taken = []
        for side, win in zip(SIDES, self.windows):
            self.focus(win)
            if do:
                do(side)
            taken.append(self.rest())
            # else it may be the other's picture, twice
            until('%s has its window on the %s' % (self.app_id, side),
                  stage.rect_of, win)
            if undo:
                undo(side, taken[-1])
        return taken

    def rest(self):
        return until('%s looks the same twice' % self.app_id, self.at_rest)

    def at_rest(self):
        first = stage.shot()
        time.sleep(self.calm)
        second = stage.shot()
        return second if first.differs(second) <= self.slack else None

    def alike(self, what, colours=8, do=None, undo=None):
        last = []
        self.calm = 0.05

        def check():
            where = []
            # a busy machine's programs are late to change their look
            self.calm = min(2 * self.calm, 3)
            self.lost = []
            host, guest = last[:] = self.pictures(do, undo)
            wrong = host.differs(guest, where)
            seen = len(set(zip(*[iter(guest.data)] * 3)))
            last[:] = [host, guest, wrong, where, seen]
            return seen >= colours and wrong <= self.slack and \
                not self.lost

        def never():
            for picture, side in zip(last, SIDES):
                stage.keep(picture, 'failure-' + side)
            return '%s alike: %s: %d pixels differ %s, %d colours%s' % (
                self.app_id, what, *last[2:],
                ''.join(', Escape was lost on the %s' % side
                        for side in self.lost))
        until(never, check)
        must('%s alike: %s' % (self.app_id, what), True)

    def inside(self, x, y, width, height):
        """So much of that as is in the windows: their shadows tell who has
        the focus, and programs are late to change them."""
        left, top, wide, high = stage.rect_of(self.host)
        x2, y2 = min(x + width, left + wide), min(y + height, top + high)
        x, y = max(x, left), max(y, top)
        return x, y, x2 - x, y2 - y

    def menu(self, what, mouse, x, y, button=stage.LEFT):
        """Closed when it is there, not before, and by a key: wlroots ends
        programs whose popup it closes (by a click beside it) while they draw
        it or learn of its size."""
        # not as far as featherpad tells root below that it is root
        below = self.inside(x - 100, y + 25, 300, 150)
        without = None

        def do(side):
            nonlocal without
            without = self.rest().part(*below)
            mouse.click(x, y, button)
            # the smallest menu, white on white, has more
            until(lambda: '%s over the window of the %s: %d pixels in %s' % (
                what, side, without.differs(stage.shot(below)), below),
                  lambda: without.differs(stage.shot(below)) > 1000)

        def undo(side, picture):
            menu = picture.part(*below)

            def seen():
                """How much there is of the menu, and of the window alone."""
                now = stage.shot(below)
                return without.differs(now), menu.differs(now)

            def closed():
                of_menu, of_window = seen()
                return of_menu < of_window

            def pressed():
                """A program may lose it while it learns of its focus."""
                self.focus(self.of(side))
                stage.keys('-k', 'Escape')
                end = time.monotonic() + 5
                until(what + ' off the window, or time for another try',
                      lambda: closed() or time.monotonic() > end)
                if not closed():
                    print('# %s, %s: not closed by Escape' % (what, side),
                          flush=True)
                    self.lost.append(side)
                return closed()
            until(lambda: '%s off the window of the %s: %d pixels of it, %d of '
                  'the window without it in %s' % (what, side, *seen(), below),
                  pressed)
        self.alike(what, do=do, undo=undo)

    def both(self, do):
        for win in self.windows:
            self.focus(win)
            do()

    def end(self):
        for process in self.processes:
            process.terminate()
        until(self.app_id + ' is off the screen', lambda: not (
            stage.named(self.app_id) or stage.named(PREFIX + self.app_id)))


def lines(name, text, *sides):
    """Whether both sides' files hold exactly this."""
    def check():
        for side in sides or SIDES:
            path = '%s/%s/%s' % (WORK, side, name)
            if not os.path.exists(path):
                return False
            with open(path, encoding='utf-8') as file:
                if file.read() != text:
                    return False
        return True
    return check


def script(name, text):
    path = WORK + '/' + name
    with open(path, 'w', encoding='utf-8') as file:
        file.write('#!/bin/sh\n' + text)
    os.chmod(path, 0o755)
    return path


def terminal(app_id, *command, sizes=()):
    name = app_id.rsplit('.', 1)[-1]
    for side in ('host', 'guest'):
        script('%s-%s.sh' % (name, side),
               'printf "\\033[31mred \\033[1;44mblue\\033[0m %%s\\n" plain\n'
               'read -r line\necho "$line" >%s/%s/%s\nexec sleep 1000\n' %
               (WORK, side, name))
    with stage.Programs() as programs:
        programs.keyboard()
        twins = Twins(programs, app_id, [
            word.replace('SCRIPT', '%s/%s-@.sh' % (WORK, name))
            for word in command])
        if sizes:
            for win in twins.windows:
                stage.place(win, *WHERE)
            twins.alike('at first')
        twins.both(lambda: stage.keys('-d', '5', 'Hällo, Welt 1'))
        for size in sizes:
            twins.size(*size)
            twins.alike('at %dx%d' % size)
        twins.alike('on the whole screen', do=twins.fullscreen,
                    undo=lambda side, _: stage.sway(
                        '[con_id=%d]' % twins.of(side)['id'], 'fullscreen',
                        'disable'))
        twins.both(lambda: stage.keys('-d', '5', '23', '-k', 'Return'))
        until(app_id + ' got every key', lines(name, 'Hällo, Welt 123\n'))
        must(app_id + ' got every key', True)
        twins.end()


def foot():
    # newer ones take whole letters, if not told otherwise
    any_size = ['-o', 'resize-by-cells=no']
    if subprocess.run(['foot', '--check-config', *any_size], check=False,
                      stderr=subprocess.DEVNULL).returncode:
        any_size = []
    terminal('foot', 'foot', *any_size, '-e', 'SCRIPT',
             sizes=[(833, 517), (400, 300)])


def weston_terminal():
    # the size that a floating window of its gets is one of several, without
    # a bridge too: it takes whole letters, and sway asks again
    terminal('org.freedesktop.weston.wayland-terminal', 'weston-terminal',
             '--shell=SCRIPT')


def gtk():
    os.makedirs(WORK + '/config/gtk-4.0', exist_ok=True)
    with open(WORK + '/config/gtk-4.0/settings.ini', 'w',
              encoding='utf-8') as file:
        file.write('[Settings]\ngtk-enable-animations=false\n'
                   'gtk-cursor-blink=false\n'
                   'gtk-decoration-layout=:close\n')
    with stage.Programs() as programs:
        programs.keyboard()
        mouse = stage.Pointer()
        mouse.move(*stage.SIZE)
        twins = Twins(programs, 'gtk4-demo', ['gtk4-demo'])
        twins.size(900, 560)
        twins.alike('at first')
        # its menu: a popup with a grab, opened by the mouse
        twins.menu('a menu', mouse, WHERE[0] + 900 - 71, WHERE[1] + 23)
        # search: keys, a list that shrinks
        mouse.move(*stage.SIZE)
        twins.both(lambda: stage.keys('-M', 'ctrl', 'f', '-m', 'ctrl'))
        twins.both(lambda: stage.keys('-d', '5', 'clip'))
        twins.alike('searched')
        twins.size(700, 420)
        twins.alike('made smaller')
        twins.both(lambda: mouse.click(WHERE[0] + 180, WHERE[1] + 130))
        mouse.move(*stage.SIZE)
        twins.alike('clicked at')
        twins.end()


def qt():
    for side in ('host', 'guest'):
        with open('%s/%s/text' % (WORK, side), 'w',
                  encoding='utf-8') as file:
            file.write('one two three\n' * 40)
    with stage.Programs() as programs:
        programs.keyboard()
        mouse = stage.Pointer()
        # a caret that blinks
        twins = Twins(programs, 'featherpad',
                      ['featherpad', '--standalone', WORK + '/@/text'],
                      slack=64)
        twins.size(800, 520)
        mouse.click(WHERE[0] + 400, WHERE[1] + 200)
        mouse.move(*stage.SIZE)
        twins.alike('at first')

        for what, x, y, which in (('a menu', 70, 10, stage.LEFT),
                                  ('a context menu', 300, 200, stage.RIGHT)):
            twins.menu(what, mouse, WHERE[0] + x, WHERE[1] + y, which)
            mouse.move(*stage.SIZE)
        twins.both(lambda: stage.keys(
            '-M', 'ctrl', '-k', 'Home', '-m', 'ctrl', '-d', '5', 'Zwölf '))
        twins.alike('typed into')

        def saved():
            # Qt learns that a window is the active one by a round trip of its
            # own, and takes no shortcut that comes before: again, until then
            stage.keys('-M', 'ctrl', 's', '-m', 'ctrl')
            return lines('text', 'Zwölf ' + 'one two three\n' * 40, side)()
        for side, win in zip(SIDES, twins.windows):
            twins.focus(win)
            until('featherpad saved what was typed', saved)
        must('featherpad saved what was typed', True)
        twins.size(500, 400)
        twins.alike('made smaller')
        twins.end()


if __name__ == '__main__':
    os.mkdir(WORK + '/host')
    os.mkdir(WORK + '/guest')
    stage.main(foot, weston_terminal, gtk, qt)
