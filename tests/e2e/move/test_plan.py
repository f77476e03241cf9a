# SPDX-License-Identifier: Apache-2.0
"""What `vferry plan` foretells is what then happens: moves over a link of a known rate take about so long and so many bytes."""
import json
import re
import subprocess
import sys
import time
import unittest

from e2e import BUILD, ROOT, Case, Work, begins, create, finish
from harness import PATIENCE

sys.path.insert(0, str(ROOT / "tests/e2e/cli"))
from schemas import validator  # noqa: E402

WITHIN = 0.25
TRIES = 4  # a machine that others use as well is slow now and then
FOR_EVER = 1_000_000_000  # steps
LINK = (64 << 20) // PATIENCE
# What it is called, its size, bytes a second that it writes, of so much, and what a dirty bit covers.
MOVES = [
    ("rests", "96M", 4096, "96M", "64K"),
    ("writes a little", "96M", (8 << 20) // PATIENCE, "96M", "4K"),
    ("writes much, coarsely tracked", "96M", (24 << 20) // PATIENCE, "96M", "64K"),
    ("writes much to little", "96M", (48 << 20) // PATIENCE, "16M", "4K"),
    ("writes faster than can be sent", "64M", (96 << 20) // PATIENCE, "64M", "4K"),
]


def plan(*words, code=0):
    done = subprocess.run([BUILD / "vferry", "--json", "plan", *map(str, words)], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == code, f"{words}: exit {done.returncode}: {done.stderr}"
    return json.loads(done.stdout)


class Foretold(Case):
    def setUp(self):
        super().setUp()
        self.pairs = {}

    def hosts_with(self, page):
        """A pair of hosts whose dirty bits cover so much; made once."""
        if page not in self.pairs:
            self.pairs[page] = [self.host(f"{name}-{page}", f"softgpu,vram=256M,vfs=2,dirty-page={page}") for name in ("left", "right")]
        return self.pairs[page]

    def move(self, size, rate, hot, page, recorded=False):
        """(planned, done) of a move of a partition that works like that: planned by what is known of it, or by what was recorded."""
        left, right = self.hosts_with(page)
        create(left, "p", Work("churn", size=size, hot=hot, rate=rate, steps=FOR_EVER, seed=3), vram="128M")
        begins(left, "p", 1)
        time.sleep(1)  # at its pace
        if recorded:
            trace = self.folder / "p.trace"
            left.run("trace", "record", "p", "--seconds", "3s", "--output", trace)
            self.assertEqual(list(validator("vferry.trace/1").iter_errors(json.loads(trace.read_text(encoding="utf-8")))), [])
            planned = plan("--trace", trace, "--link", LINK)
        else:
            planned = plan("--vram", "128M", "--touched", size, "--write-rate", rate, "--working-set", hot, "--page", page, "--link", LINK)
        done = left.json("migrate", "p", "--to", right.address, "--bandwidth", LINK, "--streams", 2, timeout=120)
        right.run("partition", "remove", "p")
        return planned, done

    def off(self, planned, done):
        """(what, planned, done) of all that is not within the limit."""
        pairs = [(what, planned[what], done[what]) for what in ("total_ns", "bytes_sent")]
        return [pair for pair in pairs if abs(pair[1] - pair[2]) > WITHIN * pair[2]]

    def assert_foretold(self, name, *how, **more):
        far = []
        while len(far) < TRIES:
            planned, done = self.move(*how, **more)
            self.assertEqual((planned["completes"], done["status"]), (True, "completed"), name)
            print(f"# {name}: planned {planned['total_ns'] / 1e9:.2f} s, {planned['bytes_sent'] >> 20} MiB, {len(planned['rounds'])} rounds; "
                  f"done {done['total_ns'] / 1e9:.2f} s, {done['bytes_sent'] >> 20} MiB, {len(done['rounds'])} rounds", flush=True)
            off = self.off(planned, done)
            if not off:
                return
            far.append(off)
        self.fail(f"{name}: {far}")

    def test_time_and_bytes_are_within_a_quarter(self):
        for name, *how in MOVES:
            with self.subTest(name):
                self.assert_foretold(name, *how)

    def test_what_was_recorded_foretells_as_well(self):
        self.assert_foretold("recorded", "96M", (24 << 20) // PATIENCE, "48M", "64K", recorded=True)

    def test_a_recording_ends_with_the_move_and_takes_nothing_from_it(self):
        left, right = self.hosts_with("64K")
        work = Work("churn", size="16M", rate=16 << 20, steps=30000, seed=5)
        create(left, "p", work, vram="32M")
        begins(left, "p", 1)
        recording = left.spawn("trace", "record", "p", "--seconds", "600", "--output", self.folder / "p.trace")
        time.sleep(1)
        self.assertIn("another recording is under way", left.run("trace", "record", "p", "--seconds", "1", code=7).stderr)
        left.run("migrate", "p", "--to", right.address)
        _, said = recording.communicate(timeout=60)
        self.assertIn(recording.returncode, (1, 7), said)
        self.assertRegex(said, "moves, or is saved|moved to")
        self.assertEqual([path.name for path in self.folder.glob("*.trace*")], [])
        self.assertEqual(finish(right, "p"), work.want())

    def test_the_limit_that_a_refusal_names_would_do(self):
        words = ("--vram", "1G", "--write-rate", "200M", "--link", "100M", "--throttle", "off")
        refused = plan(*words, code=4)
        limit = re.search(r"--max-blackout (\d+)", refused["why"])[1]
        self.assertIn(limit, refused["error"]["remedy"])
        self.assertTrue(plan(*words, "--max-blackout", limit)["completes"])
        self.assertTrue(plan(*words[:-2])["completes"])


class Fleets(unittest.TestCase):
    def example(self):
        """The file of docs/json.md."""
        text = (ROOT / "docs/json.md").read_text(encoding="utf-8")
        return json.loads(re.search(r'\n\n(    \{\n      "schema": "vferry.fleet/1".*?\n    \})\n', text, re.S)[1])

    def plan(self, fleet, *words, code=0):
        done = subprocess.run([BUILD / "vferry", "--json", "plan", "--fleet", "/dev/stdin", *words], input=json.dumps(fleet), capture_output=True,
                              text=True, timeout=60, check=False)
        self.assertEqual(done.returncode, code, done.stderr)
        return json.loads(done.stdout)

    def test_the_example_of_the_page_is_one_and_empties_its_host(self):
        fleet = self.example()
        validator("vferry.fleet/1").validate(fleet)
        told = self.plan(fleet, "--at-once", "2")
        self.assertEqual((told["emptied"], told["left"], told["given_up"]), (["a"], [], 0))
        self.assertEqual({move["partition"] for move in told["moves"]}, {"p1", "p2"})
        self.assertLessEqual(sum(move["bandwidth_bytes_per_s"] for move in told["moves"]), 10**9)
        self.assertEqual(told["total_ns"], max(move["end_ns"] for move in told["moves"]))

    def test_what_the_schema_refuses_the_program_refuses_too(self):
        wrong = [
            lambda f: f.pop("hosts"), lambda f: f.pop("partitions"), lambda f: f.update(schema="vferry.fleet/2"),
            lambda f: f.update(stranger=1), lambda f: f.update(nic_bytes_per_s="fast"), lambda f: f.update(nic_bytes_per_s=1),
            lambda f: f["hosts"][0].pop("name"), lambda f: f["hosts"][1].update(vf_free=-1), lambda f: f["hosts"][1].update(vram_free_bytes=1.5),
            lambda f: f["hosts"][0].update(evacuate="yes"), lambda f: f["links"][0].pop("a"), lambda f: f["links"][0].update(bytes_per_s=None),
            lambda f: f["partitions"][0].pop("write_bytes_per_s"), lambda f: f["partitions"][0].update(name="a b"),
            lambda f: f["partitions"][0].update(vram_bytes="8 apples"), lambda f: f.update(hosts=[]), lambda f: f.update(partitions={}),
        ]
        for number, spoil in enumerate(wrong):
            with self.subTest(number):
                fleet = self.example()
                spoil(fleet)
                self.assertTrue(list(validator("vferry.fleet/1").iter_errors(fleet)))
                self.assertTrue(self.plan(fleet, code=2)["remedy"])

    def test_a_large_fleet_is_planned_in_seconds(self):
        hosts = [{"name": f"old{i}", "evacuate": True} for i in range(200)]
        hosts += [{"name": f"new{i}", "vram_free_bytes": "96G", "vf_free": 16} for i in range(800)]
        partitions = [{"name": f"p{i}", "host": f"old{i % 200}", "vram_bytes": f"{1 + i % 8}G", "touched_bytes": "1G",
                       "write_bytes_per_s": i * 10000} for i in range(10000)]
        begin = time.monotonic()
        told = self.plan({"nic_bytes_per_s": "10G", "hosts": hosts, "partitions": partitions}, "--at-once", "4")
        self.assertLess(time.monotonic() - begin, 20 * PATIENCE)
        self.assertEqual((len(told["moves"]), told["left"]), (10000, []))

    def test_what_fits_nowhere_is_named(self):
        fleet = self.example()
        fleet["partitions"][0]["vram_bytes"] = "25G"
        told = self.plan(fleet, code=7)
        self.assertEqual([left["partition"] for left in told["left"]], ["p1"])
        self.assertIn("p1", told["error"]["text"])


if __name__ == "__main__":
    unittest.main()
