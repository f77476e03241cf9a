// SPDX-License-Identifier: Apache-2.0
/* Two hosts with a network between them that misbehaves, one partition that works, and what must be
 * so after a move of it. What is not so ends the test. */
#ifndef MIGRATE_TESTS_FAULT_RIG_H
#define MIGRATE_TESTS_FAULT_RIG_H

#include "migrate/tests/rig/hosts.h"
#include "migrate/tests/rig/proxy.h"

#include "base/clock.h"
#include "base/tests/tool.h"

#include <poll.h>

#if TEST_TOOL_FACTOR > 1
#define SILENCE_NS 2000000000ull
#else
#define SILENCE_NS 700000000ull
#endif
#define REDIAL_NS (2 * SILENCE_NS + 1000000000ull)
#define PATIENCE_NS (20000000000ull * TEST_TOOL_FACTOR)
#define NAME "ferry"

extern struct host left, right;
extern struct proxy *proxy;
extern char through[64]; /* right's address, behind the proxy */
extern char want[GUEST_DIGEST_BYTES];
extern const struct guest_options work;

/* cmocka's, for a group. */
int rig_setup(void **state);
int rig_teardown(void **state);

struct footprint {
    unsigned threads, fds;
};
struct footprint footprint(void);

/* The other side's threads end after the job that a test waits for: there is nothing to wait on but
 * their absence. */
#define AWAIT(condition, what)                                                                     \
    do {                                                                                           \
        uint64_t end_ = vf_now_ns() + PATIENCE_NS;                                                 \
                                                                                                   \
        while (!(condition)) {                                                                     \
            if (vf_now_ns() > end_)                                                                \
                fail_msg("%s: %s", label, what);                                                   \
            (void)poll(NULL, 0, 2);                                                                \
        }                                                                                          \
    } while (0)

size_t partitions(struct host *host);
void expect_state(const char *label, struct host *host, uint32_t state);
/* Nothing of the move is left in this program. */
void expect_footprint(const char *label, const struct footprint *before);
/* The partition there ends its work as if it had never moved; it is removed. */
void expect_digest(const char *label, struct host *host);
/* It never happened: the source runs, the target is empty, and the same move succeeds. */
void expect_never_happened(const char *label, const struct footprint *before);
/* It runs on the target and nowhere else, with the right content; the job is put. */
void expect_arrived(const char *label, struct mig_job *job, const struct footprint *before);

void options_of(struct mig_options *options);
/* Makes the partition on the left, starts its work and its move, with one fault (NULL = none). */
struct mig_job *begin(struct footprint *before, const struct proxy_fault *fault);
/* The job's error; it is put. */
struct vf_error end(struct mig_job *job);
/* How often its link was made anew. */
uint64_t reconnects(struct mig_job *job);
/* Removes the partition there, whatever its state. */
void clear_away(struct host *host);
const char *name_fault(const struct proxy_fault *fault);

#endif
