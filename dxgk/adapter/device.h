// SPDX-License-Identifier: Apache-2.0
/* Loading a hardware model (include/vferry/device.h) and opening one device of it. */
#ifndef DXGK_ADAPTER_DEVICE_H
#define DXGK_ADAPTER_DEVICE_H

#include "dxgk/internal.h"

/* Opens the device that `spec` ("NAME[,key[=value]]...") describes, from device_dir/NAME.so; fills
 * adapter->device_lib, dev and ops. Runs no interrupt yet. VF_USAGE for a bad spec or option,
 * VF_FAILED otherwise. */
int dxgk_device_open(struct dxgk_adapter *adapter, const char *spec, const char *device_dir,
                     struct vf_error *err);
/* The reverse; does nothing when open failed. */
void dxgk_device_close(struct dxgk_adapter *adapter);

#endif
