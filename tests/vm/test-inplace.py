#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""A program's pixels in place: shown by a host that reads the guest's own pages.

    test-inplace.py --qemu=PATH --plugin=PATH --daemon=PATH --bridge=PATH
                    --look=PATH --paint=PATH --udmabuf=PATH
                    [--kernel=6.1|6.12|newest] [TEST...]

Prints TAP. In the guest framepaint shows frames through the bridge; outside
framelook looks at each pixel of them. noudmabuf.c stands in for the host's
udmabuf; `nested` has the real one, of a machine that plays the host, and takes
its time. `figures` prints what frames cost.
"""
import argparse
import contextlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time

import gpu
import host as hosts
import vm as vms

SMALL, LARGE = "400 200", "1600 1400"
# frames, size and words of each painter, then: how many frames from the end
# are in place, or none
PAINTERS = (
    (30, SMALL, "", 8), (30, SMALL, "sealed", 8), (52, SMALL, "truncate", 0),
    (60, SMALL, "grow", 8), (30, LARGE, "scattered", 8))
BIOS = ("/usr/share/seabios/bios-256k.bin", "/usr/share/qemu/linuxboot_dma.bin",
        "/usr/share/qemu/pvh.bin", "/usr/share/qemu/kvmvapic.bin")
SCENE = """#!/bin/sh
cd /run
/lib/vwl/virtio-wl-bridge --trace > /run/bridge.log 2>&1 &
until [ -S /run/wayland-0 ]; do sleep 0.2; done
export WAYLAND_DISPLAY=wayland-0
pinned=/sys/module/virtio_wl/parameters/pinned_pages
paint() {
    /lib/vwl/framepaint "$@" > /run/painted 2>&1
    echo "scene: $* gave $?, $(cat /run/painted)"
}
"""
KILLED = f"""
# those of the last one rest for a while
until [ "$(cat $pinned)" = 0 ]; do sleep 0.1; done
/lib/vwl/framepaint 1000000 {SMALL} &
painter=$!
until [ "$(cat $pinned)" != 0 ]; do sleep 0.1; done
echo "scene: pinned while painted $(cat $pinned)"
kill -9 $painter
until [ "$(cat $pinned)" = 0 ]; do sleep 0.5; done
echo "scene: pinned at last $(cat $pinned)"
"""
END = """
grep "in place" /run/bridge.log
dmesg | grep -E "BUG|WARNING:|Oops|Call Trace|hung task|Bad page" |
    sed "s/^/scene: complaint /"
