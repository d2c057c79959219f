#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Windows of a virtual machine on a real compositor, and what becomes of them.

    test-window.py --mode=plugin|daemon|stock --qemu=PATH --plugin=PATH
                   --daemon=PATH --painter=PATH [TEST...]

Prints TAP. Each test boots a machine of its own. The painter's window is
compared pixel by pixel on a screenshot.
"""

import argparse
import os
import signal
import sys
import time

import desktop as desktops
import host as hosts
import vm as vms

TESTS = {}
PORT = "pcie-root-port,id=slot1,chassis=1,pref64-reserve=16G"


def test(function):
    TESTS[function.__name__.replace("_", "-")] = function
    return function


class WindowHost(hosts.Host):
    """The desktop is what the guest's unnamed context opens."""

    def __init__(self, desktop, *args):
        self.desktop = desktop
        super().__init__(*args)

    def sockets(self):
        return [(self.desktop.path, "")]


def settle(what, want, timeout=60):
    deadline = time.monotonic() + timeout
    while what() != want:
        if time.monotonic() > deadline:
            raise vms.Error(f"is {what()!r}, should become {want!r}")
        time.sleep(0.1)


def paint(vm, device="wl0", size="320x200"):
    """A window that stays."""
    vm.spawn(f"vwl-paint --wl0=/dev/{device} --size={size} --timeout=60",
             f"/tmp/{device}")
    deadline = time.monotonic() + 70
    while "painted" not in (text := vm.check(f"cat /tmp/{device}")):
        if time.monotonic() > deadline or "vwl-paint:" in text:
            raise vms.Error(f"nothing was painted: {text}")
        time.sleep(0.1)


def paints(vm):
    """Whether a context can be had and a window shown."""
    return vm.run("vwl-paint --wl0 --seconds=0 --timeout=60", 90)[0] == 0


def stop_painting(vm):
    vm.run("killall -q -9 vwl-paint")


def show(run, vm, **more):
    paint(vm, **more)
    run.desktop.shows(more.get("size", "320x200"))


def plug(vm, device):
    # as a person would: QMP wants to know each property's kind
    said = vm.hmp(f"device_add {device},bus=slot1")
    if "Error" in said:
        raise vms.Error(f"device_add: {said}")


def bar(vm):
    """Where region 0 is."""
    text = vm.check(
        "for d in /sys/bus/pci/devices/*; do case $(cat $d/vendor$n) in "
        "0x1af4) cat $d/resource;; esac; done")
    ranges = [tuple(int(word, 16) for word in line.split()[:2])
              for line in text.splitlines()]
    return max((end - start, start) for start, end in ranges)[1]


def counts_of(run, vm):
    """Descriptors and mappings, of QEMU and of the daemons."""
    return vms.at_rest(lambda: [vm.descriptors(), vm.mappings(),
                                *daemon_counts(run)])


def daemon_counts(run):
    counts = []
    for process in run.host.daemons.values():
        with open(f"/proc/{process.pid}/maps") as file:
            maps = sum(1 for _ in file)
        counts += [len(os.listdir(f"/proc/{process.pid}/fd")), maps]
    return counts


# How a heap grows is not ours to say: a few mappings more are no leak.
def no_more(before, after, slack=4):
    return all(a <= b for b, a in zip(before[0::2], after[0::2])) and all(
        a - b <= slack for b, a in zip(before[1::2], after[1::2]))


@test
def reboots(run):
    """Ten reboots with windows open; nothing is left on the host."""
    with run.vm() as vm:
        vm.boot()
        counts = []
        for _ in range(10):
            show(run, vm)
            vm.qmp("stop")
            vm.qmp("system_reset")
            run.desktop.empties()  # at once: the guest does not run
            vm.qmp("cont")
            vm.wait_ready()
            counts.append(counts_of(run, vm))
        if not no_more(counts[1], counts[-1]):
            raise vms.Error(f"descriptors and mappings grow: {counts}")
        show(run, vm)
        run.healthy(vm)


@test
def reboots_stock(run):
    """The windows go when the next driver starts."""
    with run.vm() as vm:
        vm.boot()
        counts = []
        for _ in range(4):
            show(run, vm)
            vm.qmp("stop")
            vm.qmp("cont")
            run.desktop.shows()
            vm.reset()
            run.desktop.empties()
            counts.append(counts_of(run, vm))
        if not no_more(counts[1], counts[-1]):
            raise vms.Error(f"descriptors and mappings grow: {counts}")
        show(run, vm)
        run.healthy(vm)


@test
def ends(run):
    """A crash, a crash that the guest reports, and a shutdown."""
    args = ["-no-shutdown", "-action", "panic=pause", "-device", "pvpanic"]
    with run.vm(args=args) as vm:
        vm.boot()
        show(run, vm)
        vm.qmp("stop")
        vm.qmp("cont")
        run.desktop.shows()
        # the guest does not live to answer
        vm.begin("echo 1 > /proc/sys/kernel/sysrq; "
                 "echo c > /proc/sysrq-trigger")
        run.desktop.empties()
        vm.wait_ready()
        show(run, vm)
        # what pvpanic's driver does: this kernel lacks it
        vm.begin("printf '\\1' | dd of=/dev/port bs=1 seek=1285")
        vm.wait_event("GUEST_PANICKED", 60)
        run.desktop.empties()
        vm.qmp("system_reset")
        vm.qmp("cont")
        vm.wait_ready()
        show(run, vm)
        vm.begin("poweroff -f")
        vm.wait_event("SHUTDOWN", 60)
        run.desktop.empties()
        if vm.quit() != 0:
            raise vms.Error("QEMU ended badly")


