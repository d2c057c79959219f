# SPDX-License-Identifier: BSD-3-Clause
"""The host's side of a VM test: sockets for the guest, and the device.

A device is had in one of three ways (`mode`):
    plugin  QEMU with vhost-user-wl-pci loads the plugin
    daemon  QEMU with vhost-user-wl-pci relays to the daemon
    stock   an unmodified QEMU 11.1 is connected to the daemon, under a virtio
            id that it knows
"""

import glob
import os
import shlex
import shutil
import subprocess
import tempfile
import time

import peer
import vm

TOP = os.path.dirname(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__))))
STOCK_ID = 45  # a virtio id that stock QEMU 11.1 accepts


def output(*command):
    return subprocess.run(command, check=True, stdout=subprocess.PIPE,
                          text=True).stdout.strip()


def kernel_option(kernel):
    """Of make-image: 6.1, 6.12, or newest, Debian's newest."""
    if kernel == "newest":
        kernel = output(f"{TOP}/tests/vm/newest-kernel")
    return f"--kernel={kernel}"


def make_image(*add, kernel="6.1", modules=(), disk=False):
    """A guest image with these programs in it, and modules of the kernel's;
    disk: for one that has a disk of make_apps()."""
    return output(f"{TOP}/qemu-glue/guest/make-image", kernel_option(kernel),
                  *(f"--add={path}" for path in add),
                  *(f"--module={name}" for name in modules),
                  *(["--disk"] if disk else []))


def make_apps(*packages):
    """A disk with programs."""
    return output(f"{TOP}/qemu-glue/guest/make-apps", *packages)


def build_wltest(directory):
    path = f"{directory}/wltest"
    subprocess.run(
        ["gcc", "-O1", "-Wall", "-Wextra", "-static", "-o", path,
         f"-I{TOP}/qemu-glue/guest/driver",
         *sorted(glob.glob(f"{TOP}/tests/vm/wltest*.c"))],
        check=True)
    return path


def build_dmabuftest(path):
    """A guest's program with buffers and fences."""
    flags = shlex.split(output("pkg-config", "--cflags", "libdrm"))
    subprocess.run(
        ["gcc", "-O1", "-Wall", "-Wextra", "-o", path,
         f"-I{TOP}/qemu-glue/guest/driver", *flags,
         f"{TOP}/tests/vm/dmabuftest.c"], check=True)


def build_wl0test(directory):
    path = f"{directory}/wl0test"
    guest = f"{TOP}/qemu-glue/guest"
    subprocess.run(
        ["gcc", "-O1", "-Wall", "-Wextra", "-Wno-unused-parameter",
         "-Wno-missing-field-initializers", "-D_GNU_SOURCE",
         "-pthread", "-static", "-o", path, f"-I{guest}",
         f"-I{TOP}/include", f"{TOP}/tests/vm/wl0test.c",
         f"{guest}/transport_wl0.c", f"{guest}/wl0_gpu.c",
         f"{guest}/wl0_jobs.c", f"{guest}/wl0_pages.c",
         f"{guest}/wl0_vfd.c"], check=True)
    return path


def listens(path):
    """Somebody does, at that socket: it is there before."""
    with open("/proc/net/unix") as file:
        return any(line.split()[3] == "00010000" and
                   line.rstrip().endswith(" " + path) for line in file)


class Host:
    """Peers behind sockets and, for the modes that need one, a daemon."""

    def __init__(self, mode, qemu, plugin, daemon=None):
        self.mode = mode
        self.qemu = qemu
        self.plugin = plugin
        self.daemon_program = daemon
        self.dir = tempfile.mkdtemp(prefix="vwl-host-")
        self.peer = peer.Peer(f"{self.dir}/peer")
        self.full = peer.full_socket(f"{self.dir}/full")
        self.daemons = {}
        self.daemon_args = []

    def sockets(self):
        """(path, name) of what the guest may open."""
        return [(f"{self.dir}/peer", ""), (f"{self.dir}/peer", "peer"),
                (f"{self.dir}/full", "full"), (f"{self.dir}/none", "refused")]

    @staticmethod
    def echoes(sock):
        """No compositor: the filter could not read its stream."""
        return os.path.basename(sock) in ("peer", "full", "none")

    def policy(self, sock, comma=","):
        """What must be said of those that are no compositor's."""
        if os.path.basename(sock) == "native":
            return comma + "policy=pulse"
        return comma + "policy=none" if self.echoes(sock) else ""

    def start_daemon(self, number=0):
        path = f"{self.dir}/vu{number}"
        line = [self.daemon_program, f"--plugin={self.plugin}",
                f"--socket-path={path}", *self.daemon_args]
        for sock, name in self.sockets():
            line.append(f"--wayland-sock={sock}" +
                        (f",name={name}" if name else "") +
                        self.policy(sock))
        log = open(f"{self.dir}/daemon{number}", "ab")
        process = subprocess.Popen(line, stderr=log, stdout=log,
                                   preexec_fn=vm._die_with_parent)
        log.close()
        deadline = time.monotonic() + 60
        while not listens(path):
            if process.poll() is not None or time.monotonic() > deadline:
                raise vm.Error(f"the daemon does not listen: {self.log()}")
            time.sleep(0.02)
        self.daemons[number] = process
        return path

    def kill_daemon(self, number=0):
        self.daemons[number].kill()
        self.daemons[number].wait()
        del self.daemons[number]

    def device(self, number=0, properties=""):
        """([arguments], the value of -device) for one device."""
        if self.mode == "plugin":
            socks = ";".join(path + (f",,name={name}" if name else "") +
                             self.policy(path, ",,")
                             for path, name in self.sockets())
            return [], (f"vhost-user-wl-pci,id=wl{number},"
                        f"plugin={self.plugin},wayland-sock={socks}" +
                        properties)
        path = self.start_daemon(number)
        if self.mode == "daemon":
            return [], (f"vhost-user-wl-pci,id=wl{number},socket={path}" +
                        properties)
        return (["-chardev", f"socket,id=vu{number},path={path}"],
                f"vhost-user-test-device-pci,id=wl{number},"
                f"virtio-id={STOCK_ID},num_vqs=2,vq_size=256,"
                f"chardev=vu{number}" + properties)

    def vm(self, image, n_devices=1, modparams="", properties="", **more):
        """A VM with devices, not started."""
        args, devices = [], []
        for number in range(n_devices):
            arg, device = self.device(number, properties)
            args += arg
            devices.append(device)
        if self.mode == "stock":
            modparams += f" virtio_id={STOCK_ID}"
        guest_env = {"vwl_modparams": modparams.strip()} if modparams else {}
        more.setdefault("args", [])
        more["args"] = args + more["args"]
        more["devices"] = devices + list(more.get("devices", []))
        return vm.VM(self.qemu, image, guest_env=guest_env, **more)

    def log(self):
        text = ""
        for name in sorted(os.listdir(self.dir)):
            if name.startswith("daemon"):
                with open(f"{self.dir}/{name}", errors="replace") as file:
                    text += file.read()
        return text

    def close(self):
        for number in list(self.daemons):
            self.kill_daemon(number)
        self.peer.close()
        shutil.rmtree(self.dir, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
