#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Changes what carries out the hand-off's decisions (migrate/handoff/shell.c and who uses it) in one small wrong way after the other, in a
copy of the tree: some test must see each. Prints which one did. `--only TEXT` takes those whose name has TEXT; takes half a minute each."""
import argparse
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
SHELL, COPY = "migrate/handoff/shell.c", "migrate/handoff/copy.c"
REDIAL, REPLY, RECOVER = "migrate/handoff/redial.c", "migrate/handoff/reply_handoff.c", "migrate/handoff/recover.c"
SOURCE, TARGET = "migrate/source/ending.c", "migrate/target/ending.c"
# What is wrong, where, what stands there, what stands there instead.
WRONG = [
    ("a record that failed counts as written", SHELL, "    return ended(run, action, result, &err);\n}\n\nstatic int call",
     "    (void)ended(run, action, result, &err);\n    return EVENT_DID;\n}\n\nstatic int call"),
    ("an act that failed counts as done", SHELL, "    if (result == 0)\n        return EVENT_DID;", "    if (result <= 0)\n        return EVENT_DID;"),
    ("COMMIT is not journalled", SHELL, "    result = put_record(job,",
     "    result = action->record == RECORD_COMMIT ? 0 : put_record(job,"),
    ("COMMITTED is not journalled", SHELL, "    result = put_record(job,",
     "    result = action->record == RECORD_COMMITTED ? 0 : put_record(job,"),
    ("PREPARED is not journalled", SHELL, "    result = put_record(job,",
     "    result = action->record == RECORD_PREPARED ? 0 : put_record(job,"),
    ("ABORTED is not journalled", SHELL, "    result = put_record(job,",
     "    result = action->record == RECORD_ABORTED ? 0 : put_record(job,"),
    ("what is owed is not in the record", SHELL, "set_owes(job, action->owed)", "set_owes(job, false)"),
    ("what is owed is forgotten", SHELL, "set_owes(run->job, run->core.owed && run->core.record != RECORD_COMMIT);", "set_owes(run->job, false);"),
    ("a late COMMIT is not noticed", SHELL, "run->ops->committed != NULL)", "run->ops->committed == NULL)"),
    ("a copy that shall resume is removed", SHELL, "copy_run_on(run->kc, &run->copy, stays_paused, err);", "copy_destroy(run->kc, &run->copy, err);"),
    ("an unsure journal is a failed one", SHELL, "return job_unsure(run->job) ? EVENT_UNSURE : EVENT_FAILED;", "return EVENT_FAILED;"),
    ("a copy of the hand-off's own epoch is taken for the old one", COPY, "p->epoch < job->epoch", "p->epoch <= job->epoch"),
    ("any newer copy is taken for the hand-off's", COPY, "p->epoch == job->epoch", "p->epoch >= job->epoch"),
    ("an unsure journal is not known", COPY, "    if (job->journal == JOB_UNSURE)\n", "    if (false)\n"),
    ("a copy that was unpaused counts as paused", COPY, "    case VF_PARTITION_OUTGOING:\n        return COPY_RUNS;",
     "    case VF_PARTITION_OUTGOING:\n        return COPY_PAUSED;"),
    ("a copy that went on counts as lost", COPY, "handoff_went_on(job) ? COPY_WENT_ON : COPY_GONE", "false ? COPY_WENT_ON : COPY_GONE"),
    ("COMMIT is sent before it is journalled", "migrate/source/handoff.c", "    source_tell(s, EVENT_READY);",
     "    {\n        const struct wire_message early = {.tag = WIRE_COMMIT, .handoff = handoff_of(job)};\n\n"
     "        (void)control_say(&s->control, &early, vf_now_ns() + 1000000000ull, err);\n    }\n    source_tell(s, EVENT_READY);"),
    ("a COMMIT that is late stands", SOURCE, "    return EVENT_DID_LATE;", "    return EVENT_DID;"),
    ("a lost copy takes a late COMMIT back", SOURCE, "        run->core.copy = COPY_GONE;\n", "        run->core.copy = COPY_PAUSED;\n"),
    ("the source does not resume", SOURCE, "    int result = source_bring_back(s, err);", "    int result = 0;"),
    ("nobody tells the target that the move was called off", SOURCE, "s->recall = message == SAY_ABORT;", "s->recall = false;"),
    ("a move that failed counts as having no copy", SOURCE, "!s->prepared ? COPY_GONE", "s->prepared ? COPY_GONE"),
    ("the target starts before COMMIT", "migrate/target/handoff.c", "    (void)target_tell(t, EVENT_PROVEN,",
     "    (void)kc_partition_resume(t->kc, t->partition.id, err);\n    (void)target_tell(t, EVENT_PROVEN,"),
    ("what arrived is not removed", TARGET, "    if (target_discard(t) == 0)\n        return 0;", "    if (true)\n        return 0;"),
    ("a prepared target that gives up counts as failed", TARGET, "        t->end = JOB_UNKNOWN;", "        t->end = JOB_FAILED;"),
    ("an ABORT is heard as a lost link", TARGET, "called_off ? EVENT_ABORT : EVENT_GIVES_UP", "EVENT_GIVES_UP"),
    ("a lost link is heard as an ABORT", TARGET, "called_off ? EVENT_ABORT : EVENT_GIVES_UP", "EVENT_ABORT"),
    ("RUNNING of another hand-off is believed", REDIAL, "        if (handoff_same(job, &answer->running.id)) {", "        if (true) {"),
    ("a host without record never ran it", REDIAL, "        return EVENT_NO_RECORD;", "        return EVENT_NEVER_RAN;"),
    ("a target that runs it has let go", REDIAL, "        return EVENT_RUNS_THERE;", "        return EVENT_CLOSE;"),
    ("a source that is not done is done", REDIAL, "        return EVENT_SOURCE_NOT_DONE;", "        return EVENT_SOURCE_DONE;"),
    ("the copy is not looked for before an answer is acted upon", REDIAL, "    if (handoff_needs_copy(&run->core, redial->event))", "    if (false)"),
    ("ABORT is served as COMMIT", REPLY, "commits ? EVENT_COMMIT : EVENT_ABORT", "EVENT_COMMIT"),
    ("a forced stop is not asked before a start", REPLY, "    if (starts && mig_commit_begin(", "    if (false && mig_commit_begin("),
    ("one that never ran says CLOSE", REPLY, "        return say(reply, run->job, &never, err);",
     "        return say(reply, run->job, &(struct wire_message){.tag = WIRE_CLOSE}, err);"),
    ("what was called off says that it runs", REPLY, "    case SAY_NEVER_RAN:\n        return say_never_ran(run, err);",
     "    case SAY_NEVER_RAN:\n        return say_running(run, err);"),
    ("a COMMIT of another hand-off is served", "migrate/handoff/reply.c", "message->tag == WIRE_COMMIT && !handoff_same(job, &message->handoff)", "false"),
    ("an unsure journal is answered from", "migrate/handoff/reply.c", "    if (job_unsure(job))\n", "    if (false)\n"),
    ("a restart takes a DONE copy for its own", RECOVER, "    case RECORD_DONE:\n        run->core.copy = COPY_GONE;", "    case RECORD_DONE:\n        (void)handoff_run_look(run, &err);"),
    ("a restart does not look past PREPARED", RECOVER, "        if (handoff_run_look(run, &err) != 0)", "        if (false)"),
    ("a restart sweeps away what waits for its peer", RECOVER, "            known = known || (job_status(job) == MIG_UNKNOWN &&", "            known = known || (false &&"),
]


def run(words, cwd, env=None, limit=900):
    try:
        return subprocess.run(words, cwd=cwd, env=env, capture_output=True, text=True, errors="replace", timeout=limit)
    except subprocess.TimeoutExpired:
        return None


def seen_by(tree, suites):
    """The first suite that fails; None: nobody saw it."""
    for suite in suites:
        done = run(["meson", "test", "-C", "build", "--no-rebuild", suite], tree)
        if done is None or done.returncode != 0:
            return suite
    return None


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--places", action="store_true", help="only look whether each of the places is there")
    parser.add_argument("--only", default="", metavar="TEXT", help="those whose name has it")
    args = parser.parse_args()
    chosen = [wrong for wrong in WRONG if args.only in wrong[0]]
    if args.places:
        gone = [f"{name}: {path}" for name, path, old, _ in WRONG if old not in (ROOT / path).read_text(encoding="utf-8")]
        print("1..1", f"{'not ok' if gone else 'ok'} 1 - the places of all {len(WRONG)} are there", *(f"# {line}" for line in gone), sep="\n")
        return 1 if gone else 0
    suites = ["copy", "recover-target", "recover-source", "move", "recovery", "stall", "e2e-handoff", "move-false-target", "move-false-source", "move-faults", "fault walk"]
    escaped = []
    with tempfile.TemporaryDirectory(prefix="vferry-mutants-") as folder:
        tree = pathlib.Path(folder) / "tree"
        subprocess.run(["git", "clone", "-q", ROOT, tree], check=True)
        for name in subprocess.run(["git", "diff", "--name-only", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split():
            if (ROOT / name).is_file():
                shutil.copy(ROOT / name, tree / name)
        env = dict(os.environ, CC=os.environ.get("CC", "cc"))
        subprocess.run(["meson", "setup", "build"], cwd=tree, env=env, check=True, capture_output=True)
        subprocess.run(["ninja", "-C", "build"], cwd=tree, check=True, capture_output=True)
        print(f"1..{len(chosen)}", flush=True)
        for number, (name, path, old, new) in enumerate(chosen, 1):
            place = tree / path
            text = place.read_text(encoding="utf-8")
            if text.count(old) < 1:
                print(f"not ok {number} - {name}: {path} has no such place any more", flush=True)
                escaped.append(name)
                continue
            place.write_text(text.replace(old, new, 1), encoding="utf-8")
            built = run(["ninja", "-C", "build"], tree)
            seen = "the compiler" if built is None or built.returncode != 0 else seen_by(tree, suites)
            place.write_text(text, encoding="utf-8")
            print(f"{'not ok' if seen is None else 'ok'} {number} - {name}" + (f" # seen by {seen}" if seen else ""), flush=True)
            if seen is None:
                escaped.append(name)
    return 1 if escaped else 0


if __name__ == "__main__":
    sys.exit(main())
