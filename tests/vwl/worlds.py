# SPDX-License-Identifier: BSD-3-Clause
"""A user of `vwl` for tests: folders of his own, doubles of QEMU and of the
compositor, and the programs that were built.

    with World(vwl) as world:
        done = world.vwl("run", "box", "--print")
"""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import traceback


class Error(Exception):
    pass


def expect(is_so, what):
    if not is_so:
        raise Error(what)


def wait(what, why, timeout=60):
    """Until what() is true; why may be a function, too."""
    deadline = time.monotonic() + timeout
    while not what():
        if time.monotonic() > deadline:
            raise Error(why() if callable(why) else why)
        time.sleep(0.05)


def is_over(pid):
    """The process has ended, though nobody may have asked how."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return file.read().rpartition(b")")[2].split()[0] == b"Z"
    except OSError:
        return True


def usual_signals():
    """Who starts a test in the background, or under nohup, has some ignored, and
    so would all that the test starts."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


class World:
    def __init__(self, vwl):
        self.program = vwl
        self.dir = tempfile.mkdtemp(prefix="vwl-world-")
        self.env = {key: value for key, value in os.environ.items()
                    if key in ("PATH", "LD_LIBRARY_PATH", "ASAN_OPTIONS",
                               "LSAN_OPTIONS", "UBSAN_OPTIONS")}
        for name, folder in (("XDG_DATA_HOME", "data"),
                             ("XDG_STATE_HOME", "state"),
                             ("XDG_CACHE_HOME", "cache"),
                             ("XDG_RUNTIME_DIR", "run"), ("HOME", "home")):
            os.mkdir(f"{self.dir}/{folder}", 0o700)
            self.env[name] = f"{self.dir}/{folder}"
        self.env["WAYLAND_DISPLAY"] = "wayland-0"
        self.env["LC_ALL"] = "C"
        self.compositor = socket.socket(socket.AF_UNIX)
        self.compositor.bind(f"{self.dir}/run/wayland-0")
        self.compositor.listen()

    def script(self, name, text):
        path = f"{self.dir}/{name}"
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(path, 0o755)
        return path

    def write(self, name, data):
        path = f"{self.dir}/{name}"
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(data)
        return path

    def vwl(self, *words, timeout=60, **more):
        return subprocess.run([self.program, *words], text=True,
                              capture_output=True, timeout=timeout,
                              env=self.env, stdin=subprocess.DEVNULL, **more)

    def says(self, status, what, *words):
        """The command ends so, and says so on standard error."""
        done = self.vwl(*words)
        expect(done.returncode == status and what in done.stderr,
               f"vwl {' '.join(words)}: {done.returncode}, not {status} with "
               f"'{what}':\n{done.stdout}{done.stderr}")
        return done

    def check(self, *words, **more):
        """What a command that must succeed prints."""
        done = self.vwl(*words, **more)
        expect(done.returncode == 0, f"vwl {' '.join(words)}: "
               f"{done.returncode}:\n{done.stdout}{done.stderr}")
        return done.stdout

    def close(self):
        self.compositor.close()
        shutil.rmtree(self.dir, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class Desk(World):
    """A world with a session bus, and the service as the bus starts it. Alone: the
    bus can start nothing of what this system has."""

    def __init__(self, vwl, service, alone=False, **more):
        super().__init__(vwl)
        self.env.update(more)
        self.write("data/dbus-1/services/org.vhost_user_wl.Vwl.service",
                   "[D-BUS Service]\nName=org.vhost_user_wl.Vwl\n"
                   f"Exec={service}\n".encode())
        address = f"unix:path={self.dir}/run/bus"
        config = self.write("bus.conf", (
            "<busconfig><type>session</type><listen>unix:tmpdir=/tmp</listen>"
            f"<servicedir>{self.dir}/data/dbus-1/services</servicedir>"
            '<policy context="default"><allow send_destination="*"/>'
            '<allow eavesdrop="true"/><allow own="*"/></policy></busconfig>')
            .encode())
        with open(f"{self.dir}/bus.log", "wb") as log:
            self.bus = subprocess.Popen(
                ["dbus-daemon", f"--config-file={config}" if alone
                 else "--session", "--nofork", "--nosyslog",
                 f"--address={address}", "--print-address"], env=self.env,
                stdout=subprocess.PIPE, text=True, stderr=log)
        self.bus.stdout.readline()
        self.env["DBUS_SESSION_BUS_ADDRESS"] = address

    def exec(self, *words, data=None, timeout=60):
        return subprocess.run([self.program, "exec", *words], env=self.env,
                              input=data, timeout=timeout,
                              capture_output=True, check=False)

    def close(self):
        self.vwl("stop", "--all", "--force")
        self.bus.terminate()
        self.bus.wait()
        self.bus.stdout.close()
        super().close()


def tap(tests, *args):
    """Calls each; prints TAP; says whether one failed."""
    failed = False
    print(f"1..{len(tests)}", flush=True)
    for number, test in enumerate(tests, 1):
        name = test.__name__.replace("_", "-")
        try:
            test(*args)
            print(f"ok {number} - {name}", flush=True)
        except (Error, OSError, subprocess.SubprocessError):
            failed = True
            for line in traceback.format_exc().splitlines():
                print(f"# {line}", flush=True)
            print(f"not ok {number} - {name}", flush=True)
    return failed
