# SPDX-License-Identifier: Apache-2.0
"""A machine that gives no more: descriptors, threads, memory, room for files, taken away from one host while it works and given
back. The host says so or does what it was asked for; nothing is lost, nothing is there twice, no log grows, and no restart is needed.
VF_SWEEP=all tries every value."""
import os
import pathlib
import resource
import unittest

import cgroups
from e2e import BUILD, DEVICE, Case, at_once, begins, churn, create, finish, partitions, rested
from harness import wait_until

SWEEP = os.environ.get("VF_SWEEP") == "all"
# A command that ends says so within seconds; moves give up after their silence and redial times.
BOUND = 120
# What a host may log in one round, however long it lasts.
LOG_BYTES = 64 << 10
MIB = 1 << 20

TESTS_AT_ONCE = at_once(3)
WHY_NOT_PIDS = cgroups.why_not("pids")
NEEDS_PIDS = unittest.skipIf(WHY_NOT_PIDS is not None, WHY_NOT_PIDS)


def address_space(pid):
    return int(pathlib.Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[0]) * os.sysconf("SC_PAGE_SIZE")


class Limits(Case):
    def setUp(self):
        super().setUp()
        self.lifts = []

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

    def round(self, left, right, victim, lower, number):
        """One value of one limit on one host: create, move, save, driver update; then it is lifted."""
        work = churn(1, size="1M", rate=2 << 20, seed=number)
        create(left, "p", work, vram="8M")
        begins(left, "p")
        before = self.logs()
        lower(victim)
        made = self.ask(victim, "partition", "create", "x", "--adapter", 0, "--vram", "8M")
        self.ask(left, "migrate", "p", "--to", right.address, "--streams", 8, "--max-blackout", 20000)
        self.ask(victim, "save", "x", "--output", self.folder / f"x{number}", "--keep")
        self.ask(victim, "driver", "update", 0, "--driver", self.driver, "--dry-run")
        self.ask(victim, "host", "show")
        self.lift()
        wait_until("it answers by itself", lambda: victim.run("host", "show", code=None).returncode == 0, BOUND)
        holder = self.there_once(left, right, "p")
        self.assertEqual(finish(holder, "p"), work.want())
        self.assertLess(self.logs() - before, LOG_BYTES, "the logs grew")
        holder.run("partition", "remove", "p")
        if made.returncode != 0:  # what was refused is not there, or came all the same and is whole
            wait_until("x is there or not", lambda: victim.run("partition", "list", code=None).returncode == 0)
        if "x" in partitions(victim):
            victim.run("partition", "remove", "x")
        self.assertEqual((partitions(left), partitions(right)), ([], []))

    def sweep(self, limits, left, right):
        """limits: name -> what lowers it for a host. The same two go through all of it: what a round leaves behind shows in the next."""
        self.driver = BUILD / "drivers" / "softgpu.so"
        number = 0
        for name, lower in limits.items():
            for victim in (left, right):
                number += 1
                with self.subTest(limit=name, host=victim.name):
                    self.round(left, right, victim, lower, number)
        # And once more with everything there is.
        work = churn(1, size="1M")
        create(left, "p", work, vram="8M")
        left.run("migrate", "p", "--to", right.address, "--streams", 8, "--max-blackout", 20000)
        self.assert_works_to_its_end(right, "p", work)

    def test_descriptors(self):
        values = range(20, 201) if SWEEP else (20, 26, 32, 38, 44, 56, 80, 120, 200)
        limits = {f"{n} descriptors": self.limit(resource.RLIMIT_NOFILE, lambda pid, n=n: n) for n in values}
        self.sweep(limits, *self.pair())

    def test_address_space(self):
        more = range(0, 257, 8) if SWEEP else (0, 8, 24, 64, 160)
        limits = {f"{n} MiB more": self.limit(resource.RLIMIT_AS, lambda pid, n=n: address_space(pid) + n * MIB) for n in more}
        self.sweep(limits, *self.pair())

    def test_room_for_files(self):
        values = (0, 1 << 10, 4 << 10, 64 << 10, 1 << 20) if SWEEP else (0, 4 << 10, 64 << 10)
        limits = {f"files of {n} bytes": self.limit(resource.RLIMIT_FSIZE, lambda pid, n=n: n) for n in values}
        self.sweep(limits, *self.pair())

    def pair_in_groups(self):
        """Two hosts, and what makes a limit of so many threads more than a host has."""
        groups = {name: cgroups.Group("pids", name) for name in ("left", "right")}
        for group in groups.values():
            self.addCleanup(group.remove)
        hosts = [self.host(name, DEVICE, prefix=group.prefix) for name, group in groups.items()]

        def allow(more):
            def lower(host):
                group = groups[host.name]
                group.write("pids.max", group.read("pids.current") + more)
                self.lifts.append(lambda: group.write("pids.max", "max"))

            return lower

        return *hosts, allow

    @NEEDS_PIDS
    def test_threads(self):
        left, right, allow = self.pair_in_groups()
        more = range(0, 41) if SWEEP else (0, 1, 2, 3, 5, 8, 13, 21)
        self.sweep({f"{n} threads more": allow(n) for n in more}, left, right)
    @NEEDS_PIDS
    def test_who_asks_a_host_without_threads_hears_that_it_has_none(self):
        left, right, allow = self.pair_in_groups()
        work = churn(2, size="1M", rate=2 << 20)
        create(left, "p", work, vram="8M")
        rested(right)
        for more in range(4):  # the connection's thread, its reader, its pinger, the kernel side's
            allow(more)(right)
            done = self.ask(left, "migrate", "p", "--to", right.address)
            self.lift()
            self.assertNotEqual(done.returncode, 0, done)
            self.assertIn("the system gives no more threads", done.stderr)
            self.assertIn("TasksMax=", done.stderr)
            self.assertIn("runs on at host left", done.stderr)
            rested(right)
        allow(0)(right)
        done = self.ask(right, "host", "show")
        self.assertEqual(done.returncode, 1, done)
        self.assertIn("the system gives no more threads", done.stderr)
        self.lift()
        left.run("migrate", "p", "--to", right.address, "--max-blackout", 20000)
        self.assert_works_to_its_end(right, "p", work)


if __name__ == "__main__":
    unittest.main()
