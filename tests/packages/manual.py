# SPDX-License-Identifier: BSD-3-Clause
"""Whether the manual page and the completions of a program have exactly the
options of its --help, those of each of its commands where they belong."""

import gzip
import pathlib
import re
import subprocess
import sys

TOP = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(TOP / 'qemu-glue/completions'))
import programs  # noqa: E402

OPTION = re.compile(r'^(?:\\fB-\w\\fR, )?\\fB--([a-z][\w-]*)\\fR', re.M)
FISH = re.compile(r"^complete -c \S+(?: -n (?:'__fish_seen_subcommand_from "
                  r"([\w-]+)'|__fish_use_subcommand))?(?: -s \w)?"
                  r' -l ([a-z][\w-]*)', re.M)


class Installed:
    """Where Debian's packages have the files, and all three shells."""

    share = pathlib.Path('/usr/share')
    has_shells = True

    def program(self, name):
        return name

    def page(self, name):
        for path in self.share.glob(f'man/man[18]/{name}.[18].gz'):
            return gzip.decompress(path.read_bytes()).decode()
        return None

    def bash(self, name):
        return self.share / 'bash-completion/completions' / name

    def zsh(self, name):
        return self.share / 'zsh/vendor-completions' / f'_{name}'

    def fish(self, name):
        return self.share / 'fish/vendor_completions.d' / f'{name}.fish'


class Built:
    """As a build has them; of the shells only bash is needed."""

    has_shells = False

    def __init__(self, build, paths): # by name
        self.build = pathlib.Path(build)
        self.paths = paths

    def program(self, name):
        return self.paths[name]

    def page(self, name):
        path = self.build / f'docs/man/{name}.1'
        return path.read_text() if path.exists() else None

    def bash(self, name):
        return self.build / 'qemu-glue/completions' / name

    def zsh(self, name):
        return self.bash(f'_{name}')

    def fish(self, name):
        return self.bash(f'{name}.fish')


def page_has(name, text):
    """The options that a page describes, by the command in whose section they
    stand."""
    found = {}
    for part in re.split(r'^(?=\.S[SH] )', text.replace('\\-', '-'), flags=re.M):
        heading = re.match(rf'\.SS {name} (\S+)$', part, re.M)
        found.setdefault(heading.group(1) if heading else '', set()).update(
            OPTION.findall(part))
    return found


def bash_offers(place, name, words):
    """What bash offers after "PROGRAM WORDS --", and that it parses at all."""
    function = '_' + re.sub(r'\W', '_', name)
    said = subprocess.run(
        ['bash', '-ec', '''compopt() { :; }
. "$1"
function=$2
shift 2
COMP_WORDS=("$@" --) COMP_CWORD=$#
"$function"
printf '%s\\n' "${COMPREPLY[@]}"
''', 'bash', place.bash(name), function, name, *words], text=True,
        capture_output=True, check=True)
    return {word.lstrip('-').rstrip('=') for word in said.stdout.split()}


def zsh_has(place, name):
    """By command; what is before the commands is the program's own."""
    path = place.zsh(name)
    if place.has_shells:
        subprocess.run(['zsh', '-n', path], check=True)
    found, command = {}, ''
    for line in path.read_text().splitlines():
        if match := re.match(r'([a-z][\w-]*)\)$', line):
            command = match.group(1)
        if match := re.match(r" +'\*--([a-z][\w-]*)", line):
            found.setdefault(command, set()).add(match.group(1))
    return found


def fish_has(place, name, words):
    path = place.fish(name)
    if not place.has_shells:
        return {option for command, option in FISH.findall(path.read_text())
                if command == ''.join(words)}
    subprocess.run(['fish', '-n', path], check=True)
    line = ' '.join([name, *words, '--'])
    said = subprocess.run(['fish', '-c', f'complete -C "{line}"'], text=True,
                          capture_output=True, check=True).stdout
    return {re.split(r'[=\t]', line)[0].lstrip('-')
            for line in said.splitlines() if line.startswith('--')}


def problems(name, place):
    tree = programs.Program(place.program(name))
    text = place.page(name)
    if text is None:
        yield f'{name}: there is no page'
        return
    commands = {'': tree.options, **{
        command: options for command, (_, options) in tree.commands.items()}}
    page, zsh = page_has(name, text), zsh_has(place, name)
    for strange in (page.keys() | zsh.keys()) - commands.keys():
        yield f'{name}: its page or zsh has a command {strange}, it has none'
    for command, options in commands.items():
        wanted = {option.name for option in options}
        words = [command] if command else []
        places = {'its page': page.get(command, set()),
                  'zsh': zsh.get(command, set()),
                  'fish': fish_has(place, name, words)}
        if wanted:
            places['bash'] = bash_offers(place, name, words)
        for where, has in places.items():
            if has != wanted:
                yield (f'{name} {command}: {where} has {sorted(has - wanted)} '
                       f'that --help has not, lacks {sorted(wanted - has)}')
