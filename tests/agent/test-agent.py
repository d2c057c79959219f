#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""The guest's agent between a session of a guest and a host that speaks the
channel: through a bridge, the device and a named socket.

    test-agent.py LOOPBACK AGENT icons|no-icons
"""
import hashlib
import os
import pathlib
import re
import signal
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from channel import (ANSWER, CLOSE, HELLO, LAUNCH, LIST, NOTIFY, OPEN, RESIZE,
                     SIGNAL, Host, Session, case, encode, listen,
                     until)
import world

suite = world.Suite()
session = Session(sys.argv[1], sys.argv[2])
listener = listen(session.tool.path / 'channel')
RED, BLUE = (255, 0, 0, 255), (0, 0, 255, 128)


def accept(**more):
    return Host(listener.accept()[0], **more)


def exits(host):
    """As the program's own, 128 and the signal, 126 and 127."""
    assert host.whole(1, 'sh', '-c', 'exit 7')[0] == 7
    assert host.whole(1, 'sh', '-c', 'kill -9 $$')[0] == 128 + 9
    assert host.whole(1, 'true')[:2] == (0, '')
    status, text, *_ = host.whole(1, 'no-such-program-here')
    assert status == 127 and 'no-such-program-here' in text, text
    status, text, *_ = host.whole(1, '/etc')
    assert status == 126 and text, (status, text)
    status, text, *_ = host.whole(1, 'true', folder='/nowhere')
    assert status == 126 and '/nowhere' in text, text
    status, text, *_ = host.whole(1, 'true', user='somebody')
    assert status == 126 and 'user' in text, text


def streams(host):
    done = host.whole(2, 'sh', '-c', 'cat; echo oops >&2', given=b'to it\n')
    assert done == (0, '', b'to it\n', b'oops\n'), done
    # a file's end, not a socket's: these can be opened
    done = host.whole(2, 'sh', '-c', 'echo a >/dev/stdout; echo b >/dev/stderr')
    assert done[2:] == (b'a\n', b'b\n'), done


def surroundings(host):
    done = host.whole(3, 'sh', '-c', 'pwd; echo $A$HOME; echo "$0|$1"', 'x y',
                      '', env=['A=b=c'], folder='/usr')
    home = session.env['HOME']
    assert done[2] == f'/usr\nb=c{home}\nx y|\n'.encode(), done
    done = host.whole(3, 'pwd')
    assert done[2] == home.encode() + b'\n', done


def much(host):
    data = os.urandom(3 << 20)
    stdin, out, err = host.run(4, 'cat')
    with subprocess.Popen(['cat'], stdin=subprocess.PIPE, stdout=stdin) as pour:
        stdin.close()
        reader = subprocess.Popen(['sha256sum'], stdin=out,
                                  stdout=subprocess.PIPE)
        out.close()
        pour.stdin.write(data)
        pour.stdin.close()
        said = reader.communicate()[0].split()[0].decode()
    err.close()
    assert said == hashlib.sha256(data).hexdigest()
    assert host.answer(4) == (0, '')


def several(host):
    """One waits, others come and go."""
    waits = host.run(5, 'cat')
    for job in range(6, 12):
        assert host.whole(job, 'echo', str(job))[2] == f'{job}\n'.encode()
    waits[0].close()
    assert host.answer(5) == (0, '')
    for file in waits[1:]:
        file.close()


def too_many(host):
    running = [host.run(100 + i, 'cat') for i in range(32)]
    for i in range(32): # they run by now
        running[i][0].write(b'x')
        assert running[i][1].read(1) == b'x'
    status, text, *_ = host.whole(200, 'true')
    assert status == 126 and 'too many' in text, text
    status, text, *_ = host.whole(100, 'true')
    assert status == 126 and 'under way' in text, text
    for files in running:
        for file in files:
            file.close()
    for i in range(32):
        assert host.answer(100 + i) == (0, '')


