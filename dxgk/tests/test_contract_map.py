#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""docs/rules.md and docs/ddi.md say where each rule and each DDI is; this holds them to the tree.
Usage: test_contract_map.py SOURCE_ROOT [--write]   (--write makes docs/ddi.md anew)"""
import pathlib
import re
import sys

root = pathlib.Path(sys.argv[1])
RULES = {'CAP': 7, 'VF': 6, 'DBT': 11, 'SRC': 9, 'TGT': 6, 'PAG': 4, 'INT': 3, 'HOT': 6}
ROOMS = {'dxgk': 'dxgk/tests', 'kmd': 'drivers/softgpu/tests', 'card': 'devices/softgpu/tests'}
DDI_HEAD = '''# Where each DDI is

Made by `dxgk/tests/test_contract_map.py --write`, which fails as a test when this page and the tree disagree. The OS side calls a
DDI in exactly one file, behind the call checker; "not called" is what a driver may have and this OS side has no use for.

| DDI | The OS side calls it in | softgpu's function | in |
|---|---|---|---|
'''
problems = []


def text(path):
    return (root / path).read_text(encoding='utf-8')


def names(source, rule):
    """Whether `source` names the rule, alone or within a range like "VF-1..6"."""
    kind, number = (rule.split('-') + ['0'])[:2]
    if re.search(rf'\b{re.escape(rule)}\b', source):
        return True
    ranges = re.findall(rf'\b{kind}-(\d+)(?:\.\.|…| to {kind}-)(\d+)', source)
    return any(int(low) <= int(number) <= int(high) for low, high in ranges)


def test_names(function, comment, rule):
    kind, number = (rule.split('-') + [''])[:2]
    words = function.split('_')
    for at, word in enumerate(words):
        if word == kind.lower():
            numbers = re.match(r'(?:_\d+)*', '_'.join([''] + words[at + 1:])).group(0).split('_')
            if number in numbers:
                return True
    return names(comment, rule)


def check_test(rule, where, function):
    room, suite = where.split()
    path = f'{ROOMS[room]}/test_{suite}.c'
    found = re.search(rf'(/\*(?:(?!\*/).)*\*/\n)?^static void {function}\(void \*\*\w+\)\n', text(path), re.S | re.M)
    if not found:
        problems.append(f'{rule}: {path} has no test {function}')
    elif not test_names(function, found.group(1) or '', rule):
        problems.append(f'{rule}: neither name nor comment of {function} in {path} names it')
    elif f'({function})' not in text(path):
        problems.append(f'{rule}: {function} in {path} is not in the list of tests')


def check_rules():
    seen = set()
    for line in text('docs/rules.md').splitlines():
        row = re.match(r'\| ([A-Z]+(?:-\d+)?) \| [^|]+ \| ([^|]+) \| ([^|]+) \|$', line)
        if not row:
            continue
        rule, code, tests = row.groups()
        seen.add(rule)
        sources = [text(path) for path in re.findall(r'`([^`]+)`', code)]
        if rule != 'IRQL' and not any(names(source, rule) for source in sources):
            problems.append(f'{rule}: no file that keeps it names it')
        for group in tests.split('<br>'):
            where, functions = group.strip().split(': ')
            for function in re.findall(r'`(\w+)`', functions):
                check_test(rule, where, function)
    for kind, count in RULES.items():
        for number in range(1, count + 1):
            if f'{kind}-{number}' not in seen:
                problems.append(f'{kind}-{number} is missing in docs/rules.md')
    return len(seen)


def ddi_rows():
    table, defined, calls = {}, {}, {}
    for path in sorted((root / 'drivers/softgpu').glob('*.c')):
        source = path.read_text(encoding='utf-8')
        table.update(re.findall(r'\.(DxgkDdi\w+) = (sgk_\w+)', source))
        for function in re.findall(r'^(?:static )?\w+ (sgk_\w+)\(', source, re.M):
            defined[function] = path.relative_to(root)
    for path in sorted(set((root / 'dxgk').rglob('*.c')) - set((root / 'dxgk/tests').rglob('*.c'))):
        for ddi in re.findall(r'(?:ddi|gpup|sriov|mitigable)\.(DxgkDdi\w+)\s?\(', path.read_text(encoding='utf-8')):
            calls.setdefault(ddi, set()).add(str(path.relative_to(root)))
        for ddi in re.findall(r'end_device\(adapter, "\w+", adapter->ddi\.(DxgkDdi\w+)\)', path.read_text(encoding='utf-8')):
            calls.setdefault(ddi, set()).add(str(path.relative_to(root)))
    for ddi in sorted(table):
        if len(calls.get(ddi, ())) > 1:
            problems.append(f'{ddi} is called in several files: {", ".join(sorted(calls[ddi]))}')
        caller = ', '.join(f'`{path}`' for path in sorted(calls.get(ddi, ()))) or 'not called'
        yield f'| {ddi} | {caller} | `{table[ddi]}` | `{defined.get(table[ddi], "?")}` |'


rows = list(ddi_rows())
page = DDI_HEAD + '\n'.join(rows) + '\n'
if '--write' in sys.argv:
    (root / 'docs/ddi.md').write_text(page, encoding='utf-8')
if text('docs/ddi.md') != page:
    problems.append('docs/ddi.md is not what the tree says; run this with --write')
ddi_problems = len(problems)
rules = check_rules()
print('1..2')
print(f'{"not ok" if ddi_problems else "ok"} 1 - {len(rows)} DDIs are where docs/ddi.md says')
print(f'{"not ok" if len(problems) > ddi_problems else "ok"} 2 - {rules} rules are kept and held as docs/rules.md says')
for problem in problems:
    print(f'# {problem}')
sys.exit(bool(problems))
