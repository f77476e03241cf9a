# SPDX-License-Identifier: Apache-2.0
"""Daemons, kernel sides and whole hosts that die at each step of the hand-off, one of them or both: afterwards one copy runs, by itself
where the hosts can talk, by a person's word where they cannot (docs/handoff.md).

With VF_REWORD=1 the same with other words (recovery.py)."""
import json
import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))
import proxy  # noqa: E402 (their place is known only now)
from e2e import at_once, partitions, state  # noqa: E402
from harness import wait_until  # noqa: E402
from proxy import IN, OUT, Point, Proxy  # noqa: E402
from recovery import REWORD, UNKNOWN_S, Recovery  # noqa: E402

TESTS_AT_ONCE = at_once(6)

# Where the daemon dies, in words of the journal, and on which side it runs afterwards.
SOURCE_DIES = (
    ("when it is admitted", "point=journal.synced,of=OPEN,nth=2:kill", "left"),
    ("before it writes COMMIT", "point=journal.write,of=COMMIT:kill", "left"),
    ("before COMMIT is on disk", "point=journal.fsync,of=COMMIT:kill", "either"),
    ("before COMMIT leaves", "point=journal.synced,of=COMMIT:kill", "right"),
    ("after COMMIT has left", "msg=COMMIT,dir=send:after-kill", "right"),
    ("when RUNNING comes", "msg=RUNNING,dir=recv:kill", "right"),
    ("before its copy goes", "point=kernel.call,of=remove partition:kill", "right"),
    ("before DONE", "point=journal.write,of=DONE:kill", "right"),
)
TARGET_DIES = (
    ("when it admits", "point=journal.synced,of=OPEN:kill", "left"),
    ("before it writes PREPARED", "point=journal.write,of=PREPARED:kill", "left"),
    ("before READY leaves", "point=journal.synced,of=PREPARED:kill", "left"),
    ("before it writes COMMITTED", "point=journal.write,of=COMMITTED:kill", "right"),
    ("before it unpauses", "point=journal.synced,of=COMMITTED:kill", "right"),
    ("before RUNNING leaves", "msg=RUNNING,dir=send:kill", "right"),
    ("before DONE", "point=journal.write,of=DONE:kill", "right"),
)


def one_dies(side, fault, where):
    def test(self):
        self.pair(**{side: fault})
        victim = self.left if side == "source" else self.right
        moving = self.migrate()
        self.dies(victim)
        self.again(victim)
        code, said = self.over(moving)
        if where == "either":
            wait_until("it runs somewhere", lambda: any(self.running(host) for host in self.hosts), 60)
            where_now = "left" if self.running(self.left) else "right"
        else:
            where_now = where
        self.ends_on_the_left() if where_now == "left" else self.ends_on_the_right()
        if side == "target":
            self.assertEqual(code, 1 if where_now == "left" else 0, said)
    return test


class SourceDies(Recovery):
    """The source's daemon, killed at each step; its partition and the other host live on."""


class TargetDies(Recovery):
    """The target's daemon likewise."""


for place, fault_, where_ in SOURCE_DIES:
    setattr(SourceDies, "test_" + place.replace(" ", "_"), one_dies("source", fault_, where_))
for place, fault_, where_ in TARGET_DIES:
    setattr(TargetDies, "test_" + place.replace(" ", "_"), one_dies("target", fault_, where_))


class BothDie(Recovery):
    def both(self, source, target, first="left"):
        self.pair(source, target)
        moving = self.migrate()
        self.dies(self.left)
        self.dies(self.right)
        self.over(moving)
        self.again(*((self.left, self.right) if first == "left" else (self.right, self.left)))

    def test_after_COMMIT_left_and_before_it_was_recorded_there(self):
        self.both("msg=COMMIT,dir=send:after-kill", "point=journal.write,of=COMMITTED:kill")
        self.ends_on_the_right()

    def test_after_COMMITTED_the_target_first_again(self):
        self.both("msg=COMMIT,dir=send:after-kill", "point=journal.synced,of=COMMITTED:kill", first="right")
        self.ends_on_the_right()

    def test_after_PREPARED_without_COMMIT(self):
        self.both("msg=READY,dir=recv:kill", "msg=READY,dir=send:after-kill")
        self.ends_on_the_left()


