// SPDX-License-Identifier: Apache-2.0
/* The BARs: which function has which, and how an access is cut into what the registers and the
 * bitplane take. */
#include "softgpu.h"

#include <errno.h>
#include <string.h>

#define BARS 6u

int sg_bar_info(struct sg_device *dev, vf_function fn, uint32_t bar, struct vf_bar_info *out)
{
    *out = (struct vf_bar_info){VF_BAR_NONE, 0};
    if (fn > dev->options.vfs || bar >= BARS)
        return -EINVAL;
    if (bar == SG_PF_BAR_REGS)
        *out = (struct vf_bar_info){VF_BAR_REGISTERS,
                                    fn == VF_FUNCTION_PF ? SG_PF_REGS_BYTES : SG_VF_REGS_BYTES};
    else if (bar == SG_PF_BAR_VRAM && fn == VF_FUNCTION_PF)
        *out = (struct vf_bar_info){VF_BAR_VRAM, dev->vram.bytes};
    else if (bar == SG_VF_BAR_VRAM) {
        struct sg_vf *vf = &dev->vf[fn - 1];

        pthread_rwlock_rdlock(&vf->map_lock);
        if (vf->map.bytes)
            *out = (struct vf_bar_info){VF_BAR_VRAM, vf->map.bytes};
        pthread_rwlock_unlock(&vf->map_lock);
    } else if (bar == SG_PF_BAR_DIRTY && fn == VF_FUNCTION_PF)
        *out = (struct vf_bar_info){VF_BAR_REGISTERS, 2 * SG_DIRTY_WINDOW_BYTES};
    return 0;
}

/* Four bytes reach half a word: the mask is cut to that half. */
static void dirty_access(struct sg_device *dev, uint64_t offset, unsigned width, uint64_t *read,
                         const uint64_t *write)
{
    struct sg_dirty *d = &dev->vram.dirty;
    bool exchange = offset >= SG_DIRTY_WINDOW_BYTES;
    uint64_t word = offset % SG_DIRTY_WINDOW_BYTES / 8, half = width == 8 ? ~0ull : UINT32_MAX,
             mask;
    unsigned shift = (unsigned)(offset % 8) * 8;

    if (write) {
        if (exchange)
            sg_dirty_or(d, word, (*write & half) << shift);
        return;
    }
    mask = atomic_load(&dev->dirty_mask);
    *read = exchange ? sg_dirty_exchange(d, word, mask & half << shift) : sg_dirty_read(d, word);
    *read = *read >> shift & half;
}

static int register_access(struct sg_device *dev, vf_function fn, uint32_t bar, uint64_t offset,
                           unsigned width, uint64_t *read, const uint64_t *write)
{
    uint32_t at = (uint32_t)offset;

    if (bar == SG_PF_BAR_DIRTY) {
        dirty_access(dev, offset, width, read, write);
        return 0;
    }
    if (fn == VF_FUNCTION_PF)
        return write ? sg_pf_reg_write(dev, at, width, *write)
                     : sg_pf_reg_read(dev, at, width, read);
    return write ? sg_vf_reg_write(&dev->vf[fn - 1], at, width, *write)
                 : sg_vf_reg_read(&dev->vf[fn - 1], at, width, read);
}

static int registers(struct sg_device *dev, vf_function fn, uint32_t bar, uint64_t offset, void *to,
                     const void *from, uint64_t bytes)
{
    unsigned width = bytes == 4 ? 4 : 8;

    if (bytes % width || offset % width)
        return -EINVAL;
    for (uint64_t at = 0; at < bytes; at += width) {
        uint64_t value = 0;
        int rc;

        if (from)
            memcpy(&value, (const uint8_t *)from + at, width);
        rc = register_access(dev, fn, bar, offset + at, width, &value, from ? &value : NULL);
        if (rc)
            return rc;
        if (!from)
            memcpy((uint8_t *)to + at, &value, width);
    }
    return 0;
}

int sg_bar_access(struct sg_device *dev, vf_function fn, uint32_t bar, uint64_t offset, void *to,
                  const void *from, uint64_t bytes)
{
    struct vf_bar_info info;
    int rc = sg_bar_info(dev, fn, bar, &info);

    if (rc)
        return rc;
    if (info.kind == VF_BAR_NONE || offset > info.bytes || bytes > info.bytes - offset)
        return -EINVAL;
    if (info.kind == VF_BAR_REGISTERS)
        return registers(dev, fn, bar, offset, to, from, bytes);
    if (fn != VF_FUNCTION_PF)
        return sg_vf_bar(&dev->vf[fn - 1], offset, to, from, bytes);
    if (from)
        sg_vram_write(&dev->vram, offset, from, bytes);
    else
        sg_vram_read(&dev->vram, offset, to, bytes);
    return 0;
}
