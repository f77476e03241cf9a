// SPDX-License-Identifier: Apache-2.0
/* TLS as a stream: all that holds for a plain one, with both directions at once. */
#include "transport/tests/pipe.h"
#include "base/clock.h"
#include "transport/tests/tls_rig.h"
#include "transport/tls_stream.h"

#include <inttypes.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static int make_pair(void **state)
{
    static struct tp *ends[2];
    struct shake shakes[2];

    meet(a_tls, b_tls, "b.example", ends, shakes);
    for (int i = 0; i < 2; i++) {
        if (shakes[i].rc != 0)
            print_error("%s\n", shakes[i].err.text);
        tp_set_silence(ends[i], 0);
    }
    *state = ends;
    return shakes[0].rc != 0 || shakes[1].rc != 0 ? -1 : 0;
}

static int drop_pair(void **state)
{
    part(*state);
    return 0;
}

static void both_ends_know_each_other(void **state)
{
    struct tp **ends = *state;

    assert_string_equal(ends[0]->identity, "b.example");
    assert_string_equal(ends[1]->identity, "a.example");
}

/* ---- bytes ---- */

static void *recv_flow(void *arg)
{
    struct flow *flow = arg;
    uint8_t *data = malloc(1u << 20);
    uint64_t at = 0, draw = flow->seed + 77;

    while (at < FLOW_BYTES && flow->rc == 0) {
        uint64_t bytes;

        draw = draw * 6364136223846793005u + 1442695040888963407u;
        bytes = 1 + (draw >> 40) % (draw >> 62 == 0 ? 1u << 20 : 5000u);
        if (bytes > FLOW_BYTES - at)
            bytes = FLOW_BYTES - at;
        flow->rc = tp_recv(flow->tp, data, bytes, TP_NEVER, &flow->err);
        for (uint64_t i = 0; i < bytes && flow->rc == 0; i++) {
            if (data[i] != pattern(flow->seed, at + i))
                flow->rc = vf_fail(&flow->err, VF_FAILED, "byte %" PRIu64 " is wrong", at + i);
        }
        at += bytes;
    }
    free(data);
    return NULL;
}

static void flow_both_ways(struct tp *ends[2])
{
    struct flow flows[4] = {{.tp = ends[0], .seed = 1},
                            {.tp = ends[1], .seed = 1},
                            {.tp = ends[1], .seed = 2},
                            {.tp = ends[0], .seed = 2}};
    pthread_t threads[4];

    for (int i = 0; i < 4; i++)
        assert_int_equal(
            pthread_create(&threads[i], NULL, i % 2 == 0 ? send_flow : recv_flow, &flows[i]), 0);
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    for (int i = 0; i < 4; i++) {
        if (flows[i].rc != 0)
            fail_msg("flow %d: %s", i, flows[i].err.text);
    }
}

static void both_directions_at_once_arrive_whole(void **state)
{
    flow_both_ways(*state);
}

static void keys_change_under_way(void **state)
{
    struct tp **ends = *state;

    tls_set_records_a_key(ends[0], 3);
    tls_set_records_a_key(ends[1], 5);
    flow_both_ways(ends);
}

static void say(struct tp *tp, const char *text)
{
    const struct iovec iov = {(void *)(uintptr_t)text, strlen(text)};
    struct vf_error err = VF_ERROR_INIT;

    if (tp_send(tp, &iov, 1, soon(), &err) != 0)
        fail_msg("%s", err.text);
}

static void what_one_record_held_more_is_told_without_the_socket(void **state)
{
    struct tp **ends = *state;
    struct vf_error err = VF_ERROR_INIT;
    char text[4];

    assert_int_equal(tp_wait_readable(ends[1], 0, &err), 0);
    say(ends[0], "fourfour");
    assert_int_equal(tp_wait_readable(ends[1], soon(), &err), 1);
    assert_int_equal(tp_recv(ends[1], text, 4, soon(), &err), 0);
    /* Nothing is left in the socket, and still there is something. */
    assert_int_equal(tp_poll_events(ends[1]), 0);
    assert_int_equal(tp_wait_readable(ends[1], 0, &err), 1);
    assert_int_equal(tp_recv(ends[1], text, 4, soon(), &err), 0);
    assert_int_equal(tp_poll_events(ends[1]), POLLIN);
    assert_int_equal(tp_wait_readable(ends[1], 0, &err), 0);
}

