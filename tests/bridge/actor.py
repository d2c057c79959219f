# SPDX-License-Identifier: BSD-3-Clause
"""A Wayland program that does what a story tells it to: windows of one
colour, popups, cursors, drags. It keeps all that it hears.
"""
import os
import select
import socket
import subprocess
import threading

import wayland
from stage import PATIENCE, actors, until

ARGB, XRGB = 0, 1


def _interfaces():
    def directory(package):
        return subprocess.run(
            ['pkg-config', '--variable=pkgdatadir', package],
            stdout=subprocess.PIPE, check=True, text=True).stdout.strip()
    return wayland.load_all(directory('wayland-scanner') + '/wayland.xml',
                            directory('wayland-protocols'))


INTERFACES = _interfaces()


def pixel(colour, alpha=255):
    red, green, blue = colour
    return bytes((blue, green, red, alpha))


class Actor(wayland.Peer):
    def __init__(self, display):
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        sock.settimeout(PATIENCE)
        sock.connect(display)
        super().__init__(sock, INTERFACES)
        self.heard = []
        self.named = {}
        self.windows = {}
        self.gives = {}
        self.gone = False
        actors.append(self)
        self.registry = self.make(1, 'get_registry')
        self.sync()

    def close(self):
        if self in actors:
            actors.remove(self)
        super().close()

    def make(self, obj, name, *values):
        """A request whose first new id is filled in."""
        iface = self.objects[obj][0]
        message = next(m for m in self.interfaces[iface].requests
                       if m.name == name)
        at = next(i for i, a in enumerate(message.args) if a.kind == 'n')
        new = self.new()
        self.say(obj, name, *values[:at], new, *values[at:])
        return new

    def bind(self, name, version=1):
        if name not in self.named:
            raise SystemExit('FAILED: no ' + name)
        number, highest = self.named[name]
        new = self.new()
        self.say(self.registry, 'bind', number, name, min(version, highest),
                 new)
        return new

    def pump(self):
        while not self.gone and not self.is_still():
            try:
                self.take(self.hear())
            except (wayland.Gone, ConnectionResetError):
                self.gone = True

    def is_still(self):
        """Nothing is there, nor will a part of a message wait."""
        return not self.data and not select.select([self.sock], [], [], 0)[0]

    def say(self, obj, name, *values):
        try:
            super().say(obj, name, *values)
        except (BrokenPipeError, ConnectionResetError):
            self.gone = True

    def take(self, said):
        self.heard.append(said)
        name, args = said.iface + '.' + said.name, said.args
        if name == 'wl_registry.global':
            self.named[args[1]] = (args[0], args[2])
        elif name == 'xdg_wm_base.ping':
            self.say(said.id, 'pong', args[0])
        elif name == 'xdg_surface.configure':
            self.say(said.id, 'ack_configure', args[0])
            self.windows[said.id].on_configure()
        elif name == 'wl_data_source.send':
            self.give(said.id, args[0], args[1])
        elif name == 'wl_keyboard.keymap':
            os.close(args[1])
        elif name == 'wl_display.error':
            raise SystemExit('FAILED: %s' % (said,))

    def give(self, source, mime, fd):
        data = self.gives[source][mime]

        def write():
            with open(fd, 'wb') as file:
                try:
                    file.write(data)
                except BrokenPipeError:
                    pass
        threading.Thread(target=write, daemon=True).start()

    def all(self, name, obj=None):
        """Of 'interface.event', what was heard so far."""
        self.pump()
        return [s for s in self.heard
                if s.iface + '.' + s.name == name and obj in (None, s.id)]

    def last(self, name, obj=None):
        found = self.all(name, obj)
        return found[-1] if found else None

    def wait(self, name, obj=None, count=1):
        def check():
            found = self.all(name, obj)
            if self.gone and len(found) < count:
                raise SystemExit('the server is gone')
            return found[count - 1:] and found
        return until('%s, %d' % (name, count), check)[-1]

    def sync(self):
        done = self.make(1, 'sync')
        self.wait('wl_callback.done', done)

    def start(self):
        """What any program binds."""
        self.compositor = self.bind('wl_compositor', 4)
        self.shm = self.bind('wl_shm')
        self.base = self.bind('xdg_wm_base', 3)
        return self

    def take_seat(self):
        self.seat = self.bind('wl_seat', 5)
        has = self.wait('wl_seat.capabilities').args[0]
        if has & 1:
            self.pointer = self.make(self.seat, 'get_pointer')
        if has & 2:
            self.keyboard = self.make(self.seat, 'get_keyboard')
        self.devices = self.bind('wl_data_device_manager', 3)
        self.device = self.make(self.devices, 'get_data_device', self.seat)
        self.sync()
        return self

    def memory(self, width, height, contents, form=XRGB):
        """A buffer; contents are whole."""
        fd = os.memfd_create('actor')
        os.write(fd, contents)
        pool = self.make(self.shm, 'create_pool', fd, len(contents))
        os.close(fd)
        buffer = self.make(pool, 'create_buffer', 0, width, height,
                           width * 4, form)
        self.say(pool, 'destroy')
        return buffer

    def paint(self, surface, width, height, colour, scale=1):
        """Anew, all of it."""
        buffer = self.memory(width * scale, height * scale,
                             pixel(colour) * (width * height * scale ** 2))
        self.say(surface, 'set_buffer_scale', scale)
        self.say(surface, 'attach', buffer, 0, 0)
        self.say(surface, 'damage', 0, 0, width, height)
        self.say(surface, 'commit')
        self.say(buffer, 'destroy')

    def surface(self, width=0, height=0, colour=None):
        surface = self.make(self.compositor, 'create_surface')
        if colour:
            self.paint(surface, width, height, colour)
        return surface


