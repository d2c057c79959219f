# SPDX-License-Identifier: BSD-3-Clause
"""A guest's client and the compositor double at the far end of the bridge, in
one hand: what one says, the other must hear, as the XML has it.
"""
import atexit
import contextlib
import os
import pathlib
import re
import socket
import subprocess
import sys
import tempfile
import time

import wayland


def until(what, condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f'never: {what}'
        time.sleep(0.02)


class Tool:
    """virtio-wl-loopback between a listening double and its clients."""

    def __init__(self, program, *options, env=None):
        self.dir = tempfile.TemporaryDirectory(prefix='vwl-double.')
        self.path = pathlib.Path(self.dir.name)
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.listener.bind(str(self.path / 'host'))
        self.listener.listen(64)
        self.listener.settimeout(60)
        self.log = open(self.path / 'log', 'w+')
        self.process = subprocess.Popen(
            [program, f'--wayland-sock={self.path}/host',
             f'--listen={self.path}/guest',
             *(o.replace('@DIR@', self.dir.name) for o in options)],
            stdout=self.log, stderr=self.log,
            env={k: v.replace('@DIR@', self.dir.name)
                 for k, v in {**os.environ, **(env or {})}.items()})
        atexit.register(self.process.kill)
        until('the tool listens', self.listens)

    def listens(self):
        accepting = f' 00010000 .* {re.escape(str(self.path))}/guest$'
        return re.search(accepting, pathlib.Path('/proc/net/unix').read_text(),
                         re.MULTILINE)

    def fds(self):
        return len(os.listdir(f'/proc/{self.process.pid}/fd'))

    def fds_at_rest(self):
        """All that it opens at first is open, and its loop runs: a client
        came through. What that one took is given back."""
        client, host = self.connect()
        client.close()
        host.settimeout(60)
        assert host.recv(1) == b''
        host.close()
        counts = []
        while len(counts) < 10 or len(set(counts[-10:])) > 1:
            counts.append(self.fds())
            time.sleep(0.02)
        return counts[-1]

    def connect(self):
        """(the client's socket, the double's)"""
        client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        client.connect(str(self.path / 'guest'))
        return client, self.listener.accept()[0]

    def stop(self):
        """What it said."""
        self.process.terminate()
        status = self.process.wait(60)
        self.log.seek(0)
        said = self.log.read()
        self.log.close()
        self.listener.close()
        self.dir.cleanup()
        assert status == 0, f'the tool ended with {status}: {said}'
        assert not re.search('our bug|ERROR|runtime error', said), said
        return said


class World:
    """One client of the bridge and its connection at the double."""

    def __init__(self, tool, interfaces, offered):
        """offered: [(interface, version)], numbered from 1 on."""
        ends = tool.connect()
        self.interfaces = interfaces
        self.client = wayland.Peer(ends[0], interfaces)
        self.host = wayland.Peer(ends[1], interfaces, server=True)
        self.ids = {1: 1}   # the client's: the double's
        self.bound = {}
        self.alive = {}     # interface: one client id
        self.registry = self.client.new()
        self.request(1, 'get_registry', self.registry)
        for number, (name, version) in enumerate(offered, 1):
            self.host.say(self.ids[self.registry], 'global', number, name,
                          version)
        self.sync()

    def close(self):
        self.client.close()
        self.host.close()

    def sync(self):
        """All that was said has arrived. Globals on the way are noted."""
        done = self.client.new()
        self.client.say(1, 'sync', done)
        (there,) = self.host.expect(1, 'sync')
        self.host.say(there, 'done', 7)
        self.host.say(1, 'delete_id', there)
        while True:
            said = self.client.hear()
            if (said.id, said.name) == (done, 'done'):
                break
            assert (said.id, said.name) == (self.registry, 'global'), said
            number, name, version = said.args
            self.bound[name] = number, version
        assert self.client.expect(1, 'delete_id') == [done]

    def _same(self, message, said, heard, ids):
        """Every value the same but ids, which are those of the same object.
        """
        for arg, a, b in zip(message.args, said, heard):
            if arg.kind == 'n':
                ids[a] = b
            elif arg.kind == 'o':
                a = ids[a] if a else 0
                assert a == (b or 0), f'object {a}, not {b}'
            elif arg.kind != 'h':
                assert a == b, f'{arg.name}: {a!r:.80}, not {b!r:.80}'

    def _message(self, peer, obj, name):
        iface = peer.objects[obj][0]
        return next(m for m in peer.messages(iface, True) if m.name == name)

    def request(self, obj, name, *values):
        """The client says it, the double hears it: what it heard."""
        message = self._message(self.client, obj, name)
        self.client.say(obj, name, *values)
        heard = self.host.hear()
        assert (heard.id, heard.name) == (self.ids[obj], name), \
            f'{self.client.objects[obj][0]}.{name} came as {heard}'
        self._same(message, values, heard.args, self.ids)
        return heard.args

    def new(self, parent, request, *values):
        """A request that makes an object, whose id is the None."""
        made = self.client.new()
        self.request(parent, request,
                     *(made if v is None else v for v in values))
        return made

    def event(self, obj, name, *values):
        """The double says it (ids are the client's), the client hears it."""
        message = self._message(self.host, self.ids[obj], name)
        there = [self.ids[v] if a.kind == 'o' and v else v
                 for a, v in zip(message.args, values)]
        self.host.say(self.ids[obj], name, *there)
        heard = self.client.hear()
        assert (heard.id, heard.name) == (obj, name), \
            f'{self.client.objects[obj][0]}.{name} came as {heard}'
        back = {host: client for client, host in self.ids.items()}
        self._same(message, there, heard.args, back)
        self.ids.update({client: host for host, client in back.items()})
        return heard.args

    def bind(self, name):
        number, version = self.bound[name]
        new = self.client.new()
        self.request(self.registry, 'bind', number, name, version, new)
        self.alive[name] = new
        return new

    def destroyed(self, obj):
        """After a destructor: the double says so, the client hears it."""
        if obj < wayland.SERVER_IDS:
            self.host.say(1, 'delete_id', self.ids[obj])
            assert self.client.expect(1, 'delete_id') == [obj]
        iface = self.client.objects[obj][0]
        if self.alive.get(iface) == obj:
            del self.alive[iface]


class Suite:
    """TAP."""

    def __init__(self):
        self.count = self.failed = 0

    @contextlib.contextmanager
    def case(self, name):
        self.count += 1
        try:
            yield
            print(f'ok {self.count} - {name}')
        except Exception as error:  # each is a case that failed
            self.failed += 1
            text = f'{type(error).__name__}: {error}'
            print(f'not ok {self.count} - {name}')
            print('# ' + text.replace('\n', '\n# '))
            trace = error.__traceback__
            while trace:
                print(f'#   {pathlib.Path(trace.tb_frame.f_code.co_filename)}'
                      f':{trace.tb_lineno}')
                trace = trace.tb_next
        sys.stdout.flush()

    def end(self):
        print(f'1..{self.count}')
        sys.exit(self.failed != 0)
