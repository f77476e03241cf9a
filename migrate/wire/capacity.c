// SPDX-License-Identifier: Apache-2.0
/* What is free on a host, on its way to another one: CAPACITY's codec. */
#include "migrate/wire/internal.h"

static void put_adapter(struct wire_writer *w, const struct wire_adapter *adapter)
{
    wire_put_text(w, adapter->device);
    wire_put_u32(w, adapter->vf_count);
    wire_put_u32(w, adapter->vf_free);
    wire_put_u64(w, adapter->vram_bytes);
    wire_put_u64(w, adapter->vram_free_bytes);
    wire_put_u64(w, adapter->vram_largest_bytes);
    wire_put_u8(w, adapter->live_migration);
}

static void get_adapter(struct wire_reader *r, struct wire_adapter *adapter)
{
    wire_get_text(r, adapter->device, sizeof adapter->device);
    adapter->vf_count = wire_get_u32(r);
    adapter->vf_free = wire_get_u32(r);
    adapter->vram_bytes = wire_get_u64(r);
    adapter->vram_free_bytes = wire_get_u64(r);
    adapter->vram_largest_bytes = wire_get_u64(r);
    adapter->live_migration = wire_get_u8(r);
}

void wire_put_capacity(struct wire_writer *w, const struct wire_message *m)
{
    const struct wire_capacity *capacity = &m->capacity;

    if (capacity->count > VF_MAX_ADAPTERS)
        w->failed = true;
    wire_put_text(w, capacity->version);
    wire_put_u8(w, capacity->takes);
    wire_put_text(w, capacity->why);
    wire_put_u32(w, capacity->partitions);
    wire_put_u32(w, capacity->count);
    for (uint32_t i = 0; i < capacity->count && !w->failed; i++)
        put_adapter(w, &capacity->adapters[i]);
}

const char *wire_get_capacity(struct wire_reader *r, struct wire_message *m)
{
    struct wire_capacity *capacity = &m->capacity;

    wire_get_text(r, capacity->version, sizeof capacity->version);
    capacity->takes = wire_get_u8(r);
    wire_get_text(r, capacity->why, sizeof capacity->why);
    capacity->partitions = wire_get_u32(r);
    capacity->count = wire_get_u32(r);
    if (capacity->count > VF_MAX_ADAPTERS)
        return "more adapters than a host can have";
    for (uint32_t i = 0; i < capacity->count; i++)
        get_adapter(r, &capacity->adapters[i]);
    return capacity->takes <= 1 ? NULL : "an unknown mode";
}
