#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""The service and its commands, whole, on a session bus of their own: QEMU,
the daemon, the guest's agent and the desktop's notifications are doubles.

    test-service.py VWL SERVICE NOTIFICATIONS
"""

import json
import os
import signal
import subprocess
import sys
import time

import agents
import worlds
from user_desk import Desk
from worlds import expect


def none(desk):
    done = desk.vwl("list")
    expect(done.returncode == 0 and "vwl create test" in done.stderr and
           done.stdout == "", done)
    expect(json.loads(desk.check("list", "--json")) == [], "not empty")


def doctor(desk):
    """A line a check, and what to do where something is missing."""
    done = desk.vwl("doctor", "--json")
    rows = {row["check"]: row for row in json.loads(done.stdout)}
    expect(rows["service"]["result"] == "ok", rows["service"])
    expect(rows["desktop"]["result"] == "ok", rows["desktop"])
    expect(rows["sound"]["result"] == "warn" and
           "pipewire-pulse" in rows["sound"]["advice"], rows["sound"])
    expect(rows["questions"]["result"] == "ok", rows["questions"])
    with worlds.Desk(desk.program, desk.service, alone=True) as lonely:
        done = lonely.vwl("doctor")
        expect("warn  questions: nobody shows notifications" in done.stdout and
               "vwl policy NAME links=allow" in done.stdout, done)
    display = desk.env.pop("WAYLAND_DISPLAY")
    done = desk.vwl("doctor")
    desk.env["WAYLAND_DISPLAY"] = display
    expect(done.returncode == 1 and
           "FAIL  desktop: there is no Wayland desktop here\n      -> run it "
           "in a terminal of one" in done.stdout, done)
    for row in rows.values():
        expect((row["result"] == "ok") == (row["advice"] == ""), row)


def run(desk):
    """It starts, and is ready when its agent has spoken."""
    done = desk.new("box", "--memory=300M")
    expect(done.returncode == 0, done)
    expect(desk.state("box") == "starting", desk.state("box"))
    desk.agent = agents.Agent(desk.path("box")).serve()
    desk.wait_state("box", "running")
    done = desk.vwl("run", "box")
    expect(done.returncode == 0 and "box runs already" in done.stderr, done)
    row = json.loads(desk.check("list", "--json"))[0]
    expect(row["memory"] == 300 and row["accelerator"] == "TCG" and
           row["since"] > 0, row)
    table = desk.check("list").splitlines()
    expect(len(table) == 2 and table[1].split()[:2] == ["box", "running"],
           table)
    expect(desk.check("list", "-q") == "box\n", "list -q")


def doctor_of(desk):
    """What the guest's own says is among the rest, as far as it is fit to be
    shown."""
    desk.script("vwl-guest", "#!/bin/sh\nprintf 'ok    module: loa\\033ded\\n"
                "warn  clock: slow\\n      -> wind it up\\nnonsense\\n'\n")
    before = os.environ["PATH"]
    os.environ["PATH"] = f"{desk.dir}:{before}"
    done = desk.vwl("doctor", "box", "--json")
    os.environ["PATH"] = before
    rows = {row["check"]: row for row in json.loads(done.stdout)}
    expect(rows["box's module"]["found"] == "loa?ded", rows)
    expect(rows["box's clock"]["advice"] == "wind it up", rows)
    expect(rows["QEMU"]["found"].startswith("9.9.9, "), rows)
    desk.says(1, "no machine 'none'; see: vwl list", "doctor", "none")
    desk.says(2, "one machine at a time", "doctor", "box", "box")


def logs(desk):
    worlds.wait(lambda: "serial: it boots\n" in desk.check("logs", "--serial"),
              "no line of the serial port")
    worlds.wait(lambda: "device: the device is there\n" in
              desk.check("logs", "box"), "no line of the device")


def logs_followed(desk):
    """With what is written later, also into a log that is begun anew."""
    log = f"{desk.dir}/state/vwl/box/device.log"

    def write(text):
        with open(log, "a", encoding="ascii") as file:
            file.write(text)
    with subprocess.Popen([desk.program, "logs", "-f", "--device", "box"],
                          env=desk.env, stdout=subprocess.PIPE,
                          text=True) as process:
        expect(process.stdout.readline() == "device: the device is there\n",
               "not what there is")
        write("and goes ")
        write("on\n")
        expect(process.stdout.readline() == "device: and goes on\n", "not on")
        os.rename(log, f"{log}.old")
        write("anew\n")
        expect(process.stdout.readline() == "device: anew\n", "not anew")
        process.send_signal(signal.SIGINT)
        expect(process.wait(60) == -signal.SIGINT, process.returncode)


def statuses(desk):
    done = desk.exec("sh", "-c", "echo out; echo err >&2; exit 7")
    expect((done.returncode, done.stdout, done.stderr) ==
           (7, b"out\n", b"err\n"), done)
    done = desk.exec("no-such-program")
    expect(done.returncode == 127 and
           b"vwl: box: no-such-program: not found" in done.stderr, done)
    done = desk.exec("/etc")
    expect(done.returncode == 126, done)
    done = desk.exec("sh", "-c", "kill -TERM $$")
    expect(done.returncode == 143, done)
    done = desk.vwl("exec", "box")
    expect(done.returncode == 125 and "vwl exec test foot" in done.stderr,
           done)
    done = desk.vwl("exec", "none", "true")
    expect(done.returncode == 125, done)
    done = desk.exec("--", "sh", "-c", "exit 3", "--json")
    expect(done.returncode == 3, done)


def streams(desk):
    """A megabyte each way, and the end of it."""
    data = os.urandom(1 << 20)
    done = desk.exec("cat", data=data)
    expect(done.returncode == 0 and done.stdout == data,
           f"{done.returncode}, {len(done.stdout)} bytes of {len(data)}")
    done = desk.vwl("exec", "-e", "WHAT=that", "-w", "/usr", "box", "sh", "-c",
                    "echo $WHAT; pwd")
    expect(done.stdout == "that\n/usr\n", done)


def interrupt(desk):
    """Ctrl-C is the program's, not ours."""
    with subprocess.Popen(
            [desk.program, "exec", "box", "sh", "-c",
             "trap 'echo caught; exit 9' INT; echo up; "
             "while :; do sleep 0.1; done"], env=desk.env,
            stdout=subprocess.PIPE, stdin=subprocess.DEVNULL) as process:
        expect(process.stdout.readline() == b"up\n", "it does not start")
        process.send_signal(signal.SIGINT)
        expect(process.stdout.readline() == b"caught\n", "not caught")
        expect(process.wait(60) == 9, process.returncode)


