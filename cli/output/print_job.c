// SPDX-License-Identifier: Apache-2.0
/* Moves, saves and restores; why one is refused. See print.h. */
#include "cli/output/print.h"

#include "cli/output/table.h"
#include "cli/output/wrap.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

void print_reasons(const json_t *result)
{
    char text[4][CELL_BYTES], line[4 * CELL_BYTES + 32];
    size_t index;
    json_t *reason;

    json_array_foreach(json_object_get(result, "reasons"), index, reason) {
        (void)snprintf(line, sizeof line, "%s: source %s, target %s; %s",
                       table_cell(reason, CELL_TEXT, "field", text[0]),
                       table_cell(reason, CELL_TEXT, "source", text[1]),
                       table_cell(reason, CELL_TEXT, "target", text[2]),
                       table_cell(reason, CELL_TEXT, "remedy", text[3]));
        wrap_text(stdout, line, 0, 2);
        (void)putchar('\n');
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
        {CELL_PHASE, "PHASE", "phase"},
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
        {CELL_PHASE, "phase", "phase"},
        {CELL_TEXT, "reason", "reason"},
        {CELL_TEXT, "owes its peer", "owes"},
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
        {CELL_TIME, "stood still", "stood_ns"},
        {CELL_TEXT, "blackout clock", "blackout_clock"},
        {CELL_TIME, "predicted blackout", "predicted_blackout_ns"},
        {CELL_RATE, "rate", "rate_bytes_per_s"},
        {CELL_RATE, "its work rewrites", "dirty_bytes_per_s"},
        {CELL_SHARE, "slowed by at most", "throttle_max"},
        {CELL_TIME, "stood to be slow", "throttled_ns"},
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

    (void)printf("job %" PRIu64 ": resolved: partition %s runs at host %s, its %s\n",
                 table_number(result, "job"), table_text(result, "partition"),
                 table_text(result, source ? "source" : "target"), source ? "source" : "target");
}

void print_forgotten(const json_t *result)
{
    (void)printf("job %" PRIu64 ": the peer is not told any more how the move of partition %s "
                 "ended\n",
                 table_number(result, "job"), table_text(result, "partition"));
}

void print_move_set(const json_t *result)
{
    uint64_t moved = table_number(result, "moved");

    if (table_number(result, "code") == 0)
        (void)printf("%" PRIu64 " partition%s moved, none is left\n", moved, moved == 1 ? "" : "s");
}
