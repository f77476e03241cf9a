// SPDX-License-Identifier: Apache-2.0
/*
 * What must survive the daemon: DIR/journal, append only, one JSON line a record with its own
 * checksum, on disk (fsync) before journal_write returns. When most of it is of no use any more it
 * is started anew, with the last record of each job that still matters (compact.c).
 * Everything here may be called from any thread. The caller holds the state directory's flock: one
 * process at a time. The process ignores SIGXFSZ if it runs under a file size limit.
 */
#ifndef MIGRATE_JOURNAL_JOURNAL_H
#define MIGRATE_JOURNAL_JOURNAL_H

#include "base/error.h"
#include "migrate/pack/wish.h"
#include "migrate/side.h"
#include "vferry/vferry.h"

#include <stdbool.h>
#include <stdint.h>

enum journal_kind {
    JOURNAL_OPEN,     /* the job began */
    JOURNAL_PREPARED, /* target: only the unpause is left */
    JOURNAL_COMMIT,   /* source: COMMIT is about to be sent; it never resumes from here by itself */
    JOURNAL_COMMITTED, /* target: about to unpause */
    JOURNAL_DONE,
    JOURNAL_ABORTED, /* target: this epoch never ran and never will; source: it runs on here */
    JOURNAL_SETTLED, /* closed otherwise: a person or a cluster manager resolved an unknown outcome,
                        say; .runs tells how */
    JOURNAL_KINDS,
};

/* What the job does with the partition. The peer of a save or a restore is a file, which can be
 * asked nothing and told nothing. */
enum journal_operation { JOURNAL_MOVE, JOURNAL_SAVE, JOURNAL_RESTORE, JOURNAL_OPERATIONS };

/* The options of a move that its daemon's end interrupted, for the next daemon to start it over.
 * Nanoseconds and bytes a second; 0 = no limit. */
struct journal_restart {
    bool wanted; /* false: it is not to be started over, and nothing below counts */
    bool verify_full;
    uint32_t streams;
    enum pack_wish compress;
    uint32_t throttle; /* percent; VF_THROTTLE_MOST where the line does not say it */
    uint64_t max_blackout_ns, max_time_ns, bandwidth;
};

#define JOURNAL_TEXT_BYTES 600u

/* No decision rests on `text`: it is for people, and may be worded anew. */
struct journal_record {
    uint8_t job[16]; /* same on both hosts */
    uint64_t id;     /* this host's number of the job, > 0 */
    enum journal_kind kind;
    enum mig_side side;
    enum journal_operation operation;
    char partition[VF_NAME_BYTES];
    uint8_t uuid[VF_UUID_BYTES]; /* of the partition */
    uint64_t epoch;
    char peer[256];   /* HOST:PORT; of a save or a restore "file:/PATH" */
    uint64_t time_ns; /* CLOCK_REALTIME; 0 = now, filled when written */
    char text[JOURNAL_TEXT_BYTES];
    /* What the two hosts share about a move since it was admitted: whoever holds it speaks for the
     * other end. All zero = not known (yet), or written by an older version. It leaves this file
     * for the peer only. */
    uint8_t token[16];
    char identity[256]; /* whom the peer's certificate named; "" = none was shown */
    bool stays_paused;  /* a person had paused the partition: nobody else may let it run */
    /* source, ABORTED or SETTLED: the target may still have to be told. A COMMIT is owed anyway. */
    bool owed;
    enum mig_side runs;     /* SETTLED: who runs the partition; for a restore the source is the
                               image, which still has it */
    bool cancelled;         /* ABORTED: as cancelled, not as failed */
    struct journal_restart restart; /* ABORTED of a move's source */
};

struct journal;

const char *journal_kind_name(enum journal_kind kind); /* "OPEN", … */

/* Makes state_dir/journal (0600) or replays it. A last line that was cut (the machine died in the
 * middle of a write, which had not returned) is truncated away with a warning; any other bad line
 * is refused: nobody should guess who owns a partition. */
int journal_open(const char *state_dir, struct journal **out, struct vf_error *err);
/* What a write of so little costs here now, made durable: measured on a file of its own that nobody
 * sees. UINT64_MAX: it cannot be told. Any thread. */
uint64_t journal_sync_ns(const struct journal *journal);
void journal_close(struct journal *journal); /* NULL is allowed */

/* Could a move be recorded now? -1 with the reason when the file is gone from its directory, that
 * cannot be written to any more, or its disk is full or read-only. It writes nothing, so a later
 * write may fail all the same. Any thread. */
int journal_usable(struct journal *journal, struct vf_error *err);
/* Durable when it returns 0. -1: nothing was recorded (a partial line is taken back). When even
 * that fails, err->code is VF_UNKNOWN: whoever opens the journal next may find the record or not;
 * until then every later write is refused. A journal that was removed or replaced under its host
 * records nothing any more. Any thread. */
int journal_write(struct journal *journal, const struct journal_record *record,
                  struct vf_error *err);

/* Highest epoch ever recorded for the partition, whatever became of it; 0 = none. */
uint64_t journal_epoch(struct journal *journal, const uint8_t uuid[VF_UUID_BYTES]);
/* A job id never given before on this host: above all recorded ones and all handed out
 * since opening. */
uint64_t journal_take_id(struct journal *journal);
/* No id up to `last` is handed out: somebody else knows them to be taken. */
void journal_skip_ids(struct journal *journal, uint64_t last);
/* The last record of each job, by rising id. The callback gets a copy's address and must not call
 * the journal. */
void journal_each(struct journal *journal,
                  void (*each)(void *ctx, const struct journal_record *last), void *ctx);

#endif