def killed_client(desk):
    """Whoever goes takes his program with him."""
    process = subprocess.Popen(
        [desk.program, "exec", "box", "sh", "-c", "echo up; sleep 1000"],
        env=desk.env, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL)
    expect(process.stdout.readline() == b"up\n", "it does not start")
    worlds.wait(lambda: len(desk.agent.running) == 1, "it does not run")
    process.kill()
    process.wait()
    process.stdout.close()
    worlds.wait(lambda: not desk.agent.running, "it runs on")


def apps(desk):
    """What its agent told is in the launcher, and starts."""
    def ids(shown):
        rows = json.loads(desk.check("apps", "--json", "box"))
        return [row["id"] for row in rows if row["shown"] == shown]
    worlds.wait(lambda: ids(True) == ["foot", "org.gnome.Calculator"],
                lambda: f"{ids(True)}")
    entry = (f"{desk.dir}/data/applications/"
             "org.vhost_user_wl.vm.box.foot.desktop")
    with open(entry, encoding="utf-8") as file:
        text = file.read()
    expect("/bin/vwl launch box foot\n" in text, text)
    desk.check("apps", "--hide", "foot")
    expect(ids(False) == ["foot"], ids(False))
    desk.says(1, "box has no program 'none'; see: vwl apps box", "apps",
              "--show", "none")
    desk.env["XDG_ACTIVATION_TOKEN"] = "abc"
    desk.check("launch", "box", "foot")
    del desk.env["XDG_ACTIVATION_TOKEN"]
    kind, _, strings = desk.agent.seen[-1]
    expect(kind == agents.LAUNCH and strings == ["foot", "abc"], strings)
    desk.says(1, "it was not started: no such program", "launch", "box", "x")
    desk.check("apps", "--refresh")


