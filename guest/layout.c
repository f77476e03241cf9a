// SPDX-License-Identifier: Apache-2.0
/*
 * What lies where in a partition's VRAM: range-checked access, page tables, and the description
 * block. The block is read back from a partition that a stranger may have written: nothing in it is
 * used before it was checked against the reserve.
 */
#include "guest/internal.h"

#include <inttypes.h>
#include <string.h>

_Static_assert(GUEST_RING_GPA + GUEST_RING_COMMANDS * SG_CMD_BYTES <= GUEST_TABLES_GPA,
               "the ring ends before the tables");
_Static_assert(GUEST_TABLES_GPA + GUEST_TABLES * 4096ull <= GUEST_DATA_GPA,
               "the tables end before the data");
_Static_assert(sizeof(struct guest_description) <= GUEST_COUNTERS_GPA - GUEST_DESCRIPTION_GPA,
               "one page");
_Static_assert(sizeof(struct guest_description) == 15 * 8,
               "no hidden padding: the check covers every byte");

#define LARGE_SHIFT (SG_PAGE_SHIFT + SG_LEVEL_BITS)
#define ENTRIES (1u << SG_LEVEL_BITS)

bool guest_range_ok(const struct guest_memory *memory, uint64_t gpa, uint64_t n)
{
    return gpa <= memory->bytes && n <= memory->bytes - gpa;
}

static int out_of_range(const struct guest_memory *memory, uint64_t gpa, uint64_t n,
                        struct vf_error *err)
{
    return vf_fail(err, VF_FAILED,
                   "VRAM: %" PRIu64 " bytes at 0x%" PRIx64 " end behind the reserve of %" PRIu64
                   " bytes" VF_REMEDY "give the partition more VRAM",
                   n, gpa, memory->bytes);
}

int guest_read(const struct guest_memory *memory, uint64_t gpa, void *buf, uint64_t n,
               struct vf_error *err)
{
    if (!guest_range_ok(memory, gpa, n))
        return out_of_range(memory, gpa, n, err);
    return memory->read(memory->ctx, gpa, buf, n, err);
}

int guest_write(const struct guest_memory *memory, uint64_t gpa, const void *buf, uint64_t n,
                struct vf_error *err)
{
    if (!guest_range_ok(memory, gpa, n))
        return out_of_range(memory, gpa, n, err);
    return memory->write(memory->ctx, gpa, buf, n, err);
}

/* The level-1 table of GiB `index`; a last part that fills no 2 MiB points to the tail table. */
static void fill_table(uint64_t table[ENTRIES], uint64_t index, uint64_t mapped)
{
    memset(table, 0, ENTRIES * sizeof table[0]);
    for (uint64_t i = 0; i < ENTRIES; i++) {
        uint64_t gpa = (index * ENTRIES + i) << LARGE_SHIFT;

        if (gpa >= mapped)
            return;
        if (mapped - gpa >= 1ull << LARGE_SHIFT)
            table[i] = gpa | SG_PTE_VALID | SG_PTE_WRITE | SG_PTE_LARGE;
        else
            table[i] = GUEST_TAIL_GPA | SG_PTE_VALID | SG_PTE_WRITE;
    }
}

static void fill_tail(uint64_t table[ENTRIES], uint64_t mapped)
{
    uint64_t gpa = mapped >> LARGE_SHIFT << LARGE_SHIFT;

    memset(table, 0, ENTRIES * sizeof table[0]);
    for (unsigned i = 0; gpa < mapped; i++, gpa += 1u << SG_PAGE_SHIFT)
        table[i] = gpa | SG_PTE_VALID | SG_PTE_WRITE;
}

int guest_write_tables(const struct guest_memory *memory, struct vf_error *err)
{
    uint64_t mapped = memory->bytes < GUEST_VRAM_MAX ? memory->bytes : GUEST_VRAM_MAX;
    uint64_t root[ENTRIES] = {0};
    uint64_t table[ENTRIES];

    mapped &= ~((1ull << SG_PAGE_SHIFT) - 1);
    for (uint64_t i = 0; i << (LARGE_SHIFT + SG_LEVEL_BITS) < mapped; i++) {
        root[i] = (GUEST_TABLES_GPA + i * sizeof table) | SG_PTE_VALID | SG_PTE_WRITE;
        fill_table(table, i, mapped);
        if (guest_write(memory, GUEST_TABLES_GPA + i * sizeof table, table, sizeof table, err) != 0)
            return -1;
    }
    fill_tail(table, mapped);
    if (guest_write(memory, GUEST_TAIL_GPA, table, sizeof table, err) != 0)
        return -1;
    return guest_write(memory, GUEST_ROOT_GPA, root, sizeof root, err);
}

static uint64_t check_of(const struct guest_description *description)
{
    return XXH3_64bits(description, offsetof(struct guest_description, check));
}

int guest_write_description(const struct guest_memory *memory,
                            struct guest_description *description, struct vf_error *err)
{
    static const struct guest_description none;

    if (description == NULL)
        return guest_write(memory, GUEST_DESCRIPTION_GPA, &none, sizeof none, err);
    description->magic = GUEST_MAGIC;
    description->version = GUEST_DESCRIPTION_VERSION;
    description->counters_gpa = GUEST_COUNTERS_GPA;
    description->ring_gpa = GUEST_RING_GPA;
    description->reserved = 0;
    description->check = check_of(description);
    return guest_write(memory, GUEST_DESCRIPTION_GPA, description, sizeof *description, err);
}

int guest_read_description(const struct guest_memory *memory, struct guest_description *description,
                           bool *found, struct vf_error *err)
{
    const struct guest_workload_ops *ops;

    *found = false;
    if (memory->bytes < sizeof *description)
        return 0;
    if (guest_read(memory, GUEST_DESCRIPTION_GPA, description, sizeof *description, err) != 0)
        return -1;
    ops = guest_workload_ops(description->workload);
    *found = description->magic == GUEST_MAGIC &&
             description->version == GUEST_DESCRIPTION_VERSION &&
             description->check == check_of(description) && ops != NULL &&
             description->result_bytes > 0 &&
             guest_range_ok(memory, description->result_gpa, description->result_bytes) &&
             guest_range_ok(memory, description->counters_gpa, sizeof(struct guest_counters)) &&
             ops->sane(description);
    return 0;
}
