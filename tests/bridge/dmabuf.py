#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""linux-dmabuf and explicit synchronization through the bridge: a client and
a compositor double at the two ends. Memory stands for dmabufs and fences
here: host and guest are one kernel, so the double must get the same file, and
all numbers as they were said.

    dmabuf.py TOOL CORE_XML PROTOCOLS_DIRECTORY
"""
import contextlib
import mmap
import os
import pathlib
import struct
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import wayland
import world

TOOL, CORE, PROTOCOLS = sys.argv[1:4]
INTERFACES = wayland.load_all(CORE, PROTOCOLS)
DMABUF, SYNC = 'zwp_linux_dmabuf_v1', 'zwp_linux_explicit_synchronization_v1'
OFFERED = [('wl_compositor', 4), (DMABUF, 99), (SYNC, 99), ('wl_shm', 1)]
XR24, NV12 = 0x34325258, 0x3231564e
(ALREADY_USED, PLANE_IDX, PLANE_SET, INCOMPLETE, INVALID_FORMAT,
 INVALID_DIMENSIONS, OUT_OF_BOUNDS, INVALID_BUFFER) = range(8)
(INVALID_FENCE, DUPLICATE_FENCE, DUPLICATE_RELEASE, NO_SURFACE) = range(4)
INVALID_OBJECT, INVALID_METHOD, NO_MEMORY = range(3)
HIGH, LOW = 0x00ffffff, 0xffffffff


class World(world.World):
    def __init__(self, tool, offered=None):
        super().__init__(tool, INTERFACES, offered or OFFERED)
        self.tool = tool

    def surface(self):
        if 'wl_compositor' not in self.alive:
            self.bind('wl_compositor')
        return self.new(self.alive['wl_compositor'], 'create_surface', None)

    def params(self):
        if DMABUF not in self.alive:
            self.bind(DMABUF)
        return self.new(self.alive[DMABUF], 'create_params', None)

    def add(self, params, fd, *numbers):
        """The client's; the host hears of it with the buffer."""
        self.client.say(params, 'add', fd, *numbers)

    def added(self, params, fd, *numbers):
        """The host hears it: the same file, the same numbers."""
        there, *said = self.host.expect(self.ids[params], 'add')
        a, b = os.fstat(fd), os.fstat(there)
        assert (a.st_dev, a.st_ino) == (b.st_dev, b.st_ino), 'another file'
        assert os.pread(there, 64, 0) == os.pread(fd, 64, 0)
        assert said == list(numbers), f'{numbers} came as {said}'
        os.close(there)

    def buffer(self, params, *values):
        """create_immed: the buffer's id."""
        made = self.client.new()
        self.client.say(params, 'create_immed', made, *values)
        return made

    def buffer_made(self, params, buffer, *values):
        there, *said = self.host.expect(self.ids[params], 'create_immed')
        assert said == list(values), f'{values} came as {said}'
        self.ids[buffer] = there

    def fails(self, obj, code):
        where, got, text = self.client.expect(1, 'error')
        assert (where, got) == (obj, code), (where, got, text)
        try:
            self.client.hear()
            raise AssertionError('the connection goes on')
        except wayland.Gone:
            pass


def memory(size=4096, fill=b'x'):
    fd = os.memfd_create('dmabuf')
    os.write(fd, (fill * size)[:size])
    return fd


def one_plane(w):
    """Asked for, made by the host, shown, released, destroyed."""
    surface, params = w.surface(), w.params()
    plane = (memory(fill=b'1234567'), 0, 256, 64, HIGH, LOW)
    w.add(params, *plane)
    w.client.say(params, 'create', 16, 8, XR24, 3)
    w.added(params, *plane)
    assert w.host.expect(w.ids[params], 'create') == [16, 8, XR24, 3]
    buffer = w.event(params, 'created', w.host.new())[0]
    w.request(params, 'destroy')
    w.destroyed(params)
    w.request(surface, 'attach', buffer, 0, 0)
    w.request(surface, 'damage_buffer', 0, 0, 16, 8)
    w.request(surface, 'commit')
    w.event(buffer, 'release')
    w.request(buffer, 'destroy')
    os.close(plane[0])


