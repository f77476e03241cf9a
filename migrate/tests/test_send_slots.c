// SPDX-License-Identifier: Apache-2.0
/* Turns: so many at a time, in the order of asking; patience, deadlines and cancels end a wait. */
#include "migrate/net/send_slots.h"

#include "base/clock.h"
#include "base/thread.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define MOVES 16
#define MS 1000000ull

static bool never(void *ctx)
{
    (void)ctx;
    return false;
}

static bool flagged(void *ctx)
{
    return atomic_load((atomic_bool *)ctx);
}

/* A move that waits for its turn on a thread of its own. */
struct move {
    struct send_slots *slots;
    struct send_slot slot;
    pthread_t thread;
    atomic_bool end;
    bool got;
    unsigned place; /* in the order of starting */
};

static atomic_uint started;

static void *wait_for_slot(void *arg)
{
    struct move *move = arg;

    move->got = send_slots_take(move->slots, &move->slot, UINT64_MAX, flagged, &move->end);
    move->place = atomic_fetch_add(&started, 1u);
    return NULL;
}

/* Until the queue holds so many: what was asked before stands before. */
static void await_queue(struct send_slots *slots, unsigned length)
{
    unsigned found;

    vf_lock(&slots->lock);
    do {
        found = 0;
        for (struct send_slot *slot = slots->first; slot != NULL; slot = slot->next)
            found++;
        if (found < length) {
            vf_unlock(&slots->lock);
            (void)sched_yield();
            vf_lock(&slots->lock);
        }
    } while (found < length);
    vf_unlock(&slots->lock);
}

static void start(struct move *move, struct send_slots *slots, unsigned before)
{
    *move = (struct move){.slots = slots};
    assert_int_equal(pthread_create(&move->thread, NULL, wait_for_slot, move), 0);
    await_queue(slots, before + 1);
}

static void turns_are_given_in_the_order_of_asking(void **state)
{
    static struct move moves[MOVES];
    struct send_slot busy = {0};
    struct send_slots slots;

    (void)state;
    send_slots_init(&slots, 1);
    atomic_store(&started, 0);
    assert_true(send_slots_take(&slots, &busy, UINT64_MAX, never, NULL));
    for (unsigned i = 0; i < MOVES; i++)
        start(&moves[i], &slots, i);
    send_slots_give(&slots, &busy);
    for (unsigned i = 0; i < MOVES; i++) {
        assert_int_equal(pthread_join(moves[i].thread, NULL), 0);
        assert_true(moves[i].got);
        assert_int_equal(moves[i].place, i);
        send_slots_give(&slots, &moves[i].slot);
    }
    assert_int_equal(slots.taken, 0);
    send_slots_fini(&slots);
}

static void no_more_than_the_places_are_given(void **state)
{
    struct send_slot slot[4] = {0};
    struct send_slots slots;

    (void)state;
    send_slots_init(&slots, 3);
    for (unsigned i = 0; i < 3; i++)
        assert_true(send_slots_take(&slots, &slot[i], 0, never, NULL));
    assert_false(send_slots_take(&slots, &slot[3], 0, never, NULL));
    send_slots_give(&slots, &slot[1]);
    send_slots_give(&slots, &slot[1]); /* twice is once */
    assert_true(send_slots_take(&slots, &slot[3], 0, never, NULL));
    assert_false(send_slots_take(&slots, &slot[1], 0, never, NULL));
    send_slots_fini(&slots);
}

static void a_turn_that_is_had_is_not_taken_twice(void **state)
{
    struct send_slot slot = {0};
    struct send_slots slots;

    (void)state;
    send_slots_init(&slots, 1);
    assert_true(send_slots_take(&slots, &slot, 0, never, NULL));
    assert_true(send_slots_take(&slots, &slot, 0, never, NULL));
    assert_int_equal(slots.taken, 1);
    send_slots_fini(&slots);
}

