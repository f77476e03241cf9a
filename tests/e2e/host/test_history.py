# SPDX-License-Identifier: Apache-2.0
"""The history: what was told when it happened is told again after restarts and kills, and its file is never in the way."""
import datetime
import json
import os
import signal
import time
import unittest

import proxy
from e2e import BUILD, Case, at_once, begins, churn, create, move, partitions, runs
from harness import wait_until
from proxy import IN, Point, Proxy

TESTS_AT_ONCE = at_once(4)
NOBODY = "127.0.0.1:1"  # no vferryd listens on tcpmux
V2 = BUILD / "drivers/softgpu-v2.so"


def restart(host, sig=signal.SIGTERM):
    host.kill(sig)
    host.start()


def jobs(host, *words):
    return host.json("job", "list", *words)["jobs"]


def ids(host, *words):
    return [job["job"] for job in jobs(host, *words)]


def events(host, *words):
    return host.json("events", *words)["events"]


def texts(host, *words):
    return [event["text"] for event in events(host, *words)]


def history(host):
    return host.state / "history.db"


def over(host, job):
    """The job once it is over there: a target learns of the end after its source."""
    wait_until(
        f"job {job} is over",
        lambda: host.json("job", "show", job)["status"] not in ("running", "unknown"),
    )
    return host.json("job", "show", job)


class Told:
    """What a host told while it happened, to compare with what it tells later."""

    def __init__(self, case, host):
        self.case, self.host = case, host
        self.shown, self.listed, self.events = {}, {}, []

    def note(self):
        for short in jobs(self.host):
            if short["job"] not in self.shown:
                self.shown[short["job"]] = over(self.host, short["job"])
        self.listed = {short["job"]: short for short in jobs(self.host)}
        self.events = events(self.host)

    def compare(self):
        same = self.case.assertEqual
        same(ids(self.host), sorted(self.shown, reverse=True), self.host.name)
        for short in jobs(self.host):
            same(short, self.listed[short["job"]], self.host.name)
        for job, shown in self.shown.items():
            same(self.host.json("job", "show", job), shown, self.host.name)
        now = events(self.host)
        numbers = [event["number"] for event in now]
        known = {event["number"] for event in self.events}
        same([event for event in now if event["number"] in known], self.events, self.host.name)
        same(len(set(numbers)), len(numbers), "a number was given twice")
        times = [event["time_ns"] for event in now]
        same(times, sorted(times), "events are out of order")
        for event in now:
            self.case.assertIn(event["source"], ("vferryd", "kernel", "migrate"))


