# SPDX-License-Identifier: Apache-2.0
"""vferry top on a terminal: what it shows, that it goes on whatever hosts do, and that the terminal is left as it was."""
import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time
import unittest

from e2e import BUILD, Case, Work, begins, churn, create, show, stop
from harness import wait_until

TESTS_AT_ONCE = 3
SOON = 90
ALTERNATE, PLAIN = "\x1b[?1049h\x1b[?25l", "\x1b[?25h\x1b[?1049l"


class Terminal:
    """A command on a terminal of its own. `text` is all that it has written; screen() is what stands there now."""

    def __init__(self, command, rows=24, columns=120, term="xterm"):
        self.near, far = pty.openpty()
        self.size(rows, columns)
        self.before = termios.tcgetattr(far)
        self.far = far  # stays open: the terminal outlives the command
        self.process = subprocess.Popen(command, stdin=far, stdout=far, stderr=far, start_new_session=True,
                                        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0), env={**os.environ, "TERM": term})
        self.text = ""

    def size(self, rows, columns):
        fcntl.ioctl(self.near, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def read(self, seconds=0.1):
        while select.select([self.near], [], [], seconds)[0]:
            self.text += os.read(self.near, 65536).decode(errors="replace")
            seconds = 0

    def screen(self):
        """The last screen that is complete."""
        self.read()
        frames = self.text.split("\x1b[H")[1:]
        whole = [frame.split("\x1b[J")[0] for frame in frames if "\x1b[J" in frame]
        return whole[-1].replace("\x1b[K", "") if whole else ""

    def shows(self, *parts):
        """Waits for a screen with all of them; it is returned."""
        return wait_until(f"the screen shows {parts}", lambda: (lambda s: s if all(p in s for p in parts) else "")(self.screen()), SOON)

    def keys(self, text):
        os.write(self.near, text.encode())

    def end(self):
        code = self.process.wait(SOON)
        self.read()
        return code

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self.near)
        os.close(self.far)


