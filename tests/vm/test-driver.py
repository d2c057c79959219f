#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""The guest's driver against the real device in a VM.

    test-driver.py --mode=plugin|daemon|stock --qemu=PATH --plugin=PATH
                   [--daemon=PATH] [--kernel=6.1|6.12] [--cpus=N]
                   [--debug] [TEST...]

Prints TAP. Each test boots a guest of its own, and must leave neither
connections on the host nor complaints in the guest's log. --debug makes the
guest's kernel check its memory, and is slower.
"""

import argparse
import sys
import tempfile
import time
import traceback

import host as hosts
import vm as vms

TESTS = {}


def test(function):
    TESTS[function.__name__.replace("_", "-")] = function
    return function


def settle(what, want, timeout=60):
    """Waits until what() is want."""
    deadline = time.monotonic() + timeout
    while what() != want:
        if time.monotonic() > deadline:
            raise vms.Error(f"is {what()!r}, should become {want!r}")
        time.sleep(0.05)


def gone(run):
    """Everything that the guest had open on the host is closed."""
    run.host.peer.release.set()
    settle(lambda: run.host.peer.connections, 0)
    run.host.peer.release.clear()


def ping(vm, device="wl0"):
    vm.check(f"wltest --device=/dev/{device} ping")


def driver_dir(vm):
    return vm.check("echo /sys/bus/virtio/drivers/virtio_wl").strip()


def bound(vm):
    return vm.check(f"ls {driver_dir(vm)} | grep virtio").split()


def wltest_all(run, vm):
    status, output = vm.run("wltest", timeout=240)
    if status:
        raise vms.Error(f"status {status}, {run.host.peer.connections} "
                        f"connections on the host:\n{output}\n"
                        f"{vm.dmesg()[-2000:]}\n{run.host.log()[-2000:]}")


def end_session(vm, end):
    """Runs end() while a program has everything open, in its own words."""
    vm.spawn("(wltest session-end; echo done $?)", "/tmp/out")
    settle(lambda: "waiting" in vm.check("cat /tmp/out"), True)
    end()
    settle(lambda: "done 0" in vm.check("cat /tmp/out"), True)


@test
def everything(run):
    with run.vm() as vm:
        vm.boot()
        wltest_all(run, vm)
        gone(run)
        run.healthy(vm)


@test
def transport(run):
    """Sends and connections that wait, next to others."""
    with run.vm() as vm:
        vm.boot()
        for mode in ("", "--threads"):
            status, output = vm.run(f"wl0test {mode}", timeout=180)
            if status or "fine" not in output:
                raise vms.Error(f"wl0test {mode}: {status} {output}")
            for line in output.splitlines():
                print(f"# wl0test {mode}: {line}", flush=True)
            gone(run)
        run.healthy(vm)


@test
def no_shmem(run):
    with run.vm(modparams="use_shmem=0") as vm:
        vm.boot()
        wltest_all(run, vm)
        gone(run)
        run.healthy(vm)


@test
def no_trans_flags(run):
    with run.vm(modparams="trans_flags=0 use_shmem=0") as vm:
        vm.boot()
        wltest_all(run, vm)
        gone(run)
        run.healthy(vm)


@test
def reload(run):
    with run.vm() as vm:
        vm.boot()
        ping(vm)
        for _ in range(20):
            vm.check("rmmod virtio_wl && insmod /lib/modules/virtio_wl.ko " +
                     vm.guest_env.get("vwl_modparams", ""))
            ping(vm)
        vm.spawn("wltest hold")
        settle(lambda: run.host.peer.connections, 1)
        if vm.run("rmmod virtio_wl")[0] == 0:
            raise vms.Error("unloaded while in use")
        vm.check("kill -9 $(pidof wltest)")
        gone(run)
        vm.check("rmmod virtio_wl")
        run.healthy(vm)


@test
def unbind(run):
    with run.vm() as vm:
        vm.boot()
        # who goes on holding the old device does not keep its name
        holder = vm.spawn("(exec 3<> /dev/wl0; exec sleep 600)")
        settle(lambda: vm.run("pidof sleep")[0], 0)
        for _ in range(3):
            name = bound(vm)[0]
            end_session(vm, lambda: vm.check(
                f"echo {name} > {driver_dir(vm)}/unbind"))
            gone(run)
            if vm.run("test -e /dev/wl0")[0] == 0:
                raise vms.Error("/dev/wl0 stays")
            vm.check(f"echo {name} > {driver_dir(vm)}/bind")
            ping(vm)
        vm.check(f"kill {holder}; until rmmod virtio_wl; do sleep 0.2; "
                 "done")
        run.healthy(vm)


@test
def unbind_busy(run):
    with run.vm() as vm:
        vm.boot()
        for number in range(6):
            begun = [vm.begin(f"wltest {tests}", timeout=200) for tests in (
                "echo pipes lots", "unread many-at-once", "no-wait memory",
                "many-fds send-many many-fds", "signals")]
            time.sleep(0.3 + 0.3 * number)
            name = bound(vm)[0]
            vm.check(f"echo {name} > {driver_dir(vm)}/unbind", timeout=60)
            for each in begun:
                status, output = vm.finish(each)
                if status == 124:
                    raise vms.Error("hangs: " + output)
            gone(run)
            vm.check(f"echo {name} > {driver_dir(vm)}/bind")
            ping(vm)
        vm.check("rmmod virtio_wl")
        run.healthy(vm)


@test
def flat(run):
    """Guest memory is where it was."""
    def used(vm):
        # the kernel frees late, and keeps some at hand
        return min(int(vm.check(
            "echo 3 > /proc/sys/vm/drop_caches; sleep 1; "
            "awk '/MemTotal/ {t=$2} /MemFree/ {f=$2} /^Cached/ {c=$2} "
            "END {print t - f - c}' /proc/meminfo")) for _ in range(4))

    with run.vm() as vm:
        vm.boot()
        work = "wltest echo memory received-memory many-fds send-many " \
               "pipes hang-up unread errors lots many-at-once"
        figures = []
        for rounds in (2, 2, 3):
            for _ in range(rounds):
                vm.check(work, timeout=120)
            figures.append(used(vm))
        # a checked kernel sets aside more before it gives back
        slack = 4096 if run.options.debug else 1024
        if figures[2] > max(figures[:2]) + slack:
            raise vms.Error(f"{figures} KiB")
        print(f"# {figures} KiB")
        run.healthy(vm)


@test
def interrupts(run):
    """A thousand messages there and back: the device interrupts for those that
    come, and not for the answers to those that go."""
    def count(vm):
        lines = vm.check("cat /proc/interrupts").splitlines()
        counts = {line.split()[-1]: sum(int(n) for n in line.split()[1:] if n.isdigit())
                  for line in lines if line.endswith(("-in", "-out"))}
        into, = (n for name, n in counts.items() if name.endswith("-in"))
        out, = (n for name, n in counts.items() if name.endswith("-out"))
        return into, out

    with run.vm() as vm:
        vm.boot()
        before = count(vm)
        vm.check("wltest rounds")
        into, out = (b - a for a, b in zip(before, count(vm)))
        print(f"# {into} for messages, {out} for answers")
        if not into or out > into / 2:
            raise vms.Error(f"{out} interrupts for answers, {into} for "
                            "messages")
        run.healthy(vm)


@test
def reset(run):
    with run.vm() as vm:
        vm.boot()
        for _ in range(2):
            vm.spawn("wltest hold")
            settle(lambda: run.host.peer.connections, 1)
            vm.reset()
            gone(run)
            ping(vm)
        run.healthy(vm)


@test
def pause(run):
    with run.vm() as vm:
        vm.boot()
        for _ in range(5):
            begun = vm.begin("wltest echo memory pipes many-at-once",
                             timeout=200)
            for _ in range(4):
                time.sleep(0.1)
                vm.qmp("stop")
                time.sleep(0.05)
                vm.qmp("cont")
            status, output = vm.finish(begun)
            if status:
                raise vms.Error(output)
        gone(run)
        run.healthy(vm)


@test
def pause_with_maps(run):
    """The generic device of QEMU 11.1 has a memory slot for each mapped file,
    and eight at most: with more of them it does not come back from a pause. A
    reset of the machine is the way out."""
    with run.vm() as vm:
        vm.boot()
        vm.spawn("wltest hold")
        settle(lambda: run.host.peer.connections, 1)
        vm.qmp("stop")
        vm.qmp("cont")
        ping(vm)
        vm.spawn("wltest hold-maps", "/tmp/maps")
        settle(lambda: "holding" in vm.run("cat /tmp/maps")[1], True)
        ping(vm)
        vm.qmp("stop")
        vm.qmp("cont")
        if (status := vm.run("wltest ping", timeout=10)[0]) != 124:
            raise vms.Error(f"it answers ({status}) where QEMU 11.1.3 did not:"
                            " docs/qemu.md says otherwise")
        vm.reset()
        gone(run)
        ping(vm)
        run.healthy(vm)


def start_across(vm):
    vm.check("rm -f /tmp/go")
    vm.spawn("(wltest across; echo done $?)", "/tmp/out")
    settle(lambda: "waiting" in vm.check("cat /tmp/out"), True)


def end_across(vm):
    vm.check("touch /tmp/go")
    settle(lambda: "done" in vm.check("cat /tmp/out"), True)
    said = vm.check("cat /tmp/out")
    if "done 0" not in said:
        raise vms.Error(f"what was open did not live on: {said}")


def sleep_of_devices(vm):
    """What goes to sleep from now on wakes when all devices sleep, after a
    second in which the kernel does nothing: five, if it is not told."""
    vm.check("echo devices > /sys/power/pm_test; "
             "echo 1 > /sys/module/suspend/parameters/pm_test_delay")


def freeze(vm, state="freeze"):
    vm.check(f"echo {state} > /sys/power/state", timeout=60)


@test
def sleep(run):
    """Suspend-to-idle: devices keep their power, and what is open goes on."""
    with run.vm() as vm:
        vm.boot()
        # all devices go to sleep and come back
        sleep_of_devices(vm)
        for _ in range(2):
            start_across(vm)
            freeze(vm)
            end_across(vm)
        gone(run)
        # the machine itself
        vm.check("echo none > /sys/power/pm_test")
        start_across(vm)
        settle(vm.slept, True)
        end_across(vm)
        # a device that is asked for nothing before it sleeps
        gone(run)
        sleep_of_devices(vm)
        freeze(vm)
        wltest_all(run, vm)
        gone(run)
        run.healthy(vm)


@test
def deep_sleep(run):
    """Suspend-to-RAM takes devices' power: what was open has ended."""
    with run.vm() as vm:
        vm.boot()
        vm.check("echo deep > /sys/power/mem_sleep")
        sleep_of_devices(vm)
        end_session(vm, lambda: freeze(vm, "mem"))
        ping(vm)
        gone(run)
        vm.spawn("wltest hold")
        settle(lambda: run.host.peer.connections, 1)
        freeze(vm, "mem")
        gone(run)
        vm.check("kill $(pidof wltest)")
        wltest_all(run, vm)
        run.healthy(vm)