def reader_goes(host):
    """The program is told as a pipe tells it."""
    stdin, out, err = host.run(12, 'yes')
    assert out.read(2) == b'y\n'
    out.close()
    assert host.answer(12) == (128 + signal.SIGPIPE, '')
    stdin.close()
    err.close()


def signals(host):
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP,
                   signal.SIGKILL):
        files = host.run(13, 'sh', '-c', 'echo up; exec sleep 1000')
        assert files[1].read(3) == b'up\n'
        host.say(SIGNAL, 13, str(int(number)))
        assert host.answer(13) == (128 + number, ''), number
        for file in files:
            file.close()
    host.say(SIGNAL, 13, '2') # of a job that is over


def terminal(host):
    # what is typed does not wait for the new size, nor this for that
    stdin, out, err = host.run(14, 'sh', '-c', 'stty size; read a; '
                               'until [ "$(stty size)" = "50 132" ]; do '
                               'sleep 0.1; done; stty size; '
                               'tty >/dev/null && echo tty $a',
                               tty=(24, 80), env=['TERM=dumb'])
    assert out.read(7) == b'24 80\r\n'
    host.say(RESIZE, 14, '50', '132')
    stdin.write(b'typed\n')
    said = b''
    while b'tty typed\r\n' not in said:
        said += out.read(1)
    assert b'50 132\r\n' in said, said
    assert host.answer(14) == (0, '')
    assert out.read() == b'' and err.read() == b''
    for file in (stdin, out, err):
        file.close()


def terminal_keys(host):
    """Ctrl-C is a byte there; the end of the input is Ctrl-D. (A shell that
    is about to start a program may swallow a SIGINT.)"""
    stdin, out, err = host.run(15, 'sh', '-c', 'echo up; exec sleep 1000',
                               tty=(24, 80))
    assert out.read(4) == b'up\r\n'
    stdin.write(b'\x03')
    assert host.answer(15) == (128 + signal.SIGINT, '')
    for file in (stdin, out, err):
        file.close()
    stdin, out, err = host.run(15, 'cat', tty=(24, 80))
    stdin.close()
    assert host.answer(15) == (0, '')
    out.close()
    err.close()


def background(host):
    """What a program leaves behind holds its output, not its end. (A shell
    would give it /dev/null to read from.)"""
    stdin, out, err = host.run(16, 'sh', '-c', 'exec 3<&0; '
                               '(read a <&3; echo late) & echo now')
    assert host.answer(16) == (0, '')
    assert out.read(4) == b'now\n'
    for file in (stdin, out, err):
        file.close()


def install():
    session.entry('org.a.Calc.desktop', 'Name=Calculator\nName[de]=Rechner\n'
                  'Comment=Adds\nIcon=calc\nExec=true %U\nKeywords=sum;add;\n'
                  'Categories=Utility;\nStartupWMClass=calc-class\n')
    session.entry('hidden.desktop', 'Name=H\nExec=true\nNoDisplay=true\n')
    session.entry('gone.desktop', 'Name=G\nExec=true\nHidden=true\n')
    session.entry('top.desktop', 'Name=T\nExec=true\nTerminal=true\n')
    session.entry('set.desktop', 'Name=S\nExec=true\nCategories=Settings;\n')
    session.entry('kde.desktop', 'Name=K\nExec=true\nOnlyShowIn=KDE;\n')
    session.entry('try.desktop', 'Name=Y\nExec=true\nTryExec=/no/where\n')
    session.entry('a b..c.desktop', 'Name=Odd! name: x\nExec=true\n')
    session.icon('calc', 64, RED)
    session.icon('calc', 128, BLUE)
    session.broken_icon('calc')


