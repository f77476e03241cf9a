#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""
Walks a move through every fault at every place (docs/faults.md): TAP, one line a case, then the table. `--short`: the cases that
`make test` has time for. `--only TEXT`: those whose name contains it. `--list`: only names them.
"""
import argparse
import collections
import concurrent.futures
import pathlib
import signal
import sys
import threading
import time
import traceback

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from boundaries import ORDER, scout  # noqa: E402 (its place is known only now)
from cases import all_cases, chosen  # noqa: E402
from outcome import Outcome, run_case  # noqa: E402
from pair import SLOW, at_once, clean_footprints  # noqa: E402
from wire import why_not  # noqa: E402


def table(results):
    """fault × phase × outcome as Markdown: a cell counts how the cases of that fault in that phase ended."""
    faults = list(dict.fromkeys(case.fault for case, _ in results))
    phases = [phase for phase in ORDER if any(case.phase == phase for case, _ in results)]
    cells = collections.defaultdict(collections.Counter)
    for case, outcome in results:
        cells[case.fault, case.phase][outcome.word] += 1
    rows = [["fault", *phases], ["---"] * (1 + len(phases))]
    for fault in faults:
        row = [fault]
        for phase in phases:
            row.append(", ".join(f"{word} {count}" for word, count in sorted(cells[fault, phase].items())))
        rows.append(row)
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return ["| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths)) + " |" for row in rows]


def listing(results):
    yield "| fault | side | phase | place | exit code | outcome | s |"
    yield "|---|---|---|---|---|---|---|"
    for case, outcome in results:
        yield (f"| {case.fault} | {case.side} | {case.phase} | {case.at} | {outcome.code} | {outcome.word}"
               f"{': ' + outcome.problem if outcome.problem else ''} | {outcome.seconds:.1f} |")


def write(path, results):
    text = ["# Faults walked", "", *table(results), "", *listing(results), ""]
    path.write_text("\n".join(text), encoding="utf-8")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--short", action="store_true")
    parser.add_argument("--only", action="append", default=[])
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--jobs", type=int, default=at_once(4))
    parser.add_argument("--out", type=pathlib.Path)
    args = parser.parse_args()

    most = clean_footprints()
    cases = all_cases(scout())
    if args.short:
        cases = chosen(cases)
        if SLOW:  # all of them take 20 minutes then; make walk takes them all without a sanitizer
            print(f"# every third of {len(cases)} cases: a sanitizer is at work", flush=True)
            cases = cases[::3]
    cases = [case for case in cases if all(text in case.name for text in args.only)]
    if args.list:
        print("\n".join(case.name for case in cases))
        return 0
    if not cases:
        print("Bail out! no case is called so")
        return 1
    print(f"1..{len(cases)}", flush=True)
    results, lock = [], threading.Lock()

    no_wire = why_not()
    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())  # what is under way still clears up

    def walk(case):
        begun = time.monotonic()
        if ended.is_set():
            return
        if case.during == "wire" and no_wire is not None:
            with lock:
                results.append((case, Outcome(word="skipped")))
                print(f"ok {len(results)} - {case.name} # SKIP {no_wire}", flush=True)
            return
        outcome = run_case(case, most)
        outcome.seconds = time.monotonic() - begun
        with lock:
            results.append((case, outcome))
            print(f"{'not ok' if outcome.problem else 'ok'} {len(results)} - {case.name} -> {outcome.word}, "
                  f"{outcome.seconds:.1f} s", flush=True)
            for line in (outcome.problem or "").splitlines() + outcome.log.splitlines():
                print(f"# {line}", flush=True)

    # A case mostly waits.
    with concurrent.futures.ThreadPoolExecutor(args.jobs) as pool:
        list(pool.map(walk, cases))
    order = {case: number for number, case in enumerate(cases)}
    results.sort(key=lambda result: order[result[0]])
    print("\n".join(f"# {line}" for line in table(results)), flush=True)
    if args.out is not None:
        write(args.out, results)
    return 1 if ended.is_set() or any(outcome.problem for _, outcome in results) else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Exception:  # a scout that fails says why, in TAP
        print("Bail out!", *traceback.format_exc().splitlines()[-1:])
        traceback.print_exc()
        sys.exit(1)
