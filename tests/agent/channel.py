# SPDX-License-Identifier: BSD-3-Clause
"""The host's end of the channel, by the words of frame.h and not by our own
encoder; and a machine's session around the agent, without a machine."""
import array
import contextlib
import os
import pathlib
import signal
import socket
import struct
import subprocess
import sys
import time
import zlib

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent /
                       'bridge'))
import world

(HELLO, LIST, APP, ICON, DONE, LAUNCH, EXEC, SIGNAL, RESIZE, ANSWER, OPEN,
 NOTIFY, CLOSE) = range(1, 14)
PATIENCE = 60
A_CASE = 100 # seconds, whatever it waits for


def on_alarm(number, frame):
    raise TimeoutError(f'not done after {A_CASE} s')


@contextlib.contextmanager
def case(suite, name):
    """One of the suite that ends, however its waits are made."""
    signal.signal(signal.SIGALRM, on_alarm)
    with suite.case(name):
        signal.alarm(A_CASE)
        try:
            yield
        finally:
            signal.alarm(0)


def encode(kind, job, *strings):
    payload = b''.join(s.encode() + b'\0' for s in strings)
    return struct.pack('<IHH', len(payload), kind, job) + payload


def heard(sock):
    """What is there, or nothing at the end: whoever hangs up may have left
    something of ours unread."""
    try:
        return sock.recv(65536)
    except ConnectionResetError:
        return b''


class Host:
    """One connection, after the agent's HELLO."""

    def __init__(self, sock, may=7, languages='en', greet=True):
        self.sock, self.data, self.kept = sock, b'', []
        sock.settimeout(PATIENCE)
        kind, job, payload = self.take()
        assert (kind, job) == (HELLO, 0), (kind, job)
        self.hello = payload.decode().split('\0')
        if greet:
            self.say(HELLO, 0, '1', 'a test', languages, str(may))

    def say(self, kind, job, *strings, fds=()):
        self.sock.sendmsg([encode(kind, job, *strings)],
                          [(socket.SOL_SOCKET, socket.SCM_RIGHTS,
                            array.array('i', fds))] if fds else [])

    def take(self):
        """The next frame, whatever it is."""
        while True:
            if len(self.data) >= 8:
                length, kind, job = struct.unpack('<IHH', self.data[:8])
                if len(self.data) >= 8 + length:
                    payload = self.data[8:8 + length]
                    self.data = self.data[8 + length:]
                    return kind, job, payload
            some = heard(self.sock)
            if not some:
                raise EOFError
            self.data += some

    def expect(self, kind, job=0):
        """The next frame of that kind; others are kept for later."""
        for i, frame in enumerate(self.kept):
            if frame[:2] == (kind, job):
                return self.kept.pop(i)[2]
        while True:
            frame = self.take()
            if frame[:2] == (kind, job):
                return frame[2]
            self.kept.append(frame)

    def answer(self, job):
        status, text, _ = self.expect(ANSWER, job).decode().split('\0')
        return int(status), text

    def run(self, job, *argv, env=(), folder='', user='', tty=None):
        """The program's standard input, output and error: our ends."""
        pipes = [os.pipe() for _ in range(3)]
        theirs = (pipes[0][0], pipes[1][1], pipes[2][1])
        rows, columns = tty or (0, 0)
        self.say(EXEC, job, '1' if tty else '0', str(rows), str(columns), user,
                 folder, str(len(argv)), *argv, str(len(env)), *env, fds=theirs)
        for fd in theirs:
            os.close(fd)
        return (os.fdopen(pipes[0][1], 'wb', 0), os.fdopen(pipes[1][0], 'rb', 0),
                os.fdopen(pipes[2][0], 'rb', 0))

    def whole(self, job, *argv, given=b'', **more):
        """status, text, output, errors"""
        stdin, out, err = self.run(job, *argv, **more)
        with stdin:
            stdin.write(given)
        with out, err:
            said = out.read(), err.read()
        return *self.answer(job), *said

    def list(self):
        """({id: strings}, {(id, side): pixels})"""
        apps, icons = {}, {}
        while True:
            kind, job, payload = self.take()
            if kind == APP:
                strings = payload.decode().split('\0')[:-1]
                assert len(strings) == 6 and strings[0] not in apps, strings
                apps[strings[0]] = strings[1:]
            elif kind == ICON:
                name, width, height, pixels = payload.split(b'\0', 3)
                assert width == height and name.decode() in apps
                assert len(pixels) == int(width) ** 2 * 4
                assert (name.decode(), int(width)) not in icons
                icons[name.decode(), int(width)] = pixels
            elif kind == DONE:
                assert payload == str(len(apps)).encode() + b'\0', payload
                return apps, icons
            else:
                self.kept.append((kind, job, payload))


