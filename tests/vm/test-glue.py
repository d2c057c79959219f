#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""The device in a QEMU that was built without it: that it loads where it may,
and says why where it may not, before anything can go wrong; and what needs no
guest.

    test-glue.py --qemu="PROGRAM -plugin GLUE" --plugin=PATH [TEST...]

Prints TAP.
"""

import argparse
import os
import re
import shlex
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import time

import host as hosts
import qtest
import vm as vms

TESTS = {}
DEVICE = f"{hosts.TOP}/qemu-glue/device"
NEW_CTX, VFD_NEW = 0x104, 0x1001


def test(function):
    TESTS[function.__name__.replace("_", "-")] = function
    return function


def want(truth, why):
    if not truth:
        raise vms.Error(why)


class Run:
    def __init__(self, options, directory):
        words = shlex.split(options.qemu)
        self.qemu, self.glue = words[0], words[words.index("-plugin") + 1]
        self.program = os.path.realpath(shutil.which(self.qemu))
        self.device = self.glue[:-len(".so")] + "-device.so"
        self.plugin = options.plugin
        self.dir = directory

    def start(self, glue, *args, qemu=None, monitor=("info qtree",)):
        """QEMU, which is told to end after these commands: its exit status,
        what its monitor says, and its complaints."""
        done = subprocess.run(
            [qemu or self.qemu, "-plugin", glue, "-nodefaults", "-display",
             "none", "-S", "-monitor", "stdio", "-object",
             "memory-backend-memfd,id=mem,size=64M,share=on", "-m", "64M",
             "-machine", "q35,memory-backend=mem", *args],
            input="\n".join([*monitor, "quit", ""]), text=True, timeout=120,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        return done.returncode, done.stdout, done.stderr

    def refused(self, glue, *words, args=(), qemu=None, lines=1):
        status, _, said = self.start(glue, *args, qemu=qemu)
        want(status == 1, f"status {status}: {said}")
        for word in words:
            want(word in said, f"{word!r} is not in: {said}")
        want(len(said.splitlines()) == lines, f"more than that: {said}")

    def copy(self, name):
        """The glue's two files in a folder of their own."""
        folder = f"{self.dir}/{name}"
        os.mkdir(folder)
        for file in (self.glue, self.device):
            shutil.copy(file, folder)
        return (f"{folder}/{os.path.basename(self.glue)}",
                f"{folder}/{os.path.basename(self.device)}")

    def edited_qemu(self, name, old, new):
        """A copy of QEMU's program with other bytes in it."""
        with open(self.program, "rb") as file:
            data = file.read()
        want(len(old) == len(new) and old in data,
             f"{self.program} has no {old!r}")
        path = f"{self.dir}/{name}"
        with open(path, "wb") as file:
            file.write(data.replace(old, new))
        os.chmod(path, 0o755)
        return path

    def fake_plugin(self, kind, value="1"):
        path = f"{self.dir}/{kind}.so"
        subprocess.run(
            ["gcc", "-shared", "-fPIC", "-o", path, f"-D{kind}={value}",
             f'-DORDERS="{self.dir}/orders"', f"-I{hosts.TOP}/include",
             f"{hosts.TOP}/tests/vm/fake-plugin.c"], check=True)
        return path

    def build(self, *options):
        done = subprocess.run(
            [f"{DEVICE}/build-glue", f"--qemu={self.qemu}", "--no-install",
             *options], text=True, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE)
        return done.returncode, done.stdout.strip() or done.stderr


@test
def loads(run):
    status, said, wrong = run.start(
        run.glue, "-device", f"vhost-user-wl-pci,plugin={run.plugin},"
                             "wayland-sock=/none")
    want(status == 0 and "dev: vhost-user-wl-pci" in said and not wrong,
         said + wrong)


