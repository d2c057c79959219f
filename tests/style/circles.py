#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""No circles: within a folder, no file calls one that calls it back, directly
or by way of others.

What counts are symbols, not includes: `nm` over the objects of a build tells
which file defines a name and which files use it. (Calls through tables of
functions are not seen, and need not be: that is what tables are for.) The
kernel module and the device in QEMU are not built here, so their sources are
read instead.

Where a folder has folders in it, its meson.build lists its files lowest first:
no file calls into a folder, or a file beside the folders, that is listed
later."""

import json
import pathlib
import re
import subprocess
import sys

# What is a circle today, and why it may be one. A circle that is not here
# fails, and so does one that is here and exists no more.
DECLARED = {
    'qemu-glue/guest/driver': [
        ('fence msg out vfd',
         'a VFD holds messages, which hold VFDs; its CLOSE is a request'),
        ('file ioctl map', 'operations of one kind of file'),
    ],
    'qemu-glue/loopback': [
        ('backend frontend turn',
         'a request waits for its answer in turns, and a turn serves the '
         "back-end's requests, which may send one of ours (a memory table)"),
    ],
}

PLUGIN = 'plugin/' # each folder there is one
FOLDERS = ('qemu-glue/guest', 'qemu-glue/guest/agent', 'qemu-glue/guest/x11',
           'qemu-glue/guest/bridge', 'qemu-glue/loopback',
           'qemu-glue/loopback/tool', 'qemu-glue/vwl',
           'qemu-glue/vwl/bus', 'qemu-glue/vwl/channel',
           'qemu-glue/vwl/client', 'qemu-glue/vwl/desktop',
           'qemu-glue/vwl/service', 'qemu-glue/vwl/share',
           'qemu-glue/vwl/window')
BY_SOURCE = ('qemu-glue/guest/driver', 'qemu-glue/device')


def folder_of(where):
    """The folder whose files are looked at together."""
    if where.startswith(PLUGIN):
        return '/'.join(where.split('/')[:2])
    inside = [f for f in FOLDERS if where.startswith(f + '/')]
    return max(inside, key=len, default=None)


def objects(root, build):
    """(file, object) for each compiled file of the product. A file may be
    compiled several times; an object that no target asked for is missing."""
    for entry in json.loads((build / 'compile_commands.json').read_text()):
        source = (pathlib.Path(entry['directory']) / entry['file']).resolve()
        if root not in source.parents:
            continue
        where = source.relative_to(root).as_posix()
        if folder_of(where):
            yield where, pathlib.Path(entry['directory']) / entry['output']


def names_of(paths):
    """object -> (names it defines, names it uses)"""
    out = subprocess.run(['nm', '-A', *map(str, paths)], check=True,
                         capture_output=True, text=True).stdout
    names = {str(path): (set(), set()) for path in paths}
    for line in out.splitlines():
        path, _, rest = line.partition(':')
        kind, name = rest.split()[-2:]
        if kind == 'U':
            names[path][1].add(name)
        elif kind.isupper() and kind not in 'Uw':
            names[path][0].add(name)
    return names


def by_objects(root, build, problems):
    """folder -> file -> (defined, used)"""
    found, built = {}, []
    for where, path in objects(root, build):
        found.setdefault(where, None)
        if path.exists():
            built.append((where, path))
    names = names_of([path for _, path in built])
    for where, path in built:
        defined, used = found[where] or (set(), set())
        found[where] = (defined | names[str(path)][0],
                        used | names[str(path)][1])
    folders = {}
    for where, both in found.items():
        if both is None:
            problems.append(f'{where}: is not built')
            continue
        folder = folder_of(where)
        file = where[len(folder) + 1:]
        folders.setdefault(folder, {})[file] = both
    return folders


def plain(text):
    """C without comments, strings and what stands between braces."""
    return re.sub(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"', ' ', text,
                  flags=re.S)


def by_source(folder):
    """file -> (defined, used), for sources that are not built here"""
    texts = {path.relative_to(folder).as_posix(): plain(path.read_text())
             for path in sorted(folder.rglob('*.c'))}
    declared = set()
    for path in folder.rglob('*.h'):
        text = plain(path.read_text())
        declared |= set(re.findall(r'\b(\w+)\s*\([^;{}]*\)\s*;', text))
        declared |= set(re.findall(r'^extern\b[^;(]*?\b(\w+)\s*(?:\[\])?;',
                                   text, flags=re.M))
    files = {}
    for file, text in texts.items():
        defined = set()
        for head in re.findall(r'^(?!static\b)\w[^;{}=]*?\b(\w+)\s*'
                               r'(?:\([^;{}]*\)\s*\{|(?:\[\w*\])?\s*=)', text,
                               flags=re.M):
            if head in declared:
                defined.add(head)
        files[file] = (defined, (set(re.findall(r'\b\w+\b', text))
                                 & declared) - defined)
    return files


def edges(files):
    """file -> {file it calls: one of the names}"""
    owner = {name: file for file, (defined, _) in files.items()
             for name in defined}
    return {file: {owner[name]: name for name in sorted(used)
                   if owner.get(name, file) != file}
            for file, (_, used) in files.items()}


def circles(graph):
    """Tarjan's strongly connected components of more than one file."""
    index, low, stack, found = {}, {}, [], []

    def visit(node):
        index[node] = low[node] = len(index)
        stack.append(node)
        for other in graph[node]:
            if other not in index:
                visit(other)
                low[node] = min(low[node], low[other])
            elif other in stack:
                low[node] = min(low[node], index[other])
        if low[node] == index[node]:
            part = set()
            while node not in part:
                part.add(stack.pop())
            if len(part) > 1:
                found.append(part)

    for node in sorted(graph):
        if node not in index:
            visit(node)
    return found


