// SPDX-License-Identifier: Apache-2.0
/* See send_slots.h. */
#include "migrate/net/send_slots.h"

#include "base/size.h"

#include <sched.h>
#include <string.h>

#define PROCESSORS_A_MOVE 4

unsigned turns_default(void)
{
    cpu_set_t set;
    int count = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;

    return count < PROCESSORS_A_MOVE ? 1 : (unsigned)(count / PROCESSORS_A_MOVE);
}

void turns_init(struct turns *turns, unsigned places)
{
    memset(turns, 0, sizeof *turns);
    turns->places = places;
    turns->patience_ns = TURN_PATIENCE_NS;
    turns->stall_ns = TURN_STALL_NS;
    turns->last = &turns->first;
    (void)pthread_mutex_init(&turns->lock, NULL);
    vf_cond_init(&turns->changed);
}

void turns_fini(struct turns *turns)
{
    (void)pthread_cond_destroy(&turns->changed);
    (void)pthread_mutex_destroy(&turns->lock);
}

/* Under the lock: may the first of the queue start? `*when` is when it may at the latest. */
static bool may_start(const struct turns *turns, uint64_t *when)
{
    uint64_t sent_ns = atomic_load_explicit(&turns->sent_ns, memory_order_relaxed);
    uint64_t stalled = (sent_ns > turns->given_ns ? sent_ns : turns->given_ns) + turns->stall_ns;

    *when = turns->given_ns + turns->patience_ns;
    if (stalled < *when)
        *when = stalled;
    return turns->taken < turns->places || vf_now_ns() >= *when;
}

/* Under the lock. */
static void leave_queue(struct turns *turns, struct turn *turn)
{
    struct turn **at = &turns->first;

    while (*at != turn)
        at = &(*at)->next;
    *at = turn->next;
    if (*at == NULL)
        turns->last = at;
    turn->queued = false;
    /* Whoever is first now has something to look at. */
    (void)pthread_cond_broadcast(&turns->changed);
}

static void wait_change(struct turns *turns, uint64_t until_ns)
{
    struct timespec until = vf_timespec(until_ns);

    if (until_ns == UINT64_MAX)
        (void)pthread_cond_wait(&turns->changed, &turns->lock);
    else
        (void)pthread_cond_timedwait(&turns->changed, &turns->lock, &until);
}

bool turns_take(struct turns *turns, struct turn *turn, uint64_t deadline_ns,
                bool (*ended)(void *ctx), void *ctx)
{
    (void)pthread_mutex_lock(&turns->lock);
    if (!turn->has) {
        turn->next = NULL;
        turn->queued = true;
        *turns->last = turn;
        turns->last = &turn->next;
    }
    while (turn->queued) {
        uint64_t when = UINT64_MAX;

        if (turns->first == turn && may_start(turns, &when)) {
            turn->has = true;
            turns->taken++;
            turns->given_ns = vf_now_ns();
            leave_queue(turns, turn);
        } else if (vf_now_ns() >= deadline_ns || ended(ctx)) {
            leave_queue(turns, turn);
        } else {
            wait_change(turns, when < deadline_ns ? when : deadline_ns);
        }
    }
    (void)pthread_mutex_unlock(&turns->lock);
    return turn->has;
}

void turns_give(struct turns *turns, struct turn *turn)
{
    (void)pthread_mutex_lock(&turns->lock);
    if (turn->has) {
        turn->has = false;
        turns->taken--;
        (void)pthread_cond_broadcast(&turns->changed);
    }
    (void)pthread_mutex_unlock(&turns->lock);
}

void turns_note_sent(struct turns *turns)
{
    atomic_store_explicit(&turns->sent_ns, vf_now_ns(), memory_order_relaxed);
}

void turns_wake(struct turns *turns)
{
    (void)pthread_mutex_lock(&turns->lock);
    (void)pthread_cond_broadcast(&turns->changed);
    (void)pthread_mutex_unlock(&turns->lock);
}
