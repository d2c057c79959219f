#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""The layers of docs/architecture.md, held: which folder may include which,
which libraries a layer's objects may call, and how long a file may be."""

import pathlib
import re
import subprocess
import sys

# layer -> the layers whose headers it may include (itself always)
LAYERS = {
    'plugin/base': {'include'},
    'plugin/compositor': {'include', 'plugin/base'},
    'plugin/guest': {'plugin/base'},
    'plugin/wayland': set(),
    'plugin/vhu': {'include', 'plugin/base', 'plugin/guest'},
    'plugin/wl': {'include', 'plugin/base'},
    'plugin/loop': {'include', 'plugin/base', 'plugin/compositor',
                    'plugin/guest', 'plugin/vhu', 'plugin/wl'},
    'plugin/abi': {'include', 'plugin/loop'},
    'plugin/daemon': {'include'},
    'qemu-glue/loopback': {'include', 'qemu-glue/guest'},
    'qemu-glue/guest': {'include', 'qemu-glue/loopback'},
    'qemu-glue/guest/bridge': {'include', 'qemu-glue/guest',
                               'plugin/wayland'},
    'qemu-glue/loopback/tool': {'include', 'qemu-glue/loopback',
                                'qemu-glue/guest',
                                'qemu-glue/guest/bridge'},
    'qemu-glue/device': {'include'},
}

# layers below the main loop: GLib's data types only
CORE = ('base', 'compositor', 'guest', 'vhu', 'wayland', 'wl')
MAIN_LOOP = re.compile(
    r'^(g_main_|g_source_|g_idle_|g_timeout_|g_unix_|g_object_|g_signal_|'
    r'g_socket|g_io_|g_thread_new|g_type_)')
NEVER = re.compile(r'^(abort|exit|_exit|signal|sigaction|setenv|putenv|chdir|'
                   r'umask|g_error|g_assertion_message.*|'
                   r'g_return_if_fail_warning|g_setenv)$')

HARD_CAP = 600


def includes(path):
    for line in path.read_text().splitlines():
        found = re.match(r'\s*#\s*include\s+"([^"]+)"', line)
        if found:
            yield found.group(1)


def owner(root, path, name):
    """The folder that the included name belongs to."""
    if (path.parent / name).exists():
        return path.parent.relative_to(root).as_posix()
    for base in ('include', 'plugin', 'qemu-glue/guest',
                 'qemu-glue/loopback', 'qemu-glue/guest/bridge'):
        if (root / base / name).exists():
            if base == 'include':
                return 'include'
            return (root / base / name).parent.relative_to(root).as_posix()
    return None


def check_sources(root, problems):
    for layer, allowed in LAYERS.items():
        for path in sorted((root / layer).glob('*.[ch]')):
            where = path.relative_to(root)
            lines = path.read_text().count('\n')
            if lines > HARD_CAP and layer.startswith('plugin/'):
                problems.append(f'{where}: {lines} lines, the cap is '
                                f'{HARD_CAP}')
            for name in includes(path):
                of = owner(root, path, name)
                if of is None or of == layer or of in allowed:
                    continue
                problems.append(f'{where}: includes {name} of {of}')


def undefined(archive):
    out = subprocess.run(['nm', '-u', str(archive)], check=True,
                         capture_output=True, text=True).stdout
    return {line.split()[-1] for line in out.splitlines()
            if line.strip().startswith('U ')}


def check_objects(build, problems):
    for layer in CORE + ('loop', 'abi'):
        archive = build / 'plugin' / layer / f'libvwl-{layer}.a'
        for symbol in sorted(undefined(archive)):
            if layer in CORE and MAIN_LOOP.match(symbol):
                problems.append(f'{archive.name}: calls {symbol}')
            if NEVER.match(symbol):
                problems.append(f'{archive.name}: calls {symbol}')


def main():
    root, build = (pathlib.Path(arg) for arg in sys.argv[1:3])
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
