#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""A daemon that stops to answer, answers byte by byte, or talks without end:
QEMU goes on, says so, and takes the daemon back when it is good again.

    test-relay.py --mode=daemon --qemu=PATH --plugin=PATH --daemon=PATH
                  [TEST...]

Prints TAP.
"""

import argparse
import os
import sys
import tempfile
import time
import traceback

import host as hosts
import liar as liars
import vm as vms

TESTS = {}
PORT = "pcie-root-port,id=slot1,chassis=1,pref64-reserve=16G"
# A test's own patience: of a QEMU that waits without bound it is the end.
LONG = 120


def test(function):
    TESTS[function.__name__.replace("_", "-")] = function
    return function


def want(truth, why):
    if not truth:
        raise vms.Error(why)


def settle(what, wanted, timeout=LONG):
    deadline = time.monotonic() + timeout
    while (now := what()) != wanted:
        want(time.monotonic() < deadline,
             f"is {now!r}, should become {wanted!r}")
        time.sleep(0.1)


def device(run):
    return f"vhost-user-wl-pci,id=wl0,socket={run.liar.path}"


def connected(vm):
    return vm.qmp("qom-get", path="/machine/peripheral/wl0", property="stats",
                  timeout=LONG)["connected"]


def turns(run, mode):
    """In the middle of its work, while QEMU waits for it."""
    with vms.VM(run.options.qemu, run.image, devices=[device(run)]) as vm:
        vm.boot()
        vm.check("wltest ping")
        before = vms.at_rest(vm.descriptors)
        run.liar.mode = mode
        vm.qmp("stop", timeout=LONG)
        vm.qmp("cont", timeout=LONG)
        settle(lambda: connected(vm), 0)
        want("does not answer any more" in vm.log(), vm.log())
        status, _ = vm.run("wltest ping")
        want(status not in (0, 124), f"without a daemon: {status}")
        run.liar.mode = "good"
        settle(lambda: connected(vm), 1)
        settle(lambda: vm.run("wltest ping")[0], 0)
        settle(lambda: max(vm.descriptors(), before), before)
        want(not vm.kernel_complaints(), "the guest complains")


@test
def silent(run):
    turns(run, "silent")


@test
def trickle(run):
    turns(run, "trickle")


@test
def flood(run):
    turns(run, "flood")


@test
def comes_back_bad(run):
    """The next connection goes bad, too, after the first questions: the
    monitor answers all the while."""
    with vms.VM(run.options.qemu, run.image, devices=[device(run)]) as vm:
        vm.boot()
        run.liar.mode = "late"
        vm.qmp("stop", timeout=LONG)
        seen = run.liar.connections
        settle(lambda: (connected(vm), run.liar.connections > seen)[1], True)
        vm.qmp("cont", timeout=LONG)
        run.liar.mode = "good"
        settle(lambda: vm.run("wltest ping")[0], 0)


@test
def from_the_start(run):
    """Such a daemon is no daemon: QEMU does not start, a hot-plug fails."""
    for mode in ("silent", "trickle"):
        run.liar.mode = mode
        with vms.VM(run.options.qemu, run.image, devices=[device(run)]) as vm:
            try:
                vm.start()
            except (vms.Error, OSError):
                pass
            want(vm.wait_exit(LONG) == 1, "QEMU did not just end")
            want("no daemon answers at" in vm.log(), vm.log())
    with vms.VM(run.options.qemu, run.image, devices=[PORT]) as vm:
        vm.boot()
        answer = vm.qmp_raw("device_add", {
            "driver": "vhost-user-wl-pci", "id": "wl0", "bus": "slot1",
            "socket": run.liar.path}, LONG)
        want("no daemon answers at" in answer.get("error", {}).get("desc", ""),
             f"{answer}")
        vm.check("true")


class Run:
    def __init__(self, options, directory):
        self.options = options
        self.liar = None
        self.image = hosts.make_image(hosts.build_wltest(directory))


def one(run, name):
    """With a host and a liar that no other test has."""
    with hosts.Host("daemon", run.options.qemu, run.options.plugin,
                    run.options.daemon) as host:
        # one for each connection: those that are lied to keep theirs
        run.liar = liars.Liar(f"{host.dir}/liar", host.start_daemon())
        try:
            return TESTS[name](run)
        except Exception:
            for line in host.log()[-3000:].splitlines():
                print(f"# daemon: {line}", flush=True)
            raise
        finally:
            run.liar.close()


def together(names, act):
    """What vms.tap does, by a process for each name: their time is QEMU's
    patience, and it may be one time for all of them."""
    begun = []
    for number, name in enumerate(names, 1):
        out = tempfile.TemporaryFile("w+")
        pid = os.fork()
        if pid == 0:
            failed = True
            try:
                vms._die_with_parent()
                os.dup2(out.fileno(), 1)
                os.dup2(out.fileno(), 2)
                failed = vms.tap([name], act, first=number)
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(failed)
        begun.append((pid, out))
    failed = False
    for pid, out in begun:
        failed |= os.waitpid(pid, 0)[1] != 0
        out.seek(0)
        print(out.read(), end="", flush=True)
    return failed


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--mode", default="daemon", choices=["daemon"])
    parser.add_argument("--qemu", required=True)
    parser.add_argument("--plugin", required=True)
    parser.add_argument("--daemon", required=True)
    parser.add_argument("tests", nargs="*")
    options = parser.parse_args()
    names = options.tests or list(TESTS)
    print(f"1..{len(names)}", flush=True)
    with tempfile.TemporaryDirectory(prefix="vwl-relay-") as directory:
        run = Run(options, directory)
        return together(names, lambda name: one(run, name))


if __name__ == "__main__":
    sys.exit(main())
