# SPDX-License-Identifier: Apache-2.0
"""Calls of the driver that fail, once or for good: what is told first, what still runs, and the way out that is named."""
import shutil
import signal
import unittest

from e2e import BUILD, Case, churn, create, finish, move, partitions, show, state
from gates import DRIVER, Gates
from harness import wait_until

TESTS_AT_ONCE = 2
DEVICE = "softgpu,vram=64M,vfs=4,dirty-page=64K"
STANDS = "partition p stands here paused: the driver cannot resume"


class DriverFails(Case):
    def gated(self, name):
        gates = Gates(self.folder / f"gates-{name}")
        return self.host(name, DEVICE, options=gates.options, env=gates.env), gates

    def p_behind_a_hole(self, host):
        self.work = churn(0.3, size="2M", rate=8 << 20)
        host.run("partition", "create", "gap", "--adapter", 0, "--vram", "8M")
        create(host, "p", self.work, vram="8M")
        host.run("partition", "remove", "gap")

    def ends_right(self, host):
        self.assertEqual(finish(host, "p"), self.work.want())

    def stood(self, host, gates, said):
        """It is told first, as an event and wherever it is shown; and a person's resume is the way out that was named."""
        self.assertTrue(said.lstrip().startswith(f"vferry: {STANDS}"), said)
        self.assertIn('let it run with "vferry partition resume p"', said)
        self.assertTrue([e for e in host.json("events")["events"] if e["kind"] == "state" and e["text"].startswith(STANDS)])
        self.assertEqual((state(host, "p"), show(host, "p")["held_by"]), ("paused", "fault"))
        self.assertIs(show(host, "p")["paused_by_person"], False)
        self.assertIn("stands paused", host.run("partition", "list").stdout)
        again = host.run("partition", "resume", "p", code=61).stderr
        self.assertTrue(again.startswith(f"vferry: {STANDS}"), again)
        gates.work_again("resume")
        host.run("partition", "resume", "p")
        self.assertEqual((state(host, "p"), show(host, "p")["held_by"]), ("running", None))


class Stands(DriverFails):
    def setUp(self):
        super().setUp()
        self.left, self.gates = self.gated("left")
        self.p_behind_a_hole(self.left)

    def test_what_moves_inside_vram_is_told_as_that(self):
        self.gates.close("copy")
        moving = self.left.spawn("adapter", "defrag", 0)
        wait_until("its reserve moves", lambda: self.gates.stands_at("copy"), 60)
        listed = self.left.run("partition", "list").stdout
        now = show(self.left, "p")
        self.gates.open("copy")
        self.assertEqual(moving.wait(60), 0)
        self.assertIn("moving inside VRAM", listed)
        self.assertEqual((now["state"], now["held_by"], now["paused_by_person"], now["steps"]), ("paused", "defrag", False, None))
        self.assertIsNone(show(self.left, "p")["held_by"])
        self.ends_right(self.left)

    def test_a_defrag_that_cannot_resume_says_so_first(self):
        self.gates.fail("resume")
        said = self.left.run("adapter", "defrag", 0, code=61)
        self.assertIn("moved", said.stdout)
        self.stood(self.left, self.gates, said.stderr)
        self.ends_right(self.left)

    def test_a_resume_that_fails_once_is_nobody_s_concern(self):
        for words in (("adapter", "defrag", 0), ("save", "p", "--output", self.folder / "p.image", "--keep")):
            self.gates.fail("resume", times=1)
            self.left.run(*words)
            self.assertEqual(state(self.left, "p"), "running", words)
        self.ends_right(self.left)
        self.assertEqual([e for e in self.left.json("events")["events"] if e["kind"] == "state"], [])

    def test_a_kept_partition_that_cannot_be_resumed_is_said_first(self):
        self.gates.fail("resume")
        image = self.folder / "p.image"
        said = self.left.run("save", "p", "--output", image, "--keep", code=61).stderr
        self.stood(self.left, self.gates, said[said.index("vferry:"):])
        self.assertFalse(image.exists())
        self.ends_right(self.left)

    def test_a_move_that_failed_and_cannot_be_undone_is_said_first(self):
        right, far = self.gated("right")
        far.fail("restore-mutable")
        self.gates.fail("resume")
        said = move(self.left, right, "p", code=61).stderr
        self.stood(self.left, self.gates, said[said.index("vferry:"):])
        self.ends_right(self.left)
        self.assertEqual(partitions(right), [])

    def test_one_that_stands_can_move_and_runs_there(self):
        """A person has not paused it: nothing of that goes along."""
        right = self.host("right", DEVICE, options=("--driver", str(DRIVER)))
        self.gates.fail("resume")
        self.left.run("adapter", "defrag", 0, code=61)
        move(self.left, right, "p")
        self.assertEqual(state(right, "p"), "running")
        self.ends_right(right)

    def test_after_a_restart_one_that_cannot_be_resumed_is_said_first(self):
        right, far = self.gated("right")
        far.close("restore-mutable")
        moving = self.left.spawn("migrate", "p", "--to", right.address, "--max-blackout", 60000)
        wait_until("the target restores its state", lambda: far.stands_at("restore-mutable"), 60)
        self.gates.fail("resume")
        self.left.kill(signal.SIGKILL)
        moving.communicate(timeout=60)
        far.open("restore-mutable")
        self.left.start()
        job = self.left.json("job", "list")["jobs"][0]
        self.assertEqual(job["status"], "failed")
        self.stood(self.left, self.gates, f"vferry: {job['reason']}")
        self.ends_right(self.left)

    # Errors that these faults may well bring into a log.
    def end(self, host):
        host.stop()