class Restarts(Case):
    def complete(self):
        create(self.left, "p", churn(60, size="2M"))
        begins(self.left, "p")
        move(self.left, self.right, "p", "--verify", "full")
        self.right.run("partition", "remove", "p")

    def cancel(self):
        create(self.left, "slow", churn(600, size="16M"), vram="64M")
        begins(self.left, "slow", 8)
        moving = self.left.spawn("migrate", "slow", "--to", self.right.address, "--bandwidth", "1M")
        wait_until("it moves", lambda: ids(self.right, "--partition", "slow") or None)
        running = [job["job"] for job in jobs(self.left) if job["status"] == "running"]
        self.left.run("job", "cancel", running[0])
        moving.communicate(timeout=60)
        self.assertEqual(moving.returncode, 4)
        self.assertEqual(self.left.json("job", "show", running[0])["status"], "cancelled")
        self.left.run("partition", "remove", "slow")

    def move_to_nobody(self):
        create(self.left, "f")
        move(self.left, NOBODY, "f", code=1)
        self.left.run("partition", "remove", "f")

    def check(self):
        create(self.left, "c")
        self.left.run("check", "c", "--to", self.right.address)
        self.left.run("partition", "remove", "c")

    def save_and_restore(self):
        create(self.left, "s", churn(60, size="2M"))
        image = self.folder / f"{time.monotonic_ns()}.image"
        self.left.run("save", "s", "--output", image)
        self.left.run("restore", "s", "--input", image, "--adapter", 0)
        self.left.run("partition", "remove", "s")

    def update(self):
        for host in (self.left, self.right):
            host.run("driver", "update", 0, "--driver", V2)

    def test_ten_restarts_and_a_kill_change_nothing_that_was_told(self):
        # Each start has a warning to tell before there is a history.
        self.left, self.right = self.pair(options=["--insecure"])
        told = [Told(self, self.left), Told(self, self.right)]
        deeds = [self.complete, self.check, self.cancel, self.move_to_nobody, self.save_and_restore, self.update]
        for round_ in range(10):
            deeds[round_ % len(deeds)]()
            for one in told:
                one.note()
            sig = signal.SIGKILL if round_ == 4 else signal.SIGTERM
            restart(self.left, sig)
            restart(self.right, sig)
            for one in told:
                one.compare()
        statuses = {(job["kind"], job["status"]) for job in jobs(self.left)}
        self.assertLessEqual(
            {
                ("move", "completed"),
                ("move", "cancelled"),
                ("move", "failed"),
                ("check", "completed"),
                ("save", "completed"),
                ("restore", "completed"),
            },
            statuses,
        )
        for job in jobs(self.left, "--kind", "move"):
            if job["status"] == "completed":
                shown = self.left.json("job", "show", job["job"])
                self.assertGreater(shown["bytes_sent"], 0)
                self.assertGreater(shown["blackout_ns"], 0)
                self.assertGreater(len(shown["rounds"]), 0)
                self.assertLess(job["started_unix_ns"], job["ended_unix_ns"])
        self.assertEqual(sum("--insecure" in text for text in texts(self.left, "--kind", "warning")), 11)
        # The kernel side lived through all of it, and its event was told once.
        self.assertEqual(
            [event["kind"] for event in events(self.left) if event["source"] == "kernel"], ["driver"]
        )

    def test_a_kill_at_once_after_the_answer_loses_nothing_of_it(self):
        left, right = self.pair()
        create(left, "p", churn(60, size="2M"))
        for turn in range(4):
            source, target = (left, right) if turn % 2 == 0 else (right, left)
            told = move(source, target, "p")
            source.kill()
            source.start()
            self.assertEqual(source.json("job", "show", told["job"]), told)
            numbers = [event["number"] for event in events(source)]
            self.assertEqual(len(set(numbers)), len(numbers))

    def test_a_job_that_a_kill_cut_off_has_no_figures_and_says_why(self):
        left, right = self.pair()
        create(left, "p", churn(600, size="16M"), vram="64M")
        begins(left, "p", 8)
        moving = left.spawn("migrate", "p", "--to", right.address, "--bandwidth", "1M")
        wait_until("it moves", lambda: ids(right, "--partition", "p") or None)
        job = ids(left, "--partition", "p")[0]
        left.kill()
        moving.communicate(timeout=60)
        left.start()
        for _ in range(2):
            shown = left.json("job", "show", job)
            self.assertEqual(shown["status"], "failed")
            self.assertIn("ended during the", shown["reason"])
            self.assertIsNone(shown["bytes_sent"])
            self.assertIsNone(shown["total_ns"])
            restart(left)
        runs(left, "p")

    def test_an_unknown_outcome_that_is_settled_keeps_its_figures(self):
        left, right = self.pair(options=["--silence", "2", "--redial", "1"])
        create(left, "p", churn(60, size="4M", rate=4 << 20))
        begins(left, "p")
        cut = Point("RUNNING", IN, paused=True)
        with Proxy(right.address, cut, proxy.cut_for_good) as way:
            move(left, way.address, "p", code=6)
            self.assertTrue(way.acted.is_set())
            job = ids(left)[0]
            unknown = left.json("job", "show", job)
            self.assertEqual((unknown["status"], unknown["ended_unix_ns"]), ("unknown", None))
            restart(left)
            self.assertEqual(left.json("job", "show", job)["bytes_sent"], unknown["bytes_sent"])
        left.run("job", "resolve", job, "--target-runs")
        for _ in range(2):
            settled = left.json("job", "show", job)
            self.assertEqual(settled["status"], "completed")
            self.assertIsNotNone(settled["ended_unix_ns"])
            for figure in ("bytes_sent", "pages_sent", "rounds", "vram_bytes", "started_unix_ns", "total_ns"):
                self.assertEqual(settled[figure], unknown[figure], figure)
            restart(left)

    def test_ids_of_checks_are_not_given_again(self):
        left, right = self.pair()
        create(left, "p")
        left.run("check", "p", "--to", right.address)
        restart(left)
        move(left, right, "p")
        self.assertEqual([(job["job"], job["kind"]) for job in jobs(left)], [(2, "move"), (1, "check")])


