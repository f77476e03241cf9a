# SPDX-License-Identifier: Apache-2.0
"""What a text tells people to do is done here, word for word, and must do what the text promises."""
import os
import re
import shlex
import signal
import socket
import struct
import subprocess
import unittest

import proxy
from e2e import BLACKOUT_MS, BUILD, Case, DEVICE, ROOT, at_once, begins, churn, create, finish, move, partitions, runs, state, stop
from gates import Gates
from harness import PATIENCE, Command, Failed, Host, pid_gone, wait_until
from proxy import IN, OUT, Point, Proxy
from wrong import await_event, events, go_wrong

TESTS_AT_ONCE = at_once(3)
ROOMS = ("base", "cli", "daemon", "dxgk", "kernel", "migrate", "transport", "guest", "devices", "drivers")
STRING = r'"(?:[^"\\\n]|\\.)*"'
PIECE = rf"{STRING}|VF_REMEDY|PRI[a-zA-Z]\w+"
COMMAND = re.compile(r'"((?:vferryd?|kill|systemctl|chmod|ulimit)\b[^"]*)"|\b(chmod \d+) it\b|see (vferryd? [^;]*--help)')

# Commands that the tests below follow, and the files whose texts name them.
FOLLOWED = {
    "vferry --host %s": "daemon/main.c",
    "vferry driver update %u --driver FILE": "dxgk/ddi/migration.c",  # test_driver_fails.py follows its second one
    "vferry host stop": "daemon/kernel/process.c",
    "vferry host stop --force": "cli/host/patience.c daemon/kernel/watchdog.c kernel/server.c",
    "vferry host uncordon": "daemon/cordon.c migrate/target/admit.c",
    "vferry adapter defrag %u": "dxgk/vram/reserve.c",
    "vferry job cancel %u": "daemon/verbs/verbs.c migrate/handoff/resolve.c",
    "vferry job resolve %u": "daemon/verbs/verbs.c migrate/handoff/resolve.c migrate/job/ending.c migrate/mig.c",
    "vferry job show %u": "cli/move/migrate.c daemon/verbs/verbs.c migrate/handoff/resolve.c migrate/mig.c",
    "vferry migrate %s --to %s": "migrate/job/job.c",
    "vferry partition %s %s": "dxgk/partition/hold.c",
    "vferry partition reset %s": "dxgk/partition/tdr.c",
    "vferry partition resume %s": "migrate/handoff/copy.c",  # what dxgk/partition/hold.c says, where the call did not get so far
    "vferry partition show %s": "migrate/handoff/resolve_rules.c",
    "vferry restore %s --input FILE --adapter N": "daemon/verbs/verbs.c",
    "vferry save NAME --output FILE": "migrate/image/codec.c migrate/image/read.c",
    "vferry cert init DIR": "daemon/config_machine.c transport/certificate.c",
    "vferry cert init %.200s": "cli/cert.c",
    "vferryd --state %.200s": "cli/host/find.c",
    "kill %d": "kernel/server_conn.c",
    "kill -CONT %d": "cli/host/patience.c daemon/kernel/watchdog.c kernel/client_connect.c",
    "chmod 600": "transport/tls_context.c",
    "chmod 700": "daemon/state_dir.c",
    "vferry --help": "cli/syntax/args.c",
    "vferry %s": "cli/host/patience.c",
    "vferry %s --help": "cli/syntax/args.c",
    "vferry %s%s--help": "cli/syntax/args.c",
    "vferry run --help": "daemon/verbs/guest.c",
    "vferryd --help": "daemon/config.c",
}
# Commands that only show something: each is followed on a host.
SHOWS = {"vferry partition list", "vferry job list", "vferry adapter list", "vferry events"}
# Texts that name no memory and no remedy, and why they need none.
NO_REMEDY = {
    ("base/fault.c", "out of memory"): "it is in the tests' build only",
    ("dxgk/ksr.c", "the OS has no memory for it"): "it is said to a driver",
    ("dxgk/ksr.c", "its MDL describes no memory"): "it is no want of memory",
}
# Commands that no test can follow, and why.
OPEN = {
    # It is said of a process that SIGKILL does not end: only a kernel that hangs makes one.
    "vferry host stop --force": "daemon/kernel/process.c",
}


