// SPDX-License-Identifier: Apache-2.0
/* The client library: BAR accesses, live migration, events. See client.h. */
#include "kernel/client_impl.h"

#include "base/cleanup.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* ---- BARs ---- */

static struct kcall_bar chunk_of(uint64_t id, uint32_t bar, uint64_t offset, uint64_t left)
{
    return (struct kcall_bar){id, offset, bar,
                              left < KCALL_BAR_CHUNK ? (uint32_t)left : KCALL_BAR_CHUNK};
}

static int check_range(uint32_t bar, uint64_t offset, uint64_t bytes, struct vf_error *err)
{
    if (bytes <= UINT64_MAX - offset)
        return 0;
    return vf_fail(err, VF_USAGE,
                   "BAR %" PRIu32 ": %" PRIu64 " bytes at 0x%" PRIx64 " end beyond all addresses",
                   bar, bytes, offset);
}

int kc_bar_read(struct kc *kc, uint64_t id, uint32_t bar, uint64_t offset, void *data,
                uint64_t bytes, struct vf_error *err)
{
    unsigned char *to = data;

    if (check_range(bar, offset, bytes, err) != 0)
        return -1;
    while (bytes > 0) {
        struct kcall_bar args = chunk_of(id, bar, offset, bytes);
        struct kc_call call = {.op = KCALL_BAR_READ,
                               .what = "BAR read",
                               .in = {{&args, sizeof args}},
                               .result = to,
                               .result_bytes = args.bytes};

        if (kc_call(kc, &call, err) != 0)
            return -1;
        to += args.bytes;
        offset += args.bytes;
        bytes -= args.bytes;
    }
    return 0;
}

int kc_bar_write(struct kc *kc, uint64_t id, uint32_t bar, uint64_t offset, const void *data,
                 uint64_t bytes, struct vf_error *err)
{
    const unsigned char *from = data;

    if (check_range(bar, offset, bytes, err) != 0)
        return -1;
    while (bytes > 0) {
        struct kcall_bar args = chunk_of(id, bar, offset, bytes);
        struct kc_call call = {.op = KCALL_BAR_WRITE,
                               .what = "BAR write",
                               .in = {{&args, sizeof args}, {from, args.bytes}}};

        if (kc_call(kc, &call, err) != 0)
            return -1;
        from += args.bytes;
        offset += args.bytes;
        bytes -= args.bytes;
    }
    return 0;
}

/* ---- live migration ---- */

void kc_blob_free(struct kc_blob *blob)
{
    free(blob->data);
    *blob = (struct kc_blob){NULL, 0};
}

int kc_prepare(struct kc *kc, uint64_t id, enum kc_side side, uint64_t job, struct vf_error *err)
{
    struct kcall_prepare args = {.id = id, .job = job, .side = (uint32_t)side};
    struct kc_call call = {
        .op = KCALL_PREPARE, .what = "prepare migration", .in = {{&args, sizeof args}}};

    return kc_call(kc, &call, err);
}

static int copy_blob(struct kc_blob *blob, const void *data, size_t bytes)
{
    *blob = (struct kc_blob){NULL, bytes};
    if (bytes == 0)
        return 0;
    blob->data = malloc(bytes);
    if (blob->data == NULL)
        return -1;
    memcpy(blob->data, data, bytes);
    return 0;
}

static int save(struct kc *kc, uint32_t op, const char *what, uint64_t id, struct kc_blob *first,
                struct kc_blob *second, struct vf_error *err)
{
    struct kcall_partition args = {id};
    struct kcall_blobs sizes;
    void *tail = NULL;
    struct kc_call call = {.op = op,
                           .what = what,
                           .in = {{&args, sizeof args}},
                           .result = &sizes,
                           .result_bytes = sizeof sizes,
                           .tail_max = 2 * (size_t)VF_MAX_MIGRATION_BLOB,
                           .tail_copy = &tail};
    int result = 0;

    *first = *second = (struct kc_blob){NULL, 0};
    if (kc_call(kc, &call, err) != 0)
        return -1;
    if (sizes.first_bytes > call.tail_bytes ||
        call.tail_bytes - sizes.first_bytes != sizes.second_bytes) {
        result = vf_fail(err, VF_FAILED,
                         "%s: the kernel side's sizes do not add up; restart the host", what);
    } else if (copy_blob(first, tail, sizes.first_bytes) != 0 ||
               copy_blob(second, (unsigned char *)tail + sizes.first_bytes, sizes.second_bytes) !=
                   0) {
        kc_blob_free(first);
        kc_blob_free(second);
        result = vf_fail(err, VF_FAILED, "%s: out of memory", what);
    }
    free(tail);
    return result;
}

