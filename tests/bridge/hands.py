#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""What a user's hands do to windows of guests: cursors, menus, moving and
sizing by the mouse, the focus, drag and drop.
"""
import os
import threading

import stage
from actor import Actor, Popup, Window
from stage import GUEST, HOST, PREFIX, TITLE, must, until

RED, GREEN, BLUE, WHITE = (200, 0, 0), (0, 200, 0), (0, 0, 200), (9, 9, 99)


def screen(colour, **how):
    return stage.shot(**how).box(colour)


def shows(what, colour, box, **how):
    until(lambda: '%s at %s: %s' % (what, box, screen(colour, **how)),
          lambda: screen(colour, **how) == box)
    must(what, True)


def put(app_id, x, y):
    win = stage.window(app_id)
    stage.place(win, x, y)
    return win


def pressed(actor, mouse, x, y):
    """The serial of a button held down there."""
    count = len(actor.all('wl_pointer.button'))
    mouse.move(x, y)
    mouse.button(True)
    return actor.wait('wl_pointer.button', count=count + 1).args[0]


def names():
    """What the bridge was told to put before titles and app ids."""
    actor = Actor(GUEST).start()
    win = Window(actor, 'named', 300, 200, RED)

    def is_called(app_id, title):
        return [(w['app_id'], w['name']) for w in stage.windows()] == [
            (PREFIX + app_id, TITLE + title)]
    for title in ('', 'One', 'Zwölf – 12'):
        if title:
            actor.say(win.top, 'set_title', title)
        until('a title: ' + title, lambda: is_called('named', title))
    must('both have their prefix, a title that is not given, too', True)
    actor.say(win.top, 'set_title', 'ö' * 2040)
    until('most of a long title', lambda: is_called(
        'named', 'ö' * ((4096 - 12 - 4 - len(TITLE)) // 2)))
    must('a long title loses its end, by whole characters', True)
    actor.say(win.top, 'set_app_id', 'other')
    actor.say(win.top, 'set_title', 'short')
    until('another app id', lambda: is_called('other', 'short'))
    must('an app id changes', True)
    actor.close()
    until('gone', lambda: not stage.windows())


def cursors():
    mouse = stage.Pointer()
    actor = Actor(GUEST).start().take_seat()
    Window(actor, 'cursor', 300, 200, RED)
    put(PREFIX + 'cursor', 100, 100)
    shows('a window', RED, (100, 100, 300, 200))
    mouse.move(150, 150)
    serial = actor.wait('wl_pointer.enter').args[0]
    cursor = actor.surface()
    actor.say(actor.pointer, 'set_cursor', serial, cursor, 3, 5)
    actor.paint(cursor, 17, 23, GREEN)
    shows('a cursor, by its hot spot', GREEN, (147, 145, 17, 23),
          cursor=True)
    mouse.move(201, 177)
    shows('it moves with the mouse', GREEN, (198, 172, 17, 23), cursor=True)
    actor.paint(cursor, 11, 9, BLUE)
    shows('it changes', BLUE, (198, 172, 11, 9), cursor=True)
    must('the one before is gone', screen(GREEN, cursor=True) is None)
    actor.say(actor.pointer, 'set_cursor', serial, 0, 0, 0)
    until('no cursor', lambda: screen(BLUE, cursor=True) is None)
    must('it can be hidden', True)
    mouse.move(600, 500)
    actor.wait('wl_pointer.leave')
    actor.close()


def menus():
    mouse = stage.Pointer()
    actor = Actor(GUEST).start().take_seat()
    win = Window(actor, 'menu', 300, 200, RED)
    put(PREFIX + 'menu', 100, 100)
    shows('a window', RED, (100, 100, 300, 200))
    serial = pressed(actor, mouse, 350, 250)
    mouse.button(False)
    menu = Popup(actor, win, (249, 149), (120, 90), GREEN, serial)
    shows('a menu over its edges', GREEN, (350, 250, 120, 90))
    sub = Popup(actor, menu, (99, 69), (60, 50), BLUE, serial)
    shows('a menu of the menu', BLUE, (450, 320, 60, 50))
    mouse.move(470, 340)
    until('the pointer is in it', lambda: actor.last(
        'wl_pointer.enter').args[1] == sub.surface)
    mouse.click(900, 600)
    actor.wait('xdg_popup.popup_done', sub.popup)
    must('a click elsewhere ends it', True)
    sub.end()
    actor.wait('xdg_popup.popup_done', menu.popup)
    menu.end()
    shows('and leaves the window alone', RED, (100, 100, 300, 200))
    actor.close()


def moving():
    mouse = stage.Pointer()
    actor = Actor(GUEST).start().take_seat()
    win = Window(actor, 'moving', 300, 200, RED)
    put(PREFIX + 'moving', 100, 100)
    shows('a window', RED, (100, 100, 300, 200))
    serial = pressed(actor, mouse, 150, 110)
    actor.say(win.top, 'move', actor.seat, serial)
    actor.sync()
    mouse.move(200, 170)
    mouse.move(433, 352)
    shows('it follows the mouse', RED, (383, 342, 300, 200))
    mouse.button(False)
    mouse.move(100, 100)
    actor.sync()
    shows('it stays where it is left', RED, (383, 342, 300, 200))
    serial = pressed(actor, mouse, 680, 540)
    actor.say(win.top, 'resize', actor.seat, serial, 10)
    actor.sync()
    mouse.move(650, 530)

    def sized():
        # sway forgets a size that it asked for while another was under way
        mouse.move(602, 512)
        mouse.move(601, 511)
        return screen(RED) == (383, 342, 221, 171)
    until('it is sized by the mouse', sized)
    must('it is sized by the mouse', True)
    mouse.button(False)
    actor.close()


def title_bar():
    """A program that draws its own."""
    with stage.Programs() as programs:
        mouse = stage.Pointer()
        programs.run(GUEST, 'gtk4-demo')
        win = put(PREFIX + 'gtk4-demo', 50, 30)

        def drag():
            stage.place(win, 50, 30)
            x, y, width, _ = stage.rect_of(win)
            if (x, y) != (50, 30):
                return False
            mouse.move(50 + width // 2, 50)
            mouse.button(True)
            for step in range(1, 11):
                mouse.move(50 + width // 2 + 10 * step, 50 + 5 * step)
            mouse.button(False)
            x, y = stage.rect_of(win)[:2]
            return 80 < x <= 150 and 40 < y <= 80
        until('a GTK window is dragged by its bar', drag)
        must('a GTK window is dragged by its bar', True)


def focus():
    with stage.Programs() as programs:
        programs.keyboard()
        one = Actor(GUEST).start().take_seat()
        two = Actor(GUEST).start().take_seat()
        Window(one, 'one', 200, 200, RED)
        Window(two, 'two', 200, 200, GREEN)
        wins = [stage.window(PREFIX + name) for name in ('one', 'two')]
        stage.place(wins[1], 500, 100)
        stage.place(wins[0], 100, 100)

        def has(actor):
            enter = actor.last('wl_keyboard.enter')
            leave = actor.last('wl_keyboard.leave')
            return enter is not None and (
                leave is None or actor.heard.index(leave) <
                actor.heard.index(enter))
        for turn in range(6):
            stage.sway('[con_id=%d]' % wins[turn % 2]['id'], 'focus')
            mine, other = (one, two) if turn % 2 == 0 else (two, one)
            until('the focus', lambda: has(mine) and not has(other))
        must('the keyboard goes to the window that has the focus', True)
        before = len(one.all('wl_keyboard.key'))
        stage.keys('abc')
        two.wait('wl_keyboard.key', count=6)
        must('and its keys', len(one.all('wl_keyboard.key')) == before)
        one.close()
        two.close()


MIME = 'application/x-vwl'
DATA = os.urandom(3 * 1024 * 1024 + 7)


class Drag:
    """From one window to another, of any two programs."""

    def __init__(self, mouse, source, target, names):
        self.mouse = mouse
        self.source = Actor(source).start().take_seat()
        self.target = Actor(target).start().take_seat()
        self.left = Window(self.source, 'left', 300, 300, RED)
        self.right = Window(self.target, 'right', 300, 300, GREEN)
        put(names[0], 100, 100)
        put(names[1], 600, 100)
        until('both', lambda: (screen(RED), screen(GREEN)) ==
              ((100, 100, 300, 300), (600, 100, 300, 300)))

    def begin(self):
        source = self.source
        serial = pressed(source, self.mouse, 150, 150)
        self.data = source.make(source.devices, 'create_data_source')
        source.gives[self.data] = {MIME: DATA}
        source.say(self.data, 'offer', 'text/plain')
        source.say(self.data, 'offer', MIME)
        source.say(self.data, 'set_actions', 1)
        icon = source.surface()
        source.say(source.device, 'start_drag', self.data,
                   self.left.surface, icon, serial)
        source.paint(icon, 40, 30, BLUE)
        source.sync()
        self.mouse.move(300, 350)
        shows('its picture moves along', BLUE, (300, 350, 40, 30))

    def over(self):
        self.mouse.move(650, 200)
        self.mouse.move(700, 250)
        enter = self.target.wait('wl_data_device.enter')
        serial, surface, _, _, self.offer = enter.args
        must('the offer is over the window',
             surface == self.right.surface and self.offer != 0)
        mimes = [s.args[0] for s in
                 self.target.all('wl_data_offer.offer', self.offer)]
        must('with all its types', mimes == ['text/plain', MIME])
        self.target.say(self.offer, 'accept', serial, MIME)
        self.target.say(self.offer, 'set_actions', 1, 1)
        self.source.wait('wl_data_source.target', self.data)
        until('an action', lambda: (self.source.last(
            'wl_data_source.action') or [None, None, None, [0]])[3][0] == 1)

    def drop(self):
        self.mouse.button(False)
        self.target.wait('wl_data_device.drop')
        self.source.wait('wl_data_source.dnd_drop_performed')
        ours, theirs = os.pipe()
        self.target.say(self.offer, 'receive', MIME, theirs)
        os.close(theirs)
        got = []

        def read():
            with open(ours, 'rb') as file:
                got.append(file.read())
        reader = threading.Thread(target=read, daemon=True)
        reader.start()
        until('the data', lambda: got)
        must('every byte arrives', got[0] == DATA)
        self.target.say(self.offer, 'finish')
        self.target.say(self.offer, 'destroy')
        self.source.wait('wl_data_source.dnd_finished')
        must('and the source learns of it', True)

    def end(self):
        self.source.close()
        self.target.close()


def dragging():
    mouse = stage.Pointer()
    for source, target, names in (
            (GUEST, GUEST, (PREFIX + 'left', PREFIX + 'right')),
            (GUEST, HOST, (PREFIX + 'left', 'right')),
            (HOST, GUEST, ('left', PREFIX + 'right'))):
        print('from %s to %s' % names)
        drag = Drag(mouse, source, target, names)
        drag.begin()
        drag.over()
        drag.drop()
        drag.end()
        until('both gone', lambda: not stage.windows())
    drag = Drag(mouse, GUEST, GUEST, (PREFIX + 'left', PREFIX + 'right'))
    drag.begin()
    mouse.move(500, 550)
    mouse.button(False)
    drag.source.wait('wl_data_source.cancelled')
    must('a drop on nothing is cancelled', True)
    until('its picture is gone', lambda: screen(BLUE) is None)
    drag.end()


if __name__ == '__main__':
    stage.main(names, cursors, menus, moving, title_bar, focus, dragging)
