#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""What README and docs/ name exists: files, links and their anchors, options
of the programs and scripts, properties of the QEMU device, environment
variables, identifiers, quoted code, test suites and tests, and every function
of the device ABI in docs/abi.md.

    names.py SOURCE BUILD PROGRAM..."""

import json
import pathlib
import re
import subprocess
import sys

# Options and properties of other people's programs that the docs show.
FOREIGN_OPTIONS = {
    'apt': {'no-install-recommends'},
    'crosvm': {'vhost-user'},
    'meson': {'suite', 'benchmark', 'buildtype', 'prefix'},
    'mokutil': {'import'},
    'pkg-config': {'variable', 'cflags'},
    'systemctl': {'user', 'now', 'global'},
    'udevadm': {'subsystem-match'},
    'virsh': {'connect', 'all'},
    'weston': {'backend', 'use-pixman', 'xwayland'},
}
FOREIGN_PROPERTIES = {'id', 'bus', 'addr', 'ats', 'packed', 'iommu_platform',
                      'driver'}
# Names that stand for any name of their kind.
STAND_INS = {'vwl_thing', 'MODULE.c'}
# Words that begin a path in the tree, or within one of these folders.
TOPS = ('.ci', 'docs', 'include', 'plugin', 'qemu-glue', 'tests')
WITHIN = ('plugin', 'qemu-glue', 'qemu-glue/device', 'qemu-glue/guest',
          'include')


def read(paths):
    return '\n'.join(path.read_text(errors='replace') for path in paths)


class Tree:
    """What there is: collected once from the sources and the build."""

    def __init__(self, root, build, programs):
        self.root = root
        files = [path for top in ('include', 'plugin', 'qemu-glue', 'tests')
                 for path in (root / top).rglob('*') if path.is_file()
                 and '__pycache__' not in path.parts
                 and root / 'tests/style' not in path.parents]
        code = read(p for p in files if p.suffix in ('.c', '.h'))
        scripts = read(p for p in files if p.suffix in ('.py', '.sh', ''))
        self.words = set(re.findall(r'\b[A-Za-z_]\w+', code))
        self.variables = set(
            re.findall(r'getenv\("(\w+)"', code) +
            re.findall(r'\$\{?(VWL_\w+)', scripts) +
            re.findall(r'environ(?:\.get\(|\[)[\'"](\w+)', scripts))
        self.options = set().union(*FOREIGN_OPTIONS.values()) | set(
            re.findall(r'--([a-z][\w-]*)(?:=\*)?\s*[)|]', scripts) +
            re.findall(r'add_argument\(\s*[\'"]--([\w-]+)', scripts) +
            # of commands of vwl: their own, and settings of a machine
            re.findall(r'\{ "([a-z][\w-]*)", (?:0|\'.\'|VWL_SETTING_)', code))
        for program in programs:
            said = subprocess.run([program, '--help'], check=True,
                                  capture_output=True, text=True).stdout
            self.options |= set(re.findall(r'--([a-z][\w-]*)', said))
        self.properties = FOREIGN_PROPERTIES | set(
            re.findall(r'DEFINE_PROP\w*\(\s*"([\w-]+)"', code))
        self.tests, self.suites = set(), set()
        tests = json.loads((build / 'meson-info/intro-tests.json').read_text())
        for test in tests:
            self.tests.add(test['name'])
            self.suites |= {suite.rpartition(':')[2]
                            for suite in test['suite']}
        self.files = {path.name for path in files}

    def has_path(self, page, path):
        """A path in the tree, from its top, from the page, or within one of
        the folders that texts leave out."""
        path = path.rstrip('/')
        if '*' in path:
            return any(next(base.glob(path), None) for base in (
                self.root, *(self.root / within for within in WITHIN)))
        while re.search(r'(^|/)[A-Z]+$', path): # corpus/TARGET
            path = path.rpartition('/')[0]
        if re.search(r'[A-Z]{3}', path) and not (self.root / path).exists():
            return True # patches/qemu-VERSION.patch stands for several
        return any((base / path).exists() for base in
                   (self.root, page.parent,
                    *(self.root / within for within in WITHIN)))


def anchors(path):
    """GitHub's: lower case, spaces to hyphens, everything else dropped."""
    return {re.sub(r'[^\w\- ]', '', title.lower()).replace(' ', '-')
            for title in re.findall(r'^#+ (.*)$', path.read_text(), re.M)}


def check_links(page, text, problems):
    for target in re.findall(r'\]\(([^)\s]+)\)', text):
        if re.match(r'[a-z]+:', target):
            continue
        path, _, anchor = target.partition('#')
        file = (page.parent / path) if path else page
        if not file.exists():
            problems.append(f'{page.name}: link to {target}')
        elif anchor and anchor not in anchors(file):
            problems.append(f'{page.name}: no heading for #{anchor} in '
                            f'{file.name}')


