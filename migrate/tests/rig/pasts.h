// SPDX-License-Identifier: Apache-2.0
/*
 * A host whose daemon died at a certain record of its journal and is started again. Its peer is
 * played by the test; the kernel side lived on, unless a test says otherwise.
 */
#ifndef MIGRATE_TESTS_PASTS_H
#define MIGRATE_TESTS_PASTS_H

#include "migrate/handoff/copy.h"
#include "migrate/handoff/redial.h"
#include "migrate/journal/journal.h"
#include "migrate/mig.h"
#include "migrate/tests/rig/hosts.h"

#include "base/clock.h"

#include <poll.h>

extern struct host host;
extern uint64_t next_id;                        /* of the next job that comes back */
extern const uint8_t past_token[WIRE_ID_BYTES]; /* of every job here */
/* The peer: an address where a host once was, with or without somebody there. */
extern int peer;
extern char peer_address[64];

#define EPOCH (100u + next_id) /* no hand-off of a partition has another one's */
#define VRAM (32u << 20)
#define SILENCE_NS 3000000000ull

int past_setup(void **state);
int past_teardown(void **state);

struct past {
    enum mig_side side;
    enum journal_kind kinds[4]; /* the last one counts */
    size_t count;
    bool owed, stays_paused, no_token;
    const char *text;
    enum mig_side runs;             /* of SETTLED */
    struct journal_restart restart; /* of ABORTED */
};

/* The daemon died with that in its journal about this partition, and comes back: the job as it sees
 * it now, which is the caller's to put. */
struct mig_job *come_back(const struct vf_partition_info *p, const struct past *past);
/* After mig_close(host.mig). */
void open_again(void);

/* VF_PARTITION_STATES = it is not there. */
uint32_t state_of(const struct vf_partition_info *p);
enum mig_status status_of(struct mig_job *job);
/* A partition in the blackout of the next job's move. */
void begin_move(struct vf_partition_info *p);
void drop(const struct vf_partition_info *p);

/* What happens in the daemon's own threads; there is nothing else to wait on. */
#define AWAIT(condition)                                                                           \
    do {                                                                                           \
        uint64_t end_ = soon();                                                                    \
                                                                                                   \
        while (!(condition)) {                                                                     \
            if (vf_now_ns() > end_)                                                                \
                fail_msg("never: %s", #condition);                                                 \
            (void)poll(NULL, 0, 2);                                                                \
        }                                                                                          \
    } while (0)

/* The host comes to its peer with a word about this job. */
struct tp *take_call(const struct mig_job *job, struct wire_message *word);
/* The same, for a word of that kind, and the peer answers. */
void answer(struct mig_job *job, enum wire_tag due, const struct wire_message *with);
/* The peer comes to the host, as far as both HELLOs; with a token of zeros it is a new arrival. */
struct tp *come_in(const struct mig_job *job, const uint8_t with[WIRE_ID_BYTES]);
/* The peer comes to the host, says the word and hears the answer, which must be of that kind. The
 * caller frees it. */
void ask(const struct mig_job *job, const uint8_t with[WIRE_ID_BYTES],
         const struct wire_message *word, enum wire_tag due, struct wire_message *out);
/* A target's job that is PREPARED, and its partition. */
struct mig_job *prepared(struct vf_partition_info *p, bool stays_paused);
struct wire_message commit_of(const struct mig_job *job);
extern const struct wire_message call_off; /* ABORT */

#endif
