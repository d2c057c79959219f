# SPDX-License-Identifier: BSD-3-Clause
"""Buffers of wl_shm as they are copied, in the hands of a client and of a
compositor double."""
import fcntl
import mmap
import os

import world

OFFERED = [('wl_compositor', 4), ('wl_shm', 1), ('wp_fifo_manager_v1', 1)]
ALIGN, PAGE = 256, 4096


class World(world.World):
    def __init__(self, tool, interfaces, offered=None):
        super().__init__(tool, interfaces, offered or OFFERED)
        self.compositor = self.bind('wl_compositor')
        self.shm = self.bind('wl_shm')
        self.surface = self.new(self.compositor, 'create_surface', None)
        self.pools, self.buffers = {}, {}

    def make(self, fd, size, offset, width, height, stride, form, keep=False):
        pool, buffer = self.client.new(), self.client.new()
        self.client.say(self.shm, 'create_pool', pool, fd, size)
        self.client.say(pool, 'create_buffer', buffer, offset, width, height,
                        stride, form)
        if not keep:
            self.client.say(pool, 'destroy')
        return buffer

    def show(self, buffer, *rects):
        """Attached, damaged, committed; what the double has of it."""
        self.client.say(self.surface, 'attach', buffer, 0, 0)
        for rect in rects:
            self.client.say(self.surface, 'damage_buffer', *rect)
        self.client.say(self.surface, 'commit')
        attached = None
        while True:
            said = self.host.hear()
            if said.name == 'create_pool':
                new, fd, size = said.args
                self.pools[new] = fd, size
            elif said.name == 'create_buffer':
                self.buffers[said.args[0]] = (said.id, *said.args[1:])
            elif said.name == 'attach':
                attached = said.args[0]
            elif said.name == 'commit':
                return Shown(*self.buffers[attached][1:],
                             *self.pools[self.buffers[attached][0]])

    def fails(self, where, code, why):
        said = self.client.hear()
        while said.name == 'delete_id':
            said = self.client.hear()
        assert (said.id, said.name) == (1, 'error'), said
        got_where, got, text = said.args
        assert (got_where, got) == (where, code), (got_where, got, text)
        assert why in text, text

    def close(self):
        for fd, _ in self.pools.values():
            os.close(fd)
        super().close()


class Shown:
    """A buffer as the double has it."""

    def __init__(self, offset, width, height, stride, form, fd, size):
        self.offset, self.width, self.height = offset, width, height
        self.stride, self.form, self.fd, self.size = stride, form, fd, size

    def rows(self, row_bytes):
        assert self.offset + self.stride * self.height <= self.size
        with mmap.mmap(self.fd, self.size, prot=mmap.PROT_READ) as memory:
            return [memory[self.offset + y * self.stride:][:row_bytes]
                    for y in range(self.height)]

    def is_for_a_gpu(self):
        return (self.offset % PAGE == 0 and self.stride % ALIGN == 0 and
                os.fstat(self.fd).st_size % PAGE == 0 and
                bool(fcntl.fcntl(self.fd, fcntl.F_GET_SEALS) &
                     fcntl.F_SEAL_SHRINK))


def memory(size, sealed=False):
    fd = os.memfd_create('pool', os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.ftruncate(fd, size)
    if sealed:
        fcntl.fcntl(fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK)
    return fd
