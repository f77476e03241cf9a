// SPDX-License-Identifier: Apache-2.0
/* See fsm.h. */
#define LOG_ROOM "state"
#include "base/fsm.h"

#include "base/log.h"
#include "base/trace.h"

#include <stdio.h>

void vf_fsm_init(struct vf_fsm *fsm, const struct vf_fsm_table *table, const char *id,
                 unsigned first)
{
    fsm->table = table;
    (void)snprintf(fsm->id, sizeof fsm->id, "%s", id);
    atomic_store(&fsm->state, first);
}

unsigned vf_fsm_get(const struct vf_fsm *fsm)
{
    return atomic_load(&fsm->state);
}

const char *vf_fsm_name(const struct vf_fsm *fsm)
{
    return fsm->table->states[vf_fsm_get(fsm)];
}

static bool legal(const struct vf_fsm_table *table, unsigned from, unsigned to)
{
    return from < table->count && to < table->count && (table->arcs[from] & VF_ARC(to)) != 0;
}

static bool step(struct vf_fsm *fsm, unsigned from, unsigned to, const char *why)
{
    if (!atomic_compare_exchange_strong(&fsm->state, &from, to))
        return false;
    vf_trace(state_change, fsm->table->name, fsm->id, fsm->table->states[from],
             fsm->table->states[to], why);
    log_debug("%s %s: %s -> %s (%s)", fsm->table->name, fsm->id, fsm->table->states[from],
              fsm->table->states[to], why);
    return true;
}

bool vf_fsm_set(struct vf_fsm *fsm, unsigned to, const char *why)
{
    for (;;) {
        unsigned from = vf_fsm_get(fsm);

        if (!legal(fsm->table, from, to)) {
            log_error("%s %s: no arc %s -> %s (%s)", fsm->table->name, fsm->id,
                      fsm->table->states[from],
                      to < fsm->table->count ? fsm->table->states[to] : "?", why);
            return false;
        }
        if (step(fsm, from, to, why))
            return true;
    }
}

bool vf_fsm_move(struct vf_fsm *fsm, unsigned from, unsigned to, const char *why)
{
    return legal(fsm->table, from, to) && step(fsm, from, to, why);
}
