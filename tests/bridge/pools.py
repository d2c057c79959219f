#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""What is handed over: a client and a compositor double at the two ends, and the
same file of memory at both, or the same pipe.

    pools.py TOOL CORE_XML PROTOCOLS_DIRECTORY
"""
import contextlib
import fcntl
import mmap
import os
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import wayland
import world

TOOL, CORE, PROTOCOLS = sys.argv[1:4]
INTERFACES = wayland.load_all(CORE, PROTOCOLS)
OFFERED = [('wl_compositor', 4), ('wl_shm', 1), ('wl_data_device_manager', 3)]
INVALID_FORMAT, INVALID_STRIDE, INVALID_FD = 0, 1, 2


class World(world.World):
    def __init__(self, tool):
        super().__init__(tool, INTERFACES, OFFERED)
        self.bind('wl_compositor')
        self.bind('wl_shm')

    def pool(self, fd, size):
        """What the host got: a descriptor of the very same file."""
        made = self.client.new()
        self.client.say(self.alive['wl_shm'], 'create_pool', made, fd, size)
        self.ids[made], there, said = self.host.expect(
            self.ids[self.alive['wl_shm']], 'create_pool')
        a, b = os.fstat(fd), os.fstat(there)
        assert (a.st_dev, a.st_ino) == (b.st_dev, b.st_ino), 'another file'
        assert said == size, f'{size} came as {said}'
        return made, there

    def fails(self, code):
        where, got, text = self.client.expect(1, 'error')
        assert (where, got) == (self.alive['wl_shm'], code), (got, text)


def memory(size, seals=fcntl.F_SEAL_SHRINK):
    fd = os.memfd_create('pool', os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.ftruncate(fd, size)
    fcntl.fcntl(fd, fcntl.F_ADD_SEALS, seals)
    return fd


def life(w):
    """Pool and buffers with the numbers as they were said; frames without a
    word of the bridge's own; what is painted is there at once."""
    size = 64 * 64 * 4
    fd = memory(size)
    pool, there = w.pool(fd, size)
    surface = w.new(w.alive['wl_compositor'], 'create_surface', None)
    buffers = [w.new(pool, 'create_buffer', None, i * 64, 16, 8, 256, 1)
               for i in range(3)]
    with mmap.mmap(fd, size) as ours, mmap.mmap(there, size) as theirs:
        for i in range(30):
            buffer = buffers[i % 3]
            ours[i * 100:i * 100 + 4] = b'%4d' % i
            w.request(surface, 'attach', buffer, 0, 0)
            w.request(surface, 'damage_buffer', 0, 0, 16, 8)
            w.request(surface, 'commit')
            assert theirs[i * 100:i * 100 + 4] == b'%4d' % i
            w.event(buffer, 'release')
    os.ftruncate(fd, size * 2)
    w.request(pool, 'resize', size * 2)
    w.request(pool, 'destroy')
    w.destroyed(pool)
    for buffer in buffers:
        w.request(buffer, 'destroy')
        w.destroyed(buffer)
    os.close(fd)
    os.close(there)


def in_order(w):
    """Many at once, and other requests between them."""
    fds = [memory(4096 * (i + 1)) for i in range(20)]
    shm, compositor = w.alive['wl_shm'], w.alive['wl_compositor']
    made = []
    for i, fd in enumerate(fds):
        pool, surface, buffer = (w.client.new() for _ in range(3))
        w.client.say(shm, 'create_pool', pool, fd, 4096 * (i + 1))
        w.client.say(compositor, 'create_surface', surface)
        w.client.say(pool, 'create_buffer', buffer, 0, 4, 4, 16, i)
        w.client.say(surface, 'attach', buffer, 0, 0)
        made.append((pool, surface, buffer))
    for i, fd in enumerate(fds):
        pool, there, size = w.host.expect(w.ids[shm], 'create_pool')
        assert os.fstat(there).st_ino == os.fstat(fd).st_ino
        assert size == 4096 * (i + 1)
        surface, = w.host.expect(w.ids[compositor], 'create_surface')
        buffer, *said = w.host.expect(pool, 'create_buffer')
        assert said == [0, 4, 4, 16, i], said
        assert w.host.expect(surface, 'attach') == [buffer, 0, 0]
        os.close(there)
        os.close(fd)


def not_memory(w):
    """It alone is told so, and ends."""
    ends = os.pipe()
    w.client.say(w.alive['wl_shm'], 'create_pool', w.client.new(), ends[0],
                 4096)
    w.fails(INVALID_FD)
    for end in ends:
        os.close(end)


def no_size(w):
    fd = memory(4096)
    w.client.say(w.alive['wl_shm'], 'create_pool', w.client.new(), fd, 0)
    w.fails(INVALID_STRIDE)
    os.close(fd)


def errors_of_the_host(w):
    """Formats are for the host to judge: its word is the client's."""
    fd = memory(4096)
    pool, there = w.pool(fd, 4096)
    w.new(pool, 'create_buffer', None, 0, 4, 4, 16, 9)
    w.host.say(1, 'error', w.ids[w.alive['wl_shm']], INVALID_FORMAT, 'no')
    w.fails(INVALID_FORMAT)
    os.close(fd)
    os.close(there)


