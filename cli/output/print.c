// SPDX-License-Identifier: Apache-2.0
/* The host, its GPUs and partitions. See print.h. */
#include "cli/output/print.h"

#include "base/size.h"
#include "cli/output/table.h"
#include "cli/output/wrap.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

void print_host(const json_t *result)
{
    static const struct column columns[] = {
        {CELL_TEXT, "name", "name"},
        {CELL_TEXT, "listen", "listen"},
        {CELL_TEXT, "security", "security"},
        {CELL_TEXT, "pid", "pid"},
        {CELL_TEXT, "kernel side pid", "kernel_pid"},
        {CELL_TEXT, "kernel side", "kernel"},
        {CELL_TEXT, "adapters", "adapters"},
        {CELL_TEXT, "partitions", "partitions"},
        {CELL_TEXT, "version", "version"},
        {CELL_TEXT, "cordoned", "cordoned"},
        {CELL_END},
    };

    table_fields(columns, result);
    if (json_string_value(json_object_get(result, "kernel_word")) != NULL)
        (void)printf("ATTENTION: %s\n", json_string_value(json_object_get(result, "kernel_word")));
}

void print_adapters(const json_t *result)
{
    static const struct column columns[] = {
        {CELL_TEXT, "ADAPTER", "adapter"},
        {CELL_TEXT, "DEVICE", "device"},
        {CELL_SIZE, "VRAM", "vram_bytes"},
        {CELL_SIZE, "VRAM FREE", "vram_free_bytes"},
        {CELL_TEXT, "VFS", "vf_count"},
        {CELL_TEXT, "VFS FREE", "vf_free"},
        {CELL_TEXT, "CAN MIGRATE", "live_migration"},
        {CELL_END},
    };

    table_rows(columns, json_object_get(result, "adapters"), "no adapters");
}

void print_adapter(const json_t *result)
{
    static const struct column columns[] = {
        {CELL_TEXT, "adapter", "adapter"},
        {CELL_TEXT, "luid", "luid"},
        {CELL_TEXT, "device", "device"},
        {CELL_TEXT, "driver", "driver"},
        {CELL_TEXT, "description", "description"},
        {CELL_TEXT, "VFs", "vf_count"},
        {CELL_TEXT, "VFs free", "vf_free"},
        {CELL_SIZE, "VRAM", "vram_bytes"},
        {CELL_SIZE, "VRAM free", "vram_free_bytes"},
        {CELL_SIZE, "largest partition", "vram_largest_bytes"},
        {CELL_SIZE, "free, not yet proven zero", "vram_unproven_bytes"},
        {CELL_SIZE, "alignment", "alignment_bytes"},
        {CELL_SIZE, "page of a dirty bit", "dirty_page_bytes"},
        {CELL_SIZE, "scatter page", "scatter_page_bytes"},
        {CELL_TEXT, "live migration", "live_migration"},
        {CELL_TEXT, "hot driver update", "hot_driver_update"},
        {CELL_TEXT, "hibernation", "hibernation"},
        {CELL_TEXT, "performant tracking", "performant"},
        {CELL_TEXT, "scatter", "scatter"},
        {CELL_END},
    };

    table_fields(columns, result);
}

void print_peer(const json_t *result)
{
    static const struct column columns[] = {
        {CELL_TEXT, "name", "name"},
        {CELL_TEXT, "address", "address"},
        {CELL_TEXT, "takes partitions", "takes_partitions"},
        {CELL_TEXT, "why not", "why_not"},
        {CELL_TEXT, "partitions", "partitions"},
        {CELL_TEXT, "version", "version"},
        {CELL_END},
    };

    table_fields(columns, result);
    print_adapters(result);
}

