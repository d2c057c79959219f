# SPDX-License-Identifier: BSD-3-Clause
"""A virtual machine for tests: boots, runs commands in the guest, ends.

    with VM(qemu, image, devices=["vhost-user-wl-pci,plugin=..."]) as vm:
        vm.boot()
        status, output = vm.run("ls /dev/wl0")
        vm.qmp("system_reset")
        vm.wait_ready()

`image` is a directory that qemu-glue/guest/make-image made. The guest is
spoken to over its second serial port (image-agent.c says how), QEMU over QMP.
Every wait is bounded. The first serial port, QEMU's own output and the QMP
conversation are in vm.dir, which goes with the VM unless keep is set, or the
block ended with an exception.
"""

import base64
import ctypes
import json
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import traceback

MACHINE = "q35,hpet=off"
APPEND = "console=ttyS0 tsc=reliable no_timer_check mitigations=off quiet " \
         "panic=-1"
PR_SET_PDEATHSIG = 1


class Error(Exception):
    pass


class Timeout(Error):
    pass


class Dead(Error):
    """QEMU ended."""


def tap(names, act, errors=(), explain=lambda: "", first=1):
    """Calls act(name) for each, prints TAP, and says whether one failed;
    explain() adds to what an Error, an OSError or one of errors says. first is
    the number of the first."""
    failed = False
    for number, name in enumerate(names, first):
        began = time.monotonic()
        try:
            act(name)
            print(f"ok {number} - {name} # "
                  f"{time.monotonic() - began:.1f} s", flush=True)
        except (Error, OSError, *errors):
            failed = True
            for line in (traceback.format_exc() + explain()).splitlines():
                print(f"# {line}", flush=True)
            print(f"not ok {number} - {name}", flush=True)
    return failed


def background(command, out="/dev/null"):
    """A script for the guest that starts a command and says its pid. The file
    for its output is there, and empty, before the command is: who looks into it
    next finds neither nothing nor what an earlier one has left. The command is
    a simple one, or a list in brackets."""
    return f"exec 3>&1 > {out} 2>&1; {command} 3>&- & echo $! >&3"


def listens(path):
    """A shell's condition: somebody listens at a Unix socket (which is there
    before)."""
    return f"grep -q ' 00010000 .* {path}$' /proc/net/unix"


def at_rest(measure, looks=20):
    """What is measured once it has been the same for a second (or after many):
    what was closed may be closed by a thread, a moment later."""
    seen = [measure()]
    deadline = time.monotonic() + 30
    while (len(seen) < looks or any(s != seen[-1] for s in seen[-looks:])) \
            and time.monotonic() < deadline:
        time.sleep(0.05)
        seen.append(measure())
    return seen[-1]


def _die_with_parent():
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def kvm_works(qemu):
    """Whether a machine with KVM gets as far as QMP."""
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return False
    try:
        done = subprocess.run(
            [*shlex.split(qemu), "-machine", "q35,accel=kvm", "-cpu", "host", "-nodefaults",
             "-nographic", "-S", "-qmp", "stdio"], text=True, timeout=60,
            input='{"execute":"qmp_capabilities"}\n{"execute":"quit"}\n',
            capture_output=True)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


class _Lines:
    """Lines from a socket, as they come, with a deadline."""

    def __init__(self, sock, vm):
        self.sock = sock
        self.vm = vm
        self.rest = b""

    def next(self, deadline):
        while b"\n" not in self.rest:
            left = deadline - time.monotonic()
            if left <= 0:
                raise Timeout("nothing came in time")
            self.sock.settimeout(min(left, 1))
            try:
                data = self.sock.recv(65536)
            except socket.timeout:
                self.vm.check_alive()
                continue
            except ConnectionError:
                data = b""
            if not data:
                self.vm.wait_exit_or_die()
            self.rest += data
        line, self.rest = self.rest.split(b"\n", 1)
        return line.strip(b"\r")