@test
def plugin_beside_it(run):
    """And another ABI's, and none."""
    glue, _ = run.copy("beside")
    device = ["-device", "vhost-user-wl-pci,wayland-sock=/none"]
    run.refused(glue, "the plugin (libvhost-user-wl.so) is not installed",
                "plugin=PATH", args=device, lines=2)
    there = f"{os.path.dirname(glue)}/libvhost-user-wl.so"
    shutil.copy(run.plugin, there)
    status, said, wrong = run.start(glue, *device)
    want(status == 0 and not wrong, said + wrong)
    shutil.copy(run.fake_plugin("WRONG_ABI"), there)
    run.refused(glue, there, "has device ABI 42", "needs device ABI 1",
                args=device, lines=2)
    for length, why in ((4, "file too short"), (64, "is cut short"),
                        (4096, "is cut short"), (65536, "is cut short")):
        shutil.copy(run.plugin, there)
        os.truncate(there, length)
        run.refused(glue, there, why, args=device)


@test
def memory_plugged_later(run):
    """Each DIMM that the device cannot map is named, once."""
    device = ("-device", f"vhost-user-wl-pci,plugin={run.plugin},"
                         "wayland-sock=/none")
    room = ("-m", "64M,slots=4,maxmem=1G")
    status, said, wrong = run.start(
        run.glue, *room, *device, monitor=[
            "object_add memory-backend-memfd,id=good,size=64M,share=on",
            "device_add pc-dimm,id=dimm0,memdev=good",
            "object_add memory-backend-ram,id=bad,size=64M",
            "device_add pc-dimm,id=dimm1,memdev=bad",
            "object_add memory-backend-memfd,id=private,size=64M,share=off",
            "device_add pc-dimm,id=dimm2,memdev=private"])
    want(status == 0, wrong)
    # to whoever plugged it
    named = re.findall(r"memory '(\w+)' was plugged that is not shared with "
                       r"the back-end: .* share=on", said)
    want(named == ["bad", "private"], f"{named}: {said}")
    run.refused(run.glue, "guest RAM is not shared with the back-end: 'bad'",
                "share=on", lines=2, args=[
                    *room, "-object", "memory-backend-ram,id=bad,size=64M",
                    "-device", "pc-dimm,memdev=bad", *device])


def wait_for(m, place, value):
    deadline = time.monotonic() + 60
    while m.read16(place) != value:
        want(time.monotonic() < deadline, f"stays {m.read16(place)}")


def wait_for_index(m, ring, index):
    wait_for(m, ring + 2, index)


class Driver:
    """What a guest's driver would do: it has a context, with a peer that hears
    of it, and a buffer for what comes from there."""

    IN = 0x10000, 0x11000, 0x12000

    def __init__(self, run, plugin, out):
        """out: where descriptors and both rings of requests are."""
        self.path = tempfile.mktemp(dir=run.dir)
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(self.path)
        self.listener.listen()
        self.listener.settimeout(60)
        self.m = m = qtest.Machine(
            f"{run.qemu} -plugin {run.glue}", run.dir, "-device",
            f"vhost-user-wl-pci,addr=5,plugin={plugin},"
            f"wayland-sock={self.path},,policy=none,shm-size=16M")
        self.device = qtest.Virtio(m, 5)
        desc, avail, used = out
        # The device begins with the used ring's index as it finds it. Where
        # that is the available ring's as well it is not to be changed before:
        # the flags become 0 when the device waits for a kick.
        m.write16(used, 0x8000)
        self.device.set_up(1 << 32, [self.IN, out])
        wait_for(m, used, 0)
        desc, avail, _ = self.IN
        m.describe(desc, 0, 0x40000, 4096, write=True)
        m.write16(avail + 2, 1)
        self.device.kick(0)
        desc, avail, used = out
        struct.pack_into("<4I", m.ram, 0x50000, NEW_CTX, 0, 1, 3)
        m.describe(desc, 0, 0x50000, 64, following=1)
        for number in range(1, 256):
            m.describe(desc, number, 0x51000, 64, write=True)
        m.write16(avail + 2, 1)
        self.device.kick(1)
        self.peer = self.listener.accept()[0]
        # not for the index: it may be the one that was written above
        wait_for(m, 0x51000, VFD_NEW)

    def hang_up(self):
        """The guest hears of it: nothing from before is left to be done."""
        self.peer.close()
        wait_for_index(self.m, self.IN[2], 1)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.peer.close()
        self.listener.close()
        self.m.__exit__()

    def end(self):
        self.m.qmp("quit")
        want(self.m.process.wait(60) == 0, self.m.said())


