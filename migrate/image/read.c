// SPDX-License-Identifier: Apache-2.0
/* Reading an image: nothing in it is believed before it was checked. See image.h. */
#define LOG_ROOM "image"
#include "migrate/image/codec.h"
#include "migrate/pack/frames.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#define PROGRESS_BYTES (16ull << 20)

struct image_reader {
    struct tp *tp;
    char name[256];
    uint64_t file_bytes;
    uint64_t body; /* where the first frame's record begins */
    struct image_facts facts;
    struct frames_in in;
    struct wire_message admit, state; /* own what the facts' and the state's blobs point into */
    uint64_t frames, pages;           /* since the last rewind */
    XXH3_state_t *sum;
    bool summing;
};

static void seen(void *ctx, const void *data, size_t bytes)
{
    struct image_reader *reader = ctx;

    if (reader->summing)
        (void)XXH3_128bits_update(reader->sum, data, bytes); /* fails on NULL only */
}

static int fault(const struct image_reader *reader, uint64_t at, struct vf_error *err)
{
    if (err != NULL && tp_ended(reader->tp))
        return vf_fail(err, VF_FAILED,
                       "image %s: ends in the middle of what begins at byte %" PRIu64
                       ": it was cut",
                       reader->name, at);
    return image_fault(reader->tp, reader->name, at, err);
}

static int changed(const struct image_reader *reader, const char *what, struct vf_error *err)
{
    return vf_fail(err, VF_FAILED, "image %s: %s: the file was changed; restore another copy of it",
                   reader->name, what);
}

static int read_head(struct image_reader *reader, struct vf_error *err)
{
    struct image_facts *facts = &reader->facts;
    uint8_t head[IMAGE_MAX_HEAD_BYTES];
    uint32_t bytes;

    if (tp_recv(reader->tp, head, IMAGE_FIXED_BYTES, TP_NEVER, err) != 0 ||
        image_head_length(head, &bytes, err) != 0 ||
        tp_recv(reader->tp, head + IMAGE_FIXED_BYTES, bytes - IMAGE_FIXED_BYTES, TP_NEVER, err) !=
            0 ||
        image_head_decode(head, bytes, &facts->version, &facts->origin, err) != 0)
        return fault(reader, 0, err);
    return 0;
}

static int read_admit(struct image_reader *reader, struct vf_error *err)
{
    struct image_facts *facts = &reader->facts;
    const uint64_t at = tp_file_offset(reader->tp);
    const struct vf_partition_params *params;

    if (wire_expect(reader->tp, WIRE_ADMIT, &reader->admit, TP_NEVER, err) != 0)
        return fault(reader, at, err);
    facts->admit = reader->admit.admit;
    params = &facts->admit.params;
    facts->geometry =
        (struct wire_geometry){.page_bytes = facts->admit.page_bytes,
                               .pages_total = params->vram_bytes / facts->admit.page_bytes,
                               .slot_bytes = facts->admit.slot_bytes};
    if (params->vram_bytes == 0 || params->vram_bytes % facts->admit.page_bytes != 0 ||
        facts->geometry.pages_total > IMAGE_MAX_PAGES)
        return vf_fail(err, VF_FAILED,
                       "image %s, at byte %" PRIu64 ": a partition of %" PRIu64
                       " bytes in pages of %" PRIu64 " cannot be",
                       reader->name, at, params->vram_bytes, facts->admit.page_bytes);
    reader->body = tp_file_offset(reader->tp);
    return 0;
}

static int read_trailer(struct image_reader *reader, struct vf_error *err)
{
    struct image_trailer *trailer = &reader->facts.trailer;
    const uint64_t at = reader->file_bytes - IMAGE_TRAILER_BYTES;
    uint8_t bytes[IMAGE_TRAILER_BYTES];

    tp_file_seek(reader->tp, at);
    if (tp_recv(reader->tp, bytes, sizeof bytes, TP_NEVER, err) != 0)
        return fault(reader, at, err);
    if (!image_trailer_decode(bytes, trailer))
        return vf_fail(err, VF_FAILED,
                       "image %s: has no end at byte %" PRIu64
                       ": it was cut, or its end was changed",
                       reader->name, at);
    if (trailer->file_bytes != reader->file_bytes)
        return vf_fail(err, VF_FAILED,
                       "image %s: has %" PRIu64 " bytes and was written with %" PRIu64
                       ": something is missing or was added",
                       reader->name, reader->file_bytes, trailer->file_bytes);
    if (trailer->pages > reader->facts.geometry.pages_total || trailer->frames > trailer->pages ||
        at < reader->body)
        return changed(reader, "its trailer tells of pages that cannot be", err);
    return 0;
}