class Top(Case):
    def top(self, *hosts, options=(), **more):
        words = [word for host in hosts for word in ("--host", host if isinstance(host, str) else host.state / "control.sock")]
        terminal = Terminal([BUILD / "vferry", "top", *words, *options], **more)
        self.addCleanup(terminal.close)
        return terminal

    def assert_given_back(self, terminal, code=0):
        self.assertEqual(terminal.end(), code, terminal.text[-2000:])
        self.assertEqual(terminal.text.count(ALTERNATE), terminal.text.count(PLAIN))
        self.assertTrue(terminal.text.rstrip().endswith(PLAIN), terminal.text[-200:])
        self.assertEqual(termios.tcgetattr(terminal.far), terminal.before)

    def test_a_move_is_seen_on_both_hosts_and_its_end(self):
        left, right = self.pair()
        create(left, "mover", churn(600, size="16M"))
        begins(left, "mover")
        terminal = self.top(left, right)
        terminal.shows("mover", "left", "right", "nothing moves")
        left.run("migrate", "mover", "--to", right.address, "--bandwidth", "2M", "--detach")
        moving = terminal.shows("outgoing", "incoming", "move", " %", "/s")
        self.assertRegex(moving, rf"mover +left +1 +move +out .* {re.escape(right.address)}")
        self.assertRegex(moving, rf"mover +right +1 +move +in .* {re.escape(left.address)}")
        left.run("job", "cancel", 1)
        terminal.shows("nothing moves")
        terminal.keys("q")
        self.assert_given_back(terminal)

    def test_it_goes_on_when_a_host_stands_goes_and_comes_back(self):
        left, right = self.pair()
        terminal = self.top(left, right, str(self.folder / "nobody"))
        terminal.shows("left", "right", f"{self.folder}/nobody: NO ANSWER: connect: No such file")
        stop(right.process)
        terminal.shows("right: NO ANSWER: vferryd does not answer", "left")
        right.process.send_signal(signal.SIGCONT)
        wait_until("it answers again", lambda: "right: NO ANSWER" not in terminal.screen(), SOON)
        right.kill()
        terminal.shows("right: NO ANSWER: ")
        right.start()
        wait_until("it is found again", lambda: "right: NO ANSWER" not in terminal.screen(), SOON)
        terminal.keys("\x03")
        self.assert_given_back(terminal)

    def test_a_host_whose_kernel_side_stands_still_answers_and_says_so(self):
        host = self.host("host")
        create(host, "p")
        os.kill(host.kernel_pid, signal.SIGSTOP)
        self.addCleanup(os.kill, host.kernel_pid, signal.SIGCONT)
        said = r"the kernel side has not answered for \d+ s \(stopped by a signal\)"

        def told(wanted):
            """The host's part once it is as wanted: on a busy machine a look may come to nothing."""
            look = lambda: host.json("top", code=None, timeout=SOON)["hosts"][0]
            return wait_until("top tells it", lambda: (lambda part: part if wanted(part) else None)(look()), SOON)

        stuck = told(lambda part: part["answers"])
        self.assertEqual((stuck["reason"], stuck["partitions"], stuck["vf_free"], stuck["jobs"]), (None, None, None, []))
        self.assertRegex(stuck["attention"], said)
        shown = wait_until("it is shown", lambda: (lambda text: text if "ATTENTION" in text else "")(
            host.run("top", "--once", code=None, timeout=SOON).stdout), SOON)
        self.assertRegex(shown, rf"(?m)^host: ATTENTION: {said}$")
        self.assertIn("\n-\n\nnothing moves\n", shown)
        os.kill(host.kernel_pid, signal.SIGCONT)
        again = told(lambda part: part["partitions"])
        self.assertIsNone(again["attention"])

    def test_the_window_may_become_small_and_large(self):
        host = self.host("host")
        for number in range(4):
            create(host, f"partition-with-a-long-name-{number}", vram="4M")
        terminal = self.top(host, options=("--interval", "3600"))
        terminal.shows("nothing moves")
        terminal.size(6, 30)
        small = wait_until("it is drawn anew", lambda: (lambda s: s if "nothing moves" not in s else "")(terminal.screen()), SOON)
        lines = [line.strip("\r") for line in small.split("\n")]
        self.assertLessEqual(len(lines), 6)
        self.assertLessEqual(max(map(len, lines)), 30)
        for columns in (40, 80, 120):
            terminal.size(24, columns)
            shown = terminal.shows("partition-with-a-", "nothing moves")
            if columns < 120:
                self.assertLessEqual(max(len(line.strip("\r")) for line in shown.split("\n")), columns, shown)
        terminal.shows("partition-with-a-long-name-3", "nothing moves")
        terminal.process.send_signal(signal.SIGTERM)
        self.assert_given_back(terminal)

    def test_it_stands_still_as_a_job_of_a_shell_and_goes_on(self):
        terminal = self.top(self.host("host"))
        terminal.shows("nothing moves")

        def state():
            with open(f"/proc/{terminal.process.pid}/stat", encoding="ascii") as stat:
                return stat.read().rsplit(")", 1)[1].split()[0]

        # Nobody would be there to let it go on if it stood as an orphan: the signal is its own business.
        terminal.process.send_signal(signal.SIGTSTP)
        wait_until("it stands", lambda: state() == "T", SOON)
        terminal.read()
        self.assertTrue(terminal.text.endswith(PLAIN))
        self.assertEqual(termios.tcgetattr(terminal.far), terminal.before)
        drawn = len(terminal.text)
        terminal.process.send_signal(signal.SIGCONT)
        wait_until("it is back", lambda: (terminal.read(), ALTERNATE in terminal.text[drawn:])[1], SOON)
        terminal.shows("nothing moves")
        terminal.keys("q")
        self.assert_given_back(terminal)

    def test_it_ends_with_its_terminal(self):
        terminal = self.top(self.host("host"))
        terminal.shows("nothing moves")
        terminal.process.send_signal(signal.SIGHUP)
        self.assert_given_back(terminal)

    def test_a_terminal_that_can_do_nothing_gets_a_snapshot(self):
        host = self.host("host")
        for term in ("dumb", ""):
            terminal = self.top(host, term=term)
            self.assertEqual(terminal.end(), 0)
            self.assertIn("nothing moves", terminal.text)
            self.assertNotIn("\x1b", terminal.text)
            self.assertEqual(termios.tcgetattr(terminal.far), terminal.before)

    def test_once_tells_the_pace_of_work(self):
        host = self.host("host")
        create(host, "p", churn(600, rate=8 << 20))
        begins(host, "p")
        told = host.json("top")["hosts"][0]["partitions"][0]
        self.assertGreater(told["steps_per_s"], 0)
        self.assertIn("churn", host.run("top", "--once").stdout)

    def test_shares_of_a_gpu_tell_who_uses_it(self):
        host = self.host("host")
        for name in ("left", "right"):
            create(host, name, Work("churn", size="8M", steps=10**12))
        create(host, "idle")
        for name in ("left", "right"):
            begins(host, name)
        shares = {p["name"]: p["gpu_percent"] for p in host.json("top")["hosts"][0]["partitions"]}
        self.assertEqual(shares["idle"], 0)
        self.assertGreater(min(shares["left"], shares["right"]), 0)
        self.assertLessEqual(sum(shares.values()), 100)
        self.assertEqual((show(host, "idle")["gpu_ns"], show(host, "left")["gpu_ns"] > 0), (0, True))
        # On the screen the first look knows no share, the next ones do.
        terminal = self.top(host)
        wait_until("shares are shown", lambda: re.search(r"left .* [1-9]\d* %", terminal.screen()), SOON)
        self.assertRegex(terminal.screen(), r"idle .* 0 %")
        terminal.keys("q")
        self.assert_given_back(terminal)

    def test_a_pipe_that_nobody_reads_ends_it(self):
        host = self.host("host")
        done = subprocess.run(f"{' '.join(host.command('top', '--once'))} | true", shell=True, check=False, timeout=SOON)
        self.assertEqual(done.returncode, 0)

    def test_wrong_uses_are_told(self):
        host = self.host("host")
        for words, text in ((("--interval", "0"), "--interval"), (("--interval", "4000"), "--interval"), (("x",), "one word too many")):
            done = host.run("top", *words, code=2)
            self.assertIn(text, done.stderr)
            self.assertEqual(done.stderr.count("\n"), 1)
        nobody = self.folder / "nobody"
        began = time.monotonic()
        host.run("top", "--once", "--interval", "1h", timeout=SOON)
        self.assertIn("nobody", host.run("top", "--once", "--host", nobody, code=0).stdout)
        done = subprocess.run([BUILD / "vferry", "top", "--once", "--host", nobody], capture_output=True, text=True, check=False,
                              timeout=SOON)
        self.assertEqual((done.returncode, done.stderr.count("\n")), (5, 1), done.stderr)
        self.assertLess(time.monotonic() - began, SOON)


if __name__ == "__main__":
    unittest.main()
