# SPDX-License-Identifier: Apache-2.0
"""Daemons that die: no partition notices, and what was under way comes to its right end."""
import os
import random
import signal
import subprocess
import unittest

import proxy
from e2e import (
    BUILD,
    at_once,
    DEVICE,
    Case,
    begins,
    churn,
    create,
    finish,
    files,
    move,
    partitions,
    room,
    runs,
    show,
    state,
    steps,
)
from harness import pid_gone, wait_until
from proxy import IN, OUT, Point, Proxy

TESTS_AT_ONCE = at_once(4)


class DeadDaemon(Case):
    def test_partitions_work_on_while_their_daemon_is_dead(self):
        host = self.host("left")
        works = {name: churn(5, rate=4 << 20, seed=i) for i, name in enumerate(("a", "b"))}
        for name, work in works.items():
            create(host, name, work)
            begins(host, name)
        kernel = host.kernel_pid
        before = {name: show(host, name) for name in works}
        told = steps(host, "a")
        host.kill()
        # Nobody may look while it is dead; the kernel side's CPU time tells that work goes on.
        clock = lambda: sum(
            int(x)
            for x in open(f"/proc/{kernel}/stat", encoding="ascii")
            .read()
            .rsplit(")", 1)[1]
            .split()[11:13]
        )
        spent = clock()
        wait_until("the kernel side works without its daemon", lambda: clock() >= spent + 5, 30)
        host.start()
        self.assertEqual(host.kernel_pid, kernel)
        self.assertGreater(steps(host, "a"), told)
        for name, work in works.items():
            now = show(host, name)
            self.assertEqual(
                [now[k] for k in ("uuid", "luid", "vf_index", "epoch", "state")],
                [before[name][k] for k in ("uuid", "luid", "vf_index", "epoch", "state")],
            )
            self.assertEqual(finish(host, name), work.want())

    def test_a_run_cut_off_has_started_all_of_its_work_or_none(self):
        host = self.host("left")
        create(host, "p")
        dice = random.Random(7)
        for seed in range(6):
            work = churn(0.2 + seed / 100, size="2M", rate=4 << 20, seed=seed)
            asking = host.spawn("run", "p", *work.words())
            try:
                asking.wait(dice.uniform(0.001, 0.02))
            except subprocess.TimeoutExpired:
                pass  # it is in the middle of it
            host.kill()
            asking.communicate(timeout=30)
            host.start()
            now = host.json("partition", "show", "p")
            if now["steps_wanted"] != work.options["steps"] or now["workload_state"] == "stopped":
                self.assertNotEqual(asking.returncode, 0)
                self.assertEqual(now["steps"] if now["workload_state"] == "stopped" else 0, 0)
                host.run("run", "p", *work.words())
            self.assertEqual(finish(host, "p"), work.want())

    def test_a_daemon_that_comes_back_can_move_its_partitions(self):
        left, right = self.pair()
        work = churn(4)
        create(left, "p", work)
        begins(left, "p")
        left.kill()
        left.start()
        move(left, right, "p", "--verify", "full")
        self.assert_works_to_its_end(right, "p", work)

    def test_a_paused_partition_stays_paused_over_a_restart(self):
        left = self.host("left")
        work = churn(1)
        create(left, "p", work)
        left.run("partition", "pause", "p")
        stands = steps(left, "p")
        left.kill()
        left.start()
        self.assertEqual((state(left, "p"), steps(left, "p")), ("paused", stands))
        left.run("partition", "resume", "p")
        self.assert_works_to_its_end(left, "p", work)

    def test_the_journal_and_the_jobs_survive(self):
        left, right = self.pair()
        create(left, "p", churn(1))
        told = move(left, right, "p")
        left.kill()
        left.start()
        again = left.json("job", "show", told["job"])
        self.assertEqual(
            [again[k] for k in ("status", "partition", "uuid", "epoch")],
            [told[k] for k in ("status", "partition", "uuid", "epoch")],
        )
        self.assertIn(f"moved to {right.address}", left.run("wait", "p", code=1).stderr)


