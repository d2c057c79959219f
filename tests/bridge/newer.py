#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Protocols of newer compositors in which the bridge takes part: pictures that
no commit completes, colour profiles, times of frames that are to come.

    newer.py TOOL CORE_XML PROTOCOLS_DIRECTORY
"""
import contextlib
import mmap
import os
import pathlib
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import wayland
import world

TOOL, CORE, PROTOCOLS = sys.argv[1:4]
INTERFACES = wayland.load_all(CORE, PROTOCOLS)
CAPS = wayland.caps()
OFFERED = [(name, CAPS[name]) for name in (
    'wl_compositor', 'wl_shm', 'xdg_wm_base', 'xdg_toplevel_icon_manager_v1',
    'org_kde_kwin_shadow_manager', 'wp_color_manager_v1', 'wp_presentation',
    'wp_commit_timing_manager_v1', 'wl_fixes')]
SECOND = 10**9


class Pools:
    """The double's."""

    def __init__(self, w):
        self.w, self.pools, self.buffers = w, {}, {}

    def until(self, name):
        while True:
            said = self.w.host.hear()
            if said.name == 'create_pool':
                new, fd, size = said.args
                self.pools[new] = mmap.mmap(fd, size, prot=mmap.PROT_READ)
                os.close(fd)
            elif said.name == 'create_buffer':
                self.buffers[said.args[0]] = (said.id, *said.args[1:])
            if said.name == name:
                return said

    def pixels(self, buffer):
        pool, offset, width, height, stride, _ = self.buffers[buffer]
        return b''.join(self.pools[pool][offset + y * stride:][:width * 4]
                        for y in range(height))


def buffer_of(w, shm, content):
    """16 pixels a line."""
    fd = os.memfd_create('pool')
    os.write(fd, content)
    pool, buffer = w.client.new(), w.client.new()
    w.client.say(shm, 'create_pool', pool, fd, len(content))
    w.client.say(pool, 'create_buffer', buffer, 0, 16, len(content) // 64, 64,
                 0)
    w.client.say(pool, 'destroy')
    os.close(fd)
    return buffer


def icons(w):
    """An icon's pixels are there when it is used."""
    pools, shm = Pools(w), w.bind('wl_shm')
    icon = w.new(w.bind('xdg_toplevel_icon_manager_v1'), 'create_icon', None)
    for content in os.urandom(1024), os.urandom(2048):
        w.client.say(icon, 'add_buffer', buffer_of(w, shm, content), 1)
        said = pools.until('add_buffer')
        assert pools.pixels(said.args[0]) == content, 'other pixels'


def shadows(w):
    pools, shm = Pools(w), w.bind('wl_shm')
    surface = w.new(w.bind('wl_compositor'), 'create_surface', None)
    shadow = w.new(w.bind('org_kde_kwin_shadow_manager'), 'create', None,
                   surface)
    for side in ('left', 'top_left', 'top', 'top_right', 'right',
                 'bottom_right', 'bottom', 'bottom_left'):
        content = os.urandom(1024)
        w.client.say(shadow, 'attach_' + side, buffer_of(w, shm, content))
        said = pools.until('attach_' + side)
        assert pools.pixels(said.args[0]) == content, 'other pixels'


def released_shm(w):
    """Buffers of a wl_shm that is released are shown all the same."""
    pools, shm = Pools(w), w.bind('wl_shm')
    surface = w.new(w.bind('wl_compositor'), 'create_surface', None)
    content = os.urandom(1024)
    buffer = buffer_of(w, shm, content)
    w.client.say(shm, 'release')
    w.client.say(surface, 'attach', buffer, 0, 0)
    w.client.say(surface, 'damage_buffer', 0, 0, 16, 16)
    w.client.say(surface, 'commit')
    attached = pools.until('attach').args[0]
    pools.until('commit')
    assert pools.pixels(attached) == content
    while True:
        said = w.client.hear()
        if said.name == 'delete_id' and said.args == [shm]:
            break


def creator_of(w):
    return w.new(w.bind('wp_color_manager_v1'), 'create_icc_creator', None)


