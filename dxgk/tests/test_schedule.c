// SPDX-License-Identifier: Apache-2.0
/*
 * SRC-1, SRC-5, SRC-7, VF-6: the shares of the engine's time before, during and after a
 * move, measured through the whole stack while paging is busy all the time. Runs alone:
 * shares are measured.
 */
#include "dxgk/tests/rig/moverig.h"

#include "base/clock.h"
#include "base/thread.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#define MIB (1ull << 20)
#define RESERVE (32 * MIB)
#define PAGE 65536ull
#define SLOTS 8u
#define SLOT_PAGES 32u
#define SPAN_NS 300000000ull
#define SPANS 12u

static const char *const devices[] = {"softgpu,vram=128M,vfs=2,dirty-page=64K", NULL};

/* ---- paging that never pauses ---- */

struct pager {
    struct dxgk_channel *channel;
    pthread_t thread;
    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t cond;
    uint32_t idle; /* bit n = slot n is free */
    uint64_t done, failed;
    bool stop;
};

static void page_done(void *ctx, uint64_t cookie, int status)
{
    struct pager *pager = ctx;

    vf_lock(&pager->lock);
    pager->idle |= 1u << cookie;
    pager->done++;
    pager->failed += status != 0;
    vf_cond_signal(&pager->cond);
    vf_unlock(&pager->lock);
}

/* Keeps every slot in flight. */
static void *page_on(void *arg)
{
    struct pager *pager = arg;
    struct vf_error error = VF_ERROR_INIT;
    uint64_t pages[SLOT_PAGES];
    bool stop = false;

    for (uint64_t i = 0; i < SLOT_PAGES; i++)
        pages[i] = i * 7 % (RESERVE / PAGE);
    while (!stop) {
        vf_lock(&pager->lock);
        while (pager->idle == 0 && !pager->stop)
            vf_cond_wait(&pager->cond, &pager->lock);
        stop = pager->stop;
        uint32_t slot = (uint32_t)__builtin_ctz(pager->idle | 1u << SLOTS);
        pager->idle &= ~(1u << slot);
        vf_unlock(&pager->lock);
        if (!stop && dxgk_channel_submit(pager->channel, DXGK_GATHER, slot, pages, SLOT_PAGES, slot,
                                         &error) != 0)
            return (void *)-1;
    }
    return NULL;
}

static void pager_start(struct pager *pager, struct rig *rig, uint64_t id)
{
    struct dxgk_channel_config config = {
        .slots = SLOTS, .slot_bytes = SLOT_PAGES * PAGE, .done = page_done, .ctx = pager};
    struct vf_error error = VF_ERROR_INIT;
    int fd;

    *pager = (struct pager){.idle = (1u << SLOTS) - 1};
    vf_lock_init(&pager->lock);
    vf_cond_init(&pager->cond);
    must(dxgk_channel_open(rig->dxgk, id, &config, &pager->channel, &fd, &error), &error);
    assert_int_equal(pthread_create(&pager->thread, NULL, page_on, pager), 0);
}

static void pager_stop(struct pager *pager)
{
    void *result;

    vf_lock(&pager->lock);
    pager->stop = true;
    vf_cond_signal(&pager->cond);
    vf_unlock(&pager->lock);
    assert_int_equal(pthread_join(pager->thread, &result), 0);
    assert_null(result);
    dxgk_channel_close(pager->channel);
    assert_true(pager->done > SLOTS);
    assert_int_equal(pager->failed, 0);
}

/* ---- shares ---- */

struct share {
    double migrating, neighbour; /* parts of the engine's time */
};

static uint64_t runtime(struct rig *rig, uint64_t id)
{
    struct vf_error error = VF_ERROR_INIT;
    struct vf_partition_clock clock;

    must(dxgk_partition_clock(rig->dxgk, id, &clock, &error), &error);
    return clock.runtime_ns;
}

static struct share measure(struct rig *rig, uint64_t migrating, uint64_t neighbour)
{
    uint64_t a = runtime(rig, migrating), b = runtime(rig, neighbour), start = vf_now_ns();

    (void)nanosleep(&(struct timespec){.tv_nsec = SPAN_NS}, NULL);
    double span = (double)(vf_now_ns() - start);
    return (struct share){(double)(runtime(rig, migrating) - a) / span,
                          (double)(runtime(rig, neighbour) - b) / span};
}

static bool near(double is, double wanted)
{
    return is > wanted - 0.1 && is < wanted + 0.1;
}

/*
 * A VF's time counts in whole slots of 2 ms, some of them cut by the ends of the span. On a machine
 * that has other things to do, a span may have moments in which no page is in flight, or an engine
 * not its processor: so the shares have some spans' time to show. What is wrong stays wrong.
 */
static void expect(struct rig *rig, uint64_t migrates, uint64_t stays, const char *when,
                   double migrating, double neighbour)
{
    struct share is = {0};

    for (unsigned span = 0; span < SPANS; span++) {
        is = measure(rig, migrates, stays);
        print_message("# %s: migrating %.2f, neighbour %.2f\n", when, is.migrating, is.neighbour);
        if (near(is.migrating, migrating) && near(is.neighbour, neighbour))
            return;
    }
    fail_msg("%s: shares %.2f and %.2f, expected %.2f and %.2f", when, is.migrating, is.neighbour,
             migrating, neighbour);
}

