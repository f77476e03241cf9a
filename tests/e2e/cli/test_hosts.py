# SPDX-License-Identifier: Apache-2.0
"""Which host a command means: by directory, socket or name, the only one there is, or one that is just coming up."""
import json
import os
import re
import socket
import subprocess
import unittest

from e2e import BLACKOUT_MS, BUILD, ROOT, Case

USAGE, UNREACHABLE = 2, 5


def vferry(*words, host=None, **more):
    environment = {**os.environ, **({"VFERRY_HOST": str(host)} if host else {})}
    return subprocess.run([BUILD / "vferry", *map(str, words)], capture_output=True, text=True, timeout=120, check=False, env=environment, **more)


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return taken.getsockname()[1]


class Names(Case):
    def name_of(self, *words, **more):
        done = vferry("--json", *words, "host", "show", **more)
        self.assertEqual(done.returncode, 0, done.stderr)
        return json.loads(done.stdout)["name"]

    def test_directory_socket_and_name_are_the_same_host(self):
        one = self.host("one")
        self.host("two")
        for said in (one.state, f"{one.state}/", one.state / "control.sock", "one"):
            self.assertEqual(self.name_of("--host", said), "one", said)
            self.assertEqual(self.name_of(host=said), "one", said)
        self.assertEqual(self.name_of("--host", "./one", cwd=self.folder), "one")

    def test_the_only_host_of_this_user_needs_no_name_and_of_several_one_must_be_said(self):
        self.host("one")
        self.assertEqual(self.name_of(), "one")
        two = self.host("two")
        done = vferry("host", "show")
        self.assertEqual((done.returncode, done.stdout), (USAGE, ""))
        self.assertEqual(done.stderr, "vferry: which host? one, two run here; say e.g. --host one\n")
        two.kill()
        self.assertEqual(self.name_of(), "one")  # whoever ended without a word does not count
        two.start()

    def test_a_host_that_ended_is_forgotten(self):
        one = self.host("one")
        one.run("host", "stop")
        done = vferry("host", "show")
        self.assertEqual(done.returncode, USAGE, done.stderr)
        self.assertIn("which host? none of yours runs here", done.stderr)

    def test_a_name_that_nobody_has_is_told_with_those_there_are(self):
        self.host("one")
        done = vferry("--host", "onne", "--timeout", "100ms", "host", "show")
        self.assertEqual((done.returncode, done.stdout), (UNREACHABLE, ""))
        self.assertIn("there is one", done.stderr)

    def test_a_second_host_of_a_name_serves_by_its_directory(self):
        one = self.host("one")
        other = self.host("other")
        other.stop()
        other.name = "one"
        other.start()
        self.assertEqual(self.name_of("--host", other.state), "one")
        self.assertIn(f'another one of this name runs, {one.state}/control.sock); reach it with "vferry --host {other.state}"', other.log())
        self.assertEqual(json.loads(vferry("--json", "--host", "one", "host", "show").stdout)["pid"], one.process.pid)