def check_paths(tree, page, text, problems):
    for path in re.findall(r'(?<![\w./$-])([\w.-]+/[\w./*-]*)', text):
        path = path.rstrip('.')
        top = path.split('/')[0]
        inside = top in TOPS or (top.islower() and any(
            (tree.root / within / top).is_dir() for within in WITHIN))
        if inside and not tree.has_path(page, path):
            problems.append(f'{page.name}: there is no {path}')
    for name in re.findall(r'`([\w-]+\.(?:[chp]|py|sh))`', text):
        if name not in tree.files | STAND_INS:
            problems.append(f'{page.name}: there is no {name}')


def check_words(tree, page, text, problems):
    for option in re.findall(r'(?<![\w-])--([a-z][a-z-]*)', text):
        if option not in tree.options:
            problems.append(f'{page.name}: no option --{option}')
    for word in re.findall(r'\b(?:vwl|VWL|VIRTIO_WL|VIRTWL)_\w+', text):
        if re.match(r'vwl_[A-Z]+_', word): # vwl_NAME_ops
            continue
        if word.endswith('_') and any(w.startswith(word) for w in tree.words):
            continue # vwl_core_*
        if word not in tree.words | tree.variables | STAND_INS:
            problems.append(f'{page.name}: nothing is called {word}')
    for device in re.findall(r'vhost-user-wl-(?:pci|device)(,[^\s\']+)', text):
        for name in re.findall(r',([\w-]+)=', device.replace(',,', ' ')):
            if name not in tree.properties:
                problems.append(f'{page.name}: no property {name}')


def check_quotes(root, page, text, problems):
    """Code below `<!-- quote: FILE -->` is a part of that file."""
    for path, code in re.findall(r'<!-- quote: (\S+) -->\n```c\n(.*?)```', text,
                                 re.S):
        if code not in (root / path).read_text():
            problems.append(f'{page.name}: {path} reads otherwise by now')


def check_suites(tree, problems):
    """The table of hacking.md has each suite, and docs/status.md names
    suites and tests that exist."""
    hacking = (tree.root / 'docs/hacking.md').read_text()
    table = re.search(r'^\| suite \|.*\n((?:\|.*\n)+)', hacking, re.M)
    told = set(re.findall(r'^\| `([\w-]+)`', table.group(1), re.M))
    for suite in sorted(told ^ tree.suites):
        problems.append(f'hacking.md: the suite {suite} is in one of table '
                        'and build alone')
    for page in ('docs/status.md', 'docs/hacking.md'):
        path = tree.root / page
        text = path.read_text() if path.exists() else ''
        for suite in re.findall(r'--suite (\w[\w-]*)', text):
            if suite not in tree.suites:
                problems.append(f'{page}: no suite {suite}')
    status = tree.root / 'docs/status.md'
    for row in re.findall(r'^\|.*\| *([^|]*) *\|$', status.read_text()
                          if status.exists() else '', re.M):
        for name in re.findall(r'`([\w.-]+)`', row):
            if name not in tree.suites | tree.tests:
                problems.append(f'status.md: no suite or test {name}')


# Rows of docs/security.md that are no promise, but a list of what is allowed,
# which a test of its own holds to the code.
NO_TESTS = {'| interface | version | what it gives |',
            '| commands | what they give |'}


def check_promises(tree, problems):
    """Each row of docs/security.md names a test that exists."""
    head = None
    for line in (tree.root / 'docs/security.md').read_text().splitlines():
        if not line.startswith('|'):
            head = None
        elif head is None:
            head = line
            if head not in NO_TESTS and not head.endswith('| test |'):
                problems.append(f'security.md: no tests beside {head}')
        elif head not in NO_TESTS and not line.startswith('|---'):
            names = re.findall(r'`([\w.-]+)`', line.split('|')[-2])
            unknown = set(names) - tree.tests - tree.suites
            if not names or unknown:
                problems.append(f'security.md: no test, or an unknown one, '
                                f'beside {line[:60]}')


def check_abi(root, problems):
    header = (root / 'include/vhost-user-wl/plugin.h').read_text()
    page = (root / 'docs/abi.md').read_text()
    calls = set(re.findall(r'\(\*(\w+)\)\(', header)) - {'vwl_plugin_get_fn'}
    for name in sorted(calls):
        if not re.search(rf'\b{name}\b', page):
            problems.append(f'abi.md: says nothing of {name}')
    for title in re.findall(r'^## (.*)$', page, re.M):
        for name in re.findall(r'\bdevice_\w+', title):
            if name not in calls:
                problems.append(f'abi.md: plugin.h has no {name}')


def main():
    root, build = (pathlib.Path(arg).resolve() for arg in sys.argv[1:3])
    tree = Tree(root, build, sys.argv[3:])
    problems = []
    pages = [root / 'README.md', *sorted((root / 'docs').glob('*.md'))]
    for page in pages:
        text = page.read_text()
        check_links(page, text, problems)
        check_paths(tree, page, text, problems)
        check_words(tree, page, text, problems)
        check_quotes(root, page, text, problems)
    check_suites(tree, problems)
    check_promises(tree, problems)
    check_abi(root, problems)
    print('1..1')
    for problem in dict.fromkeys(problems):
        print('#', problem)
    print('not ok 1' if problems else 'ok 1',
          f'- what {len(pages)} pages name exists')
    return bool(problems)


if __name__ == '__main__':
    sys.exit(main())
