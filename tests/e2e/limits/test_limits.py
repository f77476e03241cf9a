# SPDX-License-Identifier: Apache-2.0
"""A machine that gives no more: descriptors, threads, memory, room for files, taken away from one host while it works and given
back. The host says so or does what it was asked for; nothing is lost, nothing is there twice, no log grows, and no restart is needed.
VF_SWEEP=all tries every value."""
import os
import pathlib
import resource
import socket
import unittest

import cgroups
from e2e import DEVICE, at_once, begins, churn, create, partitions, rested, take_descriptors
from harness import wait_until
from limits import BOUND, NEEDS_ADDRESS_SPACE, SWEEP, Limited
from proxy import OUT, Point, Proxy

MIB = 1 << 20

TESTS_AT_ONCE = at_once(3)
WHY_NOT_PIDS = cgroups.why_not("pids")
NEEDS_PIDS = unittest.skipIf(WHY_NOT_PIDS is not None, WHY_NOT_PIDS)


def address_space(pid):
    return int(pathlib.Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[0]) * os.sysconf("SC_PAGE_SIZE")


def room_for(pid, more):
    """A limit that leaves it so many descriptors, or the free ones below its highest: what it has open lies below any real limit."""
    taken = [int(fd) for fd in os.listdir(f"/proc/{pid}/fd")]
    return max(len(taken) + more, max(taken) + 1)


def network_goes(way, connection, record):
    """No connection that stands now survives, and new ones do not get through."""
    del connection, record
    way.refusing = True
    way.cut_all()


class Limits(Limited):
    def test_descriptors(self):
        values = range(20, 201) if SWEEP else (20, 26, 32, 38, 44, 56, 80, 120, 200)
        limits = {f"{n} descriptors": self.limit(resource.RLIMIT_NOFILE, lambda pid, n=n: n) for n in values}
        self.sweep(limits, *self.pair())

    def test_who_asks_a_host_without_descriptors_hears_that_it_has_none(self):
        left, right = self.pair()
        work = churn(2, size="1M", rate=2 << 20)
        create(left, "p", work, vram="8M")
        rested(right)
        refused = 0
        for more in range(8):  # the connection's own, what it is woken by, its kernel connection's, a data stream's
            soft, hard = resource.prlimit(right.process.pid, resource.RLIMIT_NOFILE)
            resource.prlimit(right.process.pid, resource.RLIMIT_NOFILE, (room_for(right.process.pid, more), hard))
            done = self.ask(left, "migrate", "p", "--to", right.address)
            self.ask(right, "host", "show")
            resource.prlimit(right.process.pid, resource.RLIMIT_NOFILE, (soft, hard))
            self.assertNotEqual(done.returncode, 0, done)
            self.assertIn("runs on at host left", done.stderr)
            self.assertIn("LimitNOFILE=", done.stderr)
            self.assertRegex(done.stderr, "no descriptor is left|Too many open files")
            self.assertNotIn("closed the connection", done.stderr)
            self.assertIn(done.returncode, (1, 7), done)
            refused += "host right cannot take it: no descriptor is left" in done.stderr
            rested(right)
        self.assertGreater(refused, 0)
        left.run("migrate", "p", "--to", right.address, "--max-blackout", 20000)
        self.assert_works_to_its_end(right, "p", work)

    def reconnecting(self, redial):
        """Hosts whose link was lost in the first round, and the command of that move; the target has no descriptor left."""
        left = self.host("left", DEVICE, options=("--redial", redial))
        right = self.host("right", DEVICE, options=("--redial", redial))
        work = churn(4, size="24M", rate=1 << 20, seed=5)
        create(left, "p", work, vram="32M")
        begins(left, "p")
        way = Proxy(right.address, Point("PAGES", OUT, "data"), network_goes, nth=8)
        self.addCleanup(way.close)
        moving = left.spawn("migrate", "p", "--to", way.address, "--max-blackout", 20000)
        wait_until("it reconnects", lambda: [job["phase"] for job in left.json("job", "list")["jobs"]] == ["reconnect"])
        rested(right)  # what the lost link had is given back
        before = take_descriptors(self, right)
        self.lifts.append(lambda: resource.prlimit(right.process.pid, resource.RLIMIT_NOFILE, before))
        way.refusing = False
        wait_until("the target turned it away", lambda: "no descriptor is left" in right.log(), BOUND)
        return left, right, moving, work

    def test_a_move_that_was_cut_goes_on_when_its_target_has_descriptors_again(self):
        _, right, moving, work = self.reconnecting("300")
        self.assertIsNone(moving.poll())
        self.lift()
        out, err = moving.communicate(timeout=BOUND)
        self.assertEqual(moving.returncode, 0, out + err)
        self.assert_works_to_its_end(right, "p", work)

    def test_a_move_that_was_cut_and_whose_target_has_no_descriptors_fails_and_it_runs_on(self):
        left, right, moving, work = self.reconnecting("3")
        out, err = moving.communicate(timeout=BOUND)
        self.assertEqual(moving.returncode, 1, out + err)
        self.assertIn("no descriptor is left", err)
        self.assertIn("partition p runs on at host left", err)
        self.lift()
        self.assert_works_to_its_end(left, "p", work)
        wait_until("nothing is left there", lambda: not partitions(right), BOUND)

    @NEEDS_ADDRESS_SPACE
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
        left.run("migrate", "p", "--to", right.address, "--max-blackout", 20000)
        self.assert_works_to_its_end(right, "p", work)

    @NEEDS_PIDS
    def test_a_host_without_threads_can_be_looked_at_and_stopped(self):
        """By the thread and the connection that are kept back. A client that has them and asks nothing keeps nobody out."""
        group = cgroups.Group("pids", "stands")
        self.addCleanup(group.remove)
        host = self.host("stands", DEVICE, prefix=group.prefix)
        create(host, "p", churn(1, size="1M"), vram="8M")
        rested(host)
        group.write("pids.max", group.read("pids.current"))
        with socket.socket(socket.AF_UNIX) as idle:
            idle.connect(str(host.state / "control.sock"))
            for words in (("host", "show"), ("partition", "list"), ("partition", "pause", "p"), ("partition", "resume", "p"), ("job", "list"),
                          ("events",), ("adapter", "list"), ("partition", "remove", "p")):
                host.run(*words)
        host.run("host", "stop")
        self.assertEqual(host.process.wait(20), 0)


if __name__ == "__main__":
    unittest.main()
