// SPDX-License-Identifier: Apache-2.0
/* What source and target streams share: who owns which page, waiting for the paging engine,
 * gathering, rehashing. */
#include "migrate/stream/stream.h"

#include "migrate/mig.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <string.h>

#define ENGINE_MS 5000 /* a paging engine that completes nothing for so long is stuck */

void stream_feed_init(struct stream_feed *feed, const struct stream_plan *plan, uint32_t index,
                      const uint64_t *bits)
{
    *feed = (struct stream_feed){
        .bits = bits,
        .pages = plan->geometry.pages_total,
        .group_pages = plan->geometry.slot_bytes / plan->geometry.page_bytes,
        .index = index,
        .count = plan->streams,
    };
    feed->next = feed->group_pages * index;
}

/* The next page of this stream at or after `page`. */
static uint64_t own(const struct stream_feed *feed, uint64_t page)
{
    uint64_t group = page / feed->group_pages;
    uint64_t ahead = (feed->index + feed->count - group % feed->count) % feed->count;

    return ahead == 0 ? page : (group + ahead) * feed->group_pages;
}

/* The first page at or after `page` whose bit is set; feed->pages when there is none. */
static uint64_t set_bit(const struct stream_feed *feed, uint64_t page)
{
    while (page < feed->pages) {
        uint64_t word = feed->bits[page / 64] >> (page % 64);

        if (word != 0)
            return page + (uint64_t)__builtin_ctzll(word);
        page = (page / 64 + 1) * 64;
    }
    return feed->pages;
}

/* Up to `max` page indices; 0 = no more. */
static uint32_t feed_take(struct stream_feed *feed, uint64_t *pages, uint32_t max)
{
    uint32_t count = 0;

    while (count < max) {
        uint64_t page = own(feed, feed->next);

        if (page < feed->pages && feed->bits != NULL) {
            uint64_t bit = set_bit(feed, page);

            if (own(feed, bit) != bit && bit < feed->pages) {
                feed->next = bit;
                continue;
            }
            page = bit;
        }
        if (page >= feed->pages) {
            feed->next = feed->pages;
            break;
        }
        pages[count++] = page;
        feed->next = page + 1;
    }
    return count;
}

uint64_t stream_slot_bytes(uint64_t page_bytes)
{
    return page_bytes > STREAM_SLOT_BYTES ? page_bytes : STREAM_SLOT_BYTES;
}

uint32_t stream_slots(const struct stream_plan *plan)
{
    uint64_t fit = STREAM_BUFFER_BYTES / (plan->geometry.slot_bytes * plan->streams);

    /* Even: the target pairs a payload slot with a read-back slot. */
    return fit < 4 ? 4 : fit > STREAM_SLOTS ? STREAM_SLOTS : (uint32_t)fit & ~1u;
}

struct stream_plan stream_plan_of(const struct mig_job *job, const struct vf_partition_info *p,
                                  uint32_t streams, uint64_t page_bytes)
{
    struct stream_plan plan = {
        .geometry = {.page_bytes = page_bytes,
                     .pages_total = p->vram_bytes / page_bytes,
                     .slot_bytes = stream_slot_bytes(p->page_bytes)},
        .streams = streams,
        .epoch = job->epoch,
        .partition = p->id,
        .kernel_socket = job->mig->kernel_socket,
        .silence_ns = job->mig->silence_ns,
    };

    memcpy(plan.job, job->uuid, sizeof plan.job);
    return plan;
}

int stream_wait(struct kc_channel *channel, struct tp *tp, struct kc_done *done,
                struct vf_error *err)
{
    for (;;) {
        struct pollfd fds[2] = {{.fd = kc_channel_fd(channel), .events = POLLIN},
                                {.fd = tp != NULL ? tp->abort_fd : -1, .events = POLLIN}};
        int got = kc_channel_wait(channel, 0, done, err);
        int ready;

        if (got < 0)
            return -1;
        if (got > 0)
            break;
        ready = poll(fds, 2, ENGINE_MS);
        if (ready < 0 && errno != EINTR)
            return vf_fail_errno(err, VF_FAILED, errno, "page channel");
        if (ready == 0)
            return vf_fail(err, VF_FAILED,
                           "page channel: the paging engine did not answer for 5 s");
        if (ready > 0 && (fds[1].revents & POLLIN) != 0)
            return vf_fail(err, VF_CANCELLED, "page channel: stopped");
    }
    if (done->status != 0)
        return vf_fail_errno(err, VF_FAILED, -done->status,
                             "page channel: the paging engine failed a transfer");
    return 0;
}

