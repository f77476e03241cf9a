#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Holds the headers to the facts as a Windows compiler lays them out: syntax and static checks only, nothing
runs. Exits 77 (skipped) where there is no such compiler. Usage: check_foreign.py SOURCE.c COMPILER [ARGS...]
"""
import shutil
import subprocess
import sys

source, compiler, *args = sys.argv[1:]
if shutil.which(compiler) is None:
    print(f'{compiler} is not installed')
    sys.exit(77)
command = [compiler, '-std=gnu17', '-Wall', '-Wextra', '-Werror', '-DABI_STATIC_ONLY', '-fsyntax-only', *args, source]
sys.exit(subprocess.run(command, check=False).returncode)
