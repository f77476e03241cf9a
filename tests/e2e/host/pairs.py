# SPDX-License-Identifier: Apache-2.0
"""
Two verbs on one partition, the second said while the first is under way; and the model of what may come out: there is an order in which
those that answered 0 come to what is found, and those that did not changed nothing.
"""
import dataclasses
import itertools
import re


@dataclasses.dataclass(frozen=True)
class Model:
    """A partition as verbs change it."""

    where: str = "left"  # left, right, image, nowhere
    paused: bool = False
    work: str = "runs"  # runs, none


def here(change):
    """A verb that only works on what is there."""
    return lambda now: change(now) if now.where == "left" else None


def begin(now):
    return dataclasses.replace(now, work="runs") if now.work == "none" and not now.paused else None


def changes(**what):
    return here(lambda now: dataclasses.replace(now, **what))


@dataclasses.dataclass(frozen=True)
class Verb:
    words: tuple
    effect: object  # Model -> Model, None = it cannot be
    gates: tuple = ()  # calls of the driver here that it passes, in order
    far_gates: tuple = ()  # ... and on the target


MOVE = ("prepare", "save-immutable", "pause", "save-mutable")
VERBS = {
    "pause": Verb(("partition", "pause", "p"), changes(paused=True), ("pause",)),
    "resume": Verb(("partition", "resume", "p"), changes(paused=False), ("resume",)),
    "reset": Verb(("partition", "reset", "p"), changes(work="none")),
    "remove": Verb(("partition", "remove", "p"), changes(where="nowhere"), ("destroy",)),
    "run": Verb(("run", "p", "WORK"), here(begin)),
    "check": Verb(("check", "p", "--to", "RIGHT"), changes(), ("prepare", "save-immutable", "end"), ("restore-immutable", "destroy")),
    "migrate": Verb(("migrate", "p", "--to", "RIGHT", "--max-blackout", 60000), changes(where="right"), (*MOVE, "end", "destroy"),
                    ("restore-immutable", "restore-mutable", "end", "resume")),
    "save": Verb(("save", "p", "--output", "IMAGE"), changes(where="image"), (*MOVE, "destroy")),
    "keep": Verb(("save", "p", "--output", "IMAGE", "--keep"), changes(), (*MOVE, "resume", "end")),
    "defrag": Verb(("adapter", "defrag", "0"), lambda now: now, ("pause", "copy", "place", "resume")),
    "update": Verb(("driver", "update", "0", "--driver", "DRIVER"), lambda now: now, ("save-memory",)),
    "show": Verb(("partition", "show", "p"), changes()),
}
# What a verb may say that finds another at work, or what that has done: it names the other's doing, and never the driver.
REFUSED = re.compile(
    r"while job \d+ works on it|another command works on it|is busy|moving inside VRAM|moved to|was saved to|no partition|"
    r"just been removed|already|resume it first|CPU is stopped|is (?:outgoing|incoming|ready|dying)|has no VF|a workload still runs|job \d+ \(|held"
)
BLAMED = re.compile(r"refused by|contract|SRC-|TGT-|the driver cannot|NTSTATUS|STATUS_")


def begins(first, second):
    """The state in which both verbs mean something."""
    names = (first, second)
    return Model(paused="resume" in names, work="none" if "run" in names else "runs")


def outcomes(start, done):
    """What may be found after the verbs `done`, all of which answered 0."""
    found = set()
    for order in itertools.permutations(done):
        now = start
        for name in order:
            now = now and VERBS[name].effect(now)
        if now:
            found.add(now)
    return found


def gated(first, start):
    """Where the first verb can be held: (is it on the target?, the driver's call). A partition that stands passes fewer."""
    verb = VERBS[first]
    far = verb.far_gates
    near = verb.gates
    if start.paused:
        near = tuple(call for call in near if call not in ("pause", "resume") or first == "resume")
        far = tuple(call for call in far if call != "resume")
    return [(False, call) for call in near] + [(True, call) for call in far]


def cases():
    """(first, second, on the target?, call): every pair at every call of the first verb."""
    return [(first, second, far, call) for first in VERBS for second in VERBS for far, call in gated(first, begins(first, second))]
