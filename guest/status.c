// SPDX-License-Identifier: Apache-2.0
/*
 * What a partition is doing and what came out, read from its VRAM alone: works on any host it has
 * moved to. The contents are a stranger's until guest_read_description has checked them.
 */
#include "base/cleanup.h"
#include "base/hex.h"
#include "guest/internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

const char *guest_state_name(enum guest_state state)
{
    static const char *const names[] = {"idle", "running", "done", "fault", "stopped"};

    return (size_t)state < sizeof names / sizeof names[0] ? names[state] : "idle";
}

static int read_counters(const struct guest_memory *memory,
                         const struct guest_description *description,
                         struct guest_counters *counters, struct vf_error *err)
{
    /* One read: should the two words be torn apart, `done` is newer or older than `steps` by one
     * moment, never wrong. */
    if (guest_read(memory, description->counters_gpa, counters, sizeof *counters, err) != 0)
        return -1;
    if (counters->done == GUEST_DONE_VALUE || counters->steps > description->steps)
        counters->steps = description->steps;
    return 0;
}

static int read_state(const struct guest_memory *memory,
                      const struct guest_description *description, struct guest_counters *counters,
                      enum guest_state *state, struct vf_error *err)
{
    uint64_t queue;

    /* The queue first: seen halted, its done word was stored before and must be there. */
    if (memory->reg_read(memory->ctx, SG_VF_QUEUE(SG_QUEUE_COMPUTE) + SG_Q_STATUS, &queue, 4,
                         err) != 0 ||
        read_counters(memory, description, counters, err) != 0)
        return -1;
    if (counters->done == GUEST_DONE_VALUE)
        *state = GUEST_DONE;
    else if (queue == SG_Q_RUNNING)
        *state = GUEST_RUNNING;
    else
        *state = queue == SG_Q_FAULT ? GUEST_FAULT : GUEST_STOPPED;
    return 0;
}

int guest_status(const struct guest_memory *memory, struct guest_status *status,
                 struct vf_error *err)
{
    const struct guest_workload_ops *ops;
    struct guest_description description;
    struct guest_counters counters;
    bool found;

    *status = (struct guest_status){.workload = GUEST_NONE, .state = GUEST_IDLE};
    if (guest_read_description(memory, &description, &found, err) != 0)
        return -1;
    if (!found)
        return 0;
    if (read_state(memory, &description, &counters, &status->state, err) != 0)
        return -1;
    ops = guest_workload_ops(description.workload);
    status->workload = (enum guest_workload)description.workload;
    status->steps_done = counters.steps;
    status->steps_wanted = description.steps;
    status->result_bytes = ops->result_bytes != NULL ? ops->result_bytes(&description)
                                                     : description.result_bytes;
    return 0;
}

int guest_out_open(struct guest_out *out, guest_sink *sink, void *ctx, bool digest,
                   struct vf_error *err)
{
    *out = (struct guest_out){.sink = sink, .ctx = ctx};
    if (!digest)
        return 0;
    out->hash = XXH3_createState();
    if (out->hash == NULL || XXH3_128bits_reset(out->hash) == XXH_ERROR) {
        guest_out_close(out, NULL);
        return vf_fail(err, VF_FAILED, "result: its digest: " VF_NO_MEMORY);
    }
    return 0;
}

int guest_out_put(struct guest_out *out, const void *bytes, size_t n, struct vf_error *err)
{
    if (out->hash != NULL && XXH3_128bits_update(out->hash, bytes, n) == XXH_ERROR)
        return vf_fail(
            err, VF_FAILED,
            "result: its digest could not be computed: this is a mistake in xxhash, report it");
    return out->sink != NULL ? out->sink(out->ctx, bytes, n, err) : 0;
}

void guest_out_close(struct guest_out *out, char *digest)
{
    if (digest != NULL && out->hash != NULL) {
        XXH128_canonical_t canonical;
        char *at = digest + snprintf(digest, GUEST_DIGEST_BYTES, "xxh3-128:");

        XXH128_canonicalFromHash(&canonical, XXH3_128bits_digest(out->hash));
        vf_hex_format(canonical.digest, sizeof canonical.digest, at);
    }
    (void)XXH3_freeState(out->hash);
    out->hash = NULL;
}

