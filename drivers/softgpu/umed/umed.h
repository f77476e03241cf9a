// SPDX-License-Identifier: Apache-2.0
/*
 * What the files of the softgpu's user-mode emulation DLL share. It emulates nothing: the card's
 * only mitigated page is the MSI-X table, which the OS answers itself (INT-1). What it holds is the
 * virtual device's shape, and its migration data.
 */
#ifndef SOFTGPU_UMED_H
#define SOFTGPU_UMED_H

#include "igpupvdev.h"
#include "wdm.h"

#include <softgpu/hw.h>

/* The one class. A host that was told no class asks with all zeroes. */
DEFINE_GUID(CLSID_SoftgpuDevice, 0x6f0f4d3a, 0x92c8, 0x4b6e, 0x8f, 0x31, 0x73, 0x6f, 0x66, 0x74,
            0x67, 0x70);

/* User mode: memory comes from the C runtime's heap, as it does for any DLL. */
#define umed_alloc(bytes) __builtin_calloc(1, (bytes))
#define umed_free(p) __builtin_free(p)

/* Objects alive, of all kinds, and LockServer calls; atomic. */
void umed_module_hold(void);
void umed_module_drop(void);

/* A device object with one reference, queried for riid. E_OUTOFMEMORY, E_NOINTERFACE. */
HRESULT umed_device_create(REFIID riid, void **out);

/* Immutable data of the virtual device (SRC-3): its size, its bytes, and the check of a peer's:
 * S_OK or E_INVALIDARG. */
UINT64 umed_immutable_bytes(void);
void umed_immutable_fill(BYTE *out);
HRESULT umed_immutable_check(const BYTE *data, UINT64 bytes);

#endif
