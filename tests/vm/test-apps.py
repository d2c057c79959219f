#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Programs of a virtual machine on a real sway: what they show, what is typed
into them, their clipboard, their sound, and kills at bad moments.

    test-apps.py --mode=plugin|daemon --qemu=PATH --plugin=PATH --daemon=PATH
                 --bridge=PATH [TEST...]

Prints TAP. All tests are about one machine, which boots once; each ends the
programs that it started, and the host must then have the descriptors that it
had before.
"""

import argparse
import hashlib
import os
import signal
import subprocess
import sys
import time

import desktop as desktops
import host as hosts
import vm as vms

os.environ.setdefault("VWL_GUEST", "")
os.environ.setdefault("WAYLAND_DISPLAY", "")
os.environ.setdefault("VWL_PATIENCE", "180")
os.environ["XDG_RUNTIME_DIR"] = "/tmp"
sys.path.insert(0, f"{hosts.TOP}/tests/bridge")
import showcase  # noqa: E402
import soundserver  # noqa: E402
import stage  # noqa: E402

GUEST = f"{hosts.TOP}/qemu-glue/guest"
PACKAGES = ["foot", "gnome-calculator", "wl-clipboard",  # the demo's
            "pulseaudio-utils"]
TEXT = "Hällo, Welt 123"
KIND = "application/x-data"
SIZES = {"plugin": 64 << 20, "daemon": 4 << 20}
TESTS = {}


def test(function):
    TESTS[function.__name__.replace("_", "-")] = function
    return function


class AppsHost(hosts.Host):
    def __init__(self, desktop, *args):
        self.desktop = desktop
        super().__init__(*args)

    def sockets(self):
        return [(self.desktop.path, ""),
                (f"{self.desktop.dir}/sound/native", "sound")]


class Run:
    """One machine, one desktop, and the programs of both."""

    def __init__(self, host, desktop, vm):
        self.host, self.desktop, self.vm = host, desktop, vm
        self.programs = None

    def use_desktop(self):
        """What stage.py works with, after each start of the compositor."""
        env = self.desktop.env
        os.environ.update(
            {name: env[name] for name in
             ("WAYLAND_DISPLAY", "VWL_HOST_COMPOSITOR_DIR")})
        stage.HOST = env["WAYLAND_DISPLAY"]
        self.programs = stage.Programs()
        self.programs.keyboard()

    def script(self, text):
        text = text.replace("'", "'\\''")
        return (f"su user -c 'cd; export $(demo-session environment); "
                f"cd $HOME; {text}'")

    def check(self, text, timeout=180):
        return self.vm.check(self.script(text), timeout)

    def start(self, command):
        """In the background, in the guest."""
        self.check(vms.background(command, "$XDG_RUNTIME_DIR/log"))

    def lives(self, name):
        return self.vm.run(f"pidof {name}")[0] == 0

    def start_bridge(self):
        self.check("rm -f $XDG_RUNTIME_DIR/wayland-0*")
        self.check(vms.background(
            "virtio-wl-bridge --title-prefix=\"[guest] \" "
            "--app-id-prefix=guest. --socket=sound:pulse/native",
            "$XDG_RUNTIME_DIR/bridge"))
        stage.until("the bridge's socket", lambda: self.vm.run(
            vms.listens("/run/user/1000/wayland-0"))[0] == 0)

    def terminal(self, then="exec sleep 1000"):
        """A foot that writes down what is typed into it."""
        self.vm.check("rm -f /run/user/1000/typed")
        self.start("foot --font=monospace:size=11 -e sh -c "
                   "\"read -r line; echo \\$line > $XDG_RUNTIME_DIR/typed; "
                   f"{then}\"")
        return stage.window("guest.foot")

    def gone(self, app_id):
        stage.until(f"no window of {app_id}", lambda: not stage.named(app_id))

    def descriptors(self):
        """Of all that the host has for the guest; windows may just go."""
        return [self.vm.descriptors()] + [
            len(os.listdir(f"/proc/{process.pid}/fd"))
            for process in self.host.daemons.values()]

    def clean(self):
        self.vm.run("killall -q -9 foot gnome-calculator wl-copy wl-paste")
        self.gone("guest.foot")
        self.gone("guest.gnome-calculator")


def paste(seconds, *words):
    """On the host."""
    return subprocess.run(
        ["timeout", seconds, "wl-paste", *words], capture_output=True,
        env={**os.environ, "WAYLAND_DISPLAY": stage.HOST}).stdout


def offered_by_guest():
    stage.until("the guest's offer on the host",
                lambda: KIND.encode() in paste("60", "-l"))


@test
def clipboard(run):
    """Both ways, byte for byte. Runs before anything is typed: wl-paste
    waits for a keymap, and once wtype's keyboard is gone sway has none for
    new programs, with a bridge or without."""
    size = SIZES[run.host.mode]
    data = os.urandom(size)
    digest = hashlib.sha256(data).hexdigest()
    copier = run.programs.run(stage.HOST, "wl-copy", "--foreground", "-t",
                              KIND, stdin=subprocess.PIPE)
    copier.stdin.write(data)
    copier.stdin.close()
    said = []

    def offered():
        said[:] = run.vm.run(run.script("timeout 20 wl-paste -l"), 60)
        return KIND in said[1]
    stage.until(lambda: f"the host's offer in the guest: {said}", offered)
    got = run.check(f"wl-paste -n -t {KIND} | sha256sum", 600)
    stage.must(f"{size} bytes came to the guest", got.split()[0] == digest)
    copier.kill()
    copier.wait()
    want = run.check(f"head -c {size} /dev/urandom > data; sha256sum data",
                     600)
    run.start(f"wl-copy --foreground -t {KIND} < data")

    offered_by_guest()
    got = hashlib.sha256(paste("600", "-n", "-t", KIND)).hexdigest()
    stage.must(f"{size} bytes came from the guest", got == want.split()[0])
    run.check("rm data")


@test
def kill_in_transfer(run):
    """The bridge, in the middle of what a program of the host's pastes: both
    ends learn of it, a new bridge serves new programs. As above, nothing is
    typed."""
    size = 64 << 20
    run.check(f"truncate -s {size} data")
    run.start(f"wl-copy --foreground -t {KIND} < data")
    offered_by_guest()
    reader = run.programs.run(stage.HOST, "wl-paste", "-n", "-t", KIND,
                              stdout=subprocess.PIPE)
    got = len(reader.stdout.read(65536))
    stage.must("some of it came", got == 65536)
    run.vm.check("killall -9 virtio-wl-bridge")
    while piece := reader.stdout.read(1 << 16):
        got += len(piece)
    reader.wait(60)
    stage.must(f"the reader sees an end, after {got} bytes", got < size)
    stage.until("the writer's end", lambda: not run.lives("wl-copy"))
    run.check("rm data")
    run.start_bridge()
    run.terminal()


@test
def sound(run):
    """By a client as Debian has it, at the path where it looks: a second of
    noise that the guest plays is unchanged, and it cannot record that. No byte
    of it is zero, every byte of the silence around it is."""
    folder = f"{run.desktop.dir}/sound"
    home = "/run/user/1000/home"
    how = " ".join(soundserver.FORMAT)
    with soundserver.make("pulseaudio", folder) as server:
        run.check("mkdir -p .config/pulse")
        run.vm.put(f"{home}/.config/pulse/cookie", server.cookie(), 0o644)
        stage.must("the guest reaches the host's server",
                   "Default Sink: null" in run.check("pactl info"))
        stage.must("and shares no memory with it",
                   server.sharing()[-1] == "no")
        server.record(f"{folder}/raw")
        stage.must("it cannot hear what the host plays", "denied" in run.check(
            f"parec {how} -d null.monitor recorded 2>&1 || true"))
        digest = run.check(
            f"head -c {4 * soundserver.FRAMES} /dev/urandom | "
            "tr \"\\000\" \"\\001\" > samples; sha256sum < samples").split()[0]
        # all of it is with the server before the first is played
        run.check(f"pacat {how} -d null --latency-msec=1500 samples")
        stage.until("the guest's samples, at the host", lambda: hashlib.sha256(
            soundserver.heard(f"{folder}/raw", 0).replace(b"\0", b"")
        ).hexdigest() == digest)
        stage.must("what it plays is unchanged", True)
        stage.must("nor load a module", "denied" in run.check(
            "pactl load-module module-null-sink 2>&1 || true"))
        run.check("rm -f recorded samples")


@test
def terminal(run):
    """Whole, and what is typed on the host arrives."""
    win = run.terminal()
    stage.must("its title tells whose it is",
               win["name"].startswith("[guest] "))

    def drawn():
        picture = stage.shot(stage.rect_of(win))
        dark = picture.count((0x11, 0x11, 0x11))
        whole = picture.width * picture.height
        return whole > 100000 and 0.9 * whole < dark < whole
    stage.until("the terminal's window, drawn", drawn)
    showcase.type_into(win, TEXT, "-k", "Return")
    stage.until("what was typed", lambda: run.vm.run(
        "cat /run/user/1000/typed")[1].strip() == TEXT)
    stage.must("the guest has what was typed", True)


@test
def asleep(run):
    """The machine is suspended to idle and wakes again, with a program open and
    the mouse on its window: no frame, no key and no window is lost."""
    win = run.terminal()
    left, top, width, height = stage.rect_of(win)
    mouse = stage.Pointer()
    mouse.move(left + width // 2, top + height // 2)
    before = run.vm.check("pidof foot").strip()

    def crosses():
        time.sleep(1)
        for number in range(500):
            mouse.move(left + number % width, top + number % height)
    for letter in "abc":
        stage.until("the machine slept", lambda: run.vm.slept(crosses))
        showcase.type_into(win, letter)
    showcase.type_into(win, TEXT, "-k", "Return")
    stage.until("what was typed", lambda: run.vm.run(
        "cat /run/user/1000/typed")[1].strip() == "abc" + TEXT)
    stage.must("it is the same terminal",
               run.vm.check("pidof foot").strip() == before)
    print("# slept 3 times, 500 moves of the mouse in each", flush=True)


@test
def paused(run):
    """The mouse crosses a window while the machine is paused: sway would drop
    a client that does not read."""
    win = run.terminal()
    left, top, width, height = stage.rect_of(win)
    mouse = stage.Pointer()
    mouse.move(left + width // 2, top + height // 2)
    run.vm.qmp("stop")
    for number in range(5000):
        mouse.move(left + number % width, top + number % height)
    run.vm.qmp("cont")
    print("# 5000 moves of the mouse while it was paused", flush=True)
    showcase.type_into(win, TEXT, "-k", "Return")
    stage.until("what was typed", lambda: run.vm.run(
        "cat /run/user/1000/typed")[1].strip() == TEXT)
    stage.must("the terminal lives on", run.lives("foot"))


@test
def gtk(run):
    """Right size, right colours, and it calculates."""
    run.start("gnome-calculator")
    win = stage.window("guest.gnome-calculator")
    showcase.calculator(win)
    # so that focus can come to it
    other = run.terminal()
    stage.place(other, 0, 0, 300, 200)
    stage.place(win, 600, 70)
    stage.sway(f"[con_id={other['id']}]", "focus")
    showcase.at_rest(win)
    showcase.calculate(win)


@test
def kill_client(run):
    """In the middle of frames: its window goes, the other's stays."""
    run.start("foot --app-id=busy -e sh -c \"yes Hello\"")
    stage.window("guest.busy")
    busy = run.vm.check("pidof foot")
    run.terminal()
    time.sleep(1)
    run.vm.check(f"kill -9 {busy}")
    run.gone("guest.busy")
    stage.must("the other window is there", stage.named("guest.foot"))


