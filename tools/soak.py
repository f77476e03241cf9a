#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""
make soak: a day of two hosts in minutes. Partitions work, move to and fro, are cancelled, checked, saved, restored, removed and made
anew, while daemons are restarted and killed, links cut, drivers exchanged, emulations killed and VRAM defragmented. Whatever ends must
end with the reference's digest, and exactly one copy of each partition may be left. At rest, now and then, it counts what the hosts hold:
what grows and grows is a leak.
"""
import argparse
import collections
import contextlib
import json
import os
import pathlib
import random
import re
import shutil
import signal
import statistics
import sys
import tempfile
import threading
import time
import traceback

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from harness import Failed, Host, reference, wait_until  # noqa: E402
from link import Link  # noqa: E402

KIB, MIB = 1 << 10, 1 << 20
DEVICE = "softgpu,vram=1G,vfs=12,dirty-page=64K"
VRAM = "24M"
SETTLE_S = 90  # for everything to come to its right end, redials among it
# Growth that counts: what a process may well keep (pools, tables of jobs, heap that came to be used late).
SPARE = {"threads": 4, "files": 8, "heap": 24 * MIB, "journal": 512 * KIB, "state files": 2, "shm": 4, "temp files": 4}


class Gone(Exception):
    """The host did not answer: it is being restarted."""


def own_files(pid):
    """Descriptors, without the kernel side's pool of page tables, which is as large as it ever had to be."""
    count = 0
    for fd in os.listdir(f"/proc/{pid}/fd"):
        try:
            count += "vferry-page-tables" not in os.readlink(f"/proc/{pid}/fd/{fd}")
        except FileNotFoundError:
            pass
    return count


def heap(pid):
    """RssAnon: VRAM and slots are shared memory and not counted."""
    with open(f"/proc/{pid}/status", encoding="ascii") as status:
        return next(int(line.split()[1]) * KIB for line in status if line.startswith("RssAnon:"))


