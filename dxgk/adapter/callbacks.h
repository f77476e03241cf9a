// SPDX-License-Identifier: Apache-2.0
/* The DXGKRNL_INTERFACE that StartDevice hands to a driver, and the resources behind it.
 * DeviceHandle is the adapter itself. */
#ifndef DXGK_ADAPTER_CALLBACKS_H
#define DXGK_ADAPTER_CALLBACKS_H

#include "dxgk/internal.h"

/* Fills callbacks, bars and resources; makes the adapter known. The device is open. */
int dxgk_callbacks_start(struct dxgk_adapter *adapter, struct vf_error *err);
/* Forgets it and unmaps what the driver left mapped (reported); fine on one that never started. */
void dxgk_callbacks_stop(struct dxgk_adapter *adapter);

/* Unmaps what a driver that went left mapped (reported). */
void dxgk_callbacks_unmap(struct dxgk_adapter *adapter);
#endif
