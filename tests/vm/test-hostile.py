#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""The guest's driver against a device that lies.

    test-hostile.py --qemu=PATH [--stock] [--kernel=6.1|6.12] [--cpus=N]
                    [--debug] [TEST...]

QEMU has vhost-user-wl-pci (or, with --stock, is an unmodified 11.1) and is
connected to hostile.py. Prints TAP. Whatever is said, the guest's kernel must
not complain, its driver must go on, and nothing may stay open.
"""

import argparse
import os
import random
import shutil
import struct
import sys
import tempfile
import time
import traceback

import hostile
from hostile import hup_message, new_answer, new_message, recv_message
import host as hosts
import vm as vms

TESTS = {}
HOST = 0x40000000


def test(function, features=0):
    function.features = features
    TESTS[function.__name__.replace("_", "-")] = function
    return function


def test_with_pages(function):
    return test(function, hostile.GUEST_PAGES)


def want(truth, why):
    if not truth:
        raise vms.Error(why)


def settle(what, wanted, timeout=60):
    deadline = time.monotonic() + timeout
    while what() != wanted:
        want(time.monotonic() < deadline,
             f"is {what()!r}, should become {wanted!r}")
        time.sleep(0.05)


class Run:
    """One guest and its bad device."""

    def __init__(self, vm, device):
        self.vm = vm
        self.device = device
        self.last = HOST

    def id(self):
        self.last += 1
        return self.last

    def of(self, kind):
        with self.device.lock:
            return [each for each in self.device.requests
                    if each.type == kind]

    def closed(self):
        return sorted(each.id for each in self.of(hostile.CLOSE))

    def say(self, message, length=None):
        deadline = time.monotonic() + 60
        while not self.device.say(message, length):
            want(time.monotonic() < deadline, "the driver posts no buffer")
            time.sleep(0.01)

    def reader(self):
        """Starts take-all; its context's id."""
        before = len(self.of(hostile.NEW_CTX))
        self.begun = self.vm.begin("wltest take-all", timeout=150)
        settle(lambda: len(self.of(hostile.NEW_CTX)), before + 1)
        return self.of(hostile.NEW_CTX)[-1].id

    def stop(self, ctx):
        self.say(recv_message(ctx, data=b"stop"))
        return self.ended()

    def ended(self):
        status, output = self.vm.finish(self.begun)
        want(status == 0, output)
        return output

    def works(self):
        """After all that, an honest conversation."""
        self.device.answer = self.device.usual
        ctx = self.reader()
        number = self.id()
        self.say(new_message(number))
        self.say(recv_message(ctx, [number], b"data"))
        output = self.stop(ctx)
        want("8 bytes 1 descriptors" in output, output)
        settle(lambda: {ctx, number} <= set(self.closed()), True)


@test
def used_lengths(run):
    ctx = run.reader()
    good = recv_message(ctx, data=b"x" * 20)
    for length in (0, 1, 3, 4, 8, 11, 12, 15):
        run.say(good, length)
        run.say(new_message(run.id()), length)
    run.say(hup_message(0x1ff), 0)
    run.say(good, 16)           # neither data nor VFDs
    run.say(good, 4097)         # longer than the buffer
    run.say(good, 0xffffffff)
    output = run.stop(ctx)
    want(f"{2 * (4096 - 16) + 4} bytes" in output, output)


@test
def ids(run):
    ctx = run.reader()
    for number in (0, 1, ctx, 0x3fffffff, 0x80000000, 0xc0000001, 0xffffffff):
        run.say(new_message(number))
        run.say(recv_message(ctx, [number], b"a"))
    number = run.id()
    for _ in range(3):
        run.say(new_message(number))
    run.say(recv_message(ctx, [number, number], b"b"))
    run.say(recv_message(ctx, [number], b"c"))
    run.say(recv_message(ctx, [ctx], b"d"))
    run.say(recv_message(0, data=b"e"))
    run.say(recv_message(0x7fffffff, data=b"e"))
    run.say(hup_message(0x7fffffff))
    output = run.stop(ctx)
    want("1 descriptors" in output, output)


