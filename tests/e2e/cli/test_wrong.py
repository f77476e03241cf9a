# SPDX-License-Identifier: Apache-2.0
"""Wrong usages, a table: each ends with its exit code and one line on stderr that names the wrong word and what to do, and changes nothing."""
import json
import re
import subprocess
import unittest

from e2e import BLACKOUT_MS, BUILD, Case, await_proven, churn, create, files, move

FAILED, USAGE, INCOMPATIBLE, UNREACHABLE = 1, 2, 3, 5
TO = "--to 127.0.0.1:1"
LONG = "x" * 100  # shown whole
ESC, SHOWN = "a\x1b[31mb\x9bc\x07", "a\\x1b[31mb\\xc2\\x9bc\\x07"  # obeyed by no terminal

# What is typed after "vferry", the exit code, what the line must name.
VFERRY = [
    ("", USAGE, "no verb"),
    ("zebra", USAGE, "zebra"),
    ("parition list", USAGE, 'did you mean "partition"'),
    ("partition lst", USAGE, 'did you mean "partition list"'),
    ("create q --adapter 0 --vram 32M", USAGE, 'did you mean "partition create"'),
    ("partition", USAGE, "partition: a verb is missing"),
    ("-v host show", USAGE, "-v"),
    ("--verbose host show", USAGE, "--verbose"),
    ("--jsno host show", USAGE, 'did you mean "--json"'),
    ("host show now", USAGE, "now"),
    ("host show --force", USAGE, "--force"),
    ("host stop --frce", USAGE, 'did you mean "--force"'),
    ("host stop --force=yes", USAGE, "--force=yes"),
    ("host stop", FAILED, "host stop: 1 partition would be lost"),
    ("--timeout soon host show", USAGE, "--timeout"),
    ("--timeout -1 host show", USAGE, "--timeout"),
    ("--host nobody-has-this-name --timeout 100ms host show", UNREACHABLE, "nobody-has-this-name"),
    ("--host /nonexistent/deep host show", UNREACHABLE, "/nonexistent/deep"),
    ("adapter show", USAGE, "N is missing"),
    ("adapter show zero", USAGE, "zero"),
    ("adapter show 7", USAGE, "7"),
    ("adapter defrag 7", USAGE, "7"),
    ("partition create q --adapter 0", USAGE, "--vram"),
    ("partition create q --vram 32M", USAGE, "--adapter"),
    ("partition create q --adapter 0 --vram lots", USAGE, "lots"),
    ("partition create q --adapter 0 --vram 32Mbit", USAGE, "32Mbit"),
    ("partition create q --adapter 0 --vram 1.0000001K", USAGE, "1.0000001K"),
    ("partition create q --adapter 0 --vram -32M", USAGE, "-32M"),
    ("partition create q --adapter 0 --vram 32M --vram 64M", USAGE, "--vram"),
    ("partition create q --adapter 0 --vram 0", USAGE, "partition q"),
    ("partition create q --adapter 0 --vram 100G", FAILED, "100"),
    ("partition create q --adapter 7 --vram 32M", USAGE, "7"),
    ("partition create a/b --adapter 0 --vram 32M", USAGE, "a/b"),
    ("partition create p --adapter 0 --vram 32M", FAILED, "partition p"),
    ("partition show ghost", FAILED, "ghost"),
    ("partition show p q", USAGE, "q"),
    ("partition pause ghost", FAILED, "ghost"),
    ("partition remove ghost", FAILED, "ghost"),
    ("run p chrun --size 1M --steps 1", USAGE, "chrun"),
    ("run p churn --size 1M", USAGE, "steps"),
    ("run p churn --size 1M --steps 0", USAGE, "--steps"),
    ("run p churn --size 1M --steps 1 --rate fast", USAGE, "fast"),
    ("run p churn --size 1M --steps 1 --stpes 2", USAGE, 'did you mean "--steps"'),
    ("run p fill --size 64M", FAILED, "fill"),
    ("run p diffuse --steps 3", USAGE, "--input"),
    ("run ghost fill --size 1M", FAILED, "ghost"),
    ("wait ghost", FAILED, "ghost"),
    ("wait p", FAILED, "runs no workload"),
    ("wait p --timeout 1m30", USAGE, "1m30"),
    ("wait p --timeout 500ms", USAGE, "500ms"),
    ("read p", USAGE, "--output"),
    ("read p --output /nonexistent/deep/out", FAILED, "/nonexistent/deep/out"),
    ("reference gem --n 8 --steps 1", USAGE, "gem"),
    (f"check ghost {TO}", FAILED, "ghost"),
    ("check p", USAGE, "--to"),
    ("migrate p", USAGE, "--to"),
    (f"migrate ghost {TO}", FAILED, "ghost"),
    ("migrate p --to nowhere", USAGE, "nowhere"),
    ("migrate p --to 127.0.0.1:0x10", USAGE, "0x10"),
    ("migrate p --to 127.0.0.1:+7", USAGE, "+7"),
    ("migrate p --to 127.0.0.1:0", USAGE, "127.0.0.1:0"),
    ("migrate p --to 127.0.0.1:65536", USAGE, "65536"),
    ("migrate p --to [::1]", USAGE, "no port"),
    ("migrate p --to ::1:7002", USAGE, "brackets"),
    (f"migrate p {TO} --bandwidth 4K", USAGE, "--bandwidth"),
    (f"migrate p {TO} --bandwith 4M", USAGE, 'did you mean "--bandwidth"'),
    (f"migrate p {TO} --bandwidth 100Mbit/s", USAGE, "100Mbit/s"),
    (f"migrate p {TO} --max-blackout 0", USAGE, "--max-blackout"),
    (f"migrate p {TO} --max-blackout 0.5ms", USAGE, "0.5ms"),
    (f"migrate p {TO} --max-blackout long", USAGE, "long"),
    (f"migrate p {TO} --max-time 10x", USAGE, "10x"),
    (f"migrate p {TO} --streams 9", USAGE, "--streams"),
    (f"migrate p {TO} --verify some", USAGE, "some"),
    (f"migrate p {TO} --compress gzip", USAGE, "gzip"),
    (f"migrate p {TO} --throttle 0%", USAGE, "0%"),
    (f"migrate p {TO} --throttle 100%", USAGE, "100%"),
    (f"migrate p {TO} --throttle some", USAGE, "some"),
    ("plan", USAGE, "--vram is missing"),
    ("plan --vram 1G --link 1G", USAGE, "--write-rate is missing"),
    ("plan --vram 1G --write-rate 1M", USAGE, "--link is missing"),
    ("plan --vram 1G --write-rate 1M --link 0", USAGE, "--link: is too slow"),
    ("plan --vram 1G --write-rate fast --link 1G", USAGE, "fast"),
    ("plan --vram 0 --write-rate 1M --link 1G", USAGE, "--vram"),
    ("plan --vram 1G --write-rate 1M --link 1G --touched 2G", USAGE, "--touched: 2.00 GiB is more"),
    ("plan --vram 1G --write-rate 1M --link 1G --touched 101%", USAGE, "--touched 101%"),
    ("plan --vram 1G --write-rate 1M --link 1G --touched most", USAGE, "most"),
    ("plan --vram 1G --write-rate 1M --link 1G --touched 10% --working-set 1G", USAGE, "--working-set"),
    ("plan --vram 1G --write-rate 1M --link 1G --page 5K", USAGE, "--page"),
    ("plan --vram 1G --write-rate 1M --link 1G --throttle 100%", USAGE, "100%"),
    ("plan --vram 1G --write-rate 1M --link 1G --verify some", USAGE, "some"),
    ("plan --vram 1G --write-rate 1M --link 1G --max-blackout 0", USAGE, "--max-blackout 0"),
    ("plan --vram 1G --write-rate 1M --link 1G --host-rate 1", USAGE, "--host-rate"),
    ("plan --vram 1G --write-rate 1M --link 1G --at-once 2", USAGE, "--at-once"),
    ("plan --fleet /nonexistent/fleet.json", USAGE, "/nonexistent/fleet.json"),
    ("plan --fleet .", USAGE, "."),
    ("plan --fleet before.pgm", USAGE, "before.pgm, line 1: is no JSON"),
    ("plan --fleet slip.json", USAGE, "hosts[0]: vf_fre: there is no such member; did you mean \"vf_free\"?"),
    ("plan --fleet before.pgm --link 1G", USAGE, "--link"),
    ("plan --trace before.pgm --link 1G", USAGE, "before.pgm, line 1: is no JSON"),
    ("plan --trace slip.json --link 1G", USAGE, "hosts: there is no such member"),
    ("plan --trace slip.json", USAGE, "--link is missing"),
    ("plan --trace slip.json --link 1G --vram 1G", USAGE, "--vram: the --trace says it"),
    ("plan --trace slip.json --fleet slip.json", USAGE, "give one of them"),
    ("trace record p", USAGE, "--seconds"),
    ("trace record p --seconds 0", USAGE, "--seconds"),
    ("trace record p --seconds 2h", USAGE, "--seconds"),
    ("trace record ghost --seconds 1", FAILED, "ghost"),
    ("trace record p --seconds 1 --output /nonexistent/deep/p.trace", FAILED, "/nonexistent/deep/p.trace"),
    ("plan --fleet before.pgm --at-once 0", USAGE, "--at-once"),
    ("plan --fleet before.pgm --placement best", USAGE, "best"),
    ("job show", USAGE, "ID is missing"),
    ("job show one", USAGE, "one"),
    ("job show 77", FAILED, "77"),
    ("job watch 77", FAILED, "77"),
    ("job cancel 77", FAILED, "77"),
    ("job resolve 77", USAGE, "--source-runs"),
    ("save p", USAGE, "--output"),
    ("save p --output /nonexistent/deep/image", FAILED, "/nonexistent/deep/image"),
    ("save ghost --output ghost.image", FAILED, "ghost"),
    ("restore q --input /nonexistent/image --adapter 0", FAILED, "/nonexistent/image"),
    ("restore q --input before.pgm --adapter 7", USAGE, "there is no adapter 7"),
    ("restore a/b --input before.pgm --adapter 0", USAGE, "a/b"),
    ("restore q --input before.pgm --adapter 0", FAILED, "before.pgm: has 37 bytes: it was cut, or is no image"),
    ("restore q --input . --adapter 0", FAILED, "."),
    ("restore q --input /dev/null --adapter 0", FAILED, "/dev/null"),
    ("save p --output before.pgm", FAILED, "before.pgm: there is a file of that name already"),
    ("check p --to nowhere", USAGE, "nowhere"),
    ("check p --to no-such-host.invalid:7000", FAILED, "no-such-host.invalid:7000"),
    ("migrate p --to no-such-host.invalid:7000", FAILED, "no-such-host.invalid:7000"),
    ("migrate p --to no-such-host.invalid:7000 --detach", FAILED, "no-such-host.invalid:7000"),
    (f"migrate p --to {'x' * 64}:7000", FAILED, "x" * 64),
    ("check p --to 192.0.2.1:7000", FAILED, "beyond loopback"),
    ("migrate p --to 192.0.2.1:7000", FAILED, "beyond loopback"),
    ("job set 77 --bandwidth 100M", FAILED, "77"),
    ("job resolve 77 --source-runs", FAILED, "77"),
    ("driver update 7 --driver before.pgm", USAGE, "7"),
    ("driver update 0 --driver before.pgm", INCOMPATIBLE, "before.pgm: file too short; give a driver"),
    ("driver update 0 --driver /bin/true", INCOMPATIBLE, "/true: cannot"),
    ("adapter show 99999999999999999999", USAGE, '"99999999999999999999" is too large; the largest is 9223372036854775807'),
    ("job show 9223372036854775808", USAGE, "the largest is 9223372036854775807"),
    ("adapter show 0x1ffffffffffffffff", USAGE, "too large"),
    ("adapter show 99999999999999999999x", USAGE, "is no whole number"),
    ("partition create q --adapter 0 --vram 8388608T", USAGE, "the largest is 8388607T"),
    ("partition create q --adapter 0 --vram 99999999999999999999.5G", USAGE, "is too large"),
    (f"migrate p {TO} --bandwidth 99999999T/s", USAGE, "the largest is 8388607T/s"),
    (f"migrate p {TO} --max-blackout 9223372036855ms", USAGE, "the largest is 9223372036854ms"),
    (f"migrate p {TO} --max-time 99999999999999h", USAGE, "the largest is 9223372036s"),
    ("--timeout 99999999999999h host show", USAGE, "give 0 to wait without end"),
    ("run p churn --size 1M --steps 99999999999999999999", USAGE, "the largest is 18446744073709551615"),
    ("run p churn --size 1M --steps 1 --n 3", USAGE, "churn: it has no option --n; it takes --steps, --seed, --size, --hot, --rate"),
    ("run p churn --size 99999999T --steps 1", USAGE, "the largest is 16777215T"),
    (LONG, USAGE, f"{LONG}: no such verb"),
    (f"partition {LONG}", USAGE, f"partition {LONG}: no such verb"),
    (f"host show --{LONG}=1", USAGE, f"--{LONG}: no such option"),
    (f"partition create {LONG} --adapter 0 --vram 1M", USAGE, f'"{LONG}"'),
    (f"partition show {LONG}", FAILED, f"no partition {LONG}"),
    (f"partition show {LONG[:60]}", FAILED, f"no partition {LONG[:60]}"),
    (f"migrate p --to {LONG}", USAGE, f"{LONG}': no port"),
    (f"partition create q --adapter 0 --vram {LONG}", USAGE, f'"{LONG}"'),
    (f"run p {LONG}", USAGE, f"{LONG}: no such workload"),
    (LONG * 3, USAGE, f"{LONG}xxxxxxxxxxxxxxxxx...: no such verb"),
    (ESC, USAGE, f"{SHOWN}: no such verb"),
    (f"host show --{ESC}", USAGE, f"--{SHOWN}: no such option"),
    (f"partition show {ESC}", FAILED, f"no partition {SHOWN}"),
    (f"partition create {ESC} --adapter 0 --vram 1M", USAGE, f'"{SHOWN}"'),
    (f"save p --output /nonexistent/{ESC}", FAILED, "/nonexistent/"),
    (f"save p --output /nonexistent-{ESC}/image", FAILED, f"/nonexistent-{SHOWN}"),
    (f"image info {ESC}", FAILED, SHOWN),
    (f"--host {ESC} --timeout 100ms host show", UNREACHABLE, SHOWN),
    (f"migrate p --to {ESC}", USAGE, SHOWN),
    ("image info before.pgm", FAILED, "before.pgm"),
    ("image verify before.pgm", FAILED, "before.pgm"),
    ("driver update 0 --driver /nonexistent/new.so", USAGE, "/nonexistent/new.so"),
    ("driver show 7", USAGE, "7"),
    ("events --follow=yes", USAGE, "--follow=yes"),
    ("cert show before.pgm", FAILED, "before.pgm"),
    ("cert init certs --for a_b/c", USAGE, "a_b/c"),
    ("cert init /proc/certs", FAILED, "/proc/certs"),
    ("cert add /nonexistent/certs --for a", FAILED, "/nonexistent/certs"),
    ("save p --output /dev", FAILED, "/dev: is a directory"),
    ("save p --output /dev/null", FAILED, "/dev/null: is a device"),
]

