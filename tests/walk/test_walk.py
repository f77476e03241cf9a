#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""docs/driver-walk.md against a real move: the calls it lists are those that are made, in that order."""
import os
import pathlib
import re
import sys
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))
import harness  # noqa: E402 (its place is known only now)

BUILD = pathlib.Path(os.environ["VF_BUILD"])
DEVICE = "softgpu,vram=64M,vfs=1"
# They come wherever pages move.
PAGING = {"DxgkDdiBuildPagingBuffer", "DxgkDdiSubmitCommandVirtual", "DxgkDdiInterruptRoutine", "DxgkDdiDpcRoutine"}
PAUSE = "DxgkDdiSetVirtualFunctionPauseState"
SECTIONS = ["Start of the adapter", "A partition is made", "The guest sets up its interrupts",
            "A move, at the source", "The source lets go", "A move, at the target",
            "Removal and unload"]


def without_repeats(names):
    return [name for at, name in enumerate(names) if at == 0 or names[at - 1] != name]


def described():
    """The calls of each section of the page."""
    sections = {}
    for part in (ROOT / "docs" / "driver-walk.md").read_text(encoding="utf-8").split("\n## ")[1:]:
        title, _, body = part.partition("\n")
        sections[title] = re.findall(r"^\| (DxgkDdi\w+) \|", body, re.MULTILINE)
    return sections


def called(host):
    """The calls that the host's kernel side has traced."""
    log = (host.state / "kernel.log").read_text(errors="replace")
    names = re.findall(r" debug ddi: adapter 0: (DxgkDdi\w+) -> ", log)
    return without_repeats([name for name in names if name not in PAGING])


class Walk(unittest.TestCase):
    maxDiff = None

    @classmethod
    def setUpClass(cls):
        os.environ["VFERRY_LOG"] = "debug"
        source = harness.Host(BUILD, "walk-a", devices=[DEVICE])
        target = harness.Host(BUILD, "walk-b", devices=[DEVICE])
        try:
            source.start()
            target.start()
            source.run("partition", "create", "p", "--adapter", "0", "--vram", "16M")
            source.run("run", "p", "churn", "--size", "4M", "--rate", "1M", "--steps", "1000000", "--seed", "1")
            source.run("migrate", "p", "--to", target.address, "--max-blackout", "20000")
            for host in (source, target):
                host.run("host", "stop", "--force")
                host.process.wait(30)
                pid = host.kernel_pid
                harness.wait_until("kernel side ends", lambda: harness.pid_gone(pid), 30)
            cls.source, cls.target = called(source), called(target)
        finally:
            source.stop()
            target.stop()

    def test_the_page_has_its_sections(self):
        self.assertEqual([title for title, calls in described().items() if calls], SECTIONS)

    def test_a_source_is_called_as_told(self):
        page = described()
        told = sum((page[title] for title in ("Start of the adapter", "A partition is made",
                                              "The guest sets up its interrupts", "A move, at the source",
                                              "The source lets go")), [])
        # Nothing is left on it when it stops.
        unload = page["Removal and unload"]
        told += unload[unload.index("DxgkDdiDestroyContext"):]
        self.assertEqual(self.source, without_repeats(told))

    def test_a_target_is_called_as_told(self):
        page = described()
        made = page["A partition is made"]
        zero_fill = made.index("DxgkDdiCreateMemoryBasis")
        told = (page["Start of the adapter"] + made[:zero_fill] + [PAUSE] + made[zero_fill:] + page["A move, at the target"]
                + page["Removal and unload"])
        self.assertEqual(self.target, without_repeats(told))


if __name__ == "__main__":
    unittest.main(verbosity=2)
