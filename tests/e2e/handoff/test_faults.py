# SPDX-License-Identifier: Apache-2.0
"""
Something happens at each record before COMMIT, in both directions: never two, never none, and nothing left over. A link that is
lost in the rounds is made anew.
"""
import random
import unittest

import proxy
from e2e import at_once
from faults import Faults, lost_link, silent_link

TESTS_AT_ONCE = at_once(2)
SEED = random.SystemRandom().randrange(1 << 32)


class Walk(Faults):
    """Every record before COMMIT, in both directions."""

    def setUp(self):
        super().setUp()
        self.warm_up()
        self.points = self.every_record()

    def test_the_connection_is_cut_before_each_record(self):
        self.walk(self.points, lambda _: proxy.cut, seconds=3, code=lost_link)
        self.nothing_is_left()

    def test_each_record_is_truncated(self):
        self.walk(self.points, lambda _: proxy.truncate, seconds=3, code=lost_link)
        self.nothing_is_left()

    def test_a_bit_of_each_record_is_flipped(self):
        print(f"# seed {SEED}", flush=True)
        # A data stream that is refused at its HELLO may look like one that was lost.
        points = [p for p in self.points if (p.tag, p.role) != ("HELLO", "data")]
        self.walk(points, lambda number: proxy.flip(random.Random(SEED + number)), seconds=3)
        self.nothing_is_left()

    def test_the_connection_goes_silent_at_each_record(self):
        self.walk(self.points, lambda _: proxy.go_silent, seconds=8, code=silent_link)
        self.nothing_is_left()

    def test_a_job_is_cancelled_at_each_record(self):
        """The record is held; the cancel comes in whatever phase that is."""

        def cancel(name):
            job = next(j for j in self.left.json("job", "list")["jobs"] if j["partition"] == name)
            self.left.run("job", "cancel", job["job"])

        self.walk(self.points, lambda _: proxy.hold, seconds=4, code=lambda _: 4, during=cancel)
        self.nothing_is_left()


if __name__ == "__main__":
    unittest.main()
