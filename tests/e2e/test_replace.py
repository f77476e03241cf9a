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
        self.assertEqual(len(left.json("job", "list")["jobs"]), 2)

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