class HostsCrash(Recovery):
    """A power cut, or a crash of the kernel side: what ran there is lost, and never started again from an old copy."""

    def test_the_target_loses_power_when_it_is_prepared(self):
        self.pair(target="point=journal.synced,of=PREPARED:power")
        moving = self.migrate()
        self.dies(self.right)
        self.crash(self.right)
        self.again(self.right)
        self.over(moving)
        self.ends_on_the_left()

    def test_the_target_loses_power_before_COMMITTED_is_on_disk(self):
        """COMMIT had left: only the target's word lets the source resume."""
        self.pair(target="point=journal.fsync,of=COMMITTED:power")
        moving = self.migrate()
        self.dies(self.right)
        self.stands(self.left)
        self.crash(self.right)
        self.again(self.right)
        code, said = self.over(moving)
        self.assertEqual(code, 1, said)
        self.assertIn("never ran", said)
        self.ends_on_the_left()

    def test_the_target_loses_power_after_COMMITTED_and_a_person_brings_the_source_back(self):
        self.pair(target="point=journal.synced,of=COMMITTED:power")
        moving = self.migrate()
        self.dies(self.right)
        self.crash(self.right)
        self.again(self.right)
        code, said = self.over(moving)
        self.assertEqual(code, 6, said)
        self.assertEqual([self.job(h)["status"] for h in self.hosts], ["unknown", "unknown"])
        self.stands(self.left)
        refused = self.left.run("partition", "resume", "p", code=1).stderr
        self.assertIn("not known who runs it", refused)
        refused = self.resolve(self.left, "target", code=1).stderr
        self.assertIn("--source-runs", refused)
        done = self.resolve(self.left, "source")
        self.assertIn("is lost", done.stderr)
        self.ends_on_the_left()
        self.settles(self.right, "failed")

    def test_the_target_loses_power_after_RUNNING_and_asks_whether_it_is_done(self):
        """Lost as any partition on a host that crashes; no job stays open for it."""
        self.pair(target="msg=RUNNING,dir=send:after-power")
        moving = self.migrate()
        self.dies(self.right)
        self.crash(self.right)
        code, said = self.over(moving)
        self.again(self.right)
        self.assertEqual(code, 0, said)
        self.settles(self.right, "completed")
        self.assertEqual(partitions(self.left) + partitions(self.right), [])

    def test_the_source_loses_power_after_COMMIT(self):
        self.pair(source="point=journal.synced,of=COMMIT:power")
        moving = self.migrate()
        self.dies(self.left)
        self.crash(self.left)
        self.over(moving)
        self.again(self.left)
        self.ends_on_the_right()

    def test_the_source_loses_power_before_COMMIT_and_no_old_copy_starts(self):
        self.pair(source="point=journal.fsync,of=COMMIT:power")
        moving = self.migrate()
        self.dies(self.left)
        self.crash(self.left)
        self.over(moving)
        self.again(self.left)
        wait_until("nothing is left", lambda: partitions(self.left) + partitions(self.right) == [], 60)
        self.settles(self.left, "failed")
        self.settles(self.right, "failed")

    def test_both_lose_power_after_COMMIT(self):
        """All is lost, as it is with two hosts that burn: but the books are closed, and nothing starts."""
        self.pair("msg=COMMIT,dir=send:after-power", "msg=COMMIT,dir=recv:power")
        moving = self.migrate()
        for host in self.hosts:
            self.dies(host)
            self.crash(host)
        self.over(moving)
        self.again(self.left, self.right)
        self.settles(self.left, "failed")
        self.assertEqual(partitions(self.left) + partitions(self.right), [])

    def test_the_kernel_side_of_a_prepared_target_dies_under_its_daemon(self):
        self.pair(target="msg=COMMIT,dir=recv:hold")
        moving = self.migrate()
        self.fired(self.right)
        self.crash(self.right)
        self.open_gate(self.right)
        self.dies(self.right)
        self.again(self.right)
        self.over(moving)
        self.ends_on_the_left()

    def test_the_kernel_side_of_a_source_dies_under_its_daemon_after_COMMIT(self):
        self.pair(source="point=journal.synced,of=COMMIT:hold")
        moving = self.migrate()
        self.fired(self.left)
        self.crash(self.left)
        self.open_gate(self.left)
        self.dies(self.left)
        self.over(moving)
        self.again(self.left)
        self.ends_on_the_right()


