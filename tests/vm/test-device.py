#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""The QEMU device: what a user gets wrong, what a guest may do to it, and what
comes and goes around it.

    test-device.py --mode=plugin|daemon --qemu=PATH --plugin=PATH
                   [--daemon=PATH] [--cpus=N] [TEST...]

Prints TAP.
"""

import argparse
import os
import random
import re
import subprocess
import sys
import tempfile
import time
import traceback

import host as hosts
import peer as peers
import vm as vms

TESTS = {}
SLOT = "pcie-root-port,id=slot{0},chassis={0},slot={0},pref64-reserve=16G"
SANDBOX = ["-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny,"
           "resourcecontrol=deny"]


def test(*modes):
    def register(function):
        function.modes = modes or ("plugin", "daemon")
        TESTS[function.__name__.replace("_", "-")] = function
        return function
    return register


def want(truth, why):
    if not truth:
        raise vms.Error(why)


def settle(what, wanted, timeout=60):
    deadline = time.monotonic() + timeout
    while what() != wanted:
        want(time.monotonic() < deadline,
             f"is {what()!r}, should become {wanted!r}")
        time.sleep(0.05)


def stats(vm, device="wl0"):
    return vm.qmp("qom-get", path=f"/machine/peripheral/{device}",
                  property="stats")


def counts(vm):
    return vm.descriptors(), vm.mappings()


def no_more(vm, before, slack=8):
    """Descriptors and mappings are no more than before, in the end. How a heap
    grows is not ours to say."""
    deadline = time.monotonic() + 60
    while (now := counts(vm))[0] > before[0] or now[1] > before[1] + slack:
        want(time.monotonic() < deadline, f"{before} became {now}")
        time.sleep(0.05)


def hold(vm, device="wl0"):
    vm.spawn(f"wltest --device=/dev/{device} hold")


def refused(run, device, *words, args=(), **more):
    """QEMU does not start, and says all these words."""
    with vms.VM(run.options.qemu, run.image, devices=[device], args=args,
                **more) as vm:
        try:
            vm.start()
        except (vms.Dead, OSError):  # it may end under our words
            pass
        else:
            raise vms.Error(f"{device} is taken")
        want(vm.wait_exit() == 1, "QEMU did not just end")
        for word in words:
            want(word in vm.log(), f"{word!r} is not in: {vm.log()}")


def plug(run, vm, device, bus):
    driver, *words = device.replace(",,", "\0").split(",")
    vm.device_add(driver, bus=bus, **{
        key: value.replace("\0", ",")
        for key, value in (word.split("=", 1) for word in words)})


def pci_device(vm):
    """Its folder in the guest's sysfs."""
    return vm.check("dirname $(grep -l 0x107f "
                    "/sys/bus/pci/devices/*/device)").strip()


# What a user gets wrong


@test()
def ram_not_shared(run):
    args, device = run.host.device()
    refused(run, device, "guest RAM is not shared",
            "memory-backend-memfd,id=mem,size=512M,share=on",
            "memory-backend=mem", args=args, share=False)


@test("plugin")
def no_plugin(run):
    sock = "wayland-sock=/none"
    refused(run, f"vhost-user-wl-pci,{sock},plugin=/none.so",
            "cannot load the plugin", "/none.so")
    refused(run, f"vhost-user-wl-pci,{sock},plugin={run.fake('NO_ENTRY')}",
            "is no device plugin", "vwl_plugin_get")
    refused(run, f"vhost-user-wl-pci,{sock},plugin={run.fake('WRONG_ABI')}",
            "has device ABI 42", "needs device ABI 1")