def many_planes(w):
    """Of one file and of several, in any order, with any numbers."""
    same = memory(65536, b'same')
    files = [memory(65536, b'file%d' % i) for i in range(4)]
    for planes in ([(same, 0, 0, 256, 0, 0), (same, 1, 8192, 128, 0, 0)],
                   [(files[i], i, i * 256, 64 << i, i, LOW - i)
                    for i in (2, 0, 3, 1)],
                   [(same, 0, 65535, 1, 2**31, 2**31),
                    (files[0], 1, 0, 65536, 0xdeadbeef, 0xcafebabe)]):
        params = w.params()
        for plane in planes:
            w.add(params, *plane)
        w.client.say(params, 'create', 1, 1, NV12, 0xffffffff)
        for plane in sorted(planes, key=lambda p: p[1]):
            w.added(params, *plane)
        assert w.host.expect(w.ids[params], 'create') == \
            [1, 1, NV12, 0xffffffff]
        w.event(params, 'failed')
        w.request(params, 'destroy')
        w.destroyed(params)
    for fd in (same, *files):
        os.close(fd)


def in_order(w):
    """What is said around it goes before and after it, in one piece or not,
    and what is made is there at once."""
    surface = w.surface()
    fd = memory()
    made = []
    w.params()
    data, fds = b'', []

    def say(*message):
        nonlocal data, fds
        more, some = w.client.encode(*message)
        data += more
        fds += some
    for i in range(9):
        params, buffer = w.client.new(), w.client.new()
        say(w.alive[DMABUF], 'create_params', params)
        say(surface, 'damage', i, 1, 1, 1)
        say(params, 'add', fd, 0, 0, 64, 0, 0)
        say(params, 'add', fd, 1, 64, 64, 0, 0)
        say(params, 'create_immed', buffer, 8, 8, NV12, 0)
        say(params, 'destroy')
        say(surface, 'attach', buffer, i, 0)
        say(surface, 'commit')
        made.append((params, buffer))
    w.client.send(data, fds)
    for i, (params, buffer) in enumerate(made):
        w.ids[params], = w.host.expect(w.ids[w.alive[DMABUF]],
                                       'create_params')
        assert w.host.expect(w.ids[surface], 'damage') == [i, 1, 1, 1]
        w.added(params, fd, 0, 0, 64, 0, 0)
        w.added(params, fd, 1, 64, 64, 0, 0)
        w.buffer_made(params, buffer, 8, 8, NV12, 0)
        w.host.expect(w.ids[params], 'destroy')
        w.host.say(1, 'delete_id', w.ids[params])
        assert w.host.expect(w.ids[surface], 'attach') == \
            [w.ids[buffer], i, 0]
        w.host.expect(w.ids[surface], 'commit')
        assert w.client.expect(1, 'delete_id') == [params]
    for _, buffer in made:
        w.event(buffer, 'release')
        w.request(buffer, 'destroy')
        w.destroyed(buffer)
    os.close(fd)


def refused_by_the_host(w):
    """Its error names the client's object."""
    params, fd = w.params(), memory()
    w.add(params, fd, 0, 0, 64, 0, 0)
    buffer = w.buffer(params, 8, 8, XR24, 0)
    w.added(params, fd, 0, 0, 64, 0, 0)
    w.buffer_made(params, buffer, 8, 8, XR24, 0)
    w.host.say(1, 'error', w.ids[params], INVALID_BUFFER, 'no')
    w.fails(params, INVALID_BUFFER)
    os.close(fd)


def immed(w, params, *values):
    w.buffer(params, *values)


def create(w, params, *values):
    w.client.say(params, 'create', *values)


