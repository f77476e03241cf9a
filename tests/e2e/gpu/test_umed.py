# SPDX-License-Identifier: Apache-2.0
"""Emulation and interrupts on real hosts: the UMED's worker dies, hangs and moves; interrupts are counted over moves.

The emulated page is reached as a guest would: by BAR accesses, over the kernel side's own call interface (kernel/call.h).
"""
import os
import pathlib
import signal
import socket
import struct
import time
import unittest

from e2e import Case, churn, create, finish, move, partitions, show
from harness import PATIENCE, pid_gone, wait_until

TESTS_AT_ONCE = 1  # one of them measures time
VERSION = 11  # KCALL_VERSION
HELLO, FIND, BAR_READ, BAR_WRITE = 1, 10, 15, 16
HEAD = struct.Struct("=IIIIIi")
# include/softgpu/hw.h
PAGE, ID_VALUE, STORES, SUM, NOTES = 0x3000, 0x544C5053, 0x8, 0x10, 0x800


class Guest:
    """A partition's virtual CPU: reads and writes of its registers."""

    def __init__(self, host, name):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.socket.connect(str(host.state / "kernel.sock"))
        self.socket.settimeout(30)
        self.tag = 0
        self.call(HELLO, struct.pack("=II", VERSION, VERSION))
        self.id = struct.unpack_from("=Q", self.call(FIND, name.encode().ljust(64, b"\0")))[0]

    def call(self, op, body):
        self.tag += 1
        self.socket.send(HEAD.pack(0x43664B56, op, self.tag, len(body), 0, 0) + body)
        answer = self.socket.recv(1 << 17)
        _, _, tag, size, code, _ = HEAD.unpack_from(answer)
        assert tag == self.tag and size == len(answer) - HEAD.size
        body = answer[HEAD.size :]
        if code != 0:
            raise RuntimeError(body[:600].split(b"\0")[0].decode())
        return body

    def read(self, at, size=8):
        return int.from_bytes(self.call(BAR_READ, struct.pack("=QQII", self.id, PAGE + at, 0, size)), "little")

    def write(self, at, value, size=8):
        self.call(BAR_WRITE, struct.pack("=QQII", self.id, PAGE + at, 0, size) + value.to_bytes(size, "little"))

    def page(self):
        """All of its state: how many stores, their sum in order, the notes."""
        return (self.read(STORES), self.read(SUM), [self.read(NOTES + 8 * i) for i in range(16)])

    def close(self):
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()


def store_some(host, name, seed, count=16):
    with Guest(host, name) as guest:
        for i in range(count):
            guest.write(NOTES + 8 * (i % 16), (seed << 32) + i)
        return guest.page()


def page(host, name):
    with Guest(host, name) as guest:
        return guest.page()


def worker(host, name):
    """The process that holds the partition's UMED, or None."""
    for entry in pathlib.Path("/proc").iterdir():
        try:
            fields = (entry / "stat").read_text().rsplit(")", 1)[1].split()
            words = (entry / "cmdline").read_bytes().split(b"\0")
        except (OSError, IndexError):
            continue
        if int(fields[1]) == host.kernel_pid and fields[0] != "Z" and words[0].endswith(b"/vferry-umed") and words[2] == name.encode():
            return int(entry.name)
    return None


def kill(host, name, how=signal.SIGKILL):
    pid = worker(host, name)
    if pid is not None:
        os.kill(pid, how)
    return pid