@test("plugin")
def wrong_properties(run):
    base = f"vhost-user-wl-pci,plugin={run.options.plugin}"
    for properties, words in (
            ("wayland-sock=/a,shm-size=3G", ["power of two"]),
            ("wayland-sock=/a,queue-size=100", ["power of two"]),
            ("wayland-sock=/a,virtio-id=64", ["virtio-id"]),
            ("wayland-sock=/a;/b,,nom=c", ["name=NAME", "/b"]),
            ("wayland-sock=/a;", ["empty path"]),
            ("wayland-sock=/a;/b,,name=c", ["policy=none", "/b"]),
            ("wayland-sock=/a,,policy=some", ["policy=some",
                                                "wayland, pulse or none"]),
            ("wayland-sock=/a,allow=wl_nothing", ["\"wl_nothing\" is known"]),
            ("wayland-sock=/a,policy-file=/none", ["/none"]),
            ("wayland-sock=/a,clipboard=sometimes", ["clipboard=sometimes",
                                                     "from-guest"]),
            ("wayland-sock=/a,security-context=on", ["security-context=on",
                                                     "require"]),
            ("wayland-sock=/a,dmabuf=nonsense;more",
             ["'nonsense' is no allocator", "refuses the configuration"]),
            ("wayland-sock=/a,dmabuf=gbm=/none;udmabuf",
             ["gbm=/none", "refuses the configuration"]),
            ("wayland-sock=/a,poll-us=10001", ["10001 is more than 10000"]),
            ("wayland-sock=/a,modern-pio-notify=on", ["modern-pio-notify"])):
        refused(run, f"{base},{properties}", *words)
    environment = {k: v for k, v in os.environ.items()
                   if k not in ("WAYLAND_DISPLAY", "XDG_RUNTIME_DIR")}
    refused(run, base, "no compositor is known", "wayland-sock=PATH",
            env=environment)


@test("daemon")
def wrong_properties_of_daemon(run):
    args, device = run.host.device()
    for properties in ("plugin=/a", "wayland-sock=/a", "dmabuf=auto",
                       "poll-us=50", "allow=wl_shm", "deny=wl_shm",
                       "policy-file=/a", "title-prefix=a", "app-id-prefix=a",
                       "clipboard=off", "primary=off", "drag=off", "name=a",
                       "security-context=off"):
        refused(run, f"{device},{properties}", "together with socket",
                args=args)


@test()
def refused_plugs(run):
    """They leave nothing behind, and hold nobody up."""
    args, device = run.host.device()
    with run.vm(n_devices=0, devices=[SLOT.format(1)],
                args=args) as vm:
        vm.boot()
        before = None
        for number in range(20):
            for bad in ("plugin=/none.so,wayland-sock=/a",
                        f"plugin={run.options.plugin},wayland-sock=/a;",
                        f"socket={run.host.dir}/nobody",
                        f"socket=/{'long' * 40}"):
                try:
                    plug(run, vm, f"vhost-user-wl-pci,id=x,{bad}", "slot1")
                except vms.Error:
                    continue
                raise vms.Error(f"{bad} was plugged")
            if number == 2:
                before = vms.at_rest(lambda: counts(vm))
        no_more(vm, before)
        plug(run, vm, device, "slot1")
        settle(lambda: vm.run("test -e /dev/wl0")[0], 0)
        vm.check("wltest ping")


# What the guest sees


@test()
def identity(run):
    with run.vm() as vm:
        vm.boot()
        at = pci_device(vm)
        for name, value in (("vendor", "0x1af4"), ("device", "0x107f"),
                            ("class", "0x038000"), ("revision", "0x01")):
            found = vm.check(f"cat {at}/{name}").strip()
            want(found == value, f"{name} is {found}")
        first, last, flags = (int(word, 16) for word in vm.check(
            f"sed -n 3p {at}/resource").split())
        want(last - first + 1 == 4 << 30, "region 0 is not 4 GiB")
        want(flags & 0x102200 == 0x102200, "region 0 is not 64-bit, "
             f"prefetchable memory: {flags:#x}")
        vectors = vm.check(f"ls {at}/msi_irqs").split()
        want(len(vectors) == 3, f"{len(vectors)} vectors")
        config = bytes.fromhex("".join(vm.check(
            f"hexdump -v -e '/1 \"%02x \"' {at}/config").split()))
        caps, next_cap = [], config[0x34]
        while next_cap:
            if config[next_cap] == 9 and config[next_cap + 3] == 8:
                caps.append(config[next_cap:next_cap + config[next_cap + 2]])
            next_cap = config[next_cap + 1]
        want(len(caps) == 1 and len(caps[0]) == 24, f"capabilities {caps}")
        want(caps[0][2:] == bytes.fromhex(
            "1808 02000000 00000000 00000000 00000000 01000000"), f"{caps}")


