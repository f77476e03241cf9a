# SPDX-License-Identifier: Apache-2.0
"""Something happens at the point of no return: never two that run."""
import time
import unittest

import proxy
from e2e import at_once, BLACKOUT_MS, begins, churn, create, finish, partitions, room, show, state
from faults import Faults
from harness import PATIENCE, wait_until
from proxy import IN, OUT, Point, Proxy

TESTS_AT_ONCE = at_once(6)


def shut_out(way, connection, record):
    """The way between the hosts ends before the record, until it is opened again."""
    del connection, record
    way.refusing = True
    way.cut_all()


class HandOff(Faults):
    """At the point of no return: never two that run."""

    def at(self, point, act=proxy.cut, nth=1):
        """A move that is disturbed at a record of the hand-off: the work, the exit code, and what was said."""
        work = churn(4, size="4M", rate=4 << 20, seed=9)
        create(self.left, "p", work)
        begins(self.left, "p")
        with Proxy(self.right.address, point, act, nth) as way:
            moving = self.left.spawn(
                "migrate", "p", "--to", way.address, "--max-blackout", BLACKOUT_MS
            )
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
        self.assert_works_to_its_end(self.left, "p", work)

    def test_ready_lost_leaves_nothing_on_the_target(self):
        before = room(self.right)
        self.at(Point("READY", IN, paused=True))
        self.assert_nothing_arrived(self.right, before, "p")

    def made_up(self, work, code, said):
        """The connection was lost and found again: the move is whole."""
        self.assertEqual(code, 0, said)
        self.assertEqual(partitions(self.left), [])
        self.assertEqual(self.jobs_status(self.left), "completed")
        self.assert_works_to_its_end(self.right, "p", work)

    def test_commit_lost_is_said_again(self):
        self.made_up(*self.at(Point("COMMIT", OUT, paused=True)))

    def test_running_lost_is_asked_for_again(self):
        self.made_up(*self.at(Point("RUNNING", IN, paused=True)))

    def test_commit_lost_for_good_is_unknown_and_neither_runs(self):
        _, code, said = self.at(Point("COMMIT", OUT, paused=True), proxy.cut_for_good)
        self.assertEqual(code, 6, said)
        self.assertEqual(self.jobs_status(self.left), "unknown")
        self.stands(self.left)
        self.stands(self.right)
        self.leave()

    def leave(self):
        """The hosts of an open outcome would wait for each other for a while yet."""
        self.left.kill()
        self.right.kill()

    def test_running_lost_for_good_is_unknown_and_only_the_target_runs(self):
        work, code, said = self.at(Point("RUNNING", IN, paused=True), proxy.cut_for_good)
        self.assertEqual(code, 6, said)
        self.stands(self.left)
        self.assert_works_to_its_end(self.right, "p", work)

    def test_ready_lost_for_good_lets_the_source_run_and_the_target_never(self):
        work, code, said = self.at(Point("READY", IN, paused=True), proxy.cut_for_good)
        self.assertEqual(code, 1, said)
        self.assertEqual(state(self.left, "p"), "running")
        if "p" in partitions(self.right):
            self.stands(self.right)
        self.assert_works_to_its_end(self.left, "p", work)
        self.leave()

    def test_what_is_not_known_stays_so_over_a_restart_of_both_daemons(self):
        """The target's daemon is dead when its answer is due, so that the source cannot know."""
        work = churn(4, size="4M", rate=4 << 20, seed=9)
        create(self.left, "p", work)
        begins(self.left, "p")
        with Proxy(
            self.right.address, Point("RUNNING", IN, paused=True), lambda *_: self.right.kill()
        ) as way:
            moving = self.left.spawn(
                "migrate", "p", "--to", way.address, "--max-blackout", BLACKOUT_MS
            )
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
            moving = self.left.spawn(
                "migrate", "p", "--to", way.address, "--max-blackout", BLACKOUT_MS
            )
            self.assertTrue(way.acted.wait(30))
            refused = self.left.run(
                "job", "cancel", self.left.json("job", "list")["jobs"][0]["job"], code=1
            )
            self.assertIn("committed", refused.stderr)
            way.gate.set()
            out, err = moving.communicate(timeout=60)
        self.assertEqual(moving.returncode, 0, err + out)
        self.assertEqual(partitions(self.left), [])
        self.assertEqual(finish(self.right, "p"), work.want())


class LinkStaysLost(Faults):
    """The way between the hosts does not come back for long."""

    redial_s = 3600

    def test_the_command_returns_soon_after_the_partition_runs_again_and_the_target_hears_later(self):
        work = churn(4, size="4M", rate=4 << 20, seed=9)
        create(self.left, "p", work)
        begins(self.left, "p")
        with Proxy(self.right.address, Point("READY", IN, paused=True), shut_out) as way:
            moving = self.left.spawn("migrate", "p", "--to", way.address, "--max-blackout", BLACKOUT_MS)
            out, err = moving.communicate(timeout=90 * PATIENCE)
            self.assertEqual(moving.returncode, 1, err + out)
            self.assertIn("waiting for host right to hear that the move was called off; partition p runs on at host left", out)
            self.assertRegex(err, r"partition p runs on at host left, it stood for .*; host right is told so as soon as it can be reached\n$")
            self.assertEqual(state(self.right, "p"), "ready")
            way.refusing = False
            wait_until("the target has nothing of it", lambda: "p" not in partitions(self.right), 60)
        self.assert_works_to_its_end(self.left, "p", work)


if __name__ == "__main__":
    unittest.main()
