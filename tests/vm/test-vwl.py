#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""`vwl` as its user has it, with nothing in place of anything: a machine is
made, started on a desktop, used and stopped.

    test-vwl.py --qemu=COMMAND --plugin=PATH --daemon=PATH --vwl=PATH
                --service=PATH --bridge=PATH --libexec=PATH
                --notifications=PATH

Prints TAP. The tests build on each other. A machine that was made for the same
kit is taken from the cache.
"""

import argparse
import configparser
import glob
import hashlib
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time

import desktop as desktops
import host as hosts

sys.path[:0] = [f"{hosts.TOP}/tests/vwl", f"{hosts.TOP}/tests/bridge"]
import notifier  # noqa: E402
import soundserver  # noqa: E402
import worlds  # noqa: E402
from worlds import expect  # noqa: E402

CREATE_SECONDS = 900
PACKAGES = "galculator,pulseaudio-utils,wl-clipboard"
DAY = 24 * 60 * 60
PREFIX = "org.vhost_user_wl.vm.test."
LOOK = f"{hosts.TOP}/tests/bridge/look.py"


class Story(worlds.Desk):
    def __init__(self, options, desktop):
        super().__init__(options.vwl, options.service,
                         VWL_COMMAND=os.path.abspath(options.vwl),
                         VWL_LIBEXEC=os.path.abspath(options.libexec))
        self.options = options
        self.desktop = desktop
        self.env["WAYLAND_DISPLAY"] = desktop.path
        words = shlex.split(options.qemu)
        self.settings = [f"--qemu={shutil.which(words[0])}",
                         f"--glue={words[words.index('-plugin') + 1]}",
                         f"--daemon={options.daemon}", "--accel=tcg",
                         "--memory=1G"]
        self.env["VWL_SHARE"] = f"{hosts.TOP}/qemu-glue/guest"
        self.share = f"{self.dir}/home/shared"
        os.mkdir(self.share)
        os.chown(self.share, 1000, 1000)
        self.sound = soundserver.make("pulseaudio", f"{self.dir}/sound")
        self.env["PULSE_SERVER"] = self.sound.native

    def kit(self):
        return subprocess.run(
            [f"{hosts.TOP}/qemu-glue/guest/make-package", self.options.bridge,
             self.dir], check=True, stdout=subprocess.PIPE,
            text=True).stdout.strip()

    def cached(self, kit):
        """Where a machine with that kit is, or shall be."""
        tree = f"{self.dir}/kit"
        subprocess.run(["dpkg-deb", "-x", kit, tree], check=True)
        digest = hashlib.sha256(PACKAGES.encode())
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

    def entry(self, name):
        return f"{self.dir}/data/applications/{PREFIX}{name}.desktop"

    def sway(self, what):
        socket, = glob.glob(f"{self.desktop.env['VWL_HOST_COMPOSITOR_DIR']}/"
                            "**/sway-ipc.*", recursive=True)
        done = subprocess.run(["swaymsg", "-s", socket, "-r", "-t", what],
                              stdout=subprocess.PIPE, check=True)
        return json.loads(done.stdout)

    def windows(self):
        """The app ids of the desktop's."""
        found, nodes = [], [self.sway("get_tree")]
        while nodes:
            node = nodes.pop()
            nodes += node["nodes"] + node["floating_nodes"]
            if node.get("app_id"):
                found.append(node["app_id"])
        return found

    def close(self):
        super().close()
        self.sound.stop()


def create(story):
    kit = story.kit()
    kept = story.cached(kit)
    if os.path.exists(f"{kept}/disk"):
        os.makedirs(f"{story.dir}/data/vwl")
        subprocess.run(["cp", "-a", "--sparse=always", kept,
                        f"{story.dir}/data/vwl/test"], check=True)
        return
    done = story.vwl("create", "test", "--suite=bookworm", f"--kit={kit}",
                     "--size=4G", f"--packages={PACKAGES}", *story.settings,
                     timeout=CREATE_SECONDS)
    expect(done.returncode == 0 and "[4/4] Packing the disk" in done.stderr,
           done.stderr)
    for old in glob.glob(f"{os.path.dirname(kept)}/machine-*"):
        # not those that tests of other versions use meanwhile
        if time.time() - os.path.getmtime(old) > DAY:
            shutil.rmtree(old, ignore_errors=True)
    new = f"{kept}.{os.getpid()}"
    subprocess.run(["cp", "-a", "--sparse=always",
                    f"{story.dir}/data/vwl/test", new], check=True)
    try:
        os.rename(new, kept)
    except OSError:  # another test was faster
        shutil.rmtree(new)


