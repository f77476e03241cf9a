// SPDX-License-Identifier: Apache-2.0
/* Page channels: data both ways, completions exactly once, parallel channels, clients that die,
 * sockets without room. */
#include "kernel/tests/harness.h"

#include "base/thread.h"
#include "kernel/server_impl.h"

#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum { SLOT_PAGES = 16, SLOT_BYTES = SLOT_PAGES * FAKE_PAGE };

static struct kc_channel *open_channel(struct harness *harness, uint64_t id, uint32_t slots)
{
    struct kc_channel *channel = NULL;
    struct vf_error err = VF_ERROR_INIT;

    if (kc_channel_open(harness->socket, id, slots, SLOT_BYTES, 0, &channel, &err) != 0)
        fail_msg("%s", err.text);
    return channel;
}

static void pages_go_both_ways(void **state)
{
    static const uint64_t from[] = {9, 2, 5};
    static const uint64_t to[] = {100, 0, 50};
    struct kc *kc = harness_connect(*state);
    uint64_t id = harness_partition(kc, "a", 1 << 20, true);
    struct kc_channel *channel = open_channel(*state, id, 2);
    struct vf_error err = VF_ERROR_INIT;
    struct kc_done done;
    char text[8] = "";

    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(
            kc_bar_write(kc, id, FAKE_VRAM_BAR, from[i] * FAKE_PAGE, &from[i], 8, &err), 0);
    assert_int_equal(kc_channel_submit(channel, KC_GATHER, 1, from, 3, &err), 0);
    assert_int_equal(kc_channel_wait(channel, -1, &done, &err), 1);
    assert_int_equal(done.slot, 1);
    assert_int_equal(done.status, 0);
    for (unsigned i = 0; i < 3; i++)
        assert_memory_equal((char *)kc_channel_slot(channel, 1) + i * FAKE_PAGE, &from[i], 8);
    memcpy((char *)kc_channel_slot(channel, 0) + FAKE_PAGE, "ferry", 6);
    assert_int_equal(kc_channel_submit(channel, KC_SCATTER, 0, to, 3, &err), 0);
    assert_int_equal(kc_channel_wait(channel, -1, &done, &err), 1);
    assert_int_equal(kc_bar_read(kc, id, FAKE_VRAM_BAR, 0, text, 6, &err), 0);
    assert_string_equal(text, "ferry");
    assert_int_equal(kc_channel_submit(channel, KC_ZERO, 0, &to[1], 1, &err), 0);
    assert_int_equal(kc_channel_wait(channel, -1, &done, &err), 1);
    assert_int_equal(kc_bar_read(kc, id, FAKE_VRAM_BAR, 0, text, 6, &err), 0);
    assert_string_equal(text, "");
    assert_int_equal(kc_channel_submit(channel, KC_SCATTER_READ, 0, to, 3, &err), 0);
    assert_int_equal(kc_channel_wait(channel, -1, &done, &err), 1);
    assert_int_equal(done.slot, 0);
    assert_memory_equal(kc_channel_slot(channel, 1), kc_channel_slot(channel, 0), 3 * FAKE_PAGE);
    assert_null(kc_channel_slot(channel, 2));
    kc_channel_close(channel);
    kc_close(kc);
}

static void a_wait_ends_at_its_time(void **state)
{
    static const uint64_t page = 0;
    struct harness *harness = *state;
    struct kc *kc = harness_connect(harness);
    struct kc_channel *channel =
        open_channel(harness, harness_partition(kc, "a", 1 << 20, false), 1);
    struct pollfd look = {.fd = kc_channel_fd(channel), .events = POLLIN};
    struct vf_error err = VF_ERROR_INIT;
    struct kc_done done;

    fake_hold(harness->dxgk, true);
    assert_int_equal(kc_channel_submit(channel, KC_GATHER, 0, &page, 1, &err), 0);
    assert_int_equal(kc_channel_wait(channel, 0, &done, &err), 0);
    assert_int_equal(kc_channel_wait(channel, 20, &done, &err), 0);
    assert_int_equal(kc_channel_submit(channel, KC_GATHER, 0, &page, 1, &err),
                     -1); /* the slot is taken */
    fake_hold(harness->dxgk, false);
    assert_int_equal(poll(&look, 1, -1), 1);
    assert_int_equal(kc_channel_wait(channel, 0, &done, &err), 1);
    kc_channel_close(channel);
    kc_close(kc);
}

