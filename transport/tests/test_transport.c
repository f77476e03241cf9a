// SPDX-License-Identifier: Apache-2.0
/* Streams: everything arrives in order however it is cut, and every way a peer can fail ends the
 * wait with its reason. */
#include "base/clock.h"
#include "transport/tests/pipe.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#define MS 1000000ull

static int make_pipe(void **state)
{
    static struct tp *ends[2];
    struct vf_error err;

    if (tp_pipe(ends, &err) != 0)
        return -1;
    tp_set_silence(ends[0], 0);
    tp_set_silence(ends[1], 0);
    *state = ends;
    return 0;
}

static int drop_pipe(void **state)
{
    struct tp **ends = *state;

    tp_close(ends[0]);
    tp_close(ends[1]);
    return 0;
}

static void say(struct tp *tp, const char *text)
{
    const struct iovec iov = {(void *)(uintptr_t)text, strlen(text)};
    struct vf_error err = VF_ERROR_INIT;

    assert_int_equal(tp_send(tp, &iov, 1, TP_NEVER, &err), 0);
}

struct reader {
    struct tp *tp;
    uint8_t *data;
    size_t bytes;
    int rc;
    struct vf_error err;
};

static void *read_all(void *arg)
{
    struct reader *reader = arg;

    reader->rc = tp_recv(reader->tp, reader->data, reader->bytes, TP_NEVER, &reader->err);
    return NULL;
}

