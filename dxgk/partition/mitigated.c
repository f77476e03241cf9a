// SPDX-License-Identifier: Apache-2.0
/* See mitigated.h. */
#include "dxgk/partition/mitigated.h"

#include "dxgk/ddi/ddi.h"

#include <stdlib.h>
#include <string.h>

#define PCI_CAPABILITIES 0x34u
#define PCI_CAPABILITY_MSIX 0x11u
#define NO_MSIX UINT64_MAX

/* Reads little endian config space through the driver's filter (VF-5). */
static int config_read(struct dxgk_partition *partition, uint32_t offset, uint32_t bytes,
                       uint32_t *value, struct vf_error *err)
{
    *value = 0;
    return dxgk_ddi_read_config(partition, offset, value, bytes, err);
}

/* Where the MSI-X table lies, as the capability says; *offset NO_MSIX without one. */
static int find_table(struct dxgk_partition *partition, uint32_t *bar, uint64_t *offset,
                      struct vf_error *err)
{
    uint32_t at, table, id = 0;

    *offset = NO_MSIX;
    if (config_read(partition, PCI_CAPABILITIES, 1, &at, err) != 0)
        return -1;
    for (unsigned hops = 0; at >= 0x40 && at <= 0xf4 && hops < 48; hops++) {
        if (config_read(partition, at, 1, &id, err) != 0)
            return -1;
        if (id == PCI_CAPABILITY_MSIX)
            break;
        if (config_read(partition, at + 1, 1, &at, err) != 0)
            return -1;
    }
    if (id != PCI_CAPABILITY_MSIX)
        return 0;
    if (config_read(partition, at + 4, 4, &table, err) != 0)
        return -1;
    *bar = table & 7u;
    *offset = table & ~7u;
    if (*bar >= DXGK_BARS)
        return dxgk_refuse(partition->adapter, "INT-1", err,
                           "the MSI-X table of VF %u lies in BAR %u", partition->vf, *bar);
    return 0;
}

static int add_ranges(struct dxgk_partition *partition, uint32_t bar, struct vf_error *err)
{
    DXGK_MITIGATEDRANGEINFO *ranges;
    uint32_t count = 0;

    if (dxgk_ddi_mitigated_ranges(partition, bar, &ranges, &count, err) != 0)
        return -1;
    if (count > 0) {
        size_t have = partition->mitigated_count;
        struct dxgk_mitigated *grown =
            reallocarray(partition->mitigated, have + count, sizeof *grown);

        if (grown == NULL) {
            free(ranges);
            return vf_fail(err, VF_FAILED, "mitigated ranges: " VF_NO_MEMORY);
        }
        for (uint32_t i = 0; i < count; i++)
            grown[have + i] = (struct dxgk_mitigated){
                .bar = bar,
                .trap = DXGK_TRAP_UMED,
                .first = ranges[i].BasePageNumber * 4096,
                .bytes = (uint64_t)ranges[i].PageCount * 4096,
                .reads = ranges[i].InterceptReads,
                .writes = ranges[i].InterceptWrites,
            };
        partition->mitigated = grown;
        partition->mitigated_count += count;
    }
    free(ranges);
    return 0;
}

/* INT-1: the range that the table lies in is the OS' own. */
static int claim_table(struct dxgk_partition *partition, uint32_t bar, uint64_t offset,
                       struct vf_error *err)
{
    for (uint32_t i = 0; i < partition->mitigated_count; i++) {
        struct dxgk_mitigated *range = &partition->mitigated[i];

        if (range->bar != bar || range->first > offset || offset - range->first >= range->bytes)
            continue;
        range->trap = DXGK_TRAP_MSIX;
        range->reads = range->writes = true;
        partition->msix_bar = bar;
        partition->msix_offset = range->first;
        partition->msix_bytes = range->bytes;
        return 0;
    }
    if (partition->adapter->caps.live_migration)
        return dxgk_refuse(partition->adapter, "INT-1", err,
                           "the MSI-X table of VF %u lies in no mitigated range", partition->vf);
    return 0;
}

int dxgk_mitigated_find(struct dxgk_partition *partition, struct vf_error *err)
{
    uint64_t offset;
    uint32_t table_bar = 0;

    if (find_table(partition, &table_bar, &offset, err) != 0)
        return -1;
    for (uint32_t bar = 0; bar < DXGK_BARS; bar++) {
        if (add_ranges(partition, bar, err) != 0)
            return -1;
    }
    return offset == NO_MSIX ? 0 : claim_table(partition, table_bar, offset, err);
}

void dxgk_mitigated_drop(struct dxgk_partition *partition)
{
    free(partition->mitigated);
    partition->mitigated = NULL;
    partition->mitigated_count = 0;
}

enum dxgk_trap dxgk_mitigated_at(const struct dxgk_partition *partition, uint32_t bar,
                                 uint64_t offset, bool write, uint64_t *bytes)
{
    for (uint32_t i = 0; i < partition->mitigated_count; i++) {
        const struct dxgk_mitigated *range = &partition->mitigated[i];
        uint64_t left;

        if (range->bar != bar || (write ? !range->writes : !range->reads))
            continue;
        if (offset < range->first) {
            /* It may begin before the range and reach into it. */
            left = range->first - offset;
            *bytes = *bytes < left ? *bytes : left;
        } else if (offset - range->first < range->bytes) {
            left = range->bytes - (offset - range->first);
            *bytes = *bytes < left ? *bytes : left;
            return range->trap;
        }
    }
    return DXGK_TRAP_NONE;
}
