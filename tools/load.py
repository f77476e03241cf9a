#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""
make load: many partitions move between two hosts at once while as many more work; all must end bit for bit like work that never
moved, none may starve, and the daemons' memory stays within what is documented. Prints every partition's share.
"""
import argparse
import concurrent.futures
import dataclasses
import json
import pathlib
import socket
import statistics
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from harness import Host, reference, wait_until  # noqa: E402

MIB = 1 << 20
PAGE = 4096
LOOK_S = 0.1
# docs/operations.md: what a move may cost either daemon and its kernel side. Slots of shared memory count in both.
JOB_BYTES = 48 * MIB


class Control:
    """A control connection kept open: a look must not cost a process each time."""

    def __init__(self, host):
        self.host = host
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.connect(str(host.state / "control.sock"))
        self.lines = self.socket.makefile("rb")

    def ask(self, verb, **args):
        self.socket.sendall(json.dumps({"verb": verb, "args": args}).encode() + b"\n")
        while True:
            line = self.lines.readline()
            if not line:
                raise ConnectionError(f"{self.host.name}: the daemon closed its control connection")
            answer = json.loads(line)
            if "progress" not in answer:
                return answer.get("result", {})

    def close(self):
        self.lines.close()
        self.socket.close()


class Watch(threading.Thread):
    """Reads all partitions' steps until told to stop. A partition in transit is on both hosts: the one that knows more counts."""

    def __init__(self, hosts):
        super().__init__(daemon=True)
        self.hosts, self.over, self.marks, self.error = hosts, threading.Event(), {}, None

    def run(self):
        try:
            controls = [Control(host) for host in self.hosts]
            while not self.over.wait(LOOK_S):
                for control in controls:
                    for one in control.ask("partition list")["partitions"]:
                        marks = self.marks.setdefault(one["name"], [])
                        if not marks or one["steps"] >= marks[-1][1]:
                            marks.append((time.monotonic(), one["steps"], control.host.name))
            for control in controls:
                control.close()
        except (OSError, KeyError, ValueError) as error:
            self.error = error

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *exc):
        self.over.set()
        self.join()
        if self.error is not None and exc[0] is None:
            raise self.error

    def share(self, name):
        """(steps a second, longest stretch without a step in seconds) over all that was seen."""
        marks = self.marks[name]
        rate = (marks[-1][1] - marks[0][1]) / (marks[-1][0] - marks[0][0])
        stood = since = 0.0
        for before, mark in zip(marks, marks[1:]):
            since = 0.0 if mark[1] > before[1] else since + mark[0] - before[0]
            stood = max(stood, since)
        return rate, stood


def most_memory(pid):
    """VmHWM: the most that the process ever had in memory, in bytes."""
    with open(f"/proc/{pid}/status", encoding="ascii") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM:"))


def fairness(values):
    """The least as a part of the median: 1 is perfectly fair, 0 is starved."""
    middle = statistics.median(values)
    return min(values) / middle if middle else 1.0


class Part:
    """One partition and its work."""

    def __init__(self, name, home, target, seed, load):
        self.name, self.home, self.target, self.job = name, home, target, None
        self.work = ["churn", "--size", load.size, "--rate", load.rate, "--seed", seed,
                     "--steps", max(1, int(load.seconds * load.rate / PAGE))]

    def start(self, vram):
        self.home.run("partition", "create", self.name, "--adapter", 0, "--vram", vram)
        self.home.run("run", self.name, *self.work)

    def works(self):
        return self.home.json("partition", "show", self.name)["steps"] > 0

    def move(self, options):
        self.job = self.home.json("migrate", self.name, "--to", self.target.address, *options, timeout=600)

    def settle(self, build):
        """Has it ended where it is now as the reference does?"""
        where = self.target if self.target else self.home
        got = where.json("wait", self.name, "--timeout", 600, timeout=630)["digest"]
        return got == reference(build, *self.work)["digest"]


