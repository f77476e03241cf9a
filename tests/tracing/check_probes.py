#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""
The built programs have exactly the trace points that docs/tracing.md lists, each with as many arguments (TAP; one test a program).
Usage: check_probes.py TRACING.md PROGRAM...
"""
import pathlib
import re
import subprocess
import sys

# | `name` | arguments: `one`, `two` | vferryd, vferry-kernel | when |
ROW = re.compile(r"^\| `(?P<name>[a-z_]+)` \| (?P<arguments>[^|]+) \| (?P<programs>[^|]+) \|")
NOTE = re.compile(r"Provider: vferry\n\s+Name: (\S+)\n.*\n\s+Arguments: (.*)")


def listed(page, program):
    """What the page lists for the program: name -> number of arguments."""
    rows = [row for row in map(ROW.match, page.splitlines()) if row]
    return {row["name"]: len(re.findall(r"`\w+`", row["arguments"])) for row in rows
            if program in row["programs"].split(", ")}


def built(program):
    """What the program has: name -> numbers of arguments, of all places with that name."""
    notes = subprocess.run(["readelf", "-n", program], capture_output=True, text=True, check=True).stdout
    found = {}
    for name, arguments in NOTE.findall(notes):
        found.setdefault(name, set()).add(len(arguments.split()))
    return found


def differences(want, have):
    """One line each."""
    for name in sorted(want.keys() - have.keys()):
        yield f"{name} is listed, and the program has none"
    for name in sorted(have.keys() - want.keys()):
        yield f"{name} is in the program, and not listed"
    for name in sorted(want.keys() & have.keys()):
        if have[name] != {want[name]}:
            yield f"{name} has {want[name]} arguments in the list, {sorted(have[name])} in the program"


def shows_each_difference():
    """The comparison sees what is missing, what is too much, and a wrong number of arguments."""
    return list(differences({"a": 1, "b": 2, "c": 3}, {"b": {2}, "c": {3, 4}, "d": {1}})) == [
        "a is listed, and the program has none", "d is in the program, and not listed",
        "c has 3 arguments in the list, [3, 4] in the program"]


def main():
    page = pathlib.Path(sys.argv[1]).read_text(encoding="utf-8")
    programs = [pathlib.Path(program) for program in sys.argv[2:]]
    print(f"1..{len(programs) + 1}")
    print(f"{'ok' if shows_each_difference() else 'not ok'} 1 - a difference is seen")
    for number, program in enumerate(programs, 2):
        want = listed(page, program.name)
        wrong = list(differences(want, built(program)))
        if not want:
            wrong.append(f"nothing is listed for {program.name}")
        for line in wrong:
            print("#", line)
        print(f"{'not ok' if wrong else 'ok'} {number} - {program.name}: the {len(want)} trace points of docs/tracing.md")


main()