def wrong(tool):
    """Each mistake is that client's, by the protocol's own errors."""
    fd = memory(4096)
    plane = (fd, 0, 0, 64, 0, 0)
    size = (8, 8, XR24, 0)
    top = 2**32 - 1
    for name, code, planes, numbers in [
            ('a plane too high', PLANE_IDX, [(fd, 4, 0, 64, 0, 0)], None),
            ('a plane far too high', PLANE_IDX, [(fd, top, 0, 1, 0, 0)], None),
            ('a plane twice', PLANE_SET, [plane, plane], None),
            ('no plane', INCOMPLETE, [], size),
            ('no first plane', INCOMPLETE, [(fd, 1, 0, 64, 0, 0)], size),
            ('a plane between', INCOMPLETE, [plane, (fd, 2, 0, 64, 0, 0)],
             size),
            ('no width', INVALID_DIMENSIONS, [plane], (0, 8, XR24, 0)),
            ('no height', INVALID_DIMENSIONS, [plane], (8, 0, XR24, 0)),
            ('less width', INVALID_DIMENSIONS, [plane], (-1, 8, XR24, 0)),
            ('less height', INVALID_DIMENSIONS, [plane],
             (8, -2**31, XR24, 0)),
            ('an offset beyond', OUT_OF_BOUNDS, [(fd, 0, 4096, 1, 0, 0)],
             size),
            ('a stride beyond', OUT_OF_BOUNDS, [(fd, 0, 0, 4097, 0, 0)],
             (8, 1, XR24, 0)),
            ('lines beyond', OUT_OF_BOUNDS, [(fd, 0, 0, 512, 0, 0)],
             (8, 9, XR24, 0)),
            ('a product of 32 bits', OUT_OF_BOUNDS,
             [(fd, 0, 0, 65536, 0, 0)], (8, 65536, XR24, 0)),
            ('a sum of 32 bits', OUT_OF_BOUNDS, [(fd, 0, top, top, 0, 0)],
             (8, 2**31 - 1, XR24, 0)),
            ('a second plane beyond', OUT_OF_BOUNDS,
             [plane, (fd, 1, 4095, 2, 0, 0)], size)]:
        for make in (immed, create) if numbers else (None,):
            w = World(tool)
            params = w.params()
            for each in planes:
                w.add(params, *each)
            if make:
                make(w, params, *numbers)
            try:
                w.fails(params, code)
            except AssertionError as error:
                raise AssertionError(f'{name}: {error}') from error
            w.close()
    for again in (lambda w, p: w.add(p, *plane),
                  lambda w, p: immed(w, p, *size),
                  lambda w, p: create(w, p, *size)):
        w = World(tool)
        params = w.params()
        w.add(params, *plane)
        create(w, params, *size)
        w.added(params, *plane)
        again(w, params)
        w.fails(params, ALREADY_USED)
        w.close()
    os.close(fd)


def held_without_end(tool):
    """One that keeps planes and makes nothing of them."""
    w = World(tool)
    fd = memory()
    bystander = World(tool)
    w.bind(DMABUF)
    before = tool.fds()
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        for _ in range(5000):
            params = w.client.new()
            w.client.say(w.alive[DMABUF], 'create_params', params)
            for i in range(4):
                w.add(params, fd, i, 0, 64, 0, 0)
    # long before the bridge has no more descriptors for others
    where, code, text = w.client.expect(1, 'error')
    assert (where, code) == (1, NO_MEMORY) and 'planes' in text, text
    world.until('its descriptors are closed', lambda: tool.fds() < before)
    one_plane(bystander)
    bystander.close()
    w.close()
    os.close(fd)


def gone_meanwhile(tool):
    """Ends of any side in the middle of it leave nothing."""
    fd = memory()
    for end in ('client', 'host', 'both'):
        for said in range(4):
            w = World(tool)
            params = w.params()
            w.add(params, fd, 0, 0, 64, 0, 0)
            if said & 1:
                w.buffer(params, 8, 8, XR24, 0)
            if said & 2:
                other = w.client.new()
                w.client.say(w.alive[DMABUF], 'create_params', other)
                w.add(other, fd, 0, 0, 64, 0, 0)
                w.client.say(other, 'create', 8, 8, XR24, 0)
            if end != 'host':
                w.client.close()
            if end != 'client':
                w.host.close()
            w.close()
    os.close(fd)


