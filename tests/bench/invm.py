# SPDX-License-Identifier: BSD-3-Clause
"""Virtual machines under TCG, without KVM, for tests/bench/run.

`vm`: the benchmarks' Wayland client in one. Its compositor stub is there once
in the machine, and once on the host, behind bridge, driver, QEMU and daemon.
`pages`: what frames cost QEMU and daemon that are shown in place, beside those
that are copied."""
import contextlib
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(TOP / "tests/vm"))

import gpu  # noqa: E402
import host as hosts  # noqa: E402
import vm as vms  # noqa: E402


@contextlib.contextmanager
def process(*line, listens, **more):
    with subprocess.Popen(line, **more) as running:
        try:
            deadline = time.monotonic() + 60
            while not os.path.exists(listens):
                if time.monotonic() > deadline or running.poll() is not None:
                    raise RuntimeError(f"{line[0]} does not listen")
                time.sleep(0.05)
            yield running
        finally:
            running.terminate()


def lines(build, programs, only):
    """Figures, as the programs write them. build: that of the device;
    programs: that of the benchmarks."""
    bench = programs / "tests/bench/bench-wayland"
    bridge = build / "qemu-glue/guest/bridge/virtio-wl-bridge"
    glue = subprocess.run([TOP / "qemu-glue/device/build-glue"], check=True,
                          stdout=subprocess.PIPE, text=True).stdout.strip()
    with tempfile.TemporaryDirectory(prefix="vwl-bench-") as folder, \
            gpu.Image([bench, bridge], base=hosts.make_image()) as image, \
            process(bench, "stub", f"{folder}/wayland-0",
                    listens=f"{folder}/wayland-0"), \
            process(build / "plugin/daemon/vhost-user-wl",
                    f"--plugin={build}/plugin/libvhost-user-wl.so",
                    f"--socket-path={folder}/vu", "--security-context=off",
                    f"--wayland-sock={folder}/wayland-0",
                    listens=f"{folder}/vu", stderr=subprocess.DEVNULL), \
            vms.VM(f"qemu-system-x86_64 -plugin {glue}", image.dir,
                   name="bench", memory="1G", devices=[
                       f"vhost-user-wl-pci,socket={folder}/vu"]) as vm:
        vm.boot()
        vm.spawn(f"{gpu.path(str(bridge))} --listen=/run/wl", "/run/log")
        vm.check(f"until {vms.listens('/run/wl')}; do sleep 0.1; done", 60)
        return vm.check(
            f"cd /run; VWL_BENCH_JSON=/run/lines {gpu.path(str(bench))} vm "
            f"/run/wl '{only}' >/run/said 2>&1 || {{ cat /run/said; exit 1; }};"
            " cat /run/lines", 900)


def pages(build, figures):
    """Adds the figures to that file."""
    programs = {"bridge": "qemu-glue/guest/bridge/virtio-wl-bridge",
                "plugin": "plugin/libvhost-user-wl.so",
                "daemon": "plugin/daemon/vhost-user-wl",
                "look": "tests/vm/framelook", "paint": "tests/vm/framepaint",
                "udmabuf": "tests/vm/libnoudmabuf.so"}
    subprocess.run(
        [TOP / "tests/vm/run", "installed", "test-inplace.py",
         *(f"--{name}={build / path}" for name, path in programs.items()),
         "--kernel=6.12", f"--json={figures}", "figures"], check=True,
        stdout=subprocess.DEVNULL, timeout=1800)
