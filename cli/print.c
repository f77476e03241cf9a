// SPDX-License-Identifier: Apache-2.0
/* See print.h. */
#include "cli/print.h"

#include "base/size.h"
#include "cli/table.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

void print_host(const json_t *result)
{
    static const struct column columns[] = {
        {CELL_TEXT, "name", "name"},
        {CELL_TEXT, "listen", "listen"},
        {CELL_TEXT, "pid", "pid"},
        {CELL_TEXT, "kernel pid", "kernel_pid"},
        {CELL_TEXT, "kernel", "kernel"},
        {CELL_TEXT, "adapters", "adapters"},
        {CELL_TEXT, "partitions", "partitions"},
        {CELL_TEXT, "version", "version"},
        {CELL_END},
    };

    table_fields(columns, result);
}

void print_adapters(const json_t *result)
{
    static const struct column columns[] = {
        {CELL_TEXT, "ADAPTER", "adapter"},
        {CELL_TEXT, "DEVICE", "device"},
        {CELL_SIZE, "VRAM", "vram_bytes"},
        {CELL_SIZE, "FREE", "vram_free_bytes"},
        {CELL_TEXT, "VFS", "vf_count"},
        {CELL_TEXT, "FREE", "vf_free"},
        {CELL_TEXT, "MIGRATION", "live_migration"},
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
        {CELL_SIZE, "alignment", "alignment_bytes"},
        {CELL_SIZE, "dirty page", "dirty_page_bytes"},
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
        {CELL_END},
    };

    table_fields(columns, result);
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
        {CELL_TEXT, "NAME", "name"},       {CELL_TEXT, "STATE", "state"},
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
        {CELL_TEXT, "state", "state"},
        {CELL_TEXT, "adapter", "adapter"},
        {CELL_TEXT, "VF", "vf_index"},
        {CELL_TEXT, "luid", "luid"},
        {CELL_SIZE, "VRAM", "vram_bytes"},
        {CELL_SIZE, "dirty page", "page_bytes"},
        {CELL_TEXT, "workload", "workload"},
        {CELL_TEXT, "it is", "workload_state"},
        {CELL_TEXT, "steps", "steps"},
        {CELL_TEXT, "of", "steps_wanted"},
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

void print_reasons(const json_t *result)
{
    char text[4][CELL_BYTES];
    size_t index;
    json_t *reason;

    json_array_foreach(json_object_get(result, "reasons"), index, reason)
    {
        (void)printf("%s: source %s, target %s; %s\n",
                     table_cell(reason, CELL_TEXT, "field", text[0]),
                     table_cell(reason, CELL_TEXT, "source", text[1]),
                     table_cell(reason, CELL_TEXT, "target", text[2]),
                     table_cell(reason, CELL_TEXT, "remedy", text[3]));
    }
}

void print_check(const json_t *result)
{
    if (json_is_true(json_object_get(result, "compatible")))
        (void)printf("%s can move to %s\n", table_text(result, "partition"),
                     table_text(result, "target"));
    else
        print_reasons(result);
}

void print_jobs(const json_t *result)
{
    static const struct column columns[] = {
        {CELL_TEXT, "JOB", "job"},
        {CELL_TEXT, "KIND", "kind"},
        {CELL_TEXT, "PARTITION", "partition"},
        {CELL_TEXT, "STATUS", "status"},
        {CELL_TEXT, "PHASE", "phase"},
        {CELL_TEXT, "SOURCE", "source"},
        {CELL_TEXT, "TARGET", "target"},
        {CELL_TEXT, "REASON", "reason"},
        {CELL_END},
    };

    table_rows(columns, json_object_get(result, "jobs"), "no jobs");
}

void print_job(const json_t *result)
{
    static const struct column columns[] = {
        {CELL_TEXT, "job", "job"},
        {CELL_TEXT, "kind", "kind"},
        {CELL_TEXT, "partition", "partition"},
        {CELL_TEXT, "uuid", "uuid"},
        {CELL_TEXT, "epoch", "epoch"},
        {CELL_TEXT, "status", "status"},
        {CELL_TEXT, "phase", "phase"},
        {CELL_TEXT, "reason", "reason"},
        {CELL_TEXT, "source", "source"},
        {CELL_TEXT, "target", "target"},
        {CELL_SIZE, "VRAM", "vram_bytes"},
        {CELL_SIZE, "sent", "bytes_sent"},
        {CELL_TEXT, "pages sent", "pages_sent"},
        {CELL_TIME, "total", "total_ns"},
        {CELL_TIME, "brownout", "brownout_ns"},
        {CELL_TIME, "blackout", "blackout_ns"},
        {CELL_TEXT, "blackout clock", "blackout_clock"},
        {CELL_TIME, "predicted blackout", "predicted_blackout_ns"},
        {CELL_RATE, "rate", "rate_bytes_per_s"},
        {CELL_RATE, "dirtied", "dirty_bytes_per_s"},
        {CELL_SHARE, "throttled at most", "throttle_max"},
        {CELL_TEXT, "streams", "streams"},
        {CELL_TEXT, "compression", "compression"},
        {CELL_TEXT, "verify", "verify"},
        {CELL_TEXT, "digest", "digest"},
        {CELL_END},
    };
    static const struct column blackout[] = {
        {CELL_TIME, "  pause", "pause_ns"},
        {CELL_TIME, "  pages", "pages_ns"},
        {CELL_TIME, "  state", "state_ns"},
        {CELL_TIME, "  verify", "verify_ns"},
        {CELL_TIME, "  commit", "commit_ns"},
        {CELL_TIME, "  start", "start_ns"},
        {CELL_END},
    };
    static const struct column rounds[] = {
        {CELL_TEXT, "  PAGES", "pages"},
        {CELL_TEXT, "DIRTY", "dirty_pages"},
        {CELL_SIZE, "BYTES", "bytes"},
        {CELL_TIME, "TIME", "duration_ns"},
        {CELL_END},
    };

    table_fields(columns, result);
    if (json_array_size(json_object_get(result, "reasons")) > 0) {
        (void)printf("the target's reasons:\n");
        print_reasons(result);
    }
    if (table_number(result, "blackout_ns") > 0) {
        (void)printf("blackout, piece by piece:\n");
        table_fields(blackout, json_object_get(result, "blackout"));
    }
    if (json_array_size(json_object_get(result, "rounds")) > 0) {
        (void)printf("rounds:\n");
        table_rows(rounds, json_object_get(result, "rounds"), "");
    }
}

void print_moved(const json_t *result)
{
    const char *status = table_text(result, "status");
    char text[4][CELL_BYTES];

    if (strcmp(status, "completed") != 0) {
        (void)printf("job %" PRIu64 ": %s to %s: %s\n", table_number(result, "job"),
                     table_text(result, "partition"), table_text(result, "target"), status);
        return;
    }
    (void)printf("%s runs on %s: blackout %s, %s in all, %zu rounds, %s sent at %s\n",
                 table_text(result, "partition"), table_text(result, "target"),
                 table_cell(result, CELL_TIME, "blackout_ns", text[0]),
                 table_cell(result, CELL_TIME, "total_ns", text[1]),
                 json_array_size(json_object_get(result, "rounds")),
                 table_cell(result, CELL_SIZE, "bytes_sent", text[2]),
                 table_cell(result, CELL_RATE, "rate_bytes_per_s", text[3]));
    (void)printf("VRAM proven equal (%s): %s\n", table_text(result, "verify"),
                 table_text(result, "digest"));
}

void print_event(const json_t *event)
{
    uint64_t time_ns = table_number(event, "time_ns");
    time_t seconds = (time_t)(time_ns / 1000000000u);
    struct tm parts;
    char when[32];
    char text[2][CELL_BYTES];

    if (localtime_r(&seconds, &parts) == NULL || strftime(when, sizeof when, "%F %T", &parts) == 0)
        (void)snprintf(when, sizeof when, "-");
    (void)printf("%s.%03" PRIu64 "  %-10s %s\n", when, time_ns / 1000000u % 1000u,
                 table_cell(event, CELL_TEXT, "kind", text[0]),
                 table_cell(event, CELL_TEXT, "text", text[1]));
}

void print_events(const json_t *result)
{
    size_t index;
    json_t *event;

    json_array_foreach(json_object_get(result, "events"), index, event) print_event(event);
}
