#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Where the bridge does more than to pass messages on: memory, descriptors,
clocks, ids. A client and a compositor double at the two ends.

    special.py TOOL CORE_XML PROTOCOLS_DIRECTORY
"""
import contextlib
import mmap
import os
import pathlib
import re
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import wayland
import world

TOOL, CORE, PROTOCOLS = sys.argv[1:4]
INTERFACES = wayland.load_all(CORE, PROTOCOLS)
OFFERED = [(name, INTERFACES[name].version) for name in (
    'wl_compositor', 'wl_shm', 'wl_seat', 'wl_data_device_manager',
    'wp_presentation', 'wl_output', 'zwp_tablet_manager_v2')]
SECOND = 10**9


# ---- keymaps ----

def keymap_of(w, keyboard, content):
    fd = os.memfd_create('keymap')
    os.write(fd, content)
    back = w.event(keyboard, 'keymap', 1, fd, len(content))
    os.close(fd)
    return back[1]


def keymaps(w):
    keyboard = w.new(w.bind('wl_seat'), 'get_keyboard', None)
    for size in (1, 4095, 4096, 4097, 65536, 300001):
        content = bytes(i * 7 % 251 for i in range(size))
        fd = keymap_of(w, keyboard, content)
        with mmap.mmap(fd, size, mmap.MAP_PRIVATE, mmap.PROT_READ) as m:
            assert m[:] == content, f'another keymap of {size}'
        try:
            os.ftruncate(fd, 0)
            raise AssertionError('a keymap that its reader may shrink')
        except PermissionError:
            pass
        os.close(fd)


# ---- many at once ----

def many_pipes(w):
    """Each message keeps its own, though they come in one piece."""
    seat = w.bind('wl_seat')
    device = w.new(w.bind('wl_data_device_manager'), 'get_data_device',
                 None, seat)
    offer = w.event(device, 'data_offer', w.host.new())[0]
    data, fds, ends = b'', [], []
    for i in range(20):
        ends.append(os.pipe())
        more, fd = w.client.encode(offer, 'receive', f'text/{i}', ends[-1][1])
        data += more
        fds += fd
    w.client.send(data, fds)
    for _, fd in ends:
        os.close(fd)
    for i in range(20):
        said = w.host.hear()
        assert said.name == 'receive' and said.args[0] == f'text/{i}', said
        os.write(said.args[1], b'for %d' % i)
        os.close(said.args[1])
    for i in range(20):
        with open(ends[i][0], 'rb') as file:
            assert file.read() == b'for %d' % i


def torn_events(w):
    """Byte by byte; the descriptor comes with the first."""
    source = w.new(w.bind('wl_data_device_manager'), 'create_data_source',
                 None)
    ends = os.pipe()
    data, fds = w.host.encode(w.ids[source], 'send', 'text/plain', ends[1])
    w.host.send(data[:1], fds)
    for i in range(1, len(data)):
        w.host.send(data[i:i + 1])
    os.close(ends[1])
    mime, fd = w.client.expect(source, 'send')
    assert mime == 'text/plain'
    os.write(fd, b'torn')
    os.close(fd)
    with open(ends[0], 'rb') as file:
        assert file.read() == b'torn'


def torn_requests(w):
    compositor = w.bind('wl_compositor')
    surface = w.new(compositor, 'create_surface', None)
    data, _ = w.client.encode(surface, 'damage', 1, 2, 3, 4)
    for i in range(len(data)):
        w.client.send(data[i:i + 1])
    assert w.host.expect(w.ids[surface], 'damage') == [1, 2, 3, 4]


# ---- ids ----

def host_ids(w):
    """What the host makes has one id; it may use it again, for another
    interface too."""
    seat = w.bind('wl_seat')
    device = w.new(w.bind('wl_data_device_manager'), 'get_data_device',
                 None, seat)
    tablets = w.new(w.bind('zwp_tablet_manager_v2'), 'get_tablet_seat',
                  None, seat)
    first = wayland.SERVER_IDS
    for _ in range(100):
        offer = w.event(device, 'data_offer', first)[0]
        assert offer == first
        w.event(offer, 'offer', 'text/plain')
        w.request(offer, 'destroy')
        tool = w.event(tablets, 'tool_added', first)[0]
        assert tool == first
        w.event(tool, 'hardware_serial', 1, 2)
        w.request(tool, 'destroy')


def event_after_destroy(w):
    """The client destroyed it while the host still speaks of it, and makes
    something with it."""
    seat = w.bind('wl_seat')
    manager = w.bind('wl_data_device_manager')
    device = w.new(manager, 'get_data_device', None, seat)
    source = w.new(manager, 'create_data_source', None)
    w.request(device, 'release')
    w.request(source, 'destroy')
    made = w.event(device, 'data_offer', w.host.new())[0]
    w.event(made, 'offer', 'x')
    ends = os.pipe()
    os.close(w.event(source, 'send', 'text/plain', ends[1])[1])
    os.close(ends[1])
    with open(ends[0], 'rb') as file:
        assert file.read() == b''
    w.destroyed(device)
    w.destroyed(source)
    second = w.new(manager, 'get_data_device', None, seat)
    assert w.event(second, 'data_offer', w.host.new())[0] == made + 1


def ids_come_back(w):
    """Far more objects than there may be at a time."""
    compositor = w.bind('wl_compositor')
    region = w.new(compositor, 'create_region', None)
    seen = set()
    for _ in range(3000):
        w.request(region, 'destroy')
        w.destroyed(region)
        w.client.next = region
        region = w.new(compositor, 'create_region', None)
        seen.add(w.ids[region])
    assert len(seen) < 10, f'{len(seen)} ids for one object'


def errors(w):
    """An error names the client's object, comes last and whole."""
    surface = w.new(w.bind('wl_compositor'), 'create_surface', None)
    shm = w.bind('wl_shm')
    w.host.say(w.ids[shm], 'format', 7)
    w.host.say(1, 'error', w.ids[surface], 3, 'Größe \u2260 0')
    assert w.client.expect(shm, 'format') == [7]
    assert w.client.expect(1, 'error') == [surface, 3, 'Größe \u2260 0']
    try:
        w.client.hear()
        raise AssertionError('the connection goes on')
    except wayland.Gone:
        pass


