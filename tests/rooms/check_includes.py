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
    "migrate/": ["base/", "transport/", "kernel/client.h", FACTS],
    "guest/": ["base/", MANUAL],
    # It plays the partition's CPU: the manual tells it which BAR holds what.
    "daemon/": [
        "base/",
        "migrate/migrate.h",
        "transport/transport.h",
        "transport/tls.h",
        "kernel/client.h",
        "guest/guest.h",
        FACTS,
        MANUAL,
    ],
    "cli/": ["base/", "daemon/control/protocol.h", "daemon/control/registry.h", "guest/guest.h", "migrate/image/image.h", "transport/certificate.h", FACTS],
    "vm/": ["base/", FACTS],
    # Linked into spin's verifier: the world around the hand-off's core.
    "models/": [CORE],
}
# The hand-off's core is pure: it knows of nothing but itself. The process line: what is linked into vferryd may not see the OS side even through its own room.
FILES = {
    "migrate/handoff/core": [CORE, "migrate/handoff/table.h"],
    "migrate/handoff/names": [CORE, "migrate/handoff/table.h"],
    "migrate/handoff/table": [CORE, "migrate/handoff/table.h"],
    "kernel/client": ["base/", "kernel/", FACTS],
    "kernel/wire": ["base/", "kernel/", FACTS],
    "kernel/call.h": ["base/", "kernel/", FACTS],
}
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
    return None if room is None else [room, *ROOMS[room]]


def violations_of(root, path):
    """One line for each arrow that may not be."""
    allowed = allowed_for(path)
    if allowed is None:
        return [
            f"{path}: is in no room: give it one in {pathlib.Path(__file__).name} and docs/architecture.md"
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
    return len(paths), [line for path in paths for line in violations_of(root, path)]


# ---- the check itself, checked ----

HEADERS = [
    "base/log.h",
    "dxgk/dxgk.h",
    "dxgk/internal.h",
    "kernel/client.h",
    "kernel/server.h",
    "migrate/migrate.h",
    "migrate/job/job.h",
    "transport/transport.h",
    "daemon/control/protocol.h",
    "daemon/daemon.h",
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
    ("cli/a.c", '#include "kernel/client.h"'),
    ("cli/a.c", '#include "daemon/daemon.h"'),
    ("base/a.c", '#include "transport/transport.h"'),
    ("base/a.c", "#include WHATEVER"),
    ("base/a.c", '#include "nowhere.h"'),
    ("include/vferry/a.h", '#include "base/log.h"'),
    ("newroom/a.c", "int x;"),
]
ALLOWED = [
    ("drivers/softgpu/a.c", '#include "wdm.h"\n#include <softgpu/hw.h>\n#include "kmd.h"'),
    ("devices/softgpu/a.c", '#include "softgpu.h"\n#include <stdio.h>'),
    ("dxgk/a.c", '#include "dxgk/internal.h"\n#include "wdm.h"\n#include "vferry/device.h"'),
    ("kernel/server.c", '#include "dxgk/dxgk.h"'),
    ("migrate/a.c", '#include "kernel/client.h"\n#include "transport/transport.h"'),
    ("daemon/a.c", '#include "migrate/migrate.h"'),
    ("cli/a.c", '#include "daemon/control/protocol.h"\n#include "guest/guest.h"'),
    ("migrate/tests/a.c", '#include "dxgk/internal.h"'),
]


def seen_in_a_tree_with(path, text):
    with tempfile.TemporaryDirectory() as folder:
        root = pathlib.Path(folder)
        for name in (*HEADERS, path):
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(text + "\n" if name == path else "", encoding="utf-8")
        return check(root)[1]


def main():
    cases = [(path, text, True) for path, text in FORBIDDEN] + [
        (path, text, False) for path, text in ALLOWED
    ]
    print(f"1..{len(cases) + 1}")
    failed = 0
    for number, (path, text, forbidden) in enumerate(cases, 1):
        seen = seen_in_a_tree_with(path, text)
        good = bool(seen) == forbidden
        failed += not good
        name = f"{path} with {text!r} is {'refused' if forbidden else 'fine'}".replace("#", "")
        print(
            f"{'ok' if good else 'not ok'} {number} - {name}",
            *(f"# {line}" for line in ([] if good else seen)),
            sep="\n",
        )
    count, found = check(sys.argv[1])
    good = count > 50 and not found
    print(
        f"{'ok' if good else 'not ok'} {len(cases) + 1} - every include of {count} files is an arrow of the architecture"
    )
    for line in found:
        print(f"# {line}")
    return 1 if failed or not good else 0


if __name__ == "__main__":
    sys.exit(main())
