// SPDX-License-Identifier: Apache-2.0
/* The inside of struct store, for store.c, write.c and read.c. */
#ifndef DAEMON_HISTORY_STORE_PRIVATE_H
#define DAEMON_HISTORY_STORE_PRIVATE_H

#include "daemon/history/store.h"

#include <limits.h>
#include <sqlite3.h>
#include <sys/types.h>

struct store {
    sqlite3 *db;
    char path[PATH_MAX];
    dev_t device; /* of the file, with its inode: is it still the one under its name? */
    ino_t inode;
    bool damaged;
    bool failed; /* some call did; for who looks at many */
    sqlite3_stmt *put_event, *put_job, *get_job, *put_note;
};

/* Why the last call failed, behind `what`; notes damage. Returns -1. */
int store_fail(struct store *store, const char *what, struct vf_error *err);
/* -1: the disk is nearly full. The journal lies there too, and needs the rest more. */
int store_leave_room(const struct store *store, struct vf_error *err);
/* NULL when it cannot be; `err` may be NULL. */
sqlite3_stmt *store_prepare(struct store *store, const char *sql, struct vf_error *err);
int store_run(struct store *store, const char *sql, struct vf_error *err);
/* Next row? */
bool store_next(struct store *store, sqlite3_stmt *statement);
/* The one number that the query gives; 0 when it gives none. */
uint64_t store_number(struct store *store, const char *sql);
/* A note of the file about itself; the text lives until the next one is asked for. False: none. */
bool store_note(struct store *store, const char *key, char *value, size_t bytes);
/* One that is a number; 0: none. */
uint64_t store_number_note(struct store *store, const char *key);

/* SQLite's integers are signed. */
static inline sqlite3_int64 store_integer(uint64_t value)
{
    return value > INT64_MAX ? INT64_MAX : (sqlite3_int64)value;
}

static inline uint64_t store_unsigned(sqlite3_int64 value)
{
    return value < 0 ? 0 : (uint64_t)value;
}

static inline void store_cleanup_statement(sqlite3_stmt **statement)
{
    (void)sqlite3_finalize(*statement); /* what failed was told by its step */
}
#define cleanup_statement __attribute__((cleanup(store_cleanup_statement)))

/* Notes. */
#define NOTE_LAST_EVENT "last_event"
#define NOTE_LAST_JOB "last_job"
#define NOTE_KERNEL_SIDE "kernel_side"
#define NOTE_KERNEL_SEEN "kernel_seen"

#endif
