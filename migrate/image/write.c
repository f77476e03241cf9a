// SPDX-License-Identifier: Apache-2.0
/* Writing an image. See image.h. */
#define LOG_ROOM "image"
#include "migrate/image/codec.h"
#include "migrate/pack/frames.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <xxhash.h>

/* The disk begins to write behind the engine's back, so that the last fsync has little left
 * to do. */
#define WRITE_BEHIND_BYTES (32ull << 20)

struct image_writer {
    struct tp *tp;
    char name[256];
    uint8_t id[WIRE_ID_BYTES];
    uint64_t epoch;
    struct wire_geometry geometry;
    struct frames_out out;
    uint64_t frames, pages;
    uint64_t behind; /* up to here the disk was told to write */
    XXH3_state_t *sum;
};

static void seen(void *ctx, const void *data, size_t bytes)
{
    struct image_writer *writer = ctx;

    (void)XXH3_128bits_update(writer->sum, data, bytes); /* fails on NULL only */
}

/* What a disk says, in the words of whoever asked for the save. */
static int write_fault(const struct image_writer *writer, struct vf_error *err)
{
    char text[sizeof err->text];
    const char *why;

    if (err == NULL || err->code == VF_CANCELLED)
        return -1;
    why = strstr(err->text, "sending: ");
    (void)snprintf(text, sizeof text, "%s", why != NULL ? why + strlen("sending: ") : err->text);
    return vf_fail(err, VF_FAILED,
                   "image %s: cannot be written: %s" VF_REMEDY
                   "free some space there or save elsewhere",
                   writer->name, text);
}

static int write_bytes(struct image_writer *writer, const void *data, size_t bytes,
                       struct vf_error *err)
{
    const struct iovec iov = {(void *)(uintptr_t)data, bytes};

    return tp_send(writer->tp, &iov, 1, TP_NEVER, err) == 0 ? 0 : write_fault(writer, err);
}

static int write_start(struct image_writer *writer, const struct image_origin *origin,
                       const struct wire_admit *admit, struct vf_error *err)
{
    const struct wire_message message = {.tag = WIRE_ADMIT, .admit = *admit};
    struct wire_writer head = {0};
    int result;

    image_head_encode(origin, &head);
    if (head.failed || head.bytes > IMAGE_MAX_HEAD_BYTES)
        result = vf_fail(err, VF_FAILED, "image %s: its head cannot be written: " VF_NO_MEMORY,
                         writer->name);
    else
        result = write_bytes(writer, head.data, head.bytes, err);
    wire_writer_free(&head);
    if (result == 0 && wire_say(writer->tp, &message, TP_NEVER, err) != 0)
        result = write_fault(writer, err);
    return result;
}

int image_create(int fd, const char *name, const struct image_origin *origin,
                 const struct wire_admit *admit, enum pack_wish compress, struct image_writer **out,
                 struct vf_error *err)
{
    struct image_origin with = *origin;

    struct image_writer *writer = calloc(1, sizeof *writer);
    XXH3_state_t *sum = XXH3_createState();

    *out = NULL;
    with.packed = compress != PACK_NONE;
    if (writer == NULL || sum == NULL || XXH3_128bits_reset(sum) != XXH_OK) {
        (void)close(fd);
        free(writer);
        (void)XXH3_freeState(sum);
        return vf_fail(err, VF_FAILED, "image %s: " VF_NO_MEMORY, name);
    }
    writer->sum = sum;
    (void)snprintf(writer->name, sizeof writer->name, "%s", name);
    memcpy(writer->id, origin->id, sizeof writer->id);
    writer->epoch = admit->epoch;
    writer->geometry =
        (struct wire_geometry){.page_bytes = admit->page_bytes,
                               .pages_total = admit->params.vram_bytes / admit->page_bytes,
                               .slot_bytes = admit->slot_bytes};
    if (writer->geometry.pages_total > IMAGE_MAX_PAGES) {
        (void)close(fd);
        (void)vf_fail(err, VF_INCOMPATIBLE,
                      "image %s: %" PRIu64 " pages of %" PRIu64
                      " bytes are more than an image can hold; use larger pages",
                      name, writer->geometry.pages_total, admit->page_bytes);
    } else if (tp_file(fd, name, seen, writer, &writer->tp, err) == 0 &&
               frames_out_init(&writer->out, compress, admit->slot_bytes, err) == 0 &&
               write_start(writer, &with, admit, err) == 0) {
        frames_out_begin(&writer->out, false);
        *out = writer;
        return 0;
    }
    image_writer_free(writer);
    return -1;
}

