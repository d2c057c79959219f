#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Buffers and fences of a guest's own virtio-gpu, sent by number.

    test-foreign.py --qemu=PATH --plugin=PATH --daemon=PATH
                    [--kernel=6.1|6.12] [TEST...]

Prints TAP. This machine has no udmabuf: QEMU refuses what it would make
dmabufs of; a double of crosvm's bridge shows that the numbers are right.
"""

import argparse
import array
import json
import os
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time

import gpu
import host as hosts
import hostile
import peer
import vm as vms

sys.path.insert(0, hosts.TOP + "/tests/bridge")
import wayland  # noqa: E402

TESTS = {}
SIZE = 65536
GPU = "virtio-gpu-pci,id=gpu0"


def test(function):
    TESTS[function.__name__.replace("_", "-")] = function
    return function


def want(condition, text):
    if not condition:
        raise vms.Error(text)


def build(directory, name, *link):
    path = f"{directory}/{name}"
    flags = subprocess.run(["pkg-config", "--cflags", "libdrm"], check=True,
                           stdout=subprocess.PIPE, text=True).stdout.split()
    subprocess.run(
        ["gcc", "-O1", "-Wall", "-Wextra", *link, "-o", path,
         f"-I{hosts.TOP}/qemu-glue/guest/driver", *flags,
         f"{hosts.TOP}/tests/vm/{name}.c"], check=True)
    return path


def make_image(directory, kernel):
    return hosts.output(
        f"{hosts.TOP}/qemu-glue/guest/make-image", hosts.kernel_option(kernel),
        "--module=virtio_gpu", "--module=vgem",
        f"--add={build(directory, 'gputest', '-static')}")


class Bridge:
    """Answers each question with memory that holds the pattern."""

    def __init__(self, path):
        self.questions = []
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.listener.bind(path)
        self.listener.listen(1)
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        sock, _ = self.listener.accept()
        while True:
            packet = sock.recv(4096)
            if not packet:
                return
            self.questions.append(json.loads(packet))
            fd = os.memfd_create("buffer")
            os.write(fd, peer.pattern(SIZE))
            plane = {"offset": 0, "stride": 512}
            kind = "Buffer" if "GetBuffer" in self.questions[-1] else "Fence"
            thing = {"handle": 0}
            if kind == "Buffer":
                thing.update(planes=[plane] + 3 * [{"offset": 0, "stride": 0}],
                             modifier=0, guest_cpu_mappable=False)
            sock.sendmsg([json.dumps({"Resource": {kind: thing}}).encode()],
                         [(socket.SOL_SOCKET, socket.SCM_RIGHTS,
                           array.array("i", [fd]))])
            os.close(fd)


class Run:
    def __init__(self, options):
        self.options = options
        self.dir = tempfile.mkdtemp(prefix="vwl-foreign-")
        self.image = make_image(self.dir, options.kernel)

    def host(self, mode):
        return hosts.Host(mode, self.options.qemu, self.options.plugin,
                          self.options.daemon)


def healthy(vm):
    complaints = vm.kernel_complaints()
    want(not complaints, "the guest complains: " + "\n".join(complaints))


def lines(vm, *words):
    """What gputest says: (name, number, verdict)."""
    said = vm.check("gputest " + " ".join(words), timeout=120)
    print("\n".join("# | " + line for line in said.splitlines()), flush=True)
    return [line.split(" ", 2) for line in said.splitlines()]


@test
def numbers(run):
    """The driver says the numbers that virtio-gpu has given."""
    with run.host("daemon") as host:
        bridge = Bridge(f"{host.dir}/bridge")
        host.daemon_args = [f"--resource-bridge={host.dir}/bridge"]
        with host.vm(run.image, devices=[GPU]) as vm:
            vm.boot()
            said = lines(vm, "dumb", "fence", "strangers")
            want([name for name, _, _ in said] ==
                 ["dumb", "dumb", "fence", "strangers"], f"{said}")
            for name, number, verdict in said[:2]:
                want(verdict == "ok" and int(number) > 0, f"{name} {verdict}")
            want(said[0][1] != said[1][1], "two resources of one number")
            want(bridge.questions ==
                 [{"GetBuffer": {"id": int(said[0][1])}},
                  {"GetBuffer": {"id": int(said[1][1])}},
                  {"GetFence": {"seqno": 0}}],
                 f"it asked {bridge.questions}")
            want(said[3][2] == "Invalid argument, Invalid argument, "
                 "Invalid argument, Bad file descriptor", said[3][2])
            healthy(vm)


@test
def refused(run):
    """No udmabuf here: the guest is told so, and nothing else happens."""
    if os.path.exists("/dev/udmabuf"):
        print("# this machine has udmabuf: see test-gpu.py")
        return
    with run.host("plugin") as host:
        with host.vm(run.image, devices=[GPU]) as vm:
            # the GPU comes first
            vm.devices.reverse()
            vm.devices[1] += ",gpu=gpu0"
            vm.boot()
            counts = []
            for _ in range(2):  # the first time makes what stays
                for name, _, verdict in lines(vm, "dumb", "fence"):
                    want(verdict == "No such file or directory",
                         f"{name} {verdict}")
                deadline = time.monotonic() + 60
                while host.peer.connections and time.monotonic() < deadline:
                    time.sleep(0.05)
                counts.append(vms.at_rest(vm.descriptors))
            want(counts[1] <= counts[0], f"descriptors are left: {counts}")
            healthy(vm)


@test
def no_gpu(run):
    """A device that was not told of a GPU has none."""
    with run.host("plugin") as host:
        with host.vm(run.image, devices=[GPU]) as vm:
            vm.boot()
            for name, _, verdict in lines(vm, "dumb", "fence"):
                want(verdict == "No such file or directory",
                     f"{name} {verdict}")
            healthy(vm)


class Compositor:
    """A double at the far end of the bridge: what it hears is in `said`."""

    GLOBALS = (("wl_compositor", 4), ("zwp_linux_dmabuf_v1", 4),
               ("zwp_linux_explicit_synchronization_v1", 2))

    def __init__(self, path):
        self.said = []
        self.interfaces = wayland.load_all(*(
            subprocess.run(["pkg-config", "--variable=pkgdatadir", package],
                           stdout=subprocess.PIPE, check=True,
                           text=True).stdout.strip() + more
            for package, more in (("wayland-scanner", "/wayland.xml"),
                                  ("wayland-protocols", ""))))
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(path)
        self.listener.listen(8)
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            sock, _ = self.listener.accept()
            threading.Thread(target=self._serve, args=(sock,),
                             daemon=True).start()

    def _serve(self, sock):
        end = wayland.Peer(sock, self.interfaces, server=True)
        sock.settimeout(None)
        try:
            while True:
                self._answer(end, end.hear())
        except (wayland.Gone, OSError):
            end.close()

    def _answer(self, end, said):
        name, args = said.name, said.args
        if name == "get_registry":
            for number, row in enumerate(self.GLOBALS, 1):
                end.say(args[0], "global", number, *row)
        elif name == "sync":
            end.say(args[0], "done", 0)
            end.say(1, "delete_id", args[0])
        elif name == "get_default_feedback":
            end.say(args[0], "main_device", b"\xef\xbe\xad\xde" * 2)
            end.say(args[0], "tranche_target_device", b"\xef\xbe\xad\xde" * 2)
        elif name == "create":
            end.say(said.id, "created", end.new())
        elif name == "get_release":
            there, ours = os.pipe()
            end.say(args[0], "fenced_release", there)
            os.close(there)
            os.close(ours)
            end.say(1, "delete_id", args[0])
        elif name in ("add", "set_acquire_fence"):
            right = os.pread(args[0], SIZE, 0) == peer.pattern(SIZE)
            os.close(args[0])
            self.said.append((name, right, *args[1:]))
            return
        if name in ("create", "create_immed", "commit"):
            self.said.append((name,))


@test
def bridged(run):
    """A program's buffers and fences, through the guest's bridge and driver,
    by number to the host's compositor; what the host has no number for."""
    if not run.options.bridge:
        print("# skipped: no bridge was built")
        return
    programs = [build(run.dir, "dmabuftest"), run.options.bridge]
    with run.host("daemon") as host, gpu.Image(programs) as image:
        bridge = Bridge(f"{host.dir}/bridge")
        compositor = Compositor(f"{host.dir}/compositor")
        host.sockets = lambda: [(f"{host.dir}/compositor", "")]
        host.daemon_args = [f"--resource-bridge={host.dir}/bridge"]
        with host.vm(image.dir, devices=[GPU]) as vm:
            vm.boot(300)
            vm.spawn(f"{gpu.path(run.options.bridge)} --listen=/run/wl",
                     "/run/wl.log")
            vm.check(f"for i in $(seq 500); do {vms.listens('/run/wl')} && "
                     "exit 0; sleep 0.1; done; cat /run/wl.log; exit 1", 90)
            said = vm.check(f"{gpu.path(programs[0])} /run/wl", 120)
            print("\n".join("# | " + line for line in said.splitlines()),
                  flush=True)
            lines_ = said.splitlines()
            want(lines_[0] == "feedback ok" and lines_[2:] ==
                 ["at once ok", "refused ok", "fences ok", "release ok",
                  "error 7"], said)
            number = int(lines_[1].split()[1])
            plane = ("add", True, 0, 0, 256, 0, 0)
            want(compositor.said ==
                 [plane, ("create",), plane, ("create_immed",),
                  ("set_acquire_fence", True), ("commit",), ("commit",),
                  ("commit",)], f"the compositor heard {compositor.said}")
            asked = bridge.questions
            # a buffer and a fence to find out whether they can be sent
            want("GetBuffer" in asked[0] and asked[1:] ==
                 [{"GetFence": {"seqno": 0}}, {"GetBuffer": {"id": number}},
                  {"GetBuffer": {"id": number}}, {"GetFence": {"seqno": 0}}],
                 f"it asked {asked}")
            healthy(vm)


