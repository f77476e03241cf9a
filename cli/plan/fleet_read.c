// SPDX-License-Identifier: Apache-2.0
/* A fleet's description in JSON. See fleet.h; docs/schema/vferry.fleet-1.json has its members. */
#include "cli/plan/fleet.h"

#include "base/cleanup.h"
#include "base/plain.h"
#include "cli/plan/check.h"
#include "cli/plan/reading.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define MISSING UINT64_MAX /* a member that must be there */

/* ---- hosts ---- */

static int read_host(const struct reading *r, const json_t *object, uint64_t nic,
                     struct fleet_host *host)
{
    static const char *const members[] = {
        "name", "vram_free_bytes", "vf_free", "nic_bytes_per_s", "cordoned", "evacuate", NULL};
    bool cordoned = false;

    *host = (struct fleet_host){.nic_bytes_per_s = nic};
    if (reading_members(r, object, members) != 0 ||
        reading_name(r, object, "name", &host->name) != 0 ||
        reading_flag(r, object, "cordoned", &cordoned) != 0 ||
        reading_flag(r, object, "evacuate", &host->evacuate) != 0)
        return -1;
    host->takes = !cordoned && !host->evacuate;
    /* What is free on a host that takes nothing does not matter. */
    host->vram_free_bytes = host->vf_free = host->takes ? MISSING : 0;
    if (reading_amount(r, object, "vram_free_bytes", READING_SIZE, 0, &host->vram_free_bytes) !=
            0 ||
        reading_amount(r, object, "vf_free", READING_NUMBER, 0, &host->vf_free) != 0)
        return -1;
    return reading_amount(r, object, "nic_bytes_per_s", READING_RATE, FLEET_LEAST_RATE,
                          &host->nic_bytes_per_s);
}

static int by_host_name(const void *a, const void *b)
{
    return strcmp(((const struct fleet_host *)a)->name, ((const struct fleet_host *)b)->name);
}

static int read_hosts(struct reading *r, const json_t *list, uint64_t nic, struct fleet *fleet)
{
    size_t index;
    json_t *item;

    fleet->hosts = calloc(json_array_size(list) + 1, sizeof *fleet->hosts);
    if (fleet->hosts == NULL)
        return vf_fail(r->err, VF_USAGE, "%s: " VF_NO_MEMORY, VF_SHOWN(r->file));
    json_array_foreach(list, index, item) {
        (void)snprintf(r->place, sizeof r->place, "hosts[%zu]", index);
        if (read_host(r, item, nic, &fleet->hosts[fleet->host_count++]) != 0)
            return -1;
    }
    qsort(fleet->hosts, fleet->host_count, sizeof *fleet->hosts, by_host_name);
    for (size_t i = 1; i < fleet->host_count; i++) {
        if (strcmp(fleet->hosts[i - 1].name, fleet->hosts[i].name) == 0)
            return vf_fail(r->err, VF_USAGE,
                           "%s: two hosts are called \"%s\"" VF_REMEDY
                           "give each a name of its own",
                           VF_SHOWN(r->file), fleet->hosts[i].name);
    }
    return 0;
}

/* The host that a member names. */
static int find_host(const struct reading *r, const struct fleet *fleet, const char *name,
                     size_t *index)
{
    const struct fleet_host key = {.name = name};
    const struct fleet_host *found =
        bsearch(&key, fleet->hosts, fleet->host_count, sizeof key, by_host_name);

    if (found == NULL)
        return vf_fail(r->err, VF_USAGE,
                       "%s: %s: there is no host \"%s\"" VF_REMEDY "name one of \"hosts\"",
                       VF_SHOWN(r->file), r->place, VF_SHOWN(name));
    *index = (size_t)(found - fleet->hosts);
    return 0;
}

/* ---- links ---- */

static int by_pair(const void *a, const void *b)
{
    const struct fleet_link *one = a, *two = b;

    if (one->a != two->a)
        return one->a < two->a ? -1 : 1;
    return one->b < two->b ? -1 : one->b > two->b;
}

