#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Every service wdm.h promises to drivers is defined in the library. Usage: test_services.py NM wdm.h LIBRARY"""
import pathlib
import re
import subprocess
import sys

nm, header, library = sys.argv[1:]
promised = set(re.findall(r'^NTKERNELAPI [\w* ]*?(\w+)\(', pathlib.Path(header).read_text(encoding='utf-8'), re.M))
listing = subprocess.run([nm, '--defined-only', '-g', library], check=True, capture_output=True, text=True).stdout
defined = set(re.findall(r'^[0-9a-f]+ T (\w+)$', listing, re.M))
missing = sorted(promised - defined)
print('1..2')
print(f'{"ok" if len(promised) > 40 else "not ok"} 1 - wdm.h declares {len(promised)} services')
print(f'{"ok" if not missing else "not ok"} 2 - the library defines them all')
for name in missing:
    print(f'# {name} is missing')
sys.exit(bool(missing))
