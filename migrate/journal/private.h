// SPDX-License-Identifier: Apache-2.0
/* The inside of struct journal: reading and writing is journal.c's, starting the file
 * anew compact.c's. */
#ifndef MIGRATE_JOURNAL_PRIVATE_H
#define MIGRATE_JOURNAL_PRIVATE_H

#include "migrate/journal/journal.h"

#include <pthread.h>
#include <stdbool.h>
#include <sys/types.h>

struct epoch_entry {
    uint8_t uuid[VF_UUID_BYTES];
    uint64_t epoch;
};

struct journal {
    pthread_mutex_t lock; /* all below */
    int fd;
    int dir_fd;
    off_t bytes; /* all complete lines: what a failed write goes back to */
    size_t lines;
    size_t compact_at; /* lines; beyond it the file is worth starting anew */
    bool broken;       /* a partial line could not be taken back: no further write may follow it */
    uint64_t next_id;
    struct journal_record *jobs; /* last record of each job, by rising id */
    size_t job_count, job_capacity;
    struct epoch_entry *epochs;
    size_t epoch_count, epoch_capacity;
};

/* Under the lock, or before anybody else has it: when the file has grown beyond compact_at,
 * writes one anew that says the same of all that still matters, and forgets the rest in memory
 * too. Never fails: what cannot be written leaves the old file, unless that is in doubt; then the
 * journal is broken. */
void journal_compact(struct journal *journal);

#endif
