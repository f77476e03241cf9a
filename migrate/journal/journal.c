// SPDX-License-Identifier: Apache-2.0
/* See journal.h. The file is only appended to (and now and then started anew: compact.c);
 * what it says is also held in memory, one entry a job and one a partition. */
#include "migrate/journal/private.h"

#include "migrate/journal/line.h"

#define USABLE_BYTES 16384u /* a move writes some records of a few hundred bytes */
#define LOG_ROOM "journal"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fault.h"
#include "base/log.h"
#include "base/thread.h"
#include "base/trace.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

/* Room for one more element; NULL leaves the old array as it is. */
static void *reserve(void *array, size_t count, size_t *capacity, size_t element)
{
    const size_t wanted = *capacity == 0 ? 16 : 2 * *capacity;

    if (count < *capacity)
        return array;
    array = reallocarray(array, wanted, element);
    if (array != NULL)
        *capacity = wanted;
    return array;
}

/* Memory first, disk second: after a record is on disk nothing may fail any more. */
static int make_room(struct journal *journal, struct vf_error *err)
{
    void *jobs =
        reserve(journal->jobs, journal->job_count, &journal->job_capacity, sizeof *journal->jobs);
    void *epochs;

    if (jobs != NULL)
        journal->jobs = jobs;
    epochs = reserve(journal->epochs, journal->epoch_count, &journal->epoch_capacity,
                     sizeof *journal->epochs);
    if (epochs != NULL)
        journal->epochs = epochs;
    return jobs == NULL || epochs == NULL ? vf_fail(err, VF_FAILED, "journal: " VF_NO_MEMORY) : 0;
}

static void remember_epoch(struct journal *journal, const struct journal_record *record)
{
    for (size_t i = 0; i < journal->epoch_count; i++) {
        struct epoch_entry *entry = &journal->epochs[i];

        if (memcmp(entry->uuid, record->uuid, VF_UUID_BYTES) == 0) {
            if (record->epoch > entry->epoch)
                entry->epoch = record->epoch;
            return;
        }
    }
    memcpy(journal->epochs[journal->epoch_count].uuid, record->uuid, VF_UUID_BYTES);
    journal->epochs[journal->epoch_count++].epoch = record->epoch;
}

static void remember_job(struct journal *journal, const struct journal_record *record)
{
    size_t at = journal->job_count;

    while (at > 0 && journal->jobs[at - 1].id > record->id)
        at--;
    if (at > 0 && journal->jobs[at - 1].id == record->id) {
        journal->jobs[at - 1] = *record;
        return;
    }
    memmove(journal->jobs + at + 1, journal->jobs + at,
            (journal->job_count - at) * sizeof *journal->jobs);
    journal->jobs[at] = *record;
    journal->job_count++;
}

/* After make_room. */
static void remember(struct journal *journal, const struct journal_record *record)
{
    remember_epoch(journal, record);
    remember_job(journal, record);
    if (record->id >= journal->next_id)
        journal->next_id = record->id + 1;
}

/* All `bytes` of the file; `kind`: why, for whoever injects faults. 0 or an errno value. */
static int sync_file(int fd, const char *kind, off_t bytes)
{
    const int fault = VF_FAULT_ERRNO("journal.fsync", kind);

    (void)kind;
    (void)bytes;
    if (fault != 0)
        return fault;
    if (fsync(fd) != 0)
        return errno;
    VF_FAULT_SYNCED(fd, bytes);
    return 0;
}

/* ---- opening ---- */

static int fail_damaged(const char *path, unsigned long number, struct vf_error *err)
{
    return vf_fail(err, VF_FAILED,
                   "journal %s: line %lu is damaged, so who owns which partition cannot be known; "
                   "restore the file from a copy, or find out where each partition runs and move "
                   "the file away",
                   path, number);
}

static int fail_newer(const char *path, unsigned long number, struct vf_error *err)
{
    return vf_fail(err, VF_FAILED,
                   "journal %s: line %lu was written by a newer vferryd, and this one cannot know "
                   "what it says" VF_REMEDY "start the newer vferryd again",
                   path, number);
}

/*
 * What is left after the last newline. Cut by a crash: it never returned from journal_write,
 * so it goes. But a complete record with something else where its newline was had returned:
 * that is damage.
 */
