// SPDX-License-Identifier: Apache-2.0
/*
 * VFs whose driver asked for a function level reset (SRC-9), until the thread of partition/tdr.c
 * has done it: a driver that asks waits for nobody.
 */
#ifndef DXGK_ADAPTER_RESETS_H
#define DXGK_ADAPTER_RESETS_H

#include "dxgk/internal.h"

/* Sets dxgk->resets. */
int dxgk_resets_open(struct dxgk *dxgk, struct vf_error *err);
/* Once no driver is left and nobody takes. NULL-safe. */
void dxgk_resets_close(struct dxgk *dxgk);

/* The VF shall be reset. Any thread, any IRQL; takes only a leaf lock. */
void dxgk_resets_ask(struct dxgk_adapter *adapter, uint32_t vf);
/* The VF has a new tenant: what was asked for is the old one's. */
void dxgk_resets_forget(struct dxgk_adapter *adapter, uint32_t vf);

/* Waits for a VF that is to be reset, in the order of adapters and VFs; false once it has ended. */
bool dxgk_resets_take(struct dxgk *dxgk, uint32_t *adapter, uint32_t *vf);
/* What is asked for from here on is dropped. */
void dxgk_resets_end(struct dxgk *dxgk);

#endif
