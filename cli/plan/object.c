// SPDX-License-Identifier: Apache-2.0
/* What a plan comes to, as JSON. See plan.h. */
#include "cli/plan/plan.h"

static void put(json_t *object, const char *key, uint64_t value)
{
    (void)json_object_set_new(object, key,
                              json_integer(value > INT64_MAX ? INT64_MAX : (json_int_t)value));
}

/* Null where it is not known: a pause that never comes. */
static void put_known(json_t *object, const char *key, uint64_t value)
{
    if (value == UINT64_MAX)
        (void)json_object_set_new(object, key, json_null());
    else
        put(object, key, value);
}

static void put_share(json_t *object, const char *key, uint32_t percent)
{
    (void)json_object_set_new(object, key, json_real((double)percent / 100.0));
}

/* What is told of every move. */
static void put_outcome(json_t *object, const struct plan_outcome *outcome)
{
    (void)json_object_set_new(object, "completes", json_boolean(outcome->completes));
    (void)json_object_set_new(object, "why", json_string(outcome->why));
    put(object, "total_ns", outcome->total_ns);
    put_known(object, "blackout_ns", outcome->blackout_ns);
    put(object, "bytes_sent", outcome->sent_bytes);
    put_share(object, "throttle_max", outcome->throttle_max);
    put(object, "throttled_ns", outcome->throttled_ns);
}

static json_t *rounds(const struct plan_outcome *outcome)
{
    json_t *list = json_array();

    for (uint32_t i = 0; i < outcome->round_count; i++) {
        const struct plan_round *round = &outcome->rounds[i];
        json_t *object = json_object();

        put(object, "dirty_bytes", round->dirty_bytes);
        put(object, "bytes", round->sent_bytes);
        put(object, "duration_ns", round->duration_ns);
        put_share(object, "throttle", round->throttle);
        (void)json_object_set_new(
            object, "paused", json_boolean(outcome->completes && i + 1 == outcome->round_count));
        (void)json_array_append_new(list, object);
    }
    return list;
}

json_t *plan_object(const struct plan_move *move, uint64_t vram_bytes,
                    const struct plan_outcome *outcome)
{
    json_t *object = json_pack("{s:s}", "schema", "vferry.plan/1");

    put(object, "vram_bytes", vram_bytes);
    put(object, "touched_bytes", move->touched_bytes);
    put(object, "working_set_bytes", move->working_set_bytes);
    put(object, "page_bytes", move->page_bytes);
    put(object, "write_bytes_per_s", move->write_bytes_per_s);
    put(object, "link_bytes_per_s", move->link_bytes_per_s);
    put(object, "max_blackout_ns", move->max_blackout_ns);
    put_known(object, "max_time_ns", move->max_time_ns != 0 ? move->max_time_ns : UINT64_MAX);
    put_outcome(object, outcome);
    (void)json_object_set_new(object, "rounds", rounds(outcome));
    return object;
}

/* ---- a fleet ---- */

struct totals {
    uint64_t bytes, end_ns, blackout_ns;
    size_t moves, left, given_up;
};

static json_t *move_object(const struct fleet *fleet, size_t index, const struct fleet_move *move)
{
    const struct fleet_partition *partition = &fleet->partitions[index];
    json_t *object =
        json_pack("{s:s, s:s, s:s}", "partition", partition->name, "from",
                  fleet->hosts[partition->host].name, "to", fleet->hosts[move->to].name);

    put(object, "vram_bytes", partition->vram_bytes);
    put(object, "start_ns", move->start_ns);
    put(object, "end_ns", move->end_ns);
    put(object, "bandwidth_bytes_per_s", move->bytes_per_s);
    put(object, "rounds", move->outcome.round_count);
    put_outcome(object, &move->outcome);
    return object;
}

static json_t *left_object(const struct fleet *fleet, size_t index)
{
    const struct fleet_partition *partition = &fleet->partitions[index];
    json_t *object = json_pack("{s:s, s:s}", "partition", partition->name, "from",
                               fleet->hosts[partition->host].name);

    put(object, "vram_bytes", partition->vram_bytes);
    return object;
}

static void add(struct totals *totals, const struct fleet_move *move)
{
    totals->moves++;
    totals->bytes += move->outcome.sent_bytes;
    if (totals->bytes < move->outcome.sent_bytes)
        totals->bytes = UINT64_MAX;
    if (move->end_ns > totals->end_ns)
        totals->end_ns = move->end_ns;
    if (!move->outcome.completes)
        totals->given_up++;
    else if (move->outcome.blackout_ns > totals->blackout_ns)
        totals->blackout_ns = move->outcome.blackout_ns;
}

static int by_start(const void *a, const void *b, void *ctx)
{
    const struct fleet_move *moves = ctx;
    const size_t i = *(const size_t *)a, j = *(const size_t *)b;

    if (moves[i].start_ns != moves[j].start_ns)
        return moves[i].start_ns < moves[j].start_ns ? -1 : 1;
    return i < j ? -1 : i > j;
}

static json_t *emptied(const struct fleet *fleet)
{
    json_t *list = json_array();

    for (size_t i = 0; i < fleet->host_count; i++) {
        if (fleet->hosts[i].evacuate)
            (void)json_array_append_new(list, json_string(fleet->hosts[i].name));
    }
    return list;
}

json_t *plan_fleet_object(const struct fleet *fleet, const struct fleet_wish *wish,
                          const struct fleet_move *moves)
{
    json_t *object = json_pack("{s:s}", "schema", "vferry.plan-fleet/1");
    json_t *going = json_array(), *left = json_array();
    size_t *order = calloc(fleet->partition_count + 1, sizeof *order);
    struct totals totals = {0};

    for (size_t i = 0; order != NULL && i < fleet->partition_count; i++)
        order[i] = i;
    if (order != NULL)
        qsort_r(order, fleet->partition_count, sizeof *order, by_start, (void *)moves);
    for (size_t n = 0; order != NULL && n < fleet->partition_count; n++) {
        const struct fleet_move *move = &moves[order[n]];

        if (move->leaves && move->to != FLEET_NOWHERE) {
            add(&totals, move);
            (void)json_array_append_new(going, move_object(fleet, order[n], move));
        } else if (move->leaves) {
            totals.left++;
            (void)json_array_append_new(left, left_object(fleet, order[n]));
        }
    }
    free(order);
    (void)json_object_set_new(object, "emptied", emptied(fleet));
    put(object, "at_once", wish->at_once);
    put(object, "total_ns", totals.end_ns);
    put(object, "bytes_sent", totals.bytes);
    put(object, "blackout_ns", totals.blackout_ns);
    put(object, "given_up", totals.given_up);
    (void)json_object_set_new(object, "moves", going);
    (void)json_object_set_new(object, "left", left);
    return object;
}
