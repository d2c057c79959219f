#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""The layers of docs/architecture.md, held: which folder may include which,
and which libraries a layer's objects may call."""

import pathlib
import re
import subprocess
import sys

# layer -> the layers whose headers it may include (itself always); a folder
# within a layer is a part of it
LAYERS = {
    'plugin/base': {'include'},
    'plugin/compositor': {'include', 'plugin/base'},
    'plugin/guest': {'plugin/base'},
    'plugin/secctx': {'include', 'plugin/base'},
    'plugin/policy': {'include', 'plugin/base', 'plugin/wayland'},
    'plugin/vhu': {'include', 'plugin/base', 'plugin/guest'},
    'plugin/wayland': set(),
    'plugin/wl': {'include', 'plugin/base', 'plugin/policy',
                  'plugin/wayland'},
    'plugin/loop': {'include', 'plugin/base', 'plugin/compositor',
                    'plugin/guest', 'plugin/policy', 'plugin/secctx',
                    'plugin/vhu', 'plugin/wl'},
    'plugin/abi': {'include', 'plugin/loop'},
    'plugin/daemon': {'include', 'plugin/secctx'},
    'qemu-glue/loopback': {'include', 'qemu-glue/guest'},
    'qemu-glue/guest': {'include', 'qemu-glue/loopback'},
    'qemu-glue/guest/agent': {'qemu-glue/vwl/channel'},
    'qemu-glue/guest/bridge': {'include', 'qemu-glue/guest',
                               'plugin/wayland'},
    'qemu-glue/guest/bridge/handlers': {'qemu-glue/guest/bridge',
                                        'plugin/wayland'},
    'qemu-glue/guest/driver': {'include'},
    'qemu-glue/loopback/tool': {'include', 'plugin/daemon',
                                'qemu-glue/loopback', 'qemu-glue/guest',
                                'qemu-glue/guest/bridge'},
    'qemu-glue/device': {'include'},
    'qemu-glue/vwl': set(),
    'qemu-glue/vwl/channel': set(),
    'qemu-glue/vwl/desktop': {'qemu-glue/vwl/channel'},
    'qemu-glue/vwl/bus': {'qemu-glue/vwl'},
    'qemu-glue/vwl/share': set(),
    'qemu-glue/vwl/client': {'qemu-glue/vwl', 'qemu-glue/vwl/bus',
                             'qemu-glue/vwl/channel'},
    'qemu-glue/vwl/window': {'qemu-glue/vwl', 'qemu-glue/vwl/bus'},
    'qemu-glue/vwl/service': {'qemu-glue/vwl', 'qemu-glue/vwl/bus',
                              'qemu-glue/vwl/channel',
                              'qemu-glue/vwl/desktop'},
}

# layers below the main loop: GLib's data types only
CORE = ('base', 'compositor', 'guest', 'policy', 'secctx', 'vhu', 'wayland',
        'wl')
MAIN_LOOP = re.compile(
    r'^(g_main_|g_source_|g_idle_|g_timeout_|g_unix_|g_object_|g_signal_|'
    r'g_socket|g_io_|g_thread_new|g_type_)')
NEVER = re.compile(r'^(abort|exit|_exit|signal|sigaction|setenv|putenv|chdir|'
                   r'umask|g_error|g_assertion_message.*|'
                   r'g_return_if_fail_warning|g_setenv)$')


def includes(path):
    for line in path.read_text().splitlines():
        found = re.match(r'\s*#\s*include\s+"([^"]+)"', line)
        if found:
            yield found.group(1)


def layer_of(where):
    """The longest layer that the file is in."""
    if where.startswith('include/'):
        return 'include'
    inside = [layer for layer in LAYERS if where.startswith(layer + '/')]
    return max(inside, key=len, default=None)


def find(root, path, name):
    """The layer of the file that is included, None if it is not ours."""
    for base in (path.parent, *(root / base for base in (
            'include', 'plugin', 'qemu-glue/guest', 'qemu-glue/loopback',
            'qemu-glue/guest/bridge', 'qemu-glue/vwl'))):
        if (base / name).exists():
            where = (base / name).resolve().relative_to(root)
            return layer_of(where.as_posix())
    return None


def check_sources(root, problems):
    paths = {path for layer in LAYERS
             for path in (root / layer).rglob('*.[ch]')
             if not path.name.endswith('.mod.c')} # made by kbuild
    for path in sorted(paths):
        where = path.relative_to(root).as_posix()
        layer = layer_of(where)
        for name in includes(path):
            of = find(root, path, name)
            if of not in (None, layer) and of not in LAYERS[layer]:
                problems.append(f'{where}: includes {name} of {of}')


def undefined(archive):
    out = subprocess.run(['nm', '-u', str(archive)], check=True,
                         capture_output=True, text=True).stdout
    return {line.split()[-1] for line in out.splitlines()
            if line.strip().startswith('U ')}


def check_objects(build, problems):
    for layer in CORE + ('loop', 'abi'):
        archive = build / 'plugin' / layer / f'libvwl-{layer}.a'
        if layer == 'wayland' and not archive.exists():
            continue # a build without the bridge
        for symbol in sorted(undefined(archive)):
            if layer in CORE and MAIN_LOOP.match(symbol):
                problems.append(f'{archive.name}: calls {symbol}')
            if NEVER.match(symbol):
                problems.append(f'{archive.name}: calls {symbol}')


def main():
    root, build = (pathlib.Path(arg).resolve() for arg in sys.argv[1:3])
    problems = []
    check_sources(root, problems)
    check_objects(build, problems)
    print('1..1')
    for problem in problems:
        print('#', problem)
    print('not ok 1' if problems else 'ok 1', '- layers')
    return bool(problems)


if __name__ == '__main__':
    sys.exit(main())
