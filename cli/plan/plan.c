// SPDX-License-Identifier: Apache-2.0
/* vferry plan: what a move, or the emptying of hosts, would come to. Needs no host. */
#include "cli/plan/plan.h"

#include "base/cleanup.h"
#include "cli/plan/reading.h"
#include "cli/show.h"
#include "vferry/vferry.h"

#include <stdio.h>
#include <string.h>

/* The policy's last word about a move that is given up ends with what to do, behind the last "; ".
 * Where that begins; the end of the text where it says nothing. */
static const char *advice(const char *why)
{
    const char *at = why + strlen(why);

    while (at > why && strncmp(at, "; ", 2) != 0)
        at--;
    return at > why ? at : why + strlen(why);
}

static int fail_given_up(const char *what, const char *why, struct vf_error *err)
{
    const char *end = advice(why);

    return vf_fail(err, VF_CANCELLED, "%s: %.*s" VF_REMEDY "%s", what, (int)(end - why), why,
                   *end != '\0' ? end + 2 : "allow a longer --max-blackout");
}

/* ---- one partition ---- */

static int show_one(const struct command *command, const struct plan_move *move,
                    uint64_t vram_bytes, struct vf_error *err)
{
    struct plan_outcome outcome;
    json_t *object;
    int status = 0;

    plan_simulate(move, &outcome);
    object = plan_object(move, vram_bytes, &outcome);
    if (!outcome.completes)
        status = fail_given_up("it would be given up", outcome.why, err);
    show_outcome(command, status, object, true, err);
    json_decref(object);
    return status;
}

static int plan_told(const struct command *command, const struct plan_move *limits,
                     struct vf_error *err)
{
    struct plan_move move = *limits;
    uint64_t vram_bytes;

    if (plan_partition(command, &move, &vram_bytes, err) != 0)
        return -1;
    return show_one(command, &move, vram_bytes, err);
}

static int plan_trace(const struct command *command, const struct plan_move *limits,
                      struct vf_error *err)
{
    struct plan_move move = *limits;
    cleanup_free char *text = NULL;
    struct trace_file trace = {0};
    size_t bytes;
    int status = plan_trace_options(command, err);

    if (status == 0)
        status = reading_load(command->input, &text, &bytes, err);
    if (status == 0)
        status = trace_read(text, bytes, command->input, &trace, err);
    if (status == 0)
        status = plan_traced(command, &trace, &move, err);
    if (status == 0)
        status = show_one(command, &move, trace.vram_bytes, err);
    trace_free(&trace);
    return status;
}

/* ---- a fleet ---- */

/* The first move that would be given up, and how many; NULL = all complete. */
static const char *given_up(const struct fleet *fleet, const struct fleet_move *moves,
                            const char **why, size_t *count)
{
    const char *first = NULL;

    *count = 0;
    for (size_t i = 0; i < fleet->partition_count; i++) {
        if (!moves[i].leaves || moves[i].to == FLEET_NOWHERE || moves[i].outcome.completes)
            continue;
        if ((*count)++ == 0) {
            first = fleet->partitions[i].name;
            *why = moves[i].outcome.why;
        }
    }
    return first;
}

static const struct fleet_partition *first_left(const struct fleet *fleet,
                                                const struct fleet_move *moves)
{
    for (size_t i = 0; i < fleet->partition_count; i++) {
        if (moves[i].leaves && moves[i].to == FLEET_NOWHERE)
            return &fleet->partitions[i];
    }
    return NULL;
}

/* What the plan says as an exit code: what fits nowhere before what would be given up, as the worst
 * of several moves. */
static int judge(const struct fleet *fleet, const struct fleet_move *moves, long nowhere,
                 struct vf_error *err)
{
    const char *why = "", *name;
    char what[64 + VF_NAME_BYTES];
    size_t count;

    if (nowhere > 0) {
        const struct fleet_partition *left = first_left(fleet, moves);

        return vf_fail(err, VF_REFUSED_NOW,
                       "%ld of the partitions fit nowhere, first %s of host %s" VF_REMEDY
                       "make room for a VF and its VRAM on a host that takes partitions",
                       nowhere, left->name, fleet->hosts[left->host].name);
    }
    name = given_up(fleet, moves, &why, &count);
    if (name != NULL) {
        (void)snprintf(what, sizeof what, "%zu of the moves would be given up, first that of %s",
                       count, name);
        return fail_given_up(what, why, err);
    }
    return 0;
}

static int plan_moves(const struct command *command, const struct fleet *fleet,
                      const struct fleet_wish *wish, struct vf_error *err)
{
    cleanup_free struct fleet_move *moves = calloc(fleet->partition_count + 1, sizeof *moves);
    long nowhere = moves != NULL ? fleet_place(fleet, wish, moves) : -1;
    json_t *object;
    int status;

    if (nowhere < 0 || fleet_schedule(fleet, wish, moves) != 0)
        return vf_fail(err, VF_FAILED, "plan: " VF_NO_MEMORY);
    object = plan_fleet_object(fleet, wish, moves);
    status = judge(fleet, moves, nowhere, err);
    show_outcome(command, status, object, true, err);
    json_decref(object);
    return status;
}

static int plan_fleet(const struct command *command, const struct plan_move *limits,
                      struct vf_error *err)
{
    cleanup_free char *text = NULL;
    struct fleet fleet = {0};
    struct fleet_wish wish;
    size_t bytes;
    int status = plan_wish(command, &wish, err);

    if (status == 0)
        status = reading_load(command->input, &text, &bytes, err);
    if (status == 0)
        status = fleet_read(text, bytes, command->input, limits, &fleet, err);
    if (status == 0)
        status = plan_moves(command, &fleet, &wish, err);
    fleet_free(&fleet);
    return status;
}

int cmd_plan(const struct command *command, struct vf_error *err)
{
    struct plan_move limits;
    enum plan_kind kind;

    if (plan_kind(command, &kind, err) != 0 || plan_limits(command, &limits, err) != 0)
        return -1;
    switch (kind) {
    case PLAN_FLEET:
        return plan_fleet(command, &limits, err);
    case PLAN_TRACE:
        return plan_trace(command, &limits, err);
    case PLAN_TOLD:
    default:
        return plan_told(command, &limits, err);
    }
}
