// SPDX-License-Identifier: Apache-2.0
/* Threads of the jobs whose other end is a file: save.c, restore.c. */
#ifndef MIGRATE_FILE_FILE_H
#define MIGRATE_FILE_FILE_H

#include "kernel/client.h"
#include "migrate/image/file.h"
#include "migrate/image/image.h"
#include "migrate/mig.h"

struct save {
    struct mig_job *job;
    struct image_file file;
    struct mig_save_options options;
};

/* Thread of a save; `arg` is a struct save (freed by it) whose job has a reference for it. */
void *save_main(void *arg);
void save_free(struct save *order);

struct restore {
    struct mig_job *job;
    struct image_reader *image; /* opened, and not verified yet */
    uint32_t adapter;
};

/* Thread of a restore; as save_main. */
void *restore_main(void *arg);
void restore_free(struct restore *order);

#endif
