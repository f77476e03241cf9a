#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""tools/install-deps.sh on a machine that is made up: it says what comes, how far it is, and what went wrong."""
import os
import pathlib
import pty
import subprocess
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
# The machine has all but what MISSING names; its apt-get tells what it does as the real one does.
DPKG = """#!/bin/sh
for last; do :; done
case " $MISSING " in *" $last "*) exit 1 ;; esac
printf installed
"""
APT = """#!/bin/sh
echo "$*" >>"$CALLS"
case "$*" in
*-s\\ install*) printf 'Inst gcc (12)\\nInst libgcc (12)\\nConf gcc (12)\\n' ;;
*--print-uris*) printf "'http://a/gcc.deb' gcc.deb 30000000 SHA256:0\\n'http://a/libgcc.deb' libgcc.deb 12000000 SHA256:0\\n" ;;
*update*) printf 'dlstatus:1:0:Retrieving file 1 of 1\\ndlstatus:1:100:Retrieving file 1 of 1\\n' ;;
*install*)
    printf 'dlstatus:1:40.5:Retrieving file 1 of 2 (3s remaining)\\npmstatus:gcc:50.0:Unpacking gcc (amd64)\\n'
    [ -z "${BROKEN:-}" ] || { echo "E: the disk is full"; exit 100; }
    ;;
esac
"""


class Deps(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="vferry-deps-")
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        for name, text in (("dpkg-query", DPKG), ("apt-get", APT), ("id", "#!/bin/sh\necho 0\n")):
            (self.folder / name).write_text(text, encoding="ascii")
            (self.folder / name).chmod(0o755)
        self.calls = self.folder / "calls"
        self.calls.write_text("", encoding="ascii")

    def environment(self, missing, **more):
        return {**os.environ, "PATH": f"{self.folder}:{os.environ['PATH']}", "MISSING": missing, "CALLS": str(self.calls), **more}

    def run_it(self, purpose, missing, **more):
        return subprocess.run([ROOT / "tools/install-deps.sh", purpose], env=self.environment(missing, **more), capture_output=True,
                              text=True, timeout=60, check=False, stdin=subprocess.DEVNULL)

    def test_a_machine_that_lacks_nothing_hears_nothing(self):
        done = self.run_it("test", "")
        self.assertEqual((done.returncode, done.stdout, done.stderr, self.calls.read_text(encoding="ascii")), (0, "", "", ""))

    def test_a_build_asks_for_no_tool_of_the_tests(self):
        tests_only = "clang spin gcc-mingw-w64-x86-64 iproute2 python3-jsonschema"
        self.assertEqual(self.run_it("build", tests_only).stdout, "")
        for package in tests_only.split():
            self.assertIn(package, self.run_it("test", tests_only).stdout)

    def test_it_names_what_comes_with_count_and_size_then_how_far_it_is_and_the_time(self):
        done = self.run_it("build", "gcc meson")
        self.assertEqual(done.returncode, 0, done.stderr)
        lines = done.stdout.splitlines()
        self.assertEqual(lines[0], "missing for build (2): gcc meson")
        self.assertIn("with what they need: 2 packages, 42 MB to download", lines)
        self.assertTrue(any("download 40 %" in line for line in lines), lines)
        self.assertTrue(any("install 50 %" in line for line in lines), lines)
        self.assertRegex(lines[-1], r"^2 packages installed in \d+ s$")

    def test_on_a_terminal_it_is_one_live_line(self):
        ours, theirs = pty.openpty()
        with subprocess.Popen([ROOT / "tools/install-deps.sh", "build"], env=self.environment("gcc"), stdout=theirs, stderr=theirs,
                              stdin=subprocess.DEVNULL) as process:
            os.close(theirs)
            text = b""
            try:
                while piece := os.read(ours, 4096):
                    text += piece
            except OSError:
                pass  # how a terminal says that nobody writes any more
            os.close(ours)
            self.assertEqual(process.wait(60), 0)
        live = [part for part in text.decode().split("\r") if "Unpacking gcc" in part]
        self.assertEqual(len(live), 1, text)
        self.assertNotIn("\n", live[0])

    def test_what_apt_says_when_it_fails_is_shown(self):
        done = self.run_it("build", "gcc", BROKEN="1")
        self.assertEqual(done.returncode, 1)
        self.assertIn("E: the disk is full", done.stderr)
        self.assertNotIn("installed in", done.stdout)

    def test_an_unknown_purpose_is_refused(self):
        done = self.run_it("fun", "gcc")
        self.assertEqual((done.returncode, done.stdout), (2, ""))
        self.assertIn("fun", done.stderr)


if __name__ == "__main__":
    unittest.main(verbosity=2)
