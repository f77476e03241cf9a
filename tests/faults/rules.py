# SPDX-License-Identifier: Apache-2.0
"""Where the partition may be after a case: the table "who dies when" of docs/handoff.md, for the places of the walk."""
from boundaries import ORDER

EITHER = {"source", "target"}
# A target that had committed cannot know on its own that nobody has it any more: a person closes its job.
LOST = {"lost", "lost (resolved)"}
BEFORE_COMMIT = ORDER[: ORDER.index("commit")]


def source_daemon(case):
    if case.at.startswith("READY received") and case.arm.endswith("after-kill"):
        return EITHER  # how far it came with it only the dice know
    # A record that was written is there after a kill -9, synced or not.
    committed = case.phase in ("commit", "teardown") and not case.at.startswith("journal.write COMMIT")
    return {"target"} if committed else {"source"}


def source_host(case):
    unsynced = case.at.startswith(("journal.write COMMIT", "journal.fsync COMMIT"))
    if case.phase in ("commit", "teardown") and not unsynced:
        return {"target"}
    # The daemon may get its word out before it notices that its kernel side is gone.
    return {"lost", "target"} if case.during == "kernel" and case.phase in ("state", "commit") else {"lost"}


def target_daemon(case):
    if case.phase == "teardown":
        return {"target"}
    # In between the source may have READY already, or not yet.
    return {"source"} if case.phase in BEFORE_COMMIT and case.phase != "state" else EITHER


def target_host(case):
    never_ran = case.phase in BEFORE_COMMIT or case.at.startswith(("COMMIT received", "journal.write COMMITTED"))
    if never_ran or (case.during == "power" and case.at.startswith("journal.fsync COMMITTED")):
        return {"source"}
    return LOST if case.phase == "teardown" else LOST | {"source (resolved)"}


def source_stopped(case):
    """It ends its jobs first: a move that has not committed is called off, one that has is brought to its end."""
    if case.phase in ("commit", "teardown"):
        return {"target"}
    # READY may find the cancel there already, or be before it.
    return {"lost", "target"} if case.phase == "state" else {"lost"}


def target_stopped(case):
    """Once a stop has begun no COMMIT is honoured; one that was honoured before is dropped knowingly."""
    if case.phase in BEFORE_COMMIT or case.at.startswith("COMMIT received"):
        return {"source"}
    return {"lost"}


DEATHS = {
    "source daemon killed before": source_daemon,
    "source daemon killed after": source_daemon,
    "source loses power": source_host,
    "source kernel side killed": source_host,
    "target daemon killed before": target_daemon,
    "target daemon killed after": target_daemon,
    "target loses power": target_host,
    "target kernel side killed": target_host,
    "source stopped by force": source_stopped,
    "target stopped by force": target_stopped,
    "both hosts lose power": lambda case: LOST,
    "cancelled on the source": lambda case: {"source"},
    "cancelled on the target": lambda case: {"source"},
}


def may_end(case):
    """Words of Outcome."""
    return DEATHS.get(case.fault, lambda case: EITHER)(case)
