// SPDX-License-Identifier: Apache-2.0
/* What a person says to `vferry plan`. See plan.h. */
#include "cli/plan/check.h"
#include "cli/plan/plan.h"

#include "base/plain.h"
#include "base/size.h"
#include "vferry/vferry.h"

#include <stdlib.h>
#include <string.h>

#define AT_ONCE 1u /* moves a host, as --moves-at-once of a vferryd with few processors */

static uint64_t number_or(const struct command *command, const char *key, uint64_t otherwise)
{
    const json_t *value = json_object_get(command->args, key);

    return json_is_integer(value) ? (uint64_t)json_integer_value(value) : otherwise;
}

static const char *text_or(const struct command *command, const char *key, const char *otherwise)
{
    const char *text = json_string_value(json_object_get(command->args, key));

    return text != NULL ? text : otherwise;
}

static bool is_said(const struct command *command, const char *key)
{
    return json_object_get(command->args, key) != NULL;
}

/* A rate that is said is one that a move can be told. */
static int check_rate(const struct command *command, const char *key, struct vf_error *err)
{
    if (number_or(command, key, FLEET_LEAST_RATE) >= FLEET_LEAST_RATE)
        return 0;
    return vf_fail(err, VF_USAGE, "--%s: is too slow" VF_REMEDY "give at least %uM/s", key,
                   FLEET_LEAST_RATE >> 20);
}

/* "off", "auto" or a percentage, as of migrate. */
static int take_throttle(const struct command *command, uint32_t *most, struct vf_error *err)
{
    const char *text = text_or(command, "throttle", "auto");
    char *end;
    unsigned long percent = strtoul(text, &end, 10);

    if (strcmp(text, "auto") == 0)
        *most = VF_THROTTLE_MOST;
    else if (strcmp(text, "off") == 0)
        *most = 0;
    else if (text[0] < '0' || text[0] > '9' || (strcmp(end, "%") != 0 && *end != '\0') ||
             percent == 0 || percent > VF_THROTTLE_MOST)
        return vf_fail(err, VF_USAGE,
                       "--throttle %s: is no part of the time that a partition may stand" VF_REMEDY
                       "say off, auto or 1%% to %u%%",
                       VF_SHOWN(text), VF_THROTTLE_MOST);
    else
        *most = (uint32_t)percent;
    return 0;
}

static int take_verify(const struct command *command, bool *full, struct vf_error *err)
{
    const char *text = text_or(command, "verify", "delta");

    *full = strcmp(text, "full") == 0;
    if (!*full && strcmp(text, "delta") != 0)
        return vf_fail(err, VF_USAGE, "--verify %s: is neither" VF_REMEDY "say delta or full",
                       VF_SHOWN(text));
    return 0;
}

int plan_limits(const struct command *command, struct plan_move *limits, struct vf_error *err)
{
    *limits = (struct plan_move){
        .page_bytes = number_or(command, "page", PLAN_BLOCK_BYTES),
        .host_bytes_per_s = number_or(command, "host-rate", 0),
        .fixed_blackout_ns =
            number_or(command, "fixed-blackout", PLAN_FIXED_BLACKOUT_NS / 1000000u) * 1000000u,
        .max_blackout_ns =
            number_or(command, "max-blackout", PLAN_MAX_BLACKOUT_NS / 1000000u) * 1000000u,
        .max_time_ns = number_or(command, "max-time", 0) * 1000000000u};
    if (limits->max_blackout_ns == 0)
        return vf_fail(err, VF_USAGE,
                       "--max-blackout 0: every pause takes longer" VF_REMEDY "give e.g. 100ms");
    if (check_rate(command, "host-rate", err) != 0)
        return -1;
    return take_throttle(command, &limits->throttle_most, err) != 0 ||
                   take_verify(command, &limits->verify_full, err) != 0
               ? -1
               : 0;
}

/* A size, or a part of the VRAM. */
static int take_touched(const struct command *command, uint64_t vram_bytes, uint64_t *touched,
                        struct vf_error *err)
{
    const char *text = text_or(command, "touched", "100%");
    char *end;
    const double percent = strtod(text, &end);

    if (text[0] >= '0' && text[0] <= '9' && strcmp(end, "%") == 0 && percent <= 100) {
        *touched = (uint64_t)((double)vram_bytes * percent / 100.0);
        return 0;
    }
    if (vf_size_parse(text, touched) != 0 || *touched > INT64_MAX)
        return vf_fail(err, VF_USAGE,
                       "--touched %s: is neither a size nor a part of its VRAM" VF_REMEDY
                       "give e.g. 2G or 30%%",
                       VF_SHOWN(text));
    return 0;
}