def strange_files(w):
    """What they are is for the host to judge; nobody waits for them."""
    surface = w.surface()
    for fds in (os.pipe(), (os.open('/dev/null', os.O_RDWR),),
                (os.eventfd(0),), (os.open('/', os.O_RDONLY),)):
        params = w.params()
        w.add(params, fds[0], 0, 0, 2**32 - 1, 0, 0)
        w.client.say(params, 'create', 8, 16384, XR24, 0)
        there = w.host.expect(w.ids[params], 'add')[0]
        assert os.fstat(there).st_ino == os.fstat(fds[0]).st_ino
        os.close(there)
        w.host.expect(w.ids[params], 'create')
        w.event(params, 'failed')
        for fd in fds:
            os.close(fd)
    w.request(surface, 'commit')


# ---- feedback ----

def feedback(w):
    """The table is the client's own copy; devices are one kernel's here."""
    w.bind(DMABUF)
    surface = w.surface()
    for asked in (('get_default_feedback', None),
                  ('get_surface_feedback', None, surface)):
        about = w.new(w.alive[DMABUF], *asked)
        for size in (16, 4096, 48000):
            table = bytes(i * 5 % 253 for i in range(size))
            fd = memory(size, table)
            there = w.event(about, 'format_table', fd, size)[0]
            os.close(fd)
            with mmap.mmap(there, size, mmap.MAP_PRIVATE,
                           mmap.PROT_READ) as m:
                assert m[:] == table, 'another table'
            os.close(there)
        for device in (struct.pack('=Q', 0xe281), b'', b'1234', b'x' * 16):
            w.event(about, 'main_device', device)
            w.event(about, 'tranche_target_device', device)
        w.event(about, 'tranche_formats', struct.pack('=9H', *range(9)))
        w.event(about, 'tranche_flags', 1)
        w.event(about, 'tranche_done')
        w.event(about, 'done')
        w.request(about, 'destroy')
        w.destroyed(about)


def formats(tool):
    """What older versions are told."""
    w = World(tool, [('wl_compositor', 4), (DMABUF, 3)])
    assert w.bound[DMABUF][1] == 3
    dmabuf = w.bind(DMABUF)
    w.event(dmabuf, 'format', XR24)
    w.event(dmabuf, 'modifier', XR24, HIGH, LOW)
    w.request(dmabuf, 'destroy')
    w.destroyed(dmabuf)
    w.close()


# ---- explicit synchronization ----

def synchronized(w):
    """(surface, its synchronization)"""
    surface = w.surface()
    if SYNC not in w.alive:
        w.bind(SYNC)
    return surface, w.new(w.alive[SYNC], 'get_synchronization', None, surface)


def fence(w, sync, fd):
    w.client.say(sync, 'set_acquire_fence', fd)
    there, = w.host.expect(w.ids[sync], 'set_acquire_fence')
    assert os.fstat(there).st_ino == os.fstat(fd).st_ino, 'another fence'
    os.close(there)


def fences(w):
    """One for each commit; two surfaces do not mind each other."""
    both = [synchronized(w), synchronized(w)]
    fd = memory()
    for _ in range(20):
        for surface, sync in both:
            fence(w, sync, fd)
        for surface, sync in both:
            w.request(surface, 'commit')
    for surface, sync in both:
        w.request(sync, 'destroy')
        w.destroyed(sync)
        # and again
        again = w.new(w.alive[SYNC], 'get_synchronization', None, surface)
        fence(w, again, fd)
        w.request(surface, 'commit')
    os.close(fd)