static int stream_bytes(const struct guest_description *description,
                        const struct guest_memory *memory, struct guest_out *out,
                        struct vf_error *err)
{
    cleanup_free uint8_t *chunk = malloc(GUEST_CHUNK_BYTES);

    if (chunk == NULL)
        return vf_fail(err, VF_FAILED, "result: a transfer buffer: " VF_NO_MEMORY);
    for (uint64_t first = 0; first < description->result_bytes; first += GUEST_CHUNK_BYTES) {
        uint64_t left = description->result_bytes - first;
        size_t n = left < GUEST_CHUNK_BYTES ? (size_t)left : GUEST_CHUNK_BYTES;

        if (guest_read(memory, description->result_gpa + first, chunk, n, err) != 0 ||
            guest_out_put(out, chunk, n, err) != 0)
            return -1;
    }
    return 0;
}

/* What there is to read, and how far it is. */
static int find_work(const struct guest_memory *memory, struct guest_description *description,
                     struct guest_counters *counters, struct vf_error *err)
{
    bool found;

    if (guest_read_description(memory, description, &found, err) != 0)
        return -1;
    if (!found)
        return vf_fail(err, VF_FAILED, "result: the partition has no workload: start one first");
    return read_counters(memory, description, counters, err);
}

static int stream_result(const struct guest_memory *memory, struct guest_out *out,
                         struct vf_error *err)
{
    const struct guest_workload_ops *ops;
    struct guest_description description;
    struct guest_counters counters;

    if (find_work(memory, &description, &counters, err) != 0)
        return -1;
    ops = guest_workload_ops(description.workload);
    if (counters.done != GUEST_DONE_VALUE)
        return vf_fail(err, VF_FAILED,
                       "result: %s is at step %" PRIu64 " of %" PRIu64
                       ", it is not complete: wait for its end",
                       ops->name, counters.steps, description.steps);
    return (ops->stream != NULL ? ops->stream : stream_bytes)(&description, memory, out, err);
}

int guest_result(const struct guest_memory *memory, guest_sink *sink, void *ctx,
                 struct vf_error *err)
{
    struct guest_out out = {.sink = sink, .ctx = ctx};

    return stream_result(memory, &out, err);
}

int guest_present(const struct guest_memory *memory, guest_sink *sink, void *ctx, uint64_t *steps,
                  struct vf_error *err)
{
    struct guest_out out = {.sink = sink, .ctx = ctx};
    const struct guest_workload_ops *ops;
    struct guest_description description;
    struct guest_counters before;
    struct guest_counters after;

    if (find_work(memory, &description, &before, err) != 0)
        return -1;
    ops = guest_workload_ops(description.workload);
    if (ops->gpa_at == NULL)
        return vf_fail(err, VF_FAILED,
                       "result: the steps of %s overwrite what they read, there is nothing to show "
                       "before the end: wait for it",
                       ops->name);
    description.result_gpa = ops->gpa_at(&description, before.steps);
    if (ops->stream(&description, memory, &out, err) != 0 ||
        read_counters(memory, &description, &after, err) != 0)
        return -1;
    if (after.steps != before.steps)
        return vf_fail(err, VF_FAILED,
                       "result: %s went on from step %" PRIu64 " to %" PRIu64
                       " while it was read: pause the partition for the reading",
                       ops->name, before.steps, after.steps);
    *steps = before.steps;
    return 0;
}

int guest_digest(const struct guest_memory *memory, char digest[GUEST_DIGEST_BYTES],
                 struct vf_error *err)
{
    struct guest_out out;
    int failed;

    digest[0] = '\0';
    if (guest_out_open(&out, NULL, NULL, true, err) != 0)
        return -1;
    failed = stream_result(memory, &out, err);
    guest_out_close(&out, failed != 0 ? NULL : digest);
    return failed;
}
