// SPDX-License-Identifier: Apache-2.0
/* Do a partition's sizes fit each other? Asked of the command line and of files alike. */
#ifndef CLI_PLAN_CHECK_H
#define CLI_PLAN_CHECK_H

#include "base/error.h"
#include "cli/plan/simulate.h"

/* What the sizes are called where they were said. */
struct plan_words {
    const char *touched, *working_set, *page;
};

/* `where` stands in front of the complaint, "" where nothing does. VF_USAGE. */
int plan_check(const struct plan_move *move, uint64_t vram_bytes, const char *where,
               const struct plan_words *words, struct vf_error *err);

#endif
