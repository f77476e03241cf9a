// SPDX-License-Identifier: Apache-2.0
/*
 * The project's one idiom for state machines: a table of legal arcs and one setter that traces.
 * A state is an unsigned below 64. Falling off the table is a bug that is reported, never taken.
 */
#ifndef VF_BASE_FSM_H
#define VF_BASE_FSM_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct vf_fsm_table {
    const char *name;          /* "partition" */
    const char *const *states; /* `count` names */
    const uint64_t *arcs;      /* `count` masks: bit t of arcs[f] = the arc f -> t is legal */
    unsigned count;
};

#define VF_ARC(state) (1ull << (state))

struct vf_fsm {
    const struct vf_fsm_table *table;
    char id[80];            /* whose machine this is, for the trace */
    _Atomic unsigned state; /* written by vf_fsm_set only (compare and swap); read by anyone */
};

/* Starts the machine in state `first`, which nobody is told of. `table` must stay valid; `id` is
 * copied (cut at 79 bytes). Before any other thread sees it. */
void vf_fsm_init(struct vf_fsm *fsm, const struct vf_fsm_table *table, const char *id,
                 unsigned first);

/* The present state, and its name (the table's). Any thread; it may be another one by the time
 * they return. */
unsigned vf_fsm_get(const struct vf_fsm *fsm);
const char *vf_fsm_name(const struct vf_fsm *fsm);

/* Goes from the present state to `to` if the table has that arc; the log (debug) and the trace
 * point state_change say so with `why`. False, and an error line in the log, when the arc is not
 * legal: the state is unchanged. Any thread. */
bool vf_fsm_set(struct vf_fsm *fsm, unsigned to, const char *why);

#endif
