# SPDX-License-Identifier: Apache-2.0
"""A memory control group that is full: the system kills the kernel side or vferryd with SIGKILL, whichever is in it. That is told as
what it was, the other host loses nothing, and the one that was hit works again once it is started again."""
import unittest

import cgroups
from e2e import at_once, begins, churn, create, finish, move, partitions, state
from harness import wait_until
from limits import Limited

TESTS_AT_ONCE = at_once(2)
WHY_NOT = cgroups.why_not("memory")


@unittest.skipIf(WHY_NOT is not None, WHY_NOT)
class OutOfMemory(Limited):
    def setUp(self):
        super().setUp()
        # To make room then takes memory: that of a buffer to read VRAM back.
        self.left, self.right = self.pair(options=("--silence", "3", "--redial", "3", "--scrub-on-demand"))
        self.work = churn(1, size="1M", rate=2 << 20)
        create(self.left, "p", self.work, vram="8M")
        begins(self.left, "p")

    def squeeze(self, pid, limit):
        """From here on the process gets so many bytes more, and is killed when it wants to use another."""
        group = cgroups.Group("memory", "small")
        self.addCleanup(group.remove)
        group.write("memory.limit_in_bytes", limit)
        group.write("cgroup.procs", pid)
        self.group = group

    def was_killed_for_memory(self):
        told = dict(line.split() for line in (self.group.path / "memory.oom_control").read_text(encoding="ascii").splitlines())
        return int(told["oom_kill"]) > 0

    def move_fails(self):
        done = self.ask(self.left, "migrate", "p", "--to", self.right.address)
        self.assertNotEqual(done.returncode, 0, done)
        self.assertTrue(self.was_killed_for_memory(), done)
        return done

    def works_on_and_moves(self):
        wait_until("p runs on at left", lambda: state(self.left, "p") == "running", 20)
        wait_until("right has nothing", lambda: partitions(self.right) == [], 20)
        move(self.left, self.right, "p")
        self.assertEqual(finish(self.right, "p"), self.work.want())

    def kernel_side_was_killed(self, host):
        """Its vferryd says so, and ends; started again there is a new one."""
        self.assertEqual(host.process.wait(20), 1)
        self.assertIn(f"the kernel side, pid {host.kernel_pid}, was killed by SIGKILL, by somebody or for want of memory", host.log())
        host.start()

    def test_the_targets_kernel_side(self):
        self.squeeze(self.right.kernel_pid, 1 << 20)
        self.assertEqual(self.move_fails().returncode, 1)
        self.kernel_side_was_killed(self.right)
        self.works_on_and_moves()

    def test_the_sources_kernel_side(self):
        """Its partitions are lost with it, as with a real host."""
        self.squeeze(self.left.kernel_pid, 1 << 20)
        done = self.ask(self.left, "partition", "create", "x", "--adapter", 0, "--vram", "64M")
        self.assertNotEqual(done.returncode, 0)
        self.assertTrue(self.was_killed_for_memory())
        self.kernel_side_was_killed(self.left)
        self.assertEqual((partitions(self.left), partitions(self.right)), ([], []))
        self.works_again(self.left, self.right)

    def test_the_targets_vferryd(self):
        self.squeeze(self.right.process.pid, 256 << 10)
        self.assertEqual(self.move_fails().returncode, 1)
        self.right.process.wait(20)
        self.right.start()
        self.works_on_and_moves()

    def test_the_sources_vferryd(self):
        self.squeeze(self.left.process.pid, 128 << 10)
        self.assertIn(self.move_fails().returncode, (5, 6))
        self.left.process.wait(20)
        self.left.start()
        self.works_on_and_moves()


if __name__ == "__main__":
    unittest.main()