def wrong_sync(tool):
    fd = memory()

    def twice(w, surface, sync):
        fence(w, sync, fd)
        w.client.say(sync, 'set_acquire_fence', fd)
        return sync, DUPLICATE_FENCE

    def two_releases(w, surface, sync):
        w.new(sync, 'get_release', None)
        w.client.say(sync, 'get_release', w.client.new())
        return sync, DUPLICATE_RELEASE

    def no_surface(w, surface, sync):
        w.request(surface, 'destroy')
        w.client.say(sync, 'set_acquire_fence', fd)
        return sync, NO_SURFACE

    def no_surface_for_a_release(w, surface, sync):
        w.request(surface, 'destroy')
        w.destroyed(surface)
        w.client.say(sync, 'get_release', w.client.new())
        return sync, NO_SURFACE

    def second(w, surface, sync):
        w.client.say(w.alive[SYNC], 'get_synchronization', w.client.new(),
                     surface)
        return w.alive[SYNC], 0

    def no_fence(w, surface, sync):
        data, _ = w.client.encode(sync, 'set_acquire_fence', fd)
        w.client.send(data)
        return 1, INVALID_METHOD

    for mistake in (twice, two_releases, no_surface, no_surface_for_a_release,
                    second, no_fence):
        w = World(tool)
        obj, code = mistake(w, *synchronized(w))
        w.fails(obj, code)
        w.close()
    os.close(fd)


def releases(w):
    """With a fence that is no descriptor for the client: the buffer is
    released when it is signalled, and other events do not wait."""
    surface, sync = synchronized(w)
    asked = []
    for _ in range(3):
        asked.append(w.new(sync, 'get_release', None))
        w.request(surface, 'commit')
    w.event(asked[0], 'immediate_release')
    w.destroyed(asked[0])
    ends = [os.pipe(), os.pipe()]
    for release, (there, _) in zip(asked[1:], ends):
        w.host.say(w.ids[release], 'fenced_release', there)
        os.close(there)
        w.host.say(1, 'delete_id', w.ids[release])
    w.sync()
    assert w.client.is_silent(), 'released before the fence is signalled'
    for release, (_, fd) in reversed(list(zip(asked[1:], ends))):
        os.close(fd)
        assert w.client.expect(release, 'immediate_release') == []
        assert w.client.expect(1, 'delete_id') == [release]
    # the order of both does not matter
    w.client.next = asked[0]
    release = w.new(sync, 'get_release', None)
    there, fd = os.pipe()
    w.host.say(w.ids[release], 'fenced_release', there)
    os.close(there)
    os.close(fd)
    assert w.client.expect(release, 'immediate_release') == []
    w.destroyed(release)


def unreleased(tool):
    """A client that goes while it waits, and fences for ever."""
    w = World(tool)
    surface, sync = synchronized(w)
    kept = []
    for _ in range(40):
        release = w.new(sync, 'get_release', None)
        w.request(surface, 'commit')
        there, fd = os.pipe()
        w.host.say(w.ids[release], 'fenced_release', there)
        os.close(there)
        kept.append(fd)
    w.sync()
    w.close()
    for fd in kept:
        os.close(fd)


suite = world.Suite()
tool = world.Tool(TOOL)
first = World(tool)
before = tool.fds()
with suite.case('both are offered, in the versions that are known'):
    assert first.bound[DMABUF][1] == INTERFACES[DMABUF].version == 4
    assert first.bound[SYNC][1] == INTERFACES[SYNC].version
for name, test in [
        ('a buffer of one plane, and its life', one_plane),
        ('planes of one file and of several', many_planes),
        ('buffers made at once, in order', in_order),
        ('what the host refuses', refused_by_the_host),
        ('files of any kind', strange_files),
        ('feedback', feedback),
        ('fences', fences),
        ('releases', releases)]:
    with suite.case(name):
        w = World(tool)
        with contextlib.closing(w):
            test(w)
for name, test in [
        ('formats of older versions', formats),
        ('mistakes with planes', wrong),
        ('mistakes with fences', wrong_sync),
        ('planes without end', held_without_end),
        ('ends in the middle', gone_meanwhile),
        ('releases that never come', unreleased)]:
    with suite.case(name):
        test(tool)
with suite.case('descriptors are back where they began'):
    world.until('descriptors are back', lambda: tool.fds() <= before)
first.close()
with suite.case('the tool ends well'):
    tool.stop()
suite.end()