# ---- shared memory ----

class Screen:
    """The double's pools and buffers."""

    def __init__(self, w):
        self.w = w
        self.pools, self.buffers = {}, {}
        self.made = 0  # pools, so far

    def turn(self, last):
        """What the bridge says, up to a request of this name; its values."""
        while True:
            said = self.w.host.hear()
            if said.name == 'create_pool':
                new_id, fd, size = said.args
                assert os.fstat(fd).st_size >= size
                self.made += 1
                self.pools[new_id] = mmap.mmap(fd, size, prot=mmap.PROT_READ)
                os.close(fd)
            elif said.name == 'create_buffer':
                self.buffers[said.args[0]] = (said.id, *said.args[1:])
            elif said.iface in ('wl_buffer', 'wl_shm_pool') and \
                    said.name == 'destroy':
                {'wl_buffer': self.buffers,
                 'wl_shm_pool': self.pools}[said.iface].pop(said.id)
                self.w.host.say(1, 'delete_id', said.id)
            if said.name == last:
                return said

    def pixels(self, buffer):
        pool, offset, width, height, stride, form = self.buffers[buffer]
        memory = self.pools[pool]
        return form, [memory[offset + y * stride:][:width * 4]
                      for y in range(height)]


def shared_memory(w):
    """The rows that were damaged, and only those, are what the client has."""
    screen = Screen(w)
    surface = w.new(w.bind('wl_compositor'), 'create_surface', None)
    shm = w.bind('wl_shm')
    width, height, stride, offset = 37, 23, 37 * 4 + 12, 1000
    fd = os.memfd_create('pool')
    os.ftruncate(fd, 65536)
    pool, buffer = w.client.new(), w.client.new()
    w.client.say(shm, 'create_pool', pool, fd, 65536)
    w.client.say(pool, 'create_buffer', buffer, offset, width, height, stride,
                 0x34324258)
    image = [bytes((x * 5 + y * 3) % 256 for x in range(width * 4))
             for y in range(height)]

    def paint(y):
        os.pwrite(fd, image[y], offset + y * stride)

    def commit(*damage):
        w.client.say(surface, 'attach', buffer, 0, 0)
        w.client.say(surface, 'damage_buffer', *damage)
        w.client.say(surface, 'commit')
        attached = screen.turn('attach').args[0]
        assert screen.turn('damage_buffer').args == list(damage)
        screen.turn('commit')
        return screen.pixels(attached)

    for y in range(height):
        paint(y)
    form, got = commit(0, 0, width, height)
    assert form == 0x34324258
    assert got == image, 'other pixels'
    old = list(image)
    image = [bytes(255 - b for b in row) for row in image]
    for y in range(height):
        paint(y)
    form, got = commit(3, 5, 4, 6)
    for y in range(height):
        for x in range(width):
            inside = 3 <= x < 7 and 5 <= y < 11
            there = got[y][x * 4:x * 4 + 4]
            if inside:
                assert there == image[y][x * 4:x * 4 + 4], (x, y)
            else:
                assert there in (old[y][x * 4:x * 4 + 4],
                                 image[y][x * 4:x * 4 + 4]), (x, y)
    assert got[0] == old[0] and got[-1] == old[-1], 'all was copied'
    # rectangles whose ends cannot be told in 32 bits
    for damage in ((-2**31, -2**31, 2**31 - 1, 2**31 - 1),
                   (2**31 - 1, 2**31 - 1, 2**31 - 1, 2**31 - 1)):
        commit(*damage)
    _, got = commit(-5, -5, 2**31 - 1, 2**31 - 1)
    assert got == image, 'not everything was copied'
    os.close(fd)