static int handle_tail(struct journal *journal, const char *path, const char *tail, size_t bytes,
                       unsigned long number, struct vf_error *err)
{
    struct journal_record record;

    if (bytes == 0)
        return 0;
    if (bytes >= JOURNAL_LINE_BYTES ||
        journal_line_parse(tail, bytes - 1, &record) != JOURNAL_LINE_DAMAGED)
        return fail_damaged(path, number, err);
    if (ftruncate(journal->fd, journal->bytes) != 0 || fsync(journal->fd) != 0)
        return vf_fail_errno(err, VF_FAILED, errno, "journal %s: cannot cut its torn last line",
                             path);
    log_warn("journal %s: the last line was torn by a crash and is dropped (line %lu, %zu bytes)",
             path, number, bytes);
    return 0;
}

static int replay_line(struct journal *journal, const char *path, const char *line, size_t bytes,
                       unsigned long number, struct vf_error *err)
{
    struct journal_record record;

    switch (journal_line_parse(line, bytes, &record)) {
    case JOURNAL_LINE_READ:
        break;
    case JOURNAL_LINE_DAMAGED:
        return fail_damaged(path, number, err);
    case JOURNAL_LINE_NEWER:
        return fail_newer(path, number, err);
    }
    if (make_room(journal, err) != 0)
        return -1;
    remember(journal, &record);
    journal->bytes += (off_t)bytes + 1;
    journal->lines++;
    return 0;
}

/* Takes the complete lines out of buffer[0 … *used) and moves the rest to its start. */
static int replay_buffer(struct journal *journal, const char *path, char *buffer, size_t *used,
                         unsigned long *number, struct vf_error *err)
{
    size_t at = 0;

    for (;;) {
        const char *end = memchr(buffer + at, '\n', *used - at);

        if (end == NULL)
            break;
        if (replay_line(journal, path, buffer + at, (size_t)(end - (buffer + at)), *number, err) !=
            0)
            return -1;
        at = (size_t)(end - buffer) + 1;
        (*number)++;
    }
    memmove(buffer, buffer + at, *used - at);
    *used -= at;
    return 0;
}

static int replay(struct journal *journal, const char *path, struct vf_error *err)
{
    char buffer[2 * JOURNAL_LINE_BYTES];
    size_t used = 0;
    unsigned long number = 1;
    off_t offset = 0;

    for (;;) {
        const ssize_t n = pread(journal->fd, buffer + used, sizeof buffer - used, offset);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return vf_fail_errno(err, VF_FAILED, errno, "journal %s: cannot be read", path);
        if (n == 0)
            return handle_tail(journal, path, buffer, used, number, err);
        offset += n;
        used += (size_t)n;
        if (replay_buffer(journal, path, buffer, &used, &number, err) != 0)
            return -1;
        if (used >= JOURNAL_LINE_BYTES)
            return fail_damaged(path, number, err);
    }
}

/* The name must be durable before the first record is: a journal that vanishes with a power cut
 * forgets a COMMIT. Synced at every opening, because the crash may have come between the creation
 * and its sync. */
static int open_file(struct journal *journal, const char *dir, const char *path,
                     struct vf_error *err)
{
    struct stat stat;