echo "scene: end"
"""


TESTS = {}


def test(function):
    TESTS[function.__name__.replace("_", "-")] = function
    return function


def want(truth, why):
    if not truth:
        raise vms.Error(why)


class Run:
    def __init__(self, options):
        self.options = options
        self.dir = tempfile.mkdtemp(prefix="vwl-in-place-")

    def close(self):
        shutil.rmtree(self.dir, ignore_errors=True)

    def file(self, name, text):
        path = f"{self.dir}/{name}"
        with open(path, "w") as file:
            file.write(text)
        os.chmod(path, 0o755)
        return path

    def keep(self, said):
        for name, text in said.items():
            if self.options.logs:
                with open(f"{self.options.logs}/{name}", "w") as file:
                    file.write(text)

    @staticmethod
    def settle(path):
        deadline = time.monotonic() + 60
        while not os.path.exists(path):
            want(time.monotonic() < deadline, f"there is no {path}")
            time.sleep(0.05)


def start(run, vm, qemu, inner):
    options = run.options
    vm.check("XDG_RUNTIME_DIR=/run "
             f"{gpu.path(options.look)} wayland-0 > /run/look 2>&1 &")
    wait_for(vm, "grep -q ready /run/look", "/run/look")
    vm.check(f"{gpu.path(options.daemon)} --socket-path=/run/vu "
             f"--plugin={gpu.path(options.plugin)} --dmabuf=off -v "
             "--guest-pages --wayland-sock=/run/wayland-0 "
             "> /run/daemon 2>&1 &")
    wait_for(vm, "[ -S /run/vu ]", "/run/daemon")
    vm.check(
        f"{qemu} -nodefaults -no-user-config -display none -m 256M -object "
        "memory-backend-memfd,id=mem,size=256M,share=on "
        "-machine q35,hpet=off,accel=tcg,memory-backend=mem -cpu max "
        f"-kernel {inner[0]} -initrd {inner[1]} -append '{vms.APPEND} "
        "vwl_cmd=/lib/vwl/scene vwl_poweroff=1' -serial file:/run/inner "
        "-device vhost-user-wl-pci,socket=/run/vu > /run/qemu 2>&1 &")


def wait_for(vm, condition, logs, seconds=60):
    vm.check(f"i=0; until {condition}; do i=$((i + 1)); "
             f"if [ $i = {seconds * 5} ]; then tail {logs}; exit 1; fi; "
             "sleep 0.2; done", seconds + 30)


def judge(said, in_place):
    """What all sides said."""
    look, inner = said["look"], said["inner"]
    frames = {}
    for client, number, wrong, how in re.findall(
            r"^client (\d+) frame (\d+): (\d+) wrong, (in place|copied)$",
            look, re.M):
        want(wrong == "0", f"frame {number} of {client}: {wrong} are wrong")
        frames.setdefault(int(client), []).append(how)
    gave = re.findall(r"^scene: .* gave (\d+), painted (\d+)", inner, re.M)
    want([status for status, _ in gave] == ["0"] * len(PAINTERS), inner)
    want("complaint" not in inner, inner)
    for client, (n, _, words, last) in enumerate(PAINTERS, 1):
        shown = frames.get(client, [])
        count = shown.count("in place")
        print(f"# {words or 'plain'}: {len(shown)} frames, {count} in place",
              flush=True)
        want(len(shown) == n, f"{words}: {len(shown)} frames of {n}")
        if not in_place:
            want(count == 0, f"{words}: in place")
            continue
        want(shown[n - last:] == ["in place"] * last, f"{words}: {shown}")
        want(shown[:20] == ["copied"] * 20 and count >= 4, f"{words}: {shown}")
        if "truncate" in words:
            want(shown[n // 2:] == ["copied"] * (n - n // 2), f"{shown}")
    if in_place:
        # of the first painter, by the bridge's count: ten of each buffer
        want(f"copied {20 * 400 * 200 * 4} bytes, 2 buffers" in inner, inner)
        # of one that was killed
        pinned = re.findall(r"^scene: pinned .* (\d+)", inner, re.M)
        want(pinned[0] != "0" and pinned[1] == "0", inner)


def painters(run, killed):
    """What the inner machine does: a file."""
    paints = "\n".join(f"paint {n} {size} {words}"
                       for n, size, words, _ in PAINTERS)
    return run.file("scene", SCENE + paints + (KILLED if killed else "") + END)


def ram_of(vm):
    """The path of a machine's memory."""
    fds = f"/proc/{vm.process.pid}/fd"
    for fd in os.listdir(fds):
        if "memory-backend-memfd" in os.readlink(f"{fds}/{fd}"):
            return f"{fds}/{fd}"
    raise vms.Error("the machine has no memory")


@contextlib.contextmanager
def process(*line, log=None, **env):
    with subprocess.Popen(line, stdout=log, stderr=log,
                          env={**os.environ, **env}) as running:
        try:
            yield running
        finally:
            running.terminate()


@contextlib.contextmanager
def started(run, programs, guest_pages, **env):
    """A machine, and the daemon's process; this machine is the host."""
    options = run.options
    flags = ["--guest-pages"] if guest_pages else []
    with gpu.Image([options.bridge, options.paint, *programs],
                   base=hosts.make_image(kernel=options.kernel)) as image, \
            open(f"{run.dir}/look", "w") as look, \
            open(f"{run.dir}/daemon", "w") as log, \
            process(options.look, "wayland-0", f"{run.dir}/ram", log=look,
                    XDG_RUNTIME_DIR=run.dir):
        run.settle(f"{run.dir}/wayland-0")
        with process(options.daemon, f"--socket-path={run.dir}/vu",
                     f"--plugin={options.plugin}", "--dmabuf=off", "-v",
                     *flags, f"--wayland-sock={run.dir}/wayland-0", log=log,
                     LD_PRELOAD=options.udmabuf, **env) as daemon:
            run.settle(f"{run.dir}/vu")
            with vms.VM(options.qemu, image.dir, name="in-place", devices=[
                    f"vhost-user-wl-pci,socket={run.dir}/vu"]) as vm:
                vm.boot()
                with open(f"{run.dir}/ram", "w") as file:
                    file.write(ram_of(vm))
                yield vm, daemon