def memory_again(w):
    """A buffer is the client's again when the host says so, and not before;
    frames go into the memory that is there, also those of other buffers."""
    screen = Screen(w)
    surface = w.new(w.bind('wl_compositor'), 'create_surface', None)
    shm = w.bind('wl_shm')
    fd = os.memfd_create('pool')
    os.ftruncate(fd, 65536)
    pool = w.client.new()
    w.client.say(shm, 'create_pool', pool, fd, 65536)

    def make():
        buffer = w.client.new()
        w.client.say(pool, 'create_buffer', buffer, 0, 32, 32, 128, 1)
        return buffer

    def show(buffer, value):
        os.pwrite(fd, bytes([value]) * 4096, 0)
        w.client.say(surface, 'attach', buffer, 0, 0)
        w.client.say(surface, 'damage', 0, 0, 32, 32)
        w.client.say(surface, 'commit')
        there = screen.turn('attach').args[0]
        screen.turn('commit')
        assert screen.pixels(there)[1] == [bytes([value]) * 128] * 32
        return there

    def release(buffer, there):
        w.host.say(there, 'release')
        assert w.client.expect(buffer, 'release') == []

    buffers = make(), make()
    before = show(buffers[1], 1)
    for frame in range(40):
        there = show(buffers[frame % 2], frame)
        w.sync()  # which allows no other event
        release(buffers[(frame + 1) % 2], before)
        before = there
    assert screen.made == 2, f'{screen.made} pools for two buffers'
    for frame in range(40):
        buffer = make()
        there = show(buffer, frame)
        w.client.say(buffer, 'destroy')
        assert w.client.expect(1, 'delete_id') == [buffer]
        w.host.say(there, 'release')
    assert screen.made < 6, f'{screen.made} pools for one buffer at a time'
    os.close(fd)