@test
def kill_bridge(run):
    """In the middle of frames: its clients end, a new one serves new ones."""
    run.start("foot -e sh -c \"yes Hello\"")
    stage.window("guest.foot")
    time.sleep(1)
    run.vm.check("killall -9 virtio-wl-bridge")
    run.gone("guest.foot")
    stage.until("the client's end", lambda: not run.lives("foot"))
    run.start_bridge()
    terminal(run)


@test
def kill_compositor(run):
    """In the middle of frames: clients end, the bridge serves new ones."""
    run.start("foot -e sh -c \"yes Hello\"")
    stage.window("guest.foot")
    time.sleep(1)
    run.desktop.stop(signal.SIGKILL)
    stage.until("the client's end", lambda: not run.lives("foot"))
    stage.must("the bridge lives", run.lives("virtio-wl-bridge"))
    run.programs.__exit__()
    run.desktop.start()
    run.use_desktop()
    terminal(run)


def make_machine(options):
    image = subprocess.run(
        [f"{GUEST}/make-image", "--disk", f"--add={options.bridge}",
         f"--add={GUEST}/demo-session"],
        check=True, stdout=subprocess.PIPE, text=True).stdout.strip()
    disk = subprocess.run([f"{GUEST}/make-apps", *PACKAGES], check=True,
                          stdout=subprocess.PIPE, text=True).stdout.strip()
    return image, ["-drive", "if=none,id=apps,format=raw,readonly=on,"
                             f"file={disk}",
                   "-device", "virtio-blk-pci,drive=apps"]


