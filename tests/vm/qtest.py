# SPDX-License-Identifier: BSD-3-Clause
"""A QEMU without a guest: its devices are driven over its qtest protocol, and
its memory is this program's as well.

    with Machine(qemu, folder, "-device", "vhost-user-wl-pci,addr=5,...") as m:
        device = Virtio(m, 5)
        device.set_up(1 << 32, [(desc, avail, used), ...])
        device.kick(1)

The machine's processor halts at its first instruction. Places in its memory
are counted from the memory's beginning.
"""

import glob
import json
import mmap
import os
import shlex
import socket
import struct
import subprocess
import time

import vm as vms

RAM = 64 << 20


class Kind:
    """Of machine: where its memory is, PCI devices may be put, and their
    configuration space is (None: behind ports); its firmware."""

    def __init__(self, machine, ram, bars, ecam, firmware):
        self.machine = machine
        self.ram = ram
        self.bars = bars
        self.ecam = ecam
        self.firmware = firmware


def halt(*words):
    return struct.pack(f"<{len(words)}I", *words)


KINDS = {
    # cli, hlt, back to hlt: at the firmware's end
    "x86_64": Kind("q35", 0, 0xd0000000, None, bytes(65520) +
                   b"\xfa\xf4\xeb\xfd".ljust(16, b"\0")),
    # wfi, back to it: at its beginning
    "aarch64": Kind("virt,highmem=off", 0x40000000, 0x20000000, 0x3f000000,
                    halt(0xd503207f, 0x17ffffff)),
    "riscv64": Kind("virt", 0x80000000, 0x40000000, 0x30000000,
                    halt(0x10500073, 0xffdff06f)),
}


class Machine:
    def __init__(self, qemu, folder, *args):
        self.kind = KINDS[
            os.path.basename(shlex.split(qemu)[0]).rsplit("-", 1)[1]]
        self.bar = self.kind.bars
        bios = f"{folder}/halt.bin"
        with open(bios, "wb") as file:
            file.write(self.kind.firmware)
        self.log = f"{folder}/qtest.log"
        places = [f"{folder}/{name}.sock" for name in ("qtest", "qmp")]
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(
                [*shlex.split(qemu), "-nodefaults", "-no-user-config",
                 "-display", "none", "-accel", "tcg", "-bios", bios,
                 "-m", "64M",
                 "-machine", f"{self.kind.machine},memory-backend=mem",
                 "-object", "memory-backend-memfd,id=mem,size=64M,share=on",
                 "-qtest", f"unix:{places[0]},server=on,wait=off",
                 "-qtest-log", "/dev/null",
                 "-qmp", f"unix:{places[1]},server=on,wait=off", *args],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                preexec_fn=vms._die_with_parent)
        try:
            self._qtest, self._qmp = map(self._connect, places)
            self._qmp.readline()
            self.qmp("qmp_capabilities")
            self.ram = self._map()
        except BaseException:
            self.process.kill()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.ram.close()
        self.process.kill()
        self.process.wait()

    def said(self):
        with open(self.log, errors="replace") as file:
            return file.read()

    def _connect(self, path):
        deadline = time.monotonic() + 60
        while True:
            sock = socket.socket(socket.AF_UNIX)
            sock.settimeout(60)
            try:
                sock.connect(path)
                return sock.makefile("rw")
            except (FileNotFoundError, ConnectionRefusedError):
                sock.close()
                if self.process.poll() is not None:
                    raise vms.Dead(self.said()) from None
                if time.monotonic() > deadline:
                    raise vms.Timeout(f"no {path}") from None
                time.sleep(0.02)

    def _map(self):
        for path in glob.glob(f"/proc/{self.process.pid}/fd/*"):
            try:
                if "memfd:memory-backend-memfd" in os.readlink(path):
                    with open(path, "r+b") as file:
                        return mmap.mmap(file.fileno(), RAM)
            except FileNotFoundError:
                pass  # it was just closed
        raise vms.Error("QEMU has no memory")

    def qmp(self, command, **arguments):
        json.dump({"execute": command, "arguments": arguments}, self._qmp)
        self._qmp.write("\n")
        self._qmp.flush()
        while True:
            answer = json.loads(self._qmp.readline())
            if "error" in answer:
                raise vms.Error(f"{command}: {answer['error']['desc']}")
            if "return" in answer:
                return answer["return"]

    def ask(self, line):
        self._qtest.write(line + "\n")
        self._qtest.flush()
        word, *value = self._qtest.readline().split()
        if word != "OK":
            raise vms.Error(f"{line}: {word}")
        return int(value[0], 0) if value else None

    def read16(self, at):
        return struct.unpack_from("<H", self.ram, at)[0]

    def write16(self, at, value):
        struct.pack_into("<H", self.ram, at, value)

    def describe(self, table, number, place, length, write=False,
                 following=None):
        """A descriptor: of what the device writes, or reads."""
        struct.pack_into("<QIHH", self.ram, table + 16 * number,
                         self.kind.ram + place, length,
                         2 * write + (following is not None), following or 0)


