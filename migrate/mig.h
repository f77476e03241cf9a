// SPDX-License-Identifier: Apache-2.0
/* The inside of struct mig, for the files of migrate/. */
#ifndef MIGRATE_MIG_H
#define MIGRATE_MIG_H

#include "base/spare_thread.h"
#include "migrate/job/job.h"
#include "migrate/journal/journal.h"
#include "migrate/migrate.h"
#include "migrate/net/send_slots.h"
#include "migrate/wire/wire.h"

#include <pthread.h>

#define MIG_MAX_HANDSHAKES 64u
/* Control connections at once, each of which may ask for a partition's worth of work; and as many
 * that come back to their jobs. */
#define MIG_MAX_INBOUND 32u
/* Jobs that are listed once they are over; checks apart: they are many, and nobody misses one. */
#define MIG_KEPT_JOBS 256u
#define MIG_KEPT_CHECKS 64u

struct mig {
    char host_name[VF_NAME_BYTES];
    char kernel_socket[108];
    char listen[256];
    uint64_t silence_ns, redial_ns;
    uint8_t boot_id[16];
    void (*event)(void *ctx, const struct mig_event *event);
    void *event_ctx;
    void (*ended)(void *ctx, struct mig_job *job);
    void *ended_ctx;
    uint64_t (*kernel_mute_ns)(void *ctx, uint64_t since_ns);
    void *kernel_mute_ctx;
    struct journal *journal; /* has its own lock */
    struct send_slots send_slots;  /* likewise */
    struct vf_spare_thread *spare; /* tells who comes when there is no thread for him */
    _Atomic bool cordoned;   /* takes in no partition */
    bool insecure;           /* plain TCP beyond loopback is fine */

    pthread_mutex_t lock;       /* guards what follows; never held over I/O */
    pthread_cond_t idle;        /* handshakes, jobs or holds went away */
    struct mig_job *jobs;       /* newest first; the list holds one reference each */
    struct mig_hold *holds;     /* their owners' */
    struct target *targets;     /* arrivals whose data streams may come */
    struct handshake *handshakes; /* connections that have not said which job they belong to */
    unsigned handshake_count;
    struct tp_tls *tls;     /* NULL = plain TCP; owned, replaced by mig_set_tls */
    uint64_t refused_since_ns; /* refused connections that the log tells of: since when, ... */
    unsigned refused;          /* ... and how many there were since */
    unsigned inbound;      /* connections served as targets */
    unsigned redials;      /* and those with a word about a job that there is */
    unsigned threads;      /* of jobs, arrivals and the retry thread: detached, counted */
    pthread_cond_t retry_due; /* CLOCK_MONOTONIC; the retry thread looks again */
    pthread_cond_t stands; /* CLOCK_MONOTONIC; the watcher of what stands looks again */
    bool closing;
    unsigned stopping; /* forced stops under way: partitions are dropped, nothing may begin here */
    unsigned commits;  /* hand-offs between mig_commit_begin and mig_commit_end */
};

/* Logs what happened to the job with that id at `time_ns` (CLOCK_REALTIME), and tells
 * mig_config.event of it. Any thread, also under mig->lock or a job's lock. */
