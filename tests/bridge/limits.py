#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""What happens where something runs out: a paste ends, not its program; one
program, not its neighbours; and a paste that was given up is seen at once.

    limits.py TOOL CORE_XML PROTOCOLS_DIRECTORY
"""
import contextlib
import os
import pathlib
import select
import socket
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import wayland
import world

TOOL, CORE, PROTOCOLS = sys.argv[1:4]
INTERFACES = wayland.load_all(CORE, PROTOCOLS)
OFFERED = [(name, INTERFACES[name].version) for name in (
    'wl_compositor', 'wl_shm', 'wl_seat', 'wl_data_device_manager',
    'zwp_primary_selection_device_manager_v1')]


@contextlib.contextmanager
def bridge(*options, said=(), **more):
    """A tool that says exactly these lines: each a part of one."""
    tool = world.Tool(TOOL, *options, **more)
    before = tool.fds_at_rest()
    try:
        yield tool
        world.until(lambda: f'{before} descriptors, not {tool.fds()}',
                    lambda: tool.fds() <= before)
    finally:
        lines = tool.stop().splitlines()
    assert len(lines) == len(said), lines
    for line, part in zip(lines, said):
        assert part in line, f'{line!r}, not {part!r}'


@contextlib.contextmanager
def program(tool):
    w = world.World(tool, INTERFACES, OFFERED)
    try:
        yield w
    finally:
        w.close()


def is_given_up(fd):
    """Nobody reads any more, says a pipe's or socket's writing end."""
    poll = select.poll()
    poll.register(fd, 0)
    return any(mask & (select.POLLERR | select.POLLHUP)
               for _, mask in poll.poll(0))


def offer_of(w):
    """Of a selection."""
    device = w.new(w.bind('wl_data_device_manager'), 'get_data_device', None,
                   w.bind('wl_seat'))
    return w.event(device, 'data_offer', w.host.new())[0]


def source_of(w):
    return w.new(w.bind('wl_data_device_manager'), 'create_data_source', None)


def receive(w, offer, fd):
    """What the owner is to write into."""
    return w.request(offer, 'receive', 'text/plain', fd)[1]


def closed_at_once():
    """More than there may be at a time, each given up before it began."""
    with bridge('--max-pipes=20') as tool, program(tool) as w:
        offer, ends = offer_of(w), []
        for _ in range(200):
            ours, theirs = os.pipe()
            w.client.say(offer, 'receive', 'text/plain', theirs)
            os.close(ours)
            os.close(theirs)
            said = w.host.hear()
            assert said.name == 'receive', said
            ends.append(said.args[1])
            world.until('the owner knows',
                        lambda: is_given_up(ends[-1]))  # noqa: B023
        for end in ends:
            os.close(end)
        w.sync()


def closed_later(make):
    """While the owner is silent."""
    with bridge('--max-pipes=64') as tool, program(tool) as w:
        offer = offer_of(w)
        for _ in range(3):
            pastes = []
            for _ in range(60):
                ours, theirs = make()
                pastes.append((ours, receive(w, offer, theirs)))
                os.close(theirs)
            w.sync()
            assert not any(is_given_up(end) for _, end in pastes)
            for ours, end in pastes:
                os.close(ours)
                world.until('the owner knows',
                            lambda: is_given_up(end))  # noqa: B023
                os.close(end)
        w.sync()


def pipes_closed_later():
    closed_later(os.pipe)


def sockets_closed_later():
    closed_later(lambda: [s.detach() for s in socket.socketpair()])


def readers_of_a_source():
    """The other way: the host's reader has had enough."""
    with bridge('--max-pipes=64') as tool, program(tool) as w:
        source = source_of(w)
        for _ in range(3):
            pastes = []
            for _ in range(60):
                ours, theirs = os.pipe()
                pastes.append((ours, w.event(source, 'send', 'text/plain',
                                             theirs)[1]))
                os.close(theirs)
            w.sync()
            assert not any(is_given_up(end) for _, end in pastes)
            for ours, end in pastes:
                os.close(ours)
                world.until('the owner knows',
                            lambda: is_given_up(end))  # noqa: B023
                os.close(end)
        w.sync()


