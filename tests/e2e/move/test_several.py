# SPDX-License-Identifier: Apache-2.0
"""Several partitions move by one command: each once, to where there is room, with one result."""
import json
import signal
import unittest

from e2e import Case, DEVICE, churn, create, finish, partitions, runs
from harness import wait_until

SMALL = "softgpu,vram=96M,vfs=2,dirty-page=64K"


class Fleet(Case):
    """Hosts with partitions that work."""

    def filled(self, host, count, vram="16M", seconds=3, prefix="p"):
        """Partitions that work, and their work."""
        work = {f"{prefix}{i}": churn(seconds, size="4M", seed=i) for i in range(count)}
        for name, one in work.items():
            create(host, name, one, vram=vram)
        for name in work:
            runs(host, name)
        return work

    def end_right(self, host, work):
        for name, one in work.items():
            self.assertEqual(finish(host, name), one.want(), name)


class Several(Fleet):
    def move(self, host, *words, code=0):
        done = host.run("--json", "migrate", *words, "--max-blackout", 20000, code=code, timeout=180)
        return json.loads(done.stdout), done.stderr

    def test_names_move_together(self):
        left, right = self.pair()
        work = self.filled(left, 4)
        result, _ = self.move(left, "p0", "p1", "p3", "--to", right.address)
        self.assertEqual((result["schema"], result["verb"], result["code"]), ("vferry.migrate-set/1", "migrate", 0))
        self.assertEqual((result["moved"], result["left"]), (3, 0))
        self.assertEqual(sorted(move["partition"] for move in result["moves"]), ["p0", "p1", "p3"])
        for moved in result["moves"]:
            self.assertEqual((moved["job"]["status"], moved["job"]["partition"]), ("completed", moved["partition"]))
            self.assertEqual((moved["tried"], moved["error"]), ([right.address], None))
        self.assertEqual(partitions(left), ["p2"])
        self.end_right(right, {name: one for name, one in work.items() if name != "p2"})

    def test_all_of_them(self):
        left, right = self.pair("softgpu,vram=256M,vfs=12,dirty-page=64K")
        work = self.filled(left, 12, vram="8M")
        result, _ = self.move(left, "--all", "--to", right.address)
        self.assertEqual((result["moved"], partitions(left)), (12, []))
        self.end_right(right, work)

    def test_a_pattern(self):
        left, right = self.pair()
        work = self.filled(left, 2, prefix="web") | self.filled(left, 1, prefix="db")
        result, _ = self.move(left, "--partition", "web*", "--to", right.address)
        self.assertEqual(sorted(move["partition"] for move in result["moves"]), ["web0", "web1"])
        self.assertEqual(partitions(left), ["db0"])
        self.end_right(right, {name: one for name, one in work.items() if name != "db0"})

    def test_without_any_there_is_nothing_to_do(self):
        left, right = self.pair()
        result, _ = self.move(left, "--all", "--to", right.address)
        self.assertEqual((result["code"], result["moved"], result["left"], result["moves"]), (0, 0, 0, []))

    def test_a_word_that_fits_none_begins_nothing(self):
        left, right = self.pair()
        self.filled(left, 1)
        for words, said in ((("p0", "p7"), "partition p7: is not here"), (("--partition", "web*"), "--partition web*: fits no partition")):
            done = left.run("migrate", *words, "--to", right.address, code=1)
            self.assertIn(said, done.stderr)
            self.assertEqual(done.stderr.count("\n"), 1, done.stderr)
        self.assertEqual(partitions(left), ["p0"])

    def test_what_finds_no_room_is_told_and_works_on(self):
        left = self.host("left")
        right = self.host("right", SMALL)
        work = self.filled(left, 3, seconds=4)
        result, said = self.move(left, "--all", "--to", right.address, code=7)
        self.assertEqual((result["code"], result["moved"], result["left"]), (7, 2, 1))
        kept = [move for move in result["moves"] if move["error"] is not None]
        self.assertEqual((len(kept), kept[0]["error"]["code"], partitions(left)), (1, 7, [kept[0]["partition"]]))
        self.assertIn("1 of 3 partitions did not move", said)
        self.end_right(left, {kept[0]["partition"]: work.pop(kept[0]["partition"])})
        self.end_right(right, work)

    def test_a_check_of_all_moves_none(self):
        left, right = self.pair()
        self.filled(left, 2)
        result, _ = self.move(left, "--all", "--to", right.address, "--dry-run")
        self.assertEqual(result["moved"], 0)
        self.assertEqual([move["check"]["compatible"] for move in result["moves"]], [True, True])
        self.assertEqual(partitions(left), ["p0", "p1"])

    def test_detached_they_go_on_without_the_command(self):
        left, right = self.pair()
        work = self.filled(left, 3)
        result, _ = self.move(left, "--all", "--to", right.address, "--detach")
        self.assertEqual(len({move["job"]["job"] for move in result["moves"]}), 3)
        wait_until("all have moved", lambda: len(partitions(right)) == 3 and partitions(left) == [], 60)
        self.end_right(right, work)

    def test_an_interrupt_calls_all_of_them_off(self):
        left, right = self.pair(DEVICE)
        work = self.filled(left, 3, seconds=6)
        moving = left.spawn("--json", "migrate", "--all", "--to", right.address, "--bandwidth", "900K", "--verify", "full")

        def under_way():
            jobs = left.json("job", "list")["jobs"]
            return len([job for job in jobs if job["phase"] == "round" and job["status"] == "running"]) == 3

        wait_until("all three move", under_way, 60)
        moving.send_signal(signal.SIGINT)
        out, err = moving.communicate(timeout=60)
        self.assertEqual(moving.returncode, 4, err)
        result = json.loads(out)
        self.assertEqual([move["error"]["code"] for move in result["moves"]], [4, 4, 4])
        wait_until("nothing is left there", lambda: partitions(right) == [], 30)
        self.end_right(left, work)


