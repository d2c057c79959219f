#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""`vwl run --print`: what it finds, what it misses, and what it says then.

    test-print.py VWL
"""

import os
import shlex
import sys
import xml.dom.minidom

import worlds
from worlds import expect

QEMU = """#!/bin/sh
[ "$1" = --version ] && echo "QEMU emulator version 9.9.9 (a double)"
exit 1
"""


def with_options(world):
    return ["--qemu", f"{world.dir}/qemu", "--glue", f"{world.dir}/glue.so",
            "--daemon", f"{world.dir}/daemon", "--accel=tcg"]


def prepare(world):
    world.script("qemu", QEMU)
    world.script("daemon", "#!/bin/sh\n")
    world.write("my, disk.img", bytes(4096))
    world.write("other/my, disk.img", b"QFI\xfb" + bytes(100))


def usage(world):
    world.says(2, "no command 'rnu'; run: vwl --help", "rnu")
    world.says(2, "memory=1T is not possible", "run", "x", "--memory=1T")
    world.says(2, "Unknown option", "run", "x", "--memry=1G")
    world.says(1, "there are no machines; run: vwl create", "run", "--print")
    world.says(1, "no machine 'box'; see: vwl list", "run", "box", "--print")
    world.says(2, "cannot be a machine's name", "run", "Box", "--print")
    expect("\n  run " in world.check("--help"), "help without run")
    expect("--memory=" in world.check("run", "--help"), "help of run")


def lines(world):
    text = world.check("run", f"{world.dir}/my, disk.img", "--print",
                       *with_options(world), "--memory=1G", "--cpus=2")
    daemon, qemu = [shlex.split(line) for line
                    in text.replace("\\\n", " ").splitlines()]
    expect(daemon[0] == f"{world.dir}/daemon", daemon)
    expect("--name=my-disk" in daemon, daemon)
    expect(f"--wayland-sock={world.dir}/run/wayland-0,policy=wayland"
           in daemon, daemon)
    expect(qemu[0] == f"{world.dir}/qemu", qemu)
    expect("1024M" in qemu, qemu)
    drive = qemu[qemu.index("-drive") + 1]
    expect(f"file={world.dir}/my,, disk.img,format=raw," in drive, drive)
    expect(os.listdir(f"{world.dir}/data") == [], "printing left something")


def qcow2(world):
    text = world.check("run", f"{world.dir}/other/my, disk.img", "--print",
                       "--name=two", *with_options(world))
    expect("format=qcow2," in text and "--name=two" in text, text)


def libvirt(world):
    text = world.check("run", f"{world.dir}/my, disk.img", "--libvirt",
                       *with_options(world))
    domain = xml.dom.minidom.parseString(text)
    args = [arg.getAttribute("value") for arg
            in domain.getElementsByTagName("qemu:arg")]
    expect(args[:2] == ["-plugin", f"{world.dir}/glue.so"], args)


def share(world):
    """virtiofsd and QEMU in one line; not the whole home."""
    disk = f"{world.dir}/my, disk.img"
    os.mkdir(f"{world.dir}/home/ours")
    os.symlink(f"{world.dir}/home", f"{world.dir}/link")
    text = world.check("run", disk, "--print", *with_options(world),
                       f"--share={world.dir}/home/ours")
    qemu = shlex.split(text.replace("\\\n", " ").splitlines()[1])
    expect(qemu[0].endswith("/vwl-share") and
           qemu[2] == f"{world.dir}/home/ours" and
           qemu[3].endswith("/virtiofsd") and
           qemu[4] == f"{world.dir}/qemu", qemu)
    expect("vhost-user-fs-pci,chardev=share,tag=vwl" in qemu, qemu)
    expect(f"socket,id=share,path={qemu[1]}" in qemu, qemu)
    for folder, why in (("/none", "no folder /none to share"),
                        ("/", "holds all that is yours"),
                        (world.dir, "holds all that is yours"),
                        (f"{world.dir}/link", "share a folder of its own")):
        world.says(1, why, "run", disk, "--print", *with_options(world),
                   f"--share={folder}")


def missing(world):
    disk = f"{world.dir}/my, disk.img"
    world.says(1, "no program 'qemu-none'; name another QEMU", "run", disk,
               "--print", "--qemu=qemu-none")
    world.says(1, "no glue for QEMU 9.9.9; run: sudo apt install", "run", disk,
               "--print", f"--qemu={world.dir}/qemu")
    world.says(1, "does not say which QEMU it is", "run", disk, "--print",
               f"--qemu={world.dir}/daemon")
    world.says(1, "no program 'none'; run: sudo apt install", "run", disk,
               "--print", f"--qemu={world.dir}/qemu", "--glue=/x",
               "--daemon=none")
    world.says(1, "no compositor at /none", "run", disk, "--print",
               *with_options(world), "--display=/none")
    world.says(1, "cannot be read as a disk", "run", "/none/x", "--print")
    del world.env["WAYLAND_DISPLAY"]
    world.says(1, "no Wayland desktop here; run it in a terminal of one",
               "run", disk, "--print", *with_options(world))


def main():
    with worlds.World(sys.argv[1]) as world:
        prepare(world)
        return worlds.tap([usage, lines, qcow2, libvirt, share, missing], world)


if __name__ == "__main__":
    sys.exit(main())
