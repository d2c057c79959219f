#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""The daemon on a kernel whose Landlock knows sockets that are files.

    test-connect.py --qemu=PATH --plugin=PATH --daemon=PATH --intruder=PATH
                    PROGRAM...

Prints TAP. Debian's newest kernel plays the host: the daemon, its peers and the
guest's driver (in user space) run inside one virtual machine, by the stories'
own PROGRAMs.
"""

import argparse
import os
import sys

import gpu
import host as hosts
import vm as vms


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--qemu", required=True)
    parser.add_argument("--plugin", required=True)
    parser.add_argument("--daemon", required=True)
    parser.add_argument("--intruder", required=True)
    parser.add_argument("programs", nargs="+")
    options = parser.parse_args()
    files = [options.plugin, options.daemon, options.intruder]
    env = (f"export VWL_PLUGIN={gpu.path(options.plugin)} "
           f"VWL_DAEMON={gpu.path(options.daemon)} "
           f"VWL_INTRUDER={gpu.path(options.intruder)} "
           "VWL_SECCOMP=1 VWL_SANITIZED= VWL_RESOURCE_BRIDGE=; ")
    names = [os.path.basename(program) for program in options.programs]

    with gpu.Image([*options.programs, *files],
                   base=hosts.make_image(kernel="newest")) as image, \
            vms.VM(options.qemu, image.dir, memory="512M",
                   name="connect") as vm:
        vm.boot()
        vm.check("mkdir -p /etc; touch /etc/hostname")  # as every host has

        def run(name):
            said = vm.run(f"{env} {gpu.path(name)} 2>&1", timeout=300)[1]
            gpu.tap(said)
            if "who-connects" in name and "by the daemon" not in said:
                raise vms.Error("the daemon asked its connector")
            complaints = vm.kernel_complaints()
            if complaints:
                raise vms.Error("\n".join(complaints))

        print(f"1..{len(names)}", flush=True)
        return vms.tap(names, run)


if __name__ == "__main__":
    sys.exit(main())
