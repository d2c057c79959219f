#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""From a guest's session to the host's desktop: the agent, a bridge, the
device, a named socket, the module that the service has, and the host's own
launcher, browser and notifications.

    test-desktop.py LOOPBACK AGENT HOST icons|no-icons
"""
import contextlib
import pathlib
import socket
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from channel import PATIENCE, Bus, Session, case, encode, unpng, until
import channel
import world

PREFIX = 'org.vhost_user_wl.vm.test.'
RED = (255, 0, 0, 255)


class Desktop:
    """The host's: folders, a bus with a notification server, the command."""

    def __init__(self, session, program):
        self.path = session.tool.path / 'desktop'
        self.data = self.path / 'data'
        for name in ('home', 'data/applications', 'config', 'cache', 'run',
                     'none'):
            (self.path / name).mkdir(parents=True)
        self.env = dict(session.env)
        for name, folder in (('HOME', 'home'), ('XDG_DATA_HOME', 'data'),
                             ('XDG_CONFIG_HOME', 'config'),
                             ('XDG_CACHE_HOME', 'cache'),
                             ('XDG_RUNTIME_DIR', 'run'),
                             ('XDG_DATA_DIRS', 'none'),
                             ('XDG_CONFIG_DIRS', 'none')):
            self.env[name] = str(self.path / folder)
        self.bus = Bus(self.env)
        self.env['DBUS_SESSION_BUS_ADDRESS'] = self.bus.address
        self.command = self.script('vwl', 'launched')
        self.browser()
        self.process = subprocess.Popen(
            [program, str(session.tool.path / 'channel'), 'test',
             str(self.command)], env=self.env, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.expect('listens')

    def script(self, name, out):
        """A program that writes down how it was called."""
        path, out = self.path / name, self.path / out
        path.write_text(f'#!/bin/sh\necho "$*" >>{out}\n')
        path.chmod(0o755)
        return path

    def browser(self):
        script = self.script('browser', 'opened')
        (self.data / 'applications/browser.desktop').write_text(
            f'[Desktop Entry]\nType=Application\nName=B\nExec={script} %u\n')
        (self.path / 'config/mimeapps.list').write_text(
            '[Default Applications]\n' + ''.join(
                f'x-scheme-handler/{s}=browser.desktop\n'
                for s in ('http', 'https', 'file', 'javascript')))

    def say(self, line):
        self.process.stdin.write(line + '\n')
        self.process.stdin.flush()

    def expect(self, begin):
        """The next line, but for lists that came unasked."""
        while True:
            line = self.process.stdout.readline().rstrip('\n')
            if line.startswith(begin):
                return line
            assert line.startswith('apps '), line

    def read(self, name):
        path = self.path / name
        return path.read_text() if path.exists() else ''

    def entries(self):
        return sorted(p.name for p in (self.data / 'applications').iterdir()
                      if p.name.startswith(PREFIX))

    def icons(self):
        return sorted(str(p.relative_to(self.data / 'icons/hicolor'))
                      for p in (self.data / 'icons').rglob('*.png'))

    def stop(self):
        self.process.stdin.close()
        assert self.process.wait(PATIENCE) == 0
        self.process.stdout.close()
        self.bus.stop()


def listed(_):
    session.entry('org.a.Calc.desktop', 'Name=Calculator\nName[de]=Rechner\n'
                  'Icon=calc\nExec=touch %U\nStartupWMClass=calc\n')
    session.entry('evil.desktop', 'Name=Evil\\nExec=/bin/sh\nExec=true\n'
                  'Actions=a;\nMimeType=x-scheme-handler/http;\n')
    session.icon('calc', 64, RED)
    desktop.say('list')
    desktop.expect('apps 2')
    assert desktop.entries() == [PREFIX + 'evil.desktop',
                                 PREFIX + 'org.a.Calc.desktop']
    text = (desktop.data / f'applications/{PREFIX}org.a.Calc.desktop').read_text()
    assert '\nName=Rechner (test)\n' in text, text
    assert f'\nStartupWMClass={PREFIX}calc\n' in text, text
    assert f'\nExec={desktop.command} launch test org.a.Calc\n' in text, text
    text = (desktop.data / f'applications/{PREFIX}evil.desktop').read_text()
    assert text.count('\nExec=') == 1 and 'MimeType' not in text, text


def pictures(_):
    if sys.argv[4] == 'no-icons':
        assert desktop.icons() == []
        return
    name = f'64x64/apps/{PREFIX}org.a.Calc.png'
    assert desktop.icons() == [name]
    side, pixels = unpng((desktop.data / 'icons/hicolor' / name).read_bytes())
    assert (side, pixels) == (64, bytes(RED) * 64 * 64)
    text = (desktop.data / f'applications/{PREFIX}org.a.Calc.desktop').read_text()
    assert f'\nIcon={PREFIX}org.a.Calc\n' in text, text


def launched(_):
    """The host's launcher runs the command, and that asks the guest."""
    subprocess.run(['gio', 'launch', str(
        desktop.data / f'applications/{PREFIX}org.a.Calc.desktop')], check=True,
        env=desktop.env, timeout=PATIENCE)
    until('the command runs', lambda: desktop.read('launched'))
    assert desktop.read('launched') == 'launch test org.a.Calc\n'
    out = session.path / 'it-ran'
    session.entry('run.desktop', f'Name=R\nExec=touch {out}\n')
    desktop.expect('apps 3')
    desktop.say('launch run')
    desktop.expect('answer 1 0 ')
    until('it runs', out.exists)
    desktop.say('launch nothing')
    desktop.expect('answer 2 127 no such program')


def opened(_):
    assert session.guest('open', 'https://a.example/?q=$(id)').returncode == 0
    until('the browser runs', lambda: desktop.read('opened'))
    assert desktop.read('opened') == 'https://a.example/?q=$(id)\n'
    for link in ('file:///etc/passwd', 'javascript:alert(1)',
                 'https://me:secret@a.example/', 'http://x y'):
        session.guest('open', link)
        desktop.expect('log a link was not opened: ')
    desktop.say('ask')
    desktop.expect('asks')
    session.guest('open', 'https://b.example/x')
    desktop.expect('ask 1 link b.example')
    desktop.say('answer 1')
    until('the browser runs', lambda: desktop.read('opened').count('\n') == 2)
    assert desktop.read('opened').endswith('\nhttps://b.example/x\n')


def notify(*args):
    return subprocess.run(
        ['gdbus', 'call', '--session', '-d', 'org.freedesktop.Notifications',
         '-o', '/org/freedesktop/Notifications', '-m',
         'org.freedesktop.Notifications.' + args[0], *args[1:]],
        env=session.env, text=True, capture_output=True, timeout=PATIENCE)


def noticed(_):
    until('the agent has the name', lambda: 'vwl-guest' in notify(
        'GetServerInformation').stdout)
    done = notify('Notify', 'mail', '0', '', 'Mail', '<img src="x"> two', '[]',
                  "{'urgency': <byte 2>}", '--', '-1')
    number = done.stdout.split()[1].rstrip(',)')
    assert desktop.expect('note ') == ('note 1 test|computer|test: Mail|&lt;img '
                                       'src=&quot;x&quot;&gt; two|1')
    notify('CloseNotification', number)
    desktop.expect('note close 1')


def removed(_):
    (session.path / 'data/applications/evil.desktop').unlink()
    (session.path / 'data/applications/run.desktop').unlink()
    desktop.expect('apps 1')
    assert desktop.entries() == [PREFIX + 'org.a.Calc.desktop']


def hostile(_):
    """In place of the agent: what the parser refuses ends the connection, and
    nothing of it reaches the desktop."""
    hello = encode(channel.HELLO, 0, '1', 'x', 'me', '/home/me')
    before = desktop.entries(), desktop.icons()

    def app(name):
        return encode(channel.APP, 0, name, '', 'A', '', '', '')
    for data in (encode(channel.DONE, 0, '0'), hello + hello, b'\xff' * 8,
                 hello + app('../../x') + encode(channel.DONE, 0, '1'),
                 hello + app('a/b') + encode(channel.DONE, 0, '1'),
                 hello + app('.x') + encode(channel.DONE, 0, '1'),
                 hello + app('x' * 10000) + encode(channel.DONE, 0, '1'),
                 hello + encode(channel.ICON, 0, 'a', '65535', '65535'),
                 hello + encode(channel.LIST, 0)):
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as guest:
            guest.settimeout(PATIENCE)
            guest.connect(str(session.tool.path / 'vwl-host'))
            with contextlib.suppress(BrokenPipeError):  # hung up on
                guest.sendall(data)
            while channel.heard(guest):
                pass
        line = desktop.process.stdout.readline()
        while not line.startswith('end '):
            line = desktop.process.stdout.readline()
        assert line.strip() != 'end', data[:60]
    assert (desktop.entries(), desktop.icons()) == before


def hung_up(_):
    """In the midst of a list: it is none."""
    before = desktop.entries()
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as guest:
        guest.connect(str(session.tool.path / 'vwl-host'))
        guest.sendall(encode(channel.HELLO, 0, '1', 'x', 'me', '/home/me') +
                      encode(channel.APP, 0, 'new', '', 'A', '', '', ''))
        desktop.expect('hello me')
    desktop.expect('end')
    assert desktop.entries() == before


def forgotten(_):
    desktop.say('forget')
    desktop.expect('forgot')
    left = [str(p) for p in desktop.path.rglob('*') if p.is_file() and
            ('vwl-test' in p.name or PREFIX in p.name)]
    assert not left, left


suite = world.Suite()
session = Session(sys.argv[1], sys.argv[2])
desktop = Desktop(session, sys.argv[3])
with case(suite, 'the first words'):
    session.start()
    desktop.expect('hello ')
for title, test in [
        ('entries', listed), ('icons', pictures),
        ('launched by the host', launched), ('links', opened),
        ('notifications', noticed), ('a program goes', removed)]:
    with case(suite, title):
        test(None)
with case(suite, 'the agent ends'):
    session.process.terminate()
    assert session.process.wait(PATIENCE) == 0
    session.process = None
    desktop.expect('end')
    assert desktop.entries() == [PREFIX + 'org.a.Calc.desktop']
for title, test in [('hostile guests', hostile), ('half a list', hung_up),
                    ('the machine is deleted', forgotten)]:
    with case(suite, title):
        test(None)
desktop.stop()
session.stop()
suite.end()