class Emulation(Case):
    def start(self, host, name, seconds, seed):
        work = churn(seconds, seed=seed)
        create(host, name, work, vram="64M")
        return work

    def ends_right(self, host, name, work):
        self.assertEqual(finish(host, name), work.want())

    def test_emulated_state_moves_there_and_back(self):
        a, b = self.pair()
        work = self.start(a, "p", 3, 1)
        want = store_some(a, "p", 7)
        with Guest(a, "p") as guest:
            self.assertEqual(guest.read(0, 4), ID_VALUE)
        move(a, b, "p")
        self.assertEqual(page(b, "p"), want)
        want = store_some(b, "p", 8, 5)
        move(b, a, "p")
        self.assertEqual(page(a, "p"), want)
        self.ends_right(a, "p", work)

    def test_emulated_state_is_saved_and_restored(self):
        a, b = self.pair()
        work = self.start(a, "p", 3, 9)
        want = store_some(a, "p", 9)
        a.run("save", "p", "--output", self.folder / "p.image")
        b.run("restore", "p", "--input", self.folder / "p.image", "--adapter", 0)
        self.assertEqual(page(b, "p"), want)
        self.ends_right(b, "p", work)

    def test_a_killed_worker_costs_nothing_and_is_told_of(self):
        a = self.host("left")
        work, other = self.start(a, "p", 2, 2), self.start(a, "q", 2, 3)
        want, apart = store_some(a, "p", 1), store_some(a, "q", 2)
        for _ in range(3):
            pid = kill(a, "p")
            wait_until("another worker", lambda: worker(a, "p") not in (None, pid))
            self.assertEqual(page(a, "p"), want)
        told = [e["text"] for e in a.json("events")["events"] if e["kind"] == "umed"]
        self.assertGreaterEqual(len(told), 3)
        for text in told:
            self.assertIn("killed by signal 9", text)
            self.assertIn("with its state", text)
        self.assertEqual(page(a, "q"), apart)
        self.ends_right(a, "p", work)
        self.ends_right(a, "q", other)

    def test_workers_killed_during_moves_lose_nothing(self):
        here, there = self.pair()
        work = self.start(here, "p", 6, 4)
        want = store_some(here, "p", 3)
        for turn in range(4):
            job = here.spawn("migrate", "p", "--to", there.address, "--max-blackout", 20000)
            kills = 0
            while job.poll() is None and kills < 4:
                kills += kill((here, there)[kills % 2], "p") is not None
                time.sleep(0.03)  # at some moment of the move, whichever
            told = job.communicate(timeout=60)
            self.assertIn(job.returncode, (0, 1, 3), told)  # 3: killed while the target makes its vGPU
            if job.returncode == 0:
                here, there = there, here
            wait_until("one of them has it", lambda: partitions(there) == [])
            self.assertEqual(partitions(here), ["p"], f"turn {turn}")
            self.assertEqual(show(here, "p")["state"], "running")
            self.assertEqual(page(here, "p"), want, f"turn {turn}")
        self.ends_right(here, "p", work)

    def test_a_worker_that_hangs_fails_the_move_and_nothing_else(self):
        a, b = self.pair()
        work = self.start(a, "p", 6, 5)
        want = store_some(a, "p", 4)
        kill(a, "p", signal.SIGSTOP)
        self.assertIn("emulation", move(a, b, "p", code=1).stderr)
        wait_until("nothing arrived", lambda: partitions(b) == [])
        self.assertEqual(show(a, "p")["state"], "running")
        self.assertEqual(page(a, "p"), want)
        move(a, b, "p")
        self.assertEqual(page(b, "p"), want)
        self.ends_right(b, "p", work)

    def test_a_worker_is_shut_in_and_goes_with_its_partition(self):
        a = self.host("left")
        create(a, "p")
        pid = worker(a, "p")
        lines = pathlib.Path(f"/proc/{pid}/status").read_text().splitlines()
        status = dict(line.split(":\t", 1) for line in lines if ":\t" in line)
        self.assertEqual((status["Seccomp"].strip(), status["NoNewPrivs"].strip()), ("2", "1"))
        fds = sorted(int(fd.name) for fd in pathlib.Path(f"/proc/{pid}/fd").iterdir())
        self.assertEqual(fds, [2, 3])
        self.assertTrue(os.readlink(f"/proc/{pid}/fd/3").startswith("socket:"))
        a.run("partition", "remove", "p")
        self.assertTrue(pid_gone(pid))
        create(a, "p")
        pid = worker(a, "p")
        os.kill(a.kernel_pid, signal.SIGKILL)
        wait_until("the worker follows its kernel side", lambda: pid_gone(pid))


class Interrupts(Case):
    def test_the_end_of_work_interrupts_once_wherever_it_is(self):
        a, b = self.pair()
        work = churn(1.5, seed=6)
        create(a, "p", work)
        move(a, b, "p")
        self.assertEqual(show(b, "p")["interrupts"], 0)
        self.assertEqual(finish(b, "p"), work.want())
        wait_until("the interrupt", lambda: show(b, "p")["interrupts"] == 1)
        move(b, a, "p")
        self.assertEqual(show(a, "p")["interrupts"], 1)  # the count moves with the partition

    @unittest.skipIf(PATIENCE > 1, "the sanitizer takes more time than there is between two looks")
    def test_a_wait_ends_with_the_interrupt(self):
        a = self.host("left")
        late = []
        for seed in range(7):
            work = churn(0.31, seed=seed)
            create(a, "p", work)
            begin = time.monotonic()
            finish(a, "p")
            late.append(time.monotonic() - begin)
            a.run("partition", "remove", "p")
        # A wait that only looks from time to time ends at a multiple of a quarter second from its start.
        self.assertLess(sorted(late)[len(late) // 2], 0.31 + 0.16, late)