@test
def two_devices(run):
    with run.vm(n_devices=2) as vm:
        vm.boot()
        ping(vm, "wl0")
        ping(vm, "wl1")
        begun = [vm.begin(f"wltest --device=/dev/wl{number} echo memory "
                          "pipes unread lots", timeout=120)
                 for number in (0, 1)]
        for each in begun:
            status, output = vm.finish(each)
            if status:
                raise vms.Error(output)
        first, second = bound(vm)
        vm.check(f"echo {first} > {driver_dir(vm)}/unbind")
        vm.check("wltest --device=/dev/wl1 ping || "
                 "wltest --device=/dev/wl0 ping")
        vm.check(f"echo {second} > {driver_dir(vm)}/unbind")
        vm.check("! ls /dev/wl*")
        gone(run)
        run.healthy(vm)


@test
def unplug(run):
    if run.mode == "stock":
        return "stock QEMU aborts when live maps are unplugged"
    port = "pcie-root-port,id=slot1,chassis=1,pref64-reserve=16G"
    args, device = run.host.device()
    with run.vm(n_devices=0, devices=[port], args=args) as vm:
        vm.boot()
        for _ in range(3):
            driver, *words = device.replace(",,", "\0").split(",")
            vm.device_add(driver, bus="slot1", **{
                key: value.replace("\0", ",")
                for key, value in (word.split("=", 1) for word in words)})
            settle(lambda: vm.run("test -e /dev/wl0")[0], 0)
            ping(vm)
            end_session(vm, lambda: vm.device_del("wl0"))
            gone(run)
        run.healthy(vm)