@test("plugin")
def few_descriptors(run):
    """QEMU keeps the limit that it was started with: it is said at once."""
    qemu = run.host.qemu
    for limit, few in ("1024", True), ("4096", False):
        run.host.qemu = f"prlimit --nofile={limit} {qemu}"
        with run.vm() as vm:
            vm.start()
            said = vm.log().count(f"may have {limit} descriptors at once")
            want(said == few, vm.log())
    run.host.qemu = qemu


@test("plugin")
def sizes(run):
    for size, mib in (("4K", 0), ("1M", 1), ("256M", 256), ("64G", 65536)):
        with run.vm(properties=f",shm-size={size}") as vm:
            vm.boot()
            vm.check(f"dmesg | grep 'window of {mib} MiB'")
            vm.check("wltest ping")


@test("plugin")
def ways_to_interrupt(run):
    for properties in (",vectors=0", ",vectors=2", ",packed=on",
                       ",queue-size=16", ",iothread=io"):
        with run.vm(properties=properties,
                    args=["-object", "iothread,id=io"]) as vm:
            vm.boot()
            vm.check("wltest echo memory received-memory pipes", timeout=90)


@test("plugin")
def iommu(run):
    slot = SLOT.format(1)
    args, device = run.host.device()
    with run.vm(n_devices=0, append="intel_iommu=on", args=args, devices=[
            "intel-iommu,intremap=off,device-iotlb=on", slot,
            f"{device},bus=slot1,iommu_platform=on,ats=on"]) as vm:
        vm.boot()
        vm.check("wltest echo memory received-memory pipes", timeout=90)


@test()
def elsewhere(run):
    """A driver that wants guest addresses, in three places."""
    args, device = run.host.device()
    with run.vm(n_devices=0, modparams="use_shmem=0", args=args,
                devices=[SLOT.format(1), SLOT.format(2)]) as vm:
        vm.boot()
        places = []
        for slot in (1, 2, 1):
            plug(run, vm, device, f"slot{slot}")
            settle(lambda: vm.run("test -e /dev/wl0")[0], 0)
            places.append(vm.check(
                f"sed -n 3p {pci_device(vm)}/resource").split()[0])
            vm.check("wltest memory received-memory", timeout=90)
            vm.device_del("wl0")
        want(places[0] != places[1], f"the BAR was always at {places[0]}")
        plug(run, vm, device, "slot2")
        vm.reset()
        vm.check("wltest memory received-memory", timeout=90)


# What a guest may do


@test("plugin") # before a daemon it is the same code, and takes a minute
def touch_all(run):
    with run.vm(args=SANDBOX) as vm:
        vm.boot()
        with open(run.touch, "rb") as file:
            vm.put("/bin/touch-window", file.read())
        at = pci_device(vm)
        drivers = "/sys/bus/virtio/drivers/virtio_wl"
        name = vm.check(f"ls {drivers} | grep virtio").strip()
        vm.check(f"echo {name} > {drivers}/unbind")

        def own_kib():
            with open(f"/proc/{vm.process.pid}/smaps_rollup") as file:
                return int(re.search(r"Pss:\s*(\d+)", file.read())[1])

        before = own_kib()
        output = vm.check(f"touch-window {at}/resource2", timeout=120)
        want("4096 MiB, 0 odd" in output, output)
        want(own_kib() - before < 32768,
             f"costs {own_kib() - before} KiB")
        vm.check(f"echo {name} > {drivers}/bind")
        vm.check("wltest ping memory")


@test("plugin")
def read_only(run):
    """Writes to what is not the guest's to write are its own affair."""
    fake = run.fake("READ_ONLY", run.options.plugin)
    run.host.plugin, plugin = fake, run.host.plugin
    with run.vm() as vm:
        run.host.plugin = plugin
        vm.boot()
        vm.run("wltest memory received-memory lots", timeout=60)
        vm.check("wltest ping")
        vm.reset()
        vm.check("wltest ping")


# What comes and goes