static void large_message_survives_partial_sends(void **state)
{
    struct tp **ends = *state;
    const size_t bytes = (16u << 20) + 13;
    uint8_t *sent = malloc(bytes);
    struct reader reader = {.tp = ends[1], .data = malloc(bytes), .bytes = bytes};
    struct vf_error err = VF_ERROR_INIT;
    pthread_t thread;

    assert_non_null(sent);
    assert_non_null(reader.data);
    for (size_t i = 0; i < bytes; i++)
        sent[i] = (uint8_t)(i * 2654435761u >> 13);
    assert_int_equal(pthread_create(&thread, NULL, read_all, &reader), 0);
    assert_int_equal(tp_send(ends[0], &(struct iovec){sent, bytes}, 1, TP_NEVER, &err), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(reader.rc, 0);
    assert_memory_equal(sent, reader.data, bytes);
    free(sent);
    free(reader.data);
}

static void many_pieces_with_empty_ones_arrive_in_order(void **state)
{
    enum { PIECES = 3000, PIECE = 1000 };
    struct tp **ends = *state;
    uint8_t *sent = malloc(PIECES * PIECE);
    struct iovec *iov = calloc(PIECES, sizeof *iov);
    struct reader reader = {.tp = ends[1], .data = malloc(PIECES * PIECE)};
    struct vf_error err = VF_ERROR_INIT;
    pthread_t thread;

    assert_non_null(sent);
    assert_non_null(iov);
    assert_non_null(reader.data);
    for (size_t i = 0; i < PIECES * PIECE; i++)
        sent[i] = (uint8_t)(i % 251);
    for (size_t i = 0; i < PIECES; i++) {
        iov[i].iov_base = sent + reader.bytes;
        iov[i].iov_len = i % 7 == 0 ? 0 : i * 37 % PIECE;
        reader.bytes += iov[i].iov_len;
    }
    assert_int_equal(pthread_create(&thread, NULL, read_all, &reader), 0);
    assert_int_equal(tp_send(ends[0], iov, PIECES, TP_NEVER, &err), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(reader.rc, 0);
    assert_memory_equal(sent, reader.data, reader.bytes);
    free(sent);
    free(iov);
    free(reader.data);
}

static void nothing_to_send_is_done_at_once(void **state)
{
    struct tp **ends = *state;
    const struct iovec empty[2] = {{NULL, 0}, {NULL, 0}};
    struct vf_error err = VF_ERROR_INIT;

    assert_int_equal(tp_send(ends[0], empty, 2, 0, &err), 0);
    assert_int_equal(tp_recv(ends[0], NULL, 0, 0, &err), 0);
}

static void silent_peer_is_lost(void **state)
{
    struct tp **ends = *state;
    struct vf_error err = VF_ERROR_INIT;
    char byte;

    tp_set_silence(ends[0], 20 * MS);
    assert_int_equal(tp_recv(ends[0], &byte, 1, TP_NEVER, &err), -1);
    assert_int_equal(err.code, VF_FAILED);
    assert_non_null(strstr(err.text, "peer pipe:0: fell silent for 20.0 ms"));
    assert_int_equal(tp_wait_readable(ends[0], TP_NEVER, &err), -1);
    assert_non_null(strstr(err.text, "fell silent"));
}

static void peer_that_takes_nothing_is_silent_too(void **state)
{
    struct tp **ends = *state;
    const size_t bytes = 32u << 20; /* more than any socket buffer */
    void *data = calloc(1, bytes);
    struct vf_error err = VF_ERROR_INIT;

    assert_non_null(data);
    tp_set_silence(ends[0], 20 * MS);
    assert_int_equal(tp_send(ends[0], &(struct iovec){data, bytes}, 1, TP_NEVER, &err), -1);
    assert_non_null(strstr(err.text, "fell silent"));
    free(data);
}

static void deadline_ends_the_wait(void **state)
{
    struct tp **ends = *state;
    const uint64_t deadline = vf_now_ns() + 20 * MS;
    struct vf_error err = VF_ERROR_INIT;
    char two[2];

    say(ends[1], "x");
    assert_int_equal(tp_recv(ends[0], two, 2, deadline, &err), -1);
    assert_int_equal(err.code, VF_FAILED);
    assert_non_null(strstr(err.text, "out of time"));
    assert_true(vf_now_ns() >= deadline);
}

static void passed_deadline_still_takes_what_is_there(void **state)
{
    struct tp **ends = *state;
    struct vf_error err = VF_ERROR_INIT;
    char text[4] = "";

    say(ends[1], "abc");
    assert_int_equal(tp_recv(ends[0], text, 3, 0, &err), 0);
    assert_string_equal(text, "abc");
}

static void closed_peer_is_told_from_a_cut_message(void **state)
{
    struct tp **ends = *state;
    struct vf_error err = VF_ERROR_INIT;
    char text[8];

    say(ends[1], "abc");
    tp_close(ends[1]);
    ends[1] = NULL;
    assert_int_equal(tp_recv(ends[0], text, 8, TP_NEVER, &err), -1);
    assert_non_null(strstr(err.text, "closed the connection in the middle"));
    assert_int_equal(tp_recv(ends[0], text, 8, TP_NEVER, &err), -1);
    assert_string_equal(err.text, "peer pipe:0: closed the connection");
    assert_int_equal(err.code, VF_FAILED);
}

static void sending_to_a_closed_peer_fails_without_a_signal(void **state)
{
    struct tp **ends = *state;
    struct iovec iov = {(char[]){"x"}, 1};
    struct vf_error err = VF_ERROR_INIT;

    tp_close(ends[1]);
    ends[1] = NULL;
    assert_int_equal(tp_send(ends[0], &iov, 1, TP_NEVER, &err), -1);
    assert_non_null(strstr(err.text, "closed the connection"));
}

static void abort_wakes_a_receiver(void **state)
{
    struct tp **ends = *state;
    uint8_t byte;
    struct reader reader = {.tp = ends[0], .data = &byte, .bytes = 1};
    pthread_t thread;

    assert_int_equal(pthread_create(&thread, NULL, read_all, &reader), 0);
    tp_abort(ends[0]); /* before, while or after it waits: all must end alike */
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(reader.rc, -1);
    assert_int_equal(reader.err.code, VF_CANCELLED);
}

static void *send_much(void *arg)
{
    struct reader *writer = arg;

    writer->rc = tp_send(writer->tp, &(struct iovec){writer->data, writer->bytes}, 1, TP_NEVER,
                         &writer->err);
    return NULL;
}

static void abort_wakes_a_blocked_sender(void **state)
{
    struct tp **ends = *state;
    struct reader writer = {.tp = ends[0], .bytes = 32u << 20};
    struct vf_error err = VF_ERROR_INIT;
    pthread_t thread;

    writer.data = calloc(1, writer.bytes);
    assert_non_null(writer.data);
    assert_int_equal(pthread_create(&thread, NULL, send_much, &writer), 0);
    assert_int_equal(tp_wait_readable(ends[1], TP_NEVER, &err), 1); /* it is under way */
    tp_abort(ends[0]);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(writer.rc, -1);
    assert_int_equal(writer.err.code, VF_CANCELLED);
    free(writer.data);
}

static void after_abort_every_call_fails_even_with_data_there(void **state)
{
    struct tp **ends = *state;
    struct iovec iov = {(char[]){"x"}, 1};
    struct vf_error err = VF_ERROR_INIT;
    char byte;

    say(ends[1], "x");
    tp_abort(ends[0]);
    tp_abort(ends[0]);
    assert_int_equal(tp_recv(ends[0], &byte, 1, TP_NEVER, &err), -1);
    assert_int_equal(err.code, VF_CANCELLED);
    assert_int_equal(tp_send(ends[0], &iov, 1, TP_NEVER, &err), -1);
    assert_int_equal(err.code, VF_CANCELLED);
    assert_int_equal(tp_wait_readable(ends[0], TP_NEVER, &err), -1);
    assert_int_equal(err.code, VF_CANCELLED);
    assert_int_equal(tp_recv(ends[1], &byte, 1, TP_NEVER, &err), -1); /* the peer learns of it */
    assert_int_equal(err.code, VF_FAILED);
}

static void wait_readable_tells_data_and_end_from_nothing(void **state)
{
    struct tp **ends = *state;
    struct vf_error err = VF_ERROR_INIT;
    char byte;

    assert_int_equal(tp_wait_readable(ends[0], 0, &err), 0);
    assert_int_equal(tp_wait_readable(ends[0], vf_now_ns() + 5 * MS, &err), 0);
    say(ends[1], "x");
    assert_int_equal(tp_wait_readable(ends[0], TP_NEVER, &err), 1);
    assert_int_equal(tp_recv(ends[0], &byte, 1, 0, &err), 0);
    tp_close(ends[1]);
    ends[1] = NULL;
    assert_int_equal(tp_wait_readable(ends[0], TP_NEVER, &err), 1);
}

static void tcp_carries_both_ways(void **state)
{
    struct vf_error err = VF_ERROR_INIT;
    struct tp *client, *server;
    struct pollfd pollfd;
    char bound[64], text[3] = "";
    int listener;

    (void)state;
    assert_int_equal(tp_tcp_listen("127.0.0.1:0", &listener, bound, sizeof bound, &err), 0);
    assert_string_not_equal(bound, "127.0.0.1:0"); /* the port it got, not the one asked for */
    assert_int_equal(tp_tcp_connect(bound, vf_now_ns() + 5000 * MS, &client, &err), 0);
    assert_string_equal(client->peer, bound);
    pollfd = (struct pollfd){.fd = listener, .events = POLLIN};
    assert_int_equal(poll(&pollfd, 1, -1), 1);
    assert_int_equal(tp_from_fd(accept(listener, NULL, NULL), "client", &server, &err), 0);
    say(client, "ab");
    assert_int_equal(tp_recv(server, text, 2, TP_NEVER, &err), 0);
    assert_string_equal(text, "ab");
    say(server, "cd");
    assert_int_equal(tp_recv(client, text, 2, TP_NEVER, &err), 0);
    assert_string_equal(text, "cd");
    tp_close(client);
    tp_close(server);
    assert_int_equal(close(listener), 0);
}

static void refused_connection_names_the_address(void **state)
{
    struct vf_error err = VF_ERROR_INIT;
    struct tp *client;
    char bound[64];
    int listener;

    (void)state;
    assert_int_equal(tp_tcp_listen("127.0.0.1:0", &listener, bound, sizeof bound, &err), 0);
    assert_int_equal(close(listener), 0); /* now surely nobody listens there */
    assert_int_equal(tp_tcp_connect(bound, TP_NEVER, &client, &err), -1);
    assert_null(client);
    assert_int_equal(err.code, VF_FAILED);
    assert_non_null(strstr(err.text, bound));
}

/* Asked before anything is begun: no packet is sent, whether somebody listens is not known. */
static void what_cannot_even_be_tried_is_told_apart(void **state)
{
    struct vf_error err = VF_ERROR_INIT;
    char bound[64], label[80];
    int listener;

    (void)state;
    assert_int_equal(tp_tcp_listen("127.0.0.1:0", &listener, bound, sizeof bound, &err), 0);
    assert_int_equal(close(listener), 0); /* now surely nobody listens there */
    assert_int_equal(tp_tcp_may_try(bound, true, &err), 0);
    assert_int_equal(tp_tcp_may_try("192.0.2.1:7000", false, &err), 0);
    assert_int_equal(tp_tcp_may_try("192.0.2.1:7000", true, &err), -1);
    assert_int_equal(err.code, VF_FAILED);
    assert_non_null(strstr(err.text, "beyond loopback"));
    /* A label has 63 letters at most: no resolver has to be asked. */
    memset(label, 'x', 64);
    (void)strcpy(label + 64, ":7000");
    assert_int_equal(tp_tcp_may_try(label, false, &err), -1);
    assert_int_equal(err.code, VF_FAILED);
    assert_int_equal(tp_tcp_may_try("nowhere", false, &err), -1);
    assert_int_equal(err.code, VF_USAGE);
}

static void malformed_addresses_are_usage_errors(void **state)
{
    static const char *const bad[] = {"",        "host",      ":7000",    "host:",   "host:65536",
                                      "host:-1", "host:70x",  "::1:7000", "[]:7",    "host:7:8",
                                      "host:0",  "host:0x10", "host:+7",  "host: 7", "host:7 ",
                                      "[::1]",   "[::1]7",    "[::1:7",   "[::1]:",  "host:000007"};
    struct vf_error err = VF_ERROR_INIT;
    struct tp *tp;

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(tp_tcp_connect(bad[i], 0, &tp, &err), -1);
        assert_int_equal(err.code, VF_USAGE);
    }
}

static void an_address_that_lacks_its_port_is_told_so(void **state)
{
    struct vf_error err = VF_ERROR_INIT;
    struct tp *tp;

    (void)state;
    assert_int_equal(tp_tcp_connect("[::1]", 0, &tp, &err), -1);
    assert_non_null(strstr(err.text, "no port"));
    assert_int_equal(tp_tcp_connect("::1:7000", 0, &tp, &err), -1);
    assert_non_null(strstr(err.text, "brackets"));
    assert_int_equal(tp_tcp_connect("host:0x10", 0, &tp, &err), -1);
    assert_non_null(strstr(err.text, "decimal"));
}

static void loopback_is_recognised_strictly(void **state)
{
    static const struct {
        const char *address;
        bool loopback;
    } cases[] = {
        {"127.0.0.1:1", true},  {"127.9.9.9:1", true},          {"[::1]:1", true},
        {"0.0.0.0:1", false},   {"192.0.2.1:1", false},         {"[::]:1", false},
        {"128.0.0.1:1", false}, {"[::ffff:127.0.0.1]:1", true}, {"[::ffff:10.0.0.1]:1", false},
    };
    struct vf_error err = VF_ERROR_INIT;

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        bool loopback = !cases[i].loopback;

        assert_int_equal(tp_is_loopback(cases[i].address, &loopback, &err), 0);
        assert_int_equal(loopback, cases[i].loopback);
    }
}

