// SPDX-License-Identifier: Apache-2.0
/*
 * VRAM: one memfd that costs only what was written. A page without its `populated` bit reads as
 * zeros without being touched, because even a read would allocate a page of a shared mapping.
 */
#include "softgpu.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* Of small pages at once: about 100 us, so that a pause need not wait long. */
#define POPULATE_BYTES (256ull << 10)
#define POPULATE_LEAST (32ull << 10) /* below this a system call saves nothing over page faults */

#define THP "/sys/kernel/mm/transparent_hugepage/"

/* Whether the setting in `path` has `choice` in brackets. */
static bool chosen(const char *path, const char *choice)
{
    char line[128] = "";
    FILE *f = fopen(path, "re");

    if (!f)
        return false;
    if (!fgets(line, sizeof line, f))
        line[0] = '\0';
    (void)fclose(f); /* only read */
    return strstr(line, choice);
}

/* Shared memory gets huge pages by advice only where the machine is set so (Linux:
 * admin-guide/mm/transhuge); elsewhere the second mapping would just cost a second page fault. */
static bool huge_pages_on_advice(void)
{
    static const char size[] = THP "hugepages-2048kB/shmem_enabled", all[] = THP "shmem_enabled";

    if (chosen(all, "[deny]"))
        return false;
    if (chosen(size, "[always]") || chosen(size, "[within_size]") || chosen(size, "[advise]"))
        return true;
    return !chosen(size, "[never]") &&
           (chosen(all, "[always]") || chosen(all, "[within_size]") || chosen(all, "[advise]"));
}

/* Both mappings, and room to align them. */
static size_t reservation_bytes(const struct sg_vram *v)
{
    return (size_t)(v->bytes * 2 + SG_BLOCK_BYTES);
}