    journal->dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (journal->dir_fd < 0)
        return vf_fail_errno(err, VF_FAILED, errno, "state directory %s", dir);
    journal->fd = open(path, O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (journal->fd < 0)
        return vf_fail_errno(err, VF_FAILED, errno, "journal %s: cannot be opened", path);
    if (fstat(journal->fd, &stat) != 0)
        return vf_fail_errno(err, VF_FAILED, errno, "journal %s", path);
    if (!S_ISREG(stat.st_mode))
        return vf_fail(err, VF_FAILED, "journal %s: not a regular file", path);
    if (fsync(journal->dir_fd) != 0)
        return vf_fail_errno(err, VF_FAILED, errno, "state directory %s: cannot be synced", dir);
    return 0;
}

/* A daemon that was killed between write and fsync left a line that is read here like any other,
 * and acted upon: it must last like any other. */
static int sync_replayed(struct journal *journal, const char *path, struct vf_error *err)
{
    const int error = sync_file(journal->fd, "open", journal->bytes);

    return error == 0 ? 0
                      : vf_fail_errno(err, VF_FAILED, error, "journal %s: cannot be synced", path);
}

int journal_open(const char *state_dir, struct journal **out, struct vf_error *err)
{
    char path[4096];
    struct journal *journal;
    const int n = snprintf(path, sizeof path, "%s/journal", state_dir);

    *out = NULL;
    if (n < 0 || (size_t)n >= sizeof path)
        return vf_fail(err, VF_USAGE, "state directory: its path is too long");
    journal = calloc(1, sizeof *journal);
    if (journal == NULL)
        return vf_fail(err, VF_FAILED, "journal: " VF_NO_MEMORY);
    vf_lock_init(&journal->lock); /* cannot fail with default attributes */
    journal->next_id = 1;
    journal->fd = journal->dir_fd = -1;
    if (open_file(journal, state_dir, path, err) != 0 || replay(journal, path, err) != 0 ||
        sync_replayed(journal, path, err) != 0) {
        journal_close(journal);
        return -1;
    }
    journal_compact(journal);
    *out = journal;
    return 0;
}

uint64_t journal_sync_ns(const struct journal *journal)
{
    static const char line[256] = "";
    uint64_t begin, took = UINT64_MAX;
    int fd = openat(journal->dir_fd, ".", O_TMPFILE | O_WRONLY | O_CLOEXEC, 0600);

    if (fd < 0)
        return UINT64_MAX;
    begin = vf_now_ns();
    if (write(fd, line, sizeof line) == (ssize_t)sizeof line && fsync(fd) == 0)
        took = vf_now_ns() - begin;
    (void)close(fd);
    return took;
}

void journal_close(struct journal *journal)
{
    if (journal == NULL)
        return;
    if (journal->fd >= 0)
        (void)close(journal->fd); /* every record was synced when it was written */
    if (journal->dir_fd >= 0)
        (void)close(journal->dir_fd);
    vf_lock_fini(&journal->lock);
    free(journal->jobs);
    free(journal->epochs);
    free(journal);
}

/* ---- writing ---- */

/* 0 or an errno value; *left = so many of the bytes are not in the file. `kind`: of the record, for
 * whoever injects faults. */
static int write_all(int fd, const char *kind, const char *data, size_t bytes, size_t *left)
{
    (void)kind;
    *left = bytes;
    while (bytes > 0) {
        size_t part = bytes;
        const int fault = VF_FAULT_WRITE("journal.write", kind, &part);
        const ssize_t n = fault != 0 ? (errno = fault, -1) : write(fd, data, part);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return errno;
        if (n == 0)
            return ENOSPC;
        data += n;
        bytes -= (size_t)n;
        *left = bytes;
    }
    return 0;
}

/* What was written into a file that nobody will find again was not recorded: the state directory,
 * or the journal in it, may be removed or replaced while the host runs. */
static int check_in_place(const struct journal *journal, struct vf_error *err)
{
    struct stat open_file, named;

    if (fstat(journal->fd, &open_file) == 0 &&
        fstatat(journal->dir_fd, "journal", &named, AT_SYMLINK_NOFOLLOW) == 0 &&
        named.st_dev == open_file.st_dev && named.st_ino == open_file.st_ino)
        return 0;
    return vf_fail(
        err, VF_FAILED,
        "journal: it was removed from the state directory, or replaced there, while this "
        "host runs, so nothing can be handed over" VF_REMEDY
        "partitions run on; end vferryd and start it again to begin a new journal");
}

static int fail_read_only(struct vf_error *err)
{
    return vf_fail(err, VF_FAILED,
                   "the state directory's disk is read-only" VF_REMEDY "remount it for writing");
}

/* A file system that has stopped at an error (ext4's errors=remount-ro) need not call itself
 * read-only: who changes something hears it, and a time is the least that can be changed. */
static int try_disk(const struct journal *journal, struct vf_error *err)
{
    const int fault = VF_FAULT_ERRNO("journal.touch", "");
    const int error = fault != 0 ? fault : futimens(journal->fd, NULL) != 0 ? errno : 0;

    if (error == 0)
        return 0;
    if (error == EROFS)
        return fail_read_only(err);
    return vf_fail_errno(err, VF_FAILED, error,
                         "the state directory's disk cannot be written to" VF_REMEDY
                         "look at what the kernel's log says of it");
}

/* Can the few records of a move be written, now and when the journal is compacted? */
static int check_disk(const struct journal *journal, struct vf_error *err)
{
    struct statvfs disk;

    if (fstatvfs(journal->fd, &disk) != 0)
        return vf_fail_errno(err, VF_FAILED, errno, "journal: look at its disk");
    if ((disk.f_flag & ST_RDONLY) != 0)
        return fail_read_only(err);
    /* The open journal can still grow, but never be written anew, nor can a new one begin. */
    if (faccessat(journal->dir_fd, ".", W_OK | X_OK, 0) != 0)
        return vf_fail_errno(err, VF_FAILED, errno,
                             "the state directory cannot be written to" VF_REMEDY
                             "give vferryd's user the right to write there");
    if ((uint64_t)disk.f_bavail * disk.f_frsize < USABLE_BYTES)
        return vf_fail(err, VF_FAILED,
                       "the state directory's disk is full" VF_REMEDY "free some space there");
    return try_disk(journal, err);
}

int journal_usable(struct journal *journal, struct vf_error *err)
{
    int result;

    vf_lock(&journal->lock);
    result = check_in_place(journal, err) != 0 ? -1 : check_disk(journal, err);
    vf_unlock(&journal->lock);
    return result;
}

/* An fsync that failed may have dropped the page: nothing is known of the line, so it is taken back
 * like a partial one. */
static int append(struct journal *journal, const char *kind, const char *line, size_t bytes,
                  struct vf_error *err)
{
    size_t left;
    int error = write_all(journal->fd, kind, line, bytes, &left);