def here(run, in_place, guest_pages, **env):
    with started(run, [painters(run, in_place)], guest_pages, **env) as each:
        said = {"inner": each[0].check("/lib/vwl/scene", 300)}
    for name in "look", "daemon":
        with open(f"{run.dir}/{name}") as file:
            said[name] = file.read()
    run.keep(said)
    judge(said, in_place)


@test
def in_place(run):
    """Each pixel right, and no frame copied that need not be."""
    here(run, True, True)


@test
def refused(run):
    """By a host that can, but takes none of these pages: copied, and right."""
    here(run, False, True, NO_UDMABUF="refuse")


@test
def copied(run):
    """By a host that was not told to."""
    here(run, False, False)


def spent(pid):
    """Processor time of all its threads, in ns."""
    total = 0
    for task in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{task}/schedstat") as file:
            total += int(file.read().split()[0])
    return total


@test
def figures(run):
    """What a frame costs the machine, painter included, and the daemon."""
    def paint(vm, daemon, n, words):
        before = spent(vm.process.pid), spent(daemon.pid)
        vm.check("WAYLAND_DISPLAY=wayland-0 /lib/vwl/framepaint "
                 f"{n} 1920 1080 {words}", 600)
        return (spent(vm.process.pid) - before[0],
                spent(daemon.pid) - before[1])

    for way in "in place", "copied":
        with started(run, [], way == "in place") as (vm, daemon):
            vm.check("cd /run; /lib/vwl/virtio-wl-bridge > /run/log 2>&1 & "
                     "until [ -S /run/wayland-0 ]; do sleep 0.2; done")
            got = {"": [], "narrow": []}
            for _ in range(5):
                for words, rows in got.items():
                    few = paint(vm, daemon, 40, words)
                    many = paint(vm, daemon, 240, words)
                    rows.append([(b - a) / 200e3 for a, b in zip(few, many)])
        for words, rows in got.items():
            machine, device = map(sorted, zip(*rows))
            print(f"# {way}, {words or 'whole'}: machine {machine[2]:.0f} us "
                  f"({machine[0]:.0f} to {machine[-1]:.0f}), daemon "
                  f"{device[2]:.0f} us ({device[0]:.0f} to "
                  f"{device[-1]:.0f})", flush=True)


@test
def nested(run):
    """The same with the real udmabuf: a machine within a machine."""
    options = run.options
    scene = painters(run, True)
    with gpu.Image([options.bridge, options.paint, scene],
                   base=hosts.make_image(kernel=options.kernel)) as image:
        inner = [shutil.copy(f"{image.dir}/{name}", run.dir)
                 for name in ("vmlinux", "initramfs.cpio")]
    line, files, alone = gpu.inner_qemu(options.qemu)
    qemu = run.file("qemu-with-glue", f'#!/bin/sh\nexec {line} "$@"\n')
    alone += inner + [path for path in BIOS if os.path.exists(path)]
    with gpu.Image([options.plugin, options.daemon, options.look, qemu], files,
                   alone) as image, \
            vms.VM(options.qemu, image.dir, memory="1G",
                   name="in-place") as vm:
        vm.boot(300)
        start(run, vm, gpu.path(qemu), inner)
        try:
            wait_for(vm, "grep -q 'scene: end' /run/inner", "/run/inner", 900)
        finally:
            said = {name: vm.run(f"cat /run/{name}", 60)[1]
                    for name in ("look", "inner", "daemon", "qemu")}
            run.keep(said)
        judge(said, True)
        complaints = vm.kernel_complaints()
        want(not complaints, "\n".join(complaints))


def main():
    parser = argparse.ArgumentParser()
    for name in ("qemu", "plugin", "daemon", "bridge", "look", "paint",
                 "udmabuf"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--kernel", default="6.1")
    parser.add_argument("--logs", help="keep what was said in this folder")
    parser.add_argument("tests", nargs="*")
    options = parser.parse_args()
    names = options.tests or ["in-place", "refused", "copied"]
    print(f"1..{len(names)}", flush=True)

    def one(name):
        run = Run(options)
        try:
            TESTS[name](run)
        finally:
            run.close()
    return vms.tap(names, one)


if __name__ == "__main__":
    sys.exit(main())
