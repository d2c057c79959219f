# SPDX-License-Identifier: BSD-3-Clause
"""What a program says of itself to --help: its options, and its commands with
theirs. Completions, and the options in manual pages, are made of it."""

import os
import re
import subprocess

OPTION = re.compile(r'^ +(?:-(\w), )?--([a-z][\w-]*)(?:=(\S+))?(?: {2,}(.*))?$',
                    re.M)
COMMANDS = re.compile(r'^Commands:\n((?:  .*\n)+)', re.M)
COMMAND = re.compile(r'^  ([a-z][\w-]*) +(.*)$', re.M)


class Option:
    def __init__(self, letter, name, value, help_):
        self.letter, self.name, self.value = letter, name, value
        self.help = help_.strip()
        words = re.fullmatch(r'[a-z][a-z0-9-]*(\|[a-z][a-z0-9-]*)+', value)
        self.words = value.split('|') if words else []
        self.files = re.match(r'(PATH|FILE|DIR|SOCKET)\b', value) is not None
        self.folders = value.startswith('DIR')


def said(*argv):
    return subprocess.run([*argv, '--help'], check=True, text=True,
                          capture_output=True,
                          env={**os.environ, 'LC_ALL': 'C.UTF-8'}).stdout


class Program:
    """`options`, and `commands`: a summary, options and the arguments of each
    by its name."""

    def __init__(self, program):
        text = said(program)
        found = COMMANDS.search(text)
        self.options = [Option(*row) for row in OPTION.findall(text)]
        self.commands = {}
        self.usages = {}
        for command, summary in COMMAND.findall(found.group(1) if found
                                                else ''):
            text = said(program, command)
            self.commands[command] = (
                summary, [Option(*row) for row in OPTION.findall(text)])
            usage = re.search(rf'^ *\S+ {command} \[OPTION…\] ?(.*)$', text,
                              re.M)
            self.usages[command] = usage.group(1) if usage else ''
