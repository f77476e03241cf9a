# SPDX-License-Identifier: Apache-2.0
"""A host that is told to end while a driver's call hangs, or while it is only coming up: it ends in bounded time, and nothing is lost."""
import os
import pathlib
import resource
import signal
import unittest

from e2e import BUILD, Case, at_once, begins, churn, create, finish, partitions, state, take_descriptors
from gates import DRIVER, Gates
from harness import Host, pid_gone, wait_until

TESTS_AT_ONCE = at_once(3)  # they wait more than they work
DEVICE = "softgpu,vram=64M,vfs=4,dirty-page=64K"
# The daemon gives up after 8 s; a loaded machine takes its time on top. A call at a gate would never end.
BOUND = 60
# It ends while threads of its stand in a call, which a thread sanitizer takes for a leak.
LEAVES_THREADS = {"TSAN_OPTIONS": f"{os.environ.get('TSAN_OPTIONS', '')} report_thread_leaks=0"}
# How a driver's call that does not come back is told.
HANGS = r"DxgkDdi\w+ of the driver of adapter 0 \(gated\.so\) has not come back for \d+ s"


class Ending(Case):
    def gated(self, name):
        gates = Gates(self.folder / f"gates-{name}")
        return self.host(name, DEVICE, options=gates.options, env={**gates.env, **LEAVES_THREADS}), gates

    def end(self, host):
        host.stop()

    def held_in_restore(self):
        """A move of p whose target stands in the driver's restore of its state."""
        left, gates = self.gated("left")
        right, far = self.gated("right")
        work = churn(1, size="2M")
        create(left, "p", work, vram="8M")
        begins(left, "p")
        far.close("restore-mutable")
        moving = left.spawn("migrate", "p", "--to", right.address, "--max-blackout", 60000)
        wait_until("the target restores its state", lambda: far.stands_at("restore-mutable"), 60)
        return left, gates, right, far, work, moving


class Starting(Ending):
    def hung_recovery(self):
        """A host whose next start has to resume a partition, which the driver never comes back from."""
        left, gates, right, far, work, moving = self.held_in_restore()
        left.kill(signal.SIGKILL)
        moving.communicate(timeout=BOUND)
        far.open("restore-mutable")
        gates.close("resume")
        return left, gates, work

    def test_a_start_whose_recovery_hangs_ends_when_it_is_told_to_and_the_next_one_recovers(self):
        for sig in (signal.SIGTERM, signal.SIGINT):
            with self.subTest(signal=sig):
                self.folder = self.folder / f"signal{int(sig)}"
                self.folder.mkdir()
                left, gates, work = self.hung_recovery()
                with self.assertRaises(TimeoutError):
                    left.start(timeout=1)
                wait_until("recovery stands in the driver", lambda: gates.stands_at("resume"), 60)
                left.process.send_signal(sig)
                self.assertEqual(left.process.wait(BOUND), 0, left.log())
                self.assertIn("ended in the middle of the start", left.log())
                self.assertFalse(pid_gone(left.kernel_pid))
                gates.open("resume")
                left.start()
                self.assertEqual(state(left, "p"), "running")
                self.assertEqual(finish(left, "p"), work.want())

    def test_a_kernel_side_that_is_still_starting_ends_with_the_daemon_that_started_it(self):
        gates = Gates(self.folder / "gates")
        gates.close("caps")
        place = self.folder / "left"
        place.mkdir(mode=0o700)
        host = Host(BUILD, "left", (DEVICE,), state=place, options=gates.options, env={**gates.env, **LEAVES_THREADS})
        self.addCleanup(host.stop)
        with self.assertRaises(TimeoutError):
            host.start(timeout=1)
        wait_until("the driver is being asked", lambda: gates.stands_at("caps"), 60)
        children = pathlib.Path(f"/proc/{host.process.pid}/task/{host.process.pid}/children")
        child = int(children.read_text(encoding="ascii"))
        host.process.send_signal(signal.SIGTERM)
        self.assertEqual(host.process.wait(BOUND), 0, host.log())
        wait_until("the kernel side has ended too", lambda: pid_gone(child), BOUND)


