#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""The device in a QEMU that was built without it: that it loads where it may,
and says why where it may not, before anything can go wrong.

    test-glue.py --qemu="PROGRAM -plugin GLUE" --plugin=PATH [TEST...]

Prints TAP.
"""

import argparse
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile

import host as hosts
import vm as vms

TESTS = {}
DEVICE = f"{hosts.TOP}/qemu-glue/device"


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

    def start(self, glue, *args, qemu=None):
        """QEMU, which is told to end at once: its exit status, what its
        monitor says, and its complaints."""
        done = subprocess.run(
            [qemu or self.qemu, "-plugin", glue, "-nodefaults", "-display",
             "none", "-S", "-monitor", "stdio", "-object",
             "memory-backend-memfd,id=mem,size=64M,share=on", "-m", "64M",
             "-machine", "q35,memory-backend=mem", *args],
            input="info qtree\nquit\n", text=True, timeout=60,
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
    subprocess.run(["gcc", "-shared", "-fPIC", "-o", there, "-DWRONG_ABI=1",
                    f"-I{hosts.TOP}/include",
                    f"{hosts.TOP}/tests/vm/fake-plugin.c"], check=True)
    run.refused(glue, there, "has device ABI 42", "needs device ABI 1",
                args=device, lines=2)
    with open(there, "wb") as file:
        file.write(b"\x7fELF")
    run.refused(glue, "cannot load the plugin", "file too short", args=device)


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