/* A test that fails leaves its threads, and these are what they look at. */
static struct pager pager;
static struct rig rig;
static uint64_t moves, stays;

static void two_at_work(void)
{
    rig_open(&rig, devices, NULL);
    moves = rig_create(&rig, "moves", 0, RESERVE / MIB, false);
    stays = rig_create(&rig, "stays", 0, RESERVE / MIB, false);
    rig_run(&rig, moves, RESERVE, 1, 0);
    rig_run(&rig, stays, RESERVE, 2, 0);
}

/* VF-6, SRC-1, SRC-7: The migrating VF lends half of its own time to paging and gets it back with
 * End, on success and on abort; the neighbour has its half of the engine throughout. */
static void paging_takes_its_time_from_the_migrating_vf_alone(void **unused)
{
    struct vf_error error = VF_ERROR_INIT;

    (void)unused;
    two_at_work();
    expect(&rig, moves, stays, "idle paging", 0.5, 0.5);
    pager_start(&pager, &rig, moves);
    expect(&rig, moves, stays, "before Prepare", 0.5, 0.5);
    for (unsigned turn = 0; turn < 2; turn++) {
        must(dxgk_migration_prepare(rig.dxgk, moves, DXGK_SOURCE, 1, &error), &error);
        expect(&rig, moves, stays, "between Prepare and End", 0.25, 0.5);
        must(dxgk_migration_end(rig.dxgk, moves, &error), &error);
        expect(&rig, moves, stays, "after End", 0.5, 0.5);
    }
    pager_stop(&pager);
    rig_close(&rig);
}

/* SRC-5: paused, the VF gets nothing; its slots are free for whoever wants them. Resumed within the
 * move, it lends again. */
static void a_pause_within_the_move_stops_the_vf_alone(void **unused)
{
    struct vf_error error = VF_ERROR_INIT;

    (void)unused;
    two_at_work();
    pager_start(&pager, &rig, moves);
    must(dxgk_migration_prepare(rig.dxgk, moves, DXGK_SOURCE, 1, &error), &error);
    must(dxgk_partition_pause(rig.dxgk, moves, &error), &error);
    expect(&rig, moves, stays, "paused", 0, 1);
    assert_true(measure(&rig, moves, stays).migrating == 0);
    must(dxgk_partition_resume(rig.dxgk, moves, &error), &error);
    expect(&rig, moves, stays, "resumed", 0.25, 0.5);
    must(dxgk_migration_end(rig.dxgk, moves, &error), &error);
    expect(&rig, moves, stays, "after End", 0.5, 0.5);
    pager_stop(&pager);
    rig_close(&rig);
}

/* VF-6: a VF that is slowed has less, and what it leaves is the neighbour's, whose own half stays
 * whole. Afterwards both have what they had. */
static void a_throttle_takes_nothing_from_the_neighbour(void **unused)
{
    struct vf_error error = VF_ERROR_INIT;
    struct share is = {0};
    unsigned span;

    (void)unused;
    two_at_work();
    pager_start(&pager, &rig, moves);
    must(dxgk_migration_prepare(rig.dxgk, moves, DXGK_SOURCE, 1, &error), &error);
    expect(&rig, moves, stays, "not slowed", 0.25, 0.5);
    must(dxgk_partition_throttle(rig.dxgk, moves, 80, &error), &error);
    for (span = 0; span < SPANS && (is.neighbour < 0.5 || is.migrating > 0.15); span++) {
        is = measure(&rig, moves, stays);
        print_message("# slowed by 80 %%: migrating %.2f, neighbour %.2f\n", is.migrating,
                      is.neighbour);
    }
    assert_true(span < SPANS || (is.neighbour >= 0.5 && is.migrating <= 0.15));
    must(dxgk_migration_end(rig.dxgk, moves, &error), &error);
    expect(&rig, moves, stays, "after End", 0.5, 0.5);
    pager_stop(&pager);
    rig_close(&rig);
}

/* TGT-1: a target is paused all the way, so its neighbour's half is whole while pages arrive. */
static void an_arriving_vf_takes_nothing_from_its_neighbour(void **unused)
{
    struct vf_error error = VF_ERROR_INIT;
    uint64_t arrives;

    (void)unused;
    rig_open(&rig, devices, NULL);
    stays = rig_create(&rig, "stays", 0, RESERVE / MIB, false);
    rig_run(&rig, stays, RESERVE, 2, 0);
    arrives = rig_create(&rig, "arrives", 0, RESERVE / MIB, true);
    must(dxgk_migration_prepare(rig.dxgk, arrives, DXGK_TARGET, 1, &error), &error);
    pager_start(&pager, &rig, arrives);
    expect(&rig, arrives, stays, "arriving", 0, 1);
    assert_true(measure(&rig, arrives, stays).migrating == 0);
    pager_stop(&pager);
    must(dxgk_migration_end(rig.dxgk, arrives, &error), &error);
    rig_close(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(paging_takes_its_time_from_the_migrating_vf_alone),
        cmocka_unit_test(a_pause_within_the_move_stops_the_vf_alone),
        cmocka_unit_test(a_throttle_takes_nothing_from_the_neighbour),
        cmocka_unit_test(an_arriving_vf_takes_nothing_from_its_neighbour),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
