# SPDX-License-Identifier: Apache-2.0
"""The command line's manners: what is wrong is said in one line on stderr with the right exit code; stdout is for answers."""
import json
import os
import pathlib
import socket
import subprocess
import unittest

from e2e import BUILD, DEVICE, Case, churn, create, finish, move, partitions, pgm, steps
from harness import Failed, Host, reference, wait_until

USAGE, REFUSED, UNREACHABLE, FAILED = 2, 3, 5, 1


def assert_error_object(test, done):
    """The one object on stdout says what the line on stderr says."""
    told = json.loads(done.stdout)
    test.assertEqual(list(told), ["schema", "code", "text", "remedy", "reasons"])
    test.assertEqual((told["schema"], told["code"]), ("vferry.error/1", done.returncode))
    remedy = "" if told["remedy"] is None else "; " + told["remedy"]
    test.assertEqual(done.stderr.splitlines()[-1], f"vferry: {told['text']}{remedy}")
    test.assertEqual(told["reasons"], [])
    return told


class Line(Case):
    """Needs no host: the line itself is wrong, or there is no host."""

    def vferry(self, *words, host="/nonexistent/deep/control.sock"):
        environment = {key: value for key, value in os.environ.items() if key != "VFERRY_HOST"}
        command = [str(BUILD / "vferry"), *(["--host", host] if host else []), *map(str, words)]
        return subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            env=environment,
            stdin=subprocess.DEVNULL,
        )

    def assert_one_line(self, done, code, what):
        self.assertEqual(done.returncode, code, f"{what}: {done.stderr}{done.stdout}")
        if "--json" in done.args[: done.args.index("--") if "--" in done.args else None]:
            assert_error_object(self, done)
        else:
            self.assertEqual(done.stdout, "", what)
        self.assertEqual(len(done.stderr.splitlines()), 1, f"{what}: {done.stderr}")
        self.assertTrue(done.stderr.startswith("vferry: "), done.stderr)

    WRONG = [
        [],
        ["nonsense"],
        ["host"],
        ["host", "nonsense"],
        ["host", "show", "more"],
        ["host", "show", "--nonsense"],
        ["host", "stop", "--force=1"],
        ["adapter"],
        ["adapter", "show"],
        ["adapter", "show", "x"],
        ["adapter", "show", "-1"],
        ["adapter", "list", "0"],
        ["partition", "create"],
        ["partition", "create", "p"],
        ["partition", "create", "p", "--adapter", "0"],
        ["partition", "create", "p", "--vram", "1G"],
        ["partition", "create", "p", "--adapter", "x", "--vram", "1G"],
        ["partition", "create", "p", "--adapter", "0", "--vram", "lots"],
        ["partition", "create", "p", "--adapter", "0", "--vram", "1G", "--vram", "2G"],
        ["partition", "create", "p", "--adapter", "0", "--vram", "99999999999G"],
        ["partition", "create", "p", "--adapter", "0", "--vram"],
        ["partition", "show"],
        ["partition", "show", ""],
        ["partition", "show", "p", "q"],
        ["partition", "pause"],
        ["partition", "resume"],
        ["partition", "remove"],
        ["partition", "list", "x"],
        ["run"],
        ["run", "p"],
        ["run", "p", "nonsense"],
        ["run", "p", "churn", "--size", "x", "--steps", "1"],
        ["run", "p", "churn", "--size", "1M", "--steps", "0"],
        ["run", "p", "churn", "--size", "1M", "--steps", "1", "--n", "3"],
        ["run", "p", "gemm", "--n", "0", "--steps", "1"],
        ["run", "p", "diffuse", "--steps", "1"],
        ["wait"],
        ["wait", "p", "--timeout"],
        ["wait", "p", "--timeout", "soon"],
        ["read", "p"],
        ["read", "p", "--output"],
        ["read", "--output", "f"],
        ["reference"],
        ["reference", "nonsense"],
        ["reference", "churn"],
        ["reference", "gemm", "--n", "8"],
        ["reference", "diffuse", "--steps", "1"],
        ["check"],
        ["check", "p"],
        ["check", "p", "--to"],
        ["migrate"],
        ["migrate", "p"],
        ["migrate", "--to", "127.0.0.1:1"],
        ["migrate", "p", "--to", "127.0.0.1:1", "--max-blackout", "-5"],
        ["migrate", "p", "--to", "127.0.0.1:1", "--bandwidth", "fast"],
        ["migrate", "p", "--to", "127.0.0.1:1", "--nonsense"],
        ["job"],
        ["job", "show"],
        ["job", "show", "x"],
        ["job", "watch"],
        ["job", "cancel"],
        ["job", "cancel", "1", "2"],
        ["job", "list", "1"],
        ["driver", "show"],
        ["driver", "show", "x"],
        ["events", "--follow=yes"],
        ["events", "now"],
        ["--nonsense"],
        ["--host"],
    ]

    def test_wrong_words_of_every_verb_are_usage(self):
        for words in self.WRONG:
            with self.subTest(words=words):
                self.assert_one_line(self.vferry(*words), USAGE, words)
                if words[-1:] != ["--host"]:
                    self.assert_one_line(self.vferry("--json", *words), USAGE, words)

    def test_no_host_named_is_usage_and_says_how(self):
        done = self.vferry("host", "show", host=None)
        self.assert_one_line(done, USAGE, "no host")
        self.assertIn("VFERRY_HOST", done.stderr)

    REQUESTS = [
        ["host", "show"],
        ["host", "stop"],
        ["adapter", "list"],
        ["adapter", "show", "0"],
        ["partition", "create", "p", "--adapter", "0", "--vram", "1G"],
        ["partition", "list"],
        ["partition", "show", "p"],
        ["partition", "pause", "p"],
        ["partition", "resume", "p"],
        ["partition", "remove", "p"],
        ["run", "p", "churn", "--size", "1M", "--steps", "1"],
        ["wait", "p"],
        ["check", "p", "--to", "127.0.0.1:1"],
        ["migrate", "p", "--to", "127.0.0.1:1"],
        ["job", "list"],
        ["job", "show", "1"],
        ["job", "watch", "1"],
        ["job", "cancel", "1"],
        ["driver", "show", "0"],
        ["events"],
    ]

    def test_an_unreachable_daemon_is_exit_5_for_every_verb(self):
        for words in self.REQUESTS:
            with self.subTest(words=words):
                self.assert_one_line(self.vferry(*words), UNREACHABLE, words)
                self.assert_one_line(self.vferry("--json", *words), UNREACHABLE, words)

    def test_reading_from_an_unreachable_daemon_leaves_no_file(self):
        self.assert_one_line(
            self.vferry("read", "p", "--output", self.folder / "out"), UNREACHABLE, "read"
        )
        self.assertFalse((self.folder / "out").exists())

    def test_help_and_version_are_answers(self):
        verbs = [
            words[:2]
            if words[0] in ("host", "adapter", "partition", "job", "driver")
            else words[:1]
            for words in self.REQUESTS
        ]
        for words in (
            [],
            *verbs,
            ["save"],
            ["restore"],
            ["image", "info"],
            ["job", "resolve"],
            ["driver", "update"],
            ["read"],
            ["reference"],
        ):
            done = self.vferry(*words, "--help", host=None)
            self.assertEqual((done.returncode, done.stderr), (0, ""), words)
            self.assertIn("vferry", done.stdout)
            self.assertIn(
                "example: vferry",
                done.stdout.replace("vferry --host A ", "vferry "),
                words,
            )
        done = self.vferry("--version", host=None)
        self.assertEqual((done.returncode, done.stderr), (0, ""))

    def test_reference_needs_no_host_and_says_the_digest(self):
        done = self.vferry("--json", "reference", "fill", "--size", "64K", "--seed", 1, host=None)
        self.assertEqual(done.returncode, 0, done.stderr)
        told = json.loads(done.stdout)
        self.assertEqual((told["workload"], told["steps"]), ("fill", 1))
        self.assertRegex(told["digest"], r"^xxh3-128:[0-9a-f]{32}$")

    def test_a_picture_that_is_none_is_refused(self):
        bad = self.folder / "bad.pgm"
        bad.write_bytes(b"P5\n9999 9999\n255\n")
        done = self.vferry("reference", "diffuse", "--input", bad, "--steps", 1, host=None)
        self.assert_one_line(done, done.returncode, "bad picture")
        self.assertIn(done.returncode, (FAILED, USAGE))
        self.assert_one_line(
            self.vferry(
                "reference", "diffuse", "--input", self.folder / "none", "--steps", 1, host=None
            ),
            FAILED,
            "no picture",
        )


