// SPDX-License-Identifier: Apache-2.0
/* See driver_file.h. */
#define LOG_ROOM "loader"
#include "dxgk/adapter/driver_file.h"

#include "base/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <xxhash.h>

#define MAX_BYTES (256ll << 20) /* no driver is that large; a device file or a typo may be */

static int copy(int from, off_t bytes, const char *path, int *to, struct vf_error *err)
{
    const char *name = strrchr(path, '/');
    cleanup_close int fd = memfd_create(name != NULL ? name + 1 : path,
                                        MFD_CLOEXEC | MFD_ALLOW_SEALING);
    off_t done = 0;

    if (fd < 0)
        return vf_fail_errno(err, VF_FAILED, errno, "driver %s: it cannot be copied", path);
    while (done < bytes) {
        ssize_t part = sendfile(fd, from, &done, (size_t)(bytes - done));

        if (part < 0 && errno != EINTR)
            return vf_fail_errno(err, VF_FAILED, errno, "driver %s: cannot read", path);
        if (part == 0)
            return vf_fail(err, VF_FAILED, "driver %s grew shorter while it was read", path);
    }
    if (fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL) != 0)
        return vf_fail_errno(err, VF_FAILED, errno, "driver %s: cannot seal its copy", path);
    *to = vf_take_fd(&fd);
    return 0;
}

static int digest(struct dxgk_driver_file *file, struct vf_error *err)
{
    struct stat stat;
    XXH128_hash_t hash;
    void *map;

    if (fstat(file->fd, &stat) != 0 || stat.st_size <= 0)
        return vf_fail(err, VF_FAILED, "driver %s is empty", file->path);
    map = mmap(NULL, (size_t)stat.st_size, PROT_READ, MAP_PRIVATE, file->fd, 0);
    if (map == MAP_FAILED)
        return vf_fail_errno(err, VF_FAILED, errno, "driver %s: cannot read its copy", file->path);
    hash = XXH3_128bits(map, (size_t)stat.st_size);
    (void)munmap(map, (size_t)stat.st_size);
    (void)snprintf(file->digest, sizeof file->digest, "xxh3-128:%016" PRIx64 "%016" PRIx64,
                   hash.high64, hash.low64);
    return 0;
}

int dxgk_driver_file_adopt(int fd, const char *path, struct dxgk_driver_file **out,
                           struct vf_error *err)
{
    struct dxgk_driver_file *file = calloc(1, sizeof *file);
    cleanup_close int owned = fd;

    if (file != NULL)
        file->path = strdup(path);
    if (file == NULL || file->path == NULL) {
        free(file);
        return vf_fail(err, VF_FAILED, "driver %s: " VF_NO_MEMORY, path);
    }
    file->fd = vf_take_fd(&owned);
    atomic_init(&file->refs, 1);
    if (digest(file, err) != 0) {
        dxgk_driver_file_put(file);
        return -1;
    }
    *out = file;
    return 0;
}

int dxgk_driver_file_open(const char *path, struct dxgk_driver_file **out, struct vf_error *err)
{
    cleanup_free char *resolved = realpath(path, NULL);
    cleanup_close int from = -1;
    struct stat stat;
    int fd = -1;

    if (resolved == NULL)
        return vf_fail(err, VF_FAILED, "cannot find driver %s; give the path of a KMD image", path);
    /* Not blocking: the path may name a FIFO. */
    from = open(resolved, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (from < 0 || fstat(from, &stat) != 0)
        return vf_fail_errno(err, VF_FAILED, errno, "driver %s", resolved);
    if (!S_ISREG(stat.st_mode) || stat.st_size == 0 || stat.st_size > MAX_BYTES)
        return vf_fail(err, VF_FAILED,
                       "%s is no driver: a KMD image is a file of 1 to %" PRId64 " bytes", resolved,
                       (int64_t)MAX_BYTES);
    if (copy(from, stat.st_size, resolved, &fd, err) != 0)
        return -1;
    return dxgk_driver_file_adopt(fd, resolved, out, err);
}

struct dxgk_driver_file *dxgk_driver_file_get(struct dxgk_driver_file *file)
{
    atomic_fetch_add(&file->refs, 1);
    return file;
}

void dxgk_driver_file_put(struct dxgk_driver_file *file)
{
    if (file == NULL || atomic_fetch_sub(&file->refs, 1) != 1)
        return;
    (void)close(file->fd);
    free(file->path);
    free(file);
}
