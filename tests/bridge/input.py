#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Keys and a pointer on every compositor, also on those without pictures: what
programs beside the bridge hear of them, and those behind it.
"""
import os

import desk
import stage
from actor import Actor, Window
from stage import GUEST, HOST, WORK, must, until

TEXT = 'Hello, World 123'
SIDES = ((HOST, 'beside the bridge'), (GUEST, 'behind it'))


def heard(hands, display, where):
    actor = Actor(display).start().take_seat()
    win = Window(actor, 'input', 300, 200, (0, 200, 0))
    actor.say(win.top, 'set_fullscreen', 0)
    until('the whole screen', lambda: (win.width, win.height) == hands.size)

    def pointed(x, y):
        for name, first in (('wl_pointer.motion', 1), ('wl_pointer.enter', 2)):
            last = actor.last(name)
            if last and [v // 256 for v in last.args[first:first + 2]] == [
                    x, y]:
                return True
        hands.move(x, y)  # again: the window may have been smaller
        return False
    for place in ((100, 60), (731, 402)):
        until('the pointer at %d, %d' % place, pointed, *place)
    must('the pointer is where it should be, ' + where, True)
    hands.click(300, 300)
    actor.wait('wl_pointer.button', count=2)
    must('a click, ' + where, [said.args[2:] for said in actor.all(
        'wl_pointer.button')] == [[stage.LEFT, 1], [stage.LEFT, 0]])
    hands.wheel(1)
    must('the wheel, ' + where, actor.wait('wl_pointer.axis').args[2] > 0)

    actor.wait('wl_keyboard.enter')
    before = len(actor.all('wl_keyboard.key'))
    hands.type('aB')
    actor.wait('wl_keyboard.key', count=before + 6)
    keys = [tuple(said.args[2:]) for said in actor.all('wl_keyboard.key')]
    codes = desk.CODES
    must('every key, ' + where, keys[before:] == [
        (codes[name], down) for name, down in (
            ('a', 1), ('a', 0), ('shift', 1), ('b', 1), ('b', 0),
            ('shift', 0))])
    held = [said.args[1] for said in actor.all('wl_keyboard.modifiers')]
    must('Shift is held and let go, ' + where, 1 in held and held[-1] == 0)
    actor.close()


def typed(hands, display, where):
    with stage.Programs() as programs:
        path = '%s/typed-%s' % (WORK, where.split()[0])
        with open(path + '.sh', 'w') as file:
            file.write('#!/bin/sh\nwhile read -r line; do echo "$line" >>%s\n'
                       'done\n' % path)
        os.chmod(path + '.sh', 0o755)
        programs.run(display, 'weston-terminal', '--fullscreen',
                     '--shell=' + path + '.sh')

        def there():
            # again, until the program has the focus
            hands.click(400, 300)
            hands.type(TEXT)
            hands.press('enter')
            return os.path.exists(path) and \
                TEXT in open(path, encoding='utf-8').read().split('\n')
        until('a line was typed, ' + where, there)
        must('a line was typed, ' + where, True)


if __name__ == '__main__':
    both = desk.of_host()
    for side in SIDES:
        heard(both, *side)
        typed(both, *side)
