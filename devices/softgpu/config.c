// SPDX-License-Identifier: Apache-2.0
/* PCI config space: values and the bits software may change; BARs answer the sizing dance. */
#include "softgpu.h"

#include <string.h>

#define PCI_COMMAND 0x04u
#define PCI_STATUS 0x06u
#define PCI_CLASS 0x0au
#define PCI_CACHE_LINE 0x0cu
#define PCI_BAR(n) (0x10u + (n)*4u)
#define PCI_CAPABILITIES 0x34u
#define PCI_INTERRUPT_LINE 0x3cu
#define CAP_AT 0x40u
#define CAP_MSIX 0x11u
#define CLASS_DISPLAY_3D 0x0302u
#define BAR_64BIT 0x4u
#define BAR_PREFETCHABLE 0x8u

static void put(uint8_t *at, uint64_t value, unsigned bytes)
{
    for (unsigned i = 0; i < bytes; i++)
        at[i] = (uint8_t)(value >> (8 * i));
}

/* A 64-bit memory BAR: the address bits above its size can be written. */
static void set_bar(struct sg_config *c, unsigned bar, uint64_t bytes, unsigned flags)
{
    uint64_t size = SG_PAGE_BYTES;

    while (size < bytes)
        size <<= 1;
    put(&c->value[PCI_BAR(bar)], BAR_64BIT | flags, 8);
    put(&c->writable[PCI_BAR(bar)], ~(size - 1), 8);
}

void sg_config_init(struct sg_config *c, bool vf, uint64_t vram_bytes, uint64_t dirty_bytes)
{
    memset(c, 0, sizeof *c);
    put(&c->value[0], SG_PCI_VENDOR, 2);
    put(&c->value[2], vf ? SG_PCI_VF_DEVICE : SG_PCI_DEVICE, 2);
    put(&c->writable[PCI_COMMAND], 0x0406u, 2); /* memory space, bus master, interrupt disable */
    put(&c->value[PCI_CLASS], CLASS_DISPLAY_3D, 2);
    c->writable[PCI_CACHE_LINE] = 0xff;
    c->writable[PCI_INTERRUPT_LINE] = 0xff;
    set_bar(c, 0, vf ? SG_VF_REGS_BYTES : SG_PF_REGS_BYTES, 0);
    set_bar(c, 2, vram_bytes, BAR_PREFETCHABLE);
    if (!vf) {
        set_bar(c, SG_PF_BAR_DIRTY, dirty_bytes, 0);
        return;
    }
    put(&c->value[PCI_STATUS], 0x0010u, 2); /* has capabilities */
    c->value[PCI_CAPABILITIES] = CAP_AT;
    c->value[CAP_AT] = CAP_MSIX;
    put(&c->value[CAP_AT + 2], SG_MSIX_VECTORS - 1, 2);
    /* Enable, function mask: software's notes, hardware goes by the entries. */
    put(&c->writable[CAP_AT + 2], 0xc000u, 2);
    put(&c->value[CAP_AT + 4], SG_VF_MSIX_TABLE | SG_VF_BAR_REGS, 4);
    put(&c->value[CAP_AT + 8], SG_VF_MSIX_PBA | SG_VF_BAR_REGS, 4);
}

void sg_config_read(const struct sg_config *c, uint32_t offset, void *to, uint32_t bytes)
{
    memcpy(to, &c->value[offset], bytes);
}

void sg_config_write(struct sg_config *c, uint32_t offset, const void *from, uint32_t bytes)
{
    const uint8_t *in = from;

    for (uint32_t i = 0; i < bytes; i++) {
        uint8_t mask = c->writable[offset + i];

        c->value[offset + i] = (uint8_t)((c->value[offset + i] & ~mask) | (in[i] & mask));
    }
}
