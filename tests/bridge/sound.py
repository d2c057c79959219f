#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""A real sound server at the host, its clients in the guest: what is played
there is, byte for byte, what the server's null sink was given; and what is
recorded there is what was played.

    sound.py TOOL
"""
import os
import pathlib
import random
import re
import shutil
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import world

for program in ('pulseaudio', 'pacat', 'parec', 'pactl'):
    if shutil.which(program) is None:
        print(f'1..0 # SKIP no {program}')
        sys.exit(0)

FORMAT = ['--raw', '--format=s16le', '--rate=48000', '--channels=2']
FRAMES = 48000
running = []


def start(where, *command, home, **more):
    """All have the same home, and so the server's cookie."""
    folder = where / 'home'
    folder.mkdir(exist_ok=True)
    env = {'PATH': os.environ['PATH'], 'HOME': str(folder),
           'XDG_RUNTIME_DIR': str(folder), 'LC_ALL': 'C',
           'PULSE_RUNTIME_PATH': str(folder)}
    process = subprocess.Popen(command, env=env, **more)
    running.append(process)
    return process


def said(where, *command, home):
    process = start(where, *command, home=home, stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT)
    return process.communicate(timeout=60)[0].decode()


def noise():
    """Samples that are like nothing else, and none that is silence."""
    return random.Random(1).randbytes(FRAMES * 4).replace(b'\0', b'\1')


def main(suite, tool):
    where = tool.path
    native, guest = f'unix:{where}/native', f'unix:{where}/guest-native'
    log = open(where / 'pulse.log', 'w')
    server = start(where, 'pulseaudio', '-n', '--daemonize=no', '-v',
                   '--exit-idle-time=-1', '--use-pid-file=no',
                   '--disable-shm=no', '--high-priority=no', '--realtime=no',
                   '-L', f'module-native-protocol-unix socket={where}/native',
                   '-L', 'module-null-sink sink_name=null format=s16le '
                   'rate=48000 channels=2',
                   home='host', stdout=log, stderr=log)
    samples = noise()
    (where / 'samples').write_bytes(samples)
    with suite.case('a client in the guest reaches the server'):
        world.until('the server serves', lambda: server.poll() is None and
                    'null' in said(where, 'pactl', '--server=' + native,
                                   'list', 'short', 'sinks', home='host'))
        info = said(where, 'pactl', '--server=' + guest, 'info', home='guest')
        assert 'Default Sink: null' in info, info
    with suite.case('samples played in the guest arrive unchanged'):
        host_file = open(where / 'host.raw', 'wb')
        guest_file = open(where / 'guest.raw', 'wb')
        at_host = start(where, 'parec', '--server=' + native, *FORMAT,
                        '-d', 'null.monitor', home='host', stdout=host_file)
        at_guest = start(where, 'parec', '--server=' + guest, *FORMAT,
                         '-d', 'null.monitor', home='guest',
                         stdout=guest_file)
        world.until('both record', lambda: (
            os.path.getsize(where / 'host.raw') > 0 and
            os.path.getsize(where / 'guest.raw') > 0))
        # all of it is with the server before the first is played
        player = start(where, 'pacat', '--server=' + guest, *FORMAT,
                       '-d', 'null', '--latency-msec=1500',
                       str(where / 'samples'), home='guest')
        assert player.wait(120) == 0, 'pacat failed'
        world.until('the host heard it', lambda: samples in (
            where / 'host.raw').read_bytes(), 60)
    with suite.case('what the guest records is unchanged, too'):
        world.until('the guest heard it', lambda: samples in (
            where / 'guest.raw').read_bytes(), 60)
        for process in (at_host, at_guest):
            process.terminate()
            process.wait(60)
    with suite.case('the server shared memory with nobody in the guest'):
        text = (where / 'pulse.log').read_text()
        assert 'null' in text
        assert not re.search(r'ailed to import|ailed to attach', text), text
    with suite.case('a server that goes takes its clients with it'):
        waiting = start(where, 'pactl', '--server=' + guest, 'subscribe',
                        home='guest', stdout=subprocess.DEVNULL,
                        stderr=subprocess.DEVNULL)
        time.sleep(0.5)
        assert waiting.poll() is None
        server.terminate()
        server.wait(60)
        assert waiting.wait(60) != 0
    log.close()


suite = world.Suite()
tool = world.Tool(sys.argv[1], '--wayland-sock=@DIR@/native,name=sound',
                  '--socket=sound:@DIR@/guest-native')
before = tool.fds()
try:
    main(suite, tool)
    with suite.case('descriptors are back where they began'):
        world.until('descriptors are back', lambda: tool.fds() <= before)
    with suite.case('the tool ends well'):
        tool.stop()
finally:
    for process in running:
        if process.poll() is None:
            process.kill()
            process.wait()
suite.end()
