#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""`qemu-glue/demo --packages`: what it does, in which order, with doubles of
all that it calls.

    test-packages.py DEMO
"""

import os
import pathlib
import re
import subprocess
import sys
import tempfile

DEMO = pathlib.Path(sys.argv[1]).resolve()
VERSION = re.search(r"version: '([^']+)'", (DEMO.parent.parent /
                    "meson.build").read_text()).group(1)
CALL = '#!/bin/sh\necho "$(basename "$0") $*" >>"$CALLS"\n'
MAKE = CALL + '''output=${1#--output=}
mkdir -p "$output"
for name in vhost-user-wl vhost-user-wl-qemu; do
    : >"$output/${name}_VERSION_all.deb"
done
'''.replace("VERSION", VERSION)
VWL = CALL + '''case $1 in
doctor) [ ! -e "$CALLS.ill" ] ;;
list) cat "$CALLS.machines" 2>/dev/null || true ;;
esac
'''


class Place:
    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        (self.folder / "bin").mkdir()
        self.calls = self.folder / "calls"
        for name, text in (("make", MAKE), ("bin/vwl", VWL),
                           ("bin/apt-get", CALL),
                           ("bin/sudo", CALL + 'exec "$@"\n')):
            (self.folder / name).write_text(text)
            (self.folder / name).chmod(0o755)

    def run(self, *words, **more):
        """What was called, and how it ended."""
        self.calls.write_text("")
        env = {"PATH": f"{self.folder}/bin:{os.environ['PATH']}",
               "HOME": str(self.folder), "CALLS": str(self.calls),
               "VWL_MAKE_PACKAGES": str(self.folder / "make"),
               "WAYLAND_DISPLAY": "wayland-0", **more}
        done = subprocess.run([DEMO, "--packages", *words], env=env,
                              capture_output=True, text=True, timeout=60,
                              check=False)
        calls = [line for line in self.calls.read_text().splitlines()
                 if not line.startswith("sudo ")]
        return calls, done


def whole(place):
    calls, done = place.run("--suite=trixie")
    assert done.returncode == 0, done
    output = f"{place.folder}/.cache/vhost-user-wl/demo-packages"
    assert calls[0] == f"make --output={output}", calls
    assert calls[1].startswith("apt-get ") and \
        f"{output}/vhost-user-wl_{VERSION}_all.deb" in calls[1] and \
        f"{output}/vhost-user-wl-qemu_{VERSION}_all.deb" in calls[1], calls
    assert calls[2:] == ["vwl doctor", "vwl list -q",
                         "vwl create vwl-demo --suite=trixie",
                         "vwl run vwl-demo", "vwl exec vwl-demo foot"], calls
    assert "vwl delete vwl-demo" in done.stdout, done


def again(place):
    """The machine is there."""
    (place.folder / "calls.machines").write_text("other\nvwl-demo\n")
    calls, done = place.run()
    assert done.returncode == 0, done
    assert calls[3:] == ["vwl list -q", "vwl run vwl-demo",
                         "vwl exec vwl-demo foot"], calls


def ill(place):
    (place.folder / "calls.ill").touch()
    calls, done = place.run()
    assert done.returncode == 1 and calls[-1] == "vwl doctor", (calls, done)


def refusals(place):
    calls, done = place.run(WAYLAND_DISPLAY="")
    assert done.returncode == 1 and not calls and \
        "qemu-glue/demo --headless needs none" in done.stderr, done
    calls, done = place.run("--what")
    assert done.returncode == 1 and not calls, done


def main():
    tests = [whole, again, ill, refusals]
    failed = False
    print(f"1..{len(tests)}")
    with tempfile.TemporaryDirectory(prefix="vwl-demo-packages-") as folder:
        place = Place(folder)
        for number, test in enumerate(tests, 1):
            try:
                test(place)
                print(f"ok {number} - {test.__name__}")
            except (AssertionError, OSError,
                    subprocess.SubprocessError) as error:
                failed = True
                print("# " + str(error).replace("\n", "\n# "))
                print(f"not ok {number} - {test.__name__}")
    return failed


if __name__ == "__main__":
    sys.exit(main())