class Part(threading.Thread):
    """One partition and what becomes of it, as one sequence of acts."""

    def __init__(self, world, number):
        super().__init__(name=f"part-{number}", daemon=True)
        self.world, self.number, self.rng = world, number, random.Random(f"{world.seed}-{number}")
        self.life, self.work, self.maybe, self.part, self.error = 0, None, [], None, None
        self.image = world.folder / f"{number}.image"

    def run(self):
        try:
            while self.world.gate():
                try:
                    self.act()
                except Gone:
                    pass
        except BaseException as error:  # told by the main thread
            self.error = error
            self.world.failed.set()
            traceback.print_exc()

    def act(self):
        if self.part is None:
            self.create()
        host = self.settled()
        done = self.finish_if_done(host)
        acts = [self.move] * 6 + [self.cancel, self.check, self.save, self.pause]
        if done and self.rng.random() < 0.2:
            acts = [self.remove]
        self.rng.choice(acts)(host)

    def ask(self, host, *words, codes=(0,), **more):
        """A command's object; Gone while the daemon is away; another exit status than expected fails the soak."""
        before = self.world.restarts_now()
        done = host.run(*words, code=None, **more)
        if done.returncode not in codes:
            if before != self.world.restarts_now() or any(count % 2 for count in before):
                raise Gone  # cut off in the middle: where things stand is seen afterwards
            raise Failed([str(word) for word in words], done.returncode, done.stdout, done.stderr)
        self.world.count(f"{words[0]} {done.returncode}")
        return done

    # ---- acts ----

    def create(self):
        host = self.rng.choice(self.world.hosts)
        self.life += 1
        name = f"p{self.number}-{self.life}"
        self.ask(host, "partition", "create", name, "--adapter", 0, "--vram", VRAM)
        self.part, self.work, self.maybe = name, None, []

    def start_work(self, host):
        seconds, rate = self.rng.uniform(2, 8), self.rng.choice((1, 2, 4)) * MIB
        work = ["churn", "--size", "8M", "--hot", self.rng.choice(("1M", "8M")), "--rate", rate, "--steps", int(seconds * rate / 4096),
                "--seed", self.rng.randrange(1 << 30)]
        self.world.run_begins(host)
        try:
            # 1: a move that a restarted daemon starts over has the partition in its hands.
            done = self.ask(host, "run", self.part, *work, codes=(0, 1))
        except Gone:
            self.maybe.append(work)  # a daemon that died in the middle may have started it
            self.world.count("run cut off")
            raise
        if done.returncode == 0:
            self.work, self.maybe = work, []

    def finish_if_done(self, host):
        show = self.world.partitions(host).get(self.part)
        if show is None:
            return False
        if (self.work is None and not self.maybe) or show["workload"] == "none":
            self.start_work(host)
            return False
        if show["workload_state"] in ("stopped", "fault"):
            # Cut off, or paused by a move, just before its doorbell it stands at its first step; nowhere else may work ever stop.
            if show["workload_state"] == "fault" or show["steps"] > 0:
                raise AssertionError(f"{self.part} on {host.name}: {show}")
            self.world.count("run cut off before its doorbell")
            self.start_work(host)
            return False
        if show["steps"] < show["steps_wanted"]:
            return False
        got = host.run("--json", "wait", self.part, "--timeout", 20, code=None)
        if got.returncode != 0:
            raise Gone
        self.work, self.maybe = self.which(json.loads(got.stdout)["steps"]), []
        self.world.check(self.part, host, got.stdout, self.work)
        self.start_work(host)
        return True

    def which(self, steps):
        """The work that has so many steps, of the one that is known to run and those that were cut off and may have been started since."""
        for work in [*reversed(self.maybe), self.work]:
            if work is not None and work[work.index("--steps") + 1] == steps:
                return work
        raise AssertionError(f"{self.part}: ended after {steps} steps, which nobody asked for: {self.work}, {self.maybe}")

    def move(self, host):
        other = self.world.other(host)
        options = ["--verify", self.rng.choice(("delta", "full")), "--streams", self.rng.choice((1, 2, 4, 8))]
        options += self.rng.choice(((), (), ("--bandwidth", "16M"), ("--max-blackout", 5), ("--max-blackout", 20000)))
        done = self.ask(host, "migrate", self.part, "--to", self.world.way(self.rng, other), *options, codes=(0, 1, 3, 4, 6), timeout=180)
        if done.returncode == 0:
            self.world.count("moved")
        else:
            time.sleep(0.2)  # a host that refuses does so for a while

    def cancel(self, host):
        done = self.ask(host, "--json", "migrate", self.part, "--to", self.world.way(self.rng, self.world.other(host)), "--detach", codes=(0, 1, 3),
                        timeout=60)
        time.sleep(self.rng.uniform(0, 0.3))
        jobs = self.world.ask(host, "job", "list")["jobs"]
        mine = [job for job in jobs if job["partition"] == self.part and job["status"] == "running" and job["direction"] == "out"]
        if done.returncode == 0 and mine:
            self.ask(host, "job", "cancel", mine[0]["job"], codes=(0, 1, 3))

    def check(self, host):
        self.ask(host, "check", self.part, "--to", self.world.other(host).address, codes=(0, 1, 3))

    def pause(self, host):
        self.ask(host, "partition", "pause", self.part, codes=(0, 1))
        self.resume(host)

    def resume(self, host):
        self.ask(host, "partition", "resume", self.part, codes=(0, 1))

    def save(self, host):
        if self.rng.random() < 0.3:
            self.ask(host, "save", self.part, "--output", self.image, "--keep", codes=(0, 1, 4))
            self.image.unlink(missing_ok=True)
            return
        try:
            self.ask(host, "save", self.part, "--output", self.image, codes=(0, 1, 4))
        finally:
            self.restore()

    def restore(self):
        """Saved and gone from its host, or there as before: until it is somewhere again."""
        end = time.monotonic() + SETTLE_S
        while time.monotonic() < end:
            try:
                where = self.where()
                if where:
                    break
                if not self.image.exists():
                    raise AssertionError(f"{self.part}: saved, gone, and no image")
                host = self.rng.choice(self.world.hosts)
                done = self.ask(host, "restore", self.part, "--input", self.image, "--adapter", 0, codes=(0, 1, 3))
                if done.returncode == 3:  # saved by the newer driver, which may be gone from both hosts
                    host.run("driver", "update", 0, "--driver", self.world.build / "drivers/softgpu-v2.so", code=None)
            except Gone:
                time.sleep(0.2)
        else:
            raise AssertionError(f"{self.part}: could not be restored within {SETTLE_S} s")
        self.image.unlink(missing_ok=True)

    def remove(self, host):
        self.ask(host, "partition", "remove", self.part)
        self.part, self.work, self.maybe = None, None, []

    # ---- where it is ----

    def where(self):
        """[(host, its entry)]; Gone while a host is away."""
        found = []
        for host in self.world.hosts:
            entry = self.world.partitions(host).get(self.part)
            if entry is not None:
                found.append((host, entry))
        return found

    def settled(self):
        """The one host that has it, running and in no job's hands."""
        end = time.monotonic() + SETTLE_S
        seen = None
        while time.monotonic() < end and not self.world.failed.is_set():
            try:
                seen = self.where()
                if len(seen) == 1 and seen[0][1]["state"] == "running" and seen[0][1]["job"] == 0:
                    return seen[0][0]
                # A restart may have come between a pause and its resume.
                if len(seen) == 1 and seen[0][1]["state"] == "paused" and seen[0][1]["job"] == 0 and not self.world.unknown(self.part):
                    self.resume(seen[0][0])
            except Gone:
                pass
            time.sleep(0.05)
        if self.world.failed.is_set():
            raise Gone
        states = [(host.name, entry["state"], entry["job"]) for host, entry in seen or ()]
        raise AssertionError(f"{self.part}: not running in exactly one place within {SETTLE_S} s: {states}")


