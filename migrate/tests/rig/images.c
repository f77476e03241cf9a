// SPDX-License-Identifier: Apache-2.0
/* See images.h. */
#include "migrate/tests/rig/images.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

struct wire_admit images_admit(void)
{
    static const char kmd[] = "what the driver says of itself";
    struct wire_admit admit = {
        .params = {.name = "vm", .uuid = {1, 2, 3}, .vram_bytes = IMAGES_VRAM, .epoch = 4},
        .page_bytes = IMAGES_PAGE,
        .slot_bytes = IMAGES_SLOT_PAGES * IMAGES_PAGE,
        .streams = 1,
        .epoch = 5,
        .kmd = {kmd, sizeof kmd}};

    return admit;
}

void images_fill(uint8_t *page, uint64_t number, uint64_t seed)
{
    for (uint32_t i = 0; i < IMAGES_PAGE; i++)
        page[i] = (uint8_t)(XXH64(&number, sizeof number, seed + i / 8) >> (i % 8) | 1u);
}

static int add_pages(struct image_writer *writer, const uint64_t *pages, uint32_t count,
                     uint64_t seed, struct digest_table *table, struct vf_error *err)
{
    struct wire_frame *frame = calloc(1, sizeof *frame);
    uint8_t slot[IMAGES_SLOT_PAGES * IMAGES_PAGE];
    uint64_t written;
    int result = frame == NULL ? -1 : 0;

    for (uint32_t first = 0; first < count && result == 0; first += IMAGES_SLOT_PAGES) {
        frame->count = frame->payload_bytes = 0;
        for (uint32_t i = 0; i < IMAGES_SLOT_PAGES && first + i < count; i++) {
            uint8_t *page = slot + (size_t)i * IMAGES_PAGE;
            uint64_t digest;

            images_fill(page, pages[first + i], seed);
            digest = digest_page(page, IMAGES_PAGE);
            digest_set(table, pages[first + i], digest);
            if (!wire_frame_add(frame, pages[first + i], digest, false, i, IMAGES_PAGE))
                result = -1;
        }
        if (result == 0)
            result = image_add(writer, frame, slot, &written, err);
    }
    free(frame);
    return result;
}

int images_make(const uint64_t *pages, uint32_t count, uint64_t seed, struct vf_error *err)
{
    static const char state[] = "registers, half done work", msix[] = "vectors";
    struct image_origin origin = {.saved_ns = 1700000000000000000u,
                                  .id = {7, 7},
                                  .host_name = "left",
                                  .version = "0.1",
                                  .device = "softgpu",
                                  .driver = "/softgpu.so",
                                  .description = "a card"};
    struct wire_admit admit = images_admit();
    struct wire_state last = {
        .kmd = {state, sizeof state}, .msix = {msix, sizeof msix}, .pages_total_sent = count};
    int fd = memfd_create("image", MFD_CLOEXEC);
    int copy = fd < 0 ? -1 : dup(fd);
    struct digest_table *table = NULL;
    struct image_writer *writer;
    int result = -1;

    if (copy < 0 || image_create(fd, "made.image", &origin, &admit, PACK_NONE, &writer, err) != 0)
        return -1;
    if (digest_table_new(IMAGES_VRAM / IMAGES_PAGE, IMAGES_PAGE, &table, err) == 0 &&
        add_pages(writer, pages, count, seed, table, err) == 0) {
        digest_root(table, last.root, NULL);
        if (image_add_state(writer, &last, err) == 0 && image_seal(writer, last.root, err) == 0)
            result = 0;
    }
    digest_table_free(table);
    image_writer_free(writer);
    if (result == 0)
        return copy;
    (void)close(copy);
    return -1;
}

uint8_t *images_load(int fd, size_t *bytes)
{
    struct stat info;
    uint8_t *data;

    if (fstat(fd, &info) != 0 || (data = malloc((size_t)info.st_size + 1)) == NULL)
        return NULL;
    *bytes = (size_t)info.st_size;
    if (pread(fd, data, *bytes, 0) == (ssize_t)*bytes)
        return data;
    free(data);
    return NULL;
}

int images_store(const void *data, size_t bytes)
{
    int fd = memfd_create("image", MFD_CLOEXEC);

    if (fd >= 0 && pwrite(fd, data, bytes, 0) == (ssize_t)bytes)
        return fd;
    if (fd >= 0)
        (void)close(fd);
    return -1;
}

void images_reseal(uint8_t *data, size_t bytes)
{
    XXH128_canonical_t sum;

    XXH128_canonicalFromHash(&sum, XXH3_128bits(data, bytes - sizeof sum.digest));
    memcpy(data + bytes - sizeof sum.digest, sum.digest, sizeof sum.digest);
}
