// SPDX-License-Identifier: Apache-2.0
/*
 * Transfer channels: slots of shared memory that the paging engine fills from a partition's reserve
 * and empties into it. Each slot has its own window and table of entries, made once, so that a
 * submission only writes addresses (SRC-4, TGT-3).
 */
#define LOG_ROOM "dxgk"
#include "dxgk/paging/channel.h"

#include "base/thread.h"
#include "base/trace.h"
#include "dxgk/paging/paging.h"
#include "dxgk/waits.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

struct slot {
    struct dxgk_paging_work work; /* first: complete() gets from it to the slot */
    struct dxgk_channel *channel;
    struct dxgk_window window; /* the VRAM side */
    DXGK_PTE *entries;
    uint64_t cookie;
    enum dxgk_transfer op;
    bool busy;   /* guarded by channel->lock */
    bool writes; /* counted in partition->writes */
    struct slot *read; /* that its submission occupies too, for what it reads back; NULL = none */
};

struct dxgk_channel {
    struct dxgk_partition *partition; /* counted reference */
    struct dxgk_channel_config config;
    struct dxgk_dma memory;    /* the slots */
    struct dxgk_window system; /* maps all of memory */
    uint64_t *first_page;      /* of each range, and the sum behind the last */
    struct slot *slots;

    pthread_mutex_t lock; /* guards busy of all slots and in_flight */
    pthread_cond_t idle;  /* in_flight fell to 0 */
    uint32_t in_flight;
};

/* ---- pages to entries ---- */

/* The range that holds `page`; `hint` is tried first: page lists mostly rise. page <
 * first_page[range_count]. */
static uint32_t find_range(const struct dxgk_channel *channel, uint64_t page, uint32_t hint)
{
    uint32_t low = 0, high = channel->partition->range_count;

    if (page >= channel->first_page[hint] && page < channel->first_page[hint + 1])
        return hint;
    while (high - low > 1) {
        uint32_t middle = low + (high - low) / 2;

        if (page < channel->first_page[middle])
            high = middle;
        else
            low = middle;
    }
    return low;
}

/* Every index is checked before it addresses anything: page lists come from a peer. */
static int fill_entries(struct dxgk_channel *channel, struct slot *slot, const uint64_t *pages,
                        uint32_t count, bool writable, struct vf_error *err)
{
    const struct dxgk_partition *partition = channel->partition;
    uint64_t total = channel->first_page[partition->range_count];
    uint64_t page_bytes = channel->config.page_bytes;
    uint64_t per_page = page_bytes >> 12;
    DXGK_PTE *entry = slot->entries;
    uint32_t range = 0;

    for (uint32_t i = 0; i < count; i++, entry += per_page) {
        if (pages[i] >= total)
            return vf_fail(err, VF_FAILED,
                           "transfer: page %" PRIu64 " is not in a reserve of %" PRIu64 " pages",
                           pages[i], total);
        range = find_range(channel, pages[i], range);
        uint64_t offset = partition->ranges[range].SegmentOffset +
                          (pages[i] - channel->first_page[range]) * page_bytes;
        dxgk_pte_fill(entry, per_page, dxgk_pte(partition->segment, offset, writable));
    }
    slot->work.entry_count = (uint64_t)count * per_page;
    slot->work.bytes = (uint64_t)count * page_bytes;
    return 0;
}

/* ---- submissions ---- */

static const char *const op_names[] = {[DXGK_GATHER] = "gather",
                                       [DXGK_SCATTER] = "scatter",
                                       [DXGK_ZERO] = "zero",
                                       [DXGK_SCATTER_READ] = "scatter and read"};

static void free_slots(struct dxgk_channel *channel, struct slot *slot)
{
    vf_lock(&channel->lock);
    slot->busy = false;
    if (slot->read != NULL)
        slot->read->busy = false;
    vf_unlock(&channel->lock);
}

