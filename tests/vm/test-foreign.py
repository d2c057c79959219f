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
import socket
import subprocess
import sys
import tempfile
import threading
import time

import host as hosts
import peer
import vm as vms

TESTS = {}
SIZE = 65536
GPU = "virtio-gpu-pci,id=gpu0"


def test(function):
    TESTS[function.__name__.replace("_", "-")] = function
    return function


def want(condition, text):
    if not condition:
        raise vms.Error(text)


def build_gputest(directory):
    path = f"{directory}/gputest"
    flags = subprocess.run(["pkg-config", "--cflags", "libdrm"], check=True,
                           stdout=subprocess.PIPE, text=True).stdout.split()
    subprocess.run(
        ["gcc", "-O1", "-Wall", "-Wextra", "-static", "-o", path,
         f"-I{hosts.TOP}/qemu-glue/guest/driver", *flags,
         f"{hosts.TOP}/tests/vm/gputest.c"], check=True)
    return path


def make_image(directory, kernel):
    return subprocess.run(
        [f"{hosts.TOP}/qemu-glue/guest/make-image", f"--kernel={kernel}",
         "--module=virtio_gpu", "--module=vgem",
         f"--add={build_gputest(directory)}"],
        check=True, stdout=subprocess.PIPE, text=True).stdout.strip()


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
                deadline = time.monotonic() + 20
                while host.peer.connections and time.monotonic() < deadline:
                    time.sleep(0.05)
                counts.append(vm.descriptors())
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
                raise vms.Error("gpu is taken with chardev")
            want("together with chardev" in vm.log(), vm.log())


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--qemu", required=True)
    parser.add_argument("--plugin", required=True)
    parser.add_argument("--daemon", required=True)
    parser.add_argument("--kernel", default="6.12")
    parser.add_argument("tests", nargs="*")
    options = parser.parse_args()
    names = options.tests or list(TESTS)
    print(f"1..{len(names)}", flush=True)
    run = Run(options)
    return vms.tap(names, lambda name: TESTS[name](run))


if __name__ == "__main__":
    sys.exit(main())
