#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""What a guest can do at a real sound server behind policy=pulse, with and
without record, and what it could without: everything that is refused here is
done there, on the same server, by the same client.

    soundpolicy.py TOOL pulseaudio|pipewire
"""
import array
import os
import pathlib
import random
import re
import socket
import stat
import struct
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import pulse
import soundserver
import world
from pulse import ACCESS_DENIED, NONE, text, word
from soundserver import FORMAT

KIND = sys.argv[2]
POLICIES = 'none', 'pulse', 'record'
SAYS = {'none': 'policy=none', 'pulse': 'policy=pulse',
        'record': 'policy=pulse,record'}


class Guest:
    """A home in the guest; sockets that lead to the same server."""

    def __init__(self, tool, server):
        self.tool, self.server = tool, server
        self.home = tool.path / 'home'
        self.home.mkdir()
        self.cookie = bytes(256)
        if KIND == 'pulseaudio':
            self.cookie = server.cookie()
            (self.home / '.config/pulse').mkdir(parents=True)
            (self.home / '.config/pulse/cookie').write_bytes(self.cookie)

    def path(self, policy):
        return self.tool.path / f'guest-{policy}'

    def connect(self, policy):
        return pulse.Client(self.path(policy), self.cookie)

    def run(self, policy, *command):
        return self.server.run(*command, server=f'unix:{self.path(policy)}',
                               home=self.home)

    def start(self, policy, *command, **more):
        return self.server.start(
            command[0], f'--server=unix:{self.path(policy)}', *command[1:],
            home=self.home, **more)


def is_pipe(path):
    return path.exists() and stat.S_ISFIFO(path.stat().st_mode)


def listed(server, what):
    return [line.split('\t') for line in
            server.run('pactl', 'list', 'short', what).splitlines()]


def number_of(server, what, name):
    return int(next(row[0] for row in listed(server, what) if name in row))


def modules(guest, policy):
    """A file of the host at a path of the guest's choice."""
    file = guest.server.home / f'pipe-{policy}'
    client = guest.connect(policy)
    answer = client.ask(pulse.LOAD_MODULE, text('module-pipe-sink') +
                        text(f'file={file} sink_name=pipe-{policy}'))
    client.close()
    if policy == 'none':
        assert answer and answer[0] == 'reply', answer
        world.until('the pipe', lambda: is_pipe(file))
        said = guest.server.run('pactl', 'unload-module',
                                str(struct.unpack('>xI', answer[1])[0]))
        assert not said, said
    else:
        assert answer == ACCESS_DENIED, answer
        assert not file.exists(), 'a file was made'
        assert f'pipe-{policy}' not in str(listed(guest.server, 'sinks'))


def victim(guest):
    """A program of the host that plays: (process, its sink input)"""
    before = {row[0] for row in listed(guest.server, 'sink-inputs')}
    process = guest.server.start(
        'pacat', f'--server={guest.server.native}', *FORMAT, '-d', 'null',
        '/dev/zero')
    fresh = []

    def playing():
        fresh[:] = [row[0] for row in listed(guest.server, 'sink-inputs')
                    if row[0] not in before]
        return fresh

    world.until('it plays', playing)
    return process, int(fresh[0])


def other_streams(guest, policy):
    process, index = victim(guest)
    client = guest.connect(policy)
    # what it is left with the server remembers for the next one
    for command, args in ((pulse.SET_SINK_INPUT_MUTE, word(index) + b'1'),
                          (pulse.SET_SINK_INPUT_MUTE, word(index) + b'0'),
                          (pulse.MOVE_SINK_INPUT, word(index) + word(NONE) +
                           text('null')),
                          (pulse.KILL_SINK_INPUT, word(index))):
        answer = client.ask(command, args)
        if policy == 'none':
            assert answer and answer[0] == 'reply', (command, answer)
        else:
            assert answer == ACCESS_DENIED, (command, answer)
    if policy == 'none':

        def is_killed():
            # a stream that is being moved may outlive the first
            if process.poll() is None:
                client.ask(pulse.KILL_SINK_INPUT, word(index))
            return process.poll() is not None

        world.until('it is killed', is_killed)
    client.close()
    if policy != 'none':
        said = guest.server.run('pactl', 'list', 'sink-inputs')
        assert f'#{index}' in said and 'Mute: yes' not in said, said
        assert process.poll() is None, 'it ended'
        guest.server.end(process)


