#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Windows from their beginning to their end on mutter, which gives no
pictures: what it says to the programs is all there is to see.
"""
import os
import subprocess

import stage
from actor import Actor, Popup, Window
from stage import GUEST, HOST, WORK, must, until

SCREEN = [1280, 800]
RED, GREEN = (200, 0, 0), (0, 200, 0)
MAXIMIZED, FULLSCREEN = 1, 2


def drawn(actor, win, frames=5):
    """Only what is on a screen is told of frames."""
    for _ in range(frames):
        frame = actor.make(win.surface, 'frame')
        win.paint()
        actor.wait('wl_callback.done', frame)


def configured(actor, win, size, state):
    def check():
        last = actor.last('xdg_toplevel.configure', win.top)
        states = last.args[2]
        return (last.args[:2] == size and
                (state in states[::4]) and win.width == size[0])
    until('%s, %d' % (size, state), check)
    drawn(actor, win, 2)


def one_window():
    for display in (HOST, GUEST):
        print('-- on the host' if display == HOST else '-- on the guest')
        actor = Actor(display).start()
        output = actor.bind('wl_output', 4)
        win = Window(actor, 'lives', 300, 200, RED)
        actor.wait('wl_surface.enter', win.surface)
        must('it knows its screen', actor.last(
            'wl_surface.enter', win.surface).args == [output])
        drawn(actor, win)
        must('it is drawn', True)
        actor.say(win.top, 'set_fullscreen', 0)
        configured(actor, win, SCREEN, FULLSCREEN)
        actor.say(win.top, 'unset_fullscreen')
        until('its own size', lambda: FULLSCREEN not in actor.last(
            'xdg_toplevel.configure', win.top).args[2][::4])
        must('the whole screen, and back', True)
        actor.say(win.top, 'set_maximized')
        configured(actor, win, SCREEN, MAXIMIZED)
        must('it is maximized', True)
        menu = Popup(actor, win, (10, 10), (90, 60), GREEN)
        actor.wait('wl_surface.enter', menu.surface)
        drawn_menu = actor.make(menu.surface, 'frame')
        menu.on_configure()
        actor.wait('wl_callback.done', drawn_menu)
        must('a menu is drawn', True)
        menu.end()
        for obj in (win.top, win.xdg, win.surface):
            actor.say(obj, 'destroy')
        actor.sync()
        again = Window(actor, 'lives', 200, 100, GREEN)
        drawn(actor, again)
        must('another one comes after it', True)
        actor.close()


def programs():
    path = WORK + '/traced'
    with stage.Programs() as started:
        tool = started.run(
            HOST, os.environ['VWL_TOOL'], '--wayland-sock=' + HOST,
            '--listen=' + path, '--trace')
        until('a bridge', lambda: os.path.exists(path))
        log = WORK + '/program.log'
        for number, command in enumerate((
                ['foot', '-e', 'sh', '-c', 'while :; do date; sleep 0.2; done'],
                ['weston-terminal', '--shell=/bin/sh'], ['gtk4-demo'],
                ['featherpad', '--standalone']), 1):
            program = started.run(path, *command,
                                  stdout=subprocess.DEVNULL)

            def said(text):
                mark = '[%d] <- ' % number
                with open(log, encoding='utf-8', errors='replace') as file:
                    return any(mark in line and text in line
                               for line in file)
            for text in ('wl_surface#', 'wl_callback#'):
                until('%s on its screen: %s' % (command[0], text),
                      lambda: said(text) or program.poll() is not None)
            must(command[0] + ' is on the screen', said('.enter(') and
                 program.poll() is None)
            program.terminate()
            program.wait()
            must(command[0] + ' made no mistake',
                 not said('wl_display#1.error'))
        tool.terminate()
        must('the bridge ends as it should', tool.wait() == 0)


def kills():
    idle = Actor(GUEST).start()
    win = Window(idle, 'idle', 100, 100, GREEN)
    drawn(idle, win)
    for _ in range(5):
        victim = Actor(GUEST).start()
        drawn(victim, Window(victim, 'victim', 300, 200, RED))
        victim.close()
    drawn(idle, win)
    must('programs that end leave the others alone', True)
    os.kill(int(os.environ['VWL_HOST_COMPOSITOR_PID']), 9)
    until('the end', lambda: idle.gone)
    must('programs learn that the compositor was killed', True)
    idle.close()


if __name__ == '__main__':
    stage.main(one_window, programs, kills)
