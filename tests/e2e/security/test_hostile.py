# SPDX-License-Identifier: Apache-2.0
"""Strangers: garbage, lies and crowds at the migration port and at the control socket. The hosts keep serving, and keep nothing."""
import json
import random
import socket
import struct
import time
import unittest

from e2e import (
    at_once,
    Case,
    begins,
    churn,
    create,
    footprint,
    footprint_settles,
    move,
    partitions,
    rested,
    room,
    runs,
)
from harness import PATIENCE, wait_until
from impostor import ABORT, ADMIT, COMMIT, HELLO, ROUND, ROUND_END, STATE, ZERO_MARK, Impostor, frame, record, xxh3
from proxy import HEADER, OUT, Proxy

SEED = random.SystemRandom().randrange(1 << 32)
TESTS_AT_ONCE = at_once(4)
CASES = 150
CROWD = 300


class MigrationPort(Case):
    """Records of a true move are taken first, to be bent afterwards."""

    def setUp(self):
        super().setUp()
        # A source that goes without a word is waited for: not long here.
        self.left, self.right = self.pair(
            "softgpu,vram=256M,vfs=4,dirty-page=64K", options=["--redial", "4"]
        )
        create(self.left, "p", churn(0.5))
        begins(self.left, "p")
        with Proxy(self.right.address, keep=True) as way:
            move(self.left, way.address, "p", "--streams", 1)
        self.right.run("partition", "remove", "p")
        self.records = [data for point, data in way.bytes if point.direction == OUT]
        control = [
            data for point, data in way.bytes if point.direction == OUT and point.role == "control"
        ]
        self.hello = control[0]
        self.admit = next(data for data in control if struct.unpack_from("<I", data)[0] == ADMIT)
        self.rng = random.Random(SEED)
        print(f"# seed {SEED}", flush=True)
        self.work = churn(60, rate=1 << 20)
        create(self.right, "neighbour", self.work)
        begins(self.right, "neighbour")
        self.there = room(self.right)
        self.held = rested(self.right)

    def still_serves(self):
        """The same processes, nothing kept, the neighbour works, and a true partition can still come."""
        self.assertIsNone(self.right.process.poll())
        wait_until("VF and VRAM are back", lambda: room(self.right) == self.there, 30)
        self.assertEqual(partitions(self.right), ["neighbour"])
        footprint_settles(self.right, self.held, 30)
        runs(self.right, "neighbour")
        work = churn(0.5)
        create(self.left, "honest", work)
        move(self.left, self.right, "honest")
        self.assert_works_to_its_end(self.right, "honest", work)

    def send(self, data):
        """Sends and hangs up, whatever the host makes of it."""
        host, port = self.right.address.rsplit(":", 1)
        with socket.create_connection((host, int(port)), 10) as end:
            try:
                end.sendall(data)
                end.shutdown(socket.SHUT_WR)
                end.settimeout(10)
                while end.recv(65536):
                    pass
            except OSError:
                pass

    def test_garbage(self):
        for _ in range(CASES):
            self.send(self.rng.randbytes(self.rng.choice((0, 1, 15, 16, 17, 400, 70000))))
        self.still_serves()

    def test_true_records_cut_off_anywhere(self):
        stream = b"".join(self.records[:6])
        for _ in range(CASES):
            self.send(stream[: self.rng.randrange(len(stream))])
        self.still_serves()

    def test_true_records_with_flipped_bits(self):
        for _ in range(CASES):
            stream = bytearray(b"".join(self.records[:4]))
            for _ in range(self.rng.randrange(1, 4)):
                stream[self.rng.randrange(min(len(stream), 2000))] ^= 1 << self.rng.randrange(8)
            self.send(stream)
        self.still_serves()

    def test_headers_that_announce_what_nobody_should_allocate(self):
        for tag in list(range(0, 26)) + [0xFFFFFFFF]:
            for length in (0, 7, 8, 4097, 1 << 20, (4 << 20) + 1, 0x7FFFFFFF, 0xFFFFFFFF):
                head = struct.pack("<III", tag, self.rng.choice((0, 1, 0xFFFFFFFF)), length)
                self.send(
                    head + struct.pack("<I", xxh3(head) & 0xFFFFFFFF) + self.rng.randbytes(200)
                )
        self.still_serves()

    def test_sealed_lies_in_hello_and_admit(self):
        """Checksums are right, fields are not: only checks of the fields themselves help."""
        for _ in range(CASES):
            fields = [bytearray(self.hello[HEADER + 8 :]), bytearray(self.admit[HEADER + 8 :])]
            for _ in range(self.rng.randrange(1, 5)):
                bent = self.rng.choice(fields)
                at = self.rng.randrange(len(bent))
                bent[at : at + 1] = self.rng.choice(
                    (b"\x00", b"\xff", b"\x80", self.rng.randbytes(1), b"")
                )
            self.send(record(HELLO, bytes(fields[0])) + record(ADMIT, bytes(fields[1])))
        self.still_serves()

    def test_frames_that_lie_are_refused_and_their_partition_goes(self):
        page = b"\x5a" * 65536
        right = [xxh3(page)]
        total = (32 << 20) // 65536
        lies = {
            "beyond the end": dict(pages=[total], digests=right, payload=page),
            "far beyond the end": dict(pages=[ZERO_MARK - 1], digests=right, payload=page),
            "descending": dict(pages=[1, 0], digests=right * 2, payload=page * 2),
            "twice": dict(pages=[1, 1], digests=right * 2, payload=page * 2),
            "no pages": dict(pages=[], payload=b""),
            "more than there are": dict(pages=[0], digests=right, count=1024, payload=page),
            "a count beyond the cap": dict(
                pages=[0], digests=right, count=0xFFFFFFFF, payload=page
            ),
            "too much payload": dict(pages=[0], digests=right, payload=page * 2),
            "too little payload": dict(pages=[0, 1], digests=right * 2, payload=page),
            "payload of another length": dict(
                pages=[0], digests=right, payload=page, payload_bytes=0xFFFFFFF0
            ),
            "zero with payload": dict(pages=[ZERO_MARK], digests=right, payload=page),
            "zero with the digest of something": dict(pages=[ZERO_MARK], digests=right),
            "another digest": dict(pages=[0], digests=[1], payload=page),
            "another job": dict(job=bytes(16), pages=[0], digests=right, payload=page),
            "another epoch": dict(epoch=99, pages=[0], digests=right, payload=page),
            "a later place": dict(sequence=7, pages=[0], digests=right, payload=page),
        }
        for what, lie in lies.items():
            with self.subTest(lie=what):
                impostor = Impostor(self.right.address, self.hello, self.admit, self.rng)
                try:
                    control, data = impostor.admitted()
                    control.sendall(record(ROUND, struct.pack("<IQB", 0, 1, 0)))
                    lie = dict(lie)
                    said = frame(
                        lie.pop("job", impostor.job),
                        lie.pop("epoch", impostor.epoch),
                        lie.pop("pages"),
                        **lie,
                    )
                    end = record(ROUND_END, struct.pack("<IQQ", 0, 1, 1))
                    try:
                        data.sendall(said + end)
                    except OSError:
                        pass
                    control.settimeout(20)
                    tag, _ = impostor.receive(control)
                    self.assertEqual(tag, ABORT, "the target has to say no")
                finally:
                    impostor.close()
                wait_until("its partition is gone", lambda: room(self.right) == self.there, 20)
        self.still_serves()

    def test_records_out_of_turn_are_refused_and_their_partition_goes(self):
        for tag, fields in (
            (COMMIT, bytes(40)),
            (STATE, struct.pack("<II", 0, 0) + bytes(24)),
            (ADMIT, None),
            (HELLO, None),
            (ROUND_END, bytes(20)),
        ):
            with self.subTest(tag=tag):
                impostor = Impostor(self.right.address, self.hello, self.admit, self.rng)
                try:
                    control, _ = impostor.admitted()
                    fields = (
                        fields
                        if fields is not None
                        else {ADMIT: impostor.admit, HELLO: impostor.hello}[tag]
                    )
                    control.sendall(record(tag, fields))
                    control.settimeout(20)
                    self.assertEqual(impostor.receive(control)[0], ABORT)
                finally:
                    impostor.close()
                wait_until("its partition is gone", lambda: room(self.right) == self.there, 20)
        self.still_serves()

    def test_a_data_stream_without_the_token_is_not_let_in(self):
        impostor = Impostor(self.right.address, self.hello, self.admit, self.rng)
        try:
            impostor.admitted()
            thief = impostor.connect()
            thief.settimeout(20)
            thief.sendall(impostor.hello_as(1, self.rng.randbytes(16)))
            self.assertIn(impostor.receive(thief)[0], (ABORT, None))
        finally:
            impostor.close()
        self.still_serves()

    def test_a_crowd_that_says_nothing_goes_away_and_costs_nothing(self):
        host, port = self.right.address.rsplit(":", 1)
        crowd = []
        try:
            for _ in range(CROWD):
                crowd.append(socket.create_connection((host, int(port)), 10))
            self.assertEqual(self.right.json("host", "show")["name"], "right")
            runs(self.right, "neighbour")
            self.assertLess(footprint(self.right)["vferryd"][1], 100, "threads are bounded")
            # Nobody has to hang up first: a stranger has 5 s to say who it is.
            footprint_settles(self.right, self.held, 30)
        finally:
            for end in crowd:
                end.close()
        self.still_serves()

    def test_a_crowd_that_says_nothing_keeps_no_move_out(self):
        host, port = self.right.address.rsplit(":", 1)
        create(self.left, "early", churn(1))
        crowd = []
        try:
            for _ in range(CROWD):
                crowd.append(socket.create_connection((host, int(port)), 10))
            move(self.left, self.right, "early")
        finally:
            for end in crowd:
                end.close()
        self.right.run("partition", "remove", "early")
        self.still_serves()


