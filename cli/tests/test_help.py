#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""
Help and man pages say the same: every verb and every option, in both directions.
Arguments: vferry vferryd vferry-man VFERRY.1 MANDIR.
"""
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

VFERRY, VFERRYD, VFERRY_MAN, PAGE, MAN = *sys.argv[1:4], *map(pathlib.Path, sys.argv[4:6])
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


def man_entries():
    """Verb -> text of its entry in vferry.1, to the next verb."""
    text = PAGE.read_text(encoding="utf-8")
    parts = re.split(r"^\.It Cm (.*)$", text.split(".Sh VERBS")[1].split(".Sh ")[0], flags=re.M)
    entries = {}
    for head, body in zip(parts[1::2], parts[2::2]):
        verb = re.match(r"[a-z]+(?: [a-z]+)?(?= (?:Ar|Op|Fl|Oo)|$)", head).group(0)
        assert verb not in entries, f"{verb}: twice"
        entries[verb] = head + "\n" + body
    return entries


def made_from(text):
    """vferry-man on a page of our own."""
    with tempfile.NamedTemporaryFile("w", suffix=".in", encoding="utf-8") as page:
        page.write(text)
        page.flush()
        return subprocess.run([VFERRY_MAN, page.name], capture_output=True, text=True, check=False, timeout=20)


def man_options(text):
    return set(re.findall(r"Fl Fl ([a-z-]+)", text)) - COMMON


@test
def every_verb_of_the_help_is_in_the_man_page():
    missing = set(help_verbs()) ^ set(man_entries())
    assert not missing, f"{missing}: each verb has a line @VERB ...@ in docs/man/vferry.1.in"


@test
def every_option_of_every_verb_is_in_the_man_page():
    entries = man_entries()
    for verb in help_verbs():
        help_side, man_side = help_options(VFERRY, *verb.split(), "--help"), man_options(entries[verb])
        # An example or a hint may name options of another verb, so the list itself counts.
        own = set(re.findall(r"^  --([a-z-]+)", output(VFERRY, *verb.split(), "--help"), re.M))
        assert own == man_side, f"{verb}: help {sorted(own)}, man {sorted(man_side)}"
        assert own <= help_side


@test
def a_page_is_made_of_its_hand_written_part_and_the_verbs_it_names():
    done = made_from(".Dt X 1\n@VERB host stop@\nMore.\n")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(".Dt X 1\n.It Cm host stop Oo Fl Fl force Oc\n"), done.stdout
    assert done.stdout.endswith(".El\nMore.\n") and "unless \\-\\-force drops them." in done.stdout, done.stdout


@test
def a_page_that_names_no_verb_is_not_made():
    for line in ("@VERB host fly@", "@VERB host@", "@VERB host show", "@VERB @"):
        done = made_from(f".Dt X 1\n{line}\n")
        assert done.returncode == 1 and ":2: no such verb" in done.stderr, (line, done)


@test
def the_formatter_finds_nothing_wrong_with_any_page():
    assert shutil.which("groff"), "groff is missing"
    for page in (PAGE, *sorted(MAN.glob("*.[18]"))):
        done = subprocess.run(["groff", "-mandoc", "-Tutf8", "-ww", "-rCHECKSTYLE=2", "-rLL=160n", page], capture_output=True, text=True, check=False,
                              timeout=60)
        assert done.returncode == 0 and done.stderr == "", f"{page}: {done.stderr}"
        assert len(done.stdout.splitlines()) > 20, page


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
def a_host_that_is_not_there_is_exit_code_5_and_none_named_is_2():
    missing = subprocess.run([VFERRY, "--host", "/nonexistent/deep/control.sock", "host", "show"], capture_output=True, text=True, check=False)
    assert missing.returncode == 5 and missing.stderr.count("\n") == 1, missing
    unnamed = subprocess.run([VFERRY, "host", "show"], capture_output=True, text=True, check=False, env={"XDG_RUNTIME_DIR": "/nonexistent", "TMPDIR": "/nonexistent"})
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
