#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""tests/results, by a project of tests that fail once, always or now and then:
which are run again, how often, and what is said of them in the end.

    results.py SOURCE"""

import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile

# name: (suite, the turns at which it fails, what it then says)
TESTS = {
    'bridge-typing-sway': ('bridge', '1', 'FAILED: the first of all'),
    'vm-always': ('vm', '.*', 'FAILED: as always'),
    'vm-second': ('vm', '[13579]', 'FAILED: at each second'),
    'vm-fourth': ('vm', '1|4', 'FAILED: at the fourth'),
    'bridge-apps-sway': ('bridge', '1', 'the device: our bug: it is ours'),
    'bridge-wire': ('bridge', '1', 'FAILED: of our own code alone'),
    'vm-driver-hostile': ('vm', '1', 'FAILED: what must never happen'),
    'unit-good': ('unit', 'none', ''),
}
RUNS = {'bridge-typing-sway': 4, 'vm-always': 2, 'vm-second': 3, 'vm-fourth': 4,
        'bridge-apps-sway': 1, 'bridge-wire': 1, 'vm-driver-hostile': 1,
        'unit-good': 1}
SCRIPT = '''#!/bin/sh
echo x >>"$1.runs"
turn=$(($(wc -l <"$1.runs")))
if echo "$turn" | grep -qxE "$2"; then echo "$3"; exit 1; fi
'''


class Project:
    def __init__(self, root, folder, tests):
        self.program = root / 'tests/results'
        self.path = pathlib.Path(folder)
        (self.path / 'script').write_text(SCRIPT)
        (self.path / 'script').chmod(0o755)
        (self.path / 'results').mkdir()
        lines = ["project('scratch')",
                 "add_test_setup('other', env: {'OTHER': '1'})",
                 "add_test_setup('plain', is_default: true, "
                 "exclude_suites: ['packages'])"]
        lines += [f"test('{name}', files('script'), args: ['{self.path}/"
                  f"{name}', '{turns}', '{said}'], suite: '{suite}')"
                  for name, (suite, turns, said) in tests.items()]
        (self.path / 'meson.build').write_text('\n'.join(lines) + '\n')
        self.run('meson', 'setup', self.path / 'build', self.path)

    def run(self, *command):
        """(exit status, what it said)"""
        # whoever tests this may have set what meson hands its tests
        done = subprocess.run(
            command, text=True, stdout=subprocess.PIPE, check=False,
            stderr=subprocess.STDOUT, timeout=60,
            env={k: v for k, v in os.environ.items()
                 if not k.startswith('MESON')})
        return done.returncode, done.stdout

    def stage(self, *options):
        return self.run(self.program, 'stage', self.path / 'build',
                        self.path / 'results/0-scratch', *options)

    def count(self):
        return self.run(self.program, 'count', self.path / 'results', '10',
                        '0')

    def runs(self, name):
        path = self.path / (name + '.runs')
        return len(path.read_text().split()) if path.exists() else 0

    def results(self):
        text = (self.path / 'results/0-scratch.json').read_text()
        return {entry['name'].split(' / ')[1]: entry['result']
                for entry in map(json.loads, text.splitlines())}


def every_kind(root):
    """Each once: what passes in the end, and what does not."""
    with tempfile.TemporaryDirectory() as folder:
        project = Project(root, folder, TESTS)
        status, said = project.stage()
        assert status == 1, (status, said)
        runs = {name: project.runs(name) for name in TESTS}
        assert runs == RUNS, (runs, said)
        assert 'unsteady: scratch:bridge / bridge-typing-sway' in said, said
        bad = {name for name, result in project.results().items()
               if result == 'FAIL'}
        assert bad == set(TESTS) - {'bridge-typing-sway', 'unit-good'}, bad
        status, said = project.count()
        assert status == 1, said
        assert said.endswith('\n1 unsteady: bridge-typing-sway\n'
                             '12 passed, 6 failed\n'), said
        assert 'FAILED: the first of all' in said, said
        failed = re.findall(r'== failed: 0-scratch scratch:\w+ / (\S+):', said)
        assert set(failed) == bad, said


def unsteady_alone(root):
    """With options of a stage; the whole has passed."""
    with tempfile.TemporaryDirectory() as folder:
        project = Project(root, folder, {
            'packages-x': ('packages', '1', 'FAILED: once'),
            'vm-x': ('vm', '.*', 'not asked for')})
        status, said = project.stage('--setup=other', '--suite', 'packages')
        assert status == 0, said
        assert (project.runs('packages-x'), project.runs('vm-x')) == (4, 0)
        status, said = project.count()
        assert status == 0, said
        assert said.endswith('\n1 unsteady: packages-x\n'
                             '11 passed, 0 failed\n'), said


def too_many(root):
    """What is broken for all of them is not run again."""
    with tempfile.TemporaryDirectory() as folder:
        names = [f'vm-{number}' for number in range(7)]
        project = Project(root, folder, {
            name: ('vm', '1', 'FAILED: once') for name in names})
        assert project.stage()[0] == 1
        assert [project.runs(name) for name in names] == [1] * 7
        assert project.count()[1].endswith('\n10 passed, 7 failed\n')


def steady(root):
    """Nothing to say but the count; and no result at all is a failure."""
    with tempfile.TemporaryDirectory() as folder:
        project = Project(root, folder, {
            'vm-good': ('vm', 'none', '')})
        assert project.stage()[0] == 0
        assert project.count() == (0, '11 passed, 0 failed\n')
        assert project.stage('--suite', 'nobody')[0] == 1
        assert project.count()[1].endswith('\n10 passed, 1 failed\n')


def main():
    root = pathlib.Path(sys.argv[1])
    cases = (every_kind, unsteady_alone, too_many, steady)
    print(f'1..{len(cases)}')
    for number, case in enumerate(cases, 1):
        case(root)
        print(f'ok {number} - {case.__doc__.splitlines()[0]}', flush=True)


if __name__ == '__main__':
    main()
