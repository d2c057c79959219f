# SPDX-License-Identifier: BSD-3-Clause
"""What framepaint paints in a guest, and what has to be seen of it."""
import os
import re
import shutil
import tempfile
import time

import vm as vms

SMALL, LARGE = "400 200", "1600 1400"
AS_IT_COMES, NEVER = "as it comes", "never"
# frames, size and words of each painter, then: how many frames from the end
# are in place, or none; AS_IT_COMES, or none at all
PAINTERS = (
    (30, SMALL, "", 8), (30, SMALL, "sealed", 8), (52, SMALL, "truncate", 0),
    (60, SMALL, "grow", 8), (30, LARGE, "scattered", 8),
    (30, LARGE, "fragmented", AS_IT_COMES))
SCENE = """#!/bin/sh
cd /run
/lib/vwl/virtio-wl-bridge --trace > /run/bridge.log 2>&1 &
until [ -S /run/wayland-0 ]; do sleep 0.2; done
export WAYLAND_DISPLAY=wayland-0
pinned=/sys/module/virtio_wl/parameters/pinned_pages
paint() {
    /lib/vwl/framepaint "$@" > /run/painted 2>&1
    echo "scene: $* gave $?, $(cat /run/painted)"
}
"""
KILLED = f"""
# those of the last one rest for a while
until [ "$(cat $pinned)" = 0 ]; do sleep 0.1; done
/lib/vwl/framepaint 1000000 {SMALL} &
painter=$!
until [ "$(cat $pinned)" != 0 ]; do sleep 0.1; done
echo "scene: pinned while painted $(cat $pinned)"
kill -9 $painter
until [ "$(cat $pinned)" = 0 ]; do sleep 0.5; done
echo "scene: pinned at last $(cat $pinned)"
"""
END = """
grep "in place" /run/bridge.log
dmesg | grep -E "BUG|WARNING:|Oops|Call Trace|hung task|Bad page" |
    sed "s/^/scene: complaint /"
echo "scene: end"
"""


def want(truth, why):
    if not truth:
        raise vms.Error(why)


class Run:
    def __init__(self, options):
        self.options = options
        self.dir = tempfile.mkdtemp(prefix="vwl-in-place-")

    def close(self):
        shutil.rmtree(self.dir, ignore_errors=True)

    def file(self, name, text):
        path = f"{self.dir}/{name}"
        with open(path, "w") as file:
            file.write(text)
        os.chmod(path, 0o755)
        return path

    def keep(self, said):
        for name, text in said.items():
            if self.options.logs:
                with open(f"{self.options.logs}/{name}", "w") as file:
                    file.write(text)

    @staticmethod
    def settle(path):
        deadline = time.monotonic() + 60
        while not os.path.exists(path):
            want(time.monotonic() < deadline, f"there is no {path}")
            time.sleep(0.05)


def judge_frames(words, shown, last):
    """Of one painter: how each was shown."""
    n, count = len(shown), shown.count("in place")
    print(f"# {words or 'plain'}: {n} frames, {count} in place", flush=True)
    if last == NEVER:
        want(count == 0, f"{words}: in place")
    elif last != AS_IT_COMES:
        want(shown[n - last:] == ["in place"] * last, f"{words}: {shown}")
        want(shown[:20] == ["copied"] * 20 and count >= 4, f"{words}: {shown}")
        if "truncate" in words:
            want(shown[n // 2:] == ["copied"] * (n - n // 2), f"{shown}")


def judge(said, in_place, painters=PAINTERS):
    """What all sides said."""
    look, inner = said["look"], said["inner"]
    frames = {}
    for client, number, wrong, how in re.findall(
            r"^client (\d+) frame (\d+): (\d+) wrong, (in place|copied)$",
            look, re.M):
        want(wrong == "0", f"frame {number} of {client}: {wrong} are wrong")
        frames.setdefault(int(client), []).append(how)
    gave = re.findall(r"^scene: .* gave (\d+), painted (\d+)", inner, re.M)
    want([status for status, _ in gave] == ["0"] * len(painters), inner)
    want("complaint" not in inner, inner)
    for client, (n, _, words, last) in enumerate(painters, 1):
        shown = frames.get(client, [])
        want(len(shown) == n, f"{words}: {len(shown)} frames of {n}")
        judge_frames(words, shown, last if in_place else NEVER)
    if in_place:
        # of the first painter, by the bridge's count: ten of each buffer
        want(f"copied {20 * 400 * 200 * 4} bytes, 2 buffers" in inner, inner)


def judge_killed(said):
    pinned = re.findall(r"^scene: pinned .* (\d+)", said["inner"], re.M)
    want(pinned[0] != "0" and pinned[1] == "0", said["inner"])


def scene(run, painters=PAINTERS, after=""):
    """What a guest does: a file. after: what it does last."""
    paints = "\n".join(f"paint {n} {size} {words}"
                       for n, size, words, _ in painters)
    return run.file("scene", SCENE + paints + after + END)