/* ---- ends ---- */

static void a_farewell_is_an_end(void **state)
{
    struct tp *ends[2];
    struct shake shakes[2];
    struct vf_error err = VF_ERROR_INIT;
    char text[5] = "";

    (void)state;
    meet(a_tls, b_tls, "b.example", ends, shakes);
    say(ends[0], "last");
    tp_close(ends[0]);
    assert_int_equal(tp_recv(ends[1], text, 4, soon(), &err), 0);
    assert_string_equal(text, "last");
    assert_int_equal(tp_recv(ends[1], text, 1, soon(), &err), -1);
    assert_non_null(strstr(err.text, "closed the connection"));
    assert_true(tp_lost(ends[1]));
    tp_close(ends[1]);
}

static void an_end_without_a_farewell_is_a_cut(void **state)
{
    struct tp *ends[2];
    struct shake shakes[2];
    struct vf_error err = VF_ERROR_INIT;
    char text[5] = "";

    (void)state;
    meet(a_tls, b_tls, "b.example", ends, shakes);
    say(ends[0], "last");
    tp_abort(ends[0]);
    assert_int_equal(tp_recv(ends[1], text, 4, soon(), &err), 0);
    assert_int_equal(tp_recv(ends[1], text, 1, soon(), &err), -1);
    assert_non_null(strstr(err.text, "was cut off"));
    assert_true(tp_lost(ends[1]));
    part(ends);
}

static void a_changed_byte_is_noticed(void **state)
{
    struct tp *ends[2];
    struct shake shakes[2];
    struct vf_error err = VF_ERROR_INIT;
    struct tls_stream *stream;
    char text[5] = "";
    struct iovec iov;

    (void)state;
    meet(a_tls, b_tls, "b.example", ends, shakes);
    stream = (struct tls_stream *)ends[0];
    say(ends[0], "good");
    /* A record of application data that no key has seen. */
    uint8_t forged[40] = {23, 3, 3, 0, 35};

    iov = (struct iovec){forged, sizeof forged};
    assert_int_equal(stream->inner->ops->send(stream->inner, &iov, 1), sizeof forged);
    assert_int_equal(tp_recv(ends[1], text, 4, soon(), &err), 0);
    assert_int_equal(tp_recv(ends[1], text, 1, soon(), &err), -1);
    assert_non_null(strstr(err.text, "TLS: "));
    part(ends);
}

struct waiter {
    struct tp *tp;
    int rc;
    struct vf_error err;
    int running; /* pipe: written before it waits */
};

static void *wait_main(void *arg)
{
    struct waiter *waiter = arg;
    char byte;

    (void)!write(waiter->running, "", 1);
    waiter->rc = tp_recv(waiter->tp, &byte, 1, TP_NEVER, &waiter->err);
    return NULL;
}

static void an_abort_wakes_who_receives(void **state)
{
    struct tp **ends = *state;
    struct waiter waiter = {.tp = ends[1]};
    int running[2];
    pthread_t thread;
    char byte;

    assert_int_equal(pipe(running), 0);
    waiter.running = running[1];
    assert_int_equal(pthread_create(&thread, NULL, wait_main, &waiter), 0);
    assert_int_equal(read(running[0], &byte, 1), 1);
    tp_abort(ends[1]);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(waiter.rc, -1);
    assert_int_equal(waiter.err.code, VF_CANCELLED);
    (void)close(running[0]);
    (void)close(running[1]);
}

