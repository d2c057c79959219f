#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Makes the tables (struct wl_interface) that table.c has rows for.

    tables.py SCANNER CORE_XML PROTOCOLS BY_HAND OUT_C OUT_H DEPFILE SOURCE...

Each `TABLED(NAME, ...)` of the sources is looked for in the XML of Wayland and
of the folder PROTOCOLS (wayland-protocols); OUT_C is what wayland-scanner makes
of the files where they are, and which requests end an object, which the scanner
leaves out; OUT_H declares all interfaces of these. An
interface that a source defines by hand is declared, and not looked for. What
no XML describes is taken from BY_HAND (byhand.txt), as its first lines say."""

import pathlib
import re
import subprocess
import sys
import tempfile
import xml.etree.ElementTree

ROW = re.compile(r'^\s*TABLED\((\w+)', re.M)
BY_HAND = re.compile(r'^(?!extern|static)[\w ]*struct wl_interface '
                     r'(\w+)_interface\s*=', re.M)
IN_XML = re.compile(r'<interface\s+name="(\w+)"')
# A protocol that has become stable may still be installed as unstable, too.
FOLDERS = ('stable', 'staging', 'unstable')

HEAD = """\
/* Made by plugin/wayland/tables.py: the interfaces whose tables are built in.
 * Pointers to them can be compared: each program has one of each. */
#ifndef VWL_WAYLAND_INTERFACES_H
#define VWL_WAYLAND_INTERFACES_H

#include <wayland-util.h>

struct vwl_wayland_ends {
    const struct wl_interface *iface;
    unsigned long long requests; /* bit i: the object is gone after that */
};

/* iface is NULL at their end. */
extern const struct vwl_wayland_ends vwl_wayland_ends[];

"""


def find_xml(core, protocols):
    """interface -> the file that describes it"""
    files = [core]
    for folder in FOLDERS:
        files += sorted((protocols / folder).rglob('*.xml'))
    found = {}
    for file in files:
        for name in IN_XML.findall(file.read_text(encoding='utf-8')):
            found.setdefault(name, file)
    return found


KINDS = {'i': 'int', 'u': 'uint', 'f': 'fixed', 's': 'string', 'a': 'array',
         'h': 'fd', 'o': 'object', 'n': 'new_id'}


def read_by_hand(path):
    """interface -> its element, as of an XML file"""
    made, node = {}, None
    for number, line in enumerate(path.read_text(encoding='utf-8')
                                  .splitlines(), 1):
        words = line.partition('#')[0].split()
        if not words:
            continue
        if words[0] not in '<>':
            node = xml.etree.ElementTree.Element('interface', dict(
                zip(('name', 'version'), words, strict=True)))
            made[words[0]] = node
            continue
        name, _, since = words[1].partition('@')
        message = xml.etree.ElementTree.SubElement(
            node, 'request' if words[0] == '>' else 'event',
            {'name': name.rstrip('!'), 'since': since or '1'})
        if name.endswith('!'):
            message.set('type', 'destructor')
        for i, word in enumerate(words[2:]):
            kind, _, interface = word.lstrip('?').partition(':')
            if kind not in KINDS or (kind in 'on') != bool(interface):
                sys.exit(f'{path}:{number}: {word} is no argument')
            arg = xml.etree.ElementTree.SubElement(message, 'arg', {
                'name': f'arg{i}', 'type': KINDS[kind]})
            if interface:
                arg.set('interface', interface)
            if word[0] == '?':
                arg.set('allow-null', 'true')
    return made


def made_by(node):
    """The interfaces that it names."""
    return [arg.get('interface') for arg in node.iter('arg')
            if arg.get('interface')]


def ends_of(nodes):
    """The C array of which requests are destructors."""
    rows = []
    for node in nodes:
        bits = sum(1 << i for i, request in enumerate(node.findall('request'))
                   if request.get('type') == 'destructor')
        if bits:
            rows.append(f'    {{ &{node.get("name")}_interface, {bits:#x}ull }},')
    return '\n'.join(['#include "interfaces.h"', '',
                      'const struct vwl_wayland_ends vwl_wayland_ends[] = {',
                      *rows, '    { NULL, 0 },', '};', ''])


def code_by_hand(scanner, rows, by_hand, described):
    """(code, interfaces) of the rows, and of all that they make, that no XML
    has."""
    wanted, todo = [], [row for row in rows if row not in described]
    while todo:
        name = todo.pop(0)
        if name in by_hand and name not in described and name not in wanted:
            wanted.append(name)
            todo += made_by(by_hand[name])
    if not wanted:
        return '', []
    root = xml.etree.ElementTree.Element('protocol', {'name': 'by_hand'})
    root.extend(by_hand[name] for name in wanted)
    with tempfile.NamedTemporaryFile(suffix='.xml') as file:
        xml.etree.ElementTree.ElementTree(root).write(file, encoding='utf-8')
        file.flush()
        return private_code(scanner, pathlib.Path(file.name)), wanted


def private_code(scanner, file):
    with file.open('rb') as xml: # a file: the scanner reads it twice
        return subprocess.run([scanner, 'private-code'], check=True, stdin=xml,
                              stdout=subprocess.PIPE).stdout.decode()


def main():
    scanner, core, protocols, noted, out_c, out_h, depfile = sys.argv[1:8]
    text = '\n'.join(pathlib.Path(path).read_text(encoding='utf-8')
                     for path in sys.argv[8:])
    by_hand = BY_HAND.findall(text)
    described = find_xml(pathlib.Path(core), pathlib.Path(protocols))
    noted = read_by_hand(pathlib.Path(noted))
    missing = [name for name in ROW.findall(text)
               if name not in by_hand and name not in described and
               name not in noted]
    if missing:
        sys.exit(f'{", ".join(missing)}: TABLED, but neither in {core}, nor '
                 f'below {protocols}, nor written by hand')
    files = list(dict.fromkeys(described[name] for name in ROW.findall(text)
                               if name not in by_hand and name in described))
    more, more_names = code_by_hand(scanner, ROW.findall(text), noted,
                                    described)
    code = [private_code(scanner, file) for file in files] + [more]
    names = sorted({*by_hand, *more_names, *(name for name, file in described.items()
                                if file in files)})
    nodes = [node for file in files for node in
             xml.etree.ElementTree.parse(file).getroot().iter('interface')]
    nodes += [noted[name] for name in more_names]
    code.append(ends_of(nodes))
    pathlib.Path(out_c).write_text('\n'.join(code), encoding='utf-8')
    pathlib.Path(out_h).write_text(
        HEAD + ''.join(f'extern const struct wl_interface {name}_interface;\n'
                       for name in names) + '\n#endif\n', encoding='utf-8')
    pathlib.Path(depfile).write_text(
        f'{out_c}: ' + ' '.join(map(str, files)) + '\n', encoding='utf-8')


if __name__ == '__main__':
    main()
