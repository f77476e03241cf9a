#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes the C program that holds include/wddm to facts.json.

Whatever a compiler can decide becomes a _Static_assert (sizes, alignments, offsets, enum values, constants,
table slots, prototypes); bit-fields and GUID bytes are checked when the program runs. A fact without a
counterpart in the headers does not compile. Usage: gen_abi_test.py FACTS.json OUT.c
"""
import json
import re
import sys
import uuid

STRUCT_KEYS = {'size', 'align', 'fields', 'bits', 'array_counts', 'flexible_array'}
TOP_KEYS = {'about', 'abi', 'structs', 'enums', 'constants', 'guids', 'ddi', 'vtables'}


class Program:
    def __init__(self):
        self.static, self.bits, self.guids = [], [], []
        self.facts = 0

    def hold(self, condition, what):
        self.static.append(f'_Static_assert({condition}, "{what}");')
        self.facts += 1


def known(keys, allowed, where):
    if extra := set(keys) - allowed:
        sys.exit(f'{where}: no check is known for {sorted(extra)}')


def member(struct, path):
    return f'((({struct} *)0)->{path})'


def structs(p, facts):
    for name, s in facts.items():
        known(s, STRUCT_KEYS, name)
        p.hold(f'sizeof({name}) == {s["size"]}', f'size of {name}')
        p.hold(f'_Alignof({name}) == {s["align"]}', f'alignment of {name}')
        for path, (offset, size) in s['fields'].items():
            p.hold(f'offsetof({name}, {path}) == {offset}', f'offset of {name}.{path}')
            p.hold(f'sizeof{member(name, path)} == {size}', f'size of {name}.{path}')
        for path, count in s.get('array_counts', {}).items():
            element = member(name, path)[:-1] + '[0])'
            p.hold(f'sizeof{member(name, path)} / sizeof{element} == {count}', f'count of {name}.{path}')
        if flexible := s.get('flexible_array'):
            path = flexible['field']
            element = member(name, path)[:-1] + '[0])'
            p.hold(f'offsetof({name}, {path}) == {flexible["offset"]}', f'array of {name}')
            p.hold(f'sizeof{element} == {flexible["element_size"]}', f'element of {name}.{path}')
            p.hold(f'__builtin_types_compatible_p(__typeof__{element}, {flexible["element"]})',
                   f'element type of {name}.{path}')
            p.hold(f'sizeof{member(name, path)} == {flexible["element_size"] * flexible["declared_elements"]}',
                   f'declared elements of {name}.{path}')
            p.hold(f'sizeof{member(name, flexible["count_field"])} > 0', f'count field of {name}')
        for path, (start, width) in s.get('bits', {}).items():
            p.bits.append(f'    BITS({name}, {path}, {start}, {width});')
            p.facts += 1


def enums(p, facts):
    for name, values in facts.items():
        p.hold(f'sizeof({name}) == 4', f'size of enum {name}')
        for item, value in values.items():
            p.hold(f'(long long){item} == {value}LL', item)


def constants(p, facts):
    for name, value in facts.items():
        value = int(value, 0) if isinstance(value, str) else value
        if value < 0:
            p.hold(f'(long long){name} == {value}LL', name)
        else:
            p.hold(f'(unsigned long long){name} == {value}ULL', name)


def guids(p, facts):
    for name, text in facts.items():
        data = ', '.join(f'0x{b:02x}' for b in uuid.UUID(text).bytes_le)
        p.guids.append(f'    same_guid("{name}", &{name}, (const unsigned char[16]){{{data}}});')
        p.facts += 1


def parameter(text):
    """'const DXGKARG_X* (inout)' or 'HANDLE hAdapter' -> the type alone."""
    text = re.sub(r'\(.*\)', '', text).strip()
    match = re.fullmatch(r'(const )?(\w+) ?(\**) ?(\w*)', text)
    if not match:
        sys.exit(f'cannot read the parameter "{text}"')
    return f'{match[1] or ""}{match[2]} {match[3]}'.strip()


def prototype(p, table, slot, returns, args):
    types = ', '.join(parameter(a) for a in args)
    p.hold(f'__builtin_types_compatible_p(__typeof__{member(table, slot)}, {returns} (*)({types}))',
           f'prototype of {slot}')


def ddi(p, facts):
    tables = {'init_data_offset': 'DRIVER_INITIALIZATION_DATA', 'dxgkrnl_interface_offset': 'DXGKRNL_INTERFACE'}
    for name, d in facts.items():
        known(d, {'returns', 'args'} | set(tables), name)
        for key, table in tables.items():
            if key not in d:
                continue
            p.hold(f'offsetof({table}, {name}) == {d[key]}', f'slot of {name}')
            if 'args' in d:
                prototype(p, table, name, d['returns'], d['args'])


def vtables(p, facts):
    for name, v in facts.items():
        known(v, {'inherits', 'slots', 'methods'}, name)
        table = name + 'Vtbl'
        p.hold(f'sizeof({table}) == {8 * len(v["slots"])}', f'size of {table}')
        for slot, index in v['slots'].items():
            p.hold(f'offsetof({table}, {slot}) == {8 * index}', f'slot of {name}::{slot}')
            if index < 3:
                p.hold(f'offsetof({v["inherits"]}Vtbl, {slot}) == {8 * index}', f'{name} as {v["inherits"]}')
        for method, args in v['methods'].items():
            prototype(p, table, method, 'HRESULT', [f'{name}* This'] + args)


TEXT = '''/* Written by gen_abi_test.py from facts.json; do not edit. */
#include "wdm.h"

#include "d3dkmddi.h"
#include "dispmprt.h"
#include "igpupvdev.h"

%(static)s

#ifndef ABI_STATIC_ONLY
#include <stdio.h>
#include <string.h>

static int failures;
static volatile unsigned long long all_ones = ~0ull;

/* `value` has every bit of one bit-field set and no other: exactly [start, start + width) must show. */
static void only_these_bits(const char *what, const void *value, size_t bytes, unsigned start, unsigned width)
{
    const unsigned char *seen = value;

    for (unsigned bit = 0; bit < bytes * 8; bit++) {
        unsigned want = bit >= start && bit - start < width;

        if ((unsigned)(seen[bit / 8] >> (bit %% 8) & 1) != want) {
            printf("# %%s: bit %%u is %%u\\n", what, bit, !want);
            failures++;
            return;
        }
    }
}

#define BITS(type, path, start, width)                                   \\
    do {                                                                 \\
        type value;                                                      \\
        memset(&value, 0, sizeof value);                                 \\
        value.path = all_ones;                                           \\
        only_these_bits(#type "." #path, &value, sizeof value, start, width); \\
    } while (0)

static void same_guid(const char *name, const GUID *guid, const unsigned char *bytes)
{
    if (memcmp(guid, bytes, 16) != 0) {
        printf("# %%s has other bytes\\n", name);
        failures++;
    }
}

static void test_bits(void)
{
%(bits)s
}

static void test_guids(void)
{
%(guids)s
}

static int report(int number, const char *what)
{
    int failed = failures;

    printf("%%s %%d - %%s\\n", failed == 0 ? "ok" : "not ok", number, what);
    failures = 0;
    return failed;
}

int main(void)
{
    int failed = 0;

    printf("1..3\\nok 1 - the headers hold %(held)d facts when compiled\\n");
    test_bits();
    failed += report(2, "%(bit_count)d bit-fields lie where they must");
    test_guids();
    failed += report(3, "%(guid_count)d GUIDs have the right bytes");
    printf("# %(facts)d facts checked\\n");
    return failed != 0;
}
#endif
'''


def main():
    with open(sys.argv[1], encoding='utf-8') as f:
        facts = json.load(f)
    known(facts, TOP_KEYS, sys.argv[1])
    p = Program()
    for section in (structs, enums, constants, guids, ddi, vtables):
        section(p, facts[section.__name__])
    with open(sys.argv[2], 'w', encoding='utf-8') as out:
        out.write(TEXT % {'static': '\n'.join(p.static), 'bits': '\n'.join(p.bits), 'guids': '\n'.join(p.guids),
                          'held': len(p.static), 'bit_count': len(p.bits), 'guid_count': len(p.guids),
                          'facts': p.facts})


if __name__ == '__main__':
    main()
