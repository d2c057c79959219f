#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""A Debian guest as qemu-glue/guest/setup leaves it: who may use the device,
what is there at login, and that ordinary programs find their way to the
host's compositor.

    test-guest.py --mode=plugin|daemon --qemu=PATH --plugin=PATH --daemon=PATH
                  [TEST...]

Prints TAP. All tests are about one machine, which boots once; they build on
each other. In it, `user` has logged in on the console, `other` has not.
"""

import argparse
import os
import subprocess
import sys
import time

import desktop as desktops
import host as hosts
import vm as vms

PATIENCE = 240  # seconds, for an emulated machine on a busy host
PORT = "pcie-root-port,id=slot1,chassis=1,pref64-reserve=16G"
LOOK = f"{hosts.TOP}/tests/bridge/look.py"
TESTS = {}


def test(function):
    TESTS[function.__name__.replace("_", "-")] = function
    return function


class Guest:
    def __init__(self, vm, desktop, device):
        self.vm = vm
        self.desktop = desktop
        self.device = device

    def root(self, script):
        return self.vm.run(script, 120)

    def as_user(self, script, user="user"):
        """In a login shell, as one on the console is."""
        script = script.replace("'", "'\\''")
        uid = {"user": 1000, "other": 1001}[user]
        return self.vm.run(
            f"cd / && setpriv --reuid={uid} --regid={uid} --init-groups "
            f"env -i USER={user} HOME=/home/{user} "
            f"PATH=/usr/bin:/bin XDG_RUNTIME_DIR=/run/user/{uid} "
            f"DBUS_SESSION_BUS_ADDRESS=unix:path=/run/user/{uid}/bus "
            f"bash -lc '{script}'", 120)

    def check(self, script, user="user"):
        status, output = self.as_user(script, user)
        if status:
            raise vms.Error(f"{user}: {script!r} gave {status}: {output}")
        return output.strip()

    def start(self, script):
        """A program of the user's that stays."""
        self.check(f"setsid -f {script} </dev/null >/tmp/program.log 2>&1")

    def wait(self, what, script, user="user"):
        deadline = time.monotonic() + PATIENCE
        while True:
            status, output = self.as_user(script, user)
            if status == 0:
                return output.strip()
            if time.monotonic() > deadline:
                log = self.root("journalctl -b | tail -n 40; "
                                "cat /tmp/program.log; ls -la /dev/wl*")[1]
                raise vms.Error(f"{what}: {output}\n{log}")
            time.sleep(1)

    def wait_shot(self, what, *options):
        deadline = time.monotonic() + PATIENCE
        shot = f"{self.desktop.dir}/shot.png"
        while True:
            subprocess.run([desktops.TOOL, "screenshot", shot],
                           env=self.desktop.env, check=True,
                           capture_output=True)
            done = subprocess.run([sys.executable, LOOK, shot, *options],
                                  capture_output=True, text=True)
            if done.returncode == 0:
                return
            if time.monotonic() > deadline:
                log = self.root("cat /tmp/program.log; "
                                "journalctl -b | tail -n 20")[1]
                raise vms.Error(f"{what}: {done.stdout}{done.stderr}\n{log}")
            time.sleep(1)

    def bridge(self):
        return self.check("systemctl --user show -P ActiveState "
                          "virtio-wl-bridge.service")


def expect(is_so, what):
    if not is_so:
        raise vms.Error(what)


@test
def module(guest):
    """DKMS has built it, udev has loaded it."""
    guest.wait("no device", "test -c /dev/wl0")
    output = guest.root("modinfo -n virtio_wl")[1]
    expect("updates/dkms/virtio_wl" in output, output)


@test
def owner(guest):
    """The device is for the session's user, and for nobody else."""
    guest.wait("the session's user may not open the device",
               ": <> /dev/wl0")
    status, output = guest.as_user(": <> /dev/wl0", user="other")
    expect(status != 0 and "Permission denied" in output,
           f"another user may open the device: {status} {output}")
    expect(guest.root("stat -c %a:%G /dev/wl0")[1].strip() == "660:render",
           guest.root("ls -la /dev/wl0")[1])


