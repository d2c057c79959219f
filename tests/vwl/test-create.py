#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""`vwl create`, with a double of make-machine; and what make-machine itself
says where something is missing.

    test-create.py VWL MAKE-MACHINE
"""

import os
import signal
import subprocess
import sys

import worlds
from worlds import expect

MAKER = r'''#!/bin/sh
out=${1#--output=}
echo "$@" >"$out/../../../words"
echo "1 4 Looking what there is" >&2
printf 'Reading...\r' >&2
echo "2 4 Installing" >&2
case $* in
*--hostname=fails*) echo "no network here; look at your cable" >&2; exit 1 ;;
*--hostname=slow*)
    sleep 1000 & echo $! >"$out/../../../slow"
    wait ;;
esac
echo disk >"$out/disk"; echo k >"$out/vmlinuz"; echo i >"$out/initrd"
'''


def prepare(world):
    os.makedirs(f"{world.dir}/share/kit")
    world.script("share/make-machine", MAKER)
    world.env["VWL_SHARE"] = f"{world.dir}/share"


def folders(world):
    path = f"{world.dir}/data/vwl"
    return sorted(os.listdir(path)) if os.path.exists(path) else []


def kit(world):
    world.says(1, "the guest's kit is not in", "create", "one")
    expect(folders(world) == [], folders(world))
    world.write("share/kit/vhost-user-wl-guest_1_amd64.deb", b"")


def whole(world):
    done = world.vwl("create", "one", "--suite=trixie", "--memory=1G",
                     "--packages=a,b")
    expect(done.returncode == 0 and "[2/4] Installing\n" in done.stderr and
           "one is ready. Run: vwl run one\n" in done.stderr and
           "Reading" not in done.stderr, done)
    expect(folders(world) == ["one"], folders(world))
    with open(f"{world.dir}/data/vwl/one/machine.conf",
              encoding="utf-8") as file:
        text = file.read()
    for line in ("disk=disk", "kernel=vmlinuz", "initrd=initrd",
                 "append=root=/dev/vda rw console=ttyS0", "memory=1024M",
                 "system=Debian trixie"):
        expect(line + "\n" in text, text)
    with open(f"{world.dir}/words", encoding="utf-8") as file:
        words = file.read()
    for word in ("--suite=trixie", "--packages=a,b", "--hostname=one",
                 "--kit=", "--user=", "--uid="):
        expect(word in words, words)


def refused(world):
    world.says(1, '"one" exists already; see: vwl list', "create", "one")
    world.says(2, "cannot be a machine's name", "create", "One")
    world.says(2, "vwl create test", "create")
    world.says(2, "memory=x is not possible", "create", "two", "--memory=x")


def fails(world):
    done = world.says(1, "no network here; look at your cable; all it said is "
                      "in ", "create", "fails")
    log = done.stderr.split()[-1]
    with open(log, encoding="utf-8") as file:
        expect("Reading" in file.read(), "the log has no more")
    expect(folders(world) == ["one"], folders(world))


def interrupted(world):
    """Nothing is left, no folder and no process."""
    with subprocess.Popen([world.program, "create", "slow"], env=world.env,
                          stderr=subprocess.PIPE, text=True) as process:
        for line in process.stderr:
            if line.startswith("[2/4]"):
                break
        path = f"{world.dir}/slow"
        worlds.wait(lambda: os.path.exists(path) and os.path.getsize(path),
                    "it does not get far")
        process.send_signal(signal.SIGINT)
        text = process.stderr.read()
        expect(process.wait(60) == 1 and "nothing is left" in text, text)
    expect(folders(world) == ["one"], folders(world))
    with open(path, encoding="ascii") as file:
        pid = int(file.read())
    worlds.wait(lambda: worlds.is_over(pid), "its child lives on")


def maker(world):
    """The real one says what to do."""
    def says(text, *words, **more):
        done = subprocess.run([world.maker, *words], capture_output=True,
                              text=True, check=False, env={
                                  **world.env, **more})
        expect(done.returncode == 1 and text in done.stderr, done)
    says("must name a folder", "--kit=/none")
    says("there is no kit", f"--output={world.dir}", "--kit=/none")
    kit_file = world.write("kit.deb", b"")
    says("the suite can be bookworm or trixie", f"--output={world.dir}",
         f"--kit={kit_file}", "--suite=sid")
    says("unknown argument --what", "--what")


def main():
    worlds.usual_signals()
    with worlds.World(sys.argv[1]) as world:
        world.maker = sys.argv[2]
        prepare(world)
        return worlds.tap([kit, whole, refused, fails, interrupted, maker],
                          world)


if __name__ == "__main__":
    sys.exit(main())