# What is typed after "vferryd", STATE being a directory of the test.
VFERRYD = [
    ("", USAGE, "--state"),
    ("STATE", USAGE, "STATE"),
    ("--state", USAGE, "--state"),
    ("--sate STATE", USAGE, 'did you mean "--state"'),
    ("--state STATE --state STATE", USAGE, "--state"),
    ("--state STATE/none/deeper", FAILED, "STATE/none/deeper"),
    ("--state STATE --name a/b", USAGE, "a/b"),
    ("--state STATE --listen 127.0.0.1", USAGE, "127.0.0.1"),
    ("--state STATE --listen 127.0.0.1:0x10", USAGE, "0x10"),
    ("--state STATE --listen [::1]", USAGE, "no port"),
    ("--state STATE --listen 0.0.0.0:0", USAGE, "--listen"),
    ("--state STATE --device gpu", FAILED, "gpu"),
    ("--state STATE --device softgpu,vram=1G,vram=2G", FAILED, "vram"),
    ("--state STATE --device softgpu,vram=7", FAILED, "vram=7"),
    ("--state STATE --device softgpu,colour=red", FAILED, "colour"),
    ("--state STATE --driver /nonexistent.so", USAGE, "/nonexistent.so"),
    ("--state STATE --silence 5x", USAGE, "5x"),
    ("--state STATE --silence 10ms", USAGE, "10ms"),
    ("--state STATE --redial 2d", USAGE, "2d"),
    ("--state STATE --moves-at-once 0", USAGE, "--moves-at-once"),
    ("--state STATE --socket-group no-such-group", USAGE, "no-such-group"),
    ("--state STATE --tls-cert a.pem", USAGE, "--tls-key"),
    ("--state STATE --insecure=maybe", USAGE, "maybe"),
    ("--state STATE --config none.ini", USAGE, "none.ini"),
    ("--state STATE --config twice.ini", USAGE, "twice.ini, line 3"),
    ("--state STATE --config slip.ini", USAGE, "lisen"),
]