def check_circles(folder, graph, problems):
    declared = [set(names.split()) for names, _ in DECLARED.get(folder, [])]
    for part in circles(graph):
        short = {file[:-2] for file in part}
        if short in declared:
            declared.remove(short)
            continue
        problems.append(f'{folder}: a circle of {len(part)} files: '
                        + ' '.join(sorted(short)))
        for file in sorted(part):
            for other, name in graph[file].items():
                if other in part:
                    problems.append(f'    {file} calls {name} of {other}')
    for names in declared:
        problems.append(f'{folder}: declared in tests/style/circles.py, and '
                        'no circle any more: ' + ' '.join(sorted(names)))


def check_order(root, folder, graph, problems):
    if not any('/' in file for file in graph):
        return
    listed = re.findall(r"'([\w/-]+\.c)'",
                        (root / folder / 'meson.build').read_text())
    order = list(dict.fromkeys(file.rpartition('/')[0] or file
                               for file in listed))

    def rank(file):
        return order.index(file.rpartition('/')[0] or file)

    for file in sorted(set(graph) - set(listed)):
        problems.append(f'{folder}/meson.build: does not list {file}')
    for file in sorted(set(graph) & set(listed)):
        for other, name in graph[file].items():
            if other in listed and rank(file) < rank(other):
                problems.append(f'{folder}/{file} calls {name} of {other}, '
                                'which is listed after it')


def main():
    root, build = (pathlib.Path(arg).resolve() for arg in sys.argv[1:3])
    problems = []
    folders = by_objects(root, build, problems)
    for folder in BY_SOURCE:
        folders[folder] = by_source(root / folder)
    for folder in sorted(folders):
        graph = edges(folders[folder])
        check_circles(folder, graph, problems)
        if folder not in BY_SOURCE:
            check_order(root, folder, graph, problems)
    for folder in sorted(set(DECLARED) - set(folders)):
        problems.append(f'{folder}: has declared circles, and is not there')
    print('1..1')
    for problem in problems:
        print('#', problem)
    count = sum(map(len, folders.values()))
    print('not ok 1' if problems else 'ok 1',
          f'- no undeclared circle among {count} files')
    return bool(problems)


if __name__ == '__main__':
    sys.exit(main())
