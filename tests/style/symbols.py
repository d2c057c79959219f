#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""The plugin exports one symbol, stays loaded, and calls nothing that has an
effect on its whole process; an idle daemon maps no libraries that few of them
use."""

import re
import subprocess
import sys

FORBIDDEN = {'abort', 'exit', '_exit', 'signal', 'sigaction', 'setenv',
             'putenv', 'chdir', 'umask', 'g_main_context_default', 'atexit'}

# by the modules that need them, which are loaded where they are asked for
SELDOM = re.compile(r'NEEDED.*\[(lib(?:json-glib|gobject|gio)-.*)\]')


def run(*command):
    return subprocess.run(command, check=True, capture_output=True,
                          text=True).stdout


def main():
    plugin = sys.argv[1]
    defined = {line.split()[-1]
               for line in run('nm', '-D', '--defined-only',
                               plugin).splitlines()}
    # what a sanitizer's or coverage's own runtime adds is not ours
    defined = {name for name in defined
               if not re.match(r'^(__(a|ub|l|t)san|__sanitizer|_fini|_init|'
                               r'__start_|__stop_|__gcov|__odr_asan)', name)}
    called = {line.split()[-1].split('@')[0]
              for line in run('nm', '-D', '-u', plugin).splitlines()}
    dynamic = run('readelf', '-d', plugin)
    checks = [
        (defined == {'vwl_plugin_get'}, f'exports {sorted(defined)}'),
        ('NODELETE' in dynamic, 'is marked nodelete'),
        (not called & FORBIDDEN, f'calls {sorted(called & FORBIDDEN)}'),
        ('NOW' in dynamic, 'is bound at load'),
    ]
    for daemon in sys.argv[2:]:
        needed = SELDOM.findall(run('readelf', '-d', daemon))
        checks.append((not needed, f'the daemon needs {needed}'))
    print(f'1..{len(checks)}')
    for number, (good, text) in enumerate(checks, 1):
        print('ok' if good else 'not ok', number, '-', text)
    return not all(good for good, _ in checks)


if __name__ == '__main__':
    sys.exit(main())
