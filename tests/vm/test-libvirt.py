#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""The device in a domain of libvirt: session mode, an ordinary user, software
emulation, and the XML of qemu-glue/libvirt-domain.xml.

    test-libvirt.py --mode=plugin|daemon --qemu="PROGRAM -plugin GLUE"
                    --plugin=PATH --daemon=PATH --painter=PATH [TEST...]

Prints TAP. Run as root, it does all that libvirt's user does as "nobody".
"""

import argparse
import os
import pwd
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

import desktop as desktops
import host as hosts
import vm as vms

TESTS = {}
NEEDS_RESET = "device needs a reset"


def test(function):
    TESTS[function.__name__.replace("_", "-")] = function
    return function


def want(truth, why):
    if not truth:
        raise vms.Error(why)


def settle(what, wanted, timeout=60):
    deadline = time.monotonic() + timeout
    while (now := what()) != wanted:
        want(time.monotonic() < deadline,
             f"is {now!r}, should become {wanted!r}")
        time.sleep(0.1)


def is_over(pid):
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return file.read().rpartition(b")")[2].split()[0] == b"Z"
    except OSError:
        return True


class User:
    """Whoever runs libvirt: not root, with folders of his own."""

    def __init__(self, directory):
        self.dir = f"{directory}/user"
        self.env = {"PATH": os.environ["PATH"], "HOME": self.dir}
        for name, folder in (("XDG_RUNTIME_DIR", "run"),
                             ("XDG_CONFIG_HOME", "config"),
                             ("XDG_CACHE_HOME", "cache"),
                             ("XDG_DATA_HOME", "data")):
            self.env[name] = f"{self.dir}/{folder}"
            os.makedirs(self.env[name], 0o700)
        os.chmod(directory, 0o755)
        self.prefix = []
        if os.getuid() == 0:
            nobody = pwd.getpwnam("nobody")
            for each in (self.dir, *map(str, self.env.values())):
                if each.startswith(self.dir):
                    os.chown(each, nobody.pw_uid, nobody.pw_gid)
            self.prefix = ["setpriv", f"--reuid={nobody.pw_uid}",
                           f"--regid={nobody.pw_gid}", "--clear-groups"]

    def start(self, *line, log):
        with open(log, "ab") as file:
            return subprocess.Popen([*self.prefix, *line], env=self.env,
                                    stdin=subprocess.DEVNULL, stdout=file,
                                    stderr=file, cwd=self.dir,
                                    preexec_fn=vms._die_with_parent)

    def virsh(self, *words, good=True):
        done = subprocess.run(
            [*self.prefix, "virsh", "-q", "-c", "qemu:///session", *words],
            env=self.env, text=True, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=180,
            cwd=self.dir)
        want(not good or done.returncode == 0,
             f"virsh {shlex.join(words)}: {done.stdout}")
        return done.stdout.strip()


class Domain(vms.VM):
    """A guest that libvirt keeps: commands go to it as to any other."""

    def __init__(self, user, directory):
        super().__init__("", "")
        self.user = user
        self.agent_path = f"{directory}/user/agent"

    def attach(self):
        """To the guest of the QEMU that runs now."""
        self._agent_socket = socket.socket(socket.AF_UNIX)
        self._agent_socket.connect(self.agent_path)
        self._agent = vms._Lines(self._agent_socket, self)

    def state(self):
        return self.user.virsh("domstate", "wl")

    def check_alive(self):
        want(self.state() in ("running", "paused"),
             f"the domain is {self.state()}")

    def wait_exit_or_die(self):
        raise vms.Dead(f"the domain is {self.state()}")


def paint(run, vm):
    vm.run("killall -q -9 vwl-paint")
    vm.spawn("vwl-paint --wl0 --size=320x200 --timeout=60", "/tmp/window")
    settle(lambda: "painted" in vm.run("cat /tmp/window")[1], True)
    run.desktop.shows()


def complaints(run, vm):
    said = vm.kernel_complaints()
    want(not said, "the guest complains: " + "\n".join(said))


@test
def life(run):
    """Start, suspend, resume, managed save, start, destroy."""
    user, vm = run.user, run.vm
    user.virsh("define", run.xml())
    user.virsh("start", "wl")
    vm.attach()
    vm.wait_ready()
    paint(run, vm)
    user.virsh("suspend", "wl")
    want(vm.state() == "paused", vm.state())
    run.desktop.shows()
    user.virsh("resume", "wl")
    want(vm.state() == "running", vm.state())
    vm.check("echo kept > /tmp/kept")
    run.desktop.shows()
    for number in (1, 2):
        user.virsh("managedsave", "wl")
        want(vm.state() == "shut off", vm.state())
        run.desktop.empties()
        user.virsh("start", "wl")
        vm.attach()
        settle(lambda: vm.dmesg().count(NEEDS_RESET), number)
        want(vm.check("cat /tmp/kept") == "kept\n", "the guest is another")
        settle(lambda: vm.run("pidof vwl-paint")[0], 1)
        paint(run, vm)
    complaints(run, vm)
    user.virsh("destroy", "wl")
    want(vm.state() == "shut off", vm.state())
    run.desktop.empties()
    user.virsh("start", "wl")
    vm.attach()
    vm.wait_ready()
    want(vm.run("cat /tmp/kept")[0] != 0, "the guest is the same")
    paint(run, vm)
    user.virsh("reset", "wl")
    run.desktop.empties()
    vm.wait_ready()
    paint(run, vm)
    complaints(run, vm)
    user.virsh("destroy", "wl")
    run.desktop.empties()
    user.virsh("undefine", "wl")


class Run:
    """Everything in a folder that the user may read."""

    def __init__(self, options, directory):
        words = shlex.split(options.qemu)
        self.emulator = shutil.which(words[0])
        self.mode = options.mode
        self.dir = directory
        glue = words[words.index("-plugin") + 1]
        self.glue = self.copy(glue)
        self.copy(glue[:-len(".so")] + "-device.so")
        self.plugin = self.copy(options.plugin)
        self.daemon = self.copy(options.daemon)
        image = hosts.make_image(f"{options.painter}:/bin/vwl-paint")
        for name in ("vmlinux", "initramfs.cpio"):
            self.copy(f"{image}/{name}")
        self.user = User(directory)
        self.desktop = None
        self.vm = None
        self.processes = []

    def copy(self, path):
        return shutil.copy(path, self.dir)

    def device(self, text):
        """In the XML, with a daemon's socket where one is asked for."""
        if self.mode == "plugin":
            return text
        path = f"{self.user.dir}/wl.sock"
        self.processes.append(self.user.start(
            self.daemon, f"--plugin={self.plugin}", f"--socket-path={path}",
            f"--wayland-sock={self.socket}", log=f"{self.user.dir}/daemon"))
        settle(lambda: hosts.listens(path), True)
        return text.replace("plugin=PLUGIN,wayland-sock=SOCKET",
                            f"socket={path}")

    def xml(self):
        with open(f"{hosts.TOP}/qemu-glue/libvirt-domain.xml") as file:
            text = self.device(file.read())
        for word, path in (("EMULATOR", self.emulator), ("GUEST", self.dir),
                           ("GLUE", self.glue), ("PLUGIN", self.plugin),
                           ("SOCKET", self.socket)):
            text = text.replace(word, path)
        # a second serial port, by which tests speak to the guest
        text = text.replace(
            "<memballoon", "<serial type='unix'><source mode='bind' "
            f"path='{self.vm.agent_path}'/></serial>\n<memballoon")
        path = f"{self.user.dir}/wl.xml"
        with open(path, "w") as file:
            file.write(text)
        os.chmod(path, 0o644)
        return path

    def open_desktop(self):
        """What only its owner may reach, but for the test's two users."""
        self.socket = os.path.realpath(self.desktop.path)
        if os.getuid() != 0:
            return
        os.chmod(self.socket, 0o777)
        folder = os.path.dirname(self.socket)
        while folder not in ("/", "/tmp"):
            os.chmod(folder, os.stat(folder).st_mode | 0o055)
            folder = os.path.dirname(folder)

    def libvirt(self):
        self.processes.append(self.user.start(
            "libvirtd", log=f"{self.user.dir}/libvirtd"))
        settle(lambda: re.match("error", self.user.virsh("list", good=False)),
               None)

    def logs(self):
        text = ""
        for folder in (self.user.dir, f"{self.user.dir}/cache/libvirt/qemu/log"):
            for name in ("daemon", "libvirtd", "wl.log"):
                if os.path.exists(f"{folder}/{name}"):
                    with open(f"{folder}/{name}", errors="replace") as file:
                        text += file.read()[-3000:]
        return text

    def close(self):
        self.user.virsh("destroy", "wl", good=False)
        for process in self.processes:
            process.terminate()
            process.wait(60)
        # which libvirtd started, and which would wait for two minutes
        path = f"{self.user.env['XDG_RUNTIME_DIR']}/libvirt/virtlogd.pid"
        if os.path.exists(path):
            with open(path) as file:
                pid = int(file.read())
            try:
                os.kill(pid, signal.SIGTERM)
            except ProcessLookupError:
                return
            # it writes into the folder until then
            settle(lambda: is_over(pid), True)


def one(run, name):
    with desktops.Desktop() as run.desktop, Domain(run.user, run.dir) as run.vm:
        run.open_desktop()
        run.libvirt()
        try:
            return TESTS[name](run)
        finally:
            run.close()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--mode", default="plugin",
                        choices=["plugin", "daemon"])
    for name in ("qemu", "plugin", "daemon", "painter"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("tests", nargs="*")
    options = parser.parse_args()
    names = options.tests or list(TESTS)
    print(f"1..{len(names)}", flush=True)
    with tempfile.TemporaryDirectory(prefix="vwl-libvirt-") as directory:
        run = Run(options, directory)
        return vms.tap(names, lambda name: one(run, name),
                       (subprocess.SubprocessError,), run.logs)


if __name__ == "__main__":
    sys.exit(main())
