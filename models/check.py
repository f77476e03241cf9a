#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Has spin check the model of the hand-off: every property must hold, and every mutation must be found (docs/model.md)."""
import argparse
import collections
import pathlib
import re
import shutil
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
MODEL = HERE / "handoff.pml"
SEAM = ["names.h", "step.c", "step.h"]
CORE = HERE.parent / "migrate" / "handoff"
SIDE = HERE.parent / "migrate" / "side.h"
MEMORY_MIB = 6000
DEPTH = 20000  # steps; the deepest runs seen are below 1000

# What must never be is looked for in storms that never end. What must come, comes when one has ended.
STORM = ["FOR_EVER"]
CALM = ["KERNEL_DEATHS=0"]
ASSERTIONS = None  # never two, never a stale copy; and no deadlock

Check = collections.namedtuple("Check", "name defines claim whole")
ONE = ["MOVES=1"]
CHECKS = [
    Check("never two, never a stale copy: a kernel side dies", STORM, ASSERTIONS, False),
    Check("no deadlock: one move, a kernel side dies", ONE, ASSERTIONS, False),
    Check("one runs in the end, and both hosts know: one move, a kernel side dies", ONE, "both", False),
    Check("never two, no deadlock: calm at last", CALM, ASSERTIONS, True),
    Check("one runs in the end, and both hosts know: calm at last", CALM, "both", True),
    Check("never two: a person resolves, and the peer was asked", ["RESOLVE", "KERNEL_DEATHS=0", *STORM], ASSERTIONS, True),
    Check("never two, never a stale copy: an action fails", ["FAILURES=1", *STORM], ASSERTIONS, True),
    Check("never two: a write may or may not have been made", ["UNSURE", "FAILURES=1", "KERNEL_DEATHS=0", *STORM], ASSERTIONS, True),
    Check("never two, never a stale copy: both kernel sides die", ["KERNEL_DEATHS=2", *STORM], ASSERTIONS, True),
    Check("one runs in the end: a kernel side dies", [], "one_runs", True),
    Check("known on both hosts in the end: a kernel side dies", [], "known", True),
]

# An edit: in that file of the verifier, these words become those. Without one, `name` is a -D of the model.
Edit = collections.namedtuple("Edit", "file old new")
Mutation = collections.namedtuple("Mutation", "name says edit defines claim")
TABLE = "migrate/handoff/table.c"
MUTATIONS = [
    Mutation("MUT_NO_EPOCH_CHECK", "the epoch is not compared", None, STORM, ASSERTIONS),
    Mutation("unpause-before-committed", "the target unpauses before COMMITTED is durable",
             Edit(TABLE, "JOURNAL(COMMITTED, INSTEAD(NOT_NOW)), START(INSTEAD(UNKNOWN)),",
                  "START(INSTEAD(UNKNOWN)), JOURNAL(COMMITTED, INSTEAD(NOT_NOW)),"), CALM, "known"),
    Mutation("resume-after-commit", "the source resumes after COMMIT without NEVER_RAN",
             Edit(TABLE, "RULE(S, COMMIT,          GIVES_UP,  ANY,           UNKNOWN)",
                  "RULE(S, COMMIT, GIVES_UP, ANY, CALL_OFF)"), STORM, ASSERTIONS),
    Mutation("resume-before-aborted", "the source, too late with COMMIT, resumes before ABORTED is durable",
             Edit(TABLE, "JOURNAL(ABORTED, INSTEAD(COMMIT_STANDS)), RESUME,", "RESUME, JOURNAL(ABORTED, INSTEAD(COMMIT_STANDS)),"),
             STORM, ASSERTIONS),
    Mutation("MUT_ACCOUNT_OF_RUNNING_JOB", "a COMMIT is told to a person before it is final", None, ["RESOLVE", *STORM], ASSERTIONS),
    Mutation("target-times-out", "the target forgets a prepared copy when its time is up",
             Edit(TABLE, "RULE(T, PREPARED,        GIVES_UP,  ANY,           UNKNOWN)", "RULE(T, PREPARED, GIVES_UP, ANY, GIVE_UP)"),
             [], "one_runs"),
    Mutation("abort-not-journalled", "ABORT is answered without journalling",
             Edit(TABLE, "SERIES(CLEAR,         KEEP, DESTROY(INSTEAD(NOT_NOW)), JOURNAL(ABORTED, INSTEAD(NOT_NOW)),",
                  "SERIES(CLEAR, KEEP, DESTROY(INSTEAD(NOT_NOW)),"), CALM, "known"),
    Mutation("recall-the-last-copy", "a source too late with COMMIT recalls the only copy left",
             Edit("migrate/handoff/core.c", " && h->copy == COPY_PAUSED)", ")"), [], "one_runs"),
    Mutation("moved-on-is-lost", "a partition that moved on counts as lost",
             Edit("step.c", "? COPY_WENT_ON : COPY_GONE", "? COPY_GONE : COPY_GONE"), CALM, "known"),
]

