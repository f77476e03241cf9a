#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""
Who may include whom (docs/architecture.md): fails on any arrow that is not in the picture, and shows on trees of its own that it
can fail. Usage: check_includes.py ROOT
"""
import pathlib
import re
import sys
import tempfile

# Room -> what its files may include of this tree, besides their own room. A room is the longest prefix that fits a file. A name that
# ends in / is a whole room, else it is one header. What programs may use from the system is limited for drivers only: they are to
# be compilable as Windows drivers.
FACTS = "include/vferry/vferry.h"
DEVICE = "include/vferry/device.h"
MANUAL = "include/softgpu/hw.h"
CORE = "migrate/handoff/core.h"
SIDE = "migrate/side.h"
WISH = "migrate/pack/wish.h"
ROOMS = {
    "base/": [FACTS],
    "include/wddm/": [],
    "include/softgpu/": [],
    "include/vferry/": [],
    "devices/softgpu/": [DEVICE, MANUAL],
    "drivers/softgpu/": ["include/wddm/", MANUAL],
    "drivers/null/": ["include/wddm/"],
    "dxgk/": ["base/", "include/wddm/", DEVICE, FACTS],
    "kernel/": ["base/", "dxgk/dxgk.h", FACTS],
    "transport/": ["base/"],
    "migrate/": ["base/", "transport/", "kernel/client.h", FACTS, SIDE],
    "guest/": ["base/", MANUAL],
    # It plays the partition's CPU: the manual tells it which BAR holds what.
    "daemon/": [
        "base/",
        "migrate/migrate.h",
        WISH,
        "transport/transport.h",
        "transport/tls.h",
        "kernel/client.h",
        "guest/guest.h",
        FACTS,
        MANUAL,
    ],
    "cli/": ["base/", "daemon/control/protocol.h", "daemon/control/registry.h", "guest/guest.h", "migrate/convergence.h", "migrate/image/image.h",
             "transport/certificate.h", FACTS],
    "vm/": ["base/", FACTS],
    # Linked into spin's verifier: the world around the hand-off's core.
    "models/": [CORE],
}
# Folder of a room -> what its files may include of their room, besides their own folder; those below it only. Files that
# lie in no folder of the room are its top and may include all of it, but a header among them that the folders share (SHARED) only
# what is named for it.
MIG = "migrate/mig.h"
MIGRATE_BOTH = ["migrate/digest/", "migrate/handoff/", "migrate/job/", "migrate/net/", "migrate/stream/", "migrate/wire/", "migrate/journal/",
                MIG, "migrate/migrate.h"]
DXGK_SHARED = ["dxgk/internal.h", "dxgk/dxgk.h", "dxgk/handles.h", "dxgk/waits.h"]
DAEMON = "daemon/daemon.h"
FOLDERS = {
    "migrate/wire/": [],
    "migrate/pack/": ["migrate/wire/"],
    "migrate/journal/": [WISH],
    "migrate/digest/": ["migrate/wire/"],
    "migrate/image/": ["migrate/digest/", "migrate/pack/", "migrate/wire/"],
    "migrate/job/": ["migrate/digest/", "migrate/journal/", WISH, "migrate/wire/", MIG, "migrate/migrate.h"],
    "migrate/net/": ["migrate/job/", "migrate/wire/", MIG],
    "migrate/stream/": ["migrate/digest/", "migrate/job/", "migrate/net/", "migrate/pack/", "migrate/wire/", MIG],
    "migrate/handoff/": ["migrate/job/", "migrate/journal/", "migrate/net/", "migrate/wire/", MIG, "migrate/migrate.h"],
    "migrate/source/": [*MIGRATE_BOTH, "migrate/convergence.h"],
    "migrate/target/": MIGRATE_BOTH,
    "migrate/file/": [*MIGRATE_BOTH, "migrate/image/", "migrate/source/", "migrate/target/"],
    "daemon/history/": [],
    "daemon/events/": ["daemon/history/"],
    "daemon/kernel/": [DAEMON, "daemon/config.h"],
    "daemon/control/": [DAEMON, "daemon/kernel/"],
    "daemon/verbs/": [DAEMON, "daemon/control/", "daemon/cordon.h", "daemon/jobs.h", "daemon/kernel/"],
    "cli/output/": [],
    "cli/syntax/": ["cli/output/"],
    "cli/host/": ["cli/output/", "cli/syntax/"],
    "cli/completion/": ["cli/host/", "cli/output/", "cli/syntax/"],
    "cli/move/": ["cli/host/", "cli/output/", "cli/show.h", "cli/syntax/"],
    "cli/plan/": ["cli/output/", "cli/show.h", "cli/syntax/"],
    "cli/top/": ["cli/host/", "cli/output/", "cli/show.h", "cli/syntax/"],
    "dxgk/nt/": [],
    "dxgk/worker/": [],
    "dxgk/ddi/": [*DXGK_SHARED, "dxgk/ksr.h", "dxgk/nt/"],
    "dxgk/paging/": [*DXGK_SHARED, "dxgk/ddi/", "dxgk/nt/"],
    "dxgk/tracking/": [*DXGK_SHARED, "dxgk/ddi/"],
    "dxgk/vram/": [*DXGK_SHARED, "dxgk/paging/"],
    "dxgk/adapter/": [*DXGK_SHARED, "dxgk/ddi/", "dxgk/ksr.h", "dxgk/nt/", "dxgk/paging/", "dxgk/vram/"],
    "dxgk/umed/": [*DXGK_SHARED, "dxgk/adapter/", "dxgk/ddi/", "dxgk/worker/"],
    "dxgk/partition/": [*DXGK_SHARED, "dxgk/adapter/", "dxgk/ddi/", "dxgk/paging/", "dxgk/tracking/", "dxgk/umed/", "dxgk/vram/"],
    "dxgk/defrag/": [*DXGK_SHARED, "dxgk/adapter/", "dxgk/ddi/", "dxgk/paging/", "dxgk/partition/", "dxgk/tracking/", "dxgk/vram/"],
    "dxgk/hotupdate/": [*DXGK_SHARED, "dxgk/adapter/", "dxgk/ddi/", "dxgk/ksr.h", "dxgk/nt/", "dxgk/paging/", "dxgk/tracking/",
                        "dxgk/vram/"],
}
SHARED = {
    MIG: ["migrate/job/", "migrate/journal/", "migrate/migrate.h", "migrate/net/send_slots.h", "migrate/wire/"],
    "migrate/migrate.h": [WISH],
    SIDE: [],
    "migrate/convergence.": ["migrate/convergence.h"],
    DAEMON: ["daemon/control/pulse.h", "daemon/events/", "daemon/history/"],
    "daemon/config": ["daemon/config.h", "daemon/history/history.h"],
    "daemon/cordon.": [DAEMON, "daemon/cordon.h"],
    "daemon/jobs.": [DAEMON, "daemon/history/", "daemon/jobs.h"],
    "cli/show.": ["cli/output/", "cli/show.h", "cli/syntax/"],
    "dxgk/dxgk.h": [],
    "dxgk/internal.h": ["dxgk/dxgk.h"],
    "dxgk/handles.": ["dxgk/handles.h", "dxgk/internal.h"],
    "dxgk/ksr.": ["dxgk/handles.h", "dxgk/internal.h", "dxgk/ksr.h", "dxgk/nt/"],
    "dxgk/waits.h": ["dxgk/internal.h"],
}
# (file, what it includes) -> why this arrow still goes up. One that is no longer there must go from this table too.
EXCEPTIONS = {
    ("dxgk/paging/start.c", "dxgk/adapter/interrupt.h"): "paging that starts attaches itself to the interrupts that tell its fences",
}
# The hand-off's core is pure: it knows of nothing but itself. What vferry shares with vferryd knows neither. The process line: what is
# linked into vferryd may not see the OS side even through its own room.
FILES = {
    "migrate/handoff/core": [CORE, SIDE, "migrate/handoff/table.h"],
    "migrate/handoff/names": [CORE, SIDE, "migrate/handoff/table.h"],
    "migrate/handoff/table": [CORE, SIDE, "migrate/handoff/table.h"],
    "daemon/control/protocol": ["base/", "daemon/control/protocol.h"],
    "daemon/control/registry": ["base/", "daemon/control/protocol.h", "daemon/control/registry.h", FACTS],
    "daemon/control/pulse": ["base/", "daemon/control/protocol.h", "daemon/control/pulse.h"],
    "kernel/client": ["base/", "kernel/", FACTS],
    "kernel/wire": ["base/", "kernel/", FACTS],
    "kernel/call.h": ["base/", "kernel/", FACTS],
}
LAYERED = {folder.split("/")[0] + "/" for folder in FOLDERS}
DRIVERS = "drivers/"
SEARCHED = ("", "include/", "include/wddm/")
SOURCES = (".c", ".h")
# Tests, fuzzers and benchmarks look into whatever they examine.
EXEMPT = re.compile(r"(^|/)(tests|fuzz|bench)/|^build")
INCLUDE = re.compile(r"^[ \t]*#[ \t]*include[ \t]*(.*)$", re.MULTILINE)
NAMED = re.compile(r'^(?:"([^"]+)"|<([^>]+)>)')


def room_of(path):
    rooms = [room for room in ROOMS if path.startswith(room)]
    return max(rooms, key=len) if rooms else None


def within(path, allowed):
    return any(path.startswith(name) if name.endswith("/") else path == name for name in allowed)


def resolve(root, path, name):
    """Path in the tree that an include of `name` in `path` means; None when it is none of ours."""
    for folder in (str(pathlib.PurePosixPath(path).parent) + "/", *SEARCHED):
        found = root / folder / name
        if found.is_file():
            try:
                return found.resolve().relative_to(root).as_posix()
            except ValueError:
                return f"outside the tree: {found.resolve()}"
    return None


def allowed_for(path):
    for prefix, allowed in FILES.items():
        if path.startswith(prefix):
            return allowed
    room = room_of(path)
    if room is None:
        return None
    for prefix, allowed in SHARED.items():
        if path.startswith(prefix):
            return [*allowed, *ROOMS[room]]
    if room not in LAYERED or path.count("/") == 1:
        return [room, *ROOMS[room]]
    folder = path[: path.index("/", len(room)) + 1]
    return [folder, *FOLDERS[folder], *ROOMS[room]] if folder in FOLDERS else None


def violations_of(root, path, excused):
    """One line for each arrow that may not be; the exceptions that were met are added to `excused`."""
    allowed = allowed_for(path)
    if allowed is None:
        return [
            f"{path}: is in no room or folder: give it one in {pathlib.Path(__file__).name} and docs/architecture.md"
        ]
    found = []
    text = (root / path).read_text(encoding="utf-8", errors="replace")
    for line in INCLUDE.finditer(text):
        where = f"{path}:{text.count(chr(10), 0, line.start()) + 1}"
        named = NAMED.match(line.group(1))
        if named is None:
            found.append(f"{where}: includes by a macro: name the header")
            continue
        name = named.group(1) or named.group(2)
        target = resolve(root, path, name)
        if target is None and named.group(1):
            found.append(f"{where}: {name} is nowhere in the tree")
        elif target is None and path.startswith(DRIVERS):
            found.append(f"{where}: {name} is no header of the driver kit")
        elif target is not None and not within(target, allowed) and (path, target) in EXCEPTIONS:
            excused.add((path, target))
        elif target is not None and not within(target, allowed):
            found.append(f"{where}: may not include {target}")
    return found


def check(root):
    root = pathlib.Path(root).resolve()
    paths = sorted(
        path.relative_to(root).as_posix()
        for path in root.rglob("*")
        if path.suffix in SOURCES and path.is_file()
    )
    paths = [path for path in paths if not EXEMPT.search(path) and not path.startswith(".")]
    excused = set()
    found = [line for path in paths for line in violations_of(root, path, excused)]
    return len(paths), found, [f"{path} with {header}" for path, header in sorted(set(EXCEPTIONS) - excused)]


# ---- the check itself, checked ----

HEADERS = [
    "base/log.h",
    "dxgk/dxgk.h",
    "dxgk/internal.h",
    "kernel/client.h",
    "kernel/server.h",
    "migrate/migrate.h",
    "migrate/mig.h",
    "migrate/job/job.h",
    "migrate/net/control.h",
    "migrate/journal/journal.h",
    "migrate/stream/stream.h",
    "migrate/handoff/copy.h",
    "migrate/source/source.h",
    "migrate/target/target.h",
    "dxgk/nt/nt.h",
    "dxgk/ddi/ddi.h",
    "dxgk/adapter/adapter.h",
    "dxgk/partition/partition.h",
    "dxgk/defrag/plan.h",
    "migrate/convergence.h",
    "transport/transport.h",
    "daemon/control/protocol.h",
    "daemon/control/request.h",
    "daemon/daemon.h",
    "daemon/events/events.h",
    "daemon/history/history.h",
    "daemon/history/store.h",
    "daemon/jobs.h",
    "daemon/kernel/watchdog.h",
    "daemon/verbs/verbs.h",
    "cli/completion/complete.h",
    "cli/host/client.h",
    "cli/move/migrate.h",
    "cli/output/print.h",
    "cli/show.h",
    "cli/syntax/verbs.h",
    "cli/top/top.h",
    "guest/guest.h",
    "guest/internal.h",
    "devices/softgpu/softgpu.h",
    "drivers/softgpu/kmd.h",
    "include/wddm/wdm.h",
    "include/softgpu/hw.h",
    "include/vferry/device.h",
    "include/vferry/vferry.h",
]
FORBIDDEN = [
    ("drivers/softgpu/a.c", '#include "dxgk/dxgk.h"'),
    ("drivers/softgpu/a.c", '#include "base/log.h"'),
    ("drivers/softgpu/a.c", "#include <stdio.h>"),
    ("drivers/softgpu/a.c", '#include "vferry/device.h"'),
    ("drivers/softgpu/a.c", '#include "../../devices/softgpu/softgpu.h"'),
    ("drivers/null/a.c", "#include <softgpu/hw.h>"),
    ("devices/softgpu/a.c", '#include "base/log.h"'),
    ("devices/softgpu/a.c", '#include "drivers/softgpu/kmd.h"'),
    ("devices/softgpu/a.c", '#include "wdm.h"'),
    ("devices/softgpu/a.c", '  #  include   "dxgk/internal.h"'),
    ("dxgk/a.c", '#include "kernel/client.h"'),
    ("dxgk/a.c", '#include "devices/softgpu/softgpu.h"'),
    ("dxgk/a.c", "#include <softgpu/hw.h>"),
    ("kernel/server.c", '#include "dxgk/internal.h"'),
    ("kernel/client_x.c", '#include "dxgk/dxgk.h"'),
    ("kernel/a.c", '#include "migrate/job/job.h"'),
    ("transport/a.c", '#include "migrate/migrate.h"'),
    ("transport/a.c", '#include "kernel/client.h"'),
    ("migrate/a.c", '#include "dxgk/dxgk.h"'),
    ("migrate/a.c", '#include "kernel/server.h"'),
    ("migrate/a.c", '#include "daemon/daemon.h"'),
    ("migrate/a.h", '#include "guest/guest.h"'),
    ("guest/a.c", '#include "kernel/client.h"'),
    ("guest/a.c", '#include "dxgk/dxgk.h"'),
    ("daemon/a.c", '#include "migrate/job/job.h"'),
    ("daemon/a.c", '#include "dxgk/dxgk.h"'),
    ("daemon/a.c", '#include "guest/internal.h"'),
    ("cli/a.c", '#include "migrate/migrate.h"'),
    ("cli/a.c", '#include "migrate/source/source.h"'),
    ("cli/a.c", '#include "kernel/client.h"'),
    ("cli/a.c", '#include "daemon/daemon.h"'),
    ("base/a.c", '#include "transport/transport.h"'),
    ("base/a.c", "#include WHATEVER"),
    ("base/a.c", '#include "nowhere.h"'),
    ("include/vferry/a.h", '#include "base/log.h"'),
    ("newroom/a.c", "int x;"),
    ("migrate/newfolder/a.c", "int x;"),
    ("migrate/wire/a.c", '#include "migrate/job/job.h"'),
    ("migrate/wire/a.c", '#include "migrate/mig.h"'),
    ("migrate/journal/a.c", '#include "migrate/mig.h"'),
    ("migrate/image/a.c", '#include "migrate/stream/stream.h"'),
    ("migrate/job/a.c", '#include "migrate/source/source.h"'),
    ("migrate/job/a.c", '#include "migrate/handoff/copy.h"'),
    ("migrate/net/a.c", '#include "migrate/target/target.h"'),
    ("migrate/stream/a.c", '#include "migrate/handoff/copy.h"'),
    ("migrate/handoff/a.c", '#include "migrate/target/target.h"'),
    ("migrate/source/a.c", '#include "migrate/target/target.h"'),
    ("migrate/target/a.c", '#include "migrate/source/source.h"'),
    ("migrate/mig.h", '#include "migrate/target/target.h"'),
    ("daemon/newfolder/a.c", "int x;"),
    ("daemon/history/a.c", '#include "daemon/events/events.h"'),
    ("daemon/events/a.c", '#include "daemon/daemon.h"'),
    ("daemon/kernel/a.c", '#include "daemon/control/request.h"'),
    ("daemon/control/a.c", '#include "daemon/verbs/verbs.h"'),
    ("daemon/control/protocol.c", '#include "daemon/control/request.h"'),
    ("daemon/verbs/a.c", '#include "daemon/history/store.h"'),
    ("daemon/jobs.c", '#include "daemon/verbs/verbs.h"'),
    ("daemon/daemon.h", '#include "daemon/verbs/verbs.h"'),
    ("cli/newfolder/a.c", "int x;"),
    ("cli/output/a.c", '#include "cli/syntax/verbs.h"'),
    ("cli/syntax/a.c", '#include "cli/host/client.h"'),
    ("cli/host/a.c", '#include "cli/show.h"'),
    ("cli/completion/a.c", '#include "cli/move/migrate.h"'),
    ("cli/move/a.c", '#include "cli/top/top.h"'),
    ("cli/plan/a.c", '#include "cli/move/migrate.h"'),
    ("cli/plan/a.c", '#include "cli/host/client.h"'),
    ("cli/top/a.c", '#include "cli/move/migrate.h"'),
    ("cli/show.c", '#include "cli/host/client.h"'),
    ("dxgk/nt/a.c", '#include "dxgk/internal.h"'),
    ("dxgk/ddi/a.c", '#include "dxgk/partition/partition.h"'),
    ("dxgk/adapter/a.c", '#include "dxgk/partition/partition.h"'),
    ("dxgk/partition/a.c", '#include "dxgk/defrag/plan.h"'),
    ("dxgk/internal.h", '#include "dxgk/adapter/adapter.h"'),
]
ALLOWED = [
    ("drivers/softgpu/a.c", '#include "wdm.h"\n#include <softgpu/hw.h>\n#include "kmd.h"'),
    ("devices/softgpu/a.c", '#include "softgpu.h"\n#include <stdio.h>'),
    ("dxgk/a.c", '#include "dxgk/internal.h"\n#include "wdm.h"\n#include "vferry/device.h"'),
    ("kernel/server.c", '#include "dxgk/dxgk.h"'),
    ("migrate/a.c", '#include "kernel/client.h"\n#include "transport/transport.h"'),
    ("daemon/a.c", '#include "migrate/migrate.h"'),
    ("cli/a.c", '#include "daemon/control/protocol.h"\n#include "guest/guest.h"'),
    ("migrate/a.c", '#include "migrate/target/target.h"\n#include "migrate/mig.h"'),
    ("migrate/handoff/a.c", '#include "migrate/job/job.h"\n#include "migrate/mig.h"'),
    ("migrate/source/a.c", '#include "migrate/handoff/copy.h"\n#include "migrate/stream/stream.h"'),
    ("dxgk/partition/a.c", '#include "dxgk/adapter/adapter.h"\n#include "dxgk/ddi/ddi.h"'),
    ("dxgk/ddi/a.c", '#include "dxgk/nt/nt.h"\n#include "dxgk/internal.h"'),
    ("daemon/verbs/a.c", '#include "daemon/control/request.h"\n#include "daemon/jobs.h"'),
    ("daemon/a.c", '#include "daemon/verbs/verbs.h"\n#include "daemon/control/request.h"'),
    ("cli/move/a.c", '#include "cli/host/client.h"\n#include "cli/show.h"'),
    ("cli/plan/a.c", '#include "migrate/convergence.h"\n#include "cli/show.h"'),
    ("cli/a.c", '#include "cli/move/migrate.h"\n#include "cli/top/top.h"'),
    ("migrate/tests/a.c", '#include "dxgk/internal.h"'),
]


def seen_with(root, path, text):
    """What the check says of a tree of HEADERS when `path` has this text; the tree is as before afterwards."""
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text + "\n", encoding="utf-8")
    found = check(root)[1]
    if path in HEADERS:
        file.write_text("", encoding="utf-8")
    else:
        file.unlink()
    return found


def needless_exception_is_told():
    EXCEPTIONS["base/log.h", "dxgk/dxgk.h"] = "of this check only"
    with tempfile.TemporaryDirectory() as folder:
        (pathlib.Path(folder) / "base").mkdir()
        (pathlib.Path(folder) / "base/log.h").write_text("int x;\n", encoding="utf-8")
        needless = check(folder)[2]
    del EXCEPTIONS["base/log.h", "dxgk/dxgk.h"]
    return "base/log.h with dxgk/dxgk.h" in needless


def main():
    cases = [(path, text, True) for path, text in FORBIDDEN] + [
        (path, text, False) for path, text in ALLOWED
    ]
    print(f"1..{len(cases) + 2}")
    failed = 0
    tree = tempfile.TemporaryDirectory()
    root = pathlib.Path(tree.name)
    for name in HEADERS:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("", encoding="utf-8")
    for number, (path, text, forbidden) in enumerate(cases, 1):
        seen = seen_with(root, path, text)
        good = bool(seen) == forbidden
        failed += not good
        name = f"{path} with {text!r} is {'refused' if forbidden else 'fine'}".replace("#", "")
        print(
            f"{'ok' if good else 'not ok'} {number} - {name}",
            *(f"# {line}" for line in ([] if good else seen)),
            sep="\n",
        )
    tree.cleanup()
    good = needless_exception_is_told()
    failed += not good
    print(f"{'ok' if good else 'not ok'} {len(cases) + 1} - an exception for an arrow that is not there is refused")
    count, found, needless = check(sys.argv[1])
    found += [f"{arrow}: this exception is needed no longer: take it out of EXCEPTIONS" for arrow in needless]
    good = count > 50 and not found
    print(
        f"{'ok' if good else 'not ok'} {len(cases) + 2} - every include of {count} files is an arrow of the architecture"
    )
    for line in found:
        print(f"# {line}")
    return 1 if failed or not good else 0


if __name__ == "__main__":
    sys.exit(main())
