# SPDX-License-Identifier: Apache-2.0
"""
Every place of a move where something can go wrong, as a move without a fault passes them: nobody writes the list, so a new record,
journal entry or call is walked as soon as it is there.
"""
import dataclasses

from pair import SILENCE_S, Pair, need

# What begins a phase, by side: (kind, name, of, paused). In the order in which they come.
PHASES = {
    "source": [
        ("connect", ("msg", "HELLO", "", False)),
        ("admit", ("msg", "ADMIT", "", False)),
        ("rounds", ("msg", "ROUND", "", False)),
        ("blackout", ("point", "kernel.call", "pause partition", False)),
        ("state", ("point", "kernel.call", "save mutable data", False)),
        ("commit", ("point", "journal.write", "COMMIT", False)),
        ("teardown", ("point", "kernel.call", "end migration", False)),
    ],
    "target": [
        ("connect", ("msg", "HELLO", "", False)),
        ("admit", ("msg", "ADMIT", "", False)),
        ("rounds", ("msg", "ROUND", "", False)),
        ("blackout", ("msg", "ROUND", "", True)),
        ("state", ("msg", "STATE", "", True)),
        ("commit", ("msg", "COMMIT", "", True)),
        ("teardown", ("msg", "DONE", "", True)),
    ],
}
ORDER = ["open", "connect", "admit", "rounds", "blackout", "state", "commit", "teardown", "recovery", "resume"]
LOOKS = {"connect to the kernel side", "ask the kernel side about itself", "list partitions", "show partition", "show adapter",
         "find partition", "creation parameters of a partition", "clock of a partition", "open page channel", "ask what drivers do",
         "ask who waits for drivers"}
# Threads that serve people, not the move.
OTHERS = ("events", "control", "vferryd-faults", "watchdog")
# A move must pass at least these, or the walk would be a short one.
RECORDS = {
    "HELLO", "ADMIT", "ADMITTED", "ROUND", "PAGES", "ROUND_END", "ACK", "REHASH", "STATE", "READY", "COMMIT", "RUNNING",
    "DONE", "CLOSE",
}
JOURNAL = {"source": {"OPEN", "COMMIT", "DONE"}, "target": {"OPEN", "PREPARED", "COMMITTED", "DONE"}}


@dataclasses.dataclass(frozen=True)
class Place:
    """One of them. `select` is how VFERRY_FAULT names it."""

    side: str
    phase: str
    kind: str
    name: str
    of: str
    way: str
    role: str
    paused: bool
    thread: str
    nth: int

    @property
    def looks(self):
        """A call that changes nothing: to die around it is to die around its neighbours."""
        return self.name.startswith("kernel.") and self.of in LOOKS

    @property
    def select(self):
        if self.kind == "msg":
            again = f",nth={self.nth}" if self.nth > 1 else ""
            return f"msg={self.name},dir={self.way},role={self.role},paused={int(self.paused)}{again}"
        words = f"point={self.name},of={self.of},nth={self.nth}"
        return words if self.name.startswith("journal") else f"{words},thread={self.thread}"

    @property
    def text(self):
        again = f" ({self.nth}.)" if self.nth > 1 else ""
        if self.kind == "msg":
            more = (", data" if self.role == "data" else "") + (", paused" if self.paused else "")
            return f"{self.name} {'sent' if self.way == 'send' else 'received'}{more}{again}"
        return f"{self.name} {self.of}{again}"


def parse(side, lines, phase="open", phases=(), others=()):
    """Places of one side, in order, each once; and the phases that were not reached."""
    phases, places, seen = list(phases), [], {}
    for line in lines:
        if line[0] == "fired":
            continue
        _, kind, name, of, way, role, _, paused, thread = line
        paused = paused == "1"
        if thread in others:
            continue
        if phases and phases[0][1] == (kind, name, of, paused):
            phase = phases.pop(0)[0]
        key = (kind, name, of) if name.startswith("journal") else (kind, name, of, way, role, paused, kind == "point" and thread)
        seen[key] = seen.get(key, 0) + 1
        # How often a record or call comes depends on how many rounds it takes; how often the journal is written does not.
        if seen[key] == 1 or name.startswith("journal"):
            places.append(Place(side, phase, kind, name, of, way, role, paused, thread, seen[key]))
    return places, phases


