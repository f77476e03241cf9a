// SPDX-License-Identifier: Apache-2.0
/*
 * The virtual device's immutable data: its shape as the guest's bus has seen it. A target must
 * offer the same.
 */
#include "umed.h"

#define UMED_MAGIC 0x554d4753u /* "SGMU" */
#define UMED_VERSION 1u

#pragma pack(push, 1)
struct umed_immutable {
    UINT32 magic;
    UINT32 version;
    UINT32 bytes;  /* sizeof(struct umed_immutable) */
    UINT32 device; /* vendor << 16 | device */
    CLSID class_id;
    UINT32 register_bar;
    UINT32 register_bytes;
    UINT32 vram_bar;
    UINT32 table_offset; /* MSI-X table, bytes in the register BAR */
    UINT32 pending_offset;
    UINT32 vectors;
    UINT32 platform_offset;
};
#pragma pack(pop)
C_ASSERT(sizeof(struct umed_immutable) == 60);

static struct umed_immutable umed_shape(void)
{
    return (struct umed_immutable){
        .magic = UMED_MAGIC,
        .version = UMED_VERSION,
        .bytes = sizeof(struct umed_immutable),
        .device = SG_PCI_VENDOR << 16 | SG_PCI_VF_DEVICE,
        .class_id = CLSID_SoftgpuDevice,
        .register_bar = SG_VF_BAR_REGS,
        .register_bytes = SG_VF_REGS_BYTES,
        .vram_bar = SG_VF_BAR_VRAM,
        .table_offset = SG_VF_MSIX_TABLE,
        .pending_offset = SG_VF_MSIX_PBA,
        .vectors = SG_MSIX_VECTORS,
        .platform_offset = SG_VF_PLATFORM,
    };
}

UINT64 umed_immutable_bytes(void)
{
    return sizeof(struct umed_immutable);
}

void umed_immutable_fill(BYTE *out)
{
    struct umed_immutable shape = umed_shape();

    RtlCopyMemory(out, &shape, sizeof(shape));
}

HRESULT umed_immutable_check(const BYTE *data, UINT64 bytes)
{
    struct umed_immutable ours = umed_shape(), theirs;

    if (bytes != sizeof(theirs))
        return E_INVALIDARG;
    RtlCopyMemory(&theirs, data, sizeof(theirs));
    /* One version so far, and no field that may differ: a guest has mapped what these say. */
    return RtlEqualMemory(&theirs, &ours, sizeof(ours)) ? S_OK : E_INVALIDARG;
}
