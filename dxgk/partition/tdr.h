// SPDX-License-Identifier: Apache-2.0
/*
 * Hung commands of VFs (SRC-9: "TDR"): the driver tells of one by a triage event that asks for a
 * function level reset (adapter/resets.h); a thread of its own does it.
 */
#ifndef DXGK_PARTITION_TDR_H
#define DXGK_PARTITION_TDR_H

#include "dxgk/internal.h"

/* What the driver tells of a VF may be late: then it is about the tenant before, who went
 * meanwhile. No limit for hangs is as short as this (SRC-9: 2 s). */
#define DXGK_TDR_TOO_YOUNG_NS 250000000ull

/* Opens dxgk->resets and starts the thread that does what is asked for there. */
int dxgk_tdr_start(struct dxgk *dxgk, struct vf_error *err);
/* Ends the thread: what is asked for from here on is dropped. Before the partitions
 * go; NULL-safe. */
void dxgk_tdr_stop(struct dxgk *dxgk);

#endif