def policy(desk):
    expect("links          ask " in desk.check("policy"), "ask by default")
    desk.says(2, "links=maybe is not possible; it must be ask|allow|deny",
              "policy", "box", "links=maybe")
    desk.says(2, "did you mean links?", "policy", "box", "link=ask")
    desk.says(2, "is no KEY=VALUE of a policy", "policy", "box", "memory=1G")
    done = desk.vwl("policy", "box", "deny=wl_shm")
    expect(done.returncode == 0 and "vwl stop box && vwl run box"
           in done.stderr, done)
    done = desk.vwl("policy", "box", "clipboard=off", "links=deny")
    expect(done.returncode == 0 and done.stderr == "", done)
    desk.wait_told("clipboard both", "clipboard off")
    shown = json.loads(desk.check("policy", "--json"))
    expect(shown["clipboard"] == "off" and shown["links"] == "deny", shown)
    done = desk.vwl("policy", "--reset")
    expect(json.loads(desk.check("policy", "--json"))["links"] == "ask",
           "reset")
    entry = (f"{desk.dir}/data/applications/"
             "org.vhost_user_wl.vm.box.org.gnome.Calculator.desktop")
    worlds.wait(lambda: os.path.exists(entry), "no entry")
    desk.check("policy", "apps=off")
    worlds.wait(lambda: not os.path.exists(entry),
                "an entry that is not allowed")
    desk.check("policy", "apps=on")


def asked(desk):
    """A link is asked about; the answer comes by the bus."""
    desk.agent.send(agents.OPEN, 0, "https://example.org/secret")
    serial, what, detail = desk.asked()
    expect(what == "link" and "example.org" in detail, detail)
    note = desk.note()
    expect("box wants to open a link|" in note and
           note.endswith("|Allow,Deny"), note)
    desk.call("Answer", serial, "false")
    expect(desk.note() == f"close {note.split()[1].partition('|')[0]}",
           "it is still asked")
    expect(desk.exec("true").returncode == 0, "the agent was hung up on")


def look(desk):
    """Figures and windows of the device, and what QEMU takes."""
    worlds.wait(lambda: "'connections': 2" in desk.call("Look"),
                lambda: desk.call("Look"))
    said = desk.call("Look")
    expect("[('foot', 'A shell'), ('', 'Nameless')]" in said and
           "'memory-bytes': " in said and "'processor-ms': " in said, said)
    row = json.loads(desk.check("list", "--json"))[0]
    expect(row["windows"] == 2, row)
    expect("2" in desk.check("list").splitlines()[1].split(), "list")


def transfers_asked(desk):
    """By notifications, whose buttons are pressed; the same again is not asked
    about twice, and for a while not at all after a no."""
    desk.check("policy", "box", "clipboard=ask")
    desk.wait_told("clipboard ask")
    desk.device_says("ask 1 clipboard to-guest\nask 2 clipboard to-guest\n")
    note = desk.note()
    expect(note.split("|")[1:] ==
           ["Paste into box?", "A program in box wants the clipboard of this "
            "desktop.", "Allow,Deny"], note)
    desk.press(note, "Allow")
    desk.wait_told("answer 1 yes", "answer 2 yes")
    desk.device_says("ask 3 clipboard from-guest\n")
    note = desk.note()
    while note.startswith("close"):
        note = desk.note()
    expect(note.split("|")[1:3] ==
           ["Paste from box?", "A program of this desktop wants the clipboard "
            "of box."], note)
    desk.press(note, "Deny")
    desk.wait_told("answer 3 no")
    desk.device_says("ask 4 clipboard from-guest\n")
    desk.wait_told("answer 4 no")
    desk.device_says("ask 5 primary to-guest\n")
    note = desk.note()
    while note.startswith("close"):
        note = desk.note()
    expect("the selected text" in note, note)
    desk.call("Look") # the service has heard of the notification's number
    desk.device_says("over 5\n")
    number = note.split()[1].partition("|")[0]
    expect(desk.note() == f"close {number}", "it is still asked")


