# SPDX-License-Identifier: Apache-2.0
"""What a terminal sees: a live line with a bar and colours where it can have them, plain lines where not."""
import fcntl
import os
import pty
import re
import struct
import subprocess
import termios
import threading
import unittest

from e2e import BLACKOUT_MS, BUILD, Case, churn, create

ESCAPE = "\x1b"
COLOUR = re.compile(r"\x1b\[3[0-9]m")


def on_terminal(host, *words, columns=120, **environment):
    """(exit code, all that a command wrote to a terminal of so many columns)"""
    own, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    env = {key: value for key, value in os.environ.items() if key not in ("TERM", "NO_COLOR")}
    process = subprocess.Popen([BUILD / "vferry", "--host", host.state, *map(str, words)], stdin=subprocess.DEVNULL, stdout=theirs,
                               stderr=theirs, env={**env, **environment})
    os.close(theirs)
    seen = []

    def read():
        while True:
            try:
                seen.append(os.read(own, 65536))
            except OSError:  # its last writer is gone
                return

    reader = threading.Thread(target=read)
    reader.start()
    code = process.wait(300)
    reader.join(60)
    os.close(own)
    return code, b"".join(seen).decode()


class Terminal(Case):
    def setUp(self):
        super().setUp()
        self.left, self.right = self.pair()

    def move(self, name, **more):
        create(self.left, name, churn(600, size="8M", rate=4096))
        code, seen = on_terminal(self.left, "migrate", name, "--to", self.right.address, "--bandwidth", "8M", "--max-blackout", BLACKOUT_MS, **more)
        self.assertEqual(code, 0, seen)
        self.assertIn(f"{name} runs on {self.right.address}", seen)
        return seen

    def test_a_terminal_has_one_live_line_with_a_bar_and_colours(self):
        seen = self.move("p", TERM="xterm")
        self.assertRegex(seen, r"\r\x1b\[32m\[#+\.+\] +\d+ %  \x1b\[0mcopying, round 1: sent ")
        self.assertIn("\r\x1b[K", seen)

    def test_no_live_line_is_wider_than_the_terminal(self):
        for columns in (30, 40, 80, 100):
            seen = self.move(f"p{columns}", TERM="xterm", columns=columns)
            live = [line for line in seen.split("\r") if line.endswith("\x1b[K") and len(line) > 3]
            self.assertTrue(live, seen)
            for line in live:
                plain = re.sub(r"\x1b\[[0-9]*[mK]", "", line)
                self.assertLess(len(plain), columns, plain)

    def test_no_table_is_wider_than_the_terminal_and_what_is_cut_shows_it(self):
        name = "n" * 60
        create(self.left, name, vram="8M")
        create(self.left, "short", vram="8M")
        self.left.run("check", name, "--to", "127.0.0.1:1", code=None)
        for columns in (60, 80, 200):
            for verb in (("partition", "list"), ("job", "list"), ("adapter", "list")):
                with self.subTest(columns=columns, verb=verb):
                    code, seen = on_terminal(self.left, *verb, columns=columns, TERM="dumb")
                    self.assertEqual(code, 0, seen)
                    lines = seen.replace("\r", "").splitlines()
                    self.assertLessEqual(max(map(len, lines)), columns, seen)
                    if verb == ("partition", "list"):
                        self.assertIn("short", seen)
                        # At 60 no table fits: each partition has lines of its own, and nothing is cut.
                        self.assertEqual(name in "".join(seen.split()), columns != 80, seen)
                        self.assertEqual("n..." in seen, columns == 80, seen)

    def test_a_terminal_that_has_no_escapes_gets_none(self):
        for term in ({"TERM": "dumb"}, {}):
            seen = self.move("p" + term.get("TERM", ""), **term)
            self.assertNotIn(ESCAPE, seen)
            self.assertIn("copying, round 1", seen)

    def test_no_line_of_a_terminal_without_escapes_is_wider_than_it(self):
        for columns in (40, 80):
            seen = self.move(f"p{columns}", TERM="dumb", columns=columns)
            live = [line for line in seen.replace("\r", "").splitlines() if ": sent " in line]
            self.assertTrue(live, seen)
            self.assertLessEqual(max(map(len, live)), columns, seen)

    def fits(self, columns, *words):
        """What that command writes to such a terminal: no line is wider. Without its line ends, as what was broken reads."""
        code, seen = on_terminal(self.left, *words, columns=columns, TERM="dumb")
        self.assertEqual(code, 0, seen)
        self.assertLessEqual(max(map(len, seen.replace("\r", "").splitlines())), columns, seen)
        return "".join(seen.split())

    def test_a_job_is_shown_whole_on_any_terminal(self):
        self.move("p" * 20)
        self.left.run("check", self.name_of_a_partition("q" * 60), "--to", "127.0.0.1:1", code=1)
        for shown in self.left.json("job", "list")["jobs"]:
            job = self.left.json("job", "show", shown["job"])
            for columns in (40, 80):
                with self.subTest(columns=columns, job=job["job"]):
                    text = self.fits(columns, "job", "show", job["job"])
                    for part in (job["uuid"], job["partition"], job["digest"], job["reason"], job["target"]):
                        self.assertIn("".join(part.split()), text)
                    self.assertEqual("rounds:" in text, bool(job["rounds"]))
                    for number in job["rounds"]:
                        self.assertIn(str(number["pages"]), text)

    def name_of_a_partition(self, name):
        create(self.left, name, vram="8M")
        return name

    def test_what_refuses_a_move_is_told_whole_on_any_terminal(self):
        name = self.name_of_a_partition("n" * 40)
        create(self.right, name, vram="8M")
        reason = self.left.json("check", name, "--to", self.right.address, code=3)["reasons"][0]
        job = self.left.json("job", "list")["jobs"][0]["job"]
        for columns in (40, 80):
            text = self.fits(columns, "job", "show", job)
            for part in reason.values():
                self.assertIn("".join(part.split()), text)

    def test_moves_inside_vram_are_told_whole_on_any_terminal(self):
        host = self.left = self.host("gpu", "softgpu,vram=64M,vfs=4,dirty-page=64K")
        names = [letter * 50 for letter in "abc"]
        for name in names:
            create(host, name, vram="8M")
        host.run("partition", "remove", names[0])
        plan = host.json("adapter", "defrag", 0, "--dry-run")["moves"]
        self.assertTrue(plan)
        for columns in (40, 80):
            text = self.fits(columns, "adapter", "defrag", 0, "--dry-run")
            for move in plan:
                self.assertIn(move["partition"] if columns == 40 else move["partition"][:3], text)
            self.assertIn("largestpartitionthatfits:", text)

    def test_who_wants_no_colours_gets_the_live_line_without(self):
        seen = self.move("p", TERM="xterm", NO_COLOR="1")
        self.assertNotRegex(seen, COLOUR)
        self.assertIn("\r\x1b[K", seen)

    def test_a_state_has_its_colour_on_a_terminal_only(self):
        create(self.left, "p")
        self.assertIn("\x1b[32mrunning\x1b[0m", on_terminal(self.left, "partition", "list", TERM="xterm")[1].replace("running ", "running"))
        self.assertIn("\x1b[32mrunning\x1b[0m", on_terminal(self.left, "partition", "show", "p", TERM="xterm")[1])
        for quiet in ({"TERM": "dumb"}, {"TERM": "xterm", "NO_COLOR": "1"}):
            self.assertNotIn(ESCAPE, on_terminal(self.left, "partition", "list", **quiet)[1])
        self.assertNotIn(ESCAPE, self.left.run("partition", "list").stdout)


if __name__ == "__main__":
    unittest.main()