class Window:
    """A toplevel of one colour, in whatever size it is told."""

    def __init__(self, actor, app_id, width, height, colour):
        self.actor, self.colour = actor, colour
        self.width, self.height = width, height
        self.surface = actor.surface()
        self.xdg = actor.make(actor.base, 'get_xdg_surface', self.surface)
        actor.windows[self.xdg] = self
        self.top = actor.make(self.xdg, 'get_toplevel')
        actor.say(self.top, 'set_app_id', app_id)
        actor.say(self.surface, 'commit')
        actor.wait('xdg_surface.configure', self.xdg)

    def on_configure(self):
        width, height, _ = self.actor.heard[-2].args \
            if self.actor.heard[-2].id == self.top else (0, 0, None)
        self.width, self.height = width or self.width, height or self.height
        self.paint()

    def paint(self):
        self.actor.paint(self.surface, self.width, self.height, self.colour)


class Popup:
    """Below the upper left corner of what it belongs to."""

    def __init__(self, actor, parent, at, size, colour, serial=None):
        self.actor, self.colour = actor, colour
        self.width, self.height = size
        place = actor.make(actor.base, 'create_positioner')
        actor.say(place, 'set_size', *size)
        actor.say(place, 'set_anchor_rect', *at, 1, 1)
        actor.say(place, 'set_anchor', 8)   # its lower right corner,
        actor.say(place, 'set_gravity', 8)  # and from there further on
        self.surface = actor.surface()
        self.xdg = actor.make(actor.base, 'get_xdg_surface', self.surface)
        actor.windows[self.xdg] = self
        self.popup = actor.make(self.xdg, 'get_popup', parent.xdg, place)
        actor.say(place, 'destroy')
        if serial is not None:
            actor.say(self.popup, 'grab', actor.seat, serial)
        actor.say(self.surface, 'commit')
        actor.wait('xdg_surface.configure', self.xdg)

    def on_configure(self):
        self.actor.paint(self.surface, self.width, self.height, self.colour)

    def end(self):
        for obj in (self.popup, self.xdg, self.surface):
            self.actor.say(obj, 'destroy')
