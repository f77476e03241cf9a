# SPDX-License-Identifier: Apache-2.0
"""A process that hangs: SIGSTOP of the kernel side at rest, in a move, and while the host is to end. Everybody hears of it, nobody
waits for ever, and when it goes on nothing is lost and nothing is there twice."""
import os
import signal
import unittest

import proxy
from e2e import Case, at_once, begins, churn, create, finish, move, partitions, runs, state
from gates import Gates
from harness import pid_gone, wait_until
from proxy import IN, OUT, Point, Proxy

# The daemon gives up after 10 s; a loaded machine takes its time on top.
BOUND = 90

TESTS_AT_ONCE = at_once(4)  # they wait more than they work


class Hung(Case):
    def setUp(self):
        super().setUp()
        self.stopped = []
        self.addCleanup(self.go_on_all)

    def hang(self, host):
        """Stops the kernel side; goes on at the test's end at the latest, or the host could not be ended in order."""
        os.kill(host.kernel_pid, signal.SIGSTOP)
        self.stopped.append(host.kernel_pid)

    def go_on(self, host):
        os.kill(host.kernel_pid, signal.SIGCONT)
        self.stopped.remove(host.kernel_pid)

    def go_on_all(self):
        for pid in self.stopped:
            if not pid_gone(pid):
                os.kill(pid, signal.SIGCONT)
        self.stopped = []

    def told(self, host, word, timeout=60):
        """The event with the word in it."""

        def look():
            events = host.json("events", timeout=BOUND)["events"]
            return next((e["text"] for e in events if word in e["text"]), None)

        return wait_until(f"{host.name} tells: {word}", look, timeout)

    def end(self, host):
        self.go_on_all()
        super().end(host)


class AtRest(Hung):
    def test_silence_is_told_with_pid_and_state_and_so_is_its_end(self):
        host = self.host("left")
        self.assertEqual(host.json("host", "show")["kernel_silent_ns"], 0)
        self.hang(host)
        text = self.told(host, "has not answered")
        self.assertIn(f"pid {host.kernel_pid}", text)
        self.assertIn("stopped by a signal", text)
        self.assertIn(f'"kill -CONT {host.kernel_pid}"', text)
        shown = host.json("host", "show", timeout=BOUND)
        self.assertGreaterEqual(shown["kernel_silent_ns"], 3_000_000_000)
        self.assertEqual([shown[k] for k in ("kernel", "adapters", "partitions")], [None] * 3)
        self.assertEqual(shown["kernel_pid"], host.kernel_pid)
        self.assertIn("stopped by a signal", host.run("host", "show", timeout=BOUND).stdout)
        self.go_on(host)
        self.told(host, "answers again")
        wait_until("all is well", lambda: host.json("host", "show")["kernel_silent_ns"] == 0)
        self.assertEqual(host.json("host", "show")["partitions"], 0)

    def test_every_verb_answers_and_all_goes_on_after_it(self):
        host = self.host("left")
        work = churn(30, size="2M", rate=1 << 20)
        create(host, "p", work)
        create(host, "q")
        begins(host, "p")
        self.hang(host)
        self.told(host, "has not answered")
        verbs = [
            ("adapter", "list"), ("adapter", "show", 0), ("adapter", "defrag", 0), ("driver", "show", 0),
            ("partition", "list"), ("partition", "show", "p"), ("partition", "pause", "q"), ("partition", "resume", "q"),
            ("partition", "reset", "q"), ("partition", "create", "r", "--adapter", 0, "--vram", "32M"),
            ("run", "q", *churn(1).words()), ("wait", "p", "--timeout", 5), ("read", "p", "--output", self.folder / "out"),
            ("check", "p", "--to", "127.0.0.1:1"), ("migrate", "p", "--to", "127.0.0.1:1"),
            ("save", "p", "--output", self.folder / "image"), ("partition", "remove", "q"),
        ]  # fmt: skip
        asked = [(verb, host.spawn(*verb)) for verb in verbs]
        for verb, asking in asked:
            with self.subTest(verb=verb[:2]):
                _, err = asking.communicate(timeout=BOUND)
                self.assertIn(asking.returncode, (1, 5), err)
                self.assertRegex(err, "has not answered|did not answer|does not answer")
        self.assertEqual(host.run("job", "list", timeout=BOUND).returncode, 0)
        self.go_on(host)
        runs(host, "p")
        self.assertEqual(finish(host, "p"), work.want())

    def test_a_call_under_way_ends_with_a_remedy_that_works(self):
        host = self.host("left")
        create(host, "p")
        self.hang(host)
        err = host.run("partition", "pause", "p", code=None, timeout=BOUND).stderr
        self.assertRegex(err, "has not answered|did not answer")
        self.assertIn("may still happen", err)
        self.assertIn(f'"kill -CONT {host.kernel_pid}"', err)
        self.go_on(host)
        wait_until("it answers", lambda: host.run("partition", "list", code=None).returncode == 0)
        if state(host, "p") == "paused":  # it did happen
            host.run("partition", "resume", "p")
        self.assertEqual(state(host, "p"), "running")


