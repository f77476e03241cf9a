# SPDX-License-Identifier: Apache-2.0
"""What a text tells people to do is done here, word for word, and must do what the text promises."""
import os
import re
import shlex
import signal
import subprocess
import unittest

from e2e import BUILD, Case, ROOT, churn, create, partitions, state, stop
from harness import Failed, wait_until

ROOMS = ("base", "cli", "daemon", "dxgk", "kernel", "migrate", "transport", "guest", "devices", "drivers")
STRING = r'"(?:[^"\\\n]|\\.)*"'
PIECE = rf"{STRING}|VF_REMEDY|PRI[a-zA-Z]\w+"
COMMAND = re.compile(r'"((?:vferryd?|kill|systemctl|chmod|ulimit)\b[^"]*)"|\b(chmod \d+) it\b|see (vferryd? [^;]*--help)')

# Commands that the tests below follow, and the files whose texts name them.
FOLLOWED = {
    "vferry host stop": "daemon/kernel_process.c",
    "vferry host stop --force": "kernel/server.c",
    "vferry host uncordon": "daemon/cordon.c migrate/target_admit.c",
    "vferry adapter defrag %u": "dxgk/reserve.c",
    "vferry job cancel %llu": "daemon/verbs.c",
    "kill -CONT %d": "cli/patience.c daemon/watchdog.c",
    "chmod 700": "daemon/state_dir.c",
    "vferry --help": "cli/args.c",
    "vferry %s --help": "cli/args.c",
    "vferryd --help": "daemon/config.c",
}
# Commands that only show something: each is followed on a host.
SHOWS = {"vferry partition list", "vferry job list", "vferry adapter list", "vferry events"}
# Commands that no test takes out of these texts yet.
OPEN = {
    "chmod 600": "transport/tls_context.c",
    "kill -CONT %d": "kernel/client_connect.c",
    "vferry %s": "cli/patience.c",
    "vferry %s%s--help": "cli/args.c",
    "vferry --host %s": "daemon/main.c",
    "vferry adapter defrag": "dxgk/partition.c",
    "vferry cert init": "cli/cert.c daemon/config_machine.c transport/certificate.c",
    "vferry check": "cli/verb_table.c",
    "vferry driver update %u --driver FILE": "dxgk/ddi_migration.c",
    "vferry host stop": "kernel/client.c kernel/server_conn.c",
    "vferry host stop --force": "cli/patience.c daemon/kernel_process.c daemon/watchdog.c",
    "vferry job": "cli/verb_table.c",
    "vferry job resolve %llu": "daemon/verbs.c migrate/ending.c migrate/mig.c",
    "vferry job show %llu": "daemon/verbs.c migrate/mig.c",
    "vferry job show %u": "cli/migrate.c migrate/resolve.c",
    "vferry migrate %s --to %s": "migrate/job.c",
    "vferry partition %s %s": "dxgk/hold.c",
    "vferry partition reset %s": "dxgk/tdr.c",
    "vferry partition resume %s": "migrate/handoff.c",
    "vferry partition resume NAME": "migrate/handoff.c",
    "vferry restore %s --input FILE --adapter N": "daemon/verbs.c",
    "vferry run %s ...": "daemon/verbs_guest.c",
    "vferry save": "migrate/image_read.c",
    "vferryd --state %.200s": "cli/find_host.c",
}


def texts(source):
    """The texts of a C file, each put together from its pieces."""
    for text in re.finditer(rf"{STRING}(?:\s*(?:{PIECE}))*", source):
        pieces = re.findall(PIECE, text[0])
        yield "".join("; " if p == "VF_REMEDY" else "u" if p.startswith("PRI") else p[1:-1].replace('\\"', '"') for p in pieces)


def named():
    """Command -> the files whose texts name it."""
    found = {}
    for room in ROOMS:
        for path in sorted((ROOT / room).rglob("*.c")):
            if "tests" in path.parts:
                continue
            for text in texts(re.sub(r"/\*.*?\*/", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)):
                for match in COMMAND.finditer(text):
                    command = next(part for part in match.groups() if part)
                    found.setdefault(command.removesuffix("\\n"), set()).add(str(path.relative_to(ROOT)))
    return found


class Table(unittest.TestCase):
    def test_every_command_that_a_text_names_is_known_here(self):
        table = {(command, place) for rows in (FOLLOWED, OPEN) for command, places in rows.items() for place in places.split()}
        found = {(command, place) for command, places in named().items() for place in places if command not in SHOWS}
        self.assertEqual(found - table, set(), "follow it in a test here, and enter it in the table")
        self.assertEqual(table - found, set(), "no text names it any more")


class Followed(Case):
    def follow(self, host, text, pattern):
        """Runs the one command of the text that the pattern finds, with what was built in front of the PATH."""
        commands = re.findall(pattern, text)
        self.assertEqual(len(commands), 1, text)
        env = {**os.environ, "PATH": f"{BUILD}:{os.environ['PATH']}", "VFERRY_HOST": str(host.state)}
        done = subprocess.run(shlex.split(commands[0]), capture_output=True, text=True, check=False, timeout=120, env=env)
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
        self.follow(left, told["text"] + (told["remedy"] or ""), '"(vferry job cancel [0-9]+)"')
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


if __name__ == "__main__":
    unittest.main()