class Filters(Case):
    def test_jobs_and_events_are_found_by_kind_partition_time_and_number(self):
        left, right = self.pair()
        for name in ("p", "p1"):
            create(left, name)
            left.run("check", name, "--to", right.address)
            middle = time.time()
            move(left, right, name)
        restart(left)
        self.assertEqual(ids(left), [4, 3, 2, 1])
        self.assertEqual(ids(left, "--kind", "check"), [3, 1])
        self.assertEqual(ids(left, "--partition", "p"), [2, 1])
        self.assertEqual(ids(left, "--partition", "p1", "--kind", "move"), [4])
        self.assertEqual(ids(left, "--limit", 2), [4, 3])
        stamp = datetime.datetime.fromtimestamp(middle, datetime.timezone.utc).isoformat()
        self.assertEqual(ids(left, "--since", stamp), [4])
        self.assertEqual(ids(left, "--until", stamp), [3, 2, 1])
        self.assertEqual(ids(left, "--since", "1h"), [4, 3, 2, 1])
        self.assertEqual(ids(left, "--until", "1h"), [])
        about = texts(left, "--partition", "p")
        self.assertEqual(len(about), 3, about)  # created, checked, moved
        self.assertEqual(texts(left, "--kind", "partition", "--partition", "p1"), about_create(left, "p1"))
        self.assertEqual(texts(left, "--limit", 1), texts(left)[-1:])
        self.assertEqual(texts(left, "--since", stamp), texts(left)[-1:])
        self.assertEqual(texts(left, "--until", "2020-01-01 00:00"), [])

    def test_a_jobs_end_is_told_with_its_own_time_once_the_command_has_returned(self):
        left, right = self.pair()
        create(left, "p")
        left.json("check", "p", "--to", right.address)
        move(left, right, "p")
        for job in (1, 2):
            found = [event for event in events(left, "--kind", "job") if event["text"].startswith(f"job {job} (")]
            ended = left.json("job", "show", job)["ended_unix_ns"]
            self.assertEqual([event["time_ns"] for event in found], [ended], found)

    def test_what_is_no_filter_is_one_line(self):
        left = self.host("left")
        for words, said in (
            (["--since", "yesterday"], "90s, 15m, 2h, 3d"),
            (["--until", "2026-13-01 00:00"], "RFC 3339"),
            (["--since", "1h", "--until", "2h"], "exchange them"),
            (["--limit", "0"], "1 to 10000"),
            (["--limit", "10001"], "1 to 10000"),
            (["--partition", "no name"], "no name"),
        ):
            for verb in (["events"], ["job", "list"]):
                done = left.run(*verb, *words, code=2)
                self.assertIn(said, done.stderr)
                self.assertEqual(done.stderr.count("\n"), 1)
        self.assertIn("move, check, save", left.run("job", "list", "--kind", "events", code=2).stderr)
        self.assertIn("--follow", left.run("events", "--follow", "--until", "1h", code=2).stderr)

    def test_whoever_follows_a_partition_hears_of_that_one_only(self):
        left, right = self.pair()
        create(left, "a")
        following = left.spawn("--json", "events", "--follow", "--partition", "b", "--kind", "job")
        try:
            create(left, "b")
            move(left, right, "a")
            told = move(left, right, "b")
            event = json.loads(following.stdout.readline())
            self.assertIn(f"job {told['job']} (move of b", event["text"])
            self.assertEqual(event["source"], "migrate")
        finally:
            following.send_signal(signal.SIGINT)
            following.communicate(timeout=30)

    def test_checks_push_nothing_out_and_nobody_forgets_where_it_went(self):
        left, right = self.pair()
        create(left, "gone")
        move(left, right, "gone")
        create(left, "p")
        for _ in range(70):
            left.run("check", "p", "--to", right.address)
        self.assertEqual(ids(left), list(range(71, 0, -1)))
        self.assertEqual(left.json("job", "show", 2)["kind"], "check")
        self.assertEqual(left.json("job", "watch", 2)["status"], "completed")
        restart(left)
        self.assertEqual(ids(left), list(range(71, 0, -1)))
        self.assertIn(f"moved to {right.address}", left.run("partition", "show", "gone", code=1).stderr)
        self.assertIn("is long over", left.run("job", "cancel", 2, code=1).stderr)


