#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""`vwl run DISK --install-kit`: the disk with the guest's kit, and what is run
from it in the guest, with doubles of QEMU, of apt and of systemd.

    test-kit.py VWL SERVICE INSTALLER
"""

import os
import shutil
import subprocess
import sys

import agents
import worlds
from worlds import expect

INSTALLER = os.path.abspath(sys.argv[3])
KIT = "vhost-user-wl-guest_1_all.deb"
COMMAND = ("sudo sh -c 'mount -r LABEL=vwl-kit /mnt && "
           "sh /mnt/install-kit'")
KERNELS = """installed linux-image-6.1.0-1-amd64
installed linux-image-amd64
installed linux-image-cloud-amd64
config-files linux-image-rt-amd64
not-installed linux-image-generic
"""


class Desk(worlds.Desk):
    def __init__(self, vwl, service):
        super().__init__(vwl, service)
        self.script("qemu", agents.QEMU.replace(
            "#!/usr/bin/env python3\n", "#!/usr/bin/env python3\n"
            "import os, sys\n"
            "if '--version' not in sys.argv:\n"
            f"    with open('{self.dir}/part', 'w') as file:\n"
            "        file.write('\\n'.join(sys.argv))\n"
            f"    os.rename('{self.dir}/part', '{self.dir}/line')\n"))
        self.script("daemon", agents.DAEMON)
        self.write(f"kit/{KIT}", b"a package")
        os.mkdir(f"{self.dir}/share")
        shutil.copy(INSTALLER, f"{self.dir}/share")
        self.env["VWL_SHARE"] = f"{self.dir}/share"
        self.disk = self.write("disks/box.img", bytes(4096))
        self.image = f"{self.dir}/data/vwl/box/kit.img"

    def run(self, *words):
        return self.vwl("run", self.disk, "--timeout=0",
                        f"--qemu={self.dir}/qemu", f"--glue={self.dir}/glue.so",
                        f"--daemon={self.dir}/daemon", "--accel=tcg", *words)

    def line(self):
        with open(f"{self.dir}/line", encoding="utf-8") as file:
            return file.read().splitlines()


def refusals(desk):
    done = desk.run("--install-kit")
    expect(done.returncode == 1 and "say where its package is: --kit=FILE" in
           done.stderr, done)
    done = desk.run("--install-kit", "--print")
    expect(done.returncode == 2 and "--install-kit starts the machine" in
           done.stderr, done)


def given(desk):
    """The machine has the disk, and its user is told what to do."""
    done = desk.run("--install-kit", f"--kit={desk.dir}/kit/{KIT}")
    expect(done.returncode == 0 and COMMAND in done.stderr, done)
    worlds.wait(lambda: os.path.exists(f"{desk.dir}/line"), "no QEMU")
    expect(f"if=none,id=kit,file={desk.image},format=raw,readonly=on" in
           desk.line(), desk.line())


def contents(desk):
    """As the guest's kernel reads it."""
    tool = shutil.which("debugfs", path=f"{os.environ['PATH']}:/usr/sbin:/sbin")
    said = subprocess.run([tool, "-R", f"cat /{KIT}", desk.image],
                          capture_output=True, check=True).stdout
    expect(said == b"a package", said)
    said = subprocess.run([tool, "-R", "cat /install-kit", desk.image],
                          capture_output=True, check=True).stdout
    with open(INSTALLER, "rb") as file:
        expect(said == file.read(), "another installer")
    with open(desk.image, "rb") as file:
        file.seek(1024 + 0x78)  # ext2's label
        expect(file.read(16).rstrip(b"\0") == b"vwl-kit", "no label")


def taken_away(desk):
    """For one run."""
    os.unlink(f"{desk.dir}/line")
    desk.check("stop", "box")
    done = desk.run()
    expect(done.returncode == 0 and COMMAND not in done.stderr, done)
    worlds.wait(lambda: os.path.exists(f"{desk.dir}/line"), "no QEMU")
    expect(not os.path.exists(desk.image) and "kit" not in
           " ".join(desk.line()).replace("/kit", ""), desk.line())


def installed(desk):
    """In the guest: the headers of its kernels, the package, the agent."""
    for name, text in (("id", "echo 0"), ("uname", "echo 6.1.0-1-amd64"),
                       ("apt-get", f'echo "$*" >>{desk.dir}/apt'),
                       ("dpkg-query", f"printf '{KERNELS}'"),
                       ("loginctl", "echo '1000 me'"),
                       ("systemctl", f'echo "$*" >>{desk.dir}/systemctl')):
        desk.script(f"bin-{name}", f"#!/bin/sh\n{text}\n")
        os.makedirs(f"{desk.dir}/bin", exist_ok=True)
        os.symlink(f"{desk.dir}/bin-{name}", f"{desk.dir}/bin/{name}")
    shutil.copy(INSTALLER, f"{desk.dir}/kit")
    subprocess.run(["sh", f"{desk.dir}/kit/install-kit"], check=True,
                   env={"PATH": f"{desk.dir}/bin:{os.environ['PATH']}"},
                   capture_output=True)
    with open(f"{desk.dir}/apt", encoding="utf-8") as file:
        said = file.read().splitlines()
    expect(said == ["-qq update", "-y install linux-headers-6.1.0-1-amd64 "
                    "linux-headers-amd64 linux-headers-cloud-amd64 "
                    f"{desk.dir}/kit/{KIT}"], said)
    with open(f"{desk.dir}/systemctl", encoding="utf-8") as file:
        said = file.read().splitlines()
    expect(said[-1] == "--user -M me@.host start virtio-wl-bridge.socket "
           "vwl-guest.service", said)


def main():
    with Desk(*sys.argv[1:3]) as desk:
        return worlds.tap([refusals, given, contents, taken_away, installed],
                          desk)


if __name__ == "__main__":
    sys.exit(main())
