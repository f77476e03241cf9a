#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Shows that the ABI test can fail: one wrong fact of each kind must break the build or the run, and the
true facts must not. Usage: test_mutation.py GENERATOR FACTS.json INCLUDE_DIR COMPILER...
"""
import copy
import json
import pathlib
import subprocess
import sys
import tempfile


def wrong_offset(facts):
    facts['structs']['DXGKARG_QUERYDIRTYBITDATA']['fields']['SubrangeSize'][0] += 8


def wrong_size(facts):
    facts['structs']['DRIVER_INITIALIZATION_DATA']['size'] += 8


def wrong_enum(facts):
    facts['enums']['DXGK_QUERYADAPTERINFOTYPE']['DXGKQAITYPE_GPUPCAPS'] += 1


def wrong_constant(facts):
    facts['constants']['DXGK_MAX_VIRTUAL_GPU_ALLOCATIONS'] += 1


def wrong_slot(facts):
    facts['ddi']['DxgkDdiQueryDirtyBitData']['init_data_offset'] += 8


def wrong_prototype(facts):
    facts['ddi']['DxgkDdiEndLiveMigration']['args'][1] = 'UINT64 vfIndex'


def missing_field(facts):
    fields = facts['structs']['DXGK_MEMORYRANGE']['fields']
    fields['SizeInPages'] = fields.pop('SizeInBytes')


def wrong_bit(facts):
    facts['structs']['DXGK_GPUPCAPS']['bits']['Caps.LiveMigration'][0] += 1


def wrong_width(facts):
    facts['structs']['DXGK_PTE']['bits']['Segment'][1] += 1


def wrong_guid(facts):
    text = facts['guids']['GUID_DXGKDDI_SRIOV_INTERFACE']
    facts['guids']['GUID_DXGKDDI_SRIOV_INTERFACE'] = text[:-1] + ('b' if text[-1] == 'a' else 'a')


COMPILE, RUN = 'does not compile', 'fails when run'
MUTATIONS = [(wrong_offset, COMPILE), (wrong_size, COMPILE), (wrong_enum, COMPILE), (wrong_constant, COMPILE),
             (wrong_slot, COMPILE), (wrong_prototype, COMPILE), (missing_field, COMPILE), (wrong_bit, RUN),
             (wrong_width, RUN), (wrong_guid, RUN)]


def outcome(folder, facts, generator, include, compiler):
    """'passes', or how the program made of these facts fails."""
    folder = pathlib.Path(folder)
    (folder / 'facts.json').write_text(json.dumps(facts), encoding='utf-8')
    subprocess.run([sys.executable, generator, folder / 'facts.json', folder / 'abi.c'], check=True)
    build = [*compiler, '-std=gnu17', '-fshort-wchar', '-w', '-I', include, folder / 'abi.c', '-o', folder / 'abi']
    if subprocess.run(build, check=False, capture_output=True).returncode != 0:
        return COMPILE
    if subprocess.run([folder / 'abi'], check=False, capture_output=True).returncode != 0:
        return RUN
    return 'passes'


def main():
    generator, facts_path, include, *compiler = sys.argv[1:]
    true_facts = json.loads(pathlib.Path(facts_path).read_text(encoding='utf-8'))
    cases = [(lambda facts: None, 'passes', 'the true facts')]
    cases += [(mutate, want, mutate.__name__) for mutate, want in MUTATIONS]
    failed = 0
    print(f'1..{len(cases)}')
    with tempfile.TemporaryDirectory() as folder:
        for number, (mutate, want, name) in enumerate(cases, 1):
            facts = copy.deepcopy(true_facts)
            mutate(facts)
            seen = outcome(folder, facts, generator, include, compiler)
            failed += seen != want
            print(f'{"ok" if seen == want else "not ok"} {number} - {name} {want}', flush=True)
            if seen != want:
                print(f'# it {seen}')
    return failed != 0


if __name__ == '__main__':
    sys.exit(main())