class World:
    """Both hosts, their partitions, what is done to the hosts, and what was counted."""

    def __init__(self, build, seed, parts, folder):
        self.build, self.seed, self.folder = build, seed, folder
        self.rng = random.Random(seed)
        self.hosts = []
        for name in ("left", "right"):
            (folder / name).mkdir(mode=0o700)
            self.hosts.append(Host(build, name, [DEVICE], state=folder / name))
        self.links = {}  # host's name -> a way to it that can be cut
        self.lock = threading.Condition()  # guards what follows
        self.stopping = self.resting = False
        self.busy = 0
        self.counts = collections.Counter()
        self.restarts = collections.Counter()  # of a host's daemon, begun and done: odd while it is away
        self.runs_on = None  # the host of a run that begins, while somebody waits for one
        self.failed = threading.Event()
        self.parts = [Part(self, number) for number in range(parts)]
        self.samples = []
        self.per_partition = {}

    # ---- the parts' side ----

    def gate(self):
        """Waits while the hosts are to rest; False at the end."""
        with self.lock:
            self.busy -= 1
            self.lock.notify_all()
            while self.resting and not self.stopping:
                self.lock.wait()
            self.busy += 1
            return not self.stopping

    def restarts_now(self):
        with self.lock:
            return tuple(self.restarts[host.name] for host in self.hosts)

    def run_begins(self, host):
        with self.lock:
            self.runs_on = host
            self.lock.notify_all()

    def count(self, what):
        with self.lock:
            self.counts[what] += 1

    def other(self, host):
        return self.hosts[1 - self.hosts.index(host)]

    def way(self, rng, host):
        """An address of it: its own, or one through its link."""
        return host.address if rng.random() < 0.3 else self.links[host.name].address

    def ask(self, host, *words):
        done = host.run("--json", *words, code=None)
        if done.returncode != 0:
            raise Gone
        return json.loads(done.stdout)

    def partitions(self, host):
        return {one["name"]: one for one in self.ask(host, "partition", "list")["partitions"]}

    def unknown(self, partition):
        return [job for host in self.hosts for job in self.ask(host, "job", "list")["jobs"]
                if job["partition"] == partition and job["status"] == "unknown"]

    def check(self, partition, host, answer, work):
        want = reference(self.build, *work)["digest"]
        got = json.loads(answer)["digest"]
        if got != want:
            raise AssertionError(f"{partition} on {host.name}: ended with {got}, the reference with {want}: {work}")
        self.count("digests equal")

    def count_resumed(self):
        """Moves that went on over a new connection."""
        self.counts["moves resumed"] = sum((host.state / "vferryd.log").read_text(errors="replace").count("the source is back on connection")
                                           for host in self.hosts)

    # ---- what is done to the hosts ----

    def restart(self, how, host=None):
        host = host or self.rng.choice(self.hosts)
        with self.lock:
            self.restarts[host.name] += 1
        host.kill(how)
        host.start(timeout=90)
        with self.lock:
            self.restarts[host.name] += 1

    def end_daemon(self):
        self.restart(signal.SIGTERM)

    def kill_daemon(self):
        self.restart(signal.SIGKILL)

    def cut_link(self):
        """At a moment when something goes through it, or soon; for less and for more than a peer is waited for."""
        link = self.links[self.rng.choice(self.hosts).name]
        self.count(f"link cut with {'moves' if link.cut() else 'nothing'} on it")
        time.sleep(self.rng.choice((0, 0.3, 1.5, 6)))
        link.mend()

    def kill_daemon_at_a_run(self):
        with self.lock:
            self.runs_on = None
            host = self.runs_on if self.lock.wait_for(lambda: self.runs_on, 3) else None
        time.sleep(self.rng.uniform(0, 0.02))  # about what a command takes to be done
        self.restart(signal.SIGKILL, host)

    def exchange_driver(self):
        """On both hosts: in between, and when one of them refuses, moves to the older driver are refused."""
        driver = self.rng.choice(("softgpu.so", "softgpu-v2.so"))
        for host in self.hosts:
            done = host.run("driver", "update", 0, "--driver", self.build / "drivers" / driver, code=None)
            self.count(f"driver update {done.returncode}")

    def defragment(self):
        self.rng.choice(self.hosts).run("adapter", "defrag", 0, code=None)

    def kill_emulation(self):
        host = self.rng.choice(self.hosts)
        workers = []
        for task in os.listdir(f"/proc/{host.kernel_pid}/task"):
            try:
                with open(f"/proc/{host.kernel_pid}/task/{task}/children", encoding="ascii") as children:
                    workers += children.read().split()
            except FileNotFoundError:
                pass  # a thread that has ended
        with contextlib.suppress(IndexError, ProcessLookupError):  # there is none, or it has ended just now
            os.kill(int(self.rng.choice(workers)), signal.SIGKILL)

    def disturb(self, restarts):
        acts = [self.exchange_driver, self.defragment, self.kill_emulation] + [self.cut_link] * 3
        acts += [self.end_daemon, self.kill_daemon, self.kill_daemon_at_a_run] * restarts
        act = self.rng.choice(acts)
        act()
        self.count(act.__name__.replace("_", " "))

    # ---- rest ----

    def rest(self):
        """Nobody acts, every partition runs in one place, no job is under way."""
        with self.lock:
            self.resting = True
            while self.busy > 0 and not self.failed.is_set():
                self.lock.wait(0.5)
        for part in self.parts:
            if part.part is not None and not self.failed.is_set():
                part.settled()
        wait_until("no job is under way", lambda: self.failed.is_set() or not any(
            job["status"] == "running" for host in self.hosts for job in self.ask(host, "job", "list")["jobs"]), SETTLE_S)

    def go_on(self):
        with self.lock:
            self.resting = False
            self.lock.notify_all()

    def sample(self):
        """What the hosts hold at rest: {(who, what): number}."""
        held = {}
        for host in self.hosts:
            parts = len(self.partitions(host))
            for who, pid in ((f"vferryd {host.name}", host.process.pid), (f"vferry-kernel {host.name}", host.kernel_pid)):
                # A partition has its share of the kernel side: counted per partition it cannot hide a leak, nor look like one.
                share = parts if who.startswith("vferry-kernel") else 0
                held[who, "files"] = own_files(pid) - share * self.per_partition["files"]
                held[who, "threads"] = len(os.listdir(f"/proc/{pid}/task")) - share * self.per_partition["threads"]
                held[who, "heap"] = heap(pid)
            held[f"host {host.name}", "journal"] = (host.state / "journal").stat().st_size
            held[f"host {host.name}", "state files"] = sum(1 for _ in host.state.rglob("*"))
        held["system", "shm"] = sum("vferry" in name for name in os.listdir("/dev/shm"))
        held["system", "temp files"] = sum(1 for _ in pathlib.Path(os.environ["TMPDIR"]).rglob("*"))
        return held

    def learn_a_partitions_share(self):
        """What one more partition costs the kernel side in files and threads."""
        host = self.hosts[0]

        def now():
            return {"files": own_files(host.kernel_pid), "threads": len(os.listdir(f"/proc/{host.kernel_pid}/task"))}

        looks = [now()]
        for name in ("learn-1", "learn-2"):
            host.run("partition", "create", name, "--adapter", 0, "--vram", VRAM)
            looks.append(now())
        self.per_partition = {what: looks[2][what] - looks[1][what] for what in looks[0]}
        for name in ("learn-1", "learn-2"):
            host.run("partition", "remove", name)


