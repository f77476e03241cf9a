# SPDX-License-Identifier: Apache-2.0
"""Partitions that write faster than a move can send: they are slowed, arrive whole, and run at their own speed whatever ends the move."""
import json
import unittest

from e2e import at_once, Case, Work, begins, create, finish, partitions, show, state, steps
from harness import PATIENCE, wait_until

TESTS_AT_ONCE = at_once(2)
SIZE = "64M"
FOR_EVER = 1_000_000_000  # steps
# A round takes twice as long as a pause may, and the disk has its time.
BANDWIDTH = (32 << 20) // PATIENCE
LIMIT_MS = 1000 * PATIENCE
SHORT_MS = 100 if PATIENCE == 1 else 5000  # what it is on a machine that does nothing slowly


def full_speed(steps_wanted):
    """As many random writes as the engine makes: some hundred thousand a second, so all of it is dirty in every round."""
    return Work("churn", size=SIZE, seed=7, steps=steps_wanted)


class Throttle(Case):
    def working(self, steps_wanted=3_000_000):
        left, right = self.pair("softgpu,vram=512M,vfs=2,dirty-page=64K")
        self.work = full_speed(steps_wanted)
        create(left, "p", self.work, vram="128M")
        begins(left, "p", 1000)
        return left, right

    def slowed(self, *options):
        """Its move goes on for minutes, and has slowed it."""
        left, right = self.working(FOR_EVER)
        moving = left.spawn("--json", "migrate", "p", "--to", right.address, "--bandwidth", BANDWIDTH, "--max-blackout", LIMIT_MS, *options)

        def slow():
            self.assertIsNone(moving.poll(), moving.poll() is not None and moving.communicate())
            return show(left, "p")["throttle"] > 0

        wait_until("p is slowed", slow)
        return left, right, moving

    def assert_free(self, host):
        wait_until("p is slowed no more", lambda: show(host, "p")["throttle"] == 0)
        self.assertIn(state(host, "p"), ("running", "outgoing"))
        before = steps(host, "p")
        wait_until("it works", lambda: steps(host, "p") > before + 1000)

    def test_what_writes_at_full_speed_arrives_whole_within_a_short_limit(self):
        left, right = self.working()
        out = left.run("--json", "migrate", "p", "--to", right.address, "--max-blackout", SHORT_MS, timeout=120).stdout
        job = json.loads(out)
        self.assertEqual(job["status"], "completed")
        self.assertGreater(job["throttle_max"], 0)
        self.assertGreater(job["throttled_ns"], 0)
        self.assertLess(job["throttled_ns"], job["total_ns"])
        self.assertEqual(show(right, "p")["throttle"], 0)
        self.assertIn("is slowed, by", json.dumps(left.json("events")))
        arrival = right.json("job", "show", right.json("job", "list")["jobs"][0]["job"])
        self.assertEqual((arrival["throttle_max"], arrival["throttled_ns"]), (None, None))
        self.assert_works_to_its_end(right, "p", self.work)

    def test_what_must_not_be_slowed_is_not(self):
        left, right = self.working(FOR_EVER)
        refused = left.run("migrate", "p", "--to", right.address, "--throttle", "off", "--bandwidth", BANDWIDTH, "--max-blackout", LIMIT_MS, code=4, timeout=120)
        self.assertIn("will not converge", refused.stderr)
        job = left.json("job", "show", left.json("job", "list")["jobs"][0]["job"])
        self.assertEqual((job["throttle_max"], job["throttled_ns"]), (0, 0))
        self.assertNotIn("is slowed", json.dumps(left.json("events")))
        self.assertEqual((state(left, "p"), partitions(right)), ("running", []))

    def test_it_is_slowed_by_no_more_than_was_allowed(self):
        left, _, moving = self.slowed("--throttle", "30%")
        self.assertEqual(show(left, "p")["throttle"], 0.3)
        _, err = moving.communicate(timeout=240)
        self.assertEqual(moving.returncode, 4, err)
        job = left.json("job", "show", left.json("job", "list")["jobs"][0]["job"])
        self.assertEqual(job["throttle_max"], 0.3)
        self.assert_free(left)

    def test_a_cancel_lets_it_run_freely(self):
        left, _, moving = self.slowed()
        left.run("job", "cancel", left.json("job", "list")["jobs"][0]["job"])
        moving.communicate(timeout=60)
        self.assertEqual(moving.returncode, 4)
        self.assert_free(left)

    def test_a_daemon_that_is_killed_slows_nothing(self):
        left, _, moving = self.slowed()
        left.kill()
        moving.communicate(timeout=60)
        left.start()
        self.assert_free(left)

    def test_a_lost_target_slows_nothing(self):
        left, right, moving = self.slowed()
        right.kill()
        self.assert_free(left)
        left.run("job", "cancel", left.json("job", "list")["jobs"][0]["job"])
        moving.communicate(timeout=60)


if __name__ == "__main__":
    unittest.main()
