// SPDX-License-Identifier: Apache-2.0
/* One host of "vferry top". See top.h. */
#include "cli/top/top.h"

#include "base/clock.h"
#include "cli/output/table.h"

#include <string.h>

/* What vferryd knows by itself comes first: the kernel side is asked for the rest. */
enum { ASK_HOST, ASK_JOBS, ASK_ADAPTERS, ASK_PARTITIONS };

static const char *const questions[TOP_QUESTIONS] = {
    [ASK_HOST] = "host show",
    [ASK_JOBS] = "job list",
    [ASK_ADAPTERS] = "adapter list",
    [ASK_PARTITIONS] = "partition list",
};

void top_host_init(struct top_host *host, const char *path)
{
    *host = (struct top_host){.path = path, .glance = GLANCE_INIT};
}

static void forget_answers(struct top_host *host)
{
    for (size_t i = 0; i < TOP_QUESTIONS; i++) {
        json_decref(host->answers[i]);
        host->answers[i] = NULL;
    }
    host->answered = 0;
}

void top_host_fini(struct top_host *host)
{
    forget_answers(host);
    json_decref(host->shown);
    host->shown = NULL;
    glance_close(&host->glance);
}

/* The look came to nothing; the next one dials anew. */
static void lose(struct top_host *host, const struct vf_error *err)
{
    (void)snprintf(host->why, sizeof host->why, "%s", err->text);
    forget_answers(host);
    glance_close(&host->glance);
    host->looking = false;
}

static void ask_next(struct top_host *host)
{
    struct vf_error err;

    if (glance_ask(&host->glance, questions[host->answered], &err) != 0)
        lose(host, &err);
}

void top_host_look(struct top_host *host)
{
    struct vf_error err;

    if (host->looking)
        return;
    host->asked_ns = vf_now_ns();
    host->looking = true;
    host->again = false;
    if (host->glance.fd < 0 && glance_open(&host->glance, host->path, &err) != 0)
        lose(host, &err);
    else
        ask_next(host);
}

void top_host_look_again(struct top_host *host)
{
    struct vf_error err;

    if (!host->looking || host->again || vf_now_ns() < host->asked_ns + TOP_LATE_NS)
        return;
    host->again = true;
    forget_answers(host);
    glance_close(&host->glance);
    if (glance_open(&host->glance, host->path, &err) != 0)
        lose(host, &err);
    else
        ask_next(host);
}

/* How fast a partition is dirtied is asked for by its move alone. */
static json_t *dirty_rate(const json_t *jobs, const json_t *partition)
{
    size_t index;
    json_t *job;

    json_array_foreach(jobs, index, job) {
        json_t *rate = json_object_get(job, "dirty_bytes_per_s");

        if (rate != NULL && table_number(job, "job") == table_number(partition, "job"))
            return json_incref(rate);
    }
    return json_null();
}

static json_t *partitions_object(const struct top_host *host, const json_t *jobs, uint64_t now_ns)
{
    json_t *list = json_array();
    size_t index;
    json_t *item;

    if (host->answers[ASK_PARTITIONS] == NULL) {
        json_decref(list);
        return json_null();
    }
    json_array_foreach(json_object_get(host->answers[ASK_PARTITIONS], "partitions"), index, item) {
        json_t *copy = json_copy(item);

        (void)json_object_set_new(copy, "dirty_bytes_per_s", dirty_rate(jobs, item));
        (void)json_array_append_new(list, copy);
    }
    top_paces(list, json_object_get(host->shown, "partitions"), now_ns - host->shown_ns);
    return list;
}

static json_t *running_jobs(const struct top_host *host)
{
    json_t *list = json_array();
    size_t index;
    json_t *job;

    json_array_foreach(json_object_get(host->answers[ASK_JOBS], "jobs"), index, job) {
        if (strcmp(table_text(job, "status"), "running") == 0)
            (void)json_array_append(list, job);
    }
    return list;
}

/* Null without the list. */
static void put_sums(json_t *object, const json_t *adapters)
{
    static const char *const keys[] = {"vf_count", "vf_free", "vram_bytes", "vram_free_bytes"};
    size_t index;
    json_t *adapter;

    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        json_int_t sum = 0;

        json_array_foreach(adapters, index, adapter)
            sum += json_integer_value(json_object_get(adapter, keys[i]));
        (void)json_object_set_new(object, keys[i],
                                  adapters != NULL ? json_integer(sum) : json_null());
    }
}

/* Why the kernel side is not asked: vferryd says that it is silent. NULL = it is asked. */
static json_t *attention(const struct top_host *host)
{
    json_t *word = json_object_get(host->answers[ASK_HOST], "kernel_word");

    return json_is_string(word) ? word : NULL;
}

/* A whole look: what it told is shown from here on. */
static void complete_look(struct top_host *host)
{
    uint64_t now_ns = vf_now_ns();
    json_t *jobs = running_jobs(host);
    json_t *object = json_object();

    (void)json_object_set(object, "name", json_object_get(host->answers[ASK_HOST], "name"));
    (void)json_object_set(object, "listen", json_object_get(host->answers[ASK_HOST], "listen"));
    (void)json_object_set(object, "attention",
                          attention(host) != NULL ? attention(host) : json_null());
    put_sums(object, json_object_get(host->answers[ASK_ADAPTERS], "adapters"));
    (void)json_object_set_new(object, "partitions", partitions_object(host, jobs, now_ns));
    (void)json_object_set_new(object, "jobs", jobs);
    json_decref(host->shown);
    host->shown = object;
    host->shown_ns = now_ns;
    host->why[0] = '\0';
    host->looking = false;
    forget_answers(host);
}

void top_host_hear(struct top_host *host)
{
    struct vf_error err;
    int came;

    while (host->looking) {
        came = glance_answer(&host->glance, 0, &host->answers[host->answered], &err);
        if (came == 0)
            return;
        if (came < 0)
            lose(host, &err);
        else if (++host->answered == TOP_QUESTIONS ||
                 (host->answered == ASK_ADAPTERS && attention(host) != NULL))
            complete_look(host);
        else
            ask_next(host);
    }
}

/* As a host that has never answered is told. */
static json_t *unknown_host(void)
{
    return json_pack("{s:n, s:n, s:n, s:n, s:n, s:n, s:n, s:n, s:n}", "name", "listen", "attention",
                     "vf_count", "vf_free", "vram_bytes", "vram_free_bytes", "partitions", "jobs");
}

json_t *top_host_object(const struct top_host *host)
{
    uint64_t late_ns = host->looking ? vf_now_ns() - host->asked_ns : 0;
    bool answers = host->why[0] == '\0' && late_ns < TOP_LATE_NS && host->shown != NULL;
    json_t *object = answers ? json_copy(host->shown) : unknown_host();
    json_t *path = json_string(host->path);
    const char *why = host->why[0] != '\0' ? host->why : "vferryd does not answer";

    (void)json_object_set_new(object, "host", path != NULL ? path : json_string("?"));
    (void)json_object_set_new(object, "answers", json_boolean(answers));
    (void)json_object_set_new(object, "reason", answers ? json_null() : json_string(why));
    /* What it is called is known from before; what it does is not. */
    if (!answers && host->shown != NULL)
        (void)json_object_set(object, "name", json_object_get(host->shown, "name"));
    return object;
}
