# SPDX-License-Identifier: Apache-2.0
"""Verbs that overlap on one partition: never lost, never doubled, never answered with 0 and undone, and its content right at the end."""
import dataclasses
import os
import random
import shutil
import subprocess
import time
import unittest

from e2e import SLOW, Case, churn, finish, partitions, show
from gates import DRIVER, Gates
from harness import wait_until
from pairs import BLAMED, REFUSED, VERBS, begins, cases, outcomes

TESTS_AT_ONCE = 1
DEVICE = "softgpu,vram=64M,vfs=4,dirty-page=64K"
SEED = int(os.environ.get("VF_PAIRS_SEED", random.SystemRandom().randrange(1 << 32)))
ALL = os.environ.get("VF_PAIRS") == "all"  # make pairs
# How long the second verb has while the first is held: it ends, or waits for the first.
CHANCE_S = 0.15
LIMIT_S = 400 if SLOW else 100


class Pairs(Case):
    def setUp(self):
        super().setUp()
        self.gates = Gates(self.folder / "gates-left"), Gates(self.folder / "gates-right")
        self.left, self.right = (self.host(name, DEVICE, options=gates.options, env=gates.env)
                                 for name, gates in zip(("left", "right"), self.gates))
        self.work = churn(0.1, size="2M", rate=8 << 20)
        self.want = self.work.want()
        self.image = self.folder / "p.image"
        self.drivers = [self.folder / "new.so", DRIVER]
        shutil.copy(DRIVER, self.drivers[0])

    def words(self, name):
        """Driver updates go to and fro between two files."""
        if name == "update":
            self.drivers.reverse()
        meant = {"WORK": self.work.words(), "RIGHT": [self.right.address], "IMAGE": [self.image], "DRIVER": [self.drivers[1]]}
        return [word for each in VERBS[name].words for word in meant.get(each, [each])]

    def make(self, start):
        """p behind a hole, so that a defragmentation moves it; of a case that failed nothing is left."""
        for host in (self.left, self.right):
            for name in partitions(host):
                host.run("partition", "remove", name)
        self.image.unlink(missing_ok=True)
        for name in ("gap", "p"):
            self.left.run("partition", "create", name, "--adapter", 0, "--vram", "8M")
        self.left.run("partition", "remove", "gap")
        if start.work == "runs":
            self.left.run("run", "p", *self.work.words())
        if start.paused:
            self.left.run("partition", "pause", "p")

    def over(self, name, process):
        try:
            out, err = process.communicate(timeout=LIMIT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            raise AssertionError(f"{name} does not end: {process.communicate()}") from None
        return process.returncode, out + err

    def held(self, first, second, far, call):
        """Both verbs' ends, the second said while the first stands in that call of a driver."""
        gates = self.gates[far]
        gates.close(call)
        one = self.left.spawn(*self.words(first))
        try:
            wait_until(f"{first} comes to {call}", lambda: gates.stands_at(call) or one.poll() is not None, LIMIT_S)
            self.assertTrue(gates.stands_at(call), f"{first} never came to {call}: {one.poll()}")
            two = self.left.spawn(*self.words(second))
            try:
                two.wait(CHANCE_S)
            except subprocess.TimeoutExpired:
                pass  # it waits
        finally:
            gates.open(call)
        return self.over(first, one), self.over(second, two)

    def after(self, first, second, delay):
        """Both verbs' ends, the second said that much later."""
        one = self.left.spawn(*self.words(first))
        time.sleep(delay)
        two = self.left.spawn(*self.words(second))
        return self.over(first, one), self.over(second, two)

    def where(self, saved):
        places = [name for name, host in (("left", self.left), ("right", self.right)) if "p" in partitions(host)]
        self.assertLessEqual(len(places), 1, "there are two of it")
        if places:
            return places[0]
        return "image" if saved else "nowhere"

    def settled(self, want):
        """A source that has said its word may still be tearing down."""
        wait_until(f"it is {want}", lambda: self.where(want == "image") == want, 30)

    def end_right(self, found):
        """What is left of it works to its end."""
        if found.where == "image":
            self.left.run("restore", "p", "--input", self.image, "--adapter", 0)
        host = self.right if found.where == "right" else self.left
        if found.paused:
            host.run("partition", "resume", "p")
        if found.work == "none":
            host.run("run", "p", *self.work.words())
        self.assertEqual(finish(host, "p"), self.want)
        host.run("partition", "remove", "p")

    def judge(self, first, second, ends):
        start = begins(first, second)
        for name, (code, said) in zip((first, second), ends):
            self.assertIn(code, (0, 1, 7), f"{name}: {said}")
            self.assertIsNone(BLAMED.search(said), f"{name}: {said}")
            if code != 0:
                self.assertRegex(said, REFUSED, name)
        done = [name for name, (code, _) in zip((first, second), ends) if code == 0]
        self.assertTrue(done, f"neither did what it should: {ends}")
        allowed = outcomes(start, done)
        self.assertTrue(allowed, f"both cannot have answered 0: {ends}")
        places = {model.where for model in allowed}
        if len(places) == 1:
            self.settled(*places)
        where = self.where("save" in done)
        host = {"left": self.left, "right": self.right}.get(where)
        if "keep" in done:
            self.left.run("image", "verify", self.image)
        fits = [model for model in allowed if model.where == where]
        if host:
            wait_until("nobody holds it", lambda: show(host, "p")["held_by"] is None, 30)
            now = show(host, "p")
            self.assertEqual(now["state"], "paused" if now["paused_by_person"] else "running")
            fits = [model for model in fits if model.paused == now["paused_by_person"]]
            # What was done before the reset came stays done.
            work = "runs" if now["workload_state"] in ("running", "done") else "none"
            fits = [dataclasses.replace(model, work=work) for model in fits
                    if model.work == work or now["workload_state"] == "done"]
        self.assertTrue(fits, f"found {where}, {host and now}; allowed {allowed}: {ends}")
        if where != "nowhere":
            self.end_right(fits[0])

    def case(self, first, second, far, call):
        with self.subTest(first=first, second=second, held=f"{call} on the {'target' if far else 'source'}"):
            self.make(begins(first, second))
            self.judge(first, second, self.held(first, second, far, call))

    def some(self, chosen, least):
        """All of them, or so many as make test has time for, drawn anew each time."""
        print(f"# seed {SEED}: VF_PAIRS_SEED={SEED} tries the same again", flush=True)
        picked = chosen if ALL else random.Random(SEED).sample(chosen, min(least, len(chosen)))
        print(f"# {len(picked)} of {len(chosen)} cases", flush=True)
        for each in picked:
            self.case(*each)

    def test_any_verb_while_a_reserve_moves_inside_vram(self):
        self.some([each for each in cases() if each[0] == "defrag" and each[3] in ("copy", "resume")], 12)

    def test_any_two_verbs(self):
        self.some([each for each in cases() if each[0] != "defrag" or each[3] not in ("copy", "resume")], 24)

    def test_any_two_verbs_at_any_moment(self):
        print(f"# seed {SEED}: VF_PAIRS_SEED={SEED} tries the same again", flush=True)
        dice = random.Random(SEED)
        for _ in range(200 if ALL else 8):
            first, second, delay = dice.choice(list(VERBS)), dice.choice(list(VERBS)), dice.random() * 0.15
            with self.subTest(first=first, second=second, delay=delay):
                self.make(begins(first, second))
                self.judge(first, second, self.after(first, second, delay))


if __name__ == "__main__":
    unittest.main()
