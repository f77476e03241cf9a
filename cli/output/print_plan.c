// SPDX-License-Identifier: Apache-2.0
/* What a move or an evacuation would come to. See print.h. */
#include "cli/output/print.h"

#include "cli/output/table.h"
#include "cli/output/wrap.h"

#include <inttypes.h>
#include <stdio.h>

#define NAMES_SHOWN 4u
#define NAMES_BYTES (NAMES_SHOWN * 66u + 32u)

static void say(const char *line)
{
    wrap_text(stdout, line, 0, 2);
    (void)putchar('\n');
}

static void print_one(const json_t *result)
{
    static const struct column round_columns[] = {
        {CELL_COUNT, "ROUND", "round"},
        {CELL_SIZE, "DIRTY", "dirty_bytes"},
        {CELL_SIZE, "SENT", "bytes"},
        {CELL_TIME, "TAKES", "duration_ns"},
        {CELL_SHARE, "SLOWED", "throttle"},
        {CELL_TEXT, "PAUSED", "paused"},
        {CELL_END},
    };
    static const struct column columns[] = {
        {CELL_TEXT, "completes", "completes"},
        {CELL_TIME, "total", "total_ns"},
        {CELL_TIME, "blackout", "blackout_ns"},
        {CELL_TIME, "its limit", "max_blackout_ns"},
        {CELL_SIZE, "sent", "bytes_sent"},
        {CELL_SHARE, "slowed by at most", "throttle_max"},
        {CELL_TIME, "stands to be slow", "throttled_ns"},
        {CELL_TEXT, "why", "why"},
        {CELL_END},
    };
    json_t *rounds = json_deep_copy(json_object_get(result, "rounds"));
    size_t index;
    json_t *round;

    json_array_foreach(rounds, index, round)
        (void)json_object_set_new(round, "round", json_integer((json_int_t)index + 1));
    table_rows(round_columns, rounds, "no rounds");
    json_decref(rounds);
    (void)putchar('\n');
    table_fields(columns, result);
}

/* The hosts that are emptied, the first few by name. */
static const char *emptied(const json_t *result, char text[NAMES_BYTES])
{
    const json_t *list = json_object_get(result, "emptied");
    const size_t count = json_array_size(list);
    size_t at = 0;

    text[0] = '\0';
    for (size_t i = 0; i < count && i < NAMES_SHOWN; i++)
        at += (size_t)snprintf(text + at, NAMES_BYTES - at, "%s%.64s", i != 0 ? ", " : "",
                               json_string_value(json_array_get(list, i)));
    if (count > NAMES_SHOWN)
        (void)snprintf(text + at, NAMES_BYTES - at, " and %zu more", count - NAMES_SHOWN);
    return text;
}

static void print_fleet(const json_t *result)
{
    static const struct column columns[] = {
        {CELL_TIME, "BEGINS", "start_ns"},
        {CELL_TIME, "TAKES", "total_ns"},
        {CELL_TEXT, "PARTITION", "partition"},
        {CELL_TEXT, "FROM", "from"},
        {CELL_TEXT, "TO", "to"},
        {CELL_SIZE, "VRAM", "vram_bytes"},
        {CELL_RATE, "BANDWIDTH", "bandwidth_bytes_per_s"},
        {CELL_COUNT, "ROUNDS", "rounds"},
        {CELL_TIME, "BLACKOUT", "blackout_ns"},
        {CELL_SHARE, "SLOWED", "throttle_max"},
        {CELL_TEXT, "COMPLETES", "completes"},
        {CELL_END},
    };
    static const struct column left_columns[] = {
        {CELL_TEXT, "FITS NOWHERE", "partition"},
        {CELL_TEXT, "FROM", "from"},
        {CELL_SIZE, "VRAM", "vram_bytes"},
        {CELL_END},
    };
    const json_t *left = json_object_get(result, "left");
    char text[3][CELL_BYTES], names[NAMES_BYTES], line[4 * CELL_BYTES];

    table_rows(columns, json_object_get(result, "moves"), "nothing moves");
    if (json_array_size(left) != 0)
        table_rows(left_columns, left, "");
    (void)snprintf(line, sizeof line,
                   "to empty %s: %zu moves, at most %" PRIu64 " at a time of each host; %s in all, "
                   "%s sent, longest blackout %s",
                   emptied(result, names), json_array_size(json_object_get(result, "moves")),
                   table_number(result, "at_once"),
                   table_cell(result, CELL_TIME, "total_ns", text[0]),
                   table_cell(result, CELL_SIZE, "bytes_sent", text[1]),
                   table_cell(result, CELL_TIME, "blackout_ns", text[2]));
    say(line);
}

void print_trace(const json_t *result)
{
    static const struct column columns[] = {
        {CELL_TEXT, "partition", "partition"},
        {CELL_WHEN, "from", "started_unix_ns"},
        {CELL_TIME, "for", "duration_ns"},
        {CELL_SIZE, "VRAM", "vram_bytes"},
        {CELL_SIZE, "touched", "touched_bytes"},
        {CELL_SIZE, "written meanwhile", "working_set_bytes"},
        {CELL_RATE, "gets dirty", "dirty_bytes_per_s"},
        {CELL_SIZE, "page of a dirty bit", "page_bytes"},
        {CELL_END},
    };
    json_t *told = json_copy((json_t *)result);
    uint64_t ns = 0, bytes = 0;
    size_t index;
    json_t *sample;

    json_array_foreach(json_object_get(result, "samples"), index, sample) {
        ns += table_number(sample, "duration_ns");
        bytes += table_number(sample, "dirty_bytes");
    }
    (void)json_object_set_new(told, "duration_ns", json_integer((json_int_t)ns));
    if (ns != 0)
        (void)json_object_set_new(told, "dirty_bytes_per_s",
                                  json_integer((json_int_t)((double)bytes * 1e9 / (double)ns)));
    table_fields(columns, told);
    json_decref(told);
}

void print_plan(const json_t *result)
{
    if (json_object_get(result, "moves") != NULL)
        print_fleet(result);
    else
        print_one(result);
}
