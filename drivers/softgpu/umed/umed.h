// SPDX-License-Identifier: Apache-2.0
/*
 * What the files of the softgpu's user-mode emulation DLL share. It emulates the platform page
 * (hw.h); the card's other mitigated page, the MSI-X table's, the OS answers itself (INT-1). Its
 * migration data: the virtual device's shape (immutable) and the page's state (mutable).
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

/* ---- the platform page (platform.c); the host makes one call at a time ---- */

struct umed_platform {
    ULONG indicator;
    ULONG64 stores, sum;
    BYTE notes[SG_PLAT_NOTES_BYTES];
};

/* `offset` from the page's start, `length` 4 or 8, naturally aligned, inside the page; else FALSE.
 * Reads of what is not there give 0; a store to it is refused (FALSE) and changes nothing. */
BOOL umed_platform_read(const struct umed_platform *platform, ULONG64 offset, ULONG64 length,
                        BYTE *value);
BOOL umed_platform_write(struct umed_platform *platform, ULONG64 offset, ULONG64 length,
                         const BYTE *value);

/* Its state as it moves: a versioned record. */
ULONG umed_platform_state_bytes(void);
void umed_platform_save(const struct umed_platform *platform, BYTE *out);
/* Untrusted: exact size, magic and version, or FALSE and nothing changed. */
BOOL umed_platform_restore(struct umed_platform *platform, const BYTE *data, ULONG bytes);

#endif
