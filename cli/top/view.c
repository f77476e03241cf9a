// SPDX-License-Identifier: Apache-2.0
/* A snapshot as people read it. See top.h. */
#include "cli/output/table.h"
#include "cli/top/top.h"

#include <string.h>

/* The host's name, else where it was looked for. */
static json_t *title(const json_t *host)
{
    json_t *name = json_object_get(host, "name");

    return json_is_string(name) ? name : json_object_get(host, "host");
}

/* The members of a list of every host, each with its host's name. New reference. */
static json_t *rows_of(const json_t *snapshot, const char *list)
{
    json_t *rows = json_array();
    size_t h;
    size_t i;
    json_t *host;
    json_t *item;

    json_array_foreach(json_object_get(snapshot, "hosts"), h, host) {
        json_array_foreach(json_object_get(host, list), i, item) {
            json_t *row = json_copy(item);

            (void)json_object_set(row, "host", title(host));
            (void)json_array_append_new(rows, row);
        }
    }
    return rows;
}

/* What stands for a list without members: "-" where a host has not told its own. */
static const char *none_of(const json_t *snapshot, const char *list, const char *none)
{
    size_t index;
    json_t *host;

    json_array_foreach(json_object_get(snapshot, "hosts"), index, host) {
        if (!json_is_array(json_object_get(host, list)))
            return "-";
    }
    return none;
}

/* Hosts that answer, then a line for each that does not, or whose kernel side does not. */
static void put_hosts(FILE *to, const json_t *snapshot)
{
    static const struct column columns[] = {
        {CELL_TEXT, "HOST", "host"},
        {CELL_TEXT, "LISTENS", "listen"},
        {CELL_TEXT, "PARTITIONS", "count"},
        {CELL_TEXT, "VFS", "vf_count"},
        {CELL_TEXT, "FREE", "vf_free"},
        {CELL_SIZE, "VRAM", "vram_bytes"},
        {CELL_SIZE, "FREE", "vram_free_bytes"},
        {CELL_END},
    };
    json_t *rows = json_array();
    size_t index;
    json_t *host;
    char text[2][CELL_BYTES];

    json_array_foreach(json_object_get(snapshot, "hosts"), index, host) {
        json_t *row = json_copy(host);
        json_t *partitions = json_object_get(host, "partitions");

        (void)json_object_set(row, "host", title(host));
        (void)json_object_set_new(row, "count",
                                  json_is_array(partitions)
                                      ? json_integer((json_int_t)json_array_size(partitions))
                                      : json_null());
        if (json_is_true(json_object_get(host, "answers")))
            (void)json_array_append(rows, row);
        json_decref(row);
    }
    if (json_array_size(rows) > 0)
        table_rows_to(to, columns, rows, "");
    json_decref(rows);
    json_array_foreach(json_object_get(snapshot, "hosts"), index, host) {
        json_t *name = json_pack("{s:O}", "name", title(host));

        if (!json_is_true(json_object_get(host, "answers")))
            (void)fprintf(to, "%s: NO ANSWER: %s\n", table_cell(name, CELL_TEXT, "name", text[0]),
                          table_cell(host, CELL_TEXT, "reason", text[1]));
        else if (json_is_string(json_object_get(host, "attention")))
            (void)fprintf(to, "%s: ATTENTION: %s\n", table_cell(name, CELL_TEXT, "name", text[0]),
                          table_cell(host, CELL_TEXT, "attention", text[1]));
        json_decref(name);
    }
}

static void put_partitions(FILE *to, const json_t *snapshot)
{
    static const struct column columns[] = {
        {CELL_TEXT, "PARTITION", "name"},
        {CELL_TEXT, "HOST", "host"},
        {CELL_STATE, "STATE", "state"},
        {CELL_SIZE, "VRAM", "vram_bytes"},
        {CELL_TEXT, "WORKLOAD", "workload"},
        {CELL_TEXT, "", "workload_state"},
        {CELL_COUNT, "STEPS", "steps"},
        {CELL_COUNT, "OF", "steps_wanted"},
        {CELL_COUNT, "STEPS/S", "steps_per_s"},
        {CELL_PERCENT, "GPU", "gpu_percent"},
        {CELL_RATE, "DIRTIED", "dirty_bytes_per_s"},
        {CELL_END},
    };
    json_t *rows = rows_of(snapshot, "partitions");

    (void)fputc('\n', to);
    table_rows_to(to, columns, rows, none_of(snapshot, "partitions", "no partitions"));
    json_decref(rows);
}

static void put_jobs(FILE *to, const json_t *snapshot)
{
    static const struct column columns[] = {
        {CELL_TEXT, "PARTITION", "partition"},
        {CELL_TEXT, "HOST", "host"},
        {CELL_TEXT, "JOB", "job"},
        {CELL_TEXT, "KIND", "kind"},
        {CELL_TEXT, "", "direction"},
        {CELL_PHASE, "PHASE", "phase"},
        {CELL_PERCENT, "DONE", "percent"},
        {CELL_RATE, "RATE", "rate_bytes_per_s"},
        {CELL_RATE, "DIRTIED", "dirty_bytes_per_s"},
        {CELL_TIME, "LEFT", "eta_ns"},
        {CELL_TEXT, "PEER", "peer"},
        {CELL_END},
    };
    json_t *rows = rows_of(snapshot, "jobs");
    size_t index;
    json_t *job;

    json_array_foreach(rows, index, job) {
        bool out = strcmp(table_text(job, "direction"), "out") == 0;

        (void)json_object_set(job, "peer", json_object_get(job, out ? "target" : "source"));
    }
    (void)fputc('\n', to);
    table_rows_to(to, columns, rows, none_of(snapshot, "jobs", "nothing moves"));
    json_decref(rows);
}

void top_view(FILE *to, const json_t *snapshot)
{
    put_hosts(to, snapshot);
    put_partitions(to, snapshot);
    put_jobs(to, snapshot);
}