@test
def host_fences(run):
    """The host's fences are sync_files of the guest's kernel."""
    directory = tempfile.mkdtemp(prefix="vwl-fences-")
    device = hostile.Backend(f"{directory}/device")
    first = 0x40000001
    with vms.VM(run.options.qemu, run.image, devices=[
            f"vhost-user-wl-pci,id=wl0,socket={directory}/device"]) as vm:
        vm.boot(300)
        begun = vm.begin("gputest host-fences", timeout=120)
        context = wait_for(device, hostile.NEW_CTX, 1)[0].id
        for number in range(first, first + 3):
            tell(device, hostile.new_message(number, flags=8))
        tell(device, hostile.recv_message(
            context, range(first, first + 3), b"fences"))
        sent = wait_for(device, hostile.SEND, 1)
        tell(device, hostile.hup_message(first))
        sent = wait_for(device, hostile.SEND, 3)
        want([struct.unpack_from("<II", each.data, 12) for each in sent] ==
             [(1, first), (1, first), (1, first + 1)], "sent back otherwise")
        # the first lives on in the merged one
        closed = [each.id for each in wait_for(device, hostile.CLOSE, 1)]
        want(closed == [first + 2], f"closed: {closed}")
        vm.check("cd /sys/bus/virtio/drivers/virtio_wl; "
                 "echo virtio* > unbind", 60)
        status, said = vm.finish(begun)
        want(status == 0 and said == "host-fences 0 ok\n", said)
        healthy(vm)
        # the last fence is gone: so may be the module
        vm.check("for i in $(seq 100); do rmmod virtio_wl && exit 0; "
                 "sleep 0.1; done; exit 1", 60)
        healthy(vm)
    device.close()
    shutil.rmtree(directory)