void print_driver(const json_t *result)
{
    static const struct column columns[] = {
        {CELL_TEXT, "adapter", "adapter"},
        {CELL_TEXT, "driver", "driver"},
        {CELL_TEXT, "device", "device"},
        {CELL_TEXT, "description", "description"},
        {CELL_TEXT, "live migration", "live_migration"},
        {CELL_TEXT, "hot driver update", "hot_driver_update"},
        {CELL_TEXT, "hibernation", "hibernation"},
        {CELL_TEXT, "interface", "interface"},
        {CELL_TEXT, "digest", "digest"},
        {CELL_TEXT, "updates", "updates"},
        {CELL_TIME, "last time without", "last_gap_ns"},
        {CELL_END},
    };

    table_fields(columns, result);
    if (json_is_true(json_object_get(result, "lost")))
        (void)printf("it is LOST: an update failed for good; partitions run on but cannot be "
                     "managed\n");
}

/* A line of its own, broken where the terminal ends. */
static void say(const char *line)
{
    wrap_text(stdout, line, 0, 2);
    (void)putchar('\n');
}

/* Why some were not moved: in lines of their own, since a table would cut what is told nowhere
 * else. */
static void print_why(const json_t *moves)
{
    char line[2 * CELL_BYTES], text[CELL_BYTES];
    size_t index;
    json_t *move;

    json_array_foreach(moves, index, move) {
        if (table_text(move, "reason")[0] == '\0')
            continue;
        (void)snprintf(line, sizeof line, "%s: %s", table_text(move, "partition"),
                       table_cell(move, CELL_TEXT, "reason", text));
        say(line);
    }
}

void print_defrag(const json_t *result)
{
    static const struct column columns[] = {
        {CELL_TEXT, "partition", "partition"}, {CELL_TEXT, "outcome", "outcome"},
        {CELL_SIZE, "size", "bytes"},          {CELL_SIZE, "from", "from_bytes"},
        {CELL_SIZE, "to", "to_bytes"},         {CELL_TIME, "pause", "pause_ns"},
        {CELL_END, NULL, NULL},
    };
    bool planned = json_is_true(json_object_get(result, "dry_run"));
    char text[3][CELL_BYTES], line[4 * CELL_BYTES];

    if (json_is_true(json_object_get(result, "scatter"))) {
        say("nothing to do: this GPU scatters, any free page serves any partition");
        return;
    }
    if (json_array_size(json_object_get(result, "moves")) > 0)
        table_rows(columns, json_object_get(result, "moves"), "");
    print_why(json_object_get(result, "moves"));
    (void)snprintf(
        line, sizeof line, "largest partition that fits: %s, %s %s; %s %s",
        table_cell(result, CELL_SIZE, "largest_before_bytes", text[0]),
        planned ? "would be" : "now", table_cell(result, CELL_SIZE, "largest_after_bytes", text[1]),
        table_cell(result, CELL_SIZE, "moved_bytes", text[2]), planned ? "to move" : "moved");
    say(line);
}

void print_driver_update(const json_t *result)
{
    const json_t *adapters = json_object_get(result, "adapters");
    const char *status = table_text(result, "status");
    char list[256] = "", text[3][CELL_BYTES];
    size_t index, used = 0;
    json_t *adapter;

    json_array_foreach(adapters, index, adapter) {
        if (used < sizeof list)
            used += (size_t)snprintf(list + used, sizeof list - used, "%s%" PRId64,
                                     index > 0 ? ", " : "", (int64_t)json_integer_value(adapter));
    }
    (void)printf("adapter%s %s: ", json_array_size(adapters) == 1 ? "" : "s", list);
    if (strcmp(status, "replaced") == 0)
        (void)printf("%s replaced by %s, %s without a driver\n",
                     table_cell(result, CELL_TEXT, "before", text[0]),
                     table_cell(result, CELL_TEXT, "after", text[1]),
                     table_cell(result, CELL_TIME, "gap_ns", text[2]));
    else if (strcmp(status, "would-replace") == 0)
        (void)printf("%s would be replaced by %s, %s of saved state\n",
                     table_cell(result, CELL_TEXT, "before", text[0]),
                     table_cell(result, CELL_TEXT, "after", text[1]),
                     table_cell(result, CELL_SIZE, "saved_bytes", text[2]));
    else if (strcmp(status, "lost") == 0)
        (void)printf("NO DRIVER; its partitions run on but cannot be managed\n");
    else
        (void)printf("still %s\n", table_cell(result, CELL_TEXT, "before", text[0]));
}

