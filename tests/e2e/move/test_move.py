# SPDX-License-Identifier: Apache-2.0
"""Moves: whatever a partition does, wherever it goes, it ends bit for bit like work that never moved."""
import os
import re
import subprocess
import threading
import time
import unittest

from e2e import (
    at_once,
    BUILD,
    DEVICE,
    Case,
    Work,
    begins,
    churn,
    create,
    finish,
    footprint_settles,
    move,
    page_tables,
    partitions,
    pgm,
    rested,
    room,
    runs,
    show,
    state,
    steps,
)
from harness import PATIENCE, reference, wait_until

TESTS_AT_ONCE = at_once(4)
FULL_SPEED_MOVES = 10
DIFFUSE_STEPS = 12000 // PATIENCE  # a slow build has its middle sooner
GEMM_STEPS = 3000 // PATIENCE


class Workloads(Case):
    """Each workload is moved in the middle of its work."""

    def moved_midway(self, work, vram="64M", *, done=None):
        """Moves the work once it has begun; it must still be at it when it arrives."""
        left, right = self.pair()
        create(left, "p", work, vram)
        begins(left, "p")
        report = move(left, right, "p")
        arrived = show(right, "p")
        self.assertLess(
            arrived["steps"],
            arrived["steps_wanted"],
            "it was done before it arrived: give it more to do",
        )
        runs(right, "p")
        self.assertEqual(finish(right, "p"), work.want())
        self.assertEqual(partitions(left), [])
        return report

    def test_the_exit_code_is_the_moves_when_nobody_reads_its_words(self):
        left, right = self.pair()
        create(left, "p", churn(60))
        begins(left, "p")
        reading, writing = os.pipe()
        os.close(reading)
        with open("/dev/full", "w", encoding="ascii") as full, os.fdopen(writing, "w") as closed:
            for source, target, stdout, told in ((left, right, full, "No space left"), (right, left, closed, "")):
                words = source.command("migrate", "p", "--to", target.address, "--max-blackout", 20000)
                done = subprocess.run(words, stdout=stdout, stderr=subprocess.PIPE, text=True, timeout=120, check=False)
                self.assertEqual(done.returncode, 0, done.stderr)
                self.assertIn(told, done.stderr)
                self.assertEqual(done.stderr == "", told == "", done.stderr)
            # Who only asks has nothing when it cannot be written.
            shown = subprocess.run(left.command("host", "show"), stdout=full, stderr=subprocess.PIPE, text=True, timeout=30, check=False)
            self.assertEqual(shown.returncode, 1)
        runs(left, "p")

    def test_diffuse_over_a_picture_of_odd_size_ends_with_the_digest_of_the_reference(self):
        picture = pgm(self.folder / "odd.pgm", 731, 417, seed=5)
        self.moved_midway(Work("diffuse", input=picture, steps=DIFFUSE_STEPS))

    def test_a_moved_picture_is_read_bit_for_bit(self):
        picture = pgm(self.folder / "odd.pgm", 331, 217, seed=6)
        work = Work("diffuse", input=picture, steps=DIFFUSE_STEPS)
        left, right = self.pair()
        create(left, "p", work)
        begins(left, "p")
        move(left, right, "p")
        right.run("wait", "p", "--timeout", 60)
        right.run("read", "p", "--output", self.folder / "moved.pgm")
        reference(BUILD, *work.words(), output=self.folder / "reference.pgm")
        self.assertEqual(
            (self.folder / "moved.pgm").read_bytes(), (self.folder / "reference.pgm").read_bytes()
        )

    def test_gemm_ends_with_the_digest_of_the_reference(self):
        self.moved_midway(Work("gemm", n=97, steps=GEMM_STEPS, seed=7))

    def test_churn_ends_with_the_digest_of_the_reference(self):
        self.moved_midway(churn(2.5, size="24M", rate=40 << 20, seed=8))

    def test_churn_on_a_hot_region_ends_with_the_digest_of_the_reference(self):
        self.moved_midway(churn(2.5, size="24M", hot="512K", rate=40 << 20, seed=9))

    def test_fill_ends_with_the_digest_of_the_reference(self):
        left, right = self.pair("softgpu,vram=512M,vfs=2")
        work = Work("fill", size="300M", seed=10)
        create(left, "p", work, vram="320M")
        move(left, right, "p")  # at once: it is still filling
        self.assertEqual(finish(right, "p"), work.want())

    def test_an_idle_partition_moves_and_then_works(self):
        left, right = self.pair()
        create(left, "p")
        move(left, right, "p")
        work = churn(0.3)
        right.run("run", "p", *work.words())
        self.assertEqual(finish(right, "p"), work.want())