class Daemon(Case):
    """vferryd's own command line."""

    def vferryd(self, *words):
        return subprocess.run(
            [str(BUILD / "vferryd"), *[str(word) for word in words]],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            stdin=subprocess.DEVNULL,
        )

    def test_wrong_words_are_usage(self):
        state = ["--state", self.folder / "state"]
        for words in (
            [],
            ["--nonsense"],
            ["--state"],
            [*state, "more"],
            [*state, "--name", "bad name"],
            [*state, "--listen"],
            [*state, "--listen", "0.0.0.0:0"],
            [*state, "--listen", "nowhere"],
            [*state, "--config", self.folder / "none.ini"],
        ):
            with self.subTest(words=words):
                done = self.vferryd(*words)
                self.assertEqual(
                    (done.returncode, done.stdout), (USAGE, ""), f"{words}: {done.stderr}"
                )
                self.assertTrue(done.stderr.splitlines()[-1].startswith("vferryd: "), done.stderr)

    def test_devices_that_cannot_be_are_refused_with_the_reason(self):
        for device in (
            "nonsense",
            "softgpu,vram=1",
            "softgpu,vfs=0",
            "softgpu,dirty-page=3K",
            "softgpu,color=red",
            "softgpu,fw=x",
        ):
            with self.subTest(device=device):
                done = self.vferryd(
                    "--state", self.folder / device.replace("/", "-"), "--device", device
                )
                self.assertNotEqual(done.returncode, 0)
                self.assertEqual(done.stdout, "")
                self.assertIn(device.split(",")[-1].split("=")[0], done.stderr.splitlines()[-1])

    def kernel_sides(self, state):
        """The kernel sides that run on a state directory."""
        found = []
        for process in pathlib.Path("/proc").glob("[0-9]*"):
            try:
                words = (process / "cmdline").read_bytes().decode(errors="replace").split("\0")
            except (FileNotFoundError, ProcessLookupError):
                continue  # it has ended meanwhile
            if words[0].endswith("vferry-kernel") and str(state) in words:
                found.append(int(process.name))
        return found

    def assert_failed_start_leaves_nothing(self, host_name, *words):
        """It says why in one line, and its state directory serves the next start, with other devices, at once."""
        state = self.folder / host_name
        done = self.vferryd("--state", state, "--device", "softgpu,vram=64M", *words)
        self.assertEqual(done.returncode, FAILED, done.stderr)
        self.assertTrue(done.stderr.splitlines()[-1].startswith("vferryd: "), done.stderr)
        self.assertEqual(self.kernel_sides(state), [], done.stderr)
        return done

    def test_a_start_that_fails_at_a_busy_address_starts_no_kernel_side(self):
        (self.folder / "busy").mkdir(mode=0o700)
        with socket.create_server(("127.0.0.1", 0)) as taken:
            address = f"127.0.0.1:{taken.getsockname()[1]}"
            done = self.assert_failed_start_leaves_nothing("busy", "--listen", address)
            self.assertIn(address, done.stderr.splitlines()[-1])
            self.assertFalse((self.folder / "busy" / "kernel.log").exists(), done.stderr)
        self.start_at("busy", address)

    def test_a_start_that_fails_later_ends_the_kernel_side_it_started(self):
        state = self.folder / "later"
        (state / "control.sock" / "in-the-way").mkdir(mode=0o700, parents=True)
        state.chmod(0o700)
        done = self.assert_failed_start_leaves_nothing("later", "--listen", "127.0.0.1:0")
        self.assertIn("started the kernel side", done.stderr)
        (state / "control.sock" / "in-the-way").rmdir()
        (state / "control.sock").rmdir()
        self.start_at("later", "127.0.0.1:0")

    def test_a_start_that_fails_leaves_a_kernel_side_that_it_found(self):
        host = self.host("found")
        create(host, "p")
        kernel, address = host.kernel_pid, host.address
        host.kill()
        with socket.create_server(("127.0.0.1", 0)) as taken:
            host.listen_wish = f"127.0.0.1:{taken.getsockname()[1]}"
            with self.assertRaises(Failed):
                host.start()
        self.assertEqual(self.kernel_sides(host.state), [kernel])
        host.listen_wish = address
        host.start()
        self.assertEqual((host.kernel_pid, partitions(host)), (kernel, ["p"]))

    def start_at(self, name, address):
        """The same directory again, asked for other devices: whatever was left running would refuse it."""
        host = Host(BUILD, name, (DEVICE,), state=self.folder / name, listen=address)
        self.hosts.append(host)
        self.addCleanup(self.end, host)
        host.start()


