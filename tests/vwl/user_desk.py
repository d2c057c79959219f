# SPDX-License-Identifier: BSD-3-Clause
"""A user's desktop with the service on its bus, and one machine, box: QEMU, the
daemon, the guest's agent and the desktop's notifications are doubles."""

import json
import os
import signal
import socket
import subprocess

import agents
import notifier
import worlds
from worlds import expect


class Desk(worlds.Desk):
    """With doubles of QEMU and the daemon."""

    def __init__(self, vwl, service, notifications):
        super().__init__(vwl, service)
        self.service = service
        self.notifier = notifier.Notifier(notifications, self.env)
        self.note, self.press = self.notifier.note, self.notifier.press
        self.asked = self.notifier.asked
        self.script("qemu", agents.QEMU)
        self.script("daemon", agents.DAEMON)
        self.agent = None

    def options(self):
        return [f"--qemu={self.dir}/qemu", f"--glue={self.dir}/glue.so",
                f"--daemon={self.dir}/daemon", "--accel=tcg"]

    def new(self, name, *more):
        disk = self.write(f"disks/{name}.img", bytes(4096))
        return self.vwl("run", disk, "--timeout=0", *self.options(), *more)

    def path(self, name, file="channel"):
        return f"{self.dir}/run/vwl/{name}/{file}"

    def state(self, name):
        rows = json.loads(self.check("list", "--json"))
        return [row["state"] for row in rows if row["name"] == name][0]

    def wait_state(self, name, state):
        worlds.wait(lambda: self.state(name) == state,
                  lambda: f"{name} is {self.state(name)}, not {state}")

    def pid(self, name, what):
        with open(self.path(name, f"{what}.pid"), encoding="ascii") as file:
            return int(file.read().split()[0])

    def ask_bus(self, method):
        """Of the service's name."""
        return subprocess.run(
            ["gdbus", "call", "--session", "--dest", "org.freedesktop.DBus",
             "--object-path", "/org/freedesktop/DBus", "--method",
             f"org.freedesktop.DBus.{method}", "org.vhost_user_wl.Vwl"],
            env=self.env, capture_output=True, text=True, check=True).stdout

    def kill_service(self):
        said = self.ask_bus("GetConnectionUnixProcessID")
        os.kill(int(said.split()[1].rstrip(",)")), signal.SIGKILL)
        worlds.wait(lambda: self.ask_bus("NameHasOwner") == "(false,)\n",
                    "the bus believes in a service that was killed")

    def exec(self, *words, **more):
        return super().exec("box", *words, **more)

    def call(self, method, *words):
        """Of box; what gdbus prints."""
        return subprocess.run(
            ["gdbus", "call", "--session", "--dest", "org.vhost_user_wl.Vwl",
             "--object-path", "/org/vhost_user_wl/Vwl/machine/box", "--method",
             f"org.vhost_user_wl.Vwl1.Machine.{method}", *words], env=self.env,
            check=True, capture_output=True, text=True).stdout

    @staticmethod
    def lines(path):
        """None, while there is no such file."""
        try:
            with open(path, encoding="ascii") as file:
                return file.read().splitlines()
        except FileNotFoundError:
            return []

    def told(self):
        """What the device was told, by lines."""
        return self.lines(self.path("box", "control.told"))

    def wait_told(self, *lines):
        worlds.wait(lambda: all(line in self.told() for line in lines),
                    lambda: f"{lines} is not in {self.told()}")

    def monitor_heard(self):
        """The commands of box's QEMU."""
        return self.lines(self.path("box", "qmp.said"))

    def device_says(self, text):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            sock.sendto(text.encode(), self.path("box", "control.say"))

    def close(self):
        self.notifier.close()
        if self.agent:
            self.agent.close()
        super().close()
