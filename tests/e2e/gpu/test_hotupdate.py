# SPDX-License-Identifier: Apache-2.0
"""
Drivers are replaced on real hosts while partitions work and move (HOT-1 to HOT-6). VF_HOT_UPDATES says how often; 20 by default.
"""
import os
import random
import threading
import unittest

from e2e import BUILD, Case, churn, create, finish, move, partitions, show, steps
from harness import Failed, wait_until
from smaps import resident, vram_file

UPDATES = int(os.environ.get("VF_HOT_UPDATES", "20"))
DEVICE = "softgpu,vram=512M,vfs=8,dirty-page=64K"
V1, V2 = BUILD / "drivers/softgpu.so", BUILD / "drivers/softgpu-v2.so"
ROOM_TO_GROW = 8 << 20
# An address sanitizer keeps what was freed, 256 MiB of it: it would be taken for a leak (60 updates: 50 MB, with this 3 MB).
KEEP_LITTLE = {"ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "") + ":quarantine_size_mb=1"}


def update(host, driver, *options, code=0):
    return host.json("driver", "update", 0, "--driver", driver, *options, code=code)


def mapped(host):
    """Driver images whose code is in the kernel side."""
    with open(f"/proc/{host.kernel_pid}/maps", encoding="utf-8") as maps:
        text = maps.read()
    return {path.name for path in (V1, V2) if f"memfd:{path.name} " in text}


def own_memory(host):
    vram, _ = vram_file(host.kernel_pid, 512 << 20)
    return [resident(pid, lambda name: name.startswith(vram))[1] for pid in (host.kernel_pid, host.process.pid)]


def went_on(host, name, before):
    now = show(host, name)
    return now["steps"] > before or now["steps"] == now["steps_wanted"]


class Movers(threading.Thread):
    """Partitions that work are made on the source and moved, one after the other, until told to stop."""

    def __init__(self, source, target, name):
        super().__init__(daemon=True)
        self.source, self.target, self.name = source, target, name
        self.over, self.moved, self.failure, self.flying = threading.Event(), 0, None, False

    def run(self):
        try:
            while not self.over.is_set():
                name, seed = f"{self.name}{self.moved}", random.randrange(1 << 30)
                work = churn(5, size="16M", rate=2 << 20, seed=seed, hot="1M")
                create(self.source, name, work, vram="32M")
                self.flying = True
                move(self.source, self.target, name, "--bandwidth", "4M")
                self.flying = False
                digest = finish(self.target, name)
                if digest != work.want():
                    raise AssertionError(f"{name} (seed {seed}) ended with {digest}")
                self.target.run("partition", "remove", name)
                self.moved += 1
        except BaseException as error:  # told by the test's own thread
            self.failure = error


class HotUpdate(Case):
    def test_partitions_work_and_move_through_many_updates(self):
        left = self.host("left", DEVICE, env=KEEP_LITTLE)
        # A partition moves to the same or a newer driver: the other host stays at the newer one, updated to itself.
        right = self.host("right", DEVICE, options=("--driver", str(V2)))
        # Four that work all the time, paced so that they outlast the updates.
        work = [churn(0.4 * UPDATES + 10, size="8M", rate=8 << 20, seed=i) for i in range(4)]
        for i, one in enumerate(work):
            create(left, f"p{i}", one, vram="32M")
        movers = [Movers(left, right, name) for name in ("a", "b")]
        for mover in movers:
            mover.start()
        flew, gaps, memory = 0, [], None
        wait_until("both moves are in flight", lambda: all(m.flying or m.failure for m in movers), 60)
        for turn in range(UPDATES):
            before = [steps(left, f"p{i}") for i in range(4)]
            new = V2 if turn % 2 == 0 else V1
            done = update(left, new)
            self.assertEqual((done["status"], done["adapters"]), ("replaced", [0]))
            gaps.append(done["gap_ns"])
            self.assertEqual(mapped(left), {new.name}, "the old code is gone from the process")
            if turn % 3 == 0:
                self.assertEqual(update(right, V2)["status"], "replaced")
            flew += sum(m.flying for m in movers)
            wait_until("all work goes on", lambda: all(went_on(left, f"p{i}", before[i]) for i in range(4)), 30)
            for mover in movers:
                self.assertIsNone(mover.failure)
            if turn == UPDATES // 4:
                memory = own_memory(left)
        for mover in movers:
            mover.over.set()
        for mover in movers:
            mover.join(120)
            self.assertIsNone(mover.failure)
            self.assertGreater(mover.moved, 0)
        grown = [now - then for now, then in zip(own_memory(left), memory)]
        print(
            f"# {UPDATES} updates, {flew} with a move in flight, {sum(m.moved for m in movers)} moves;"
            f" without a driver {max(gaps) / 1e6:.2f} ms at most; grown by {grown} bytes"
        )
        self.assertLess(max(grown), ROOM_TO_GROW)
        self.assertGreater(flew, UPDATES // 2)
        for i, one in enumerate(work):
            self.assertEqual(finish(left, f"p{i}"), one.want())
        shown = left.json("driver", "show", 0)
        self.assertEqual(shown["updates"], UPDATES)
        kinds = [event["kind"] for event in left.json("events")["events"]]
        self.assertIn("driver", kinds)
        self.assertNotIn("contract", kinds)

    def test_a_dry_run_and_a_refusal_change_nothing(self):
        host = self.host("host", DEVICE)
        work = churn(3, seed=5)
        create(host, "p", work)
        before = host.json("driver", "show", 0)
        self.assertEqual(update(host, V2, "--dry-run")["status"], "would-replace")
        refused = update(host, BUILD / "drivers/null.so", code=3)
        self.assertEqual(refused["status"], "refused")
        self.assertEqual(update(host, BUILD / "drivers/null.so", "--dry-run", code=3)["status"], "refused")
        host.run("driver", "update", 0, "--driver", BUILD / "no-such-driver.so", code=2)
        host.run("driver", "update", 7, "--driver", V2, code=2)
        self.assertEqual(host.json("driver", "show", 0), before)
        self.assertEqual(finish(host, "p"), work.want())

    def test_one_image_is_replaced_for_all_its_adapters_and_the_command_says_which(self):
        host = self.host("host", "softgpu,vram=128M,vfs=2", "softgpu,vram=128M,vfs=2")
        self.assertEqual(update(host, V2)["adapters"], [0, 1])
        for adapter in (0, 1):
            self.assertEqual(host.json("driver", "show", adapter)["driver"], str(V2))
        shown = host.run("driver", "update", 1, "--driver", V1).stdout
        self.assertIn("adapters 0, 1: ", shown)

    def test_a_newer_driver_does_not_move_to_an_older_one(self):
        left, right = self.pair(DEVICE)
        work = churn(3, seed=6)
        create(left, "p", work)
        update(left, V2)
        refused = left.json("check", "p", "--to", right.address, code=3)
        self.assertIn("driver", [reason["field"] for reason in refused["reasons"]])
        update(right, V2)
        move(left, right, "p")
        update(right, V1)
        self.assertEqual(finish(right, "p"), work.want())

    def test_a_driver_file_replaced_under_its_path_is_new_code(self):
        host = self.host("host", DEVICE)
        driver = self.folder / "card.so"
        driver.write_bytes(V1.read_bytes())
        update(host, driver)
        first = host.json("driver", "show", 0)
        driver.write_bytes(V2.read_bytes())  # in place: the code at work does not change under its feet
        create(host, "p", churn(2, seed=8))
        update(host, driver)
        second = host.json("driver", "show", 0)
        self.assertEqual(first["driver"], second["driver"])
        self.assertNotEqual(first["digest"], second["digest"])
        self.assertEqual(finish(host, "p"), churn(2, seed=8).want())

    def test_a_restarted_daemon_finds_the_updated_driver(self):
        host = self.host("host", DEVICE)
        work = churn(6, seed=9)
        create(host, "p", work)
        update(host, V2)
        host.kill()
        host.start()
        self.assertEqual(host.json("driver", "show", 0)["driver"], str(V2))
        self.assertEqual(partitions(host), ["p"])
        update(host, V1)
        self.assertEqual(finish(host, "p"), work.want())

    def test_a_daemon_restarts_with_the_driver_that_it_began_with_or_that_runs_now(self):
        host = self.host("host", DEVICE)
        work = churn(8, seed=10)
        create(host, "p", work)
        update(host, V2)
        again = self.folder / "again.so"
        again.symlink_to(V2)
        for options in ((), ("--driver", str(V2)), ("--driver", str(again))):
            host.kill()
            host.options = options
            host.start()
            self.assertEqual(host.json("driver", "show", 0)["driver"], str(V2))
            self.assertEqual(partitions(host), ["p"])
        devices = host.devices
        for options, other in ((("--driver", str(BUILD / "drivers/null.so")), devices), (("--driver", str(V2)), [DEVICE + ",fw=1.3"])):
            host.kill()
            host.options, host.devices = options, other
            with self.assertRaisesRegex(Failed, "runs with"):
                host.start()
            host.options, host.devices = (), devices
            host.start()
        self.assertEqual(finish(host, "p"), work.want())


if __name__ == "__main__":
    unittest.main()
