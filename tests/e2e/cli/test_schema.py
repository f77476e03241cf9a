# SPDX-License-Identifier: Apache-2.0
"""What --json prints is what docs/schema says: every verb, in whatever state hosts, partitions and jobs may be."""
import json
import signal
import unittest

import proxy
from e2e import BLACKOUT_MS, BUILD, Case, Work, at_once, begins, churn, create, pgm
from harness import wait_until
from proxy import OUT, Point, Proxy
from schemas import ERROR, FOLDER, Judge, mutants, path_of, promised, validator, verbs
from wrong import await_event, go_wrong

TESTS_AT_ONCE = at_once(3)
PIECES = "softgpu,vram=256M,vfs=8,dirty-page=64K"


# What files that people write are to be.
READ = ["vferry.fleet/1"]


class Tables(unittest.TestCase):
    """Verbs and files, without a host."""

    def test_every_verb_names_schemas_that_are_there(self):
        self.assertGreater(len(verbs()), 30)
        for verb in verbs():
            self.assertTrue(promised(verb), verb)
            for name in promised(verb):
                self.assertTrue(path_of(name).exists(), f"{verb}: {name}")

    def test_every_schema_is_one_and_belongs_to_a_verb(self):
        named = {path_of(name) for verb in verbs() for name in promised(verb)} | {path_of(ERROR)}
        self.assertEqual(set(FOLDER.glob("*")), named | {path_of(name) for name in READ})
        for path in FOLDER.glob("*"):
            name = json.loads(path.read_text(encoding="utf-8"))["title"]
            self.assertEqual(path_of(name), path)
            validator(name).check_schema(validator(name).schema)

    def test_the_document_lists_every_verb_and_schema(self):
        text = (FOLDER.parent / "json.md").read_text(encoding="utf-8")
        for verb in verbs():
            for name in promised(verb):
                row = [line for line in text.splitlines() if line.startswith(f"| [{name}]({path_of(name).relative_to(FOLDER.parent)}) |")]
                self.assertEqual(len(row), 1, name)
                self.assertIn(verb, row[0].split("|")[2], name)


