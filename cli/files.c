// SPDX-License-Identifier: Apache-2.0
/* See files.h. */
#include "cli/files.h"

#include "base/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

/* A picture has no more, and an endless pipe does not fill the memory. */
#define INPUT_LIMIT (1ull << 30)
#define COPY_BYTES 65536u

static int write_all(int fd, const void *data, size_t bytes)
{
    size_t done = 0;

    while (done < bytes) {
        ssize_t wrote = write(fd, (const char *)data + done, bytes - done);

        if (wrote < 0 && errno != EINTR)
            return -1;
        done += wrote > 0 ? (size_t)wrote : 0;
    }
    return 0;
}

/* Copies until the end of `from`, or refuses beyond `limit` bytes. 0, or -1 with errno. */
static int copy(int from, int to, uint64_t limit)
{
    static char buffer[COPY_BYTES]; /* the program's main thread only */
    uint64_t total = 0;

    for (;;) {
        ssize_t got = read(from, buffer, sizeof buffer);

        if (got == 0)
            return 0;
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0 || write_all(to, buffer, (size_t)got) != 0)
            return -1;
        total += (uint64_t)got;
        if (total > limit) {
            errno = EFBIG;
            return -1;
        }
    }
}

int input_open(const char *path, int *fd, struct vf_error *err)
{
    cleanup_close int file = open(path, O_RDONLY | O_CLOEXEC);
    cleanup_close int memory = -1;
    struct stat info;

    if (file < 0 || fstat(file, &info) != 0)
        return vf_fail_errno(err, VF_FAILED, errno,
                             "--input %s" VF_REMEDY "give a file that can be read", path);
    if (S_ISREG(info.st_mode)) {
        *fd = vf_take_fd(&file);
        return 0;
    }
    memory = memfd_create("vferry-input", MFD_CLOEXEC);
    if (memory < 0 || copy(file, memory, INPUT_LIMIT) != 0 || lseek(memory, 0, SEEK_SET) != 0)
        return vf_fail_errno(err, VF_FAILED, errno, "--input %s", path);
    *fd = vf_take_fd(&memory);
    return 0;
}

int input_load(const char *path, void **data, size_t *bytes, struct vf_error *err)
{
    cleanup_close int fd = -1;
    cleanup_free char *memory = NULL;
    struct stat info;
    size_t done = 0;

    if (input_open(path, &fd, err) != 0)
        return -1;
    if (fstat(fd, &info) != 0)
        return vf_fail_errno(err, VF_FAILED, errno, "--input %s", path);
    if ((uint64_t)info.st_size > INPUT_LIMIT)
        return vf_fail_errno(err, VF_FAILED, EFBIG, "--input %s", path);
    *bytes = (size_t)info.st_size;
    memory = malloc(*bytes + 1); /* an empty file is a bad picture, not a lack of memory */
    if (memory == NULL)
        return vf_fail(err, VF_FAILED, "--input %s: " VF_NO_MEMORY, path);
    while (done < *bytes) {
        ssize_t got = pread(fd, memory + done, *bytes - done, (off_t)done);

        if (got < 0 && errno != EINTR)
            return vf_fail_errno(err, VF_FAILED, errno, "--input %s", path);
        if (got == 0)
            break;
        done += got > 0 ? (size_t)got : 0;
    }
    *bytes = done;
    *data = vf_take_ptr(memory);
    return 0;
}

/* Beside the target, so that the rename stays on one file system; with the mode that a plain open
 * would give. */
static int open_temporary(struct output *output)
{
    mode_t mask = umask(0);

    (void)umask(mask);
    if (asprintf(&output->temporary, "%s.XXXXXX", output->path) < 0) {
        output->temporary = NULL;
        errno = ENOMEM;
        return -1;
    }
    output->fd = mkostemp(output->temporary, O_CLOEXEC);
    if (output->fd < 0) {
        free(vf_take_ptr(output->temporary));
        return -1;
    }
    return fchmod(output->fd, 0666 & ~mask);
}

int output_open(struct output *output, const char *path, struct vf_error *err)
{
    struct stat info;
    bool special = stat(path, &info) == 0 && !S_ISREG(info.st_mode);

    *output = (struct output){.path = path, .fd = -1};
    if (special && S_ISDIR(info.st_mode))
        return vf_fail_errno(err, VF_FAILED, EISDIR, "--output %s", path);
    if (special)
        output->fd = memfd_create("vferry-output", MFD_CLOEXEC);
    if (special ? output->fd < 0 : open_temporary(output) != 0) {
        (void)vf_fail_errno(err, VF_FAILED, errno,
                            "--output %s" VF_REMEDY "give a path where this user can write", path);
        output_close(output);
        return -1;
    }
    return 0;
}

int output_write(struct output *output, const void *bytes, size_t n, struct vf_error *err)
{
    return write_all(output->fd, bytes, n) == 0
               ? 0
               : vf_fail_errno(err, VF_FAILED, errno, "--output %s", output->path);
}

int output_commit(struct output *output, struct vf_error *err)
{
    cleanup_close int special = -1;

    if (output->temporary != NULL) {
        if (rename(output->temporary, output->path) != 0)
            return vf_fail_errno(err, VF_FAILED, errno, "--output %s", output->path);
        free(vf_take_ptr(output->temporary));
        return 0;
    }
    special = open(output->path, O_WRONLY | O_CLOEXEC);
    if (special < 0 || lseek(output->fd, 0, SEEK_SET) != 0 ||
        copy(output->fd, special, UINT64_MAX) != 0)
        return vf_fail_errno(err, VF_FAILED, errno, "--output %s", output->path);
    return 0;
}

void output_close(struct output *output)
{
    if (output->fd >= 0)
        (void)close(output->fd);
    if (output->temporary != NULL)
        (void)unlink(output->temporary);
    free(output->temporary);
    *output = (struct output)OUTPUT_INIT;
}
