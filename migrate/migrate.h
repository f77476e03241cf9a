// SPDX-License-Identifier: Apache-2.0
/*
 * Moving a partition: what the daemon calls. A `struct mig` is this host's migration side: its
 * journal, its jobs, its kernel's socket. Jobs run in threads of their own; everything here may be
 * called from any thread.
 */
#ifndef MIGRATE_MIGRATE_H
#define MIGRATE_MIGRATE_H

#include "base/error.h"
#include "migrate/pack/wish.h"
#include "migrate/side.h"
#include "transport/tls.h"
#include "vferry/vferry.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

struct mig;
struct mig_job;

struct mig_event {
    uint64_t job;     /* its id */
    uint64_t time_ns; /* CLOCK_REALTIME of when it happened */
    const char *text; /* plain; valid during the call */
};

struct mig_config {
    const char *host_name;     /* HELLO tells it to the peer */
    const char *kernel_socket; /* path */
    const char *state_dir;     /* the journal lies here */
    const char *listen;        /* "HOST:PORT" others reach us at, "" = none */
    unsigned moves_at_once; /* that send pages, see net/send_slots.h; 0 = as the processors allow */
    uint64_t silence_ns;       /* a peer that says nothing for so long is lost; 0 = 5 s */
    uint64_t
        redial_ns; /* how long a broken hand-off is tried again before it is "unknown"; 0 = 30 s */
    /* Connections speak TLS with these (mig_open takes a reference), plain TCP without. Plain TCP
     * goes no further than loopback unless `insecure`. */
    struct tp_tls *tls;
    bool insecure;
    /* What happened to a job and is worth an event. Any thread, which may hold mig's locks: must
     * not block nor call back into mig. May be NULL. */
    void (*event)(void *ctx, const struct mig_event *event);
    void *event_ctx;
    /* A job came to its end, or the outcome of one that was unknown became known: for whoever keeps
     * mig_job_report. Any thread, which holds no lock; must not block. May be NULL. */
    void (*ended)(void *ctx, struct mig_job *job);
    void *ended_ctx;
    /* For how long of the time since then (CLOCK_MONOTONIC) the kernel side answered nobody, as
     * far as that is known: so that no driver is blamed for it. Any thread; must not block. May
     * be NULL. */
    uint64_t (*kernel_mute_ns)(void *ctx, uint64_t since_ns);
    void *kernel_mute_ctx;
    /* Highest id that somebody else knows to be taken: checks have none in the journal. */
    uint64_t last_id;
};

/* Opens or makes the journal, and brings what an earlier daemon left to its right end as far as one
 * side alone can know: a source before COMMIT runs on, an incoming partition that was never
 * PREPARED is removed, all else is "unknown". */
int mig_open(const struct mig_config *config, struct mig **out, struct vf_error *err);
/* "tls", "plain" (loopback only) or "insecure". Any thread. */
const char *mig_security(struct mig *mig);
/* Certificates for the connections to come, in the place of those that mig_open got: takes a
 * reference. Any thread. */
void mig_set_tls(struct mig *mig, struct tp_tls *tls);
/* While it is set every partition that wants to come (a move, a check, a restore) is refused
 * for now (VF_REFUSED_NOW), with "cordon" among the reasons; what comes already does come.
 * Any thread. */
void mig_set_cordon(struct mig *mig, bool on);
bool mig_cordoned(const struct mig *mig);
/* Cancels what has not committed, as this host's end: moves that it interrupts are started over by
 * the next daemon. Does not wait; mig_close does. */
void mig_end_jobs(struct mig *mig);
/* A forced stop, which drops partitions, begins: no job starts, no partition arrives and no COMMIT
 * is honoured any more. Hand-offs that were just committing are waited for until deadline_ns
 * (vf_now_ns): those that hang in a call to the kernel side then have in the journal what the next
 * daemon answers for. What has not committed is called off, or left as PREPARED for the next
 * daemon likewise. Does not wait for jobs. */
void mig_stop_begin(struct mig *mig, uint64_t deadline_ns);
/* It failed: the host goes on. */
void mig_stop_undo(struct mig *mig);
/* Around what makes a partition this host's: from before its record is on disk until it runs here,
 * or around its creation. One that has begun is waited for by a forced stop, which then drops the
 * partition knowingly; once a stop has begun none begins (-1, VF_FAILED). Any thread. */
int mig_commit_begin(struct mig *mig, struct vf_error *err);
void mig_commit_end(struct mig *mig);
/* Cancels what has not committed, waits for every job (a source past COMMIT waits up to 30 s for
 * its answer; nobody redials any more), closes the journal. Call neither mig_accept nor
 * mig_source_start any more. Job references stay valid. */
