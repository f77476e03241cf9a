// SPDX-License-Identifier: Apache-2.0
/* Opens the history's file, makes it, or moves what is none aside. See store.h. */
#define LOG_ROOM "history"
#include "daemon/history/store_private.h"

#include "base/log.h"
#include "base/plain.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

/* Who waits for a lock of another process: nobody should have one. */
#define BUSY_MS 500

#define RESERVE (8ull << 20) /* of the disk */

#define VERSION "1"
#define APPLICATION "1986421362" /* "vfhr" */

/* EXCLUSIVE before anything is read, so that no shared memory is needed. WAL and
 * synchronous=NORMAL: a commit is a write without fsync. The log is brought into the file, with
 * fsync, every 256 pages (1 MiB). */
static const char settings[] = "PRAGMA locking_mode = EXCLUSIVE;"
                               "PRAGMA auto_vacuum = INCREMENTAL;"
                               "PRAGMA journal_mode = WAL;"
                               "PRAGMA synchronous = NORMAL;"
                               "PRAGMA wal_autocheckpoint = 256;"
                               "PRAGMA journal_size_limit = 1048576;"
                               "PRAGMA temp_store = MEMORY;"
                               "PRAGMA trusted_schema = OFF;";

static const char schema[] =
    "BEGIN;"
    "CREATE TABLE events (number INTEGER PRIMARY KEY, time_ns INTEGER NOT NULL,"
    " source TEXT NOT NULL, kind TEXT NOT NULL, text TEXT NOT NULL, job INTEGER NOT NULL);"
    "CREATE INDEX events_by_time ON events (time_ns, number);"
    "CREATE TABLE jobs (id INTEGER PRIMARY KEY, kind TEXT NOT NULL, direction TEXT NOT NULL,"
    " partition TEXT NOT NULL, uuid TEXT NOT NULL, status TEXT NOT NULL, started_ns INTEGER,"
    " ended_ns INTEGER, report TEXT NOT NULL);"
    "CREATE INDEX jobs_by_partition ON jobs (partition, id);"
    "CREATE INDEX jobs_by_time ON jobs (coalesce(ended_ns, started_ns, 0));"
    "CREATE TABLE notes (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;"
    "PRAGMA application_id = " APPLICATION ";"
    "PRAGMA user_version = " VERSION ";"
    "COMMIT;";

/* No host gives so many; a file that says so is no history. */
#define MOST_NUMBER (1ull << 52)

enum opening { OPENED, NOT_OPENED, NO_HISTORY };

int store_fail(struct store *store, const char *what, struct vf_error *err)
{
    int code = sqlite3_extended_errcode(store->db) & 0xff;

    store->failed = true;
    store->damaged = store->damaged || code == SQLITE_CORRUPT || code == SQLITE_NOTADB;
    return vf_fail(err, VF_FAILED, "%s: %s", what, sqlite3_errmsg(store->db));
}

sqlite3_stmt *store_prepare(struct store *store, const char *sql, struct vf_error *err)
{
    sqlite3_stmt *statement = NULL;

    if (sqlite3_prepare_v2(store->db, sql, -1, &statement, NULL) != SQLITE_OK)
        (void)store_fail(store, HISTORY_FILE, err);
    return statement;
}

int store_run(struct store *store, const char *sql, struct vf_error *err)
{
    return sqlite3_exec(store->db, sql, NULL, NULL, NULL) == SQLITE_OK
               ? 0
               : store_fail(store, HISTORY_FILE, err);
}

bool store_next(struct store *store, sqlite3_stmt *statement)
{
    int code = sqlite3_step(statement);

    if (code != SQLITE_ROW && code != SQLITE_DONE)
        (void)store_fail(store, HISTORY_FILE, NULL);
    return code == SQLITE_ROW;
}

uint64_t store_number(struct store *store, const char *sql)
{
    cleanup_statement sqlite3_stmt *statement = store_prepare(store, sql, NULL);

    return statement != NULL && store_next(store, statement)
               ? store_unsigned(sqlite3_column_int64(statement, 0))
               : 0;
}

bool store_note(struct store *store, const char *key, char *value, size_t bytes)
{
    cleanup_statement sqlite3_stmt *statement =
        store_prepare(store, "SELECT value FROM notes WHERE key = ?1", NULL);

    if (statement == NULL || sqlite3_bind_text(statement, 1, key, -1, SQLITE_STATIC) != SQLITE_OK ||
        !store_next(store, statement) || sqlite3_column_text(statement, 0) == NULL)
        return false;
    (void)snprintf(value, bytes, "%s", (const char *)sqlite3_column_text(statement, 0));
    return true;
}

