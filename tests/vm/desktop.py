# SPDX-License-Identifier: BSD-3-Clause
"""A real compositor for VM tests, headless, and what its screen shows.

`path` is a symbolic link to the compositor's socket: it stays the same when
the compositor is killed and another one started.
"""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import vm as vms

TOP = os.path.dirname(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__))))
TOOL = f"{TOP}/qemu-glue/host-compositor"
PATTERN = f"{TOP}/tests/pattern.py"


class Desktop:
    def __init__(self, kind="weston", start=True):
        self.kind = kind
        self.dir = tempfile.mkdtemp(prefix="vwl-desktop-")
        self.path = f"{self.dir}/wayland"
        self.process = None
        if start:
            self.start()

    def start(self):
        self.process = subprocess.Popen(
            [TOOL, self.kind, "sh", "-c",
             'echo "$WAYLAND_DISPLAY $VWL_HOST_COMPOSITOR_DIR '
             '$VWL_HOST_COMPOSITOR_PID"; exec sleep 3600'],
            stdout=subprocess.PIPE, text=True,
            preexec_fn=vms._die_with_parent)
        words = self.process.stdout.readline().split()
        if len(words) != 3:
            raise vms.Error(f"{self.kind} does not start: "
                            "is it installed?")
        display, directory, pid = words
        self.pid = int(pid)
        self.env = {**os.environ, "WAYLAND_DISPLAY": display,
                    "VWL_HOST_COMPOSITOR": self.kind,
                    "VWL_HOST_COMPOSITOR_DIR": directory}
        if os.path.islink(self.path):
            os.unlink(self.path)
        os.symlink(display, self.path)

    def stop(self, how=signal.SIGTERM):
        """SIGKILL: it crashes."""
        if self.process is None:
            return
        try:
            os.kill(self.pid, how)
        except ProcessLookupError:  # it has crashed by itself
            pass
        self.process.terminate()
        self.process.wait(60)
        self.process.stdout.close()
        self.process = None

    def pattern(self, *options):
        """(whether pattern.py is content, what it says)."""
        shot = f"{self.dir}/shot.png"
        done = subprocess.run([TOOL, "screenshot", shot], env=self.env,
                              capture_output=True, text=True)
        if done.returncode:
            raise vms.Error(f"no screenshot: {done.stderr}")
        done = subprocess.run([sys.executable, PATTERN, shot, *options],
                              capture_output=True, text=True)
        return done.returncode == 0, done.stdout + done.stderr

    def shows(self, size="320x200"):
        """Every pixel of the painter's window is right."""
        self.becomes("--size", size)

    def empties(self, size="320x200"):
        """The window goes away."""
        self.becomes("--absent", "--size", size)

    def becomes(self, *options):
        """It may take a frame."""
        deadline = time.monotonic() + 60
        while True:
            good, text = self.pattern(*options)
            if good:
                return
            if time.monotonic() > deadline:
                raise vms.Error(text)

    def close(self):
        self.stop()
        shutil.rmtree(self.dir, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
