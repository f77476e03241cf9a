// SPDX-License-Identifier: Apache-2.0
/*
 * Clients that lie: whatever they send fails their own call or closes their own connection, and the
 * server serves on. Random data is reproduced with VFERRY_SEED.
 */
#include "base/limits.h"
#include "kernel/tests/harness.h"

#include "kernel/wire.h"

#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

/* One more honest client, and it is served. */
static void assert_serving(struct harness *harness)
{
    struct kc *kc = harness_connect(harness);
    struct kc_host host;

    assert_int_equal(kc_host(kc, &host, NULL), 0);
    kc_close(kc);
}

static void send_call(int fd, uint32_t op, uint32_t tag, const void *body, uint32_t body_bytes)
{
    struct kcall_head head = {
        .magic = KCALL_MAGIC_CALL, .op = op, .tag = tag, .body_bytes = body_bytes};

    assert_int_equal(kw_send(fd, &head, body, -1), 0);
}

/* Code of the next reply; its failure text lands in `text`. */
static uint32_t take_reply(int fd, uint32_t *tag, char *text, size_t text_bytes)
{
    struct kw_buffer buffer = {NULL, 0};
    struct kcall_head head;
    size_t have;

    assert_int_equal(kw_recv_head(fd, KCALL_MAGIC_REPLY, &head, &buffer, &have, NULL), 0);
    assert_int_equal(kw_recv_rest(fd, &head, &buffer, have), 0);
    *tag = head.tag;
    text[0] = '\0';
    if (head.code != VF_OK)
        (void)snprintf(text, text_bytes, "%s", (const char *)buffer.data);
    kw_buffer_free(&buffer);
    return head.code;
}

static void assert_closed(int fd)
{
    char byte;

    while (recv(fd, &byte, sizeof byte, 0) > 0)
        continue;
    (void)close(fd);
}

static int greeted_socket(struct harness *harness)
{
    struct kcall_hello hello = {KCALL_VERSION, KCALL_VERSION};
    int fd = harness_socket(harness);
    char text[600];
    uint32_t tag;

    send_call(fd, KCALL_HELLO, 1, &hello, sizeof hello);
    assert_int_equal(take_reply(fd, &tag, text, sizeof text), VF_OK);
    return fd;
}

static void unknown_calls_fail_alone(void **state)
{
    static const uint32_t unknown[] = {0, KCALL_OPS, KCALL_SUBMIT, UINT32_MAX};
    int fd = greeted_socket(*state);
    uint64_t body = 0;
    char text[600];
    uint32_t tag;

    for (uint32_t i = 0; i < 4; i++) {
        send_call(fd, unknown[i], 10 + i, &body, sizeof body);
        assert_int_equal(take_reply(fd, &tag, text, sizeof text), VF_USAGE);
        assert_int_equal(tag, 10 + i);
        assert_non_null(strstr(text, "there is none of this number"));
    }
    send_call(fd, KCALL_HOST, 20, &body, sizeof body);
    assert_int_equal(take_reply(fd, &tag, text, sizeof text), VF_OK);
    (void)close(fd);
}

static void hello_comes_first_and_once(void **state)
{
    struct kcall_hello hello = {1, 99};
    int fd = harness_socket(*state);
    uint64_t body = 0;
    char text[600];
    uint32_t tag;

    send_call(fd, KCALL_HOST, 1, &body, sizeof body);
    assert_int_equal(take_reply(fd, &tag, text, sizeof text), VF_USAGE);
    send_call(fd, KCALL_HELLO, 2, &hello, sizeof hello);
    assert_int_equal(take_reply(fd, &tag, text, sizeof text), VF_OK);
    send_call(fd, KCALL_HELLO, 3, &hello, sizeof hello);
    assert_int_equal(take_reply(fd, &tag, text, sizeof text), VF_USAGE);
    (void)close(fd);
}

/* 0 marks connections that are no channels: a removal of "partition 0" must not wait for those. */
static void partition_zero_is_no_partition(void **state)
{
    struct kc *kc = harness_connect(*state);
    struct vf_error err = VF_ERROR_INIT;

    for (unsigned i = 0; i < 100; i++) {
        (void)close(greeted_socket(*state));
        assert_int_equal(kc_partition_destroy(kc, 0, &err), -1);
    }
    kc_close(kc);
}

