// SPDX-License-Identifier: Apache-2.0
/*
 * A file that gets its name only when it is whole and on disk. Where the file system can
 * (O_TMPFILE) it has no name before, so that whatever dies leaves nothing; elsewhere it is called
 * ".NAME.vferry-XXXXXX" meanwhile.
 */
#ifndef MIGRATE_IMAGE_FILE_H
#define MIGRATE_IMAGE_FILE_H

#include "base/error.h"

#include <stdbool.h>

struct image_file {
    int directory; /* owned */
    int fd;        /* owned until image_file_take */
    int link_fd;   /* a second descriptor of the file, to name it by */
    char name[256];
    char temporary[256]; /* "" = it has no name yet */
};

#define IMAGE_FILE_INIT                                                                            \
    {                                                                                              \
        .directory = -1, .fd = -1, .link_fd = -1                                                   \
    }

/* A new file of mode 0600 for `name` in the directory (taken over, also on failure). Refused when
 * the name is taken. */
int image_file_open(struct image_file *file, int directory, const char *name, struct vf_error *err);
/* The same, but with a named temporary: for file systems without O_TMPFILE, and for the test of
 * that way. */
int image_file_open_named(struct image_file *file, int directory, const char *name,
                          struct vf_error *err);
/* The descriptor to write to; the caller closes it. */
int image_file_take(struct image_file *file);
/* Gives the file its name, for good (the directory is synced too); what has the name already is
 * never replaced. The content must have been synced. */
int image_file_publish(struct image_file *file, struct vf_error *err);
/* Takes the name away again after image_file_publish. */
void image_file_withdraw(struct image_file *file);
/* Due whatever happened; what was not published goes. */
void image_file_close(struct image_file *file);

#endif