@test
def counts(run):
    for count in (0xffffffff, 0x3fffffff, 0x40000001, 1021, 200, 2):
        ctx = run.reader()
        run.say(recv_message(ctx, [run.id()], b"", count=count))
        # what was lost cannot be found again: the VFD is broken
        output = run.ended()
        want("end 5" in output, f"count {count}: {output}")
        run.say(recv_message(ctx, data=b"late"))


@test
def memory(run):
    ctx = run.reader()
    for pfn, size in ((0x100001, 4096),
                      (0xfffff, 8192), (0xffffffffffffffff, 4096),
                      (1 << 52, 4096), (0, 0xffffffff), (1, 0xffffffff),
                      (0x100000, 4096), (0x200000, 0), (5, 0)):
        number = run.id()
        run.say(new_message(number, pfn, size, 0))
        run.say(recv_message(ctx, [number], b"m"))
    # memory that is there, on the device's word
    number = run.id()
    run.say(new_message(number, 0xfffff, 4096, 0))
    run.say(recv_message(ctx, [number], b"m"))
    output = run.stop(ctx)
    want("10 descriptors" in output, output)


@test
def modes(run):
    """Memory that the device says is read alone cannot be written."""
    for flags, said in ((2, "mode 0 shared 0 written 13 later 13 private 0 "
                            "later 13"),
                        (0, "mode 2 shared 0 written 0 later 0 private 0 "
                            "later 13"),
                        (3, "mode 2 shared 0 written 0 later 0 private 0 "
                            "later 13")):
        before = len(run.of(hostile.NEW_CTX))
        begun = run.vm.begin("wltest modes", timeout=60)
        settle(lambda: len(run.of(hostile.NEW_CTX)), before + 1)
        number = run.id()
        run.say(new_message(number, 0xfffff, 4096, flags))
        run.say(recv_message(run.of(hostile.NEW_CTX)[-1].id, [number], b"x"))
        status, output = run.vm.finish(begun)
        want(status == 0 and said in output, f"flags {flags}: {output}")


@test
def unclaimed(run):
    ctx = run.reader()
    first = run.last + 1
    for _ in range(2100):
        run.say(new_message(run.id()))
    # the driver keeps so many and no more
    settle(lambda: len(run.closed()) >= 2100 - 2048, True)
    want(run.closed()[0] == first, f"closed {run.closed()[:3]}")
    # for a VFD that nobody has: closed, not leaked
    run.say(recv_message(0x123456, [run.last], b"x"))
    settle(lambda: run.last in run.closed(), True)
    run.stop(ctx)


@test
def circles(run):
    ctx = run.reader()
    a, b, c = run.id(), run.id(), run.id()
    for number in (a, b, c):
        run.say(new_message(number))
    run.say(recv_message(a, [a], b"self"))
    run.say(recv_message(a, [b], b"mine"))
    run.say(recv_message(b, [a], b"yours"))
    run.say(recv_message(c, data=b"early"))
    run.say(hup_message(a))
    run.say(recv_message(ctx, [c], b"real"))
    output = run.stop(ctx)
    want("1 descriptors" in output, output)


@test
def unknown_messages(run):
    ctx = run.reader()
    for kind in (0, 1, 0xff, 0x101, 0x102, 0x107, 0x1001, 0xffffffff):
        run.say(struct.pack("<IIII", kind, 0, ctx, 0) + b"z" * 50)
    for _ in range(3):
        run.say(hup_message(ctx))
    output = run.ended()
    want("end 0" in output, output)


@test
def answers(run):
    def alloc(answer, length=None):
        def lie(request):
            if request.type != hostile.NEW:
                return run.device.usual(request)
            run.device.respond(request, answer(request), length)
            return None
        run.device.answer = lie
        status, output = run.vm.run("wltest alloc")
        want(status == 0, output)
        return output

    def shm(pfn, size, flags=0, **more):
        return lambda request: new_answer(request, pfn, size, flags, **more)

    for why, answer, length in (
            ("type", shm(0, 8192, kind=0), None),
            ("type", shm(0, 8192, kind=0x1002), None),
            ("type", shm(0, 8192, kind=0x1003), None),
            ("ok without anything", shm(0, 8192, kind=0x1000), None),
            ("length", shm(0, 8192), 0),
            ("length", shm(0, 8192), 4),
            ("length", shm(0, 8192), 27),
            ("outside", shm(0x100001, 8192), None),
            ("none", shm(0x100000, 8192), None),
            ("beyond", shm(0xfffff, 8192), None),
            ("huge", shm(1 << 63, 8192), None),
            ("too small", shm(0, 4096), None),
            ("nothing", shm(0, 0), None)):
        output = alloc(answer, length)
        want("alloc 71" in output, f"{why}: {output}")  # EPROTO
    for code, number in ((0x1100, 19), (0x1101, 12), (0x1102, 2), (0x1103, 22),
                         (0x1104, 1), (0x1105, 25), (0x1106, 71)):
        output = alloc(shm(0, 8192, kind=code))
        want(f"alloc {number}\n" in output, f"{code:#x}: {output}")
    output = alloc(shm(0xffffe, 8192), 0xffffffff)
    want("alloc 0" in output and "map 0" in output, output)