def without_reading_time(told):
    """An object without when its GPU's use was read: that differs at every look."""
    for partition in [told, *told.get("partitions", [])]:
        partition.pop("gpu_read_ns", None)
    return told


class Wrong(Case):
    def setUp(self):
        super().setUp()
        (self.folder / "before.pgm").write_bytes(b"no picture, no image, no certificate\n")
        (self.folder / "twice.ini").write_text("name = a\ninsecure = no\ninsecure = no\n", encoding="utf-8")
        (self.folder / "slip.json").write_text('{"hosts": [{"name": "a", "vf_fre": 3}], "partitions": [1]}', encoding="utf-8")
        (self.folder / "slip.ini").write_text("lisen = 127.0.0.1:0\n", encoding="utf-8")

    def run_in_folder(self, program, words):
        return subprocess.run([BUILD / program, *words.split()], capture_output=True, text=True, timeout=60, check=False, cwd=self.folder,
                              stdin=subprocess.DEVNULL)

    def assert_wrong(self, done, words, code, names, program):
        self.assertEqual(done.returncode, code, f"{program} {words}: {done.stderr}{done.stdout}")
        self.assertEqual(len(done.stderr.splitlines()), 1, f"{program} {words}: {done.stderr}")
        self.assertTrue(done.stderr.startswith(f"{program}: "), done.stderr)
        self.assertIn(names, done.stderr, f"{program} {words}")
        self.assertIsNone(re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]", done.stderr), f"{program} {words}: {done.stderr!r}")

    def test_there_are_enough_of_them(self):
        self.assertGreaterEqual(len(VFERRY), 60)
        self.assertGreaterEqual(len(VFERRYD), 20)

    def test_of_vferry(self):
        host = self.host("one")
        create(host, "p")
        await_proven(host)
        told = [["partition", "list"], ["adapter", "list"], ["job", "list"], ["partition", "show", "p"]]
        before = [without_reading_time(host.json(*words)) for words in told], files(host), sorted(path.name for path in self.folder.iterdir())
        for words, code, names in VFERRY:
            with self.subTest(words=words):
                done = self.run_in_folder("vferry", words)
                self.assert_wrong(done, words, code, names, "vferry")
                # An update that was tried says on stdout what drives the adapter now.
                tried = words.startswith("driver update 0") and code == INCOMPATIBLE
                self.assertEqual(done.stdout, f"adapter 0: still {BUILD}/drivers/softgpu.so\n" if tried else "", words)
                self.assertNotIn("/proc/", done.stderr.replace("/proc/certs", ""), words)
                told_json = json.loads(self.run_in_folder("vferry", "--json " + words).stdout)
                error = told_json.get("error", told_json)
                self.assertEqual(error["code"], code, words)
                self.assertTrue(error["remedy"], f"vferry {words}: names no remedy: {done.stderr}")
        after = [without_reading_time(host.json(*words)) for words in told], files(host), sorted(path.name for path in self.folder.iterdir())
        self.assertEqual(before, after)

    def test_of_vferryd(self):
        state = self.folder / "state"
        for words, code, names in VFERRYD:
            with self.subTest(words=words):
                words, names = words.replace("STATE", str(state)), names.replace("STATE", str(state))
                done = self.run_in_folder("vferryd", words)
                self.assert_wrong(done, words, code, names, "vferryd")
                self.assertTrue(re.search("; ", done.stderr), f"vferryd {words}: names no remedy: {done.stderr}")
                self.assertFalse((state / "control.sock").exists())


