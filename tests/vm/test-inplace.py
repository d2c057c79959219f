#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""A program's pixels in place: shown by a host that reads the guest's own pages.

    test-inplace.py --qemu=PATH --plugin=PATH --daemon=PATH --bridge=PATH
                    --look=PATH --paint=PATH --udmabuf=PATH
                    [--kernel=6.1|6.12|newest] [TEST...]

Prints TAP. In the guest framepaint shows frames through the bridge; outside
framelook looks at each pixel of them. noudmabuf.c stands in for the host's
udmabuf; `pages` of test-gpu.py has the real one. `figures` prints what frames
cost.
"""
import argparse
import contextlib
import json
import os
import re
import subprocess
import sys
import time

import gpu
import host as hosts
import vm as vms
from inplace import (KILLED, SMALL, Run, judge, judge_frames, judge_killed, scene,
                     want)

TESTS = {}


def test(function):
    TESTS[function.__name__.replace("_", "-")] = function
    return function


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
def started(run, programs, guest_pages, devices=(), modules=(), **env):
    """A machine, and the daemon's process; this machine is the host."""
    options = run.options
    flags = ["--guest-pages"] if guest_pages else []
    with gpu.Image([options.bridge, options.paint, *programs],
                   base=hosts.make_image(kernel=options.kernel,
                                         modules=modules)) as image, \
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
                    f"vhost-user-wl-pci,socket={run.dir}/vu",
                    *devices]) as vm:
                vm.boot()
                with open(f"{run.dir}/ram", "w") as file:
                    file.write(ram_of(vm))
                yield vm, daemon


def here(run, in_place, guest_pages, **env):
    with started(run, [scene(run, after=KILLED if in_place else "")], guest_pages, **env) as each:
        said = {"inner": each[0].check("/lib/vwl/scene", 300)}
    for name in "look", "daemon":
        with open(f"{run.dir}/{name}") as file:
            said[name] = file.read()
    run.keep(said)
    judge(said, in_place)
    if in_place:
        judge_killed(said)


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


# ---- under buffers that are shown ------------------------------------------

PINNED = "cat /sys/module/virtio_wl/parameters/pinned_pages"
COUNT = re.compile(r"^client (\d+) frame (\d+): (\d+) wrong, "
                   r"(in place|copied)$", re.M)


def looked(run):
    """How the frames of each client were shown; all are right."""
    clients = {}
    with open(f"{run.dir}/look") as file:
        for client, number, wrong, how in COUNT.findall(file.read()):
            want(wrong == "0",
                 f"frame {number} of {client}: {wrong} are wrong")
            clients.setdefault(int(client), []).append(how)
    return clients


def settle(what, condition, seconds=120):
    """What it is once it is so."""
    deadline = time.monotonic() + seconds
    while not condition(now := what()):
        want(time.monotonic() < deadline, f"it is {now!r}")
        time.sleep(0.1)
    return now


def start_bridge(vm):
    vm.spawn("/lib/vwl/virtio-wl-bridge --listen=/run/wl", "/run/bridge.log")
    vm.check(f"until {vms.listens('/run/wl')}; do sleep 0.1; done", 120)


def start_painter(vm, frames, *words):
    return vm.spawn("WAYLAND_DISPLAY=/run/wl /lib/vwl/framepaint "
                    f"{frames} {SMALL} {' '.join(words)}", "/run/painted")


def pinned(vm):
    return int(vm.check(PINNED))


def shown_in_place(run, vm):
    """Starts one that stays; the bridge is fresh. Its frames."""
    start_bridge(vm)
    before = len(looked(run))
    start_painter(vm, 30, "stay")
    vm.check("until grep -q shown /run/painted; do sleep 0.1; done", 120)
    want(pinned(vm) > 0, "nothing is pinned")
    clients = looked(run)
    want(len(clients) == before + 1, f"{len(clients)} clients")
    judge_frames("stay", clients[before + 1], 8)


DRIVER = "/sys/bus/virtio/drivers/virtio_wl"


@test
def reset(run):
    """The device, then the machine."""
    with started(run, [], True) as (vm, daemon):
        fds = f"/proc/{daemon.pid}/fd"
        shown_in_place(run, vm)
        name = vm.check(f"cd {DRIVER}; echo virtio*").strip()
        vm.check(f"echo {name} > {DRIVER}/unbind", 120)
        settle(lambda: pinned(vm), lambda n: n == 0)
        vm.check("until ! pidof framepaint virtio-wl-bridge > /dev/null; do "
                 "killall virtio-wl-bridge; sleep 0.1; done", 120)
        vm.check(f"echo {name} > {DRIVER}/bind", 120)
        shown_in_place(run, vm)
        vm.reset()
        few = vms.at_rest(lambda: len(os.listdir(fds)))
        shown_in_place(run, vm)
        vm.reset()
        settle(lambda: len(os.listdir(fds)), lambda n: n == few)
        shown_in_place(run, vm)
        complaints = vm.kernel_complaints()
        want(not complaints, "\n".join(complaints))