class EndFails(DriverFails):
    """A driver that cannot end a migration cannot begin the next one: another driver is the way out."""

    def end(self, host):
        host.stop()

    def test_the_driver_update_that_is_named_lets_it_move_again(self):
        left, gates = self.gated("left")
        right = self.host("right", DEVICE, options=("--driver", str(DRIVER)))
        self.p_behind_a_hole(left)
        gates.fail("end")
        left.run("check", "p", "--to", right.address, code=None)
        self.assertEqual(state(left, "p"), "running")
        refused = move(left, right, "p", code=1).stderr
        self.assertIn("it could not end the one before", refused)
        self.assertIn("vferry driver update", refused)
        self.assertEqual(state(left, "p"), "running")
        new = self.folder / "new.so"
        shutil.copy(BUILD / "drivers/softgpu.so", new)
        left.run("driver", "update", 0, "--driver", new)
        move(left, right, "p")
        self.ends_right(right)


class CannotMigrate(DriverFails):
    """A driver that lacks what a move needs: the check names it, tells both hosts' values, and its remedy works."""

    def refused(self, host, other):
        """The one reason, which the text for people has too."""
        host.run("partition", "create", "p", "--adapter", 0, "--vram", "8M")
        verdict = host.json("check", "p", "--to", other.address, code=3)
        self.assertIs(verdict["compatible"], False)
        self.assertEqual([reason["field"] for reason in verdict["reasons"]], ["live-migration"])
        reason = verdict["reasons"][0]
        said = host.run("check", "p", "--to", other.address, code=3)
        for part in ("source", "target", "remedy"):
            self.assertIn(reason[part], said.stdout + said.stderr)
        return reason

    def test_a_missing_ddi_is_named(self):
        gates = Gates(self.folder / "gates-left")
        gates.lack("prepare")
        left = self.host("left", DEVICE, options=gates.options, env=gates.env)
        right = self.host("right", DEVICE)
        reason = self.refused(left, right)
        self.assertEqual(reason["source"], "no: its driver's table lacks DxgkDdiPrepareLiveMigration")
        self.assertEqual(reason["target"], "yes")
        refused = move(left, right, "p", code=3).stderr
        self.assertIn("its driver's table lacks DxgkDdiPrepareLiveMigration", refused)
        self.assertEqual(state(left, "p"), "running")
        self.follow(reason, left, right)

    def test_a_driver_without_live_migration_has_a_reason_with_both_values_and_a_remedy(self):
        gates = Gates(self.folder / "gates")
        gates.lack("LiveMigration")
        left, right = (self.host(name, DEVICE, options=gates.options, env=gates.env) for name in ("left", "right"))
        reason = self.refused(left, right)
        self.assertEqual(reason["source"], "no: its driver does not report LiveMigration")
        self.assertEqual(reason["target"], "no")
        self.follow(reason, left, None)

    def follow(self, reason, left, right):
        """The remedy, word for word."""
        command = reason["remedy"][reason["remedy"].index('"vferry') + 1 : -1].split()[1:]
        self.assertEqual(command[:3], ["driver", "update", "0"])
        self.assertEqual(command[-1], "FILE")
        left.run(*command[:-1], BUILD / "drivers/softgpu.so")
        if right is not None:
            self.assertIs(left.json("check", "p", "--to", right.address)["compatible"], True)
            move(left, right, "p")
            self.assertEqual(partitions(left), [])


if __name__ == "__main__":
    unittest.main()
