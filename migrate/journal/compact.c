// SPDX-License-Identifier: Apache-2.0
/*
 * The journal started anew, so that it does not grow for ever. Kept is the last record of
 *
 *   - each job that is not over, or whose peer has to be told yet;
 *   - each partition's highest epoch: no older copy may ever run, and whoever asks about that
 *     hand-off gets its answer ("never ran" is one);
 *   - the newest jobs: people look at them.
 *
 * The new file is whole and on disk before it takes the old one's name, and no record is appended
 * before that name is on disk too: a power cut leaves the one or the other, never one that lacks a
 * later record.
 */
#define LOG_ROOM "journal"
#include "migrate/journal/private.h"

#include "base/cleanup.h"
#include "base/fault.h"
#include "base/log.h"
#include "migrate/journal/line.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define KEPT_JOBS 256u    /* as many as a daemon lists */
#define SPARE_LINES 1024u /* a file of so many superfluous lines is no trouble to anyone */
#define NEW_NAME "journal.new"

static bool is_over(const struct journal_record *record)
{
    return record->kind == JOURNAL_DONE ||
           ((record->kind == JOURNAL_ABORTED || record->kind == JOURNAL_SETTLED) && !record->owed);
}

static bool is_newest_epoch(const struct journal *journal, const struct journal_record *record)
{
    for (size_t i = 0; i < journal->epoch_count; i++) {
        if (memcmp(journal->epochs[i].uuid, record->uuid, VF_UUID_BYTES) == 0)
            return record->epoch >= journal->epochs[i].epoch;
    }
    return true;
}

static bool matters(const struct journal *journal, size_t at)
{
    const struct journal_record *record = &journal->jobs[at];

    return at + KEPT_JOBS >= journal->job_count || !is_over(record) ||
           is_newest_epoch(journal, record);
}

/* Drops from memory what does not matter. */
static void forget(struct journal *journal)
{
    const size_t count = journal->job_count;
    size_t kept = 0;
    bool *keep = calloc(count + 1, sizeof *keep);

    if (keep == NULL)
        return; /* then the file keeps it too */
    /* All are asked before any is moved: the newest are counted from the end. */
    for (size_t i = 0; i < count; i++)
        keep[i] = matters(journal, i);
    for (size_t i = 0; i < count; i++) {
        if (keep[i])
            journal->jobs[kept++] = journal->jobs[i];
    }
    journal->job_count = kept;
    free(keep);
}

static int write_whole(FILE *file, const struct journal *journal)
{
    char line[JOURNAL_LINE_BYTES];

    for (size_t i = 0; i < journal->job_count; i++) {
        const size_t bytes = journal_line_format(&journal->jobs[i], line);

        if (bytes == 0)
            return EINVAL;
        if (fwrite(line, 1, bytes, file) != bytes)
            return errno != 0 ? errno : EIO;
    }
    return fflush(file) != 0 ? errno : 0;
}

/* The new file, written and synced, under its own name. 0 or an errno value. */
static int make_new(struct journal *journal, int *fd, off_t *bytes)
{
    FILE *file;
    int copy, error;

    /* One that a crash left is of no use. */
    if (unlinkat(journal->dir_fd, NEW_NAME, 0) != 0 && errno != ENOENT)
        return errno;
    *fd = openat(journal->dir_fd, NEW_NAME,
                 O_RDWR | O_APPEND | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (*fd < 0)
        return errno;
    copy = fcntl(*fd, F_DUPFD_CLOEXEC, 0);
    file = copy < 0 ? NULL : fdopen(copy, "a");
    if (file == NULL) {
        error = errno;
        if (copy >= 0)
            (void)close(copy);
        return error;
    }
    error = write_whole(file, journal);
    if (fclose(file) != 0 && error == 0)
        error = errno;
    if (error == 0)
        error = VF_FAULT_ERRNO("journal.compact", "");
    if (error == 0 && fsync(*fd) != 0)
        error = errno;
    *bytes = lseek(*fd, 0, SEEK_END);
    return error == 0 && *bytes < 0 ? errno : error;
}

/* From the rename on there is no way back: until its name is on disk nothing may be appended. */
static void take_over(struct journal *journal, int fd, off_t bytes)
{
    VF_FAULT_POINT("journal.renamed", "");
    if (fsync(journal->dir_fd) != 0 || dup3(fd, journal->fd, O_CLOEXEC) < 0) {
        journal->broken = true;
        log_error("journal: was written anew, but may be lost (%s); restart vferryd",
                  strerrordesc_np(errno));
        return;
    }
    journal->bytes = bytes;
    VF_FAULT_SYNCED(journal->fd, bytes);
    log_info("journal: written anew: %zu lines instead of %zu", journal->job_count, journal->lines);
    journal->lines = journal->job_count;
}

void journal_compact(struct journal *journal)
{
    cleanup_close int fd = -1;
    off_t bytes = 0;
    int error;

    if (journal->lines <= journal->compact_at || journal->broken)
        return;
    forget(journal);
    journal->compact_at = 2 * journal->job_count + SPARE_LINES;
    if (journal->lines <= journal->compact_at)
        return;
    error = make_new(journal, &fd, &bytes);
    if (error == 0 && renameat(journal->dir_fd, NEW_NAME, journal->dir_fd, "journal") != 0)
        error = errno;
    if (error == 0) {
        take_over(journal, fd, bytes);
        return;
    }
    log_warn("journal: cannot be written anew, so it grows on: %s", strerrordesc_np(error));
    (void)unlinkat(journal->dir_fd, NEW_NAME, 0);
    journal->compact_at = 2 * journal->lines; /* not again at the next record */
}
