// SPDX-License-Identifier: Apache-2.0
/*
 * The DDIs of device start, partitions and live migration, each behind the call checker: what the
 * OS side does wrong is refused before the driver sees it, what the driver does wrong is refused
 * after; both are told by dxgk_report with the rule's id. All: PASSIVE_LEVEL. Those that take a
 * partition: partition->lock held. Those of memory bases and paging are in
 * basis.h and paging.h.
 */
#ifndef DXGK_DDI_DDI_H
#define DXGK_DDI_DDI_H

#include "dxgk/internal.h"

/* ---- device start (CAP-7) ---- */

/* Sets adapter->hAdapter and added. */
int dxgk_ddi_add_device(struct dxgk_adapter *adapter, struct vf_error *err);
/* Sets adapter->started. */
int dxgk_ddi_start_device(struct dxgk_adapter *adapter, struct vf_error *err);
/* Do nothing unless started or added; a driver that fails here is reported. */
void dxgk_ddi_stop_device(struct dxgk_adapter *adapter);
void dxgk_ddi_remove_device(struct dxgk_adapter *adapter);

/* `out` is filled on success only. With `in_out` the driver sees its old contents, else
 * poison, so that a success that sets nothing is caught; that, and a write behind `out`, comes
 * back as STATUS_UNSUCCESSFUL. */
NTSTATUS dxgk_ddi_query_adapter_info(struct dxgk_adapter *adapter, DXGK_QUERYADAPTERINFOTYPE type,
                                     void *in, uint32_t in_bytes, void *out, uint32_t out_bytes,
                                     bool in_out);
/* Fills the interface at `out`, `size` bytes, of which a driver of an older kit may know less. */
NTSTATUS dxgk_ddi_query_interface(struct dxgk_adapter *adapter, const GUID *guid, uint16_t version,
                                  void *out, uint16_t size);

/* ---- partitions (VF-1..6) ---- */

/* The largest number of partitions the driver allows (VF-1); 0 when it names none. */
int dxgk_ddi_largest_partition_count(struct dxgk_adapter *adapter, uint32_t *count,
                                     struct vf_error *err);
int dxgk_ddi_set_partition_count(struct dxgk_adapter *adapter, uint32_t count,
                                 struct vf_error *err);
/* profile has DXGK_VGPU_CAPABILITY_MAX entries. */
int dxgk_ddi_vgpu_profile(struct dxgk_adapter *adapter, uint32_t count,
                          DXGK_VGPU_PROFILE_CAPABILITY *profile, struct vf_error *err);

/* arg->PartitionId and Profile are set by the caller; the rest is checked when it comes back. */
int dxgk_ddi_create_vgpu(struct dxgk_partition *partition, DXGKARG_CREATEVIRTUALGPU *arg,
                         struct vf_error *err);
/* The reserve in partition->ranges; through SetVirtualGpuResources2 when partition->reserve_basis
 * is set. */
int dxgk_ddi_set_resources(struct dxgk_partition *partition, struct vf_error *err);
/* A failure leaves the VF and its VRAM with the driver: they must never be handed out again. */
int dxgk_ddi_destroy_vgpu(struct dxgk_partition *partition, struct vf_error *err);
int dxgk_ddi_reset_vf(struct dxgk_partition *partition, struct vf_error *err);
/* D0 or D3. */
int dxgk_ddi_set_power(struct dxgk_partition *partition, bool on, struct vf_error *err);
/* VF-4. Doing what is in effect already is no error and no call. */
int dxgk_ddi_set_pause(struct dxgk_partition *partition, bool pause, struct vf_error *err);
/* VF-5. *ranges is malloc'ed, *count may be 0 (then *ranges is NULL). */
int dxgk_ddi_mitigated_ranges(struct dxgk_partition *partition, uint32_t bar,
                              DXGK_MITIGATEDRANGEINFO **ranges, uint32_t *count,
                              struct vf_error *err);
/* VF-5: the VF's config space through the driver's filter. */
int dxgk_ddi_read_config(struct dxgk_partition *partition, uint32_t offset, void *data,
                         uint32_t bytes, struct vf_error *err);

/* INT-2: host's message for one vector of a VF. PASSIVE_LEVEL. */
int dxgk_ddi_write_virtualized_interrupt(struct dxgk_adapter *adapter, uint32_t vf, uint16_t index,
                                         const DXGK_INTERRUPT_TABLE_ENTRY *entry,
                                         struct vf_error *err);

/* ---- live migration (SRC, TGT) ---- */

enum dxgk_migration_data { DXGK_IMMUTABLE, DXGK_MUTABLE };

int dxgk_ddi_prepare(struct dxgk_partition *partition, bool target, struct vf_error *err);
int dxgk_ddi_end(struct dxgk_partition *partition, struct vf_error *err);
/* SRC-2, SRC-6: both calls of the pair. blob->data is malloc'ed. */
int dxgk_ddi_save(struct dxgk_partition *partition, enum dxgk_migration_data what,
                  struct dxgk_blob *blob, struct vf_error *err);
/* TGT-2, TGT-4. err->status is STATUS_OBJECT_TYPE_MISMATCH, code VF_INCOMPATIBLE, when the driver
 * says "not here". */
int dxgk_ddi_restore(struct dxgk_partition *partition, enum dxgk_migration_data what,
                     const struct dxgk_blob *blob, struct vf_error *err);

/* Reports a breach by the OS side and fills *err with it; returns -1. */
int dxgk_refuse(struct dxgk_adapter *adapter, const char *rule, struct vf_error *err,
                const char *format, ...) __attribute__((format(printf, 4, 5)));

#endif