static void slot_done(struct dxgk_paging_work *work, int status)
{
    struct slot *slot = (struct slot *)(void *)work;
    struct dxgk_channel *channel = slot->channel;
    uint64_t cookie = slot->cookie;

    vf_trace(transfer_done, channel->partition->params.name, op_names[slot->op],
             (unsigned)(slot - channel->slots), work->bytes, status);
    if (slot->writes)
        (void)atomic_fetch_sub(&channel->partition->writes, 1);
    free_slots(channel, slot); /* before the call: whoever hears of it may submit the next */
    channel->config.done(channel->config.ctx, cookie, status);
    vf_lock(&channel->lock);
    if (--channel->in_flight == 0)
        vf_cond_broadcast(&channel->idle);
    vf_unlock(&channel->lock);
}

static int claim_slots(struct dxgk_channel *channel, struct slot *slot, struct slot *read,
                       struct vf_error *err)
{
    vf_lock(&channel->lock);
    const struct slot *busy = slot->busy ? slot : read != NULL && read->busy ? read : NULL;
    if (busy == NULL) {
        slot->busy = true;
        slot->read = read;
        if (read != NULL)
            read->busy = true;
        channel->in_flight++;
    }
    vf_unlock(&channel->lock);
    if (busy != NULL)
        return vf_fail(err, VF_FAILED, "transfer: slot %u is busy; wait for its completion",
                       (unsigned)(busy - channel->slots));
    return 0;
}

static void release_slots(struct dxgk_channel *channel, struct slot *slot)
{
    free_slots(channel, slot);
    vf_lock(&channel->lock);
    if (--channel->in_flight == 0)
        vf_cond_broadcast(&channel->idle);
    vf_unlock(&channel->lock);
}

/* Writes into VRAM are counted under the lock that End takes, so that none starts once the state
 * has moved on (TGT-3, TGT-4). */
static int admit_write(struct dxgk_partition *partition, struct vf_error *err)
{
    int rc = 0;

    dxgk_lock(&partition->lock);
    if (vf_fsm_get(&partition->fsm) != VF_PARTITION_INCOMING)
        rc = vf_fail(err, VF_FAILED,
                     "transfer: pages go into an incoming partition only; this one is %s",
                     vf_fsm_name(&partition->fsm));
    else
        (void)atomic_fetch_add(&partition->writes, 1);
    dxgk_unlock(&partition->lock);
    return rc;
}

static enum dxgk_paging_op paging_op(enum dxgk_transfer op)
{
    switch (op) {
    case DXGK_GATHER:
        return DXGK_PAGING_GATHER;
    case DXGK_SCATTER:
    case DXGK_SCATTER_READ:
        return DXGK_PAGING_SCATTER;
    default:
        return DXGK_PAGING_ZERO;
    }
}

/* Inside the adapter's gate. */
static int hand_in(struct dxgk_channel *channel, struct slot *slot, const uint64_t *pages,
                   uint32_t count, struct vf_error *err)
{
    struct dxgk_partition *partition = channel->partition;

    if (dxgk_gate_alive(partition->adapter, err) != 0 ||
        (slot->writes && admit_write(partition, err) != 0))
        return -1;
    if (fill_entries(channel, slot, pages, count, slot->writes, err) == 0) {
        /* Before it is handed over: it may be done before that call returns. */
        vf_trace(transfer_submitted, partition->params.name, op_names[slot->op],
                 (unsigned)(slot - channel->slots), slot->work.bytes);
        if (dxgk_paging_submit(partition->adapter->paging, &slot->work, err) == 0)
            return 0;
    }
    if (slot->writes)
        (void)atomic_fetch_sub(&partition->writes, 1);
    return -1;
}

int dxgk_channel_submit(struct dxgk_channel *channel, enum dxgk_transfer op, uint32_t slot_index,
                        const uint64_t *pages, uint32_t count, uint64_t cookie,
                        struct vf_error *err)
{
    const bool reads = op == DXGK_SCATTER_READ;