class DeathInAMove(Case):
    """One daemon is killed when a certain record passes."""

    WHERE = [
        Point("ADMIT", OUT),
        Point("ADMITTED", IN),
        Point("PAGES", OUT, "data"),
        Point("ACK", IN, "data"),
        Point("ROUND", OUT, paused=True),
        Point("PAGES", OUT, "data", paused=True),
        Point("STATE", OUT, paused=True),
    ]

    def killed_at(self, victim_is_source):
        left, right = self.pair()
        victim = left if victim_is_source else right
        there = room(right)
        for number, point in enumerate(self.WHERE):
            with self.subTest(point=point):
                # So much that the last round is never empty where a page of it is waited for.
                rate = (64 if point.role == "data" and point.paused else 8) << 20
                work = churn(2, size="8M", rate=rate, seed=number)
                create(left, "p", work)
                begins(left, "p")
                with Proxy(right.address, point, proxy.calling(victim.kill)) as way:
                    moving = left.spawn(
                        "migrate", "p", "--to", way.address, "--max-blackout", 20000
                    )
                    self.assertTrue(way.acted.wait(30), "the record never passed")
                    victim.start()
                    out, err = moving.communicate(timeout=60)
                    # Who asked a daemon that died knows nothing: 6, and "job show" tells once it is back.
                    self.assertEqual(moving.returncode, 6 if victim_is_source else 1, err + out)
                    runs(left, "p")
                    self.assertEqual(state(left, "p"), "running")
                    # The way must stay open: a target that was ready by then waits to be told.
                    self.assert_nothing_arrived(right, there, "p")
                self.assertEqual(finish(left, "p"), work.want())
                self.assertEqual(left.json("job", "list")["jobs"][0]["status"], "failed")
                left.run("partition", "remove", "p")

    def test_the_targets_daemon_killed_before_commit_leaves_the_source_running_and_nothing_there(
        self,
    ):
        self.killed_at(victim_is_source=False)

    def test_the_sources_daemon_killed_before_commit_leaves_the_source_running_and_nothing_there(
        self,
    ):
        self.killed_at(victim_is_source=True)

    def test_a_target_killed_after_it_committed_rolls_forward(self):
        left, right = self.pair()
        work = churn(3)
        create(left, "p", work)
        begins(left, "p")
        with Proxy(
            right.address, Point("RUNNING", IN, paused=True), lambda *_: right.kill()
        ) as way:
            moving = left.spawn("migrate", "p", "--to", way.address, "--max-blackout", 20000)
            self.assertTrue(way.acted.wait(30), "it never said RUNNING")
            right.start()
            self.assertEqual(state(right, "p"), "running")
            out, err = moving.communicate(timeout=60)
        # The source asks again and learns it, or says that it does not know; it never runs it.
        self.assertIn(moving.returncode, (0, 6), err + out)
        if moving.returncode == 0:
            self.assertEqual(partitions(left), [])
        else:
            self.assertNotEqual(state(left, "p"), "running")
        self.assert_works_to_its_end(right, "p", work)