static void a_refused_transfer_completes_with_its_error(void **state)
{
    static const uint64_t beyond = 1 << 20;
    static const uint64_t page = 0;
    struct kc *kc = harness_connect(*state);
    struct kc_channel *channel =
        open_channel(*state, harness_partition(kc, "a", 1 << 20, false), 1);
    uint64_t pages[SLOT_PAGES + 1] = {0};
    struct vf_error err = VF_ERROR_INIT;
    struct kc_done done;

    assert_int_equal(kc_channel_submit(channel, KC_GATHER, 0, pages, SLOT_PAGES + 1, &err), -1);
    assert_int_equal(kc_channel_submit(channel, KC_GATHER, 0, pages, 0, &err), -1);
    assert_int_equal(kc_channel_submit(channel, KC_GATHER, 1, pages, 1, &err), -1);
    assert_int_equal(kc_channel_submit(channel, KC_GATHER, 0, &beyond, 1, &err), 0);
    assert_int_equal(kc_channel_wait(channel, -1, &done, &err), 1);
    assert_int_equal(done.status, -EINVAL);
    assert_int_equal(kc_channel_submit(channel, (enum kc_transfer)7, 0, &page, 1, &err), 0);
    assert_int_equal(kc_channel_wait(channel, -1, &done, &err), 1);
    assert_int_equal(done.status, -EINVAL);
    assert_int_equal(kc_channel_submit(channel, KC_GATHER, 0, &page, 1, &err), 0);
    assert_int_equal(kc_channel_wait(channel, -1, &done, &err), 1);
    assert_int_equal(done.status, 0);
    kc_channel_close(channel);
    kc_close(kc);
}

static void bad_shapes_are_refused(void **state)
{
    static const struct {
        uint32_t slots;
        uint64_t slot_bytes;
    } bad[] = {{0, 4096},
               {65, 4096},
               {1, 0},
               {1, 4095},
               {1, (4u << 20) + 4096},
               {UINT32_MAX, UINT64_MAX},
               {64, 1ull << 58}};
    struct harness *harness = *state;
    struct kc *kc = harness_connect(harness);
    uint64_t id = harness_partition(kc, "a", 1 << 20, false);
    struct kc_channel *channel;
    struct vf_error err;

    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(kc_channel_open(harness->socket, id, bad[i].slots, bad[i].slot_bytes, 0,
                                         &channel, &err),
                         -1);
        assert_int_equal(err.code, VF_USAGE);
    }
    assert_int_equal(kc_channel_open(harness->socket, id + 1, 1, 4096, 0, &channel, &err), -1);
    assert_int_equal(fake_channels(harness->dxgk), 0);
    kc_close(kc);
}

/* Memory that a client could shrink would fault the paging engine. */
static void memory_that_cannot_be_sealed_is_refused(void **state)
{
    struct harness *harness = *state;
    struct kc *kc = harness_connect(harness);
    uint64_t id = harness_partition(kc, "a", 1 << 20, false);
    struct vf_error err = VF_ERROR_INIT;
    struct kc_channel *channel;

    fake_unsealable(harness->dxgk, true);
    assert_int_equal(kc_channel_open(harness->socket, id, 1, SLOT_BYTES, 0, &channel, &err), -1);
    assert_non_null(strstr(err.text, "sealed"));
    assert_int_equal(fake_channels(harness->dxgk), 0);
    kc_close(kc);
}

struct removal {
    struct kc *kc;
    uint64_t id;
    int result;
};

static void *remove_partition(void *arg)
{
    struct removal *removal = arg;

    removal->result = kc_partition_destroy(removal->kc, removal->id, NULL);
    return NULL;
}

