# SPDX-License-Identifier: Apache-2.0
"""QEMU's multifd migration, to measure beside ours. There is no guest for it here yet, so it is looked for and told of."""
import os
import re
import shutil
import subprocess

LEAST = 10  # major version


def found(wish=None):
    """(the program, its version, why it is not measured)."""
    program = wish or os.environ.get("VFERRY_QEMU") or shutil.which("qemu-system-x86_64")
    if not program:
        return None, None, "no qemu-system-x86_64 found (--qemu PATH or VFERRY_QEMU names one)"
    try:
        said = subprocess.run([program, "--version"], capture_output=True, text=True, check=True, timeout=20).stdout
    except (OSError, subprocess.SubprocessError) as error:
        return program, None, f"{program} does not say its version: {error}"
    version = re.search(r"version (\d+)\.\S+", said)
    if not version or int(version[1]) < LEAST:
        return program, said.splitlines()[0] if said else None, f"{program} is older than {LEAST}, whose multifd is another"
    return program, version[0].removeprefix("version "), "there is a QEMU, and no guest that writes memory at a given rate yet"
