# SPDX-License-Identifier: Apache-2.0
"""A host that answers nothing: every verb says after 3 s whom it waits for, gives up after --timeout, and tells what may still happen."""
import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import threading
import unittest

from e2e import BUILD, Case, churn, create, stop
from harness import wait_until

UNREACHABLE, FAILED, INTERRUPTED = 5, 1, 130
# These ask no host.
LOCAL = ("plan", "reference", "image", "cert", "completion", "man")


def verbs():
    """Every verb of the table, as --help lists them."""
    out = subprocess.run([BUILD / "vferry", "--help"], capture_output=True, text=True, check=True).stdout
    listed = re.findall(r"^  ((?:\w+ )?\w+) {2,}\S.*$", out, re.MULTILINE)
    assert "partition create" in listed and len(listed) > 25, out
    return [words for words in listed if words.split()[0] not in LOCAL]


def example(words):
    """What a verb's help shows as its example, without "vferry"."""
    out = subprocess.run([BUILD / "vferry", *words.split(), "--help"], capture_output=True, text=True, check=True).stdout
    return re.search(r"^example: vferry (.*)$", out, re.MULTILINE)[1].split()


class Command:
    """A vferry command in the background, whose stderr can be waited for."""

    def __init__(self, host, *words, cwd=None):
        self.words = [str(word) for word in words]
        self.process = subprocess.Popen([BUILD / "vferry", "--host", host, *self.words], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                        text=True, cwd=cwd, stdin=subprocess.DEVNULL)

    def first_word(self):
        """The first line on stderr."""
        return self.process.stderr.readline().rstrip("\n")

    def end(self, timeout=120):
        """(exit code, stdout, the rest of stderr)"""
        code = self.process.wait(timeout)
        with self.process.stdout as out, self.process.stderr as err:
            return code, out.read(), err.read()


class Stopped(Case):
    """vferryd stands under SIGSTOP."""

    def setUp(self):
        super().setUp()
        self.one = self.host("one")
        create(self.one, "p1")
        self.socket = self.one.state / "control.sock"
        self.addCleanup(self.one.process.send_signal, signal.SIGCONT)
        for name in ("p1.image", "new.so", "before.pgm"):
            (self.folder / name).touch()
        stop(self.one.process)

    def command(self, *words):
        command = Command(self.socket, *words, cwd=self.folder)
        self.addCleanup(command.process.kill)
        return command

    def test_every_verb_says_whom_it_waits_for_and_gives_up_with_exit_5(self):
        pid = self.one.process.pid
        # What a verb asks first; top is a screen, and shows such a host in its place.
        first = {"host evacuate": "host show"}
        asking = [verb for verb in verbs() if verb != "top"]
        for words, command in [(first.get(verb, verb), self.command("--timeout", 4, *example(verb))) for verb in asking]:
            with self.subTest(verb=words):
                said = command.first_word()
                self.assertRegex(said, f'^vferry: waiting for vferryd at {self.socket} \\(pid {pid}\\) to answer "{words}".*Ctrl-C gives up$')
                code, out, err = command.end()
                self.assertEqual((code, out), (UNREACHABLE, ""), err)
                self.assertEqual(len(err.splitlines()), 1, err)
                self.assertIn(f'(pid {pid}): has not answered "{words}"', err)
        # What was asked of it must not come true now.
        self.one.kill()
        self.one.start()

    def test_what_may_still_happen_is_said_and_what_only_shows_says_nothing_of_it(self):
        for words, look in ((["partition", "pause", "p1"], "partition list"), (["partition", "list"], None)):
            code, _, err = self.command("--timeout", 1, *words).end()
            self.assertEqual(code, UNREACHABLE, err)
            self.assertEqual("may still happen" in err, look is not None, err)
            if look:
                self.assertIn(f'see "vferry {look}"', err)

    def test_the_remedy_helps(self):
        code, _, err = self.command("--timeout", 1, "partition", "list").end()
        self.assertEqual(code, UNREACHABLE, err)
        remedy = re.search(r'"(kill -CONT \d+)" lets it go on', err)[1]
        subprocess.run(remedy.split(), check=True)
        self.assertEqual(len(self.one.json("partition", "list")["partitions"]), 1)

    def test_a_command_given_up_by_ctrl_c_says_that_it_may_still_happen(self):
        command = self.command("--timeout", 0, "partition", "pause", "p1")
        self.assertIn("waiting for vferryd", command.first_word())
        command.process.send_signal(signal.SIGINT)
        code, out, err = command.end()
        self.assertEqual((code, out), (INTERRUPTED, ""))
        self.assertEqual(err, 'vferry: partition pause: given up here, and may still happen; see "vferry partition list"\n')
        self.one.process.send_signal(signal.SIGCONT)
        wait_until("it has happened", lambda: self.one.json("partition", "show", "p1")["state"] == "paused")

    def test_without_a_limit_it_is_waited_for(self):
        command = self.command("--json", "--timeout", 0, "host", "show")
        self.assertIn("waiting for vferryd", command.first_word())
        self.one.process.send_signal(signal.SIGCONT)
        code, out, err = command.end()
        self.assertEqual((code, err), (0, ""))
        self.assertEqual(json.loads(out)["name"], "one")


