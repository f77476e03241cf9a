#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What make says of itself, and what it tells of tests while they run: with a meson that is made up."""
import json
import os
import pathlib
import pty
import re
import subprocess
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
MESON = """#!/bin/sh
case "$1" in
introspect) case "$3" in --tests) cat "$FAKE/tests" ;; *) echo '[]' ;; esac ;;
test)
    sleep 1 & wait
    echo "1/2 vferry:unit / good             OK     0.50s   3 subtests passed"
    echo "2/2 vferry:unit / other            $VERDICT   1.50s   exit status"
    echo "what it said"
    echo "Ok:  1"
    cp "$FAKE/$VERDICT.xml" "$FAKE/meson-logs/testlog.junit.xml"
    [ "$VERDICT" = OK ] ;;
esac
"""
GOOD = '<testsuite name="unit / good" errors="0" failures="0"><testcase name="1 - a"/><testcase name="2 - b"/></testsuite>'
OTHER = {
    "OK": '<testsuite name="unit / other" errors="0" failures="0"><testcase name="1 - c"><skipped/><system-out>no network here</system-out>'
          "</testcase></testsuite>",
    "FAIL": '<testsuite name="unit / other" errors="0" failures="1"><testcase name="1 - c"><failure/></testcase><testcase name="2 - d"/>'
            "<system-out>1..2\nnot ok 1 - c\n# 3 is not 4\n# at line 7\nok 2 - d\n# 0.1 s</system-out></testsuite>",
}


class Make(unittest.TestCase):
    def test_help_has_a_line_for_each_target(self):
        text = (ROOT / "Makefile").read_text(encoding="utf-8")
        targets = set(re.search(r"^\.PHONY: (.*)$", text, re.M)[1].split()) - {"deps", "deps-test", "product", "demo-says"}
        told = subprocess.run(["make", "-C", ROOT, "--no-print-directory", "help"], capture_output=True, text=True, check=True).stdout
        self.assertEqual({line.split()[1] for line in told.splitlines()}, targets)


class Tests(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="vferry-make-")
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        (self.folder / "meson-logs").mkdir()
        (self.folder / "meson").write_text(MESON, encoding="ascii")
        (self.folder / "meson").chmod(0o755)
        tests = [{"name": name, "cmd": [f"/nowhere/{name}"], "suite": ["vferry:unit"]} for name in ("good", "other")]
        (self.folder / "tests").write_text(json.dumps(tests), encoding="ascii")
        for verdict, other in OTHER.items():
            (self.folder / f"{verdict}.xml").write_text(f"<testsuites>{GOOD}{other}</testsuites>", encoding="ascii")

    def start(self, verdict, stdout):
        env = {**os.environ, "PATH": f"{self.folder}:{os.environ['PATH']}", "FAKE": str(self.folder), "VERDICT": verdict}
        return subprocess.Popen([sys.executable, ROOT / "tools/run_tests.py", "--build", self.folder], env=env, text=True,
                                stdout=stdout, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)

    def test_a_good_run_ends_with_one_line_and_is_the_measure_of_the_next(self):
        with self.start("OK", subprocess.PIPE) as process:
            lines = process.communicate(timeout=60)[0].splitlines()
        self.assertEqual(process.returncode, 0, lines)
        self.assertRegex(lines[0], r"^2 tests: about .*, on 2 cores$")
        self.assertIn("[1/2] ok good 0.5 s", lines)
        self.assertIn("skipped unit / other: 1 - c: no network here", lines)
        self.assertEqual(lines[-1], "2 passed, 0 failed, 1 skipped")
        with self.start("OK", subprocess.PIPE) as process:
            self.assertRegex(process.communicate(timeout=60)[0].splitlines()[0], r"^2 tests: about \d s, as last time$")

    def test_a_failure_is_told_with_what_it_said_and_by_the_exit_code(self):
        with self.start("FAIL", subprocess.PIPE) as process:
            lines = process.communicate(timeout=60)[0].splitlines()
        self.assertEqual(process.returncode, 1, lines)
        self.assertIn("FAILED other (fail after 1.5 s)", lines)
        self.assertIn("what it said", lines)
        self.assertEqual(lines[-1], "3 passed, 1 failed")
        at = lines.index("FAILED unit / other: 1 - c")
        self.assertEqual(lines[at + 1 : at + 5], ["not ok 1 - c", "# 3 is not 4", "# at line 7", "took 1 s"])
        self.assertFalse((self.folder / "meson-logs/test_times.json").exists())

    def test_on_a_terminal_one_line_lives(self):
        ours, theirs = pty.openpty()
        with self.start("OK", theirs) as process:
            os.close(theirs)
            text = b""
            try:
                while piece := os.read(ours, 4096):
                    text += piece
            except OSError:
                pass  # how a terminal says that nobody writes any more
            os.close(ours)
            self.assertEqual(process.wait(60), 0)
        self.assertIn("[0/2] 0 failed", text.decode())
        self.assertNotIn("[1/2] ok good", text.decode())
        self.assertEqual(text.decode().splitlines()[-1], "2 passed, 0 failed, 1 skipped")


if __name__ == "__main__":
    unittest.main(verbosity=2)
