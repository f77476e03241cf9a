# SPDX-License-Identifier: Apache-2.0
"""One case of the walk: the fault is set, the move made, what died started again, and the rules of the hand-off are checked."""
import dataclasses
import time
import traceback

from pair import Failed, Pair, Wrong, need, wait_until

# Until a daemon settles by itself what another left open, such an outcome stays unknown.
NOT_YET = "nobody knows"

OUTAGE_S = 3

# Exit code -> who may have it then. 6 is honest about not knowing.
CODES = {0: ("target",), 1: ("source",), 4: ("source",), 6: ("source", "target")}


@dataclasses.dataclass
class Outcome:
    word: str = "?"
    code: int = -1
    problem: str = ""
    log: str = ""
    seconds: float = 0.0

    @property
    def todo(self):
        """Known not to work yet."""
        return bool(NOT_YET) and self.problem.startswith(NOT_YET)


def fired(pair, case):
    side = getattr(pair, case.side)
    try:
        wait_until("the fault comes", lambda: side.fired() or side.dead(), 30)
    except TimeoutError:
        pass
    need("the fault never came", side.fired())


def act(pair, case):
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
    elif word == "cancel":
        who = getattr(pair, whose)
        job = [job for job in who.jobs() if job["partition"] == "p" and job["status"] == "running"]
        if job:
            who.host.run("job", "cancel", job[0]["job"], code=None)


def dies(case):
    """Does the fault end the armed daemon?"""
    return case.during in ("power", "kernel") or case.arm.endswith("kill")


def revive(pair, case):
    """What died starts again, in the order in which it died."""
    side = getattr(pair, case.side)
    if case.during in ("both", "all power"):
        side.restart()
        pair.other(side).restart()
    elif dies(case):
        side.restart()


def judge(pair, case, outcome, most):
    jobs = pair.settle()
    pair.never_two()
    holders = pair.holders()
    killed = any(side.kernel_killed for side in pair.sides)
    names = {side.host.name: now for side, now in holders.items()}
    need(f"exit code {outcome.code}: {pair.output}", outcome.code in CODES)
    if not holders:
        outcome.word = "lost"
        need("it is nowhere, and no kernel side died", killed)
    elif len(holders) > 1 or "unknown" in sum(jobs.values(), []):
        outcome.word = "unknown"
        need(f"nobody knows: {names}, jobs {jobs}, exit code {outcome.code}: {pair.output}", killed)
    else:
        winner = next(iter(holders))
        outcome.word = winner.host.name
        need(f"it does not run: {names}, jobs {jobs}", holders[winner] == "running")
        if not killed:
            need(f"exit code {outcome.code}, but it runs on the {outcome.word}: {pair.output}",
                 outcome.word in CODES[outcome.code])
        for side in pair.sides:
            if side is not winner:
                pair.loser_has_nothing(side)
        pair.winner_ends_right(winner)
        need(f"now it is on {[s.host.name for s in pair.holders()]}", list(pair.holders()) == [winner])
    if outcome.word != "unknown":
        pair.nothing_leaks(most)
    pair.nothing_wrong_was_logged()


def run_case(case, most):
    outcome = Outcome()
    try:
        with Pair(**{f"{case.side}_fault": case.arm}, tls=case.tls, real_wire=case.during == "wire") as pair:
            try:
                pair.begin()
                fired(pair, case)
                act(pair, case)
                revive(pair, case)
                outcome.code = pair.end()
                judge(pair, case, outcome, most)
            except BaseException:
                outcome.log = "\n".join(f"---- {side.host.name} ----\n{side.log()[-3000:]}" for side in pair.sides)
                raise
    except (Wrong, TimeoutError, Failed) as problem:
        outcome.problem = str(problem)
    except Exception:  # of the walk itself: told with the case
        outcome.problem = traceback.format_exc()
    return outcome