def needed_resets(vm):
    """How often the driver has found NEEDS_RESET in the device's status."""
    return vm.dmesg().count("device needs a reset")


@test
def daemon_restart(run):
    if run.mode != "daemon":
        return "there is no daemon, or this QEMU does not reconnect"
    with run.vm() as vm:
        vm.boot()
        for _ in range(3):
            def end():
                run.host.kill_daemon()
            before = needed_resets(vm)
            end_session(vm, end)
            settle(lambda: needed_resets(vm) > before, True, 60)
            gone(run)
            if vm.run("wltest ping", timeout=20)[0] == 0:
                raise vms.Error("a context without a daemon")
            run.host.start_daemon()
            settle(lambda: vm.run("wltest ping", timeout=20)[0], 0, 120)
        wltest_all(run, vm)
        run.healthy(vm)


class Run:
    def __init__(self, options, image):
        self.mode = options.mode
        self.options = options
        self.image = image
        self.host = None

    def vm(self, **more):
        return self.host.vm(
            self.image, cpus=self.options.cpus,
            append="slub_debug=FZPU" if self.options.debug else "", **more)

    def healthy(self, vm):
        complaints = vm.kernel_complaints()
        if complaints:
            raise vms.Error("the guest complains: " + "\n".join(complaints))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--mode", default="plugin",
                        choices=["plugin", "daemon", "stock"])
    parser.add_argument("--qemu", required=True)
    parser.add_argument("--plugin", required=True)
    parser.add_argument("--daemon")
    parser.add_argument("--kernel", default="6.1")
    parser.add_argument("--cpus", type=int, default=1)
    parser.add_argument("--debug", action="store_true")
    parser.add_argument("tests", nargs="*")
    options = parser.parse_args()
    names = options.tests or list(TESTS)
    print(f"1..{len(names)}", flush=True)
    failed = False
    with tempfile.TemporaryDirectory(prefix="vwl-wltest-") as directory:
        image = hosts.make_image(hosts.build_wltest(directory),
                                 hosts.build_wl0test(directory),
                                 kernel=options.kernel)
        run = Run(options, image)
        for number, name in enumerate(names, 1):
            began = time.monotonic()
            with hosts.Host(options.mode, options.qemu, options.plugin,
                            options.daemon) as run.host:
                try:
                    skip = TESTS[name](run)
                    took = f"{time.monotonic() - began:.1f} s"
                    print(f"ok {number} - {name} # " +
                          (f"SKIP {skip}" if skip else took), flush=True)
                except (vms.Error, OSError):
                    failed = True
                    print(f"not ok {number} - {name}", flush=True)
                    for line in (traceback.format_exc() +
                                 run.host.log()[-3000:]).splitlines():
                        print(f"# {line}", flush=True)
    return failed


if __name__ == "__main__":
    sys.exit(main())
