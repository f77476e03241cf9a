// SPDX-License-Identifier: Apache-2.0
/* The source's side of a move, for the files that make it up: source.c (its line of phases),
 * connect.c, limits.c, resume.c, rounds.c, handoff.c, ending.c. */
#ifndef MIGRATE_SOURCE_SOURCE_H
#define MIGRATE_SOURCE_SOURCE_H

#include "kernel/client.h"
#include "migrate/handoff/shell.h"
#include "migrate/stream/stream.h"
#include "migrate/net/control.h"
#include "migrate/mig.h"
#include "migrate/convergence.h"

/* Of the rounds so far, bytes a second; 0 = not known yet. */
struct source_rates {
    uint64_t read; /* of dirty pages: gathered, and compared with what the target has */
    uint64_t sent; /* content of pages, before it is packed; and what that is on the link: */
    uint64_t wire;
    double share; /* of what the last round read that it sent */
};

/* In the blackout: PREPARED, COMMIT, COMMITTED. */
#define SOURCE_FSYNCS 3u

struct source {
    struct mig_job *job;
    struct kc *kc;
    struct control control;
    struct stream_group group;
    struct send_slot slot; /* to send pages; held from the first round to READY */
    struct vf_partition_info partition;
    struct wire_hello hello; /* ours; carries the token once admitted */
    struct wire_hello peer;
    uint16_t version; /* of the protocol, agreed with the peer */
    struct digest_table *table;
    uint8_t digest_key[DIGEST_KEY_BYTES]; /* zeros: the target is too old for one */
    uint64_t page_bytes;    /* of what is sent: what a dirty bit covers is made up of these */
    uint64_t *bits, *plane; /* the pages that are owed, and the dirty bitplane of the last query */
    struct convergence_input convergence;
    struct source_rates rates;
    uint64_t queried_ns;  /* when the dirty bits were last read and cleared */
    uint64_t first_pages; /* pages of the first round: what a full rehash has to read */
    uint64_t deadline_ns; /* end of the allowed blackout; set by the pause */
    uint32_t round;       /* the one being sent, or the next; numbered from 0 */
    /* A pre-copy that goes on after its link was lost (resume.c). */
    struct job_round attempts; /* of the present round, whose link was lost */
    uint32_t generation;       /* of the connection: the newest that was tried */
    uint64_t give_up_ns;       /* without progress until then it is given up; 0 = not counting */
    uint64_t wait_ns;          /* before the next attempt; 0 = at once */
    uint8_t their_root[DIGEST_ROOT_BYTES]; /* of the target's table when it was last told */
    struct tp *calling;   /* a connection being made, which a cancel ends; guarded by job's lock */
    bool found;           /* partition is filled in: it is here, and was running or paused */
    _Atomic bool retuned; /* its limits have changed: waits by the old ones begin anew */
    bool prepared;        /* Prepare(SOURCE) needs its End (SRC-7) */
    bool cannot_slow;     /* the kernel side would not: the move goes on without a throttle */
    bool paused;          /* by us: an abort resumes */
    bool state_sent;      /* the target may be, or become, PREPARED */
    bool too_old; /* the link was lost, and the peer's version cannot go on over a new one */
    /* How it ends (ending.c). */
    struct vf_error cause;  /* the bare cause, which the target hears; VF_OK = nothing is wrong */
    struct vf_error why;    /* the whole, which the job shows */
    struct vf_error stands; /* why the partition could not be brought back to work */
    uint64_t running_ns;    /* until when RUNNING is waited for on the move's own connection */
    bool recall;            /* the target is to hear ABORT (source_recall) */
    /* How the core has ended the move, and the job's error is told; no end: it has not yet. */
    enum job_state end;
    bool linked; /* the link is started; written under the job's lock while a cancel may look */
};

/* Makes it the job's link (taken over, also on failure). */
int source_control(struct source *s, struct tp *tp, struct vf_error *err);
/* The control connection, first and only in its phase. */
int source_connect(struct source *s, struct vf_error *err);
/* After a failure the partition runs here: tells the target, and once STATE was sent tries for
 * a while, redialling, before it leaves that to the retry thread. No cancel may be pending on
 * s (job_set_wake). */
void source_recall(struct source *s, const struct vf_error *why);
/* The link was lost after COMMIT: asks again on new connections until the target's answer comes or
 * hope ends. How the job ends; err says why, unless it completed. */
enum job_state source_recommit(struct source *s, struct vf_error *err);

/* This has happened: what follows is carried out (handoff/shell.h). The job's thread. */
void source_tell(struct source *s, enum handoff_event_kind kind);
/* The move cannot go on, for that reason: ends it (s->end). */
void source_give_up(struct source *s, const struct vf_error *why);
/* How the job ends: s->end, or unknown where the core has not said it. */
enum job_state source_end(const struct source *s);
/* Back to "never happened" (SRC-7): the VF runs again before anybody is told. -1: it does not, *why
 * says so for people. Its streams are ended. */
int source_bring_back(struct source *s, struct vf_error *why);
/* Nobody's cancel or new limits reach it from here on. */
void source_unwatch(struct source *s);

/* The rounds failed, *err says how. If that is because the link or a data stream was lost, makes
 * new ones, adds to s->bits what the target lacks, and returns 0: the round has to be sent again.
 * Tries for as long as --max-time, --max-blackout or this host's redial time allow. -1: another
 * failure, or no hope. */
int source_resume(struct source *s, struct vf_error *err);
/* Pages have reached the target: the time for a resumption counts anew. */
void source_progressed(struct source *s);
/* A cancel while a connection is being made. Under the job's lock. */
void source_hang_up(struct source *s);

/* The target's answer did not come in time: if the target told meanwhile what keeps it, *err says
 * so. Returns -1. */
int source_late(struct source *s, struct vf_error *err);

/* The move's limits as they are now. From JOB_PAUSED on they stay. */
struct mig_options source_limits(struct source *s);
/* job->retune. */
void source_retune(void *ctx);

/* Words of the partition's dirty bitplane. */
size_t source_plane_words(const struct source *s);
/* Brownout rounds until the policy says to pause. */
int source_rounds(struct source *s, struct vf_error *err);
/* Pause and last round, proof. The blackout begins here. */
int source_pause(struct source *s, struct vf_error *err);
/* Mutable state, READY, COMMIT, RUNNING. -1: s->end is an end; or the job has committed, and
 * RUNNING did not come; or neither, and the move can still be given up. */
int source_handoff(struct source *s, struct vf_error *err);

/* Thread of a source job; `arg` is the job with a reference. */
void *source_main(void *arg);

#endif
