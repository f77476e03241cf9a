// SPDX-License-Identifier: Apache-2.0
/* vferry plan: what its files share. */
#ifndef CLI_PLAN_PLAN_H
#define CLI_PLAN_PLAN_H

#include "cli/plan/fleet.h"
#include "cli/plan/trace.h"
#include "cli/syntax/verbs.h"

enum plan_kind {
    PLAN_TOLD,  /* one partition, by options */
    PLAN_TRACE, /* one partition, by what was recorded */
    PLAN_FLEET,
};

int plan_kind(const struct command *command, enum plan_kind *kind, struct vf_error *err);
/* What the command line says of every move: limits, throttle, verify, dirty page, the hosts' rate
 * and the fixed part of a pause. VF_USAGE with one line. */
int plan_limits(const struct command *command, struct plan_move *limits, struct vf_error *err);
/* What it says of the one partition besides; `move` has the limits. */
int plan_partition(const struct command *command, struct plan_move *move, uint64_t *vram_bytes,
                   struct vf_error *err);
/* With --trace: is anything said that the trace says? Then, once it is read, the move. */
int plan_trace_options(const struct command *command, struct vf_error *err);
int plan_traced(const struct command *command, const struct trace_file *trace,
                struct plan_move *move, struct vf_error *err);
/* How a fleet is to be planned. */
int plan_wish(const struct command *command, struct fleet_wish *wish, struct vf_error *err);

/* "vferry.plan/1" and "vferry.plan-fleet/1"; new references, NULL without memory. */
json_t *plan_object(const struct plan_move *move, uint64_t vram_bytes,
                    const struct plan_outcome *outcome);
json_t *plan_fleet_object(const struct fleet *fleet, const struct fleet_wish *wish,
                          const struct fleet_move *moves);

#endif