def samples(guest, policy):
    file = guest.tool.path / f'sample-{policy}'
    file.write_bytes(b'RIFF\x44\0\0\0WAVEfmt \x10\0\0\0\1\0\2\0\x80\xbb\0\0'
                     b'\0\xee\2\0\4\0\x10\0data\x20\0\0\0' + bytes(32))
    said = guest.run(policy, 'pactl', 'upload-sample', str(file),
                     f'sample-{policy}')
    there = f'sample-{policy}' in str(listed(guest.server, 'samples'))
    assert there == (policy == 'none'), said
    client = guest.connect(policy)
    if policy != 'none':
        for command, args in (
                (pulse.PLAY_SAMPLE, word(NONE) + text('null') + word(0x10000) +
                 text('sample-none') + pulse.properties()),
                (pulse.REMOVE_SAMPLE, text('sample-none'))):
            assert client.ask(command, args) == ACCESS_DENIED, command
    client.close()


def settings(guest, policy):
    """Of the host's, for all its programs."""
    client = guest.connect(policy)
    for command, args in (
            (pulse.SET_SINK_VOLUME, word(NONE) + text('null') + pulse.VOLUME),
            (pulse.SET_DEFAULT_SINK, text('null')),
            (pulse.SUSPEND_SINK, word(NONE) + text('null') + b'0'),
            (pulse.STAT, b''), (pulse.GET_CLIENTS, b'')):
        answer = client.ask(command, args)
        if policy == 'none':
            assert answer and answer[0] == 'reply', (command, answer)
        else:
            assert answer == ACCESS_DENIED, (command, answer)
    client.close()
    if policy == 'none':
        guest.server.run('pactl', 'set-sink-volume', 'null', '100%')


def unknown(guest, policy):
    """Nobody knows what it does: it never comes to the server."""
    client = guest.connect(policy)
    answer = client.ask(250)
    if policy == 'none':
        assert answer != ACCESS_DENIED, answer
    else:
        assert answer == ACCESS_DENIED, answer
        assert client.ask(pulse.GET_SERVER_INFO, pieces=1)[0] == 'reply'
    client.close()


def broken(guest, policy):
    """Frames that announce what no library sends."""
    if policy == 'none':
        return
    for data in (pulse.frame(b'', length=0x7fffffff),
                 pulse.frame(b'', length=0),
                 pulse.frame(b'', channel=0, length=0xffffffff),
                 pulse.frame(b'', flags=0x40000000),
                 pulse.frame(bytes(16), channel=0, flags=0xa0000000),
                 pulse.frame(b'L\0\0\0\x14L'),
                 os.urandom(4096)):
        client = guest.connect(policy)
        client.sock.sendall(data)
        assert client.is_over(), data[:40]
        client.close()


def descriptors(guest, policy):
    """Sound has no use for any: none comes to the server."""
    client = guest.connect(policy)
    ends = os.pipe()
    data = pulse.frame(word(pulse.GET_SERVER_INFO) + word(77))
    client.sock.sendmsg([data], [(socket.SOL_SOCKET, socket.SCM_RIGHTS,
                                  array.array('i', ends))])
    for end in ends:
        os.close(end)
    client.tag = 77
    answer = client.answer()
    assert (answer is None) == (policy != 'none'), answer
    client.close()


def spies(guest):
    """All ways to name the monitor of a sink."""
    monitor = number_of(guest.server, 'sources', 'null.monitor')
    sink = number_of(guest.server, 'sinks', 'null')
    process, playing = victim(guest)
    ways = [('its name', pulse.record(name='null.monitor')),
            ('its number', pulse.record(index=monitor)),
            ('its number as a name', pulse.record(name=str(monitor))),
            ("the default sink's", pulse.record(name='@DEFAULT_MONITOR@')),
            ('a stream that plays', pulse.record(direct=playing))]
    if KIND == 'pipewire':
        ways += [("the sink's number", pulse.record(index=sink)),
                 ("the sink's name", pulse.record(name='null')),
                 ('by properties', pulse.record(
                     name='null', stream_capture_sink='true',
                     target_object='null'))]
    return process, ways


def monitors(guest, policy):
    process, ways = spies(guest)
    for name, args in ways:
        client = guest.connect(policy)
        answer = client.ask(pulse.CREATE_RECORD, args)
        if policy == 'none' and name == 'its name':
            assert answer and answer[0] == 'reply', (name, answer)
            assert client.hears(), 'it heard nothing'
        elif policy != 'none':
            assert answer and answer[0] == 'error', (name, answer)
            assert policy == 'record' or answer == ACCESS_DENIED, answer
            assert client.ask(pulse.GET_SERVER_INFO)[0] == 'reply'
            assert client.heard == 0
        client.close()
    guest.server.end(process)


