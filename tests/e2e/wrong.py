# SPDX-License-Identifier: Apache-2.0
"""A partition whose commands hang or fault, and what its host tells of it."""
import subprocess

from e2e import BUILD
from harness import wait_until

HANG = BUILD / "tests/e2e/hang"


def go_wrong(host, name, how):
    socket = next(host.state.glob("*kernel*.sock"))
    subprocess.run([HANG, str(socket), name, how], check=True, timeout=30)


def events(host, kind):
    return [e["text"] for e in host.json("events")["events"] if e["kind"] == kind]


def await_event(host, kind, part, timeout=60.0):
    wait_until(f"event {kind}: {part}", lambda: any(part in t for t in events(host, kind)), timeout)