@test
def socket(guest):
    """It is there from login on, for its user alone, and no bridge yet."""
    guest.wait("no socket", "test -S $XDG_RUNTIME_DIR/wayland-0")
    guest.wait("no session bus", "test -S $XDG_RUNTIME_DIR/bus")
    expect(guest.check("stat -c %a:%U $XDG_RUNTIME_DIR/wayland-0") ==
           "600:user", "the socket is not its user's")
    expect(guest.bridge() == "inactive", "the bridge runs for nobody")
    expect(guest.check("echo $WAYLAND_DISPLAY") == "wayland-0",
           "a shell does not know the display")
    guest.wait("what systemd starts does not know the display",
               "systemctl --user show-environment | "
               "grep -x WAYLAND_DISPLAY=wayland-0")


@test
def activation(guest):
    """The first program starts the bridge, and is on the host's screen."""
    guest.start("weston-simple-shm")
    guest.wait_shot("no window", "--squares", "1")
    expect(guest.bridge() == "active", "the bridge does not run")
    expect(guest.check("ps -o user= -C virtio-wl-bridge") == "user",
           "the bridge is another user's")


@test
def restart(guest):
    """The bridge is killed: its windows go, a new program starts a new one."""
    guest.check("systemctl --user kill -s KILL virtio-wl-bridge.service")
    guest.wait_shot("a window without a bridge", "--squares", "0")
    guest.start("weston-simple-shm")
    guest.wait_shot("no window of the new bridge", "--squares", "1")


@test
def options(guest):
    """The service takes them from the user's file: windows have a prefix, and
    a socket of the host's is at its place."""
    guest.check("mkdir -p ~/.config && echo 'OPTIONS=\"--title-prefix=[work] "
                "--socket=sound:pulse/native\"' > ~/.config/virtio-wl-bridge "
                "&& systemctl --user restart virtio-wl-bridge")
    guest.wait("no socket for sound", "test -S $XDG_RUNTIME_DIR/pulse/native")
    words = guest.check("tr '\\0' '\\n' < "
                        "/proc/$(pidof virtio-wl-bridge)/cmdline").split()
    expect(words[1:] == ["--title-prefix=[work]",
                         "--socket=sound:pulse/native"], words)
    guest.wait_shot("a window without its bridge", "--squares", "0")
    guest.start("weston-simple-shm")
    guest.wait_shot("no window of the new bridge", "--squares", "1")


@test
def device_reset(guest):
    """The device is taken from its driver and given back: windows go, the
    same bridge serves the next program."""
    before = guest.check("pidof virtio-wl-bridge")
    guest.root("cd /sys/bus/virtio/drivers/virtio_wl && id=$(ls -d virtio*) "
               "&& echo $id > unbind && echo $id > bind")
    guest.wait_shot("a window without a device", "--squares", "0")
    guest.wait("no device, or not the user's", ": <> /dev/wl0")
    guest.start("weston-simple-shm")
    guest.wait_shot("no window after the reset", "--squares", "1")
    expect(guest.check("pidof virtio-wl-bridge") == before,
           "it is another bridge")


@test
def second_bridge(guest):
    """Started by hand, and sending in threads as other drivers need it."""
    guest.check("pkill weston-simple")
    guest.wait_shot("a window without a program", "--squares", "0")
    guest.start("virtio-wl-bridge --waiting-driver --listen=/tmp/second")
    guest.wait("it does not listen", vms.listens("/tmp/second"))
    guest.start("env WAYLAND_DISPLAY=/tmp/second weston-simple-shm")
    guest.wait_shot("no window of the second bridge", "--squares", "1")


@test
def another_compositor(guest):
    """The compositor ends, and with it its windows' programs; another one
    comes, with a keyboard, so that foot runs."""
    before = guest.check("pidof virtio-wl-bridge")
    expect(len(before.split()) == 2, "there are not two bridges")
    guest.desktop.stop()
    guest.wait("a program lives on without its compositor",
               "! pidof weston-simple-shm")
    guest.desktop.kind = "sway"
    guest.desktop.start()
    guest.start("foot -o colors.background=335577 "
                "sh -c 'echo said > /tmp/foot; exec sleep 1000'")
    guest.wait("foot's program does not run", "grep said /tmp/foot")
    guest.wait_shot("no terminal", "--colour", "0x335577", "--at-least",
                    "20000")
    expect(guest.check("pidof virtio-wl-bridge") == before,
           "it is another bridge")


