#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""make demo: a picture diffuses on one host's GPU, moves to another host midway, moves back although a daemon is killed in the middle of
that, and ends bit for bit as if it had never moved."""
import argparse
import json
import pathlib
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import story  # noqa: E402 (its place is known only now)
from harness import Failed, Host, reference, wait_until  # noqa: E402

TOOLS = pathlib.Path(__file__).resolve().parent
SIZE = 2048
STEPS = 3000
FIRST_MOVE, SECOND_MOVE = STEPS // 6, STEPS // 2
VRAM_MIB = 256
LOOKS = 9  # at each of the three stays
SLOWLY = "24M"  # bytes a second of the move that is interrupted: there must be a middle to kill in


class Teller:
    """One line a happening, stamped with the time since the start; what goes on is a live line on a terminal."""

    def __init__(self):
        self.begin, self.live = time.monotonic(), sys.stdout.isatty()

    def say(self, text):
        if self.live:
            print("\r\033[K", end="")
        print(f"{time.monotonic() - self.begin:5.1f} s  {text}", flush=True)

    def now(self, text):
        if self.live:
            print(f"\r{time.monotonic() - self.begin:5.1f} s  {text} ...\033[K", end="", flush=True)


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


def steps_of(host):
    return host.json("partition", "show", "ferry")["steps"]


class Demo:
    """The story, act by act. What the acts find out is kept here."""

    def __init__(self, build, out):
        self.build, self.out, self.teller = build, out, Teller()
        self.looks, self.marks, self.stays, self.jobs = [], [], [], []
        self.before = out / "before.pgm"

    def say(self, text):
        self.teller.say(text)

    def paint(self):
        self.teller.now("painting the picture")
        subprocess.run([sys.executable, str(TOOLS / "make_picture.py"), "--width", str(SIZE), "--height", str(SIZE), str(self.before)],
                       check=True)
        self.say(f"painted a night ferry of {SIZE} x {SIZE} samples: its heat will spread for {STEPS} steps")

    def look(self, host, note="", keep=None):
        """Reads the picture out of the partition's VRAM, which stands for just that long."""
        path = keep or self.out / "look.pgm"
        host.run("partition", "pause", "ferry")
        try:
            told = host.json("read", "ferry", "--now", "--output", path)
        finally:
            host.run("partition", "resume", "ferry")
        self.looks.append(story.Look(told["steps"], host.name, path.read_bytes(), note))
        return self.looks[-1]

    def work_until(self, host, step):
        """Lets it work there, with a look now and then."""
        first = steps_of(host)
        for look in range(1, LOOKS):
            due = first + (step - first) * look // LOOKS
            while (done := steps_of(host)) < due:
                self.teller.now(f"ferry works on {host.name}: step {done:,} of {STEPS:,}")
                time.sleep(0.05)
            self.look(host)
        wait_until(f"step {step}", lambda: steps_of(host) >= step, 300)

    def move(self, source, target):
        """Moves it while it works; the job with the hosts' names, as the story has them."""
        # With a terminal the command shows its own live line; its JSON comes from the job afterwards.
        command = source.command("migrate", "ferry", "--to", target.address)
        shown = None if self.teller.live else subprocess.PIPE
        done = subprocess.run(command, timeout=300, check=False, stdout=shown, stderr=shown, text=True)
        if done.returncode != 0:
            raise Failed(command[3:], done.returncode, done.stdout or "", (done.stderr or "") + source.log() + target.log())
        last = max(job["job"] for job in source.json("job", "list")["jobs"])
        job = dict(source.json("job", "show", last), source=source.name, target=target.name)
        self.jobs.append(job)
        return job

    def note_move(self, job, text, step):
        begin = self.stays[-1][2] if self.stays else 0
        self.stays.append((job["source"], begin, step))
        self.marks.append(story.Mark(step, f"{text}: blackout {job['blackout_ns'] / 1e6:.1f} ms"))

    def first_move(self, a, b):
        a.run("partition", "create", "ferry", "--adapter", 0, "--vram", f"{VRAM_MIB}M")
        a.run("run", "ferry", "diffuse", "--input", self.before, "--steps", STEPS)
        self.say(f"ferry, a partition with {VRAM_MIB} MiB of VRAM, works on aare")
        self.look(a)
        self.work_until(a, FIRST_MOVE)
        self.left = steps_of(a)
        self.say(f"at step {self.left:,}: moving it to rhone while it works")
        job = self.move(a, b)
        arrival = self.look(b, keep=self.out / "midway.pgm")
        arrival.note = f"moved to rhone: blackout {job['blackout_ns'] / 1e6:.1f} ms"
        self.note_move(job, "moved to rhone", arrival.step)
        self.say(f"it works on rhone after {job['blackout_ns'] / 1e6:.1f} ms of blackout; the first look into its VRAM there: "
                 f"step {arrival.step:,}")
        gone = a.run("wait", "ferry", code=1)
        self.say(f"aare, asked for it: {gone.stderr.strip().removeprefix('vferry: ')}")
        return arrival

    def killed_move(self, a, b):
        """A move back, whose own daemon is killed in the middle of it."""
        self.work_until(b, SECOND_MOVE)
        command = b.spawn("migrate", "ferry", "--to", a.address, "--bandwidth", SLOWLY)
        number = wait_until("the move sends", lambda: self.in_the_middle(b), 60)
        step = steps_of(b)
        b.kill()
        command.communicate(timeout=60)
        self.say(f"at step {step:,}, in the middle of a move back to aare: kill -9 of rhone's vferryd")
        b.start()
        after = steps_of(b)
        # aare hears from rhone how the move ended, and drops what had arrived of it.
        wait_until("aare drops what had arrived", lambda: not a.json("partition", "list")["partitions"], 60)
        job = b.json("job", "show", number)
        self.say(f"rhone's vferryd, started again: ferry, which its kernel side holds, worked on to step {after:,}; that move {job['status']}, "
                 "on aare nothing is left of it")
        self.marks.append(story.Mark(step, "kill -9 of rhone's vferryd in mid-move", story.RED))
        self.look(b, f"kill -9 at step {step:,}, and it works on")
        self.killed = {"killed_at_step": step, "worked_on_to_step": after,
                       "job": dict(job, source=b.name, target=a.name)}

    def in_the_middle(self, host):
        """The number of the move that has sent some of the pages, and not all."""
        for job in host.json("job", "list")["jobs"]:
            if job["status"] == "running" and host.json("job", "show", job["job"])["bytes_sent"] > 4 << 20:
                return job["job"]
        return None

    def second_move(self, a, b):
        self.say("moving it to aare once more, at full speed")
        job = self.move(b, a)
        arrival = self.look(a, f"moved back to aare: blackout {job['blackout_ns'] / 1e6:.1f} ms")
        self.returned = arrival.step
        self.note_move(job, "moved back to aare", arrival.step)
        self.say(f"it works on aare after {job['blackout_ns'] / 1e6:.1f} ms of blackout, at step {arrival.step:,}")
        self.work_until(a, STEPS - 1)
        result = a.json("wait", "ferry", "--timeout", 300, timeout=330)
        a.run("read", "ferry", "--output", self.out / "after.pgm")
        self.stays.append(("aare", arrival.step, STEPS))
        self.looks.append(story.Look(STEPS, "aare", (self.out / "after.pgm").read_bytes(), "done: after two moves and a kill -9"))
        self.say(f"done on aare after {result['steps']:,} steps")
        return result

    def compare(self, arrival, result):
        """The CPU's picture at the hand-off and at the end: it saw no partition and no move."""
        self.teller.now("the same work on the CPU, for comparison")
        want = reference(self.build, "diffuse", "--input", self.before, "--steps", STEPS, output=self.out / "reference.pgm")
        self.teller.now("and up to the hand-off")
        reference(self.build, "diffuse", "--input", self.before, "--steps", arrival.step, output=self.out / "look.pgm")
        midway = (self.out / "look.pgm").read_bytes() == arrival.pgm
        after = (self.out / "after.pgm").read_bytes() == (self.out / "reference.pgm").read_bytes()
        (self.out / "look.pgm").unlink()
        same = midway and after and result["digest"] == want["digest"]
        self.say("the same work on the CPU, which knows of no partition and no move: "
                 + ("the same bits at the hand-off and at the end" if same else "OTHER BITS"))
        return want["digest"], same

    def draw(self, arrival):
        self.teller.now("drawing")
        tale = story.Tale(("aare", "rhone"), STEPS, self.stays, self.marks)
        before = story.Look(0, "aare", self.before.read_bytes(), "as it was put into the partition")
        handoff = story.Look(arrival.step, "rhone", arrival.pgm,
                             f"first look on rhone; blackout {self.jobs[0]['blackout_ns'] / 1e6:.1f} ms")
        after = story.Look(STEPS, "aare", self.looks[-1].pgm, "after two moves and a kill -9")
        picture, differ = story.composed(tale, before, handoff, after, (self.out / "reference.pgm").read_bytes(),
                                         "a GPU partition moves at work")
        (self.out / "story.png").write_bytes(picture)
        (self.out / "story-animated.png").write_bytes(story.animated(tale, [before, *self.looks]))
        for name in ("before", "midway", "after"):
            png(self.out / f"{name}.pgm")
        self.say(f"look at {self.out}/story.png and {self.out}/story-animated.png (a browser plays it); "
                 "before, midway, after.png and report.json lie beside them")
        return differ

    def why_so_little(self):
        """What the first move sent, and why it was not all of the VRAM."""
        job = self.jobs[0]
        first, again = job["rounds"][0]["bytes"], sum(r["bytes"] for r in job["rounds"][1:])
        self.say(f"why the first move sent {size(job['bytes_sent'])} and not {size(job['vram_bytes'])}: only {size(first)} of ferry's VRAM had "
                 f"ever been written (two buffers of {size(SIZE * SIZE * 4)}, from one into the other at each step, and its tables); the rest is "
                 f"zero on both hosts since they made it so. {size(again)} crossed again, rewritten while the first went over")

    def run(self):
        self.paint()
        with Host(self.build, "aare", ["softgpu,vram=1G,vfs=4"], log=self.out / "aare.log") as a, \
                Host(self.build, "rhone", ["softgpu,vram=1G,vfs=4"], log=self.out / "rhone.log") as b:
            self.say(f"two hosts: aare ({a.address}) and rhone ({b.address}), each with a software GPU of 1 GiB and 4 VFs")
            arrival = self.first_move(a, b)
            self.killed_move(a, b)
            result = self.second_move(a, b)
        wanted, same = self.compare(arrival, result)
        differ = self.draw(arrival)
        self.why_so_little()
        return {"passed": same and differ == 0, "seconds": round(time.monotonic() - self.teller.begin, 1),
                "workload": {"name": "diffuse", "width": SIZE, "height": SIZE, "steps": STEPS, "digest": result["digest"]},
                "reference": {"digest": wanted, "samples_that_differ": differ},
                "first_move": {"left_at_step": self.left, "first_look_at_step": arrival.step, "job": self.jobs[0]},
                "killed_move": self.killed,
                "second_move": {"first_look_at_step": self.returned, "job": self.jobs[1]}}