@test
def requests(run):
    """The plugin answers by rings in this machine's memory."""
    with Driver(run, run.plugin, (0x20000, 0x21000, 0x22000)) as driver:
        driver.hang_up()
        driver.end()


@test
def requests_without_a_plugin(run):
    """As many as a queue holds are answered in one go, whatever a guest adds
    meanwhile: QEMU goes on. The rings of this one lie on each other, so that
    each answer is a request."""
    os.mkfifo(f"{run.dir}/orders")
    plugin = run.fake_plugin("HANG_UP", f'"{os.path.abspath(run.plugin)}"')
    rings = 0x30000
    with open(f"{run.dir}/orders", "r+b", buffering=0) as orders, \
            Driver(run, plugin, (0x20000, rings, rings)) as driver:
        m, device = driver.m, driver.device
        driver.hang_up()
        # seen by QEMU, which takes it for answers, when the rings stop
        m.write16(rings + 2, 101)
        m.qmp("stop")
        orders.write(b".")
        deadline = time.monotonic() + 120
        while not device.status & 0x40:  # NEEDS_RESET
            want(time.monotonic() < deadline, f"status {device.status:#x}")
        m.qmp("cont")
        device.kick(1)
        answered, last = 0, m.read16(rings + 2)
        while answered < 1 << 17:
            want(time.monotonic() < deadline, f"{answered} answers")
            want(device.status & 0x40, "a request was too much")
            now = m.read16(rings + 2)
            answered, last = answered + (now - last & 0xffff), now
        device.status = 0
        driver.end()


@test
def start_without_a_storm(run):
    """A window is thousands of mappings, and few other calls."""
    log = f"{run.dir}/calls"
    subprocess.run(
        ["strace", "-f", "-qq", "-e", "trace=madvise,mmap", "-o", log,
         run.qemu, "-plugin", run.glue, "-nodefaults", "-display", "none",
         "-S", "-monitor", "stdio", "-object",
         "memory-backend-memfd,id=mem,size=64M,share=on", "-m", "64M",
         "-machine", "q35,memory-backend=mem", "-device",
         f"vhost-user-wl-pci,plugin={run.plugin},wayland-sock=/none,"
         "shm-size=4G"],
        input="quit\n", text=True, timeout=120, check=True,
        stdout=subprocess.DEVNULL)
    with open(log) as file:
        calls = re.findall(r"\b(madvise|mmap)\(", file.read())
    want(calls.count("mmap") > 2048 and calls.count("madvise") < 300,
         f"{calls.count('mmap')} mmap, {calls.count('madvise')} madvise")


@test
def help_of_the_device(run):
    status, said, wrong = run.start(f"{run.glue},help=on")
    want(status == 0 and "vhost-user-wl-pci options" in said and
         "wayland-sock=<str>" in said and not wrong, said + wrong)
    run.refused(f"{run.glue},nonsense=1", "unknown option 'nonsense=1'")