class Pauses(Case):
    def test_paused_work_stands_still_and_resumed_ends_with_the_digest_of_the_reference(self):
        left = self.host("left")
        work = churn(1.5)
        create(left, "p", work)
        begins(left, "p")
        left.run("partition", "pause", "p")
        self.assertEqual(state(left, "p"), "paused")
        stands = steps(left, "p")
        for _ in range(10):
            self.assertEqual(steps(left, "p"), stands)
        left.run("partition", "resume", "p")
        self.assert_works_to_its_end(left, "p", work)

    def test_work_paused_and_resumed_before_and_after_a_move_ends_with_the_digest_of_the_reference(
        self,
    ):
        left, right = self.pair()
        work = churn(2.5)
        create(left, "p", work)
        begins(left, "p")
        left.run("partition", "pause", "p")
        left.run("partition", "resume", "p")
        move(left, right, "p")
        right.run("partition", "pause", "p")
        stands = steps(right, "p")
        self.assertEqual(steps(right, "p"), stands)
        right.run("partition", "resume", "p")
        self.assert_works_to_its_end(right, "p", work)

    def test_a_paused_partition_arrives_paused_and_resumed_ends_with_the_digest_of_the_reference(
        self,
    ):
        left, right = self.pair()
        work = churn(1.5)
        create(left, "p", work)
        begins(left, "p")
        left.run("partition", "pause", "p")
        stands = steps(left, "p")
        move(left, right, "p")
        self.assertEqual((state(right, "p"), steps(right, "p")), ("paused", stands))
        right.run("partition", "resume", "p")
        self.assert_works_to_its_end(right, "p", work)


