# SPDX-License-Identifier: Apache-2.0
"""How much memory a process has, its VRAM and all else told apart."""
import os
import re

MAPPING = re.compile(r"^[0-9a-f]+-[0-9a-f]+ \S+ \S+ \S+ \d+ *(.*)$")


def resident(pid, is_vram):
    """Bytes of Rss: (VRAM's mappings, all others)."""
    vram = other = 0
    name = ""
    with open(f"/proc/{pid}/smaps", encoding="utf-8", errors="replace") as smaps:
        for line in smaps:
            mapping = MAPPING.match(line)
            if mapping:
                name = mapping.group(1)
            elif line.startswith("Rss:"):
                size = int(line.split()[1]) * 1024
                vram, other = (vram + size, other) if is_vram(name) else (vram, other + size)
    return vram, other


def vram_file(pid, size):
    """(name, bytes allocated) of the memfd that is as large as VRAM."""
    for fd in os.listdir(f"/proc/{pid}/fd"):
        path = f"/proc/{pid}/fd/{fd}"
        try:
            info, name = os.stat(path), os.readlink(path)
        except FileNotFoundError:
            continue
        if name.startswith("/memfd:") and info.st_size >= size:
            return name, info.st_blocks * 512
    raise AssertionError("the kernel side has no memfd as large as VRAM")
