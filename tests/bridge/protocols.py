#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Every protocol of the bridge's table, both ways: a client says each request
of each interface to a compositor double at the far end, and the double each
event, with small, extreme and long arguments. All of it must arrive the same:
ids that either side makes, strings, arrays, descriptors.

    protocols.py TOOL CORE_XML PROTOCOLS_DIRECTORY
"""
import contextlib
import os
import pathlib
import select
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import wayland
import world

TOOL, CORE, PROTOCOLS = sys.argv[1:4]

# What guests are offered; the test of a row fails without it.
ROWS = '''wl_compositor wl_subcompositor wl_shm wl_seat wl_output
wl_data_device_manager zwp_primary_selection_device_manager_v1 xdg_wm_base
xdg_activation_v1 zxdg_decoration_manager_v1 zxdg_output_manager_v1
zxdg_exporter_v1 zxdg_importer_v1 zxdg_exporter_v2 zxdg_importer_v2
wp_viewporter wp_fractional_scale_manager_v1 wp_presentation
wp_single_pixel_buffer_manager_v1 wp_content_type_manager_v1
wp_tearing_control_manager_v1 zwp_idle_inhibit_manager_v1
ext_idle_notifier_v1 zwp_relative_pointer_manager_v1
zwp_pointer_constraints_v1 zwp_pointer_gestures_v1
zwp_keyboard_shortcuts_inhibit_manager_v1 zwp_input_timestamps_manager_v1
zwp_tablet_manager_v2 zwp_text_input_manager_v1
zwp_text_input_manager_v3 zwp_linux_dmabuf_v1
zwp_linux_explicit_synchronization_v1 zwp_text_input_manager_v2 wl_fixes
wp_alpha_modifier_v1 wp_color_manager_v1 wp_color_representation_manager_v1
wp_commit_timing_manager_v1 wp_cursor_shape_manager_v1 wp_fifo_manager_v1
xdg_system_bell_v1 xdg_toplevel_drag_manager_v1 xdg_toplevel_icon_manager_v1
xdg_toplevel_tag_manager_v1 xdg_wm_dialog_v1 org_kde_kwin_blur_manager
org_kde_kwin_contrast_manager org_kde_kwin_idle
org_kde_kwin_server_decoration_manager org_kde_kwin_shadow_manager
org_kde_kwin_slide_manager'''.split()

# What the device lets them see only where its host says so.
ASKED = '''zxdg_exporter_v1 zxdg_importer_v1 zxdg_exporter_v2 zxdg_importer_v2
zwp_idle_inhibit_manager_v1 ext_idle_notifier_v1 zwp_pointer_constraints_v1
zwp_keyboard_shortcuts_inhibit_manager_v1 xdg_toplevel_tag_manager_v1
org_kde_kwin_idle'''.split()

# What hosts may have and guests are not to see.
HIDDEN = '''vwl_unheard_of_v1 wl_drm weston_debug_v1 weston_screenshooter
zwlr_screencopy_manager_v1 zwlr_virtual_pointer_manager_v1
zwp_virtual_keyboard_manager_v1 ext_session_lock_manager_v1
wp_drm_lease_device_v1 zwp_input_method_v1 zwp_input_panel_v1
zwp_fullscreen_shell_v1 zwp_xwayland_keyboard_grab_manager_v1 gtk_shell1
zwlr_data_control_manager_v1 wp_linux_drm_syncobj_manager_v1'''.split()

# The bridge answers for these itself, or takes part: they have tests of
# their own, in special.py, newer.py and dmabuf.py.
OWN = {'wl_display', 'wl_registry', 'wl_shm_pool',
       ('wl_shm', 'create_pool'), ('wl_shm', 'release'),
       ('wp_commit_timer_v1', 'set_timestamp'),
       ('wp_image_description_creator_icc_v1', 'set_icc_file'),
       ('wp_image_description_info_v1', 'icc_file'),
       ('wp_presentation_feedback', 'presented'),
       ('wl_keyboard', 'keymap'), 'zwp_linux_buffer_params_v1',
       ('zwp_linux_dmabuf_feedback_v1', 'format_table'),
       ('zwp_linux_explicit_synchronization_v1', 'get_synchronization'),
       'zwp_linux_surface_synchronization_v1',
       'zwp_linux_buffer_release_v1'}

INTERFACES = wayland.load_all(CORE, PROTOCOLS)
CAPS = wayland.caps()
LONG = 'Zaż\u00f3łć gęślą jaźń \U0001f427 ' * 20
INTS = [0, 1, -1, 2**31 - 1, -2**31, 0x12345678]
UINTS = [0, 1, 2**32 - 1, 2**31, 0x80000001, 0x12345678]
STRINGS = ['', 'a', 'abc', 'abcd', LONG, 'text/plain;charset=utf-8']
ARRAYS = [b'', b'\x01', b'\0\0\0\0', bytes(range(256)) * 3, b'12345', b'x' * 8]
VARIANTS = len(INTS)
HIGHEST = 99


def makers(iface):
    """(parent interface, message, whether the client says it)"""
    for parent in INTERFACES.values():
        for requests, messages in ((True, parent.requests),
                                   (False, parent.events)):
            for message in messages:
                if any(a.kind == 'n' and a.iface == iface
                       for a in message.args):
                    yield parent.name, message, requests


class Walk(world.World):
    def get(self, iface):
        """An object of it, made on the way if need be."""
        if iface in self.alive:
            return self.alive[iface]
        return self.make(iface)

    def make(self, iface, seen=()):
        if iface in self.bound:
            return self.bind(iface)
        parents = [m for m in makers(iface)
                   if m[0] not in seen and (m[0], m[1].name) not in OWN and
                   m[0] not in OWN and self.is_reachable(m[0], seen)]
        assert parents, f'nothing makes a {iface}'
        parent, message, request = parents[0]
        if parent not in self.alive:
            self.make(parent, seen + (iface,))
        said = self.say(self.alive[parent], message, request, 0)
        at = next(i for i, a in enumerate(message.args)
                  if a.kind == 'n' and a.iface == iface)
        self.alive[iface] = said[at]
        return said[at]

    def is_reachable(self, iface, seen):
        return iface in self.alive or iface in self.bound or any(
            self.is_reachable(m[0], seen + (iface,)) for m in makers(iface)
            if m[0] not in seen and m[0] not in OWN and
            (m[0], m[1].name) not in OWN)

    def value(self, arg, variant):
        if arg.kind in 'if':
            return INTS[variant]
        if arg.kind == 'u':
            return UINTS[variant]
        if arg.kind in 'sa':
            if arg.nullable and variant == 3:
                return None
            return (STRINGS if arg.kind == 's' else ARRAYS)[variant]
        if arg.nullable and variant in (3, 5):
            return 0
        # an object without an interface may be any
        return self.get(arg.iface or 'wl_surface')

    def say(self, obj, message, request, variant):
        """The message with arguments of a variant; its values."""
        peer = self.client if request else self.host
        assert sum(a.kind == 'h' for a in message.args) <= 1
        ends = None
        values = [None if arg.kind in 'nh' else self.value(arg, variant)
                  for arg in message.args]
        # ids last: whatever was needed on the way has taken some
        for i, arg in enumerate(message.args):
            if arg.kind == 'h':
                ends = os.pipe()
                values[i] = ends[1]
            elif arg.kind == 'n':
                values[i] = peer.new()
        heard = (self.request if request else self.event)(
            obj, message.name, *values)
        if ends:
            fd = next(v for a, v in zip(message.args, heard)
                      if a.kind == 'h')
            self.through(ends, fd, b'%d' % variant * 70000)
        return values

    @staticmethod
    def through(ends, fd, data):
        """Bytes and then the end, through a pipe that was handed over."""
        os.close(ends[1])
        got, left = b'', data
        os.set_blocking(fd, False)
        while True:
            ready = select.select([ends[0]], [fd] if left else [], [], 30)
            assert ready[0] or ready[1], 'a pipe stands still'
            if ready[1]:
                left = left[os.write(fd, left):]
                if not left:
                    os.close(fd)
            if ready[0]:
                some = os.read(ends[0], 65536)
                got += some
                if not some:
                    break
        os.close(ends[0])
        assert got == data, f'{len(got)} bytes of {len(data)}, or others'

    def usable(self, iface, message):
        return (iface not in OWN and (iface, message.name) not in OWN and
                message.since <= self.version)

    def walk(self, iface):
        """Everything that can be said to and by one object of it: how much
        that was, and the interfaces of what it makes."""
        said, made = 0, []
        for request in (True, False):
            for message in INTERFACES[iface].requests if request else \
                    INTERFACES[iface].events:
                if message.destructor or not self.usable(iface, message):
                    continue
                for variant in range(VARIANTS):
                    values = self.say(self.get(iface), message, request,
                                      variant)
                    said += 1
                for arg, value in zip(message.args, values):
                    if arg.kind == 'n':
                        made.append(arg.iface)
                        self.alive[arg.iface] = value
        return said, made

    def end_all(self, iface):
        """Each of its destructors, on an object made for it."""
        said = 0
        for request in (True, False):
            for message in INTERFACES[iface].requests if request else \
                    INTERFACES[iface].events:
                if not message.destructor or not self.usable(iface, message):
                    continue
                obj = self.make(iface)
                self.say(obj, message, request, 1)
                self.destroyed(obj)
                said += 1
        return said

    def walk_row(self, row):
        assert row in self.bound, f'{row} is not offered'
        version = self.version = self.bound[row][1]
        wanted = min(INTERFACES[row].version, CAPS[row])
        assert version == wanted, f'version {version}, not {wanted}'
        self.bind(row)
        self.alive['wl_registry'] = self.registry
        reached, todo, said = [], [row], 0
        while todo:
            iface = todo.pop(0)
            if iface not in reached and iface not in OWN:
                reached.append(iface)
                more, made = self.walk(iface)
                said += more
                todo += made
        # and the younger first: they may need what is older
        for iface in reversed(reached):
            said += self.end_all(iface)
        self.sync()
        assert self.client.is_silent() and self.host.is_silent()
        return said, reached


def offer(version):
    """All that there is, in a strange order, and what is to be hidden."""
    offered = []
    for i, row in enumerate(ROWS):
        offered.append((row, version))
        if i < len(HIDDEN):
            offered.append((HIDDEN[i], 1))
    return offered


suite = world.Suite()
tool = world.Tool(TOOL, '--copy-pools', '--allow=' + ','.join(ASKED))
first = Walk(tool, INTERFACES, offer(HIGHEST))
before = tool.fds()

with suite.case('what is not in the table is not offered'):
    assert set(first.bound) <= set(ROWS), set(first.bound) - set(ROWS)
with suite.case('a version that the host does not have is not offered'):
    low = Walk(tool, INTERFACES, offer(1))
    assert {version for _, version in low.bound.values()} == {1}
    low.close()
with suite.case('a global that goes is gone for those who saw it'):
    names = {name: i for i, (name, _) in enumerate(offer(1), 1)}
    first.event(first.registry, 'global_remove', names['wl_output'])
    first.host.say(first.ids[first.registry], 'global_remove',
                   names['wl_drm'])
    first.sync()

for row in ROWS:
    with suite.case(row):
        walk = Walk(tool, INTERFACES, offer(HIGHEST))
        with contextlib.closing(walk):
            said, reached = walk.walk_row(row)
        print(f'# {said} messages of {", ".join(reached)}')
with suite.case('descriptors are back where they began'):
    world.until('descriptors are back', lambda: tool.fds() <= before)
first.close()
with suite.case('the tool ends well'):
    tool.stop()
suite.end()