@test
def no_answer(run):
    late = []

    def never(request):
        if request.type == hostile.NEW_CTX:
            late.append(request)
            return None
        return run.device.usual(request)
    run.device.answer = never
    status, output = run.vm.run("wltest open", timeout=20)
    want("open 4" in output, output)  # EINTR
    want(len(late) >= 1, "no request")
    want(not run.closed(), "closed what is not there yet")
    run.device.respond(late[0], new_answer(late[0]))
    # made after all: it is closed at once
    settle(run.closed, [late[0].id])
    run.vm.run("wltest open", timeout=20)
    run.device.respond(late[1], struct.pack("<I", hostile.ERR))
    time.sleep(0.5)
    want(run.closed() == [late[0].id], "closed what never was")


@test
def stuck_send(run):
    def never(request):
        if request.type == hostile.SEND:
            return None
        return run.device.usual(request)
    run.device.answer = never
    begun = run.vm.begin("wltest stuck-send", timeout=150)
    settle(lambda: len(run.of(hostile.SEND)), 1)
    run.vm.check("kill -9 $(pidof wltest)")
    run.vm.finish(begun)
    want(not run.closed(), "closed before its last data was through")
    # it waits for that, but not for ever
    settle(lambda: len(run.closed()), 1)
    stuck = run.of(hostile.SEND)[0]
    run.device.respond(stuck, struct.pack("<I", hostile.ERR))


@test
def stuck_sends(run):
    """The ring is full of SENDs that no peer reads; not for NEW and CLOSE."""
    stuck = []

    def never(request):
        if request.type != hostile.SEND:
            return run.device.usual(request)
        stuck.append(request)
        return None
    run.device.answer = never
    begun = run.vm.begin("wltest stuck-sends > /tmp/stuck", timeout=150)
    settle(lambda: "made" in run.vm.check("cat /tmp/stuck || true"), True)
    want(50 < len(stuck) < 320, f"{len(stuck)} SENDs are in the ring")
    settle(lambda: len(run.closed()), 1)
    with run.device.lock:
        run.device.answer = run.device.usual
        for request in stuck:
            run.device.respond(request, struct.pack("<I", hostile.OK))
    run.vm.finish(begun)
    settle(lambda: len(run.closed()), len(run.of(hostile.NEW_CTX)))
    want(len(run.of(hostile.SEND)) == 320, "some were not sent at last")


@test
def full_ring(run):
    held = []

    def hold(request):
        if request.type != hostile.CLOSE:
            return run.device.usual(request)
        held.append(request)
        return None
    run.device.answer = hold

    def made():
        return sum(len(run.of(kind)) for kind in
                   (hostile.NEW, hostile.NEW_CTX, hostile.NEW_PIPE))

    # A process with 400 VFDs ends, no CLOSE is answered, and a request takes
    # two descriptors: the ring is full after 128 of them.
    begun = run.vm.begin("wltest lots", timeout=120)
    settle(lambda: made() >= 400, True)
    run.vm.check("kill -9 $(pidof wltest)")
    settle(lambda: len(held), 128)
    time.sleep(0.5)
    with run.device.lock:
        run.device.answer = run.device.usual
        for request in held:
            run.device.respond(request, struct.pack("<I", hostile.OK))
    # each VFD that was made is closed
    settle(lambda: len(run.closed()) == made(), True)
    run.vm.finish(begun)