def grows(values):
    """
    (growth over all that was seen by the median slope, how steadily: 1 = each later value is larger). A single number says nothing:
    what is held at rest goes up and down.
    """
    pairs = [(j - i, values[j] - values[i]) for i in range(len(values)) for j in range(i + 1, len(values))]
    if not pairs:
        return 0, 0
    slope = statistics.median(rise / run for run, rise in pairs)
    steady = (sum(rise > 0 for _, rise in pairs) - sum(rise < 0 for _, rise in pairs)) / len(pairs)
    return slope * (len(values) - 1), steady


def judge(samples):
    """Prints what was held and how it went; returns what leaks. The first third is for warming up."""
    leaks = []
    settled = samples[len(samples) // 3:]
    for key in sorted(samples[0]):
        values = [sample[key] for sample in settled]
        growth, steady = grows(values)
        leak = len(values) >= 4 and steady > 0.6 and growth > SPARE[key[1]]
        print(f"{key[0]:<22}{key[1]:<12} first {samples[0][key]:>12}  then {min(values):>12} to {max(values):>12}  "
              f"trend {growth:>+14.0f} ({steady:+.2f}){'  LEAK' if leak else ''}")
        if leak:
            leaks.append(key)
    return leaks


def findings(world):
    """What no log may say: a sanitizer's finding, an illegal step of a state machine, a breached rule of the contract."""
    wrong = re.compile(r"ERROR: (?:Address|Leak)Sanitizer|WARNING: ThreadSanitizer|runtime error:|: no arc | contract")
    return [line for host in world.hosts for log in host.state.glob("*.log")
            for line in log.read_text(errors="replace").splitlines() if wrong.search(line)]


def soak(world, minutes):
    """Half of the time with restarts; then none, so that what a daemon leaks has time to show."""
    begun, span = time.monotonic(), minutes * 60
    rests = max(9, min(40, int(span / 15)))
    world.learn_a_partitions_share()
    world.links = {host.name: Link(host.address) for host in world.hosts}
    with world.lock:
        world.busy = len(world.parts)
    for part in world.parts:
        part.start()
    for number in range(rests):
        end = begun + span * (number + 1) / rests
        while time.monotonic() < end and not world.failed.is_set():
            world.failed.wait(min(world.rng.uniform(0.5, 4), max(0.0, end - time.monotonic())))
            if not world.failed.is_set() and time.monotonic() < end:
                world.disturb(restarts=number < rests // 2)
        if world.failed.is_set():
            break
        world.rest()
        if world.failed.is_set():
            break
        world.samples.append(world.sample())
        heaps = ", ".join(f"{who} {value / MIB:.1f}" for (who, what), value in world.samples[-1].items() if what == "heap")
        print(f"{time.monotonic() - begun:6.0f} s: {dict(sorted(world.counts.items()))}; heap in MiB: {heaps}", flush=True)
        world.go_on()
    with world.lock:
        world.stopping = True
        world.lock.notify_all()
    for part in world.parts:
        part.join(SETTLE_S + 60)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", default="build", type=pathlib.Path)
    parser.add_argument("--minutes", default=10, type=float)
    parser.add_argument("--parts", default=6, type=int)
    parser.add_argument("--seed", default=None, type=int)
    parser.add_argument("--keep", action="store_true", help="leave logs and journals when it fails")
    args = parser.parse_args()
    seed = args.seed if args.seed is not None else random.SystemRandom().randrange(1 << 32)
    print(f"seed {seed}", flush=True)
    folder = pathlib.Path(tempfile.mkdtemp(prefix="vferry-soak-"))
    (folder / "tmp").mkdir()
    os.environ["TMPDIR"] = str(folder / "tmp")
    # An address sanitizer keeps what was freed, up to 256 MiB: that is not the leak that is looked for.
    os.environ["ASAN_OPTIONS"] = os.environ.get("ASAN_OPTIONS", "") + ":quarantine_size_mb=1"
    world = World(args.build.resolve(), seed, args.parts, folder)
    good = False
    try:
        with world.hosts[0], world.hosts[1]:
            soak(world, args.minutes)
            wrong = [part for part in world.parts if part.error is not None or part.is_alive()]
            leaks = judge(world.samples) if world.samples else []
            world.count_resumed()
            wants = world.counts["digests equal"] > 0 and world.counts["moved"] > 0
            good = not wrong and not leaks and wants and not world.failed.is_set()
        said = findings(world)  # to their last word
        print(*said, sep="\n")
        good = good and not said
        if not good:
            print(*(host.log() for host in world.hosts), sep="\n")
    finally:
        if good or not args.keep:
            shutil.rmtree(folder, ignore_errors=True)
        else:
            print(f"left in {folder}")
    print(f"seed {seed}: {'good' if good else 'FAILED'}: {dict(sorted(world.counts.items()))}")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
