# SPDX-License-Identifier: Apache-2.0
"""What follows from the journal after a restart is refused by the kernel side: not its bare text is told, but what could not be done and
what to do; and the next restart does it."""
import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))
from e2e import at_once, begins, churn, create, finish, partitions  # noqa: E402 (their place is known only now)
from recovery import Recovery  # noqa: E402

TESTS_AT_ONCE = at_once(6)


class Refused(Recovery):
    MAY_SAY = (*Recovery.MAY_SAY, "could not be removed", "Input/output error")

    def starts_refused(self, host, call):
        """Its next daemon starts, and that call of it fails whenever it is made: what the job says then."""
        self.arm(host, f"point=kernel.call,of={call},nth=1+:EIO")
        host.start()
        return host.json("job", "show", self.job(host)["job"])

    def assert_refused(self, job, status, phase, what, host):
        self.assertEqual(job["status"], status, job)
        self.assertRegex(job["reason"], rf"^{phase}: partition p could not be {what} at host {host} after a restart \(.+\); "
                                        rf"restart the vferryd of host {host}, which tries it again$")

    def test_a_target_that_cannot_remove_what_arrived_says_where_when_and_what_to_do(self):
        self.pair(target="msg=STATE,dir=recv:kill")
        moving = self.migrate()
        self.dies(self.right)
        self.arm(self.right, "point=kernel.call,of=remove partition:EIO")
        self.right.start()
        reason = self.right.json("job", "show", self.job(self.right)["job"])["reason"]
        self.assertRegex(reason, r"^before READY: partition p could not be removed at host right after a restart \(.+\); "
                                 r"restart the vferryd of host right, which tries it again$")
        self.over(moving)
        self.ends_on_the_left()

    def test_a_source_that_had_not_committed_and_cannot_let_it_go_on_says_so(self):
        self.pair(source="msg=STATE,dir=send:kill")
        moving = self.migrate()
        self.dies(self.left)
        self.over(moving)
        job = self.starts_refused(self.left, "end migration")
        self.assert_refused(job, "failed", "in the blackout, before COMMIT", "let go on", "left")
        self.left.kill()
        self.again(self.left)
        self.ends_on_the_left()

    def test_a_target_that_committed_and_cannot_start_it_says_so(self):
        self.pair(target="point=journal.synced,of=COMMITTED:kill")
        moving = self.migrate()
        self.dies(self.right)
        self.left.kill()  # else its word makes the target try again
        self.over(moving)
        job = self.starts_refused(self.right, "resume partition")
        self.assert_refused(job, "unknown", "in the hand-off, after COMMIT", "started", "right")
        self.stands(self.right)
        self.right.kill()
        self.again(self.left, self.right)
        self.ends_on_the_right()

    def saved(self, fault=None):
        """A host on which p has just been saved, and its image; with the fault its daemon died of it."""
        self.left = self.host("left", fault)
        self.work = churn(1.5, size="2M", rate=4 << 20, seed=len(self.id()))
        create(self.left, "p", self.work, vram="8M")
        begins(self.left, "p")
        image = self.folder / "p.image"
        saving = self.left.spawn("save", "p", "--output", image)
        if fault:
            self.dies(self.left)
        self.over(saving)
        return image

    def restores(self, image):
        self.left.run("restore", "p", "--input", image, "--adapter", 0)
        self.assertEqual(finish(self.left, "p"), self.work.want())

    def test_a_save_that_has_its_image_and_cannot_remove_the_partition_says_so(self):
        image = self.saved("point=journal.synced,of=COMMIT:kill")
        job = self.starts_refused(self.left, "remove partition")
        self.assert_refused(job, "unknown", "after the image had its name, in which the partition is now whole", "removed", "left")
        self.stands(self.left)
        self.left.kill()
        self.again(self.left)
        self.settles(self.left, "completed")
        self.assertEqual(partitions(self.left), [])
        self.restores(image)

    def test_a_restore_that_committed_and_cannot_start_it_says_so(self):
        image = self.saved()
        self.left.kill()
        self.arm(self.left, "point=journal.synced,of=COMMITTED:kill")
        self.left.start()
        restoring = self.left.spawn("restore", "p", "--input", image, "--adapter", 0)
        self.dies(self.left)
        self.over(restoring)
        job = self.starts_refused(self.left, "resume partition")
        self.assert_refused(job, "unknown", "when it was to run", "started", "left")
        self.stands(self.left)
        self.left.kill()
        self.again(self.left)
        self.settles(self.left, "completed")
        self.assertEqual(finish(self.left, "p"), self.work.want())


if __name__ == "__main__":
    unittest.main()
