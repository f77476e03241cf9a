// SPDX-License-Identifier: Apache-2.0
/* Helpers of include/vferry/vferry.h. */
#include "vferry/vferry.h"

#include "base/hex.h"

#include <stdio.h>
#include <string.h>
#include <sys/random.h>

const char *const vf_partition_states[VF_PARTITION_STATES] = {
    [VF_PARTITION_BUILDING] = "building",
    [VF_PARTITION_RUNNING] = "running",
    [VF_PARTITION_PAUSED] = "paused",
    [VF_PARTITION_OUTGOING] = "outgoing",
    [VF_PARTITION_OUTGOING_PAUSED] = "outgoing-paused",
    [VF_PARTITION_INCOMING] = "incoming",
    [VF_PARTITION_READY] = "ready",
    [VF_PARTITION_FAULTED] = "faulted",
    [VF_PARTITION_DYING] = "dying",
};

const char *vf_partition_state_name(enum vf_partition_state state)
{
    return (unsigned)state < VF_PARTITION_STATES ? vf_partition_states[state] : "?";
}

void vf_reason_add(struct vf_reasons *reasons, const char *field, const char *source,
                   const char *target, const char *remedy)
{
    struct vf_reason *reason;

    if (reasons->count >= VF_MAX_REASONS)
        return;
    reason = &reasons->list[reasons->count++];
    (void)snprintf(reason->field, sizeof reason->field, "%s", field);
    (void)snprintf(reason->source, sizeof reason->source, "%s", source);
    (void)snprintf(reason->target, sizeof reason->target, "%s", target);
    (void)snprintf(reason->remedy, sizeof reason->remedy, "%s", remedy);
}

/* How many bytes stand between two dashes. */
static const uint8_t uuid_groups[] = {4, 2, 2, 2, 6};
#define UUID_GROUPS (sizeof uuid_groups / sizeof uuid_groups[0])

void vf_uuid_format(const uint8_t uuid[VF_UUID_BYTES], char text[VF_UUID_TEXT])
{
    for (size_t i = 0; i < UUID_GROUPS; i++) {
        if (i > 0)
            *text++ = '-';
        vf_hex_format(uuid, uuid_groups[i], text);
        uuid += uuid_groups[i];
        text += 2 * uuid_groups[i];
    }
}

int vf_uuid_parse(const char *text, uint8_t uuid[VF_UUID_BYTES])
{
    if (strlen(text) != VF_UUID_TEXT - 1)
        return -1;
    for (size_t i = 0; i < UUID_GROUPS; i++) {
        if (i > 0 && *text++ != '-')
            return -1;
        if (vf_hex_parse(text, uuid, uuid_groups[i]) != 0)
            return -1;
        uuid += uuid_groups[i];
        text += 2 * uuid_groups[i];
    }
    return 0;
}

int vf_uuid_random(uint8_t uuid[VF_UUID_BYTES])
{
    if (getrandom(uuid, VF_UUID_BYTES, 0) != (ssize_t)VF_UUID_BYTES)
        return -1;
    uuid[6] = (uint8_t)((uuid[6] & 0x0f) | 0x40);
    uuid[8] = (uint8_t)((uuid[8] & 0x3f) | 0x80);
    return 0;
}

bool vf_name_valid(const char *name)
{
    static const char first[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    static const char rest[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
    size_t length = strnlen(name, VF_NAME_BYTES);

    return length > 0 && length < VF_NAME_BYTES && strchr(first, name[0]) != NULL &&
           strspn(name, rest) == length;
}
