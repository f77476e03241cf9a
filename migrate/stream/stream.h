// SPDX-License-Identifier: Apache-2.0
/*
 * The data streams of a job. A stream is a thread with a connection and a page channel of its own
 * on either host, and owns every count-th group of pages, so that a page always travels on the same
 * connection, in order. Rounds are barriers. The source's streams together are a group.
 *
 *   send_stream:     dirty bits -> page list -> GATHER -> digest -> frame -> connection
 *   receive_stream:  connection -> frame -> SCATTER -> GATHER (read back) -> digest compared
 *                 ... ACK at the round's end
 */
#ifndef MIGRATE_STREAM_STREAM_H
#define MIGRATE_STREAM_STREAM_H

#include "kernel/client.h"
#include "migrate/digest/digest.h"
#include "migrate/job/job.h"
#include "migrate/pack/wish.h"
#include "migrate/wire/wire.h"

#include <pthread.h>
#include <stdatomic.h>

#define STREAM_MAX 8u
/* What is compared, sent and proven, whatever a dirty bit covers: of a large page of which little
 * has changed only that travels. Where the peer is older it is the dirty page. */
#define STREAM_PAGE_BYTES 4096u
#define STREAM_SLOT_BYTES (1u << 20) /* or the page, when that is larger */
/* All slots of all streams of a job together, at most. */
#define STREAM_BUFFER_BYTES (48ull << 20)
#define STREAM_SLOTS 8u

/* What both ends of all streams agree on. Constant while the streams run. */
struct stream_plan {
    struct wire_geometry geometry;
    uint32_t streams;
    uint8_t job[WIRE_ID_BYTES];
    uint64_t epoch;
    uint32_t generation; /* of the connection: 0, then one higher with each resumption or more */
    uint64_t partition;  /* kernel's handle */
    const char *kernel_socket;
    uint64_t silence_ns;
};

/* The plan of that many streams for the job's partition, in pages of so many bytes, which make up
 * the partition's; the rest of its geometry is what this version makes. */
struct stream_plan stream_plan_of(const struct mig_job *job, const struct vf_partition_info *p,
                                  uint32_t streams, uint64_t page_bytes);

/* Walks the pages of one stream in rising order: those with a bit, or all when `bits` is NULL. */
struct stream_feed {
    const uint64_t *bits;
    uint64_t pages, group_pages, next;
    uint32_t index, count;
};

void stream_feed_init(struct stream_feed *feed, const struct stream_plan *plan, uint32_t index,
                      const uint64_t *bits);

uint64_t stream_slot_bytes(uint64_t page_bytes);
uint32_t stream_slots(const struct stream_plan *plan);

/* Next completion of the channel; -1 also when the stream (NULL = none) was aborted, or nothing
 * completed for 5 s. */
int stream_wait(struct kc_channel *channel, struct tp *tp, struct kc_done *done,
                struct vf_error *err);

/* A gathered slot: page i of the list lies at slot + i * page_bytes. */
typedef int stream_gathered(void *ctx, const uint64_t *pages, uint32_t count, const uint8_t *slot,
                            struct vf_error *err);
/* Gathers the pages of this stream that have a bit (all when `bits` is NULL), several slots at a
 * time, and shows each slot to `each`, whose -1 ends it. */
int stream_gather(struct kc_channel *channel, struct tp *tp, const struct stream_plan *plan,
                  uint32_t index, const uint64_t *bits, stream_gathered *each, void *ctx,
                  struct vf_error *err);
/* Digests a gathered slot into the table and makes its pages the frame's list; pages of zeros are
 * marked. With `leave_out_known` a page whose digest the table has already is left out (count 0 is
 * possible then): it was sent as it is now, or never was anything but zeros. */
int stream_frame(struct wire_frame *frame, const uint64_t *pages, uint32_t count,
                 const uint8_t *slot, uint64_t page_bytes, struct digest_table *table,
                 bool leave_out_known, struct vf_error *err);
/* Gathers all pages of this stream and compares them with the table (--verify full); a mismatch
 * names the page and `what`. */
int stream_rehash(struct kc_channel *channel, struct tp *tp, const struct stream_plan *plan,
                  uint32_t index, struct digest_table *table, const char *what,
                  struct vf_error *err);

/* ---- source ---- */

struct pacer { /* --bandwidth, shared by all streams of a job */
    pthread_mutex_t lock;
    uint64_t bytes_per_s; /* 0 = no limit; guarded by lock, as what follows */
    uint64_t next_ns;     /* when the next byte may go */
    uint64_t changes;     /* of the rate: who waits by an old one asks again */
};

enum stream_group_command { STREAM_IDLE, STREAM_ROUND, STREAM_REHASH, STREAM_QUIT };

struct stream_group;

