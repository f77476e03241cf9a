#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs meson's tests, shows what failed and ends with one line: N passed, N failed[, N skipped]."""
import argparse
import json
import os
import pathlib
import subprocess
import sys
import xml.etree.ElementTree as ET

BESIDE = "beside"  # base name of the second run's logs


def count(junit):
    """Passed, failed and skipped cases, and the names of those that failed."""
    passed = failed = skipped = 0
    names = []
    for suite in ET.parse(junit).getroot().iter("testsuite"):
        cases = list(suite.iter("testcase"))
        for case in cases:
            name = f'{suite.get("name")}: {case.get("name")}'
            if case.find("failure") is not None or case.find("error") is not None:
                failed += 1
                names.append(name)
            elif case.find("skipped") is not None:
                skipped += 1
            else:
                passed += 1
        # A program that died before its plan was done has fewer cases than it announced.
        broken = int(suite.get("errors", "0")) + int(suite.get("failures", "0"))
        if broken and not any(n.startswith(f'{suite.get("name")}:') for n in names):
            failed += broken
            names.append(f'{suite.get("name")}: ended early')
    return passed, failed, skipped, names


def introspect(build, what):
    return json.loads(subprocess.run(["meson", "introspect", build, what], check=True, capture_output=True).stdout)


def sanitized(build):
    """Does the build carry a sanitizer? Everything is some times slower then, and limits are no reason to fail."""
    return any(option["name"] == "b_sanitize" and option["value"] != "none" for option in introspect(build, "--buildoptions"))


def has_model(build):
    return any(suite.endswith(":model") for test in introspect(build, "--tests") for suite in test["suite"])


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", default="build")
    parser.add_argument("--suite", action="append", default=[])
    args = parser.parse_args()

    command = ["meson", "test", "-C", args.build, "--no-rebuild", "--print-errorlogs"]
    if sanitized(args.build):
        command += ["--timeout-multiplier", "4"]
    # The model only computes, for minutes, while most of the others wait: it runs beside them, behind them in line for a processor.
    model = [] if args.suite or not has_model(args.build) else ["nice", "-n", "19", *command, "--suite", "model", "--logbase", BESIDE, "--quiet"]
    command += ["--num-processes", str(min(os.cpu_count() or 1, 2))]
    command += [word for suite in args.suite for word in ("--suite", suite)] or ["--no-suite", "model"]

    logs = pathlib.Path(args.build) / "meson-logs"
    junits = [logs / f"{base}.junit.xml" for base in (["testlog", BESIDE] if model else ["testlog"])]
    for junit in junits:
        junit.unlink(missing_ok=True)
    beside = subprocess.Popen(model) if model else None
    code = subprocess.run(command, check=False).returncode
    if beside:
        code = beside.wait() or code
    passed, failed, skipped, names = 0, 0, 0, []
    for junit in junits:
        if not junit.exists():
            print(f"no test ran: meson left no {junit}", file=sys.stderr)
            return 1
        one = count(junit)
        passed, failed, skipped, names = passed + one[0], failed + one[1], skipped + one[2], names + one[3]
    if code != 0 and failed == 0:
        failed = 1
        names.append("meson test: exit status %d" % code)
    for name in names:
        print("FAILED", name)
    print(f"{passed} passed, {failed} failed" + (f", {skipped} skipped" if skipped else ""))
    return 1 if failed else 0


sys.exit(main())