def dead_program():
    """Its pastes end with it, though their owner says nothing."""
    with bridge() as tool, program(tool) as bystander:
        with program(tool) as w:
            offer = offer_of(w)
            ours, theirs = os.pipe()
            end = receive(w, offer, theirs)
            os.close(theirs)
            w.client.close()
            os.close(ours)
            world.until('the owner knows', lambda: is_given_up(end))
            os.close(end)
        bystander.sync()


def too_many_pastes():
    with bridge('--max-pipes=4', '--copy-pools',
                said=['4 pipes of one program']) as tool, \
            program(tool) as w:
        offer, pastes = offer_of(w), []
        for _ in range(6):
            ours, theirs = os.pipe()
            pastes.append((ours, receive(w, offer, theirs)))
            os.close(theirs)
        for ours, end in pastes[4:]:
            assert os.read(ours, 1) == b'', 'no end'
            world.until('the owner knows',
                        lambda: is_given_up(end))  # noqa: B023
        for ours, end in pastes[:4]:
            os.write(end, b'whole')
            os.close(end)
            with open(ours, 'rb') as file:
                assert file.read() == b'whole'
        for ours, end in pastes[4:]:
            os.close(ours)
            os.close(end)
        # there is room again, the other way, too
        source, pastes = source_of(w), []
        for i in range(6):
            ours, theirs = os.pipe()
            w.host.say(w.ids[source], 'send', 'text/plain', theirs)
            os.close(theirs)
            if i >= 4:
                with open(ours, 'rb') as file:
                    assert file.read() == b'', 'the paste is not empty'
            else:
                pastes.append((ours, w.client.expect(source, 'send')[1]))
        for ours, end in pastes:
            os.write(end, b'whole')
            os.close(end)
            with open(ours, 'rb') as file:
                assert file.read() == b'whole'
        w.sync()


def no_pipe():
    """A file, a device: an empty paste."""
    with bridge() as tool, program(tool) as w:
        offer = offer_of(w)
        for theirs in os.memfd_create('file'), os.open('/dev/null', os.O_RDWR):
            end = receive(w, offer, theirs)
            world.until('the owner knows',
                        lambda: is_given_up(end))  # noqa: B023
            os.close(end)
            os.close(theirs)
        w.sync()


def maybe_ended():
    """What is said in it may come after the program's end."""
    return contextlib.suppress(BrokenPipeError, ConnectionResetError)


def ended(w, text):
    """Of a program: its error."""
    said = w.client.hear()
    while (said.id, said.name) != (1, 'error'):
        said = w.client.hear()
    assert text in said.args[2], said


def pool(w, shm, size=4096):
    fd = os.memfd_create('pool')
    os.ftruncate(fd, size)
    new = w.client.new()
    w.client.say(shm, 'create_pool', new, fd, size)
    os.close(fd)
    return new


def too_many_pools():
    with bridge('--max-pools=5', '--copy-pools',
                said=['5 memory pools of one program']) as tool, \
            program(tool) as bystander:
        for _ in range(2):
            with program(tool) as w:
                shm = w.bind('wl_shm')
                with maybe_ended():
                    for _ in range(6):
                        pool(w, shm)
                ended(w, 'too many pools')
        bystander.sync()


def too_much_memory():
    with bridge('--max-memory=1', '--copy-pools',
                said=['1 MiB of buffers of one program']) as tool, \
            program(tool) as bystander:
        with program(tool) as w:
            surface = w.new(w.bind('wl_compositor'), 'create_surface', None)
            made = pool(w, w.bind('wl_shm'), 1 << 22)
            buffer = w.client.new()
            w.client.say(made, 'create_buffer', buffer, 0, 1024, 1024, 4096, 1)
            w.client.say(surface, 'attach', buffer, 0, 0)
            ended(w, 'no memory')
        bystander.sync()


