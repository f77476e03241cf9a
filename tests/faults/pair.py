# SPDX-License-Identifier: Apache-2.0
"""Two real hosts of the fault build, one move between them with one fault in it, and what must hold afterwards (docs/faults.md)."""
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))
from e2e import (  # noqa: E402 (its place is known only now)
    BUILD,
    SLOW,
    WRONG,
    at_once,
    churn,
    create,
    finish,
    footprint,
    partitions,
    room,
    begins,
    show,
    state,
)
from harness import Failed, Host, pid_gone, wait_until  # noqa: E402
from wire import ADDRESSES, Wire  # noqa: E402

DEVICE = "softgpu,vram=64M,vfs=2,dirty-page=64K"
VRAM = "8M"
# A thread sanitizer makes all of it slow.
PACE = 3 if SLOW else 1
SILENCE_S, REDIAL_S = 1.5 * PACE, 4 * PACE
# Longer than a silence and a short outage take, so that the outcome is theirs and not the limit's.
BLACKOUT_MS = 6000 * PACE
WORK_SECONDS = 2.5
# Longer than two daemons leave between two tries. When a kernel side has died some outcomes stay open for a person.
SETTLE_S, OPEN_S = 40 * PACE, 12 * PACE
FAULTS = "tests/faults/vferryd-faults"
STOP_BEGUN = "no partition is taken over any more"
RUNNING_STATES = ("running",)


class Wrong(Exception):
    """Something that must hold does not."""


def need(what, condition):
    if not condition:
        raise Wrong(what)


class Side:
    """One host of the pair, the file in which its daemon tells what fired, and the gate at which it holds."""

    def __init__(self, name, folder, fault=None, wire=None, certificates=None):
        self.state = folder / name
        self.state.mkdir()
        self.told = folder / f"{name}.told"
        self.gate = folder / f"{name}.gate"
        os.mkfifo(self.gate)
        options = ["--silence", SILENCE_S, "--redial", REDIAL_S]
        more = {}
        if certificates is not None:
            options += ["--tls-cert", certificates / f"{name}.pem", "--tls-key", certificates / f"{name}.key",
                        "--tls-ca", certificates / "ca.pem"]
        if wire is not None:
            more = {"listen": f"{ADDRESSES[name]}:0", "prefix": wire.prefix(name)}
        self.host = Host(BUILD, name, [DEVICE], state=self.state, program=FAULTS, options=[str(option) for option in options],
                         **more)
        self.arm(fault)
        self.kernel_killed = False
        self.room = None

    def start(self):
        self.host.start()
        self.room = room(self.host)

    def arm(self, fault):
        """From the next start on; None: nothing goes wrong any more."""
        words = [f"log={self.told}", f"gate={self.gate}"]
        self.host.env = {"VFERRY_FAULT": ";".join(words + ([fault] if fault else []))}

    def lines(self):
        """What was told so far, the last line only when it is whole."""
        if not self.told.exists():
            return []
        return [line.split("\t") for line in self.told.read_text().split("\n")[:-1]]

    def fired(self):
        """How many faults have come."""
        return sum(line[0] == "fired" for line in self.lines())

    def open_gate(self):
        """Lets whoever holds go on; nobody need hold any more."""
        try:
            os.close(os.open(self.gate, os.O_WRONLY | os.O_NONBLOCK))
            return True
        except OSError:
            return False

    def dead(self):
        return self.host.process.poll() is not None

    def kill_kernel(self):
        if not pid_gone(self.host.kernel_pid):
            os.kill(self.host.kernel_pid, signal.SIGKILL)
        wait_until("the kernel side is gone", lambda: pid_gone(self.host.kernel_pid), 10)
        self.kernel_killed = True

    def stop_by_force(self):
        """`host stop --force`, begun while a thread is held: how many partitions it has dropped, as it says."""
        stopping = self.host.spawn("--json", "host", "stop", "--force")
        try:
            wait_until("the stop has begun", lambda: STOP_BEGUN in self.log() or stopping.poll() is not None, 30)
            self.open_gate()
            out, err = stopping.communicate(timeout=90)
        finally:
            stopping.kill()
        need(f"the forced stop of the {self.host.name} fails: {err}", stopping.returncode == 0)
        self.kernel_killed = True
        return json.loads(out)["partitions_dropped"]

    def restart(self, fault=""):
        """As an init system would; a daemon whose kernel side has died ends by itself first. With a fault it may die again."""
        self.arm(fault)
        self.host.process.wait(20)
        before = len(self.lines())
        try:
            self.host.start()
        except Failed:
            if not fault or len(self.lines()) == before:
                raise

    def jobs(self):
        return self.host.json("job", "list")["jobs"]

    def stop(self):
        self.open_gate()
        self.host.stop()

    def log(self):
        return self.host.log()