class Devices(Case):
    """The same move on every kind of adapter."""

    def moved_on(self, device, *options, work=None):
        left, right = self.pair(device)
        work = work or churn(1.5, size="16M", rate=16 << 20, seed=11)
        create(left, "p", work, vram="64M")
        begins(left, "p")
        report = move(left, right, "p", *options)
        self.assert_works_to_its_end(right, "p", work)
        return report, left

    def test_dirty_pages_of_4_kib(self):
        _, left = self.moved_on("softgpu,vram=256M,vfs=2,dirty-page=4K")
        self.assertEqual(left.json("adapter", "show", 0)["dirty_page_bytes"], 4096)

    def test_dirty_pages_of_64_kib(self):
        _, left = self.moved_on("softgpu,vram=256M,vfs=2,dirty-page=64K")
        self.assertEqual(left.json("adapter", "show", 0)["dirty_page_bytes"], 65536)

    def test_dirty_pages_of_2_mib(self):
        _, left = self.moved_on("softgpu,vram=256M,vfs=2,dirty-page=2M")
        self.assertEqual(left.json("adapter", "show", 0)["dirty_page_bytes"], 2 << 20)

    def test_tracking_that_is_not_performant_sends_the_whole_reserve_first(self):
        report, _ = self.moved_on("softgpu,vram=256M,vfs=2,performant=off")
        self.assertEqual(report["rounds"][0]["pages"], (64 << 20) // report["page_bytes"])

    def test_performant_tracking_sends_only_what_was_touched_first(self):
        report, _ = self.moved_on("softgpu,vram=256M,vfs=2,performant=on")
        self.assertLess(report["rounds"][0]["pages"], (64 << 20) // report["page_bytes"])

    def test_of_a_large_dirty_page_only_what_was_written_crosses(self):
        """Steps of 4 KiB at random places, 64 to a dirty page: each makes one dirty, and few make it whole."""
        left, right = self.pair("softgpu,vram=256M,vfs=2,dirty-page=256K")
        work = churn(6, size="64M", rate=4 << 20)
        create(left, "p", work, vram="96M")
        wait_until("64 steps are done", lambda: steps(left, "p") > 64)
        report = move(left, right, "p")
        later = report["rounds"][1:]
        self.assertEqual(report["page_bytes"], 4096)
        self.assertGreater(sum(one["dirty_pages"] for one in later), 64, later)
        self.assertLess(8 * sum(one["pages"] for one in later), sum(one["dirty_pages"] for one in later), later)
        self.assert_works_to_its_end(right, "p", work)

    def test_reserves_scattered_over_vram(self):
        """Partitions made and removed leave holes; the next one is laid over them."""
        device = "softgpu,vram=256M,vfs=6,scatter=on"
        left, right = self.pair(device)
        for host in (left, right):
            for name in ("a", "b", "c"):
                create(host, name, vram="64M")
            host.run("partition", "remove", "b")
        work = churn(1.5, size="90M", rate=16 << 20, seed=12)
        create(left, "p", work, vram="100M")  # no hole is that large
        begins(left, "p")
        move(left, right, "p")
        self.assert_works_to_its_end(right, "p", work)

    def test_verify_full_passes_on_a_sound_device(self):
        report, _ = self.moved_on(DEVICE, "--verify", "full")
        self.assertEqual(report["verify"], "full")
        self.assertGreater(report["blackout"]["verify_ns"], 0)


class Streams(Case):
    def test_one_to_eight_streams(self):
        left, right = self.pair()
        work = churn(6, size="16M", rate=8 << 20, seed=13)
        create(left, "p", work, vram="64M")
        begins(left, "p")
        source, target = left, right
        for streams in range(1, 9):
            with self.subTest(streams=streams):
                report = move(source, target, "p", "--streams", streams)
                self.assertEqual((report["status"], report["streams"]), ("completed", streams))
                runs(target, "p")
                source, target = target, source
        self.assertEqual(finish(source, "p"), work.want())

    def test_bandwidth_bounds_the_rate(self):
        left, right = self.pair()
        work = Work("fill", size="24M", seed=14)
        create(left, "p", work)
        left.run("wait", "p", "--timeout", 60)
        report = move(left, right, "p", "--bandwidth", 24 << 20)
        self.assertLess(report["rate_bytes_per_s"], 1.5 * (24 << 20))
        self.assertEqual(finish(right, "p"), work.want())


class Many(Case):
    def full_speed_steps(self, host, seconds):
        """As many steps of unpaced churn as take about so long on this machine, now."""
        probe = Work("churn", size="16M", steps=1 << 40, seed=1)
        create(host, "probe", probe, vram="32M")
        begins(host, "probe")
        first = steps(host, "probe")
        began = threading.Event()
        began.wait(0.5)  # measures a speed: the time itself is what counts
        rate = (steps(host, "probe") - first) / 0.5
        host.run("partition", "remove", "probe")
        return int(rate * seconds)

    def test_ten_moves_back_and_forth_while_churn_writes_at_full_speed(self):
        left, right = self.pair()
        work = Work("churn", size="16M", steps=self.full_speed_steps(left, 15 if PATIENCE == 1 else 40), seed=15)
        create(left, "p", work)
        begins(left, "p")
        uuid = show(left, "p")["uuid"]
        source, target, epoch, pools = left, right, 1, []
        for _ in range(FULL_SPEED_MOVES):
            report = move(source, target, "p")
            self.assertEqual(report["status"], "completed")
            now = show(target, "p")
            self.assertEqual(now["uuid"], uuid)
            self.assertGreater(now["epoch"], epoch)
            epoch = now["epoch"]
            source, target = target, source
            pools.append(page_tables(source) + page_tables(target))
        self.assertEqual(
            len(set(pools[1:])),
            1,
            f"one move after the other needs no more page tables than the first: {pools}",
        )
        now = show(source, "p")
        self.assertLess(now["steps"], now["steps_wanted"], "it was done before its last move")
        self.assertEqual(finish(source, "p"), work.want())

    def test_eight_partitions_move_at_once_in_both_directions(self):
        left, right = self.pair("softgpu,vram=1G,vfs=8")
        home = {f"p{i}": (left, right) if i < 4 else (right, left) for i in range(8)}
        works = {
            name: churn(6, size="8M", rate=4 << 20, seed=20 + i) for i, name in enumerate(home)
        }
        for name, (source, _) in home.items():
            create(source, name, works[name])
        for name, (source, _) in home.items():
            begins(source, name)
        self.all_at_once(home)
        self.assertEqual(sorted(partitions(left)), ["p4", "p5", "p6", "p7"])
        self.assertEqual(sorted(partitions(right)), ["p0", "p1", "p2", "p3"])
        # Threads and buffers that stay are there by now; the way back must need nothing more.
        held = [rested(host) for host in (left, right)]
        self.all_at_once({name: (target, source) for name, (source, target) in home.items()})
        for name, (source, _) in home.items():
            self.assert_works_to_its_end(source, name, works[name])
        for host, before in zip((left, right), held):
            footprint_settles(host, before)

    def all_at_once(self, ways):
        moves = {
            name: source.spawn(
                "--json", "migrate", name, "--to", target.address, "--max-blackout", 20000
            )
            for name, (source, target) in ways.items()
        }
        for name, process in moves.items():
            out, err = process.communicate(timeout=120)
            self.assertEqual(process.returncode, 0, f"{name}: {err}{out}")

    def test_a_cancelled_move_and_then_a_successful_one(self):
        """A query clears the hardware's bits: what a cancelled move had asked for is still owed (DBT-9)."""
        left, right = self.pair()
        work = churn(5, size="24M", rate=8 << 20, seed=16)
        create(left, "p", work, vram="64M")
        begins(left, "p", 64)
        before = room(right)
        first = left.spawn("migrate", "p", "--to", right.address, "--bandwidth", 4 << 20)
        wait_until("the move sends pages", lambda: job_of(left)["bytes_sent"] > 1 << 20)
        left.run("job", "cancel", job_of(left)["job"])
        self.assertEqual(first.wait(30), 4)
        first.communicate()
        said = job_of(left)["reason"]
        self.assertIn("; partition p runs on at host left", said)
        left.kill()
        left.start()
        again = job_of(left)
        self.assertEqual((again["status"], again["reason"]), ("cancelled", said))
        self.assert_nothing_arrived(right, before, "p")
        move(left, right, "p", "--verify", "full")
        self.assert_works_to_its_end(right, "p", work)

    def test_who_hears_that_a_move_was_cancelled_can_start_it_again_at_once(self):
        left, right = self.pair()
        work = churn(6, size="24M", rate=8 << 20, seed=17)
        create(left, "p", work, vram="64M")
        begins(left, "p", 64)
        before = room(right)
        for sent in (0, 0, 1, 1 << 20, 4 << 20):
            job = left.json(
                "migrate", "p", "--to", right.address, "--bandwidth", 16 << 20, "--detach"
            )["job"]
            wait_until("the move sends pages", lambda least=sent: job_of(left)["bytes_sent"] >= least)
            self.assertEqual(left.json("job", "cancel", job)["status"], "cancelled")
            self.assertEqual(partitions(right), [])
            self.assertEqual(room(right), before)
        move(left, right, "p", "--verify", "full")
        self.assert_works_to_its_end(right, "p", work)


def job_of(host):
    """The newest job's full object; one without pages while there is none."""
    jobs = host.json("job", "list")["jobs"]
    return host.json("job", "show", jobs[0]["job"]) if jobs else {"bytes_sent": 0}


def job_texts(host):
    """What the host's events say of jobs."""
    return [one["text"] for one in host.json("events")["events"] if one["kind"] == "job"]


class Tells(Case):
    """What the outside is told."""

    def test_wait_on_a_moved_partition_says_where_it_went(self):
        left, right = self.pair()
        create(left, "p", churn(0.2))
        move(left, right, "p")
        gone = left.run("wait", "p", code=1)
        self.assertIn(f"moved to {right.address}", gone.stderr)
        self.assertEqual(gone.stdout, "")

    def test_a_wait_that_is_under_way_when_the_partition_moves_says_where_it_went(self):
        left, right = self.pair()
        create(left, "p", churn(3))
        waiting = left.spawn("wait", "p")
        begins(left, "p")
        move(left, right, "p")
        out, err = waiting.communicate(timeout=30)
        self.assertEqual((waiting.returncode, out), (1, ""))
        self.assertIn(f"moved to {right.address}", err)

    def test_the_json_of_migrate_and_job_show_has_all_its_names(self):
        left, right = self.pair()
        create(left, "p", churn(3))
        begins(left, "p")
        told = move(left, right, "p")
        for job in (told, left.json("job", "show", told["job"])):
            self.check_job(job, left, right)

    def test_the_targets_figures_are_the_sources_or_null_and_all_are_that_the_journal_alone_knows(self):
        left, right = self.pair(options=["--history-days", "0"])
        create(left, "p", churn(3))
        begins(left, "p")
        told = move(left, right, "p")
        job = right.json("job", "list")["jobs"][0]
        self.assertEqual((job["percent"], job["kind"]), (100, "move"))
        there = right.json("job", "show", job["job"])
        for name in ("vram_bytes", "bytes_sent", "pages_sent", "streams", "digest", "epoch"):
            self.assertEqual(there[name], told[name], name)
        for name in ("blackout_ns", "brownout_ns", "dirty_bytes_per_s", "predicted_blackout_ns"):
            self.assertIsNone(there[name], name)
        self.assertEqual(len(there["rounds"]), len(told["rounds"]))
        for one, other in zip(there["rounds"], told["rounds"]):
            self.assertEqual(one, {**other, "duration_ns": None})
        for one in (told, there):
            self.assertGreater(one["started_unix_ns"], time.time_ns() - 600 * 10**9)
            self.assertLess(one["started_unix_ns"], one["ended_unix_ns"])
        right.kill()
        right.start()
        again = right.json("job", "show", job["job"])
        self.assertEqual((again["status"], again["partition"]), ("completed", "p"))
        for name in ("vram_bytes", "bytes_sent", "pages_sent", "rounds", "total_ns", "blackout_ns"):
            self.assertIsNone(again[name], name)
        self.assertIsNone(again["started_unix_ns"])
        self.assertIsNotNone(again["ended_unix_ns"])

    def test_a_check_is_told_as_a_check_and_a_refused_usage_makes_no_job(self):
        left, right = self.pair()
        create(left, "p")
        left.run("check", "p", "--to", right.address)
        for host in (left, right):
            wait_until("the check is told", lambda host=host: job_texts(host))
            for text in job_texts(host):
                self.assertIn("(check of p", text)
        left.run("migrate", "p", "--to", "nowhere", code=2)
        self.assertEqual([job["kind"] for job in left.json("job", "list")["jobs"]], ["check"])

    def test_a_paused_partition_whose_move_is_cancelled_is_said_to_stay_paused(self):
        left, right = self.pair()
        create(left, "p", churn(30, size="24M"), vram="64M")
        begins(left, "p", 64)
        left.run("partition", "pause", "p")
        # At so little a second it cannot be over before it is cancelled.
        moving = left.spawn("migrate", "p", "--to", right.address, "--bandwidth", 1 << 20)
        wait_until("the move sends pages", lambda: job_of(left)["bytes_sent"] > 0)
        listed = left.json("job", "list")["jobs"][0]
        self.assertTrue(0 <= listed["percent"] < 100, listed)
        self.assertIsNone(listed["ended_unix_ns"])
        left.run("job", "cancel", listed["job"])
        out, err = moving.communicate(timeout=30)
        self.assertEqual(moving.returncode, 4, err + out)
        self.assertIn("; partition p stays paused at host left", err)
        self.assertEqual(state(left, "p"), "paused")

    def check_job(self, job, left, right):
        numbers = [
            "job",
            "epoch",
            "vram_bytes",
            "bytes_sent",
            "pages_sent",
            "total_ns",
            "brownout_ns",
            "blackout_ns",
            "predicted_blackout_ns",
            "rate_bytes_per_s",
            "dirty_bytes_per_s",
            "streams",
        ]
        texts = [
            "schema",
            "partition",
            "uuid",
            "status",
            "reason",
            "source",
            "target",
            "blackout_clock",
            "compression",
            "verify",
            "digest",
        ]
        for name in numbers:
            self.assertIs(type(job[name]), int, name)
        for name in texts:
            self.assertIs(type(job[name]), str, name)
        self.assertRegex(job["schema"], r"^vferry\.[a-z]+/1$")
        self.assertEqual(
            (job["partition"], job["status"], job["reason"], job["epoch"]),
            ("p", "completed", "", 2),
        )
        self.assertEqual(job["uuid"], show(right, "p")["uuid"])
        self.assertEqual((job["source"], job["target"]), (left.name, right.address))
        self.assertEqual(
            (job["verify"], job["compression"], job["vram_bytes"], job["blackout_clock"]),
            ("delta", "none", 32 << 20, "shared"),
        )
        self.assertRegex(job["digest"], r"^xxh3-128:[0-9a-f]{32}$")
        self.assertEqual((job["throttle_max"], job["throttled_ns"]), (0, 0))
        self.assertTrue(job["rounds"])
        for one in job["rounds"]:
            self.assertEqual({"pages", "bytes", "dirty_pages", "duration_ns"} - set(one), set())
            self.assertTrue(all(type(value) is int for value in one.values()), one)
        self.assertEqual(sum(one["pages"] for one in job["rounds"]), job["pages_sent"])
        self.assertEqual(
            set(job["blackout"]),
            {"pause_ns", "pages_ns", "state_ns", "verify_ns", "commit_ns", "start_ns"},
        )
        self.assertEqual(sum(job["blackout"].values()), job["blackout_ns"])
        self.assertGreaterEqual(min(job["blackout"].values()), 0)
        self.assertGreater(job["blackout_ns"], 0)
        self.assertLessEqual(job["brownout_ns"] + job["blackout_ns"], job["total_ns"])

    def test_the_parts_of_each_blackout_add_up(self):
        left, right = self.pair()
        create(left, "p", churn(4, rate=32 << 20))
        begins(left, "p")
        source, target = left, right
        for verify in ("delta", "full", "delta", "full"):
            report = move(source, target, "p", "--verify", verify)
            self.assertEqual(sum(report["blackout"].values()), report["blackout_ns"], report)
            self.assertTrue(all(part >= 0 for part in report["blackout"].values()), report)
            source, target = target, source

    def test_a_detached_move_returns_at_once_and_its_job_tells_the_end(self):
        left, right = self.pair()
        create(left, "p", churn(3))
        begins(left, "p")
        job = left.json("migrate", "p", "--to", right.address, "--detach")["job"]
        left.run("job", "watch", job)
        self.assertEqual(left.json("job", "show", job)["status"], "completed")
        self.assertEqual(partitions(right), ["p"])

    def test_the_partition_keeps_its_identity(self):
        left, right = self.pair()
        create(left, "p", churn(2))
        before = show(left, "p")
        move(left, right, "p")
        after = show(right, "p")
        self.assertEqual(
            [after[k] for k in ("name", "uuid", "vram_bytes", "state")],
            [before[k] for k in ("name", "uuid", "vram_bytes", "state")],
        )
        self.assertEqual(after["epoch"], before["epoch"] + 1)
        self.assertTrue(re.fullmatch(r"[0-9a-f-]{36}", after["uuid"]))

    def test_a_dry_run_moves_nothing_and_says_it_could(self):
        left, right = self.pair()
        work = churn(1.5)
        create(left, "p", work)
        before = room(right)
        left.run("migrate", "p", "--to", right.address, "--dry-run")
        self.assertTrue(left.json("check", "p", "--to", right.address)["compatible"])
        self.assert_nothing_arrived(right, before, "p")
        self.assert_works_to_its_end(left, "p", work)


if __name__ == "__main__":
    unittest.main()