@test()
def reboots(run):
    with run.vm(n_devices=2) as vm:
        vm.boot()
        before = None
        for number in range(5): # ten times: vm-window-reboots
            hold(vm, "wl0")
            hold(vm, "wl1")
            settle(lambda: run.host.peer.connections, 2)
            # at once, not when the next driver starts
            vm.qmp("system_reset")
            vm.wait_event("RESET")
            vm.qmp("stop")
            settle(lambda: run.host.peer.connections, 0)
            vm.qmp("cont")
            vm.wait_ready()
            vm.check("wltest ping")
            if number == 1:
                before = vms.at_rest(lambda: counts(vm))
        no_more(vm, before)
        want(not vm.kernel_complaints(), "the guest complains")


@test()
def shutdown(run):
    with run.vm(args=["-no-shutdown"]) as vm:
        vm.boot()
        hold(vm)
        settle(lambda: run.host.peer.connections, 1)
        vm.begin("poweroff -f")
        vm.wait_event("SHUTDOWN")
        settle(lambda: run.host.peer.connections, 0)
        vm.qmp("system_reset")
        vm.qmp("cont")
        vm.wait_ready()
        vm.check("wltest ping")
        want(vm.quit() == 0, "QEMU failed")


@test()
def pause(run):
    with run.vm() as vm:
        vm.boot()
        hold(vm)
        settle(lambda: run.host.peer.connections, 1)
        vm.qmp("stop")
        time.sleep(1)
        want(run.host.peer.connections == 1, "a pause closed it")
        vm.qmp("cont")
        time.sleep(0.5)
        want(run.host.peer.connections == 1, "going on closed it")
        vm.check("wltest ping")


@test()
def figures(run):
    with run.vm() as vm:
        vm.boot()
        hold(vm)
        settle(lambda: run.host.peer.connections, 1)
        now = stats(vm)
        want(now["connected"] == 1 and now["started"] == 1 and
             now["window-bytes"] == 4 << 30, f"{now}")
        if run.mode == "plugin":
            want(now["contexts"] == 1 and now["requests"] > 0, f"{now}")
        status = vm.hmp("info virtio-status "
                        "/machine/peripheral/wl0/virtio-backend")
        # not the guest's, of which QEMU knows no bits
        want("device_id:               41" in status and
             "vhost-user-wl" in vm.hmp("info virtio"), status)


@test()
def compositor(run):
    """There, gone and there again."""
    run.host.peer.close()
    with run.vm() as vm:
        vm.boot()
        want(vm.run("wltest ping")[0] != 0, "a context to nobody")
        for _ in range(3):
            run.host.peer = peers.Peer(f"{run.host.dir}/peer")
            vm.check("wltest ping")
            run.host.peer.close()
            want(vm.run("wltest ping")[0] != 0, "a context to nobody")
        run.host.peer = peers.Peer(f"{run.host.dir}/peer")
        vm.check("wltest ping")


@test("plugin")
def no_dmabufs(run):
    """Off or, with a compositor that takes none, auto: every client's probe
    gets INVALID_CMD (ENOTTY), and all the rest works."""
    for words, more in (("off", ""), ("auto", ",poll-us=100")):
        with run.vm(properties=f",dmabuf={words}{more}",
                    args=SANDBOX) as vm:
            vm.boot()
            for name, value in (("dmabuf", words),
                                ("poll-us", 100 if more else 0)):
                found = vm.qmp("qom-get", property=name,
                               path="/machine/peripheral/wl0")
                want(found == value, f"{name} is {found!r}")
            vm.check("wltest errors ping echo memory pipes", timeout=90)
            now = stats(vm)
            want(now["dmabufs"] == 0 and now["host-dmabuf-version"] == 0 and
                 now["refused"] > 0, f"{now}")


@test("plugin")
def hang_up(run):
    """The plugin's connection is lost, and made anew at a reset."""
    run.host.plugin, plugin = run.fake("HANG_UP", run.options.plugin), \
        run.host.plugin
    os.mkfifo(f"{run.dir}/hang-up")
    with run.vm() as vm, \
            open(f"{run.dir}/hang-up", "r+b", buffering=0) as order:
        run.host.plugin = plugin
        vm.boot()
        for number in range(3):
            hold(vm)
            settle(lambda: run.host.peer.connections, 1)
            order.write(b".")
            settle(lambda: run.host.peer.connections, 0)
            settle(lambda: vm.run("wltest ping")[0], 0)
        want(stats(vm)["reconnects"] == 3, f"{stats(vm)}")