def run(story):
    """Ready is what the agent says."""
    done = story.vwl("run", "test", "--timeout=400",
                     f"--share={story.share}", *story.settings,
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


def apps(story):
    """In the host's launcher, each by an entry."""
    def ids():
        return [row["id"] for row in
                json.loads(story.check("apps", "--json"))]
    for name in ("foot", "galculator"):
        worlds.wait(lambda: name in ids(), lambda: f"{ids()}", 120)
        expect(os.path.exists(story.entry(name)), f"no entry of {name}")


def terminal(story):
    """A program of the launcher opens its window on the desktop."""
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


def gtk(story):
    """The host's own launcher opens a GTK program by its entry. Its window, the
    entry and the icon's file have one name."""
    file = configparser.ConfigParser(interpolation=None, delimiters="=")
    file.read(story.entry("galculator"))
    entry = file["Desktop Entry"]
    subprocess.run(["gio", "launch", story.entry("galculator")],
                   env=story.env, check=True, timeout=120)
    worlds.wait(lambda: f"{PREFIX}galculator" in story.windows(),
                lambda: f"only {story.windows()}", 120)
    expect(entry["StartupWMClass"] == f"{PREFIX}galculator" and
           entry["Icon"] == f"{PREFIX}galculator", dict(entry))
    icons = glob.glob(f"{story.dir}/data/icons/hicolor/*/apps/"
                      f"{entry['Icon']}.png")
    expect(icons, "no icon of that name")
    for icon in icons:
        with open(icon, "rb") as png:
            expect(png.read(8) == b"\x89PNG\r\n\x1a\n", icon)


def sound(story):
    """It is on without a word: a second of noise that the guest plays is what
    the server's null sink plays. What the host plays, the guest cannot hear."""
    how = soundserver.FORMAT
    raw = f"{story.dir}/sound/raw"
    worlds.wait(lambda: "Default Sink: null" in story.vwl(
        "exec", "test", "pactl", "info").stdout, "the guest finds no server",
        120)
    story.sound.record(raw)
    noise = story.write("noise", soundserver.noise())

    def play():
        with open(noise, "rb") as samples:
            return subprocess.Popen(
                [story.program, "exec", "test", "pacat", *how, "-d", "null",
                 "--latency-msec=1500"], env=story.env, stdin=samples)
    try:
        soundserver.played(soundserver.noise(), raw, play)
    except (AssertionError, ValueError) as why:
        raise worlds.Error(f"{why}") from why
    done = story.vwl("exec", "test", "timeout", "20", "parec", *how, "-d",
                     "null.monitor", "/dev/null")
    expect(done.returncode == 1 and "denied" in done.stderr, done)


def links(story):
    """They open in the host's browser, where the policy lets them."""
    opened = f"{story.dir}/opened"
    browser = story.script("browser", f'#!/bin/sh\necho "$1" >>{opened}\n')
    story.write("data/applications/browser.desktop",
                "[Desktop Entry]\nType=Application\nName=Browser\n"
                f"Exec={browser} %u\n"
                "MimeType=x-scheme-handler/http;x-scheme-handler/https;\n"
                .encode())
    story.write("home/.config/mimeapps.list",
                "[Default Applications]\n"
                "x-scheme-handler/http=browser.desktop\n"
                "x-scheme-handler/https=browser.desktop\n".encode())

    def has(link):
        if not os.path.exists(opened):
            return False
        with open(opened, encoding="utf-8") as file:
            return link in file.read().splitlines()
    story.check("policy", "test", "links=deny")
    done = story.vwl("exec", "test", "vwl-guest", "open",
                     "http://example.org/denied")
    story.check("policy", "test", "links=allow")
    for number, words in enumerate((["vwl-guest", "open"], ["xdg-open"])):
        link = f"http{'s' * number}://example.org/{words[0]}?a=1&b=2"
        worlds.wait(lambda: story.vwl("exec", "test", *words,
                                      link).returncode == 0,
                    f"{words[0]} fails", 60)
        worlds.wait(lambda: has(link), f"{link} is not opened", 60)
    expect(not has("http://example.org/denied"), done)


def asked(story):
    """A program of the guest wants the host's clipboard: the device asks, its
    user is asked by a notification, and what he presses is what it gets. (No
    other window is there: sway takes the offer from whoever loses the focus.)"""
    text = "from the host's clipboard"
    host = [subprocess.Popen(words, env=story.desktop.env,
                             stderr=subprocess.DEVNULL)
            for words in (["wtype", "-s", "3600000", ""],
                          ["wl-copy", "--foreground", text])]
    notes = notifier.Notifier(story.options.notifications, story.env)
    try:
        worlds.wait(lambda: any(each["type"] == "keyboard" for each in
                                story.sway("get_inputs")), "no keyboard")
        worlds.wait(lambda: subprocess.run(
            ["wl-paste", "-n"], env=story.desktop.env, text=True, check=False,
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout == text,
                    "the host has no clipboard")
        story.check("policy", "test", "clipboard=ask")
        for label, wanted in ("Allow", text), ("Deny", ""):
            with subprocess.Popen(
                    [story.program, "exec", "test", "wl-paste", "-n"],
                    env=story.env, stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE, text=True) as paste:
                note = notes.note()
                while note.startswith("close"):
                    note = notes.note()
                expect(note.split("|")[1] == "Paste into test?", note)
                notes.press(note, label)
                got = paste.communicate(timeout=60)[0]
                expect(got == wanted, f"{label}: {got!r}")
    finally:
        story.check("policy", "test", "--reset")
        notes.close()
        for program in host:
            program.kill()
            program.wait()


def share(story):
    """A folder of the host's, in which the guest's user has his rights."""
    with open(f"{story.share}/there", "w", encoding="utf-8") as file:
        file.write("from the host")
    worlds.wait(lambda: story.vwl("exec", "test", "cat", "/media/host/there")
                .stdout == "from the host", "the folder is not there", 60)
    story.check("exec", "test", "sh", "-c", "echo back >/media/host/back")
    with open(f"{story.share}/back", encoding="utf-8") as file:
        expect(file.read() == "back\n" and
               os.fstat(file.fileno()).st_uid == 1000, "not as it was written")


def doctor(story):
    done = story.vwl("exec", "test", "vwl-guest", "doctor")
    expect(done.stdout.endswith("Everything is fine.\n"), done)


def saved(story):
    """It goes on where it was: what its memory holds, its programs, its clock;
    but with new windows. The shared folder stands in the way of that."""
    story.says(1, "test is not saved and runs on: ", "stop", "--save", "test")
    story.check("exec", "test", "true")
    story.check("stop", "test", timeout=120)
    story.check("run", "test", "--timeout=400", "--share=", timeout=500)
    story.check("exec", "test", "sh", "-c", "echo kept >/dev/shm/mark; "
                "sleep 10000 </dev/null >/dev/null 2>&1 & echo $! >/dev/shm/pid")
    began = story.check("exec", "test", "cat",
                        "/proc/sys/kernel/random/boot_id")
    story.check("stop", "--save", "test", timeout=300)
    expect(story.list()["state"] == "saved", story.list())
    story.check("run", "test", "--timeout=300", timeout=400)
    expect(story.check("exec", "test", "sh", "-c", "kill -0 $(cat /dev/shm/pid)"
                       " && cat /dev/shm/mark /proc/sys/kernel/random/boot_id")
           == f"kept\n{began}", "it has not gone on")
    expect(not os.path.exists(f"{story.dir}/data/vwl/test/saved"), "kept")

    def late():
        done = story.vwl("exec", "test", "date", "+%s")
        return abs(int(done.stdout or 0) - time.time())
    worlds.wait(lambda: late() < 5, lambda: f"{late()} s late", 60)
    story.check("launch", "test", "galculator")
    worlds.wait(lambda: f"{PREFIX}galculator" in story.windows(),
                lambda: f"only {story.windows()}", 120)


def stop(story):
    story.check("stop", "test", timeout=120)
    expect(story.list()["state"] == "off", story.list())
    expect(os.listdir(f"{story.dir}/run/vwl") == [], "something is left")


def main():
    parser = argparse.ArgumentParser()
    for name in ("qemu", "plugin", "daemon", "vwl", "service", "bridge",
                 "libexec", "notifications"):
        parser.add_argument(f"--{name}", required=True)
    options = parser.parse_args()
    if os.getuid():
        print("1..0 # SKIP the machine is made as root here")
        return False
    worlds.usual_signals()
    with desktops.Desktop("sway") as desktop, \
            Story(options, desktop) as story:
        return worlds.tap([create, run, statuses, streams, interrupt, root,
                           asked, apps, terminal, gtk, sound, links, share,
                           doctor, saved, stop],
                          story)


if __name__ == "__main__":
    sys.exit(main())