def programs(host):
    host.say(LIST, 0)
    apps, icons = host.list()
    odd = [i for i in apps if i.startswith('a_b__c-')]
    assert len(odd) == 1 and re.fullmatch('[A-Za-z0-9_.-]+', odd[0]), apps
    assert apps.pop(odd[0])[1] == 'Odd! name: x'
    assert apps == {'org.a.Calc': ['calc-class', 'Rechner', 'Adds', 'sum;add;',
                                   'Utility;']}, apps
    if sys.argv[3] == 'icons': # built with gdk-pixbuf
        assert set(icons) == {('org.a.Calc', 64), ('org.a.Calc', 128)}, \
            set(icons)
        assert icons['org.a.Calc', 128] == bytes(BLUE) * 128 * 128
    else:
        assert not icons


def changes(host):
    """A list comes by itself."""
    session.entry('org.b.New.desktop', 'Name=New\nExec=true\n')
    while 'org.b.New' not in host.list()[0]:
        pass


def launch(host):
    out = session.path / 'launched'
    script = session.path / 'script'
    script.write_text(f'#!/bin/sh\necho "$XDG_ACTIVATION_TOKEN $#" >{out}.new\n'
                      f'mv {out}.new {out}\n')
    script.chmod(0o755)
    session.entry('run.desktop', f'Name=R\nExec={script} %u\n')
    while 'run' not in host.list()[0]: # the agent knows of it
        pass
    host.say(LAUNCH, 20, 'run', 'a-token')
    assert host.answer(20) == (0, '')
    until('it runs', out.exists)
    assert out.read_text() == 'a-token 0\n', out.read_text()
    host.say(LAUNCH, 21, 'nothing', '')
    assert host.answer(21) == (127, 'no such program')
    session.entry('bad.desktop', 'Name=B\nExec=true "\n')
    host.say(LAUNCH, 22, 'bad', '')
    assert host.answer(22)[0] in (126, 127)


def links(host):
    done = session.guest('open', 'https://a.example/?b=c d')
    assert done.returncode == 0, done.stdout
    assert host.expect(OPEN) == b'https://a.example/?b=c d\0'
    done = session.guest('open', 'https://' + 'a' * 3000)
    assert done.returncode == 1 and 'not opened' in done.stdout, done.stdout


def notify(*args):
    return subprocess.run(
        ['gdbus', 'call', '--session', '-d', 'org.freedesktop.Notifications',
         '-o', '/org/freedesktop/Notifications', '-m',
         'org.freedesktop.Notifications.' + args[0], *args[1:]],
        env=session.env, text=True, capture_output=True, timeout=60)


def notifications(host):
    until('the agent has the name', lambda: 'vwl-guest' in notify(
        'GetServerInformation').stdout)
    done = notify('Notify', 'mail', '0', '', 'Title', 'Body\nof it', '[]',
                  "{'urgency': <byte 2>}", '--', '-1')
    number = re.fullmatch(r'\(uint32 (\d+),\)\n', done.stdout).group(1)
    assert host.expect(NOTIFY) == f'{number}\0Title\0Body of it\0'.encode() + \
        b'2\0'
    notify('Notify', 'mail', number, '', 'Two', '', '[]', '{}', '--', '-1')
    assert host.expect(NOTIFY) == f'{number}\0Two\0\0'.encode() + b'1\0'
    notify('CloseNotification', number)
    assert host.expect(CLOSE) == f'{number}\0'.encode()
    heard = session.path / 'heard'
    with open(heard, 'w') as file:
        monitor = subprocess.Popen(
            ['gdbus', 'monitor', '--session', '-d',
             'org.freedesktop.Notifications'], env=session.env, stdout=file)

    def told():
        """Again: the monitor may say whose name it is before it listens."""
        host.say(CLOSE, 0, '77')
        return 'NotificationClosed (uint32 77, uint32 2)' in heard.read_text()
    try:
        until('programs are told of the end', told)
    finally:
        monitor.terminate()
        monitor.wait()