static void a_dead_clients_transfers_end_and_partitions_stay(void **state)
{
    static const uint64_t pages[] = {1, 2};
    struct harness *harness = *state;
    struct kc *kc = harness_connect(harness);
    uint64_t id = harness_partition(kc, "a", 1 << 20, false);
    uint64_t other = harness_partition(kc, "b", 1 << 20, false);
    struct kc_channel *channel = open_channel(harness, id, 8);
    struct removal removal = {kc, id, 0};
    struct vf_error err = VF_ERROR_INIT;
    struct vf_partition_info info;
    pthread_t thread;

    fake_hold(harness->dxgk, true);
    for (uint32_t slot = 0; slot < 8; slot++)
        assert_int_equal(kc_channel_submit(channel, KC_GATHER, slot, pages, 2, &err), 0);
    fake_await_flying(harness->dxgk, 8);
    kc_channel_close(channel); /* what a death looks like from the other side */
    assert_int_equal(fake_channels(harness->dxgk), 1);
    assert_int_equal(kc_partition_info(kc, id, &info, &err), 0);
    /* A removal right after the close waits for what is in flight instead of being refused
     * as busy. */
    assert_int_equal(pthread_create(&thread, NULL, remove_partition, &removal), 0);
    fake_hold(harness->dxgk, false);
    (void)pthread_join(thread, NULL);
    assert_int_equal(removal.result, 0);
    assert_int_equal(fake_channels(harness->dxgk), 0);
    assert_int_equal(kc_partition_info(kc, other, &info, &err), 0);
    kc_close(kc);
}

static void close_and_remove_in_one_go(void **state)
{
    static const uint64_t page = 3;
    struct harness *harness = *state;
    struct kc *kc = harness_connect(harness);
    struct vf_error err = VF_ERROR_INIT;

    for (unsigned i = 0; i < 50; i++) {
        uint64_t id = harness_partition(kc, "a", 1 << 20, false);
        struct kc_channel *channel = open_channel(harness, id, 4);

        for (uint32_t slot = 0; slot < i % 5 && slot < 4; slot++)
            assert_int_equal(kc_channel_submit(channel, KC_GATHER, slot, &page, 1, &err), 0);
        kc_channel_close(channel);
        if (kc_partition_destroy(kc, id, &err) != 0)
            fail_msg("%s", err.text);
    }
    kc_close(kc);
}

static void a_partition_with_an_open_channel_is_busy(void **state)
{
    struct kc *kc = harness_connect(*state);
    uint64_t id = harness_partition(kc, "a", 1 << 20, false);
    struct kc_channel *channel = open_channel(*state, id, 1);
    struct vf_error err = VF_ERROR_INIT;

    assert_int_equal(kc_partition_destroy(kc, id, &err), -1);
    assert_non_null(strstr(err.text, "busy"));
    kc_channel_close(channel);
    kc_close(kc);
}

/* ---- parallel channels ---- */

enum { CHANNELS = 8, SLOTS = 4, ROUNDS = 300, PAGES_EACH = 64 };

struct mover {
    struct harness *harness;
    uint64_t id;
    uint64_t first_page; /* its own stretch of the partition */
    uint64_t seed;
    unsigned wrong;
};

/* Scatters numbered pages, gathers them again and looks whether they are the same. */
static void *move_pages(void *arg)
{
    struct mover *mover = arg;
    struct kc_channel *channel = NULL;
    struct vf_error err = VF_ERROR_INIT;

    if (kc_channel_open(mover->harness->socket, mover->id, SLOTS, SLOT_BYTES, 0, &channel, &err) !=
        0) {
        mover->wrong = ROUNDS;
        return NULL;
    }
    for (unsigned round = 0; round < ROUNDS; round++) {
        uint32_t slot = (uint32_t)(harness_random(&mover->seed) % SLOTS);
        uint64_t *ring = kc_channel_slot(channel, slot);
        uint64_t pages[SLOT_PAGES];
        struct kc_done done = {0};

        for (uint64_t i = 0; i < SLOT_PAGES; i++) {
            pages[i] = mover->first_page + (round * 7 + i * 5) % PAGES_EACH;
            ring[i * FAKE_PAGE / 8] = mover->id << 48 ^ pages[i] << 16 ^ round;
        }
        if (kc_channel_submit(channel, KC_SCATTER, slot, pages, SLOT_PAGES, &err) != 0 ||
            kc_channel_wait(channel, -1, &done, &err) != 1 || done.slot != slot || done.status != 0)
            mover->wrong++;
        memset(ring, 0, SLOT_BYTES);
        if (kc_channel_submit(channel, KC_GATHER, slot, pages, SLOT_PAGES, &err) != 0 ||
            kc_channel_wait(channel, -1, &done, &err) != 1 || done.slot != slot || done.status != 0)
            mover->wrong++;
        for (uint64_t i = 0; i < SLOT_PAGES; i++)
            mover->wrong += ring[i * FAKE_PAGE / 8] != (mover->id << 48 ^ pages[i] << 16 ^ round);
    }
    kc_channel_close(channel);
    return NULL;
}