void print_created(const json_t *result)
{
    char vram[CELL_BYTES];

    (void)printf("%s: VF %" PRIu64 " of adapter %" PRIu64 ", %s of VRAM, %s\n",
                 table_text(result, "name"), table_number(result, "vf_index"),
                 table_number(result, "adapter"), table_cell(result, CELL_SIZE, "vram_bytes", vram),
                 table_text(result, "state"));
}

void print_partitions(const json_t *result)
{
    static const struct column columns[] = {
        {CELL_TEXT, "NAME", "name"},       {CELL_STATE, "STATE", "state"},
        {CELL_TEXT, "ADAPTER", "adapter"}, {CELL_TEXT, "VF", "vf_index"},
        {CELL_SIZE, "VRAM", "vram_bytes"}, {CELL_TEXT, "WORKLOAD", "workload"},
        {CELL_TEXT, "", "workload_state"}, {CELL_TEXT, "STEPS", "steps"},
        {CELL_TEXT, "UUID", "uuid"},       {CELL_END},
    };

    table_rows(columns, json_object_get(result, "partitions"), "no partitions");
}

void print_partition(const json_t *result)
{
    static const struct column columns[] = {
        {CELL_TEXT, "name", "name"},
        {CELL_TEXT, "uuid", "uuid"},
        {CELL_STATE, "state", "state"},
        {CELL_TEXT, "adapter", "adapter"},
        {CELL_TEXT, "VF", "vf_index"},
        {CELL_TEXT, "luid", "luid"},
        {CELL_SIZE, "VRAM", "vram_bytes"},
        {CELL_SIZE, "page of a dirty bit", "page_bytes"},
        {CELL_TEXT, "workload", "workload"},
        {CELL_TEXT, "workload is", "workload_state"},
        {CELL_TEXT, "steps", "steps"},
        {CELL_TEXT, "steps wanted", "steps_wanted"},
        {CELL_TIME, "GPU time", "gpu_ns"},
        {CELL_TEXT, "interrupts", "interrupts"},
        {CELL_TEXT, "epoch", "epoch"},
        {CELL_END},
    };

    table_fields(columns, result);
    if (table_number(result, "job") != 0)
        (void)printf("job %" PRIu64 " works on it\n", table_number(result, "job"));
}

void print_run(const json_t *result)
{
    (void)printf("%s: %s started, %" PRIu64 " steps\n", table_text(result, "partition"),
                 table_text(result, "workload"), table_number(result, "steps_wanted"));
}

void print_work(const json_t *result)
{
    (void)printf("%s: %" PRIu64 " steps, %s\n", table_text(result, "workload"),
                 table_number(result, "steps"), table_text(result, "digest"));
}

void print_read(const json_t *result)
{
    char size[CELL_BYTES];

    (void)printf("%s: %s after %" PRIu64 " steps, %s\n", table_text(result, "partition"),
                 table_text(result, "workload"), table_number(result, "steps"),
                 table_cell(result, CELL_SIZE, "bytes", size));
}

void print_event(const json_t *event)
{
    uint64_t time_ns = table_number(event, "time_ns");
    time_t seconds = (time_t)(time_ns / 1000000000u);
    struct tm parts;
    char when[32];
    char text[3][CELL_BYTES];

    if (localtime_r(&seconds, &parts) == NULL || strftime(when, sizeof when, "%F %T", &parts) == 0)
        (void)snprintf(when, sizeof when, "-");
    (void)printf("%s.%03" PRIu64 "  %-8s %-10s %s\n", when, time_ns / 1000000u % 1000u,
                 table_cell(event, CELL_TEXT, "source", text[0]),
                 table_cell(event, CELL_TEXT, "kind", text[1]),
                 table_cell(event, CELL_TEXT, "text", text[2]));
}

void print_events(const json_t *result)
{
    size_t index;
    json_t *event;

    json_array_foreach(json_object_get(result, "events"), index, event)
        print_event(event);
}
