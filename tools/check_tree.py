#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What holds for every file of the tree: its licence line, its length, its width. Prints what does not; exit 1 then."""
import pathlib
import re
import subprocess
import sys

LICENCE = "SPDX-License-Identifier: Apache-2.0"
CODE = (".c", ".h", ".py", ".sh", ".pml")
MAX_LINES = 600
# Where people read side by side; scripts and build files, which are lists more often than not, are free.
MAX_COLUMNS = {".c": 100, ".h": 100, ".pml": 100}
# Laid out as the public pages list things: a line a field or slot.
FREE = re.compile(r"^include/wddm/")


def tracked():
    """Files that git knows and that are still there."""
    names = subprocess.run(["git", "ls-files", "-z"], capture_output=True, text=True, check=True).stdout
    return [pathlib.Path(n) for n in names.split("\0") if n and pathlib.Path(n).is_file()]


def complaints(path):
    """One line for each rule that the file breaks."""
    build = path.name in ("meson.build", "meson_options.txt", "Makefile")
    if path.suffix not in CODE and not build:
        return
    lines = path.read_text(encoding="utf-8").split("\n")
    if not any(LICENCE in line for line in lines[:2]):
        yield f"{path}:1: no line with {LICENCE}"
    if lines[-1] != "" or lines[-2:] == ["", ""]:
        yield f"{path}: does not end with exactly one newline"
    if FREE.match(str(path)):
        return
    if len(lines) - 1 > MAX_LINES and path.suffix in CODE:
        yield f"{path}: {len(lines) - 1} lines, at most {MAX_LINES} allowed; split it by concern"
    columns = MAX_COLUMNS.get(path.suffix, sys.maxsize)
    for number, line in enumerate(lines, 1):
        if len(line) > columns:
            yield f"{path}:{number}: {len(line)} columns, at most {columns} allowed"
        if line != line.rstrip():
            yield f"{path}:{number}: blanks at the end of the line"
        if "\t" in line and path.name != "Makefile":
            yield f"{path}:{number}: a tab"


def main():
    found = [text for path in tracked() for text in complaints(path)]
    print("\n".join(found) if found else "every file has its licence line, its length and its width")
    return 1 if found else 0


sys.exit(main())