static void a_daemon_of_another_version_is_refused_and_told_what_to_do(void **state)
{
    static const struct kcall_hello bad[] = {{KCALL_VERSION + 1, KCALL_VERSION + 2},
                                             {1, KCALL_VERSION - 1},
                                             {0, 0},
                                             {KCALL_VERSION + 1, KCALL_VERSION - 1}};
    char text[600];
    uint32_t tag;

    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        int fd = harness_socket(*state);

        send_call(fd, KCALL_HELLO, 1, &bad[i], sizeof bad[i]);
        assert_int_equal(take_reply(fd, &tag, text, sizeof text), VF_INCOMPATIBLE);
        assert_non_null(strstr(text, VF_REMEDY "start the vferryd of its version " VFERRY_VERSION));
        (void)close(fd);
    }
}

static void wrong_lengths_fail_the_call_only(void **state)
{
    int fd = greeted_socket(*state);
    unsigned char body[4096] = {0};
    char text[600];
    uint32_t tag;

    for (uint32_t op = KCALL_HELLO; op < KCALL_OPS; op++) {
        send_call(fd, op, op, body, 1);
        assert_int_equal(take_reply(fd, &tag, text, sizeof text), VF_USAGE);
        assert_int_equal(tag, op);
        if (op == KCALL_BAR_WRITE || op == KCALL_RESTORE_IMMUTABLE || op == KCALL_RESTORE_MUTABLE ||
            op == KCALL_DRIVER_UPDATE)
            continue; /* these have a tail: checked against what they announce */
        send_call(fd, op, op, body, sizeof body);
        assert_int_equal(take_reply(fd, &tag, text, sizeof text), VF_USAGE);
        assert_non_null(strstr(text, "expected"));
    }
    (void)close(fd);
}

static void announced_sizes_are_held_against_the_data(void **state)
{
    struct harness *harness = *state;
    struct kc *kc = harness_connect(harness);
    uint64_t id = harness_partition(kc, "a", 1 << 20, true);
    struct {
        struct kcall_blobs blobs;
        char data[8];
    } restore[] = {{{id, 4, 0, 5, 0}, ""},
                   {{id, UINT32_MAX, 0, 9, 0}, ""},
                   {{id, 0, 0, 0, 0}, ""},
                   {{id, 1u << 31, 0, 1u << 31, 0}, ""}};
    struct {
        struct kcall_bar bar;
        char data[8];
    } write[] = {{{id, 0, FAKE_VRAM_BAR, 9}, ""},
                 {{id, 0, FAKE_VRAM_BAR, 0}, ""},
                 {{id, UINT64_MAX, FAKE_VRAM_BAR, 8}, ""},
                 {{id, 0, FAKE_VRAM_BAR, UINT32_MAX}, ""}};
    int fd = greeted_socket(harness);
    char text[600];
    uint32_t tag;

    for (size_t i = 0; i < 4; i++) {
        send_call(fd, KCALL_RESTORE_IMMUTABLE, 1, &restore[i], sizeof restore[i]);
        assert_int_equal(take_reply(fd, &tag, text, sizeof text), VF_USAGE);
        send_call(fd, KCALL_RESTORE_MUTABLE, 2, &restore[i], sizeof restore[i]);
        assert_int_equal(take_reply(fd, &tag, text, sizeof text), VF_USAGE);
        send_call(fd, KCALL_BAR_WRITE, 3, &write[i], sizeof write[i]);
        assert_int_equal(take_reply(fd, &tag, text, sizeof text), VF_USAGE);
    }
    (void)close(fd);
    kc_close(kc);
}

static void a_huge_body_closes_the_connection(void **state)
{
    int fd = greeted_socket(*state);
    struct kcall_head head = {
        .magic = KCALL_MAGIC_CALL, .op = KCALL_RESTORE_MUTABLE, .tag = 5, .body_bytes = UINT32_MAX};
    struct iovec parts[2] = {{&head, sizeof head},
                             {calloc(1, KCALL_PACKET_BODY), KCALL_PACKET_BODY}};
    struct msghdr msg = {.msg_iov = parts, .msg_iovlen = 2};
    char text[600];
    uint32_t tag;

    assert_non_null(parts[1].iov_base);
    assert_true(sendmsg(fd, &msg, MSG_NOSIGNAL) > 0);
    assert_int_equal(take_reply(fd, &tag, text, sizeof text), VF_USAGE);
    assert_int_equal(tag, 5);
    assert_closed(fd);
    free(parts[1].iov_base);
    assert_serving(*state);
}