static int map_all(struct sg_vram *v)
{
    const int flags = MAP_SHARED | MAP_NORESERVE | MAP_FIXED;
    uintptr_t at;
    int rc;

    v->reservation = mmap(NULL, reservation_bytes(v), PROT_NONE,
                          MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (v->reservation == MAP_FAILED)
        return -errno;
    at = ((uintptr_t)v->reservation + SG_BLOCK_BYTES - 1) & ~(uintptr_t)(SG_BLOCK_BYTES - 1);
    v->base = mmap((void *)at, (size_t)v->bytes, PROT_READ | PROT_WRITE, flags, v->fd, 0);
    if (v->base == MAP_FAILED)
        goto failed;
    if (huge_pages_on_advice()) {
        v->wide = mmap((void *)(at + v->bytes), (size_t)v->bytes, PROT_READ | PROT_WRITE, flags,
                       v->fd, 0);
        if (v->wide == MAP_FAILED)
            goto failed;
        if (madvise(v->wide, (size_t)v->bytes, MADV_HUGEPAGE))
            v->wide = NULL; /* a kernel without them: small pages do the same, slower */
    }
    return 0;
failed:
    rc = -errno;
    munmap(v->reservation, reservation_bytes(v));
    return rc;
}

int sg_vram_open(struct sg_vram *v, const struct sg_options *o, char *why, size_t why_bytes)
{
    const char *what = "reserving its memory file";
    int rc;

    v->bytes = o->vram_bytes;
    v->prealloc = o->prealloc;
    v->wide = NULL;
    v->fd = memfd_create("softgpu-vram", MFD_CLOEXEC);
    if (v->fd < 0) {
        rc = -errno;
        goto failed;
    }
    if (ftruncate(v->fd, (off_t)v->bytes)) {
        rc = -errno;
        goto failed_fd;
    }
    what = "mapping";
    rc = map_all(v);
    if (rc)
        goto failed_fd;
    what = "preallocating";
    if (v->prealloc && madvise(v->base, (size_t)v->bytes, MADV_POPULATE_WRITE)) {
        rc = -errno;
        goto failed_map;
    }
    what = "allocating the page bitmap";
    v->populated = calloc(v->bytes / SG_PAGE_BYTES / 64, sizeof *v->populated);
    if (!v->populated) {
        rc = -ENOMEM;
        goto failed_map;
    }
    what = "allocating the dirty bitplane";
    rc = sg_dirty_open(&v->dirty, v->bytes, o);
    if (rc)
        goto failed_bitmap;
    return 0;
failed_bitmap:
    free(v->populated);
failed_map:
    munmap(v->reservation, reservation_bytes(v));
failed_fd:
    close(v->fd);
failed:
    (void)snprintf(why, why_bytes,
                   "option vram: %s failed: %s; free memory or address space, or ask for less vram",
                   what, strerror(-rc));
    return rc;
}

void sg_vram_close(struct sg_vram *v)
{
    sg_dirty_close(&v->dirty);
    free(v->populated);
    munmap(v->reservation, reservation_bytes(v));
    close(v->fd);
}

#if defined(__SANITIZE_THREAD__)
#define SG_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define SG_TSAN 1
#endif
#endif

/* Under TSan memcpy would be watched even from an unwatched function, so there the words are moved
 * by hand. */
#ifdef SG_TSAN
SG_RACES_AS_HARDWARE void sg_raw_copy(void *to, const void *from, uint64_t bytes)
{
    volatile uint8_t *d = to;
    const volatile uint8_t *s = from;

    for (; bytes && ((uintptr_t)d % 8 || (uintptr_t)s % 8 || bytes < 8); bytes--)
        *d++ = *s++;
    for (; bytes >= 8; bytes -= 8, d += 8, s += 8)
        *(volatile uint64_t *)(uintptr_t)d = *(const volatile uint64_t *)(uintptr_t)s;
    for (; bytes; bytes--)
        *d++ = *s++;
}

SG_RACES_AS_HARDWARE void sg_raw_zero(void *to, uint64_t bytes)
{
    volatile uint8_t *d = to;

    for (; bytes && ((uintptr_t)d % 8 || bytes < 8); bytes--)
        *d++ = 0;
    for (; bytes >= 8; bytes -= 8, d += 8)
        *(volatile uint64_t *)(uintptr_t)d = 0;
    for (; bytes; bytes--)
        *d++ = 0;
}
#else
void sg_raw_copy(void *to, const void *from, uint64_t bytes)
{
    /* A guest's copy may overlap: the result is undefined, the behaviour is not. */
    memmove(to, from, (size_t)bytes);
}

void sg_raw_zero(void *to, uint64_t bytes)
{
    memset(to, 0, (size_t)bytes);
}
#endif

uint64_t sg_vram_run(struct sg_vram *v, uint64_t offset, uint64_t bytes, bool *populated)
{
    uint64_t page = offset / SG_PAGE_BYTES, end = (offset + bytes - 1) / SG_PAGE_BYTES + 1;
    bool state = atomic_load(&v->populated[page / 64]) >> (page % 64) & 1;

    *populated = state;
    while (page < end) {
        uint64_t word = atomic_load(&v->populated[page / 64]),
                 other = (state ? ~word : word) >> (page % 64);

        if (other) {
            page += (uint64_t)__builtin_ctzll(other);
            break;
        }
        page = (page | 63) + 1;
    }
    /* The first page's word is read twice: when its state changed in between, it counts as it
     * was first. */
    page = sg_max(page, offset / SG_PAGE_BYTES + 1);
    return sg_min(bytes, page * SG_PAGE_BYTES - offset);
}

/*
 * Measured in a virtual machine, for 2 MiB: 1 to 3.5 ms by page faults, 1 ms by
 * MADV_POPULATE_WRITE, 0.1 ms as a huge page, which goes back in 0.01 ms instead of 0.4. A huge
 * page is asked for only when one write is going to cover it all, and through a mapping of its own,
 * so that scattered small writes never inflate; the base mapping then maps it whole. A failure is
 * not reported: the page faults then do the work.
 */
void sg_vram_prepare_write(struct sg_vram *v, uint64_t offset, uint64_t bytes)
{
    uint64_t first, end;
    bool populated;

    if (v->prealloc)
        return;
    if (v->wide && offset % SG_BLOCK_BYTES == 0 && bytes >= SG_BLOCK_BYTES &&
        sg_vram_run(v, offset, SG_BLOCK_BYTES, &populated) == SG_BLOCK_BYTES && !populated) {
        (void)madvise(v->wide + offset, (size_t)SG_BLOCK_BYTES, MADV_POPULATE_WRITE);
        return;
    }
    bytes = sg_vram_run(v, offset, sg_min(bytes, POPULATE_BYTES), &populated);
    if (populated || bytes < POPULATE_LEAST)
        return;
    first = offset & ~(SG_PAGE_BYTES - 1);
    end = (offset + bytes + SG_PAGE_BYTES - 1) & ~(SG_PAGE_BYTES - 1);
    (void)madvise(v->base + first, (size_t)(end - first), MADV_POPULATE_WRITE);
}

/*
 * How writers and hole punchers of the same page get along without a lock: a writer stores, then
 * sets `populated`; a puncher clears `populated`, then punches. Whichever way they interleave, a
 * page whose bit ends up clear was punched after its last store, so it really is a hole; the other
 * way round (bit set, page a hole) only reads as the zeros it holds. The RMW is seq_cst because
 * sg_dirty_set relies on it, and unconditional because a look could overtake the store.
 */
void sg_vram_stored(struct sg_vram *v, uint64_t offset, uint64_t bytes)
{
    uint64_t first = offset / SG_PAGE_BYTES, end = (offset + bytes - 1) / SG_PAGE_BYTES + 1;

    for (uint64_t w = first / 64; w <= (end - 1) / 64; w++)
        atomic_fetch_or(&v->populated[w], sg_bits(w, first, end));
    sg_dirty_set(&v->dirty, offset, bytes);
}

void sg_vram_read(struct sg_vram *v, uint64_t offset, void *to, uint64_t bytes)
{
    uint8_t *out = to;

    while (bytes) {
        bool populated;
        uint64_t n = sg_vram_run(v, offset, bytes, &populated);

        if (populated)
            sg_raw_copy(out, v->base + offset, n);
        else
            memset(out, 0, (size_t)n);
        offset += n;
        out += n;
        bytes -= n;
    }
}

void sg_vram_write(struct sg_vram *v, uint64_t offset, const void *from, uint64_t bytes)
{
    if (!bytes)
        return;
    sg_raw_copy(v->base + offset, from, bytes);
    sg_vram_stored(v, offset, bytes);
}

void sg_vram_copy(struct sg_vram *v, uint64_t to, uint64_t from, uint64_t bytes)
{
    while (bytes) {
        bool populated;
        uint64_t n = sg_vram_run(v, from, bytes, &populated);

        if (populated)
            sg_vram_write(v, to, v->base + from, n);
        else
            sg_vram_zero(v, to, n);
        to += n;
        from += n;
        bytes -= n;
    }
}

/* Whole pages within one block: gives them back. The hole covers them all as soon as one was
 * populated, because memory may have been prepared beyond what was written. */
static void punch(struct sg_vram *v, uint64_t first, uint64_t end)
{
    uint64_t had = 0, offset = first * SG_PAGE_BYTES, bytes = (end - first) * SG_PAGE_BYTES;

    for (uint64_t w = first / 64; w <= (end - 1) / 64; w++) {
        uint64_t mask = sg_bits(w, first, end);

        had |= atomic_fetch_and(&v->populated[w], ~mask) & mask;
    }
    if (!had)
        return;
    if (v->prealloc) {
        sg_raw_zero(v->base + offset, bytes); /* the bits stay clear: such pages hold zeros */
    } else if (fallocate(v->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)offset,
                         (off_t)bytes)) {
        sg_raw_zero(v->base + offset, bytes); /* the memory stays, the contents must not */
        sg_vram_stored(v, offset, bytes);
    }
}

