# SPDX-License-Identifier: BSD-3-Clause
"""The double of a desktop's notification server (notifications.c), on a bus of
the test's own."""

import queue
import subprocess
import threading

from worlds import Error, expect


class Notifier:
    def __init__(self, program, env):
        self.process = subprocess.Popen(
            [program], env=env, text=True, bufsize=1, stdin=subprocess.PIPE,
            stdout=subprocess.PIPE)
        self.notes, self.signals = queue.Queue(), queue.Queue()
        threading.Thread(target=self.read, daemon=True).start()
        expect(self.note() == "ready", "no double")

    def read(self):
        for line in self.process.stdout:
            kind = self.signals if line.startswith("asked ") else self.notes
            kind.put(line.rstrip("\n"))

    @staticmethod
    def next_of(lines):
        try:
            return lines.get(timeout=60)
        except queue.Empty:
            raise Error("nothing is shown") from None

    def note(self):
        """The next thing that the notification server is told."""
        return self.next_of(self.notes)

    def asked(self):
        """The next signal Asked: its serial, what, detail."""
        return self.next_of(self.signals).split(" ", 1)[1].split("|")

    def press(self, note, label):
        number = note.split()[1].partition("|")[0]
        self.process.stdin.write(f"{number} {label}\n")

    def close(self):
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()