static void broken_framing_closes_the_connection(void **state)
{
    struct kcall_head head = {
        .magic = KCALL_MAGIC_CALL, .op = KCALL_HOST, .tag = 1, .body_bytes = 8};
    struct kcall_head wrong_magic = {.magic = KCALL_MAGIC_REPLY, .op = KCALL_HOST, .tag = 1};
    const struct {
        const void *data;
        size_t bytes;
    } bad[] = {{"x", 1},
               {&head, sizeof head - 1},
               {&head, sizeof head},
               {&wrong_magic, sizeof wrong_magic}};
    char text[600];
    uint32_t tag;

    for (size_t i = 0; i < 4; i++) {
        int fd = greeted_socket(*state);

        assert_int_equal(send(fd, bad[i].data, bad[i].bytes, MSG_NOSIGNAL), bad[i].bytes);
        assert_int_equal(take_reply(fd, &tag, text, sizeof text), VF_USAGE);
        assert_int_equal(tag, 0);
        assert_closed(fd);
    }
    assert_serving(*state);
}

/* Dies between the packets of one message, and once with its reply unread. */
static void half_a_message_is_dropped(void **state)
{
    struct kcall_head head = {
        .magic = KCALL_MAGIC_CALL, .op = KCALL_RESTORE_MUTABLE, .tag = 1, .body_bytes = 200000};
    struct iovec parts[2] = {{&head, sizeof head},
                             {calloc(1, KCALL_PACKET_BODY), KCALL_PACKET_BODY}};
    struct msghdr msg = {.msg_iov = parts, .msg_iovlen = 2};
    int fd = greeted_socket(*state);
    uint64_t body = 0;

    assert_non_null(parts[1].iov_base);
    assert_true(sendmsg(fd, &msg, MSG_NOSIGNAL) > 0);
    (void)close(fd);
    fd = greeted_socket(*state);
    assert_true(sendmsg(fd, &msg, MSG_NOSIGNAL) > 0);
    assert_true(send(fd, parts[1].iov_base, 100, MSG_NOSIGNAL) >
                0); /* not the length that must follow */
    assert_closed(fd);
    fd = greeted_socket(*state);
    send_call(fd, KCALL_PARTITION_LIST, 1, &body, sizeof body);
    (void)close(fd);
    free(parts[1].iov_base);
    assert_serving(*state);
}

static void descriptors_sent_along_are_not_kept(void **state)
{
    struct kcall_hello hello = {KCALL_VERSION, KCALL_VERSION};
    struct kcall_head head = {
        .magic = KCALL_MAGIC_CALL, .op = KCALL_HELLO, .tag = 1, .body_bytes = sizeof hello};
    int fd = harness_socket(*state);
    char text[600];
    int ends[2];
    uint32_t tag;

    assert_int_equal(pipe(ends), 0);
    assert_int_equal(kw_send(fd, &head, &hello, ends[1]), 0);
    assert_int_equal(take_reply(fd, &tag, text, sizeof text), VF_OK);
    (void)close(ends[1]);
    assert_int_equal(read(ends[0], text, 1), 0); /* ours was the last writing end */
    (void)close(ends[0]);
    (void)close(fd);
}

static void too_many_connections_are_told(void **state)
{
    struct harness *harness = *state;
    struct vf_error err = VF_ERROR_INIT;
    static struct kc *kc[KS_MAX_CONNECTIONS];
    struct kc *more = NULL;
    struct pollfd never = {.fd = -1};
    unsigned tries = 0;

    vf_raise_open_files(); /* both ends are in this process */
    for (unsigned i = 0; i < KS_MAX_CONNECTIONS; i++)
        kc[i] = harness_connect(harness);
    assert_int_equal(kc_connect(harness->socket, &more, &err), -1);
    assert_non_null(strstr(err.text, "too many connections"));
    kc_close(kc[0]);
    /* Its place is free once its thread has seen the end. */
    while (kc_connect(harness->socket, &more, &err) != 0 && tries++ < 1000)
        (void)poll(&never, 1, 5);
    assert_in_range(tries, 0, 1000);
    kc_close(more);
    for (unsigned i = 1; i < KS_MAX_CONNECTIONS; i++)
        kc_close(kc[i]);
}

/* ---- random ---- */