def how_long(out):
    """What the last run here took, or what it takes where it was measured."""
    try:
        seconds = json.loads((out / "report.json").read_text(encoding="utf-8"))["seconds"]
        return f"about {seconds:.0f} s, as last time"
    except (OSError, ValueError, KeyError):
        return "about a minute on 2 cores"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", default="build")
    args = parser.parse_args()
    out = pathlib.Path(args.build) / "demo"
    out.mkdir(parents=True, exist_ok=True)
    print(f"demo: {how_long(out)}", flush=True)
    try:
        report = Demo(args.build, out).run()
    except (Failed, TimeoutError, subprocess.SubprocessError) as error:
        print(f"demo: FAIL {error}", file=sys.stderr)
        return 1
    (out / "report.json").write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    first, second = report["first_move"]["job"], report["second_move"]["job"]
    facts = (f"blackout {first['blackout_ns'] / 1e6:.1f} and {second['blackout_ns'] / 1e6:.1f} ms, "
             f"{size(first['bytes_sent'])} sent at first, {report['seconds']:.0f} s")
    wanted = report["reference"]["digest"]
    if not report["passed"]:
        print(f"demo: FAIL result {report['workload']['digest']}, reference {wanted} ({facts})")
        return 1
    print(f"demo: PASS bit for bit ({wanted}): {facts}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
