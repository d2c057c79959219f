#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Buffers of devices, in a guest whose kernel has them.

    test-gpu.py --qemu=PATH --plugin=PATH --daemon=PATH --buffers=PATH
                --fences=PATH --qemu-gpu=PATH --painter=PATH [TEST...]

Prints TAP. The daemon, its host peers and the guest's driver (in user space)
all run inside one virtual machine; a picture is what its display shows.
"""

import argparse
import glob
import os
import re
import sys
import time
import traceback

import gpu
import vm as vms

sys.path.insert(0, gpu.TOP + "/tests")
import pattern  # noqa: E402

TESTS = {}


def test(function):
    TESTS[function.__name__.replace("_", "-")] = function
    return function


class Run:
    def __init__(self, options):
        self.options = options
        self.image = gpu.Image([options.buffers, options.fences,
                                options.daemon, options.plugin,
                                options.painter])
        self.env = (f"export VWL_PLUGIN={gpu.path(options.plugin)} "
                    f"VWL_DAEMON={gpu.path(options.daemon)}; ")

    def vm(self, **more):
        more.setdefault("devices", [gpu.DISPLAY])
        return vms.VM(self.options.qemu, self.image.dir, memory="512M",
                      name="gpu", **more)

    def healthy(self, vm):
        complaints = vm.kernel_complaints()
        if complaints:
            raise vms.Error("the guest complains: " + "\n".join(complaints))


def tap(text):
    """Each line of another program's TAP, as comments; fails if it did."""
    plan = re.search(r"^1\.\.(\d+)", text, re.M)
    good = re.findall(r"^ok \d+ (\S+)(?! # SKIP)", text, re.M)
    for line in text.splitlines():
        print(f"# | {line}", flush=True)
    if not plan or int(plan[1]) != len(good) or "# SKIP" in text or \
            re.search(r"^not ok", text, re.M):
        raise vms.Error("a test in the guest failed")


@test
def buffers(run):
    """Each allocator: layout, paint, import, errors, a busy buffer."""
    with run.vm() as vm:
        vm.boot()
        display = gpu.card(vm, "cirrus")
        allocators = f"udmabuf heap dumb={display} auto"
        program = gpu.path(run.options.buffers)
        tap(vm.run(f"{run.env} VWL_GPU_DISPLAY={display} "
                   f"VWL_GPU_ALLOCATORS='{allocators}' {program} 2>&1",
                   timeout=300)[1])
        run.healthy(vm)


@test
def fences(run):
    """vgem's fences to the guest and back, and by number; sandboxed."""
    with run.vm(devices=[]) as vm:
        vm.boot()
        gpu.card(vm, "vgem")
        tap(vm.run(f"{run.env} {gpu.path(run.options.fences)} 2>&1",
                   timeout=300)[1])
        run.healthy(vm)


@test
def qemu_gpu(run):
    """QEMU's gpu=ID where its kernel has udmabuf: QEMU in QEMU."""
    options = run.options
    firmware = glob.glob(os.path.dirname(options.qemu) +
                         "/../share/qemu/*.bin")
    with gpu.Image([options.qemu_gpu, options.qemu, options.plugin,
                    *firmware]) as image:
        with vms.VM(options.qemu, image.dir, memory="512M",
                    name="qemu-gpu") as vm:
            vm.boot()
            tap(vm.run(f"{run.env} VWL_QEMU={gpu.path(options.qemu)} "
                       f"VWL_FIRMWARE={os.path.dirname(gpu.path('x'))} "
                       f"{gpu.path(options.qemu_gpu)} 2>&1",
                       timeout=300)[1])
            run.healthy(vm)


def read_ppm(path):
    with open(path, "rb") as file:
        kind, size, most, data = re.match(
            rb"(P6)\s(\d+ \d+)\s(255)\s(.*)", file.read(), re.S).groups()
    width, height = map(int, size.split())
    return width, height, data


def compare(path, width, height):
    """The whole screen against the pattern."""
    got_width, got_height, data = read_ppm(path)
    if (got_width, got_height) != (width, height):
        raise vms.Error(f"the screen has {got_width}x{got_height} pixels")
    right = b"".join(pattern.pattern_rows(width, height))
    wrong = sum(a != b for a, b in zip(data, right)) + \
        abs(len(data) - len(right))
    if wrong:
        raise vms.Error(f"{wrong} bytes of {len(right)} are wrong")


@test
def display(run):
    """Painted by the guest's CPU, shown by the display's own scan-out."""
    with run.vm() as vm:
        vm.boot()
        display = gpu.card(vm, "cirrus")
        for words in ("udmabuf", "heap", f"dumb={display}"):
            vm.check(f"{run.env} export VWL_GPU_DISPLAY={display}; "
                     "rm -f /tmp/go /tmp/out; mkfifo /tmp/go; "
                     f"{gpu.path(run.options.buffers)} --show={words} "
                     "< /tmp/go > /tmp/out 2>&1 & exec 3> /tmp/go; "
                     "echo $! > /tmp/pid; "
                     "for i in $(seq 600); do grep -q shown /tmp/out && break;"
                     " sleep 0.1; done; (sleep 1000 >&3 & echo $! > "
                     "/tmp/holder) > /dev/null 2>&1; cat /tmp/out; "
                     "grep -q shown /tmp/out", 90)
            shot = f"{vm.dir}/shot.ppm"
            vm.qmp("screendump", filename=shot)
            compare(shot, 640, 480)
            if run.options.pictures:
                os.system(f"cp {shot} {run.options.pictures}/"
                          f"{words.split('=')[0]}.ppm")
            vm.check("kill $(cat /tmp/holder); for i in $(seq 100); do "
                     "kill -0 $(cat /tmp/pid) 2> /dev/null || break; "
                     "sleep 0.1; done", 60)
        run.healthy(vm)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--qemu", required=True)
    parser.add_argument("--plugin", required=True)
    parser.add_argument("--daemon", required=True)
    parser.add_argument("--buffers", required=True)
    parser.add_argument("--fences", required=True)
    parser.add_argument("--qemu-gpu", required=True)
    parser.add_argument("--painter", required=True)
    parser.add_argument("--pictures", help="keep screenshots in this folder")
    parser.add_argument("tests", nargs="*")
    options = parser.parse_args()
    names = options.tests or list(TESTS)
    print(f"1..{len(names)}", flush=True)
    failed = False
    run = Run(options)
    for number, name in enumerate(names, 1):
        began = time.monotonic()
        try:
            TESTS[name](run)
            print(f"ok {number} - {name} # "
                  f"{time.monotonic() - began:.1f} s", flush=True)
        except (vms.Error, OSError):
            failed = True
            for line in traceback.format_exc().splitlines():
                print(f"# {line}", flush=True)
            print(f"not ok {number} - {name}", flush=True)
    run.image.close()
    return failed


if __name__ == "__main__":
    sys.exit(main())