static int read_link(const struct reading *r, const json_t *object, const struct fleet *fleet,
                     struct fleet_link *link)
{
    static const char *const members[] = {"a", "b", "bytes_per_s", NULL};
    const char *names[2];
    size_t ends[2];

    *link = (struct fleet_link){.bytes_per_s = MISSING};
    if (reading_members(r, object, members) != 0 ||
        reading_amount(r, object, "bytes_per_s", READING_RATE, FLEET_LEAST_RATE,
                       &link->bytes_per_s) != 0)
        return -1;
    for (size_t i = 0; i < 2; i++) {
        if (reading_name(r, object, members[i], &names[i]) != 0 ||
            find_host(r, fleet, names[i], &ends[i]) != 0)
            return -1;
    }
    if (ends[0] == ends[1])
        return vf_fail(r->err, VF_USAGE,
                       "%s: %s: both its ends are \"%s\"" VF_REMEDY "name two hosts",
                       VF_SHOWN(r->file), r->place, names[0]);
    link->a = ends[0] < ends[1] ? ends[0] : ends[1];
    link->b = ends[0] < ends[1] ? ends[1] : ends[0];
    return 0;
}

static int read_links(struct reading *r, const json_t *list, struct fleet *fleet)
{
    size_t index;
    json_t *item;

    fleet->links = calloc(json_array_size(list) + 1, sizeof *fleet->links);
    if (fleet->links == NULL)
        return vf_fail(r->err, VF_USAGE, "%s: " VF_NO_MEMORY, VF_SHOWN(r->file));
    json_array_foreach(list, index, item) {
        (void)snprintf(r->place, sizeof r->place, "links[%zu]", index);
        if (read_link(r, item, fleet, &fleet->links[fleet->link_count++]) != 0)
            return -1;
    }
    qsort(fleet->links, fleet->link_count, sizeof *fleet->links, by_pair);
    for (size_t i = 1; i < fleet->link_count; i++) {
        const struct fleet_link *link = &fleet->links[i];

        if (by_pair(link - 1, link) == 0)
            return vf_fail(
                r->err, VF_USAGE, "%s: there are two links between %s and %s" VF_REMEDY "give one",
                VF_SHOWN(r->file), fleet->hosts[link->a].name, fleet->hosts[link->b].name);
    }
    return 0;
}

/* ---- partitions ---- */

static int read_partition(const struct reading *r, const json_t *object, const struct fleet *fleet,
                          const struct plan_move *limits, struct fleet_partition *partition)
{
    static const char *const members[] = {"name",
                                          "host",
                                          "vram_bytes",
                                          "touched_bytes",
                                          "write_bytes_per_s",
                                          "working_set_bytes",
                                          "page_bytes",
                                          NULL};
    static const struct plan_words words = {"touched_bytes", "working_set_bytes", "page_bytes"};
    struct plan_move *move = &partition->move;
    char where[VF_SHOWN_BYTES + sizeof r->place + 8];
    const char *host;

    *partition = (struct fleet_partition){.vram_bytes = MISSING, .move = *limits};
    move->write_bytes_per_s = MISSING;
    if (reading_members(r, object, members) != 0 ||
        reading_name(r, object, "name", &partition->name) != 0 ||
        reading_name(r, object, "host", &host) != 0 ||
        find_host(r, fleet, host, &partition->host) != 0 ||
        reading_amount(r, object, "vram_bytes", READING_SIZE, PLAN_BLOCK_BYTES,
                       &partition->vram_bytes) != 0 ||
        reading_amount(r, object, "write_bytes_per_s", READING_RATE, 0, &move->write_bytes_per_s) !=
            0 ||
        reading_amount(r, object, "page_bytes", READING_SIZE, PLAN_BLOCK_BYTES,
                       &move->page_bytes) != 0)
        return -1;
    move->touched_bytes = partition->vram_bytes;
    if (reading_amount(r, object, "touched_bytes", READING_SIZE, 0, &move->touched_bytes) != 0)
        return -1;
    move->working_set_bytes = move->touched_bytes;
    if (reading_amount(r, object, "working_set_bytes", READING_SIZE, 0, &move->working_set_bytes) !=
        0)
        return -1;
    (void)snprintf(where, sizeof where, "%s: %s: ", VF_SHOWN(r->file), r->place);
    return plan_check(move, partition->vram_bytes, where, &words, r->err);
}

