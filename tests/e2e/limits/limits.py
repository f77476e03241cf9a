# SPDX-License-Identifier: Apache-2.0
"""What the tests of limits share: a host's limits lowered and lifted, and everything that is asked of it meanwhile."""
import os
import resource
import unittest

from e2e import BUILD, Case, begins, churn, create, finish, partitions
from harness import PATIENCE, wait_until

# A sanitizer takes terabytes of address space, and dies where it gets none.
NEEDS_ADDRESS_SPACE = unittest.skipIf(PATIENCE > 1, "the sanitizer itself needs the address space")
SWEEP = os.environ.get("VF_SWEEP") == "all"
# A command that ends says so within seconds; moves give up after their silence and redial times.
BOUND = 120
# What a host may log in one round, however long it lasts.
LOG_BYTES = 64 << 10
DRIVER = BUILD / "drivers" / "softgpu.so"


class Limited(Case):
    def setUp(self):
        super().setUp()
        self.lifts = []
        self.images = self.folder  # where saves go

    def limit(self, which, value_of):
        """Lowers a soft limit of both processes of a host; `lift` restores them."""

        def lower(host):
            for pid in (host.process.pid, host.kernel_pid):
                before = resource.prlimit(pid, which)
                value = value_of(pid)
                if before[1] != resource.RLIM_INFINITY:
                    value = min(value, before[1])
                resource.prlimit(pid, which, (value, before[1]))
                self.lifts.append(lambda pid=pid, before=before: resource.prlimit(pid, which, before))

        return lower

    def lift(self):
        for lift in self.lifts:
            lift()
        self.lifts = []

    def end(self, host):
        self.lift()
        super().end(host)

    def ask(self, host, *words):
        """A command that may fail: with one line, a known exit code, and in time."""
        done = host.run(*words, code=None, timeout=BOUND)
        self.assertIn(done.returncode, (0, 1, 3, 4, 5, 6, 7, 61), (words, done))
        if done.returncode != 0:
            self.assertTrue(done.stderr.startswith("vferry: ") or done.returncode == 3, (words, done))
        return done

    def logs(self):
        return sum(path.stat().st_size for host in self.hosts for path in host.state.glob("*.log"))

    def there_once(self, left, right, name):
        """The host that has the partition, in its own time; and the other has not."""

        def where():
            found = [(h, p["state"]) for h in (left, right) for p in h.json("partition", "list")["partitions"] if p["name"] == name]
            if len(found) == 1 and found[0][1] == "paused":  # exit code 61 said so, and how to go on
                found[0][0].run("partition", "resume", name, code=None)
            return found[0][0] if len(found) == 1 and found[0][1] == "running" else None

        return wait_until(f"{name} runs on one host, and is on no other", where, BOUND)

    def everything(self, left, right, victim, number):
        """Asked while the limit holds: create, move, save, driver update."""
        self.ask(victim, "partition", "create", "x", "--adapter", 0, "--vram", "8M")
        self.ask(left, "migrate", "p", "--to", right.address, "--streams", 8, "--max-blackout", 20000)
        self.ask(victim, "save", "x", "--output", self.images / f"x{number}", "--keep")
        self.ask(victim, "driver", "update", 0, "--driver", DRIVER)
        self.ask(victim, "host", "show")

    def all_is_well(self, left, right, victim, work, logged):
        """The limit was lifted: it answers by itself, p is there once (work: None = it never was), x whole or not at all."""
        wait_until("it answers by itself", lambda: victim.run("host", "show", code=None).returncode == 0, BOUND)
        if work is not None:
            holder = self.there_once(left, right, "p")
            self.assertEqual(finish(holder, "p"), work.want())
            holder.run("partition", "remove", "p")
        self.assertLess(self.logs() - logged, LOG_BYTES, "the logs grew")
        if "x" in partitions(victim):
            victim.run("partition", "remove", "x")
        self.assertEqual((partitions(left), partitions(right)), ([], []))

    def round(self, left, right, victim, lower, number):
        """One value of one limit on one host that works; then it is lifted."""
        work = churn(1, size="1M", rate=2 << 20, seed=number)
        create(left, "p", work, vram="8M")
        begins(left, "p")
        logged = self.logs()
        lower(victim)
        self.everything(left, right, victim, number)
        self.lift()
        self.all_is_well(left, right, victim, work, logged)

    def sweep(self, limits, left, right):
        """limits: name -> what lowers it for a host. The same two go through all of it: what a round leaves behind shows in the next."""
        number = 0
        for name, lower in limits.items():
            for victim in (left, right):
                number += 1
                if SWEEP:
                    print(f"# {name}, on host {victim.name}", flush=True)
                with self.subTest(limit=name, host=victim.name):
                    self.round(left, right, victim, lower, number)
        self.works_again(left, right)

    def works_again(self, left, right):
        """Once more with everything there is."""
        work = churn(1, size="1M")
        create(left, "p", work, vram="8M")
        left.run("migrate", "p", "--to", right.address, "--streams", 8, "--max-blackout", 20000)
        self.assert_works_to_its_end(right, "p", work)