void mig_close(struct mig *mig);

enum mig_verify { MIG_VERIFY_DELTA, MIG_VERIFY_FULL };

struct mig_options {
    char to[256];             /* HOST:PORT */
    uint64_t max_blackout_ns; /* default 750 ms: hard until COMMIT */
    uint64_t max_time_ns;     /* 0 = none */
    uint64_t bandwidth;       /* bytes/s, 0 = no limit */
    enum mig_verify verify;
    uint32_t streams;  /* 1..8; default mig_streams_auto(0) */
    uint32_t throttle; /* percent of the time that the partition may be made to stand, at most, when
                          it writes faster than it can be sent; 0 = it is not slowed; default
                          VF_THROTTLE_MOST, which is "auto" */
    enum pack_wish compress; /* default PACK_NONE */
    bool dry_run;            /* check: stop before the first round */
};
void mig_options_init(struct mig_options *options);
/* So many data streams does a move have of which nobody says how many: one for each processor of
 * this host, which gather, hash and send, 4 at most; and one where it may send no faster (bytes a
 * second, 0 = no limit) than one carries easily. Any thread. */
uint32_t mig_streams_auto(uint64_t bandwidth);

/* Refuses (VF_USAGE) what no move could be made with, whichever partition it is of. Any thread. */
int mig_check_options(const struct mig *mig, const struct mig_options *options,
                      struct vf_error *err);
/* Refuses an address that a move to it could not even dial: the name does not resolve, or it is
 * beyond loopback and this host has no certificates (VF_FAILED). To be asked before there is a
 * job: a slip of the hand leaves none. Waits for the resolver; any thread. */
int mig_check_peer(struct mig *mig, const char *address, struct vf_error *err);
/* Starts a move (or, with dry_run, a check) of the partition and returns its job at once; the job
 * holds its own copies. */
int mig_source_start(struct mig *mig, const char *partition, const struct mig_options *options,
                     struct mig_job **out, struct vf_error *err);

struct mig_save_options {
    bool keep; /* the partition runs on here */
    enum pack_wish compress;
};
/* Starts a save of the partition into directory/name (taken over, also on failure), which must not
 * be there yet; `path` is what people see of it, absolute. Without options->keep the partition
 * goes from here once the image is durable. */
int mig_save_start(struct mig *mig, const char *partition, int directory, const char *name,
                   const char *path, const struct mig_save_options *options, struct mig_job **out,
                   struct vf_error *err);
/* Starts a restore of the image in fd (taken over, also on failure) as `partition` on
 * that adapter. What is no image, or was cut, is refused before there is a job. */
int mig_restore_start(struct mig *mig, const char *partition, int fd, const char *path,
                      uint32_t adapter, struct mig_job **out, struct vf_error *err);

/* Asks the host at HOST:PORT what is free on it: the object of `peer show` ("schema":
 * "vferry.peer/1"), a new reference. VF_FAILED when it cannot be reached or is too old to be asked.
 * Takes a silence at most; any thread. */
int mig_ask_capacity(struct mig *mig, const char *address, json_t **out, struct vf_error *err);

/* A stranger connected to the migration port: takes the socket over, answers in a thread of its
 * own. At most 64 unknown peers at once; more are closed. */
void mig_accept(struct mig *mig, int fd, const char *peer);
/* The same where no descriptor is left but fd and one more: takes the socket over and, once it has
 * said what it wants, tells it so; a source that comes back to its job is left to try again. One at
 * a time; others are closed. */
void mig_refuse(struct mig *mig, int fd, const char *peer);

enum mig_status { MIG_RUNNING, MIG_COMPLETED, MIG_FAILED, MIG_CANCELLED, MIG_UNKNOWN };

/* Jobs, both directions, this daemon's and those read from the journal. Ids are unique per host and
 * never reused. A job returned here is referenced: mig_job_put. NULL when unknown. */
struct mig_job *mig_job_get(struct mig *mig, uint64_t id);
void mig_job_put(struct mig_job *job);
uint64_t mig_job_id(const struct mig_job *job);
/* The name of its partition, as long as the job lives. */
const char *mig_job_partition(const struct mig_job *job);
/* Id of the running job that this partition belongs to, 0 = none: an arrival lets it go as soon as
 * it runs here. */
uint64_t mig_job_of(struct mig *mig, const char *partition);
/* While a person's command looks at a partition and then does something with it, no job of this
 * host starts with it: one that wants to waits. A COMMIT in between would have the command wake a
 * copy that is not this host's any more. One command at a time: the next one waits, VF_REFUSED_NOW
 * after 10 s. By one thread; a second release does nothing. */