static int by_partition_name(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static int check_names(const struct reading *r, const struct fleet *fleet)
{
    cleanup_free const char **names = calloc(fleet->partition_count + 1, sizeof *names);

    if (names == NULL)
        return vf_fail(r->err, VF_USAGE, "%s: " VF_NO_MEMORY, VF_SHOWN(r->file));
    for (size_t i = 0; i < fleet->partition_count; i++)
        names[i] = fleet->partitions[i].name;
    qsort(names, fleet->partition_count, sizeof *names, by_partition_name);
    for (size_t i = 1; i < fleet->partition_count; i++) {
        if (strcmp(names[i - 1], names[i]) == 0)
            return vf_fail(r->err, VF_USAGE,
                           "%s: two partitions are called \"%s\"" VF_REMEDY
                           "give each a name of its own",
                           VF_SHOWN(r->file), names[i]);
    }
    return 0;
}

static int read_partitions(struct reading *r, const json_t *list, const struct plan_move *limits,
                           struct fleet *fleet)
{
    size_t index;
    json_t *item;

    fleet->partitions = calloc(json_array_size(list) + 1, sizeof *fleet->partitions);
    if (fleet->partitions == NULL)
        return vf_fail(r->err, VF_USAGE, "%s: " VF_NO_MEMORY, VF_SHOWN(r->file));
    json_array_foreach(list, index, item) {
        (void)snprintf(r->place, sizeof r->place, "partitions[%zu]", index);
        if (read_partition(r, item, fleet, limits, &fleet->partitions[fleet->partition_count++]) !=
            0)
            return -1;
    }
    return check_names(r, fleet);
}

/* ---- all of it ---- */

static int check_leaves(const struct reading *r, const struct fleet *fleet)
{
    for (size_t i = 0; i < fleet->host_count; i++) {
        if (fleet->hosts[i].evacuate)
            return 0;
    }
    return vf_fail(r->err, VF_USAGE,
                   "%s: no host is to be emptied" VF_REMEDY "give one \"evacuate\": true",
                   VF_SHOWN(r->file));
}

int fleet_read(const char *text, size_t bytes, const char *name, const struct plan_move *limits,
               struct fleet *fleet, struct vf_error *err)
{
    static const char *const members[] = {"schema", "nic_bytes_per_s", "hosts",
                                          "links",  "partitions",      NULL};
    struct reading r = {.file = name, .err = err};
    const json_t *hosts, *links, *partitions;
    uint64_t nic = MISSING;

    *fleet = (struct fleet){0};
    if (reading_object(&r, text, bytes, "vferry.fleet/1", &fleet->json) != 0 ||
        reading_members(&r, fleet->json, members) != 0 ||
        reading_list(&r, fleet->json, "hosts", 1, FLEET_MAX_HOSTS, &hosts) != 0 ||
        reading_list(&r, fleet->json, "links", 0, FLEET_MAX_LINKS, &links) != 0 ||
        reading_list(&r, fleet->json, "partitions", 1, FLEET_MAX_PARTITIONS, &partitions) != 0)
        return -1;
    if (json_object_get(fleet->json, "nic_bytes_per_s") != NULL &&
        reading_amount(&r, fleet->json, "nic_bytes_per_s", READING_RATE, FLEET_LEAST_RATE, &nic) !=
            0)
        return -1;
    if (read_hosts(&r, hosts, nic, fleet) != 0 || read_links(&r, links, fleet) != 0 ||
        read_partitions(&r, partitions, limits, fleet) != 0)
        return -1;
    return check_leaves(&r, fleet);
}

void fleet_free(struct fleet *fleet)
{
    json_decref(fleet->json);
    free(fleet->hosts);
    free(fleet->links);
    free(fleet->partitions);
    *fleet = (struct fleet){0};
}
