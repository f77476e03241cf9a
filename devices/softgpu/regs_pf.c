// SPDX-License-Identifier: Apache-2.0
/* The PF's registers, and the control block it has for each VF. */
#include "softgpu.h"

#include <errno.h>
#include <string.h>

#define MAX_WEIGHT 1024u
#define MAX_LEND 1024u
#define CONFIG_END (SG_VFC_CONFIG + SG_CONFIG_BYTES)
#define STATE_END (SG_VFC_STATE + SG_STATE_WINDOW)

static bool is_wide_vfc(uint32_t reg)
{
    switch (reg) {
    case SG_VFC_FAULT_VA64:
    case SG_VFC_RUNTIME_NS64:
    case SG_VFC_HANG_NS64:
    case SG_VFC_MAP_GPA64:
    case SG_VFC_MAP_PHYS64:
    case SG_VFC_MAP_BYTES64:
    case SG_VFC_MSIX_ADDR64:
        return true;
    default:
        return false;
    }
}

static bool is_wide(uint32_t offset)
{
    if (offset >= SG_PF_VF_BLOCK)
        return is_wide_vfc((offset - SG_PF_VF_BLOCK) % SG_PF_VF_STRIDE);
    switch (offset) {
    case SG_PF_VRAM_BYTES64:
    case SG_PF_PAGING_ROOT64:
    case SG_PF_PAGING_VA64:
    case SG_PF_PAGING_FAULT_VA64:
    case SG_PF_DIRTY_MASK64:
        return true;
    default:
        return false;
    }
}

/* The byte windows of a control block: config space and saved state. NULL = `reg` is not in one. */
static uint8_t *state_window(struct sg_vf *vf, uint32_t reg)
{
    return reg >= SG_VFC_STATE && reg < STATE_END ? &vf->window[reg - SG_VFC_STATE] : NULL;
}

static bool in_config(uint32_t reg)
{
    return reg >= SG_VFC_CONFIG && reg < CONFIG_END;
}

static uint64_t read_vfc(struct sg_vf *vf, uint32_t reg)
{
    switch (reg) {
    case SG_VFC_CTRL:
        return vf->ctrl;
    case SG_VFC_STATUS:
        return sg_vf_status(vf);
    case SG_VFC_WEIGHT:
        return vf->weight;
    case SG_VFC_LEND:
        return vf->lend;
    case SG_VFC_FAULT_VA64:
        return vf->fault_va;
    case SG_VFC_RUNTIME_NS64:
        return vf->runtime_ns;
    case SG_VFC_HANG_NS64:
        return vf->hang_ns;
    case SG_VFC_FAULTS:
        return vf->faults;
    case SG_VFC_HANGS:
        return vf->hangs;
    case SG_VFC_MAP_GPA64:
        return vf->map_gpa;
    case SG_VFC_MAP_PHYS64:
        return vf->map_phys;
    case SG_VFC_MAP_BYTES64:
        return vf->map_bytes;
    case SG_VFC_MAP_RESULT:
        return vf->map_result;
    case SG_VFC_MSIX_INDEX:
        return vf->msix_index;
    case SG_VFC_MSIX_ADDR64:
        return vf->msix_next.address;
    case SG_VFC_MSIX_DATA:
        return vf->msix_next.data;
    case SG_VFC_MSIX_CTRL:
        return vf->msix_next.control;
    case SG_VFC_STATE_RESULT:
        return vf->state_result;
    default:
        return 0;
    }
}

static void write_vfc(struct sg_vf *vf, uint32_t reg, uint64_t value)
{
    switch (reg) {
    case SG_VFC_CTRL:
        sg_vf_control(vf, (uint32_t)value);
        break;
    case SG_VFC_RESET:
        if (value == 1)
            sg_vf_reset(vf);
        break;
    case SG_VFC_WEIGHT:
        vf->weight = (uint32_t)sg_max(1, sg_min(value, MAX_WEIGHT));
        break;
    case SG_VFC_LEND:
        vf->lend = (uint32_t)sg_min(value, MAX_LEND);
        sg_engines_kick(vf->dev); /* a slot that stands still may have to end that */
        break;
    case SG_VFC_HANG_NS64:
        vf->hang_ns = value;
        break;
    case SG_VFC_MAP_GPA64:
        vf->map_gpa = value;
        break;
    case SG_VFC_MAP_PHYS64:
        vf->map_phys = value;
        break;
    case SG_VFC_MAP_BYTES64:
        vf->map_bytes = value;
        break;
    case SG_VFC_MAP_CMD:
        sg_vf_map_command(vf, (uint32_t)value);
        break;
    case SG_VFC_MSIX_INDEX:
        vf->msix_index = (uint32_t)value;
        break;
    case SG_VFC_MSIX_ADDR64:
        vf->msix_next.address = value;
        break;
    case SG_VFC_MSIX_DATA:
        vf->msix_next.data = (uint32_t)value;
        break;
    case SG_VFC_MSIX_CTRL:
        vf->msix_next.control = (uint32_t)value;
        if (vf->msix_index < SG_MSIX_VECTORS)
            sg_msix_commit(vf, vf->msix_index, &vf->msix_next);
        break;
    case SG_VFC_STATE_CMD:
        sg_vf_state_command(vf, (uint32_t)value);
        break;
    default:
        break;
    }
}

