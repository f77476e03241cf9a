// SPDX-License-Identifier: Apache-2.0
/*
 * The DDIs of driver hot update (HOT-2..6) behind the call checker. All: PASSIVE_LEVEL, the
 * adapter's gate held exclusively (or no other thread there, in the trial).
 */
#ifndef DXGK_DDI_HOTUPDATE_H
#define DXGK_DDI_HOTUPDATE_H

#include "dxgk/ksr.h"

/* Can it be updated at work? VF_INCOMPATIBLE with the reason. */
int dxgk_ddi_hot_update_possible(const struct dxgk_adapter *adapter, struct vf_error *err);
/* HOT-2. Opens a store in `set` and has the driver fill it. On failure too *out may be set: the
 * driver was asked then, and must be told of the cancel. */
int dxgk_ddi_save_memory(struct dxgk_adapter *adapter, struct dxgk_ksr_set *set,
                         struct dxgk_ksr **out, struct vf_error *err);
/* HOT-3: the update is off, go on as before. A driver that fails here is reported. */
void dxgk_ddi_cancel_hot_update(struct dxgk_adapter *adapter);
/* HOT-4: every block of the store, once each, in the order they were saved. A block that the driver
 * takes belongs to it. Stops at the first that it refuses: VF_INCOMPATIBLE. */
int dxgk_ddi_restore_memory(struct dxgk_adapter *adapter, const struct dxgk_ksr *ksr,
                            struct vf_error *err);
/* HOT-4, HOT-5: the last call, after StartDevice and take-over. */
int dxgk_ddi_restore_complete(struct dxgk_adapter *adapter, struct vf_error *err);
/* HOT-3: asks a driver that took over whether it knows the partition, with all its VRAM. */
int dxgk_ddi_knows_vgpu(struct dxgk_adapter *adapter, uint32_t vf, uint64_t vram_bytes,
                        struct vf_error *err);

#endif
