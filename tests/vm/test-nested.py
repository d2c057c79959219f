#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""A program's pixels in place, by the kernel's own udmabuf: a machine whose
kernel has it plays the host of another one.

    test-nested.py --qemu=PATH --plugin=PATH --daemon=PATH --bridge=PATH
                   --look=PATH --paint=PATH [--kernel=6.1|6.12|newest]
                   [--pictures=FOLDER] [--logs=FOLDER] [TEST...]

Prints TAP. The inner machine has four devices: that of framelook, which looks
at each pixel of each frame; weston's and sway's; and one of sway's whose daemon
found no udmabuf. On those windows are shown, of which there are pictures. `gtk`
does so with a program of GTK 4, in which is typed. It takes minutes, for each
of the two machines is slow by itself.
"""
import argparse
import base64
import os
import shutil
import sys
import time

import gpu
import host as hosts
import vm as vms
from inplace import NEVER, PAINTERS, SMALL, Run, judge, scene, want

sys.path.insert(0, gpu.TOP + "/tests")
import pattern  # noqa: E402

TESTS = {}
FRAMES, WIDTH, HEIGHT = 30, 400, 200
LOOK, WESTON, SWAY, WITHOUT = range(4)
DEVICES = ("look/wayland-0", "weston/wayland-1", "sway/wayland-1",
           "sway/wayland-1")
# device, words of the painter: windows, one after the other
WINDOWS = ((WESTON, ""), (WESTON, "sealed"), (SWAY, ""), (SWAY, "sealed"),
           (SWAY, "fragmented"), (WITHOUT, ""), (WITHOUT, "sealed"))
# those that are quick; a guest in pieces is among the windows
OFTEN = [each for each in PAINTERS if each[1] == SMALL]
NAMES = "look", "weston", "sway", "without"

SCENE = f"""
# of pages that the host does not take at the moment
echo "scene: ready for the limit"
read line
paint {FRAMES} {SMALL} scattered
echo "scene: done with the limit"
read line
# each is ended by a line
window() {{
    export WAYLAND_DISPLAY=wl$1
    if [ ! -S /run/wl$1 ]; then
        /lib/vwl/virtio-wl-bridge --trace --device=/dev/wl$1 \\
            --listen=/run/wl$1 > /run/bridge$1.log 2>&1 &
        until [ -S /run/wl$1 ]; do sleep 0.2; done
    fi
    : > /run/painted
    /lib/vwl/framepaint {FRAMES} {WIDTH} {HEIGHT} window stay $2 \\
        > /run/painted 2>&1 &
    painter=$!
    until grep -q shown /run/painted || ! kill -0 $painter; do
        sleep 0.1
    done
    echo "scene: window $number $(cat /run/painted), pinned $(cat $pinned)"
    read line
    kill $painter
    wait $painter
    until [ "$(cat $pinned)" = 0 ]; do sleep 0.1; done
    until grep "were in place" /run/bridge$1.log > /run/count; do
        sleep 0.1
    done
    sed "s/^/scene: of $number /" /run/count
    : > /run/bridge$1.log
    number=$((number + 1))
}}
number=1
"""
# GTK 4: devices, and a program in which is typed until it has what is wanted
GTK_DEVICES = ("sway/wayland-1", "sway/wayland-1", "weston/wayland-2")
COPIED, IN_PLACE, ON_WESTON = range(3)
GTK_SCENE = """
gtk() {
    export WAYLAND_DISPLAY=wl$1
    /lib/vwl/virtio-wl-bridge --trace --device=/dev/wl$1 \\
        --listen=/run/wl$1 > /run/bridge$1.log 2>&1 &
    until [ -S /run/wl$1 ]; do sleep 0.2; done
    HOME=/run LANG=C.UTF-8 GDK_BACKEND=wayland GSK_RENDERER=cairo \\
        GTK_A11Y=none GSETTINGS_BACKEND=memory XDG_DATA_DIRS=/usr/share \\
        LD_LIBRARY_PATH=/usr/lib/x86_64-linux-gnu \\
        /usr/bin/gtk4-demo --run=textundo > /run/gtk.log 2>&1 &
    program=$!
    while sleep 1; do
        echo "scene: gtk $1 has $(cat $pinned) pages"
        kill -0 $program || cat /run/gtk.log
    done &
    reporter=$!
    echo "scene: gtk $1 starts"
    read line
    kill $reporter $program
    until grep "were in place" /run/bridge$1.log > /run/count; do
        sleep 0.2
    done
    sed "s/^/scene: of gtk $1 /" /run/count
}
"""
WORDS = " Pixels in place 123"
# of GTK's window, which has its own title on weston
ROWS = 200
# weston in a window of sway's; and on a screen of its own
WESTON_SHELL = """[core]
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
"""
WESTON_INI = WESTON_SHELL + """[output]
name=VGA-1
mode=640x480
"""
SWAY_CONFIG = """xwayland disable
output HEADLESS-1 resolution 800x600 position 0,0
default_border none
"""
FLOATING = """for_window [app_id=".*"] floating enable
default_floating_border none
"""
LIB = "/usr/lib/x86_64-linux-gnu"
PROGRAMS = ["/usr/bin/weston", f"{LIB}/libweston-10/drm-backend.so",
            f"{LIB}/weston/desktop-shell.so", "/usr/bin/sway", "/usr/bin/grim",
            "/usr/share/X11/xkb"]
GTK_PROGRAMS = [*PROGRAMS, f"{LIB}/libweston-10/wayland-backend.so",
                "/usr/bin/wtype"]


def test(function):
    TESTS[function.__name__.replace("_", "-")] = function
    return function


def wait_for(vm, condition, log, seconds=300):
    vm.check(f"i=0; until {condition}; do i=$((i + 1)); "
             f"if [ $i = {seconds * 5} ]; then tail {log}; exit 1; fi; "
             "sleep 0.2; done", seconds + 30)


def start_sway(vm, config=""):
    # sway wants to be nobody in particular
    vm.put("/run/sway.conf", (SWAY_CONFIG + config).encode(), 0o644)
    vm.put("/run/idle", b"#!/bin/sh\nexec sleep 100000\n")
    vm.check("chmod 755 /run; mkdir -m 700 /run/weston /run/sway; "
             "chown 65534:65534 /run/sway")
    vm.spawn("XDG_RUNTIME_DIR=/run/sway WLR_BACKENDS=headless "
             "WLR_LIBINPUT_NO_DEVICES=1 WLR_RENDERER=pixman "
             f"{gpu.path('setpriv')} --reuid=65534 --regid=65534 "
             "--clear-groups /usr/bin/sway --config /run/sway.conf",
             "/run/sway.log")
    wait_for(vm, vms.listens("/run/sway/wayland-1"), "/run/sway.log")


def start_compositors(run, vm):
    start_sway(vm)
    card = gpu.card(vm, "cirrus")
    vm.put("/run/weston.ini", WESTON_INI.encode(), 0o644)
    vm.check("mkdir -m 700 /run/look")
    vm.spawn("XDG_RUNTIME_DIR=/run/look "
             f"{gpu.path(run.options.look)} wayland-0", "/run/look.log")
    vm.spawn("XDG_RUNTIME_DIR=/run/weston /usr/bin/weston --use-pixman "
             "--config=/run/weston.ini --backend=drm-backend.so "
             f"--drm-device={os.path.basename(card)} "
             "--shell=desktop-shell.so --tty=1 --continue-without-input "
             "--socket=wayland-1", "/run/weston.log")
    for name in sorted(set(DEVICES)):
        wait_for(vm, vms.listens(f"/run/{name}"),
                 f"/run/{name.split('/')[0]}.log")


def start_daemons(run, vm, devices=DEVICES, without=WITHOUT):
    for number, name in enumerate(devices):
        if number == without:
            vm.check("mv /dev/udmabuf /dev/no-udmabuf")
        vm.spawn(f"{gpu.path(run.options.daemon)} --guest-pages -v "
                 f"--plugin={gpu.path(run.options.plugin)} --dmabuf=off "
                 f"--socket-path=/run/vu{number} "
                 f"--wayland-sock=/run/{name}", f"/run/daemon{number}")
        wait_for(vm, vms.listens(f"/run/vu{number}"), f"/run/daemon{number}")
        if number == without:
            vm.check("mv /dev/no-udmabuf /dev/udmabuf")


def start_machine(vm, qemu, number=len(DEVICES), memory="192M", more=""):
    devices = " ".join(f"-device vhost-user-wl-pci,socket=/run/vu{each}"
                       for each in range(number)) + more
    vm.check("mkfifo /run/in")
    vm.spawn("sleep 100000 > /run/in")
    line = (
        f"exec {qemu} -nodefaults -no-user-config -display none -m {memory} "
        f"-object memory-backend-memfd,id=mem,size={memory},share=on "
        f"-machine {vms.MACHINE},accel=tcg,memory-backend=mem -cpu max "
        f"-kernel {gpu.path('vmlinux')} "
        f"-initrd {gpu.path('initramfs.cpio')} -append '{vms.APPEND} "
        "vwl_cmd=/lib/vwl/scene vwl_poweroff=1' -serial stdio "
        f"{devices} < /run/in\n")
    vm.put("/run/machine", f"#!/bin/sh\n{line}".encode())
    return vm.spawn("/run/machine", "/run/inner")


def says(vm, machine, what, seconds=1200):
    """Waits for what the inner machine says next."""
    wait_for(vm, f"grep -q '{what}' /run/inner || ! kill -0 {machine}",
             "/run/inner", seconds)
    vm.check(f"grep -q '{what}' /run/inner || {{ tail /run/inner; exit 1; }}")


def go_on(vm):
    vm.check("echo > /run/in")


def frame_rows(frame):
    """As frame.h has them."""
    rows = []
    for y in range(HEIGHT):
        row = bytearray()
        for x in range(WIDTH):
            value = x * 40503 + (y << 12)
            if x % 64 == 0:
                value += frame * 2654435761
            row += (value & 0xffffff).to_bytes(3, "big")
        rows.append(bytes(row))
    return rows


def take_picture(vm, device, path):
    if device == WESTON:
        vm.qmp("screendump", filename=path)
        return
    vm.check(f"XDG_RUNTIME_DIR=/run/sway WAYLAND_DISPLAY=wayland-1 "
             f"/usr/bin/grim -l 1 /run/shot.png", 120)
    with open(path, "wb") as file:
        file.write(base64.b64decode(vm.check("base64 /run/shot.png", 120)))


def look_at_picture(run, vm, device, name, wanted):
    path = f"{run.options.pictures or run.dir}/{name}"
    take_picture(vm, device, path)
    rows = pattern.read_image(path)[2]
    places = pattern.places_of_exact_rows(rows, wanted)
    want(places, f"{name}: the window is not there")
    wrong = pattern.differences(rows, wanted, places[0])
    want(wrong[0] == 0, f"{name}: {wrong}")
    return places[0]


def windows(run, vm, machine):
    """Each has all its pixels, and is copied only until that is dear."""
    wanted = frame_rows(FRAMES)
    pinned = {}
    for number, (device, words) in enumerate(WINDOWS, 1):
        says(vm, machine, f"scene: window {number} ")
        said = vm.check(f"grep 'scene: window {number} ' /run/inner")
        want(" shown" in said, said)
        pinned[number] = int(said.split()[-1])
        place = look_at_picture(run, vm, device,
                                f"{NAMES[device]}-{number}.img", wanted)
        print(f"# {NAMES[device]}, {words or 'plain'}: right, at {place}, "
              f"{pinned[number]} pages in place", flush=True)
        go_on(vm)
    return pinned


def judge_windows(inner, pinned):
    frame = WIDTH * HEIGHT * 4
    for number, (device, words) in enumerate(WINDOWS, 1):
        copies, placed = (FRAMES, 0) if device == WITHOUT else (20, 2)
        want(f"scene: of {number} " in inner, inner)
        said = inner.split(f"scene: of {number} ")[1].splitlines()[0]
        want(f"copied {copies * frame} bytes, {placed} buffers" in said,
             f"{NAMES[device]}, {words}: {said}")
        want((pinned[number] > 0) == (placed > 0), f"{number}: {pinned}")


def set_limit(vm, limit):
    vm.check(f"echo {limit} > /sys/module/udmabuf/parameters/list_limit")


@test
def nested(run):
    options = run.options
    ask = "".join(f"window {device} {words}\n" for device, words in WINDOWS)
    with gpu.Image([options.bridge, options.paint,
                    scene(run, OFTEN, SCENE + ask)],
                   base=hosts.make_image(kernel=options.kernel)) as image:
        inner = [shutil.copy(f"{image.dir}/{name}", run.dir)
                 for name in ("vmlinux", "initramfs.cpio")]
    line, files, alone = gpu.inner_qemu(options.qemu)
    qemu = run.file("qemu-with-glue", f'#!/bin/sh\nexec {line} "$@"\n')
    with gpu.Image([options.plugin, options.daemon, options.look, qemu,
                    shutil.which("setpriv")], files + PROGRAMS,
                   alone + gpu.firmware(), inner) as image, \
            vms.VM(options.qemu, image.dir, memory="1536M", name="nested",
                   devices=[gpu.DISPLAY]) as vm:
        vm.boot(300)
        start_compositors(run, vm)
        start_daemons(run, vm)
        machine = start_machine(vm, gpu.path(qemu))
        try:
            says(vm, machine, "scene: ready for the limit")
            set_limit(vm, 8)
            go_on(vm)
            says(vm, machine, "scene: done with the limit")
            set_limit(vm, 1024)
            go_on(vm)
            pinned = windows(run, vm, machine)
            says(vm, machine, "scene: end")
        finally:
            said = {name: vm.run(f"cat /run/{name}", 60)[1]
                    for name in ("look.log", "inner", "daemon0", "daemon1",
                                 "daemon2", "daemon3", "weston.log",
                                 "sway.log")}
            run.keep(said)
        said["look"] = said["look.log"]
        judge(said, True, [*OFTEN, (FRAMES, SMALL, "scattered", NEVER)])
        judge_windows(said["inner"], pinned)
        complaints = vm.kernel_complaints()
        want(not complaints, "\n".join(complaints))


# ---- GTK 4 -----------------------------------------------------------------

def picture(run, vm, name):
    path = f"{run.options.pictures or run.dir}/{name}"
    take_picture(vm, SWAY, path)
    return pattern.read_image(path)[2]


def at_rest(run, vm, name, seconds=5):
    """Once nothing has moved on sway for so long: keys wait, and GTK's caret
    ends blinking."""
    before, since = None, 0
    deadline = time.monotonic() + 900
    while time.monotonic() < since + seconds or before is None:
        want(time.monotonic() < deadline, f"{name}: it moves")
        if (now := picture(run, vm, name)) != before:
            before, since = now, time.monotonic()
        time.sleep(2)
    return before


def types(vm, words):
    vm.check("XDG_RUNTIME_DIR=/run/sway WAYLAND_DISPLAY=wayland-1 "
             f"/usr/bin/wtype {words}", 300)


def pages(vm, device):
    """That the guest has pinned, as it says each second."""
    said = vm.check(f"grep 'scene: gtk {device} has' /run/inner | tail -n 1")
    return int(said.split()[-2]) if said else 0


def content(rows):
    """The window: what is within its outermost light pixels."""
    width = len(rows[0]) // 3
    light = [(x, y) for y, row in enumerate(rows) for x in range(width)
             if min(row[3 * x:3 * x + 3]) > 0xe8]
    want(len(light) > 5000, f"there is no window: {len(light)} pixels")
    (left, *_, right), (top, *_, bottom) = (
        sorted(each) for each in zip(*light))
    return [row[3 * left:3 * right + 3] for row in rows[top:bottom + 1]]


def place_of(rows, wanted):
    """Where all of that is, to the last pixel; or None."""
    width, first = len(rows[0]), wanted[0]
    for y in range(len(rows) - len(wanted) + 1):
        at = rows[y].find(first)
        while at >= 0:
            if at % 3 == 0 and all(
                    rows[y + i][at:at + len(row)] == row
                    for i, row in enumerate(wanted)):
                return at // 3, y
            at = rows[y].find(first, at + 1, width)
    return None


def program(run, vm, machine, device, wanted):
    """Where it shows what is wanted in the end, that, and how many pages were
    in place then. wanted None: it is what this one shows."""
    says(vm, machine, f"scene: ready for gtk {device}")
    empty = at_rest(run, vm, "empty.png")
    go_on(vm)
    says(vm, machine, f"scene: gtk {device} starts")
    deadline = time.monotonic() + 900
    while picture(run, vm, "shown.png") == empty:
        want(time.monotonic() < deadline, vm.check("tail /run/inner"))
        time.sleep(2)
    # it is painted anew, and has the text that it had
    for _ in range(150 if wanted else 10):
        if pages(vm, device):
            break
        types(vm, "-s 500 -k a -s 500 -k BackSpace -s 500")
    before = at_rest(run, vm, f"gtk-{device}.png", 40)
    types(vm, f"-d 500 '{WORDS}'")
    deadline = time.monotonic() + 900
    shown, name = before, f"gtk-{device}.png"
    while shown == before or (
            wanted and not place_of(shown, wanted)):
        want(time.monotonic() < deadline, f"{name}: not what is wanted")
        time.sleep(2)
        shown = picture(run, vm, name)
    if not wanted:
        shown = at_rest(run, vm, name, 60)
        wanted = content(shown)[:ROWS]
    held = pages(vm, device)
    go_on(vm)
    says(vm, machine, f"scene: of gtk {device} ")
    return place_of(shown, wanted), wanted, held


@test
def gtk(run):
    options = run.options
    order = COPIED, IN_PLACE, ON_WESTON
    ask = "".join(f'echo "scene: ready for gtk {device}"\nread line\n'
                  f"gtk {device}\n" for device in order)
    with gpu.Image([options.bridge, scene(run, [], GTK_SCENE + ask)],
                   base=hosts.make_image(kernel=options.kernel,
                                         disk=True)) as image:
        inner = [shutil.copy(f"{image.dir}/{name}", run.dir)
                 for name in ("vmlinux", "initramfs.cpio")]
    disk = shutil.copy(hosts.make_apps("gtk-4-examples"), f"{run.dir}/apps.img")
    line, files, alone = gpu.inner_qemu(options.qemu)
    qemu = run.file("qemu-with-glue", f'#!/bin/sh\nexec {line} "$@"\n')
    with gpu.Image([options.plugin, options.daemon, qemu,
                    shutil.which("setpriv")], files + GTK_PROGRAMS,
                   alone + gpu.firmware(), [*inner, disk]) as image, \
            vms.VM(options.qemu, image.dir, memory="3G", name="nested",
                   devices=[gpu.DISPLAY]) as vm:
        vm.boot(400)
        start_sway(vm, FLOATING)
        here = "XDG_RUNTIME_DIR=/run/sway WAYLAND_DISPLAY=wayland-1"
        vm.spawn(f"{here} /usr/bin/wtype -s 100000000 ''", "/run/wtype.log")
        vm.put("/run/weston.ini", WESTON_SHELL.encode(), 0o644)
        vm.spawn("XDG_RUNTIME_DIR=/run/weston "
                 "WAYLAND_DISPLAY=/run/sway/wayland-1 /usr/bin/weston "
                 "--use-pixman --config=/run/weston.ini --width=640 "
                 "--height=400 --backend=wayland-backend.so "
                 "--shell=desktop-shell.so --socket=wayland-2",
                 "/run/weston.log")
        wait_for(vm, vms.listens("/run/weston/wayland-2"), "/run/weston.log")
        start_daemons(run, vm, GTK_DEVICES, COPIED)
        machine = start_machine(
            vm, gpu.path(qemu), len(GTK_DEVICES), "512M",
            f" -drive if=virtio,format=raw,readonly=on,file={gpu.path(disk)}")
        try:
            wanted, shown = None, {}
            for device in order:
                place, wanted, held = program(run, vm, machine, device, wanted)
                shown[device] = place, held
            says(vm, machine, "scene: end")
        finally:
            run.keep({name: vm.run(f"cat /run/{name}", 60)[1]
                      for name in ("inner", "daemon0", "daemon1", "daemon2",
                                   "weston.log", "sway.log", "wtype.log")})
        inner_said = vm.check("cat /run/inner")
        for device in order:
            said = inner_said.split(f"scene: of gtk {device} ")[1]
            said = said.splitlines()[0]
            place, held = shown[device]
            print(f"# {GTK_DEVICES[device]}: {said}; {held} pages in place; "
                  f"at {place}", flush=True)
            want((held > 0) == (device != COPIED), said)
            want((" 0 buffers" in said) == (device == COPIED), said)
        complaints = vm.kernel_complaints()
        want(not complaints, "\n".join(complaints))


def main():
    parser = argparse.ArgumentParser()
    for name in ("qemu", "plugin", "daemon", "bridge", "look", "paint"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--kernel", default="6.1")
    parser.add_argument("--pictures", help="keep them in this folder")
    parser.add_argument("--logs", help="keep what was said in this folder")
    parser.add_argument("tests", nargs="*")
    options = parser.parse_args()
    names = options.tests or list(TESTS)
    print(f"1..{len(names)}", flush=True)

    def one(name):
        run = Run(options)
        try:
            TESTS[name](run)
        finally:
            run.close()
    return vms.tap(names, one)


if __name__ == "__main__":
    sys.exit(main())