def many_objects():
    """More than 65536 of a program that is only busy."""
    with bridge() as tool, program(tool) as w:
        compositor = w.bind('wl_compositor')
        count = 0
        while count < 70000:
            data = b''
            for _ in range(1000):
                data += w.client.encode(compositor, 'create_region',
                                        w.client.new())[0]
                count += 1
            w.client.send(data, [])
            for _ in range(1000):
                assert w.host.hear().name == 'create_region'
        w.sync()


def too_many_objects():
    with bridge('--max-objects=100',
                said=['100 objects of one program']) as tool, \
            program(tool) as w:
        compositor = w.bind('wl_compositor')
        with maybe_ended():
            for _ in range(100):
                w.client.say(compositor, 'create_region', w.client.new())
        ended(w, 'invalid new id')


def too_many_programs():
    """The next one waits until another ends."""
    with bridge('--max-clients=2', said=['2 connections']) as tool:
        with program(tool) as first:
            with program(tool) as second:
                third = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
                third.connect(str(tool.path / 'guest'))
                third.sendall(b'')
                tool.listener.settimeout(1)
                try:
                    tool.listener.accept()
                    raise AssertionError('it did not wait')
                except TimeoutError:
                    pass
                tool.listener.settimeout(60)
                second.sync()
            tool.listener.accept()[0].close()
            first.sync()
        third.close()


def limited(limits, what):
    run = subprocess.run(
        ['prlimit', f'--nofile={limits}', sys.executable, __file__,
         *sys.argv[1:], what], check=False, stdout=subprocess.PIPE, text=True)
    assert run.returncode == 0, run.stdout


def with_few_descriptors():
    limited('160:160', 'few')


def with_more_for_the_asking():
    limited('1024:', 'more')


def more():
    """The tool asks, so nothing is to be said."""
    with bridge() as tool, program(tool) as one:
        one.sync()


def few():
    """One program takes all but what is kept for the others: they have
    keymaps, pastes and pools all the same; new ones wait for its end."""
    with bridge('--copy-pools',
                said=['may have 160 descriptors at once',
                      'nearly all 160 descriptors']) as tool, \
            program(tool) as bystander:
        keyboard = bystander.new(bystander.bind('wl_seat'), 'get_keyboard',
                                 None)
        offer, shm = offer_of(bystander), bystander.bind('wl_shm')
        with program(tool) as greedy:
            pools = greedy.bind('wl_shm')
            while tool.fds() < 78:
                pool(greedy, pools)
                greedy.sync()
            late = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            late.connect(str(tool.path / 'guest'))
            for _ in range(3):
                keymap = os.memfd_create('keymap')
                os.write(keymap, b'x' * 5000)
                os.close(bystander.event(keyboard, 'keymap', 1, keymap,
                                         5000)[1])
                os.close(keymap)
                pool(bystander, shm)
            ours, theirs = os.pipe()
            end = receive(bystander, offer, theirs)
            os.close(theirs)
            os.write(end, b'whole')
            os.close(end)
            with open(ours, 'rb') as file:
                assert file.read() == b'whole'
            with maybe_ended():
                for _ in range(4):
                    pool(greedy, pools)
            ended(greedy, 'too many descriptors')
        tool.listener.accept()[0].close()
        late.close()
        bystander.sync()


def main():
    suite = world.Suite()
    for case in (closed_at_once, pipes_closed_later, sockets_closed_later,
                 readers_of_a_source, dead_program, too_many_pastes, no_pipe,
                 too_many_pools, too_much_memory, many_objects,
                 too_many_objects, too_many_programs, with_few_descriptors,
                 with_more_for_the_asking):
        with suite.case(case.__name__.replace('_', ' ')):
            case()
    suite.end()


if __name__ == '__main__':
    if sys.argv[4:] == ['few']:
        few()
    elif sys.argv[4:] == ['more']:
        more()
    else:
        main()
