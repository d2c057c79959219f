# SPDX-License-Identifier: BSD-3-Clause
"""A client of PulseAudio's native protocol by hand, version 13.

    client = Client(path, cookie)
    client.ask(GET_SERVER_INFO)         # ('reply', bytes), ('error', 1), None
"""
import socket
import struct

VERSION = 13
NONE = 0xffffffff
SHARES = 0xc0000000
ACCESS_DENIED = 'error', 1

(ERROR, REPLY, CREATE_PLAYBACK, CREATE_RECORD, AUTH, SET_NAME, STAT,
 CREATE_UPLOAD, PLAY_SAMPLE, REMOVE_SAMPLE, GET_SERVER_INFO, GET_CLIENTS,
 SET_SINK_VOLUME, SET_DEFAULT_SINK, KILL_CLIENT, KILL_SINK_INPUT, LOAD_MODULE,
 MOVE_SINK_INPUT, SET_SINK_INPUT_MUTE, SUSPEND_SINK, EXTENSION) = (
     0, 2, 3, 5, 8, 9, 13, 15, 18, 19, 20, 28, 36, 44, 48, 49, 51, 67, 69, 70,
     87)


def word(number):
    return b'L' + struct.pack('>I', number)


def text(string):
    return b'N' if string is None else b't' + string.encode() + b'\0'


def properties(**pairs):
    out = b'P'
    for key, value in pairs.items():
        data = value.encode() + b'\0'
        out += text(key.replace('_', '.')) + word(len(data)) + b'x' + \
            struct.pack('>I', len(data)) + data
    return out + b'N'


STEREO = b'a' + struct.pack('>BBI', 3, 2, 48000) + b'm\2\1\2'
VOLUME = b'v\2' + struct.pack('>II', 0x1000, 0x1000)


def playback(index=NONE, name=None, **pairs):
    return STEREO + word(index) + text(name) + word(NONE) + b'0' + \
        word(NONE) * 3 + word(0) + VOLUME + b'0' * 9 + properties(**pairs)


def record(index=NONE, name=None, direct=NONE, **pairs):
    return STEREO + word(index) + text(name) + word(NONE) + b'0' + \
        word(4096) + b'0' * 9 + properties(**pairs) + word(direct)


def frame(data, channel=NONE, flags=0, length=None):
    return struct.pack('>IIIII', len(data) if length is None else length,
                       channel, 0, 0, flags) + data


class Client:
    def __init__(self, path, cookie=None):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(60)
        self.sock.connect(str(path))
        self.tag = 0
        self.left = b''
        self.heard = 0  # bytes of audio
        answer = self.ask(AUTH, word(VERSION | SHARES) + b'x' +
                          struct.pack('>I', 256) + (cookie or bytes(256)))
        assert answer and answer[0] == 'reply', answer
        self.version = struct.unpack_from('>I', answer[1], 1)[0]
        answer = self.ask(SET_NAME, properties(application_name='by hand'))
        assert answer and answer[0] == 'reply', answer

    def close(self):
        self.sock.close()

    def read(self, n):
        while len(self.left) < n:
            try:
                more = self.sock.recv(65536)
            except ConnectionResetError:
                more = b''
            if not more:
                return None
            self.left += more
        data, self.left = self.left[:n], self.left[n:]
        return data

    def frame(self):
        """(channel, data), or None at the end."""
        head = self.read(20)
        if head is None:
            return None
        length, channel = struct.unpack_from('>II', head)
        data = self.read(length)
        return None if data is None else (channel, data)

    def ask(self, command, args=b'', pieces=0):
        self.tag += 1
        data = frame(word(command) + word(self.tag) + args)
        try:
            for at in range(0, len(data), pieces or len(data)):
                self.sock.sendall(data[at:at + (pieces or len(data))])
        except (BrokenPipeError, ConnectionResetError):
            return None
        return self.answer()

    def answer(self):
        """What is said to the last command."""
        while True:
            got = self.frame()
            if got is None:
                return None
            channel, data = got
            if channel != NONE:
                self.heard += len(data)
                continue
            number, tag = struct.unpack_from('>xIxI', data)
            if tag == self.tag and number == REPLY:
                return 'reply', data[10:]
            if tag == self.tag and number == ERROR:
                return 'error', struct.unpack_from('>xI', data, 10)[0]

    def hears(self):
        """Until it was sent audio; False: the end came."""
        while self.heard == 0:
            got = self.frame()
            if got is None:
                return False
            if got[0] != NONE:
                self.heard += len(got[1])
        return True

    def is_over(self):
        while True:
            if self.frame() is None:
                return True