static void what_is_no_stream_socket_is_refused_and_closed(void **state)
{
    struct vf_error err = VF_ERROR_INIT;
    struct tp *tp;
    int fds[2];

    (void)state;
    assert_int_equal(pipe(fds), 0);
    assert_int_equal(tp_from_fd(fds[0], "x", &tp, &err), -1);
    assert_int_equal(fcntl(fds[0], F_GETFD), -1);
    assert_int_equal(errno, EBADF);
    assert_int_equal(close(fds[1]), 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM, 0, fds), 0);
    assert_int_equal(tp_from_fd(fds[0], "x", &tp, &err), -1);
    assert_non_null(strstr(err.text, "not a stream"));
    assert_int_equal(close(fds[1]), 0);
}

/* ---- files ---- */

struct seen {
    char bytes[64];
    size_t count;
};

static void note(void *ctx, const void *data, size_t bytes)
{
    struct seen *seen = ctx;

    assert_true(bytes <= sizeof seen->bytes - seen->count);
    memcpy(seen->bytes + seen->count, data, bytes);
    seen->count += bytes;
}

static void a_file_is_a_stream_with_an_end_and_shows_every_byte(void **state)
{
    char one[] = "one ", two[] = "two";
    const struct iovec iov[] = {{one, 4}, {two, 0}, {two, 3}};
    struct vf_error err = VF_ERROR_INIT;
    struct seen wrote = {0}, read_ = {0};
    int fd = memfd_create("file", MFD_CLOEXEC);
    int again = dup(fd);
    char data[8];
    struct tp *tp;

    (void)state;
    assert_int_equal(tp_file(fd, "f", note, &wrote, &tp, &err), 0);
    assert_int_equal(tp_send(tp, iov, 3, TP_NEVER, &err), 0);
    assert_int_equal(tp_file_offset(tp), 7);
    tp_close(tp);
    assert_int_equal(wrote.count, 7);
    assert_memory_equal(wrote.bytes, "one two", 7);
    /* A descriptor of the same file may stand anywhere: the stream has an offset of its own. */
    assert_int_equal(lseek(again, 5, SEEK_SET), 5);
    assert_int_equal(tp_file(again, "f", note, &read_, &tp, &err), 0);
    assert_int_equal(tp_recv(tp, data, 4, TP_NEVER, &err), 0);
    assert_memory_equal(data, "one ", 4);
    tp_file_seek(tp, 0);
    assert_int_equal(tp_recv(tp, data, 7, TP_NEVER, &err), 0);
    assert_memory_equal(read_.bytes, "one one two", 11);
    assert_int_equal(tp_recv(tp, data, 1, TP_NEVER, &err), -1);
    assert_true(tp_lost(tp));
    tp_close(tp);
}

