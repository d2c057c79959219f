#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Where the bridge listens: libwayland's lock beside its socket, nothing
removed that is not its own, nobody waited for at the start.

    listens.py TOOL
"""
import contextlib
import ctypes
import ctypes.util
import fcntl
import os
import pathlib
import socket
import stat
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import world

TOOL = sys.argv[1]


class Place:
    """A runtime folder, with a socket in it that nobody will speak at."""

    def __init__(self, folder):
        self.path = pathlib.Path(folder)
        self.host = socket.socket(socket.AF_UNIX)
        self.host.bind(str(self.path / 'host'))
        self.host.listen(8)
        self.socket = self.path / 'wayland-0'
        self.lock = self.path / 'wayland-0.lock'

    def start(self, *options, **more):
        more.setdefault('env', dict(os.environ, XDG_RUNTIME_DIR=str(self.path)))
        return subprocess.Popen(
            [TOOL, f'--wayland-sock={self.path}/host',
             f'--listen={self.socket}', *options],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **more)

    def serves(self):
        client = socket.socket(socket.AF_UNIX)
        client.settimeout(60)
        with client:
            try:
                client.connect(str(self.socket))
            except (FileNotFoundError, ConnectionRefusedError):
                return False
            return True

    def is_locked(self):
        with contextlib.suppress(FileNotFoundError), open(self.lock) as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
        return False

    @contextlib.contextmanager
    def running(self, *options, **more):
        process = self.start(*options, **more)
        try:
            world.until('the tool serves', self.serves)
            yield process
            process.terminate()
            said, _ = process.communicate(timeout=60)
            process.said = said
            assert process.returncode == 0, said
        finally:
            process.kill()
            process.communicate()

    def refused(self, *options):
        """It ends by itself; what it says."""
        process = self.start(*options)
        try:
            said, _ = process.communicate(timeout=60)
        finally:
            process.kill()
        assert process.returncode == 1, (process.returncode, said)
        return said


def file_of(path):
    st = os.lstat(path)
    return st.st_dev, st.st_ino, stat.S_IFMT(st.st_mode)


def locked(place):
    with place.running():
        assert place.is_locked(), 'no lock'
    assert not place.socket.exists() and not place.lock.exists(), \
        f'left: {os.listdir(place.path)}'


def ended_at_once(place):
    """By whoever has just seen its socket."""
    for _ in range(10):
        process = place.start()
        try:
            while not place.socket.exists():
                assert process.poll() is None, process.communicate()
            process.terminate()
            said, _ = process.communicate(timeout=30)
        finally:
            process.kill()
        assert process.returncode == 0, (process.returncode, said)
        assert not place.socket.exists() and not place.lock.exists(), \
            f'left: {os.listdir(place.path)}'


def others_choose_another(place):
    """As cage, labwc and a nested mutter do."""
    library = ctypes.util.find_library('wayland-server')
    if library is None:
        return
    wl = ctypes.CDLL(library)
    wl.wl_display_create.restype = ctypes.c_void_p
    wl.wl_display_add_socket_auto.restype = ctypes.c_char_p
    wl.wl_display_add_socket_auto.argtypes = [ctypes.c_void_p]
    wl.wl_display_destroy.argtypes = [ctypes.c_void_p]
    os.environ['XDG_RUNTIME_DIR'] = str(place.path)
    with place.running():
        own = file_of(place.socket)
        display = wl.wl_display_create()
        name = wl.wl_display_add_socket_auto(display)
        assert name == b'wayland-1', f'it took {name}'
        wl.wl_display_destroy(display)
        assert file_of(place.socket) == own, 'another socket'
        assert place.serves()


def lock_of_another(place):
    with open(place.lock, 'w') as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        said = place.refused()
        assert 'another compositor' in said, said
        assert place.lock.exists() and not place.socket.exists()


def old_files(place):
    """Of a bridge that was killed."""
    with place.running() as process:
        process.kill()
        process.wait()
        process.returncode = 0
    assert place.socket.exists() and place.lock.exists()
    with place.running():
        assert place.is_locked()


def robbed(place):
    """Somebody put another socket in the place: it stays at the end."""
    with place.running():
        os.unlink(place.socket)
        other = socket.socket(socket.AF_UNIX)
        other.bind(str(place.socket))
        os.unlink(place.lock)
        place.lock.write_text('')
        before = file_of(place.socket), file_of(place.lock)
    assert (file_of(place.socket), file_of(place.lock)) == before
    other.close()


def no_socket(place):
    """A file at that path is nobody's socket."""
    for name, options in (('wayland-0', ()),
                          ('sound', (f'--socket=x:{place.path}/sound',))):
        path = place.path / name
        path.write_text('precious')
        said = place.refused(*options)
        assert 'no socket' in said, said
        assert path.read_text() == 'precious'
        path.unlink()


def stuck_listener(place):
    """Its backlog is full, and it does not accept."""
    for name, options in (('wayland-0', ()),
                          ('sound', (f'--socket=x:{place.path}/sound',))):
        path = str(place.path / name)
        with contextlib.ExitStack() as stack:
            stuck = stack.enter_context(socket.socket(socket.AF_UNIX))
            stuck.bind(path)
            stuck.listen(0)
            while True:
                client = stack.enter_context(socket.socket(socket.AF_UNIX))
                client.setblocking(False)
                try:
                    client.connect(path)
                except BlockingIOError:
                    break
            if options:  # a socket beside: windows go on without it
                with place.running(*options) as process:
                    pass
                said = process.said
                assert 'serving all but this' in said, said
            else:
                said = place.refused()
            assert 'another process listens there' in said, said
            assert file_of(path)[2] == stat.S_IFSOCK
        os.unlink(path)


def activated(place):
    """A service manager's socket is locked, too, and never removed."""
    ours = socket.socket(socket.AF_UNIX)
    ours.bind(str(place.socket))
    ours.listen(8)
    env = dict(os.environ, XDG_RUNTIME_DIR=str(place.path), LISTEN_FDS='1')
    script = ('import os, sys; os.dup2(int(sys.argv[1]), 3);'
              'os.environ["LISTEN_PID"] = str(os.getpid());'
              'os.execv(sys.argv[2], sys.argv[2:])')

    def run():
        return subprocess.Popen(
            [sys.executable, '-c', script, str(ours.fileno()), TOOL,
             f'--wayland-sock={place.path}/host',
             f'--listen={place.path}/not-this'], env=env,
            pass_fds=[ours.fileno()], stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True)
    for robber in (False, True):
        with contextlib.ExitStack() as stack:
            if robber:
                file = stack.enter_context(open(place.lock, 'w'))
                fcntl.flock(file, fcntl.LOCK_EX)
            process = run()
            client = stack.enter_context(socket.socket(socket.AF_UNIX))
            client.connect(str(place.socket))
            place.host.settimeout(60)
            place.host.accept()[0].close()  # it came through
            assert place.is_locked()
            process.terminate()
            said, _ = process.communicate(timeout=60)
            assert process.returncode == 0, said
            assert ('has the lock' in said) == robber, said
            assert place.socket.exists()
            assert place.lock.exists() == robber
    ours.close()


def main():
    suite = world.Suite()
    for case in (locked, ended_at_once, others_choose_another, lock_of_another,
                 old_files, robbed, no_socket, stuck_listener, activated):
        with suite.case(case.__name__.replace('_', ' ')), \
                tempfile.TemporaryDirectory(prefix='vwl-listen.') as folder:
            case(Place(folder))
    suite.end()


main()