@test
def noise(run):
    seed = int.from_bytes(os.urandom(4), "little")
    print(f"# seed {seed}")
    dice = random.Random(seed)
    ctx = run.reader()
    known = [0, 1, 2, ctx, HOST, 0x80000000]
    for _ in range(4000):
        number = dice.choice(known)
        kind = dice.randrange(10)
        if kind < 4:
            known.append(run.id())
            message = new_message(known[-1], dice.choice(
                (0, 1, 0xffffe, 0xfffff, 0x100000, 1 << 40)),
                dice.choice((0, 1, 4096, 8192, 0xffffffff)),
                dice.choice((0, 1, 2, 3, 8)))
        elif kind < 8:
            # the reader shall live, or there is nobody to take it
            ids = dice.choices(known, k=dice.randrange(5))
            message = recv_message(number, ids, b"x" * dice.randrange(3000))
        elif kind < 9 and number != ctx:
            message = hup_message(number)
        else:
            message = dice.randbytes(dice.randrange(4096))
            if message[:2] == b"\x03\x01":
                continue
        length = None
        if dice.random() < 0.05 and kind < 4:
            length = dice.choice((0, 5, 20, 28, 5000, 1 << 31))
        run.say(message, length)
    run.say(recv_message(ctx, data=b"stop"))
    run.ended()


@test
def bad_used_id(run):
    run.reader()
    device = run.device
    with device.lock:
        device.used(device.rings[0], 0xffff, 10)
        device.used(device.rings[1], 0xffff, 10)
    time.sleep(1)
    run.vm.check("kill -9 $(pidof wltest)")
    run.vm.finish(run.begun)
    # that ring is lost, the driver is not: it can go, and come again
    run.vm.check("rmmod virtio_wl")
    run.vm.check("insmod /lib/modules/virtio_wl.ko " +
                 run.vm.guest_env.get("vwl_modparams", ""))


PARAMETERS = "/sys/module/virtio_wl/parameters"


def pinned(run):
    return int(run.vm.check(f"cat {PARAMETERS}/pinned_pages"))


@test_with_pages
def pages(run):
    """An honest device, which looks into what it is told of."""
    wrong, seen, looks = [], {}, []

    def look(request):
        if request.type == hostile.NEW_PAGES:
            seen[request.id] = run.device.pages(request)
        elif request.type == hostile.CLOSE:
            seen.pop(request.id, None)
        if request.type not in (hostile.NEW_PAGES, hostile.NEW_PIPE):
            return run.device.usual(request)
        for addresses in seen.values():
            words = [run.device.words(each, 3) for each in addresses]
            versions = {version for _, _, version in words}
            if [each[:2] for each in words] != [
                    (0x50414745, i) for i in range(len(words))] or \
                    len(set(addresses)) != len(words) or len(versions) != 1:
                wrong.append((len(words), versions, words[:3]))
            if request.type == hostile.NEW_PIPE:
                looks.append(versions.pop())
        return run.device.usual(request)
    run.device.answer = look
    output = run.vm.check("wltest pages", 120)
    want(not wrong, f"{output}{wrong[:2]}")
    want(looks == [2, 3, 4, 4, 4], f"{output}{looks}")
    settle(lambda: pinned(run), 0)
    run.vm.check(f"echo 4 > {PARAMETERS}/pin_limit")
    run.vm.check("wltest pages-limited", 60)
    settle(lambda: pinned(run), 0)


@test_with_pages
def pages_answers(run):
    def once(answer, length=None):
        def lie(request):
            if request.type != hostile.NEW_PAGES:
                return run.device.usual(request)
            run.device.respond(request, answer(request), length)
            return None
        run.device.answer = lie
        status, output = run.vm.run("wltest pages-once")
        want(status == 0, output)
        return output

    def made(size=16384, pfn=hostile.NO_PFN, **more):
        return lambda request: new_answer(request, pfn, size, 0, **more)

    for why, answer, length in (
            ("type", made(kind=0), None), ("dmabuf", made(kind=0x1002), None),
            ("ok without anything", made(kind=0x1000), None),
            ("length", made(), 0), ("length", made(), 4),
            ("length", made(), 27), ("shorter", made(12288), None),
            ("longer", made(20480), None), ("nothing", made(0), None)):
        output = once(answer, length)
        want("pages 71" in output, f"{why}: {output}")  # EPROTO
    for code, number in ((0x1100, 19), (0x1101, 12), (0x1102, 2), (0x1103, 22),
                         (0x1104, 1), (0x1105, 25), (0x1106, 71)):
        output = once(made(kind=code))
        want(f"pages {number}\n" in output, f"{code:#x}: {output}")
    # there is nothing to map, wherever it says that is
    want("pages 0" in once(made(pfn=0)), "not made")
    settle(lambda: pinned(run), 0)
    # not for a driver that was told not to
    run.vm.check("rmmod virtio_wl && "
                 "insmod /lib/modules/virtio_wl.ko guest_pages=0")
    want("pages 25" in once(made()), "made")