class Stands(Recovery):
    """The move fails in the blackout, and the source's kernel side does not resume the partition at once."""

    MAY_SAY = (*Recovery.MAY_SAY, "partition p stands here paused")
    RESUME = "point=kernel.call,of=resume partition"
    TRIES = 5  # migrate/handoff/copy.c

    def fail_in_the_blackout(self, times):
        self.pair(source=";".join(f"{self.RESUME},nth={n}:EIO" for n in range(1, times + 1)), target="msg=STATE,dir=recv:kill")
        return self.over(self.migrate())

    def test_a_resume_that_fails_once_is_tried_again(self):
        code, said = self.fail_in_the_blackout(1)
        self.assertEqual(code, 1, said)
        self.assertNotIn("stands here", said)
        self.again(self.right)
        self.ends_on_the_left()

    def test_a_partition_that_cannot_be_resumed_is_said_first_and_has_its_own_exit_code(self):
        code, said = self.fail_in_the_blackout(self.TRIES)
        self.assertEqual(code, 61, said)
        self.assertIn("vferry: partition p stands here paused: ", said)
        self.assertIn('let it run with "vferry partition resume p"', said)
        self.assertEqual(state(self.left, "p"), "paused")
        self.assertIn("stands here paused", "".join(e["text"] for e in self.left.json("events")["events"] if e["kind"] == "job"))
        self.left.run("partition", "resume", "p")
        self.again(self.right)
        self.ends_on_the_left()


class Unsure(Recovery):
    """COMMIT could not be made durable, nor be taken back: only a restart, which reads the journal, can tell whether it is in it."""

    def broken(self, fault):
        self.pair(source=fault)
        code, said = self.over(self.migrate())
        self.assertEqual(code, 6, said)
        self.assertIn("restart the vferryd of host left", said)
        self.assertEqual(state(self.left, "p"), "outgoing-paused")
        job = self.job(self.left)["job"]
        self.assertIn("restart the vferryd", self.left.run("job", "resolve", job, "--source-runs", code=1).stderr)
        self.settles(self.right, "unknown", UNKNOWN_S)
        self.left.kill()
        self.again(self.left)

    def test_a_commit_that_is_in_the_journal_after_all_runs_on_the_target(self):
        self.broken("point=journal.fsync,of=COMMIT:EIO;point=journal.cut:EIO")
        self.ends_on_the_right()

    def test_a_commit_that_is_not_runs_on_at_the_source(self):
        self.broken("point=journal.fsync,of=COMMIT:EIO;point=journal.fsync,of=:EIO")
        self.ends_on_the_left()


