#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Buffers of devices, in a guest whose kernel has them.

    test-gpu.py --qemu=PATH --plugin=PATH --daemon=PATH --buffers=PATH
                --fences=PATH --pages=PATH --qemu-gpu=PATH --importer=PATH
                --painter=PATH [--bridge=PATH] [TEST...]

Prints TAP. The daemon, its host peers and the guest's driver (in user space)
all run inside one virtual machine; a picture is what its display shows.
"""

import argparse
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time

import gpu
import host as hosts
import vm as vms

sys.path.insert(0, gpu.TOP + "/tests")
import pattern  # noqa: E402

TESTS = {}


def test(function):
    TESTS[function.__name__.replace("_", "-")] = function
    return function


class Run:
    def __init__(self, options):
        self.options = options
        self.programs = [options.buffers, options.fences, options.pages,
                         options.daemon, options.plugin, options.painter]
        if options.loopback:
            self.programs.append(options.loopback)
        self.image = gpu.Image(self.programs)
        self.env = (f"export VWL_PLUGIN={gpu.path(options.plugin)} "
                    f"VWL_DAEMON={gpu.path(options.daemon)}; ")

    def vm(self, image=None, **more):
        more.setdefault("devices", [gpu.DISPLAY])
        more.setdefault("memory", "512M")
        return vms.VM(self.options.qemu, image or self.image.dir,
                      name="gpu", **more)

    def healthy(self, vm):
        complaints = vm.kernel_complaints()
        if complaints:
            raise vms.Error("the guest complains: " + "\n".join(complaints))


@test
def buffers(run):
    """Each allocator: layout, paint, import, errors, a busy buffer."""
    with run.vm() as vm:
        vm.boot()
        display = gpu.card(vm, "cirrus")
        allocators = f"udmabuf heap dumb={display}"
        program = gpu.path(run.options.buffers)
        gpu.tap(vm.run(f"{run.env} VWL_GPU_DISPLAY={display} "
                   f"VWL_GPU_ALLOCATORS='{allocators}' {program} 2>&1",
                   timeout=300)[1])
        run.healthy(vm)


@test
def fences(run):
    """vgem's fences to the guest and back, and by number; sandboxed."""
    with run.vm(devices=[]) as vm:
        vm.boot()
        gpu.card(vm, "vgem")
        gpu.tap(vm.run(f"{run.env} {gpu.path(run.options.fences)} 2>&1",
                   timeout=300)[1])
        run.healthy(vm)


@test
def pages(run):
    """Guest memory as a file for host peers, without a copy; sandboxed."""
    with run.vm(devices=[]) as vm:
        vm.boot()
        gpu.tap(vm.run(f"{run.env} {gpu.path(run.options.pages)} 2>&1",
                   timeout=300)[1])
        run.healthy(vm)


@test
def qemu_gpu(run):
    """QEMU's gpu=ID where its kernel has udmabuf: QEMU in QEMU."""
    options = run.options
    line, files, alone = gpu.inner_qemu(options.qemu)
    with tempfile.TemporaryDirectory(prefix="vwl-gpu-") as folder:
        script = f"{folder}/qemu-with-glue"
        with open(script, "w") as file:
            file.write(f'#!/bin/sh\nexec {line} "$@"\n')
        with gpu.Image([options.qemu_gpu, options.plugin, script], files,
                       alone) as image, \
                vms.VM(options.qemu, image.dir, memory="1G",
                       name="qemu-gpu") as vm:
            vm.boot()
            gpu.tap(vm.run(f"{run.env} VWL_QEMU={gpu.path(script)} "
                       f"{gpu.path(options.qemu_gpu)} 2>&1",
                       timeout=300)[1])
            run.healthy(vm)


def nested(run, folder, client, script):
    """Images: of a machine with QEMU, and of the guest within it."""
    line, files, alone = gpu.inner_qemu(run.options.qemu)
    with open(script, "w") as file:
        file.write(f'#!/bin/sh\nexec {line} "$@"\n')
    os.mkdir(f"{folder}/inner")
    with gpu.Image([run.options.bridge, client], base=hosts.make_image()) \
            as inner:
        for name in "vmlinux", "initramfs.cpio":
            shutil.copyfile(f"{inner.dir}/{name}", f"{folder}/inner/{name}")
    return gpu.Image(
        [run.options.importer, run.options.plugin, script], files,
        [*alone, *gpu.firmware()],
        [f"{folder}/inner/vmlinux", f"{folder}/inner/initramfs.cpio"])


