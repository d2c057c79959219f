#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""What plugin/wayland/byhand.txt says of interfaces, compared with the XML of
those that is installed here.

    byhand.py CORE_XML PROTOCOLS_DIRECTORY
"""
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import wayland
import world

CORE, PROTOCOLS = sys.argv[1:3]
ELSEWHERE = pathlib.Path('/usr/share/plasma-wayland-protocols')


def told(messages, version):
    """What matters of them on the wire, up to a version."""
    return [(m.name, m.since, m.destructor,
             [(a.kind, a.iface, a.nullable) for a in m.args])
            for m in messages if m.since <= version]


def compare(ours, theirs):
    assert ours.version <= theirs.version, \
        f'version {ours.version} of {theirs.version}'
    for mine, others in ((ours.requests, theirs.requests),
                         (ours.events, theirs.events)):
        mine, others = (told(m, ours.version) for m in (mine, others))
        assert mine == others, f'{mine}\nnot\n{others}'


def main():
    suite = world.Suite()
    paths = sorted(pathlib.Path(PROTOCOLS).glob('*/*/*.xml')) + sorted(
        ELSEWHERE.glob('*.xml'))
    found = wayland.load(*paths, CORE)
    missing = []
    for name, interface in sorted(wayland.by_hand().items()):
        if name in found:
            with suite.case(name):
                compare(interface, found[name])
        else:
            missing.append(name)
    with suite.case('each that a global makes is described'):
        known = wayland.load_all(CORE, PROTOCOLS)
        for interface in wayland.by_hand().values():
            for message in interface.requests + interface.events:
                for arg in message.args:
                    assert arg.iface is None or arg.iface in known, arg
    print('# without XML here: ' + (', '.join(missing) or 'none'))
    suite.end()


main()
