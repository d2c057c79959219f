#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""`vwl` as its user has it, with nothing in place of anything: a machine is
made, started on a desktop, used and stopped.

    test-vwl.py --qemu=COMMAND --plugin=PATH --daemon=PATH --vwl=PATH
                --service=PATH --bridge=PATH

Prints TAP. The tests build on each other. A machine that was made for the same
kit is taken from the cache.
"""

import argparse
import glob
import hashlib
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys

import desktop as desktops
import host as hosts

sys.path.insert(0, f"{hosts.TOP}/tests/vwl")
import worlds  # noqa: E402
from worlds import expect  # noqa: E402

CREATE_SECONDS = 900
LOOK = f"{hosts.TOP}/tests/bridge/look.py"


class Story(worlds.Desk):
    def __init__(self, options, desktop):
        super().__init__(options.vwl, options.service)
        self.options = options
        self.desktop = desktop
        self.env["WAYLAND_DISPLAY"] = desktop.path
        words = shlex.split(options.qemu)
        self.settings = [f"--qemu={shutil.which(words[0])}",
                         f"--glue={words[words.index('-plugin') + 1]}",
                         f"--daemon={options.daemon}", "--accel=tcg",
                         "--memory=1G"]
        self.env["VWL_SHARE"] = f"{hosts.TOP}/qemu-glue/guest"

    def kit(self):
        return subprocess.run(
            [f"{hosts.TOP}/qemu-glue/guest/make-package", self.options.bridge,
             self.dir], check=True, stdout=subprocess.PIPE,
            text=True).stdout.strip()

    def cached(self, kit):
        """Where a machine with that kit is, or shall be."""
        tree = f"{self.dir}/kit"
        subprocess.run(["dpkg-deb", "-x", kit, tree], check=True)
        digest = hashlib.sha256()
        for path in sorted(glob.glob(f"{tree}/**", recursive=True)):
            digest.update(path[len(tree):].encode())
            if os.path.isfile(path) and not os.path.islink(path):
                with open(path, "rb") as file:
                    digest.update(file.read())
        with open(f"{hosts.TOP}/qemu-glue/guest/make-machine", "rb") as file:
            digest.update(file.read())
        cache = os.environ.get("XDG_CACHE_HOME",
                               os.path.expanduser("~/.cache"))
        return f"{cache}/vhost-user-wl/machine-{digest.hexdigest()[:16]}"

    def list(self):
        return json.loads(self.check("list", "--json"))[0]


def create(story):
    kit = story.kit()
    kept = story.cached(kit)
    if os.path.exists(f"{kept}/disk"):
        os.makedirs(f"{story.dir}/data/vwl")
        subprocess.run(["cp", "-a", "--sparse=always", kept,
                        f"{story.dir}/data/vwl/test"], check=True)
        return
    done = story.vwl("create", "test", "--suite=bookworm", f"--kit={kit}",
                     "--size=4G", *story.settings, timeout=CREATE_SECONDS)
    expect(done.returncode == 0 and "[4/4] Packing the disk" in done.stderr,
           done.stderr)
    for old in glob.glob(f"{os.path.dirname(kept)}/machine-*"):
        shutil.rmtree(old, ignore_errors=True)
    new = f"{kept}.{os.getpid()}"
    subprocess.run(["cp", "-a", "--sparse=always",
                    f"{story.dir}/data/vwl/test", new], check=True)
    os.rename(new, kept)


def run(story):
    """Ready is what the agent says."""
    done = story.vwl("run", "test", "--timeout=400", *story.settings,
                     timeout=500)
    expect(done.returncode == 0 and "test is up (TCG" in done.stderr,
           done.stderr + story.vwl("logs", "test").stdout[-4000:])
    expect(story.list()["state"] == "running", story.list())


def statuses(story):
    done = story.exec("test", "sh", "-c",
                      "id -un; echo $WAYLAND_DISPLAY; echo err >&2; exit 5")
    expect((done.returncode, done.stdout, done.stderr) ==
           (5, b"user\nwayland-0\n", b"err\n"), done)
    expect(story.exec("test", "no-such-program").returncode == 127, "127")
    expect(story.exec("test", "/etc").returncode == 126, "126")
    expect(story.exec("test", "sh", "-c", "kill $$").returncode == 143, "143")


def streams(story):
    data = os.urandom(300000)
    done = story.exec("test", "cat", data=data, timeout=200)
    expect(done.returncode == 0 and done.stdout == data,
           f"{done.returncode}: {len(done.stdout)} bytes came back")


def interrupt(story):
    with subprocess.Popen(
            [story.program, "exec", "test", "sh", "-c",
             "trap 'echo caught; exit 9' INT; echo up; "
             "while :; do sleep 0.2; done"], env=story.env,
            stdout=subprocess.PIPE, stdin=subprocess.DEVNULL) as process:
        expect(process.stdout.readline() == b"up\n", "it does not start")
        process.send_signal(signal.SIGINT)
        expect(process.stdout.readline() == b"caught\n", "not caught")
        expect(process.wait(60) == 9, process.returncode)


def root(story):
    worlds.wait(lambda: story.vwl("exec", "--root", "test",
                                  "true").returncode == 0,
                "root's agent does not come", 120)
    done = story.vwl("exec", "--root", "test", "id", "-u")
    expect(done.stdout == "0\n", done)


def launcher(story):
    """A program of the host's launcher opens its window on the desktop."""
    def ids():
        return [row["id"] for row in
                json.loads(story.check("apps", "--json"))]
    worlds.wait(lambda: "foot" in ids(), lambda: f"{ids()}", 120)
    entry = (f"{story.dir}/data/applications/"
             "org.vhost_user_wl.vm.test.foot.desktop")
    expect(os.path.exists(entry), "no entry")
    story.check("exec", "test", "sh", "-c", "mkdir -p ~/.config/foot; "
                "printf '[colors]\\nbackground=335577\\n' "
                ">~/.config/foot/foot.ini")
    story.check("launch", "test", "foot")
    shot = f"{story.desktop.dir}/shot.png"

    def is_there():
        subprocess.run([desktops.TOOL, "screenshot", shot],
                       env=story.desktop.env, check=True, capture_output=True)
        return subprocess.run(
            [sys.executable, LOOK, shot, "--colour", "0x335577", "--at-least",
             "20000"], capture_output=True, check=False).returncode == 0
    worlds.wait(is_there, "no window", 120)


def stop(story):
    story.check("stop", "test", timeout=120)
    expect(story.list()["state"] == "off", story.list())
    expect(os.listdir(f"{story.dir}/run/vwl") == [], "something is left")


def main():
    parser = argparse.ArgumentParser()
    for name in ("qemu", "plugin", "daemon", "vwl", "service", "bridge"):
        parser.add_argument(f"--{name}", required=True)
    options = parser.parse_args()
    if os.getuid():
        print("1..0 # SKIP the machine is made as root here")
        return False
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with desktops.Desktop("sway") as desktop, \
            Story(options, desktop) as story:
        return worlds.tap([create, run, statuses, streams, interrupt, root,
                           launcher, stop], story)


if __name__ == "__main__":
    sys.exit(main())