int kc_save_immutable(struct kc *kc, uint64_t id, struct kc_blob *kmd, struct kc_blob *umed,
                      struct vf_error *err)
{
    return save(kc, KCALL_SAVE_IMMUTABLE, "save immutable data", id, kmd, umed, err);
}

/* A kernel of version 1 knows of no UMED state, so it has none. */
int kc_save_mutable(struct kc *kc, uint64_t id, struct kc_blob *kmd, struct kc_blob *msix,
                    struct kc_blob *umed, struct vf_error *err)
{
    static const char what[] = "save mutable data";
    struct kc_blob *const blob[3] = {kmd, msix, umed};
    struct kcall_partition args = {id};
    struct kcall_state sizes;
    cleanup_free void *tail = NULL;
    struct kc_call call = {.op = KCALL_SAVE_STATE,
                           .what = what,
                           .in = {{&args, sizeof args}},
                           .result = &sizes,
                           .result_bytes = sizeof sizes,
                           .tail_max = 3 * (size_t)VF_MAX_MIGRATION_BLOB,
                           .tail_copy = &tail};
    size_t at = 0;

    *kmd = *msix = *umed = (struct kc_blob){NULL, 0};
    if (kc->version < 2)
        return save(kc, KCALL_SAVE_MUTABLE, what, id, kmd, msix, err);
    if (kc_call(kc, &call, err) != 0)
        return -1;
    const uint32_t bytes[3] = {sizes.kmd_bytes, sizes.msix_bytes, sizes.umed_bytes};
    if ((uint64_t)bytes[0] + bytes[1] + bytes[2] != call.tail_bytes)
        return vf_fail(err, VF_FAILED,
                       "%s: the kernel side's sizes do not add up; restart the host", what);
    for (int i = 0; i < 3; i++) {
        if (copy_blob(blob[i], (unsigned char *)tail + at, bytes[i]) != 0) {
            for (int j = 0; j <= i; j++)
                kc_blob_free(blob[j]);
            return vf_fail(err, VF_FAILED, "%s: out of memory", what);
        }
        at += bytes[i];
    }
    return 0;
}

static int check_blobs(const char *what, const struct kc_blob *first, const struct kc_blob *second,
                       struct vf_error *err)
{
    if (first->bytes <= VF_MAX_MIGRATION_BLOB && second->bytes <= VF_MAX_MIGRATION_BLOB)
        return 0;
    return vf_fail(err, VF_FAILED, "%s: %zu and %zu bytes, %u each is the most", what, first->bytes,
                   second->bytes, VF_MAX_MIGRATION_BLOB);
}

int kc_restore_immutable(struct kc *kc, uint64_t id, const struct kc_blob *kmd,
                         const struct kc_blob *umed, struct vf_reasons *reasons,
                         struct vf_error *err)
{
    static const char what[] = "restore immutable data";
    struct kcall_blobs args = {id, (uint32_t)kmd->bytes, (uint32_t)umed->bytes};
    struct kc_call call = {
        .op = KCALL_RESTORE_IMMUTABLE,
        .what = what,
        .in = {{&args, sizeof args}, {kmd->data, kmd->bytes}, {umed->data, umed->bytes}},
        .result = reasons,
        .result_bytes = sizeof *reasons,
        .result_on_failure = true};
    int result;

    reasons->count = 0;
    if (check_blobs(what, kmd, umed, err) != 0)
        return -1;
    result = kc_call(kc, &call, err);
    if (reasons->count > VF_MAX_REASONS)
        reasons->count = VF_MAX_REASONS;
    return result;
}