class ComingUp(Case):
    def start_late(self, name, command):
        """The command begins before there is such a host, as after "vferryd ... &" in the line before."""
        process = subprocess.Popen([BUILD / "vferry", "--json", "--host", str(command), "host", "show"], text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.addCleanup(process.kill)
        self.host(name)
        out, err = process.communicate(timeout=60)
        return process.returncode, out, err

    def test_a_host_that_is_just_started_is_waited_for(self):
        for name, said in (("one", self.folder / "one"), ("two", "two"), ("three", self.folder / "three" / "control.sock")):
            code, out, err = self.start_late(name, said)
            self.assertEqual(code, 0, err)
            self.assertEqual(json.loads(out)["name"], name)

    def test_a_daemon_that_starts_slowly_is_told_after_a_second(self):
        one = self.host("one")
        one.kill()
        (one.state / "control.sock").unlink()
        done = vferry("--host", one.state, "--timeout", "3s", "host", "show")
        self.assertEqual(done.returncode, UNREACHABLE)
        self.assertIn(f'start one with "vferryd --state {one.state}"', done.stderr)
        one.start()
        # Its daemon is there, and its socket is not (yet).
        (one.state / "control.sock").rename(one.state / "away.sock")
        done = vferry("--host", one.state, "--timeout", "2s", "host", "show")
        (one.state / "away.sock").rename(one.state / "control.sock")
        self.assertEqual(done.returncode, UNREACHABLE)
        word, end = done.stderr.splitlines()
        self.assertEqual(word, f"vferry: waiting for host {one.state} to come up; Ctrl-C gives up")
        self.assertIn(f"vferryd (pid {one.process.pid}) is there and takes no connection", end)

    def test_where_no_host_can_come_nobody_waits(self):
        done = vferry("--host", "/nonexistent/deep", "host", "show")
        self.assertEqual((done.returncode, done.stdout, len(done.stderr.splitlines())), (UNREACHABLE, "", 1), done.stderr)


class FirstSession(Case):
    def test_the_first_session_of_the_readme_works_pasted_as_a_block(self):
        text = (ROOT / "README.md").read_text(encoding="utf-8")
        section = text.split("## A first session by hand")[1].split("\n## ")[0]
        block = re.search(r"\n((?:    .*\n)(?:    .*\n|\n)*)", section)[1]
        self.assertIn("vferryd --background --name A", block)
        self.assertIn("host stop --force", block)
        for old, new in (("build/", f"{BUILD}/"), ("/tmp/A", str(self.folder / "A")), ("/tmp/B", str(self.folder / "B")),
                         ("127.0.0.1:7001", f"127.0.0.1:{free_port()}"), ("127.0.0.1:7002", f"127.0.0.1:{free_port()}")):
            block = block.replace(old, new)
        # A loaded machine may need a longer pause than the default allows; that is not what is tried here.
        block = re.sub(r"( migrate p1 --to \S+)", rf"\1 --max-blackout {BLACKOUT_MS}", block)
        for name in ("A", "B"):  # whatever becomes of the block, its hosts end with the test
            self.addCleanup(vferry, "--host", self.folder / name, "--timeout", "60s", "host", "stop", "--force")
        # To a file: the hosts keep a pipe open for as long as they live.
        with open(self.folder / "session.log", "w+", encoding="utf-8") as log:
            code = subprocess.run(["bash", "-e", "-c", block], stdout=log, stderr=log, timeout=240, check=False, stdin=subprocess.DEVNULL).returncode
            log.seek(0)
            said = log.read()
        self.assertEqual(code, 0, f"{block}\n{said}")
        digests = set(re.findall(r"xxh3-128:[0-9a-f]{32}", said.split("VRAM proven equal")[1].split("\n", 1)[1]))
        self.assertEqual(len(digests), 1, said)


class Targets(Case):
    """Another host may be said by its name wherever HOST:PORT is."""

    def said(self, *words, code=0, hosts=None):
        environment = {**os.environ, **({"VFERRY_HOSTS": str(hosts)} if hosts else {})}
        done = subprocess.run([BUILD / "vferry", "--json", "--host", "one", *words], capture_output=True, text=True, timeout=120,
                              check=False, env=environment)
        self.assertEqual(done.returncode, code, done.stderr)
        return json.loads(done.stdout)

    def test_the_name_of_a_host_that_runs_here(self):
        one, two = self.host("one"), self.host("two")
        one.run("partition", "create", "p", "--adapter", 0, "--vram", "8M")
        self.assertEqual(self.said("peer", "show", "two")["address"], two.address)
        self.assertEqual(self.said("check", "p", "--to", "two")["target"], two.address)
        self.assertEqual(self.said("migrate", "p", "--to", "two")["status"], "completed")

    def test_the_hosts_file_says_where_and_comes_first(self):
        self.host("one")
        two = self.host("two")
        file = self.folder / "hosts"
        file.write_text(f"[far]\naddress = {two.address}\n[two]\naddress = 127.0.0.1:1\n[near]\nsocket = {two.state}\n", encoding="utf-8")
        self.assertEqual(self.said("peer", "show", "far", hosts=file)["name"], "two")
        self.assertIn("127.0.0.1:1", self.said("peer", "show", "two", hosts=file, code=1)["text"])
        done = subprocess.run(
            [BUILD / "vferry", "--json", "--host", "near", "host", "show"], capture_output=True, text=True, timeout=120, check=False,
            env={**os.environ, "VFERRY_HOSTS": str(file)})
        self.assertEqual(json.loads(done.stdout)["name"], "two")

    def test_a_name_that_nobody_has_and_a_file_that_is_wrong_are_told(self):
        self.host("one")
        told = self.said("peer", "show", "nobody", code=USAGE)
        self.assertEqual(told["text"], "host nobody: no port, and nobody is called so")
        file = self.folder / "hosts"
        file.write_text("[two]\nport = 7\n", encoding="utf-8")
        self.assertIn(f"hosts file {file}, line 2: port: no such key", self.said("peer", "show", "two", code=USAGE, hosts=file)["text"])


if __name__ == "__main__":
    unittest.main()
