// SPDX-License-Identifier: Apache-2.0
/* A move between two adapters of one host in a test, step by step as the migration side does it
 * (SRC-8, TGT-5): pages through channels, the "network" is a memcpy. */
#ifndef DXGK_TESTS_MOVERIG_H
#define DXGK_TESTS_MOVERIG_H

#include "dxgk/tests/rig/rig.h"

#include <semaphore.h>

/* A channel with one slot of 2 MiB. */
struct lane {
    struct dxgk_channel *channel;
    uint8_t *memory;
    sem_t done;
    _Atomic int status;
};

/* These fail the test when a call fails. */
void lane_open(struct lane *lane, struct rig *rig, uint64_t id);
void lane_close(struct lane *lane);
void lane_run(struct lane *lane, enum dxgk_transfer op, const uint64_t *pages, uint32_t count);

struct move {
    struct rig *rig;
    uint64_t source, target, bytes, page_bytes;
    struct lane out, in;
};

/* All of these fail the test when a call fails. */

/* Creates the target on `adapter`, prepares both ends, moves the immutable data, opens the lanes.
 * One process holds both ends, so the target has a name and a UUID of its own. */
void move_begin(struct move *move, struct rig *rig, uint64_t source, uint32_t adapter,
                const char *name);
/* Query, gather, "send", scatter. Gives the number of dirty pages. */
uint64_t move_round(struct move *move);
/* Pauses the source; then rounds until nothing is dirty: two at most. */
void move_pause(struct move *move);
/* Mutable data, End on both sides, source gone, target running. Gives the target's id. */
uint64_t move_finish(struct move *move);
/* Given up: nothing is left of the target, the source is as before its Prepare. */
void move_cancel(struct move *move);
/* As move_cancel, whatever became of the source. */
void move_drop(struct move *move);

void blob_free(struct dxgk_blob *blob);
/* Fails the test with the error's text unless `result` is 0. */
void must(int result, const struct vf_error *error);
enum vf_partition_state state_of(struct rig *rig, uint64_t id);

#endif
