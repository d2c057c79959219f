# SPDX-License-Identifier: BSD-3-Clause
"""Both ends of a Wayland connection, by the protocols' XML alone: what they
expect of a message does not come from the tables that the bridge uses.

A Peer is a client or a compositor. It keeps what lives on its connection,
says any message and reads any that the XML has; it judges nothing.
"""
import array
import collections
import os
import pathlib
import re
import socket
import struct
import sys
import xml.etree.ElementTree

HERE = pathlib.Path(__file__).resolve().parents[2] / 'plugin/wayland'
sys.path.append(str(HERE))
import tables

SERVER_IDS = 0xff000000

Arg = collections.namedtuple('Arg', 'kind iface nullable name')
Message = collections.namedtuple('Message', 'name since destructor args')
Interface = collections.namedtuple('Interface',
                                   'name version requests events')
Said = collections.namedtuple('Said', 'id iface name args')
KINDS = {'int': 'i', 'uint': 'u', 'fixed': 'f', 'string': 's', 'object': 'o',
         'new_id': 'n', 'array': 'a', 'fd': 'h'}


class Gone(Exception):
    """The other end hung up."""


def _message(node):
    args = []
    for arg in node.findall('arg'):
        kind, iface = KINDS[arg.get('type')], arg.get('interface')
        if kind == 'n' and iface is None:
            args += [Arg('s', None, False, 'interface'),
                     Arg('u', None, False, 'version')]
        args.append(Arg(kind, iface, arg.get('allow-null') == 'true',
                        arg.get('name')))
    return Message(node.get('name'), int(node.get('since', 1)),
                   node.get('type') == 'destructor', args)


def _interface(node):
    return Interface(node.get('name'), int(node.get('version')),
                     [_message(m) for m in node.findall('request')],
                     [_message(m) for m in node.findall('event')])


def load(*paths):
    """{interface name: Interface} of XML files."""
    interfaces = {}
    for path in paths:
        tree = xml.etree.ElementTree.parse(path)
        for node in tree.iter('interface'):
            interfaces[node.get('name')] = _interface(node)
    return interfaces


def by_hand():
    """The same of what this project describes itself."""
    return {name: _interface(node) for name, node in
            tables.read_by_hand(HERE / 'byhand.txt').items()}


def caps():
    """{global: the version beyond which it is not offered}"""
    rows = re.findall(r'TABLED\((\w+), VWL_\w+, (\d+),',
                      (HERE / 'table.c').read_text())
    return {name: int(version) for name, version in rows}


def load_all(core, protocols):
    """Of Debian's packages, and where they lack it of our own; what was never
    stable comes first, so that the newest description of an interface counts.
    """
    paths = []
    for kind in ('unstable', 'staging', 'stable'):
        paths += sorted(pathlib.Path(protocols).glob(kind + '/*/*.xml'))
    return by_hand() | load(*paths, core)


class Peer:
    def __init__(self, sock, interfaces, server=False):
        self.sock = sock
        self.sock.settimeout(60)
        self.interfaces = interfaces
        self.server = server
        self.objects = {1: ('wl_display', 1)}
        self.next = SERVER_IDS if server else 2
        self.data = b''
        self.fds = []

    def new(self):
        self.next += 1
        return self.next - 1

    def messages(self, iface, mine):
        """What is said by this end, or heard by it."""
        found = self.interfaces[iface]
        return found.events if mine == self.server else found.requests

    def _note(self, parent, args, values):
        named, version = None, self.objects.get(parent, (None, 1))[1]
        for i, (arg, value) in enumerate(zip(args, values)):
            if arg.kind != 'n':
                continue
            named = arg.iface
            if named is None:
                named, version = values[i - 2], values[i - 1]
            self.objects[value] = (named, version)

    def encode(self, obj, name, *values):
        """(bytes, descriptors)"""
        iface = self.objects[obj][0]
        opcode, message = next(
            (i, m) for i, m in enumerate(self.messages(iface, True))
            if m.name == name)
        assert len(values) == len(message.args), (iface, name, values)
        body, fds = b'', []
        for arg, value in zip(message.args, values):
            if arg.kind == 'h':
                fds.append(value)
            elif arg.kind in 'sa':
                if value is None:
                    body += struct.pack('=I', 0)
                    continue
                if arg.kind == 's':
                    value = value.encode() + b'\0'
                body += struct.pack('=I', len(value)) + value
                body += bytes(-len(value) % 4)
            elif arg.kind in 'if':
                body += struct.pack('=i', value)
            else:
                body += struct.pack('=I', value or 0)
        self._note(obj, message.args, values)
        return struct.pack('=II', obj, 8 + len(body) << 16 | opcode) + body, \
            fds

    def say(self, obj, name, *values):
        self.send(*self.encode(obj, name, *values))

    def send(self, data, fds=()):
        ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS,
                      array.array('i', fds))] if fds else []
        sent = self.sock.sendmsg([data], ancillary)
        if sent < len(data):
            self.sock.sendall(data[sent:])

    def _read(self):
        size = array.array('i').itemsize
        data, ancillary, _, _ = self.sock.recvmsg(
            65536, socket.CMSG_SPACE(253 * size), socket.MSG_CMSG_CLOEXEC)
        for _, _, some in ancillary:
            fds = array.array('i')
            fds.frombytes(some[:len(some) - len(some) % size])
            self.fds += fds
        if not data:
            raise Gone()
        self.data += data

    def hear(self):
        """The next message. Its descriptors are the caller's."""
        while True:
            if len(self.data) >= 8:
                obj, word = struct.unpack_from('=II', self.data)
                if len(self.data) >= word >> 16:
                    break
            self._read()
        body, self.data = self.data[8:word >> 16], self.data[word >> 16:]
        iface = self.objects[obj][0]
        message = self.messages(iface, False)[word & 0xffff]
        values = [self._value(arg, body[:4], body[4:])
                  for arg, body in self._cut(message.args, body)]
        self._note(obj, message.args, values)
        return Said(obj, iface, message.name, values)

    @staticmethod
    def _cut(args, body):
        for arg in args:
            size = 0 if arg.kind == 'h' else 4
            if arg.kind in 'sa':
                size += struct.unpack_from('=I', body)[0] + 3 & ~3
            assert len(body) >= size, 'a message is too short'
            yield arg, body[:size]
            body = body[size:]
        assert not body, 'a message is too long'

    def _value(self, arg, word, rest):
        if arg.kind == 'h':
            while not self.fds:
                self._read()
            return self.fds.pop(0)
        if arg.kind in 'if':
            return struct.unpack('=i', word)[0]
        value = struct.unpack('=I', word)[0]
        if arg.kind == 's':
            if value == 0:
                return None
            assert rest[value - 1] == 0
            return rest[:value - 1].decode()
        if arg.kind == 'a':
            return rest[:value]
        return value

    def expect(self, obj, name):
        """The next message must be this one: its values."""
        said = self.hear()
        assert (said.id, said.name) == (obj, name), \
            f'expected {obj}.{name}: {said}'
        return said.args

    def is_silent(self):
        """Nothing is there now."""
        if self.data:
            return False
        self.sock.setblocking(False)
        try:
            self._read()
            return False
        except BlockingIOError:
            return True
        finally:
            self.sock.settimeout(60)

    def close(self):
        self.sock.close()
        for fd in self.fds:
            os.close(fd)
        self.fds = []