class Hanging(Ending):
    """SIGTERM while something waits for a driver's call that does not come back, and the kernel side answers all else."""

    def ended(self, host, hard=True):
        host.process.send_signal(signal.SIGTERM)
        self.assertEqual(host.process.wait(BOUND), 0, host.log())
        if hard:
            self.assertRegex(host.log(), rf"ended while {HANGS}; the kernel side, pid {host.kernel_pid}, stays")
        self.assertFalse(pid_gone(host.kernel_pid))

    def test_a_daemon_ends_though_a_verb_stands_in_a_driver(self):
        host, gates = self.gated("left")
        work = churn(1, size="2M")
        create(host, "p", work, vram="8M")
        begins(host, "p")
        gates.close("pause")
        pausing = host.spawn("partition", "pause", "p")
        wait_until("the driver is in it", lambda: gates.stands_at("pause"), 60)
        self.ended(host, hard=False)  # the verb gives up
        _, err = pausing.communicate(timeout=BOUND)
        self.assertNotEqual(pausing.returncode, 0)
        self.assertRegex(err, HANGS)
        gates.open("pause")
        host.start()
        wait_until("it has happened after all", lambda: state(host, "p") == "paused", BOUND)
        host.run("partition", "resume", "p")
        self.assertEqual(finish(host, "p"), work.want())

    def moving(self, gate_of_target, call):
        """A move whose source or target stands in that call."""
        left, near = self.gated("left")
        right, far = self.gated("right")
        work = churn(1, size="2M")
        create(left, "p", work, vram="8M")
        begins(left, "p")
        gates = far if gate_of_target else near
        gates.close(call)
        moving = left.spawn("migrate", "p", "--to", right.address, "--max-blackout", 60000)
        wait_until("the driver is in it", lambda: gates.stands_at(call), 60)
        return left, right, gates, moving, work

    def test_a_source_ends_though_a_move_stands_in_its_driver(self):
        left, right, gates, moving, work = self.moving(False, "save-mutable")
        self.ended(left)
        self.assertNotEqual(moving.wait(BOUND), 0)
        gates.open("save-mutable")
        left.start()
        wait_until("it is on one host", lambda: (partitions(left), partitions(right)) in ((["p"], []), ([], ["p"])), BOUND)
        self.assertEqual(finish(left if partitions(left) else right, "p"), work.want())

    def test_a_target_ends_though_an_arrival_stands_in_its_driver(self):
        left, right, gates, moving, work = self.moving(True, "restore-mutable")
        self.ended(right)
        self.assertEqual(moving.wait(2 * BOUND), 1)
        gates.open("restore-mutable")
        right.start()
        self.assertEqual((partitions(left), partitions(right)), (["p"], []))
        self.assertEqual(finish(left, "p"), work.want())


class Waiting(Ending):
    def test_a_verb_whose_driver_never_comes_back_ends_with_its_name_and_the_host_stays_usable(self):
        host, gates = self.gated("left")
        work = churn(1, size="2M")
        create(host, "p", work, vram="8M")
        begins(host, "p")
        gates.close("pause")
        pausing = host.spawn("--timeout", 0, "partition", "pause", "p")
        wait_until("the driver is in it", lambda: gates.stands_at("pause"), 60)
        wait_until("it is shown", lambda: host.json("host", "show")["kernel_word"], BOUND)
        self.assertRegex(host.json("host", "show")["kernel_word"], f"^{HANGS}$")
        self.assertRegex(host.log(), HANGS)
        _, err = pausing.communicate(timeout=2 * BOUND)
        *_, word, end = err.splitlines()
        self.assertEqual(pausing.returncode, 1, err)
        self.assertRegex(word, rf'^vferry: waiting for "partition pause": {HANGS}; Ctrl-C gives up$')
        self.assertRegex(end, rf"^vferry: .*{HANGS}; .* may still happen when it does")
        self.assertIn('"vferry host stop --force"', end)
        other = churn(1, size="2M")
        create(host, "q", other, vram="8M")
        self.assertEqual(finish(host, "q"), other.want())
        gates.open("pause")
        wait_until("it is over", lambda: host.json("host", "show")["kernel_word"] is None, BOUND)
        self.assertIn("the driver has come back", host.log())
        wait_until("it has happened after all", lambda: state(host, "p") == "paused", BOUND)
        host.run("partition", "resume", "p")
        self.assertEqual(finish(host, "p"), work.want())


    def test_each_verb_is_told_of_the_call_that_it_waits_for_and_of_no_others(self):
        host, gates = self.gated("left")
        for name in "pq":
            create(host, name, vram="8M")
        gates.close("destroy")
        first = host.spawn("--timeout", 0, "partition", "remove", "p")
        wait_until("the driver is in it", lambda: gates.stands_at("destroy"), 60)
        behind = host.spawn("--timeout", 0, "partition", "create", "r", "--adapter", 0, "--vram", "8M")
        gates.close("pause")
        apart = host.spawn("--timeout", 0, "partition", "pause", "q")
        wait_until("the driver is in that too", lambda: gates.stands_at("pause"), 60)
        asked = ((first, "DestroyVirtualGpu"), (behind, "DestroyVirtualGpu"), (apart, "SetVirtualFunctionPauseState"))
        told = [next(line for line in asking.stderr if "DxgkDdi" in line) for asking, _ in asked]
        gates.open("destroy")
        gates.open("pause")
        ends = [asking.communicate(timeout=BOUND) for asking, _ in asked]
        for (asking, call), word, end in zip(asked, told, ends):
            with self.subTest(call=call):
                self.assertIn(f"DxgkDdi{call} of the driver of adapter 0", word)
                self.assertEqual(asking.returncode, 0, end)


