// SPDX-License-Identifier: Apache-2.0
/*
 * Immutable migration data: what a VF's host must be for the VF to go on there. The target compares
 * field by field and tells of every one that fails, each with both values and the remedy (TGT-2).
 */
#include "softgpu_kmd.h"

#define SGK_IMMUTABLE_MAGIC 0x494d4753u /* "SGMI" */
#define SGK_IMMUTABLE_VERSION 1u

#pragma pack(push, 1)
struct sgk_immutable {
    ULONG magic;
    ULONG version;
    ULONG bytes;      /* sizeof(struct sgk_immutable) */
    ULONG device;     /* vendor << 16 | device */
    ULONG hw_version; /* major << 16 | minor, as are the next two */
    ULONG fw_version;
    ULONG driver_version;
    ULONG features;     /* SG_FEATURE_*; told, not compared: a guest sees none of them */
    ULONG segments;     /* memory segments a reserve consists of */
    ULONG dirty_page;   /* bytes */
    ULONG scatter_page; /* bytes; 0 = reserves are contiguous */
    ULONG vectors;      /* MSI-X vectors of a VF */
    ULONG64 reserve;    /* bytes */
};
#pragma pack(pop)
C_ASSERT(sizeof(struct sgk_immutable) == 56);

#define SGK_DEVICE (SG_PCI_VENDOR << 16 | SG_PCI_VF_DEVICE)
#define SGK_DRIVER_VERSION (SGK_DRIVER_MAJOR << 16 | SGK_DRIVER_MINOR)
#define SGK_SEGMENTS 1u

SIZE_T sgk_immutable_bytes(void)
{
    return sizeof(struct sgk_immutable);
}

void sgk_immutable_fill(const struct sgk_adapter *adapter, const struct sgk_vgpu *vgpu, PVOID data)
{
    struct sgk_immutable out = {
        .magic = SGK_IMMUTABLE_MAGIC,
        .version = SGK_IMMUTABLE_VERSION,
        .bytes = sizeof(out),
        .device = SGK_DEVICE,
        .hw_version = adapter->hw_version,
        .fw_version = adapter->fw_version,
        .driver_version = SGK_DRIVER_VERSION,
        .features = adapter->features,
        .segments = SGK_SEGMENTS,
        .dirty_page = 1u << adapter->dirty_shift,
        .scatter_page = sgk_scatters(adapter) ? 1u << adapter->scatter_shift : 0,
        .vectors = SG_MSIX_VECTORS,
        .reserve = vgpu->reserve_bytes,
    };

    RtlCopyMemory(data, &out, sizeof(out));
}

struct sgk_comparison {
    struct sgk_adapter *adapter;
    ULONG index;
    ULONG mismatches;
};

static void sgk_mismatch(struct sgk_comparison *comparison, PCSTR field, enum sgk_format format,
                         ULONG64 source, ULONG64 target, PCSTR remedy)
{
    sgk_triage_mismatch(comparison->adapter, comparison->index, field, format, source, target,
                        remedy);
    comparison->mismatches++;
}

static void sgk_compare(struct sgk_comparison *comparison, const struct sgk_immutable *source)
{
    const struct sgk_adapter *adapter = comparison->adapter;
    ULONG dirty_page = 1u << adapter->dirty_shift;
    ULONG scatter_page = sgk_scatters(adapter) ? 1u << adapter->scatter_shift : 0;
    ULONG alignment = sgk_reserve_alignment(adapter);

    if (source->device != SGK_DEVICE || source->vectors != SG_MSIX_VECTORS)
        sgk_mismatch(comparison, "device", SGK_HEX_PAIR, source->device, SGK_DEVICE,
                     "choose a host with the same GPU");
    if (source->hw_version != adapter->hw_version)
        sgk_mismatch(comparison, "hardware", SGK_VERSION, source->hw_version, adapter->hw_version,
                     "choose a host with the same GPU revision");
    if (source->fw_version != adapter->fw_version)
        sgk_mismatch(comparison, "firmware", SGK_VERSION, source->fw_version, adapter->fw_version,
                     "bring both hosts to the same firmware");
    /* An execution state of this driver's past can be taken up, one of its future cannot. */
    if (source->driver_version >> 16 != SGK_DRIVER_MAJOR ||
        (source->driver_version & 0xffffu) > SGK_DRIVER_MINOR)
        sgk_mismatch(comparison, "driver", SGK_VERSION, source->driver_version, SGK_DRIVER_VERSION,
                     "update the target's driver to the source's version or newer");
    /* Geometry only: whether so many bytes are free is the OS's to compare. */
    if (source->segments != SGK_SEGMENTS)
        sgk_mismatch(comparison, "vram", SGK_NUMBER, source->segments, SGK_SEGMENTS,
                     "choose a host whose partitions have as many memory segments");
    else if (source->reserve == 0 || source->reserve % alignment)
        sgk_mismatch(comparison, "vram", SGK_BYTES, source->reserve, alignment,
                     "choose a partition size that is a multiple of the target's alignment");
    if (source->dirty_page != dirty_page)
        sgk_mismatch(comparison, "dirty-page", SGK_BYTES, source->dirty_page, dirty_page,
                     "start both devices with the same dirty-page");
    /* A contiguous reserve may land on scattered pages and the other way round: a guest sees
     * no difference. */
    if (source->scatter_page && scatter_page && source->scatter_page != scatter_page)
        sgk_mismatch(comparison, "scatter-page", SGK_BYTES, source->scatter_page, scatter_page,
                     "choose a host whose GPU scatters by the same page");
}

NTSTATUS sgk_immutable_check(struct sgk_adapter *adapter, ULONG index, const void *data,
                             SIZE_T bytes)
{
    struct sgk_comparison comparison = {.adapter = adapter, .index = index};
    struct sgk_immutable source;

    if (bytes < FIELD_OFFSET(struct sgk_immutable, device))
        return STATUS_INVALID_PARAMETER;
    RtlZeroMemory(&source, sizeof(source));
    RtlCopyMemory(&source, data, bytes < sizeof(source) ? bytes : sizeof(source));
    if (source.magic != SGK_IMMUTABLE_MAGIC || source.bytes != bytes)
        return STATUS_INVALID_PARAMETER;
    if (source.version != SGK_IMMUTABLE_VERSION) {
        /* Nothing behind the header can be read: this is the only reason that can be given. */
        sgk_mismatch(&comparison, "driver-data", SGK_NUMBER, source.version, SGK_IMMUTABLE_VERSION,
                     "update the older host's driver");
        return STATUS_OBJECT_TYPE_MISMATCH;
    }
    if (bytes != sizeof(source))
        return STATUS_INVALID_PARAMETER;
    sgk_compare(&comparison, &source);
    return comparison.mismatches ? STATUS_OBJECT_TYPE_MISMATCH : STATUS_SUCCESS;
}
