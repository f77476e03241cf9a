# SPDX-License-Identifier: Apache-2.0
"""One tenant's bytes, sought by another and by other users of the machine, through every interface there is (docs/isolation.md)."""
import functools
import json
import os
import pathlib
import random
import re
import socket
import stat
import struct
import subprocess
import sys
import tempfile
import time
import unittest

from e2e import BUILD, Case, Work, at_once, begins, churn, create, finish, move, partitions, room, runs, show, state
from harness import PATIENCE, Host, reference, sanitizer, wait_until
from impostor import ABORT, ADMIT, HELLO, ROUND, ZERO_MARK, Impostor, frame, record, xxh3
from proxy import HEADER, OUT, Proxy

SEED = random.SystemRandom().randrange(1 << 32)
TESTS_AT_ONCE = at_once(2)
DEVICE = "softgpu,vram=64M,vfs=2,dirty-page=64K"  # two of 32M: a newcomer gets what the last one had
SECRET = Work("fill", size="24M", seed=SEED)
NEEDLE_BYTES = 24
NOBODY = 65534
PING, REFUSED = 2, 5
TOOL = sanitizer(BUILD)
SHADOW_BYTES = 16 << 30  # a mapping as large is the tool's book about addresses, terabytes of it, and no memory of the program


@functools.cache
def needles():
    """Pieces of the secret, from all over it."""
    with tempfile.TemporaryDirectory(prefix="vferry-test-") as folder:
        path = pathlib.Path(folder) / "secret"
        reference(BUILD, *SECRET.words(), output=path)
        content = path.read_bytes()
    return [content[at : at + NEEDLE_BYTES] for at in range(4096, len(content), 3 << 20)]


class Alice(Case):
    """A host with a tenant whose bytes are known."""

    def setUp(self):
        super().setUp()
        print(f"# seed {SEED}", flush=True)
        self.one = self.host("one", DEVICE)
        create(self.one, "alice", SECRET)
        self.assertEqual(finish(self.one, "alice"), SECRET.want())

    def assert_clean(self, data, where):
        """None of the secret is in it, as bytes or as digits."""
        data = data.encode() if isinstance(data, str) else bytes(data)
        for needle in needles():
            self.assertNotIn(needle, data, where)
            self.assertNotIn(needle[:12].hex().encode(), data.lower(), where)

    def memory(self, pid):
        """All that the process has mapped and can read, piece by piece."""
        with open(f"/proc/{pid}/maps", encoding="ascii", errors="replace") as maps, open(f"/proc/{pid}/mem", "rb", 0) as mem:
            for line in maps:
                start, end, mode = re.match(r"(\w+)-(\w+) (\S+)", line).groups()
                if mode[0] != "r" or "[v" in line or (TOOL and int(end, 16) - int(start, 16) > SHADOW_BYTES):
                    continue
                for at in range(int(start, 16), int(end, 16), 16 << 20):
                    try:
                        mem.seek(at)
                        yield line.strip(), mem.read(min(16 << 20, int(end, 16) - at))
                    except OSError:
                        break  # reserved, not readable

    def holds_secret(self, pid):
        return next((where for where, data in self.memory(pid) if any(needle in data for needle in needles())), None)