    if (op != DXGK_GATHER && op != DXGK_SCATTER && op != DXGK_ZERO && !reads)
        return vf_fail(err, VF_FAILED, "transfer: operation %d is unknown", (int)op);
    if (slot_index >= channel->config.slots || (reads && slot_index + 1 >= channel->config.slots))
        return vf_fail(err, VF_FAILED, "transfer: there is no slot %u", slot_index + reads);
    if (count == 0 || count > channel->config.slot_bytes / channel->config.page_bytes)
        return vf_fail(err, VF_FAILED, "transfer: %u pages; a slot takes 1 to %" PRIu64, count,
                       channel->config.slot_bytes / channel->config.page_bytes);
    struct slot *slot = &channel->slots[slot_index];
    bool writes = op != DXGK_GATHER;
    if (claim_slots(channel, slot, reads ? slot + 1 : NULL, err) != 0)
        return -1;
    slot->cookie = cookie;
    slot->writes = writes;
    slot->op = op;
    slot->work.op = paging_op(op);
    slot->work.read_back = reads;
    slot->work.read_back_offset = (slot_index + 1) * channel->config.slot_bytes;
    dxgk_waits_about(channel->partition->params.name);
    dxgk_gate_enter(channel->partition->adapter);
    int rc = hand_in(channel, slot, pages, count, err);
    dxgk_gate_leave(channel->partition->adapter);
    if (rc != 0)
        release_slots(channel, slot);
    return rc;
}

/* ---- open and close ---- */

/* Fills in what the caller left open. */
static int check_config(const struct dxgk_partition *partition, struct dxgk_channel_config *config,
                        struct vf_error *err)
{
    if (config->page_bytes == 0)
        config->page_bytes = partition->page_bytes;
    if (partition->adapter->paging == NULL)
        return vf_fail(err, VF_FAILED, "the adapter has no paging path: %s",
                       partition->adapter->mmu.why_not);
    if (config->done == NULL || config->slots == 0 || config->slots > DXGK_MAX_SLOTS)
        return vf_fail(err, VF_FAILED, "%u slots; 1 to %u can be", config->slots, DXGK_MAX_SLOTS);
    if (config->page_bytes < 4096 || config->page_bytes > partition->page_bytes ||
        (config->page_bytes & (config->page_bytes - 1)) != 0 ||
        partition->page_bytes % config->page_bytes != 0)
        return vf_fail(err, VF_FAILED,
                       "pages of %" PRIu64
                       " bytes; powers of two from 4096 can be that make up %" PRIu64,
                       config->page_bytes, partition->page_bytes);
    if (config->slot_bytes == 0 || config->slot_bytes > DXGK_MAX_SLOT_BYTES ||
        config->slot_bytes % config->page_bytes != 0)
        return vf_fail(err, VF_FAILED,
                       "slots of %" PRIu64 " bytes; multiples of %" PRIu64 " up to %" PRIu64
                       " can be",
                       config->slot_bytes, config->page_bytes, (uint64_t)DXGK_MAX_SLOT_BYTES);
    return 0;
}

/* What a slot needs besides its place in the shared memory. */
static int make_slot(struct dxgk_channel *channel, uint32_t index, struct vf_error *err)
{
    struct slot *slot = &channel->slots[index];

    slot->channel = channel;
    slot->entries = calloc(channel->config.slot_bytes >> 12, sizeof *slot->entries);
    if (slot->entries == NULL)
        return vf_fail(err, VF_FAILED, VF_NO_MEMORY);
    slot->work.vram = &slot->window;
    slot->work.system = &channel->system;
    slot->work.system_offset = index * channel->config.slot_bytes;
    slot->work.entries = slot->entries;
    slot->work.complete = slot_done;
    return dxgk_paging_window_open(channel->partition->adapter->paging, channel->config.slot_bytes,
                                   &slot->window, err);
}