class Evacuate(Fleet):
    """A host is emptied to several others; it takes nothing in meanwhile and afterwards."""

    def evacuate(self, host, *targets, code=0, more=()):
        words = [word for target in targets for word in ("--to", target)]
        done = host.run("--json", "host", "evacuate", *words, "--max-blackout", 20000, *more, code=code, timeout=180)
        return json.loads(done.stdout), done.stderr

    def test_each_goes_where_there_is_most_room(self):
        left, large = self.host("left"), self.host("large")
        small = self.host("small", SMALL)
        work = self.filled(left, 3, seconds=4)
        result, _ = self.evacuate(left, small.address, large.address)
        self.assertEqual((result["verb"], result["moved"], result["left"], partitions(left)), ("host evacuate", 3, 0, []))
        self.assertEqual((partitions(small), sorted(partitions(large))), ([], ["p0", "p1", "p2"]))
        self.assertTrue(left.json("host", "show")["cordoned"])
        left.run("partition", "create", "new", "--adapter", 0, "--vram", "8M", code=7)
        self.end_right(large, work)

    def test_who_finds_no_room_stays_and_goes_when_it_is_said_again(self):
        left = self.host("left")
        first, second = self.host("first", SMALL), self.host("second", SMALL)
        work = self.filled(left, 4, seconds=8)
        self.filled(first, 1, prefix="q")
        self.filled(second, 1, prefix="r")
        result, said = self.evacuate(left, first.address, second.address, code=7)
        self.assertEqual((result["moved"], result["left"], len(partitions(left))), (2, 2, 2))
        self.assertIn("2 of 4 partitions did not move", said)
        first.run("partition", "remove", "q0")
        second.run("partition", "remove", "r0")
        result, _ = self.evacuate(left, first.address, second.address)
        self.assertEqual((result["moved"], partitions(left)), (2, []))
        for host in (first, second):
            self.assertEqual(len(partitions(host)), 2)
            self.end_right(host, {name: work[name] for name in partitions(host)})

    def test_a_host_that_is_away_or_cordoned_is_passed_over(self):
        left, closed, open_ = self.host("left"), self.host("closed"), self.host("open")
        closed.run("host", "cordon")
        work = self.filled(left, 2)
        result, said = self.evacuate(left, "127.0.0.1:1", closed.address, open_.address)
        self.assertEqual(result["moved"], 2)
        self.assertIn("host closed is cordoned", said)
        self.assertIn("127.0.0.1:1 is tried last", said)
        self.end_right(open_, work)

    def test_a_move_that_is_under_way_is_followed(self):
        left, right = self.pair()
        work = self.filled(left, 1, seconds=6)
        job = left.json("migrate", "p0", "--to", right.address, "--bandwidth", "4M", "--max-blackout", 20000, "--detach")["job"]
        result, _ = self.evacuate(left, right.address)
        self.assertEqual([move["job"]["job"] for move in result["moves"]], [job])
        self.assertEqual(result["moves"][0]["tried"], [])
        self.end_right(right, work)

    def test_only_asked_it_moves_none_and_cordons_nothing(self):
        left, right = self.pair()
        self.filled(left, 2)
        result, _ = self.evacuate(left, right.address, more=("--dry-run",))
        self.assertEqual([move["check"]["compatible"] for move in result["moves"]], [True, True])
        self.assertFalse(left.json("host", "show")["cordoned"])


if __name__ == "__main__":
    unittest.main()