def rude_device(desk):
    """It is hung up on; the connection is made again, and all is told anew."""
    for text in ("hello\n", "x" * 2000, "window one\n", "ask 1 all to-guest\n",
                 "figures a=b\n", "end\n"):
        before = desk.told().count("clipboard ask")
        desk.device_says(text)
        worlds.wait(lambda: desk.told().count("clipboard ask") == before + 1,
                    f"nothing is told after {text[:20]}")


def agent_goes(desk):
    with subprocess.Popen(
            [desk.program, "exec", "box", "sh", "-c", "echo up; sleep 1000"],
            env=desk.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            stdin=subprocess.DEVNULL) as process:
        expect(process.stdout.readline() == b"up\n", "it does not start")
        desk.agent.close()
        errors = process.stderr.read()
        expect(process.wait(60) == 125 and b"agent has gone" in errors, errors)
    done = desk.exec("true")
    expect(done.returncode == 125 and b"has no agent (yet); see: vwl logs"
           in done.stderr, done)
    desk.agent = agents.Agent(desk.path("box")).serve()
    worlds.wait(lambda: desk.exec("true").returncode == 0, "it does not come")


def rude_agent(desk):
    """What breaks a rule is hung up on; the next one is served."""
    desk.agent.send(200, 0, "what?")
    worlds.wait(lambda: desk.exec("true").returncode == 125, "it may go on")
    with agents.Agent(desk.path("box")) as silent:
        expect(silent.receive()[0] == agents.HELLO, "no HELLO")
        expect(silent.receive() is None, "the silent one is not hung up on")
    desk.agent = agents.Agent(desk.path("box")).serve()
    worlds.wait(lambda: desk.exec("true").returncode == 0, "it does not come")


def service_killed(desk):
    """Machines go on, and the next service has them."""
    pids = [desk.pid("box", what) for what in ("qemu", "device")]
    desk.kill_service()
    desk.agent.close()
    desk.wait_state("box", "starting")
    expect([desk.pid("box", what) for what in ("qemu", "device")] == pids,
           "they are others")
    desk.agent = agents.Agent(desk.path("box")).serve()
    desk.wait_state("box", "running")
    row = json.loads(desk.check("list", "--json"))[0]
    expect(row["memory"] == 300 and row["accelerator"] == "TCG", row)
    expect(desk.exec("sh", "-c", "exit 4").returncode == 4, "exec")


def ends_while_asked(desk):
    """It ends with a question in its hands; who asked does not notice."""
    said = desk.ask_bus("GetConnectionUnixProcessID")
    pid = int(said.split()[1].rstrip(",)"))
    os.kill(pid, signal.SIGSTOP)
    asks = subprocess.Popen([desk.program, "list", "--json"], env=desk.env,
                            stdout=subprocess.PIPE, text=True)
    worlds.wait(lambda: waits(asks.pid), "it does not ask")
    os.kill(pid, signal.SIGKILL)
    rows = json.loads(asks.communicate()[0])
    expect(asks.returncode == 0 and rows[0]["name"] == "box", rows)
    desk.agent.close()
    desk.agent = agents.Agent(desk.path("box")).serve()
    desk.wait_state("box", "running")


def waits(pid):
    """It is on the bus, and has not used the processor for a while."""
    used = []
    for _ in range(20):
        with open(f"/proc/{pid}/stat", encoding="ascii") as file:
            used.append(file.read().rsplit(")")[1].split()[11:13])
        time.sleep(0.01)
    return used[0] == used[-1] and any(
        os.readlink(entry.path).startswith("socket:")
        for entry in os.scandir(f"/proc/{pid}/fd"))


