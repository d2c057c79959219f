#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""The page of a program with commands, whose line `@COMMANDS@` becomes a
section for each, with its options as its --help has them.

    commands.py PAGE.scd.in PROGRAM"""

import pathlib
import re
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]
                       / 'qemu-glue/completions'))
import programs  # noqa: E402


def escaped(text):
    return re.sub(r'([*_\\\[\]|~])', r'\\\1', text)


def sections(name, tree):
    for command, (summary, options) in tree.commands.items():
        usage = tree.usages[command]
        yield (f'## {name} {command}\n\n*{name} {command}* [_OPTION_...]'
               + (f' {escaped(usage)}' if usage else '')
               + f'\n\n{escaped(summary)}.\n')
        for option in options:
            letter = f'*-{option.letter}*, ' if option.letter else ''
            value = f'={escaped(option.value)}' if option.value else ''
            yield (f'{letter}*--{option.name}*{value}\n'
                   f'\t{escaped(option.help)}.\n')


def main():
    text = pathlib.Path(sys.argv[1]).read_text()
    tree = programs.Program(sys.argv[2])
    name = pathlib.Path(sys.argv[2]).name
    print(text.replace('@COMMANDS@\n', '\n'.join(sections(name, tree))),
          end='')


if __name__ == '__main__':
    main()