/* SQL's names_partition(text, name). */
static void sql_names(sqlite3_context *context, int count, sqlite3_value **values)
{
    const char *text = (const char *)sqlite3_value_text(values[0]);
    const char *name = (const char *)sqlite3_value_text(values[1]);

    (void)count;
    sqlite3_result_int(context, text != NULL && name != NULL && event_names(text, name));
}

/* Ours, of this version, and nothing besides: a trigger would run with each of our writes. */
static bool is_ours(struct store *store)
{
    return store_number(store, "PRAGMA application_id") == strtoull(APPLICATION, NULL, 10) &&
           store_number(store, "PRAGMA user_version") == strtoull(VERSION, NULL, 10) &&
           store_number(store, "SELECT count(*) FROM sqlite_schema"
                               " WHERE type IN ('trigger', 'view')") == 0 &&
           store_last_event(store) < MOST_NUMBER && store_last_job(store) < MOST_NUMBER;
}

static bool prepare_all(struct store *store, struct vf_error *err)
{
    store->put_event =
        store_prepare(store,
                      "INSERT OR REPLACE INTO events (number, time_ns, source, kind, text, job)"
                      " VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                      err);
    store->put_job = store_prepare(
        store,
        "INSERT OR REPLACE INTO jobs (id, kind, direction, partition, uuid, status, started_ns,"
        " ended_ns, report) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
        err);
    store->get_job = store_prepare(store, "SELECT report FROM jobs WHERE id = ?1", err);
    store->put_note =
        store_prepare(store, "INSERT OR REPLACE INTO notes (key, value) VALUES (?1, ?2)", err);
    return store->put_event != NULL && store->put_job != NULL && store->get_job != NULL &&
           store->put_note != NULL;
}

/* What lies under the name, with our mode; made when there is nothing. */
static enum opening make_file(const char *path, struct vf_error *err)
{
    struct stat info;
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);

    if (fd >= 0) {
        (void)close(fd);
        return OPENED;
    }
    if (errno != EEXIST || lstat(path, &info) != 0) {
        vf_fail_errno(err, VF_FAILED, errno, "%s", path);
        return NOT_OPENED;
    }
    if (!S_ISREG(info.st_mode)) {
        vf_fail(err, VF_FAILED, "it is no file");
        return NO_HISTORY;
    }
    if ((info.st_mode & 077) != 0 && chmod(path, 0600) != 0) {
        vf_fail_errno(err, VF_FAILED, errno, "%s: set its mode", path);
        return NOT_OPENED;
    }
    return OPENED;
}

/* The last call failed: is it the file (damage, or tables that are not ours), or the disk
 * under it? */
static enum opening why_not(const struct store *store)
{
    switch (sqlite3_extended_errcode(store->db) & 0xff) {
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
    case SQLITE_ERROR: /* "no such column" */
        return NO_HISTORY;
    default:
        return NOT_OPENED;
    }
}

int store_leave_room(const struct store *store, struct vf_error *err)
{
    struct statvfs disk;

    if (statvfs(store->path, &disk) == 0 && disk.f_frsize * disk.f_bavail < RESERVE)
        return vf_fail(err, VF_FAILED, "%s: its disk has less than %u MiB left, the journal's",
                       store->path, (unsigned)(RESERVE >> 20));
    return 0;
}

/* Makes the tables of a file that has none. */
static enum opening make_tables(struct store *store, struct vf_error *err)
{
    cleanup_statement sqlite3_stmt *first =
        store_prepare(store, "SELECT 1 FROM sqlite_schema LIMIT 1", err);
    int code = first != NULL ? sqlite3_step(first) : SQLITE_ERROR;

    if (code == SQLITE_ROW)
        return OPENED;
    if (code != SQLITE_DONE) {
        (void)store_fail(store, HISTORY_FILE, err);
        return why_not(store);
    }
    (void)sqlite3_reset(first); /* it would keep the tables from being made */
    if (store_leave_room(store, err) != 0)
        return NOT_OPENED;
    return store_run(store, schema, err) == 0 ? OPENED : why_not(store);
}

static bool note_file(struct store *store)
{
    struct stat info;

    if (lstat(store->path, &info) != 0)
        return false;
    store->device = info.st_dev;
    store->inode = info.st_ino;
    return true;
}

/* An open connection to what make_file found. */
static enum opening take_file(struct store *store, struct vf_error *err)
{
    enum opening opening =
        store_run(store, settings, err) == 0 ? make_tables(store, err) : why_not(store);

