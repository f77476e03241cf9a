// SPDX-License-Identifier: Apache-2.0
/*
 * Mismatch events for the OS's triage log, and the little text building they need: a kernel has no
 * printf into 16-bit characters.
 */
#include "softgpu_kmd.h"

#define SGK_EVENT_TYPE_INFO 0u /* "information" of an event trace */

struct sgk_text {
    WCHAR *at;
    WCHAR *end; /* where the terminator goes at the latest */
};

static void sgk_text_char(struct sgk_text *text, char c)
{
    if (text->at < text->end)
        *text->at++ = (WCHAR)c;
    *text->at = 0;
}

static void sgk_text_string(struct sgk_text *text, PCSTR string)
{
    for (; *string; string++)
        sgk_text_char(text, *string);
}

static void sgk_text_number(struct sgk_text *text, ULONG64 value, ULONG base, ULONG digits)
{
    char reversed[20];
    ULONG count = 0;

    do {
        reversed[count++] = "0123456789abcdef"[value % base];
        value /= base;
    } while (value || count < digits);
    while (count)
        sgk_text_char(text, reversed[--count]);
}

/* As people write sizes: "64K", "2M"; plain bytes where no unit divides. */
static void sgk_text_bytes(struct sgk_text *text, ULONG64 value)
{
    static const char units[] = "\0KMGT";
    ULONG unit = 0;

    while (value && value % 1024 == 0 && unit < 4) {
        value /= 1024;
        unit++;
    }
    sgk_text_number(text, value, 10, 1);
    if (unit)
        sgk_text_char(text, units[unit]);
}

static void sgk_text_value(struct sgk_text *text, enum sgk_format format, ULONG64 value)
{
    switch (format) {
    case SGK_HEX_PAIR:
        sgk_text_number(text, value >> 16 & 0xffffu, 16, 4);
        sgk_text_char(text, ':');
        sgk_text_number(text, value & 0xffffu, 16, 4);
        break;
    case SGK_VERSION:
        sgk_text_number(text, value >> 16 & 0xffffu, 10, 1);
        sgk_text_char(text, '.');
        sgk_text_number(text, value & 0xffffu, 10, 1);
        break;
    case SGK_BYTES:
        sgk_text_bytes(text, value);
        break;
    case SGK_NUMBER:
        sgk_text_number(text, value, 10, 1);
        break;
    }
}

void sgk_triage_mismatch(struct sgk_adapter *adapter, ULONG index, PCSTR field,
                         enum sgk_format format, ULONG64 source, ULONG64 target, PCSTR remedy)
{
    DXGKDDICB_PARTITIONING_EVENT_NOTIFICATION *event;
    struct sgk_text text;

    event = ExAllocatePool2(POOL_FLAG_NON_PAGED, sizeof(*event), SGK_TAG_EVENT);
    if (!event) {
        DbgPrintEx(DPFLTR_IHVVIDEO_ID, DPFLTR_ERROR_LEVEL,
                   "softgpu: VF %u: %s differs, no memory to say how\n", index, field);
        return;
    }
    event->hAdapter = adapter->dxgkrnl.DeviceHandle;
    event->EventType = DXGK_PARTITION_EVENT_DRIVER_INTERNAL;
    event->PartitionId = index;
    event->EventData1 = source;
    event->EventData2 = target;
    text.at = event->EventDescription;
    text.end = &event->EventDescription[RTL_NUMBER_OF(event->EventDescription) - 1];
    sgk_text_string(&text, field);
    sgk_text_string(&text, ": source ");
    sgk_text_value(&text, format, source);
    sgk_text_string(&text, ", target ");
    sgk_text_value(&text, format, target);
    sgk_text_string(&text, "; ");
    sgk_text_string(&text, remedy);
    adapter->dxgkrnl.DxgkCbLogEtwEvent(&GUID_DXGKDDI_AZURE_TRIAGE_EVENT, SGK_EVENT_TYPE_INFO,
                                       sizeof(*event), event);
    ExFreePoolWithTag(event, SGK_TAG_EVENT);
}