class Verbs(Case):
    def setUp(self):
        super().setUp()
        self.judge = Judge(self)
        self.ask = self.judge.ask

    def story(self, left, right):
        """A partition's life, told by every verb that is not about files or drivers."""
        for words in (("host", "show"), ("adapter", "list"), ("adapter", "show", 0), ("driver", "show", 0),
                      ("partition", "list"), ("job", "list"), ("partition", "create", "p", "--adapter", 0, "--vram", "32M"),
                      ("run", "p", *churn(4).words()), ("partition", "list"), ("partition", "show", "p"),
                      ("partition", "pause", "p"), ("partition", "show", "p"), ("partition", "resume", "p"),
                      ("trace", "record", "p", "--seconds", 1), ("check", "p", "--to", right.address), ("migrate", "p", "--to", right.address, "--dry-run"),
                      ("migrate", "p", "--to", right.address, "--max-blackout", BLACKOUT_MS)):
            self.ask(left, *words)
        for host in (left, right):
            job = self.ask(host, "job", "list")["jobs"][0]["job"]
            self.ask(host, "job", "show", job)
            self.ask(host, "job", "watch", job)
        for words in (("wait", "p"), ("read", "p", "--output", self.folder / "p.out"), ("partition", "reset", "p"),
                      ("save", "p", "--output", self.folder / "p.image", "--keep"), ("partition", "remove", "p"),
                      ("restore", "p", "--input", self.folder / "p.image", "--adapter", 0), ("events",),
                      ("adapter", "defrag", 0)):
            self.ask(right, *words)

    def alone(self):
        """The verbs that need no host."""
        for words in (("image", "info", self.folder / "p.image"), ("image", "verify", self.folder / "p.image"),
                      ("reference", "fill", "--size", "64K"), ("cert", "init", self.folder / "certs"),
                      ("cert", "add", self.folder / "certs", "--for", "a.example,10.0.0.1"),
                      ("cert", "show", self.folder / "certs/a.example.pem"),
                      ("plan", "--vram", "1G", "--write-rate", "100M", "--link", "1G")):
            self.ask(None, *words)
        self.planned()

    def planned(self):
        """Moves in thought, of one partition and of hosts."""
        self.assertFalse(self.ask(None, "plan", "--vram", "1G", "--write-rate", "1G", "--link", "100M", "--throttle", "off", code=4)["completes"])
        fleet = {"nic_bytes_per_s": "1G", "hosts": [{"name": "a", "evacuate": True}, {"name": "b", "vram_free_bytes": "1G", "vf_free": 9}],
                 "partitions": [{"name": "p", "host": "a", "vram_bytes": "1G", "write_bytes_per_s": "1M"},
                                {"name": "q", "host": "a", "vram_bytes": "1G", "write_bytes_per_s": "1M"}]}
        path = self.folder / "fleet.json"
        path.write_text(json.dumps(fleet), encoding="utf-8")
        self.assertEqual([len(self.ask(None, "plan", "--fleet", path, code=7)[what]) for what in ("moves", "left")], [1, 1])
        path.write_text(json.dumps({**fleet, "partitions": fleet["partitions"][:1]}), encoding="utf-8")
        self.ask(None, "plan", "--fleet", path)

    def cancelled(self, left, right):
        """A slow move that a person ends: what it, the cancel and both hosts tell."""
        self.ask(left, "partition", "create", "slow", "--adapter", 0, "--vram", "32M")
        left.run("run", "slow", *churn(600, size="16M").words())
        begins(left, "slow", 2000)
        job = self.ask(left, "migrate", "slow", "--to", right.address, "--bandwidth", "1M", "--detach")["job"]
        wait_until("it arrives", lambda: any(p["state"] == "incoming" for p in right.json("partition", "list")["partitions"]))
        self.ask(left, "job", "set", job, "--bandwidth", "900K", "--max-time", "1h")
        for host in (left, right):
            self.ask(host, "partition", "list")
            self.ask(host, "job", "list")
            self.ask(host, "top", "--host", self.folder / "nobody")
        self.assertEqual(self.ask(left, "job", "show", job)["status"], "running")
        watching = left.spawn("--json", "job", "watch", job)
        self.assertEqual(self.ask(left, "job", "cancel", job)["status"], "cancelled")
        out, _ = watching.communicate(timeout=60)
        self.assertEqual(watching.returncode, 4)
        self.judge.take("job watch", out)

    def unresolved(self):
        """A move whose outcome is unknown until a person says it."""
        left, right = (self.host(name, options=["--redial", "1"]) for name in ("here", "there"))
        create(left, "p", churn(60, size="4M"))
        begins(left, "p")
        with Proxy(right.address, Point("COMMIT", OUT, paused=True), proxy.cut_for_good) as way:
            job = self.ask(left, "migrate", "p", "--to", way.address, "--max-blackout", BLACKOUT_MS, code=6)
        self.assertEqual(job["status"], "unknown")
        self.ask(left, "job", "show", job["job"])
        self.ask(right, "job", "list")
        self.assertNotEqual(self.ask(left, "job", "resolve", job["job"], "--source-runs")["warning"], "")
        self.assertEqual(self.ask(left, "job", "show", job["job"])["owes"], "abort")
        self.assertIn("stays paused", self.ask(left, "job", "forget", job["job"])["warning"])
        self.assertIsNone(self.ask(left, "job", "show", job["job"])["owes"])
        self.ask(left, "job", "forget", job["job"], code=1)

    def followed(self, host):
        """events --follow: an object a line."""
        following = host.spawn("--json", "events", "--follow")
        self.judge.take("events", following.stdout.readline())
        following.send_signal(signal.SIGINT)
        following.communicate(timeout=30)

    def test_every_verb_prints_what_its_schema_says_and_no_schema_lets_a_wrong_object_through(self):
        left, right = self.pair()
        self.story(left, right)
        self.alone()
        self.cancelled(left, right)
        self.followed(left)
        self.unresolved()
        create(right, "q", vram="16M")
        self.ask(right, "adapter", "defrag", 0, "--dry-run")
        self.together(left, right)
        self.ask(right, "driver", "update", 0, "--driver", BUILD / "drivers/softgpu-v2.so", "--dry-run")
        self.ask(right, "driver", "update", 0, "--driver", BUILD / "drivers/softgpu-v2.so")
        self.fragmented()
        for host in (left, right):
            self.ask(host, "host", "stop", "--force")
        self.assertEqual(set(verbs()) - self.judge.ran, set(), "verbs that were not tried")
        self.refuse_mutants()

    def together(self, left, right):
        """Several that move at once; one finds no room."""
        self.ask(left, "peer", "show", right.address)
        for name in ("a", "b"):
            create(left, name, vram="8M")
        self.ask(left, "migrate", "a", "b", "--to", right.address, "--dry-run")
        self.ask(left, "host", "evacuate", "--to", right.address, "--dry-run", code=7)
        self.ask(left, "migrate", "a", "b", "--to", right.address, "--max-blackout", BLACKOUT_MS)
        create(left, "large", vram="200M")
        error = self.ask(left, "migrate", "--all", "--to", right.address, code=7)["moves"][0]["error"]
        self.assertEqual((error["schema"], error["code"]), (ERROR, 7))
        self.ask(left, "host", "evacuate", "--to", right.address, code=7)
        self.ask(left, "host", "uncordon")
        self.ask(left, "host", "cordon")

    def fragmented(self):
        """A defragmentation that moves something."""
        host = self.host("pieces", PIECES)
        for name in ("gap", "p"):
            create(host, name, vram="48M")
        self.ask(host, "partition", "remove", "gap")
        self.assertEqual(self.ask(host, "adapter", "defrag", 0, "--dry-run")["moves"][0]["outcome"], "planned")
        self.assertEqual(self.ask(host, "adapter", "defrag", 0)["moves"][0]["outcome"], "moved")

    def refuse_mutants(self):
        """Every schema has been seen at work, and refuses each of its objects with one thing wrong."""
        seen = set(self.judge.seen)
        self.assertEqual({path_of(name) for name in seen | {ERROR, *READ}}, set(FOLDER.glob("*")))
        for name, objects in self.judge.seen.items():
            for told in (objects[0], objects[-1]):
                for what, mutant in mutants(told):
                    self.assertTrue(list(validator(name).iter_errors(mutant)), f"{name}: {what}")

    def test_moves_that_did_not_happen(self):
        left, right = self.pair()
        create(left, "p", vram="16M")
        create(right, "p", vram="16M")
        self.assertIsNone(self.ask(None, "top", "--host", self.folder / "nobody", code=5)["hosts"][0]["name"])
        nobody = "127.0.0.1:1"
        self.assertFalse(self.ask(left, "check", "p", "--to", right.address, code=3)["compatible"])
        self.assertFalse(self.ask(left, "migrate", "p", "--to", right.address, "--dry-run", code=3)["compatible"])
        self.assertTrue(self.ask(left, "migrate", "p", "--to", right.address, code=3)["reasons"])
        self.assertEqual(self.ask(left, "migrate", "p", "--to", nobody, code=1)["status"], "failed")
        for host in (left, right):
            self.ask(host, "job", "list")
            for job in host.json("job", "list")["jobs"]:
                self.ask(host, "job", "show", job["job"])

    def test_a_paused_partition_that_moves_and_jobs_read_from_the_journal(self):
        left, right = self.pair()
        create(left, "p", churn(600, size="4M"))
        begins(left, "p")
        self.ask(left, "partition", "pause", "p")
        self.ask(left, "migrate", "p", "--to", right.address, "--verify", "full", "--max-blackout", BLACKOUT_MS)
        self.assertEqual(self.ask(right, "partition", "show", "p")["state"], "paused")
        saved = self.folder / "p.image"
        self.ask(right, "save", "p", "--output", saved)
        self.assertIs(self.ask(None, "image", "info", saved)["paused"], True)
        self.ask(right, "job", "list")
        for host in (left, right):
            host.kill(signal.SIGTERM)
            host.start()
            for job in self.ask(host, "job", "list")["jobs"]:
                self.ask(host, "job", "show", job["job"])

    def test_errors_are_objects_too(self):
        host = self.host("host")
        create(host, "p", vram="16M")
        for code, at, *words in (
            (1, host, "partition", "show", "nobody"), (1, host, "job", "show", 99), (2, host, "adapter", "show", 9),
            (1, host, "host", "stop"), (1, host, "partition", "create", "big", "--adapter", 0, "--vram", "100G"),
            (1, host, "wait", "p"), (2, host, "partition", "create", "?", "--adapter", 0, "--vram", "1M"),
            (2, host, "run", "p", "gemm"), (1, None, "image", "info", "/nonexistent"), (1, None, "cert", "show", "/dev/null"),
            (2, None, "reference", "diffuse"), (5, None, "host", "show", "--host", "/nonexistent/control.sock"),
        ):
            with self.subTest(words=words):
                told = self.ask(at, *words, code=code)
                self.assertEqual((told["schema"], told["code"]), (ERROR, code))
        for what, mutant in mutants({**told, "remedy": "start it"}):
            self.assertTrue(list(validator(ERROR).iter_errors(mutant)), what)

    def test_every_workload_and_its_picture(self):
        host = self.host("host")
        picture = pgm(self.folder / "before.pgm", 32, 24, 1)
        for work in (Work("diffuse", input=picture, steps=3), Work("gemm", n=16, steps=2), Work("fill", size="64K")):
            self.ask(host, "partition", "create", work.kind, "--adapter", 0, "--vram", "16M")
            self.ask(host, "run", work.kind, *work.words())
            self.ask(host, "wait", work.kind)
            self.ask(None, "reference", *work.words())
            self.assertIs(self.ask(host, "read", work.kind, "--output", self.folder / work.kind)["now"], False)
        self.ask(host, "partition", "list")

    def test_a_partition_that_hung(self):
        host = self.host("host")
        create(host, "p", churn(600))
        begins(host, "p")
        go_wrong(host, "p", "hang")
        await_event(host, "tdr", "the VF was reset")
        self.assertEqual(self.ask(host, "partition", "show", "p")["state"], "faulted")
        self.ask(host, "events")
        self.assertEqual(self.ask(host, "partition", "reset", "p")["state"], "running")

    def test_a_driver_that_is_refused(self):
        host = self.host("host")
        self.assertEqual(
            self.ask(host, "driver", "update", 0, "--driver", BUILD / "drivers/null.so", code=3)["status"], "refused"
        )

    def test_hosts_that_prove_who_they_are(self):
        self.ask(None, "cert", "init", self.folder / "certs", "--for", "left,127.0.0.1", "--for", "right,127.0.0.1")
        left, right = (
            self.host(name, options=[f"--tls-{what}={self.folder}/certs/{file}" for what, file in
                                     (("cert", f"{name}.pem"), ("key", f"{name}.key"), ("ca", "ca.pem"))])
            for name in ("left", "right")
        )
        create(left, "p", vram="16M")
        self.assertEqual(self.ask(left, "host", "show")["security"], "tls")
        self.assertEqual(self.ask(left, "migrate", "p", "--to", right.address)["peer_identity"], "right")


if __name__ == "__main__":
    unittest.main()
