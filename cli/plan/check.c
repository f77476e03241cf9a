// SPDX-License-Identifier: Apache-2.0
/* See check.h. */
#include "cli/plan/check.h"

#include "base/size.h"

int plan_check(const struct plan_move *move, uint64_t vram_bytes, const char *where,
               const struct plan_words *words, struct vf_error *err)
{
    const uint64_t page = move->page_bytes;
    char is[32], most[32];

    if (page < PLAN_BLOCK_BYTES || (page & (page - 1)) != 0)
        return vf_fail(err, VF_USAGE,
                       "%s%s: %s is no page" VF_REMEDY
                       "give a power of two from 4K on, as adapter show tells it",
                       where, words->page, vf_size_format(page, is, sizeof is));
    if (page > vram_bytes)
        return vf_fail(err, VF_USAGE, "%s%s: %s is more than its VRAM, %s" VF_REMEDY "give less",
                       where, words->page, vf_size_format(page, is, sizeof is),
                       vf_size_format(vram_bytes, most, sizeof most));
    if (move->touched_bytes > vram_bytes)
        return vf_fail(err, VF_USAGE, "%s%s: %s is more than its VRAM, %s" VF_REMEDY "give less",
                       where, words->touched, vf_size_format(move->touched_bytes, is, sizeof is),
                       vf_size_format(vram_bytes, most, sizeof most));
    if (move->working_set_bytes > move->touched_bytes)
        return vf_fail(
            err, VF_USAGE,
            "%s%s: %s is more than what is touched, %s" VF_REMEDY "give less, or more of %s", where,
            words->working_set, vf_size_format(move->working_set_bytes, is, sizeof is),
            vf_size_format(move->touched_bytes, most, sizeof most), words->touched);
    return 0;
}
