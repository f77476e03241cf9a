#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""make demo: a picture diffuses on one host's GPU, moves to another host midway, and ends bit for bit as if it never had."""
import argparse
import json
import pathlib
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from harness import Failed, Host, reference, wait_until  # noqa: E402

TOOLS = pathlib.Path(__file__).resolve().parent
SIZE = 2048
STEPS = 2000


def say(text):
    print(text, flush=True)


def size(count):
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024 or unit == "GiB":
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return ""


def png(pgm):
    """The picture as PNG beside it, in the colours of heat."""
    out = pgm.with_suffix(".png")
    subprocess.run([sys.executable, str(TOOLS / "pgm2png.py"), str(pgm), str(out), "--palette", "heat"], check=True)
    return out


def steps_of(host, name):
    return host.json("partition", "show", name)["steps"]


def story(build, out):
    before, midway, after = out / "before.pgm", out / "midway.pgm", out / "after.pgm"
    subprocess.run([sys.executable, str(TOOLS / "make_picture.py"), "--width", str(SIZE), "--height", str(SIZE), str(before)], check=True)
    with Host(build, "aare", ["softgpu,vram=1G,vfs=4"], log=out / "aare.log") as a, \
            Host(build, "rhone", ["softgpu,vram=1G,vfs=4"], log=out / "rhone.log") as b:
        say(f"two hosts: aare ({a.address}) and rhone ({b.address}), each with a software GPU of 1 GiB and 4 VFs")
        a.run("partition", "create", "ferry", "--adapter", 0, "--vram", "256M")
        a.run("run", "ferry", "diffuse", "--input", before, "--steps", STEPS)
        say(f"partition ferry on aare: {SIZE}x{SIZE} picture, {STEPS} steps of heat diffusion, running")
        wait_until("work begins", lambda: steps_of(a, "ferry") >= STEPS // 6, 60)
        left = steps_of(a, "ferry")
        say(f"at step {left}: moving it to rhone while it works")
        # With a terminal the command shows its own live line; its JSON comes from the job afterwards.
        code = subprocess.run(a.command("migrate", "ferry", "--to", b.address), timeout=120, check=False).returncode
        if code != 0:
            raise Failed(["migrate"], code, "", a.log() + b.log())
        arrived = steps_of(b, "ferry")
        say(f"it works on: step {arrived} on rhone")
        job = a.json("job", "list")["jobs"][0]["job"]
        moved = a.json("job", "show", job)
        gone = a.run("wait", "ferry", code=1)
        result = b.json("wait", "ferry", "--timeout", 120)
        b.run("read", "ferry", "--output", after)
        say(f"finished on rhone after {result['steps']} steps; asking aare for it says: {gone.stderr.strip()}")
    say("the same work on the CPU, with no partition and no move, for comparison")
    want = reference(build, "diffuse", "--input", before, "--steps", STEPS, output=out / "reference.pgm")
    reference(build, "diffuse", "--input", before, "--steps", max(arrived, 1), output=midway)
    same = result["digest"] == want["digest"] and after.read_bytes() == (out / "reference.pgm").read_bytes()
    for picture in (before, midway, after):
        png(picture)
    report = dict(moved, workload={"name": "diffuse", "width": SIZE, "height": SIZE, "steps": STEPS, "moved_after_step": left,
                                   "arrived_at_step": arrived, "digest": result["digest"]},
                  reference=want["digest"], passed=same and left < STEPS and arrived < STEPS)
    (out / "report.json").write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    say(f"pictures and report in {out}/: before.png midway.png after.png report.json")
    return report


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", default="build")
    args = parser.parse_args()
    out = pathlib.Path(args.build) / "demo"
    out.mkdir(parents=True, exist_ok=True)
    begin = time.monotonic()
    try:
        report = story(args.build, out)
    except (Failed, TimeoutError, subprocess.SubprocessError) as error:
        print(f"demo: FAIL {error}", file=sys.stderr)
        return 1
    facts = (f"blackout {report['blackout_ns'] / 1e6:.1f} ms, {len(report['rounds'])} rounds, {size(report['bytes_sent'])} sent, "
             f"{time.monotonic() - begin:.0f} s")
    if not report["passed"]:
        print(f"demo: FAIL result {report['workload']['digest']}, reference {report['reference']} ({facts})")
        return 1
    print(f"demo: PASS bit for bit ({report['reference']}): {facts}")
    return 0


sys.exit(main())