@unittest.skipIf(os.geteuid() != 0, "looks into processes")
class TheNextTenant(Alice):
    """However Alice goes, nothing of hers is left where VRAM is, nor for Bob to find."""

    def bob_finds_nothing(self, host):
        self.assertIsNone(self.holds_secret(host.kernel_pid), "the kernel side still has it")
        small = Work("fill", size="64K", seed=1)
        create(host, "bob")
        said = [host.run(*words, code=None) for words in (
            ("--json", "partition", "show", "bob"), ("read", "bob", "--output", self.folder / "bob.result"), ("wait", "bob", "--timeout", 1),
            ("--json", "partition", "list"), ("--json", "job", "list"), ("--json", "host", "show"), ("--json", "adapter", "show", 0),
            ("--json", "driver", "show", 0), ("--json", "events"), ("read", "alice", "--output", self.folder / "alice.result"),
            ("wait", "alice", "--timeout", 1), ("--json", "partition", "show", "alice"))]
        for done in said:
            self.assert_clean(done.stdout + done.stderr, done.args)
        for name in ("alice.result", "bob.result"):
            self.assertFalse((self.folder / name).exists(), name)
        image = self.folder / f"{host.name}.image"
        host.run("save", "bob", "--output", image, "--keep")
        self.assert_clean(image.read_bytes(), "an image of a partition that never wrote")
        self.assertLess(image.stat().st_size, 1 << 20)
        image.unlink()
        host.run("run", "bob", *small.words())
        self.assertEqual(finish(host, "bob"), small.want())
        host.run("read", "bob", "--output", self.folder / "bob.result")
        self.assertEqual((self.folder / "bob.result").stat().st_size, 64 << 10)
        (self.folder / "bob.result").unlink()
        host.run("partition", "remove", "bob")

    def test_after_a_removal(self):
        self.assertIsNotNone(self.holds_secret(self.one.kernel_pid), "the search finds what is there")
        self.one.run("partition", "remove", "alice")
        self.bob_finds_nothing(self.one)

    def test_after_a_move_and_a_save_without_keep(self):
        other = self.host("other", DEVICE)
        move(self.one, other, "alice")
        self.bob_finds_nothing(self.one)
        other.run("save", "alice", "--output", self.folder / "alice.image")
        self.bob_finds_nothing(other)
        self.one.run("restore", "alice", "--input", self.folder / "alice.image", "--adapter", 0)
        self.assertEqual(finish(self.one, "alice"), SECRET.want())
        self.one.run("partition", "remove", "alice")
        self.bob_finds_nothing(self.one)

    def test_after_an_arrival_that_was_cut_off(self):
        other = self.host("other", DEVICE)
        free = room(other)
        with Proxy(other.address, keep=True) as way:
            # Slow enough to be cut off midway, and no slower than a move may be.
            moving = self.one.spawn("migrate", "alice", "--to", way.address, "--bandwidth", max(1 << 20, (4 << 20) // PATIENCE))

            def arrived():
                self.assertIsNone(moving.poll(), moving.poll() is not None and moving.communicate())
                return sum(point.tag == "PAGES" for point, _ in list(way.bytes)) > 4

            wait_until("pages arrived", arrived, 30)
            self.assertIsNotNone(self.holds_secret(other.kernel_pid))
            job = self.one.json("job", "list")["jobs"][0]["job"]
            self.one.run("job", "cancel", job)
            wait_until("the VF and its VRAM are back", lambda: room(other) == free, 60)
        self.bob_finds_nothing(other)
        runs(self.one, "alice")


class OtherUsers(Alice):
    """A user of the machine who is neither root nor the host's owner. The state directory is opened to all: each thing guards itself."""

    @staticmethod
    def as_nobody(code, *args):
        """What a program of another user prints."""
        done = subprocess.run([sys.executable, "-c", code, *map(str, args)], capture_output=True, text=True, timeout=60, check=False,
                              user=NOBODY, group=NOBODY, extra_groups=[], cwd="/")
        if done.returncode != 0:
            raise AssertionError(done.stderr)
        return done.stdout

    TRY = """
import json, os, socket, sys
def attempt(what):
    try:
        if what.endswith(".sock"):
            for kind in (socket.SOCK_STREAM, socket.SOCK_SEQPACKET):
                try:
                    socket.socket(socket.AF_UNIX, kind).connect(what)
                except OSError as error:
                    if error.errno != 91: raise
                else:
                    return "connected"
        elif os.path.isdir(what):
            return "listed " + str(os.listdir(what))
        else:
            return "read " + repr(open(what, "rb").read(64))
    except OSError as error:
        return error.errno
print(json.dumps({what: attempt(what) for what in sys.argv[1:]}))
"""

    def refused(self, paths):
        """Every one of them, for want of permission."""
        got = json.loads(self.as_nobody(self.TRY, *paths))
        self.assertEqual({path: said for path, said in got.items() if said not in (1, 13)}, {}, "could be had")

    @unittest.skipIf(os.geteuid() != 0, "takes another user's place")
    def test_sockets_files_and_processes_are_closed_to_others(self):
        image = self.folder / "alice.image"
        self.one.run("save", "alice", "--output", image, "--keep", umask=0)
        for folder in (self.folder, self.one.state):
            folder.chmod(0o755)
        state_files = [path for path in self.one.state.iterdir() if path.name != "vferryd.log"]  # that one is the harness's
        self.assertGreaterEqual({path.name for path in state_files}, {"control.sock", "kernel.sock", "journal", "lock", "kernel.log"})
        for path in [image, *state_files]:
            self.assertEqual(stat.S_IMODE(path.lstat().st_mode) & 0o077, 0, f"{path.name} is open to others")
        workers = [int(pid) for pid in os.listdir("/proc") if pid.isdigit() and
                   self.parent_of(pid) == self.one.kernel_pid]
        self.assertTrue(workers, "the emulation has a process")
        processes = [f"/proc/{pid}/{what}" for pid in (self.one.process.pid, self.one.kernel_pid, *workers)
                     for what in ("mem", "maps", "environ", "fd", "map_files", "stack")]
        self.refused([image, *state_files, *processes])

    @staticmethod
    def parent_of(pid):
        try:
            with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as line:
                return int(line.read().rsplit(")", 1)[1].split()[1])
        except (FileNotFoundError, ProcessLookupError):
            return None

    @unittest.skipIf(os.geteuid() != 0, "takes another user's place")
    def test_not_even_the_same_user_may_look_into_the_processes(self):
        """vferryd is all that strangers can reach: were it theirs, VRAM would still be the kernel side's alone."""
        place = self.folder / "theirs"
        place.mkdir()
        os.chown(place, NOBODY, NOBODY)
        self.folder.chmod(0o755)
        host = Host(BUILD, "theirs", (DEVICE,), state=place, user=NOBODY, log=self.folder / "theirs.log")
        try:
            host.start()
        except PermissionError:
            self.skipTest(f"{BUILD} lies where other users cannot come")
        self.hosts.append(host)
        self.addCleanup(host.stop)
        create(host, "p", churn(30, rate=1 << 20))
        begins(host, "p")
        # It can still open its own: drivers are loaded from there.
        host.run("driver", "update", 0, "--driver", BUILD / "drivers" / "softgpu-v2.so")
        runs(host, "p")
        self.refused(f"/proc/{pid}/{what}" for pid in (host.process.pid, host.kernel_pid) for what in ("mem", "maps", "environ", "fd"))
        for pid in (host.process.pid, host.kernel_pid):
            limits = pathlib.Path(f"/proc/{pid}/limits").read_text(encoding="ascii")
            self.assertRegex(limits, r"Max core file size\s+0\s+0", "a core file would hold what guests store")

    def test_no_name_and_no_file_is_left_anywhere(self):
        """Shared memory has no name that others could open; a whole life leaves nothing in the places for temporary files."""
        def litter():
            return {path for place in ("/dev/shm", "/tmp", "/var/tmp") if os.path.isdir(place)
                    for path in map(str, pathlib.Path(place).iterdir())}

        before = litter()
        other = self.host("other", DEVICE)
        move(self.one, other, "alice")
        other.run("save", "alice", "--output", self.folder / "alice.image")
        self.one.run("restore", "alice", "--input", self.folder / "alice.image", "--adapter", 0)
        self.one.run("driver", "update", 0, "--driver", BUILD / "drivers" / "softgpu-v2.so", code=None)
        self.assertEqual(finish(self.one, "alice"), SECRET.want())
        left = {path for path in litter() - before if self.is_ours(path)}
        self.assertEqual(left, set())
        self.assertEqual(sorted(os.listdir(self.folder)), ["alice.image", "one", "other"])

    @staticmethod
    def is_ours(path):
        """Other tests may run at the same time; theirs are directories that their names tell."""
        return "vferry" in path and not (os.path.isdir(path) and re.search(r"/vferry-[a-z]+-\w+$", path))


class OldStreams(Case):
    """Every byte that once moved a partition, said again later."""

    def setUp(self):
        super().setUp()
        self.left, self.right = self.pair("softgpu,vram=256M,vfs=4,dirty-page=64K")
        create(self.left, "p", churn(60, rate=1 << 20))
        begins(self.left, "p")
        with Proxy(self.right.address, keep=True) as way:
            move(self.left, way.address, "p", "--streams", 1)
        sent = [(point.role, data) for point, data in way.bytes if point.direction == OUT]
        self.control = [data for role, data in sent if role == "control"]
        self.pages = [data for role, data in sent if role != "control"]
        self.admit = next(data for data in self.control if struct.unpack_from("<I", data)[0] == ADMIT)

    def replay(self, host):
        """The tags of what the host answers, on the control connection and on the data connection."""
        where = host.address.rsplit(":", 1)
        ends = [socket.create_connection((where[0], int(where[1])), 10) for _ in range(2)]
        heard = []
        for end, stream in zip(ends, (self.control, self.pages)):
            try:
                end.sendall(b"".join(stream))
            except OSError:
                pass
        for end in ends:
            end.settimeout(20)
            tags = []
            while len(head := Impostor.exactly(end, HEADER)) == HEADER:
                tag, _, length, _ = struct.unpack("<IIII", head)
                Impostor.exactly(end, length)
                tags += [tag] if tag != 2 else []
            heard.append(tags)
            end.close()
        return heard

    def refuses_it(self, host):
        before, there = partitions(host), room(host)
        control, pages = self.replay(host)
        # A source knows its own job at once, and says no HELLO to it.
        self.assertIn(control[-1], (REFUSED, ABORT))
        self.assertTrue(set(control) <= {HELLO, REFUSED, ABORT}, control)
        self.assertEqual(pages, [ABORT])
        self.assertEqual(partitions(host), before)
        wait_until("nothing is reserved", lambda: room(host) == there, 20)

    def test_are_refused_while_it_runs_there_after_it_went_and_after_a_restart(self):
        epoch = show(self.right, "p")["epoch"]
        self.refuses_it(self.right)
        self.assertEqual((show(self.right, "p")["epoch"], state(self.right, "p")), (epoch, "running"))
        runs(self.right, "p")
        move(self.right, self.left, "p")
        self.refuses_it(self.right)
        self.refuses_it(self.left)
        runs(self.left, "p")
        self.left.run("partition", "remove", "p")
        self.right.kill()
        self.right.start()
        self.refuses_it(self.right)
        self.assertEqual(partitions(self.right), [])

    def test_a_living_partition_is_not_to_be_had_under_another_name_or_a_later_epoch(self):
        uuid, epoch = bytes.fromhex(show(self.right, "p")["uuid"].replace("-", "")), show(self.right, "p")["epoch"]
        impostor = Impostor(self.right.address, self.control[0], self.admit, random.Random(SEED))
        name = struct.unpack_from("<H", impostor.admit)[0]
        tail = impostor.admit[2 + name + 16 :]
        there = room(self.right)
        for other, later in ((b"p", 1), (b"q", 1), (b"q", 1 << 40)):
            at = 4 + 8 + 8 + 16 + 8 + 8 + 4 + 3  # of the new epoch, behind the UUID
            forged = struct.pack("<H", len(other)) + other + uuid + tail[:at] + struct.pack("<Q", epoch + later) + tail[at + 8 :]
            end = impostor.connect()
            end.settimeout(20)
            end.sendall(impostor.hello_as(0) + record(ADMIT, forged))
            self.assertEqual(impostor.receive(end)[0], HELLO)
            tag, said = impostor.receive(end)
            self.assertEqual(tag, REFUSED)
            self.assertIn(b"uuid", said)
        impostor.close()
        self.assertEqual(partitions(self.right), ["p"])
        wait_until("nothing is reserved", lambda: room(self.right) == there, 20)
        self.assertEqual(show(self.right, "p")["epoch"], epoch)
        runs(self.right, "p")
        # And it is no stale copy after all that: what was refused left no trace in the journal.
        move(self.right, self.left, "p")
        move(self.left, self.right, "p")


class FalseSources(Case):
    """Sources that are let in and then do not do what they announced."""

    def setUp(self):
        super().setUp()
        self.left = self.host("left", "softgpu,vram=256M,vfs=4,dirty-page=64K")
        self.right = self.host("right", "softgpu,vram=256M,vfs=4,dirty-page=64K", options=("--redial", "2"))
        create(self.left, "p", churn(0.5))
        begins(self.left, "p")
        with Proxy(self.right.address, keep=True) as way:
            move(self.left, way.address, "p", "--streams", 1)
        self.right.run("partition", "remove", "p")
        self.control = [data for point, data in way.bytes if point.direction == OUT and point.role == "control"]
        self.admit = next(data for data in self.control if struct.unpack_from("<I", data)[0] == ADMIT)
        self.free, self.rng = room(self.right), random.Random(SEED)

    def impostor(self, name):
        impostor = Impostor(self.right.address, self.control[0], self.admit, self.rng)
        self.addCleanup(impostor.close)
        old = struct.unpack_from("<H", impostor.admit)[0]
        impostor.admit = struct.pack("<H", len(name)) + name + impostor.admit[2 + old :]
        return impostor

    def all_is_given_back(self):
        wait_until("VF and VRAM are given back", lambda: room(self.right) == self.free, 60)
        create(self.left, "honest", churn(0.5))
        move(self.left, self.right, "honest")

    def test_a_flood_of_admissions_reserves_what_there_is_and_gives_it_back(self):
        admitted = 0
        for n in range(12):
            try:
                self.impostor(b"flood-%02d" % n).admitted()
                admitted += 1
            except AssertionError as no:
                self.assertIn("not admitted but 5", str(no))  # REFUSED: no VF
        self.assertEqual(admitted, 4)
        self.assertEqual(room(self.right)[0], 0)
        self.assertEqual(self.right.json("host", "show")["name"], "right")
        self.all_is_given_back()  # nobody hangs up: who says nothing more is lost after 5 s

    def test_a_source_that_only_says_it_lives_loses_its_place(self):
        silence = 0.5 * max(1, PATIENCE // 2)  # a slow build is silent for longer without being lost
        third = self.host("third", "softgpu,vram=256M,vfs=4,dirty-page=64K", options=("--silence", str(silence)))
        free = room(third)
        impostor = Impostor(third.address, self.control[0], self.admit, self.rng)
        self.addCleanup(impostor.close)
        # Whose turn has not come says so at its admission, and may be silent about pages for longer.
        queued = Impostor(third.address, self.control[0], self.admit[:-25] + b"\1" + self.admit[-24:], self.rng)  # then u64 sent_page_bytes, u8 key[16]
        self.addCleanup(queued.close)
        queued.admit = struct.pack("<H", 6) + b"queued" + queued.admit[2 + struct.unpack_from("<H", queued.admit)[0] :]
        since = time.monotonic()  # no later than the target's own count
        controls = [impostor.admitted()[0], queued.admitted()[0]]

        def given_back():
            for control in controls:
                try:
                    control.sendall(record(PING, b"", 0))
                except OSError:
                    pass
            return room(third)[0] == free[0] - 1

        while not given_back():
            self.assertLess(time.monotonic() - since, 60 * PATIENCE, "a place is kept for one who does nothing")
            time.sleep(0.05)  # how often a true source says so, too
        self.assertGreater(time.monotonic() - since, 10 * silence, "it had time to begin")
        self.assertEqual([p["name"] for p in third.json("partition", "list")["partitions"]], ["queued"])
        queued.close()
        wait_until("VF and VRAM are given back", lambda: room(third) == free, 60)

    def test_a_source_that_hangs_up_without_a_page_has_nothing_to_come_back_to(self):
        """However much time it says that it has."""
        impostor = self.impostor(b"waited-for")
        impostor.admit = impostor.admit[:-33] + struct.pack("<QB", 1 << 62, 0) + impostor.admit[-24:]  # max_time_ns, queued; the rest
        impostor.admitted()
        self.assertEqual(room(self.right)[0], self.free[0] - 1)
        impostor.close()
        self.all_is_given_back()

    def test_a_round_has_no_more_pages_than_the_partition(self):
        impostor = self.impostor(b"endless")
        control, data = impostor.admitted()
        control.sendall(record(ROUND, struct.pack("<IQB", 0, 1, 0)))
        pages, zero = (32 << 20) // 4096, xxh3(bytes(4096))
        most = 1024  # in a frame
        try:
            for sequence in range(3 * pages // most):
                first = sequence * most % pages
                data.sendall(frame(impostor.job, impostor.epoch, [page | ZERO_MARK for page in range(first, first + most)],
                                   sequence=sequence, digests=[zero] * most))
        except OSError:
            pass
        control.settimeout(20)
        self.assertEqual(impostor.receive(control)[0], ABORT)
        self.all_is_given_back()


if __name__ == "__main__":
    unittest.main()