def full(desk):
    """One that has no room for its disk waits, says so, and goes on by itself;
    the service after that one knows, too."""
    desk.write("run/vwl/box.full", b"")
    desk.kill_service()
    desk.agent.close()
    desk.wait_state("box", "starting")
    desk.agent = agents.Agent(desk.path("box")).serve()
    desk.wait_state("box", "running")
    worlds.wait(lambda: desk.monitor_heard().count("cont") > 1,
                lambda: desk.monitor_heard())
    for words in (["exec", "box", "true"], ["launch", "box", "foot"]):
        worlds.wait(lambda words=words: "no room for its disk; make some" in
                    desk.vwl(*words).stderr, f"{words} does not say why")
    expect("no room for its disk" in desk.vwl("stop", "--save", "box").stderr,
           "what stands still is saved")
    worlds.wait(lambda: "warn  box: the machine waits, as there is no room for "
                "its disk\n      -> make some on this host" in
                desk.vwl("doctor", "box").stdout, "doctor does not say why")
    os.unlink(f"{desk.dir}/run/vwl/box.full")
    worlds.wait(lambda: desk.exec("true").returncode == 0, "it does not go on")


def daemon_killed(desk):
    old = desk.pid("box", "device")
    os.kill(old, signal.SIGKILL)

    def is_new():
        try:
            return desk.pid("box", "device") != old
        except (OSError, IndexError):
            return False
    worlds.wait(is_new, "it is not started again")
    expect(desk.state("box") == "running", desk.state("box"))


def stop(desk):
    qemu = desk.pid("box", "qemu")
    desk.check("stop", "box")
    expect(desk.state("box") == "off", desk.state("box"))
    expect(worlds.is_over(qemu), "QEMU lives")
    expect(not os.path.exists(desk.path("box", "")), "something is left")
    desk.check("stop", "box")
    done = desk.exec("true")
    expect(done.returncode == 125 and b"box is stopped; run: vwl run box"
           in done.stderr, done)


def force(desk):
    expect(desk.new("stubborn").returncode == 0, "it does not start")
    desk.check("stop", "--force", "stubborn")
    expect(desk.state("stubborn") == "off", desk.state("stubborn"))


def broken(desk):
    done = desk.new("broken", "--timeout=60")
    expect(done.returncode == 1 and "this machine cannot be" in done.stderr and
           "vwl logs broken" in done.stderr, done)
    expect(desk.state("broken") == "failed", desk.state("broken"))


def no_agent(desk):
    done = desk.vwl("run", "stubborn", "--timeout=0")
    expect(done.returncode == 0, done)
    worlds.wait(lambda: "it boots" in desk.check("logs", "--serial",
                                                 "stubborn"),
                "it does not boot")
    done = desk.vwl("run", "stubborn", "--timeout=1")
    expect(done.returncode == 1 and "no agent after 1 s (the machine runs on)"
           in done.stderr and "it boots" in done.stderr, done)
    expect(desk.state("stubborn") == "starting", desk.state("stubborn"))


def delete(desk):
    desk.says(1, "stubborn runs; run: vwl stop stubborn", "delete", "--yes",
              "stubborn")
    desk.check("stop", "--force", "stubborn")
    desk.says(2, "vwl delete --yes stubborn", "delete", "stubborn")
    desk.check("delete", "--yes", "stubborn")
    desk.says(1, "no machine 'stubborn'", "logs", "stubborn")
    names = desk.check("list", "-q").split()
    expect(names == ["box", "broken"], names)
    expect(os.path.exists(f"{desk.dir}/disks/stubborn.img"),
           "the disk was not ours")
    expect(not os.path.exists(f"{desk.dir}/state/vwl/stubborn"), "logs")


TESTS = [none, doctor, run, doctor_of, logs, logs_followed, statuses, streams,
         interrupt, killed_client, apps, policy, asked, look, transfers_asked,
         rude_device, agent_goes, rude_agent, service_killed, ends_while_asked,
         full, daemon_killed, stop, force, broken, no_agent, delete]


def main():
    worlds.usual_signals()
    with Desk(*sys.argv[1:4]) as desk:
        return worlds.tap(TESTS, desk)


if __name__ == "__main__":
    sys.exit(main())