int image_open(int fd, const char *name, struct image_reader **out, struct vf_error *err)
{
    struct image_reader *reader = calloc(1, sizeof *reader);
    struct stat info;

    *out = NULL;
    if (reader == NULL || (reader->sum = XXH3_createState()) == NULL) {
        (void)close(fd);
        free(reader);
        return vf_fail(err, VF_FAILED, "image %s: " VF_NO_MEMORY, name);
    }
    (void)snprintf(reader->name, sizeof reader->name, "%s", name);
    if (tp_file(fd, name, seen, reader, &reader->tp, err) != 0) {
        image_reader_free(reader);
        return -1;
    }
    if (fstat(tp_fd(reader->tp), &info) != 0)
        (void)vf_fail_errno(err, VF_FAILED, errno, "image %s", name);
    else if (info.st_size < (off_t)(IMAGE_FIXED_BYTES + IMAGE_TRAILER_BYTES))
        (void)vf_fail(err, VF_FAILED,
                      "image %s: has %" PRId64 " bytes: it was cut, or is no image" VF_REMEDY
                      "give a file that \"vferry save NAME --output FILE\" made",
                      name, info.st_size);
    else {
        reader->file_bytes = (uint64_t)info.st_size;
        if (read_head(reader, err) == 0 && read_admit(reader, err) == 0 &&
            read_trailer(reader, err) == 0) {
            image_rewind(reader);
            *out = reader;
            return 0;
        }
    }
    image_reader_free(reader);
    return -1;
}

const struct image_facts *image_facts(const struct image_reader *reader)
{
    return &reader->facts;
}

const struct wire_state *image_state(const struct image_reader *reader)
{
    return &reader->state.state;
}

struct tp *image_reader_tp(struct image_reader *reader)
{
    return reader->tp;
}

void image_rewind(struct image_reader *reader)
{
    tp_file_seek(reader->tp, reader->body);
    reader->frames = reader->pages = 0;
}

static int take_frame(struct image_reader *reader, const struct wire_header *header,
                      struct wire_frame *frame, void *slot, struct vf_error *err)
{
    const struct image_facts *facts = &reader->facts;
    struct wire_packed packed;

    if (wire_recv_frame_head(reader->tp, header, frame, &packed, &facts->geometry, TP_NEVER, err) !=
        0)
        return -1;
    if (memcmp(frame->job, facts->origin.id, sizeof frame->job) != 0 ||
        frame->epoch != facts->admit.epoch || frame->round != 0 ||
        frame->sequence != reader->frames)
        return vf_fail(err, VF_FAILED,
                       "a frame of another image, or in another place than it was written");
    if (packed.packing != WIRE_PLAIN && !facts->origin.packed)
        return vf_fail(err, VF_FAILED, "a packed frame, where its head says that there is none");
    if (frames_in_take(&reader->in, reader->tp, frame, &packed, slot, &facts->geometry, err) != 0)
        return -1;
    reader->frames++;
    reader->pages += frame->count;
    return 0;
}

static int take_end(struct image_reader *reader, const struct wire_header *header,
                    struct vf_error *err)
{
    struct wire_message message;
    int result = 0;

    if (wire_hear_body(reader->tp, header, &message, TP_NEVER, err) != 0)
        return -1;
    if (message.tag != WIRE_ROUND_END)
        result = vf_fail(err, VF_FAILED, "%s where pages were due", wire_tag_name(message.tag));
    else if (message.count.frames != reader->frames || message.count.pages != reader->pages)
        result = vf_fail(err, VF_FAILED, "frames are missing before it");
    wire_message_free(&message);
    return result;
}

int image_next(struct image_reader *reader, struct wire_frame *frame, void *slot, bool *end,
               struct vf_error *err)
{
    const uint64_t at = tp_file_offset(reader->tp);
    struct wire_header header;
    int result;

    *end = false;
    if (wire_recv_header(reader->tp, &header, TP_NEVER, err) != 0)
        return fault(reader, at, err);
    *end = !wire_is_frame(header.tag);
    result = *end ? take_end(reader, &header, err) : take_frame(reader, &header, frame, slot, err);
    return result == 0 ? 0 : fault(reader, at, err);
}

/* ---- the full pass ---- */

struct pass {
    struct image_reader *reader;
    struct digest_table *table;
    struct wire_frame frame;
    uint8_t *slot;
    image_progress *progress;
    void *ctx;
    uint64_t told;
};

static void tell(struct pass *pass, bool last)
{
    const uint64_t at = tp_file_offset(pass->reader->tp);

    if (pass->progress == NULL || (!last && at - pass->told < PROGRESS_BYTES))
        return;
    pass->told = at;
    pass->progress(pass->ctx, at, pass->reader->file_bytes);
}

/* Head and ADMIT were decoded when the image was opened; the checksum must have met the very
 * same bytes. */
static int reread_start(struct image_reader *reader, struct vf_error *err)
{
    uint8_t waste[4096];

    tp_file_seek(reader->tp, 0);
    for (uint64_t left = reader->body; left > 0;) {
        const size_t part = left < sizeof waste ? (size_t)left : sizeof waste;

        if (tp_recv(reader->tp, waste, part, TP_NEVER, err) != 0)
            return fault(reader, reader->body - left, err);
        left -= part;
    }
    image_rewind(reader);
    return 0;
}

