#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""The manual pages and completions of a build: each option of each command's
--help is in both and nothing else is, an option that a page's text names is one
of some program, and pages are rendered without a warning.

    test-manual.py BUILD [NAME PROGRAM]...
"""
import pathlib
import re
import shutil
import subprocess
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]
                       / 'packages'))
import manual  # noqa: E402

# Of other people's programs, in examples.
FOREIGN = {'user', 'now'}
# scdoc's way to begin a section.
HARMLESS = 'skipping paragraph macro: PP'


def options_of(program):
    tree = manual.programs.Program(program)
    for options in [tree.options,
                    *(options for _, options in tree.commands.values())]:
        yield from (option.name for option in options)


def named(pages, programs):
    """Options in the pages' sentences that no program has."""
    known = FOREIGN | {'help', 'version'}
    for program in programs:
        known |= set(options_of(program))
    for page in pages:
        text = re.sub(r'\\f[BIR]|\\&', '', page.read_text()).replace('\\-',
                                                                   '-')
        for option in set(re.findall(r'(?<![\w-])--([a-z][\w-]*)', text)):
            if option not in known:
                yield f'{page.name}: no program has --{option}'


def warnings(page):
    for command in (['groff', '-man', '-ww', '-z', '-Tutf8'],
                    ['mandoc', '-T', 'lint', '-W', 'warning']):
        if shutil.which(command[0]):
            said = subprocess.run([*command, page], text=True, check=False,
                                  stdout=subprocess.PIPE,
                                  stderr=subprocess.STDOUT).stdout
            yield from (line for line in said.splitlines()
                        if HARMLESS not in line)


def main():
    build, *rest = sys.argv[1:]
    paths = dict(zip(rest[::2], rest[1::2]))
    pages = sorted((pathlib.Path(build) / 'docs/man').glob('*.[1-8]'))
    if not pages:
        print('1..0 # SKIP built without manual pages (scdoc)')
        return 0
    place = manual.Built(build, paths)
    tests = {f'{name}: page and completions have the options of --help':
             list(manual.problems(name, place)) for name in place.paths}
    tests['what pages say of options'] = list(named(pages, paths.values()))
    no_man = not shutil.which('groff') and not shutil.which('mandoc')
    tests['pages are rendered without a warning' + (
        ' # SKIP neither groff nor mandoc' if no_man else '')] = [
            line for page in pages for line in warnings(page)]
    print(f'1..{len(tests)}')
    for number, (title, bad) in enumerate(tests.items(), 1):
        for line in bad:
            print('#', line)
        print('not ok' if bad else 'ok', number, '-', title)
    return any(tests.values())


if __name__ == '__main__':
    sys.exit(main())