def doctor(_):
    done = session.guest(f'--socket={session.tool.path}/vwl-host', 'doctor')
    assert re.search(r'^ok    agent: connected to a test$', done.stdout, re.M), \
        done.stdout
    assert re.search(r'^ok    bridge, for the agent: ', done.stdout, re.M)
    for line in done.stdout.splitlines():
        assert re.match(r'(ok  |warn|FAIL)  \S|      -> |Everything', line), line
    if not os.path.exists('/dev/wl0'):
        assert done.returncode == 1 and 'FAIL  /dev/wl0: not there' in \
            done.stdout


def refused(what, data):
    """A host that breaks the rules is left, and found again."""
    host = accept(greet=False)
    host.sock.sendall(data)
    try:
        while True:
            host.take()
    except EOFError:
        pass
    host.sock.close()


with case(suite, 'the first words'):
    install()  # before: nobody can say when it knows of a change
    session.start()
    main = accept(languages='xx:C.UTF-8:de')
    assert main.hello[0] == '1' and main.hello[1].startswith('vwl-guest '), \
        main.hello
    assert main.hello[3] == session.env['HOME'], main.hello
for title, test in [
        ('exit statuses', exits), ('standard streams', streams),
        ('arguments, folder and environment', surroundings),
        ('much both ways', much), ('several at a time', several),
        ('too many', too_many), ('a reader that goes', reader_goes),
        ('signals', signals), ('a terminal', terminal),
        ('keys of a terminal', terminal_keys),
        ('a child that stays', background), ('programs', programs),
        ('changes', changes), ('launching', launch), ('links', links),
        ('notifications', notifications), ('doctor', doctor)]:
    with case(suite, title):
        test(main)
with case(suite, 'descriptors are back'):
    # after all that opens some of its own at its first use
    before = session.fds_at_rest()
    for i in range(20):
        main.whole(40, 'cat', given=b'x')
        main.whole(41, 'true', tty=(24, 80))
        main.whole(42, 'no-such-program-here')
    until('descriptors are back', lambda: session.fds() <= before)
with case(suite, 'the host hangs up'):
    held = main.run(30, 'sh', '-c', 'echo up; exec sleep 1000')
    assert held[1].read(3) == b'up\n'
    main.sock.close()
    assert held[1].read() == b'' # the program was ended
    for file in held:
        file.close()
    assert 'no links' in session.guest('open', 'https://a.example/').stdout or \
        'not connected' in session.guest('open', 'https://a.example/').stdout
for title, data in [
        ('no HELLO', encode(LIST, 0)),
        ('another version', encode(HELLO, 0, '2', 'a', '', '0')),
        ('two HELLOs', encode(HELLO, 0, '1', 'a', '', '0') * 2),
        ("a guest's frame", encode(HELLO, 0, '1', 'a', '', '0') +
         encode(ANSWER, 1, '0', '')),
        ('4 GiB', b'\xff' * 8),
        ('EXEC without descriptors', encode(HELLO, 0, '1', 'a', '', '0') +
         encode(7, 1, '0', '0', '0', '', '', '1', 'id', '0'))]:
    with case(suite, 'a host that breaks the rules: ' + title):
        refused(title, data)
with case(suite, 'a host that allows nothing'):
    host = accept(may=0)
    host.whole(1, 'true')
    done = session.guest('open', 'https://a.example/')
    assert done.returncode == 1 and 'opens no links' in done.stdout, done.stdout
    done = notify('Notify', 'mail', '0', '', 'T', '', '[]', '{}', '--', '-1')
    assert done.returncode != 0 and 'no notifications' in done.stderr
    host.sock.close()
with case(suite, 'a byte at a time'):
    host = accept(greet=False)
    for byte in encode(HELLO, 0, '1', 'a', '', '0') + encode(LIST, 0):
        host.sock.sendall(bytes([byte]))
    assert host.list()[0]
    host.sock.close()
with case(suite, 'the end'):
    session.stop()
    left = session.guest('open', 'https://a.example/')
    assert left.returncode == 1 and 'no agent' in left.stdout
listener.close()
suite.end()