class Ending(Hung):
    def test_sigterm_ends_the_daemon_and_leaves_the_kernel_side_with_its_partitions(self):
        for sig in (signal.SIGTERM, signal.SIGINT):
            with self.subTest(signal=sig):
                host = self.host(f"host{int(sig)}")
                work = churn(2, size="2M")
                create(host, "p", work)
                begins(host, "p")
                self.hang(host)
                asking = host.spawn("partition", "show", "p")  # a thread in a call
                host.kill(sig)  # waits for its end, 30 s
                self.assertEqual(host.process.returncode, 0, host.log())
                asking.communicate(timeout=BOUND)
                self.assertFalse(pid_gone(host.kernel_pid))
                self.go_on(host)
                host.start()
                self.assert_works_to_its_end(host, "p", work)

    def test_a_stop_is_refused_and_a_forced_one_works_without_its_help(self):
        host = self.host("left")
        create(host, "p")
        create(host, "q")
        wait_until("the watchdog has counted", lambda: host.json("host", "show")["partitions"] == 2)
        self.hang(host)
        refused = host.run("host", "stop", code=1, timeout=BOUND)
        self.assertIn('"vferry host stop --force"', refused.stderr)
        said = refused.stderr.strip().splitlines()
        self.assertIn("the kernel side has not answered", said[0])  # while it is waited for, and then why not
        self.assertLessEqual(len(said), 2, refused.stderr)
        self.assertEqual(host.json("job", "list")["jobs"], [])  # the host lives on
        done = host.json("host", "stop", "--force", timeout=BOUND)
        self.stopped = []
        self.assertTrue(done["killed"])
        self.assertEqual(done["partitions_dropped"], 2)
        self.assertEqual(host.process.wait(60), 0)
        self.assertTrue(pid_gone(host.kernel_pid))
        self.assertIn("was killed", host.log())
        host.start()
        self.assertEqual(partitions(host), [])

    def test_a_start_on_a_hung_kernel_side_names_it(self):
        host = self.host("left")
        create(host, "p")
        host.kill()
        self.hang(host)
        with self.assertRaises(Exception) as refused:
            host.start(timeout=BOUND)
        self.assertIn(f"pid {host.kernel_pid}: stopped by a signal", str(refused.exception))
        self.assertIn(f'"kill -CONT {host.kernel_pid}"', str(refused.exception))
        self.go_on(host)
        host.start()
        self.assertEqual(partitions(host), ["p"])


class InAMove(Hung):
    def hung_at(self, point, victim_is_source):
        left, right = self.pair()
        victim = left if victim_is_source else right
        work = churn(2, size="2M", rate=4 << 20)
        create(left, "p", work)
        begins(left, "p")
        with Proxy(right.address, point, proxy.calling(lambda: self.hang(victim))) as way:
            moving = left.spawn("migrate", "p", "--to", way.address, "--max-blackout", 20000)
            self.assertTrue(way.acted.wait(60), "the record never passed")
            self.told(victim, "has not answered")
            self.go_on(victim)
            moving.communicate(timeout=180)
            self.one_of_it(left, right, work)

    def test_a_kernel_side_that_is_stopped_in_a_drivers_call_is_told_as_that_and_no_driver_is_blamed(self):
        gates = Gates(self.folder / "gates")
        left = self.host("left", options=gates.options, env=gates.env)
        right = self.host("right")
        work = churn(2, size="2M")
        create(left, "p", work)
        begins(left, "p")
        gates.close("save-mutable")
        moving = left.spawn("migrate", "p", "--to", right.address, "--max-blackout", 1000)
        wait_until("the driver is in it", lambda: gates.stands_at("save-mutable"), 60)
        self.hang(left)
        self.told(left, "so far, waiting for the kernel side of host left, which answers nothing")
        self.told(left, "has not answered")
        self.go_on(left)
        gates.open("save-mutable")
        _, err = moving.communicate(timeout=180)
        self.assertEqual(moving.returncode, 1, err)
        self.assertRegex(err, r"the kernel side of host left answered nothing for \d")
        self.assertNotIn("DDI DxgkDdiSaveMutableMigrationData", err.splitlines()[-1])
        self.assert_works_to_its_end(left, "p", work)

    def one_of_it(self, left, right, work):
        """It works on exactly one of them, to the right end."""

        def where():
            found = []
            for host in (left, right):
                for p in host.json("partition", "list")["partitions"]:
                    found.append((host, p["state"]))
            return found[0][0] if len(found) == 1 and found[0][1] == "running" else None

        host = wait_until("the partition runs on one host, and is on no other", where, 120)
        self.assert_works_to_its_end(host, "p", work)

    def test_a_move_works_after_all_of_this(self):
        left, right = self.pair()
        work = churn(3, size="2M")
        create(left, "p", work)
        self.hang(left)
        self.told(left, "has not answered")
        self.go_on(left)
        self.told(left, "answers again")
        move(left, right, "p")
        self.assert_works_to_its_end(right, "p", work)


def at(point, victim_is_source):
    return lambda self: self.hung_at(point, victim_is_source)


for where in (
    Point("ADMIT", OUT),
    Point("PAGES", OUT, "data"),
    Point("STATE", OUT, paused=True),
    Point("READY", IN, paused=True),
    Point("COMMIT", OUT, paused=True),
    Point("RUNNING", IN, paused=True),
):
    for side in ("source", "target"):
        setattr(InAMove, f"test_the_kernel_side_of_the_{side}_stops_at_{where.tag.lower()}_and_goes_on", at(where, side == "source"))


if __name__ == "__main__":
    unittest.main()
