#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""
make bench: moves of every kind beside raw sockets and the honest limit, interleaved in each of several runs, so that what else the
machine does meets all alike. Medians go to build/bench/report.json and, with plots, to build/bench/report.html.
"""
import argparse
import collections
import json
import pathlib
import subprocess
import sys
import time

from lab import SMALL_CHUNK, limit  # first: it knows where tools/ is
from harness import Failed, sanitizer
import page
import qemu
import report
import rows
import shaped


def all_stages(program):
    """In their order; what the first run begins with, the second ends with."""
    return {"loop-64k": rows.on_loopback, "tls": rows.over_tls, "qemu": qemu.stage(program), "loop-4k": rows.on_loopback, "large": rows.large,
            "crowd": rows.crowd, "shaped": shaped.measure}


class Progress:
    """A line a measurement: what came out, and how long the rest takes, once a whole run has said how long one is."""

    def __init__(self, runs, count):
        self.runs, self.count, self.done, self.began = runs, count, 0, time.monotonic()

    def told(self, run, row, record):
        self.done += 1
        if record["outcome"] == "completed":
            text = f"{record['whole_ns'] / 1e9:6.2f} s  blackout {record['blackout_ns'] / 1e6:7.1f} ms"
        else:
            text = f"{record['outcome']}: {str(record['reason'])[:160]}"
        left = ""
        if run > 0:
            spent = time.monotonic() - self.began
            left = f"  {max(1, round(spent / self.done * (self.runs * self.count - self.done) / 60))} min left"
        print(f"run {run + 1}/{self.runs}  {self.done - run * self.count:>2}/{self.count}  {row.title:<58}{text}{left}", flush=True)


def stage(work, build, sizes, mine, seed):
    """Its rows with their records. What breaks is told as theirs that are left, and costs no other stage its figures."""
    left = {row.key: row for row in mine}
    try:
        for row, record in work(build, sizes, mine, seed):
            del left[row.key]
            yield row, record
    except (Failed, TimeoutError, OSError, subprocess.SubprocessError) as error:
        for row in left.values():
            yield row, {"outcome": "failed", "reason": f"{type(error).__name__}: {error}"}


def both_limits(build, content):
    told = {"tcp": limit(build, "tcp_limit", content), "tcp_128k": limit(build, "tcp_limit", content, SMALL_CHUNK),
            "honest": limit(build, "honest_limit", content)}
    print(f"raw TCP {told['tcp'] / 1e9:.2f} GB/s, by pieces of 128 KiB {told['tcp_128k'] / 1e9:.2f} GB/s, honest limit {told['honest'] / 1e9:.2f} GB/s", flush=True)
    return told


def measure(stages, build, sizes, wanted, runs, seed):
    """Every stage in every run, every other run backwards, so that the idle copy always comes next to the limits. Gives the limits, and
    the records by a row's key; when it is interrupted those of the runs before."""
    limits, records = [], collections.defaultdict(list)
    progress = Progress(runs, len(wanted))
    for run in range(runs):
        way, own, found = -1 if run % 2 else 1, {}, []
        try:
            for name in ["limits", *stages][::way]:
                if name == "limits":
                    own = both_limits(build, sizes.idle)
                mine = [row for row in wanted if row.stage == name][::way]
                for row, record in stage(stages[name], build, sizes, mine, seed + run) if mine else ():
                    found.append((row.key, {"run": run, **record}))
                    progress.told(run, row, record)
        except KeyboardInterrupt:
            print(f"interrupted in run {run + 1}, which does not count", flush=True)
            break
        limits.append(own)
        for key, record in found:
            records[key].append(record)
    return limits, records


def parsed():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default="build", type=pathlib.Path)
    parser.add_argument("--runs", default=5, type=int, help="of everything; medians want at least 5 (the default)")
    parser.add_argument("--rows", default="", help="only these, e.g. idle,200,shaped; see --list")
    parser.add_argument("--list", action="store_true", help="print the rows' names and end")
    parser.add_argument("--seed", default=1, type=int, help="of the contents and the writes; each run has the next one")
    parser.add_argument("--qemu", help="a qemu-system-x86_64 to measure beside")
    parser.add_argument("--out", type=pathlib.Path, help="folder of the report; default BUILD/bench")
    parser.add_argument("--small", action="store_true", help="tiny sizes: shows that the benchmark works; the figures mean nothing")
    parser.add_argument("--render", type=pathlib.Path, metavar="REPORT.JSON", help="measure nothing, make the page of this report anew")
    parser.add_argument("--fill", type=pathlib.Path, metavar="PAGE.MD", help="with --render: put its figures into this page, between its marks")
    args = parser.parse_args()
    if args.runs < 1:
        parser.error("--runs: at least 1")
    return parser, args


def main():
    parser, args = parsed()
    sizes = rows.SMALL if args.small else rows.Sizes()
    out = args.out or args.build / "bench"
    if args.render:
        told = json.loads(args.render.read_text(encoding="utf-8"))
        print(report.write(out, "report.html", page.html(told)))
        if args.fill:
            try:
                report.fill(args.fill, told)
            except ValueError as error:
                parser.error(f"--fill: {error}")
        return 0
    try:
        wanted = rows.chosen(rows.all_rows(sizes), [wish for wish in args.rows.split(",") if wish])
    except ValueError as error:
        parser.error(str(error))
    if args.list:
        print(*(f"{row.key:<24}{row.title}" for row in wanted), sep="\n")
        return 0
    program, version, why = qemu.found(args.build, args.qemu)
    skipped = {}
    if why and any(row.stage == "qemu" for row in wanted):
        skipped["QEMU"] = why
        wanted = [row for row in wanted if row.stage != "qemu"]
    if any(row.stage == "shaped" for row in wanted) and (why := shaped.why_not()):
        skipped["compression on a shaped link"] = why
        wanted = [row for row in wanted if row.stage != "shaped"]
    about = report.machine() | {"sanitizer": sanitizer(args.build)}
    print(f"{len(wanted)} rows, {args.runs} runs; {about['processors']} x {about['model']}, load {about['load_before']}", flush=True)
    began = time.monotonic()
    limits, records = measure(all_stages(program), args.build.resolve(), sizes, wanted, args.runs, args.seed)
    if not limits:
        return 130
    about["took_s"] = round(time.monotonic() - began)
    made = report.make(wanted, records, limits, skipped, sizes.device, machine=about, runs=len(limits), seed=args.seed, small=args.small,
                       qemu={"program": program, "version": version})
    report.write(out, "report.json", json.dumps(made, indent=1) + "\n")
    shown = report.write(out, "report.html", page.html(made))
    print(*report.table(made), sep="\n")
    print(f"measured in {about['took_s'] / 60:.0f} min; figures: {out / 'report.json'}; with plots: {shown}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
