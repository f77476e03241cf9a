// SPDX-License-Identifier: Apache-2.0
/* VRAM between whoever takes it and the thread that proves it (vram/vram.c), without an adapter:
 * a test says what every byte is and how long it takes to look at it and to fill it. */
#include "dxgk/vram/vram.h"

#include "base/thread.h"
#include "dxgk/paging/paging.h"
#include "dxgk/vram/scrub.h"
#include "dxgk/waits.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#define MIB (1ull << 20)
#define GRANULE 65536ull
#define TOTAL (64 * MIB)

static struct dxgk_adapter adapter;
static pthread_mutex_t lock = VF_LOCK_INITIALIZER; /* guards what follows */
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static bool dirty[TOTAL / GRANULE]; /* granules that are not zero */
static bool held;                   /* whoever fills stands */
static DXGK_MEMORYRANGE filling;    /* now; no bytes = nothing */
static uint64_t filled;             /* bytes, in all */
static unsigned fills;              /* how often it was tried */
static bool reported, fails;

/* ---- what vram.c stands on ---- */

int dxgk_look(struct dxgk_adapter *unused, const DXGK_MEMORYRANGE *range,
              const struct dxgk_wanted *wanted, bool *zero, struct vf_error *err)
{
    (void)unused;
    (void)wanted;
    (void)err;
    vf_lock(&lock);
    *zero = true;
    for (uint64_t at = 0; at < range->SizeInBytes; at += GRANULE)
        *zero = *zero && !dirty[(range->SegmentOffset + at) / GRANULE];
    vf_unlock(&lock);
    return 0;
}

int dxgk_scrub(struct dxgk_adapter *unused, const DXGK_MEMORYRANGE *range,
               const struct dxgk_wanted *wanted, bool *lied, struct vf_error *err)
{
    int result = 0;

    (void)unused;
    (void)wanted;
    *lied = false;
    vf_lock(&lock);
    filling = *range;
    fills++;
    vf_cond_broadcast(&changed);
    while (held)
        vf_cond_wait(&changed, &lock);
    for (uint64_t at = 0; at < range->SizeInBytes && !fails; at += GRANULE)
        dirty[(range->SegmentOffset + at) / GRANULE] = false;
    filled += fails ? 0 : range->SizeInBytes;
    filling.SizeInBytes = 0;
    if (fails)
        result = (vf_fail(err, VF_FAILED, "fails"), DXGK_ENGINE_FAILED);
    vf_unlock(&lock);
    return result;
}

int dxgk_still_wanted(const struct dxgk_wanted *wanted, struct vf_error *err)
{
    (void)wanted;
    (void)err;
    return 0;
}

uint32_t dxgk_paging_submissions(const struct dxgk_paging *paging)
{
    (void)paging;
    return 0;
}

void dxgk_gate_enter(struct dxgk_adapter *unused)
{
    (void)unused;
}

void dxgk_gate_leave(struct dxgk_adapter *unused)
{
    (void)unused;
}

int dxgk_gate_alive(const struct dxgk_adapter *unused, struct vf_error *err)
{
    (void)unused;
    (void)err;
    return 0;
}

void dxgk_waits_for(const void *what)
{
    (void)what;
}

void dxgk_waits_holds(const void *what)
{
    (void)what;
}

void dxgk_waits_lets_go(const void *what)
{
    (void)what;
}

void dxgk_report(struct dxgk_adapter *unused, const char *rule, const char *format, ...)
{
    (void)unused;
    (void)rule;
    (void)format;
    reported = true;
}

/* ---- the cases ---- */

static int set_up(void **unused)
{
    struct vf_error error = VF_ERROR_INIT;

    (void)unused;
    memset(&adapter, 0, sizeof adapter);
    memset(dirty, 0, sizeof dirty);
    held = reported = fails = false;
    filled = fills = 0;
    adapter.caps.vram_bytes = TOTAL;
    adapter.caps.granule = GRANULE;
    adapter.paging = (struct dxgk_paging *)(void *)&adapter; /* there is one */
    vf_lock_init(&adapter.lock);
    return dxgk_vram_create(&adapter, &error);
}

static void let_fill(void)
{
    vf_lock(&lock);
    held = false;
    vf_cond_broadcast(&changed);
    vf_unlock(&lock);
}

