// SPDX-License-Identifier: Apache-2.0
/* A driver that has just started takes over an adapter's partitions at work (HOT-4, HOT-5). */
#ifndef DXGK_HOTUPDATE_TAKEOVER_H
#define DXGK_HOTUPDATE_TAKEOVER_H

#include "dxgk/internal.h"

/* Between StartDevice and RestoreComplete: holds the driver's caps against those that partitions
 * rest on, and makes again what died with the old driver's handles: paging process, memory bases,
 * dirty tracking. The gate is held exclusively. */
int dxgk_take_over(struct dxgk_adapter *adapter, struct vf_error *err);
/* Has the adapter any partition? */
bool dxgk_has_partitions(struct dxgk_adapter *adapter);

#endif