@dataclasses.dataclass
class Load:
    """What is asked for; then, after run(), what was measured."""

    movers: int = 16
    workers: int = 16
    both: bool = False  # half of the movers go each way
    vram: str = "24M"
    size: str = "16M"
    rate: int = 8 * MIB  # bytes a second that each partition writes, if it gets its share
    seconds: float = 6.0  # of work
    migrate: tuple = ()  # more options of vferry migrate
    took_s: float = 0.0
    parts: list = None
    watch: Watch = None
    memory: dict = None  # host -> (most before, most after, jobs)

    def make_parts(self, left, right):
        """Movers start on the left host, or on both; workers stay, half here and half there."""
        self.parts = []
        for i in range(self.movers):
            home, target = (right, left) if self.both and i % 2 else (left, right)
            self.parts.append(Part(f"mover-{i}", home, target, 100 + i, self))
        for i in range(self.workers):
            self.parts.append(Part(f"worker-{i}", (left, right)[i % 2], None, 200 + i, self))

    def moving(self):
        return [part for part in self.parts if part.target]

    def staying(self):
        return [part for part in self.parts if not part.target]

    def run(self, left, right, build):
        """Everything at once; AssertionError when a move fails or a partition ends otherwise than the reference."""
        self.make_parts(left, right)
        with concurrent.futures.ThreadPoolExecutor(len(self.parts)) as pool:
            list(pool.map(lambda part: part.start(self.vram), self.parts))
            for part in self.parts:
                wait_until(f"{part.name} works", part.works, 60)
            before = {host: most_memory(host.process.pid) for host in (left, right)}
            begun = time.monotonic()
            with Watch((left, right)) as self.watch:
                list(pool.map(lambda part: part.move(self.migrate), self.moving()))
                self.took_s = time.monotonic() - begun
            self.memory = {host.name: (most, most_memory(host.process.pid), len(self.moving())) for host, most in before.items()}
            ends = list(pool.map(lambda part: part.settle(build), self.parts))
        wrong = [part.name for part, good in zip(self.parts, ends) if not good]
        assert not wrong, f"ended with another digest than the reference: {wrong}"

    def rates(self, parts):
        return [self.watch.share(part.name)[0] for part in parts]

    def lines(self):
        """The table, and the worst of each kind."""
        yield f"{'partition':<12}{'host':<7}{'steps/s':>9}{'stood s':>9}{'rounds':>8}{'total s':>9}{'blackout ms':>13}  of it"
        for part in self.parts:
            steps, stood = self.watch.share(part.name)
            line = f"{part.name:<12}{part.home.name:<7}{steps:>9.0f}{stood:>9.2f}"
            if part.job:
                phases = " ".join(f"{key[:-3]} {value / 1e6:.0f}" for key, value in part.job["blackout"].items())
                line += f"{len(part.job['rounds']):>8}{part.job['total_ns'] / 1e9:>9.2f}{part.job['blackout_ns'] / 1e6:>13.1f}  {phases}"
            yield line
        yield f"all moves took {self.took_s:.1f} s"
        for what, parts in (("movers", self.moving()), ("workers", self.staying())):
            if parts:
                rates = self.rates(parts)
                stood = max(self.watch.share(part.name)[1] for part in parts)
                yield (f"{what}: slowest {min(rates):.0f} steps/s, median {statistics.median(rates):.0f} ({fairness(rates):.2f} of it), "
                       f"longest stand {stood:.2f} s")
        if self.moving():
            blackouts = [part.job["blackout_ns"] / 1e6 for part in self.moving()]
            totals = [part.job["total_ns"] / 1e9 for part in self.moving()]
            yield (f"blackout: worst {max(blackouts):.1f} ms, median {statistics.median(blackouts):.1f} ms; "
                   f"move: slowest {max(totals):.1f} s, median {statistics.median(totals):.1f} s")
        for name, (before, after, jobs) in self.memory.items():
            yield (f"vferryd of {name}: most memory {before / MIB:.0f} MiB before, {after / MIB:.0f} MiB after {jobs} jobs; "
                   f"documented: {jobs} x {JOB_BYTES / MIB:.0f} MiB")


def pair(build, more=()):
    """Two hosts with room for all of them on one adapter."""
    return (Host(build, name, ["softgpu,vram=4G,vfs=32"], options=more) for name in ("left", "right"))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", default="build", type=pathlib.Path)
    parser.add_argument("--movers", default=16, type=int)
    parser.add_argument("--workers", default=16, type=int)
    parser.add_argument("--both", action="store_true", help="half of them move each way")
    parser.add_argument("--vram", default="72M")
    parser.add_argument("--size", default="64M")
    parser.add_argument("--rate", default=32 * MIB, type=int)
    parser.add_argument("--seconds", default=10, type=float)
    parser.add_argument("--moves-at-once", default=0, type=int, help="of vferryd")
    parser.add_argument("migrate", nargs="*", help="options of vferry migrate, after --")
    args = parser.parse_args()
    more = ["--moves-at-once", str(args.moves_at_once)] if args.moves_at_once else []
    for both in (True,) if args.both else (False, True):
        load = Load(args.movers, args.workers, both, args.vram, args.size, args.rate, args.seconds, tuple(args.migrate))
        left, right = pair(args.build.resolve(), more)
        with left, right:
            load.run(left, right, args.build.resolve())
        print(f"---- {args.movers} move {'in both directions' if both else 'in one direction'}, {args.workers} stay and work ----")
        print(*load.lines(), sep="\n", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