int stream_gather(struct kc_channel *channel, struct tp *tp, const struct stream_plan *plan,
                  uint32_t index, const uint64_t *bits, stream_gathered *each, void *ctx,
                  struct vf_error *err)
{
    uint64_t list[STREAM_SLOTS][WIRE_FRAME_PAGES];
    uint32_t length[STREAM_SLOTS];
    uint32_t group = (uint32_t)(plan->geometry.slot_bytes / plan->geometry.page_bytes);
    uint32_t slots = stream_slots(plan);
    uint32_t in_flight = 0;
    struct stream_feed feed;
    struct kc_done done;

    stream_feed_init(&feed, plan, index, bits);
    for (uint32_t slot = 0; slot < slots; slot++) {
        length[slot] = feed_take(&feed, list[slot], group);
        if (length[slot] == 0)
            break;
        if (kc_channel_submit(channel, KC_GATHER, slot, list[slot], length[slot], err) != 0)
            return -1;
        in_flight++;
    }
    while (in_flight > 0) {
        if (stream_wait(channel, tp, &done, err) != 0)
            return -1;
        in_flight--;
        if (each(ctx, list[done.slot], length[done.slot], kc_channel_slot(channel, done.slot),
                 err) != 0)
            return -1;
        length[done.slot] = feed_take(&feed, list[done.slot], group);
        if (length[done.slot] == 0)
            continue;
        if (kc_channel_submit(channel, KC_GATHER, done.slot, list[done.slot], length[done.slot],
                              err) != 0)
            return -1;
        in_flight++;
    }
    return 0;
}

int stream_frame(struct wire_frame *frame, const uint64_t *pages, uint32_t count,
                 const uint8_t *slot, uint64_t page_bytes, struct digest_table *table,
                 bool leave_out_known, struct vf_error *err)
{
    frame->count = 0;
    frame->payload_bytes = 0;
    for (uint32_t i = 0; i < count; i++) {
        bool zero;
        uint64_t digest = digest_of(table, slot + i * page_bytes, &zero);

        if (leave_out_known && digest_get(table, pages[i]) == digest)
            continue;
        digest_set(table, pages[i], digest);
        if (!wire_frame_add(frame, pages[i], digest, zero, i, page_bytes))
            return vf_fail(err, VF_FAILED, "page %" PRIu64 ": its slot does not fit one frame",
                           pages[i]);
    }
    return 0;
}

struct rehash {
    const struct stream_plan *plan;
    struct digest_table *table;
    const char *what;
};

static int compare(void *ctx, const uint64_t *pages, uint32_t count, const uint8_t *slot,
                   struct vf_error *err)
{
    const struct rehash *rehash = ctx;
    uint64_t page_bytes = rehash->plan->geometry.page_bytes;

    for (uint32_t i = 0; i < count; i++) {
        if (digest_of(rehash->table, slot + i * page_bytes, NULL) !=
            digest_get(rehash->table, pages[i]))
            return vf_fail(err, VF_FAILED,
                           "verify full: page %" PRIu64 " %s; refusing to hand over", pages[i],
                           rehash->what);
    }
    return 0;
}

int stream_rehash(struct kc_channel *channel, struct tp *tp, const struct stream_plan *plan,
                  uint32_t index, struct digest_table *table, const char *what,
                  struct vf_error *err)
{
    struct rehash rehash = {plan, table, what};

    return stream_gather(channel, tp, plan, index, NULL, compare, &rehash, err);
}