def parse_move(side, lines):
    places, missed = parse(side, lines, phases=PHASES[side], others=OTHERS)
    need(f"{side}: never came to {missed}", not missed)
    need(f"{side}: no {RECORDS - {p.name for p in places}}", RECORDS <= {p.name for p in places})
    need(f"{side}: not all of the journal", JOURNAL[side] <= {p.of for p in places if p.name == "journal.write"})
    return places


def scout():
    """The places of a move: {"source": [...], "target": [...]}."""
    with Pair("trace", "trace") as pair:
        pair.begin()
        need(f"the scout's move failed: {pair.output}", pair.end() == 0)
        pair.winner_ends_right(pair.target)
        return {side.host.name: parse_move(side.host.name, side.lines()) for side in pair.sides}


# A daemon that died here has most to do when it starts again: (side, select, how that is called).
DEATHS = [
    ("source", "msg=READY,dir=recv", "READY came"),
    ("source", "point=journal.synced,of=COMMIT", "COMMIT was journalled"),
    ("source", "msg=RUNNING,dir=recv", "RUNNING came"),
    ("target", "point=journal.synced,of=PREPARED", "PREPARED was journalled"),
    ("target", "point=journal.synced,of=COMMITTED", "COMMITTED was journalled"),
    ("target", "msg=DONE,dir=recv", "DONE came"),
]


def scout_recovery(side, select):
    """The places that a daemon passes that died there and was started again."""
    with Pair(**{f"{side}_fault": f"{select}:kill"}) as pair:
        one = getattr(pair, side)
        pair.begin()
        one.host.process.wait(30)
        before = len(one.lines())
        one.restart("trace")
        pair.end()
        pair.settle()
        places = parse(side, one.lines()[before:], phase="recovery", others=("control", "watchdog"))[0]
        first = next(place for place in places if not place.looks)
        # It may have read back what a killed daemon wrote and a power cut would still take away.
        need("acts upon a journal that is not synced", (first.name, first.of) == ("journal.fsync", "open"))
        return places


# Where a connection is lost and found again: (select, how that is called).
LOSSES = [
    ("msg=PAGES,dir=send,role=data,paused=0", "a round"),
    ("msg=PAGES,dir=send,role=data,paused=1", "the last round"),
]


def scout_resumption(select):
    """The records with which a move goes on after its connections were cut there, up to the next round: {side: places}."""
    with Pair(f"trace;{select}:cut", "trace") as pair:
        pair.begin()
        need(f"the move did not go on: {pair.output}", pair.end() == 0)
        return {side.host.name: parse_resumption(side.host.name, side.lines()) for side in pair.sides}


def parse_resumption(side, lines):
    """From the second control connection's first record to its first round."""
    places, seen, connections = [], {}, 0
    for line in lines:
        if line[0] == "fired" or line[1] != "msg":
            continue
        _, kind, name, of, way, role, _, paused, thread = line
        key = (name, way, role, paused)
        seen[key] = seen.get(key, 0) + 1
        connections += (name, role, way) == ("HELLO", "control", "send" if side == "source" else "recv")
        if connections < 2:
            continue
        if name == "ROUND":
            break
        places.append(Place(side, "resume", kind, name, of, way, role, paused == "1", thread, seen[key]))
    need(f"{side}: no RESUME, or no round after it", "RESUME" in {p.name for p in places})
    return places


# ---- what can happen there ----

SILENCE_MS = int(1000 * SILENCE_S)
LONG = 3 * SILENCE_MS
# Fault -> action, of the connection at a record. A stall without end, a silence and an outage are noticed by the clock only.
WIRE = {
    "cut": "cut",
    "truncated": "half",
    "stalled for ever": "stall",
    "silent for ever": "silent",
    "delayed": "stall=300",
    "doubled": "dup",
    "bit flipped in the header": "flip=66",
    "bit flipped in the payload": "flip=1111",
    "one byte at a time": "short=1",
    "all connections cut for a while": f"down={SILENCE_MS + 500}",
    "all connections frozen for a while": f"freeze={LONG}",
}
