#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""
Every phase that a job of the daemon can be in has a label in cli/output/phase.c, and no label is of a phase that no job is in.
Argument: the folder with the sources.
"""
import pathlib
import re
import sys

ROOT = pathlib.Path(sys.argv[1])
WORD = re.compile(r'"([^"]*)"')
# What else is written into a job's phase: the names of its states, which show as its status; a copy of another job's phase.
ENDS = re.compile(r"state_names\[\w+\]|vf_fsm_name\(")


def sources():
    for room in ("migrate", "daemon"):
        for path in sorted((ROOT / room).rglob("*.c")):
            yield path.relative_to(ROOT).as_posix(), path.read_text(encoding="utf-8")


def set_in(name, text):
    """The phases of one file, and the functions through whose parameter `phase` others set theirs."""
    words, through = set(), set()
    for found in re.finditer(r"snprintf\(\s*\w+(?:->\w+)*->phase,\s*sizeof [^,]+,(.*?)\);", text, re.S):
        given = found.group(1).replace('"%s"', "")
        literals = set(WORD.findall(given))
        if literals:
            words |= literals
        elif re.search(r"\bphase\b", given):
            heads = re.findall(r"^[a-z].*?\b(\w+)\([^;{]*const char \*phase\)\n\{", text[:found.start()], re.M)
            assert heads, f"{name}: nobody knows where the phase of {found.group(0)!r} comes from"
            through.add(heads[-1])
        else:
            assert ENDS.search(given), f"{name}: nobody knows what {found.group(0)!r} makes of a phase"
    return words, through


def phases():
    words, through = {}, set()
    for name, text in sources():
        literals, functions = set_in(name, text)
        words.update({word: name for word in literals})
        through |= functions
    for name, text in sources():
        for call in re.findall(rf"\b(?:{'|'.join(sorted(through))})\(([^;{{}}]*)\);", text):
            words.update({word: name for word in WORD.findall(call)})
    return words


def labels():
    text = (ROOT / "cli/output/phase.c").read_text(encoding="utf-8")
    return re.findall(r'^    \{"([^"]+)", "[^"]+", "[^"]+",', text, re.M)


def every_phase_has_a_label():
    for word, name in phases().items():
        assert word in labels(), f"{name} sets the phase {word!r}: cli/output/phase.c has no label for it"


def every_label_is_of_a_phase():
    listed = labels()
    assert len(listed) == len(set(listed)), "cli/output/phase.c has a label twice"
    for word in listed:
        assert word in phases(), f"cli/output/phase.c has a label for {word!r}, and no job is ever in that phase"


def the_search_finds_what_it_looks_for():
    """Directly, through job_enter, through another function, and both sides of a choice."""
    found = phases()
    for word in ("queued", "commit", "recall", "last-round", "round", "disk", "link-lost"):
        assert word in found, f"{word}: is not found"


TESTS = (every_phase_has_a_label, every_label_is_of_a_phase, the_search_finds_what_it_looks_for)
print(f"1..{len(TESTS)}")
for number, test in enumerate(TESTS, 1):
    try:
        test()
        print(f"ok {number} - {test.__name__}")
    except AssertionError as error:
        print(f"not ok {number} - {test.__name__}\n# {error}")