class StoppedByForce(Recovery):
    """The target drops its partitions while a hand-off is under way: a COMMIT is honoured before, or never."""

    def stopped_at(self, place):
        """A move whose target is held at a place, and stopped there; it drops one partition. The move's command."""
        self.pair(target=place)
        moving = self.migrate()
        self.fired(self.right)
        stopping = self.right.spawn("--json", "host", "stop", "--force")
        wait_until("it takes nothing any more", self.refuses, 30)
        self.open_gate(self.right)
        out, err = stopping.communicate(timeout=60)
        self.assertEqual(stopping.returncode, 0, out + err)
        self.right.process.wait(30)
        self.assertEqual(json.loads(out)["partitions_dropped"], 1)
        return moving

    def test_between_PREPARED_and_COMMITTED(self):
        """COMMIT is at the gate: the stop waits for the job, and the job must not take it then."""
        moving = self.stopped_at("msg=COMMIT,dir=recv:hold")
        self.again(self.right)
        code, said = self.over(moving)
        self.assertIn(code, (1, 6), said)
        self.ends_on_the_left()

    def refuses(self):
        return any("no partition is taken over any more" in log.read_text(errors="replace") for log in self.right.state.glob("*.log"))

    def test_after_COMMITTED_it_is_dropped_knowingly(self):
        """Honoured before the stop: no copy comes back, the stop counts it, both jobs know."""
        moving = self.stopped_at("point=journal.synced,of=COMMITTED:hold")
        code, said = self.over(moving)
        self.assertEqual(code, 0, said)
        self.again(self.right)
        self.settles(self.right, "completed")
        self.assertEqual(partitions(self.left) + partitions(self.right), [])

    def test_a_partition_that_is_being_made_is_counted_too(self):
        self.pair(target="point=kernel.call,of=create partition:hold")
        making = self.right.spawn("partition", "create", "q", "--adapter", "0", "--vram", "8M")
        self.fired(self.right)
        stopping = self.right.spawn("--json", "host", "stop", "--force")
        wait_until("it takes nothing any more", self.refuses, 30)
        self.open_gate(self.right)
        self.assertEqual(self.over(making)[0], 0)
        out, err = stopping.communicate(timeout=60)
        self.assertEqual(stopping.returncode, 0, out + err)
        self.assertEqual(json.loads(out)["partitions_dropped"], 1)


class Unknown(Recovery):
    """The other host stays away: nobody guesses. When it comes back it settles by itself."""

    def test_a_source_that_waits_is_settled_when_its_target_comes_back(self):
        self.pair(target="point=journal.synced,of=COMMITTED:kill")
        moving = self.migrate()
        self.dies(self.right)
        code, said = self.over(moving)
        self.assertEqual(code, 6, said)
        self.assertIn("until it is known whether host right runs it", said)
        self.stands(self.left)
        self.left.kill()
        self.again(self.left)
        self.assertEqual(self.job(self.left)["status"], "unknown")
        self.assertEqual(self.left.run("job", "watch", self.job(self.left)["job"], code=6).returncode, 6)
        self.again(self.right)
        self.ends_on_the_right()
        self.assertIn("is settled: completed", self.left.run("events").stdout)
        self.assertEqual(self.left.json("job", "show", self.job(self.left)["job"])["status"], "completed")

    def test_a_target_that_waits_is_settled_when_its_source_comes_back(self):
        self.pair(source="point=journal.synced,of=COMMIT:kill")
        moving = self.migrate()
        self.dies(self.left)
        self.over(moving)
        self.settles(self.right, "unknown", UNKNOWN_S)
        self.stands(self.right)
        self.right.kill()
        self.again(self.right)
        self.assertEqual(self.job(self.right)["status"], "unknown")
        self.stands(self.right)
        self.again(self.left)
        self.ends_on_the_right()


