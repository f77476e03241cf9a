// SPDX-License-Identifier: Apache-2.0
/* See print.h. */
#include "cli/print.h"

#include "base/size.h"
#include "cli/table.h"

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
        {CELL_TEXT, "interface", "interface"},
        {CELL_TEXT, "digest", "digest"},
        {CELL_TEXT, "updates", "updates"},
        {CELL_TIME, "last gap", "last_gap_ns"},
        {CELL_END},
    };

    table_fields(columns, result);
    if (json_is_true(json_object_get(result, "lost")))
        (void)printf("it is LOST: an update failed for good; partitions run on but cannot be "
                     "managed\n");
}

void print_defrag(const json_t *result)
{
    static const struct column columns[] = {
        {CELL_TEXT, "partition", "partition"}, {CELL_TEXT, "outcome", "outcome"},
        {CELL_SIZE, "size", "bytes"},          {CELL_SIZE, "from", "from_bytes"},
        {CELL_SIZE, "to", "to_bytes"},         {CELL_TIME, "pause", "pause_ns"},
        {CELL_TEXT, "reason", "reason"},       {CELL_END, NULL, NULL},
    };
    bool planned = json_is_true(json_object_get(result, "dry_run"));
    char text[3][CELL_BYTES];

    if (json_is_true(json_object_get(result, "scatter"))) {
        (void)printf("nothing to do: this GPU scatters, any free page serves any partition\n");
        return;
    }
    if (json_array_size(json_object_get(result, "moves")) > 0)
        table_rows(columns, json_object_get(result, "moves"), "");
    (void)printf(
        "largest partition that fits: %s, %s %s; %s %s\n",
        table_cell(result, CELL_SIZE, "largest_before_bytes", text[0]),
        planned ? "would be" : "now", table_cell(result, CELL_SIZE, "largest_after_bytes", text[1]),
        table_cell(result, CELL_SIZE, "moved_bytes", text[2]), planned ? "to move" : "moved");
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
            used += (size_t)snprintf(list + used, sizeof list - used, "%s%lld",
                                     index > 0 ? ", " : "", (long long)json_integer_value(adapter));
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

    json_array_foreach(json_object_get(result, "reasons"), index, reason) {
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
        {CELL_PERCENT, "DONE", "percent"},
        {CELL_WHEN, "STARTED", "started_unix_ns"},
        {CELL_WHEN, "ENDED", "ended_unix_ns"},
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
        {CELL_WHEN, "started", "started_unix_ns"},
        {CELL_WHEN, "ended", "ended_unix_ns"},
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

/* "/PATH" of "file:/PATH". */
static const char *path_of(const char *peer)
{
    return strncmp(peer, "file:/", 6) == 0 ? peer + 5 : peer;
}

static void print_saved(const json_t *result, bool save)
{
    char text[4][CELL_BYTES];

    (void)printf("%s %s %s: %s in %s at %s", table_text(result, "partition"),
                 save ? "is saved in" : "is restored from",
                 path_of(table_text(result, save ? "target" : "source")),
                 table_cell(result, CELL_SIZE, "bytes_sent", text[0]),
                 table_cell(result, CELL_TIME, "total_ns", text[1]),
                 table_cell(result, CELL_RATE, "rate_bytes_per_s", text[2]));
    if (save && table_number(result, "blackout_ns") > 0)
        (void)printf("; it runs on after a pause of %s",
                     table_cell(result, CELL_TIME, "blackout_ns", text[3]));
    (void)printf("\nVRAM: %s\n", table_text(result, "digest"));
}

void print_moved(const json_t *result)
{
    const char *status = table_text(result, "status");
    const char *kind = table_text(result, "kind");
    char text[4][CELL_BYTES];

    if (strcmp(status, "completed") != 0) {
        (void)printf("job %" PRIu64 ": %s of %s to %s: %s\n", table_number(result, "job"), kind,
                     table_text(result, "partition"), table_text(result, "target"), status);
        return;
    }
    if (strcmp(kind, "check") == 0) {
        (void)printf("%s can move to %s\n", table_text(result, "partition"),
                     table_text(result, "target"));
        return;
    }
    if (strcmp(kind, "save") == 0 || strcmp(kind, "restore") == 0) {
        print_saved(result, kind[0] == 's');
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

void print_resolved(const json_t *result)
{
    bool source = strcmp(table_text(result, "status"), "completed") != 0;

    (void)printf("job %" PRIu64 ": %s: resolved, %s runs it\n", table_number(result, "job"),
                 table_text(result, "partition"), table_text(result, source ? "source" : "target"));
}

void print_image(const json_t *result)
{
    static const struct column columns[] = {
        {CELL_TEXT, "partition", "partition"},
        {CELL_TEXT, "uuid", "uuid"},
        {CELL_TEXT, "epoch", "epoch"},
        {CELL_TEXT, "saved", "saved"},
        {CELL_TEXT, "on host", "host"},
        {CELL_TEXT, "by vferry", "vferry"},
        {CELL_TEXT, "device", "device"},
        {CELL_TEXT, "driver", "driver"},
        {CELL_TEXT, "description", "description"},
        {CELL_TEXT, "was paused", "paused"},
        {CELL_SIZE, "VRAM", "vram_bytes"},
        {CELL_SIZE, "page", "page_bytes"},
        {CELL_SIZE, "content", "content_bytes"},
        {CELL_SIZE, "file", "file_bytes"},
        {CELL_TEXT, "format", "version"},
        {CELL_TEXT, "digest", "digest"},
        {CELL_END},
    };

    table_fields(columns, result);
}

void print_verified(const json_t *result)
{
    char text[3][CELL_BYTES];

    (void)printf("%s is whole: partition %s, %s of %s VRAM, read in %s\n",
                 table_text(result, "file"), table_text(result, "partition"),
                 table_cell(result, CELL_SIZE, "content_bytes", text[0]),
                 table_cell(result, CELL_SIZE, "vram_bytes", text[1]),
                 table_cell(result, CELL_TIME, "duration_ns", text[2]));
}

void print_certs(const json_t *result)
{
    const char *directory = table_text(result, "directory");
    size_t index;
    json_t *host;

    (void)printf("start each host with these, and --listen HOST:PORT:\n");
    json_array_foreach(json_object_get(result, "hosts"), index, host) {
        (void)printf("%s:\n  --tls-cert %s/%s --tls-key %s/%s --tls-ca %s/%s\n",
                     json_string_value(json_array_get(json_object_get(host, "names"), 0)),
                     directory, table_text(host, "cert"), directory, table_text(host, "key"),
                     directory, table_text(result, "ca"));
    }
    (void)printf("To another machine take its own two files and ca.pem. Who has %s/ca.key can pass "
                 "for any host.\n",
                 directory);
}

void print_certificate(const json_t *result)
{
    static const struct column columns[] = {
        {CELL_TEXT, "subject", "subject"},
        {CELL_TEXT, "issuer", "issuer"},
        {CELL_TEXT, "from", "from"},
        {CELL_TEXT, "until", "until"},
        {CELL_TEXT, "valid now", "valid"},
        {CELL_TEXT, "CA", "ca"},
        {CELL_TEXT, "client", "client"},
        {CELL_TEXT, "server", "server"},
        {CELL_END, NULL, NULL},
    };
    size_t index;
    json_t *name;

    json_array_foreach(json_object_get(result, "names"), index, name)
        (void)printf("name        %s\n", json_string_value(name));
    table_fields(columns, result);
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

    json_array_foreach(json_object_get(result, "events"), index, event)
        print_event(event);
}
