// SPDX-License-Identifier: Apache-2.0
/*
 * Page frames into VRAM, proven: the part of a target's stream that does not care where frames come
 * from (a stream, an image). A frame passes through three stages, several frames at a time:
 *
 *   FREE     -> WRITING   SCATTER and ZERO are in flight
 *   WRITING  -> READING   GATHER into a second slot is in flight
 *   FREE     -> READING   nothing is to be zeroed: SCATTER and GATHER are one submission
 *   READING  -> FREE      its digest is known
 *
 * The read-back goes to another slot than the payload came in, so that a transfer that did nothing
 * cannot pass for one that did.
 */
#ifndef MIGRATE_STREAM_PAGE_SINK_H
#define MIGRATE_STREAM_PAGE_SINK_H

#include "migrate/stream/stream.h"

enum page_sink_stage { SINK_FREE, SINK_WRITING, SINK_READING };

/* Work item i owns the channel's slots 2i (payload, zero) and 2i + 1 (read-back). */
struct page_sink_item {
    enum page_sink_stage stage;
    uint32_t pending; /* transfers in flight for this stage */
    uint32_t count;
    uint64_t pages[WIRE_FRAME_PAGES]; /* without the zero mark */
    uint64_t digests[WIRE_FRAME_PAGES];
};

/* One thread's; large: keep it on the heap. */
struct page_sink {
    struct kc_channel *channel; /* 2 * items slots */
    struct tp *tp;              /* its abort ends the waits for the paging engine */
    const struct stream_plan *plan;
    struct digest_table *table;
    uint32_t items, busy;
    struct wire_frame frame; /* the one being taken in: filled by the caller */
    uint64_t list[WIRE_FRAME_PAGES];
    struct page_sink_item item[STREAM_SLOTS];
};

/* How many items fit the plan's buffers; the channel needs twice as many slots. */
uint32_t page_sink_items(const struct stream_plan *plan);
/* A free item, after waiting for one if need be: its payload slot is the caller's
 * until page_sink_write. */
int page_sink_room(struct page_sink *r, uint32_t *index, struct vf_error *err);
void *page_sink_slot(const struct page_sink *r, uint32_t index);
/* Sends r->frame, whose payload lies in the item's slot, to VRAM. Proven once it is read back: at
 * the latest by page_sink_drain. */
int page_sink_write(struct page_sink *r, uint32_t index, struct vf_error *err);
/* One completion of the channel moves one item on. */
int page_sink_advance(struct page_sink *r, const struct kc_done *done, struct vf_error *err);
/* Returns when all that was written is proven. */
int page_sink_drain(struct page_sink *r, struct vf_error *err);

#endif
