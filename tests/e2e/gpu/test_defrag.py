# SPDX-License-Identifier: Apache-2.0
"""Partitions moved together in VRAM while they work (VF-4, CAP-5): what did not fit fits, and every digest is right."""
import unittest

from e2e import Case, begins, churn, create, finish, move, partitions, show

TESTS_AT_ONCE = 2


class Defragmentation(Case):
    def fragmented(self, device="softgpu,vram=256M,vfs=8,dirty-page=64K"):
        """[a 48][48 free][b 64][32 free][c 32][32 free], all at work."""
        host = self.host("host", device)
        self.work = {name: churn(8, size="16M", seed=seed) for seed, name in enumerate("abc", 1)}
        create(host, "a", self.work["a"], vram="48M")
        create(host, "gap0", vram="48M")
        create(host, "b", self.work["b"], vram="64M")
        create(host, "gap1", vram="32M")
        create(host, "c", self.work["c"], vram="32M")
        for gap in ("gap0", "gap1"):
            host.run("partition", "remove", gap)
        for name in self.work:
            begins(host, name)
        return host

    def assert_all_end_right(self, host):
        for name, work in self.work.items():
            self.assertEqual(finish(host, name), work.want(), name)

    def test_a_partition_that_did_not_fit_fits(self):
        host = self.fragmented()
        refused = host.run("partition", "create", "new", "--adapter", 0, "--vram", "112M", code=1)
        self.assertIn("largest partition that fits", refused.stderr)
        plan = host.json("adapter", "defrag", 0, "--dry-run")
        self.assertEqual(plan["schema"], "vferry.defrag/1")
        self.assertIs(plan["dry_run"], True)
        self.assertEqual({m["outcome"] for m in plan["moves"]}, {"planned"})
        host.run("partition", "create", "new", "--adapter", 0, "--vram", "112M", code=1)
        done = host.json("adapter", "defrag", 0)
        self.assertEqual(
            [(m["partition"], m["to_bytes"]) for m in done["moves"]],
            [(m["partition"], m["to_bytes"]) for m in plan["moves"]],
        )
        self.assertEqual({m["outcome"] for m in done["moves"]}, {"moved"})
        self.assertTrue(all(m["pause_ns"] > 0 for m in done["moves"]))
        self.assertNotIn("a", [m["partition"] for m in done["moves"]])
        self.assertEqual(done["largest_after_bytes"], 112 << 20)
        new = churn(2, size="64M", seed=9)
        create(host, "new", new, vram="112M")
        self.assertEqual(finish(host, "new"), new.want())
        self.assert_all_end_right(host)
        self.assertEqual(host.json("adapter", "defrag", 0)["moves"], [])

    def test_a_partition_that_was_moved_aside_migrates(self):
        host = self.fragmented()
        other = self.host("other", "softgpu,vram=256M,vfs=8,dirty-page=64K")
        host.run("adapter", "defrag", 0)
        move(host, other, "b", "--verify", "full")
        self.assertEqual(finish(other, "b"), self.work.pop("b").want())
        self.assert_all_end_right(host)

    def test_with_scatter_none_is_needed(self):
        host = self.fragmented("softgpu,vram=256M,vfs=8,dirty-page=64K,scatter=on")
        said = host.run("adapter", "defrag", 0).stdout
        self.assertIn("nothing to do", said)
        done = host.json("adapter", "defrag", 0)
        self.assertIs(done["scatter"], True)
        new = churn(2, size="64M", seed=9)
        create(host, "new", new, vram="112M")  # of three pieces
        self.assertEqual(finish(host, "new"), new.want())
        self.assert_all_end_right(host)
        self.assertEqual(show(host, "new")["vram_bytes"], 112 << 20)

    def test_what_is_wrong_is_said(self):
        host = self.host("host")
        self.assertIn("no adapter 7", host.run("adapter", "defrag", 7, code=2).stderr)
        self.assertEqual(host.json("adapter", "defrag", 0)["moves"], [])
        self.assertEqual(partitions(host), [])


if __name__ == "__main__":
    unittest.main()