class Ends(Case):
    def test_a_second_daemon_on_the_same_state_directory_is_refused(self):
        host = self.host("left")
        work = churn(1)
        create(host, "p", work)
        done = subprocess.run(
            [
                str(host.build / "vferryd"),
                "--name",
                "twin",
                "--state",
                str(host.state),
                "--device",
                DEVICE,
            ],
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        self.assertEqual((done.returncode, done.stdout), (1, ""))
        self.assertIn(str(host.process.pid), done.stderr.strip().splitlines()[-1])
        self.assert_works_to_its_end(host, "p", work)

    @unittest.skipUnless(os.geteuid() == 0, "needs to mount")
    def test_a_start_on_a_read_only_file_system_says_so_in_one_line_and_loses_nothing(self):
        host = self.host("left")
        work = churn(1, size="2M")
        create(host, "p", work)
        host.kill()

        def mount(*words):
            return subprocess.run(["mount", *words, host.state], capture_output=True, check=False).returncode == 0

        if not mount("--bind", host.state):
            self.skipTest("may not mount here")
        unmount = ["umount", host.state]
        self.addCleanup(subprocess.run, unmount, capture_output=True, check=False)
        self.assertTrue(mount("-o", "remount,bind,ro"))
        for state in (host.state, host.state / "new"):
            with self.subTest(state=state.name):
                done = subprocess.run([BUILD / "vferryd", "--name", "left", "--state", state, "--device", "softgpu"],
                                      capture_output=True, text=True, timeout=60, check=False)
                self.assertEqual(done.returncode, 1, done.stderr)
                self.assertEqual(len(done.stderr.splitlines()), 1, done.stderr)
                self.assertIn(f"state directory {state}: its file system is read-only; make it writable again", done.stderr)
        subprocess.run(unmount, check=True)
        host.start()
        self.assert_works_to_its_end(host, "p", work)

    def test_sigterm_ends_the_daemon_and_the_kernel_side_once_it_has_no_partitions(self):
        host = self.host("left")
        create(host, "p", churn(0.2))
        host.run("wait", "p")
        host.kill(signal.SIGTERM)
        self.assertEqual(host.process.returncode, 0)
        self.assertFalse(pid_gone(host.kernel_pid))
        host.start()
        host.run("partition", "remove", "p")
        host.kill(signal.SIGTERM)
        wait_until("the kernel side ends by itself", lambda: pid_gone(host.kernel_pid), 30)
        self.assertEqual([name for name in files(host) if name.endswith(".sock")], [])

    def test_host_stop_is_refused_while_there_are_partitions_and_ends_both_once_there_are_none(
        self,
    ):
        host = self.host("left")
        work = churn(0.5)
        create(host, "p", work)
        host.run("host", "stop", code=1)
        self.assert_works_to_its_end(host, "p", work)
        host.run("partition", "remove", "p")
        host.run("host", "stop")
        self.assertEqual(host.process.wait(20), 0)
        wait_until("the kernel side ends", lambda: pid_gone(host.kernel_pid), 20)

    def test_host_stop_force_drops_partitions_and_ends_both(self):
        host = self.host("left")
        create(host, "p", churn(60))
        host.run("host", "stop", "--force")
        self.assertEqual(host.process.wait(20), 0)
        wait_until("the kernel side ends", lambda: pid_gone(host.kernel_pid), 20)
        for pid in (host.process.pid, host.kernel_pid):
            self.assertFalse(os.path.exists(f"/proc/{pid}/exe") and not pid_gone(pid))

    def test_host_stop_force_during_a_move_leaves_nothing_on_the_target(self):
        left, right = self.pair()
        create(left, "p", churn(60, size="16M"))
        begins(left, "p")
        there = room(right)
        with Proxy(right.address, Point("PAGES", OUT, "data"), proxy.hold) as way:
            moving = left.spawn("migrate", "p", "--to", way.address, "--max-blackout", 20000)
            self.assertTrue(way.acted.wait(30))
            left.run("host", "stop", "--force", timeout=60)
            moving.communicate(timeout=60)
            self.assertNotEqual(moving.returncode, 0)
        self.assertEqual(left.process.wait(20), 0)
        self.assert_nothing_arrived(right, there, "p")
        self.assertEqual(partitions(right), [])

    def test_sigterm_during_a_move_cancels_it_and_the_partition_runs_on(self):
        left, right = self.pair()
        work = churn(3, size="16M")
        create(left, "p", work)
        begins(left, "p")
        there = room(right)
        with Proxy(right.address, Point("PAGES", OUT, "data"), proxy.hold) as way:
            moving = left.spawn("migrate", "p", "--to", way.address, "--max-blackout", 20000)
            self.assertTrue(way.acted.wait(30))
            left.kill(signal.SIGTERM)
            moving.communicate(timeout=60)
            self.assertNotEqual(moving.returncode, 0)
        self.assertEqual(left.process.returncode, 0)
        left.start()
        self.assert_nothing_arrived(right, there, "p")
        self.assert_works_to_its_end(left, "p", work)


if __name__ == "__main__":
    unittest.main()
