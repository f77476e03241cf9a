// SPDX-License-Identifier: Apache-2.0
/*
 * The saved store of a driver update (HOT-2): what each adapter's old driver saved, kept in one
 * memfd that only this process and the trial's can see, until the new driver has taken over. A
 * store holds the data, not the driver's pages: ranges and MDLs are read when the driver's Save
 * returns, buffers when they are handed in.
 */
#ifndef DXGK_KSR_H
#define DXGK_KSR_H

#include "dxgk/internal.h"

#define DXGK_KSR_LIMIT (256ull << 20)    /* bytes of one update, all adapters and metadata */
#define DXGK_KSR_MAX_BLOCKS 4096u        /* of one adapter */
#define DXGK_KSR_MAX_RANGES 65536u       /* of one block */
#define DXGK_KSR_MAX_METADATA (64u << 10) /* of one block */

/* All stores of one update: they share the limit, and no physical page may be in two of them. Used
 * by one thread. */
struct dxgk_ksr_set;

int dxgk_ksr_set_new(struct dxgk_ksr_set **out, struct vf_error *err);
/* Frees all stores; an MDL that is still lent goes back to its driver. NULL is allowed. */
void dxgk_ksr_set_free(struct dxgk_ksr_set *set);
uint64_t dxgk_ksr_set_bytes(const struct dxgk_ksr_set *set);
uint32_t dxgk_ksr_set_blocks(const struct dxgk_ksr_set *set);

/* Opens a store for DxgkDdiSaveMemoryForHotUpdate of the adapter: DxgkCbSaveMemoryForHotUpdate
 * works on this thread from here on. */
int dxgk_ksr_begin(struct dxgk_ksr_set *set, struct dxgk_adapter *adapter, struct dxgk_ksr **out,
                   struct vf_error *err);
/* The call returned, with `status`. Reads pages and MDLs. VF_INCOMPATIBLE when the driver failed,
 * or when a block was refused: half a state is none, even if the driver did not mind. */
int dxgk_ksr_end(struct dxgk_ksr *ksr, NTSTATUS status, struct vf_error *err);
uint32_t dxgk_ksr_blocks(const struct dxgk_ksr *ksr);

/* The update is off: MDLs that were saved belong to the driver again. Idempotent. */
void dxgk_ksr_cancel(struct dxgk_ksr *ksr);
/* The driver is gone: MDLs that were saved are freed. One that it freed itself is reported (NT
 * misuse). Idempotent. */
void dxgk_ksr_settle(struct dxgk_ksr *ksr);

/* One block as a driver gets it back: an MDL of its own with exactly the saved bytes (nt_mdl_free,
 * unless the driver takes it over), and guarded metadata (dxgk_guarded_free; NULL with 0 bytes). As
 * often as wanted. */
struct dxgk_ksr_restored {
    PMDL mdl;
    void *metadata;
    uint32_t metadata_bytes;
};
int dxgk_ksr_read(const struct dxgk_ksr *ksr, uint32_t index, struct dxgk_ksr_restored *out,
                  struct vf_error *err);

/* ---- for the trial process ---- */

/* The memfd (borrowed), and where in it dxgk_ksr_set_adopt finds all stores. */
int dxgk_ksr_set_export(struct dxgk_ksr_set *set, int *fd, uint64_t *index, struct vf_error *err);
/* Stores exported by the parent, in order: `count` of them in stores[]. Takes fd over, on
 * failure too. */
int dxgk_ksr_set_adopt(int fd, uint64_t index, uint32_t count, struct dxgk_ksr_set **out,
                       struct dxgk_ksr **stores, struct vf_error *err);

/* DXGKRNL_INTERFACE slot. PASSIVE_LEVEL, within DxgkDdiSaveMemoryForHotUpdate. */
NTSTATUS dxgk_cb_save_memory_for_hot_update(HANDLE handle,
                                            const DXGKARGCB_SAVEMEMORYFORHOTUPDATE *args);

#endif
