# SPDX-License-Identifier: Apache-2.0
"""The benchmark works: it measures what it says, tells of what it could not, and its page shows it. Never how fast anything is."""
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import unittest
import xml.dom.minidom

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "bench"), str(ROOT / "tools")]
import page  # noqa: E402
import qemu  # noqa: E402
import report  # noqa: E402
import rows  # noqa: E402
import shaped  # noqa: E402
from harness import PATIENCE  # noqa: E402

BUILD = pathlib.Path(os.environ.get("VF_BUILD", ROOT / "build")).resolve()
OUTSIDE = re.compile(r"https?:|//|\bsrc=|\bhref=|url\(|@import|<link|<script|<iframe|<img")
MACHINE = {"processors": 2, "model": "a <processor>", "memory_bytes": 8 << 30, "kernel": "6.0", "load_before": 0.1, "began_unix": 0}


def plots(text):
    """The names of a page's plots, each of which is XML."""
    names = []
    for drawing in re.findall(r"<svg.*?</svg>", text, re.S):
        names.append(xml.dom.minidom.parseString(drawing).documentElement.getAttribute("aria-label"))
    return names


def bench(*words, code=0):
    with tempfile.TemporaryDirectory(prefix="vferry-runtime-") as runtime:
        done = subprocess.run([sys.executable, ROOT / "bench/bench.py", "--build", BUILD, *words], capture_output=True, text=True, check=False,
                              timeout=200 * PATIENCE, env={**os.environ, "XDG_RUNTIME_DIR": runtime, "TMPDIR": runtime})
    assert done.returncode == code, f"exit {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done


