// SPDX-License-Identifier: Apache-2.0
/* The bus: which host memory the paging engine may reach, and under which addresses. */
#include "softgpu.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

int sg_dma_open(struct sg_dma *d)
{
    pthread_rwlockattr_t attr;
    int rc = pthread_rwlockattr_init(&attr);

    *d = (struct sg_dma){.generation = 1};
    if (rc)
        return -rc;
    /* The engine takes the lock again step after step: an unmap must get in between. */
    rc = pthread_rwlockattr_setkind_np(&attr, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
    if (!rc)
        rc = pthread_rwlock_init(&d->lock, &attr);
    pthread_rwlockattr_destroy(&attr);
    return -rc;
}

void sg_dma_close(struct sg_dma *d)
{
    for (size_t i = 0; i < d->count; i++)
        munmap(d->range[i].at, (size_t)d->range[i].bytes);
    free(d->range);
    pthread_rwlock_destroy(&d->lock);
}

/* Index of the first range that ends behind `iova`. */
static size_t first_behind(const struct sg_dma *d, uint64_t iova)
{
    size_t low = 0, high = d->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (d->range[middle].iova + (d->range[middle].bytes - 1) < iova)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static int insert(struct sg_dma *d, const struct sg_dma_range *range)
{
    size_t at = first_behind(d, range->iova);
    struct sg_dma_range *grown;

    if (at < d->count && d->range[at].iova <= range->iova + (range->bytes - 1))
        return -EEXIST;
    grown = realloc(d->range, (d->count + 1) * sizeof *grown);
    if (!grown)
        return -ENOMEM;
    d->range = grown;
    memmove(&grown[at + 1], &grown[at], (d->count - at) * sizeof *grown);
    grown[at] = *range;
    d->count++;
    d->generation++;
    return 0;
}

int sg_dma_map(struct sg_dma *d, uint64_t iova, uint64_t bytes, int fd, uint64_t fd_offset)
{
    struct sg_dma_range range = {iova, bytes, NULL};
    struct stat st;
    uint64_t end;
    int rc;

    if (!bytes || (iova | bytes | fd_offset) % SG_PAGE_BYTES ||
        __builtin_add_overflow(iova, bytes - 1, &end) ||
        __builtin_add_overflow(fd_offset, bytes, &end))
        return -EINVAL;
    if (fstat(fd, &st))
        return -errno;
    /* The engine would run into SIGBUS behind the file's end. */
    if (st.st_size < 0 || end > (uint64_t)st.st_size)
        return -EINVAL;
    range.at = mmap(NULL, (size_t)bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, (off_t)fd_offset);
    if (range.at == MAP_FAILED)
        return -errno;
    pthread_rwlock_wrlock(&d->lock);
    rc = insert(d, &range);
    pthread_rwlock_unlock(&d->lock);
    if (rc)
        munmap(range.at, (size_t)bytes);
    return rc;
}

int sg_dma_unmap(struct sg_dma *d, uint64_t iova, uint64_t bytes)
{
    struct sg_dma_range range = {0};
    size_t at;

    /* No step is running now, and the next one drops what it had cached. */
    pthread_rwlock_wrlock(&d->lock);
    at = first_behind(d, iova);
    if (at < d->count && d->range[at].iova == iova && d->range[at].bytes == bytes) {
        range = d->range[at];
        d->count--;
        memmove(&d->range[at], &d->range[at + 1], (d->count - at) * sizeof range);
        d->generation++;
    }
    pthread_rwlock_unlock(&d->lock);
    if (!range.at)
        return -ENOENT;
    munmap(range.at, (size_t)range.bytes);
    return 0;
}

uint8_t *sg_dma_find(const struct sg_dma *d, uint64_t iova, uint64_t *bytes, size_t *hint)
{
    size_t at = *hint;

    if (at >= d->count || iova < d->range[at].iova ||
        iova - d->range[at].iova >= d->range[at].bytes) {
        at = first_behind(d, iova);
        if (at >= d->count || iova < d->range[at].iova)
            return NULL;
        *hint = at;
    }
    *bytes = d->range[at].bytes - (iova - d->range[at].iova);
    return d->range[at].at + (iova - d->range[at].iova);
}