def about_create(host, name):
    return [text for text in texts(host) if text.startswith(f"partition {name}: created")]


class NeverInTheWay(Case):
    def works(self, left, right, name):
        create(left, name)
        told = move(left, right, name)
        self.assertEqual(told["status"], "completed")
        self.assertEqual(left.json("job", "show", told["job"])["status"], "completed")
        self.assertIn(name, partitions(right))

    def warnings(self, host):
        return [text for text in texts(host, "--kind", "warning") if text.startswith("history:")]

    def test_garbage_in_its_place_is_moved_aside(self):
        left, right = self.pair()
        self.works(left, right, "a")
        left.kill()
        history(left).write_bytes(os.urandom(50000))
        history(left).with_name("history.db-wal").write_bytes(os.urandom(5000))
        left.start()
        self.assertEqual(len(self.warnings(left)), 1)
        self.assertTrue(history(left).with_name("history.db.broken").exists())
        self.works(left, right, "b")
        restart(left)
        self.assertEqual(len(self.warnings(left)), 1)
        self.assertIsNotNone(left.json("job", "show", 2)["bytes_sent"])
        self.assertIsNone(left.json("job", "show", 1)["bytes_sent"])  # the journal knows of it

    def test_one_that_is_removed_or_truncated_while_it_is_open_costs_what_it_held(self):
        left, right = self.pair()
        self.works(left, right, "a")
        history(left).unlink()
        self.works(left, right, "b")
        for path in left.state.glob("history.db*"):
            os.truncate(path, 0)
        self.works(left, right, "c")
        restart(left)
        self.works(left, right, "d")
        self.assertEqual(ids(left), [4, 3, 2, 1])
        numbers = [event["number"] for event in events(left)]
        self.assertEqual(numbers, sorted(set(numbers)))

    def test_a_link_in_its_place_is_moved_aside_and_not_followed(self):
        left, right = self.pair()
        left.kill()
        history(left).unlink()
        history(left).symlink_to("/dev/full")
        left.start()
        self.assertEqual(len(self.warnings(left)), 1)
        self.works(left, right, "a")
        restart(left)
        self.assertIsNotNone(left.json("job", "show", 1)["bytes_sent"])

    def test_without_a_history_the_journal_speaks(self):
        left, right = self.pair(options=["--history-days", "0"])
        self.works(left, right, "a")
        self.assertFalse(history(left).exists())
        restart(left)
        shown = left.json("job", "show", 1)
        self.assertEqual((shown["status"], shown["bytes_sent"]), ("completed", None))
        self.assertEqual(ids(left), [1])
        self.assertEqual(events(left), [])

    def test_it_is_its_owners_alone(self):
        left = self.host("left")
        for path in left.state.glob("history.db*"):
            self.assertEqual(path.stat().st_mode & 0o777, 0o600, path)
        self.assertTrue(history(left).exists())


if __name__ == "__main__":
    unittest.main()
