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


def sanitized(build):
    """Does the build carry a sanitizer? Everything is some times slower then, and limits are no reason to fail."""
    options = json.loads(subprocess.run(["meson", "introspect", build, "--buildoptions"], check=True, capture_output=True).stdout)
    return any(option["name"] == "b_sanitize" and option["value"] != "none" for option in options)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", default="build")
    parser.add_argument("--suite", action="append", default=[])
    args = parser.parse_args()

    command = ["meson", "test", "-C", args.build, "--no-rebuild", "--num-processes", str(min(os.cpu_count() or 1, 2)),
               "--print-errorlogs"]
    if sanitized(args.build):
        command += ["--timeout-multiplier", "4"]
    for suite in args.suite:
        command += ["--suite", suite]
    junit = pathlib.Path(args.build) / "meson-logs" / "testlog.junit.xml"
    junit.unlink(missing_ok=True)
    code = subprocess.run(command, check=False).returncode
    if not junit.exists():
        print("no test ran: meson left no report", file=sys.stderr)
        return 1
    passed, failed, skipped, names = count(junit)
    if code != 0 and failed == 0:
        failed = 1
        names.append("meson test: exit status %d" % code)
    for name in names:
        print("FAILED", name)
    print(f"{passed} passed, {failed} failed" + (f", {skipped} skipped" if skipped else ""))
    return 1 if failed else 0


sys.exit(main())