class Stopping(Ending):
    def stopped(self, host, dropped):
        """A forced stop that has to kill the kernel side, which answers or not."""
        done = host.json("host", "stop", "--force", timeout=4 * BOUND)
        self.assertTrue(done["killed"], done)
        self.assertEqual(done["partitions_dropped"], dropped)
        self.assertEqual(host.process.wait(BOUND), 0, host.log())
        self.assertTrue(pid_gone(host.kernel_pid))
        self.assertIn("was killed", host.log())

    def test_a_forced_stop_ends_a_host_whose_driver_never_comes_back(self):
        host, gates = self.gated("left")
        create(host, "p", vram="8M")
        gates.close("pause")
        pausing = host.spawn("partition", "pause", "p")
        wait_until("the driver is in it", lambda: gates.stands_at("pause"), 60)
        self.stopped(host, 1)
        self.assertNotEqual(pausing.wait(BOUND), 0)

    def test_a_host_without_partitions_is_stopped_though_its_driver_never_comes_back(self):
        host, gates = self.gated("left")
        gates.close("save-memory")
        updating = host.spawn("driver", "update", 0, "--driver", DRIVER)
        wait_until("the driver is in it", lambda: gates.stands_at("save-memory"), 60)
        done = host.json("host", "stop", timeout=4 * BOUND)
        self.assertEqual((done["killed"], done["partitions_dropped"]), (True, 0))
        self.assertEqual(host.process.wait(BOUND), 0, host.log())
        self.assertTrue(pid_gone(host.kernel_pid))
        self.assertNotEqual(updating.wait(BOUND), 0)

    def without_descriptors(self, daemon, kernel):
        host = self.host(f"host{daemon}{kernel}", DEVICE)
        create(host, "p", vram="8M")
        wait_until("the watchdog has counted", lambda: host.json("host", "show")["partitions"] == 1)
        if kernel:
            resource.prlimit(host.kernel_pid, resource.RLIMIT_NOFILE, (3, resource.prlimit(host.kernel_pid, resource.RLIMIT_NOFILE)[1]))
        if daemon:
            take_descriptors(self, host)
        done = host.json("host", "stop", "--force", timeout=4 * BOUND)
        self.assertEqual(done["partitions_dropped"], 1)
        self.assertEqual(host.process.wait(BOUND), 0, host.log())
        wait_until("the kernel side has ended", lambda: pid_gone(host.kernel_pid), BOUND)
        self.assertIn("by the connection kept for it", host.log())

    def test_a_forced_stop_needs_no_descriptor_of_either_side(self):
        for daemon, kernel in ((True, False), (False, True), (True, True)):
            with self.subTest(daemon=daemon, kernel=kernel):
                self.without_descriptors(daemon, kernel)

    def stopped_while_it_commits(self, freeze):
        """The target has taken COMMIT and hangs in the driver's unpause: the source's copy is the only one left, and stays."""
        left, _, right, far, work, moving = self.held_in_restore()
        far.close("resume")
        far.open("restore-mutable")
        wait_until("the target takes over", lambda: far.stands_at("resume"), 60)
        if freeze:
            wait_until("the watchdog has counted", lambda: right.json("host", "show")["partitions"] == 1)
            os.kill(right.kernel_pid, signal.SIGSTOP)
        self.stopped(right, 1)
        out, err = moving.communicate(timeout=2 * BOUND)
        self.assertEqual(moving.returncode, 6, out + err + right.log())
        (far.folder / "resume").unlink()  # who stood there was killed
        right.start()
        self.assertEqual((partitions(left), partitions(right)), (["p"], []))
        self.assertNotEqual(state(left, "p"), "running")
        left.run("job", "resolve", left.json("job", "list")["jobs"][0]["job"], "--source-runs")
        self.assertEqual(finish(left, "p"), work.want())

    def test_a_forced_stop_does_not_wait_for_ever_for_a_commit_that_hangs_in_a_driver(self):
        self.stopped_while_it_commits(False)

    def test_a_forced_stop_does_not_wait_for_ever_for_a_commit_in_a_kernel_side_that_was_stopped(self):
        self.stopped_while_it_commits(True)


if __name__ == "__main__":
    unittest.main()
