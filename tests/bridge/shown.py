#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Every pixel of the painter, on KWin, whose pictures come by D-Bus. Its rows
have gaps between them, which KWin 5 does not know: beside the bridge it would
show them askew.
"""
import os
import pathlib
import subprocess
import sys

import desk
import stage
from stage import GUEST, WORK, must, until

HERE = pathlib.Path(__file__).resolve().parent
SHOT = WORK + '/shot.ppm'


def seen(hands, size, *options):
    hands.shot().ppm(SHOT)
    return subprocess.run(
        [sys.executable, HERE.parent / 'pattern.py', SHOT, '--size', size,
         *options], stdout=subprocess.DEVNULL, check=False).returncode == 0


def main():
    hands = desk.of_host()
    for width, height, *more in ((320, 200), (257, 131),
                                 (257, 131, 'sealed')):
        size = '%dx%d' % (width, height)
        with stage.Programs() as programs:
            done = os.path.join(WORK, 'painted')
            with open(done, 'wb') as file:
                programs.run(GUEST, sys.executable, str(HERE / 'painted.py'),
                             GUEST, str(width), str(height), *more,
                             stdout=file)
            until('it is painted', lambda: os.path.getsize(done) > 0)
            until('all pixels of ' + size, seen, hands, size)
        until('its window gone', seen, hands, size, '--absent')
        must(' '.join(['every pixel of', size, *more]), True)


if __name__ == '__main__':
    main()
