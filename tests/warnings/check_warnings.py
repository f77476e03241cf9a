#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Every translation unit compiles without a warning, by gcc and by clang (TAP; one test a compiler)."""
import concurrent.futures
import json
import pathlib
import shlex
import shutil
import subprocess
import sys

# What gcc knows and clang does not, or the other way round.
FOREIGN = {"clang": ["-Wno-unknown-warning-option", "-Wno-gnu-zero-variadic-macro-arguments"], "gcc": []}


def compile_one(compiler, entry):
    """Its diagnostics, or nothing when it is clean."""
    words = shlex.split(entry["command"])
    kept = []
    skip = False
    # Meson puts ccache in front of the compiler where it is installed.
    for word in words[2 if pathlib.Path(words[0]).name == "ccache" else 1 :]:
        if skip:
            skip = False
        elif word in ("-o", "-MF", "-MQ"):
            skip = True
        elif word not in ("-c", "-MD"):
            kept.append(word)
    done = subprocess.run([compiler, "-fsyntax-only", "-Werror", *FOREIGN[compiler], *kept], cwd=entry["directory"],
                          capture_output=True, text=True, check=False)
    return "" if done.returncode == 0 else done.stderr


def in_fault_build(entry):
    """The fault build compiles all of the daemon once more, but only these files differently."""
    path = pathlib.Path(entry["directory"], entry["file"])
    return "-DVF_FAULTS" in entry["command"] and any(
        name in path.read_text(encoding="utf-8") for name in ("base/fault.h", "transport/filter.h"))


def main():
    build = pathlib.Path(sys.argv[1])
    entries = {(e["file"], in_fault_build(e)): e for e in json.loads((build / "compile_commands.json").read_text(encoding="utf-8"))}
    print(f"1..{len(FOREIGN)}")
    for number, compiler in enumerate(sorted(FOREIGN), 1):
        if shutil.which(compiler) is None:
            print(f"ok {number} - {compiler} # SKIP not installed")
            continue
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            texts = [t for t in pool.map(lambda e, c=compiler: compile_one(c, e), entries.values()) if t]
        for text in texts:
            for line in text.splitlines()[:12]:
                print("#", line)
        print(f"{'not ok' if texts else 'ok'} {number} - {compiler}: {len(entries)} files without a warning")


main()