static uint64_t read_interrupts(struct sg_device *dev, uint32_t offset)
{
    uint64_t value;

    pthread_mutex_lock(&dev->irq.lock);
    value = offset == SG_PF_INT_STATUS ? dev->irq.status : dev->irq.enable;
    pthread_mutex_unlock(&dev->irq.lock);
    return value;
}

static uint64_t read_pf(struct sg_device *dev, uint32_t offset)
{
    uint64_t value = 0;

    if (sg_paging_read(dev, offset, &value))
        return value;
    switch (offset) {
    case SG_PF_ID:
        return SG_ID_VALUE;
    case SG_PF_HW_VERSION:
        return SG_HW_VERSION;
    case SG_PF_FW_VERSION:
        return dev->options.fw_version;
    case SG_PF_VF_COUNT:
        return dev->options.vfs;
    case SG_PF_FEATURES:
        return (dev->options.performant ? SG_FEATURE_DIRTY_PERFORMANT : 0) |
               (dev->options.scatter ? SG_FEATURE_SCATTER : 0);
    case SG_PF_DIRTY_PAGE_SHIFT:
        return dev->vram.dirty.page_shift;
    case SG_PF_SCATTER_PAGE_SHIFT:
        return dev->scatter_shift;
    case SG_PF_VRAM_BYTES64:
        return dev->vram.bytes;
    case SG_PF_INT_STATUS:
    case SG_PF_INT_ENABLE:
        return read_interrupts(dev, offset);
    case SG_PF_DIRTY_MASK64:
        return atomic_load(&dev->dirty_mask);
    case SG_PF_DIRTY_ENABLE:
        return atomic_load(&dev->vram.dirty.enable);
    default:
        return 0;
    }
}

static void write_pf(struct sg_device *dev, uint32_t offset, uint64_t value)
{
    if (sg_paging_write(dev, offset, value))
        return;
    switch (offset) {
    case SG_PF_INT_STATUS:
        sg_irq_clear(dev, (uint32_t)value);
        break;
    case SG_PF_INT_ENABLE:
        sg_irq_enable(dev, (uint32_t)value);
        break;
    case SG_PF_DIRTY_MASK64:
        atomic_store(&dev->dirty_mask, value);
        break;
    case SG_PF_DIRTY_ENABLE:
        atomic_store(&dev->vram.dirty.enable, (uint32_t)value & 1u);
        break;
    default:
        break;
    }
}

/* One register, or a piece of a window; device lock held. What the manual does not name reads
 * as zero. */
static uint64_t read_one(struct sg_device *dev, uint32_t offset, unsigned width)
{
    uint32_t index = (offset - SG_PF_VF_BLOCK) / SG_PF_VF_STRIDE,
             reg = (offset - SG_PF_VF_BLOCK) % SG_PF_VF_STRIDE;
    uint64_t value = 0;
    uint8_t *window;

    if (offset < SG_PF_VF_BLOCK)
        return read_pf(dev, offset);
    if (index >= dev->options.vfs)
        return 0;
    window = state_window(&dev->vf[index], reg);
    if (window)
        memcpy(&value, window, width);
    else if (in_config(reg))
        sg_config_read(&dev->vf[index].config, reg - SG_VFC_CONFIG, &value, width);
    else
        value = read_vfc(&dev->vf[index], reg);
    return value;
}

static void write_one(struct sg_device *dev, uint32_t offset, unsigned width, uint64_t value)
{
    uint32_t index = (offset - SG_PF_VF_BLOCK) / SG_PF_VF_STRIDE,
             reg = (offset - SG_PF_VF_BLOCK) % SG_PF_VF_STRIDE;
    uint8_t *window;

    if (offset < SG_PF_VF_BLOCK) {
        write_pf(dev, offset, value);
        return;
    }
    if (index >= dev->options.vfs)
        return;
    window = state_window(&dev->vf[index], reg);
    if (window)
        memcpy(window, &value, width);
    else if (in_config(reg))
        sg_config_write(&dev->vf[index].config, reg - SG_VFC_CONFIG, &value, width);
    else
        write_vfc(&dev->vf[index], reg, value);
}

int sg_pf_reg_read(struct sg_device *dev, uint32_t offset, unsigned width, uint64_t *value)
{
    if (width == 4 && is_wide(offset & ~7u))
        return -EINVAL;
    pthread_mutex_lock(&dev->lock);
    if (width == 8 && !is_wide(offset)) {
        *value = read_one(dev, offset, 4) & UINT32_MAX;
        *value |= read_one(dev, offset + 4, 4) << 32;
    } else {
        *value = read_one(dev, offset, width);
    }
    pthread_mutex_unlock(&dev->lock);
    return 0;
}

int sg_pf_reg_write(struct sg_device *dev, uint32_t offset, unsigned width, uint64_t value)
{
    if (width == 4 && is_wide(offset & ~7u))
        return -EINVAL;
    pthread_mutex_lock(&dev->lock);
    if (width == 8 && !is_wide(offset)) {
        write_one(dev, offset, 4, value & UINT32_MAX);
        write_one(dev, offset + 4, 4, value >> 32);
    } else {
        write_one(dev, offset, width, value);
    }
    pthread_mutex_unlock(&dev->lock);
    return 0;
}
