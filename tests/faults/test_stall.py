# SPDX-License-Identifier: Apache-2.0
"""A driver whose DDI takes its time while the partition stands: who waits for whom is told while it happens, by the command, by an event
and at the end; the limit of the blackout holds; nobody else is blamed."""
import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))
from e2e import at_once, begins, create, finish, state  # noqa: E402 (its place is known only now)
from pair import PACE, VRAM, Pair, wait_until  # noqa: E402

TESTS_AT_ONCE = at_once(2)
LIMIT_MS = 600 * PACE
SAVE = "DDI DxgkDdiSaveMutableMigrationData of driver softgpu.so at host source"
RESTORE = "DDI DxgkDdiRestoreMutableMigrationData of driver softgpu.so at host target"


class Stall(unittest.TestCase):
    def move(self, pair):
        create(pair.source.host, "p", pair.work, vram=VRAM)
        begins(pair.source.host, "p")
        moving = pair.source.host.spawn("migrate", "p", "--to", pair.target.host.address, "--max-blackout", LIMIT_MS)
        pair.moving = moving
        code = pair.end()
        self.assertEqual(code, 1, pair.output)
        self.assertIn("partition p runs on at host source, it stood for ", pair.output)
        job = pair.source.host.json("job", "show", pair.source.jobs()[0]["job"])
        self.assertEqual(job["status"], "failed")
        self.assertIsNone(job["blackout_ns"])
        return job

    def events(self, side):
        return [event["text"] for event in side.host.json("events")["events"] if event["kind"] == "job"]

    def works_on(self, pair):
        self.assertEqual(state(pair.source.host, "p"), "running")
        self.assertEqual(finish(pair.source.host, "p"), pair.work.want())

    def test_a_source_whose_driver_saves_slowly_says_so_and_runs_on(self):
        seconds = 4 * PACE
        with Pair(source_fault=f"point=kernel.answer,of=save mutable data:stall={seconds * 1000}") as pair:
            job = self.move(pair)
            self.assertIn(f" so far, waiting for {SAVE}\n", pair.output)
            self.assertIn(f"in the hand-off, before READY: the blackout would exceed --max-blackout: {SAVE} took ", job["reason"])
            self.assertNotIn("no READY", pair.output)
            self.assertGreaterEqual(job["stood_ns"], seconds * 10**9 * 0.95)
            told = [text for text in self.events(pair.source) if f"so far, waiting for {SAVE}; --max-blackout is" in text]
            self.assertTrue(told, self.events(pair.source))
            wait_until("the target has nothing of it", lambda: not pair.target.host.json("partition", "list")["partitions"], 30)
            self.works_on(pair)

    def test_a_commit_that_the_disk_takes_too_long_for_is_taken_back_and_it_runs_on_at_the_source(self):
        with Pair(source_fault=f"point=journal.fsync,of=COMMIT:stall={4 * PACE * 1000}") as pair:
            job = self.move(pair)
            self.assertIn("the blackout would exceed --max-blackout", job["reason"])
            self.assertIn("move to a faster disk's host", pair.output + job["reason"])
            wait_until("the target has nothing of it", lambda: not pair.target.host.json("partition", "list")["partitions"], 30)
            self.assertEqual(pair.target.host.json("job", "list")["jobs"][0]["status"], "failed")
            self.works_on(pair)

    def test_a_target_whose_driver_restores_slowly_is_named_by_the_source_which_runs_on_in_time(self):
        seconds = 20 * PACE
        with Pair(target_fault=f"point=kernel.answer,of=restore mutable data:stall={seconds * 1000}") as pair:
            job = self.move(pair)
            self.assertIn(f"it was still in {RESTORE}", job["reason"])
            self.assertIn("the blackout would exceed --max-blackout", job["reason"])
            # The limit is hard: the source did not wait for the target's driver.
            self.assertLess(job["stood_ns"], seconds * 10**9 / 2)
            # What the command still waits for while the partition works again.
            self.assertIn("waiting for host target to hear that the move was called off; partition p runs on at host source", pair.output)
            told = [text for text in self.events(pair.target) if f"so far, waiting for {RESTORE}" in text]
            self.assertTrue(told, self.events(pair.target))
            self.works_on(pair)

    def admitting(self, pair):
        """A move whose target still fills the partition's VRAM with zeros: the target's job of it."""
        create(pair.source.host, "p", pair.work, vram=VRAM)
        begins(pair.source.host, "p")
        pair.moving = pair.source.host.spawn("migrate", "p", "--to", pair.target.host.address)
        wait_until("the arrival is listed", lambda: pair.target.jobs(), 30)
        job = pair.target.jobs()[0]
        self.assertEqual((job["status"], job["phase"], job["direction"]), ("running", "admit", "in"))
        return job

    def called_off(self, pair, arrival):
        self.assertEqual(pair.end(), 4, pair.output)
        self.assertIn("partition p runs on at host source", pair.output)
        wait_until("the arrival has ended", lambda: pair.target.jobs()[0]["status"] != "running", 30)
        job = pair.target.host.json("job", "show", arrival["job"])
        self.assertEqual(job["status"], "cancelled", job["reason"])
        self.assertNotIn("data streams", job["reason"])
        self.assertIn("partition p runs on at its source, host source", job["reason"])
        self.assertEqual(pair.target.host.json("partition", "list")["partitions"], [])
        self.works_on(pair)

    def test_an_arrival_that_is_being_admitted_is_listed_and_can_be_cancelled_on_the_target(self):
        with Pair(target_fault=f"point=kernel.answer,of=create partition:stall={2000 * PACE}") as pair:
            arrival = self.admitting(pair)
            pair.target.host.run("job", "cancel", arrival["job"])
            self.called_off(pair, arrival)
            self.assertIn("waiting for the zero-fill of 8.00 MiB at host target", pair.output)

    def test_a_move_that_is_cancelled_while_it_is_admitted_is_cancelled_on_the_target_too(self):
        with Pair(target_fault=f"point=kernel.answer,of=create partition:stall={2000 * PACE}") as pair:
            arrival = self.admitting(pair)
            pair.source.host.run("job", "cancel", pair.source.jobs()[0]["job"])
            self.called_off(pair, arrival)


if __name__ == "__main__":
    unittest.main()