static void an_abort_wakes_who_shakes_hands(void **state)
{
    struct tp *plain[2], *end;
    struct vf_error err = VF_ERROR_INIT;
    struct shake shake = {.rc = 0};
    struct pollfd pollfd = {.events = POLLIN};
    pthread_t thread;

    (void)state;
    assert_int_equal(tp_pipe(plain, &err), 0);
    assert_int_equal(tp_tls_wrap(a_tls, plain[0], "b.example", &end, &err), 0);
    shake.tp = end;
    assert_int_equal(pthread_create(&thread, NULL, shake_main, &shake), 0);
    pollfd.fd = tp_fd(plain[1]); /* its first words are there: it waits, or is about to */
    assert_int_equal(poll(&pollfd, 1, (int)SOON_MS), 1);
    tp_abort(end);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(shake.rc, -1);
    assert_int_equal(shake.err.code, VF_CANCELLED);
    tp_close(end);
    tp_close(plain[1]);
}

static void a_peer_that_takes_nothing_runs_into_the_deadline(void **state)
{
    struct tp **ends = *state;
    const size_t bytes = 32u << 20;
    uint8_t *data = calloc(1, bytes);
    struct vf_error err = VF_ERROR_INIT;

    assert_int_equal(tp_send(ends[0], &(struct iovec){data, bytes}, 1, vf_now_ns() + 50 * MS, &err),
                     -1);
    assert_non_null(strstr(err.text, "out of time while sending"));
    free(data);
}

static void a_silent_peer_is_lost(void **state)
{
    struct tp **ends = *state;
    struct vf_error err = VF_ERROR_INIT;
    char byte;

    tp_set_silence(ends[0], 50 * MS);
    assert_int_equal(tp_recv(ends[0], &byte, 1, TP_NEVER, &err), -1);
    assert_non_null(strstr(err.text, "fell silent"));
    assert_true(tp_lost(ends[0]));
}

/* Talks to a client that lets it in, and asks again and again to change the key while it takes
 * nothing itself. */
struct asker {
    struct tp *plain;
    const struct certs_host *files;
    int rc;
};

static void *ask_main(void *arg)
{
    enum { ASKS = 200, PIECE = 1000 };
    struct asker *asker = arg;
    SSL_CTX *context = SSL_CTX_new(TLS_method());
    uint8_t piece[PIECE];
    SSL *ssl;

    (void)SSL_CTX_set_num_tickets(context, 0);
    (void)SSL_CTX_use_certificate_file(context, asker->files->cert, SSL_FILETYPE_PEM);
    (void)SSL_CTX_use_PrivateKey_file(context, asker->files->key, SSL_FILETYPE_PEM);
    ssl = SSL_new(context);
    (void)SSL_set_fd(ssl, tp_fd(asker->plain));
    asker->rc = SSL_accept(ssl) == 1 && SSL_write(ssl, "\1", 1) == 1 ? 0 : -1;
    for (int i = 0; i < ASKS && asker->rc == 0; i++) {
        memset(piece, i, sizeof piece);
        if (SSL_key_update(ssl, SSL_KEY_UPDATE_REQUESTED) != 1 ||
            SSL_write(ssl, piece, sizeof piece) != sizeof piece)
            asker->rc = -1;
    }
    /* Now it listens: everything of the other side's is there, under whatever key. */
    for (uint64_t at = 0; at < FLOW_BYTES && asker->rc == 0;) {
        int got = SSL_read(ssl, piece, sizeof piece);

        for (int i = 0; i < got; i++) {
            if (piece[i] != pattern(9, at + (uint64_t)i))
                asker->rc = -1;
        }
        if (got <= 0)
            asker->rc = -1;
        at += got > 0 ? (uint64_t)got : 0;
    }
    SSL_free(ssl);
    SSL_CTX_free(context);
    return NULL;
}

static void a_peer_may_ask_for_new_keys_while_it_takes_nothing(void **state)
{
    struct tp *plain[2], *end;
    struct vf_error err = VF_ERROR_INIT;
    struct asker asker = {.files = &b_files};
    struct flow flow = {.seed = 9};
    pthread_t threads[2];
    uint8_t piece[1000];

    (void)state;
    assert_int_equal(tp_pipe(plain, &err), 0);
    asker.plain = plain[0];
    assert_int_equal(tp_tls_wrap(a_tls, plain[1], "b.example", &end, &err), 0);
    tp_set_silence(end, 0);
    assert_int_equal(pthread_create(&threads[0], NULL, ask_main, &asker), 0);
    if (tp_handshake(end, soon(), &err) != 0)
        fail_msg("%s", err.text);
    flow.tp = end;
    assert_int_equal(pthread_create(&threads[1], NULL, send_flow, &flow), 0);
    for (int i = 0; i < 200; i++) {
        if (tp_recv(end, piece, sizeof piece, soon(), &err) != 0)
            fail_msg("%d: %s", i, err.text);
        assert_int_equal(piece[0], (uint8_t)i);
    }
    assert_int_equal(pthread_join(threads[1], NULL), 0);
    if (flow.rc != 0)
        fail_msg("%s", flow.err.text);
    assert_int_equal(pthread_join(threads[0], NULL), 0);
    assert_int_equal(asker.rc, 0);
    tp_close(end);
    tp_close(plain[0]);
}

