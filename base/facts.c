// SPDX-License-Identifier: Apache-2.0
/* Helpers of include/vferry/vferry.h. */
#include "vferry/vferry.h"

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

void vf_uuid_format(const uint8_t uuid[VF_UUID_BYTES], char text[VF_UUID_TEXT])
{
    static const char hex[] = "0123456789abcdef";
    char *out = text;

    for (unsigned i = 0; i < VF_UUID_BYTES; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10)
            *out++ = '-';
        *out++ = hex[uuid[i] >> 4];
        *out++ = hex[uuid[i] & 15];
    }
    *out = '\0';
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

int vf_uuid_parse(const char *text, uint8_t uuid[VF_UUID_BYTES])
{
    if (strlen(text) != VF_UUID_TEXT - 1)
        return -1;
    for (unsigned i = 0; i < VF_UUID_BYTES; i++) {
        int high;
        int low;

        if (i == 4 || i == 6 || i == 8 || i == 10) {
            if (*text++ != '-')
                return -1;
        }
        high = hex_value(text[0]);
        low = hex_value(text[1]);
        if (high < 0 || low < 0)
            return -1;
        uuid[i] = (uint8_t)(high << 4 | low);
        text += 2;
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