class Resolve(Recovery):
    def target_away(self, fault="point=journal.write,of=COMMITTED:kill"):
        """The source has committed and its target is gone."""
        self.pair(target=fault)
        moving = self.migrate()
        self.dies(self.right)
        self.over(moving)
        self.settles(self.left, "unknown")

    def test_only_an_unknown_outcome_can_be_resolved(self):
        self.pair()
        code, said = self.over(self.migrate())
        self.assertEqual(code, 0, said)
        for host in self.hosts:
            refused = self.resolve(host, "source", code=1).stderr
            self.assertEqual(refused.count("\n"), 1, refused)
            self.assertIn("only an unknown outcome", refused)
        self.assertIn("--source-runs or --target-runs", self.left.run("job", "resolve", 1, code=2).stderr)
        self.left.run("job", "resolve", 1, "--source-runs", "--target-runs", code=2)
        self.ends_on_the_right()

    def test_source_runs_while_the_target_is_away_and_its_copy_goes_when_it_is_back(self):
        self.target_away()
        done = self.resolve(self.left, "source")
        self.assertIn("warning: host right, the target, could not be asked", done.stderr)
        self.assertEqual(state(self.left, "p"), "running")
        self.left.kill()
        self.again(self.left)
        self.assertEqual((state(self.left, "p"), self.job(self.left)["status"]), ("running", "failed"))
        reason = self.left.json("job", "show", self.job(self.left)["job"])["reason"]
        self.assertIn("host right could not be asked", reason)
        self.assertIn("; partition p runs on at host left", reason)
        self.assertEqual("resolved: " in (self.left.state / "journal").read_text(), not REWORD)
        self.again(self.right)
        self.settles(self.right, "failed")
        self.ends_on_the_left()

    def test_what_is_forgotten_stays_so_and_a_target_that_is_back_is_settled_there(self):
        self.target_away()
        self.resolve(self.left, "source")
        job = self.job(self.left)["job"]
        self.assertEqual(self.left.json("job", "show", job)["owes"], "abort")
        self.assertIn("warning: host right is not told", self.left.run("job", "forget", job).stderr)
        self.left.kill()
        self.again(self.left)
        self.assertIsNone(self.left.json("job", "show", job)["owes"])
        self.assertIn("owes host", self.left.run("job", "forget", job, code=1).stderr)
        self.again(self.right)
        self.settles(self.right, "unknown")
        self.assertEqual(self.resolve(self.right, "source").stderr, "")
        self.ends_on_the_left()

    def test_target_runs_while_the_target_is_away_and_it_runs_when_it_is_back(self):
        self.target_away()
        done = self.resolve(self.left, "target")
        self.assertIn("warning: host right, the target, could not be asked", done.stderr)
        self.assertEqual(partitions(self.left), [])
        self.again(self.right)
        self.ends_on_the_right()

    def test_a_wrong_guess_that_makes_two_is_told_aloud_on_both_hosts(self):
        self.target_away("point=journal.synced,of=COMMITTED:kill")
        self.resolve(self.left, "source")
        self.again(self.right)
        for host in self.hosts:
            wait_until(f"{host.name} says so", lambda: "CONTRADICTION" in host.run("events").stdout, 60)
        shown = self.left.json("job", "show", self.job(self.left)["job"])
        self.assertIn("CONTRADICTION", shown["reason"])
        self.left.kill()
        self.again(self.left)
        self.assertIn("CONTRADICTION", self.left.json("job", "show", shown["job"])["reason"])
        self.left.run("partition", "remove", "p")
        self.runs_only(self.right, self.left)

    def test_the_target_is_refused_the_wrong_choice_when_the_source_can_be_asked(self):
        """The source called it off and cannot reach the target, which can reach the source."""
        self.pair()
        with Proxy(self.right.address, Point("READY", IN, paused=True), proxy.cut_for_good) as way:
            code, said = self.over(self.migrate(way.address))
        self.assertEqual(code, 1, said)
        self.settles(self.right, "unknown", UNKNOWN_S)
        refused = self.resolve(self.right, "target", code=1).stderr
        self.assertIn("the journal of host left, its source, says ABORTED", refused)
        self.assertIn("--source-runs", refused)
        self.assertEqual(self.resolve(self.right, "source").stderr, "")
        self.ends_on_the_left()

    def test_the_target_takes_over_when_the_sources_journal_says_COMMIT(self):
        self.pair()
        with Proxy(self.right.address, Point("COMMIT", OUT, paused=True), proxy.cut_for_good) as way:
            code, said = self.over(self.migrate(way.address))
        self.assertEqual(code, 6, said)
        self.settles(self.right, "unknown", UNKNOWN_S)
        self.assertEqual(self.resolve(self.right, "target").stderr, "")
        self.settles(self.right, "completed")
        # Its way there is gone for good: this side cannot ask, and says so.
        self.assertIn("could not be asked", self.resolve(self.left, "target").stderr)
        self.runs_only(self.right, self.left)


if __name__ == "__main__":
    unittest.main()