@test_with_pages
def pages_kept(run):
    """Until the device has answered, whoever ends meanwhile."""
    late = []

    def never(request):
        if request.type != hostile.NEW_PAGES:
            return run.device.usual(request)
        late.append(request)
        return None
    run.device.answer = never
    begun = run.vm.begin("wltest pages-hold", timeout=60)
    settle(lambda: len(late), 1)
    run.vm.check("kill -9 $(pidof wltest)")
    run.vm.finish(begun)
    time.sleep(3)
    want(pinned(run) == 600, "unpinned what the device may have")
    want(not run.closed(), "closed what is not there yet")
    run.device.respond(late[0], run.device.usual(late[0]))
    settle(run.closed, [late[0].id])
    settle(lambda: pinned(run), 0)
    # those of a device that goes
    run.device.answer = run.device.usual
    begun = run.vm.begin("wltest pages-hold > /tmp/held", timeout=60)
    settle(lambda: "pages 0" in run.vm.check("cat /tmp/held || true"), True)
    bus = "/sys/bus/virtio/drivers/virtio_wl"
    name = run.vm.check(f"basename {bus}/virtio*").strip()
    run.vm.check(f"echo {name} > {bus}/unbind")
    time.sleep(3)
    want(pinned(run) == 600, "unpinned what its owner still has")
    run.vm.check("kill -9 $(pidof wltest)")
    run.vm.finish(begun)
    settle(lambda: pinned(run), 0)
    run.vm.check(f"echo {name} > {bus}/bind")


def one(function, options, image):
    directory = tempfile.mkdtemp(prefix="vwl-hostile-")
    path = f"{directory}/vu"
    device = hostile.Backend(path, function.features)
    modparams = {}
    if options.stock:
        what = (f"vhost-user-test-device-pci,virtio-id={hosts.STOCK_ID},"
                "num_vqs=2,vq_size=256,chardev=vu")
        args = ["-chardev", f"socket,id=vu,path={path}"]
        modparams["vwl_modparams"] = f"virtio_id={hosts.STOCK_ID}"
    else:
        what = f"vhost-user-wl-pci,socket={path}"
        args = []
    try:
        with vms.VM(options.qemu, image, devices=[what], args=args,
                    guest_env=modparams, cpus=options.cpus,
                    append="slub_debug=FZPU" if options.debug else "") as vm:
            vm.boot()
            run = Run(vm, device)
            function(run)
            run.works()
            complaints = vm.kernel_complaints()
            want(not complaints, "\n".join(complaints))
            vm.check("rmmod virtio_wl")
    finally:
        device.close()
        shutil.rmtree(directory, ignore_errors=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--qemu", required=True)
    parser.add_argument("--stock", action="store_true")
    parser.add_argument("--kernel", default="6.1")
    parser.add_argument("--cpus", type=int, default=1)
    parser.add_argument("--debug", action="store_true")
    parser.add_argument("tests", nargs="*")
    options = parser.parse_args()
    names = options.tests or list(TESTS)
    print(f"1..{len(names)}", flush=True)
    failed = False
    with tempfile.TemporaryDirectory(prefix="vwl-wltest-") as directory:
        image = hosts.make_image(hosts.build_wltest(directory),
                                 kernel=options.kernel)
        for number, name in enumerate(names, 1):
            began = time.monotonic()
            try:
                one(TESTS[name], options, image)
                print(f"ok {number} - {name} # "
                      f"{time.monotonic() - began:.1f} s", flush=True)
            except (vms.Error, OSError):
                failed = True
                print(f"not ok {number} - {name}", flush=True)
                for line in traceback.format_exc().splitlines():
                    print(f"# {line}", flush=True)
    return failed


if __name__ == "__main__":
    sys.exit(main())
