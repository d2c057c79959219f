# SPDX-License-Identifier: BSD-3-Clause
"""A real sound server on the host, with a null sink: what is played to it can
be recorded again, byte for byte.

    with make('pulseaudio', folder) as server:      # or 'pipewire'
        server.native                               # its socket
        server.run('pactl', 'info')                 # a client of the host's
"""
import os
import pathlib
import random
import re
import shutil
import signal
import socket
import subprocess
import time

FORMAT = ['--raw', '--format=s16le', '--rate=48000', '--channels=2']
FRAMES = 48000
SERVERS = {'pulseaudio': ('pulseaudio',),
           'pipewire': ('pipewire', 'pipewire-pulse', 'wireplumber',
                        'dbus-daemon')}
CLIENTS = 'pacat', 'parec', 'pactl'


def missing(kind):
    """The first program of kind's that is not installed."""
    return next((program for program in (*SERVERS[kind], *CLIENTS)
                 if shutil.which(program) is None), None)


def noise(seed=1):
    """Samples that are like nothing else, and none that is silence."""
    return random.Random(seed).randbytes(FRAMES * 4).replace(b'\0', b'\1')


def until(what, check, seconds=120):
    end = time.monotonic() + seconds
    while True:
        got = check()
        if got:
            return got
        assert time.monotonic() < end, f'never: {what}'
        time.sleep(0.1)


def listens(path):
    """Somebody does, at that socket: it is there before."""
    with socket.socket(socket.AF_UNIX) as sock:
        return sock.connect_ex(str(path)) == 0


def played(samples, record, play, takes=12):
    """Plays until each of the samples has been in the record, in their order.
    All are with the server before the first is heard; but a server without
    real-time scheduling may leave a cycle out on a busy machine, or be silent
    for one and go on behind it, at another place in the next take. Silence is
    then the only thing that may be between samples or in place of them."""
    missing = set(range(len(samples)))
    for _ in range(takes):
        began = os.path.getsize(record)
        player = play()
        assert player.wait(120) == 0, 'it cannot be played'
        try:
            until('', lambda: samples in heard(record, began), 15)
            return
        except AssertionError:
            missing -= pieces(samples, heard(record, began))
        if not missing:
            return
    raise AssertionError(f'{len(missing)} samples are in none of {takes} takes')


def pieces(samples, take):
    """Where those samples are from that were heard, silence left out."""
    found, place = set(), 0
    for sound in re.finditer(rb'[^\0]+', take):
        at = samples.find(sound[0], place)
        assert at >= 0, f'{len(sound[0])} other samples at {sound.start()}, ' \
            f'behind {place} that are right'
        place = at + len(sound[0])
        found.update(range(at, place))
    return found


def heard(record, began):
    with open(record, 'rb') as file:
        file.seek(began)
        return file.read()


class Server:
    user = ''  # whose it is, if another's

    def __init__(self, where):
        self.where = pathlib.Path(where)
        self.home = self.where / 'home'
        self.home.mkdir()
        self.log = open(self.where / 'server.log', 'w+')
        self.running = []

    def environment(self, home):
        return {'PATH': os.environ['PATH'], 'HOME': str(home),
                'XDG_RUNTIME_DIR': str(home), 'LC_ALL': 'C',
                'PULSE_RUNTIME_PATH': str(home)}

    def start(self, *command, home=None, **more):
        process = subprocess.Popen(
            command, env=self.environment(home or self.home),
            start_new_session=True, **more)
        self.running.append(process)
        return process

    def serve(self, *command):
        """One of the processes that are the server."""
        before = ['setpriv', '--pdeathsig', 'KILL']
        if self.user and os.getuid() == 0:
            before += [f'--reuid={self.user}', '--regid=nogroup',
                       '--clear-groups']
        return self.start(*before, *command, stdout=self.log,
                          stderr=self.log)

    def run(self, *command, server=None, home=None):
        """What a client says; of the host's own socket, unless told."""
        process = self.start(command[0], f'--server={server or self.native}',
                             *command[1:], home=home, stdout=subprocess.PIPE,
                             stderr=subprocess.STDOUT)
        return process.communicate(timeout=60)[0].decode()

    def record(self, file, server=None, home=None):
        """Starts to write down what the null sink is given; returns once
        something came."""
        with open(file, 'wb') as out:
            process = self.start(
                'parec', f'--server={server or self.native}', *FORMAT, '-d',
                'null.monitor', home=home, stdout=out)
        until('it records', lambda: os.path.getsize(file) > 0 or
              process.poll() is not None)
        assert process.poll() is None, 'parec ended'
        return process

    def serves(self):
        return 'null' in self.run('pactl', 'list', 'short', 'sinks')

    def said(self):
        self.log.flush()
        return (self.where / 'server.log').read_text(errors='replace')

    def end(self, process):
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGTERM)
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()

    def stop(self):
        for process in reversed(self.running):
            self.end(process)
        self.log.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()


class PulseAudio(Server):
    """As its users have it: nothing about shared memory is changed."""

    def __init__(self, where):
        super().__init__(where)
        self.native = f'unix:{where}/native'
        self.process = self.serve(
            'pulseaudio', '-n', '--daemonize=no', '-vvvv',
            '--exit-idle-time=-1', '--use-pid-file=no', '--high-priority=no',
            '--realtime=no',
            '-L', f'module-native-protocol-unix socket={where}/native',
            '-L', 'module-null-sink sink_name=null format=s16le rate=48000 '
            'channels=2')
        until('PulseAudio serves', lambda: self.process.poll() is None and
              self.serves())

    def sharing(self):
        """Of each client so far, whether memory is shared with it."""
        return re.findall('Negotiated SHM: (yes|no)', self.said())

    def cookie(self):
        return (self.home / '.config/pulse/cookie').read_bytes()


class PipeWire(Server):
    """Its own user's, when started by root."""
    user = 'nobody'

    def __init__(self, where):
        super().__init__(where)
        self.native = f'unix:{self.home}/pulse/native'
        self.bus = f'unix:path={self.home}/bus'
        os.chmod(self.where, 0o711)
        if os.getuid() == 0:
            shutil.chown(self.home, self.user)
        self.serve('pipewire')
        until('PipeWire serves', lambda: listens(self.home / 'pipewire-0'))
        self.serve('dbus-daemon', '--session', '--nofork',
                   '--address=' + self.bus)
        until('a session bus', lambda: listens(self.home / 'bus'))
        self.serve('wireplumber')
        self.process = self.serve('pipewire-pulse')
        until('pipewire-pulse serves',
              lambda: listens(self.home / 'pulse/native'))
        self.run('pactl', 'load-module', 'module-null-sink', 'sink_name=null',
                 'format=s16le', 'rate=48000', 'channels=2')
        until('it has a sink', lambda: 'Default Sink: null' in self.run(
            'pactl', 'info'))

    def environment(self, home):
        env = super().environment(home)
        if home == self.home:
            del env['PULSE_RUNTIME_PATH']
            env['DBUS_SESSION_BUS_ADDRESS'] = self.bus
        return env


def make(kind, where):
    os.makedirs(where, exist_ok=True)
    return {'pulseaudio': PulseAudio, 'pipewire': PipeWire}[kind](where)
