// SPDX-License-Identifier: Apache-2.0
/*
 * An image found on disk. Input: a byte, then the file. An odd byte has the checksum over all of it
 * made right, so that the fuzzer gets behind that. What passes the check keeps the promises of
 * image.h, and a second look says the same; what does not is refused with a reason.
 */
#include "fuzz/target.h"
#include "migrate/tests/rig/images.h"

#include <string.h>
#include <unistd.h>

static void look_at_frame(const struct wire_frame *frame, const struct image_facts *facts)
{
    fuzz_must(frame->count > 0 && frame->count <= WIRE_FRAME_PAGES);
    fuzz_must(frame->payload_bytes <= facts->geometry.slot_bytes);
    for (uint32_t i = 0; i < frame->count; i++)
        fuzz_must((frame->pages[i] & ~WIRE_PAGE_ZERO) < facts->geometry.pages_total);
}

/* Pages from the start to the end; their number. */
static uint64_t read_pages(struct image_reader *image, struct wire_frame *frame, uint8_t *slot,
                           bool good)
{
    struct vf_error err = VF_ERROR_INIT;
    uint64_t pages = 0;
    bool end = false;

    image_rewind(image);
    while (image_next(image, frame, slot, &end, &err) == 0 && !end) {
        look_at_frame(frame, image_facts(image));
        pages += frame->count;
    }
    fuzz_must(end == (err.code == VF_OK) || err.text[0] != '\0');
    fuzz_must(!good || err.code == VF_OK);
    return pages;
}

static void look_at(struct image_reader *image)
{
    const struct image_facts *facts = image_facts(image);
    struct wire_frame *frame = malloc(sizeof *frame);
    uint8_t *slot = malloc(facts->geometry.slot_bytes);
    struct vf_error err = VF_ERROR_INIT;
    bool good;

    fuzz_must(frame != NULL && slot != NULL);
    fuzz_must(facts->geometry.slot_bytes <= WIRE_MAX_SLOT_BYTES);
    fuzz_must(facts->geometry.pages_total > 0 && facts->geometry.pages_total <= IMAGE_MAX_PAGES);
    fuzz_must(vf_name_valid(facts->admit.params.name));
    (void)read_pages(image, frame, slot, false);
    /* A large table is allowed and slow to fill again and again. */
    good = facts->geometry.pages_total <= 1u << 16 && image_verify(image, NULL, NULL, &err) == 0;
    fuzz_must(good || err.text[0] != '\0' || facts->geometry.pages_total > 1u << 16);
    if (good) {
        fuzz_must(image_state(image)->kmd.bytes <= VF_MAX_MIGRATION_BLOB);
        fuzz_must(read_pages(image, frame, slot, true) == facts->trailer.pages);
        fuzz_must(image_verify(image, NULL, NULL, &err) == 0);
    }
    free(slot);
    free(frame);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct vf_error err = VF_ERROR_INIT;
    struct image_reader *image;
    uint8_t *file;
    bool reseal;
    int fd;

    if (size == 0)
        return 0;
    reseal = (data[0] & 1) != 0;
    data++;
    size--;
    file = malloc(size + 1);
    fuzz_must(file != NULL);
    memcpy(file, data, size);
    if (reseal && size >= IMAGE_TRAILER_BYTES)
        images_reseal(file, size);
    fd = images_store(file, size);
    fuzz_must(fd >= 0);
    free(file);
    if (image_open(fd, "fuzzed", &image, &err) != 0) {
        fuzz_must(image == NULL && err.text[0] != '\0');
        return 0;
    }
    look_at(image);
    image_reader_free(image);
    return 0;
}

size_t fuzz_seed(unsigned index, uint8_t *data)
{
    static const uint64_t pages[] = {0, 1, 5, 6, 7, 255};
    struct vf_error err = VF_ERROR_INIT;
    size_t bytes;
    uint8_t *file;
    int fd;

    if (index > 3)
        return 0;
    fd = images_make(pages, index == 3 ? 0 : 2 * index + 2, index, &err);
    fuzz_must(fd >= 0 && (file = images_load(fd, &bytes)) != NULL);
    fuzz_must(bytes < FUZZ_MAX_BYTES);
    data[0] = 1;
    memcpy(data + 1, file, bytes);
    (void)close(fd);
    free(file);
    return bytes + 1;
}
