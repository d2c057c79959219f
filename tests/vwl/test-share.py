#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""`vwl-share`: virtiofsd as an ordinary user beside a program in QEMU's place.

    test-share.py VWL_SHARE
"""

import os
import pwd
import shutil
import socket
import struct
import subprocess
import sys
import tempfile

import worlds
from worlds import expect

SERVERS = ("/usr/lib/qemu/virtiofsd", "/usr/libexec/virtiofsd")
GET_FEATURES, VERSION = 1, 1
NOBODY = pwd.getpwnam("nobody")


class Place:
    def __init__(self, program):
        self.dir = tempfile.mkdtemp(prefix="vwl-share-")
        self.program = f"{self.dir}/vwl-share"
        shutil.copy(program, self.program)
        os.mkdir(f"{self.dir}/folder")
        self.socket = f"{self.dir}/socket"
        if os.getuid() == 0:
            for path in (self.dir, f"{self.dir}/folder"):
                os.chown(path, NOBODY.pw_uid, NOBODY.pw_gid)

    def start(self, server, *command):
        """With nothing of root's."""
        more = {}
        if os.getuid() == 0:
            more = {"user": NOBODY.pw_uid, "group": NOBODY.pw_gid,
                    "extra_groups": []}
        return subprocess.Popen(
            [self.program, self.socket, f"{self.dir}/folder", server,
             *command], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, **more)

    def servers(self, server):
        """Those of this folder."""
        word = f"source={self.dir}/folder".encode()
        found = []
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{pid}/cmdline", "rb") as file:
                    words = file.read().split(b"\0")
            except OSError:
                continue
            if words[0] == server.encode() and word in words:
                found.append(pid)
        return found


def serves(place, server):
    """It answers a front-end, and ends when that goes."""
    process = place.start(server, "cat")
    with socket.socket(socket.AF_UNIX) as front_end:
        front_end.settimeout(60)
        # it is there before anybody listens at it
        worlds.wait(lambda: front_end.connect_ex(place.socket) == 0,
                    "no socket")
        front_end.sendall(struct.pack("=III", GET_FEATURES, VERSION, 0))
        answer = front_end.recv(20, socket.MSG_WAITALL)
        expect(struct.unpack("=III", answer[:12])[::2] == (GET_FEATURES, 8),
               answer)
        expect(len(place.servers(server)) > 0, "nobody serves")
    worlds.wait(lambda: not place.servers(server), "it serves on")
    process.communicate(b"", timeout=60)
    expect(process.returncode == 0, process.returncode)


def ends(place, server):
    """Nobody has connected to it, and QEMU has gone."""
    process = place.start(server, "cat")
    worlds.wait(lambda: place.servers(server), "it does not start")
    process.communicate(b"", timeout=60)
    worlds.wait(lambda: not place.servers(server), "it waits on")


def complains(place, _):
    for server, command, what in (
            ("/none/virtiofsd", "cat", b"/none/virtiofsd: No such file"),
            ("/bin/true", "/none/qemu", b"/none/qemu: No such file")):
        process = place.start(server, command)
        said = process.stdout.readline()
        expect(what in said, said)
        process.communicate(b"", timeout=60)
    place.socket = f"/{'x' * 200}"
    said = place.start("/bin/true", "cat").communicate(b"", timeout=60)[0]
    expect(b"File name too long" in said, said)


def main():
    server = next(filter(os.path.exists, SERVERS), None)
    if server is None:
        print("1..0 # SKIP there is no virtiofsd")
        return False
    place = Place(sys.argv[1])
    try:
        return worlds.tap([serves, ends, complains], place, server)
    finally:
        shutil.rmtree(place.dir)


if __name__ == "__main__":
    sys.exit(main())