static void a_cancel_ends_the_wait_and_lets_the_next_one_forward(void **state)
{
    static struct move moves[2];
    struct send_slot busy = {0};
    struct send_slots slots;

    (void)state;
    send_slots_init(&slots, 1);
    assert_true(send_slots_take(&slots, &busy, UINT64_MAX, never, NULL));
    start(&moves[0], &slots, 0);
    start(&moves[1], &slots, 1);
    atomic_store(&moves[0].end, true);
    send_slots_wake(&slots);
    assert_int_equal(pthread_join(moves[0].thread, NULL), 0);
    assert_false(moves[0].got);
    send_slots_give(&slots, &busy);
    assert_int_equal(pthread_join(moves[1].thread, NULL), 0);
    assert_true(moves[1].got);
    send_slots_fini(&slots);
}

static void a_deadline_ends_the_wait(void **state)
{
    struct send_slot busy = {0};
    struct send_slot late = {0};
    struct send_slots slots;
    uint64_t deadline = vf_now_ns() + 20 * MS;

    (void)state;
    send_slots_init(&slots, 1);
    assert_true(send_slots_take(&slots, &busy, UINT64_MAX, never, NULL));
    assert_false(send_slots_take(&slots, &late, deadline, never, NULL));
    assert_true(vf_now_ns() >= deadline);
    send_slots_fini(&slots);
}

/* One that never ends delays each of the others, and stops none. */
static void patience_ends_and_the_next_one_starts_beside(void **state)
{
    struct send_slot slot[4] = {0};
    struct send_slots slots;
    uint64_t begun = vf_now_ns();

    (void)state;
    send_slots_init(&slots, 1);
    slots.patience_ns = 20 * MS;
    slots.stall_ns = UINT64_MAX / 2;
    for (unsigned i = 0; i < 4; i++)
        assert_true(send_slots_take(&slots, &slot[i], UINT64_MAX, never, NULL));
    assert_true(vf_now_ns() - begun >= 3 * slots.patience_ns);
    assert_int_equal(slots.taken, 4);
    for (unsigned i = 0; i < 3; i++)
        send_slots_give(&slots, &slot[i]);
    /* Back below its places only when all but none are given back. */
    assert_false(send_slots_take(&slots, &slot[0], 0, never, NULL));
    send_slots_give(&slots, &slot[3]);
    assert_true(send_slots_take(&slots, &slot[0], 0, never, NULL));
    send_slots_fini(&slots);
}

/* As long as pages go the queue is patient; when none go it is not. */
static void a_turn_that_sends_nothing_holds_nobody_up_for_long(void **state)
{
    struct send_slot slot[3] = {0};
    struct send_slots slots;
    uint64_t begun = vf_now_ns();

    (void)state;
    send_slots_init(&slots, 1);
    slots.stall_ns = 20 * MS;
    assert_true(send_slots_take(&slots, &slot[0], UINT64_MAX, never, NULL));
    /* The last page goes in 60 ms. */
    atomic_store(&slots.sent_ns, begun + 60 * MS);
    assert_true(send_slots_take(&slots, &slot[1], UINT64_MAX, never, NULL));
    assert_true(vf_now_ns() - begun >= 80 * MS);
    begun = vf_now_ns();
    assert_true(send_slots_take(&slots, &slot[2], UINT64_MAX, never, NULL));
    assert_true(vf_now_ns() - begun < SEND_SLOT_PATIENCE_NS);
    send_slots_fini(&slots);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(turns_are_given_in_the_order_of_asking),
        cmocka_unit_test(no_more_than_the_places_are_given),
        cmocka_unit_test(a_turn_that_is_had_is_not_taken_twice),
        cmocka_unit_test(a_cancel_ends_the_wait_and_lets_the_next_one_forward),
        cmocka_unit_test(a_deadline_ends_the_wait),
        cmocka_unit_test(patience_ends_and_the_next_one_starts_beside),
        cmocka_unit_test(a_turn_that_sends_nothing_holds_nobody_up_for_long),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
