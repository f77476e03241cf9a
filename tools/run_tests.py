#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs meson's tests: one live line on a terminal, a line a test elsewhere, what failed at once, and at the end one line:
N passed, N failed[, N skipped]. How long it takes is told from the last run in this build, or as it was measured on 2 cores."""
import argparse
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import threading
import time
import xml.etree.ElementTree as ET

from harness import SLOWER, sanitizer

ROOT = pathlib.Path(__file__).resolve().parents[1]
MEASURED = ROOT / "tools/test_times.json"  # on 2 cores; replaced by:
QUICK = ROOT / "tools/quick_tests.txt"  # what --quick runs
RECORD = "test_times.json"  # in the build's meson-logs, the last whole run there
LOGS = "testlog", "hosts", "beside"  # base names of the runs' logs
# What a whole run takes under a sanitizer before one has been measured here: most tests wait more than they work, and are less slow
# than the limits allow them to be.
AS_LONG = {"address": 2, "thread": 3}
ENDED = re.compile(r"^ *(\d+)/(\d+) (.+?) +(OK|FAIL|ERROR|TIMEOUT|SKIP|EXPECTEDFAIL|UNEXPECTEDPASS|INTERRUPT) +([0-9.]+)s")
GOOD = ("OK", "SKIP", "EXPECTEDFAIL")
TOLD = 60  # lines at most that a failed test program is quoted with: meson shows what it printed as errors, not its cases' own words
NO_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f]")  # what a test prints may hold them, and meson puts it in its XML as it is


def why(printed):
    """What a test program printed below each case of its that failed; its last lines where it died before it told of one."""
    lines, told, telling = printed.splitlines(), [], False
    for line in lines:
        telling = (telling and line.startswith("#")) or (line.startswith("not ok") and "# TODO" not in line)
        if telling:
            told.append(line)
    return (told or lines)[-TOLD:]


def count(junit):
    """Passed and failed cases, those that failed (the name, then what they said), and those skipped with the reason."""
    passed, names, skipped = 0, [], []
    failed = 0
    text = NO_XML.sub("", pathlib.Path(junit).read_text(encoding="utf-8", errors="replace"))
    for suite in ET.fromstring(text).iter("testsuite"):
        cases = list(suite.iter("testcase"))
        for case in cases:
            name = f'{suite.get("name")}: {case.get("name")}'
            if case.find("failure") is not None or case.find("error") is not None:
                failed += 1
                names.append(name)
            elif case.find("skipped") is not None:
                skipped.append(f'{name}: {case.findtext("system-out", "no reason given")}')
            else:
                passed += 1
        # A program that died before its plan was done has fewer cases than it announced.
        broken = int(suite.get("errors", "0")) + int(suite.get("failures", "0"))
        if broken and not any(n.startswith(f'{suite.get("name")}:') for n in names):
            failed += broken
            names.append(f'{suite.get("name")}: ended early')
        if broken:
            names[-1] = "\n".join([names[-1], *why(suite.findtext("system-out") or "")])
    return passed, failed, names, skipped


def introspect(build, what):
    return json.loads(subprocess.run(["meson", "introspect", build, what], check=True, capture_output=True).stdout)


def in_words(seconds):
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"


class Times:
    """How long each test took, and all of them together: the last whole run here, else the figures of the repository."""

    def __init__(self, logs, as_long):
        self.path, self.known = logs / RECORD, {}
        try:
            self.known = json.loads(self.path.read_text(encoding="utf-8"))
            self.source = "as last time"
        except (OSError, ValueError):
            self.known = json.loads(MEASURED.read_text(encoding="utf-8"))
            self.known["wall"] *= as_long
            self.source = "on 2 cores"

    def expected(self, names):
        """Seconds of the run of these tests: their share of all the work, at the speed that all of it was done with."""
        total = sum(self.known["tests"].values()) or 1.0
        mean = total / max(1, len(self.known["tests"]))
        return self.known["wall"] * sum(self.known["tests"].get(name, mean) for name in names) / total

    def keep(self, wall, tests):
        self.path.write_text(json.dumps({"wall": round(wall, 1), "tests": tests}, indent=1) + "\n", encoding="utf-8")


class Progress:
    """What is told while tests run. Its lock guards all below: two readers and the clock tell."""

    def __init__(self, tests, times):
        self.lock = threading.Lock()
        self.tests = {test["cmd"][-1] if "python" in test["cmd"][0] else test["cmd"][0]: test["name"] for test in tests}
        self.left = {test["name"] for test in tests}
        self.total, self.times, self.took = len(tests), times, {}
        self.failed = 0
        self.begin, self.live = time.monotonic(), sys.stdout.isatty()
        self.expected = times.expected(self.left)

    def line(self, text):
        print(("\r\033[K" if self.live else "") + text, flush=True)

    def ended(self, name, result, seconds):
        with self.lock:
            self.left.discard(name)
            self.took[name] = seconds
            self.failed += result not in GOOD
            if result not in GOOD:
                self.line(f"FAILED {name} ({result.lower()} after {seconds:.1f} s)")
            elif not self.live:
                self.line(f"[{len(self.took)}/{self.total}] {result.lower()} {name} {seconds:.1f} s")

    def said(self, text):
        with self.lock:
            self.line(text)

    def at_work(self, runner):
        """The names of the tests that the runner has started and that still run."""
        names = []
        try:
            for task in os.listdir(f"/proc/{runner}/task"):
                for child in pathlib.Path(f"/proc/{runner}/task/{task}/children").read_text(encoding="ascii").split():
                    words = pathlib.Path(f"/proc/{child}/cmdline").read_bytes().decode(errors="replace").split("\0")
                    names += [self.tests[word] for word in words if word in self.tests][:1]
        except (FileNotFoundError, ProcessLookupError):
            pass  # it has just ended
        return names

    def show(self, runners):
        if not self.live:
            return
        with self.lock:
            elapsed = time.monotonic() - self.begin
            left = self.times.expected(self.left)
            names = ", ".join(name for runner in runners for name in self.at_work(runner.pid))
            text = (f"[{len(self.took)}/{self.total}] {self.failed} failed · {int(elapsed) // 60}:{int(elapsed) % 60:02} · "
                    f"about {in_words(left)} left · {names}")
            print(f"\r{text[:shutil.get_terminal_size().columns - 1]}\033[K", end="", flush=True)


def follow(runner, progress):
    """Reads what meson prints: its line for each test that ended, and what it shows of one that failed."""
    ending = False
    for line in runner.stdout:
        found = ENDED.match(line)
        if found:
            progress.ended(found[3].split(" / ", 1)[-1], found[4], float(found[5]))
        elif line.startswith(("Summary of Failures", "Ok: ")):
            ending = True
        elif line.strip() and not ending and not line.startswith("ninja: "):
            progress.said(line.rstrip("\n"))


class Line:
    """Meson commands one after the other, and the first exit status of theirs that is not 0."""

    def __init__(self, commands, progress):
        self.commands, self.progress, self.code = commands, progress, 0
        self.runner = None  # at work now
        self.thread = threading.Thread(target=self.main)
        self.thread.start()

    def main(self):
        # Unbuffered: a line is to be heard when it is said.
        environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
        for command in self.commands:
            with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace",
                                  env=environment) as self.runner:
                follow(self.runner, self.progress)
                self.code = self.code or self.runner.wait()


def run(lines, progress):
    """Runs the lines of meson commands beside each other; the first exit status that is not 0."""
    lines = [Line(commands, progress) for commands in lines]
    while any(line.thread.is_alive() for line in lines):
        progress.show([line.runner for line in lines if line.runner is not None])
        for line in lines:
            line.thread.join(0.5 / len(lines))
    if progress.live:
        print("\r\033[K", end="", flush=True)
    return next((line.code for line in lines if line.code != 0), 0)


def quick_names(tests):
    """The tests that QUICK lists; ends the program where it names one that is not there."""
    names = [line for line in QUICK.read_text(encoding="utf-8").splitlines() if line and not line.startswith("#")]
    lost = set(names) - {test["name"] for test in tests}
    if lost:
        sys.exit(f"{QUICK.relative_to(ROOT)}: meson has no test named {', '.join(sorted(lost))}: write the names that it has now")
    return names


def lines_of(meson, tests, suites, names, tool):
    """What is to be run beside each other, each as meson commands one after the other; and where their results are."""
    cores = min(os.cpu_count() or 1, 2)
    if names:
        return [[[*meson, "--num-processes", str(cores + 1), *names]]], LOGS[:1]
    there = {suite.split(":")[-1] for test in tests for suite in test["suite"]}
    if suites:
        return [[[*meson, "--num-processes", str(cores), *[word for suite in suites for word in ("--suite", suite)]]]], LOGS[:1]
    # One more at a time than there are processors, of those that wait more than they work; what measures runs alone (is_parallel).
    # Under a sanitizer each does less at once by itself (at_once in e2e.py), so that there is room for more.
    waiting = cores + 1 if tool == "" else 2 * cores + 1
    lines = [[[*meson, "--num-processes", str(cores), "--no-suite", "model", "--no-suite", "e2e"]]]
    logs = [LOGS[0]]
    if "e2e" in there:
        lines[0].append([*meson, "--num-processes", str(waiting), "--suite", "e2e", "--logbase", LOGS[1]])
        logs.append(LOGS[1])
    # The model only computes, for a minute, while most of the others wait: it runs beside them, behind them in line for a processor.
    if "model" in there:
        lines.append([["nice", "-n", "19", *meson, "--suite", "model", "--logbase", LOGS[2]]])
        logs.append(LOGS[2])
    return lines, logs


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", default="build")
    parser.add_argument("--suite", action="append", default=[])
    parser.add_argument("--quick", action="store_true", help=f"only what {QUICK.relative_to(ROOT)} lists")
    args = parser.parse_args()

    logs = pathlib.Path(args.build) / "meson-logs"
    tool = sanitizer(args.build)
    slower = SLOWER.get(tool, 1)
    tests = introspect(args.build, "--tests")
    names = quick_names(tests) if args.quick else []
    wanted = [test for test in tests if (not args.suite or any(suite.split(":")[-1] in args.suite for suite in test["suite"]))
              and (not names or test["name"] in names)]
    times = Times(logs, AS_LONG.get(tool, 1))
    progress = Progress(wanted, times)
    print(f"{len(wanted)} tests: about {in_words(progress.expected)}, {times.source}", flush=True)

    meson = ["meson", "test", "-C", args.build, "--no-rebuild", "--print-errorlogs", "--timeout-multiplier", str(slower)]
    lines, bases = lines_of(meson, wanted, args.suite, names, tool)
    junits = [logs / f"{base}.junit.xml" for base in bases]
    for junit in junits:
        junit.unlink(missing_ok=True)
    code = run(lines, progress)

    passed, failed, bad, skipped = 0, 0, [], []
    for junit in junits:
        if not junit.exists():
            print(f"no test ran: meson left no {junit}", file=sys.stderr)
            return 1
        one = count(junit)
        passed, failed, bad, skipped = passed + one[0], failed + one[1], bad + one[2], skipped + one[3]
    if code != 0 and failed == 0:
        failed = 1
        bad.append("meson test: exit status %d" % code)
    if not args.suite and not names and not failed:
        times.keep(time.monotonic() - progress.begin, progress.took)
    for name in skipped:
        print("skipped", name)
    for name in bad:
        print("FAILED", name)
    print(f"took {in_words(time.monotonic() - progress.begin)}")
    print(f"{passed} passed, {failed} failed" + (f", {len(skipped)} skipped" if skipped else ""))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