static void eight_channels_work_in_parallel(void **state)
{
    struct kc *kc = harness_connect(*state);
    uint64_t id = harness_partition(kc, "a", CHANNELS * PAGES_EACH * FAKE_PAGE, true);
    struct mover movers[CHANNELS];
    pthread_t threads[CHANNELS];
    uint64_t seed = harness_seed();

    for (unsigned i = 0; i < CHANNELS; i++) {
        movers[i] = (struct mover){*state, id, i * PAGES_EACH, harness_random(&seed), 0};
        assert_int_equal(pthread_create(&threads[i], NULL, move_pages, &movers[i]), 0);
    }
    for (unsigned i = 0; i < CHANNELS; i++) {
        (void)pthread_join(threads[i], NULL);
        assert_int_equal(movers[i].wrong, 0);
    }
    kc_close(kc);
}

/* ---- a socket with hardly any room ---- */

static void *serve_channel(void *arg)
{
    ks_channel_serve(arg);
    return NULL;
}

/* The completing context may not wait: what the socket does not take is sent later by the
 * connection's thread, once each. */
static void completions_survive_a_full_socket(void **state)
{
    enum { ALL = KCALL_MAX_SLOTS };
    struct harness *harness = *state;
    struct kc *kc = harness_connect(harness);
    struct kcall_channel_open args = {
        .id = harness_partition(kc, "a", 1 << 20, false), .slot_bytes = FAKE_PAGE, .slots = ALL};
    struct ks_server *server = calloc(1, sizeof *server);
    struct ks_conn conn = {.server = server};
    struct ks_call call = {.server = server, .conn = &conn, .args = &args};
    static const char *const names[] = {"x", "x", "x", "x"};
    static const uint64_t arcs[] = {15, 15, 15, 15};
    static const struct vf_fsm_table any = {"test", names, arcs, 4};
    struct vf_error err = VF_ERROR_INIT;
    int least = 1;
    int pair[2];
    uint64_t seen = 0;
    pthread_t thread;

    assert_non_null(server);
    server->dxgk = harness->dxgk;
    vf_lock_init(&server->lock);
    vf_cond_init(&server->changed);
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
    assert_int_equal(setsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &least, sizeof least), 0);
    conn.fd = pair[0];
    vf_fsm_init(&conn.state, &any, "test", KS_CALLS);
    assert_int_equal(ks_channel_open(&call, &err), 0);
    assert_int_equal(pthread_create(&thread, NULL, serve_channel, call.channel), 0);

    fake_hold(harness->dxgk, true);
    for (uint32_t slot = 0; slot < ALL; slot++) {
        struct {
            struct kcall_submit submit;
            uint64_t page;
        } body = {{KC_GATHER, slot, 1, 0}, slot};
        struct kcall_head head = {
            .magic = KCALL_MAGIC_CALL, .op = KCALL_SUBMIT, .body_bytes = sizeof body};

        assert_int_equal(kw_send(pair[1], &head, &body, -1), 0);
    }
    fake_await_flying(harness->dxgk, ALL);
    fake_hold(harness->dxgk, false);
    fake_await_flying(harness->dxgk, 0);
    for (unsigned i = 0; i < ALL; i++) {
        struct kcall_done done;

        assert_int_equal(recv(pair[1], &done, sizeof done, 0), sizeof done);
        assert_in_range(done.slot, 0, ALL - 1);
        assert_int_equal(seen >> done.slot & 1, 0);
        seen |= 1ull << done.slot;
        assert_int_equal(done.status, 0);
    }
    (void)close(pair[1]);
    (void)pthread_join(thread, NULL);
    ks_channel_close(call.channel);
    (void)close(pair[0]);
    kw_buffer_free(&conn.in);
    kw_buffer_free(&conn.out);
    free(server);
    kc_close(kc);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, harness_setup, harness_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(pages_go_both_ways),
        CASE(a_wait_ends_at_its_time),
        CASE(a_refused_transfer_completes_with_its_error),
        CASE(bad_shapes_are_refused),
        CASE(memory_that_cannot_be_sealed_is_refused),
        CASE(a_dead_clients_transfers_end_and_partitions_stay),
        CASE(close_and_remove_in_one_go),
        CASE(a_partition_with_an_open_channel_is_busy),
        CASE(eight_channels_work_in_parallel),
        CASE(completions_survive_a_full_socket),
    };

    return cmocka_run_group_tests_name("kernel: page channels", tests, NULL, NULL);
}