/* Each page once, with the content that its digest names; pages of zeros are not written at all. */
static int check_pages(struct pass *pass, uint64_t at, struct vf_error *err)
{
    const struct wire_frame *frame = &pass->frame;
    const uint64_t page_bytes = pass->reader->facts.geometry.page_bytes;
    const uint64_t zero = digest_table_zero(pass->table);

    for (uint32_t i = 0; i < frame->count; i++) {
        const uint64_t page = frame->pages[i] & ~WIRE_PAGE_ZERO;
        const char *wrong = NULL;

        if (frame->place[i] == UINT32_MAX || frame->digests[i] == zero)
            wrong = "is written though it is zero";
        else if (digest_get(pass->table, page) != zero)
            wrong = "is written twice";
        else if (digest_page(pass->slot + frame->place[i] * page_bytes, page_bytes) !=
                 frame->digests[i])
            wrong = "does not match its digest: the file was changed";
        if (wrong != NULL)
            return vf_fail(err, VF_FAILED,
                           "image %s, in the frame at byte %" PRIu64 ": page %" PRIu64 " %s",
                           pass->reader->name, at, page, wrong);
        digest_set(pass->table, page, frame->digests[i]);
    }
    return 0;
}

static int read_pages(struct pass *pass, struct vf_error *err)
{
    for (;;) {
        const uint64_t at = tp_file_offset(pass->reader->tp);
        bool end;

        if (image_next(pass->reader, &pass->frame, pass->slot, &end, err) != 0)
            return -1;
        if (end)
            return 0;
        if (check_pages(pass, at, err) != 0)
            return -1;
        tell(pass, false);
    }
}

static int read_state(struct image_reader *reader, struct vf_error *err)
{
    const uint64_t at = tp_file_offset(reader->tp);

    wire_message_free(&reader->state);
    if (wire_expect(reader->tp, WIRE_STATE, &reader->state, TP_NEVER, err) != 0)
        return fault(reader, at, err);
    if (tp_file_offset(reader->tp) != reader->file_bytes - IMAGE_TRAILER_BYTES)
        return changed(reader, "something stands between its state and its end", err);
    return 0;
}

static int check_whole(struct pass *pass, struct vf_error *err)
{
    struct image_reader *reader = pass->reader;
    struct image_trailer trailer;
    uint8_t bytes[IMAGE_TRAILER_BYTES];
    uint8_t root[DIGEST_ROOT_BYTES];
    XXH128_canonical_t sum;

    if (tp_recv(reader->tp, bytes, IMAGE_SUMMED_TRAILER_BYTES, TP_NEVER, err) != 0)
        return fault(reader, reader->file_bytes - IMAGE_TRAILER_BYTES, err);
    XXH128_canonicalFromHash(&sum, XXH3_128bits_digest(reader->sum));
    reader->summing = false;
    if (tp_recv(reader->tp, bytes + IMAGE_SUMMED_TRAILER_BYTES, sizeof sum.digest, TP_NEVER, err) !=
        0)
        return fault(reader, reader->file_bytes - sizeof sum.digest, err);
    if (!image_trailer_decode(bytes, &trailer) ||
        memcmp(trailer.sum, sum.digest, sizeof sum.digest) != 0 ||
        memcmp(&trailer, &reader->facts.trailer, sizeof trailer) != 0)
        return changed(reader, "the checksum over all of it is another than its end says", err);
    if (trailer.frames != reader->frames || trailer.pages != reader->pages)
        return changed(reader, "its trailer counts other pages than there are", err);
    digest_root(pass->table, root, NULL);
    if (memcmp(root, trailer.root, sizeof root) != 0 ||
        memcmp(root, reader->state.state.root, sizeof root) != 0)
        return changed(reader, "the digest of its pages is another than its end says", err);
    return 0;
}

int image_verify(struct image_reader *reader, image_progress *progress, void *ctx,
                 struct vf_error *err)
{
    struct pass *pass = calloc(1, sizeof *pass);
    int result = -1;

    if (pass == NULL || (pass->slot = malloc(reader->facts.geometry.slot_bytes)) == NULL ||
        XXH3_128bits_reset(reader->sum) != XXH_OK) {
        free(pass);
        return vf_fail(err, VF_FAILED, "image %s: " VF_NO_MEMORY, reader->name);
    }
    pass->reader = reader;
    pass->progress = progress;
    pass->ctx = ctx;
    reader->summing = true;
    if (digest_table_new(reader->facts.geometry.pages_total, reader->facts.geometry.page_bytes,
                         &pass->table, err) == 0 &&
        reread_start(reader, err) == 0 && read_pages(pass, err) == 0 &&
        read_state(reader, err) == 0)
        result = check_whole(pass, err);
    if (result == 0)
        tell(pass, true);
    reader->summing = false;
    digest_table_free(pass->table);
    free(pass->slot);
    free(pass);
    return result;
}

void image_reader_free(struct image_reader *reader)
{
    if (reader == NULL)
        return;
    wire_message_free(&reader->admit);
    wire_message_free(&reader->state);
    tp_close(reader->tp);
    frames_in_free(&reader->in);
    (void)XXH3_freeState(reader->sum);
    free(reader);
}
