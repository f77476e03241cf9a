// SPDX-License-Identifier: Apache-2.0
/* See difference.h. */
#include "migrate/digest/difference.h"

#include <endian.h>
#include <inttypes.h>
#include <string.h>

int resume_check(const struct resume_point *at, const struct wire_resume *asked,
                 struct vf_error *err)
{
    if (memcmp(asked->id.job, at->id.job, sizeof at->id.job) != 0 ||
        memcmp(asked->id.uuid, at->id.uuid, sizeof at->id.uuid) != 0 ||
        asked->id.epoch != at->id.epoch)
        return vf_fail(err, VF_FAILED, "resumes another hand-off than this one");
    if (asked->generation <= at->generation)
        return vf_fail(err, VF_FAILED,
                       "resumes on connection %" PRIu32 ", but %" PRIu32 " was there already",
                       asked->generation, at->generation);
    /* The ACKs of the last round may or may not have arrived. */
    if (asked->next_round > at->rounds || asked->next_round > at->proven ||
        at->rounds - asked->next_round > 1)
        return vf_fail(err, VF_FAILED,
                       "resumes with round %" PRIu32 "; %" PRIu32 " were announced and %" PRIu32
                       " are proven here",
                       asked->next_round, at->rounds, at->proven);
    return 0;
}

uint32_t resume_tell(const struct digest_table *table, uint64_t first,
                     uint64_t digests[WIRE_TABLE_DIGESTS])
{
    uint64_t pages = digest_table_pages(table);
    uint32_t count = 0;

    for (; count < WIRE_TABLE_DIGESTS && first + count < pages; count++)
        digests[count] = htole64(digest_get(table, first + count));
    return count;
}

int resume_take(struct digest_table *ours, const struct wire_table *theirs, uint64_t *next,
                uint64_t *bits, struct vf_error *err)
{
    uint64_t pages = digest_table_pages(ours);

    if (theirs->first != *next || *next > pages || theirs->count > pages - *next)
        return vf_fail(err, VF_FAILED,
                       "its table has %" PRIu32 " digests from page %" PRIu64 " on; %" PRIu64
                       " of %" PRIu64 " pages were told before",
                       theirs->count, theirs->first, *next, pages);
    for (uint32_t i = 0; i < theirs->count; i++) {
        uint64_t page = *next + i;
        uint64_t digest = wire_table_digest(theirs, i);

        if (digest == digest_get(ours, page))
            continue;
        bits[page / 64] |= 1ull << (page % 64);
        digest_set(ours, page, digest);
    }
    *next += theirs->count;
    return 0;
}
