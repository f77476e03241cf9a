# SPDX-License-Identifier: Apache-2.0
"""A peer or a person gets in the way of a move: stopped, killed, cut off, cancelled."""
import os
import signal
import time
import unittest

import proxy
from e2e import at_once, BLACKOUT_MS, begins, create, move, partitions, room, runs, stop
from faults import LET_GO_S, Faults, work_for
from harness import PATIENCE, pid_gone, wait_until
from proxy import OUT, Point, Proxy

TESTS_AT_ONCE = at_once(4)


class Peers(Faults):
    """A peer stops, dies or is cut off altogether."""

    def setUp(self):
        super().setUp()
        self.warm_up()

    def test_the_whole_network_goes_silent(self):
        """And comes back: the connections that were open then are lost, new ones work."""
        self.disturbed("p", Point("PAGES", OUT, "data"), proxy.all_silent, 9, 0)
        self.nothing_is_left()

    def test_the_whole_network_goes_away(self):
        self.disturbed("p", Point("PAGES", OUT, "data"), proxy.cut_for_good, 9, 1)
        self.nothing_is_left()

    def test_a_stopped_target_counts_as_lost_and_clears_up_when_it_goes_on(self):
        target = self.right.process
        work = work_for("p", 9)
        create(self.left, "p", work)
        with Proxy(
            self.right.address, Point("PAGES", OUT, "data"), proxy.calling(lambda: stop(target))
        ) as way:
            try:
                self.left.run(
                    "migrate", "p", "--to", way.address, "--max-blackout", BLACKOUT_MS, code=1
                )
                runs(self.left, "p")
            finally:
                target.send_signal(signal.SIGCONT)
            wait_until("the target is clear", lambda: partitions(self.right) == [], 20)
        self.assert_works_to_its_end(self.left, "p", work)
        self.left.run("partition", "remove", "p")
        self.nothing_is_left()

    def test_a_target_that_stops_in_the_blackout_costs_no_more_than_the_limit(self):
        target = self.right.process
        work = work_for("p", 5)
        create(self.left, "p", work)
        begins(self.left, "p")
        with Proxy(
            self.right.address,
            Point("STATE", OUT, paused=True),
            proxy.calling(lambda: stop(target)),
        ) as way:
            moving = self.left.spawn("migrate", "p", "--to", way.address, "--max-blackout", 700)
            try:
                self.assertTrue(way.acted.wait(30))
                # Not only is it given up: the partition works again, whatever else there is to tell the peer.
                began = time.monotonic()
                runs(self.left, "p")
                self.assertLess(time.monotonic() - began, 3 * PATIENCE)
            finally:
                target.send_signal(signal.SIGCONT)
            out, err = moving.communicate(timeout=60)
        self.assertEqual(moving.returncode, 1, err + out)
        self.assertIn("--max-blackout", err)
        wait_until("the target is clear", lambda: partitions(self.right) == [], 20)
        self.assert_works_to_its_end(self.left, "p", work)
        self.left.run("partition", "remove", "p")
        self.nothing_is_left()

    def test_a_stopped_source_loses_its_claim_on_the_target(self):
        source = self.left.process
        work = work_for("p", 12)
        create(self.left, "p", work)
        with Proxy(
            self.right.address, Point("PAGES", OUT, "data"), proxy.calling(lambda: stop(source))
        ) as way:
            moving = self.left.spawn(
                # Its own host stands longer than a command waits by itself.
                "--timeout", 0, "migrate", "p", "--to", way.address, "--max-blackout", BLACKOUT_MS
            )
            try:
                self.assertTrue(way.acted.wait(30))
                wait_until("the target has let go", lambda: room(self.right) == self.there, LET_GO_S)
            finally:
                source.send_signal(signal.SIGCONT)
            out, err = moving.communicate(timeout=60)
        self.assertEqual(moving.returncode, 1, err + out)
        self.assert_works_to_its_end(self.left, "p", work)
        self.left.run("partition", "remove", "p")
        self.nothing_is_left()

    def test_a_crash_of_the_targets_kernel_side_leaves_the_source_running(self):
        work = work_for("p", 4)
        create(self.left, "p", work)
        kernel = self.right.kernel_pid
        fd = self.kernel_fd(kernel)
        with Proxy(
            self.right.address,
            Point("PAGES", OUT, "data"),
            proxy.calling(lambda: signal.pidfd_send_signal(fd, 9)),
        ) as way:
            done = self.left.run(
                "migrate", "p", "--to", way.address, "--max-blackout", BLACKOUT_MS, code=None
            )
        # Its daemon ends with it, and may say so first: a failure, or a cancel by the target.
        self.assertEqual(done.returncode, 1, done.stderr)
        wait_until("the kernel side is dead", lambda: pid_gone(kernel))
        self.assert_works_to_its_end(self.left, "p", work)
        self.right.process.wait(20)
        self.right.start()
        self.assertEqual(partitions(self.right), [])
        move(self.left, self.right, "p")

    def kernel_fd(self, pid):
        fd = os.pidfd_open(pid)
        self.addCleanup(os.close, fd)
        return fd

    def test_a_crash_of_the_sources_kernel_side_leaves_nothing_on_the_target(self):
        create(self.left, "p", work_for("p", 30))
        fd = self.kernel_fd(self.left.kernel_pid)
        with Proxy(
            self.right.address,
            Point("PAGES", OUT, "data"),
            proxy.calling(lambda: signal.pidfd_send_signal(fd, 9)),
        ) as way:
            moving = self.left.spawn(
                "migrate", "p", "--to", way.address, "--max-blackout", BLACKOUT_MS
            )
            moving.communicate(timeout=60)
            self.assertNotEqual(moving.returncode, 0)
        self.assert_nothing_arrived(self.right, self.there, "p")

    def test_a_cancel_on_the_target_ends_the_move_with_the_source_running(self):
        def cancel(name):
            job = next(
                j
                for j in self.right.json("job", "list")["jobs"]
                if j["partition"] == name and j["status"] == "running"
            )
            self.right.run("job", "cancel", job["job"])

        self.disturbed("p", Point("PAGES", OUT, "data"), proxy.hold, 3, 4, during=cancel)
        self.nothing_is_left()

    def test_ctrl_c_in_a_foreground_migrate_cancels_it(self):
        work = work_for("p", 3)
        create(self.left, "p", work)
        with Proxy(self.right.address, Point("PAGES", OUT, "data"), proxy.hold) as way:
            moving = self.left.spawn(
                "migrate", "p", "--to", way.address, "--max-blackout", BLACKOUT_MS
            )
            self.assertTrue(way.acted.wait(30))
            moving.send_signal(signal.SIGINT)
            out, err = moving.communicate(timeout=30)
        self.assertEqual(moving.returncode, 4, err + out)
        self.assertIn("cancel", err)
        self.assert_works_to_its_end(self.left, "p", work)
        self.left.run("partition", "remove", "p")
        self.nothing_is_left()

    def test_a_blackout_beyond_its_limit_is_given_up(self):
        work = work_for("p", 4, last_round=True)
        create(self.left, "p", work)
        begins(self.left, "p")
        with Proxy(self.right.address, Point("PAGES", OUT, "data", paused=True), proxy.hold) as way:
            done = self.left.run("migrate", "p", "--to", way.address, "--max-blackout", 600, code=1)
            self.assertTrue(way.acted.is_set())
        self.assertIn("--max-blackout", done.stderr)
        self.assert_works_to_its_end(self.left, "p", work)
        self.left.run("partition", "remove", "p")
        self.nothing_is_left()


if __name__ == "__main__":
    unittest.main()
