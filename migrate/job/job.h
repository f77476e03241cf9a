// SPDX-License-Identifier: Apache-2.0
/*
 * A job: one move (or check) seen from one of its two ends. It owns the state machine, the cancel
 * flag, the first error and the numbers that progress and reports are made of. Source and target
 * run it; the daemon watches it.
 */
#ifndef MIGRATE_JOB_JOB_H
#define MIGRATE_JOB_JOB_H

#include "base/fsm.h"
#include "base/thread.h"
#include "migrate/digest/digest.h"
#include "migrate/journal/journal.h"
#include "migrate/migrate.h"
#include "migrate/wire/wire.h"

#include <pthread.h>
#include <stdatomic.h>

#define MIG_MAX_ROUNDS 64u
/* How people see the peer of a save or a restore: this and its path. */
#define JOB_FILE "file:"

/*
 * Both sides walk the same line; what a state means on each side:
 *
 *   CONNECT -> ADMIT -> ROUNDS -> PAUSED -> STATE -> PREPARED -> COMMITTED -> COMPLETED
 *      |        |        |         |         |         |            |
 *      +--------+--------+---------+---------+---------+            +--> UNKNOWN
 *                             |                        |
 *                             v                        +--> UNKNOWN (target only)
 *                    FAILED or CANCELLED
 *
 * FAILED and CANCELLED: the source runs, nothing is left on the target. UNKNOWN: the link was lost
 * past COMMIT, at a target also past PREPARED.
 *
 * A check ends from ADMIT as COMPLETED (its verdict tells). UNKNOWN is an end for whoever waits,
 * and may become COMPLETED or FAILED later: when the peers can talk again (handoff/retry.h), or by
 * a person's word (handoff/resolve.h).
 */
enum job_state {
    JOB_CONNECT,
    JOB_ADMIT,
    JOB_ROUNDS,    /* brownout: the VF works */
    JOB_PAUSED,    /* source: last round; the target learns it with the paused round */
    JOB_STATE,     /* mutable data crosses and is restored */
    JOB_PREPARED,  /* target: PREPARED is journalled, READY sent; source: READY received */
    JOB_COMMITTED, /* COMMIT is journalled: no way back without the target's word */
    JOB_COMPLETED,
    JOB_FAILED,
    JOB_CANCELLED,
    JOB_UNKNOWN,
    JOB_STATES,
};

/* What came first, and stays: a person's cancel, this daemon's end, or the commit. */
enum job_point { JOB_OPEN, JOB_CANCEL_ASKED, JOB_INTERRUPTED, JOB_COMMIT_BEGUN };

/* What the journal has of a job. UNSURE: a record that gives the partition to the other end may be
 * there or not; only a restart can tell, and until then nothing is done and nothing is said. */
enum job_journal { JOB_UNRECORDED, JOB_RECORDED, JOB_UNSURE };

struct job_round {
    uint64_t pages;       /* pages sent, zero pages among them */
    uint64_t known;       /* pages not sent: the target has them as they are */
    uint64_t bytes;       /* sent */
    uint64_t content;     /* payload in that, before it was packed */
    uint64_t dirty_pages; /* found dirty when it began */
    uint64_t duration_ns;
};

struct job_times {
    uint64_t start, end;
    uint64_t started_unix, ended_unix; /* CLOCK_REALTIME; 0 = unknown */
    uint64_t first_frame, last_frame;  /* page frames, whole job */
    uint64_t prepared;                 /* brownout begins: Prepare done */
    uint64_t last_run;                 /* VF's last scheduled moment on the source */
    uint64_t quiet, pages, ready, resume,
        first_run;      /* blackout marks: paused and last bits read, last page verified, … */
    uint64_t verify_ns; /* share of pages..ready spent on comparing */
    uint64_t throttled; /* a duration: how long it stood to be slowed, before the pause */
    uint64_t stood;     /* a duration: how long the partition stood for a job that did not move it;
                           0 = not at all, or stand.since_ns tells */
};

/* A partition that stands, and what its job waits for (stand.h). */
struct job_stand {
    uint64_t since_ns;         /* it stands since then; 0 = it does not */
    char driver[64];           /* whose DDIs serve it, a file's name; "" = not known */
    char waits[224];           /* "" = nothing that could take long */
    uint64_t waits_ns;         /* since when */
    bool own;                  /* this host's own doing, not another's */
    bool in_driver;            /* ... that is a DDI, in the kernel side */
    bool noted;                /* the peer was told of it ... */
    bool noted_mute;           /* ... as of a kernel side that answers nothing */
    char peer[WIRE_PING_TEXT]; /* what the peer said that it is in */
    uint64_t tell_ns;          /* next event; 0 = none was told */
    void (*note)(void *ctx, const char *text); /* tells the peer; NULL = nobody does */
    void *note_ctx;
};