class Answers(Case):
    """With a host."""

    def setUp(self):
        super().setUp()
        self.one = self.host("one", DEVICE)

    def fails(self, *words, code=FAILED, says=None):
        for prefix in ([], ["--json"]):
            done = self.one.run(*prefix, *words, code=code)
            if prefix:
                assert_error_object(self, done)
            else:
                self.assertEqual(done.stdout, "", words)
            self.assertEqual(len(done.stderr.splitlines()), 1, f"{words}: {done.stderr}")
            if says:
                self.assertIn(says, done.stderr)

    def test_what_is_not_there_is_exit_1_in_one_line(self):
        for words in (
            ["partition", "show", "ghost"],
            ["partition", "pause", "ghost"],
            ["partition", "resume", "ghost"],
            ["partition", "remove", "ghost"],
            ["wait", "ghost"],
            ["run", "ghost", "churn", "--size", "1M", "--steps", "1"],
            ["check", "ghost", "--to", "127.0.0.1:1"],
            ["migrate", "ghost", "--to", "127.0.0.1:1"],
        ):
            self.fails(*words, says="ghost")
        for words in (["job", "show", "77"], ["job", "watch", "77"], ["job", "cancel", "77"]):
            self.fails(*words, says="77")
        for words in (["adapter", "show", "5"], ["driver", "show", "5"]):
            self.fails(*words, code=USAGE, says="5")

    def test_partitions_that_cannot_be_are_refused(self):
        self.fails("partition", "create", "bad/name", "--adapter", 0, "--vram", "32M", code=USAGE)
        self.fails("partition", "create", "p", "--adapter", 9, "--vram", "32M", code=USAGE)
        self.fails("partition", "create", "p", "--adapter", 0, "--vram", "10G")
        self.fails("partition", "create", "p", "--adapter", 0, "--vram", "1", code=USAGE)
        self.assertEqual(partitions(self.one), [])
        create(self.one, "p")
        self.fails("partition", "create", "p", "--adapter", 0, "--vram", "32M", says="p")

    def test_work_that_cannot_be_is_refused(self):
        create(self.one, "p", vram="32M")
        for words in (
            ["churn"],
            ["churn", "--size", "1M"],
            ["churn", "--size", "1000", "--steps", "1"],
            ["fill"],
            ["gemm", "--n", "8"],
        ):
            self.fails("run", "p", *words, code=USAGE)
        self.fails("wait", "p", says="p")
        self.fails("run", "p", "fill", "--size", "64M", says="p")
        self.fails("read", "p", "--output", self.folder / "out", says="p")
        self.one.run("run", "p", *churn(30).words())
        self.fails("run", "p", *churn(1).words(), says="p")
        self.fails("wait", "p", "--timeout", 0, says="p")
        self.one.run("partition", "pause", "p")
        self.one.run("partition", "remove", "p")
        self.assertEqual(partitions(self.one), [])

    def test_a_picture_at_work_is_read_with_its_step(self):
        picture, now = pgm(self.folder / "p.pgm", 200, 100, seed=2), self.folder / "now.pgm"
        create(self.one, "p")
        self.one.run("run", "p", "diffuse", "--input", picture, "--steps", 1000000)
        self.fails("read", "p", "--output", now, says="not complete")
        wait_until("some steps", lambda: steps(self.one, "p") > 10)
        self.one.run("partition", "pause", "p")
        told = self.one.json("read", "p", "--now", "--output", now)
        self.assertIn(told["steps"], range(11, 1000000))
        self.assertIs(told["now"], True)
        reference(BUILD, "diffuse", "--input", picture, "--steps", told["steps"], output=self.folder / "want.pgm")
        self.assertEqual(now.read_bytes(), (self.folder / "want.pgm").read_bytes())
        create(self.one, "q", churn(30))
        self.fails("read", "q", "--now", "--output", self.folder / "q", says="churn")
        self.assertFalse((self.folder / "q").exists())

    def test_options_of_a_move_that_make_no_sense_are_usage(self):
        create(self.one, "p")
        for options in (
            ["--streams", 0],
            ["--streams", 99],
            ["--streams", "many"],
            ["--max-blackout", 0],
            ["--verify", "some"],
            ["--compress", "rot13"],
            ["--throttle", "none"],
            ["--throttle", "-5%"],
            ["--throttle", "0"],
            ["--throttle", "100%"],
        ):
            self.fails("migrate", "p", "--to", "127.0.0.1:1", *options, code=USAGE)
        done = self.one.run("migrate", "p", "--to", "nowhere", code=USAGE)
        self.assertEqual(len(done.stderr.splitlines()), 1, done.stderr)

    def test_json_is_one_object_with_a_schema_and_nothing_else(self):
        other = self.host("other", DEVICE)
        picture = pgm(self.folder / "p.pgm", 33, 21, seed=1)
        work = churn(0.3)
        create(self.one, "p")
        verbs = [
            ["host", "show"],
            ["adapter", "list"],
            ["adapter", "show", 0],
            ["partition", "list"],
            ["partition", "show", "p"],
            ["partition", "pause", "p"],
            ["partition", "resume", "p"],
            ["partition", "create", "q", "--adapter", 0, "--vram", "32M"],
            ["run", "q", "diffuse", "--input", picture, "--steps", 3],
            ["wait", "q"],
            ["read", "q", "--output", self.folder / "q.pgm"],
            ["partition", "remove", "q"],
            ["run", "p", *work.words()],
            ["check", "p", "--to", other.address],
            ["migrate", "p", "--to", other.address, "--dry-run"],
            ["migrate", "p", "--to", other.address],
            ["job", "list"],
            ["driver", "show", 0],
            ["events"],
            ["job", "show", 2],
            ["job", "watch", 2],
        ]
        schemas = {}
        for words in verbs:
            done = self.one.run("--json", *words)
            self.assertEqual(done.stderr, "", words)
            told = json.loads(done.stdout)
            self.assertIsInstance(told, dict)
            self.assertRegex(told["schema"], r"^vferry\.[a-z]+/1$", words)
            schemas[" ".join(map(str, words[:2]))] = told
        self.assertEqual(
            set("name pid kernel_pid listen version".split()) - set(schemas["host show"]), set()
        )
        self.assertEqual(
            set("name uuid adapter vf_index luid vram_bytes state steps epoch".split())
            - set(schemas["partition show"]),
            set(),
        )
        self.assertEqual(set("workload steps digest".split()) - set(schemas["wait q"]), set())
        self.assertEqual(finish(other, "p"), work.want())
        self.assertEqual((self.folder / "q.pgm").read_bytes()[:2], b"P5")

    def test_a_failed_move_with_json_is_one_object_that_says_so(self):
        create(self.one, "p")
        done = self.one.run("--json", "migrate", "p", "--to", "127.0.0.1:1", code=FAILED)
        told = json.loads(done.stdout)
        self.assertEqual(told["status"], "failed")
        self.assertTrue(told["reason"])
        self.assertEqual((told["error"]["schema"], told["error"]["code"]), ("vferry.error/1", FAILED))
        self.assertTrue(done.stderr.startswith(f"vferry: {told['error']['text']}"), done.stderr)

    def test_a_refused_move_with_json_has_the_reasons_in_its_error(self):
        other = self.host("other", "softgpu,vram=256M,vfs=4,dirty-page=4K")
        create(self.one, "p")
        for verb in ("check", "migrate"):
            done = self.one.run("--json", verb, "p", "--to", other.address, code=REFUSED)
            told = json.loads(done.stdout)
            self.assertTrue(told["reasons"])
            self.assertEqual(told["error"]["reasons"], told["reasons"])
            self.assertEqual(told["error"]["code"], REFUSED)

    def test_what_is_no_utf_8_is_an_object_all_the_same(self):
        done = subprocess.run(
            [str(BUILD / "vferry"), "--json", b"nix\xff"], capture_output=True, check=False
        )
        self.assertEqual(done.returncode, USAGE)
        self.assertEqual(json.loads(done.stdout)["code"], USAGE)

    def test_a_move_without_a_terminal_writes_plain_lines(self):
        other = self.host("other", DEVICE)
        create(self.one, "p", churn(1))
        done = move(self.one, other, "p", json=False)
        self.assertNotIn("\r", done.stdout + done.stderr)
        self.assertNotIn("\x1b", done.stdout + done.stderr)
        self.assertIn("blackout", done.stdout)

    def into(self, stdout, *words):
        """Runs a verb whose stdout takes nothing: "full", "left" (no reader) or "closed"."""
        command = [str(BUILD / "vferry"), "--host", str(self.one.state / "control.sock")]
        command += [str(word) for word in words]
        keep = dict(stderr=subprocess.PIPE, text=True, timeout=120, check=False)
        if stdout == "closed":
            return subprocess.run(["sh", "-c", 'exec "$@" >&-', "sh", *command], **keep)
        if stdout == "full":
            with open("/dev/full", "wb", buffering=0) as full:
                return subprocess.run(command, stdout=full, **keep)
        reader, writer = os.pipe()
        os.close(reader)
        try:
            return subprocess.run(command, stdout=writer, **keep)
        finally:
            os.close(writer)

    def assert_told_of_stdout(self, done, stdout, what):
        lines = done.stderr.splitlines()
        if stdout == "left":
            self.assertEqual(lines, [], what)
        else:
            self.assertEqual(len(lines), 1, f"{what}: {done.stderr}")
            self.assertIn("stdout", lines[0], what)

    def test_what_was_done_is_exit_0_though_stdout_takes_nothing(self):
        other = self.host("other", DEVICE)
        for stdout in ("full", "left", "closed"):
            for json_too in ([], ["--json"]):
                with self.subTest(stdout=stdout, json=json_too):
                    name = stdout + str(len(json_too))
                    words = ["partition", "create", name, "--adapter", 0, "--vram", "32M"]
                    done = self.into(stdout, *json_too, *words)
                    self.assertEqual(done.returncode, 0, done.stderr)
                    self.assert_told_of_stdout(done, stdout, words)
                    self.assertIn(name, partitions(self.one))
                    words = ["migrate", name, "--to", other.address]
                    done = self.into(stdout, *json_too, *words)
                    self.assertEqual(done.returncode, 0, done.stderr)
                    self.assert_told_of_stdout(done, stdout, words)
                    self.assertIn(name, partitions(other))
                    self.assertNotIn(name, partitions(self.one))
                    other.run("partition", "remove", name)

    def test_what_only_shows_is_exit_1_when_stdout_takes_nothing(self):
        other = self.host("other", DEVICE)
        create(self.one, "p")
        for stdout in ("full", "left", "closed"):
            for words in (
                ["host", "show"],
                ["--json", "partition", "show", "p"],
                ["migrate", "p", "--to", other.address, "--dry-run"],
                ["--help"],
            ):
                with self.subTest(stdout=stdout, words=words):
                    done = self.into(stdout, *words)
                    self.assertEqual(done.returncode, FAILED, done.stderr)
                    self.assert_told_of_stdout(done, stdout, words)

    def test_a_refusal_keeps_its_code_when_stdout_takes_nothing(self):
        other = self.host("other", "softgpu,vram=256M,vfs=4,dirty-page=4K")
        create(self.one, "p")
        for stdout in ("full", "left", "closed"):
            for verb in ("check", "migrate"):
                done = self.into(stdout, "--json", verb, "p", "--to", other.address)
                self.assertEqual(done.returncode, REFUSED, f"{verb} {stdout}: {done.stderr}")
                self.assertEqual(len(done.stderr.splitlines()), 1, done.stderr)

    def test_the_environment_names_the_host(self):
        done = subprocess.run(
            [str(BUILD / "vferry"), "--json", "host", "show"],
            capture_output=True,
            text=True,
            timeout=30,
            check=True,
            env={**os.environ, "VFERRY_HOST": str(self.one.state / "control.sock")},
        )
        self.assertEqual(json.loads(done.stdout)["name"], "one")

    def test_the_state_directory_and_its_socket_are_the_owners_alone(self):
        self.assertEqual((self.one.state / "control.sock").stat().st_mode & 0o777, 0o600)
        self.assertEqual((self.one.state / "kernel.sock").stat().st_mode & 0o077, 0)


if __name__ == "__main__":
    unittest.main()