def png(side, pixel):
    """A picture of one colour."""
    def chunk(kind, data):
        return (struct.pack('>I', len(data)) + kind + data +
                struct.pack('>I', zlib.crc32(kind + data)))
    rows = (b'\0' + bytes(pixel) * side) * side
    return (b'\x89PNG\r\n\x1a\n' +
            chunk(b'IHDR', struct.pack('>IIBBBBB', side, side, 8, 6, 0, 0, 0)) +
            chunk(b'IDAT', zlib.compress(rows)) + chunk(b'IEND', b''))


def unpng(data):
    """(side, pixels) of a PNG without filters."""
    at, packed, side = 8, b'', 0
    while at < len(data):
        length, kind = struct.unpack('>I4s', data[at:at + 8])
        body = data[at + 8:at + 8 + length]
        crc, = struct.unpack('>I', data[at + 8 + length:at + 12 + length])
        assert crc == zlib.crc32(kind + body), kind
        if kind == b'IHDR':
            side = struct.unpack('>I', body[:4])[0]
        packed += body if kind == b'IDAT' else b''
        at += 12 + length
    rows = zlib.decompress(packed)
    assert len(rows) == side * (side * 4 + 1)
    return side, b''.join(rows[y * (side * 4 + 1) + 1:(y + 1) * (side * 4 + 1)]
                          for y in range(side))


class Bus:
    """A session bus of its own."""

    def __init__(self, env):
        self.process = subprocess.Popen(
            ['dbus-daemon', '--session', '--nofork', '--print-address=1'],
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
            env=env)
        self.address = self.process.stdout.readline().strip()
        assert self.address, 'no dbus-daemon'

    def stop(self):
        self.process.terminate()
        self.process.wait(PATIENCE)
        self.process.stdout.close()


class Session:
    """A guest's: folders, a bus, the agent; the loopback's bridge between it
    and a socket where the host listens."""

    def __init__(self, loopback, agent):
        self.tool = world.Tool(
            loopback, '--wayland-sock=@DIR@/channel,policy=none,name=vwl',
            '--socket=vwl:@DIR@/vwl-host')
        self.path, self.agent = self.tool.path / 'session', agent
        for name in ('home', 'data/applications', 'config', 'cache', 'run',
                     'none'):
            (self.path / name).mkdir(parents=True, exist_ok=True)
        # gdk-pixbuf tells pictures apart by it
        (self.path / 'none/mime').symlink_to('/usr/share/mime')
        self.env = {
            **{k: v for k, v in os.environ.items()
               if k == 'PATH' or k.startswith(('ASAN', 'LSAN', 'UBSAN', 'LD_',
                                               'G_'))},
            'HOME': str(self.path / 'home'), 'LC_ALL': 'C.UTF-8',
            'XDG_DATA_HOME': str(self.path / 'data'),
            'XDG_DATA_DIRS': str(self.path / 'none'),
            'XDG_CONFIG_HOME': str(self.path / 'config'),
            'XDG_CONFIG_DIRS': str(self.path / 'none'),
            'XDG_CACHE_HOME': str(self.path / 'cache'),
            'XDG_RUNTIME_DIR': str(self.path / 'run'),
        }
        self.bus = Bus(self.env)
        self.env['DBUS_SESSION_BUS_ADDRESS'] = self.bus.address
        self.log = open(self.path / 'log', 'w+')
        self.process = None

    def start(self, *options):
        self.process = subprocess.Popen(
            [self.agent, f'--socket={self.tool.path}/vwl-host', *options,
             'agent'], env=self.env, stdin=subprocess.DEVNULL,
            stdout=self.log, stderr=self.log)

    def guest(self, *words, **more):
        """vwl-guest, as a program of the session calls it."""
        return subprocess.run([self.agent, *words], env=self.env, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              timeout=PATIENCE, **more)

    def entry(self, name, text):
        (self.path / 'data/applications' / name).write_text(
            '[Desktop Entry]\nType=Application\n' + text)

    def broken_icon(self, name):
        """One that would be taken first, and that nothing here decodes."""
        folder = self.path / 'data/icons/hicolor/scalable/apps'
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f'{name}.svg').write_text('no picture at all')

    def icon(self, name, side, pixel):
        folder = self.path / f'data/icons/hicolor/{side}x{side}/apps'
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f'{name}.png').write_bytes(png(side, pixel))

    def fds(self):
        return len(os.listdir(f'/proc/{self.process.pid}/fd'))

    def fds_at_rest(self):
        counts = []
        while len(counts) < 20 or len(set(counts[-20:])) > 1:
            counts.append(self.fds())
            time.sleep(0.02)
        return counts[-1]

    def stop(self):
        """What the agent said."""
        if self.process:
            self.process.terminate()
            status = self.process.wait(PATIENCE)
            self.log.seek(0)
            said = self.log.read()
            assert status == 0, f'the agent ended with {status}: {said}'
            assert 'CRITICAL' not in said and 'ERROR' not in said, said
        self.log.close()
        self.bus.stop()
        self.tool.stop()


def listen(path):
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    sock.bind(str(path))
    sock.listen(8)
    sock.settimeout(PATIENCE)
    return sock


def until(what, condition):
    world.until(what, condition, PATIENCE)