class Literally(Case):
    """What a refusal says to do is done, and works."""

    def test_the_least_bandwidth_that_a_refusal_names_carries_a_move(self):
        left, right = self.pair()
        work = churn(600, size="3M", rate=4096)  # writes little, and has 3 MiB to move
        create(left, "p", work)
        done = left.run("migrate", "p", "--to", right.address, "--bandwidth", "4K", "--streams", 2, code=USAGE)
        self.assertIn("2 data streams", done.stderr)
        done = left.run("migrate", "p", "--to", right.address, "--bandwidth", "4K", code=USAGE)
        self.assertIn("1 data stream:", done.stderr)
        least = re.search(r"give at least (\S+/s)", done.stderr)[1]
        self.assertEqual(left.json("job", "list")["jobs"], [])
        report = move(left, right, "p", "--bandwidth", least)
        self.assertEqual((report["status"], report["reconnects"]), ("completed", 0))

    def test_a_wrong_usage_is_told_before_where_the_partition_went(self):
        left, right = self.pair()
        create(left, "p")
        move(left, right, "p")
        for words in (("migrate", "p", "--to", right.address, "--streams", 9), ("migrate", "p", "--to", right.address, "--max-blackout", 0),
                      ("check", "p", "--to", "127.0.0.1:0"), ("run", "p", "churn", "--size", "1M")):
            self.assertNotIn("moved to", left.run(*words, code=USAGE).stderr)
        self.assertIn("moved to", left.run("migrate", "p", "--to", right.address, code=FAILED).stderr)

    def test_what_has_just_begun_is_told_with_the_uuid_and_no_zeros(self):
        left, right = self.pair()
        create(left, "p", churn(600))
        uuid = left.json("partition", "show", "p")["uuid"]
        told = left.json("migrate", "p", "--to", right.address, "--max-blackout", BLACKOUT_MS, "--detach")
        self.assertEqual(told["uuid"], uuid)
        self.assertNotEqual(told["epoch"], 0)
        self.assertEqual(left.json("job", "watch", told["job"], timeout=300)["uuid"], uuid)


if __name__ == "__main__":
    unittest.main()
