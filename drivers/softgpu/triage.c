// SPDX-License-Identifier: Apache-2.0
/*
 * Events for the OS's triage log, and the little text building they need: a kernel has no
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

/* A zeroed event and where its text goes. NULL: without memory for more, `what` is in the
 * debug log. */
static DXGKDDICB_PARTITIONING_EVENT_NOTIFICATION *
sgk_event_begin(const struct sgk_adapter *adapter, DXGIDDI_PARTITIONING_EVENT_TYPE type,
                ULONG index, PCSTR what, struct sgk_text *text)
{
    DXGKDDICB_PARTITIONING_EVENT_NOTIFICATION *event;

    event = ExAllocatePool2(POOL_FLAG_NON_PAGED, sizeof(*event), SGK_TAG_EVENT);
    if (!event) {
        DbgPrintEx(DPFLTR_IHVVIDEO_ID, DPFLTR_ERROR_LEVEL,
                   "softgpu: VF %u: %s; no memory to say more\n", index, what);
        return NULL;
    }
    event->hAdapter = adapter->dxgkrnl.DeviceHandle;
    event->EventType = type;
    event->PartitionId = index;
    text->at = event->EventDescription;
    text->end = &event->EventDescription[RTL_NUMBER_OF(event->EventDescription) - 1];
    return event;
}

static void sgk_event_log(const struct sgk_adapter *adapter,
                          DXGKDDICB_PARTITIONING_EVENT_NOTIFICATION *event)
{
    adapter->dxgkrnl.DxgkCbLogEtwEvent(&GUID_DXGKDDI_AZURE_TRIAGE_EVENT, SGK_EVENT_TYPE_INFO,
                                       sizeof(*event), event);
    ExFreePoolWithTag(event, SGK_TAG_EVENT);
}

void sgk_triage_fault(struct sgk_adapter *adapter, ULONG index, ULONG64 va)
{
    DXGKDDICB_PARTITIONING_EVENT_NOTIFICATION *event;
    struct sgk_text text;

    event = sgk_event_begin(adapter, DXGK_PARTITION_EVENT_DRIVER_INTERNAL, index,
                            "a command faulted", &text);
    if (!event)
        return;
    event->EventData1 = va;
    sgk_text_string(&text, "a command faulted at address 0x");
    sgk_text_number(&text, va, 16, 1);
    sgk_text_string(&text, "; its queue stands still until the guest starts it again");
    sgk_event_log(adapter, event);
}

void sgk_triage_hang(struct sgk_adapter *adapter, ULONG index, ULONG64 limit_ns)
{
    DXGKDDICB_PARTITIONING_EVENT_NOTIFICATION *event;
    struct sgk_text text;

    event = sgk_event_begin(adapter, DXGK_PARTITION_EVENT_FUNCTION_LEVEL_RESET, index,
                            "a command hangs", &text);
    if (!event)
        return;
    event->EventData1 = limit_ns;
    sgk_text_string(&text, "a command hangs: no step within ");
    sgk_text_number(&text, limit_ns / 1000000, 10, 1);
    sgk_text_string(&text, " ms of engine time; the VF needs a function level reset");
    sgk_event_log(adapter, event);
}

void sgk_triage_mismatch(struct sgk_adapter *adapter, ULONG index, PCSTR field,
                         enum sgk_format format, ULONG64 source, ULONG64 target, PCSTR remedy)
{
    DXGKDDICB_PARTITIONING_EVENT_NOTIFICATION *event;
    struct sgk_text text;

    event = sgk_event_begin(adapter, DXGK_PARTITION_EVENT_DRIVER_INTERNAL, index, field, &text);
    if (!event)
        return;
    event->EventData1 = source;
    event->EventData2 = target;
    sgk_text_string(&text, field);
    sgk_text_string(&text, ": source ");
    sgk_text_value(&text, format, source);
    sgk_text_string(&text, ", target ");
    sgk_text_value(&text, format, target);
    sgk_text_string(&text, "; ");
    sgk_text_string(&text, remedy);
    sgk_event_log(adapter, event);
}
