#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""A virtual machine that is saved and loaded while its programs have windows
and connections open: they end, new ones work, and nothing waits for ever.

    test-save.py --mode=plugin|daemon --qemu=PATH --plugin=PATH --daemon=PATH
                 --painter=PATH [TEST...]

Prints TAP. Each test boots a machine of its own.
"""

import argparse
import os
import socket
import sys
import tempfile
import time

import desktop as desktops
import host as hosts
import vm as vms

TESTS = {}
NEEDS_RESET = "device needs a reset"
# QEMU's TCG lets the guest's TSC go on from where it was before a loadvm: what
# the guest makes of the jump is not looked for here.
CLOCK = "rcupdate.rcu_cpu_stall_suppress=1 nowatchdog"


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


class SaveHost(hosts.Host):
    """The unnamed context is the desktop's, the others are a peer's, and
    behind "full" there is one that never reads."""

    def __init__(self, desktop, *args):
        self.desktop = desktop
        super().__init__(*args)
        os.unlink(f"{self.dir}/full")
        self.full = socket.socket(socket.AF_UNIX)
        self.full.bind(f"{self.dir}/full")
        self.full.listen(64)

    def sockets(self):
        return [(self.desktop.path, ""),
                *(pair for pair in super().sockets() if pair[1])]


def text(vm, file):
    return vm.run(f"cat {file}")[1]


def alive(vm, file):
    return vm.run(f"kill -0 $(cat {file}.pid)")[0] == 0


def begin(vm, file, command):
    vm.check(f"echo {vm.spawn(command, file)} > {file}.pid")


def open_all(run, vm):
    """A window; a program that holds memory and a connection; one that waits
    for a message; and one that waits until it can send."""
    begin(vm, "/tmp/window", "vwl-paint --wl0 --size=320x200 --timeout=60")
    begin(vm, "/tmp/taker", "wltest --socket=peer take-all")
    begin(vm, "/tmp/asker", "wltest --socket=full write-all")
    settle(lambda: "painted" in text(vm, "/tmp/window"), True)
    settle(lambda: "waiting" in text(vm, "/tmp/taker"), True)
    settle(lambda: "writing" in text(vm, "/tmp/asker"), True)
    settle(lambda: run.host.peer.connections, 1)
    run.desktop.shows()
    for file in ("/tmp/window", "/tmp/taker", "/tmp/asker"):
        want(alive(vm, file), f"{file}: {text(vm, file)}")


def all_lost(run, vm, resets):
    """What open_all() opened has ended, and new things work."""
    run.desktop.empties()
    settle(lambda: run.host.peer.connections, 0)
    settle(lambda: vm.dmesg().count(NEEDS_RESET), resets)
    for file in ("/tmp/window", "/tmp/taker", "/tmp/asker"):
        settle(lambda: alive(vm, file), False)
    for file in ("/tmp/taker", "/tmp/asker"):
        want("end" in text(vm, file), f"{file}: {text(vm, file)}")
    open_all(run, vm)
    vm.check("wltest --socket=peer ping echo memory pipes", timeout=90)
    complaints = vm.kernel_complaints()
    want(not complaints, "the guest complains: " + "\n".join(complaints))
    want("our bug" not in run.host.log() + vm.log(), "our bug")


def unlost(run, vm):
    """What open_all() opened is as it was."""
    run.desktop.shows()
    for file in ("/tmp/window", "/tmp/taker", "/tmp/asker"):
        want(alive(vm, file), f"{file}: {text(vm, file)}")
    want(run.host.peer.connections == 1, "the peer's connection is gone")


def job(vm, command, **arguments):
    vm.qmp(command, job_id="job", **arguments)
    deadline = time.monotonic() + 120
    while True:
        jobs = {each["id"]: each for each in vm.qmp("query-jobs")}
        want(time.monotonic() < deadline, f"{command} does not end: {jobs}")
        if jobs["job"]["status"] == "concluded":
            break
        time.sleep(0.05)
    vm.qmp("job-dismiss", id="job")
    want("error" not in jobs["job"], f"{command}: {jobs['job']}")


def add_disk(run, vm):
    """An empty disk, for snapshots to be kept in."""
    path = f"{run.dir}/disk"
    with open(path, "wb"):
        pass
    vm.qmp("blockdev-add", driver="file", node_name="file", filename=path)
    job(vm, "blockdev-create", options={"driver": "qcow2", "file": "file",
                                        "size": 1 << 20})
    vm.qmp("blockdev-add", driver="qcow2", node_name="disk", file="file")


def monitor(vm, line):
    said = vm.hmp(line, timeout=120)
    want("Error" not in said and "error" not in said, f"{line}: {said}")


def saved(vm, path):
    """By migration into a file, from a machine that runs."""
    vm.qmp("migrate", uri=f"exec:cat > {path}")
    deadline = time.monotonic() + 180
    while (status := vm.qmp("query-migrate")["status"]) != "completed":
        want(status not in ("failed", "cancelled"), f"migration: {status}")
        want(time.monotonic() < deadline, "the migration does not end")
        time.sleep(0.1)
    total = vm.qmp("query-migrate")["ram"]["total"]
    want(total < 1 << 30, f"{total} bytes of memory: the window's, too")


def loaded(run, path, **more):
    vm = run.vm(args=["-incoming", "defer"], **more)
    try:
        vm.start()
        vm.qmp("migrate-incoming", uri=f"exec:cat {path}")
        settle(lambda: vm.qmp("query-status")["status"], "running", 120)
    except BaseException:
        vm.__exit__(*sys.exc_info())
        raise
    return vm


def restarted(run, vm, path):
    """The machine is saved, and goes on in another QEMU."""
    saved(vm, path)
    vm.quit()
    run.desktop.empties()
    if run.mode == "daemon":
        run.host.kill_daemon()
    return loaded(run, path)


@test
def snapshots(run):
    """savevm and loadvm, by person and by program, twice in a row."""
    with run.vm() as vm:
        vm.boot()
        add_disk(run, vm)
        open_all(run, vm)
        monitor(vm, "savevm one")
        unlost(run, vm)
        monitor(vm, "loadvm one")
        all_lost(run, vm, 1)
        job(vm, "snapshot-save", tag="two", vmstate="disk", devices=["disk"])
        unlost(run, vm)
        monitor(vm, "loadvm one")
        all_lost(run, vm, 1)
        vm.qmp("stop")
        job(vm, "snapshot-load", tag="two", vmstate="disk", devices=["disk"])
        run.desktop.empties()
        vm.qmp("cont")
        all_lost(run, vm, 2)
        # before the guest had time to do as it was told
        vm.qmp("stop")
        monitor(vm, "loadvm two")
        monitor(vm, "savevm three")
        monitor(vm, "loadvm three")
        vm.qmp("cont")
        all_lost(run, vm, 2)


@test
def file(run):
    """Out of a running machine, into another QEMU; twice in a row."""
    with run.vm() as vm:
        vm.boot()
        open_all(run, vm)
        with restarted(run, vm, f"{run.dir}/one") as second:
            all_lost(run, second, 1)
            with restarted(run, second, f"{run.dir}/two") as third:
                all_lost(run, third, 2)
                third.reset()
                run.desktop.empties()
                open_all(run, third)
    if run.mode == "plugin":
        other_size(run, f"{run.dir}/two")


def other_size(run, path):
    """A daemon decides itself how large the window is."""
    with run.vm(args=["-incoming", "defer"],
                properties=",shm-size=1G") as vm:
        vm.start()
        vm.qmp("migrate-incoming", uri=f"exec:cat {path}")
        want(vm.wait_exit(60) == 1 and "vhost-user-wl" in vm.log() and
             "Bad config data" in vm.log(), vm.log())


@test
def cancelled(run):
    """A migration that is given up: everything stays."""
    with run.vm() as vm:
        vm.boot()
        open_all(run, vm)
        vm.qmp("migrate-set-parameters", max_bandwidth=100000)
        vm.qmp("migrate", uri="exec:cat > /dev/null")
        settle(lambda: vm.qmp("query-migrate")["status"], "active")
        vm.check("wltest --socket=peer ping echo memory", timeout=90)
        vm.qmp("migrate_cancel")
        settle(lambda: vm.qmp("query-migrate")["status"], "cancelled")
        unlost(run, vm)
        vm.check("wltest --socket=peer ping echo memory", timeout=90)
        want(NEEDS_RESET not in vm.dmesg(), "the guest was told to reset")


@test
def idle(run):
    """Without a driver there is nothing to lose."""
    with run.vm() as vm:
        vm.boot()
        where = "/sys/bus/virtio/drivers/virtio_wl"
        name = vm.check(f"ls {where} | grep virtio").strip()
        vm.check(f"echo {name} > {where}/unbind")
        add_disk(run, vm)
        monitor(vm, "savevm one")
        monitor(vm, "loadvm one")
        vm.check(f"echo {name} > {where}/bind")
        open_all(run, vm)
        want(NEEDS_RESET not in vm.dmesg(), "the guest was told to reset")


@test
def refuse(run):
    """Only if asked, and in words."""
    why = "cannot be moved, and the device was told migration=refuse"
    with run.vm(properties=",migration=refuse") as vm:
        vm.boot()
        add_disk(run, vm)
        open_all(run, vm)
        answer = vm.qmp_raw("migrate", {"uri": "exec:cat > /dev/null"})
        want(why in answer.get("error", {}).get("desc", ""), f"{answer}")
        said = vm.hmp("savevm now")
        want(why in said, f"savevm: {said}")
        unlost(run, vm)
    with run.vm(properties=",migration=maybe") as vm:
        try:
            vm.start()
        except (vms.Dead, OSError):
            pass
        else:
            raise vms.Error("migration=maybe is taken")
        want(vm.wait_exit() == 1 and "migration must be refuse or "
             "lose-windows, not 'maybe'" in vm.log(), vm.log())


class Run:
    def __init__(self, options, directory):
        self.mode = options.mode
        self.options = options
        self.dir = directory
        self.host = None
        self.desktop = None
        self.image = hosts.make_image(f"{options.painter}:/bin/vwl-paint",
                                      hosts.build_wltest(directory))

    def vm(self, **more):
        if self.mode == "daemon" and 0 in self.host.daemons:
            self.host.kill_daemon()
        return self.host.vm(self.image, memory="256M", append=CLOCK, **more)


def one(run, name):
    with desktops.Desktop() as run.desktop, \
            SaveHost(run.desktop, run.mode, run.options.qemu,
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
                        choices=["plugin", "daemon"])
    parser.add_argument("--qemu", required=True)
    parser.add_argument("--plugin", required=True)
    parser.add_argument("--daemon", required=True)
    parser.add_argument("--painter", required=True)
    parser.add_argument("tests", nargs="*")
    options = parser.parse_args()
    names = options.tests or list(TESTS)
    print(f"1..{len(names)}", flush=True)
    with tempfile.TemporaryDirectory(prefix="vwl-save-") as directory:
        run = Run(options, directory)
        return vms.tap(names, lambda name: one(run, name))


if __name__ == "__main__":
    sys.exit(main())
