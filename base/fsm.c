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

bool vf_fsm_set(struct vf_fsm *fsm, unsigned to, const char *why)
{
    const struct vf_fsm_table *table = fsm->table;
    unsigned from = vf_fsm_get(fsm);

    do {
        if (!legal(table, from, to)) {
            log_error("%s %s: no arc %s -> %s (%s)", table->name, fsm->id, table->states[from],
                      to < table->count ? table->states[to] : "?", why);
            return false;
        }
    } while (!atomic_compare_exchange_weak(&fsm->state, &from, to));
    vf_trace(state_change, table->name, fsm->id, table->states[from], table->states[to], why);
    log_debug("%s %s: %s -> %s (%s)", table->name, fsm->id, table->states[from], table->states[to],
              why);
    return true;
}