@test
def plane(run):
    """A program with a buffer that the host made, and with the host's fences:
    in a guest of a machine whose kernel has both."""
    if not run.options.bridge:
        print("# skipped: no bridge was built")
        return
    with tempfile.TemporaryDirectory(prefix="vwl-gpu-") as folder:
        client, script = f"{folder}/dmabuftest", f"{folder}/qemu-with-glue"
        hosts.build_dmabuftest(client)
        command = (
            f"{gpu.path(run.options.bridge)} --listen=/run/wl & "
            f"n=0; until {vms.listens('/run/wl')} || [ $n = 300 ]; do "
            "sleep 1; n=$((n + 1)); done; "
            f"{gpu.path(client)} /run/wl own")
        line = shlex.join(
            [gpu.path(script), "-nodefaults", "-no-user-config", "-display",
             "none", "-m", "256M",
             "-object", "memory-backend-memfd,id=mem,size=256M,share=on",
             "-machine", f"{vms.MACHINE},accel=tcg,memory-backend=mem",
             "-cpu", "max", "-kernel", gpu.path("vmlinux"),
             "-initrd", gpu.path("initramfs.cpio"),
             "-append", f'{vms.APPEND} vwl_cmd="{command}" vwl_poweroff=1',
             "-serial", "stdio", "-device",
             f"vhost-user-wl-pci,plugin={gpu.path(run.options.plugin)},"
             "wayland-sock=/run/compositor,dmabuf=udmabuf"])
        with nested(run, folder, client, script) as image, \
                run.vm(image=image.dir, devices=[], memory="1G") as vm:
            vm.boot(300)
            vm.spawn("XDG_RUNTIME_DIR=/run "
                     f"{gpu.path(run.options.importer)} compositor",
                     "/run/seen")
            wait_for(vm, "grep -q ready /run/seen", "/run/seen")
            vm.put("/run/inner", f"#!/bin/sh\n{line}\n".encode())
            status, said = vm.run("/run/inner 2>&1", timeout=900)
            seen = vm.check("cat /run/seen")
            for text in said, seen:
                for row in text.splitlines():
                    print(f"# | {row}", flush=True)
            good = "plane: a dma-buf, 100x37, 0 wrong"
            if status or "command ended with status 0" not in said or \
                    seen.count(good) != 2 or \
                    "released\nsignalled\n" not in seen or "bug:" in said:
                raise vms.Error("a test in the inner guest failed")
            run.healthy(vm)


def read_ppm(path):
    with open(path, "rb") as file:
        kind, size, most, data = re.match(
            rb"(P6)\s(\d+ \d+)\s(255)\s(.*)", file.read(), re.S).groups()
    width, height = map(int, size.split())
    return width, height, data


def compare(path, width, height):
    """The whole screen against the pattern."""
    got_width, got_height, data = read_ppm(path)
    if (got_width, got_height) != (width, height):
        raise vms.Error(f"the screen has {got_width}x{got_height} pixels")
    right = b"".join(pattern.pattern_rows(width, height))
    wrong = sum(a != b for a, b in zip(data, right)) + \
        abs(len(data) - len(right))
    if wrong:
        raise vms.Error(f"{wrong} bytes of {len(right)} are wrong")


@test
def display(run):
    """Painted by the guest's CPU, shown by the display's own scan-out."""
    with run.vm() as vm:
        vm.boot()
        display = gpu.card(vm, "cirrus")
        for words in ("udmabuf", "heap", f"dumb={display}"):
            vm.check("rm -f /tmp/go; mkfifo /tmp/go")
            shower = vm.spawn(
                f"{run.env} VWL_GPU_DISPLAY={display} "
                f"{gpu.path(run.options.buffers)} --show={words} < /tmp/go",
                "/tmp/out")
            # what it reads has an end when this one is killed
            holder = vm.spawn("sleep 1000 > /tmp/go")
            wait_for(vm, "grep -q shown /tmp/out", "/tmp/out")
            shot = f"{vm.dir}/shot.ppm"
            vm.qmp("screendump", filename=shot)
            compare(shot, 640, 480)
            if run.options.pictures:
                shutil.copy(shot, f"{run.options.pictures}/"
                            f"{words.split('=')[0]}.ppm")
            vm.check(f"kill {holder}")
            wait_for(vm, f"! kill -0 {shower} 2> /dev/null", "/tmp/out")
        run.healthy(vm)


