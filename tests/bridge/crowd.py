#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Screens of scale 2, and fifty programs at once."""
import os
import random

import apps
import stage
from actor import Actor, Window
from stage import GUEST, PREFIX, must, until

SCALE = 2
BIG = (1600, 1000)


class Noise(Window):
    """Every pixel of a sharp buffer by chance; it changes piece by piece,
    by two buffers in turn, each behind by what the other showed."""

    def __init__(self, actor, app_id, width, height):
        self.dice = random.Random(5)
        self.rows = [bytearray(self.dice.randbytes(SCALE * width * 4))
                     for _ in range(SCALE * height)]
        self.buffers = []
        super().__init__(actor, app_id, width, height, None)

    def on_configure(self):
        pass

    def start(self):
        actor = self.actor
        wide, high = SCALE * self.width, SCALE * self.height
        size = wide * high * 4
        self.file = os.memfd_create('noise')
        os.ftruncate(self.file, 2 * size)
        pool = actor.make(actor.shm, 'create_pool', self.file, 2 * size)
        self.buffers = [
            actor.make(pool, 'create_buffer', i * size, wide, high, wide * 4,
                       1) for i in range(2)]
        actor.say(self.surface, 'set_buffer_scale', SCALE)
        self.shown = [0, 0]
        self.show(0, ('damage', 0, 0, self.width, self.height))

    def show(self, turn, damage):
        actor, which = self.actor, turn % 2
        if self.shown[which]:
            actor.wait('wl_buffer.release', self.buffers[which],
                       self.shown[which])
        self.shown[which] += 1
        whole = b''.join(self.rows)
        os.pwrite(self.file, whole, which * len(whole))
        actor.say(self.surface, 'attach', self.buffers[which], 0, 0)
        actor.say(self.surface, *damage)
        actor.say(self.surface, 'commit')

    def change(self, turn):
        """A piece in the surface's pixels, or in the buffer's."""
        dice, scale = self.dice, SCALE if turn % 3 else 1
        right, high = self.width * SCALE // scale, self.height * SCALE // scale
        x, y = dice.randrange(right - 20), dice.randrange(high - 20)
        w, h = dice.randrange(1, 20), dice.randrange(1, 20)
        for line in range(y * scale, (y + h) * scale):
            self.rows[line][4 * x * scale:4 * (x + w) * scale] = \
                dice.randbytes(4 * w * scale)
        self.show(turn, ('damage' if scale > 1 else 'damage_buffer',
                         x, y, w, h))

    def expected(self):
        wanted = b''
        for row in self.rows:
            line = bytearray(len(row) // 4 * 3)
            for channel in range(3):
                line[channel::3] = row[2 - channel::4]
            wanted += line
        return wanted


def sharp():
    stage.sway('output', 'HEADLESS-1', 'resolution', '%dx%d' % BIG,
               'scale', str(SCALE))
    actor = Actor(GUEST).start()
    output = actor.bind('wl_output', 3)
    until('the scale', lambda: [s.args for s in actor.all(
        'wl_output.scale', output)][-1:] == [[SCALE]])
    noise = Noise(actor, 'sharp', 201, 133)
    noise.start()
    stage.place(stage.window(PREFIX + 'sharp'), 50, 40)
    must('it learns of its screen',
         actor.wait('wl_surface.enter').args == [output])
    for turn in range(1, 60):
        noise.change(turn)

    def right():
        picture = stage.shot()
        return picture.width == BIG[0] and picture.cut(
            50 * SCALE, 40 * SCALE, 201 * SCALE, 133 * SCALE) == \
            noise.expected()
    until('every pixel of its own', right)
    must('every pixel of its own', True)
    actor.close()


def sharp_cursor():
    stage.sway('output', 'HEADLESS-1', 'resolution', '%dx%d' % BIG,
               'scale', str(SCALE))
    mouse = stage.Pointer((BIG[0] // SCALE, BIG[1] // SCALE))
    actor = Actor(GUEST).start().take_seat()
    Window(actor, 'cursor', 300, 200, (200, 0, 0))
    stage.place(stage.window(PREFIX + 'cursor'), 100, 100)
    mouse.move(150, 150)
    serial = actor.wait('wl_pointer.enter').args[0]
    cursor = actor.surface()
    actor.say(actor.pointer, 'set_cursor', serial, cursor, 3, 5)
    actor.paint(cursor, 17, 23, (0, 200, 0), SCALE)
    box = SCALE * (150 - 3), SCALE * (150 - 5), SCALE * 17, SCALE * 23

    def is_there():
        picture = stage.shot(cursor=True)
        return picture.box((0, 200, 0)) == box and \
            picture.count((0, 200, 0)) == box[2] * box[3]
    until('a cursor of scale 2 by its hot spot', is_there)
    must('a cursor of scale 2 by its hot spot', True)
    actor.close()


def scaled(app_id, command, slack=0, pairs=1):
    """From scale 2 to 1 and back; asks another pair if only back differs."""
    for left in range(pairs - 1, -1, -1):
        stage.sway('output', 'HEADLESS-1', 'scale', str(SCALE))
        with stage.Programs() as programs:
            twins = apps.Twins(programs, app_id, command, slack)
            twins.size(640, 420)
            twins.alike('at scale 2')
            stage.sway('output', 'HEADLESS-1', 'scale', '1')
            twins.alike('at scale 1')
            stage.sway('output', 'HEADLESS-1', 'scale', str(SCALE))
            try:
                twins.alike('at scale 2 again')
            except stage.Never as failure:
                if not left:
                    raise
                print('#', failure, '- asking another pair', flush=True)
            else:
                twins.end()
                return
        until('nobody', lambda: not stage.windows())


def programs_of_scale_2():
    stage.sway('output', 'HEADLESS-1', 'resolution', '%dx%d' % BIG,
               'scale', str(SCALE))
    until('the scale', lambda: stage.shot().width == BIG[0])
    scaled('foot', ['foot', '-e', 'sh', '-c', 'echo sharp; sleep 1000'])
    scaled('gtk4-demo', ['gtk4-demo'])
    # A caret that blinks. And now and then Qt keeps a frame that it drew for
    # scale 1 and shows it at scale 2, on the host as well.
    scaled('featherpad', ['featherpad', '--standalone'], 256, pairs=3)
    stage.sway('output', 'HEADLESS-1', 'resolution', '%dx%d' % stage.SIZE,
               'scale', '1')


def colour_of(i):
    return 40 + 4 * i, 250 - 4 * i, 17 * i % 256


def fifty():
    places = [(100 * (i % 10) + 5, 120 * (i // 10) + 5) for i in range(50)]
    crowd = [Actor(GUEST) for _ in places]
    wins = [Window(actor.start(), 'one%d' % i, 80, 60, (1, 2, 3))
            for i, actor in enumerate(crowd)]
    until('fifty windows', lambda: len(stage.windows()) == 50)
    ids = {win['app_id']: win['id'] for win in stage.windows()}
    stage.sway('; '.join(
        '[con_id=%d] move absolute position %d %d' %
        (ids['%sone%d' % (PREFIX, i)], *place)
        for i, place in enumerate(places)))
    for turn in range(5):
        for i, win in enumerate(wins):
            win.colour = colour_of(i) if turn == 4 else (turn, i, 0)
            win.paint()

    def are_there(which):
        picture = stage.shot()
        return all((picture.cut(x, y, 80, 60) ==
                    bytes(colour_of(i)) * 4800) == (i in which)
                   for i, (x, y) in enumerate(places))
    until('fifty windows', lambda: are_there(range(50)))
    must('fifty programs, each in its place', True)
    for i in range(0, 50, 2):
        crowd[i].close()
    until('half of them', lambda: are_there(range(1, 50, 2)))
    must('half of them go, half of them stay', True)
    for i in range(1, 50, 2):
        crowd[i].sync()
        crowd[i].close()
    until('nobody', lambda: not stage.windows())


if __name__ == '__main__':
    stage.main(fifty, sharp, sharp_cursor, programs_of_scale_2)