    if (opening != OPENED)
        return opening;
    store->failed = false;
    if (!is_ours(store) && !store->failed) {
        vf_fail(err, VF_FAILED, "it is of another kind or version");
        return NO_HISTORY;
    }
    if (store->failed || sqlite3_create_function_v2(store->db, "names_partition", 2,
                                                    SQLITE_UTF8 | SQLITE_DETERMINISTIC, NULL,
                                                    sql_names, NULL, NULL, NULL) != SQLITE_OK) {
        (void)store_fail(store, HISTORY_FILE, err);
        return why_not(store);
    }
    if (!prepare_all(store, err))
        return why_not(store);
    if (note_file(store))
        return OPENED;
    vf_fail_errno(err, VF_FAILED, errno, "%s", store->path);
    return NOT_OPENED;
}

static enum opening open_once(struct store *store, struct vf_error *err)
{
    enum opening opening = make_file(store->path, err);

    if (opening != OPENED)
        return opening;
    store->damaged = false;
    if (sqlite3_open_v2(store->path, &store->db,
                        SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_NOFOLLOW,
                        NULL) != SQLITE_OK) {
        if (store->db == NULL)
            vf_fail(err, VF_FAILED, "%s: " VF_NO_MEMORY, store->path);
        else
            vf_fail(err, VF_FAILED, "%s: %s", store->path, sqlite3_errmsg(store->db));
        return NOT_OPENED;
    }
    (void)sqlite3_extended_result_codes(store->db, 1);
    (void)sqlite3_busy_timeout(store->db, BUSY_MS);
    /* Its own tables cannot be changed by what it reads. */
    (void)sqlite3_db_config(store->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    return take_file(store, err);
}

/* Log and all, so that a person can still open it; one from before makes room. */
static int move_aside(const struct store *store, const char *why, struct vf_error *err)
{
    static const char *const parts[] = {"", "-wal"};
    char from[sizeof store->path + 8];
    char to[sizeof store->path + 16];

    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        (void)snprintf(from, sizeof from, "%s%s", store->path, parts[i]);
        (void)snprintf(to, sizeof to, "%s.broken%s", store->path, parts[i]);
        if (unlink(to) != 0 && errno != ENOENT && errno != EISDIR)
            return vf_fail_errno(err, VF_FAILED, errno, "remove %s", to);
        if (rename(from, to) != 0 && errno != ENOENT)
            return vf_fail_errno(err, VF_FAILED, errno, "move %s aside", from);
    }
    (void)snprintf(from, sizeof from, "%s-shm", store->path);
    (void)unlink(from); /* there is one only when somebody looked into it */
    log_warn("the history cannot be read (%s): it is now " HISTORY_BROKEN ", a new one begins",
             why);
    return 0;
}

static void disconnect(struct store *store)
{
    (void)sqlite3_finalize(store->put_event);
    (void)sqlite3_finalize(store->put_job);
    (void)sqlite3_finalize(store->get_job);
    (void)sqlite3_finalize(store->put_note);
    store->put_event = store->put_job = store->get_job = store->put_note = NULL;
    (void)sqlite3_close(store->db); /* no statement is left that it could mind */
    store->db = NULL;
}

int store_open(const char *directory, struct store **out, struct vf_error *err)
{
    struct store *store = calloc(1, sizeof *store);
    struct vf_error why = VF_ERROR_INIT;
    enum opening opening;

    if (store == NULL)
        return vf_fail(err, VF_FAILED, VF_NO_MEMORY);
    if ((size_t)snprintf(store->path, sizeof store->path, "%s/" HISTORY_FILE, directory) >=
        sizeof store->path) {
        free(store);
        return vf_fail(err, VF_FAILED, "%s: its path is too long", VF_SHOWN(directory));
    }
    opening = open_once(store, &why);
    if (opening == NO_HISTORY) {
        disconnect(store);
        opening = move_aside(store, why.text, &why) == 0 ? open_once(store, &why) : NOT_OPENED;
    }
    if (opening == OPENED) {
        *out = store;
        return 0;
    }
    store_close(store);
    return vf_fail(err, VF_FAILED, "%s", why.text);
}

void store_close(struct store *store)
{
    if (store == NULL)
        return;
    disconnect(store);
    free(store);
}

bool store_stands(const struct store *store)
{
    struct stat info;

    return lstat(store->path, &info) == 0 && info.st_dev == store->device &&
           info.st_ino == store->inode;
}

bool store_damaged(const struct store *store)
{
    return store->damaged;
}
