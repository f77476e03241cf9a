// SPDX-License-Identifier: Apache-2.0
/*
 * Lanes: the data streams of a job. Each lane is a thread with a stream and a page channel of its
 * own, and owns every count-th group of pages on both hosts, so that a page always travels on the
 * same stream, in order. Rounds are barriers.
 *
 *   source lane:  dirty bits -> page list -> GATHER -> digest -> frame -> stream
 *   target lane:  stream -> frame -> SCATTER -> GATHER (read back) -> digest compared
 *                 ... ACK at the round's end
 */
#ifndef MIGRATE_STREAM_STREAM_H
#define MIGRATE_STREAM_STREAM_H

#include "kernel/client.h"
#include "migrate/stream/digest.h"
#include "migrate/job/job.h"
#include "migrate/wire/wire.h"

#include <pthread.h>
#include <stdatomic.h>

#define LANE_MAX 8u
#define LANE_SLOT_BYTES (1u << 20)      /* or the page, when that is larger */
#define LANE_BUFFER_BYTES (48ull << 20) /* all slots of all lanes of a job together, at most */
#define LANE_SLOTS 8u

/* What both ends of all lanes agree on. Constant while the lanes run. */
struct lane_plan {
    struct wire_geometry geometry;
    uint32_t lanes;
    uint8_t job[WIRE_ID_BYTES];
    uint64_t epoch;
    uint32_t generation; /* of the connection: 0, then one higher with each resumption or more */
    uint64_t partition;  /* kernel's handle */
    const char *kernel_socket;
    uint64_t silence_ns;
};

/* Walks the pages of one lane in rising order: those with a bit, or all when `bits` is NULL. */
struct lane_feed {
    const uint64_t *bits;
    uint64_t pages, group_pages, next;
    uint32_t index, count;
};

void lane_feed_init(struct lane_feed *feed, const struct lane_plan *plan, uint32_t index,
                    const uint64_t *bits);
/* Up to `max` page indices; 0 = no more. */
uint32_t lane_feed_take(struct lane_feed *feed, uint64_t *pages, uint32_t max);

uint64_t lane_slot_bytes(uint64_t page_bytes);
uint32_t lane_slots(const struct lane_plan *plan);

/* Next completion of the channel; -1 also when the stream (NULL = none) was aborted, or nothing
 * completed for 5 s. */
int lane_wait(struct kc_channel *channel, struct tp *tp, struct kc_done *done,
              struct vf_error *err);

/* A gathered slot: page i of the list lies at slot + i * page_bytes. */
typedef int lane_gathered(void *ctx, const uint64_t *pages, uint32_t count, const uint8_t *slot,
                          struct vf_error *err);
/* Gathers the pages of this lane that have a bit (all when `bits` is NULL), several slots at a
 * time, and shows each slot to `each`, whose -1 ends it. */
int lane_gather(struct kc_channel *channel, struct tp *tp, const struct lane_plan *plan,
                uint32_t index, const uint64_t *bits, lane_gathered *each, void *ctx,
                struct vf_error *err);
/* Digests a gathered slot into the table and makes its pages the frame's list; pages of zeros are
 * marked. With `leave_out_known` a page whose digest the table has already is left out (count 0 is
 * possible then): it was sent as it is now, or never was anything but zeros. */
int lane_frame(struct wire_frame *frame, const uint64_t *pages, uint32_t count, const uint8_t *slot,
               uint64_t page_bytes, struct digest_table *table, bool leave_out_known,
               struct vf_error *err);
/* Gathers all pages of this lane and compares them with the table (--verify full); a mismatch names
 * the page and `what`. */
int lane_rehash(struct kc_channel *channel, struct tp *tp, const struct lane_plan *plan,
                uint32_t index, struct digest_table *table, const char *what, struct vf_error *err);

/* ---- source ---- */

struct pacer { /* --bandwidth, shared by all lanes of a job */
    pthread_mutex_t lock;
    uint64_t bytes_per_s; /* 0 = no limit; guarded by lock, as what follows */
    uint64_t next_ns;     /* when the next byte may go */
    uint64_t changes;     /* of the rate: who waits by an old one asks again */
};

enum lanes_command { LANES_IDLE, LANES_ROUND, LANES_REHASH, LANES_QUIT };

struct lanes;

struct lane_source {
    struct lanes *lanes;
    uint32_t index;
    struct tp *tp;
    struct kc_channel *channel;
    pthread_t thread;
    bool started;      /* guarded by lanes->lock */
    uint64_t sequence; /* of frames; the lane's thread only */
    /* Of the present round; the lane's thread, read by the job's after the barrier. */
    uint64_t bytes, pages;  /* sent */
    uint64_t gathered;      /* pages looked at, those left out among them */
    uint64_t last_frame_ns; /* when pages were last sent, or the round began */
};

