# SPDX-License-Identifier: Apache-2.0
"""The cases of the walk: every fault at every place where it makes sense, and the few of them that `make test` has time for."""
import concurrent.futures
import dataclasses

from boundaries import DEATHS, LOSSES, ORDER, WIRE, scout_recovery, scout_resumption


@dataclasses.dataclass(frozen=True)
class Case:
    """One fault at one place. `during`: what the walk does to the hosts while the place is held."""

    fault: str
    side: str  # whose daemon is armed
    phase: str
    at: str
    arm: str
    during: str = ""
    tls: bool = False
    then: str = ""  # what the daemon is armed with when it starts again
    other: str = ""  # what the other side's daemon is armed with

    @property
    def name(self):
        return f"{self.fault}, {self.side}, {self.phase}: {self.at}"


def case(place, fault, action, during="", select=None, tls=False):
    return Case(fault, place.side, place.phase, place.text, f"{select or place.select}:{action}", during, tls)


def of_wire(places):
    """Once a record, at the source: what is done to it on the way is the same seen from either end."""
    for place in places["source"]:
        if place.kind != "msg":
            continue
        for fault, action in WIRE.items():
            # Pages are large: bytes alone would take minutes.
            yield case(place, fault, "short=997" if place.name == "PAGES" and action == "short=1" else action)
        if place.role == "data":
            for stream in (0, 1):
                yield case(place, f"data stream {stream} held back", "stall=400", select=f"{place.select},stream={stream}")


def of_processes(places):
    """kill -9, a power cut (unsynced bytes, daemon and kernel side at once), a crash of the kernel side."""
    for side in ("source", "target"):
        for place in places[side]:
            if place.looks:
                continue
            yield case(place, f"{side} daemon killed before", "kill")
            if place.kind == "msg":
                yield case(place, f"{side} daemon killed after", "after-kill")
            if place.name.startswith("journal") or place.kind == "msg":
                yield case(place, f"{side} loses power", "power", during="power")
            if place.name != "journal.write":
                yield case(place, f"{side} kernel side killed", "hold", during="kernel")


def of_both(places):
    """One daemon dies at a place of the hand-off, and the other as soon as that is seen."""
    for side in ("source", "target"):
        for place in places[side]:
            if place.phase in ("state", "commit", "teardown") and place.name.startswith(("journal", "COMMIT", "R", "DONE")):
                yield case(place, "both daemons killed", "kill", during="both")
                yield case(place, "both hosts lose power", "power", during="all power")


def of_disks(places):
    for side in ("source", "target"):
        for place in places[side]:
            if place.name == "journal.write":
                yield case(place, f"{side} disk full", "ENOSPC")
                yield case(place, f"{side} short write", "short=20")
                again = f"{place.select.replace('nth=%d' % place.nth, 'nth=%d' % (place.nth + 1))}:ENOSPC"
                yield case(place, f"{side} disk full after a part", f"short=20;{again}")
            if place.name == "journal.fsync":
                yield case(place, f"{side} fsync fails", "EIO")
                yield case(place, f"{side} fsync fails, the next too", "EIO;point=journal.fsync,of=:EIO", during="restart")
            if place.name == "kernel.call":
                yield case(place, f"{side} kernel call fails", "EIO")


def of_networks(places):
    """The wire between the hosts is cut for real, for longer than a silence."""
    for place in places["source"]:
        if place.kind == "msg" and place.phase not in ("connect", "admit"):
            yield case(place, "network down for a while", "hold", during="wire", tls=True)
        if place.kind == "msg":
            yield case(place, "cut, TLS", "cut", tls=True)
            yield case(place, "one byte at a time, TLS", "short=997" if place.name == "PAGES" else "short", tls=True)
            yield case(place, "doubled, TLS", "dup", tls=True)


def of_people(places):
    for side in ("source", "target"):
        for place in places[side]:
            if place.kind == "msg" and place.phase in ORDER[: ORDER.index("commit")]:
                yield case(place, f"cancelled on the {side}", "stall", during=f"cancel {side}")


def of_stops(places):
    """`host stop --force`, begun while the place is held: what it drops it must know of."""
    for side in ("source", "target"):
        for place in places[side]:
            if not place.looks and place.name != "kernel.answer":
                yield case(place, f"{side} stopped by force", "hold", during="stop")


def of_recoveries():
    """A daemon that died dies again, wherever it does something to recover."""
    with concurrent.futures.ThreadPoolExecutor(len(DEATHS)) as pool:
        scouts = list(pool.map(lambda death: scout_recovery(*death[:2]), DEATHS))
    for (side, select, text), places in zip(DEATHS, scouts):
        for place in places:
            if place.looks:
                continue
            for action in ("kill", "after-kill") if place.kind == "msg" else ("kill",):
                yield Case(f"{side} daemon killed twice", side, "recovery",
                           f"{'after ' if action != 'kill' else ''}{place.text}, since {text}",
                           f"{select}:kill", then=f"{place.select}:{action}")


def of_resumptions():
    """Something happens again, while a move that lost its connections goes on."""
    for select, text in LOSSES:
        first = f"{select}:cut"
        places = scout_resumption(select)
        for place in places["source"]:
            for fault in ("cut", "stalled for ever", "doubled", "bit flipped in the payload"):
                yield Case(f"{fault}, again", "source", "resume", f"{place.text}, after {text} was cut",
                           f"{first};{place.select}:{WIRE[fault]}")
        for side in places:
            for place in places[side]:
                for action, when in (("kill", "before"), ("after-kill", "after")):
                    arm, other = f"{place.select}:{action}", ""
                    if side == "source":
                        arm = f"{first};{arm}"
                    else:
                        other = first
                    yield Case(f"{side} daemon killed {when}, connections cut", side, "resume",
                               f"{place.text}, after {text} was cut", arm, other=other)


def all_cases(places):
    found = []
    for kind in (of_wire, of_networks, of_processes, of_both, of_disks, of_people, of_stops):
        found += kind(places)
    return found + list(of_recoveries()) + list(of_resumptions())


# Where a mistake costs most comes first.
WEIGHT = ["commit", "state", "recovery", "resume", "teardown", "blackout", "rounds", "admit", "connect", "open"]


def chosen(cases):
    """So few that each fault is met once, each record and journal entry of the hand-off by one that hurts, each phase by a death."""
    picked, met = [], set()

    def pick(one):
        if one not in picked:
            picked.append(one)
            met.update({one.fault, (one.side, one.at.split(",")[0]), (one.side, one.phase)})

    for one in cases:
        at = (one.side, one.at.split(",")[0])
        if one.phase in ("state", "commit") and at not in met:
            if one.fault == "cut" or (one.at.startswith("journal.fsync") and one.fault.endswith("daemon killed before")):
                pick(one)
    for one in sorted(cases, key=lambda c: WEIGHT.index(c.phase)):
        fresh = (one.side, one.at.split(",")[0]) not in met
        if one.fault not in met and fresh:
            pick(one)
    for one in sorted(cases, key=lambda c: WEIGHT.index(c.phase)):
        if one.fault not in met or ((one.side, one.phase) not in met and "killed" in one.fault):
            pick(one)
    return picked