SLOW = {"moved-on-is-lost"}  # found after 17 million states: only among the long searches

Result = collections.namedtuple("Result", "errors complete states depth mib seconds text")


def run(command, where, **more):
    return subprocess.run(command, cwd=where, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL, **more)


def number(pattern, text, default=0):
    found = re.search(pattern, text)
    return int(float(found[1])) if found else default


def change(path, edit):
    text = path.read_text(encoding="utf-8")
    if text.count(edit.old) != 1:
        raise SystemExit(f"{path.name}: not once there, to be changed: {edit.old}")
    path.write_text(text.replace(edit.old, edit.new), encoding="utf-8")


def search(work, defines, claim, optimize, edit=None):
    """One exhaustive search by a verifier of its own, in the folder `work`."""
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    for name in (MODEL.name, *SEAM):
        shutil.copy(HERE / name, work)
    shutil.copytree(CORE, work / "migrate" / "handoff")
    shutil.copy(SIDE, work / "migrate")
    if edit is not None:
        change(work / edit.file, edit)
    made = run(["spin", "-a", *[f"-D{define}" for define in defines], MODEL.name], work)
    if made.returncode != 0:
        raise SystemExit(f"spin: {made.stdout}{made.stderr}")
    kind = ["-DNOCLAIM", "-DSAFETY"] if claim is None else []
    moves = [f"-D{define}" for define in defines if define.startswith("MOVES=")]
    built = run(["cc", optimize, "-DCOLLAPSE", f"-DMEMLIM={MEMORY_MIB}", *kind, *moves, "-I.", "-o", "pan", "pan.c", "step.c",
                 "migrate/handoff/core.c", TABLE], work)
    if built.returncode != 0:
        raise SystemExit(f"cc: {built.stderr}")
    begin = time.monotonic()
    out = run(["./pan", f"-m{DEPTH}", *(["-a", "-N", claim] if claim else [])], work).stdout
    seconds = time.monotonic() - begin
    (work / "pan.log").write_text(out)
    complete = "errors: " in out and "Search not completed" not in out and "search depth too small" not in out
    why = re.search(r"pan:\d+: (.*)", out)
    return Result(number(r"errors: (\d+)", out, -1), complete, number(r"([0-9.e+]+) states, stored", out),
                  number(r"depth reached (\d+)", out), number(r"([0-9.]+)\s+total actual memory", out), seconds,
                  why[1] if why else "")


def numbers(result):
    return f"{result.states} states, depth {result.depth}, {result.mib} MiB, {result.seconds:.1f} s"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", default="/tmp/vferry-model", help="where the verifiers are made; trails stay there")
    parser.add_argument("--whole", action="store_true", help="the long searches too")
    parser.add_argument("--only", default="", help="only checks and mutations whose name contains this")
    args = parser.parse_args()
    if shutil.which("spin") is None:
        print("1..0 # SKIP spin is not installed; tools/install-deps.sh does it")
        return 0

    work = pathlib.Path(args.work)
    checks = [c for c in CHECKS if (args.whole or not c.whole) and args.only in c.name]
    mutations = [m for m in MUTATIONS if (args.whole or m.name not in SLOW) and args.only in m.name]
    print(f"1..{len(checks) + len(mutations)}", flush=True)
    failed = 0
    for at, check in enumerate(checks + mutations, 1):
        mutated = isinstance(check, Mutation)
        where = work / (check.name if mutated else f"check-{at}")
        edit = check.edit if mutated else None
        result = search(where, check.defines + ([check.name] if mutated and edit is None else []), check.claim,
                        "-O1" if mutated else "-O2", edit)  # a mutation is found before the compiler has optimized
        right = result.errors > 0 if mutated else result.errors == 0 and result.complete
        failed += not right
        name = f"found: {check.says}" if mutated else check.name
        print(f"{'ok' if right else 'not ok'} {at} - {name}")
        print(f"# {numbers(result)}{': ' + result.text if result.text else ''}", flush=True)
        if not right:
            print(f"# see {where}: pan.log, and a trail by: ./pan -r", flush=True)
    return 1 if failed else 0


sys.exit(main())