/* A lane's thread; `arg` is its struct lane_source. */
void *lane_source_main(void *arg);

struct lanes {
    struct mig_job *job;
    struct lane_plan plan;
    struct digest_table *table;
    struct pacer pacer;
    struct lane_source lane[LANE_MAX];
    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t changed;
    enum lanes_command command;
    uint64_t turn; /* counts commands; a lane runs each once */
    uint32_t busy;
    bool aborted;
    bool lost;             /* a lane ended because its stream broke: the link may know why */
    bool turned_away;      /* likewise, because the target refused its stream */
    struct vf_error error; /* the first of any lane */
    uint64_t until_ns;     /* of the present command */
    const uint64_t *bits;  /* of the present round; constant while lanes are busy */
    uint32_t round;
};

void lanes_init(struct lanes *lanes, struct mig_job *job, uint64_t bandwidth);
/* Connects plan->lanes streams to `address`, until the deadline and each within a silence, says
 * `hello` (with the job's token) on each and starts the lanes. */
int lanes_open(struct lanes *lanes, const struct lane_plan *plan, struct digest_table *table,
               const struct wire_hello *hello, const char *address, uint64_t deadline_ns,
               struct vf_error *err);
/* Until when a command may run, and what its expiry is called. */
struct lanes_limit {
    uint64_t deadline_ns; /* TP_NEVER = no limit */
    enum vf_code code;
    const char *text;
};

/* Sends the pages of `bits` and returns when the target has proven them. The job's thread only. */
int lanes_round(struct lanes *lanes, uint32_t round, const uint64_t *bits,
                const struct lanes_limit *limit, struct job_round *out, struct vf_error *err);
/* New limits, at once: for what is being sent, and for the present command. Any thread between init
 * and close. */
void lanes_set_rate(struct lanes *lanes, uint64_t bytes_per_s);
void lanes_set_deadline(struct lanes *lanes, uint64_t deadline_ns);
/* Rehashes everything on both sides. */
int lanes_rehash(struct lanes *lanes, const struct lanes_limit *limit, struct vf_error *err);
/* Ends all streams at once and for good; lanes_open and lanes_round fail. Any thread between init
 * and close. */
void lanes_abort(struct lanes *lanes);
/* Did a stream break (tp_lost)? Any thread between init and close. */
bool lanes_lost(struct lanes *lanes);
/* Did the target refuse a stream (ABORT on it)? Then the way between the hosts is whole, and the
 * control connection brings the reason. Likewise. */
bool lanes_turned_away(struct lanes *lanes);
/* Ends the lanes' threads and gives their channels and streams back. The job's thread only; twice
 * is once. */
void lanes_stop(struct lanes *lanes);
/* After lanes_stop: makes them ready for another lanes_open. An abort that comes meanwhile is lost:
 * ask for what it was for after this call. */
void lanes_renew(struct lanes *lanes);
/* What the lanes' round came to so far, whole or not. When no lane is busy. */
void lanes_count(const struct lanes *lanes, struct job_round *out);
/* lanes_stop and the rest, when no other thread calls lanes_abort any more. Due after lanes_init,
 * whatever failed; safe on a zeroed struct. */
void lanes_close(struct lanes *lanes);

/* ---- target ---- */

struct lane_target {
    struct mig_job *job;
    const struct lane_plan *plan;
    struct digest_table *table;
    uint32_t index;
    struct tp *tp; /* set by attach; owned */
    struct kc_channel *channel;
    pthread_t thread;
    bool started;
    _Atomic uint32_t rounds; /* proven and acknowledged; they are numbered from 0. Set by attach */
    _Atomic bool rehashed;
    /* The lane's thread, at its end; `lost`: the stream broke, so the link may know why. */
    void (*failed)(void *ctx, const struct vf_error *err, bool lost);
    void *ctx;
    /* By its thread, read after the join. */
    bool unproven;       /* it failed, or VRAM may hold something else than the table says */
    struct vf_error why; /* likewise */
};

int lane_target_start(struct lane_target *lane, struct vf_error *err);
void lane_target_abort(struct lane_target *lane);
/* Joins and closes; nothing of the lane reaches VRAM from here on, and its table says what VRAM
 * holds. -1: it does not, the paging engine failed. Safe on a zeroed struct. */
int lane_target_stop(struct lane_target *lane, struct vf_error *err);

#endif
