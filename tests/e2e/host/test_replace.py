# SPDX-License-Identifier: Apache-2.0
"""A daemon that is told to end and comes back, as an update of vferryd does: partitions and moves outlive it."""
import signal
import unittest

from e2e import BLACKOUT_MS, Case, begins, churn, create, finish, partitions, runs
from harness import wait_until


class Replaced(Case):
    def interrupted(self, work):
        """A slow move whose source daemon was told to end before it was done."""
        left, right = self.host("left"), self.host("right")
        create(left, "p", work)
        begins(left, "p")
        left.run("migrate", "p", "--to", right.address, "--bandwidth", "4M", "--max-blackout", BLACKOUT_MS, "--detach")
        left.kill(signal.SIGTERM)
        self.assertEqual(left.process.returncode, 0)
        return left, right

    def test_a_move_that_a_restart_interrupted_starts_over_by_itself_and_only_once(self):
        work = churn(8, rate=1 << 20)
        left, right = self.interrupted(work)
        left.start()
        wait_until("the partition arrives", lambda: not partitions(left), 60)
        runs(right, "p")
        self.assertEqual(finish(right, "p"), work.want())
        first, second = sorted(left.json("job", "list")["jobs"], key=lambda job: job["job"])
        self.assertIn("started over as job", first["reason"])
        self.assertEqual(second["status"], "completed")
        left.kill(signal.SIGTERM)
        left.start()
        jobs = left.json("job", "list")["jobs"]
        self.assertEqual(len(jobs), 2)
        self.assertIn("started over as job", min(jobs, key=lambda job: job["job"])["reason"])

    def test_the_command_line_of_a_move_says_that_the_daemon_ended_and_starts_it_over(self):
        left, right = self.host("left"), self.host("right")
        create(left, "p", churn(20, rate=1 << 20))
        begins(left, "p")
        moving = left.spawn("migrate", "p", "--to", right.address, "--bandwidth", "4M", "--max-blackout", BLACKOUT_MS)
        wait_until("the move sends", lambda: partitions(right), 60)
        left.kill(signal.SIGTERM)
        _, said = moving.communicate(timeout=60)
        self.assertEqual(moving.returncode, 1, said)
        self.assertIn("the daemon of host left was ended during the move", said)
        self.assertIn("partition p runs on at host left", said)
        self.assertIn("start it again within 10 min, and it starts the move over by itself", said)
        self.assertNotIn("cancelled", said)
        left.start()
        first = min(left.json("job", "list")["jobs"], key=lambda job: job["job"])
        self.assertEqual(first["status"], "failed")
        self.assertIn("the daemon of host left was ended during the move", first["reason"])

    def test_an_evacuation_says_that_the_daemon_ended_though_another_host_is_named(self):
        left, right, third = self.host("left"), self.host("right"), self.host("third")
        create(left, "p", churn(20, rate=1 << 20))
        begins(left, "p")
        moving = left.spawn("host", "evacuate", "--to", right.address, "--to", third.address, "--bandwidth", "4M",
                            "--max-blackout", BLACKOUT_MS)
        wait_until("the move sends", lambda: partitions(right) or partitions(third), 60)
        left.kill(signal.SIGTERM)
        _, said = moving.communicate(timeout=60)
        self.assertEqual(moving.returncode, 1, said)
        self.assertIn("the daemon of host left was ended during the move", said.splitlines()[-1])
        self.assertNotIn("cancelled", said)

    def test_a_move_that_a_person_cancelled_does_not_start_over(self):
        left, right = self.host("left"), self.host("right")
        create(left, "p", churn(20, rate=1 << 20))
        begins(left, "p")
        left.run("migrate", "p", "--to", right.address, "--bandwidth", "4M", "--max-blackout", BLACKOUT_MS, "--detach")
        left.run("job", "cancel", left.json("job", "list")["jobs"][0]["job"])
        left.kill(signal.SIGTERM)
        left.start()
        self.assertEqual([job["status"] for job in left.json("job", "list")["jobs"]], ["cancelled"])
        runs(left, "p")
        self.assertEqual(partitions(right), [])


if __name__ == "__main__":
    unittest.main()