class Working(Case):
    """vferryd lives: what takes long is waited for."""

    def test_a_wait_longer_than_the_limit_is_no_silence(self):
        one = self.host("one")
        create(one, "p", churn(600))
        done = one.run("--timeout", 6, "wait", "p", "--timeout", "14s", code=FAILED)
        self.assertEqual(len(done.stderr.splitlines()), 1, done.stderr)
        self.assertIn("not done within 14 s", done.stderr)

    def test_a_check_says_that_it_waits_for_a_peer_that_says_nothing(self):
        one = self.host("one")
        for name in "pq":
            create(one, name, vram="8M")
        silent = socket.create_server(("127.0.0.1", 0))  # the system takes connections for it
        self.addCleanup(silent.close)
        peer = f"127.0.0.1:{silent.getsockname()[1]}"
        verbs_of = {"p": ("check",), "q": ("migrate", "--dry-run")}
        asked = [Command(one.state / "control.sock", *verb, name, "--to", peer) for name, verb in verbs_of.items()]
        for command in asked:
            with self.subTest(verb=command.words):
                self.assertEqual(command.first_word(), f'vferry: waiting for "check": host {peer} to answer; Ctrl-C gives up')
                code, _, err = command.end()
                self.assertEqual((code, len(err.splitlines())), (FAILED, 1), err)
                self.assertIn(f"peer {peer}", err)

    def test_a_move_whose_daemon_is_stopped_midway_ends_as_unknown(self):
        one, other = self.pair()
        create(one, "p", churn(600, size="16M"))
        command = Command(one.state / "control.sock", "--timeout", 4, "migrate", "p", "--to", other.address, "--bandwidth", "2M")
        self.addCleanup(command.process.kill)
        while "round" not in command.process.stdout.readline():
            self.assertIsNone(command.process.poll())
        stop(one.process)
        self.addCleanup(one.process.send_signal, signal.SIGCONT)
        self.assertIn('to answer "job watch"', command.first_word())
        code, _, err = command.end()
        self.assertEqual(code, 6, err)
        self.assertIn("nobody tells of it any more", err)
        one.process.send_signal(signal.SIGCONT)


