#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Help and man pages say the same: every verb and every option, in both directions. Arguments: vferry vferryd MANDIR."""
import pathlib
import re
import subprocess
import sys

VFERRY, VFERRYD, MAN = sys.argv[1], sys.argv[2], pathlib.Path(sys.argv[3])
COMMON = {"host", "json", "help", "version"}
tests = []


def test(function):
    tests.append(function)
    return function


def output(*command):
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=20).stdout


def help_verbs():
    return re.findall(r"^  ([a-z]+(?: [a-z]+)?)  ", output(VFERRY, "--help"), re.M)


def help_options(*command):
    return set(re.findall(r"--([a-z-]+)", output(*command))) - COMMON




def man_entries(page):
    """Verb -> text of its entry, to the next verb."""
    text = (MAN / page).read_text(encoding="utf-8")
    parts = re.split(r"^\.It Cm (.*)$", text.split(".Sh VERBS")[1].split(".Sh ENVIRONMENT")[0], flags=re.M)
    entries = {}
    for head, body in zip(parts[1::2], parts[2::2]):
        verb = re.match(r"[a-z]+(?: [a-z]+)?(?= (?:Ar|Op|Fl|Oo)|$)", head).group(0)
        entries[verb] = head + "\n" + body
    return entries


def man_options(text):
    return set(re.findall(r"Fl Fl ([a-z-]+)", text)) - COMMON


@test
def every_verb_of_the_help_is_in_the_man_page():
    assert sorted(help_verbs()) == sorted(man_entries("vferry.1")), set(help_verbs()) ^ set(man_entries("vferry.1"))


@test
def every_option_of_every_verb_is_in_the_man_page():
    entries = man_entries("vferry.1")
    for verb in help_verbs():
        help_side, man_side = help_options(VFERRY, *verb.split(), "--help"), man_options(entries[verb])
        # An example or a hint may name options of another verb, so the list itself counts.
        own = set(re.findall(r"^  --([a-z-]+)", output(VFERRY, *verb.split(), "--help"), re.M))
        assert own == man_side, f"{verb}: help {sorted(own)}, man {sorted(man_side)}"
        assert own <= help_side


@test
def every_option_of_the_daemon_is_in_its_man_page():
    own = set(re.findall(r"^  --([a-z-]+)", output(VFERRYD, "--help"), re.M)) | {"help"}
    text = (MAN / "vferryd.8").read_text(encoding="utf-8")
    man = set(re.findall(r"^\.It Fl Fl ([a-z-]+)", text, re.M))
    assert own == man, own ^ man


@test
def every_verb_has_an_example_that_names_it():
    for verb in help_verbs():
        text = output(VFERRY, *verb.split(), "--help")
        assert f"example: vferry {verb}" in text, verb


@test
def help_fits_a_terminal():
    for verb in [None, *help_verbs()]:
        text = output(VFERRY, *(verb.split() if verb else []), "--help")
        for line in text.splitlines():
            assert len(line) <= 100, f"{verb}: {line}"


@test
def versions_agree():
    assert output(VFERRY, "--version").split()[1] == output(VFERRYD, "--version").split()[1]


@test
def what_is_not_built_says_so_with_exit_code_2():
    for command in (["migrate", "p", "--to", "h:1", "--compress", "zstd"],
                    ["migrate", "p", "--to", "h:1", "--compress", "auto"]):
        done = subprocess.run([VFERRY, *command], capture_output=True, text=True, check=False, timeout=20)
        assert done.returncode == 2, command
        assert done.stderr.startswith("vferry: not built yet: ") and done.stderr.count("\n") == 1, done.stderr


@test
def a_host_that_is_not_there_is_exit_code_5_and_none_named_is_2():
    missing = subprocess.run([VFERRY, "--host", "/nonexistent/control.sock", "host", "show"], capture_output=True, text=True, check=False)
    assert missing.returncode == 5 and missing.stderr.count("\n") == 1, missing
    unnamed = subprocess.run([VFERRY, "host", "show"], capture_output=True, text=True, check=False, env={})
    assert unnamed.returncode == 2 and "VFERRY_HOST" in unnamed.stderr, unnamed


@test
def a_full_disk_under_stdout_is_told():
    with open("/dev/full", "w", encoding="ascii") as full:
        done = subprocess.run([VFERRY, "--help"], stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 1 and "stdout" in done.stderr, done


def main():
    failed = 0
    print(f"1..{len(tests)}")
    for number, function in enumerate(tests, 1):
        try:
            function()
            print(f"ok {number} - {function.__name__}")
        except Exception as error:  # pylint: disable=broad-except
            failed += 1
            print(f"not ok {number} - {function.__name__}\n# {type(error).__name__}: {error}")
    return 1 if failed else 0


sys.exit(main())
