// SPDX-License-Identifier: Apache-2.0
/* Events: what drivers say by DxgkCbLogEtwEvent, and the capturing of triage events as reasons of
 * a refusal. */
#ifndef DXGK_ADAPTER_TRIAGE_H
#define DXGK_ADAPTER_TRIAGE_H

#include "dxgk/internal.h"

/* From here on triage events that name this VF are added to *reasons (TGT-2). One capture per VF at
 * a time. */
void dxgk_triage_begin(struct dxgk_adapter *adapter, uint32_t vf, struct vf_reasons *reasons);
void dxgk_triage_end(struct dxgk_adapter *adapter, uint32_t vf);

/* DxgkCbLogEtwEvent: any IRQL up to 256 bytes, PASSIVE_LEVEL above. */
void dxgk_cb_log_etw_event(LPCGUID guid, UCHAR type, USHORT bytes, PVOID buffer);

#endif