@test
def unbind_and_plug(run):
    """Windows go with the driver and with the device."""
    args, device = run.host.device()
    with run.vm(n_devices=0, devices=[PORT], args=args) as vm:
        vm.boot()
        before = counts_of(run, vm)
        counts = []
        for _ in range(3):
            plug(vm, device)
            settle(lambda: vm.run("test -e /dev/wl0")[0], 0)
            show(run, vm)
            if run.mode == "stock":
                return
            where = "/sys/bus/virtio/drivers/virtio_wl"
            name = vm.check(f"ls {where} | grep virtio").strip()
            vm.check(f"echo {name} > {where}/unbind")
            run.desktop.empties()
            stop_painting(vm)
            vm.check(f"echo {name} > {where}/bind")
            show(run, vm)
            vm.device_del("wl0")
            run.desktop.empties()
            stop_painting(vm)
            counts.append(counts_of(run, vm))
        if not no_more(counts[0], counts[-1]):
            raise vms.Error(f"descriptors and mappings: {before}, {counts}")
        if counts[-1][1] > before[1] + 100:
            raise vms.Error(f"the window's mappings stay: {before} {counts}")
        run.healthy(vm)


@test
def compositor(run):
    """Absent at the start, killed, started again."""
    run.desktop.stop()
    with run.vm() as vm:
        vm.boot()
        if paints(vm):
            raise vms.Error("a window without a compositor")
        run.desktop.start()
        show(run, vm)
        run.desktop.stop(signal.SIGKILL)
        settle(lambda: vm.run("pidof vwl-paint")[0], 1)
        if paints(vm):
            raise vms.Error("a window without a compositor")
        run.desktop.start()
        show(run, vm)
        run.healthy(vm)


@test
def daemon_restart(run):
    """The VM lives, the guest is told, and later all works again."""
    with run.vm() as vm:
        vm.boot()
        show(run, vm)
        run.host.kill_daemon()
        run.desktop.empties()
        if paints(vm):
            raise vms.Error("a window without a daemon")
        if vm.qmp("qom-get", path="/machine/peripheral/wl0",
                  property="stats")["connected"]:
            raise vms.Error("the figures say that it is connected")
        stop_painting(vm)
        run.host.start_daemon()
        settle(lambda: paints(vm), True, 180)
        show(run, vm)
        run.healthy(vm)


@test
def no_shmem_moved(run):
    """Without USE_SHMEM, with the BAR elsewhere at the next boot."""
    moved(run, "use_shmem=0")


@test
def shmem_moved(run):
    moved(run, "")


def moved(run, modparams):
    ports = ["pcie-root-port,id=slot1,chassis=1",
             "pcie-root-port,id=slot2,chassis=2"]
    with run.vm(modparams=modparams, devices=ports) as vm:
        vm.boot()
        show(run, vm)
        first = bar(vm)
        vm.device_add("ivshmem-plain", id="big", bus="slot1", memdev="ivmem")
        vm.reset()
        run.desktop.empties()
        second = bar(vm)
        print(f"# the window was at {first:#x}, is at {second:#x}")
        if first == second:
            raise vms.Error(f"it stayed at {first:#x}")
        show(run, vm)
        run.healthy(vm)


@test
def two_devices(run):
    with run.vm(n_devices=2) as vm:
        vm.boot()
        show(run, vm, device="wl0", size="320x200")
        paint(vm, device="wl1", size="257x131")
        run.desktop.shows("257x131")
        vm.qmp("system_reset")
        run.desktop.empties(size="320x200")
        run.desktop.empties(size="257x131")
        vm.wait_ready()
        show(run, vm, device="wl1")
        run.healthy(vm)


@test
def window(run):
    """The least: a boot, a window, a reboot."""
    with run.vm() as vm:
        vm.boot()
        show(run, vm)
        vm.reset()
        run.desktop.empties()
        show(run, vm)
        run.healthy(vm)


class Run:
    def __init__(self, options, image):
        self.mode = options.mode
        self.options = options
        self.image = image
        self.host = None
        self.desktop = None

    def vm(self, args=(), **more):
        args = [*args, "-object",
                "memory-backend-ram,id=ivmem,size=8G,share=on,reserve=off"]
        return self.host.vm(self.image, args=args, **more)

    def healthy(self, vm):
        complaints = vm.kernel_complaints()
        if complaints:
            raise vms.Error("the guest complains: " + "\n".join(complaints))
        if "our bug" in self.host.log() + vm.log():
            raise vms.Error("our bug")


def one(run, name):
    with desktops.Desktop() as run.desktop, \
            WindowHost(run.desktop, run.mode, run.options.qemu,
                       run.options.plugin, run.options.daemon) as run.host:
        try:
            return TESTS[name](run)
        except Exception:
            for line in run.host.log()[-3000:].splitlines():
                print(f"# daemon: {line}", flush=True)
            raise


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--mode", default="plugin",
                        choices=["plugin", "daemon", "stock"])
    parser.add_argument("--qemu", required=True)
    parser.add_argument("--plugin", required=True)
    parser.add_argument("--daemon", required=True)
    parser.add_argument("--painter", required=True)
    parser.add_argument("tests", nargs="*")
    options = parser.parse_args()
    names = options.tests or list(TESTS)
    print(f"1..{len(names)}", flush=True)
    run = Run(options,
              hosts.make_image(f"{options.painter}:/bin/vwl-paint"))
    return vms.tap(names, lambda name: one(run, name))


if __name__ == "__main__":
    sys.exit(main())