static void release_channel(struct dxgk_channel *channel)
{
    struct dxgk_paging *paging = channel->partition->adapter->paging;

    for (uint32_t i = 0; channel->slots != NULL && i < channel->config.slots; i++) {
        dxgk_paging_window_close(paging, &channel->slots[i].window);
        free(channel->slots[i].entries);
    }
    dxgk_paging_window_close(paging, &channel->system);
    dxgk_dma_free(dxgk_paging_space(paging), &channel->memory);
    free(channel->slots);
    free(channel->first_page);
    vf_lock_fini(&channel->lock);
    vf_cond_fini(&channel->idle);
    free(channel);
}

static int make_channel(struct dxgk_partition *partition, const struct dxgk_channel_config *config,
                        struct dxgk_channel **out, struct vf_error *err)
{
    struct dxgk_channel *channel = calloc(1, sizeof *channel);
    struct dxgk_paging *paging = partition->adapter->paging;

    if (channel == NULL)
        return vf_fail(err, VF_FAILED, VF_NO_MEMORY);
    channel->partition = partition;
    channel->config = *config;
    vf_lock_init(&channel->lock);
    vf_cond_init(&channel->idle);
    channel->slots = calloc(config->slots, sizeof *channel->slots);
    channel->first_page = calloc((size_t)partition->range_count + 1, sizeof *channel->first_page);
    if (channel->slots == NULL || channel->first_page == NULL) {
        (void)vf_fail(err, VF_FAILED, VF_NO_MEMORY);
        goto fail;
    }
    for (uint32_t i = 0; i < partition->range_count; i++)
        channel->first_page[i + 1] =
            channel->first_page[i] + partition->ranges[i].SizeInBytes / config->page_bytes;
    if (dxgk_dma_alloc(dxgk_paging_space(paging), "vferry-slots",
                       config->slots * config->slot_bytes, &channel->memory, err) != 0 ||
        dxgk_paging_window_open(paging, channel->memory.bytes, &channel->system, err) != 0 ||
        dxgk_paging_window_map_dma(paging, &channel->system, &channel->memory, err) != 0)
        goto fail;
    for (uint32_t i = 0; i < config->slots; i++)
        if (make_slot(channel, i, err) != 0)
            goto fail;
    *out = channel;
    return 0;
fail:
    release_channel(channel);
    return -1;
}

int dxgk_channel_open(struct dxgk *dxgk, uint64_t id, const struct dxgk_channel_config *config,
                      struct dxgk_channel **out, int *memfd, struct vf_error *err)
{
    struct dxgk_partition *partition = dxgk_partition_lock(dxgk, id, err);
    struct dxgk_channel_config whole = *config;

    if (partition == NULL)
        return -1;
    unsigned state = vf_fsm_get(&partition->fsm);
    int rc = -1;
    if (state == VF_PARTITION_BUILDING || state == VF_PARTITION_DYING)
        (void)vf_fail(err, VF_FAILED, "the partition is %s", vf_fsm_name(&partition->fsm));
    else if (partition->channels >= DXGK_MAX_CHANNELS)
        (void)vf_fail(err, VF_FAILED, "%u are open already; close one first", partition->channels);
    else if (check_config(partition, &whole, err) == 0 &&
             make_channel(partition, &whole, out, err) == 0)
        rc = 0;
    if (rc == 0) {
        partition->channels++;
        atomic_fetch_add(&partition->refs, 1); /* the channel's */
        *memfd = (*out)->memory.fd;
    }
    dxgk_partition_unlock(partition);
    return rc == 0 ? 0 : vf_context(err, "transfer channel");
}

void dxgk_channel_close(struct dxgk_channel *channel)
{
    if (channel == NULL)
        return;
    struct dxgk_partition *partition = channel->partition;
    vf_lock(&channel->lock);
    while (channel->in_flight > 0)
        vf_cond_wait(&channel->idle, &channel->lock);
    vf_unlock(&channel->lock);
    dxgk_gate_enter(partition->adapter);
    release_channel(channel);
    dxgk_lock(&partition->lock);
    partition->channels--;
    dxgk_partition_unlock(partition);
}
