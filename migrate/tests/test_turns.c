// SPDX-License-Identifier: Apache-2.0
/* Turns: so many at a time, in the order of asking; patience, deadlines and cancels end a wait. */
#include "migrate/net/send_slots.h"

#include "base/size.h"

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
    struct turns *turns;
    struct turn turn;
    pthread_t thread;
    atomic_bool end;
    bool got;
    unsigned place; /* in the order of starting */
};

static atomic_uint started;

static void *wait_for_turn(void *arg)
{
    struct move *move = arg;

    move->got = turns_take(move->turns, &move->turn, UINT64_MAX, flagged, &move->end);
    move->place = atomic_fetch_add(&started, 1u);
    return NULL;
}

/* Until the queue holds so many: what was asked before stands before. */
static void await_queue(struct turns *turns, unsigned length)
{
    unsigned found;

    (void)pthread_mutex_lock(&turns->lock);
    do {
        found = 0;
        for (struct turn *turn = turns->first; turn != NULL; turn = turn->next)
            found++;
        if (found < length) {
            (void)pthread_mutex_unlock(&turns->lock);
            (void)sched_yield();
            (void)pthread_mutex_lock(&turns->lock);
        }
    } while (found < length);
    (void)pthread_mutex_unlock(&turns->lock);
}

static void start(struct move *move, struct turns *turns, unsigned before)
{
    *move = (struct move){.turns = turns};
    assert_int_equal(pthread_create(&move->thread, NULL, wait_for_turn, move), 0);
    await_queue(turns, before + 1);
}

static void turns_are_given_in_the_order_of_asking(void **state)
{
    static struct move moves[MOVES];
    struct turn busy = {0};
    struct turns turns;

    (void)state;
    turns_init(&turns, 1);
    atomic_store(&started, 0);
    assert_true(turns_take(&turns, &busy, UINT64_MAX, never, NULL));
    for (unsigned i = 0; i < MOVES; i++)
        start(&moves[i], &turns, i);
    turns_give(&turns, &busy);
    for (unsigned i = 0; i < MOVES; i++) {
        assert_int_equal(pthread_join(moves[i].thread, NULL), 0);
        assert_true(moves[i].got);
        assert_int_equal(moves[i].place, i);
        turns_give(&turns, &moves[i].turn);
    }
    assert_int_equal(turns.taken, 0);
    turns_fini(&turns);
}

static void no_more_than_the_places_are_given(void **state)
{
    struct turn turn[4] = {0};
    struct turns turns;

    (void)state;
    turns_init(&turns, 3);
    for (unsigned i = 0; i < 3; i++)
        assert_true(turns_take(&turns, &turn[i], 0, never, NULL));
    assert_false(turns_take(&turns, &turn[3], 0, never, NULL));
    turns_give(&turns, &turn[1]);
    turns_give(&turns, &turn[1]); /* twice is once */
    assert_true(turns_take(&turns, &turn[3], 0, never, NULL));
    assert_false(turns_take(&turns, &turn[1], 0, never, NULL));
    turns_fini(&turns);
}

static void a_turn_that_is_had_is_not_taken_twice(void **state)
{
    struct turn turn = {0};
    struct turns turns;

    (void)state;
    turns_init(&turns, 1);
    assert_true(turns_take(&turns, &turn, 0, never, NULL));
    assert_true(turns_take(&turns, &turn, 0, never, NULL));
    assert_int_equal(turns.taken, 1);
    turns_fini(&turns);
}

static void a_cancel_ends_the_wait_and_lets_the_next_one_forward(void **state)
{
    static struct move moves[2];
    struct turn busy = {0};
    struct turns turns;

    (void)state;
    turns_init(&turns, 1);
    assert_true(turns_take(&turns, &busy, UINT64_MAX, never, NULL));
    start(&moves[0], &turns, 0);
    start(&moves[1], &turns, 1);
    atomic_store(&moves[0].end, true);
    turns_wake(&turns);
    assert_int_equal(pthread_join(moves[0].thread, NULL), 0);
    assert_false(moves[0].got);
    turns_give(&turns, &busy);
    assert_int_equal(pthread_join(moves[1].thread, NULL), 0);
    assert_true(moves[1].got);
    turns_fini(&turns);
}

static void a_deadline_ends_the_wait(void **state)
{
    struct turn busy = {0};
    struct turn late = {0};
    struct turns turns;
    uint64_t deadline = vf_now_ns() + 20 * MS;

    (void)state;
    turns_init(&turns, 1);
    assert_true(turns_take(&turns, &busy, UINT64_MAX, never, NULL));
    assert_false(turns_take(&turns, &late, deadline, never, NULL));
    assert_true(vf_now_ns() >= deadline);
    turns_fini(&turns);
}

/* One that never ends delays each of the others, and stops none. */
static void patience_ends_and_the_next_one_starts_beside(void **state)
{
    struct turn turn[4] = {0};
    struct turns turns;
    uint64_t begun = vf_now_ns();

    (void)state;
    turns_init(&turns, 1);
    turns.patience_ns = 20 * MS;
    turns.stall_ns = UINT64_MAX / 2;
    for (unsigned i = 0; i < 4; i++)
        assert_true(turns_take(&turns, &turn[i], UINT64_MAX, never, NULL));
    assert_true(vf_now_ns() - begun >= 3 * turns.patience_ns);
    assert_int_equal(turns.taken, 4);
    for (unsigned i = 0; i < 3; i++)
        turns_give(&turns, &turn[i]);
    /* Back below its places only when all but none are given back. */
    assert_false(turns_take(&turns, &turn[0], 0, never, NULL));
    turns_give(&turns, &turn[3]);
    assert_true(turns_take(&turns, &turn[0], 0, never, NULL));
    turns_fini(&turns);
}

/* As long as pages go the queue is patient; when none go it is not. */
static void a_turn_that_sends_nothing_holds_nobody_up_for_long(void **state)
{
    struct turn turn[3] = {0};
    struct turns turns;
    uint64_t begun = vf_now_ns();

    (void)state;
    turns_init(&turns, 1);
    turns.stall_ns = 20 * MS;
    assert_true(turns_take(&turns, &turn[0], UINT64_MAX, never, NULL));
    /* The last page goes in 60 ms. */
    atomic_store(&turns.sent_ns, begun + 60 * MS);
    assert_true(turns_take(&turns, &turn[1], UINT64_MAX, never, NULL));
    assert_true(vf_now_ns() - begun >= 80 * MS);
    begun = vf_now_ns();
    assert_true(turns_take(&turns, &turn[2], UINT64_MAX, never, NULL));
    assert_true(vf_now_ns() - begun < TURN_PATIENCE_NS);
    turns_fini(&turns);
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
