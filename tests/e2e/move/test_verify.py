# SPDX-License-Identifier: Apache-2.0
"""A device that loses dirty bits: the proof of the transport cannot see it, --verify full must."""
import json
import unittest

from e2e import at_once, Case, Work, begins, churn, create, finish, move, partitions, room, runs

TESTS_AT_ONCE = at_once(4)
# 4 KiB dirty pages: the first write of each page is one bit, so every third page of the first fill is lost for good.
DROPS_A_THIRD = "softgpu,vram=256M,vfs=2,dirty-page=4K,fault=drop-dirty:3"
# Not performant: the first round carries everything, so only bits of writes during the move can be lost, and all are.
DROPS_ALL = "softgpu,vram=256M,vfs=2,dirty-page=4K,performant=off,fault=drop-dirty:1"
SOUND = "softgpu,vram=256M,vfs=2,dirty-page=4K"
SOUND_OFF = "softgpu,vram=256M,vfs=2,dirty-page=4K,performant=off"


class DroppedBits(Case):
    def refused(self, device, sound):
        left, right = self.host("left", device), self.host("right", sound)
        # 2000 pages a second all over the region: in the second that the bandwidth makes of it many written pages were sent before.
        work = churn(9, size="16M", rate=8 << 20, seed=5)
        create(left, "p", work)
        begins(left, "p", 200)
        before = room(right)
        for _ in range(2):  # refused once is refused again
            done = move(left, right, "p", "--verify", "full", "--bandwidth", "16M", code=1)
            self.assertIn("dirty bit", done.stderr)
            self.assert_nothing_arrived(right, before, "p")
            runs(left, "p")
        self.assertEqual(finish(left, "p"), work.want())
        self.assertEqual(partitions(right), [])

    def test_bits_lost_before_the_move_are_found_by_verify_full(self):
        self.refused(DROPS_A_THIRD, SOUND)

    def test_bits_lost_during_the_move_are_found_by_verify_full(self):
        self.refused(DROPS_ALL, SOUND_OFF)

    def test_the_same_loss_goes_unseen_without_verify_full_and_spoils_the_result(self):
        """So the two tests above refuse something real."""
        left, right = self.host("left", DROPS_A_THIRD), self.host("right", SOUND)
        work = Work("fill", size="16M", seed=6)
        create(left, "p", work)
        self.assertEqual(finish(left, "p"), work.want())
        self.assertEqual(move(left, right, "p", "--verify", "delta")["status"], "completed")
        told = right.run("--json", "wait", "p", "--timeout", 60, code=None)
        # Even the workload's description may be among what was lost: then there is no result at all.
        self.assertTrue(
            told.returncode == 1 or json.loads(told.stdout)["digest"] != work.want(), told.stdout
        )

    def test_the_same_move_passes_verify_full_on_a_sound_device(self):
        left, right = self.host("left", SOUND_OFF), self.host("right", SOUND_OFF)
        work = churn(4, size="16M", rate=8 << 20, seed=5)
        create(left, "p", work)
        begins(left, "p", 200)
        move(left, right, "p", "--verify", "full", "--bandwidth", "16M")
        self.assertEqual(finish(right, "p"), work.want())


if __name__ == "__main__":
    unittest.main()
