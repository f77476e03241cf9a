#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""
Kills vferryd, at random moments of a move, at the source, the target or both, with their kernel sides in every eighth round;
starts them again; counts copies and compares content with what the CPU computes. Prints its seed and a table of what came of it.

    tools/killstorm.py [--rounds N] [--seed S] [--build DIR]      e.g. tools/killstorm.py --rounds 300
"""
import argparse
import collections
import os
import pathlib
import random
import re
import signal
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from harness import Failed, Host, pid_gone, reference, wait_until  # noqa: E402 (its place is known only now)

ROOT = pathlib.Path(__file__).resolve().parents[1]
DEVICE = "softgpu,vram=64M,vfs=2,dirty-page=64K"
WORK = ["churn", "--size", "2M", "--rate", str(4 << 20), "--seed", "7", "--steps", "700"]  # 0.7 s of it
SETTLE_S = 60
# What no log may say, but for the end of a kernel side that was killed.
WRONG = re.compile(r".*(?:ERROR: AddressSanitizer|WARNING: ThreadSanitizer|runtime error:|CONTRADICTION|illegal).*")


class Broken(Exception):
    """What must never be."""


def jobs(host):
    return host.json("job", "list")["jobs"]


def copies(hosts, name):
    """{host: state} of each copy."""
    found = {}
    for host in hosts:
        for partition in host.json("partition", "list")["partitions"]:
            if partition["name"] == name:
                found[host] = partition["state"]
    return found


class Storm:
    def __init__(self, build, seed):
        self.random = random.Random(seed)
        self.hosts = [Host(build, name, [DEVICE], ["--silence", "1", "--redial", "2"]) for name in ("left", "right")]
        self.want = reference(build, *WORK)["digest"]
        self.table = collections.Counter()
        self.move_s = 0.3  # how long a move lasts, as measured last

    def start(self):
        for host in self.hosts:
            host.start()

    def stop(self):
        for host in self.hosts:
            host.stop()

    def begin(self, name):
        """A partition at work on one of them, and a move of it under way."""
        source, target = self.random.sample(self.hosts, 2)
        source.run("partition", "create", name, "--adapter", 0, "--vram", "8M")
        source.run("run", name, *WORK)
        began = time.monotonic()
        moving = source.spawn("migrate", name, "--to", target.address, "--max-blackout", 20000)
        return source, target, moving, began

    def strike(self, source, target):
        """Who dies, with a kernel side or without; all at once."""
        victims = self.random.choice(([source], [target], [source, target]))
        crash = self.random.random() < 1 / 8
        for host in victims:
            host.process.send_signal(signal.SIGKILL)
        for host in victims:
            if crash:
                os.kill(host.kernel_pid, signal.SIGKILL)
        for host in victims:
            host.process.wait(30)
            if crash:
                wait_until("the kernel side is gone", lambda h=host: pid_gone(h.kernel_pid), 10)
        return victims, crash

    def revive(self, victims):
        for host in self.random.sample(victims, len(victims)):
            time.sleep(self.random.uniform(0, 0.3))  # as an init system would: the storm's own dice, not a wait
            host.start()

    def settle(self, source, target, name, crash):
        """Until no job runs and none is unknown. Only a host that crashed may leave a person something to decide."""
        def open_jobs():
            return [(host, job) for host in self.hosts for job in jobs(host)
                    if job["partition"] == name and job["status"] in ("running", "unknown")]

        end = time.monotonic() + SETTLE_S
        # The source still has its copy; or it has heard that the target ran it, and only the target's job is left to close.
        words = {source: "--source-runs", target: "--target-runs"}
        while still := open_jobs():
            if time.monotonic() > end:
                raise Broken(f"still open: {[(h.name, j['job'], j['status'], j['reason']) for h, j in still]}")
            if crash and all(job["status"] == "unknown" for _, job in still) and any(host is target for host, _ in still) and \
                    target not in copies([target], name):
                host, job = min(still, key=lambda one: one[0] is target)
                if host.run("job", "resolve", job["job"], words[host], code=None).returncode == 0:
                    return "resolved"
            time.sleep(0.05)
        return "settled"

    def judge(self, source, target, name, victims, crash):
        """Exactly one copy, running, with the right content; none only if its host has crashed."""
        found = copies(self.hosts, name)
        if len(found) > 1:
            raise Broken(f"copies: {[(host.name, is_) for host, is_ in found.items()]}")
        if not found:
            if not crash:
                raise Broken("no copy is left")
            return "lost with its host"
        (host, is_), = found.items()
        if is_ != "running":
            raise Broken(f"the one copy, on {host.name}, is {is_}")
        digest = host.json("wait", name, "--timeout", 60)["digest"]
        if digest != self.want:
            raise Broken(f"on {host.name} the work ended with {digest}, not {self.want}")
        host.run("partition", "remove", name)
        return f"runs on the {'source' if host is source else 'target'}"

    def round(self, number):
        name = f"p{number}"
        source, target, moving, began = self.begin(name)
        time.sleep(self.random.uniform(0, 1.2 * self.move_s))  # the moment of the strike
        if moving.poll() is not None:
            self.move_s = max(0.1, time.monotonic() - began)
        victims, crash = self.strike(source, target)
        self.revive(victims)
        moving.communicate(timeout=120)
        how = self.settle(source, target, name, crash)
        who = "both" if len(victims) == 2 else "source" if victims[0] is source else "target"
        what = self.judge(source, target, name, victims, crash)
        self.table[who + (" with kernel side" if crash else ""), what + (", by a person" if how == "resolved" else "")] += 1

    def logs_are_clean(self):
        for host in self.hosts:
            for log in host.state.glob("*.log"):
                wrong = WRONG.findall(log.read_text(errors="replace"))
                if wrong:
                    raise Broken(f"{host.name}: {log.name}: {wrong[:3]}")

    def show(self):
        print(f"{'killed':28} {'outcome':42} rounds")
        for (who, what), count in sorted(self.table.items()):
            print(f"{who:28} {what:42} {count:6}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--build", default=os.environ.get("VF_BUILD", str(ROOT / "build")))
    options = parser.parse_args()
    seed = options.seed if options.seed is not None else random.SystemRandom().randrange(1 << 32)
    print(f"killstorm: seed {seed}, {options.rounds} rounds", flush=True)
    storm = Storm(options.build, seed)
    number = 0
    try:
        storm.start()
        for number in range(1, options.rounds + 1):
            storm.round(number)
        storm.logs_are_clean()
    except (Broken, Failed, TimeoutError) as broken:
        storm.show()
        print(f"round {number}, seed {seed}: {broken}")
        for host in storm.hosts:
            print(f"---- {host.name} ----\n{host.log()}")
        return 1
    finally:
        storm.stop()
    storm.show()
    print(f"{options.rounds} rounds: one copy each, and the right one")
    return 0


if __name__ == "__main__":
    sys.exit(main())