static void write_behind(struct image_writer *writer)
{
    const uint64_t end = tp_file_offset(writer->tp);

    if (end - writer->behind < WRITE_BEHIND_BYTES)
        return;
    /* Only a hint: what it could not do the fsync does, and tells of errors. */
    (void)sync_file_range(tp_fd(writer->tp), (off_t)writer->behind, (off_t)(end - writer->behind),
                          SYNC_FILE_RANGE_WRITE);
    writer->behind = end;
}

int image_add(struct image_writer *writer, struct wire_frame *frame, const void *slot,
              uint64_t *written, struct vf_error *err)
{
    struct wire_packed packed;
    bool is_packed;

    *written = 0;
    if (frame->count == 0)
        return 0;
    memcpy(frame->job, writer->id, sizeof frame->job);
    frame->epoch = writer->epoch;
    frame->generation = 0;
    frame->round = 0;
    frame->sequence = writer->frames;
    is_packed = frames_out_pack(&writer->out, frame, slot, &writer->geometry, &packed);
    if (frames_out_send(&writer->out, writer->tp, frame, slot, is_packed ? &packed : NULL,
                        &writer->geometry, written, err) != 0)
        return write_fault(writer, err);
    writer->frames++;
    writer->pages += frame->count;
    write_behind(writer);
    return 0;
}

int image_add_state(struct image_writer *writer, const struct wire_state *state,
                    struct vf_error *err)
{
    const struct wire_message end = {.tag = WIRE_ROUND_END,
                                     .count = {.frames = writer->frames, .pages = writer->pages}};
    const struct wire_message message = {.tag = WIRE_STATE, .state = *state};

    if (wire_say(writer->tp, &end, TP_NEVER, err) != 0 ||
        wire_say(writer->tp, &message, TP_NEVER, err) != 0)
        return write_fault(writer, err);
    return 0;
}

int image_seal(struct image_writer *writer, const uint8_t root[DIGEST_ROOT_BYTES],
               struct vf_error *err)
{
    struct image_trailer trailer = {.file_bytes = tp_file_offset(writer->tp) + IMAGE_TRAILER_BYTES,
                                    .frames = writer->frames,
                                    .pages = writer->pages};
    uint8_t bytes[IMAGE_SUMMED_TRAILER_BYTES];
    XXH128_canonical_t sum;

    memcpy(trailer.root, root, sizeof trailer.root);
    image_trailer_encode(&trailer, bytes);
    if (write_bytes(writer, bytes, sizeof bytes, err) != 0)
        return -1;
    XXH128_canonicalFromHash(&sum, XXH3_128bits_digest(writer->sum));
    if (write_bytes(writer, sum.digest, sizeof sum.digest, err) != 0)
        return -1;
    if (fsync(tp_fd(writer->tp)) != 0)
        return vf_fail_errno(err, VF_FAILED, errno,
                             "image %s: does not reach the disk; save elsewhere", writer->name);
    return 0;
}

struct tp *image_writer_tp(struct image_writer *writer)
{
    return writer->tp;
}

void image_writer_free(struct image_writer *writer)
{
    if (writer == NULL)
        return;
    tp_close(writer->tp);
    frames_out_free(&writer->out);
    (void)XXH3_freeState(writer->sum);
    free(writer);
}
