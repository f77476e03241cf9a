# SPDX-License-Identifier: Apache-2.0
"""Moves over a link of 1 Gb/s: two network namespaces, a wire between them, and a token bucket (tbf) at each end of it."""
import contextlib
import os
import pathlib
import shutil
import subprocess
import tempfile

from lab import move, remove, settle, start
from harness import Host

SPEED = "1gbit"
BYTES_PER_S = 125_000_000
NET = "10.77.9"


def ip(*words, program="ip"):
    subprocess.run([program, *words], check=True, capture_output=True, text=True, timeout=20)


def wire(spaces):
    """Between two namespaces that are there."""
    ip("link", "add", "wire", "netns", spaces[0], "type", "veth", "peer", "name", "wire", "netns", spaces[1])
    for number, space in enumerate(spaces, 1):
        ip("-n", space, "address", "add", f"{NET}.{number}/24", "dev", "wire")
        ip("-n", space, "link", "set", "lo", "up")
        ip("-n", space, "link", "set", "wire", "up")
        ip("-n", space, "qdisc", "add", "dev", "wire", "root", "tbf", "rate", SPEED, "burst", "256kb", "latency", "20ms", program="tc")


@contextlib.contextmanager
def link():
    """The names of two namespaces with a shaped wire between them."""
    spaces = [f"vferry-bench-{os.getpid()}{end}" for end in "ab"]
    with contextlib.ExitStack() as stack:
        for space in spaces:
            ip("netns", "add", space)
            stack.callback(subprocess.run, ["ip", "netns", "delete", space], capture_output=True, check=False, timeout=20)
        wire(spaces)
        yield spaces


def why_not():
    """Why there can be no such link here; "" when there can."""
    if os.geteuid() != 0:
        return "needs root, for network namespaces"
    for program in ("ip", "tc"):
        if shutil.which(program) is None:
            return f"needs {program} (apt-get install iproute2)"
    try:
        with link() as spaces:
            # To run something in one, ip remounts /sys, which it cannot where / is no mount.
            ip("netns", "exec", spaces[0], "true")
    except subprocess.CalledProcessError as error:
        return f"no network namespaces with tbf: {error.stderr.strip() or error}"
    return ""


def drawing(folder, width, height):
    """A picture of few shades in long rows, as drawings and tables have them."""
    path = pathlib.Path(folder) / "drawing.pgm"
    with open(path, "wb") as out:
        out.write(b"P5\n%d %d\n255\n" % (width, height))
        for y in range(height):
            shades = bytes((x + y // 128) % 256 for x in range((width + 63) // 64))
            out.write(b"".join(bytes([shade]) * 64 for shade in shades)[:width])
    return path


def work(row, picture, seed):
    """By which the partition gets the row's content."""
    if row.key.startswith("shaped-drawing"):
        return ["diffuse", "--input", picture, "--steps", 1]
    return ["fill", "--size", row.content, "--seed", seed]


def measure(build, sizes, rows, seed):
    """A stage, as those of rows.py: a content is made once and then goes to and fro, by one way after the other."""
    device = f"softgpu,vram={(max(row.vram for row in rows) >> 20) * 2 + 64}M,vfs=4"
    with tempfile.TemporaryDirectory() as folder, link() as spaces, contextlib.ExitStack() as stack:
        ends = [stack.enter_context(Host(build, name, [device], ["--insecure"], listen=f"{NET}.{number}:7001",
                                         prefix=("ip", "netns", "exec", spaces[number - 1])))
                for number, name in enumerate(("left", "right"), 1)]
        picture = drawing(folder, *sizes.picture)
        for content in ("drawing", "noise"):
            ways = [row for row in rows if row.key.startswith(f"shaped-{content}-")]
            if ways:
                start(ends[0], content, ways[0].vram, work(ways[0], picture, seed))
            for row in ways:
                settle(*ends)
                record = move(ends[0], ends[1], content, *row.options)
                yield row, record
                if record["outcome"] == "completed":
                    ends.reverse()
            remove(content, *ends)