struct send_stream {
    struct stream_group *group;
    uint32_t index;
    struct tp *tp;
    struct kc_channel *channel;
    pthread_t thread;
    bool started;      /* guarded by group->lock */
    uint64_t sequence; /* of frames; the stream's thread only */
    /* Of the present round; the stream's thread, read by the job's after the barrier. */
    uint64_t bytes, pages;  /* sent */
    uint64_t content;       /* of those pages, before it was packed */
    uint64_t gathered;      /* pages looked at, those left out among them */
    uint64_t last_frame_ns; /* when pages were last sent, or the round began */
};

/* A stream's thread; `arg` is its struct send_stream. */
void *send_stream_main(void *arg);

struct stream_group {
    struct mig_job *job;
    struct stream_plan plan;
    struct digest_table *table;
    enum pack_wish compress; /* constant from stream_group_open on */
    struct pacer pacer;
    struct send_stream stream[STREAM_MAX];
    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t changed;
    enum stream_group_command command;
    uint64_t command_number; /* a stream runs each command once */
    uint32_t busy;
    bool aborted;
    bool lost;             /* a stream ended because its connection broke: the link may know why */
    bool refused;          /* likewise, because the target refused it */
    struct vf_error error; /* the first of any stream */
    uint64_t until_ns;     /* of the present command */
    const uint64_t *bits;  /* of the present round; constant while streams are busy, as the next */
    uint32_t round;
    bool paused; /* the partition stands meanwhile */
};

void stream_group_init(struct stream_group *group, struct mig_job *job, uint64_t bandwidth);
/* Connects plan->streams streams to `address`, until the deadline and each within a silence, says
 * `hello` (with the job's token) on each and starts the streams. */
int stream_group_open(struct stream_group *group, const struct stream_plan *plan,
                      struct digest_table *table, const struct wire_hello *hello,
                      const char *address, uint64_t deadline_ns, struct vf_error *err);
/* Until when a command may run, and what its expiry is called. */
struct stream_group_limit {
    uint64_t deadline_ns; /* TP_NEVER = no limit */
    enum vf_code code;
    const char *text;
};

/* Sends the pages of `bits` and returns when the target has proven them. `paused`: the partition
 * stands meanwhile. The job's thread only. */
int stream_group_round(struct stream_group *group, uint32_t round, const uint64_t *bits,
                       bool paused, const struct stream_group_limit *limit, struct job_round *out,
                       struct vf_error *err);
/* New limits, at once: for what is being sent, and for the present command. Any thread between init
 * and close. */
void stream_group_set_rate(struct stream_group *group, uint64_t bytes_per_s);
void stream_group_set_deadline(struct stream_group *group, uint64_t deadline_ns);
/* Rehashes everything on both sides. */
int stream_group_rehash(struct stream_group *group, const struct stream_group_limit *limit,
                        struct vf_error *err);
/* Ends all streams at once and for good; stream_group_open and stream_group_round fail. Any thread
 * between init and close. */
void stream_group_abort(struct stream_group *group);
/* Did a stream break (tp_lost)? Any thread between init and close. */
bool stream_group_lost(struct stream_group *group);
/* Did the target refuse a stream (ABORT on it)? Then the way between the hosts is whole, and the
 * control connection brings the reason. Likewise. */
bool stream_group_refused(struct stream_group *group);
/* Ends the streams' threads and gives their channels and streams back. The job's thread only; twice
 * is once. */
void stream_group_stop(struct stream_group *group);
/* After stream_group_stop: makes them ready for another stream_group_open. An abort that comes
 * meanwhile is lost: ask for what it was for after this call. */
void stream_group_renew(struct stream_group *group);
/* What the streams' round came to so far, whole or not. When no stream is busy. */
void stream_group_count(const struct stream_group *group, struct job_round *out);
/* stream_group_stop and the rest, when no other thread calls stream_group_abort any more. Due after
 * stream_group_init, whatever failed; safe on a zeroed struct. */
void stream_group_close(struct stream_group *group);

/* ---- target ---- */

struct receive_stream {
    struct mig_job *job;
    const struct stream_plan *plan;
    struct digest_table *table;
    uint32_t index;
    struct tp *tp; /* set by attach; owned */
    struct kc_channel *channel;
    pthread_t thread;
    bool started;
    _Atomic uint32_t rounds; /* proven and acknowledged; they are numbered from 0. Set by attach */
    _Atomic bool rehashed;
    /* The stream's thread, at its end; `lost`: its connection broke, so the link may know why. */
    void (*failed)(void *ctx, const struct vf_error *err, bool lost);
    void *ctx;
    /* By its thread, read after the join. */
    bool unproven;       /* it failed, or VRAM may hold something else than the table says */
    struct vf_error why; /* likewise */
};

int receive_stream_start(struct receive_stream *stream, struct vf_error *err);
void receive_stream_abort(struct receive_stream *stream);
/* Joins and closes; nothing of the stream reaches VRAM from here on, and its table says what VRAM
 * holds. -1: it does not, the paging engine failed. Safe on a zeroed struct. */
int receive_stream_stop(struct receive_stream *stream, struct vf_error *err);

#endif