LIB = "/usr/lib/x86_64-linux-gnu"
WESTON = ["/usr/bin/weston", f"{LIB}/libweston-10/drm-backend.so",
          f"{LIB}/libweston-10/gl-renderer.so",
          f"{LIB}/weston/desktop-shell.so", f"{LIB}/libEGL.so.1",
          f"{LIB}/libEGL_mesa.so.0", f"{LIB}/libGLESv2.so.2",
          f"{LIB}/dri/kms_swrast_dri.so", "/usr/share/glvnd/egl_vendor.d",
          "/usr/share/X11/xkb"]
WESTON_INI = """[core]
idle-time=0
[shell]
client=/run/idle
panel-position=none
locking=false
animation=none
startup-animation=none
close-animation=none
[input-method]
path=
[output]
name=VGA-1
mode=640x480
"""
NO_PAINTER = ("for i in $(seq 100); do pidof vwl-paint > /dev/null || exit 0;"
              " sleep 0.1; done; exit 1")


def wait_for(vm, condition, log, seconds=120):
    vm.check(f"i=0; until {condition}; do i=$((i + 1)); "
             f"if [ $i = {seconds * 5} ]; then cat {log}; exit 1; fi; "
             "sleep 0.2; done", seconds + 30)


def start_weston(vm, card):
    vm.put("/run/weston.ini", WESTON_INI.encode(), 0o644)
    vm.put("/run/idle", b"#!/bin/sh\nexec sleep 100000\n")
    vm.spawn("GALLIUM_DRIVER=softpipe XDG_RUNTIME_DIR=/run /usr/bin/weston "
             "--config=/run/weston.ini --backend=drm-backend.so "
             f"--drm-device={os.path.basename(card)} "
             "--shell=desktop-shell.so --tty=1 --continue-without-input "
             "--socket=wayland", "/run/weston.log")
    wait_for(vm, vms.listens("/run/wayland"), "/run/weston.log")


def start_daemon(run, vm, name, words):
    vm.spawn(f"GALLIUM_DRIVER=softpipe {gpu.path(run.options.daemon)} "
             f"--plugin={gpu.path(run.options.plugin)} "
             f"--socket-path=/run/{name} --wayland-sock=/run/wayland "
             f"--dmabuf={words} -v", f"/run/{name}.log")
    wait_for(vm, vms.listens(f"/run/{name}"), f"/run/{name}.log")


def shows(vm, size, shot):
    """Waits until the pattern is on the screen, every pixel."""
    deadline = time.monotonic() + 120
    while True:
        vm.qmp("screendump", filename=shot)
        said = subprocess.run(
            [sys.executable, gpu.TOP + "/tests/pattern.py", shot,
             f"--size={size}"], stdout=subprocess.PIPE, text=True)
        if said.returncode == 0:
            print(f"# {said.stdout.strip()}", flush=True)
            return
        if time.monotonic() > deadline:
            raise vms.Error(f"not shown: {said.stdout}")
        time.sleep(0.5)


def probe(run, vm):
    said = vm.check(f"{gpu.path(run.options.daemon)} --probe "
                    f"--plugin={gpu.path(run.options.plugin)} "
                    "--wayland-sock=/run/wayland 2> /run/probe.log", 60)
    for line in ("linux-dmabuf version [3-9]", "format XR24 modifier",
                 "global zwp_linux_dmabuf_v1 [3-9]",
                 "allocators gbm.* dumb udmabuf heap"):
        if not re.search(line, said):
            raise vms.Error(f"no {line} in:\n{said}")
    return said


