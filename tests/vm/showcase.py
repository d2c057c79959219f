#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""A guest's windows on a headless sway, looked at, typed into, pointed at.

    showcase.py --console=FILE --output=FILE.png

Inside `host-compositor sway`, for a guest that runs demo-session and the
painter: puts the windows beside each other, checks what they show, types into
the terminal (its guest says what arrived, on the console) and the calculator,
moves the pointer, and leaves a picture.
"""
import argparse
import os
import pathlib
import subprocess
import sys
import time
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
os.environ.setdefault('VWL_GUEST', '')
os.environ.setdefault('XDG_RUNTIME_DIR', tempfile.gettempdir())
sys.path.insert(0, str(HERE.parent))
sys.path.insert(0, str(HERE.parent / 'bridge'))
import stage

TERMINAL, CALCULATOR = 'guest.foot', 'guest.gnome-calculator'
PAINTER = 'vhost-user-wl'
BARS = (230, 60, 40), (40, 170, 80), (50, 90, 220)
# The calculator's =, in GNOME 43 and in 48.
EQUALS = (0xff, 0x78, 0x00), (0x35, 0x84, 0xe4)
TYPED = 'Hello, guest: äöü 123'


def inside(box, rect):
    return (box and rect[0] <= box[0] and rect[1] <= box[1] and
            box[0] + box[2] <= rect[0] + rect[2] and
            box[1] + box[3] <= rect[1] + rect[3])


def terminal(win):
    """Three bars of 48 cells, whole and one below the other."""
    def check():
        picture, rect = stage.shot(), stage.rect_of(win)
        boxes = [picture.box(colour) for colour in BARS]
        if not all(inside(box, rect) for box in boxes):
            return None
        (x, y, width, height), second, third = boxes
        if (second != (x, y + height, width, height) or
                third != (x, y + 2 * height, width, height) or
                width % 48 or any(
                    picture.count(colour) != width * height
                    for colour in BARS)):
            return None
        return boxes[0]
    box = stage.until('the three bars of the terminal', check)
    stage.must('the terminal shows its colours, %d x %d for each' %
               (box[2], box[3]), True)


def calculator(win):
    """The = is where a calculator has it, in the colour it has."""
    def check():
        rect = stage.rect_of(win)
        if not 360 <= rect[2] <= 400 or rect[3] < 450:
            return None
        picture = stage.shot(rect)
        return any(
            picture.count(colour) > 5000 and
            picture.box(colour)[0] > 270 and
            picture.box(colour)[1] > rect[3] * 3 / 4 for colour in EQUALS)

    def what():
        rect = stage.rect_of(win)
        return 'a whole calculator: %s with %s' % (
            rect, [stage.shot(rect).box(colour) for colour in EQUALS])
    stage.until(what, check)
    stage.must('the GTK program shows all of its window', True)


def screen_of(win):
    return stage.shot(stage.rect_of(win)).data


def at_rest(win):
    return stage.until('a window at rest', lambda: (
        lambda one, two: one == two and one)(screen_of(win), screen_of(win)))


def type_into(win, *keys):
    stage.sway('[con_id=%d]' % win['id'], 'focus')
    stage.until('the focus', lambda: any(
        w['id'] == win['id'] and w['focused'] for w in stage.windows()))
    at_rest(win)
    stage.keys('-d', '30', *keys)


def shows_focus(win):
    """The focus goes elsewhere and comes back, and the window looks different
    then. Not if it was slow: it still looked as before when it was looked at.
    """
    other = next(w for w in stage.windows() if w['id'] != win['id'])
    stage.sway('[con_id=%d]' % other['id'], 'focus')
    before = at_rest(win)
    stage.sway('[con_id=%d]' % win['id'], 'focus')
    end = time.monotonic() + 3
    while time.monotonic() < end:
        if screen_of(win) != before:
            return True
        time.sleep(0.1)
    draw_anew(win)
    return False


def draw_anew(win):
    """GTK 4.8 commits without ever drawing again if its window's focus changed
    before the second frame of its life was laid out. A new size mends it.
    """
    x, y, width, height = stage.rect_of(win)
    for wide in width + 20, width:
        stage.sway('[con_id=%d]' % win['id'], 'resize', 'set', str(wide),
                   str(height))
        stage.until('a size of %d' % wide,
                    lambda: stage.rect_of(win)[2] == wide)
        at_rest(win)
    stage.place(win, x, y)


def calculate(win):
    """What was typed goes up into the history, which was empty."""
    x, y, width, height = stage.rect_of(win)
    history = x + 4, y + 60, width - 8, height - 390

    def written():
        return len(set(stage.shot(history).data)) > 20
    stage.must('the calculator has no history', not written())
    stage.until('a look of being focused', lambda: shows_focus(win))
    type_into(win, '6*7', '-k', 'Return')
    stage.until('a result in the history', written)
    stage.must('the calculator has calculated', True)


def shape(before, after, x, y, reach=32):
    """Where the cursor at (x, y) has pixels."""
    return {(dx, dy) for dy in range(-reach, reach)
            for dx in range(-reach, reach)
            if before.at(x + dx, y + dy) != after.at(x + dx, y + dy)}


def is_beam(pixels):
    """Upright, and the left half is the right half: no arrow."""
    if not pixels:
        return False
    columns = [dx for dx, _ in pixels]
    rows = [dy for _, dy in pixels]
    left, right = min(columns), max(columns)
    mirrored = {(left + right - dx, dy) for dx, dy in pixels}
    return max(rows) - min(rows) > right - left and \
        len(mirrored & pixels) * 10 >= len(pixels) * 9


def point_at(win, picture):
    """Over text the cursor is the terminal's, not the compositor's arrow."""
    rect = stage.rect_of(win)
    x, y = rect[0] + rect[2] // 2, rect[1] + rect[3] * 3 // 4
    without = stage.shot()
    mouse = stage.Pointer()
    mouse.move(x - 40, y)
    mouse.move(x, y)
    stage.until('a cursor for text', lambda: is_beam(
        shape(without, stage.shot(cursor=True), x, y)))
    subprocess.run(['grim', '-c', picture], check=True, timeout=60,
                   env=dict(os.environ, WAYLAND_DISPLAY=stage.HOST))
    stage.must('the cursor is what the terminal wishes', True)


def main():
    options = argparse.ArgumentParser()
    options.add_argument('--console', required=True)
    options.add_argument('--output', required=True)
    options = options.parse_args()

    def arrived():
        text = pathlib.Path(options.console).read_text('utf-8', 'replace')
        return 'typed: ' + TYPED in text
    with stage.Programs() as programs:
        programs.keyboard()
        # In the order of their coming, so that no focus leaves the calculator
        # while it draws for the first time: see draw_anew.
        painter = stage.window(PAINTER)
        stage.place(painter, 20, 410)
        foot = stage.window(TERMINAL)
        stage.place(foot, 20, 30)
        calc = stage.window(CALCULATOR)
        stage.place(calc, 620, 10)  # that of GNOME 48 just fits in
        stage.must('their titles tell whose windows they are',
                   all(win['name'].startswith('[guest] ')
                       for win in (foot, calc)))
        terminal(foot)
        calculator(calc)
        calculate(calc)
        type_into(foot, TYPED, '-k', 'Return')
        stage.until('what was typed, in the guest', arrived)
        stage.must('the guest has what was typed', True)
        at_rest(foot)
        at_rest(calc)
        point_at(foot, options.output)


if __name__ == '__main__':
    main()
