# SPDX-License-Identifier: Apache-2.0
"""One case of the walk: the fault is set, the move made, what died started again, and the rules of the hand-off are checked."""
import contextlib
import dataclasses
import subprocess
import time
import traceback

from pair import Failed, Pair, Wrong, need, wait_until
from rules import may_end

OUTAGE_S = 3

# Exit code -> who may have it then. 6 is honest about not knowing.
CODES = {0: ("target",), 1: ("source",), 4: ("source",), 6: ("source", "target")}
# The daemon may die before it has said that there is a job, which goes to the target meanwhile; what the target cannot make room
# for it refuses.
UNSAID = {5: ("source",)}
EARLY = {"open": UNSAID, "connect": UNSAID, "admit": {3: ("source",), 7: ("source",)} | UNSAID}


@dataclasses.dataclass
class Outcome:
    word: str = "?"
    code: int = -1
    problem: str = ""
    log: str = ""
    seconds: float = 0.0
    never_came: bool = False
    dropped: int = 0  # partitions, by the word of a forced stop


class NeverCame(Wrong):
    """The move did not pass the place, or not so far."""


def fired(pair, case):
    side = getattr(pair, case.side)
    all_of_them = len(case.arm.split(";"))

    def came():
        return side.fired() == all_of_them

    with contextlib.suppress(TimeoutError):
        wait_until("the fault comes", lambda: came() or side.dead() or pair.moving.poll() is not None, 30)
    with contextlib.suppress(TimeoutError):  # after the command's end there is DONE and CLOSE still to come
        wait_until("the fault comes late", came, 3)
    if not came():
        raise NeverCame("the fault never came")


def act(pair, case, outcome):
    """What is done to the hosts once the fault is there."""
    side = getattr(pair, case.side)
    word, _, whose = case.during.partition(" ")
    if word == "power":
        side.kill_kernel()
    elif case.during == "both":
        pair.other(side).host.kill()
    elif case.during == "all power":
        for one in (side, pair.other(side)):
            one.host.kill()
            one.kill_kernel()
    elif word == "kernel":
        side.kill_kernel()
        side.open_gate()
    elif word == "wire":
        pair.wire.cut()
        side.open_gate()
        time.sleep(OUTAGE_S)  # is what the case is about
        pair.wire.mend()
    elif word == "stop":
        outcome.dropped = side.stop_by_force()
    elif word == "cancel":
        who = getattr(pair, whose)
        job = [job for job in who.jobs() if job["partition"] == "p" and job["status"] == "running"]
        if job:
            who.host.run("job", "cancel", job[0]["job"], code=None)


def dies(case):
    """Does the fault end the armed daemon?"""
    return case.during in ("power", "kernel", "stop") or case.arm.endswith("kill")


def revive(pair, case):
    """What died starts again, in the order in which it died."""
    side = getattr(pair, case.side)
    if case.during in ("both", "all power"):
        side.restart()
        pair.other(side).restart()
    elif dies(case):
        side.restart(case.then)
    if case.then:
        try:
            side.host.process.wait(20)
        except subprocess.TimeoutExpired:
            raise Wrong("the second fault never came") from None
        side.restart()


def unknown(jobs):
    return "unknown" in sum(jobs.values(), [])


def resolve(pair):
    """A person says what two daemons cannot know since a kernel side died: that it runs where there is a copy, or once did."""
    for side in pair.sides:
        for job in [job for job in side.jobs() if job["status"] == "unknown"]:
            choices = ["--source-runs", "--target-runs"]
            if pair.source not in pair.holders():
                choices.reverse()
            for choice in choices:
                done = side.host.run("job", "resolve", job["job"], choice, code=None)
                if done.returncode == 0:
                    break
            need(f"nobody can resolve it: {done.stderr}", done.returncode == 0)


def judge(pair, case, outcome, most):
    jobs = pair.settle()
    pair.never_two()
    killed = any(side.kernel_killed for side in pair.sides)
    resolved = ""
    if unknown(jobs) and killed:
        resolve(pair)
        jobs = pair.settle()
        pair.never_two()
        resolved = " (resolved)"
    holders = pair.holders()
    names = {side.host.name: now for side, now in holders.items()}
    codes = CODES | EARLY.get(case.phase, {})
    need(f"exit code {outcome.code}: {pair.output}", outcome.code in codes)
    if not holders:
        outcome.word = "lost"
        need("it is nowhere, and no kernel side died", killed)
        need("it is nowhere, and the stop told of none that it drops", case.during != "stop" or outcome.dropped == 1)
    elif len(holders) > 1 or unknown(jobs):
        outcome.word = "unknown"
        raise Wrong(f"nobody knows: {names}, jobs {jobs}, exit code {outcome.code}: {pair.output}")
    else:
        winner = next(iter(holders))
        outcome.word = winner.host.name
        need(f"it does not run: {names}, jobs {jobs}", holders[winner] == "running")
        if not killed:
            need(f"exit code {outcome.code}, but it runs on the {outcome.word}: {pair.output}",
                 outcome.word in codes[outcome.code])
        for side in pair.sides:
            if side is not winner:
                pair.loser_has_nothing(side)
        pair.winner_ends_right(winner)
        need(f"now it is on {[s.host.name for s in pair.holders()]}", list(pair.holders()) == [winner])
    outcome.word += resolved
    need(f"{outcome.word}: it may only be {sorted(may_end(case))}", outcome.word in may_end(case))
    pair.nothing_leaks(most)
    pair.nothing_wrong_was_logged()


def run_case(case, most):
    outcome = run_once(case, most)
    # The one place that a move need not pass: nothing may be left to send when the partition stands.
    for _ in range(2):
        if outcome.never_came and case.at.startswith("PAGES") and "paused" in case.at:
            outcome = run_once(case, most)
    return outcome


def run_once(case, most):
    outcome = Outcome()
    try:
        arms = {"source_fault": case.other, "target_fault": case.other, f"{case.side}_fault": case.arm}
        with Pair(**arms, tls=case.tls, real_wire=case.during == "wire") as pair:
            try:
                pair.begin()
                fired(pair, case)
                act(pair, case, outcome)
                revive(pair, case)
                outcome.code = pair.end()
                if case.during == "restart":  # as the daemon asks for: it trusts its journal no more
                    getattr(pair, case.side).host.kill()
                    getattr(pair, case.side).restart()
                judge(pair, case, outcome, most)
            except BaseException:
                outcome.log = "\n".join(f"---- {side.host.name} ----\n{side.log()[-3000:]}" for side in pair.sides)
                raise
    except (Wrong, TimeoutError, Failed) as problem:
        outcome.problem = str(problem)
        outcome.never_came = isinstance(problem, NeverCame)
    except Exception:  # of the walk itself: told with the case
        outcome.problem = traceback.format_exc()
    return outcome
