// SPDX-License-Identifier: Apache-2.0
/* What two looks at a host's partitions tell together. See top.h. */
#include "cli/output/table.h"
#include "cli/top/top.h"

#include <stdlib.h>
#include <string.h>

static const json_t *by_uuid(const json_t *list, const char *uuid)
{
    size_t index;
    json_t *item;

    json_array_foreach(list, index, item) {
        if (strcmp(table_text(item, "uuid"), uuid) == 0)
            return item;
    }
    return NULL;
}

/* How much a member grew between the looks. False when one of them does not know it, or when it
 * became less: it counts something else now. */
static bool growth(const json_t *now, const json_t *before, const char *key, double *out)
{
    const json_t *last = json_object_get(now, key);
    const json_t *first = json_object_get(before, key);

    if (!json_is_integer(last) || !json_is_integer(first) ||
        json_integer_value(last) < json_integer_value(first))
        return false;
    *out = (double)((uint64_t)json_integer_value(last) - (uint64_t)json_integer_value(first));
    return true;
}

static json_t *pace(const json_t *now, const json_t *before, uint64_t span_ns)
{
    double done;

    if (span_ns == 0 || !growth(now, before, "steps", &done))
        return json_null();
    return json_integer((json_int_t)(done * 1e9 / (double)span_ns));
}

/* A partition's use of its adapter's engines between the looks. */
struct use {
    uint64_t adapter;
    bool known;
    double gpu_ns, elapsed_ns;
};

static struct use use_of(const json_t *now, const json_t *before)
{
    struct use use = {.adapter = table_number(now, "adapter")};

    use.known = before != NULL && use.adapter == table_number(before, "adapter") &&
                growth(now, before, "gpu_ns", &use.gpu_ns) &&
                growth(now, before, "gpu_read_ns", &use.elapsed_ns) && use.elapsed_ns > 0;
    return use;
}

/* Of the time that passed, or, where engines work side by side and gave more than that, of all
 * that the adapter's partitions used. Rounded down, so that no adapter gives more than all. */
static json_t *share(const struct use *all, size_t count, const struct use *mine)
{
    double whole_ns = 0;

    if (!mine->known)
        return json_null();
    for (size_t i = 0; i < count; i++) {
        if (all[i].known && all[i].adapter == mine->adapter)
            whole_ns += all[i].gpu_ns;
    }
    if (whole_ns < mine->elapsed_ns)
        whole_ns = mine->elapsed_ns;
    return json_integer((json_int_t)(mine->gpu_ns * 100.0 / whole_ns));
}

void top_paces(json_t *partitions, const json_t *before, uint64_t span_ns)
{
    size_t count = json_array_size(partitions);
    struct use *uses = calloc(count + 1, sizeof *uses);
    size_t index;
    json_t *item;

    json_array_foreach(partitions, index, item) {
        const json_t *then = by_uuid(before, table_text(item, "uuid"));

        (void)json_object_set_new(item, "steps_per_s", pace(item, then, span_ns));
        if (uses != NULL)
            uses[index] = use_of(item, then);
    }
    json_array_foreach(partitions, index, item)
        (void)json_object_set_new(item, "gpu_percent",
                                  uses != NULL ? share(uses, count, &uses[index]) : json_null());
    free(uses);
}