def one(run, name):
    before = run.descriptors()
    TESTS[name](run)
    run.clean()
    # sway's end of a killed clipboard may take a moment
    stage.until(lambda: f"the descriptors of before: {before}, now "
                f"{run.descriptors()}", lambda: run.descriptors() <= before)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--mode", default="plugin",
                        choices=["plugin", "daemon"])
    for name in ("qemu", "plugin", "daemon", "bridge"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("tests", nargs="*")
    options = parser.parse_args()
    names = options.tests or list(TESTS)
    print(f"1..{len(names)}", flush=True)
    image, args = make_machine(options)
    with desktops.Desktop("sway") as desktop, \
            AppsHost(desktop, options.mode, options.qemu, options.plugin,
                     options.daemon) as host, \
            host.vm(image, args=args, cpus=2) as vm:
        run = Run(host, desktop, vm)
        vm.boot(240)
        run.use_desktop()
        run.start_bridge()
        run.terminal()  # so that what starts with the first one has started
        run.clean()
        failed = vms.tap(
            names, lambda name: one(run, name), (SystemExit,),
            lambda: run.vm.run("cat /run/user/1000/bridge "
                               "/run/user/1000/log")[1] + host.log()[-2000:])
        complaints = vm.kernel_complaints()
        run.programs.__exit__()
        if complaints or "our bug" in host.log() + vm.log():
            print("# complaints: " + "; ".join(complaints), flush=True)
            failed = True
    return failed


if __name__ == "__main__":
    sys.exit(main())
