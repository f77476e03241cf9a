// SPDX-License-Identifier: Apache-2.0
/* Two hosts for tests: each a real vferry-kernel process, its migration side in this program. What
 * fails ends the test. */
#ifndef MIGRATE_TESTS_HOSTS_H
#define MIGRATE_TESTS_HOSTS_H

#include "guest/guest.h"
#include "kernel/client.h"
#include "migrate/migrate.h"
#include "migrate/wire/wire.h"

#include <pthread.h>
#include <sys/types.h>

struct host {
    char dir[64];
    char socket[108];
    char address[64];
    pid_t kernel;
    struct kc *kc;
    struct mig *mig;
    int listener;
    int stop[2];
    pthread_t acceptor;
};

/* From the environment; the program ends without it. */
const char *need(const char *name);
void die(const char *what, const struct vf_error *err);

/* silence_ns and redial_ns as in struct mig_config. */
void host_start(struct host *host, const char *name, uint64_t silence_ns, uint64_t redial_ns);
void host_stop(struct host *host);

void create(struct host *host, const char *name, uint64_t vram, struct vf_partition_info *out);
/* A target's: created, prepared for that job. And then restored from some other partition's state,
 * ended and given its epoch: only the unpause is left. */
void create_incoming(struct host *host, uint64_t job, struct vf_partition_info *out);
void make_ready(struct host *host, const struct vf_partition_info *p, uint64_t epoch);
void run_workload(struct host *host, const struct vf_partition_info *p,
                  const struct guest_options *work);
void await_done(struct host *host, const struct vf_partition_info *p,
                char digest[GUEST_DIGEST_BYTES]);

/* Starts a move to the address; the job has a reference. */
struct mig_job *start_move(struct host *from, const char *to, const char *name,
                           const struct mig_options *wish);
/* Starts the move and returns its job, over. */
struct mig_job *move(struct host *from, struct host *to, const char *name,
                     const struct mig_options *wish);
/* Until the job, which must not end before, is in that phase. */
void await_phase(struct mig_job *job, const char *phase);
/* The job has completed, and its report's blackout adds up; puts it. */
void expect_moved(struct mig_job *job);

/* A deadline that only a broken host misses. */
uint64_t soon(void);
/* Waits until the host has no partition. */
void expect_empty(struct host *host);
/* A record to a host, and the next one from it, which must be of that kind (the caller
 * frees it). */
void say(struct tp *tp, const struct wire_message *message);
void hear(struct tp *tp, enum wire_tag tag, struct wire_message *out);

#endif
