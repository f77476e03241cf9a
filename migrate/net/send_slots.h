// SPDX-License-Identifier: Apache-2.0
/*
 * Whose pages go now. Moves that share a host's engine, processors and link equally all get slower,
 * and the slower a round is, the more is dirtied meanwhile: sixteen at once then converge late or
 * never, and their blackouts meet. So only some moves of a host send at a time, and the others wait
 * in the order in which they were admitted, working on meanwhile.
 *
 * Nobody waits for ever: a turn that lasts long holds the queue up for SEND_SLOT_PATIENCE_NS, and
 * turns that send nothing (a peer that hangs, a link that died) for SEND_SLOT_STALL_NS; then the
 * next one starts beside them.
 */
#ifndef MIGRATE_NET_SEND_SLOTS_H
#define MIGRATE_NET_SEND_SLOTS_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define SEND_SLOT_PATIENCE_NS 10000000000ull
#define SEND_SLOT_STALL_NS 1000000000ull

struct send_slot {
    struct send_slot *next;
    bool queued; /* written under turns->lock, by its owner's thread; so is has */
    bool has;
};

struct send_slots {
    pthread_mutex_t lock; /* guards what follows; taken after a job's lock, before a link's */
    pthread_cond_t changed;
    unsigned places;          /* turns at a time; constant */
    uint64_t patience_ns;     /* SEND_SLOT_PATIENCE_NS; a test has less */
    uint64_t stall_ns;        /* SEND_SLOT_STALL_NS, likewise */
    _Atomic uint64_t sent_ns; /* when any move last sent pages; not guarded */
    unsigned taken;    /* given and not yet given back; more than places after patience ended */
    uint64_t given_ns; /* when the last one was given */
    struct send_slot *first, **last;
};

/* A place for every four processors, at least one: a move keeps about four threads busy. */
unsigned send_slots_default(void);
void send_slots_init(struct send_slots *slots, unsigned places);
void send_slots_fini(struct send_slots *slots);
/* Waits for a turn, in order of asking. `ended` is asked at each change: true ends the wait. False:
 * no turn, because of that, or because of the deadline (UINT64_MAX = none, 0 = only if one is free
 * now). Has it already: true. The owner's thread only. */
bool send_slots_take(struct send_slots *slots, struct send_slot *slot, uint64_t deadline_ns,
                     bool (*ended)(void *ctx), void *ctx);
/* Gives it back; without one nothing happens. The owner's thread only. */
void send_slots_give(struct send_slots *slots, struct send_slot *slot);
/* Pages were sent. Any thread. */
void send_slots_note_sent(struct send_slots *slots);
/* Has all who wait look at their `ended` again. Any thread. */
void send_slots_wake(struct send_slots *slots);

#endif