def far_damage(w):
    """More rectangles than are kept, some of them far to the left: joined
    they cover all."""
    screen = Screen(w)
    surface = w.new(w.bind('wl_compositor'), 'create_surface', None)
    shm = w.bind('wl_shm')
    fd = os.memfd_create('pool')
    os.ftruncate(fd, 4096)
    pool, buffer = w.client.new(), w.client.new()
    w.client.say(shm, 'create_pool', pool, fd, 4096)
    w.client.say(pool, 'create_buffer', buffer, 0, 32, 32, 128, 1)
    for value, damage in ((1, [(0, 0, 32, 32)]),
                          (2, [(-2**31, 0, 2**30, 1)] +
                           [(i, 0, 1, 32) for i in range(32)]),
                          (3, [(-2**30, 0, 2**31 - 1, 32)])):
        os.pwrite(fd, bytes([value]) * 4096, 0)
        w.client.say(surface, 'attach', buffer, 0, 0)
        w.client.say(surface, 'set_buffer_scale', 1 if value < 3 else 2)
        for rect in damage:
            w.client.say(surface,
                         'damage_buffer' if value < 3 else 'damage', *rect)
        w.client.say(surface, 'commit')
        attached = screen.turn('attach').args[0]
        screen.turn('commit')
        _, rows = screen.pixels(attached)
        assert rows == [bytes([value]) * 128] * 32, f'stale pixels at {value}'
    os.close(fd)


def planes(w):
    """What changed is in every plane of a format that has several."""
    screen = Screen(w)
    surface = w.new(w.bind('wl_compositor'), 'create_surface', None)
    shm = w.bind('wl_shm')
    fd = os.memfd_create('pool')
    os.ftruncate(fd, 384)
    pool, buffer = w.client.new(), w.client.new()
    w.client.say(shm, 'create_pool', pool, fd, 384)
    w.client.say(pool, 'create_buffer', buffer, 0, 16, 16, 16, 0x3231564e)
    for value, damage in ((1, (0, 0, 16, 16)), (2, (0, 0, 4, 4))):
        os.pwrite(fd, bytes([value]) * 384, 0)
        w.client.say(surface, 'attach', buffer, 0, 0)
        w.client.say(surface, 'damage_buffer', *damage)
        w.client.say(surface, 'commit')
        pool, offset = screen.buffers[screen.turn('attach').args[0]][:2]
        screen.turn('commit')
        memory = screen.pools[pool]
        assert memory[offset] == value
        assert memory[offset + 256:offset + 258] == bytes([value]) * 2, \
            'the second plane is behind'
    os.close(fd)


# ---- clocks ----

class Clock:
    """The host's, some seconds off."""

    def __init__(self, w, number, offset):
        self.w = w
        self.number, self.offset = number, offset
        self.presentation = w.bind('wp_presentation')
        self.surface = w.new(w.bind('wl_compositor'), 'create_surface', None)
        w.event(self.presentation, 'clock_id', number)

    def now(self):
        return time.clock_gettime_ns(time.CLOCK_MONOTONIC)

    def frame(self, told=None, flags=0xf):
        """(asked, what the host said, what the client heard, when)"""
        w = self.w
        asked = self.now()
        feedback = w.new(self.presentation, 'feedback', self.surface, None)
        time.sleep(0.003)
        at = self.now() + int(self.offset * SECOND) if told is None else told
        w.host.say(w.ids[feedback], 'presented', at // SECOND >> 32,
                   at // SECOND & 0xffffffff, at % SECOND, 16666666, 1, 2,
                   flags)
        high, low, ns, *rest = w.client.expect(feedback, 'presented')
        heard = self.now()
        assert rest[:3] == [16666666, 1, 2], rest
        w.destroyed(feedback)
        w.client.next = feedback
        return asked, at, ((high << 32) + low) * SECOND + ns, heard, rest[3]


def same_clock(w):
    clock = Clock(w, time.CLOCK_MONOTONIC, 0)
    for _ in range(20):
        _, said, told, _, flags = clock.frame()
        assert (said, flags) == (told, 0xf), f'{told - said} ns off'


def own(frame):
    asked, _, told, heard, flags = frame
    assert asked <= told <= heard, \
        f'asked {asked}, shown {told}, heard {heard}'
    assert flags == 0xd, 'the display did not measure this'
    return told


def other_clock(w):
    """As in a guest: what the client hears is of its own clock, between its
    question and the answer, and in order."""
    # a machine that has just started is not asked for times before its start
    for offset in (1000000.25, -min(5000.5, time.monotonic() / 2), 3.0):
        world_ = World(w.tool)
        clock = Clock(world_, time.CLOCK_MONOTONIC, offset)
        frames = [clock.frame() for _ in range(20)]
        told = [own(frame) for frame in frames]
        assert told == sorted(told)
        # The best bound so far: intervals are the host's, but for what was
        # learnt on the way.
        for a, b in zip(frames, frames[1:]):
            drift = (b[2] - a[2]) - (b[1] - a[1])
            assert drift <= 0, f'the guess got worse by {drift} ns'
        world_.close()