int kc_restore_mutable(struct kc *kc, uint64_t id, const struct kc_blob *kmd,
                       const struct kc_blob *msix, const struct kc_blob *umed, struct vf_error *err)
{
    static const char what[] = "restore mutable data";
    struct kcall_blobs old = {id, (uint32_t)kmd->bytes, (uint32_t)msix->bytes};
    struct kcall_state args = {id, (uint32_t)kmd->bytes, (uint32_t)msix->bytes,
                               (uint32_t)umed->bytes, 0};
    struct kc_call call = {.op = KCALL_RESTORE_STATE,
                           .what = what,
                           .in = {{&args, sizeof args},
                                  {kmd->data, kmd->bytes},
                                  {msix->data, msix->bytes},
                                  {umed->data, umed->bytes}}};

    if (check_blobs(what, kmd, msix, err) != 0 || check_blobs(what, kmd, umed, err) != 0)
        return -1;
    if (kc->version < 2) {
        if (umed->bytes != 0)
            return vf_fail(err, VF_INCOMPATIBLE,
                           "%s: the kernel side is too old for a UMED's state; restart the host",
                           what);
        call.op = KCALL_RESTORE_MUTABLE;
        call.in[0] = (struct kc_part){&old, sizeof old};
        call.in[3] = (struct kc_part){NULL, 0};
    }
    return kc_call(kc, &call, err);
}

int kc_query_dirty(struct kc *kc, uint64_t id, uint64_t *bits, size_t words, uint64_t *dirty,
                   struct vf_error *err)
{
    size_t room = words < KCALL_MAX_DIRTY_BYTES / 8 ? words * 8 : KCALL_MAX_DIRTY_BYTES;
    struct kcall_query_dirty args = {id, room};
    struct kcall_dirty_result result;
    struct kc_call call = {.op = KCALL_QUERY_DIRTY,
                           .what = "query dirty bits",
                           .in = {{&args, sizeof args}},
                           .result = &result,
                           .result_bytes = sizeof result,
                           .tail_max = room,
                           .tail = bits};

    if (kc_call(kc, &call, err) != 0)
        return -1;
    memset((unsigned char *)bits + call.tail_bytes, 0, words * 8 - call.tail_bytes);
    *dirty = result.dirty;
    return 0;
}

int kc_end(struct kc *kc, uint64_t id, struct vf_error *err)
{
    return kc_call_partition(kc, KCALL_END, "end migration", id, err);
}

/* ---- events ---- */

/* A kernel side before version 3 tells no times. */
static int events_without_times(struct kc *kc, const struct kcall_events *args,
                                struct kc_event *out, size_t *count, struct vf_error *err)
{
    cleanup_free struct kcall_event *old = calloc(args->capacity + 1, sizeof *old);
    struct kc_call call = {.op = KCALL_EVENTS,
                           .what = "events of the kernel side",
                           .in = {{args, sizeof *args}},
                           .tail_max = args->capacity * sizeof *old,
                           .tail = old};

    if (old == NULL)
        return vf_fail(err, VF_FAILED, "events: out of memory");
    if (kc_call(kc, &call, err) != 0)
        return -1;
    *count = call.tail_bytes / sizeof *old;
    for (size_t i = 0; i < *count; i++) {
        out[i].number = old[i].number;
        out[i].time_ns = 0;
        memcpy(out[i].kind, old[i].kind, sizeof out[i].kind);
        memcpy(out[i].text, old[i].text, sizeof out[i].text);
    }
    return 0;
}

static int events_timed(struct kc *kc, const struct kcall_events *args, struct kc_event *out,
                        size_t *count, struct vf_error *err)
{
    struct kc_call call = {.op = KCALL_EVENTS_TIMED,
                           .what = "events of the kernel side",
                           .in = {{args, sizeof *args}},
                           .tail_max = args->capacity * sizeof *out,
                           .tail = out};

    if (kc_call(kc, &call, err) != 0)
        return -1;
    *count = call.tail_bytes / sizeof *out;
    return 0;
}

int kc_events(struct kc *kc, uint64_t after, struct kc_event *out, size_t capacity, size_t *count,
              struct vf_error *err)
{
    uint32_t most = capacity < KCALL_MAX_EVENTS ? (uint32_t)capacity : KCALL_MAX_EVENTS;
    struct kcall_events args = {.after = after, .capacity = most};

    *count = 0;
    if ((kc->version < 3 ? events_without_times(kc, &args, out, count, err)
                         : events_timed(kc, &args, out, count, err)) != 0)
        return -1;
    for (size_t i = 0; i < *count; i++) {
        out[i].kind[sizeof out[i].kind - 1] = '\0';
        out[i].text[sizeof out[i].text - 1] = '\0';
    }
    return 0;
}
