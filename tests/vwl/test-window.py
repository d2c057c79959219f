#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""The window of the machines, on sway and on mutter: each of its buttons is
pressed by the pointer of a virtual mouse, where AT-SPI says that it is, and each
of its choices is made by mouse and keys. QEMU, the daemon and the guest's agent
are doubles. Sway's pictures are kept in $VWL_PICTURES, if that is set.

    host-compositor sway|mutter test-window.py VWL SERVICE WINDOW BRIDGE-TESTS
"""

import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import agents
import worlds
from worlds import expect

HERE = pathlib.Path(__file__).resolve().parent
APP_ID = "org.vhost_user_wl.Window"
SIZE = (1000, 1300)
# What a press does something to.
ACTIVE = ("push button", "toggle button", "check box", "combo box", "menu item",
          "list item", "switch")
# Parts of a choice, which is made by keys.
LIST, INNER = "GtkPopoverContent", ("", "GtkToggleButton")


class Sway:
    """Where the window is: all of the screen."""

    def __init__(self):
        import desk # needs the compositor
        import stage
        self.stage = stage
        stage.sway("--", "output", "HEADLESS-1", "mode", "--custom",
                   f"{SIZE[0]}x{SIZE[1]}")
        self.hands = desk.Sway()
        self.hands.mouse.size = SIZE

    def place(self, look):
        worlds.wait(lambda: self.stage.named(APP_ID), "no window")
        self.stage.place(self.stage.named(APP_ID)[0], 0, 0, *SIZE)

    def picture(self, path, runtime):
        subprocess.run(["grim", path], check=True,
                       env={**os.environ, "XDG_RUNTIME_DIR": runtime})


class Mutter:
    """The same, by the keys for it; it gives no pictures."""

    def __init__(self):
        import desk
        desk.CODES |= {"super": 125, "up": 103}
        self.hands = desk.Mutter()

    def place(self, look):
        def fills():
            return any(one["box"][2:] == list(SIZE) for one in look())
        worlds.wait(look, "no window")
        # one that has no keys yet hears none
        worlds.wait(lambda: fills() or self.hands.press("super", "up") or
                    time.sleep(1), lambda: f"it is not as large: {look()}")

    def picture(self, path, runtime):
        pass


class Desk(worlds.Desk):
    """With a window, and hands."""

    def __init__(self, vwl, service, window):
        # The bus starts it by a link, which can be taken away.
        self.service = os.path.abspath(service)
        self.links = tempfile.mkdtemp(prefix="vwl-window-")
        self.link = f"{self.links}/vwl-service"
        os.symlink(self.service, self.link)
        super().__init__(vwl, self.link)
        self.window_program = window
        self.script("qemu", agents.QEMU)
        self.script("daemon", agents.DAEMON)
        self.env |= {"WAYLAND_DISPLAY": os.environ["WAYLAND_DISPLAY"],
                     "GSK_RENDERER": "cairo", "GSETTINGS_BACKEND": "memory",
                     "LANG": "C.UTF-8", "LC_ALL": "C.UTF-8"}
        self.agent = self.window = None
        self.eyes = subprocess.Popen(
            [str(HERE / "seen")], env=self.env, text=True, bufsize=1,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.screen = {"sway": Sway, "mutter": Mutter}[
            os.environ["VWL_HOST_COMPOSITOR"]]()
        self.hands = self.screen.hands
        self.offered, self.pressed = set(), set()

    # ---- the machines -------------------------------------------------------

    def new(self, name):
        disk = self.write(f"disks/{name}.img", bytes(4096))
        self.check("run", disk, "--timeout=0", f"--qemu={self.dir}/qemu",
                   f"--glue={self.dir}/glue.so",
                   f"--daemon={self.dir}/daemon", "--accel=tcg",
                   "--memory=300M")

    def serve(self, name):
        self.agent = agents.Agent(f"{self.dir}/run/vwl/{name}/channel").serve()

    def state(self, name):
        rows = json.loads(self.check("list", "--json"))
        return [row["state"] for row in rows if row["name"] == name][0]

    def wait_state(self, name, state):
        worlds.wait(lambda: self.state(name) == state,
                    lambda: f"{name} is {self.state(name)}, not {state}")

    def wait_policy(self, key, value):
        def now():
            return json.loads(self.check("policy", "box", "--json"))[key]
        worlds.wait(lambda: now() == value,
                    lambda: f"{key} is {now()}, not {value}")

    def service_pid(self):
        said = subprocess.run(
            ["gdbus", "call", "--session", "--dest", "org.freedesktop.DBus",
             "--object-path", "/org/freedesktop/DBus", "--method",
             "org.freedesktop.DBus.GetConnectionUnixProcessID",
             "org.vhost_user_wl.Vwl"], env=self.env, capture_output=True,
            text=True, check=True).stdout
        return int(said.split()[1].rstrip(",)"))

    # ---- the window ---------------------------------------------------------

    def open(self, **env):
        with open(f"{self.dir}/window.log", "ab") as log:
            self.window = subprocess.Popen([self.window_program],
                                           env={**self.env, **env}, stderr=log)
        self.screen.place(self.look)

    def look(self):
        self.eyes.stdin.write("vwl-window\n")
        found = []
        while line := self.eyes.stdout.readline().strip():
            found.append(json.loads(line))
        self.offered |= {(one["role"], one["name"]) for one in found
                         if one["role"] in ACTIVE and one["usable"]}
        return found

    def find(self, name, role=None):
        """The place of what can be used, or None."""
        for one in self.look():
            if one["name"] == name and one["usable"] and \
                    role in (None, one["role"]):
                return one["box"]
        return None

    def wait_seen(self, name, role=None):
        """Where it is, once it stays there."""
        last = [None]

        def rests():
            before, last[0] = last[0], self.find(name, role)
            return last[0] and before == last[0]
        worlds.wait(rests, lambda: f"no {name} in " + ", ".join(
            str(one["name"]) for one in self.look()), 60)
        return last[0]

    def click(self, name, role=None):
        self.click_in(self.wait_seen(name, role), name)

    def click_in(self, box, name):
        x, y, width, height = box
        self.hands.click(x + width // 2, y + height // 2)
        self.pressed.add(name)

    def picture(self, name):
        folder = os.environ.get("VWL_PICTURES", self.dir)
        os.makedirs(folder, exist_ok=True)
        self.screen.picture(f"{folder}/window-{name}.png", self.dir)

    def close(self):
        if self.window and self.window.poll() is None:
            self.window.kill()
            self.window.wait()
        self.eyes.stdin.close()
        self.eyes.wait()
        self.eyes.stdout.close()
        if self.agent:
            self.agent.close()
        super().close()
        shutil.rmtree(self.links)


def empty(desk):
    """Without machines it says how to make one; one that is made appears."""
    desk.open()
    desk.wait_seen("No Machines")
    desk.picture("empty")
    desk.new("box")
    desk.serve("box")
    desk.wait_seen("box", "list item")
    desk.wait_seen("Stop", "push button")


def start_program(desk, name, title):
    def times():
        return sum(kind == agents.LAUNCH and strings[0] == name
                   for kind, _, strings in list(desk.agent.seen))
    before = times()
    desk.click(f"Open {title}", "push button")
    worlds.wait(lambda: times() > before, f"{name} is not started")


def programs(desk):
    desk.wait_seen("A shell")
    desk.wait_seen("Memory in use")
    desk.picture("running")
    for name, title in agents.APPS.items():
        start_program(desk, name, title)


def choices(desk):
    """Each is another one by a click, a key down, and enter."""
    for title, key, value in (
            ("Clipboard", "clipboard", "to-guest"),
            ("Selected text", "primary", "to-guest"),
            ("Drag and drop", "drag", "to-guest"),
            ("Links", "links", "allow"),
            ("Notifications", "notifications", "off"),
            ("Programs in the launcher", "apps", "off")):
        desk.click(title, "combo box")
        desk.wait_seen(LIST)
        desk.hands.press("down")
        desk.hands.press("enter")
        desk.wait_policy(key, value)
        worlds.wait(lambda: not desk.find(LIST), "it is open")
    desk.check("policy", "box", "clipboard=ask")
    desk.wait_seen("Ask each time", "label")


def stop_and_start(desk):
    desk.click("Stop", "push button")
    desk.wait_state("box", "off")
    desk.click("Start", "push button")
    desk.wait_state("box", "starting")
    desk.agent.close()
    desk.serve("box")
    desk.wait_state("box", "running")
    desk.wait_seen("Stop", "push button")


def save(desk):
    """It is off, and goes on from there. As long as QEMU's monitor has not
    answered it is refused, and the button is there for another time."""
    def saved():
        button = desk.find("Save", "push button")
        if button and desk.state("box") == "running":
            desk.click_in(button, "Save")
        return desk.state("box") == "saved"
    worlds.wait(saved, lambda: f"box is {desk.state('box')}, not saved")
    desk.wait_seen("Saved", "label")
    desk.picture("saved")
    desk.click("Start", "push button")
    desk.agent.close()
    desk.serve("box")
    desk.wait_state("box", "running")
    desk.wait_seen("Save", "push button")


def switch_off(desk):
    """One that does not stop can be switched off, from its own page."""
    desk.new("stubborn")
    desk.click("stubborn", "list item")
    desk.wait_seen("stubborn", "label")
    desk.click("box", "list item")
    start_program(desk, "foot", "Foot")
    desk.click("stubborn", "list item")
    desk.click("Stop", "push button")
    desk.click("Switch off", "push button")
    desk.wait_state("stubborn", "off")
    desk.check("delete", "--yes", "stubborn")
    worlds.wait(lambda: not desk.find("stubborn", "list item"),
                "it is still there")


def trouble(desk):
    """What the service says of a start that failed is on the page."""
    desk.new("broken")
    desk.click("broken", "list item")
    desk.wait_state("broken", "failed")
    desk.wait_seen("Start", "push button")
    desk.picture("failed")
    desk.click("Start", "push button")
    desk.wait_state("broken", "failed")


def unreachable(desk):
    """Without a service it says so, until it is tried again."""
    pid = desk.service_pid()
    os.unlink(desk.link)
    os.kill(pid, signal.SIGKILL)
    desk.wait_seen("The Machines Cannot Be Reached")
    desk.picture("unreachable")
    os.symlink(desk.service, desk.link)
    desk.click("Try again", "push button")
    desk.wait_seen("box", "list item")


def closed(desk):
    desk.click("Close", "push button")
    expect(desk.window.wait(60) == 0, desk.window.returncode)


def everything(desk):
    """Nothing that can be pressed was left out."""
    left = {(role, name) for role, name in desk.offered
            if name not in desk.pressed and name not in INNER}
    expect(not left, f"not pressed: {sorted(left)}")


def dark(desk):
    """And while the service that it asks ends: it asks the next one."""
    pid = desk.service_pid()
    os.kill(pid, signal.SIGSTOP)
    desk.open(GTK_THEME="Adwaita:dark")
    os.kill(pid, signal.SIGKILL)
    desk.wait_seen("box", "list item")
    desk.wait_seen("A shell")
    desk.picture("dark")


def quiet(desk):
    """GTK had nothing to complain about."""
    with open(f"{desk.dir}/window.log", encoding="utf-8") as file:
        lines = [line for line in file if "CRITICAL" in line or
                 "WARNING" in line]
    expect(not lines, "".join(lines))


TESTS = [empty, programs, choices, stop_and_start, save, switch_off,
         trouble, unreachable, closed, everything, dark, quiet]


def main():
    # The stage's hands alone are wanted.
    os.environ |= {"VWL_GUEST": "", "XDG_RUNTIME_DIR": "/"}
    sys.path.append(sys.argv[4])
    with Desk(*sys.argv[1:4]) as desk:
        return worlds.tap(TESTS, desk)


if __name__ == "__main__":
    sys.exit(main())