def record(run, blackout, predicted, whole=1_000_000_000, rate=500_000_000):
    job = {"rounds": [{"pages": 9, "bytes": 36864, "dirty_pages": 9, "duration_ns": 900_000_000},
                      {"pages": 0, "bytes": 0, "dirty_pages": 0, "duration_ns": 1_000_000}],
           "brownout_ns": 950_000_000, "blackout_ns": blackout, "throttled_ns": 0, "blackout": {"pause_ns": blackout // 2, "start_ns": blackout // 2}}
    return {"run": run, "outcome": "completed", "whole_ns": whole, "total_ns": whole, "rate_bytes_per_s": rate, "blackout_ns": blackout,
            "predicted_blackout_ns": predicted, "throttled_ns": 0, "throttle_max": 0, "rounds": 2, "bytes_sent": 36864, "job": job,
            "cpu": {name: {"user_s": 0.1, "system_s": 0.2} for name in report.PROCESSES}}


def made(records, limits):
    wanted = [row for row in rows.all_rows(rows.Sizes()) if row.key in records]
    limits = [{"tcp_128k": 3e9, **one} for one in limits]
    return report.make(wanted, records, limits, {"QEMU": "there is none <here>"}, "softgpu", machine=MACHINE, runs=len(limits), seed=1, small=False)


class Figures(unittest.TestCase):
    def test_ratios_are_of_the_same_run_and_medians_of_all(self):
        limits = [{"tcp": 1e9, "honest": 8e8}, {"tcp": 2e9, "honest": 1e9}, {"tcp": 1e9, "honest": 5e8}]
        told = made({"idle": [record(run, 2_000_000, 2_000_000) for run in range(3)]}, limits)
        idle = told["rows"][0]
        self.assertEqual(idle["rate_to_tcp"], {"median": 0.5, "min": 0.25, "max": 0.5, "runs": [0.5, 0.25, 0.5]})
        self.assertEqual(told["copy_to_honest"]["median"], 0.625)
        self.assertEqual(told["copy_to_honest"], idle["rate_to_honest"])

    def test_a_move_that_gave_up_is_a_result_and_no_figure(self):
        gone = {"run": 1, "outcome": "gave up", "reason": "will not converge"}
        told = made({"full-64k": [record(0, 40_000_000, 30_000_000), gone]}, [{"tcp": 1e9, "honest": 8e8}] * 2)
        row = told["rows"][0]
        self.assertEqual((row["outcomes"], row["reason"]), ({"completed": 1, "gave up": 1}, "will not converge"))
        self.assertEqual(row["blackout_ns"]["runs"], [40_000_000])
        self.assertIn("gave up 1", "\n".join(report.table(told)))
        self.assertIn("gave up 1", page.html(told))

    def test_a_report_of_failures_alone_still_makes_a_table_and_a_page(self):
        told = made({"idle": [{"run": 0, "outcome": "failed", "reason": "no <host>"}]}, [{"tcp": 1e9, "honest": 8e8}])
        self.assertIn("failed 1", "\n".join(report.table(told)))
        text = page.html(told)
        self.assertEqual(plots(text), ["Rates"])
        self.assertNotIn("<here>", text)

    def test_a_prediction_is_good_within_a_share_or_some_milliseconds(self):
        pairs = [(100_000_000, 80_000_000), (100_000_000, 70_000_000), (4_000_000, 1_500_000), (8_000_000, 4_000_000)]
        told = made({"idle": [record(run, *pair) for run, pair in enumerate(pairs)]}, [{"tcp": 1e9, "honest": 8e8}] * 4)
        self.assertEqual(told["prediction"]["within"], 0.5)

    def test_large_beside_little_is_told_run_by_run(self):
        records = {"large": [record(0, 1, 1, whole=300), record(1, 1, 1, whole=500)], "little": [record(0, 1, 1, whole=200), record(1, 1, 1, whole=500)]}
        self.assertEqual(made(records, [{"tcp": 1e9, "honest": 8e8}] * 2)["large_to_little"]["runs"], [1.5, 1.0])

    def test_a_page_keeps_the_figures_of_a_good_report_alone(self):
        good = made({"idle": [record(run, 2_000_000, 2_000_000) for run in range(5)]}, [{"tcp": 1e9, "honest": 8e8}] * 5)
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "page.md"
            path.write_text(f"above\n{report.BEGIN}\nold\n{report.END}\nbelow\n", encoding="utf-8")
            for _ in range(2):
                report.fill(path, good)
                text = path.read_text(encoding="utf-8")
                self.assertTrue(text.startswith(f"above\n{report.BEGIN}\n1970-01-01, 2 x a <processor>") and text.endswith(f"\n{report.END}\nbelow\n"))
                self.assertEqual((text.count("| idle, 2 GiB | - | 1.00 | 0.50 |"), text.count("old")), (1, 0))
            for bad in ({"small": True}, {"runs": 4}):
                with self.assertRaises(ValueError):
                    report.fill(path, good | bad)
            self.assertEqual(path.read_text(encoding="utf-8"), text)

    def test_rows_are_chosen_by_name_first_words_or_pattern(self):
        every = list(rows.all_rows(rows.Sizes()))
        self.assertEqual([row.key for row in rows.chosen(every, ["idle", "200"])], ["idle", "200-64k", "200-4k"])
        self.assertEqual([row.key for row in rows.chosen(every, ["*-4k"])], ["50-4k", "200-4k", "1000-4k", "hot-4k", "full-4k"])
        self.assertEqual(rows.chosen(every, []), every)
        self.assertIn("no row is called idel", bench("--rows", "idel", code=2).stderr)
        self.assertEqual(len(bench("--list").stdout.splitlines()), len(every))


class Qemu(unittest.TestCase):
    def test_one_that_is_old_or_says_nothing_is_not_measured_and_told_of(self):
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "qemu"
            for says, want in (("echo QEMU emulator version 9.2.1", "is older than 10"), ("echo hello", "is older than 10"), ("exit 3", "does not say its version")):
                path.write_text(f"#!/bin/sh\n{says}\n", encoding="utf-8")
                path.chmod(0o755)
                self.assertIn(want, qemu.found(BUILD, str(path))[2])
            self.assertIn("does not say its version", qemu.found(BUILD, folder + "/none")[2])
            path.write_text("#!/bin/sh\necho QEMU emulator version 10.0.2 of somebody\n", encoding="utf-8")
            self.assertEqual(qemu.found(pathlib.Path(folder), str(path))[1:], ("10.0.2", "the guest for it was not built: it takes a compiler for x86 with -m32"))


class Programs(unittest.TestCase):
    def honest(self, *words):
        return subprocess.run([BUILD / "bench/honest_limit", *words], capture_output=True, text=True, check=False, timeout=60 * PATIENCE)

    def test_the_honest_limit_takes_streams_and_an_end_that_fills_no_chunk(self):
        said = json.loads(self.honest("3", str(1 << 16), str((5 << 16) + 4096)).stdout)
        self.assertEqual((said["streams"], said["chunk_bytes"], said["bytes"]), (3, 1 << 16, (5 << 16) + 4096))
        self.assertGreater(said["bytes_per_s"], 0)

    def test_the_honest_limit_finds_a_bit_that_is_wrong(self):
        done = self.honest("2", str(1 << 16), str(1 << 20), "spoil")
        self.assertEqual(done.returncode, 1)
        self.assertIn("a page was not what was sent", done.stderr)

    def test_the_honest_limit_takes_whole_pages_alone(self):
        self.assertEqual(self.honest("2", "1000").returncode, 2)


class Bench(unittest.TestCase):
    def test_a_small_run_has_every_row_in_its_report_and_every_plot_on_its_page(self):
        wanted = ["idle", "200-64k", "touch-8m", "200-4k", "tls", "large", "little", "qemu-200", "shaped-drawing-none", "shaped-drawing-zstd"]
        with tempfile.TemporaryDirectory() as folder:
            said = bench("--small", "--runs", "1", "--rows", ",".join(wanted), "--out", folder).stdout
            told = json.loads((pathlib.Path(folder) / "report.json").read_text(encoding="utf-8"))
            text = (pathlib.Path(folder) / "report.html").read_text(encoding="utf-8")
            again = bench("--render", f"{folder}/report.json", "--out", folder)
            self.assertEqual((pathlib.Path(folder) / "report.html").read_text(encoding="utf-8"), text, again)
        drawn = ["Blackout against write rate", "Time against touched bytes", "Rates", "Predicted and real blackout", "One move",
                 "CPU time of the four processes"]
        if why := shaped.why_not():
            self.assertEqual(told["skipped"]["compression on a shaped link"], why)
            wanted = [key for key in wanted if not key.startswith("shaped")]
        else:
            drawn.append("Compression over 1 Gb/s")
        if why := qemu.found(BUILD)[2]:
            self.assertEqual(told["skipped"]["QEMU"], why)
            wanted.remove("qemu-200")
        by_key = {row["key"]: row for row in told["rows"]}
        self.assertEqual(list(by_key), wanted)
        for row in told["rows"]:
            # What gives up says so; on a loaded machine one that writes may.
            self.assertIn(set(row["outcomes"]), ({"completed"},) if row["write_bytes_per_s"] is None else ({"completed"}, {"gave up"}), row.get("reason"))
            self.assertEqual(len(row["runs"]), 1)
        for figure in ("whole_ns", "rate_bytes_per_s", "blackout_ns", "predicted_blackout_ns", "throttled_ns", "rounds", "rate_to_honest"):
            self.assertEqual(len(by_key["idle"][figure]["runs"]), 1, figure)
        for member in ("tcp_bytes_per_s", "tcp_128k_bytes_per_s", "honest_bytes_per_s", "copy_bytes_per_s", "copy_to_tcp", "copy_to_honest", "tls_to_copy"):
            self.assertGreater(told[member]["median"], 0, member)
        self.assertEqual(plots(text), drawn)
        self.assertIsNone(OUTSIDE.search(re.sub(r"<!DOCTYPE html>", "", text)))
        self.assertIn("its figures mean nothing", text)
        for row in told["rows"]:
            self.assertIn(row["title"], text)
            self.assertIn(row["title"], said)


if __name__ == "__main__":
    unittest.main()
