# SPDX-License-Identifier: Apache-2.0
"""QEMU's multifd migration of a small guest of our own (qemu_guest.c), which holds and writes as much as a partition of ours would."""
import contextlib
import json
import os
import pathlib
import re
import shutil
import socket
import subprocess
import tempfile
import time

from lab import GAVE_UP_S, PAGE, STREAMS
from harness import wait_until

LEAST = 10  # major version
TICKS_PER_S = 100_000_000  # of the guest's clock
DOWNTIME_MS = 20
AROUND = 64 << 20  # what a machine needs beside what the guest fills


def found(build, wish=None):
    """(the program, its version, why it is not measured)."""
    program = wish or os.environ.get("VFERRY_QEMU") or shutil.which("qemu-system-x86_64")
    if not program:
        return None, None, "no qemu-system-x86_64 found; make bench-deps gets one, --qemu PATH or VFERRY_QEMU names another"
    try:
        said = subprocess.run([program, "--version"], capture_output=True, text=True, check=True, timeout=20).stdout
    except (OSError, subprocess.SubprocessError) as error:
        return program, None, f"{program} does not say its version: {error}"
    version = re.search(r"version (\d+)\.\S+", said)
    if not version or int(version[1]) < LEAST:
        return program, said.split("\n")[0], f"{program} is older than {LEAST}, whose multifd is another"
    if not (build / "bench" / "qemu_guest").exists():
        return program, version[0].removeprefix("version "), "the guest for it was not built: it takes a compiler for x86 with -m32"
    return program, version[0].removeprefix("version "), ""


class Machine:
    """One QEMU with our guest, or with nothing yet that awaits one."""

    def __init__(self, program, build, folder, name, row, incoming=False):
        self.serial, place = folder / f"{name}.serial", folder / f"{name}.qmp"
        pace = int((row.rate or 0) * 65536 / TICKS_PER_S)
        guest = f"pages={row.content // PAGE} hot={(row.hot or row.content) // PAGE} pace={pace}"
        size = f"{(row.content + AROUND) >> 20}M"
        # Memory is there from the start, as a partition's VRAM is with prealloc=on.
        words = [program, "-accel", "tcg", "-nodefaults", "-no-user-config", "-display", "none", "-nic", "none", "-vga", "none", "-smp", "1",
                 "-m", size, "-object", f"memory-backend-memfd,id=memory,size={size},share=on,prealloc=on", "-machine",
                 "pc,memory-backend=memory", "-kernel", str(build / "bench" / "qemu_guest"), "-append", guest,
                 "-chardev", f"file,id=line,path={self.serial}", "-serial", "chardev:line", "-qmp", f"unix:{place},server=on,wait=off"]
        with open(folder / f"{name}.log", "wb") as log:
            self.process = subprocess.Popen(words + (["-incoming", "defer"] if incoming else []), stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self.log = folder / f"{name}.log"
        try:
            self.greet(name, place)
        except BaseException:
            self.stop()
            raise

    def greet(self, name, place):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.settimeout(60)
        wait_until(f"QEMU's {name}", lambda: self.process.poll() is not None or self.socket.connect_ex(str(place)) == 0, 60)
        if self.process.poll() is not None:
            raise OSError(f"QEMU did not start: {self.log.read_text(errors='replace').strip()}")
        self.lines = self.socket.makefile("r", encoding="utf-8")
        self.lines.readline()  # its greeting
        self.ask("qmp_capabilities")

    def ask(self, command, **arguments):
        self.socket.sendall(json.dumps({"execute": command, "arguments": arguments}).encode() + b"\n")
        for line in self.lines:
            answer = json.loads(line)
            if "error" in answer:
                raise OSError(f"QEMU: {command}: {answer['error']['desc']}")
            if "return" in answer:
                return answer["return"]
        raise OSError(f"QEMU ended: {self.log.read_text(errors='replace').strip()}")

    def prepare(self):
        """Both ends of a migration want the same."""
        self.ask("migrate-set-capabilities", capabilities=[{"capability": "multifd", "state": True}])
        self.ask("migrate-set-parameters", **{"multifd-channels": STREAMS, "downtime-limit": DOWNTIME_MS, "max-bandwidth": 1 << 40})

    def written(self):
        """How many pages the guest says that it has written since it filled its memory, each time that it said so."""
        return [int(word) for word in self.serial.read_text(encoding="ascii").split("\n")[:-1]] if self.serial.exists() else []

    def stop(self):
        self.process.kill()
        self.process.wait(30)


def migrate(source, target):
    """The state that it ended in, and for how long it took from the command on."""
    for machine in (source, target):
        machine.prepare()
    target.ask("migrate-incoming", uri="tcp:127.0.0.1:0")
    port = target.ask("query-migrate")["socket-address"][0]["port"]
    begin = time.monotonic()
    source.ask("migrate", uri=f"tcp:127.0.0.1:{port}")
    while (state := source.ask("query-migrate"))["status"] not in ("completed", "failed", "cancelled"):
        if time.monotonic() - begin > GAVE_UP_S:
            source.ask("migrate_cancel")
            return {"status": "gave up", "error-desc": f"not converged after {GAVE_UP_S} s"}, GAVE_UP_S
        time.sleep(0.002)
    return state, time.monotonic() - begin


def one(program, build, row):
    """A machine that is at work, and its way to another one."""
    with tempfile.TemporaryDirectory(prefix="vferry-qemu-") as folder, contextlib.ExitStack() as stack:
        ends = []
        for name in ("source", "target"):
            ends.append(Machine(program, build, pathlib.Path(folder), name, row, incoming=name == "target"))
            stack.callback(ends[-1].stop)
        source, target = ends
        # Some beats of its work, so that its rate can be told.
        wait_until("QEMU's guest works", lambda: len(source.written()) >= (1 if row.rate is None else 5), 300)
        beats = source.written()
        state, took = migrate(source, target)
        if state["status"] == "completed":
            wait_until("QEMU's target runs", lambda: target.ask("query-status")["status"] == "running", 30)
        if state["status"] == "completed" and row.rate is not None:
            wait_until("QEMU's guest works on", lambda: target.written()[-1:] > source.written()[-1:], 30)
    if state["status"] != "completed":
        return {"outcome": "gave up" if state["status"] == "gave up" else "failed", "reason": state.get("error-desc", state["status"])}
    sent = state["ram"]["transferred"]
    return {"outcome": "completed", "whole_ns": int(took * 1e9), "total_ns": state["total-time"] * 1_000_000, "rate_bytes_per_s": int(sent / took),
            "blackout_ns": state["downtime"] * 1_000_000, "rounds": state["ram"]["dirty-sync-count"], "bytes_sent": sent,
            "guest_bytes_per_s": (beats[-1] - beats[1]) * PAGE * 4 // (len(beats) - 2) if len(beats) > 2 else 0}


def stage(program):
    """As those of rows.py."""
    def measure(build, sizes, rows, seed):
        del sizes, seed  # the guest draws the same pages each time; when it is interrupted is left to chance
        for row in rows:
            try:
                yield row, one(program, build, row)
            except (OSError, ValueError) as error:  # what one breaks costs no other its figures
                yield row, {"outcome": "failed", "reason": f"{type(error).__name__}: {error}"}
    return measure