def tell(device, message):
    deadline = time.monotonic() + 60
    while not device.say(message):
        want(time.monotonic() < deadline, "the driver posts no buffer")
        time.sleep(0.02)


def wait_for(device, kind, count):
    """The requests of this kind, when there are so many."""
    deadline = time.monotonic() + 60
    while True:
        with device.lock:
            found = [each for each in device.requests if each.type == kind]
        if len(found) >= count:
            return found
        want(time.monotonic() < deadline,
             f"{len(found)} of {count} requests {kind:#x} came")
        time.sleep(0.02)


@test
def wrong_gpu(run):
    """What a user gets wrong."""
    with run.host("plugin") as host:
        _, device = host.device()
        for gpu, words in (("none", "none"),
                           ("kbd0", "no virtio-gpu")):
            with vms.VM(run.options.qemu, run.image,
                        devices=["virtio-keyboard-pci,id=kbd0",
                                 f"{device},gpu={gpu}"]) as vm:
                try:
                    vm.start()
                except vms.Dead:
                    pass
                else:
                    raise vms.Error(f"gpu={gpu} is taken")
                want(words in vm.log(), vm.log())
    with run.host("daemon") as host:
        args, device = host.device()
        with vms.VM(run.options.qemu, run.image, args=args,
                    devices=[GPU, f"{device},gpu=gpu0"]) as vm:
            try:
                vm.start()
            except vms.Dead:
                pass
            else:
                raise vms.Error("gpu is taken with socket")
            want("together with socket" in vm.log(), vm.log())


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--qemu", required=True)
    parser.add_argument("--plugin", required=True)
    parser.add_argument("--daemon", required=True)
    parser.add_argument("--bridge", help="virtio-wl-bridge")
    parser.add_argument("--kernel", default="6.12")
    parser.add_argument("tests", nargs="*")
    options = parser.parse_args()
    names = options.tests or list(TESTS)
    print(f"1..{len(names)}", flush=True)
    run = Run(options)
    return vms.tap(names, lambda name: TESTS[name](run))


if __name__ == "__main__":
    sys.exit(main())