struct mig_job {
    struct mig *mig;
    uint64_t id;
    uint8_t uuid[16];
    enum journal_operation operation; /* a check is a move with options.dry_run */
    char host_name[VF_NAME_BYTES]; /* ours: a job may outlive its struct mig */
    enum mig_side side;            /* which end we are */
    bool start_over;               /* recovered: a move that the daemon's end interrupted */
    bool recalled;                 /* known from the journal only, which holds no figures */
    bool called_off;               /* it ends as cancelled: the journal's ABORTED is to say so */
    _Atomic bool came_home;        /* source: its own HELLO arrived here; see mig_job_came_home */
    _Atomic uint64_t taken;        /* target: frames of pages that came in */
    struct vf_fsm fsm;             /* enum job_state; set under lock, read by anyone */
    _Atomic int point;             /* enum job_point: compare and swap from JOB_OPEN, once */
    _Atomic unsigned refs;

    char partition[VF_NAME_BYTES];
    uint8_t partition_uuid[VF_UUID_BYTES];
    char peer_name[VF_NAME_BYTES];
    char identity[TP_NAME_BYTES]; /* whom the peer's certificate names; "" = none was shown. Set
                                     with the first connection, under lock */
    char peer[256];               /* HOST:PORT, or JOB_FILE and the path */
    struct mig_options options;   /* a move's limits change (mig_job_set): those under lock */
    bool packs_nothing; /* source: the target is of a version that takes no packed frames */
    bool stays_paused; /* a person had paused the partition: nobody else may let it run */
    uint64_t epoch;
    uint64_t vram_bytes, page_bytes;

    pthread_mutex_t lock;    /* guards everything below; taken alone, never held over I/O */
    pthread_cond_t changed;  /* CLOCK_MONOTONIC; any change of what lies below */
    void (*wake)(void *ctx); /* ends the waits of the job's own thread when a cancel is asked; NULL
                                = nothing waits */
    void *wake_ctx;
    void (*retune)(void *ctx); /* with wake_ctx: limits among the options have changed; NULL =
                                  nobody reads them now */
    uint64_t change;
    bool leaving; /* the daemon ends, or is stopped by force: wait for no peer, in any state */
    bool claimed; /* a lock that job_claim takes: one thread at a time acts on a job whose own has
                     gone, in any state */
    uint8_t token[16]; /* since its admission; all zero = none (struct journal_record) */
    /* source: the target may still have to be told that it runs here, or what was settled: the
     * core's `owed` between two events. */
    bool owes;
    enum job_journal journal;
    enum journal_kind last_kind;    /* what its last record says, unless JOB_UNRECORDED */
    enum mig_side last_runs;        /* SETTLED: who runs the partition */
    struct journal_restart restart; /* what ABORTED says: is the next daemon to start it over? */
    uint64_t last_ns;               /* CLOCK_REALTIME */
    char last_text[sizeof((struct journal_record *)0)->text];
    uint64_t started_over_as; /* the job that goes on with this one's move; 0 = none. The journal
                                 does not keep it */
    struct vf_error error; /* the first one; code VF_OK = none */
    struct vf_reasons reasons;
    char warning[400]; /* what it doubled, though it went well; "" = nothing */
    bool judged;       /* a check came to its verdict */
    char phase[24];
    struct job_round rounds[MIG_MAX_ROUNDS];
    uint32_t round_count;
    /* Target: what came of each, by the frames' own word: they may overtake the ROUND. */
    struct {
        uint64_t pages, bytes;
    } came[MIG_MAX_ROUNDS];
    struct job_times t;
    struct job_stand stand;
    bool shared_clock;   /* both ends have the same boot id */
    uint32_t reconnects; /* times that the pre-copy went on after its link was lost */
    uint64_t bytes_sent, pages_sent, left_bytes;
    uint64_t rate, dirty_rate, predicted_ns;
    uint32_t throttle, throttle_max; /* percent of the time that the partition stands: at present,
                                        and at its most */
    uint64_t arrival_ns; /* when it should run on the target; 0 = unknown */
    char digest[DIGEST_TEXT];
    struct mig_job *next;     /* mig's list; guarded by mig's lock, as what follows */
    uint64_t due_ns, wait_ns; /* the retry thread's next try, and how long it waits after that */
    uint64_t tried_ns;        /* its last one */
};

/* Is it over in that state? */
static inline bool job_state_ends(enum job_state state)
{
    return state >= JOB_COMPLETED;
}