@test
def cut_short(run):
    """Of any length: never a signal."""
    glue, device = run.copy("cut")
    size = os.path.getsize(glue)
    for length in sorted({0, 1, 63, 64, 831, 832, size - 1,
                          *range(0, size, 1021)}, reverse=True):
        os.truncate(glue, length)
        run.refused(glue, "Could not load plugin", glue)
    glue, device = run.copy("cut-device")
    size = os.path.getsize(device)
    for length in (size - 1, size // 2, 4096, 0):
        os.truncate(device, length)
        run.refused(glue, "missing or damaged", device, "build-glue --qemu=")
    os.remove(device)
    run.refused(glue, "missing or damaged", device, "build-glue --qemu=")


@test
def damaged(run):
    glue, device = run.copy("damaged")
    with open(device, "r+b") as file:
        file.seek(os.path.getsize(device) // 2)
        byte = file.read(1)
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes([byte[0] ^ 1]))
    run.refused(glue, "missing or damaged", device)


@test
def another_version(run):
    """Of the same series, as after an update."""
    package = re.search(rb"\(Debian ([^)]*)\)", subprocess.run(
        [run.qemu, "--version"], stdout=subprocess.PIPE).stdout)[1]
    later = package[:-1] + bytes([package[-1] ^ 1])
    qemu = run.edited_qemu("later", package, later)
    run.refused(run.glue, "this glue is for QEMU", package.decode(),
                "and this is", later.decode(), f"build-glue --qemu={qemu}",
                qemu=qemu)


@test
def another_build(run):
    """Of the same version."""
    with open(run.program, "rb") as file:
        stamp = re.search(rb"qemu_stamp_[0-9a-f]{40}", file.read())[0]
    qemu = run.edited_qemu("other", stamp, stamp[:-4] + b"0000")
    run.refused(run.glue, "for another build of QEMU",
                f"build-glue --qemu={qemu}", qemu=qemu)


@test
def another_release(run):
    """Debian 13's glue, and this one in Debian 13's QEMU."""
    other = subprocess.run([f"{hosts.TOP}/tests/vm/fetch-qemu", "10.0"],
                           check=True, stdout=subprocess.PIPE,
                           text=True).stdout.strip()
    glue = subprocess.run(
        [f"{DEVICE}/build-glue", f"--qemu={other}", "--program="
         f"{os.path.dirname(other)}/root/usr/bin/qemu-system-x86_64"],
        check=True, stdout=subprocess.PIPE, text=True).stdout.strip()
    run.refused(glue, "this glue is for QEMU 10.0.", "and this is 7.2.",
                "build-glue --qemu=")
    run.refused(run.glue, "this glue is for QEMU 7.2.", "and this is 10.0.",
                "build-glue --qemu=", qemu=other)


@test
def headers_of_another_version(run):
    """Structs that moved, as between 7.2.0 and its stable updates, although
    the version is right."""
    status, path = run.build("--headers=/none")
    want(status == 1, f"headers that are not there: {path}")
    kept = subprocess.run([f"{DEVICE}/build-glue", f"--qemu={run.qemu}",
                           "--get-headers"], text=True, check=True,
                          stdout=subprocess.PIPE).stdout.strip()
    for number, (file, line, word) in enumerate((
            ("include/hw/qdev-core.h",
             "MemReentrancyGuard mem_reentrancy_guard;", "of pci-device"),
            ("include/hw/virtio/vhost.h", "uint64_t backend_cap;",
             "the size of vhost-user-rng"),
            ("include/hw/virtio/virtio.h", "bool use_started;", None))):
        headers = f"{run.dir}/headers{number}"
        shutil.copytree(kept, headers, symlinks=True)
        with open(f"{headers}/{file}") as text:
            old = text.read()
        want(line in old, f"{file} has no {line!r}")
        new = old.replace(line, f"char moved[64]; {line}", 1)
        with open(f"{headers}/{file}", "w") as text:
            text.write(new)
        status, glue = run.build(f"--headers={headers}")
        want(status == 0, glue)
        run.refused(glue, *([word] if word else []), "were not those of QEMU",
                    "build-glue --qemu=")


@test
def build_refusals(run):
    for option, word in (("--qemu=/none", "no such program"),
                         ("--qemu=/bin/true", "is no QEMU"),
                         (f"--source={run.dir}", "is no QEMU source")):
        done = subprocess.run([f"{DEVICE}/build-glue", option,
                               "--no-install"], text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        want(done.returncode == 1 and word in done.stderr, done.stderr)
    path = f"{run.dir}/program"
    for exports, word in (
            ("nothing", "cannot load devices"),
            ("virtio_pci_types_register", "is no Debian package's")):
        with open(path, "w") as file:
            file.write("#!/bin/sh\necho QEMU emulator version 7.2.22\n"
                       f"# {exports}\n")
        os.chmod(path, 0o755)
        done = subprocess.run(
            [f"{DEVICE}/build-glue", f"--qemu={path}", "--no-install"],
            text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        want(done.returncode == 1 and word in done.stderr, done.stderr)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--qemu", required=True)
    parser.add_argument("--plugin", required=True)
    parser.add_argument("tests", nargs="*")
    options = parser.parse_args()
    names = options.tests or list(TESTS)
    print(f"1..{len(names)}", flush=True)
    with tempfile.TemporaryDirectory(prefix="vwl-glue-") as directory:
        run = Run(options, directory)
        return vms.tap(names, lambda name: TESTS[name](run),
                       (subprocess.SubprocessError,))


if __name__ == "__main__":
    sys.exit(main())