@test
def compositor(run):
    """Weston with GL on the display imports what the guest painted: what it
    takes is asked, and buffers come from the display's own node."""
    with gpu.Image(run.programs, WESTON) as image, \
            run.vm(image=image.dir, memory="1G") as vm:
        vm.boot(300)
        card = gpu.card(vm, "cirrus")
        start_weston(vm, card)
        probe(run, vm)
        words = ["auto", f"dumb={card}", f"gbm={card}"]
        gpu.tap(vm.run(f"{run.env} export GALLIUM_DRIVER=softpipe; "
                   f"VWL_GPU_DISPLAY={card} VWL_GPU_ALLOCATORS=gbm={card}"
                   f" {gpu.path(run.options.buffers)} 2>&1",
                   timeout=300)[1])
        for number, word in enumerate(words):
            name, size = f"vu{number}", f"{300 + number}x200"
            start_daemon(run, vm, name, word)
            vm.spawn(f"{gpu.path(run.options.painter)} "
                     f"--daemon-socket=/run/{name} --dmabuf --size={size} "
                     "--timeout=100", f"/run/{name}.out")
            wait_for(vm, f"grep -q -e painted -e : /run/{name}.out",
                     f"/run/{name}.log")
            if "painted" not in vm.check(f"cat /run/{name}.out"):
                raise vms.Error(vm.check(f"cat /run/{name}.*"))
            shows(vm, size, f"{vm.dir}/shot.ppm")
            if run.options.pictures:
                shutil.copy(f"{vm.dir}/shot.ppm",
                            f"{run.options.pictures}/weston-{number}.ppm")
            vm.check(f"killall vwl-paint; {NO_PAINTER}", 60)
        if run.options.loopback:
            through_bridge(run, vm, card)
        run.healthy(vm)


def through_bridge(run, vm, card):
    """A program's own dma-buf of the display's node: by linux-dmabuf through
    the bridge and the device, by number, to weston."""
    bridge = vm.spawn(
        f"GALLIUM_DRIVER=softpipe {gpu.path(run.options.loopback)} "
        f"--listen=/run/bridge --plugin={gpu.path(run.options.plugin)} "
        "--trace --wayland-sock=/run/wayland", "/run/bridge.log")
    wait_for(vm, vms.listens("/run/bridge"), "/run/bridge.log")
    vm.spawn(f"{gpu.path(run.options.painter)} --card={card} "
             "--wayland-socket=/run/bridge --size=317x211 --timeout=100",
             "/run/bridged.out")
    wait_for(vm, "grep -q -e painted -e : /run/bridged.out", "/run/bridge.log")
    if "painted" not in vm.check("cat /run/bridged.out"):
        raise vms.Error(vm.check("cat /run/bridged.out /run/bridge.log"))
    shows(vm, "317x211", f"{vm.dir}/shot.ppm")
    if run.options.pictures:
        shutil.copy(f"{vm.dir}/shot.ppm",
                    f"{run.options.pictures}/weston-bridge.ppm")
    said = vm.check("cat /run/bridge.log")
    if "zwp_linux_buffer_params_v1" not in said or "wl_shm_pool" in said:
        raise vms.Error(f"not by a dmabuf: {said}")
    vm.check(f"killall vwl-paint; {NO_PAINTER}", 60)
    vm.check(f"kill {bridge}")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--qemu", required=True)
    parser.add_argument("--plugin", required=True)
    parser.add_argument("--daemon", required=True)
    parser.add_argument("--buffers", required=True)
    parser.add_argument("--fences", required=True)
    parser.add_argument("--pages", required=True)
    parser.add_argument("--qemu-gpu", required=True)
    parser.add_argument("--importer", required=True)
    parser.add_argument("--painter", required=True)
    parser.add_argument("--bridge", help="the guest's")
    parser.add_argument("--loopback", help="the bridge is tried, too")
    parser.add_argument("--pictures", help="keep screenshots in this folder")
    parser.add_argument("tests", nargs="*")
    options = parser.parse_args()
    names = options.tests or list(TESTS)
    print(f"1..{len(names)}", flush=True)
    run = Run(options)
    failed = vms.tap(names, lambda name: TESTS[name](run))
    run.image.close()
    return failed


if __name__ == "__main__":
    sys.exit(main())