    if (error == 0)
        error = sync_file(journal->fd, kind, journal->bytes + (off_t)bytes);
    if (error == 0) {
        journal->bytes += (off_t)bytes;
        VF_FAULT_POINT("journal.synced", kind);
        return 0;
    }
    /* A disk that has become read-only took nothing, and would let us take nothing back. */
    if (error == EROFS && left == bytes)
        return vf_fail_errno(err, VF_FAILED, error,
                             "journal: cannot be written" VF_REMEDY
                             "remount the state directory's disk for writing");
    if (VF_FAULT_ERRNO("journal.cut", kind) != 0 || ftruncate(journal->fd, journal->bytes) != 0 ||
        sync_file(journal->fd, "", journal->bytes) != 0) {
        journal->broken = true;
        return vf_fail_errno(err, VF_UNKNOWN, error,
                             "journal: cannot be written, nor the torn line taken back" VF_REMEDY
                             "restart vferryd");
    }
    return vf_fail_errno(err, VF_FAILED, error,
                         "journal: cannot be written" VF_REMEDY
                         "free some space in the state directory");
}

static int write_locked(struct journal *journal, const struct journal_record *record,
                        struct vf_error *err)
{
    char line[JOURNAL_LINE_BYTES];
    const size_t bytes = journal_line_format(record, line);

    if (bytes == 0)
        return vf_fail(err, VF_FAILED, "journal: a %s record that cannot be written",
                       journal_kind_name(record->kind));
    if (journal->broken)
        return vf_fail(
            err, VF_FAILED,
            "journal: an earlier write failed and could not be taken back" VF_REMEDY
            "restart vferryd");
    if (make_room(journal, err) != 0 ||
        append(journal, journal_kind_name(record->kind), line, bytes, err) != 0 ||
        check_in_place(journal, err) != 0)
        return -1;
    remember(journal, record);
    journal->lines++;
    /* A job's beginning can wait a moment; its other records lie in a blackout. */
    if (record->kind == JOURNAL_OPEN)
        journal_compact(journal);
    return 0;
}

int journal_write(struct journal *journal, const struct journal_record *record,
                  struct vf_error *err)
{
    struct journal_record stamped = *record;
    const char *kind = journal_kind_name(record->kind);
    int rc;

    if (stamped.time_ns == 0)
        stamped.time_ns = vf_realtime_ns();
    vf_trace(journal_begin, record->id, kind, record->partition, record->epoch);
    vf_lock(&journal->lock);
    rc = write_locked(journal, &stamped, err);
    vf_unlock(&journal->lock);
    vf_trace(journal_end, record->id, kind, record->partition, record->epoch, rc);
    return rc;
}

/* ---- asking ---- */

uint64_t journal_epoch(struct journal *journal, const uint8_t uuid[VF_UUID_BYTES])
{
    uint64_t epoch = 0;

    vf_lock(&journal->lock);
    for (size_t i = 0; i < journal->epoch_count; i++)
        if (memcmp(journal->epochs[i].uuid, uuid, VF_UUID_BYTES) == 0)
            epoch = journal->epochs[i].epoch;
    vf_unlock(&journal->lock);
    return epoch;
}

uint64_t journal_take_id(struct journal *journal)
{
    uint64_t id;

    vf_lock(&journal->lock);
    id = journal->next_id++;
    vf_unlock(&journal->lock);
    return id;
}

void journal_skip_ids(struct journal *journal, uint64_t last)
{
    vf_lock(&journal->lock);
    if (journal->next_id <= last && last < UINT64_MAX)
        journal->next_id = last + 1;
    vf_unlock(&journal->lock);
}

void journal_each(struct journal *journal,
                  void (*each)(void *ctx, const struct journal_record *last), void *ctx)
{
    vf_lock(&journal->lock);
    for (size_t i = 0; i < journal->job_count; i++)
        each(ctx, &journal->jobs[i]);
    vf_unlock(&journal->lock);
}
