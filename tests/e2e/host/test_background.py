# SPDX-License-Identifier: Apache-2.0
"""vferryd --background: the command returns when the host is ready, or with the one line that says why it is not."""
import os
import pathlib
import re
import socket
import subprocess
import tempfile
import unittest

from e2e import BUILD
from harness import pid_gone, wait_until

TIMEOUT = 120


class Background(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="vferry-test-")
        self.addCleanup(folder.cleanup)
        self.state = pathlib.Path(folder.name) / "A"

    def start(self, *options, **popen):
        """The finished command. Its output is a pipe: were it kept open by the daemon, this would not return."""
        self.addCleanup(self.vferry, "host", "stop", "--force")
        command = [BUILD / "vferryd", "--background", "--name", "A", "--state", self.state, *options]
        return subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=TIMEOUT, check=False, **popen)

    def vferry(self, *words):
        command = [str(BUILD / "vferry"), "--host", str(self.state / "control.sock"), *words]
        return subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT, check=False)

    def ready(self, done):
        """The daemon's pid."""
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        line = re.fullmatch(rf"host A is ready, pid (\d+), log {self.state}/vferryd\.log\n", done.stdout)
        self.assertIsNotNone(line, done.stdout)
        return int(line[1])

    def fails(self, done, word, code=1):
        """One line, nothing on stdout, and no process left."""
        self.assertEqual((done.returncode, done.stdout), (code, ""))
        self.assertRegex(done.stderr, word)
        self.assertEqual(len(done.stderr.splitlines()), 1, done.stderr)
        self.assertEqual(self.vferry("host", "show").returncode, 5)
        self.assertFalse((self.state / "kernel.sock").exists())

    def test_it_returns_when_the_host_answers_and_is_no_part_of_the_terminals_session(self):
        pid = self.ready(self.start("--listen", "127.0.0.1:0"))
        self.assertEqual(self.vferry("host", "show").returncode, 0)  # at once, not soon
        self.assertEqual(os.getsid(pid), pid)
        self.assertEqual([os.readlink(f"/proc/{pid}/fd/{fd}") for fd in (0, 1)], ["/dev/null"] * 2)
        self.assertEqual(os.readlink(f"/proc/{pid}/fd/2"), str(self.state / "vferryd.log"))
        self.assertIn("A: ready", (self.state / "vferryd.log").read_text())
        self.assertEqual(self.vferry("host", "stop").returncode, 0)
        wait_until("it has ended", lambda: pid_gone(pid))

    def test_closed_standard_descriptors_do_no_harm(self):
        self.addCleanup(self.vferry, "host", "stop", "--force")
        script = '"$0" --background --name A --state "$1" <&- >&- 2>&-'
        done = subprocess.run(["sh", "-c", script, str(BUILD / "vferryd"), str(self.state)], timeout=TIMEOUT, check=False)
        self.assertEqual(done.returncode, 0)
        self.assertEqual(self.vferry("partition", "list").returncode, 0)

    def test_a_port_that_is_taken(self):
        with socket.create_server(("127.0.0.1", 0)) as taken:
            done = self.start("--listen", f"127.0.0.1:{taken.getsockname()[1]}")
        self.fails(done, "Address already in use")

    def test_a_bad_certificate(self):
        bad = self.state.parent / "bad.pem"
        bad.write_text("no certificate\n")
        bad.chmod(0o600)
        done = self.start("--listen", "127.0.0.1:0", "--tls-cert", bad, "--tls-key", bad, "--tls-ca", bad)
        self.assertNotEqual(done.returncode, 0)
        self.fails(done, "bad.pem", code=done.returncode)

    def test_a_wrong_usage(self):
        self.fails(self.start("--device", ""), "has no value", code=2)

    def test_a_device_that_does_not_exist(self):
        self.fails(self.start("--device", "nosuchgpu"), "nosuchgpu")

    def test_a_second_one_on_the_same_directory_leaves_the_first_alone(self):
        pid = self.ready(self.start())
        done = self.start()
        self.assertEqual(done.returncode, 1)
        self.assertEqual(len(done.stderr.splitlines()), 1, done.stderr)
        self.assertFalse(pid_gone(pid))
        self.assertEqual(self.vferry("host", "show").returncode, 0)


if __name__ == "__main__":
    unittest.main()
