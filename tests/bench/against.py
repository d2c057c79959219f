# SPDX-License-Identifier: BSD-3-Clause
"""Two builds beside each other, for tests/bench/run --against."""
import statistics
import subprocess

TARGETS = ("plugin/libvhost-user-wl.so", "plugin/daemon/vhost-user-wl",
           "qemu-glue/loopback/tool/virtio-wl-loopback")


def build(root, revision, folder):
    """A release build of another revision: its folder."""
    tree = folder / "tree"
    folder.mkdir(parents=True, exist_ok=True)
    if tree.exists():
        subprocess.run(["git", "-C", tree, "checkout", "-q", "--detach",
                        revision], check=True)
    else:
        subprocess.run(["git", "-C", root, "worktree", "add", "-q",
                        "--detach", tree.resolve(), revision], check=True)
    made = tree / "build"
    if not (made / "build.ninja").exists():
        subprocess.run(["meson", "setup", "--buildtype=release", made, tree],
                       check=True, stdout=subprocess.DEVNULL)
    subprocess.run(["ninja", "-C", made, *TARGETS],
                   check=True, stdout=subprocess.DEVNULL)
    return made


class Row:
    """One series of one figure, of both builds."""

    def __init__(self, figure, series):
        self.what = f"{figure.name}, {figure.unit}"
        self.series = series.name
        self.samples = ([], [])
        self.cpu = ([], [])

    def add(self, which, series):
        self.samples[which].extend(series.samples)
        if "cpu" in series.notes:
            self.cpu[which].append(series.notes["cpu"])


def gather(runs):
    """runs: pairs of figures. Rows by group, the floors left out."""
    groups = {}
    for pair in runs:
        for which, figures in enumerate(pair):
            for figure in figures:
                rows = groups.setdefault(figure.group, {})
                for series in figure.series:
                    if series.name == figure.base and len(figure.series) > 1 \
                            and figure.group != "scale":
                        continue
                    key = (figure.name, series.name)
                    row = rows.setdefault(key, Row(figure, series))
                    row.add(which, series)
    return groups


def ratio(pair, number):
    before, now = (statistics.median(part) if part else 0 for part in pair)
    if not before:
        return "-"
    return f"{number(before)} to {number(now)}, **{now / before:.2f}x**"


def table(runs, groups, number, name):
    lines = [f"Beside {name}: medians, interleaved."]
    for group, rows in gather(runs).items():
        lines += ["", f"### {groups[group]}", "",
                  "| figure | with | figure of both | CPU, us |",
                  "|---|---|---|---|"]
        for row in rows.values():
            lines.append(f"| {row.what} | {row.series} | "
                         f"{ratio(row.samples, number)} | "
                         f"{ratio(row.cpu, number)} |")
    return "\n".join(lines) + "\n"