static int tear_down(void **unused)
{
    (void)unused;
    let_fill();
    dxgk_vram_background_stop(&adapter);
    dxgk_vram_destroy(&adapter);
    vf_lock_fini(&adapter.lock);
    return 0;
}

static void moment(void)
{
    (void)nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
}

static uint64_t unproven(void)
{
    return vf_locked(&adapter.lock, dxgk_reserve_unproven_bytes(adapter.reserve));
}

static void await_unproven(uint64_t bytes)
{
    for (int i = 0; unproven() != bytes; i++) {
        assert_true(i < 60000);
        moment();
    }
}

static DXGK_MEMORYRANGE *take(uint64_t bytes, uint64_t low, uint64_t high)
{
    const struct dxgk_reserve_want want = {.bytes = bytes, .low = low, .high = high};
    struct vf_error error = VF_ERROR_INIT;
    DXGK_MEMORYRANGE *ranges;
    uint32_t count;

    if (dxgk_vram_take(&adapter, &want, &ranges, &count, &error) != 0)
        fail_msg("%s", error.text);
    assert_int_equal(count, 1);
    return ranges;
}

static void give(DXGK_MEMORYRANGE *ranges)
{
    dxgk_vram_give(&adapter, ranges, 1, NULL);
    free(ranges);
}

/* A tenant has been there, so the driver has said where one may be. */
static void leave_dirt(uint64_t bytes)
{
    DXGK_MEMORYRANGE *ranges = take(bytes, 0, 0);

    memset(dirty, true, bytes / GRANULE);
    give(ranges);
}

static void await_filling(void)
{
    vf_lock(&lock);
    while (filling.SizeInBytes == 0)
        vf_cond_wait(&changed, &lock);
    vf_unlock(&lock);
}

static void what_is_zero_already_is_only_looked_at(void **unused)
{
    (void)unused;
    dxgk_vram_background_start(&adapter);
    await_unproven(0);
    assert_int_equal(filled, 0);
}

/* Nobody has said yet that it is not the driver's own. */
static void what_is_not_zero_is_not_filled_before_a_partition_may_lie_there(void **unused)
{
    (void)unused;
    dirty[0] = dirty[20 * MIB / GRANULE] = true;
    dxgk_vram_background_start(&adapter);
    await_unproven(8 * MIB); /* the pieces that these are in */
    assert_int_equal(filled, 0);
    give(take(4 * MIB, 16 * MIB, 0));
    await_unproven(4 * MIB);
    assert_true(filled > 0);
    assert_true(dirty[0]);
}

struct taker {
    pthread_t thread;
    const DXGK_MEMORYRANGE *claim; /* NULL: takes all there is */
    _Atomic bool over;
};

static void *take_it(void *arg)
{
    struct taker *taker = arg;

    if (taker->claim != NULL)
        assert_true(dxgk_vram_claim(&adapter, taker->claim));
    else
        free(take(TOTAL, 0, 0));
    taker->over = true;
    return NULL;
}

/* The fill that goes on would wipe out what the taker writes. */
static void waits_for_the_piece(const DXGK_MEMORYRANGE *claim)
{
    struct taker taker = {.claim = claim};

    leave_dirt(TOTAL);
    held = true;
    dxgk_vram_background_start(&adapter);
    await_filling();
    assert_int_equal(pthread_create(&taker.thread, NULL, take_it, &taker), 0);
    while (vf_locked(&adapter.lock, dxgk_reserve_free(adapter.reserve)) == TOTAL)
        moment(); /* it has taken, and stands */
    for (int i = 0; i < 50; i++) {
        moment();
        assert_false(taker.over);
    }
    let_fill();
    assert_int_equal(pthread_join(taker.thread, NULL), 0);
}

static void whoever_takes_the_piece_at_hand_waits_for_it(void **unused)
{
    (void)unused;
    waits_for_the_piece(NULL);
}

static void whoever_claims_a_part_of_it_waits_too(void **unused)
{
    const DXGK_MEMORYRANGE part = {.SegmentOffset = GRANULE, .SizeInBytes = GRANULE};

    (void)unused;
    waits_for_the_piece(&part);
}

