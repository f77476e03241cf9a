#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Every file and folder of the tree that the pages name in `backticks` is there. Usage: check_paths.py ROOT"""
import pathlib
import re
import sys

ROOMS = "base bench cli daemon devices docs drivers dxgk fuzz guest include kernel migrate models tests tools transport".split()
NAMED = re.compile(rf"`((?:{'|'.join(ROOMS)})/[\w./-]+)`")
MADE_BY_PEOPLE = "fuzz/regressions/"  # what a fuzzer finds is put there


def missing(root, text):
    return [name for name in NAMED.findall(text) if not name.startswith(MADE_BY_PEOPLE) and not (root / name).exists()]


def main():
    root = pathlib.Path(sys.argv[1])
    pages = [root / "README.md", root / "CONTRIBUTING.md", *sorted((root / "docs").rglob("*.md"))]
    found = [f"{page.relative_to(root)}: {name}" for page in pages for name in missing(root, page.read_text(encoding="utf-8"))]
    sees = missing(root, "`base/nowhere.c` and `base/error.h`") == ["base/nowhere.c"]
    print("1..2")
    print(f"{'ok' if sees else 'not ok'} 1 - a path that is not there is seen")
    print(f"{'not ok' if found else 'ok'} 2 - every path that {len(pages)} pages name is there", *(f"# {line}" for line in found), sep="\n")
    return 0 if sees and not found else 1


if __name__ == "__main__":
    sys.exit(main())