static void plain_talk_is_told_from_tls(void **state)
{
    struct tp *plain[2], *end;
    struct vf_error err = VF_ERROR_INIT;
    bool offered = true;

    (void)state;
    assert_int_equal(tp_pipe(plain, &err), 0);
    say(plain[0], "\1\0\0\0 HELLO in plain");
    assert_int_equal(tp_tls_offered(plain[1], soon(), &offered, &err), 0);
    assert_false(offered);
    assert_int_equal(tp_tls_wrap(a_tls, plain[1], "b.example", &end, &err), 0);
    assert_int_equal(tp_handshake(end, soon(), &err), -1);
    assert_non_null(strstr(err.text, "speaks plain TCP"));
    /* And what it has sent is an offer. */
    assert_int_equal(tp_tls_offered(plain[0], soon(), &offered, &err), 0);
    assert_true(offered);
    tp_close(end);
    tp_close(plain[0]);
}

static void drips_buy_no_time(void **state)
{
    static const uint8_t hello[] = {22, 3, 1, 2, 0, 1, 0, 1, 252};
    struct tp *plain[2], *end;
    struct vf_error err = VF_ERROR_INIT;
    struct shake shake = {.rc = 0};
    uint64_t begun = vf_now_ns();
    pthread_t thread;

    (void)state;
    assert_int_equal(tp_pipe(plain, &err), 0);
    assert_int_equal(tp_tls_wrap(b_tls, plain[1], NULL, &end, &err), 0);
    tp_set_silence(end, 300 * MS);
    shake.tp = end;
    assert_int_equal(pthread_create(&thread, NULL, shake_main, &shake), 0);
    for (size_t i = 0; i < sizeof hello; i++) {
        struct pollfd none = {.fd = -1};

        if (plain[0]->ops->send(plain[0], &(struct iovec){(void *)(uintptr_t)&hello[i], 1}, 1) < 0)
            break;
        (void)poll(&none, 0, 50); /* the drip itself */
    }
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(shake.rc, -1);
    assert_non_null(strstr(shake.err.text, "fell silent"));
    assert_true(vf_now_ns() - begun < 3000 * MS);
    tp_close(end);
    tp_close(plain[0]);
}

int main(void)
{
#define WITH_PAIR(test) cmocka_unit_test_setup_teardown(test, make_pair, drop_pair)
    const struct CMUnitTest tests[] = {
        WITH_PAIR(both_ends_know_each_other),
        WITH_PAIR(both_directions_at_once_arrive_whole),
        WITH_PAIR(keys_change_under_way),
        WITH_PAIR(what_one_record_held_more_is_told_without_the_socket),
        cmocka_unit_test(a_farewell_is_an_end),
        cmocka_unit_test(an_end_without_a_farewell_is_a_cut),
        cmocka_unit_test(a_changed_byte_is_noticed),
        WITH_PAIR(an_abort_wakes_who_receives),
        cmocka_unit_test(an_abort_wakes_who_shakes_hands),
        WITH_PAIR(a_peer_that_takes_nothing_runs_into_the_deadline),
        WITH_PAIR(a_silent_peer_is_lost),
        cmocka_unit_test(a_peer_may_ask_for_new_keys_while_it_takes_nothing),
        cmocka_unit_test(plain_talk_is_told_from_tls),
        cmocka_unit_test(drips_buy_no_time),
    };

    return cmocka_run_group_tests(tests, open_all, close_all);
}
