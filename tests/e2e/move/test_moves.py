# SPDX-License-Identifier: Apache-2.0
"""Moves as an operator has them: limits that change under way, hosts that take nothing in, several partitions at once."""
import json
import signal
import time
import unittest

from e2e import Case, at_once, await_proven, churn, create, finish, partitions, room, state
from harness import wait_until

TESTS_AT_ONCE = at_once(3)


class Limits(Case):
    """Move of p that would take minutes at the rate that it begins with."""

    def slow(self):
        left, right = self.pair()
        self.work = churn(2, size="24M", rate=16 << 20, seed=4)
        create(left, "p", self.work, vram="64M")
        finish(left, "p")
        moving = left.spawn("--json", "migrate", "p", "--to", right.address, "--bandwidth", "900K", "--max-blackout", 20)
        wait_until("pages are sent", lambda: left.json("job", "list")["jobs"] and self.job(left)["bytes_sent"] > 0)
        return left, right, moving

    def job(self, host):
        return host.json("job", "show", host.json("job", "list")["jobs"][0]["job"])

    def test_a_move_whose_bandwidth_is_lifted_ends_soon_and_reports_the_limits_used_last(self):
        left, right, moving = self.slow()
        number = self.job(left)["job"]
        left.run("job", "set", number, "--bandwidth", 0, "--max-blackout", 20000)
        out, err = moving.communicate(timeout=60)
        self.assertEqual(moving.returncode, 0, err)
        job = json.loads(out)
        self.assertIsNone(job["bandwidth_bytes_per_s"])
        self.assertEqual(job["max_blackout_ns"], 20 * 10**9)
        self.assertEqual(state(right, "p"), "running")
        self.assertIn("is over; nothing was changed", left.run("job", "set", number, "--bandwidth", "1M", code=1).stderr)

    def test_a_move_that_is_given_less_time_than_it_took_already_ends_at_once(self):
        left, right, moving = self.slow()
        left.run("job", "set", self.job(left)["job"], "--max-time", 1)
        out, err = moving.communicate(timeout=60)
        self.assertEqual(moving.returncode, 4, err)
        self.assertIn("--max-time passed", err)
        self.assertEqual((state(left, "p"), partitions(right)), ("running", []))

    def test_a_pause_said_during_a_move_names_the_job_and_a_remedy_that_works(self):
        left, right, moving = self.slow()
        number = self.job(left)["job"]
        refused = left.run("partition", "pause", "p", code=1).stderr
        self.assertIn(f'cannot pause while job {number} works on it; wait for its end, or "vferry job cancel {number}"', refused)
        left.run("job", "cancel", number)
        moving.communicate(timeout=60)
        left.run("partition", "pause", "p")
        self.assertEqual((state(left, "p"), partitions(right)), ("paused", []))

    def test_what_cannot_be_changed_is_said(self):
        left, right, moving = self.slow()
        number = self.job(left)["job"]
        self.assertIn("says nothing to change", left.run("job", "set", number, code=2).stderr)
        self.assertIn("needs some blackout", left.run("job", "set", number, "--max-blackout", 0, code=2).stderr)
        arrival = right.json("job", "list")["jobs"][0]["job"]
        self.assertIn("are the source's", right.run("job", "set", arrival, "--bandwidth", 0, code=1).stderr)
        left.run("job", "cancel", number)
        moving.communicate(timeout=60)
        self.assertEqual(moving.returncode, 4)


class Admissions(Case):
    """An arrival whose VRAM is being zero-filled: it takes as long as the creation of the partition did, and ends when it is told to."""

    def arriving(self):
        left, right = self.pair("softgpu,vram=4G,vfs=4", options=["--scrub-on-demand"])
        begun = time.monotonic()
        create(left, "p", vram="4G")
        self.takes = time.monotonic() - begun
        self.room = room(right)
        return left, right, self.comes(left, right)

    def comes(self, left, right):
        moving = left.spawn("--json", "migrate", "p", "--to", right.address)
        wait_until("VRAM is filled", lambda: [p["state"] for p in right.json("partition", "list")["partitions"]] == ["building"])
        self.begun = time.monotonic()
        return moving

    def assert_ends(self, left, right, moving, code):
        out, err = moving.communicate(timeout=60 * max(1, self.takes))
        self.assertLess(time.monotonic() - self.begun, self.takes / 2, "it waited for the end of the zero-fill")
        self.assertEqual(moving.returncode, code, err)
        self.assertEqual(state(left, "p"), "running")
        return out, err

    def test_a_cancel_at_either_end_does_not_wait_for_the_zero_fill(self):
        left, right, moving = self.arriving()
        for host in (right, left):
            number = host.json("job", "list")["jobs"][0]["job"]
            self.assertEqual(host.json("job", "cancel", number)["status"], "cancelled")
            self.assert_ends(left, right, moving, 4)
            self.assert_nothing_arrived(right, self.room, "p")
            self.assertLess(time.monotonic() - self.begun, self.takes / 2, "it was cleaned once more")
            if host is right:
                moving = self.comes(left, right)
        self.assertEqual([job["status"] for job in right.json("job", "list")["jobs"]], ["cancelled", "cancelled"])

    def test_a_target_that_is_told_to_end_does_not_wait_for_the_zero_fill(self):
        left, right, moving = self.arriving()
        right.process.send_signal(signal.SIGTERM)
        self.assert_ends(left, right, moving, 1)
        right.process.wait(timeout=60)
        self.assertLess(time.monotonic() - self.begun, self.takes / 2)
        right.start()
        self.assert_nothing_arrived(right, self.room, "p")


class Proven(Case):
    """Free VRAM, which hosts fill with zeros and read back without being asked."""

    def test_free_vram_is_proven_after_the_start_and_after_a_partition_has_left(self):
        left, right = self.pair()
        for host in (left, right):
            await_proven(host)
        create(left, "p", vram="256M")
        self.assertEqual(left.json("adapter", "show", 0)["vram_unproven_bytes"], 0)
        left.run("migrate", "p", "--to", right.address)
        right.run("partition", "remove", "p")
        for host in (left, right):
            await_proven(host)


class Cordons(Case):
    def test_a_cordoned_host_takes_in_nothing_until_it_is_uncordoned_also_after_a_restart(self):
        left, right = self.pair()
        create(left, "p")
        image = self.folder / "p.image"
        left.run("save", "p", "--output", image, "--keep")
        right.run("host", "cordon")
        right.kill()
        right.start()
        self.assertIs(right.json("host", "show")["cordoned"], True)
        for words in (("partition", "create", "q", "--adapter", 0, "--vram", "32M"),
                      ("restore", "p", "--input", image, "--adapter", 0)):
            self.assertIn("host right is cordoned", right.run(*words, code=7).stderr)
        for verb in ("check", "migrate"):
            done = left.run(verb, "p", "--to", right.address, code=7)
            self.assertIn("cordon", done.stderr + done.stdout)
        self.assertEqual((partitions(right), state(left, "p")), ([], "running"))
        right.run("host", "cordon")
        right.run("host", "uncordon")
        self.assertIs(right.json("host", "show")["cordoned"], False)
        left.run("migrate", "p", "--to", right.address)
        told = [event["text"] for event in right.json("events")["events"] if event["kind"] == "host"]
        self.assertTrue(any("uncordoned" in text for text in told), told)


if __name__ == "__main__":
    unittest.main()