def texts(source):
    """The texts of a C file, each put together from its pieces."""
    for text in re.finditer(rf"{STRING}(?:\s*(?:{PIECE}))*", source):
        pieces = re.findall(PIECE, text[0])
        yield "".join("; " if p == "VF_REMEDY" else "u" if p.startswith("PRI") else p[1:-1].replace('\\"', '"') for p in pieces)


def told(rooms=ROOMS):
    """Every text of the programs: the file that has it, and the text."""
    for room in rooms:
        for path in sorted((ROOT / room).rglob("*.c")):
            if "tests" in path.parts:
                continue
            for text in texts(re.sub(r"/\*.*?\*/", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)):
                yield str(path.relative_to(ROOT)), text


def named():
    """Command -> the files whose texts name it."""
    found = {}
    for path, text in told():
        for match in COMMAND.finditer(text):
            command = next(part for part in match.groups() if part)
            found.setdefault(command.removesuffix("\\n"), set()).add(path)
    return found


class Table(unittest.TestCase):
    def test_every_command_that_a_text_names_is_known_here(self):
        table = {(command, place) for rows in (FOLLOWED, OPEN) for command, places in rows.items() for place in places.split()}
        found = {(command, place) for command, places in named().items() for place in places if command not in SHOWS}
        self.assertEqual(found - table, set(), "follow it in a test here, and enter it in the table")
        self.assertEqual(table - found, set(), "no text names it any more")


    def test_a_text_about_memory_that_was_not_given_says_what_to_do(self):
        rooms = [room for room in ROOMS if room not in ("devices", "drivers")]  # what a driver says is no matter of the OS
        plain = {(path, text) for path, text in told(rooms) if re.search(r"\b(out of|no) memory\b", text, re.IGNORECASE) and "; " not in text}
        self.assertEqual(plain - NO_REMEDY.keys(), set(), "end it with VF_NO_MEMORY (base/error.h)")
        self.assertEqual(NO_REMEDY.keys() - plain, set(), "no such text any more")