/* Reads and drops what is there, and waits for room to send. False when the server has closed. */
static bool make_room(int fd)
{
    struct pollfd look = {.fd = fd, .events = POLLIN | POLLOUT};
    unsigned char drop[256];

    while (poll(&look, 1, -1) > 0) {
        if ((look.revents & POLLIN) != 0) {
            if (recv(fd, drop, sizeof drop, MSG_DONTWAIT) <= 0)
                return false;
        } else if ((look.revents & (POLLHUP | POLLERR)) != 0) {
            return false;
        } else {
            return true;
        }
    }
    return false;
}

static void fill_random(uint64_t *seed, unsigned char *data, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++)
        data[i] = (unsigned char)harness_random(seed);
}

static void random_packets_do_no_harm(void **state)
{
    uint64_t seed = harness_seed();
    unsigned char *packet = malloc(70000);

    assert_non_null(packet);
    for (unsigned i = 0; i < 300; i++) {
        int fd = harness_random(&seed) % 2 == 0 ? harness_socket(*state) : greeted_socket(*state);

        for (unsigned k = 0; k < 4 && make_room(fd); k++) {
            size_t bytes = (size_t)(harness_random(&seed) % (k == 3 ? 70000 : 300));
            uint32_t magic = KCALL_MAGIC_CALL;

            fill_random(&seed, packet, bytes);
            if (bytes >= sizeof magic && harness_random(&seed) % 2 == 0)
                memcpy(packet, &magic, sizeof magic);
            if (send(fd, packet, bytes, MSG_NOSIGNAL) < 0)
                break;
        }
        (void)close(fd);
    }
    free(packet);
    assert_serving(*state);
}

/* A number as attackers like them. */
static uint64_t odd_number(uint64_t *seed)
{
    static const uint64_t odd[] = {0,          1,          2,          3,
                                   64,         4096,       65536,      1u << 20,
                                   UINT32_MAX, 1ull << 63, UINT64_MAX, UINT64_MAX - 4095};

    return odd[harness_random(seed) % (sizeof odd / sizeof odd[0])];
}

/* Well-framed calls of every kind but the shutdown, their contents at random. */
static void random_calls_do_no_harm(void **state)
{
    struct harness *harness = *state;
    uint64_t seed = harness_seed();
    struct kc *kc = harness_connect(harness);
    uint64_t body[64];
    int fd = greeted_socket(harness);

    harness_partition(kc, "a", 1 << 20, false);
    harness_partition(kc, "b", 1 << 20, true);
    for (unsigned i = 0; i < 20000; i++) {
        static const uint32_t usual[] = {8, 16, 24, 64, 128};
        uint32_t bytes = harness_random(&seed) % 4 != 0 ? usual[harness_random(&seed) % 5]
                                                        : (uint32_t)(harness_random(&seed) % 512);
        struct kcall_head head = {.magic = KCALL_MAGIC_CALL, .tag = i + 1, .body_bytes = bytes};
        struct iovec parts[2] = {{&head, sizeof head}, {body, bytes}};
        struct msghdr msg = {.msg_iov = parts, .msg_iovlen = 2};

        do {
            head.op = (uint32_t)(harness_random(&seed) % (KCALL_OPS + 2));
        } while (head.op == KCALL_SHUTDOWN);
        for (unsigned k = 0; k < 64; k++)
            body[k] = harness_random(&seed) % 8 == 0 ? harness_random(&seed) : odd_number(&seed);
        if (head.op == KCALL_PARTITION_CREATE)
            body[0] = 'a' + harness_random(&seed) % 4;
        if (!make_room(fd) || sendmsg(fd, &msg, MSG_NOSIGNAL) < 0) {
            (void)close(fd); /* it had become a page channel */
            fd = greeted_socket(harness);
        }
    }
    (void)close(fd);
    kc_close(kc);
    assert_serving(harness);
}

/* ---- page channels ---- */

static int channel_socket(struct harness *harness, uint64_t id, uint32_t slots)
{
    struct kcall_channel_open args = {.id = id, .slot_bytes = FAKE_PAGE, .slots = slots};
    int fd = greeted_socket(harness);
    char text[600];
    uint32_t tag;

    send_call(fd, KCALL_CHANNEL_OPEN, 1, &args, sizeof args);
    assert_int_equal(take_reply(fd, &tag, text, sizeof text), VF_OK);
    return fd;
}

