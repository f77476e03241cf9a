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

/* `msix` NULL: that data has none. */
static int save(struct kc *kc, uint32_t op, const char *what, uint64_t id, struct kc_blob *kmd,
                struct kc_blob *msix, struct kc_blob *umed, struct vf_error *err)
{
    struct kc_blob none;
    struct kc_blob *const blob[3] = {kmd, msix != NULL ? msix : &none, umed};
    struct kcall_partition args = {id};
    struct kcall_blobs sizes;
    cleanup_free void *tail = NULL;
    struct kc_call call = {.op = op,
                           .what = what,
                           .in = {{&args, sizeof args}},
                           .result = &sizes,
                           .result_bytes = sizeof sizes,
                           .tail_max = 3 * (size_t)VF_MAX_MIGRATION_BLOB,
                           .tail_copy = &tail};
    size_t at = 0;

    for (int i = 0; i < 3; i++)
        *blob[i] = (struct kc_blob){NULL, 0};
    if (kc_call(kc, &call, err) != 0)
        return -1;
    const uint32_t bytes[3] = {sizes.kmd_bytes, sizes.msix_bytes, sizes.umed_bytes};
    if ((uint64_t)bytes[0] + bytes[1] + bytes[2] != call.tail_bytes ||
        (msix == NULL && bytes[1] != 0))
        return vf_fail(err, VF_FAILED,
                       "%s: the kernel side's sizes do not add up; restart the host", what);
    for (int i = 0; i < 3; i++) {
        if (copy_blob(blob[i], (unsigned char *)tail + at, bytes[i]) != 0) {
            for (int j = 0; j <= i; j++)
                kc_blob_free(blob[j]);
            return vf_fail(err, VF_FAILED, "%s: " VF_NO_MEMORY, what);
        }
        at += bytes[i];
    }
    return 0;
}

int kc_save_immutable(struct kc *kc, uint64_t id, struct kc_blob *kmd, struct kc_blob *umed,
                      struct vf_error *err)
{
    return save(kc, KCALL_SAVE_IMMUTABLE, "save immutable data", id, kmd, NULL, umed, err);
}

int kc_save_mutable(struct kc *kc, uint64_t id, struct kc_blob *kmd, struct kc_blob *msix,
                    struct kc_blob *umed, struct vf_error *err)
{
    return save(kc, KCALL_SAVE_MUTABLE, "save mutable data", id, kmd, msix, umed, err);
}

/* Makes the call with these blobs; it lacks its arguments. */
static int restore(struct kc *kc, struct kc_call *call, uint64_t id, const struct kc_blob *kmd,
                   const struct kc_blob *msix, const struct kc_blob *umed, struct vf_error *err)
{
    const struct kc_blob *const blob[3] = {kmd, msix, umed};
    struct kcall_blobs args = {id, (uint32_t)kmd->bytes, (uint32_t)msix->bytes,
                               (uint32_t)umed->bytes, 0};

    call->in[0] = (struct kc_part){&args, sizeof args};
    for (int i = 0; i < 3; i++) {
        if (blob[i]->bytes > VF_MAX_MIGRATION_BLOB)
            return vf_fail(err, VF_FAILED, "%s: %zu bytes, %u each is the most", call->what,
                           blob[i]->bytes, VF_MAX_MIGRATION_BLOB);
        call->in[1 + i] = (struct kc_part){blob[i]->data, blob[i]->bytes};
    }
    return kc_call(kc, call, err);
}

int kc_restore_immutable(struct kc *kc, uint64_t id, const struct kc_blob *kmd,
                         const struct kc_blob *umed, struct vf_reasons *reasons,
                         struct vf_error *err)
{
    static const struct kc_blob none;
    struct kc_call call = {.op = KCALL_RESTORE_IMMUTABLE,
                           .what = "restore immutable data",
                           .result = reasons,
                           .result_bytes = sizeof *reasons,
                           .result_on_failure = true};
    int result;