class Followed(Case):
    def environment(self, host):
        """What was built is in front of the PATH, and the host, if one is meant, is the default."""
        env = {**os.environ, "PATH": f"{BUILD}:{os.environ['PATH']}"}
        return env if host is None else {**env, "VFERRY_HOST": str(host.state)}

    def follow(self, host, text, pattern, **values):
        """Runs the one command of the text that the pattern finds, in the test's folder; words in capitals get their values."""
        commands = re.findall(pattern, text)
        self.assertEqual(len(commands), 1, text)
        words = [str(values.get(word, word)) for word in shlex.split(commands[0])]
        done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=120 * PATIENCE, env=self.environment(host), cwd=self.folder)
        self.assertEqual(done.returncode, 0, f"{commands[0]}: {done.stderr}")
        return done.stdout

    def error(self, host, *words, code):
        """The error object of a command that is refused."""
        told = host.json(*words, code=code)
        return told.get("error", told)

    def test_what_only_shows_shows(self):
        host = self.host("left")
        for command in sorted(SHOWS):
            with self.subTest(command=command):
                self.follow(host, command, "^.*$")

    def test_help_is_where_it_is_said_to_be(self):
        host = self.host("left")
        for words in ("zebra", "partition", "host show now", "host show --force"):
            with self.subTest(words=words):
                told = self.error(host, *words.split(), code=2)
                self.assertIn("usage: vferry", self.follow(host, told["remedy"], r"see (vferry .*--help)"))
        refused = subprocess.run([BUILD / "vferryd", "--zebra"], capture_output=True, text=True, check=False)
        self.assertEqual(refused.returncode, 2)
        self.assertIn("usage: vferryd", self.follow(host, refused.stderr, r"see (vferryd --help)"))

    def test_a_cordoned_host_takes_in_partitions_again(self):
        host = self.host("left")
        host.run("host", "cordon")
        self.follow(host, self.error(host, "partition", "create", "p", "--adapter", 0, "--vram", "32M", code=7)["remedy"], '"(vferry [^"]*)"')
        create(host, "p")

    def test_a_target_that_is_cordoned_takes_it_in(self):
        left, right = self.pair()
        create(left, "p")
        right.run("host", "cordon")
        refused = left.run("check", "p", "--to", right.address, code=None)
        self.assertNotEqual(refused.returncode, 0)
        self.assertIn("the host takes in no partition", refused.stderr)
        self.follow(right, refused.stderr, '"(vferry host uncordon)"')
        left.run("check", "p", "--to", right.address)

    def test_a_defragmentation_makes_the_room_that_was_asked_for(self):
        host = self.host("left", "softgpu,vram=96M,vfs=8,dirty-page=64K,scatter=off")
        for name in ("a", "gap", "b"):
            create(host, name, vram="24M")
        host.run("partition", "remove", "gap")
        told = self.error(host, "partition", "create", "new", "--adapter", 0, "--vram", "32M", code=1)
        self.follow(host, told["remedy"], '"(vferry adapter defrag 0)"')
        create(host, "new", vram="32M")

    def test_a_job_that_is_in_the_way_is_cancelled(self):
        left, right = self.pair()
        create(left, "p", churn(600, size="16M"))
        moving = left.spawn("migrate", "p", "--to", right.address, "--bandwidth", "2M")
        wait_until("the job is there", lambda: left.json("job", "list")["jobs"])
        told = self.error(left, "partition", "remove", "p", code=1)
        forget = self.error(left, "job", "forget", left.json("job", "list")["jobs"][0]["job"], code=1)
        self.assertIn(forget["remedy"].removeprefix("end it with "), told["text"] + (told["remedy"] or ""))
        self.follow(left, forget["remedy"], '"(vferry job cancel [0-9]+)"')
        self.assertEqual(moving.wait(60), 4)
        moving.communicate()
        left.run("partition", "remove", "p")

    def start_fails(self, host):
        with self.assertRaises(Failed) as refused:
            host.start()
        return refused.exception.err

    def test_a_state_directory_that_others_may_write_to_is_closed_to_them(self):
        host = self.host("left")
        host.run("host", "stop")
        host.process.wait(30)
        host.state.chmod(0o777)
        chmod = re.search(r"chmod 700", self.start_fails(host))[0]
        subprocess.run([*chmod.split(), host.state], check=True)
        host.start()

    def test_a_kernel_side_with_another_device_is_used_as_it_is_and_then_ended(self):
        host = self.host("left")
        host.kill()
        kernel, asked = host.kernel_pid, ["softgpu,vram=128M,vfs=2,dirty-page=64K"]
        host.devices = asked
        said = next(line for line in self.start_fails(host).splitlines() if "asked for is" in line)
        self.assertIn("start without --device and --driver to use it as it is", said)
        host.devices = []
        host.start()
        self.assertEqual(host.kernel_pid, kernel)
        self.follow(host, said, '"(vferry host stop)"')
        host.process.wait(30)
        host.devices = asked
        host.start()
        self.assertEqual(host.json("adapter", "show", 0)["vf_free"], 2)

    def test_a_stopped_kernel_side_goes_on(self):
        host = self.host("left")
        create(host, "p")
        os.kill(host.kernel_pid, signal.SIGSTOP)
        said = host.run("partition", "pause", "p", code=None).stderr
        self.assertIn("what was asked for may still happen", said)
        self.follow(host, said.splitlines()[-1], '"(kill -CONT [0-9]+)"')
        wait_until("it answers", lambda: host.run("partition", "list", code=None).returncode == 0)
        self.assertIn(state(host, "p"), ("running", "paused"))

    def test_a_stopped_daemon_goes_on(self):
        host = self.host("left")
        stop(host.process)
        said = host.run("--timeout", 1, "partition", "list", code=5).stderr
        self.follow(host, said.splitlines()[-1], '"(kill -CONT [0-9]+)"')
        self.assertEqual(partitions(host), [])

    def test_a_signal_that_a_kernel_side_with_partitions_ignores_is_a_forced_stop_instead(self):
        host = self.host("left")
        create(host, "p")
        os.kill(host.kernel_pid, signal.SIGTERM)
        log = host.state / "kernel.log"
        wait_until("it says so", lambda: "ignored: partitions live here" in log.read_text())
        self.follow(host, log.read_text().splitlines()[-1], '"(vferry host stop --force)"')
        self.assertEqual(host.process.wait(30), 0)

    def cold(self, *words):
        """What vferry says of a command that needs no host and fails."""
        done = subprocess.run([BUILD / "vferry", *map(str, words)], capture_output=True, text=True, check=False, timeout=60 * PATIENCE)
        self.assertNotEqual(done.returncode, 0, done.stdout)
        return done.stderr

    def test_the_certificates_that_a_public_address_needs_are_made(self):
        host = Host(BUILD, "left", (DEVICE,), state=self.folder / "left", listen="0.0.0.0:0")
        host.state.mkdir(mode=0o700)
        self.addCleanup(self.end, host)
        self.follow(None, self.start_fails(host), '"(vferry cert init DIR)"')
        made = self.folder / "DIR"
        host.options = ["--tls-cert", made / "localhost.pem", "--tls-key", made / "localhost.key", "--tls-ca", made / "ca.pem"]
        host.options = [str(word) for word in host.options]
        host.start()

    def test_what_holds_no_certificate_is_told_from_one_that_is_made(self):
        told = self.cold("cert", "show", "/dev/null")
        self.follow(None, told, '"(vferry cert init DIR)"')
        made = re.search(r"e\.g\. ([^ ]*\.pem) of", told)[1]
        self.follow(None, f"vferry cert show {self.folder / 'DIR' / made}", "^.*$")

    def test_a_directory_without_ca_gets_one(self):
        folder = self.folder / "certs"
        folder.mkdir()
        for place in (folder, self.folder / "not-there"):
            with self.subTest(place=place):
                self.follow(None, self.cold("cert", "add", place, "--for", "b.example"), '"(vferry cert init [^"]*)"')
                self.follow(None, f"vferry cert add {place} --for b.example", "^.*$")

    def test_a_key_that_others_can_read_is_closed_to_them(self):
        host = self.host("left")
        host.run("host", "stop")
        host.process.wait(30)
        self.follow(None, "vferry cert init DIR", "^.*$")
        made = self.folder / "DIR"
        key = made / "localhost.key"
        key.chmod(0o644)
        host.options = ["--tls-cert", str(made / "localhost.pem"), "--tls-key", str(key), "--tls-ca", str(made / "ca.pem")]
        chmod = re.search(r"chmod 600", self.start_fails(host))[0]
        subprocess.run([*chmod.split(), key], check=True)
        host.start()

    def test_a_host_that_is_not_there_is_started(self):
        host = Host(BUILD, "fresh", state=self.folder / "fresh")  # never started by itself, but ended
        told = self.cold("--timeout", 1, "--host", host.state, "partition", "list")
        command = re.findall('"(vferryd --state [^"]*)"', told)
        self.assertEqual(len(command), 1, told)
        with open(self.folder / "fresh.log", "wb") as log:
            daemon = Command(shlex.split(command[0]), stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=self.environment(None))
        self.addCleanup(daemon.wait, 30)
        self.addCleanup(daemon.terminate)
        wait_until("it answers", lambda: host.run("host", "show", code=None).returncode == 0 or daemon.poll() is not None)
        create(host, "p")
        self.assertEqual(partitions(host), ["p"])
        host.run("host", "stop", "--force")
        self.assertEqual(daemon.wait(30), 0)

    def call(self, kernel, op, *numbers):
        """What the kernel side answers to a call with these 32-bit arguments."""
        kernel.send(struct.pack(f"=6I{len(numbers)}I", 0x43664B56, op, 1, 4 * len(numbers), 0, 0, *numbers))
        return kernel.recv(1 << 17)[24:].split(b"\0", 1)[0].decode(errors="replace").replace("\x1e", "; ")

    def newer_daemon(self, host):
        kernel = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.addCleanup(kernel.close)
        kernel.settimeout(60 * PATIENCE)
        kernel.connect(str(host.state / "kernel.sock"))
        return kernel

    def test_a_kernel_side_that_speaks_another_version_is_ended(self):
        host = self.host("left")
        host.kill()
        said = self.call(self.newer_daemon(host), 1, 1000, 1001)
        self.assertIn("the daemon speaks 1000..1001", said)
        kernel = host.kernel_pid
        self.follow(None, said, '"(kill [0-9]+)"')
        wait_until("it ends", lambda: pid_gone(kernel))
        host.start()
        self.assertNotEqual(host.kernel_pid, kernel)

    def test_a_partition_without_work_is_given_some(self):
        host = self.host("left")
        create(host, "p")
        example = re.search(r"^example: vferry (.*)$", self.follow(host, self.error(host, "wait", "p", code=1)["remedy"], '"(vferry run --help)"'), re.M)[1]
        self.assertEqual(example.split()[:3], ["run", "p1", "churn"])

    def test_what_is_no_image_is_told_from_one_that_is_saved_and_what_was_saved_is_brought_back(self):
        host = self.host("left")
        create(host, "p")
        image = self.folder / "p.image"
        for number, junk in enumerate(("/proc/self/comm", BUILD / "vferry")):
            self.follow(host, self.cold("image", "info", junk), '"(vferry save [^"]*)"', NAME="p", FILE=image)
            self.assertEqual(partitions(host), [])
            if number == 0:
                host.run("restore", "p", "--input", image, "--adapter", 0)
                image.unlink()
        told = self.error(host, "partition", "show", "p", code=1)
        self.assertIn(str(image), told["text"])
        self.follow(host, told["remedy"], '"(vferry restore [^"]*)"', FILE=image, N=0)
        self.assertEqual(partitions(host), ["p"])

    def test_a_hung_partition_is_reset(self):
        host = self.host("left")
        create(host, "p", churn(600))
        begins(host, "p")
        go_wrong(host, "p", "hang")
        await_event(host, "tdr", "a command hung")
        self.follow(host, next(text for text in events(host, "tdr") if "a command hung" in text), '"(vferry partition reset p)"')
        self.assertEqual(state(host, "p"), "running")

    def test_a_verb_that_was_given_up_is_looked_after(self):
        host = self.host("left")
        create(host, "p")
        stop(host.process)
        asked = host.spawn("partition", "pause", "p")
        asked.stderr.readline()  # that it waits: the request is out
        asked.send_signal(signal.SIGINT)
        said = asked.communicate(timeout=60)[1]
        self.assertEqual(asked.returncode, 130, said)
        host.process.send_signal(signal.SIGCONT)
        self.assertIn("p ", self.follow(host, said, 'given up here.*"(vferry [^"]*)"'))

    def moving(self):
        """A host, and the command of a move that takes longer than the test."""
        left, right = self.pair()
        create(left, "p", churn(600, size="16M"))
        moving = left.spawn("migrate", "p", "--to", right.address, "--bandwidth", "2M")
        wait_until("it is under way", lambda: left.json("job", "list")["jobs"] and left.json("job", "show", 1)["bytes_sent"])
        return left, moving

    def test_a_job_that_was_left_to_itself_is_shown(self):
        left, moving = self.moving()
        stop(left.process)  # the first Ctrl-C asks for the end, which does not come
        moving.send_signal(signal.SIGINT)
        said = moving.stderr.readline()
        moving.send_signal(signal.SIGINT)
        said += moving.communicate(timeout=60)[1]
        self.assertEqual(moving.returncode, 6, said)
        left.process.send_signal(signal.SIGCONT)
        self.assertRegex(self.follow(left, said, 'left to itself.*"(vferry job show [0-9]+)"'), "partition +p")

    def test_a_job_whose_daemon_went_away_is_shown_by_the_next_one(self):
        left, moving = self.moving()
        left.kill()
        said = moving.communicate(timeout=60)[1]
        self.assertEqual(moving.returncode, 6, said)
        left.start()
        self.assertIn("failed", self.follow(left, said, 'start vferryd again.*"(vferry job show [0-9]+)"'))

    def test_a_job_whose_daemon_died_in_its_first_phase_is_shown_by_the_next_one(self):
        host, gates = self.gated("left")
        create(host, "p")
        image = self.folder / "p.image"
        host.run("save", "p", "--output", image)
        gates.close("prepare")  # a restore stands there before its first record
        restoring = host.spawn("restore", "q", "--input", image, "--adapter", 0)
        wait_until("the driver prepares it", lambda: gates.stands_at("prepare") or restoring.poll() is not None, 60)
        host.kill()
        said = restoring.communicate(timeout=60)[1]
        self.assertEqual(restoring.returncode, 6, said)
        gates.open("prepare")
        host.start()
        shown = self.follow(host, said, 'start vferryd again.*"(vferry job show [0-9]+)"')
        self.assertIn("vferryd ended in its first phase, when nothing had come yet", shown)
        self.assertIn("failed", shown)
        self.assertEqual([job["status"] for job in host.json("job", "list", "--kind", "restore")["jobs"]], ["failed"])
        wait_until("nothing is left of it", lambda: not partitions(host))
        host.run("restore", "q", "--input", image, "--adapter", 0)

    def test_a_job_that_needs_no_word_is_shown(self):
        left, right = self.pair()
        create(left, "p")
        job = move(left, right, "p")["job"]
        told = self.error(left, "job", "resolve", job, "--source-runs", code=1)
        self.assertIn("completed", self.follow(left, told["remedy"], '"(vferry job show [0-9]+)"'))

    def test_a_hand_off_whose_peer_never_comes_back_is_settled(self):
        left, right = self.pair(options=["--redial", "3"])
        create(left, "p")
        with Proxy(right.address, Point("COMMIT", OUT, paused=True), proxy.cut_for_good) as way:
            said = left.run("migrate", "p", "--to", way.address, "--max-blackout", BLACKOUT_MS, code=6, timeout=180).stderr
        stop(right.process)
        told = self.error(left, "partition", "remove", "p", code=1)
        refused = self.error(left, "migrate", "p", "--to", right.address, code=1)  # who moves it says the same
        self.assertEqual(refused["remedy"], told["remedy"])
        self.follow(left, told["remedy"], '"(vferry job show [0-9]+)"')
        resolve = re.search('"(vferry job resolve [0-9]+)" and (--source-runs) or --target-runs', told["remedy"])
        self.assertIn(f'"{resolve[1]}"', said)
        # Who would rather forget it is told the same.
        self.assertIn(resolve[0], self.error(left, "job", "forget", resolve[1].split()[-1], code=1)["remedy"])
        said = left.run(*" ".join(resolve.groups()).split()[1:]).stderr
        wait_until("it runs", lambda: state(left, "p") == "running")
        right.process.send_signal(signal.SIGCONT)
        self.assertIn("could not be asked", said)
        self.assertRegex(self.follow(right, said, '"(vferry partition show p)" at host right'), "(?m)^state +(ready|incoming)")

    def test_a_kernel_side_that_does_not_answer_a_start_goes_on(self):
        host = self.host("left")
        host.kill()
        os.kill(host.kernel_pid, signal.SIGSTOP)
        said = next(line for line in self.start_fails(host).splitlines() if "did not answer" in line)
        self.follow(None, said, '"(kill -CONT [0-9]+)"')
        host.start()

    def late(self, point):
        """A move that stands where the record is, after COMMIT, until the way is open: the hosts, the way, and the command."""
        left, right = self.pair()
        create(left, "p", churn(600))
        way = Proxy(right.address, point, proxy.hold)
        self.addCleanup(way.close)
        moving = left.spawn("migrate", "p", "--to", way.address, "--max-blackout", BLACKOUT_MS)
        self.assertTrue(way.acted.wait(60 * PATIENCE))
        return left, right, way, moving

    def comes_back(self, left, right, way, moving, text):
        way.gate.set()
        self.assertEqual(moving.wait(60), 0)
        moving.communicate()
        self.follow(right, text, '"(vferry migrate p --to [^"]*)"')
        self.assertEqual((partitions(left), partitions(right)), (["p"], []))
        runs(left, "p")

    def test_a_move_that_is_too_late_to_cancel_at_the_source_is_undone_from_there(self):
        left, right, way, moving = self.late(Point("RUNNING", IN, paused=True))
        told = self.error(left, "job", "cancel", 1, code=1)
        self.comes_back(left, right, way, moving, told["remedy"])

    def test_a_move_that_is_too_late_to_cancel_at_the_target_is_undone_there(self):
        left, right, way, moving = self.late(Point("DONE", OUT, paused=True))
        told = self.error(right, "job", "cancel", 1, code=1)
        self.comes_back(left, right, way, moving, told["remedy"])

    def gated(self, name, *lacks):
        gates = Gates(self.folder / f"gates-{name}")
        for what in lacks:
            gates.lack(what)
        return self.host(name, options=gates.options, env=gates.env), gates

    def test_a_driver_that_cannot_migrate_is_replaced_by_one_that_can(self):
        left, _ = self.gated("left", "LiveMigration")
        create(left, "p")
        told = self.error(left, "save", "p", "--output", self.folder / "p.image", code=3)
        self.follow(left, told["remedy"], '"(vferry driver update 0 --driver FILE)"', FILE=BUILD / "drivers/softgpu.so")
        left.run("save", "p", "--output", self.folder / "p.image")

    def test_a_partition_that_stands_is_resumed(self):
        host, gates = self.gated("left")
        work = churn(0.3)
        create(host, "p", work)
        gates.fail("resume")
        told = self.error(host, "save", "p", "--keep", "--output", self.folder / "p.image", code=61)
        gates.work_again("resume")
        self.follow(host, told["remedy"], '"(vferry partition resume p)"')
        self.assertEqual((state(host, "p"), finish(host, "p")), ("running", work.want()))

    def test_a_host_whose_name_another_one_has_is_reached_by_its_directory(self):
        self.host("left")
        other = Host(BUILD, "left", (DEVICE,), state=self.folder / "other")
        other.state.mkdir(mode=0o700)
        self.addCleanup(self.end, other)
        said = next(line for line in other.start().log().splitlines() if "another one of this name runs" in line)
        command = re.search('"(vferry --host [^"]*)"', said)[1]
        self.assertIn(str(other.process.pid), self.follow(None, f"{command} host show", "^.*$"))

    def silence_of(self, host):
        """The event about a kernel side that does not answer."""
        def told():
            return [event["text"] for event in host.json("events")["events"] if "has not answered" in event["text"]]

        return wait_until("it is told", told, 60)[0]

    def test_a_kernel_side_that_stays_silent_is_ended_by_what_the_event_says(self):
        host = self.host("left")
        create(host, "p")
        os.kill(host.kernel_pid, signal.SIGSTOP)
        self.follow(host, self.silence_of(host), '"(vferry host stop --force)"')
        self.assertEqual(host.process.wait(30), 0)
        wait_until("it is gone", lambda: pid_gone(host.kernel_pid))

    def test_a_verb_that_waits_for_a_silent_kernel_side_says_how_to_end_it(self):
        host = self.host("left")
        create(host, "p")
        os.kill(host.kernel_pid, signal.SIGSTOP)
        self.silence_of(host)
        said = host.run("--timeout", 4, "partition", "pause", "p", code=5).stderr
        self.follow(host, said.splitlines()[-1], '"(vferry host stop --force)"')
        self.assertEqual(host.process.wait(30), 0)


if __name__ == "__main__":
    unittest.main()