struct mig_hold {
    char partition[VF_NAME_BYTES]; /* "" = none */
    struct mig_hold *next;
};
int mig_hold(struct mig *mig, const char *partition, struct mig_hold *hold, struct vf_error *err);
void mig_release(struct mig *mig, struct mig_hold *hold);
/* Id of the job whose outcome is unknown and whose copy this partition is, 0 = none: until that is
 * settled nobody may let it run, change it or take it away. */
uint64_t mig_unsettled(struct mig *mig, const struct vf_partition_info *partition);
/* Asks; before COMMIT the job ends as cancelled with the source running. VF_FAILED when it is too
 * late or already over. */
int mig_job_cancel(struct mig_job *job, struct vf_error *err);
/* New limits for a move that goes on here, as its source. At once: the rate that it sends at, the
 * time that the present round may still take, the next decision. VF_FAILED when the pause has begun
 * or the job is no such move; nothing was changed then. */
#define MIG_AS_IT_IS UINT64_MAX
struct mig_change { /* each as in struct mig_options, or MIG_AS_IT_IS */
    uint64_t bandwidth, max_blackout_ns, max_time_ns;
};
void mig_change_init(struct mig_change *change);
int mig_job_set(struct mig_job *job, const struct mig_change *change, struct vf_error *err);
#define MIG_WARNING_BYTES 800u
/* Settles a job whose outcome is unknown by a person's word: the side `runs` has the partition. The
 * peer is asked first: a choice that its journal contradicts is refused, and so is any for a job
 * that is not unknown. When nobody can be asked it is done on this side alone. `warning` says what
 * is lost or doubled by it, or may be; "" = nothing. -1: nothing was changed. May take some
 * seconds. */
int mig_job_resolve(struct mig_job *job, enum mig_side runs, char warning[MIG_WARNING_BYTES],
                    struct vf_error *err);
/*
 * A person gives up telling the peer how a move ended that did not hand the partition over, or
 * that was resolved: a peer that never comes back would be tried for ever. `warning` says what that
 * may leave there. Refused for a job that owes its peer nothing, and for an unknown outcome, which
 * is to be resolved. -1: nothing was changed. May take some seconds.
 */
int mig_job_forget(struct mig_job *job, char warning[MIG_WARNING_BYTES], struct vf_error *err);
/* Waits for the job's end or for a change after `seen` (see mig_job_progress), until the deadline:
 * true = over. */
bool mig_job_wait(struct mig_job *job, uint64_t deadline_ns, uint64_t seen);
/* How it ended: 0 with MIG_COMPLETED, else the code for the exit status and the reason. Also valid
 * while running (0). */
int mig_job_result(struct mig_job *job, struct vf_error *err);

/* Progress on one line's worth of numbers. */
struct mig_progress {
    uint64_t change; /* counts up with every update: feed it to mig_job_wait */
    enum mig_status status;
    char phase[24]; /* connect, admit, round, pause, last-round, state, verify, commit, done, …
                       (save: prepare, pages, disk, …) */
    uint32_t round;
    uint64_t sent_bytes;             /* as they crossed the link */
    uint64_t done_bytes, left_bytes; /* of content: in those, and still to come */
    uint64_t rate_bytes_per_s, dirty_bytes_per_s;
    uint64_t predicted_blackout_ns, max_blackout_ns;
    uint32_t throttle; /* percent of the time that it stands at present */
    uint64_t eta_ns;   /* 0 = unknown */
    uint64_t elapsed_ns;
    bool stands;         /* the partition does not work now, for the job's sake */
    uint64_t stood_ns;   /* for so long so far, or it did; 0 = it never stood */
    char waits_for[224]; /* what keeps the job, once that takes long; "" = nothing does */
};
void mig_job_progress(struct mig_job *job, struct mig_progress *out);

/* The object of `migrate --json` and `job show` ("schema": "vferry.job/1"; design.md names every
 * member). New reference. */
json_t *mig_job_report(struct mig_job *job);
/* The object of `check`: "schema": "vferry.check/1", compatible, reasons[{field, source, target,
 * remedy}]. NULL unless dry_run. */
json_t *mig_job_verdict(struct mig_job *job);
/* All jobs, newest first, short form; new reference to an array. */
json_t *mig_jobs(struct mig *mig);

/* Is it known from the journal only, which holds no figures? */
bool mig_job_recalled(const struct mig_job *job);

/* Where a partition that once was here went: 1 and "HOST:PORT", or "file:/PATH" when it was saved.
 * -1: the last that is known of it is that it came here. 0: neither list nor journal know of it. */
int mig_moved_to(struct mig *mig, const char *partition, char *to, size_t to_bytes);

#endif
