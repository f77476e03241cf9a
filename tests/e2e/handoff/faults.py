# SPDX-License-Identifier: Apache-2.0
"""What the tests of disturbed moves share: a pair of hosts, one disturbed move, and the proof that nothing is left of it."""
import concurrent.futures
import zlib

from e2e import (
    at_once,
    Case,
    begins,
    churn,
    create,
    files,
    footprint_settles,
    move,
    partitions,
    rested,
    room,
    state,
)
from harness import PATIENCE, wait_until
from proxy import OUT, Point, Proxy

PAIR = "softgpu,vram=640M,vfs=18,dirty-page=64K"
AT_ONCE = at_once(9)
# Longer than a silence is noticed, short enough to wait for: a full rehash of the peer ends by it alone.
LIMIT_MS = 8000
# How long a lost link is dialled again; the target waits longer: it may notice later.
REDIAL_S = 6
LET_GO_S = REDIAL_S + 2 * 5 + 20
# From here on the target may run it.
HANDED_OVER = ("COMMIT", "RUNNING", "DONE", "CLOSE")


def lost_link(point):
    """What a move comes to whose link is lost there: in the rounds it is made anew."""
    return 0 if point.role == "data" or point.tag == "ROUND" else 1


def silent_link(point):
    """The same for one connection that falls silent."""
    if point.tag == "ROUND":
        return None  # the data streams may be done, and STATE sent, before it is noticed
    # While the peer rehashes it may be silent for as long as the blackout may last.
    return 1 if point.tag == "REHASH" else lost_link(point)


BUSY = ("--throttle", "off")  # what writes at its own speed has something left for the last round


def work_for(name, seconds, last_round=False):
    """Writes; with last_round so much that there is never an empty one, though it follows at once."""
    rate = (64 if last_round else 12) << 20
    return churn(seconds, size="12M", rate=rate, seed=zlib.crc32(name.encode()) % 1000)


class Faults(Case):
    redial_s = REDIAL_S

    def setUp(self):
        super().setUp()
        # All at once: a move that hangs would have the others wait.
        self.left, self.right = self.pair(
            PAIR, options=["--moves-at-once", "32", "--redial", str(self.redial_s)]
        )

    def warm_up(self):
        """One move goes through; what is held afterwards is what must be held at the end."""
        create(self.left, "warm", work_for("warm", 1))
        move(self.left, self.right, "warm", "--verify", "full")
        self.right.run("partition", "remove", "warm")
        self.held = [(host, rested(host), files(host)) for host in (self.left, self.right)]
        self.there = room(self.right)

    def nothing_is_left(self):
        self.assertEqual(partitions(self.right), [])
        wait_until("VF and VRAM are back", lambda: room(self.right) == self.there, 20)
        for host, before, listed in self.held:
            footprint_settles(host, before)
            self.assertEqual(files(host), listed)

    def every_record(self):
        """Each kind of record of a whole move, in the order in which they pass."""
        create(self.left, "scout", work_for("scout", 2, last_round=True))
        begins(self.left, "scout")
        with Proxy(self.right.address) as way:
            move(self.left, way.address, "scout", "--verify", "full", *BUSY)
        self.right.run("partition", "remove", "scout")
        points = []
        for point in way.seen:
            if point not in points and point.tag not in ("PING", *HANDED_OVER):
                points.append(point)
        # The walk walks on what was seen; these must be among it, or it would be a short one.
        for tag in (
            "HELLO",
            "ADMIT",
            "ADMITTED",
            "ROUND",
            "PAGES",
            "ROUND_END",
            "ACK",
            "REHASH",
            "STATE",
            "READY",
        ):
            self.assertIn(tag, {point.tag for point in points})
        self.assertIn(Point("PAGES", OUT, "data", True), points)
        self.assertIn(Point("PAGES", OUT, "data", False), points)
        return points

    def disturbed(self, name, point, act, seconds, code, during=None, options=()):
        """One move with something at one record. With code 0 it arrives nevertheless; else the source works on, and the target
        has nothing. Either way the work ends right. `code` None: whichever it is."""
        work = work_for(name, seconds, last_round=point.role == "data" and point.paused)
        create(self.left, name, work)
        begins(self.left, name)
        with Proxy(self.right.address, point, act) as way:
            moving = self.left.spawn(
                "migrate",
                name,
                "--to",
                way.address,
                "--max-blackout",
                # One that arrives has to do in it what a sanitizer makes slow; one that does not waits for its end.
                LIMIT_MS * (PATIENCE if code == 0 else 1),
                "--verify",
                "full",
                *BUSY,
                *options,
            )
            self.assertTrue(way.acted.wait(30), f"{point}: never passed")
            if during is not None:
                during(name)
            out, err = moving.communicate(timeout=60)
            ended = moving.returncode
            self.assertIn(ended, (0, 1) if code is None else (code,), f"{point}: {err}{out}")
            here, there = (self.right, self.left) if ended == 0 else (self.left, self.right)
            self.assertEqual(state(here, name), "running", point)
            # The way stays open: the target may still have to be told.
            wait_until(
                f"{point}: {there.name} has no {name}", lambda: name not in partitions(there), LET_GO_S
            )
        self.assert_works_to_its_end(here, name, work)
        here.run("partition", "remove", name)

    def walk(self, points, act, seconds, code=lambda _: 1, during=None):
        """All points, some at a time; code(point) is what disturbed() expects there."""

        def one(numbered):
            number, point = numbered
            self.disturbed(f"p{number}", point, act(number), seconds, code(point), during)
            return None

        with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
            list(pool.map(one, enumerate(points)))