def clock_that_jumps(w):
    clock = Clock(w, time.CLOCK_MONOTONIC, 1000)
    for offset in (1000, 4600, 4600, 10, 10, 4600):
        clock.offset = offset
        own(clock.frame())


def unknown_clocks(w):
    """Nothing is guessed of what cannot be read here."""
    clock = Clock(w, 999, 500)
    _, said, told, _, _ = clock.frame()
    assert said == told
    clock.number = time.CLOCK_MONOTONIC
    w.event(clock.presentation, 'clock_id', time.CLOCK_MONOTONIC)
    odd = 2**62 * SECOND + 5
    assert clock.frame(odd)[2] == odd
    own(clock.frame())


def traced(program):
    """Whatever programs say, their terminal is not told."""
    tool = world.Tool(program, '--copy-pools', '--trace')
    w = World(tool)
    source = w.new(w.bind('wl_data_device_manager'), 'create_data_source',
                 None)
    w.request(source, 'offer', 'a \x1b]0;title\x07 "b" \u009b')
    w.close()
    log = tool.stop()
    assert f'-> wl_data_source#{source}.offer("a \\033]0;' in log, log
    assert not re.search('[\x00-\x09\x0b-\x1f\x7f-\x9f]', log), log


def device_options(program):
    """--dmabuf and --poll-us reach the device, or are refused with a reason;
    a compositor that takes no dmabufs changes nothing."""
    for options, status, why in (
            (['--wayland-sock=/none', '--dmabuf=nonsense,more'], 1,
             "'nonsense' is no allocator"),
            (['--wayland-sock=/none', '--poll-us=10001'], 1,
             '10001 is more than 10000'),
            (['--wayland-sock=/none', '--poll-us=-1'], 2, 'out of range'),
            (['--daemon-socket=/none', '--dmabuf=auto'], 2, 'to the daemon'),
            (['--daemon-socket=/none', '--poll-us=5'], 2, 'to the daemon')):
        ended = subprocess.run([program, '--listen=/none/none', *options],
                               stderr=subprocess.PIPE, text=True, timeout=60)
        assert ended.returncode == status and why in ended.stderr, \
            (options, ended)
    tool = world.Tool(program, '--copy-pools', '--dmabuf=auto',
                      '--poll-us=100')
    w = World(tool)
    shared_memory(w)
    w.close()
    tool.stop()


class World(world.World):
    def __init__(self, tool):
        super().__init__(tool, INTERFACES, OFFERED)
        self.tool = tool


suite = world.Suite()
tool = world.Tool(TOOL, '--copy-pools')
first = World(tool)
before = tool.fds()
for name, test in [
        ('keymaps of every size, not to be shrunk', keymaps),
        ('twenty pipes in one piece', many_pipes),
        ('an event byte by byte, with a pipe', torn_events),
        ('a request byte by byte', torn_requests),
        ("the host's ids, used again", host_ids),
        ('events of what was destroyed', event_after_destroy),
        ('ids come back', ids_come_back),
        ("errors name the client's object", errors),
        ('shared memory, by damage', shared_memory),
        ('memory, again and again', memory_again),
        ('damage from afar', far_damage),
        ('formats of several planes', planes),
        ('presentation by the same clock', same_clock),
        ('presentation by another clock', other_clock),
        ('a clock that jumps', clock_that_jumps),
        ('clocks that cannot be read', unknown_clocks)]:
    with suite.case(name):
        w = World(tool)
        with contextlib.closing(w):
            test(w)
with suite.case('descriptors are back where they began'):
    world.until('descriptors are back', lambda: tool.fds() <= before)
with suite.case('a trace that is safe to look at'):
    traced(TOOL)
with suite.case("the device's options"):
    device_options(TOOL)
first.close()
with suite.case('the tool ends well'):
    tool.stop()
suite.end()
