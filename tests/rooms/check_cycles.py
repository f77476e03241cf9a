#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""
Who calls whom: fails where files of one room call each other in a circle, so that a reader can begin at the leaves. What is called
through a pointer that was handed in does not count: that is how a leaf tells those above it. Usage: check_cycles.py LIBRARY...
"""
import pathlib
import re
import subprocess
import sys

MEMBER = re.compile(r"^(?:.*[/(])?([^/():]+)\.o\)?:$")
DEFINED = "TDBRGSC"
# A room's tests are linked with its files and may look into each other.
TESTS = re.compile(r"^tests_")


def calls_in(symbols):
    """File -> files whose functions or data it uses, from what nm says of a library."""
    home, used, file = {}, {}, None
    for line in symbols.splitlines():
        member = MEMBER.match(line)
        words = line.split()
        if member:
            file = member[1]
            used[file] = set()
        elif len(words) == 2 and words[0] == "U":
            used[file].add(words[1])
        elif len(words) == 3 and words[1] in DEFINED:
            home[words[2]] = file
    files = [file for file in used if not TESTS.match(file)]
    return {file: {home[name] for name in used[file] if home.get(name, file) != file} & set(files) for file in files}


def circle(calls):
    """Files that call each other in a circle, in order; [] where there is none."""
    done = set()

    def walk(file, path):
        if file in path:
            return path[path.index(file) :]
        if file in done:
            return []
        for other in sorted(calls[file]):
            found = walk(other, [*path, file])
            if found:
                return found
        done.add(file)
        return []

    return next((found for found in (walk(file, []) for file in sorted(calls)) if found), [])


def report(number, name, good, why=""):
    print(f"{'ok' if good else 'not ok'} {number} - {name}", *([] if good else [f"# {why}"]), sep="\n")
    return good


def main():
    libraries = sys.argv[1:]
    print(f"1..{len(libraries) + 2}")
    straight = "a.c.o:\n0 T a\n U b\n\nb.c.o:\n0 T b\n U puts\n\ntests_c.c.o:\n0 T c\n U b\n"
    round_about = straight.replace(" U puts", " U d") + "\nd.c.o:\n0 T d\n U a\n"
    good = report(1, "files that call leaves are fine", circle(calls_in(straight)) == [])
    good &= report(2, "a circle of three files is seen", sorted(circle(calls_in(round_about))) == ["a.c", "b.c", "d.c"])
    for number, library in enumerate(libraries, 3):
        calls = calls_in(subprocess.run(["nm", library], capture_output=True, text=True, check=True).stdout)
        found = circle(calls)
        good &= report(
            number,
            f"no files of {pathlib.Path(library).stem} call each other in a circle",
            len(calls) > 1 and not found,
            f"{len(calls)} files: " + " -> ".join([*found, *found[:1]]),
        )
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
