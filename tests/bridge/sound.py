#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""A real sound server at the host, its clients in the guest, with settings as
they come: what is played there is, byte for byte, what the server's null sink
was given; and what is recorded there is what was played.

    sound.py TOOL pulseaudio|pipewire
"""
import pathlib
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import soundserver
import world
from soundserver import FORMAT

KIND = sys.argv[2]


def main(suite, tool, server):
    where, home = tool.path, tool.path / 'home'
    guest = f'unix:{where}/guest-native'
    home.mkdir()
    if KIND == 'pulseaudio':
        (home / '.config/pulse').mkdir(parents=True)
        (home / '.config/pulse/cookie').write_bytes(server.cookie())
    samples = soundserver.noise()
    (where / 'samples').write_bytes(samples)
    with suite.case('a client in the guest reaches the server'):
        info = server.run('pactl', 'info', server=guest, home=home)
        assert 'Default Sink: null' in info, info
    with suite.case('samples played in the guest arrive unchanged'):
        recorders = [
            server.record(where / 'host.raw'),
            server.record(where / 'guest.raw', server=guest, home=home)]
        soundserver.played(
            samples, where / 'host.raw', lambda: server.start(
                'pacat', '--server=' + guest, *FORMAT, '-d', 'null',
                '--latency-msec=1500', str(where / 'samples'), home=home))
    with suite.case('what the guest records is unchanged, too'):
        # what the host plays, until the guest heard all of it
        soundserver.played(
            samples, where / 'guest.raw', lambda: server.start(
                'pacat', '--server=' + server.native, *FORMAT, '-d', 'null',
                '--latency-msec=1500', str(where / 'samples')))
        for process in recorders:
            server.end(process)
    if KIND == 'pulseaudio':
        with suite.case('memory is shared with the host, not with the guest'):
            before = len(server.sharing())
            server.run('pactl', 'info')
            assert server.sharing()[before:] == ['yes'], 'it shares nothing'
            server.run('pactl', 'info', server=guest, home=home)
            assert server.sharing()[before:] == ['yes', 'no'], server.said()
    with suite.case('a server that goes takes its clients with it'):
        waiting = server.start('pactl', '--server=' + guest, 'subscribe',
                               home=home, stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL)
        world.until('it is there', lambda: server.run(
            'pactl', 'list', 'short', 'clients').count('pactl') == 2)
        assert waiting.poll() is None
        server.end(server.process)
        assert waiting.wait(60) != 0


lacks = soundserver.missing(KIND)
if lacks:
    print(f'1..0 # SKIP no {lacks}')
    sys.exit(0)
suite = world.Suite()
with tempfile.TemporaryDirectory(prefix='vwl-sound.') as folder, \
        soundserver.make(KIND, folder) as server:
    tool = world.Tool(
        sys.argv[1], f'--wayland-sock={server.native[len("unix:"):]}'
        ',name=sound,policy=none', '--socket=sound:@DIR@/guest-native')
    before = tool.fds_at_rest()
    main(suite, tool, server)
    with suite.case('descriptors are back where they began'):
        world.until('descriptors are back', lambda: tool.fds() <= before)
    with suite.case('the tool ends well'):
        tool.stop()
suite.end()