def profiles(w):
    """Both ways, a file's part and the whole."""
    content = os.urandom(300001)
    fd = os.memfd_create('profile')
    os.write(fd, content)
    creator = creator_of(w)
    for offset, length in ((0, 300001), (1, 4096), (299000, 1001)):
        w.client.say(creator, 'set_icc_file', fd, offset, length)
        there, at, size = w.host.expect(w.ids[creator], 'set_icc_file')
        assert size == length
        with mmap.mmap(there, at + size, mmap.MAP_SHARED, mmap.PROT_READ) as m:
            assert m[at:at + size] == content[offset:offset + length]
        os.close(there)
    description = w.new(creator, 'create', None)
    info = w.new(description, 'get_information', None)
    back = w.event(info, 'icc_file', fd, len(content))[0]
    assert os.pread(back, len(content) + 1, 0) == content
    os.close(back)
    os.close(fd)


def wrong_profile(make, code, length=100):
    def case(w):
        creator = creator_of(w)
        fd = make()
        w.client.say(creator, 'set_icc_file', fd, 0, length)
        os.close(fd)
        said = w.client.expect(1, 'error')
        assert said[:2] == [creator, code], said
    return case


def times(w):
    """What is asked for is on the host's clock: an hour ahead of this one."""
    surface = w.new(w.bind('wl_compositor'), 'create_surface', None)
    presentation = w.bind('wp_presentation')
    w.event(presentation, 'clock_id', time.CLOCK_MONOTONIC)
    timer = w.new(w.bind('wp_commit_timing_manager_v1'), 'get_timer', None,
                  surface)
    when = time.clock_gettime_ns(time.CLOCK_MONOTONIC) + 5000 * SECOND
    args = when // SECOND >> 32, when // SECOND & 0xffffffff, when % SECOND
    # not before it is known what the difference is
    w.client.say(timer, 'set_timestamp', *args)
    w.sync()
    feedback = w.new(presentation, 'feedback', surface, None)
    # behind it would be before the boot of a machine that has just started
    shown = time.clock_gettime_ns(time.CLOCK_MONOTONIC) + 3600 * SECOND
    w.host.say(w.ids[feedback], 'presented', shown // SECOND >> 32,
               shown // SECOND & 0xffffffff, shown % SECOND, 0, 0, 0, 0)
    while w.client.hear().name != 'presented':
        pass
    w.client.say(timer, 'set_timestamp', *args)
    high, low, ns = w.host.expect(w.ids[timer], 'set_timestamp')
    there = (high << 32 | low) * SECOND + ns
    assert abs(when - there + 3600 * SECOND) < SECOND, (when, there)


def gone_registry(w):
    """wl_fixes: a registry ends, another gets its number."""
    fixes = w.bind('wl_fixes')
    for _ in range(3):
        registry = w.client.new()
        w.request(1, 'get_registry', registry)
        w.host.say(w.ids[registry], 'global', 1, 'wl_compositor', 4)
        assert w.client.expect(registry, 'global') == [1, 'wl_compositor', 4]
        w.request(fixes, 'destroy_registry', registry)
        w.host.say(1, 'delete_id', w.ids[registry])
        assert w.client.expect(1, 'delete_id') == [registry]
        w.client.next = registry


def pipe():
    ours, theirs = os.pipe()
    os.close(theirs)
    return ours


def short():
    fd = os.memfd_create('profile')
    os.write(fd, b'x' * 99)
    return fd


CASES = {
    'icons': icons, 'shadows': shadows, 'a released wl_shm': released_shm,
    'colour profiles': profiles, 'a pipe is no profile': wrong_profile(pipe, 2),
    'a profile beyond its file': wrong_profile(short, 4),
    'a profile that is too large': wrong_profile(short, 3, (32 << 20) + 1),
    'a profile of nothing': wrong_profile(short, 3, 0),
    'times of frames to come': times, 'registries that end': gone_registry,
}


def main():
    suite = world.Suite()
    if INTERFACES['wl_shm'].version < 2:
        print('# wl_shm.release is not in the XML here')
        del CASES['a released wl_shm']
    tool = world.Tool(TOOL, '--copy-pools')
    before = tool.fds_at_rest()
    for name, case in CASES.items():
        with suite.case(name), contextlib.closing(
                world.World(tool, INTERFACES, OFFERED)) as w:
            case(w)
    with suite.case('descriptors are back where they began'):
        world.until('descriptors are back', lambda: tool.fds() <= before)
    with suite.case('the tool ends well'):
        tool.stop()
    suite.end()


main()
