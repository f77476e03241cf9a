// SPDX-License-Identifier: Apache-2.0
/* Every state at rest of the hand-off's core, also those that nothing leads to. */
#ifndef MIGRATE_TESTS_HANDOFF_STATES_H
#define MIGRATE_TESTS_HANDOFF_STATES_H

#include "migrate/handoff/core.h"

static inline void each_state(void (*each)(const struct handoff *))
{
    for (unsigned record = 0; record < HANDOFF_RECORDS; record++) {
        for (unsigned copy = COPY_UNSEEN; copy < HANDOFF_COPIES; copy++) {
            for (unsigned flags = 0; flags < 16; flags++) {
                struct handoff h = {.side = flags & 1 ? MIG_TARGET : MIG_SOURCE,
                                    .with_file = (flags & 2) != 0,
                                    .admitted = (flags & 4) != 0,
                                    .owed = (flags & 8) != 0,
                                    .record = (enum handoff_record)record,
                                    .copy = (enum handoff_copy)copy};

                each(&h);
            }
        }
    }
}

#endif
