// SPDX-License-Identifier: Apache-2.0
/* See send_slots.h. */
#include "migrate/net/send_slots.h"

#include "base/clock.h"
#include "base/limits.h"
#include "base/thread.h"

#include <string.h>

#define PROCESSORS_A_MOVE 4u

unsigned send_slots_default(void)
{
    const unsigned count = vf_processors();

    return count < PROCESSORS_A_MOVE ? 1 : count / PROCESSORS_A_MOVE;
}

void send_slots_init(struct send_slots *slots, unsigned places)
{
    memset(slots, 0, sizeof *slots);
    slots->places = places;
    slots->patience_ns = SEND_SLOT_PATIENCE_NS;
    slots->stall_ns = SEND_SLOT_STALL_NS;
    slots->last = &slots->first;
    vf_lock_init(&slots->lock);
    vf_cond_init(&slots->changed);
}

void send_slots_fini(struct send_slots *slots)
{
    vf_cond_fini(&slots->changed);
    vf_lock_fini(&slots->lock);
}

/* Under the lock: may the first of the queue start? `*when` is when it may at the latest. */
static bool may_start(const struct send_slots *slots, uint64_t *when)
{
    uint64_t sent_ns = atomic_load_explicit(&slots->sent_ns, memory_order_relaxed);
    uint64_t stalled = (sent_ns > slots->given_ns ? sent_ns : slots->given_ns) + slots->stall_ns;

    *when = slots->given_ns + slots->patience_ns;
    if (stalled < *when)
        *when = stalled;
    return slots->taken < slots->places || vf_now_ns() >= *when;
}

/* Under the lock. */
static void leave_queue(struct send_slots *slots, struct send_slot *slot)
{
    struct send_slot **at = &slots->first;

    while (*at != slot)
        at = &(*at)->next;
    *at = slot->next;
    if (*at == NULL)
        slots->last = at;
    slot->queued = false;
    /* Whoever is first now has something to look at. */
    vf_cond_broadcast(&slots->changed);
}

bool send_slots_take(struct send_slots *slots, struct send_slot *slot, uint64_t deadline_ns,
                     bool (*ended)(void *ctx), void *ctx)
{
    vf_lock(&slots->lock);
    if (!slot->has) {
        slot->next = NULL;
        slot->queued = true;
        *slots->last = slot;
        slots->last = &slot->next;
    }
    while (slot->queued) {
        uint64_t when = UINT64_MAX;

        if (slots->first == slot && may_start(slots, &when)) {
            slot->has = true;
            slots->taken++;
            slots->given_ns = vf_now_ns();
            leave_queue(slots, slot);
        } else if (vf_now_ns() >= deadline_ns || ended(ctx)) {
            leave_queue(slots, slot);
        } else {
            (void)vf_cond_wait_until(&slots->changed, &slots->lock,
                                     when < deadline_ns ? when : deadline_ns);
        }
    }
    vf_unlock(&slots->lock);
    return slot->has;
}

void send_slots_give(struct send_slots *slots, struct send_slot *slot)
{
    vf_lock(&slots->lock);
    if (slot->has) {
        slot->has = false;
        slots->taken--;
        vf_cond_broadcast(&slots->changed);
    }
    vf_unlock(&slots->lock);
}

void send_slots_note_sent(struct send_slots *slots)
{
    atomic_store_explicit(&slots->sent_ns, vf_now_ns(), memory_order_relaxed);
}

void send_slots_wake(struct send_slots *slots)
{
    vf_lock(&slots->lock);
    vf_cond_broadcast(&slots->changed);
    vf_unlock(&slots->lock);
}
