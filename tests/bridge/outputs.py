#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Twenty programs while three screens come, go and change their scale: none
ends, no window is lost, and each still takes a new size afterwards.
"""
import stage
from stage import GUEST, PREFIX, must, until

COMMANDS = (['foot', '-e', 'sleep', '1000'],
            ['weston-terminal', '--shell=/bin/sh'],
            ['gtk4-demo'], ['featherpad', '--standalone'])
PROGRAMS, ROUNDS = 20, 3
SCALES = (1, 2, 1.5)


def outputs():
    return [o['name'] for o in stage.sway('-t', 'get_outputs') if o['active']]


def add_three():
    before = set(outputs())
    for scale in SCALES:
        known = set(outputs())
        stage.sway('create_output')
        new = until('another screen', lambda: set(outputs()) - known).pop()
        stage.sway('output', new, 'resolution', '900x600', 'scale',
                   str(scale))
    return sorted(set(outputs()) - before)


def remove(name):
    """Sway 1.8 and later can unplug one; before, it is only dark."""
    if stage.sway('output', name, 'unplug')[0]['success']:
        until(name + ' is gone', lambda: name not in outputs())
    else:
        stage.sway('output', name, 'dpms', 'off')


class Crowd:
    def __init__(self, programs):
        self.programs = [programs.run(GUEST, *COMMANDS[i % len(COMMANDS)])
                         for i in range(PROGRAMS)]
        until('%d windows' % PROGRAMS,
              lambda: len(self.windows()) == PROGRAMS)

    def windows(self):
        return [w for w in stage.windows() if w['app_id'].startswith(PREFIX)]

    def check(self, what):
        for program in self.programs:
            if program.poll() is not None:
                raise SystemExit('FAILED: %s: %s ended with %d' % (
                    what, program.args[0], program.returncode))
        until('%s: every window' % what,
              lambda: len(self.windows()) == PROGRAMS)

    def spread(self, names):
        for i, win in enumerate(self.windows()):
            stage.sway('[con_id=%d]' % win['id'], 'move', 'container', 'to',
                       'output', names[i % len(names)])

    def size(self, width, height):
        """Each takes it, as near as its letters allow."""
        def others():
            return [w for w in self.windows()
                    if abs(w['rect']['width'] - width) > 40 or
                    abs(w['rect']['height'] - height) > 40]

        def sized():
            # again: sway gives none more than its screen, which may be late
            for win in others():
                stage.sway('[con_id=%d]' % win['id'], 'resize', 'set',
                           str(width), str(height))
            return not others()
        until(lambda: '%dx%d: %s' % (width, height, others()), sized)


def main():
    with stage.Programs() as programs:
        programs.keyboard()
        crowd = Crowd(programs)
        home = outputs()[0]
        for number in range(ROUNDS):
            names = add_three()
            crowd.spread([home] + names)
            crowd.check('on four screens')
            for turn in range(len(SCALES)):
                for i, name in enumerate([home] + names):
                    stage.sway('output', name, 'scale',
                               str(SCALES[(turn + i) % len(SCALES)]))
                crowd.check('at other scales')
            for name in names:
                remove(name)
                crowd.check('without ' + name)
            crowd.spread([home])
            stage.sway('output', home, 'scale', '1')
            crowd.size(800 + 60 * number, 520 + 30 * number)
            must('%d programs through round %d' % (PROGRAMS, number + 1),
                 True)
        for program in crowd.programs:
            program.terminate()
        until('no window', lambda: not crowd.windows())
        print('# %d programs, %d screens made and removed, %d scales' % (
            PROGRAMS, ROUNDS * 3, ROUNDS * len(SCALES) * 4))
        # those who come later are served as before
        late = programs.run(GUEST, 'foot', '-e', 'sleep', '1000')
        until('a later window', lambda: crowd.windows())
        late.terminate()


if __name__ == '__main__':
    main()