    reasons->count = 0;
    result = restore(kc, &call, id, kmd, &none, umed, err);
    if (reasons->count > VF_MAX_REASONS)
        reasons->count = VF_MAX_REASONS;
    return result;
}

int kc_restore_mutable(struct kc *kc, uint64_t id, const struct kc_blob *kmd,
                       const struct kc_blob *msix, const struct kc_blob *umed, struct vf_error *err)
{
    struct kc_call call = {.op = KCALL_RESTORE_MUTABLE, .what = "restore mutable data"};

    return restore(kc, &call, id, kmd, msix, umed, err);
}

/* A call whose result is followed by the bitplane; bits beyond what came are clear. */
static int call_for_bits(struct kc *kc, struct kc_call *call, uint64_t id, uint64_t *bits,
                         size_t words, struct vf_error *err)
{
    const size_t room = words < KCALL_MAX_DIRTY_BYTES / 8 ? words * 8 : KCALL_MAX_DIRTY_BYTES;
    struct kcall_query_dirty args = {id, room};

    call->in[0] = (struct kc_part){&args, sizeof args};
    call->tail = bits;
    call->tail_max = room;
    if (kc_call(kc, call, err) != 0)
        return -1;
    memset((unsigned char *)bits + call->tail_bytes, 0, words * 8 - call->tail_bytes);
    return 0;
}

int kc_query_dirty(struct kc *kc, uint64_t id, uint64_t *bits, size_t words, uint64_t *dirty,
                   struct vf_error *err)
{
    struct kcall_dirty_result result;
    struct kc_call call = {.op = KCALL_QUERY_DIRTY,
                           .what = "query dirty bits",
                           .result = &result,
                           .result_bytes = sizeof result};

    if (call_for_bits(kc, &call, id, bits, words, err) != 0)
        return -1;
    *dirty = result.dirty;
    return 0;
}

int kc_sample_dirty(struct kc *kc, uint64_t id, uint64_t *bits, size_t words,
                    struct kc_sample *sample, struct vf_error *err)
{
    struct kcall_sample_result result;
    struct kc_call call = {.op = KCALL_SAMPLE_DIRTY,
                           .what = "sample dirty bits",
                           .result = &result,
                           .result_bytes = sizeof result};

    if (call_for_bits(kc, &call, id, bits, words, err) != 0)
        return -1;
    *sample = (struct kc_sample){result.dirty, result.touched, result.everything != 0};
    return 0;
}

int kc_throttle(struct kc *kc, uint64_t id, uint32_t percent, struct vf_error *err)
{
    struct kcall_throttle args = {.id = id, .percent = percent};
    struct kc_call call = {
        .op = KCALL_THROTTLE, .what = "throttle", .in = {{&args, sizeof args}}};

    return kc_call(kc, &call, err);
}

int kc_end(struct kc *kc, uint64_t id, struct vf_error *err)
{
    return kc_call_partition(kc, KCALL_END, "end migration", id, err);
}

/* ---- events ---- */

int kc_events(struct kc *kc, uint64_t after, struct kc_event *out, size_t capacity, size_t *count,
              struct vf_error *err)
{
    uint32_t most = capacity < KCALL_MAX_EVENTS ? (uint32_t)capacity : KCALL_MAX_EVENTS;
    struct kcall_events args = {.after = after, .capacity = most};
    struct kc_call call = {.op = KCALL_EVENTS,
                           .what = "events of the kernel side",
                           .in = {{&args, sizeof args}},
                           .tail_max = most * sizeof *out,
                           .tail = out};

    *count = 0;
    if (kc_call(kc, &call, err) != 0)
        return -1;
    *count = call.tail_bytes / sizeof *out;
    for (size_t i = 0; i < *count; i++) {
        out[i].kind[sizeof out[i].kind - 1] = '\0';
        out[i].text[sizeof out[i].text - 1] = '\0';
    }
    return 0;
}
