// SPDX-License-Identifier: Apache-2.0
/*
 * Builds command rings. A ring loops over its steps by itself, so that a partition works on with
 * no CPU behind it: the step counter in VRAM is both the loop's variable and what the outside
 * sees as progress.
 */
#include "guest/internal.h"

#include <stdlib.h>

#define STEPS_GPA (GUEST_COUNTERS_GPA + offsetof(struct guest_counters, steps))
#define DONE_GPA (GUEST_COUNTERS_GPA + offsetof(struct guest_counters, done))

static uint64_t address_of(unsigned place)
{
    return GUEST_RING_GPA + (uint64_t)place * SG_CMD_BYTES;
}

unsigned guest_emit(struct guest_ring *ring, enum sg_op op, uint64_t a0, uint64_t a1, uint64_t a2,
                    uint64_t a3, uint64_t a4)
{
    unsigned place = ring->count;

    if (place == GUEST_RING_COMMANDS)
        abort();
    ring->cmd[place] = (struct sg_cmd){.op = (uint32_t)op, .a = {a0, a1, a2, a3, a4}};
    ring->count++;
    return place;
}

unsigned guest_emit_loop(struct guest_ring *ring, uint64_t steps)
{
    /* Its target is set by guest_emit_end. */
    unsigned place = guest_emit(ring, SG_OP_JUMP_IF, STEPS_GPA, steps, 0, 0, 0);

    ring->cmd[place].flags = SG_COND_GE;
    return place;
}

void guest_emit_step(struct guest_ring *ring)
{
    (void)guest_emit(ring, SG_OP_ADD, STEPS_GPA, 1, 0, 0, 0);
}

void guest_emit_end(struct guest_ring *ring, unsigned loop)
{
    unsigned end;

    (void)guest_emit(ring, SG_OP_JUMP, address_of(loop), 0, 0, 0, 0);
    end = guest_emit(ring, SG_OP_FENCE, DONE_GPA, GUEST_DONE_VALUE, 0, 0, 0);
    (void)guest_emit(ring, SG_OP_INTERRUPT, 0, 0, 0, 0, 0);
    (void)guest_emit(ring, SG_OP_HALT, 0, 0, 0, 0, 0);
    /* All exits of the loop, also one between the two halves of a ping-pong. */
    for (unsigned i = loop; i < end; i++) {
        if (ring->cmd[i].op == SG_OP_JUMP_IF)
            ring->cmd[i].a[2] = address_of(end);
    }
}