/* Part of one page. */
static void zero_part(struct sg_vram *v, uint64_t offset, uint64_t bytes)
{
    bool populated;

    if (bytes && sg_vram_run(v, offset, bytes, &populated) && populated) {
        sg_raw_zero(v->base + offset, bytes);
        sg_vram_stored(v, offset, bytes);
    }
}

void sg_vram_zero(struct sg_vram *v, uint64_t offset, uint64_t bytes)
{
    uint64_t end = offset + bytes, at = offset;

    while (at < end) {
        uint64_t stop = sg_min(end, (at | (SG_BLOCK_BYTES - 1)) + 1);
        uint64_t page = (at + SG_PAGE_BYTES - 1) / SG_PAGE_BYTES, last = stop / SG_PAGE_BYTES;

        if (page < last) {
            zero_part(v, at, page * SG_PAGE_BYTES - at);
            punch(v, page, last);
            zero_part(v, last * SG_PAGE_BYTES, stop - last * SG_PAGE_BYTES);
        } else { /* no whole page; perhaps parts of two */
            uint64_t middle = sg_min(stop, (at | (SG_PAGE_BYTES - 1)) + 1);

            zero_part(v, at, middle - at);
            zero_part(v, middle, stop - middle);
        }
        at = stop;
    }
    if (bytes)
        sg_dirty_set(&v->dirty, offset, bytes);
}

static bool page_populated(struct sg_vram *v, uint64_t offset)
{
    uint64_t page = offset / SG_PAGE_BYTES;

    return atomic_load(&v->populated[page / 64]) >> (page % 64) & 1;
}

uint64_t sg_vram_load64(struct sg_vram *v, uint64_t offset)
{
    if (!page_populated(v, offset))
        return 0;
    return __atomic_load_n((uint64_t *)(uintptr_t)(v->base + offset), __ATOMIC_ACQUIRE);
}

void sg_vram_store64(struct sg_vram *v, uint64_t offset, uint64_t value)
{
    __atomic_store_n((uint64_t *)(uintptr_t)(v->base + offset), value, __ATOMIC_RELEASE);
    sg_vram_stored(v, offset, 8);
}

void sg_vram_add64(struct sg_vram *v, uint64_t offset, uint64_t value)
{
    (void)__atomic_fetch_add((uint64_t *)(uintptr_t)(v->base + offset), value, __ATOMIC_ACQ_REL);
    sg_vram_stored(v, offset, 8);
}
