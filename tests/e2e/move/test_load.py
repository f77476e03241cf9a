# SPDX-License-Identifier: Apache-2.0
"""Sixteen partitions move at once while sixteen more work: all end right, none starves, memory is bounded. The long one: make load."""
import os
import signal
import statistics
import time
import unittest

from e2e import (
    BLACKOUT_MS,
    BUILD,
    SLOW,
    Case,
    at_once,
    begins,
    churn,
    create,
    footprint_settles,
    rested,
    steps,
)
from harness import wait_until
from load import JOB_BYTES, Load, fairness

DEVICE = "softgpu,vram=2G,vfs=32,dirty-page=64K"
# A part of what the median gets. Whoever is starved gets nothing; a busy machine shares unevenly, but not by so much.
LEAST_SHARE = 0.25
# Moves go in turns, so the last one waits for all: twice the median, were all alike.
SLOWEST_MOVE = 8


class Crowd(Case):
    def crowd(self, **wish):
        left, right = self.pair(DEVICE)
        before = [(host, rested(host)) for host in (left, right)]
        load = Load(at_once(16), at_once(16), migrate=("--max-blackout", BLACKOUT_MS), **wish)
        load.run(left, right, BUILD)
        print(*(f"# {line}" for line in load.lines()), sep="\n", flush=True)
        self.assertGreaterEqual(
            fairness(load.rates(load.moving())), LEAST_SHARE, "a partition starved while all moved"
        )
        self.assertGreaterEqual(
            fairness(load.rates(load.staying())),
            LEAST_SHARE,
            "a partition starved that only worked",
        )
        totals = [1 / part.job["total_ns"] for part in load.moving()]
        self.assertGreaterEqual(fairness(totals), 1 / SLOWEST_MOVE, "a move was left behind")
        for name, (most_before, most_after, jobs) in load.memory.items():
            self.assertLess(
                most_after - most_before,
                jobs * JOB_BYTES * (4 if SLOW else 1),
                f"vferryd of {name}",
            )
        for host, held in before:
            for one in host.json("partition", "list")["partitions"]:
                host.run("partition", "remove", one["name"])
            footprint_settles(host, held)

    def test_sixteen_move_one_way_while_sixteen_work(self):
        self.crowd()

    def test_eight_move_each_way_while_sixteen_work(self):
        self.crowd(both=True)


class Slots(Case):
    def test_nobody_pays_for_a_slot_that_the_system_interrupted(self):
        """A long stop in the middle of one queue's slot: charged to it, it would wait that long for each neighbour."""
        left = self.host("left", DEVICE)
        names = [f"p{i}" for i in range(8)]
        for number, name in enumerate(names):
            create(left, name, churn(1 << 20, rate=1 << 30, seed=number))
        for name in names:
            begins(left, name)
        os.kill(left.kernel_pid, signal.SIGSTOP)
        time.sleep(2)  # the stop itself: nothing else tells how long it was
        os.kill(left.kernel_pid, signal.SIGCONT)
        before = {name: steps(left, name) for name in names}

        def done():
            return [steps(left, name) - before[name] for name in names]

        wait_until("most work on", lambda: statistics.median(done()) > 20000, 60)
        self.assertGreaterEqual(fairness(done()), LEAST_SHARE)


if __name__ == "__main__":
    unittest.main()
