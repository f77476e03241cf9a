#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Changes the hand-off's tables (migrate/handoff/table.c) in one small wrong way after the other: each must be caught by the enumeration
(test_handoff_core.c), or stand in SPARED with the reason why it does no harm. `--every N` takes each Nth of them."""
import argparse
import pathlib
import re
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
TABLE = ROOT / "migrate/handoff/table.c"
REST = ["migrate/handoff/core.c", "migrate/handoff/names.c"]
TESTS = ["migrate/tests/test_handoff_duties.c", "migrate/tests/test_handoff_core.c"]
SERIES = re.compile(r"^ {4}SERIES\((\w+), +(\w+), +(.*)\),( *//.*| */\*.*\*/)?$")
RULE = re.compile(r"^ {4}RULE\(([^,]+), +([^,]+), +(\w+), +([^,]+), +(\w+)\),")
# Changes that change nothing, and why.
TARGETS = ("PREPARE", "TAKE_OVER", "ROLL_FORWARD", "CLOSE_BOOKS", "SAY_RUNNING", "GIVE_UP", "DISCARD", "CLEAR", "NEVER_RAN", "SAY_NEVER_RAN",
           "SAY_CLOSE", "SAY_ENDED", "SAY_LOST", "REFUSE_ABORT", "UNDO_LOST", "FILE_HAS_IT", "NOT_NOW", "INQUIRE", "FAILED")
SPARED = {f"{name}: owed {owed}": "a target owes nothing" for name in TARGETS for owed in ("CLEAR", "SET")}
SPARED.update({
    "LET_GO: owed CLEAR": "nothing is owed before the first record",
    "RECLAIM: owed KEEP": "nothing is owed beside COMMIT",
    "UNSURE: owed SET": "an unsure journal says nothing, whatever is owed",
})
SPARED.update({f"{row}, whatever the copy: {series}": "the rows above have taken the other copies" for row, series in (
    ("S COMMIT | TGT_RUNS RUNNING", "RETRY"), ("S COMMIT NEVER_RAN", "RETRY"), ("S COMMIT CLOSE", "RETRY"),
    ("T OPEN | PREPARED | COMMITTED COMMIT", "NOT_NOW"), ("T OPEN | PREPARED | COMMITTED ABORT", "NOT_NOW"),
    ("T COMMITTED DUE", "RETRY"))})


def split(acts):
    """The acts of a series, as they stand in its row."""
    found, depth, begin = [], 0, 0
    for at, char in enumerate(acts + ","):
        depth += (char in "({") - (char in ")}")
        if char == "," and depth == 0:
            found.append(acts[begin:at].strip())
            begin = at + 1
    return found


def of_series(line):
    name, owed, acts = SERIES.match(line).groups()[:3]
    if name == "NONE":
        return
    acts = split(acts)

    def row(owed, acts):
        return f"    SERIES({name}, {owed}, {', '.join(acts) or '{HANDOFF_NOTHING, 0, 0}'}),"
    for at, act in enumerate(acts):
        if act.startswith("REPORT"):
            continue  # what a job shows decides nothing; the tests of its texts look at it
        yield f"{name} without {act}", row(owed, acts[:at] + acts[at + 1:])
        if at + 1 < len(acts) and not acts[at + 1].startswith("REPORT"):
            yield f"{name}: {acts[at + 1]} before {act}", row(owed, acts[:at] + [acts[at + 1], act] + acts[at + 2:])
        failed = re.search(r"(INSTEAD\(\w+\)|STOP|NEXT)\)$", act)
        if failed and failed[1] != "NEXT":
            yield f"{name}: after {act} has failed the next one", row(owed, acts[:at] + [act[:failed.start()] + "NEXT)"] + acts[at + 1:])
    for other in ("KEEP", "CLEAR", "SET"):
        if other != owed:
            yield f"{name}: owed {other}", row(other, acts)


def of_rule(line):
    side, records, event, copies, series = RULE.match(line).groups()
    yield f"no rule for {side} {records} {event} {copies}", ""
    if copies != "ANY":
        yield f"{side} {records} {event}, whatever the copy: {series}", f"    RULE({side}, {records}, {event}, ANY, {series}),"
    for other in ("RECLAIM", "RELEASE", "CALL_OFF", "ROLL_FORWARD", "CLEAR", "TAKE_OVER"):
        if other != series:
            yield f"{side} {records} {event} {copies}: {other}, not {series}", f"    RULE({side}, {records}, {event}, {copies}, {other}),"


def mutations(text):
    lines = re.sub(r",\n {26}", ", ", text).split("\n")  # a row that goes on in a second line
    for at, line in enumerate(lines):
        made = of_series(line) if SERIES.match(line) else of_rule(line) if RULE.match(line) else ()
        for says, changed in made:
            yield says, "\n".join(lines[:at] + [changed] + lines[at + 1:])


def run(command, **more):
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, **more)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--every", type=int, default=1)
    options = parser.parse_args()
    chosen = list(mutations(TABLE.read_text(encoding="utf-8")))[::options.every]
    print(f"1..{len(chosen)}", flush=True)
    failed = 0
    with tempfile.TemporaryDirectory() as work:
        def compiled(source):
            out = f"{work}/{pathlib.Path(source).stem}.o"
            run(["cc", "-std=gnu17", "-O1", "-I.", "-c", source, "-o", out]).check_returncode()
            return out

        def caught_by(test):
            built = run(["cc", "-std=gnu17", "-O0", "-I.", f"{work}/table.c", *rest, test, "-lcmocka", "-o", f"{work}/mutant"])
            return built.returncode != 0 or run([f"{work}/mutant"]).returncode != 0
        rest, tests = [compiled(source) for source in REST], [compiled(source) for source in TESTS]
        for at, (says, text) in enumerate(chosen, 1):
            pathlib.Path(work, "table.c").write_text(text, encoding="utf-8")
            caught = any(caught_by(test) for test in tests)
            right = caught != (says in SPARED)  # one that is spared and caught is to leave the list
            failed += not right
            print(f"{'ok' if right else 'not ok'} {at} - {says}{': ' + SPARED.get(says, 'nobody sees it') if not caught else ''}", flush=True)
    return 1 if failed else 0


sys.exit(main())
