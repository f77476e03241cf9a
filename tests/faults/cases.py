# SPDX-License-Identifier: Apache-2.0
"""The cases of the walk: every fault at every place where it makes sense, and the few of them that `make test` has time for."""
import dataclasses

from boundaries import ORDER, WIRE


@dataclasses.dataclass(frozen=True)
class Case:
    """One fault at one place. `during`: what the walk does to the hosts while the place is held."""

    fault: str
    side: str  # whose daemon is armed
    phase: str
    at: str
    arm: str
    during: str = ""
    other: str = ""  # what the other side's daemon is armed with

    @property
    def name(self):
        return f"{self.fault}, {self.side}, {self.phase}: {self.at}"


def case(place, fault, action, during="", other="", select=None):
    return Case(fault, place.side, place.phase, place.text, f"{select or place.select}:{action}", during, other)


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
            yield case(place, f"{side} daemon killed before", "kill")
            if place.kind == "msg":
                yield case(place, f"{side} daemon killed after", "after-kill")
            if place.name.startswith("journal") or place.kind == "msg":
                yield case(place, f"{side} loses power", "power", during="power")
            if place.name != "journal.write":
                yield case(place, f"{side} kernel side killed", "hold", during="kernel")


def of_both(places):
    """Both daemons die, each at a place of its own, where a hand-off is under way."""
    late = {
        side: [p for p in places[side] if p.phase in ("state", "commit", "teardown") and p.name.startswith("journal")]
        for side in places
    }
    for place in late["source"]:
        for other in late["target"]:
            yield case(place, "both daemons killed", "kill", during="both", other=f"{other.select}:kill")


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
                yield case(place, f"{side} fsync fails, the next too", f"EIO;point=journal.fsync,of=,nth=1:EIO")
            if place.name == "kernel.call":
                yield case(place, f"{side} kernel call fails", "EIO")


def of_people(places):
    for side in ("source", "target"):
        for place in places[side]:
            if place.kind == "msg" and place.phase in ORDER[: ORDER.index("commit")]:
                yield case(place, f"cancelled on the {side}", "hold", during=f"cancel {side}")


def all_cases(places):
    found = []
    for kind in (of_wire, of_processes, of_both, of_disks, of_people):
        found += kind(places)
    return found


def chosen(cases):
    """So few that every fault is met once, and every phase and every record of the hand-off by one that hurts."""
    picked, faults, spots = [], {}, set()
    # Late phases first: they are where a mistake costs most.
    for one in sorted(cases, key=lambda c: -ORDER.index(c.phase)):
        spot = (one.side, one.phase, one.at.split(",")[0])
        if one.fault not in faults or (faults[one.fault] < 2 and spot not in spots):
            picked.append(one)
            faults[one.fault] = faults.get(one.fault, 0) + 1
            spots.add(spot)
    return picked
