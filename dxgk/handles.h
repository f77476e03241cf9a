// SPDX-License-Identifier: Apache-2.0
/* Which adapter is meant: by a handle that a driver gives in a callback, or by people's number. Any
 * thread, any IRQL. */
#ifndef DXGK_HANDLES_H
#define DXGK_HANDLES_H

#include "dxgk/internal.h"

/* The adapter behind a DeviceHandle or a miniport context; NULL when it is neither. */
struct dxgk_adapter *dxgk_adapter_from_context(HANDLE handle);

/* From here on the adapter's driver may call back; until _forget, which is fine on one that was
 * never remembered. */
int dxgk_adapter_remember(struct dxgk_adapter *adapter, struct vf_error *err);
void dxgk_adapter_forget(const struct dxgk_adapter *adapter);
/* Sets adapter->hAdapter, which callbacks on other threads look adapters up by. */
void dxgk_adapter_set_context(struct dxgk_adapter *adapter, HANDLE context);

/* The adapter of that number; NULL with VF_USAGE when there is none. */
struct dxgk_adapter *dxgk_adapter_find(const struct dxgk *dxgk, uint32_t index,
                                       struct vf_error *err);

#endif