class VM:
    def __init__(self, qemu, image, devices=(), args=(), memory="512M",
                 cpus=1, append="", guest_env=None, share=True,
                 machine=MACHINE, accel=None, keep=False, name="vm",
                 pass_fds=(), env=None):
        """qemu: a program, or one with arguments, as a shell would take it;
        devices: each becomes -device; guest_env: what the kernel command
        line tells image-init (vwl_modparams and so on); accel None: tcg."""
        self.qemu = qemu
        self.image = image
        self.devices = list(devices)
        self.args = list(args)
        self.memory = memory
        self.cpus = cpus
        self.append = append
        self.guest_env = dict(guest_env or {})
        self.share = share
        self.machine = machine
        self.accel = accel or "tcg"
        self.keep = keep
        self.pass_fds = pass_fds
        self.env = env
        self.dir = tempfile.mkdtemp(prefix=f"vwl-{name}-")
        self.process = None
        self.events = []
        self._id = 0
        self._answers = {}

    # Life

    def command_line(self):
        append = " ".join(
            [APPEND, self.append] +
            [f'{k}="{v}"' for k, v in self.guest_env.items()])
        memory = [
            "-m", self.memory,
            "-object", f"memory-backend-memfd,id=mem,size={self.memory},"
                       f"share={'on' if self.share else 'off'}",
            "-machine", f"{self.machine},accel={self.accel},"
                        "memory-backend=mem"]
        line = [*shlex.split(self.qemu), "-nodefaults", "-no-user-config", "-display",
                "none", *memory,
                "-cpu", "host" if self.accel == "kvm" else "max",
                "-smp", str(self.cpus),
                "-kernel", f"{self.image}/vmlinux",
                "-initrd", f"{self.image}/initramfs.cpio",
                "-append", append,
                "-chardev", f"file,id=console,path={self.dir}/console",
                "-serial", "chardev:console",
                "-chardev", "socket,id=agent,server=on,wait=off,"
                            f"path={self.dir}/agent",
                "-serial", "chardev:agent",
                "-chardev", "socket,id=qmp,server=on,wait=off,"
                            f"path={self.dir}/qmp",
                "-mon", "chardev=qmp,mode=control"]
        for device in self.devices:
            line += ["-device", device]
        return line + self.args

    def start(self):
        """Starts QEMU; Dead if it does not want to."""
        with open(f"{self.dir}/qemu", "wb") as log:
            self.process = subprocess.Popen(
                self.command_line(), stdin=subprocess.DEVNULL, stdout=log,
                stderr=log, preexec_fn=_die_with_parent,
                pass_fds=self.pass_fds, env=self.env)
        self._agent_socket = self._connect("agent")
        self._agent = _Lines(self._agent_socket, self)
        self._qmp_socket = self._connect("qmp")
        self._qmp = _Lines(self._qmp_socket, self)
        self._qmp.next(time.monotonic() + 60)
        self.qmp("qmp_capabilities")

    def boot(self, timeout=240):
        self.start()
        self.wait_ready(timeout)

    def wait_ready(self, timeout=240):
        """Until the guest takes commands, after a start or a reset."""
        deadline = time.monotonic() + timeout
        while True:
            line = self._agent.next(deadline)
            if line.endswith(b"READY"):
                self._answers.clear()
                return

    def _connect(self, name):
        deadline = time.monotonic() + 60
        while True:
            sock = socket.socket(socket.AF_UNIX)
            try:
                sock.connect(f"{self.dir}/{name}")
                return sock
            except (FileNotFoundError, ConnectionRefusedError):
                sock.close()
                self.check_alive()
                if time.monotonic() > deadline:
                    raise Timeout(f"QEMU offers no {name} socket")
                time.sleep(0.02)

    def check_alive(self):
        if self.process.poll() is not None:
            raise Dead(f"QEMU ended with {self.process.returncode}:\n" +
                       self.log())

    def wait_exit_or_die(self):
        try:
            self.process.wait(60)
        except subprocess.TimeoutExpired:
            raise Dead("QEMU closed a socket and lives on") from None
        self.check_alive()

    def wait_exit(self, timeout=60):
        """QEMU's exit status."""
        try:
            return self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise Timeout("QEMU did not end") from None

    def kill(self):
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def quit(self, timeout=60):
        """Ends QEMU as its user would; returns its exit status."""
        self.qmp("quit")
        return self.wait_exit(timeout)

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        self.kill()
        for name in ("_agent_socket", "_qmp_socket"):
            if hasattr(self, name):
                getattr(self, name).close()
        if kind is not None:
            print(f"# the VM's files are kept in {self.dir}\n"
                  f"# {shlex.join(self.command_line())}", file=sys.stderr)
            for text in (self.log(), self.console()):
                for line in text.splitlines()[-40:]:
                    print(f"# {line}", file=sys.stderr)
        elif not self.keep:
            shutil.rmtree(self.dir, ignore_errors=True)

    def _text(self, name):
        try:
            with open(f"{self.dir}/{name}", "rb") as file:
                return file.read().decode("utf-8", "replace")
        except FileNotFoundError:
            return ""

    def log(self):
        """What QEMU said."""
        return self._text("qemu")

    def console(self):
        """What the guest's first serial port said."""
        return self._text("console")

    # The guest

    def begin(self, script, timeout=60):
        """Starts a script in the guest; finish() with what this returns."""
        self._id += 1
        line = b"%d %d %s\n" % (self._id, timeout,
                                base64.b64encode(script.encode()))
        if len(line) > 30000:
            raise Error("script too long: put() it in pieces")
        self._agent_socket.settimeout(timeout + 20)
        self._agent_socket.sendall(line)
        return self._id, time.monotonic() + timeout + 20

    def finish(self, begun):
        """(status, output); 124 if it took too long."""
        number, deadline = begun
        while number not in self._answers:
            match = re.search(rb"(\d+) (\d+) (\S*)$",
                              self._agent.next(deadline))
            if match:
                output = base64.b64decode(match[3]).decode("utf-8", "replace")
                self._answers[int(match[1])] = int(match[2]), output
        return self._answers.pop(number)

    def run(self, script, timeout=60):
        return self.finish(self.begin(script, timeout))

    def check(self, script, timeout=60):
        """The output of a script that must succeed."""
        status, output = self.run(script, timeout)
        if status != 0:
            raise Error(f"guest: {script!r} gave {status}:\n{output}")
        return output

    def slept(self, meanwhile=lambda: time.sleep(1)):
        """Whether it was suspended to idle: the agent's next line wakes it, and
        if that comes too early, it does not fall asleep."""
        self.check("echo enabled > /sys/class/tty/ttyS1/power/wakeup")
        asleep = self.begin("echo freeze > /sys/power/state")
        meanwhile()
        awake = self.begin("true")
        status, _ = self.finish(asleep)
        self.finish(awake)
        return status == 0

    def spawn(self, command, out="/dev/null"):
        """The pid of a command in the guest's background(), which may not have
        done anything yet."""
        return int(self.check(background(command, out)))

    def put(self, path, data, mode=0o755):
        """Writes a file in the guest."""
        self.check(f": > {shlex.quote(path)}")
        for at in range(0, len(data), 12000):
            piece = base64.b64encode(data[at:at + 12000]).decode()
            self.check(f"echo {piece} | base64 -d >> {shlex.quote(path)}")
        self.check(f"chmod {mode:o} {shlex.quote(path)}")

    def dmesg(self):
        return self.check("dmesg")

    def kernel_complaints(self):
        """Lines of the guest's log that no healthy kernel writes."""
        return [line for line in self.dmesg().splitlines()
                if re.search(r"BUG|WARNING:|Oops|Call Trace|lockdep|hung task|"
                             r"general protection|refcount_t|KASAN", line)]

    # QEMU

    def _read_qmp(self, deadline):
        message = json.loads(self._qmp.next(deadline))
        if "event" in message:
            self.events.append(message)
            return None
        return message

    def qmp_raw(self, command, arguments=None, timeout=60):
        """The whole answer, error or not."""
        message = {"execute": command}
        if arguments:
            message["arguments"] = arguments
        self._qmp_socket.settimeout(timeout)
        self._qmp_socket.sendall(json.dumps(message).encode() + b"\n")
        deadline = time.monotonic() + timeout
        while True:
            answer = self._read_qmp(deadline)
            if answer is not None:
                return answer

    def qmp(self, command, timeout=60, **arguments):
        """Its return value; arguments with _ for - are spelt so."""
        answer = self.qmp_raw(
            command, {k.replace("_", "-"): v for k, v in arguments.items()},
            timeout)
        if "error" in answer:
            raise Error(f"{command}: {answer['error']['desc']}")
        return answer["return"]

    def hmp(self, line, timeout=60):
        return self.qmp_raw("human-monitor-command", {"command-line": line},
                            timeout)["return"]

    def wait_event(self, name, timeout=60, **data):
        """The next event of that name with that data; it is taken away."""
        deadline = time.monotonic() + timeout
        while True:
            for event in self.events:
                if event["event"] == name and all(
                        event.get("data", {}).get(k) == v
                        for k, v in data.items()):
                    self.events.remove(event)
                    return event
            answer = self._read_qmp(deadline)
            if answer is not None:
                raise Error(f"an answer nobody waits for: {answer}")

    def reset(self, timeout=240):
        """The reset button; returns when the guest is up again."""
        self.qmp("system_reset")
        self.wait_event("RESET")
        self.wait_ready(timeout)

    def device_add(self, driver, **properties):
        # `id` and friends are spelt with -, our own may not be
        answer = self.qmp_raw("device_add", {"driver": driver, **properties})
        if "error" in answer:
            raise Error(f"device_add: {answer['error']['desc']}")

    def device_del(self, device, timeout=60):
        """Unplugs, and waits until the guest let it go."""
        self.qmp("device_del", id=device)
        self.wait_event("DEVICE_DELETED", timeout, device=device)

    # The host

    def descriptors(self):
        """How many descriptors QEMU has open."""
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def mappings(self):
        """How many mappings QEMU has."""
        with open(f"/proc/{self.process.pid}/maps") as file:
            return sum(1 for _ in file)

    def resident_kib(self):
        with open(f"/proc/{self.process.pid}/status") as file:
            return int(re.search(r"VmRSS:\s*(\d+)", file.read())[1])
