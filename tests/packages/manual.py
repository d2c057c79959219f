# SPDX-License-Identifier: BSD-3-Clause
"""Whether the manual page and the completions of a program, as installed, have
exactly the options of its --help."""

import gzip
import pathlib
import re
import subprocess
import sys

sys.path.insert(0, '/src/qemu-glue/completions')
import programs  # noqa: E402

SHARE = pathlib.Path('/usr/share')


def page_of(program):
    pages = list(SHARE.glob(f'man/man[18]/{program}.[18].gz'))
    if not pages:
        return None
    text = gzip.decompress(pages[0].read_bytes()).decode()
    return set(re.findall(r'^(?:\\fB-\w\\fR, )?\\fB--([a-z][\w-]*)\\fR',
                          text.replace('\\-', '-'), re.M))


def bash_offers(program, words):
    """What bash offers after "PROGRAM WORDS --", and that it parses at all."""
    function = '_' + re.sub(r'\W', '_', program)
    said = subprocess.run(
        ['bash', '-ec', '''compopt() { :; }
. "$1"
function=$2
shift 2
COMP_WORDS=("$@" --) COMP_CWORD=$#
"$function"
printf '%s\\n' "${COMPREPLY[@]}"
''', 'bash', SHARE / 'bash-completion/completions' / program, function,
         program, *words], text=True, capture_output=True, check=True)
    return {word.lstrip('-').rstrip('=') for word in said.stdout.split()}


def zsh_offers(program):
    path = SHARE / 'zsh/vendor-completions' / f'_{program}'
    subprocess.run(['zsh', '-n', path], check=True)
    return set(re.findall(r"^ +'\*--([a-z][\w-]*)", path.read_text(), re.M))


def fish_offers(program, words):
    path = SHARE / 'fish/vendor_completions.d' / f'{program}.fish'
    subprocess.run(['fish', '-n', path], check=True)
    line = ' '.join([program, *words, '--'])
    said = subprocess.run(['fish', '-c', f'complete -C "{line}"'], text=True,
                          capture_output=True, check=True).stdout
    return {re.split(r'[=\t]', line)[0].lstrip('-')
            for line in said.splitlines() if line.startswith('--')}


def problems(program):
    tree = programs.Program(program)
    everything = {option.name for option in tree.options}
    places = {}
    for command, (_, options) in {'': ('', tree.options),
                                  **tree.commands}.items():
        names = {option.name for option in options}
        everything |= names
        words = [command] if command else []
        if names:
            places[f'bash, after "{command}",'] = (
                names, bash_offers(program, words))
            places[f'fish, after "{command}",'] = (
                names, fish_offers(program, words))
    places['its page'] = everything, page_of(program)
    places['zsh'] = everything, zsh_offers(program)
    for where, (wanted, has) in places.items():
        if has is None:
            yield f'{program}: there is no page'
        elif has != wanted:
            yield (f'{program}: {where} has {sorted(has - wanted)} that --help '
                   f'has not, and lacks {sorted(wanted - has)}')
