# SPDX-License-Identifier: Apache-2.0
"""Moves that cannot be: refused with every reason, and nothing has changed on either side."""
import json
import socket
import unittest

from e2e import at_once, Case, churn, create, move, partitions, room

TESTS_AT_ONCE = at_once(4)
SOURCE = "softgpu,vram=256M,vfs=4,dirty-page=64K,fw=1.2"


class Refusals(Case):
    """The source always has partition p of 64 MiB at work on SOURCE."""

    def source(self):
        left = self.host("left", SOURCE)
        self.work = churn(4, size="16M", rate=4 << 20, seed=3)
        create(left, "p", self.work, vram="64M")
        return left

    def refused(self, left, right, count=None, code=3):
        """Both verbs refuse; gives the reasons by field."""
        before, there = room(right), partitions(right)
        done = left.run("--json", "check", "p", "--to", right.address, code=code)
        verdict = left.json("check", "p", "--to", right.address, code=code)
        self.assertIn("\n", done.stdout)
        self.assertIs(verdict["compatible"], False)
        self.assertIs(verdict["full_now"], code == 7)
        for reason in verdict["reasons"]:
            self.assertEqual(set(reason), {"field", "source", "target", "remedy"})
            for part, text in reason.items():
                self.assertNotIn(text.strip(), ("", "-"), f"{part} of {reason}")
            self.assertNotEqual(reason["source"], reason["target"], reason)
        spoken = left.run("check", "p", "--to", right.address, code=code)
        for reason in verdict["reasons"]:
            self.assertIn(reason["remedy"], spoken.stdout + spoken.stderr)
        refused = move(left, right, "p", code=code)
        self.assertEqual(len(refused.stderr.strip().splitlines()), 1, refused.stderr)
        self.assertIn(verdict["reasons"][0]["field"], refused.stderr)
        for reason in verdict["reasons"]:
            self.assertIn(reason["remedy"], refused.stdout + refused.stderr)
        told = json.loads(left.run("--json", "migrate", "p", "--to", right.address, code=code).stdout)
        self.assertEqual(told["reasons"], verdict["reasons"])
        self.assertEqual(partitions(right), there)
        self.assertEqual(room(right), before)
        if count is not None:
            self.assertEqual(len(verdict["reasons"]), count, verdict["reasons"])
        self.assert_works_to_its_end(left, "p", self.work)
        return {reason["field"]: reason for reason in verdict["reasons"]}

    def assert_says(self, reasons, source, target):
        """Some reason names both values."""
        self.assertTrue(
            any(source in r["source"] and target in r["target"] for r in reasons.values()),
            f"no reason says {source} against {target}: {list(reasons.values())}",
        )

    def test_older_firmware(self):
        left = self.source()
        right = self.host("right", "softgpu,vram=256M,vfs=4,dirty-page=64K,fw=1.1")
        self.assert_says(self.refused(left, right, 1), "1.2", "1.1")

    def test_another_dirty_page_size(self):
        left = self.source()
        right = self.host("right", "softgpu,vram=256M,vfs=4,dirty-page=4K,fw=1.2")
        self.assert_says(self.refused(left, right), "65536", "4096")

    def test_too_little_vram(self):
        left = self.source()
        right = self.host("right", "softgpu,vram=64M,vfs=4,dirty-page=64K")
        create(right, "sitter", vram="32M")
        self.assert_says(self.refused(left, right, 1, code=7), str(64 << 20), "")

    def test_a_gpu_that_is_too_small_is_not_only_full(self):
        left = self.host("left", SOURCE)
        self.work = churn(4, size="16M", rate=4 << 20, seed=3)
        create(left, "p", self.work, vram="128M")
        right = self.host("right", "softgpu,vram=64M,vfs=4,dirty-page=64K,fw=1.2")
        self.assertIn("vram", self.refused(left, right, code=3))

    def test_no_free_vf(self):
        left = self.source()
        right = self.host("right", "softgpu,vram=256M,vfs=1,dirty-page=64K")
        create(right, "sitter", vram="32M")
        reasons = self.refused(left, right, 1, code=7)
        self.assertIn("vf", reasons)
        right.run("partition", "remove", "sitter")
        left.run("check", "p", "--to", right.address)

    def test_a_name_that_is_taken(self):
        left = self.source()
        right = self.host("right", SOURCE)
        create(right, "p", vram="32M")
        reasons = self.refused(left, right, 1)
        self.assertIn("name", reasons)

    def test_a_move_to_itself(self):
        left = self.source()
        reasons = self.refused(left, left, 1)
        self.assertEqual(reasons["host"]["remedy"], "name another host")

    def test_a_move_to_itself_says_so_by_any_address_and_never_advises_to_remove(self):
        left = self.source()
        jobs = len(left.json("job", "list")["jobs"])
        for address in (left.address, left.address.replace("127.0.0.1", "localhost")):
            for done in (left.run("check", "p", "--to", address, code=3),
                         left.run("migrate", "p", "--to", address, code=3)):
                said = done.stdout + done.stderr
                self.assertIn("this host itself", said)
                self.assertNotIn("remove", said)
            self.assertIn(f"{address} is this host itself; partition p",
                          done.stderr)
        self.assertEqual(len(left.json("job", "list", "--kind", "move")["jobs"]), 2, "one a move, none of its arrival")
        self.assertEqual(jobs, 0)
        done = left.run("host", "evacuate", "--to", left.address, code=3)
        self.assertIn(f"{left.address} is this host itself", done.stderr)
        self.assertNotIn("no host that is named", done.stderr)
        self.assertIs(left.json("host", "show")["cordoned"], False)
        self.assert_works_to_its_end(left, "p", self.work)

    def test_everything_at_once_is_told_at_once(self):
        left = self.source()
        right = self.host("right", "softgpu,vram=64M,vfs=4,dirty-page=4K,fw=1.1")
        create(right, "p", vram="32M")
        reasons = self.refused(left, right)
        self.assertIn("name", reasons)
        self.assertIn("vram", reasons)
        self.assert_says(reasons, "1.2", "1.1")
        self.assert_says(reasons, "65536", "4096")

    def test_what_needs_no_vf_is_told_though_none_is_free(self):
        left = self.source()
        right = self.host("right", "softgpu,vram=64M,vfs=1,dirty-page=4K")
        create(right, "p", vram="32M")
        reasons = self.refused(left, right, 4)
        self.assertEqual(set(reasons), {"name", "vf", "vram", "dirty-page"})

    def test_a_target_with_several_adapters_uses_the_one_that_fits(self):
        left = self.source()
        right = self.host("right", "softgpu,vram=256M,vfs=4,dirty-page=64K,fw=1.1", SOURCE)
        move(left, right, "p")
        self.assertEqual(right.json("partition", "show", "p")["adapter"], 1)
        self.assert_works_to_its_end(right, "p", self.work)

    def test_an_unreachable_target(self):
        left = self.source()
        for verb in ("check", "migrate"):
            done = left.run(verb, "p", "--to", "127.0.0.1:1", code=1)
            self.assertEqual(len(done.stderr.strip().splitlines()), 1, done.stderr)
            self.assertIn("127.0.0.1:1", done.stderr)
        self.assert_works_to_its_end(left, "p", self.work)

    def test_a_target_that_accepts_and_says_nothing(self):
        left = self.source()
        with socket.create_server(("127.0.0.1", 0)) as mute:
            address = f"127.0.0.1:{mute.getsockname()[1]}"
            for verb in (("check", "p", "--to"), ("migrate", "p", "--to"), ("peer", "show")):
                done = left.run("--json", *verb, address, code=1)
                error = json.loads(done.stdout)
                error = error.get("error") or error
                told = error["text"] + (error["remedy"] or "")
                self.assertIn(f"{address}: accepted the connection and said nothing for ", told)
                self.assertIn("its vferryd may be stopped", told)
        self.assert_works_to_its_end(left, "p", self.work)

    def test_a_move_that_cannot_converge_gives_up(self):
        """It writes more than the bandwidth carries: exit 4, and it works on."""
        left = self.host("left", SOURCE)
        right = self.host("right", SOURCE)
        self.work = churn(6, size="16M", rate=32 << 20, seed=4)
        create(left, "p", self.work, vram="64M")
        before = room(right)
        done = left.run(
            "migrate",
            "p",
            "--to",
            right.address,
            "--bandwidth",
            "8M",
            "--max-blackout",
            50,
            "--max-time",
            3,
            code=4,
        )
        self.assertIn("not converged", done.stderr)
        self.assert_nothing_arrived(right, before, "p")
        self.assert_works_to_its_end(left, "p", self.work)


if __name__ == "__main__":
    unittest.main()
