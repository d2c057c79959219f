# SPDX-License-Identifier: BSD-3-Clause
"""Doubles of what is in a machine and around it: QEMU, as far as the service
sees it, and the guest's agent, which runs what it is told on this host.

    with Agent(path) as agent:      # connects, and says HELLO
        agent.serve()               # in a thread
"""

import contextlib
import os
import signal
import socket
import struct
import subprocess
import threading
import time

HELLO, LIST, APP, ICON, DONE, LAUNCH, EXEC, SIGNAL, RESIZE, ANSWER, OPEN = \
    range(1, 12)

APPS = {"foot": "Foot", "org.gnome.Calculator": "Calculator"}

# Of doubles.
TALK = r'''
def give(sock, data): # one that is killed is found by take
    try:
        sock.sendall(data)
    except ConnectionError:
        pass
def take(sock):
    try:
        return sock.recv(4096)
    except ConnectionError:
        return b""
'''

# Listens as QEMU does, powers off when asked, and is saved and goes on. What its
# monitor is told stands in `said`, beside the monitor. With `stubborn` in its
# name it does not power off; where there is a file `no-save` or `no-load`
# beside the monitor's folder, with that in it, that fails so. As long as there is
# one named `full`, its disk cannot be written.
QEMU = r'''#!/usr/bin/env python3
import json, os, re, select, socket, sys
''' + TALK + r'''
if "--version" in sys.argv:
    print("QEMU emulator version 9.9.9 (a double)")
    sys.exit(0)
name = sys.argv[sys.argv.index("-name") + 1]
if name.startswith("broken"):
    print("qemu: this machine cannot be", file=sys.stderr)
    sys.exit(1)
paths = dict(re.findall(r"socket,id=(\w+),path=([^,]*),", " ".join(sys.argv)))
listeners = {}
for what, path in paths.items():
    sock = socket.socket(socket.AF_UNIX)
    sock.bind(path)
    sock.listen()
    listeners[sock] = what
clients = {}
def end():
    for sock in [s for s, what in clients.items() if what == "qmp"]:
        give(sock, b'{"event": "SHUTDOWN", "data": {"guest": true}}\n')
    sys.exit(0)
trouble = None
def refuses(what):
    path = os.path.dirname(paths["qmp"]) + "." + what
    if os.path.exists(path):
        with open(path) as file:
            return file.read()
def answer(what, arguments):
    global trouble
    if what in ("migrate", "migrate-incoming"):
        trouble = refuses("no-save" if what == "migrate" else "no-load")
        with open(arguments["uri"].partition("file:")[2], "r+") as file:
            if what == "migrate":
                file.write("the state")
            elif (file.read(), sys.argv[-1]) != ("the state", "defer"):
                trouble = "that is not what was saved"
    elif what == "query-status" and refuses("stands-still") is not None:
        return b'{"return": {"status": "postmigrate"}}\n'
    elif what == "query-status" and refuses("full") is not None:
        return b'{"return": {"status": "io-error"}}\n'
    elif what == "cont" and refuses("full") is not None:
        return b'{"return": {}}\n{"event": "STOP"}\n'
    elif what == "query-migrate":
        status = {"status": "completed"}
        if trouble:
            status = {"status": "failed", "error-desc": trouble}
        return json.dumps({"return": status}).encode() + b"\n"
    return b'{"return": {}}\n'
while True:
    for sock in select.select([*listeners, *clients], [], [])[0]:
        if sock in listeners:
            client = sock.accept()[0]
            clients[client] = listeners[sock]
            give(client, b'{"QMP": {"version": {}}}\n'
                 if listeners[sock] == "qmp" else b"it boots\r\n")
            continue
        data = take(sock)
        if not data:
            del clients[sock]
            sock.close()
        for line in data.splitlines():
            command = json.loads(line)
            what = command["execute"]
            with open(paths["qmp"] + ".said", "a") as file:
                file.write(what + "\n")
            give(sock, answer(what, command.get("arguments")))
            if what == "quit" or (what == "system_powerdown" and
                                  not name.startswith("stubborn")):
                end()
'''

