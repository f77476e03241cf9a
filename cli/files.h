// SPDX-License-Identifier: Apache-2.0
/* Files a person names. They are opened here, with that person's rights; the daemon only gets
 * descriptors of regular files. */
#ifndef CLI_FILES_H
#define CLI_FILES_H

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>

/* Opens a file to read; what is no regular file (a pipe) is copied into memory first. The fd is the
 * caller's to close. */
int input_open(const char *path, int *fd, struct vf_error *err);
/* Reads the whole file into memory; *data is malloc'ed, the caller frees it. */
int input_load(const char *path, void **data, size_t *bytes, struct vf_error *err);

/* A result on its way to `path`: written to `fd`, it appears there whole (output_commit) or not
 * at all. */
struct output {
    const char *path;
    /* Its name meanwhile; NULL: no regular file, `fd` is memory that is copied at the end. */
    char *temporary;
    int fd;          /* a regular file, at offset 0 */
};

#define OUTPUT_INIT \
    {               \
        .fd = -1    \
    }

/* Makes the file under a temporary name beside `path`, which must stay valid. On failure nothing is
 * left, and output_close does nothing. */
int output_open(struct output *output, const char *path, struct vf_error *err);
/* Appends n bytes. */
int output_write(struct output *output, const void *bytes, size_t n, struct vf_error *err);
/* All is written: the file appears under its name. */
int output_commit(struct output *output, struct vf_error *err);
/* Closes it; what was not committed is removed. */
void output_close(struct output *output);

#endif