class Pair:
    """source and target; ended with it."""

    def __init__(self, source_fault=None, target_fault=None, tls=False, real_wire=False):
        self.wire = Wire() if real_wire else None
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="vferry-walk-"))
        self.certificates = None
        self.sides = []
        try:
            if tls:
                self.make_certificates()
            self.source = self.add("source", source_fault)
            self.target = self.add("target", target_fault)
        except BaseException:
            self.close()
            raise
        # So many writes that the last round is never empty.
        self.work = churn(WORK_SECONDS, size="4M", rate=12 << 20, seed=7)
        self.moving = None
        self.output = ""

    def add(self, name, fault):
        side = Side(name, self.folder, fault, self.wire, self.certificates)
        self.sides.append(side)
        side.start()
        return side

    def make_certificates(self):
        self.certificates = self.folder / "certificates"
        words = [BUILD / "vferry", "cert", "init", self.certificates]
        for name, address in ADDRESSES.items():
            words += ["--for", f"{name},{address if self.wire else '127.0.0.1'}"]
        subprocess.run([str(word) for word in words], check=True, capture_output=True, timeout=30)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()

    def close(self):
        for side in self.sides:
            side.stop()
        if getattr(self, "moving", None) is not None and self.moving.poll() is None:
            self.moving.kill()
            self.moving.communicate()
        if self.wire is not None:
            self.wire.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def other(self, side):
        return self.target if side is self.source else self.source

    def begin(self, *options):
        """Work runs on the source and begins to move."""
        create(self.source.host, "p", self.work, vram=VRAM)
        begins(self.source.host, "p")
        self.moving = self.source.host.spawn(
            "migrate", "p", "--to", self.target.host.address, "--max-blackout", BLACKOUT_MS, "--verify", "full",
            # How often it is asked for depends on the machine's speed; every step of a walk is to be there each time.
            "--throttle", "off", *options
        )

    def end(self):
        """Exit code of the command."""
        out, err = self.moving.communicate(timeout=90)
        self.output = err + out
        return self.moving.returncode

    # ---- what must hold ----

    def holders(self):
        """Which sides have p: side -> state."""
        return {side: state(side.host, "p") for side in self.sides if "p" in partitions(side.host)}

    def settle(self):
        """Waits until no job is under way and, if it can be, none is unknown; the jobs' states."""

        def statuses():
            return [job["status"] for side in self.sides for job in side.jobs() if job["partition"] == "p"]

        def settled():
            now = statuses()
            return not any(status in ("running", "unknown") for status in now)

        killed = any(side.kernel_killed for side in self.sides)
        try:
            wait_until("every job is over and known", settled, OPEN_S if killed else SETTLE_S)
        except TimeoutError:
            pass  # judged by what follows
        wait_until("no job runs", lambda: "running" not in statuses(), SETTLE_S)
        return {side.host.name: [job["status"] for job in side.jobs()] for side in self.sides}

    def never_two(self):
        running = [side.host.name for side, now in self.holders().items() if now in RUNNING_STATES]
        need(f"it runs twice: {running}", len(running) <= 1)

    def loser_has_nothing(self, side):
        try:
            wait_until("gone", lambda: "p" not in partitions(side.host), 10)
        except TimeoutError:
            raise Wrong(f"the {side.host.name} keeps a copy: {show(side.host, 'p')['state']}") from None
        try:
            wait_until("VF and VRAM are back", lambda: room(side.host) == side.room, 10)
        except TimeoutError:
            raise Wrong(f"the {side.host.name} had {side.room} free, now {room(side.host)}") from None

    def winner_ends_right(self, side):
        got = finish(side.host, "p", timeout=60)
        need(f"content on the {side.host.name} is not the reference's", got == self.work.want())

    def nothing_leaks(self, most):
        """Everything of the move is given back: descriptors, threads and children of both processes, as after a clean move."""
        for side in self.sides:
            if "p" in partitions(side.host):
                side.host.run("partition", "remove", "p")

            def leaks(host=side.host):
                now = footprint(host)
                return {
                    name: (counts, most[name])
                    for name, counts in now.items()
                    if any(is_ > was for is_, was in zip(counts, most[name]))
                }

            try:
                wait_until("all is given back", lambda: not leaks(), 10)
            except TimeoutError:
                raise Wrong(f"the {side.host.name} leaks (descriptors, threads), most: {leaks()}") from None
            need(f"the {side.host.name} leaves VF or VRAM behind", room(side.host) == side.room)
            try:
                wait_until("no emulation", lambda pid=side.host.kernel_pid: not children(pid), 10)
            except TimeoutError:
                raise Wrong(f"the {side.host.name} leaves an emulation behind") from None

    def nothing_wrong_was_logged(self):
        for side in self.sides:
            for path in side.state.glob("*.log"):
                # An error that a test injects is logged as one.
                found = [
                    line
                    for line in WRONG.findall(path.read_text(errors="replace"))
                    if "Sanitizer" in line or "runtime error" in line or "illegal" in line
                ]
                need(f"{side.host.name}: {found}", not found)


def children(pid):
    """Processes of it that still live."""
    found = []
    for task in os.listdir(f"/proc/{pid}/task"):
        try:
            with open(f"/proc/{pid}/task/{task}/children", encoding="ascii") as file:
                found += [int(child) for child in file.read().split() if not pid_gone(int(child))]
        except FileNotFoundError:
            pass  # a thread that has ended
    return found


def clean_footprints():
    """The largest footprint of each process at rest after a move without a fault."""
    most = {}
    with Pair() as pair:
        pair.begin()
        need(f"the clean move failed: {pair.output}", pair.end() == 0)
        pair.winner_ends_right(pair.target)
        pair.target.host.run("partition", "remove", "p")
        end = time.monotonic() + 1.0
        while time.monotonic() < end:
            last = [footprint(side.host) for side in pair.sides]
            time.sleep(0.05)
    for one in last:
        for name, counts in one.items():
            most[name] = tuple(map(max, counts, most.get(name, counts)))
    return most


__all__ = ["SLOW", "Failed", "Pair", "Wrong", "at_once", "clean_footprints", "need", "wait_until"]