class ControlSocket(Case):
    def setUp(self):
        super().setUp()
        self.one = self.host("one")
        create(self.one, "p", churn(60, rate=1 << 20))
        begins(self.one, "p")
        self.rng = random.Random(SEED)
        print(f"# seed {SEED}", flush=True)
        self.held = rested(self.one)

    def connect(self):
        end = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        end.connect(str(self.one.state / "control.sock"))
        end.settimeout(20)  # only now: a connect that may not block fails while the queue is full
        return end

    def ask(self, data):
        """All that is answered until the host hangs up or the sender has said all."""
        said = b""
        with self.connect() as end:
            try:
                end.sendall(data)
                end.shutdown(socket.SHUT_WR)
                while part := end.recv(65536):
                    said += part
            except OSError:
                pass
        return said

    def still_serves(self):
        began = time.monotonic()
        self.assertEqual(self.one.json("host", "show")["name"], "one")
        self.assertLess(time.monotonic() - began, 5 * PATIENCE)
        runs(self.one, "p")
        footprint_settles(self.one, self.held, 30)

    def test_garbage_gets_one_error_a_line_or_a_close(self):
        for _ in range(CASES):
            junk = self.rng.randbytes(self.rng.randrange(1, 300)).replace(b"\n", b" ")
            for line in self.ask(junk + b"\n").splitlines():
                self.assertIn("error", json.loads(line))
        self.still_serves()

    def test_requests_that_lie_get_errors(self):
        for request in (
            {},
            [],
            {"verb": 1},
            {"verb": "no such verb"},
            {"verb": "partition show"},
            {"verb": "partition show", "args": []},
            {"verb": "partition show", "args": {"name": 7}},
            {"verb": "partition show", "args": {"name": "x" * 5000}},
            {
                "verb": "partition create",
                "args": {"name": "../../etc", "adapter": 0, "vram": 1 << 25},
            },
            {"verb": "partition create", "args": {"name": "q", "adapter": -1, "vram": 1 << 25}},
            {
                "verb": "partition create",
                "args": {"name": "q", "adapter": 1 << 40, "vram": 1 << 25},
            },
            {"verb": "partition create", "args": {"name": "q", "adapter": 0, "vram": -1}},
            {
                "verb": "partition create",
                "args": {"name": "q", "adapter": 0, "vram": (1 << 63) - 1},
            },
            {
                "verb": "run",
                "args": {"name": "p", "workload": "churn", "options": {"size": "99999999G"}},
            },
            {
                "verb": "run",
                "args": {
                    "name": "p",
                    "workload": "diffuse",
                    "options": {"steps": "1", "input": "file"},
                },
            },
            {"verb": "read", "args": {"name": "p"}},
            {"verb": "migrate", "args": {"name": "p", "to": "127.0.0.1:1", "streams": 1 << 31}},
            {"verb": "job show", "args": {"job": -1}},
        ):
            answers = [
                json.loads(line)
                for line in self.ask(json.dumps(request).encode() + b"\n").splitlines()
            ]
            self.assertEqual(
                [set(answer) for answer in answers], [{"error"}], f"{request}: {answers}"
            )
            self.assertIn(answers[0]["error"]["code"], (1, 2), answers)
        self.assertEqual(partitions(self.one), ["p"])
        self.still_serves()

    def test_half_lines_huge_lines_and_deep_nesting(self):
        self.ask(b'{"verb": "host sho')
        self.ask(b"x" * (1 << 20))
        self.ask(b"[" * 60000 + b"\n")
        self.ask(b'{"a":' * 10000 + b"\n")
        self.ask(b"\n" * 10000)
        self.ask(b"\0" * 65535 + b"\n")
        self.still_serves()

    def test_many_requests_on_one_connection_are_all_answered(self):
        answers = self.ask(b'{"verb": "host show"}\n' * 200).splitlines()
        self.assertEqual(len(answers), 200)
        self.assertTrue(all("result" in json.loads(line) for line in answers))
        self.still_serves()

    def test_a_crowd_that_says_nothing_keeps_nobody_out(self):
        crowd = []
        try:
            for _ in range(CROWD):
                crowd.append(self.connect())
            self.assertEqual(self.one.json("host", "show")["name"], "one")
            self.assertLess(footprint(self.one)["vferryd"][1], 200, "threads are bounded")
        finally:
            for end in crowd:
                end.close()
        self.still_serves()

    def test_a_client_that_leaves_a_wait_frees_its_thread(self):
        for _ in range(20):
            with self.connect() as end:
                end.sendall(b'{"verb": "wait", "args": {"name": "p"}}\n')
        self.still_serves()

    def test_a_client_that_does_not_read_holds_up_nobody(self):
        with self.connect() as deaf:
            deaf.setblocking(False)
            try:
                while True:
                    deaf.send(b'{"verb": "partition list"}\n' * 1000)
            except BlockingIOError:
                pass
            self.assertEqual(self.one.json("host", "show")["name"], "one")
            runs(self.one, "p")
        self.still_serves()


if __name__ == "__main__":
    unittest.main()
