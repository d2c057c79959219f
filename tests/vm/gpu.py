# SPDX-License-Identifier: BSD-3-Clause
"""A guest whose kernel has dmabufs (vgem, udmabuf, dma-heap, a display), with
programs of this build in it: there they are host and guest in one.

    image = Image([program, ...])      # a folder for vm.VM
    with vm.VM(qemu, image.dir, devices=[DISPLAY], memory="512M") as machine:
        machine.boot()
        machine.check(image.line(program, "--help"))

Programs may need libraries: those that the linker loads here go along, and
files and folders of `more` as well, by their own paths. Files of `alone` keep
their paths, too, and bring nothing.
"""

import glob
import os
import re
import shlex
import shutil
import subprocess
import tempfile

import vm as vms

TOP = os.path.dirname(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__))))
DISPLAY = "cirrus-vga"  # its driver imports what it shows
MODULES = ("vgem", "cirrus", "virtio_gpu")
LOADER = "/lib64/ld-linux-x86-64.so.2"


def base_image():
    return subprocess.run(
        [f"{TOP}/qemu-glue/guest/make-image", "--kernel=6.12",
         *(f"--module={module}" for module in MODULES)],
        check=True, stdout=subprocess.PIPE, text=True).stdout.strip()


def libraries(program):
    """Name and path of what the dynamic linker loads for it."""
    said = subprocess.run(["ldd", program], stdout=subprocess.PIPE,
                          check=True, text=True).stdout
    return dict(re.findall(r"(\S+) => (/\S+)", said))


class Archive:
    """A cpio archive as the kernel unpacks it."""

    def __init__(self, file):
        self.file = file
        self.seen = set()
        self.number = 0

    def _entry(self, name, mode, data=b""):
        self.number += 1
        name = name.encode() + b"\0"
        fields = [self.number, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0,
                  len(name), 0]
        head = b"070701" + b"".join(b"%08x" % field for field in fields)
        for part in (head + name, data):
            self.file.write(part + b"\0" * (-len(part) % 4))

    def folder(self, path):
        path = path.strip("/")
        if path and path not in self.seen:
            self.folder(os.path.dirname(path))
            self.seen.add(path)
            self._entry(path, 0o40755)

    def put(self, source, path):
        path = path.strip("/")
        if path in self.seen:
            return
        self.folder(os.path.dirname(path))
        self.seen.add(path)
        with open(source, "rb") as file:
            self._entry(path, 0o100755, file.read())

    def end(self):
        self._entry("TRAILER!!!", 0)


class Image:
    """Programs and files of another place (a guest's /tmp is its own) get the
    path() that they have there."""

    def __init__(self, programs, more=(), alone=(), files=(), base=None):
        base = base or base_image()
        self.dir = tempfile.mkdtemp(prefix="vwl-gpu-")
        os.symlink(f"{base}/vmlinux", f"{self.dir}/vmlinux")
        with open(f"{self.dir}/initramfs.cpio", "wb") as out:
            with open(f"{base}/initramfs.cpio", "rb") as file:
                shutil.copyfileobj(file, out)
            out.write(b"\0" * (-out.tell() % 512))
            archive = Archive(out)
            for program in programs:
                self.add(archive, program, path(program))
            for tree in more:
                self.add_tree(archive, tree)
            for source in alone:
                archive.put(source, source)
            for source in files:
                archive.put(source, path(source))
            archive.put(LOADER, LOADER)
            archive.end()

    def add(self, archive, source, path):
        archive.put(source, path)
        with open(source, "rb") as file:
            if file.read(4) != b"\x7fELF":
                return
        for name, library in libraries(source).items():
            archive.put(library, f"/lib/x86_64-linux-gnu/{name}")

    def add_tree(self, archive, path):
        if not os.path.isdir(path):
            self.add(archive, path, path)
            return
        for folder, _, files in os.walk(path):
            for name in files:
                self.add(archive, f"{folder}/{name}", f"{folder}/{name}")

    def close(self):
        shutil.rmtree(self.dir, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def inner_qemu(line):
    """What starts that QEMU of tests/vm/run in a guest, and what it needs
    there: files with libraries of this machine, and files alone."""
    words = shlex.split(line)
    program = shutil.which(words[0])
    glue = words[words.index("-plugin") + 1]
    alone = [glue, glue[:-len(".so")] + "-device.so"]
    root = f"{os.path.dirname(program)}/root"
    own = os.path.isdir(root)  # with its C library and all, behind a script
    if not own:
        root = ""
    libs = f"{root}/usr/lib/x86_64-linux-gnu"
    files = [f"{root}/usr/bin/qemu-system-x86_64"]
    for name in "accel-tcg-x86_64", "hw-display-virtio-gpu*":
        files += glob.glob(f"{libs}/qemu/{name}.so")
    line = shlex.join([program, *words[1:]])
    if not own:
        return line, files, alone
    loader = f"{root}/usr{LOADER}"
    said = subprocess.run(
        [loader, "--library-path", f"{libs}:{libs}/pulseaudio", "--list",
         files[0]], stdout=subprocess.PIPE, check=True, text=True).stdout
    return line, [], [*alone, *files, program, loader,
                      *re.findall(r" => (/\S+)", said)]


def firmware():
    """What a QEMU in a guest needs of this machine's to start a kernel."""
    return [path for name in ("bios-256k.bin", "kvmvapic.bin", "pvh.bin",
                              "linuxboot_dma.bin")
            for path in (f"/usr/share/seabios/{name}",
                         f"/usr/share/qemu/{name}") if os.path.exists(path)]


def path(program):
    """Where it is in the guest."""
    return f"/lib/vwl/{os.path.basename(program)}"


def tap(text):
    """Each line of another program's TAP, as comments; fails if it did."""
    plan = re.search(r"^1\.\.(\d+)", text, re.M)
    good = re.findall(r"^ok \d+ (\S+)(?! # SKIP)", text, re.M)
    for line in text.splitlines():
        print(f"# | {line}", flush=True)
    if not plan or int(plan[1]) != len(good) or "# SKIP" in text or \
            re.search(r"^not ok", text, re.M):
        raise vms.Error("a test in the guest failed")


def card(machine, driver):
    """The primary node of a driver."""
    return machine.check(
        "for c in /sys/class/drm/card?; do "
        f"case $(readlink $c/device/driver) in */{driver}) "
        "echo /dev/dri/${c##*/};; esac; done; "
        # a device of no bus has no driver link
        "for c in /sys/class/drm/card?; do "
        f"case $(readlink -f $c/device) in */{driver}) "
        "echo /dev/dri/${c##*/};; esac; done").split()[0]
