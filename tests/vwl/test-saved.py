#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""`vwl stop --save`, and what can go wrong with it: QEMU, the daemon and the
guest's agent are doubles.

    test-saved.py VWL SERVICE NOTIFICATIONS
"""

import os
import sys

import agents
import worlds
from user_desk import Desk
from worlds import expect


def begin(desk):
    expect(desk.new("box", "--memory=300M").returncode == 0, "no start")
    desk.agent = agents.Agent(desk.path("box")).serve()
    desk.wait_state("box", "running")
    desk.check("stop", "--force", "box")


def saved(desk):
    """It goes on from where it was; its file is gone before it does."""
    kept = f"{desk.dir}/data/vwl/box/saved"
    expect(desk.vwl("run", "box", "--timeout=0").returncode == 0, "no start")
    desk.says(1, "box is just starting or stopping", "stop", "--save", "box")
    desk.says(2, "not both", "stop", "--save", "--force", "box")
    desk.agent = agents.Agent(desk.path("box")).serve()
    desk.wait_state("box", "running")
    worlds.wait(lambda: "qmp_capabilities" in desk.monitor_heard(),
                "nobody speaks to the monitor")
    done = desk.vwl("stop", "--save")
    expect(done.returncode == 0 and "box is saved. To go on: vwl run box" in
           done.stderr, done)
    expect(desk.state("box") == "saved", desk.state("box"))
    expect(os.stat(kept).st_mode & 0o777 == 0o600, "others can read it")
    expect(desk.vwl("run", "box", "--timeout=0").returncode == 0, "no start")
    worlds.wait(lambda: not os.path.exists(kept), "it is not loaded")
    worlds.wait(lambda: desk.monitor_heard()[-1:] == ["cont"],
                lambda: desk.monitor_heard())
    expect(desk.monitor_heard()[1:-2] == ["migrate-incoming"],
           desk.monitor_heard())
    desk.agent = agents.Agent(desk.path("box")).serve()
    desk.wait_state("box", "running")


def not_saved(desk):
    """Whatever is wrong, it runs on, and nothing is left."""
    desk.write("run/vwl/box.no-save", b"a device cannot be")
    desk.says(1, "box is not saved and runs on: a device cannot be; run: vwl "
              "stop box", "stop", "--save", "box")
    expect(desk.state("box") == "running", desk.state("box"))
    worlds.wait(lambda: desk.monitor_heard()[-1:] == ["cont"],
                lambda: desk.monitor_heard())
    expect(not [name for name in os.listdir(f"{desk.dir}/data/vwl/box")
                if name.startswith("saved")], "something is left")
    os.unlink(f"{desk.dir}/run/vwl/box.no-save")
    expect(desk.exec("true").returncode == 0, "the agent has gone")


def not_loaded(desk):
    """What cannot go on stays, until somebody says that he wants it no more."""
    desk.check("stop", "--save", "box")
    desk.says(1, "box was saved with other settings", "run", "box",
              "--memory=512M", "--timeout=9")
    desk.write("run/vwl/box.no-load", b"it is too old")
    desk.says(1, "QEMU cannot go on with what was saved: it is too old; run: "
              "vwl run --discard-saved box", "run", "box", "--memory=300M",
              "--timeout=60")
    os.unlink(f"{desk.dir}/run/vwl/box.no-load")
    conf = f"{desk.dir}/data/vwl/box/saved.conf"
    with open(conf, encoding="utf-8") as file:
        text = file.read()
    desk.write("data/vwl/box/saved.conf",
               text.replace("9.9.9", "9.9.8").encode())
    desk.says(1, "was saved by QEMU 9.9.8, and this is 9.9.9", "run", "box",
              "--timeout=9")
    desk.write("data/vwl/box/saved.conf", b"nonsense")
    desk.says(1, "cannot be read", "run", "box", "--timeout=9")
    expect(desk.state("box") == "saved", desk.state("box"))
    desk.check("run", "box", "--timeout=0", "--discard-saved")
    expect(not os.path.exists(conf), "it is still there")
    desk.agent = agents.Agent(desk.path("box")).serve()
    desk.wait_state("box", "running")


def older_service(desk):
    """One that ran before this could save."""
    path = desk.path("box", "running")
    with open(path, encoding="utf-8") as file:
        lines = [line for line in file if not line.startswith("qemu=")]
    desk.kill_service()
    desk.agent.close()
    desk.write("run/vwl/box/running", "".join(lines).encode())
    desk.wait_state("box", "starting")
    desk.agent = agents.Agent(desk.path("box")).serve()
    desk.wait_state("box", "running")
    desk.says(1, "box was started by an older version", "stop", "--save", "box")


def saving_interrupted(desk):
    """The next service has a guest that stands still go on."""
    qmp = desk.pid("box", "qemu")
    desk.write("run/vwl/box.stands-still", b"")
    desk.kill_service()
    desk.agent.close()
    desk.state("box")
    worlds.wait(lambda: desk.monitor_heard()[-2:] == ["migrate_cancel", "cont"],
                lambda: desk.monitor_heard())
    os.unlink(f"{desk.dir}/run/vwl/box.stands-still")
    expect(desk.pid("box", "qemu") == qmp, "it is another")
    desk.check("stop", "--force", "box")


def main():
    with Desk(*sys.argv[1:4]) as desk:
        return worlds.tap([begin, saved, not_saved, not_loaded,
                           older_service, saving_interrupted], desk)


if __name__ == "__main__":
    sys.exit(main())
