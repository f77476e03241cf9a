# SPDX-License-Identifier: Apache-2.0
"""Whoever interrupts the tests finds nothing left of them: no process, no directory, no traceback."""
import os
import pathlib
import signal
import subprocess
import sys
import unittest
import uuid

from e2e import ROOT, Case
from harness import wait_until

MARK = "VF_INTERRUPT_MARK"
# A test in the middle of its work: two hosts, one with a partition that works.
MIDWAY = """
import os, pathlib, sys, threading
sys.path.insert(0, {e2e!r})
from e2e import Case, churn, create, runs

class Midway(Case):
    def test_that_never_ends(self):
        left, right = self.pair()
        create(left, "p", churn(600))
        runs(left, "p")
        pathlib.Path({ready!r}).touch()
        threading.Event().wait()
"""


def marked(mark):
    """Programs whose environment carries the mark, by pid."""
    found = {}
    for process in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            if f"{MARK}={mark}".encode() in (process / "environ").read_bytes().split(b"\0"):
                found[int(process.name)] = (process / "comm").read_text().strip()
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            pass  # it has ended, or is nobody of ours
    return found


class Interrupt(Case):
    def interrupted(self, number):
        mark, ready, place = uuid.uuid4().hex, self.folder / "ready", self.folder / "t"
        file = self.folder / "midway.py"
        file.write_text(MIDWAY.format(e2e=str(ROOT / "tests/e2e"), ready=str(ready)), encoding="utf-8")
        place.mkdir()
        runner = subprocess.Popen(
            [sys.executable, str(ROOT / "tools/family.py"), sys.executable, str(ROOT / "tests/e2e/tap.py"), str(file)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, MARK: mark, "TMPDIR": str(place)},
        )
        self.addCleanup(runner.wait)
        self.addCleanup(runner.kill)
        wait_until("the test is midway", lambda: ready.exists() or runner.poll() is not None, 60)
        self.assertIsNone(runner.poll(), "it ended before it was interrupted")
        programs = sorted(marked(mark).values())
        self.assertEqual(programs.count("vferryd"), 2, programs)
        self.assertEqual(programs.count("vferry-kernel"), 2, programs)
        self.assertNotEqual(list(place.iterdir()), [])
        runner.send_signal(number)
        out, err = runner.communicate(timeout=60)
        self.assertEqual(runner.returncode, 128 + number, err)
        self.assertEqual(len(err.strip().splitlines()), 1, err)
        self.assertNotIn("Traceback", out)
        self.assertEqual(marked(mark), {})
        self.assertEqual(list(place.iterdir()), [])

    def test_ctrl_c_ends_all_that_the_tests_have_started(self):
        self.interrupted(signal.SIGINT)

    def test_so_does_term(self):
        self.interrupted(signal.SIGTERM)

    def test_what_a_command_leaves_ends_with_it_and_its_exit_code_stays(self):
        mark = uuid.uuid4().hex
        done = subprocess.run(
            [sys.executable, str(ROOT / "tools/family.py"), "sh", "-c", "setsid sleep 600 >/dev/null 2>&1 & exit 3"],
            timeout=60,
            check=False,
            env={**os.environ, MARK: mark},
        )
        self.assertEqual(done.returncode, 3)
        self.assertEqual(marked(mark), {})


if __name__ == "__main__":
    unittest.main()
