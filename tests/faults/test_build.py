#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Faults can be injected into the fault build only: nothing that is installed knows how (TAP). Usage: test_build.py BUILD"""
import json
import pathlib
import subprocess
import sys

BUILD = pathlib.Path(sys.argv[1])
WORDS = [b"VFERRY_FAULT", b"journal.fsync", b"kernel.answer"]
BUILT = BUILD / "tests" / "faults" / "vferryd-faults"


def known(path):
    data = path.read_bytes()
    return [word.decode() for word in WORDS if word in data]


def check(number, good, name, comments=()):
    print(f"{'ok' if good else 'not ok'} {number} - {name}", *(f"# {line}" for line in comments), sep="\n")
    return good


def main():
    installed = json.loads(subprocess.run(["meson", "introspect", "--installed", str(BUILD)], capture_output=True,
                                          text=True, check=True).stdout)
    programs = [pathlib.Path(path) for path in installed if pathlib.Path(path).is_file() and BUILD in pathlib.Path(path).parents]
    guilty = {str(path): known(path) for path in programs if known(path)}
    print("1..3")
    good = [
        check(1, known(BUILT) == [word.decode() for word in WORDS], "the fault build has fault points"),
        check(2, any(path.name == "vferryd" for path in programs) and not guilty, "nothing that is installed has any",
              [f"{path}: {words}" for path, words in guilty.items()]),
        check(3, not any(pathlib.Path(path).name == BUILT.name for path in installed), "the fault build is not installed"),
    ]
    return 0 if all(good) else 1


sys.exit(main())
