// SPDX-License-Identifier: Apache-2.0
/* See triage.h. */
#define LOG_ROOM "dxgk"
#include "dxgk/adapter/triage.h"

#include "base/log.h"
#include "base/thread.h"
#include "dxgk/adapter/resets.h"
#include "dxgk/handles.h"

#include <stdio.h>
#include <string.h>

#define SMALL_EVENT_BYTES 256u /* above it DxgkCbLogEtwEvent is for PASSIVE_LEVEL only */

void dxgk_triage_begin(struct dxgk_adapter *adapter, uint32_t vf, struct vf_reasons *reasons)
{
    vf_lock(&adapter->triage_lock);
    adapter->capture[vf] = reasons;
    vf_unlock(&adapter->triage_lock);
}

void dxgk_triage_end(struct dxgk_adapter *adapter, uint32_t vf)
{
    dxgk_triage_begin(adapter, vf, NULL);
}

/* Copies [from, to) into a field of `bytes`, cut and terminated. */
static void cut(char *field, size_t bytes, const char *from, const char *to)
{
    size_t length = (size_t)(to - from);

    if (length >= bytes)
        length = bytes - 1;
    memcpy(field, from, length);
    field[length] = '\0';
}

/* Splits "FIELD: source VALUE, target VALUE; REMEDY" (docs/driver-guide.md); any other text becomes
 * the remedy of field "driver". */
static void parse(const char *text, struct vf_reason *reason)
{
    static const char before_source[] = ": source ";
    static const char before_target[] = ", target ";
    const char *source = strstr(text, before_source);
    const char *target = source != NULL ? strstr(source, before_target) : NULL;
    const char *remedy = target != NULL ? strstr(target, "; ") : NULL;

    memset(reason, 0, sizeof *reason);
    if (remedy == NULL || source == text) {
        (void)snprintf(reason->field, sizeof reason->field, "driver");
        cut(reason->remedy, sizeof reason->remedy, text, text + strlen(text));
        return;
    }
    cut(reason->field, sizeof reason->field, text, source);
    cut(reason->source, sizeof reason->source, source + sizeof before_source - 1, target);
    cut(reason->target, sizeof reason->target, target + sizeof before_target - 1, remedy);
    cut(reason->remedy, sizeof reason->remedy, remedy + 2, remedy + strlen(remedy));
}

/* The driver's UTF-16 text as one printable line; it may lack its terminator. */
static void narrow(const WCHAR *wide, size_t count, char *text)
{
    size_t i;

    for (i = 0; i < count && wide[i] != 0; i++)
        text[i] = wide[i] >= 0x20 && wide[i] < 0x7f ? (char)wide[i] : '?';
    text[i] = '\0';
}

static void partition_event(const DXGKDDICB_PARTITIONING_EVENT_NOTIFICATION *note)
{
    struct dxgk_adapter *adapter = dxgk_adapter_from_context(note->hAdapter);
    char text[RTL_NUMBER_OF(note->EventDescription) + 1];
    struct vf_reason reason;
    struct vf_reasons *reasons;

    narrow(note->EventDescription, RTL_NUMBER_OF(note->EventDescription), text);
    if (adapter == NULL) {
        log_warn("triage event of an unknown adapter: %s", text);
        return;
    }
    log_info("adapter %u VF %u: %s", adapter->index, note->PartitionId, text);
    parse(text, &reason);
    if (note->PartitionId < RTL_NUMBER_OF(adapter->capture)) {
        vf_lock(&adapter->triage_lock);
        reasons = adapter->capture[note->PartitionId];
        if (reasons != NULL)
            vf_reason_add(reasons, reason.field, reason.source, reason.target, reason.remedy);
        vf_unlock(&adapter->triage_lock);
    }
    dxgk_event(adapter->dxgk, "triage", "adapter %u VF %u: %s", adapter->index, note->PartitionId,
               text);
    /* A convention of this house, as the pages do not say what an OS does with the types: a driver
     * that names a function level reset asks for one. */
    if (note->EventType == DXGK_PARTITION_EVENT_FUNCTION_LEVEL_RESET)
        dxgk_resets_ask(adapter, note->PartitionId);
}

void dxgk_cb_log_etw_event(LPCGUID guid, UCHAR type, USHORT bytes, PVOID buffer)
{
    DXGKDDICB_PARTITIONING_EVENT_NOTIFICATION note;

    if (guid == NULL || (bytes != 0 && buffer == NULL)) {
        log_error("DxgkCbLogEtwEvent without a GUID or buffer");
        return;
    }
    if (bytes > SMALL_EVENT_BYTES && KeGetCurrentIrql() != PASSIVE_LEVEL) {
        log_error(
            "DxgkCbLogEtwEvent with %u bytes at IRQL %u: above %u bytes only at PASSIVE_LEVEL",
            bytes, KeGetCurrentIrql(), SMALL_EVENT_BYTES);
        return;
    }
    if (!IsEqualGUID(guid, &GUID_DXGKDDI_AZURE_TRIAGE_EVENT) || bytes < sizeof note) {
        log_debug("driver event, type %u, %u bytes", type, bytes);
        return;
    }
    memcpy(&note, buffer, sizeof note);
    partition_event(&note);
}