static int must_be_said(const struct command *command, const char *const *keys,
                        struct vf_error *err)
{
    for (; *keys != NULL; keys++) {
        if (!is_said(command, *keys))
            return vf_fail(err, VF_USAGE,
                           "plan: --%s is missing" VF_REMEDY "e.g. vferry %s, or --fleet FILE",
                           *keys, command->verb->example);
    }
    return 0;
}

static const char *const of_fleets[] = {"at-once", "placement", NULL};
static const char no_fleet[] = "is of a fleet, and there is no --fleet";

static int must_not_be_said(const struct command *command, const char *const *keys, const char *why,
                            struct vf_error *err)
{
    for (; *keys != NULL; keys++) {
        if (is_said(command, *keys))
            return vf_fail(err, VF_USAGE, "plan: --%s: %s" VF_REMEDY "leave it out", *keys, why);
    }
    return 0;
}

/* Is the file that was named last that of this option? Two of them are too many. */
static bool names_file(const struct command *command, const char *option)
{
    for (size_t i = 0; i < command->work_count; i++) {
        if (strcmp(command->work[i].key, option) == 0)
            return true;
    }
    return false;
}

int plan_kind(const struct command *command, enum plan_kind *kind, struct vf_error *err)
{
    const bool fleet = names_file(command, "fleet"), trace = names_file(command, "trace");

    if (fleet && trace)
        return vf_fail(err, VF_USAGE,
                       "plan: --trace is of one partition, --fleet of hosts" VF_REMEDY
                       "give one of them");
    *kind = fleet ? PLAN_FLEET : trace ? PLAN_TRACE : PLAN_TOLD;
    return 0;
}

int plan_traced(const struct command *command, const struct trace_file *trace,
                struct plan_move *move, struct vf_error *err)
{
    move->link_bytes_per_s = number_or(command, "link", 0);
    if (check_rate(command, "link", err) != 0)
        return -1;
    move->touched_bytes = trace->touched_bytes;
    move->working_set_bytes = trace->working_set_bytes;
    move->page_bytes = trace->page_bytes;
    move->write_bytes_per_s = trace->mean_bytes_per_s;
    move->trace = &trace->trace;
    return 0;
}

int plan_trace_options(const struct command *command, struct vf_error *err)
{
    static const char *const needed[] = {"link", NULL};
    static const char *const others[] = {"vram",        "touched", "write-rate",
                                         "working-set", "page",    NULL};

    return must_be_said(command, needed, err) != 0 ||
                   must_not_be_said(command, others, "the --trace says it", err) != 0 ||
                   must_not_be_said(command, of_fleets, no_fleet, err) != 0
               ? -1
               : 0;
}

int plan_partition(const struct command *command, struct plan_move *move, uint64_t *vram_bytes,
                   struct vf_error *err)
{
    static const char *const needed[] = {"vram", "write-rate", "link", NULL};
    static const struct plan_words words = {"--touched", "--working-set", "--page"};

    if (must_be_said(command, needed, err) != 0 ||
        must_not_be_said(command, of_fleets, no_fleet, err) != 0)
        return -1;
    *vram_bytes = number_or(command, "vram", 0);
    move->link_bytes_per_s = number_or(command, "link", 0);
    move->write_bytes_per_s = number_or(command, "write-rate", 0);
    if (*vram_bytes < PLAN_BLOCK_BYTES)
        return vf_fail(err, VF_USAGE, "--vram: is too small" VF_REMEDY "give at least 4K");
    if (check_rate(command, "link", err) != 0)
        return -1;
    if (take_touched(command, *vram_bytes, &move->touched_bytes, err) != 0)
        return -1;
    move->working_set_bytes = number_or(command, "working-set", move->touched_bytes);
    return plan_check(move, *vram_bytes, "", &words, err);
}

int plan_wish(const struct command *command, struct fleet_wish *wish, struct vf_error *err)
{
    static const char *const others[] = {"vram",        "touched", "write-rate",
                                         "working-set", "link",    NULL};
    const char *placement = text_or(command, "placement", "fill");
    const uint64_t at_once = number_or(command, "at-once", AT_ONCE);

    if (must_not_be_said(command, others, "stands in the --fleet's file, for each partition",
                         err) != 0)
        return -1;
    if (at_once == 0 || at_once > FLEET_MAX_AT_ONCE)
        return vf_fail(err, VF_USAGE, "--at-once: is out of range" VF_REMEDY "give 1 to %u",
                       FLEET_MAX_AT_ONCE);
    *wish = (struct fleet_wish){.at_once = (uint32_t)at_once,
                                .spread = strcmp(placement, "spread") == 0};
    if (!wish->spread && strcmp(placement, "fill") != 0)
        return vf_fail(err, VF_USAGE, "--placement %s: is neither" VF_REMEDY "say fill or spread",
                       VF_SHOWN(placement));
    return 0;
}