class Fake(unittest.TestCase):
    """A daemon that says what the test has it say, on a socket of its own."""

    def setUp(self):
        self.path = f"/tmp/vferry-fake-{os.getpid()}.sock"
        self.addCleanup(lambda: os.path.exists(self.path) and os.unlink(self.path))
        self.server = socket.socket(socket.AF_UNIX)
        self.server.bind(self.path)
        self.addCleanup(self.server.close)

    def serve(self, answer):
        """Each connection's request goes to answer(request, send) in a thread."""
        self.server.listen(64)

        def talk(connection):
            def send(line):
                connection.sendall(json.dumps(line).encode() + b"\n")

            with connection, connection.makefile("r") as stream, contextlib.suppress(OSError):  # it may give up and leave
                line = stream.readline()
                if line:
                    answer(json.loads(line), send)

        def accept():
            while True:
                try:
                    connection, _ = self.server.accept()
                except OSError:
                    return
                threading.Thread(target=talk, args=(connection,), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()

    def vferry(self, *words):
        return subprocess.run([BUILD / "vferry", "--host", self.path, *words], capture_output=True, text=True, timeout=120, check=False)

    RESULT = {"result": {"schema": "vferry.result/1", "workload": "fill", "steps": 1, "digest": "xxh3-128:0"}}

    def test_an_older_build_that_gives_no_signs_of_life_is_waited_for(self):
        pinged, end = threading.Event(), threading.Event()

        def answer(request, send):
            if request["verb"] == "wait":
                end.wait(100)
                send(self.RESULT)
            else:
                send({"error": {"code": 2, "text": "no such verb"}})
                pinged.set()

        self.serve(answer)
        command = Command(self.path, "--timeout", "1", "wait", "p")
        self.addCleanup(command.process.kill)
        self.assertTrue(pinged.wait(100))
        self.assertIn("waiting for vferryd", command.first_word())
        end.set()
        code, _, err = command.end()
        self.assertEqual((code, err), (0, ""))

    def test_signs_of_life_keep_what_takes_long_and_not_what_is_quick(self):
        def answer(request, send):
            self.assertIs(request["alive"], True)
            for _ in range(20):
                send({"alive": {"stuck": None}})
                threading.Event().wait(0.2)
            send(self.RESULT)

        self.serve(answer)
        self.assertEqual(self.vferry("--timeout", "3", "wait", "p").returncode, 0)
        done = self.vferry("--timeout", "2", "partition", "list")
        self.assertEqual(done.returncode, UNREACHABLE, done.stderr)
        self.assertIn('lives, and has not got done with "partition list"', done.stderr)

    def test_a_host_that_is_stuck_is_not_waited_for_though_its_daemon_lives(self):
        stuck = "the kernel side, pid 7, has not answered for 4 s"

        def answer(_request, send):
            while True:
                send({"alive": {"stuck": stuck}})
                threading.Event().wait(0.2)

        self.serve(answer)
        for verb in (["wait", "p"], ["partition", "list"]):
            done = self.vferry("--timeout", "4", *verb)
            self.assertEqual(done.returncode, UNREACHABLE, done.stderr)
            word, end = done.stderr.splitlines()
            self.assertEqual(word, f'vferry: waiting for "{verb[0] if len(verb[0]) == 4 else " ".join(verb)}": {stuck}; Ctrl-C gives up')
            self.assertIn(stuck, end)

    def test_a_driver_that_a_command_waits_for_is_named_once_and_what_takes_long_goes_on_waiting(self):
        waits = "DxgkDdiX of the driver of adapter 0 (a.so) has not come back for 4 s"

        def answer(_request, send):
            for _ in range(30):
                send({"alive": {"stuck": None, "waits": waits}})
                threading.Event().wait(0.2)
            send(self.RESULT)

        self.serve(answer)
        done = self.vferry("--timeout", "2", "wait", "p")
        self.assertEqual((done.returncode, done.stderr), (0, f'vferry: waiting for "wait": {waits}; Ctrl-C gives up\n'))
        done = self.vferry("--timeout", "4", "partition", "list")
        self.assertEqual(done.returncode, UNREACHABLE, done.stderr)
        word, end = done.stderr.splitlines()
        self.assertEqual(word, f'vferry: waiting for "partition list": {waits}; Ctrl-C gives up')
        self.assertIn(waits, end)

    def test_a_queue_of_connections_that_is_full_is_no_reason_to_wait_for_ever(self):
        self.server.listen(0)
        waiting = []
        while True:
            client = socket.socket(socket.AF_UNIX)
            self.addCleanup(client.close)
            client.setblocking(False)
            waiting.append(client)
            try:
                client.connect(self.path)
            except BlockingIOError:
                break
        done = self.vferry("--timeout", "4", "partition", "pause", "p")
        self.assertEqual(done.returncode, UNREACHABLE, done.stderr)
        self.assertEqual(len(done.stderr.splitlines()), 2, done.stderr)
        self.assertNotIn("may still happen", done.stderr)


if __name__ == "__main__":
    unittest.main()
