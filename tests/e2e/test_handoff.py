# SPDX-License-Identifier: Apache-2.0
"""Something happens at the point of no return: never two that run."""
import time
import unittest

import proxy
from e2e import BLACKOUT_MS, begins, churn, create, finish, partitions, room, show, state
from faults import Faults
from proxy import IN, OUT, Point, Proxy

TESTS_AT_ONCE = 4


class HandOff(Faults):
    """At the point of no return: never two that run."""

    def at(self, point, act=proxy.cut, nth=1):
        """A move that is disturbed at a record of the hand-off: the work, the exit code, and what was said."""
        work = churn(4, size="4M", rate=4 << 20, seed=9)
        create(self.left, "p", work)
        begins(self.left, "p")
        with Proxy(self.right.address, point, act, nth) as way:
            moving = self.left.spawn("migrate", "p", "--to", way.address, "--max-blackout", BLACKOUT_MS)
            out, err = moving.communicate(timeout=90)
            self.assertTrue(way.acted.is_set(), f"{point} never passed")
        return work, moving.returncode, err + out

    def stands(self, host):
        """It is there and does not run."""
        first = show(host, "p")
        self.assertNotEqual(first["state"], "running")
        end = time.monotonic() + 0.5
        while time.monotonic() < end:
            self.assertEqual(show(host, "p")["steps"], first["steps"])

    def jobs_status(self, host):
        return host.json("job", "list")["jobs"][0]["status"]

    def test_ready_lost_lets_the_source_run_and_the_target_never(self):
        work, code, said = self.at(Point("READY", IN, paused=True))
        self.assertEqual(code, 1, said)
        self.assertEqual(state(self.left, "p"), "running")
        if "p" in partitions(self.right):
            self.stands(self.right)
        self.assert_works_to_its_end(self.left, "p", work)

    def test_ready_lost_leaves_nothing_on_the_target(self):
        before = room(self.right)
        self.at(Point("READY", IN, paused=True))
        self.assert_nothing_arrived(self.right, before, "p")

    def one_at_most(self, work, code, said):
        """Whether the two hosts could make up or not: the target runs it, or nobody does."""
        self.assertIn(code, (0, 6), said)
        if code == 0:
            self.assertEqual(partitions(self.left), [])
            self.assert_works_to_its_end(self.right, "p", work)
            return
        self.stands(self.left)
        self.assertEqual(self.jobs_status(self.left), "unknown")
        if state(self.right, "p") != "running":
            self.stands(self.right)
        else:
            self.assert_works_to_its_end(self.right, "p", work)

    def test_commit_lost_lets_one_run_at_most(self):
        self.one_at_most(*self.at(Point("COMMIT", OUT, paused=True)))

    def test_running_lost_lets_the_target_run_and_nobody_else(self):
        work, code, said = self.at(Point("RUNNING", IN, paused=True))
        self.assertEqual(state(self.right, "p"), "running")
        self.one_at_most(work, code, said)

    def test_what_is_not_known_stays_so_over_a_restart_of_both_daemons(self):
        """The target's daemon is dead when its answer is due, so that the source cannot know."""
        work = churn(4, size="4M", rate=4 << 20, seed=9)
        create(self.left, "p", work)
        begins(self.left, "p")
        with Proxy(self.right.address, Point("RUNNING", IN, paused=True), lambda *_: self.right.kill()) as way:
            moving = self.left.spawn("migrate", "p", "--to", way.address, "--max-blackout", BLACKOUT_MS)
            self.assertTrue(way.acted.wait(30))
            self.left.kill()
            moving.communicate(timeout=60)
        self.assertEqual(moving.returncode, 6)
        for host in (self.left, self.right):
            host.start()
        self.assertEqual(state(self.right, "p"), "running")
        if "p" in partitions(self.left):
            self.stands(self.left)
        self.assert_works_to_its_end(self.right, "p", work)

    def test_done_lost_changes_nothing(self):
        work, code, said = self.at(Point("DONE", OUT, paused=True))
        self.assertEqual(code, 0, said)
        self.assertEqual(partitions(self.left), [])
        self.assert_works_to_its_end(self.right, "p", work)

    def test_close_lost_changes_nothing(self):
        work, code, said = self.at(Point("CLOSE", IN, paused=True))
        self.assertEqual(code, 0, said)
        self.assertEqual(partitions(self.left), [])
        self.assert_works_to_its_end(self.right, "p", work)

    def test_a_cancel_after_commit_is_too_late_and_the_move_completes(self):
        work = churn(4, size="4M", rate=4 << 20, seed=9)
        create(self.left, "p", work)
        with Proxy(self.right.address, Point("COMMIT", OUT, paused=True), proxy.hold) as way:
            moving = self.left.spawn("migrate", "p", "--to", way.address, "--max-blackout", BLACKOUT_MS)
            self.assertTrue(way.acted.wait(30))
            refused = self.left.run("job", "cancel", self.left.json("job", "list")["jobs"][0]["job"], code=1)
            self.assertIn("committed", refused.stderr)
            way.gate.set()
            out, err = moving.communicate(timeout=60)
        self.assertEqual(moving.returncode, 0, err + out)
        self.assertEqual(partitions(self.left), [])
        self.assertEqual(finish(self.right, "p"), work.want())


if __name__ == "__main__":
    unittest.main()