void mig_event(struct mig *mig, uint64_t job, uint64_t time_ns, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
/* Tells mig_config.ended of it. */
void mig_tell_ended(struct mig_job *job);

/* Under mig->lock: nothing may begin here any more. */
static inline bool mig_ending(const struct mig *mig)
{
    return mig->closing || mig->stopping > 0;
}

/* Puts a job on the list (which takes a reference). False when the host is closing. */
bool mig_list_job(struct mig *mig, struct mig_job *job);
/* Takes it off again: nothing of it is worth keeping. */
void mig_unlist_job(struct mig *mig, struct mig_job *job);
/* Has the partition arrived or been restored here with that hand-off or a later one, as far as this
 * host's list of jobs goes back? */
bool mig_had_since(struct mig *mig, const uint8_t uuid[VF_UUID_BYTES], uint64_t epoch);
/* Id of this host's job that handed the partition over to another one and has not taken its last
 * steps yet (the copy here still goes), 0 = none. */
uint64_t mig_handed_over(struct mig *mig, const uint8_t uuid[VF_UUID_BYTES]);

/* Lists the job and starts its thread, which gets `arg` and a reference of the job. Refused while
 * another job has the partition; after -1 nothing was started. */
int mig_start_job(struct mig *mig, struct mig_job *job, void *(*main)(void *arg), void *arg,
                  struct vf_error *err);
/* A save or a restore of this host: its peer is "file:/PATH" (cut in the middle when it is too
 * long). NULL without memory. */
struct mig_job *mig_new_file_job(struct mig *mig, const char *partition, const char *path,
                                 bool save);
/* Refuses to start anything with the copy of a move whose outcome is unknown. */
int mig_refuse_unsettled(struct mig *mig, const struct vf_partition_info *partition,
                         struct vf_error *err);
/* Threads are detached and counted: mig_close waits for the count. The caller has counted it (under
 * mig->lock, where it also saw that the host is not closing); a thread that does not start is
 * counted out again. */
int mig_spawn(struct mig *mig, void *(*main)(void *arg), void *arg);
/* One of mig's own threads, which gets mig and ends when it is closing; counted here. `what` it is
 * for, for people. -1: it could not be started. */
int mig_spawn_own(struct mig *mig, void *(*main)(void *mig), const char *what,
                  struct vf_error *err);
/* The last acts of a job's thread: the job is over, its reference goes. */
void mig_job_thread_over(struct mig_job *job, enum job_state end);
/* The last act of a counted thread. */
void mig_thread_over(struct mig *mig);

/* Connects to another host's migration port as this host's security asks, ready for HELLO, with our
 * silence. All dialling goes through here. Any thread. */
int mig_dial(struct mig *mig, const char *address, uint64_t deadline_ns, struct tp **out,
             struct vf_error *err);
/* Our HELLO on a control connection, without a token. */
void mig_hello(const struct mig *mig, const uint8_t job[16], struct wire_hello *out);

struct mig_peer {
    struct wire_hello hello;
    uint16_t version; /* both speak */
};
/* After mig_dial: both HELLOs. Then it is a control connection. */
int mig_greet(struct tp *tp, const struct wire_hello *ours, uint64_t deadline_ns,
              struct mig_peer *peer, struct vf_error *err);

/* A HELLO for a new job came in: is it that of a job of this host, which so dialled its own host?
 * Then that job is told. Job ids are random, so neither a proxy nor two hosts that look alike
 * deceive it. */
bool mig_job_came_home(struct mig *mig, const struct wire_hello *hello);
/* Do its HELLO's words fit this host: boot, name and address? Two hosts of one machine whose
 * network namespaces hide them from each other may look alike: no ground to refuse anything. */
bool mig_looks_like_us(const struct mig *mig, const struct wire_hello *hello);

/* From the HELLOs on texts about the connection name the other host, and where it listens ("" or an
 * address that is known): "peer A at 10.0.0.1:7001". Before threads share it. */
void mig_name_peer(struct tp *tp, const char *host_name, const char *address);

/* Under mig->lock: ends the connections that have not said anything yet. */
void mig_abort_handshakes(struct mig *mig);

/* Writes one journal record about a job, with its token and whether it owes the peer a word; the
 * job remembers it as its last. Everything durable goes through here, or the two below. Not
 * for SETTLED. */
int mig_journal(struct mig_job *job, enum journal_kind kind, const char *text,
                struct vf_error *err);
/* SETTLED: that side runs the partition. */
int mig_journal_settled(struct mig_job *job, enum mig_side runs, const char *text,
                        struct vf_error *err);
/* The ABORTED of a job that ends for `end`; says whether it was cancelled. */
int mig_journal_end(struct mig_job *job, const struct vf_error *end, struct vf_error *err);

#endif