def never_to_the_host(w, code, request, *words):
    fd = memory(8192)
    pool, there = w.pool(fd, 8192)
    w.client.say(pool, request, *(w.client.new() if word == 'new' else word
                                  for word in words))
    w.fails(code)
    os.close(fd)
    os.close(there)


def outside(w):
    """A buffer that its pool does not hold."""
    never_to_the_host(w, INVALID_STRIDE, 'create_buffer', 'new', 4096, 32, 33,
                      128, 1)


def larger_than_its_file(w):
    never_to_the_host(w, INVALID_FD, 'resize', 8193)


def smaller_again(w):
    never_to_the_host(w, INVALID_FD, 'resize', 8191)


def copied(w, fd, size=4096):
    """The host sees memory of its own, and nothing before it is shown."""
    shm = w.alive['wl_shm']
    pool, buffer = w.client.new(), w.client.new()
    w.client.say(shm, 'create_pool', pool, fd, size)
    w.client.say(pool, 'create_buffer', buffer, 0, 4, 4, 16, 1)
    w.client.say(pool, 'destroy')
    surface = w.new(w.alive['wl_compositor'], 'create_surface', None)
    w.client.say(surface, 'attach', buffer, 0, 0)
    w.client.say(surface, 'commit')
    _, there, _ = w.host.expect(w.ids[shm], 'create_pool')
    assert os.fstat(there).st_ino != os.fstat(fd).st_ino, 'the same file'
    os.close(there)
    os.close(fd)


def read_only():
    fd = memory(4096)
    again = os.open(f'/proc/self/fd/{fd}', os.O_RDONLY)
    os.close(fd)
    return again


def without_end(w):
    """Pools come and go; nothing of them stays."""
    for _ in range(300):
        fd = memory(4096)
        pool, there = w.pool(fd, 4096)
        os.close(fd)
        os.close(there)
        w.request(pool, 'destroy')
        w.destroyed(pool)


def gone_meanwhile(w):
    for _ in range(50):
        fd = memory(4096)
        w.client.say(w.alive['wl_shm'], 'create_pool', w.client.new(), fd,
                     4096)
        os.close(fd)


def given_pipe(w):
    """A selection that the host wants: the client's end of its pipe, the host's
    own, and whether both are the same file."""
    manager = w.bind('wl_data_device_manager')
    source = w.new(manager, 'create_data_source', None)
    reads, writes = os.pipe()
    mime, fd = w.event(source, 'send', 'text/plain', writes)
    assert mime == 'text/plain', mime
    same = os.fstat(fd).st_ino == os.fstat(writes).st_ino
    os.close(writes)
    return reads, fd, same


def pipe_itself(w):
    """Its reader has all of it, and its end as soon as the writer ends."""
    reads, fd, same = given_pipe(w)
    assert same, 'another pipe'
    assert os.get_blocking(fd), 'it does not wait'
    for i in range(10):
        os.write(fd, b'%d' % i)
    w.sync()
    assert os.read(reads, 100) == b'0123456789'
    os.close(fd)
    assert os.read(reads, 1) == b''
    os.close(reads)


def pipe_copied(w):
    reads, fd, same = given_pipe(w)
    assert not same, 'the same pipe'
    os.write(fd, b'copied')
    os.close(fd)
    assert os.read(reads, 100) == b'copied'
    assert os.read(reads, 1) == b''
    os.close(reads)


suite = world.Suite()
tool = world.Tool(TOOL)
before = tool.fds_at_rest()
bystander = World(tool)
held = tool.fds() - before
for name, test in [
        ('a pool, its buffers and their frames', life),
        ('many at once, in order', in_order),
        ('a pipe is no memory', not_memory),
        ('nothing is no pool', no_size),
        ('what the host refuses', errors_of_the_host),
        ('a buffer outside its pool', outside),
        ('a pool that outgrows its file', larger_than_its_file),
        ('a pool that shrinks', smaller_again),
        ('a file that could shrink is copied',
         lambda w: copied(w, memory(4096, fcntl.F_SEAL_GROW))),
        ('a file that is too small is copied',
         lambda w: copied(w, memory(4095, fcntl.F_SEAL_SHRINK))),
        ('a file that cannot be written to is copied',
         lambda w: copied(w, memory(4096, fcntl.F_SEAL_SHRINK |
                                    fcntl.F_SEAL_WRITE))),
        ('a file that is open for reading is copied',
         lambda w: copied(w, read_only())),
        ('a pipe that the host gives', pipe_itself),
        ('pools without end', without_end),
        ('an end in the middle', gone_meanwhile)]:
    with suite.case(name):
        with contextlib.closing(World(tool)) as w:
            test(w)
        bystander.sync()
with suite.case('descriptors are back where they began'):
    world.until('descriptors are back',
                lambda: tool.fds() <= before + held)
bystander.close()
with suite.case('the tool ends well'):
    tool.stop()
with suite.case('all is copied with --copy-pools'):
    tool = world.Tool(TOOL, '--copy-pools')
    with contextlib.closing(World(tool)) as w:
        copied(w, memory(4096))
    with contextlib.closing(World(tool)) as w:
        pipe_copied(w)
    tool.stop()
suite.end()