@test("daemon")
def daemon_comes_and_goes(run):
    with run.vm() as vm:
        vm.boot()
        before = vms.at_rest(lambda: counts(vm))
        chance = random.Random(1)
        loop = vm.begin("for n in $(seq 300); do wltest ping echo; done "
                        "> /tmp/out 2>&1; true", timeout=200)
        for _ in range(10):
            time.sleep(chance.uniform(0.2, 1.2))
            run.host.kill_daemon()
            time.sleep(chance.uniform(0, 0.4))
            stats(vm)
            run.host.start_daemon()
            settle(lambda: stats(vm)["connected"], 1)
        vm.finish(loop)
        settle(lambda: vm.run("wltest ping")[0], 0)
        no_more(vm, before)
        # reset without one, and a pause without one
        run.host.kill_daemon()
        vm.reset()
        want(vm.run("wltest ping")[0] != 0, "a context without a daemon")
        run.host.start_daemon()
        settle(lambda: vm.run("wltest ping")[0], 0)
        vm.qmp("stop")
        run.host.kill_daemon()
        time.sleep(0.3)
        vm.qmp("cont")
        want(vm.run("wltest ping")[0] != 0, "a context without a daemon")
        run.host.start_daemon()
        settle(lambda: vm.run("wltest ping")[0], 0)
        want(not vm.kernel_complaints(), "the guest complains")


@test("daemon")
def requests_in_hand(run):
    """A daemon dies with requests; none of them waits for ever."""
    with run.vm() as vm:
        vm.boot()
        begun = [vm.begin("wltest no-wait", timeout=150) for _ in range(3)]
        time.sleep(0.7)
        run.host.kill_daemon()
        for each in begun:
            want(vm.finish(each)[0] != 124, "a request hangs")
        run.host.start_daemon()
        settle(lambda: vm.run("wltest ping")[0], 0)


class Run:
    def __init__(self, options, directory):
        self.mode = options.mode
        self.options = options
        self.dir = directory
        self.host = None
        self.touch = f"{directory}/touch"
        subprocess.run(["gcc", "-O1", "-Wall", "-Wextra", "-static", "-o",
                        self.touch, f"{hosts.TOP}/tests/vm/touch.c"],
                       check=True)
        self.image = hosts.make_image(hosts.build_wltest(directory))

    def fake(self, kind, value="1"):
        path = f"{self.dir}/{kind}.so"
        if value != "1":
            value = f'"{os.path.abspath(value)}"'
        subprocess.run(["gcc", "-shared", "-fPIC", "-o", path,
                        f"-D{kind}={value}", f"-I{hosts.TOP}/include",
                        f'-DORDERS="{self.dir}/hang-up"',
                        f"{hosts.TOP}/tests/vm/fake-plugin.c"], check=True)
        return path

    def vm(self, **more):
        return self.host.vm(self.image, cpus=self.options.cpus, **more)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--mode", default="plugin",
                        choices=["plugin", "daemon"])
    parser.add_argument("--qemu", required=True)
    parser.add_argument("--plugin", required=True)
    parser.add_argument("--daemon")
    parser.add_argument("--cpus", type=int, default=1)
    parser.add_argument("tests", nargs="*")
    options = parser.parse_args()
    names = options.tests or [name for name, function in TESTS.items()
                              if options.mode in function.modes]
    print(f"1..{len(names)}", flush=True)
    failed = False
    with tempfile.TemporaryDirectory(prefix="vwl-device-") as directory:
        run = Run(options, directory)
        for number, name in enumerate(names, 1):
            began = time.monotonic()
            with hosts.Host(options.mode, options.qemu, options.plugin,
                            options.daemon) as run.host:
                try:
                    TESTS[name](run)
                    print(f"ok {number} - {name} # "
                          f"{time.monotonic() - began:.1f} s", flush=True)
                except (vms.Error, OSError):
                    failed = True
                    print(f"not ok {number} - {name}", flush=True)
                    for line in (traceback.format_exc() +
                                 run.host.log()[-3000:]).splitlines():
                        print(f"# {line}", flush=True)
    return failed


if __name__ == "__main__":
    sys.exit(main())