# Makes its sockets, keeps what it is told beside its control, with ".told" after
# its name, and says there what comes at the socket with ".say" after its name.
DAEMON = r'''#!/usr/bin/env python3
import os, select, socket, sys
''' + TALK + r'''
options = dict(a.split("=", 1) for a in sys.argv if a.startswith("--"))
device = socket.socket(socket.AF_UNIX)
device.bind(options["--socket-path"])
device.listen()
path = options["--control"]
control = socket.socket(socket.AF_UNIX)
say = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
for sock, name in ((control, path), (say, path + ".say")):
    if os.path.exists(name):
        os.unlink(name)
    sock.bind(name)
control.listen()
print("the device is there", file=sys.stderr, flush=True)
LOOK = (b"figures connections=2 shared-bytes=4096 sent-bytes=3000000\n"
        b"window foot\tA shell\nwindow \tNameless\nend\n")
client, rest = None, b""
while True:
    for sock in select.select([control, say] + ([client] if client else []),
                              [], [])[0]:
        if sock is control:
            client, rest = control.accept()[0], b""
        elif sock is say:
            give(client, say.recv(65536))
        elif sock is client:
            data = take(client)
            if not data:
                client = None
                continue
            *lines, rest = (rest + data).split(b"\n")
            with open(path + ".told", "ab") as file:
                for line in lines:
                    file.write(line + b"\n")
                    if line == b"look":
                        give(client, LOOK)
'''


def frame(kind, job, *strings, raw=b""):
    payload = b"".join(s.encode() + b"\0" for s in strings) + raw
    return struct.pack("<IHH", len(payload), kind, job) + payload


class Agent:
    def __init__(self, path, timeout=60):
        deadline = time.monotonic() + timeout
        while True:
            self.sock = socket.socket(socket.AF_UNIX)
            try:
                self.sock.connect(path)
                break
            except OSError:
                self.sock.close()
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.02)
        self.seen = []
        self.rest, self.fds = b"", []
        self.running = {}
        self.lock = threading.Lock()

    def hello(self):
        self.send(HELLO, 0, "1", "double 1", "user", "/home/user")

    def send(self, kind, job, *strings, raw=b""):
        with self.lock:
            try:
                self.sock.sendall(frame(kind, job, *strings, raw=raw))
            except OSError:
                pass # hung up on

    def receive(self):
        """(kind, job, strings), or None at the end."""
        while len(self.rest) < 8 or \
                len(self.rest) < 8 + struct.unpack_from("<I", self.rest)[0]:
            try:
                data, fds = socket.recv_fds(self.sock, 65536, 16)[:2]
            except OSError:
                return None
            if not data:
                return None
            self.rest += data
            self.fds += fds
        length, kind, job = struct.unpack_from("<IHH", self.rest)
        payload = self.rest[8:8 + length]
        self.rest = self.rest[8 + length:]
        return kind, job, [s.decode() for s in payload.split(b"\0")[:-1]]

    def serve(self):
        threading.Thread(target=self._serve, daemon=True).start()
        return self

    def _serve(self):
        self.hello()
        while True:
            got = self.receive()
            if got is None:
                break
            self.seen.append(got)
            kind, job, strings = got
            if kind == EXEC:
                fds, self.fds = self.fds[:3], self.fds[3:]
                self._exec(job, strings, fds)
            elif kind == LIST:
                for name, title in APPS.items():
                    self.send(APP, 0, name, name, title, "", "", "Utility;")
                self.send(DONE, 0, str(len(APPS)))
            elif kind == LAUNCH:
                known = strings[0] in APPS
                self.send(ANSWER, job, "0" if known else "127",
                          "" if known else "no such program")
            elif kind == SIGNAL and job in self.running:
                with contextlib.suppress(ProcessLookupError, KeyError):
                    os.killpg(self.running[job].pid, int(strings[0]))

    def _exec(self, job, strings, fds):
        folder, argc = strings[4], int(strings[5])
        argv = strings[6:6 + argc]
        env = dict(word.split("=", 1) for word in strings[7 + argc:])
        try:
            process = subprocess.Popen(
                argv, stdin=fds[0], stdout=fds[1], stderr=fds[2],
                cwd=folder or None, env={**os.environ, **env},
                start_new_session=True)
        except FileNotFoundError:
            self.send(ANSWER, job, "127", f"{argv[0]}: not found")
        except OSError:
            self.send(ANSWER, job, "126", f"{argv[0]}: cannot be run")
        else:
            self.running[job] = process
            threading.Thread(target=self._wait, args=(job, process),
                             daemon=True).start()
        for fd in fds:
            os.close(fd)

    def _wait(self, job, process):
        status = process.wait()
        del self.running[job]
        self.send(ANSWER, job, str(status if status >= 0 else 128 - status),
                  "")

    def close(self):
        for process in list(self.running.values()):
            process.send_signal(signal.SIGKILL)
        try:
            self.sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.sock.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