@test
def agent(guest):
    """It waits for a host that asks, as does root's; doctor finds both."""
    for scope, unit in (("--user ", "vwl-guest"), ("--user ",
                        "vwl-guest-bridge"), ("--user ", "vwl-guest-sound"),
                        ("", "vwl-guest-root"),
                        ("", "vwl-guest-root-bridge")):
        guest.wait(f"{unit} does not run",
                   f"systemctl {scope}is-active {unit}.service")
    said = guest.check("vwl-guest doctor; true")
    for line in ("ok    kernel module: loaded", "ok    /dev/wl0: yours",
                 "warn  agent: the host is not connected"):
        expect(line in said, said)


@test
def plugged_later(guest):
    """A session begins without the device: there is nothing to connect to. It
    is plugged in, and the next program opens its window."""
    guest.as_user("pkill foot")
    guest.root("systemctl stop user@1000.service; "
               "rm -f /run/user/1000/wayland-0*")
    guest.vm.device_del("wl0", PATIENCE)
    guest.root("systemctl start user@1000.service")
    guest.wait("the session does not begin",
               "systemctl --user is-active default.target")
    expect(guest.root("test -e /dev/wl0")[0], "the device is still there")
    units = "virtio-wl-bridge.socket vwl-guest.service"
    for unit in units.split():
        expect(guest.as_user(f"systemctl --user is-active {unit}")[0],
               f"without a device: {unit} is active")
    said = guest.vm.hmp(f"device_add {guest.device}")
    expect("Error" not in said, said)
    for unit in units.split():
        guest.wait(f"{unit} does not start by itself",
                   f"systemctl --user is-active {unit}")
    guest.start("foot -o colors.background=557733 sleep 1000")
    guest.wait_shot("no terminal", "--colour", "0x557733", "--at-least",
                    "20000")


@test
def removal(guest):
    """The package goes, and everything with it."""
    guest.check("systemctl --user stop virtio-wl-bridge.socket "
                "virtio-wl-bridge.service vwl-guest.service "
                "vwl-guest-bridge.service vwl-guest-sound.service")
    guest.as_user("pkill virtio-wl; pkill foot")
    status, output = guest.vm.run("dpkg -r vhost-user-wl-guest", 240)
    expect(status == 0, output)
    status, output = guest.root(
        "ls /dev/wl0 /usr/bin/virtio-wl-bridge /usr/bin/vwl-guest /usr/src/virtio-wl-* "
        "/etc/systemd/user/sockets.target.wants/virtio-wl-bridge.socket "
        "/lib/modules/*/updates/dkms/virtio_wl* 2>/dev/null; "
        "lsmod | grep virtio_wl")
    expect(not output.strip(), f"left behind: {output}")


class GuestHost(hosts.Host):
    def __init__(self, desktop, *args):
        self.desktop = desktop
        super().__init__(*args)

    def sockets(self):
        return [(self.desktop.path, "")]


def run_tests(names, guest, host):
    began = time.monotonic()
    guest.vm.boot(600)
    print(f"# up after {time.monotonic() - began:.0f} s", flush=True)
    failed = vms.tap(names, lambda name: TESTS[name](guest),
                     (subprocess.SubprocessError,))
    complaints = guest.vm.kernel_complaints()
    if complaints or "our bug" in host.log() + guest.vm.log():
        print(f"# {complaints or 'our bug'}\nBail out!", flush=True)
        failed = True
    return failed


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--mode", default="plugin",
                        choices=["plugin", "daemon"])
    parser.add_argument("--qemu", required=True)
    parser.add_argument("--plugin", required=True)
    parser.add_argument("--daemon", required=True)
    parser.add_argument("tests", nargs="*")
    options = parser.parse_args()
    if os.getuid():
        print("1..0 # SKIP making a Debian guest needs root")
        return False
    names = options.tests or list(TESTS)
    image = subprocess.run(
        [f"{hosts.TOP}/qemu-glue/guest/make-debian"], check=True,
        stdout=subprocess.PIPE, text=True).stdout.strip()
    print(f"1..{len(names)}", flush=True)
    with desktops.Desktop() as desktop, \
            GuestHost(desktop, options.mode, options.qemu, options.plugin,
                      options.daemon) as host:
        disk = ["-drive", "if=none,id=root,snapshot=on,format=raw,"
                f"file={image}/disk", "-device", "virtio-blk-pci,drive=root"]
        args, device = host.device(properties=",bus=slot1")
        with host.vm(image, n_devices=0, devices=[PORT, device],
                     args=args + disk, memory="1G") as vm:
            return run_tests(names, Guest(vm, desktop, device), host)


if __name__ == "__main__":
    sys.exit(main())
