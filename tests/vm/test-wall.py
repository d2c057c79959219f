#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""A hostile guest on a real sway: a client of the host's compositor with no
bridge before it (attack.c). By default it gets nothing: no title, no clipboard,
no picture, no key, and nothing typed; and the compositor lives. With the policy
`none` it gets all of that, which is how this test would fail.

    test-wall.py --mode=plugin|daemon --qemu=PATH --plugin=PATH --daemon=PATH
                 [TEST...]

Prints TAP. Each test boots a machine of its own.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time

import desktop as desktops
import host as hosts
import vm as vms

TITLE, SECRET = "host terminal: my bank", "HOST-SECRET-clipboard"
POWERS = ("titles", "clipboard", "picture", "type", "keys")
TESTS = {}


def test(function):
    TESTS[function.__name__.replace("_", "-")] = function
    return function


class OneSocket(hosts.Host):
    """The desktop, for the unnamed context; `open` says policy=none."""

    def __init__(self, desktop, is_open, *args):
        self.desktop, self.is_open = desktop, is_open
        super().__init__(*args)

    def sockets(self):
        return [(self.desktop.path, "")]

    def echoes(self, sock):
        return self.is_open


class Session:
    """What the host's user has on that desktop: a keyboard, a terminal that
    waits for a line, and something in the clipboard."""

    def __init__(self, desktop):
        self.dir = tempfile.mkdtemp(prefix="vwl-session-")
        self.env = {**desktop.env, "XDG_RUNTIME_DIR": self.dir}
        self.typed = f"{self.dir}/typed"
        self.programs = [
            self.start("wtype", "-s", "3600000", ""),
            self.start("foot", f"--title={TITLE}", "sh", "-c",
                       f"read -r line; echo \"$line\" > {self.typed}; "
                       "read -r line"),
            self.start("wl-copy", "--foreground", "-t", "text/plain", SECRET)]

    def start(self, *command):
        return subprocess.Popen(command, env=self.env,
                                stdout=subprocess.DEVNULL,
                                stderr=subprocess.DEVNULL,
                                preexec_fn=vms._die_with_parent)

    def presses_a_key(self):
        subprocess.run(["wtype", "z"], env=self.env, check=False,
                       stderr=subprocess.DEVNULL, timeout=60)

    def was_typed_into(self):
        return os.path.exists(self.typed)

    def close(self):
        for program in self.programs:
            program.kill()
            program.wait()
        shutil.rmtree(self.dir)


def settle(what, check, timeout=60):
    deadline = time.monotonic() + timeout
    while not check():
        if time.monotonic() > deadline:
            raise vms.Error(f"never: {what}")
        time.sleep(0.2)


def attack(vm, session, power):
    """What the guest got, as attack.c says it."""
    if power != "keys":
        return vm.run(f"attack /dev/wl0 {power}", 240)[1]
    vm.spawn("attack /dev/wl0 keys", "/tmp/keys")
    settle("the guest listens to keys, or gives up", lambda: vm.run(
        "grep -q -e listening -e nothing /tmp/keys")[0] == 0, 240)
    session.presses_a_key()
    return vm.check("cat /tmp/keys")


def type_a_line(vm, session):
    """Again if need be: a terminal that was just opened may miss keys."""
    deadline = time.monotonic() + 180
    while True:
        said = attack(vm, session, "type")
        try:
            settle("a line is typed", session.was_typed_into, 10)
            return said
        except vms.Error:
            if time.monotonic() > deadline:
                raise


def lives(run):
    """Whether the compositor still serves a program of the host."""
    return subprocess.run(
        [run.attack, run.desktop.env["WAYLAND_DISPLAY"], "titles"],
        capture_output=True, timeout=120).returncode == 0


def attacked(run, is_open):
    got = {}
    with desktops.Desktop("sway") as run.desktop, \
            OneSocket(run.desktop, is_open, run.options.mode,
                      run.options.qemu, run.options.plugin,
                      run.options.daemon) as run.host:
        session = Session(run.desktop)
        try:
            with run.host.vm(run.image) as vm:
                vm.boot()
                display = run.desktop.env["WAYLAND_DISPLAY"]
                for power, sign in ("titles", TITLE), ("clipboard", SECRET):
                    settle(f"the host's {power}", lambda: sign in
                           subprocess.run(
                               [run.attack, display, power], text=True,
                               capture_output=True, timeout=120).stdout)
                for power in POWERS:
                    # before the keyboard is grabbed, which comes last
                    got[power] = type_a_line(vm, session) \
                        if is_open and power == "type" \
                        else attack(vm, session, power)
                    print(f"# {power}: " + " / ".join(
                        got[power].split("\n")), flush=True)
                if not is_open:
                    if session.was_typed_into():
                        raise vms.Error("the guest typed on the host")
                    if not lives(run):
                        raise vms.Error("the compositor does not live")
                log = run.host.log() + vm.log()
        finally:
            session.close()
    return got, log


@test
def by_default(run):
    got, log = attacked(run, False)
    for power, said in got.items():
        if "is not announced" not in said or \
                said.strip().splitlines()[-1] != "nothing":
            raise vms.Error(f"{power}: the guest got: {said}")
    if "is refused" not in log or SECRET in log:
        raise vms.Error(f"the log: {log}")


@test
def with_policy_none(run):
    got, _ = attacked(run, True)
    for power, sign in (("titles", TITLE), ("clipboard", SECRET),
                        ("picture", "pixels are not black"),
                        ("type", "typed"), ("keys", "listening")):
        if sign not in got[power] or ", 0 pixels" in got[power]:
            raise vms.Error(f"{power}: only: {got[power]}")


class Run:
    def __init__(self, options, folder):
        self.options = options
        self.attack = f"{folder}/attack"
        subprocess.run(
            ["gcc", "-O1", "-Wall", "-Wextra", "-static", "-o", self.attack,
             f"-I{hosts.TOP}/qemu-glue/guest/driver",
             f"{hosts.TOP}/tests/vm/attack.c"], check=True)
        self.image = hosts.make_image(f"{self.attack}:/bin/attack")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--mode", default="plugin",
                        choices=["plugin", "daemon"])
    parser.add_argument("--qemu", required=True)
    parser.add_argument("--plugin", required=True)
    parser.add_argument("--daemon", required=True)
    parser.add_argument("tests", nargs="*")
    options = parser.parse_args()
    names = options.tests or list(TESTS)
    print(f"1..{len(names)}", flush=True)
    with tempfile.TemporaryDirectory(prefix="vwl-wall-") as folder:
        run = Run(options, folder)
        return vms.tap(names, lambda name: TESTS[name](run),
                       errors=(subprocess.SubprocessError,))


if __name__ == "__main__":
    sys.exit(main())