def default_source(guest, policy):
    """While there is no other one, it is the monitor, or none."""
    client = guest.connect(policy)
    answer = client.ask(pulse.CREATE_RECORD, pulse.record())
    if policy == 'none':
        assert KIND == 'pipewire' or client.hears(), answer
    else:
        assert answer and answer[0] == 'error', answer
    client.close()


def microphone(guest, policy):
    """A source that is one."""
    client = guest.connect(policy)
    for args in (pulse.record(name='mic'), pulse.record()):
        answer = client.ask(pulse.CREATE_RECORD, args)
        if policy == 'pulse':
            assert answer == ACCESS_DENIED, answer
        else:
            assert answer and answer[0] == 'reply', answer
            client.heard = 0
            assert client.hears(), 'it heard nothing'
    client.close()


def plays(guest, policy):
    """Samples arrive unchanged, by name and by default."""
    data = soundserver.noise(random.Random(policy).randrange(999))
    file = guest.tool.path / f'samples-{policy}'
    file.write_bytes(data)
    raw = guest.tool.path / f'{policy}.raw'
    recorder = guest.server.record(raw)
    for more in (['-d', 'null'], []):
        soundserver.played(data, raw, lambda: guest.start(
            policy, 'pacat', *FORMAT, *more, '--latency-msec=1500', str(file)))
    guest.server.end(recorder)


def lists(guest, policy):
    """They end, with what they may tell."""
    info = guest.run(policy, 'pactl', 'info')
    assert 'Default Sink: null' in info, info
    assert 'null' in guest.run(policy, 'pactl', 'list', 'short', 'sinks')
    said = guest.run(policy, 'pactl', 'list')
    if policy == 'none':
        assert 'Client #' in said and 'Module #' in said, said
    else:
        assert 'denied' in said and 'Client #' not in said and \
            'Module #' not in said, said


def memory(guest, policy):
    client = guest.connect(policy)
    assert policy == 'none' or not client.version & pulse.SHARES, \
        hex(client.version)
    client.close()


def add_microphone(server):
    said = server.run('pactl', 'load-module', 'module-pipe-source',
                      f'file={server.home}/mic', 'source_name=mic',
                      'format=s16le', 'rate=48000', 'channels=2')
    assert said.strip().isdigit(), said
    feeder = server.start('sh', '-c', f'exec cat /dev/urandom > '
                          f'{server.home}/mic')
    server.run('pactl', 'set-default-source', 'mic')
    world.until('the default source', lambda: 'Default Source: mic' in
                server.run('pactl', 'info'))
    return feeder


def main(suite, tool, server, before):
    guest = Guest(tool, server)
    for policy in POLICIES:
        for test in (plays, lists, memory, modules, other_streams, samples,
                     settings, unknown, broken, default_source, monitors):
            with suite.case(f'{policy}: {test.__name__}'):
                test(guest, policy)
    feeder = add_microphone(server)
    for policy in POLICIES:
        with suite.case(f'{policy}: microphone'):
            microphone(guest, policy)
        with suite.case(f'{policy}: monitors beside a microphone'):
            monitors(guest, policy)
    server.end(feeder)
    for policy in ('pulse', 'record'):
        with suite.case(f'{policy}: descriptors'):
            descriptors(guest, policy)
    with suite.case('descriptors are back where they began'):
        world.until('descriptors are back', lambda: tool.fds() <= before)
    # last, as PulseAudio keeps what it was sent
    with suite.case('none: descriptors'):
        descriptors(guest, 'none')


lacks = soundserver.missing(KIND)
if lacks:
    print(f'1..0 # SKIP no {lacks}')
    sys.exit(0)
suite = world.Suite()
with tempfile.TemporaryDirectory(prefix='vwl-sound.') as folder, \
        soundserver.make(KIND, folder) as server:
    tool = world.Tool(
        sys.argv[1], *(f'--wayland-sock={server.native[len("unix:"):]}'
                       f',name={policy},{SAYS[policy]}'
                       for policy in POLICIES),
        *(f'--socket={policy}:@DIR@/guest-{policy}' for policy in POLICIES))
    before = tool.fds_at_rest()
    main(suite, tool, server, before)
    with suite.case('the log names what was refused, once'):
        said = tool.stop()
        named = re.findall('sound: (.*) is refused', said)
        assert len(named) == len(set(named)), named
        assert {'LOAD_MODULE', 'CREATE_RECORD_STREAM of a monitor'} <= \
            set(named), named
suite.end()