def more_frames(run, n=60):
    """Waits for so many of the last client's."""
    before = len(list(looked(run).values())[-1])
    shown = settle(lambda: list(looked(run).values())[-1],
                   lambda frames: len(frames) >= before + n)
    want(set(shown[before:]) == {"in place"}, f"{shown[before:]}")


def available(vm):
    """Bytes of the guest's that it could give away."""
    return int(vm.check("sed -n 's/^MemAvailable: *\\([0-9]*\\).*/\\1/p' "
                        "/proc/meminfo")) << 10


def actual(vm):
    return vm.qmp("query-balloon")["actual"]


@test
def balloon(run):
    """Most of the guest's memory is taken away; not the pages that are shown,
    and what was pinned can be taken afterwards."""
    with started(run, [], True, devices=["virtio-balloon-pci"],
                 modules=["virtio_balloon"]) as (vm, _):
        start_bridge(vm)
        painter = start_painter(vm, 100000000)
        settle(lambda: pinned(vm), lambda n: n > 0)
        whole = actual(vm)
        blocks = os.stat(ram_of(vm)).st_blocks
        few = whole - available(vm) + (64 << 20)
        print(f"# {whole >> 20} MiB become {few >> 20}", flush=True)
        for size in few, whole, few:
            vm.qmp("balloon", value=size)
            settle(lambda: actual(vm), lambda now: now == size)
            more_frames(run)
        want(os.stat(ram_of(vm)).st_blocks < blocks, "nothing was taken")
        vm.check(f"kill {painter}")
        settle(lambda: pinned(vm), lambda n: n == 0)
        vm.qmp("balloon", value=whole)
        settle(lambda: actual(vm), lambda now: now == whole)
        start_painter(vm, 100000000)
        settle(lambda: pinned(vm), lambda n: n > 0)
        more_frames(run)
        complaints = vm.kernel_complaints()
        want(not complaints, "\n".join(complaints))


def spent(pid):
    """Processor time of all its threads, in ns."""
    total = 0
    for task in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{task}/schedstat") as file:
            total += int(file.read().split()[0])
    return total


ROUNDS, FRAMES = 15, 600


def middle(each):
    """Median and middle half of what is sorted, in us."""
    n = len(each)
    return (f"{each[n // 2]:.0f} us ({each[n // 4]:.0f} to "
            f"{each[n - 1 - n // 4]:.0f})")


@test
def figures(run):
    """What a frame costs the machine, and the daemon. Nothing is painted but
    the first frames: that is the program's, and no cost of showing it."""
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
            got = {"bare": [], "bare narrow": []}
            for _ in range(ROUNDS):
                for words, rows in got.items():
                    few = paint(vm, daemon, 40, words)
                    many = paint(vm, daemon, 40 + FRAMES, words)
                    rows.append([(b - a) / FRAMES / 1e3
                                 for a, b in zip(few, many)])
            more = [sum(a) - sum(b) for a, b in zip(*got.values())]
        for words, rows in got.items():
            machine, device = map(sorted, zip(*rows))
            print(f"# {way}, {words}: machine {middle(machine)}, daemon "
                  f"{middle(device)}", flush=True)
        print(f"# {way}: a whole frame costs {middle(sorted(more))} more",
              flush=True)
        if run.options.json:
            names = "whole", "256x16 changed"
            figure = {"group": "pages", "name": way, "unit": "us", "more": False,
                      "base": names[1], "series": [
                          {"name": name, "samples": [sum(row) for row in rows]}
                          for name, rows in zip(names, got.values())]}
            with open(run.options.json, "a") as file:
                file.write(json.dumps(figure) + "\n")


def main():
    parser = argparse.ArgumentParser()
    for name in ("qemu", "plugin", "daemon", "bridge", "look", "paint",
                 "udmabuf"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--kernel", default="6.1")
    parser.add_argument("--logs", help="keep what was said in this folder")
    parser.add_argument("--json", help="add the figures to this file")
    parser.add_argument("tests", nargs="*")
    options = parser.parse_args()
    names = options.tests or ["in-place", "refused", "copied", "reset",
                              "balloon"]
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
