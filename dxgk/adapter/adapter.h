// SPDX-License-Identifier: Apache-2.0
/* One adapter: device, driver, interrupts, caps, VRAM allocator, paging, brought up in order and
 * down in reverse. */
#ifndef DXGK_ADAPTER_ADAPTER_H
#define DXGK_ADAPTER_ADAPTER_H

#include "dxgk/internal.h"

/* Brings adapter `index` up. driver: path of a KMD, or NULL for the device's own
 * under config->driver_dir. */
int dxgk_adapter_start(struct dxgk *dxgk, uint32_t index, const struct dxgk_config *config,
                       const char *spec, const char *driver, struct dxgk_adapter **out,
                       struct vf_error *err);
/* No partition is left on it. NULL is allowed. */
void dxgk_adapter_stop(struct dxgk_adapter *adapter);

struct dxgk_image_rest; /* loader.h */
/* Reports what a driver left behind. */
void dxgk_adapter_judge_rest(struct dxgk_adapter *adapter, const struct dxgk_image_rest *rest);

/* Asks the driver what it can (CAP-1..6, VF-1) and fills adapter->caps, mmu and the interfaces. An
 * invalid configuration is refused; what only live migration needs turns that off, with the reason
 * in caps.migration_off. */
int dxgk_caps_query(struct dxgk_adapter *adapter, struct vf_error *err);
/* As _query, of a driver that takes over partitions at work: what they rest on must be as it was,
 * else VF_INCOMPATIBLE with the caps as they were. */
int dxgk_caps_take_over(struct dxgk_adapter *adapter, struct vf_error *err);
/* Gives the interface tables back to the driver. */
void dxgk_caps_release(struct dxgk_adapter *adapter);

#endif
