# SPDX-License-Identifier: Apache-2.0
"""Commands that hang or fault, and resets (SRC-9, VF-6): found, told and ended; neighbours and other hosts see nothing of it."""
import os
import signal
import time
import unittest

from e2e import BUILD, Case, begins, churn, create, finish, partitions, room, runs, show, state
from gates import Gates
from harness import wait_until
from wrong import await_event, go_wrong

TESTS_AT_ONCE = 2
SANITIZED = any(mark in (BUILD / "vferry-kernel").read_bytes() for mark in (b"__tsan_init", b"__asan_init"))


class Hangs(Case):
    def test_a_hung_partition_is_reset_and_its_neighbours_end_right(self):
        host = self.host("host")
        sick, well = churn(600, seed=1), [churn(6, seed=2), churn(6, seed=3)]
        create(host, "sick", sick)
        for number, work in enumerate(well):
            create(host, f"well{number}", work)
        begins(host, "sick")
        go_wrong(host, "sick", "hang")
        await_event(host, "triage", "a command hangs: no step within 2000 ms of engine time")
        await_event(host, "tdr", "partition sick: a command hung, the VF was reset")
        now = show(host, "sick")
        self.assertEqual((now["state"], now["workload_state"]), ("faulted", "fault"))
        waited = host.run("wait", "sick", "--timeout", 30, code=1)
        self.assertIn("hung", waited.stderr)
        self.assertIn("reset it first", host.run("run", "sick", *sick.words(), code=1).stderr)
        for number, work in enumerate(well):
            self.assertEqual(finish(host, f"well{number}"), work.want())
        host.run("partition", "reset", "sick")
        self.assertEqual(state(host, "sick"), "running")
        again = churn(1, seed=4)
        host.run("run", "sick", *again.words())
        self.assertEqual(finish(host, "sick"), again.want())

    def test_a_move_of_a_hung_partition_fails_with_the_reason_and_leaves_nothing(self):
        left, right = self.pair()
        before = room(right)
        create(left, "p", churn(600, size="24M", rate=2 << 20, seed=1))
        begins(left, "p")
        # Slow enough to be under way for longer than a hang needs to be found.
        moving = left.spawn("migrate", "p", "--to", right.address, "--bandwidth", "2M", "--max-blackout", 20000)
        wait_until("the move has begun", lambda: state(left, "p") == "outgoing")
        go_wrong(left, "p", "hang")
        _, said = moving.communicate(timeout=120)
        self.assertEqual(moving.returncode, 1, said)
        self.assertIn("a command hung", said)
        self.assertEqual(state(left, "p"), "faulted")
        await_event(left, "tdr", "its move fails")
        self.assert_nothing_arrived(right, before, "p")
        left.run("partition", "remove", "p")
        self.assertEqual(partitions(left), [])

    def test_a_fault_is_an_event_and_a_state_and_ends_nothing_but_the_workload(self):
        host = self.host("host")
        create(host, "p", churn(600, seed=1))
        begins(host, "p")
        go_wrong(host, "p", "fault")
        await_event(host, "triage", "a command faulted at address 0x4000000000")
        wait_until("it says fault", lambda: show(host, "p")["workload_state"] == "fault")
        self.assertEqual(state(host, "p"), "running")
        again = churn(1, seed=2)
        host.run("run", "p", *again.words())
        self.assertEqual(finish(host, "p"), again.want())

    def test_an_event_has_the_time_when_it_happened_not_when_it_was_read(self):
        host = self.host("host")
        create(host, "p", churn(600, seed=1))
        begins(host, "p")
        before = time.time_ns()
        go_wrong(host, "p", "fault")
        wait_until("it says fault", lambda: show(host, "p")["workload_state"] == "fault")
        after = time.time_ns()
        await_event(host, "triage", "a command faulted")
        told = [e for e in host.json("events")["events"] if e["kind"] == "triage" and "a command faulted" in e["text"]]
        self.assertEqual(len(told), 1, told)
        # The driver tells the event before the queue's state can be seen, or at the same moment from its DPC.
        self.assertGreaterEqual(told[0]["time_ns"], before)
        self.assertLess(told[0]["time_ns"], after + 100_000_000)

    def test_a_kernel_side_that_dies_by_a_signal_is_told_as_that(self):
        for number, more in ((signal.SIGSEGV, "SIGSEGV"), (signal.SIGKILL, "SIGKILL")):
            # The address sanitizer would take the signal for a finding of its own.
            plain = {"ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "") + ":handle_segv=0"}
            host = self.host(f"by-{more}", env=plain)
            create(host, "p")
            os.kill(host.kernel_pid, number)
            self.assertEqual(host.process.wait(30), 1)
            log = host.log_path.read_text()
            self.assertIn(more, log)
            self.assertIn("start vferryd again", log)
            if number == signal.SIGSEGV and not SANITIZED:
                self.assertIn("crash: SIGSEGV", (host.state / "kernel.log").read_text())
                self.assertIn("crashed: SIGSEGV at address", log)

    @unittest.skipIf(SANITIZED, "a sanitizer takes the signals that a crash comes with")
    def test_a_driver_that_crashes_in_a_DDI_is_named_with_it(self):
        gates = Gates(self.folder / "gates")
        host = self.host("host", options=gates.options, env=gates.env)
        create(host, "p")
        gates.crash("pause")
        done = host.run("partition", "pause", "p", code=None)
        self.assertNotEqual(done.returncode, 0)
        self.assertEqual(host.process.wait(30), 1)
        told = host.log_path.read_text().splitlines()[-1]
        self.assertRegex(told, r"the kernel side, pid \d+, crashed: SIGSEGV at address .* in the driver's "
                               r"DxgkDdiSetVirtualFunctionPauseState of adapter 0; its partitions are lost with it; start vferryd "
                               r"again; the fault is the driver's$")

    def test_a_reset_ends_the_work_of_one_partition(self):
        host = self.host("host")
        other = churn(4, seed=2)
        create(host, "p", churn(600, seed=1))
        create(host, "other", other)
        begins(host, "p", 100)
        host.run("partition", "reset", "p")
        now = show(host, "p")
        self.assertEqual((now["state"], now["workload_state"]), ("running", "stopped"))
        self.assertGreaterEqual(now["steps"], 100)  # in VRAM, which stays
        runs(host, "other")
        self.assertEqual(finish(host, "other"), other.want())


if __name__ == "__main__":
    unittest.main()