/* Has it come to its end? Under the job's lock its figures and its error are those of the end
 * then. Any thread. */
static inline bool job_ended(const struct mig_job *job)
{
    return job_state_ends((enum job_state)vf_fsm_get(&job->fsm));
}

/* Not over, and past its COMMIT (source: it may have left this host) or COMMITTED (target: it is on
 * disk). Any thread. */
static inline bool job_committed(const struct mig_job *job)
{
    return vf_fsm_get(&job->fsm) == JOB_COMMITTED;
}

/* A new job with one reference, in JOB_CONNECT. NULL without memory. */
struct mig_job *job_new(struct mig *mig, uint64_t id, const uint8_t uuid[16], enum mig_side side);

/* Is its other end a file? */
bool job_with_file(const struct mig_job *job);
bool job_has_token(struct mig_job *job);
/* See JOB_UNSURE; and has the journal any record of it? Any thread. */
bool job_unsure(struct mig_job *job);
bool job_in_journal(struct mig_job *job);
/* "move", "check", "save" or "restore". */
const char *job_kind(const struct mig_job *job);

/* Which partition it is about, and the hand-off's epoch. */
void job_set_partition(struct mig_job *job, const uint8_t uuid[VF_UUID_BYTES], uint64_t epoch,
                       uint64_t vram_bytes, uint64_t page_bytes);
/* The verdict: all that speaks against it; none = nothing does. */
void job_judged(struct mig_job *job, const struct vf_reasons *reasons);
/* Goes to a state and tells the phase's name to whoever watches. */
void job_enter(struct mig_job *job, enum job_state state, const char *phase);
/* This is the journal's last record of it now. */
void job_recorded(struct mig_job *job, const struct journal_record *record);
/* Keeps the first error; later ones are only logged. Returns -1. */
int job_fail(struct mig_job *job, const struct vf_error *err);
/* Sets the end state and lets all waiters go. For retry_job_over, a job's last act. */
void job_over(struct mig_job *job, enum job_state state);
/* An unknown outcome became known: COMPLETED, or FAILED for the reason in err. Tells it as an
 * event. The caller has claimed the job. */
void job_outcome_known(struct mig_job *job, enum job_state state, const struct vf_error *err);
/* Whoever brings a job's outcome to its end, when its own thread is gone, claims it first. False:
 * somebody else had it until the deadline (0 = do not wait). */
bool job_claim(struct mig_job *job, uint64_t deadline_ns);
void job_unclaim(struct mig_job *job);
/* From here to the next call with NULL a cancel calls wake(ctx), under the job's lock. */
void job_set_wake(struct mig_job *job, void (*wake)(void *ctx), void *ctx);
bool job_cancel_asked(struct mig_job *job);
/* This daemon ends: calls the job off as mig_job_cancel does, but as a failure. A cancel or a
 * commit that came first stays. Does not wait. Any thread. */
void job_interrupt(struct mig_job *job);
/* Was it called off so? Any thread. */
bool job_interrupted(const struct mig_job *job);
/* The daemon ends: ends waits that a cancel may not end, those for a peer that was lost.
 * Any thread. */
void job_leave(struct mig_job *job);
bool job_leaving(struct mig_job *job);
/* Waits until then; false at once when the daemon ends. */
bool job_sleep(struct mig_job *job, uint64_t until_ns);
/* The same; false at once also when a cancel is asked. */
bool job_doze(struct mig_job *job, uint64_t until_ns);
/* Decides for the commit. False: a cancel was first. */
bool job_begin_commit(struct mig_job *job);
/* Was it decided so? Any thread. */
bool job_commit_begun(const struct mig_job *job);

/* Numbers of a finished round; `paused` counts towards the blackout's last round. */
void job_round_done(struct mig_job *job, const struct job_round *round);
/* Bytes and pages handed to the wire; any stream. */
void job_sent(struct mig_job *job, uint64_t bytes, uint64_t pages);
/* The same of a frame that came in at the target, where it takes nobody's turn. */
void job_received(struct mig_job *job, uint32_t round, uint64_t bytes, uint64_t pages);
/* Pages that need not be sent, since the target has them; any stream. */
void job_known(struct mig_job *job, uint64_t pages);
/* Sets fields under the lock and wakes watchers. */
#define job_update(job, statements)                                                                \
    do {                                                                                           \
        vf_lock(&(job)->lock);                                                                     \
        statements;                                                                                \
        (job)->change++;                                                                           \
        vf_cond_broadcast(&(job)->changed);                                                        \
        vf_unlock(&(job)->lock);                                                                   \
    } while (0)

enum mig_status job_status(const struct mig_job *job);

#endif
