#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""
Files as texts in C, for what a program prints as it is. Usage: embed.py HEADER TYPE TABLE NAME=FILE... The source goes to stdout:
a table of {name, text} that ends with {NULL, NULL}; the header declares it.
"""
import pathlib
import sys


def literal(text):
    """The text as string constants, one a line."""
    lines = (line.replace("\\", "\\\\").replace('"', '\\"') for line in text.splitlines())
    return "\n".join(f'     "{line}\\n"' for line in lines)


def main():
    header, kind, table, *pairs = sys.argv[1:]
    print(f'/* Made by tools/embed.py. */\n#include "{header}"\n\n#include <stddef.h>\n\nconst struct {kind} {table}[] = {{')
    for name, path in (pair.split("=", 1) for pair in pairs):
        print(f'    {{"{name}",\n{literal(pathlib.Path(path).read_text(encoding="utf-8"))}}},')
    print("    {NULL, NULL},\n};")


main()
