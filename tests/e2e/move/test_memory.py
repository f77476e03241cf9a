# SPDX-License-Identifier: Apache-2.0
"""
A move's memory is bounded. VRAM is a memfd that the kernel side maps: its pages count as that mapping's Rss in /proc/PID/smaps and
are told apart by its name; all else that a process holds is the move's own cost.
"""
import threading
import unittest

from e2e import Case, Work, create, finish, move
from harness import PATIENCE
from smaps import resident, vram_file

MIB = 1 << 20
DEVICE = "softgpu,vram=3G,vfs=2"
FILLED = 512 * MIB
LIMIT = 128 * MIB


class Peaks(threading.Thread):
    """Looks at processes as fast as it can until told to stop; keeps what was most."""

    def __init__(self, looks):
        super().__init__(daemon=True)
        self.looks, self.most, self.count = looks, {name: (0, 0) for name in looks}, 0
        self.over = threading.Event()

    def run(self):
        while not self.over.is_set():
            for name, look in self.looks.items():
                self.most[name] = tuple(map(max, self.most[name], look()))
            self.count += 1

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *exc):
        self.over.set()
        self.join()


class Memory(Case):
    @unittest.skipIf(PATIENCE > 1, "the sanitizer's own memory is counted with the process's")
    def test_a_move_of_2_gib_adds_less_than_128_mib_to_any_process_beyond_the_pages_touched(self):
        left, right = self.pair(DEVICE)
        work = Work("fill", size=FILLED, seed=1)
        create(left, "p", work, vram="2G")
        left.run("wait", "p", "--timeout", 120)
        looks = {}
        for host in (left, right):
            vram_name, _ = vram_file(host.kernel_pid, 3 << 30)
            looks[f"vferryd of {host.name}"] = lambda pid=host.process.pid: resident(
                pid, lambda name: False
            )
            looks[
                f"vferry-kernel of {host.name}"
            ] = lambda pid=host.kernel_pid, own=vram_name: resident(pid, lambda name: name == own)
        before = {name: look() for name, look in looks.items()}
        with Peaks(looks) as peaks:
            report = move(left, right, "p", "--streams", 8)
        self.assertGreater(peaks.count, 5, "too few looks to have seen a peak")
        self.assertGreaterEqual(report["bytes_sent"], FILLED)
        for name, (_, most) in peaks.most.items():
            added = most - before[name][1]
            print(
                f"# {name}: {before[name][1] / MIB:.1f} MiB before, at most {added / MIB:+.1f} MiB in {peaks.count} looks",
                flush=True,
            )
            self.assertLess(added, LIMIT, name)
        touched = vram_file(right.kernel_pid, 3 << 30)[1]
        print(f"# VRAM touched on the target: {touched / MIB:.1f} MiB of 2048", flush=True)
        self.assertLess(
            touched, FILLED + 64 * MIB, "untouched VRAM costs host memory on the target"
        )
        self.assertEqual(finish(right, "p"), work.want())


if __name__ == "__main__":
    unittest.main()
