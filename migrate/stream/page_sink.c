// SPDX-License-Identifier: Apache-2.0
/* Scatter, read back, compare. See page_sink.h. */
#include "migrate/stream/page_sink.h"

#include <inttypes.h>

uint32_t page_sink_items(const struct stream_plan *plan)
{
    return stream_slots(plan) / 2;
}

void *page_sink_slot(const struct page_sink *r, uint32_t index)
{
    return kc_channel_slot(r->channel, 2 * index);
}

static int read_back(struct page_sink *r, uint32_t index, struct vf_error *err)
{
    struct page_sink_item *item = &r->item[index];

    item->stage = SINK_READING;
    item->pending = 1;
    return kc_channel_submit(r->channel, KC_GATHER, 2 * index + 1, item->pages, item->count, err);
}

static int prove(struct page_sink *r, uint32_t index, struct vf_error *err)
{
    struct page_sink_item *item = &r->item[index];
    uint64_t page_bytes = r->plan->geometry.page_bytes;
    const uint8_t *data = kc_channel_slot(r->channel, 2 * index + 1);

    for (uint32_t i = 0; i < item->count; i++) {
        uint64_t digest = digest_of(r->table, data + i * page_bytes, NULL);

        if (digest != item->digests[i])
            return vf_fail(err, VF_FAILED,
                           "page %" PRIu64
                           ": its digest in the target's VRAM is not the one the source announced",
                           item->pages[i]);
        digest_set(r->table, item->pages[i], digest);
    }
    item->stage = SINK_FREE;
    r->busy--;
    return 0;
}

int page_sink_advance(struct page_sink *r, const struct kc_done *done, struct vf_error *err)
{
    uint32_t index = done->slot / 2;
    struct page_sink_item *item;

    if (index >= r->items)
        return vf_fail(err, VF_FAILED, "page channel: completion for slot %u that is not ours",
                       done->slot);
    item = &r->item[index];
    if (--item->pending > 0)
        return 0;
    if (item->stage == SINK_WRITING)
        return read_back(r, index, err);
    return prove(r, index, err);
}

static int wait_one(struct page_sink *r, struct vf_error *err)
{
    struct kc_done done;

    return stream_wait(r->channel, r->tp, &done, err) != 0 ? -1 : page_sink_advance(r, &done, err);
}

int page_sink_room(struct page_sink *r, uint32_t *index, struct vf_error *err)
{
    for (;;) {
        for (uint32_t i = 0; i < r->items; i++) {
            if (r->item[i].stage == SINK_FREE) {
                *index = i;
                return 0;
            }
        }
        if (wait_one(r, err) != 0)
            return -1;
    }
}

/* Payload pages from slot 2i; zero pages by a fill, unless they are zero already. */
int page_sink_write(struct page_sink *r, uint32_t index, struct vf_error *err)
{
    struct wire_frame *frame = &r->frame;
    struct page_sink_item *item = &r->item[index];
    uint32_t payload = 0;
    uint32_t zeros = 0;

    item->count = 0;
    for (uint32_t i = 0; i < frame->count; i++) {
        uint64_t page = frame->pages[i] & ~WIRE_PAGE_ZERO;
        bool zero = (frame->pages[i] & WIRE_PAGE_ZERO) != 0;

        if (zero && frame->digests[i] != digest_table_zero(r->table))
            return vf_fail(err, VF_FAILED,
                           "page %" PRIu64 ": announced as zero with the digest of something else",
                           page);
        if (zero && digest_get(r->table, page) == digest_table_zero(r->table))
            continue; /* never written here, or proven zero: the reserve began zero-filled (VF-2) */
        if (zero)
            r->list[WIRE_FRAME_PAGES - ++zeros] = page;
        else
            r->list[payload++] = page;
        item->pages[item->count] = page;
        item->digests[item->count++] = frame->digests[i];
    }
    item->pending = (payload > 0 ? 1u : 0u) + (zeros > 0 ? 1u : 0u);
    if (item->pending == 0)
        return 0;
    r->busy++;
    if (zeros == 0) {
        item->stage = SINK_READING;
        return kc_channel_submit(r->channel, KC_SCATTER_READ, 2 * index, r->list, payload, err);
    }
    item->stage = SINK_WRITING;
    if (zeros > 0 && kc_channel_submit(r->channel, KC_ZERO, 2 * index + 1,
                                       &r->list[WIRE_FRAME_PAGES - zeros], zeros, err) != 0)
        return -1;
    if (payload > 0 &&
        kc_channel_submit(r->channel, KC_SCATTER, 2 * index, r->list, payload, err) != 0)
        return -1;
    return 0;
}

int page_sink_drain(struct page_sink *r, struct vf_error *err)
{
    while (r->busy > 0) {
        if (wait_one(r, err) != 0)
            return -1;
    }
    return 0;
}
