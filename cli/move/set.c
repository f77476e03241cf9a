// SPDX-License-Identifier: Apache-2.0
/* Which partitions move, and where they may go. See set.h. */
#include "cli/move/set.h"

#include "base/plain.h"
#include "cli/output/table.h"

#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool named(const json_t *names, const char *name)
{
    size_t index;
    json_t *word;

    json_array_foreach(names, index, word) {
        if (strcmp(json_string_value(word), name) == 0)
            return true;
    }
    return false;
}

static bool fits(const json_t *patterns, const char *name)
{
    size_t index;
    json_t *pattern;

    json_array_foreach(patterns, index, pattern) {
        if (fnmatch(json_string_value(pattern), name, 0) == 0)
            return true;
    }
    return false;
}

/* Each name must be there, and each pattern must fit one: a word that does nothing is a mistake. */
static int check_words(const json_t *list, const json_t *names, const json_t *patterns,
                       struct vf_error *err)
{
    size_t index, at;
    json_t *word, *partition;

    json_array_foreach(names, index, word) {
        bool there = false;

        json_array_foreach(list, at, partition)
            there = there || strcmp(json_string_value(word), table_text(partition, "name")) == 0;
        if (!there)
            return vf_fail(err, VF_FAILED,
                           "partition %s: is not here" VF_REMEDY
                           "\"vferry partition list\" names those that are; nothing was begun",
                           VF_SHOWN(json_string_value(word)));
    }
    json_array_foreach(patterns, index, word) {
        bool there = false;

        json_array_foreach(list, at, partition)
            there =
                there || fnmatch(json_string_value(word), table_text(partition, "name"), 0) == 0;
        if (!there)
            return vf_fail(err, VF_FAILED,
                           "--partition %s: fits no partition of this host" VF_REMEDY
                           "\"vferry partition list\" names them; nothing was begun",
                           VF_SHOWN(json_string_value(word)));
    }
    return 0;
}

/* Largest first: what is hard to place finds the most room. */
static int by_size(const void *a, const void *b)
{
    const struct set_move *x = a;
    const struct set_move *y = b;

    if (x->vram_bytes != y->vram_bytes)
        return x->vram_bytes > y->vram_bytes ? -1 : 1;
    return strcmp(x->name, y->name);
}

int move_set_choose(struct move_set *set, const json_t *names, const json_t *patterns, bool all,
                    struct vf_error *err)
{
    json_t *nothing = json_object();
    json_t *result = NULL;
    int status = client_ask_verb(set->command, "partition list", nothing, &result, err);
    const json_t *list = json_object_get(result, "partitions");
    size_t index;
    json_t *partition;

    json_decref(nothing);
    if (status == 0)
        status = check_words(list, names, patterns, err);
    if (status == 0)
        set->moves = calloc(json_array_size(list) + 1, sizeof *set->moves);
    if (status == 0 && set->moves == NULL)
        status = vf_fail(err, VF_FAILED, "%s: " VF_NO_MEMORY, set->what);
    json_array_foreach(list, index, partition) {
        const char *name = table_text(partition, "name");
        struct set_move *move = &set->moves[set->count];

        if (status != 0 || !(all || named(names, name) || fits(patterns, name)))
            continue;
        *move = (struct set_move){.client = CLIENT_INIT,
                                  .vram_bytes = table_number(partition, "vram_bytes"),
                                  .job = table_number(partition, "job")};
        (void)snprintf(move->name, sizeof move->name, "%s", name);
        set->count++;
    }
    if (status == 0)
        qsort(set->moves, set->count, sizeof *set->moves, by_size);
    json_decref(result);
    return status;
}

static void take_adapters(struct place_host *host, const json_t *adapters)
{
    size_t index;
    json_t *adapter;

    json_array_foreach(adapters, index, adapter) {
        if (index == VF_MAX_ADAPTERS)
            return;
        host->adapters[host->count++] = (struct place_adapter){
            .vf_free = table_number(adapter, "vf_free"),
            .vram_free_bytes = table_number(adapter, "vram_free_bytes"),
            .vram_largest_bytes = table_number(adapter, "vram_largest_bytes")};
    }
}

/* What a host does not say is no reason not to try it: its own daemon decides. */
static void ask(struct move_set *set, struct place_host *host)
{
    json_t *args = json_pack("{s:s}", "address", host->address);
    struct vf_error why = VF_ERROR_INIT;
    json_t *answer = NULL;

    if (args != NULL && client_ask_verb(set->command, "peer show", args, &answer, &why) == 0) {
        host->known = true;
        host->takes = json_is_true(json_object_get(answer, "takes_partitions"));
        host->itself = json_is_true(json_object_get(answer, "itself"));
        take_adapters(host, json_object_get(answer, "adapters"));
        if (!host->takes && host->itself)
            (void)fprintf(stderr, "vferry: %s is this host itself\n", host->address);
        else if (!host->takes)
            (void)fprintf(stderr, "vferry: %s takes no partitions: %s\n", host->address,
                          table_text(answer, "why_not"));
    } else {
        (void)fprintf(stderr, "vferry: %s is tried last: %s\n", host->address, why.text);
    }
    json_decref(answer);
    json_decref(args);
}

int move_set_targets(struct move_set *set, const json_t *addresses, struct vf_error *err)
{
    size_t index;
    json_t *address;

    json_array_foreach(addresses, index, address) {
        if (set->host_count == PLACE_MAX_HOSTS)
            return vf_fail(err, VF_USAGE, "--to: more than %u hosts; name fewer", PLACE_MAX_HOSTS);
        for (size_t i = 0; i < set->host_count; i++) {
            if (strcmp(set->hosts[i].address, json_string_value(address)) == 0)
                return vf_fail(err, VF_USAGE, "--to %s: given twice; give it once",
                               VF_SHOWN(json_string_value(address)));
        }
        set->hosts[set->host_count++] = (struct place_host){.address = json_string_value(address)};
    }
    for (size_t i = 0; i < set->host_count; i++)
        ask(set, &set->hosts[i]);
    return 0;
}

int move_set_leaves(const struct move_set *set, struct vf_error *err)
{
    for (size_t i = 0; i < set->host_count; i++) {
        if (!set->hosts[i].itself || set->hosts[i].takes)
            return 0;
    }
    return vf_fail(err, VF_INCOMPATIBLE,
                   "%s is this host itself; what is to move is here already" VF_REMEDY
                   "name another host",
                   set->hosts[0].address);
}

void move_set_free(struct move_set *set)
{
    for (size_t i = 0; i < set->count; i++) {
        client_close(&set->moves[i].client);
        json_decref(set->moves[i].result);
    }
    free(set->moves);
    set->moves = NULL;
    set->count = 0;
}