class Virtio:
    """A modern PCI device on the root bus, its features accepted by set_up."""

    def __init__(self, machine, slot):
        self.m = machine
        self.slot = slot
        self._place_bars()
        at = self.config(0x34) & 0xff
        while at:
            head = self.config(at)
            where = self._address(at)
            if head & 0xff == 9 and head >> 24 == 1:
                self.common = where
            elif head & 0xff == 9 and head >> 24 == 2:
                self.notify = where
                self.multiplier = self.config(at + 16)
            at = head >> 8 & 0xff

    def config(self, at, value=None):
        if self.m.kind.ecam is not None:
            at += self.m.kind.ecam + (self.slot << 15)
            if value is not None:
                self.m.ask(f"writel {at:#x} {value:#x}")
            return self.m.ask(f"readl {at:#x}")
        self.m.ask(f"outl 0xcf8 {0x80000000 | self.slot << 11 | at:#x}")
        if value is not None:
            self.m.ask(f"outl 0xcfc {value:#x}")
        return self.m.ask("inl 0xcfc")

    def _place_bars(self):
        high = False
        for at in range(0x10, 0x28, 4):
            if high:  # of the one before
                self.config(at, 0)
                high = False
                continue
            old = self.config(at)
            mask = self.config(at, 0xffffffff) & ~0xf
            if not mask or old & 1:
                continue
            size = -mask & 0xffffffff
            self.m.bar = (self.m.bar + size - 1) & -size
            self.config(at, self.m.bar)
            self.m.bar += size
            high = bool(old & 4)
        self.config(4, 6)  # memory, bus master

    def _address(self, capability):
        bar = self.config(capability + 4) & 0xff
        if bar > 5:
            return None
        return (self.config(0x10 + 4 * bar) & ~0xf) + \
            self.config(capability + 8)

    def register(self, width, at, value=None):
        """Of the common configuration."""
        if value is None:
            return self.m.ask(f"read{width} {self.common + at:#x}")
        return self.m.ask(f"write{width} {self.common + at:#x} {value:#x}")

    @property
    def status(self):
        return self.register("b", 0x14) & 0xff

    @status.setter
    def status(self, value):
        self.register("b", 0x14, value)

    def set_up(self, features, queues):
        """queues: of each, where its descriptors and rings are."""
        for status in 0, 1, 3:
            self.status = status
        for half in 0, 1:
            self.register("l", 8, half)
            self.register("l", 12, features >> 32 * half & 0xffffffff)
        self.status = 11
        for number, places in enumerate(queues):
            self.register("w", 0x16, number)
            for at, place in zip((0x20, 0x28, 0x30), places):
                self.register("q", at, self.m.kind.ram + place)
            self.register("w", 0x1c, 1)
        self.status = 15

    def kick(self, queue):
        self.register("w", 0x16, queue)
        off = self.register("w", 0x1e) & 0xffff
        self.m.ask(f"writew {self.notify + off * self.multiplier:#x} {queue}")