static void whoever_takes_another_does_not(void **unused)
{
    DXGK_MEMORYRANGE *ranges;

    (void)unused;
    leave_dirt(TOTAL);
    held = true;
    dxgk_vram_background_start(&adapter);
    await_filling();
    ranges = take(4 * MIB, 32 * MIB, 0);
    let_fill();
    give(ranges);
    await_unproven(0);
}

static void what_was_used_is_not_proven_when_it_comes_back(void **unused)
{
    DXGK_MEMORYRANGE *ranges, bad;
    struct vf_error error = VF_ERROR_INIT;

    (void)unused;
    ranges = take(TOTAL, 0, 0);
    assert_int_equal(dxgk_vram_clean(&adapter, ranges, 1, NULL, &bad, &error), 0);
    give(ranges);
    assert_int_equal(unproven(), TOTAL);
}

static void a_piece_that_cannot_be_filled_is_nobody_s_any_more(void **unused)
{
    DXGK_MEMORYRANGE *ranges, bad;
    struct vf_error error = VF_ERROR_INIT;

    (void)unused;
    leave_dirt(GRANULE);
    fails = true;
    ranges = take(TOTAL, 0, 0);
    assert_int_equal(dxgk_vram_clean(&adapter, ranges, 1, NULL, &bad, &error), -1);
    assert_int_equal(bad.SegmentOffset, 0);
    assert_int_equal(bad.SizeInBytes, 32 * MIB);
    dxgk_vram_give(&adapter, ranges, 1, &bad);
    free(ranges);
    assert_int_equal(vf_locked(&adapter.lock, dxgk_reserve_free(adapter.reserve)), 32 * MIB);
    give(take(32 * MIB, 0, 0));
}

/* An engine that can fill nothing is not asked for the whole card. */
static void the_thread_gives_up_after_some_failures_and_tries_again_later(void **unused)
{
    (void)unused;
    leave_dirt(TOTAL);
    fails = true;
    dxgk_vram_background_start(&adapter);
    while (vf_locked(&lock, fills) < 3)
        moment();
    for (int i = 0; i < 100; i++)
        moment();
    assert_int_equal(vf_locked(&lock, fills), 3);
    vf_lock(&lock);
    fails = false;
    vf_unlock(&lock);
    give(take(GRANULE, 0, 0));
    await_unproven(0);
    assert_false(reported);
}

/* It may have used what was free, and keep another part for itself. */
static void another_driver_s_vram_is_looked_at_anew_and_not_filled(void **unused)
{
    (void)unused;
    leave_dirt(GRANULE);
    dxgk_vram_background_start(&adapter);
    await_unproven(0);
    vf_lock(&lock);
    dirty[TOTAL / GRANULE - 1] = true;
    filled = 0;
    vf_unlock(&lock);
    dxgk_vram_forget(&adapter);
    await_unproven(4 * MIB);
    assert_int_equal(vf_locked(&lock, filled), 0);
}

/* An edge of the window within a piece. */
static void what_lies_inside_the_window_is_filled_up_to_its_edge(void **unused)
{
    (void)unused;
    memset(dirty, true, sizeof dirty);
    dxgk_vram_background_start(&adapter);
    give(take(4 * MIB, 2 * MIB, 62 * MIB));
    await_unproven(4 * MIB); /* what the driver keeps */
    assert_true(dirty[0] && dirty[TOTAL / GRANULE - 1]);
    assert_false(dirty[2 * MIB / GRANULE] || dirty[62 * MIB / GRANULE - 1]);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_is_zero_already_is_only_looked_at),
        TEST(what_is_not_zero_is_not_filled_before_a_partition_may_lie_there),
        TEST(whoever_takes_the_piece_at_hand_waits_for_it),
        TEST(whoever_claims_a_part_of_it_waits_too),
        TEST(whoever_takes_another_does_not),
        TEST(what_was_used_is_not_proven_when_it_comes_back),
        TEST(a_piece_that_cannot_be_filled_is_nobody_s_any_more),
        TEST(another_driver_s_vram_is_looked_at_anew_and_not_filled),
        TEST(what_lies_inside_the_window_is_filled_up_to_its_edge),
        TEST(the_thread_gives_up_after_some_failures_and_tries_again_later),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