static void a_file_ends_at_an_abort_too(void **state)
{
    struct vf_error err = VF_ERROR_INIT;
    char byte = 'x';
    const struct iovec iov = {&byte, 1};
    struct tp *tp;

    (void)state;
    assert_int_equal(tp_file(memfd_create("file", MFD_CLOEXEC), "f", NULL, NULL, &tp, &err), 0);
    tp_abort(tp);
    assert_int_equal(tp_send(tp, &iov, 1, TP_NEVER, &err), -1);
    assert_int_equal(err.code, VF_CANCELLED);
    tp_close(tp);
}

static void what_is_no_file_is_refused_and_closed(void **state)
{
    struct vf_error err = VF_ERROR_INIT;
    struct tp *tp;
    int fds[2];

    (void)state;
    assert_int_equal(pipe(fds), 0);
    assert_int_equal(tp_file(fds[0], "f", NULL, NULL, &tp, &err), -1);
    assert_int_equal(fcntl(fds[0], F_GETFD), -1);
    assert_int_equal(close(fds[1]), 0);
}

#define WITH_PIPE(f) cmocka_unit_test_setup_teardown(f, make_pipe, drop_pipe)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_PIPE(large_message_survives_partial_sends),
        WITH_PIPE(many_pieces_with_empty_ones_arrive_in_order),
        WITH_PIPE(nothing_to_send_is_done_at_once),
        WITH_PIPE(silent_peer_is_lost),
        WITH_PIPE(peer_that_takes_nothing_is_silent_too),
        WITH_PIPE(deadline_ends_the_wait),
        WITH_PIPE(passed_deadline_still_takes_what_is_there),
        WITH_PIPE(closed_peer_is_told_from_a_cut_message),
        WITH_PIPE(sending_to_a_closed_peer_fails_without_a_signal),
        WITH_PIPE(abort_wakes_a_receiver),
        WITH_PIPE(abort_wakes_a_blocked_sender),
        WITH_PIPE(after_abort_every_call_fails_even_with_data_there),
        WITH_PIPE(wait_readable_tells_data_and_end_from_nothing),
        cmocka_unit_test(tcp_carries_both_ways),
        cmocka_unit_test(refused_connection_names_the_address),
        cmocka_unit_test(what_cannot_even_be_tried_is_told_apart),
        cmocka_unit_test(malformed_addresses_are_usage_errors),
        cmocka_unit_test(an_address_that_lacks_its_port_is_told_so),
        cmocka_unit_test(loopback_is_recognised_strictly),
        cmocka_unit_test(what_is_no_stream_socket_is_refused_and_closed),
        cmocka_unit_test(a_file_is_a_stream_with_an_end_and_shows_every_byte),
        cmocka_unit_test(a_file_ends_at_an_abort_too),
        cmocka_unit_test(what_is_no_file_is_refused_and_closed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