static void bad_submissions_close_their_channel_only(void **state)
{
    struct harness *harness = *state;
    struct kc *kc = harness_connect(harness);
    uint64_t id = harness_partition(kc, "a", 1 << 20, false);
    struct {
        struct kcall_submit submit;
        uint64_t page;
    } bad[] = {{{KC_GATHER, 4, 1, 0}, 0},        {{KC_GATHER, UINT32_MAX, 1, 0}, 0},
               {{KC_GATHER, 0, 2, 0}, 0},        {{KC_GATHER, 0, UINT32_MAX, 0}, 0},
               {{KC_GATHER, 0, 1u << 29, 0}, 0}, {{KC_GATHER, 0, 0, 0}, 0}};
    struct vf_error err = VF_ERROR_INIT;

    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        int fd = channel_socket(harness, id, 4);

        send_call(fd, KCALL_SUBMIT, 1, &bad[i], sizeof bad[i]);
        assert_closed(fd);
    }
    for (unsigned i = 0; i < 2; i++) { /* no argument struct; not a submission */
        int fd = channel_socket(harness, id, 4);

        send_call(fd, i == 0 ? KCALL_SUBMIT : KCALL_HOST, 1, bad, 8);
        assert_closed(fd);
    }
    assert_int_equal(kc_partition_destroy(kc, id, &err), 0);
    kc_close(kc);
}

static void a_slot_in_flight_is_not_taken_twice(void **state)
{
    struct harness *harness = *state;
    struct kc *kc = harness_connect(harness);
    uint64_t id = harness_partition(kc, "a", 1 << 20, false);
    struct {
        struct kcall_submit submit;
        uint64_t page;
    } one = {{KC_GATHER, 0, 1, 0}, 0};
    int fd = channel_socket(harness, id, 4);

    fake_hold(harness->dxgk, true);
    send_call(fd, KCALL_SUBMIT, 1, &one, sizeof one);
    send_call(fd, KCALL_SUBMIT, 2, &one, sizeof one);
    assert_closed(fd); /* at once, though the first one is still in flight */
    assert_int_equal(fake_flying(harness->dxgk), 1);
    fake_hold(harness->dxgk, false);
    fake_await_channels(harness->dxgk, 0);
    assert_int_equal(kc_partition_destroy(kc, id, NULL), 0);
    kc_close(kc);
}

/* Submits for ever and never reads a completion: the completing context must not wait for it, and
 * others are served. */
static void a_client_that_never_reads_is_dropped(void **state)
{
    struct harness *harness = *state;
    struct kc *kc = harness_connect(harness);
    uint64_t id = harness_partition(kc, "a", 1 << 20, false);
    int fd = channel_socket(harness, id, 64);
    struct kc_channel *good = NULL;
    struct vf_error err = VF_ERROR_INIT;
    struct kc_done done;
    static const uint64_t page = 0;

    for (uint32_t i = 0;; i++) {
        struct {
            struct kcall_head head;
            struct kcall_submit submit;
            uint64_t page;
        } one = {{KCALL_MAGIC_CALL, KCALL_SUBMIT, i, sizeof one - sizeof one.head, 0, 0},
                 {KC_GATHER, i % 64, 1, 0},
                 0};

        if (send(fd, &one, sizeof one, MSG_NOSIGNAL) < 0)
            break;
    }
    fake_await_channels(harness->dxgk, 0);
    assert_int_equal(kc_channel_open(harness->socket, id, 1, FAKE_PAGE, 0, &good, &err), 0);
    assert_int_equal(kc_channel_submit(good, KC_GATHER, 0, &page, 1, &err), 0);
    assert_int_equal(kc_channel_wait(good, -1, &done, &err), 1);
    kc_channel_close(good);
    (void)close(fd);
    kc_close(kc);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, harness_setup, harness_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(unknown_calls_fail_alone),
        CASE(hello_comes_first_and_once),
        CASE(partition_zero_is_no_partition),
        CASE(a_daemon_of_another_version_is_refused_and_told_what_to_do),
        CASE(wrong_lengths_fail_the_call_only),
        CASE(announced_sizes_are_held_against_the_data),
        CASE(a_huge_body_closes_the_connection),
        CASE(broken_framing_closes_the_connection),
        CASE(half_a_message_is_dropped),
        CASE(descriptors_sent_along_are_not_kept),
        CASE(too_many_connections_are_told),
        CASE(random_packets_do_no_harm),
        CASE(random_calls_do_no_harm),
        CASE(bad_submissions_close_their_channel_only),
        CASE(a_slot_in_flight_is_not_taken_twice),
        CASE(a_client_that_never_reads_is_dropped),
    };

    return cmocka_run_group_tests_name("kernel: hostile clients", tests, NULL, NULL);
}
