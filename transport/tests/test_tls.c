// SPDX-License-Identifier: Apache-2.0
/* TLS as a stream: all that holds for a plain one, with both directions at once; and who gets in
 * and who does not, with the reason on both sides. */
#include "base/size.h"
#include "transport/tests/certs.h"
#include "transport/tls_stream.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define MS 1000000ull
#define SOON_MS 10000ull

static struct certs certs;
static struct certs_host a_files, b_files;
static struct tp_tls *a_tls, *b_tls; /* a.example (10.0.0.1) dials b.example */

static int open_all(void **state)
{
    const struct certs_wish a = {.names = {"a.example", "10.0.0.1"}};
    const struct certs_wish b = {.names = {"b.example"}};

    (void)state;
    (void)signal(SIGPIPE, SIG_IGN); /* peers of plain OpenSSL write as they like */
    certs_open(&certs);
    certs_make(&certs, &a, &a_files);
    certs_make(&certs, &b, &b_files);
    a_tls = certs_tls(&a_files, NULL);
    b_tls = certs_tls(&b_files, NULL);
    return 0;
}

static int close_all(void **state)
{
    (void)state;
    tp_tls_unref(a_tls);
    tp_tls_unref(b_tls);
    certs_close(&certs);
    return 0;
}

static uint64_t soon(void)
{
    return vf_now_ns() + SOON_MS * MS;
}

/* ---- two ends ---- */

struct shake {
    struct tp *tp;
    int rc;
    struct vf_error err;
};

static void *shake_main(void *arg)
{
    struct shake *shake = arg;

    shake->rc = tp_handshake(shake->tp, soon(), &shake->err);
    return NULL;
}

/* ends[0] dials `host` as `client`, ends[1] is dialled. Both have tried to shake hands. */
static void meet(struct tp_tls *client, struct tp_tls *server, const char *host, struct tp *ends[2],
                 struct shake out[2])
{
    struct tp *plain[2];
    struct vf_error err = VF_ERROR_INIT;
    pthread_t thread;

    assert_int_equal(tp_pipe(plain, &err), 0);
    assert_int_equal(tp_tls_wrap(client, plain[0], host, &ends[0], &err), 0);
    assert_int_equal(tp_tls_wrap(server, plain[1], NULL, &ends[1], &err), 0);
    out[0] = (struct shake){.tp = ends[0], .err = VF_ERROR_INIT};
    out[1] = (struct shake){.tp = ends[1], .err = VF_ERROR_INIT};
    assert_int_equal(pthread_create(&thread, NULL, shake_main, &out[1]), 0);
    (void)shake_main(&out[0]);
    if (out[0].rc != 0)
        tp_abort(ends[0]); /* as who dials does: it closes */
    assert_int_equal(pthread_join(thread, NULL), 0);
}

static void part(struct tp *ends[2])
{
    tp_close(ends[0]);
    tp_close(ends[1]);
}

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

static uint8_t pattern(uint64_t seed, uint64_t at)
{
    return (uint8_t)((at + seed) * 2654435761u >> 13);
}

enum { FLOW_BYTES = 24 << 20 };

struct flow {
    struct tp *tp;
    uint64_t seed;
    int rc;
    struct vf_error err;
};

/* In pieces of all sizes, several to a call, some empty. */
static void *send_flow(void *arg)
{
    struct flow *flow = arg;
    uint8_t *data = malloc(FLOW_BYTES);
    uint64_t at = 0, draw = flow->seed;

    for (uint64_t i = 0; i < FLOW_BYTES; i++)
        data[i] = pattern(flow->seed, i);
    while (at < FLOW_BYTES && flow->rc == 0) {
        struct iovec iov[5];
        uint64_t sum = 0;

        for (int i = 0; i < 5; i++) {
            uint64_t bytes;

            draw = draw * 6364136223846793005u + 1442695040888963407u;
            bytes = draw >> 60 == 0 ? draw >> 40 & 0x3fffff : (draw >> 40) % 9000;
            if (draw >> 61 == 3)
                bytes = 0;
            if (bytes > FLOW_BYTES - at - sum)
                bytes = FLOW_BYTES - at - sum;
            iov[i] = (struct iovec){data + at + sum, bytes};
            sum += bytes;
        }
        flow->rc = tp_send(flow->tp, iov, 5, TP_NEVER, &flow->err);
        at += sum;
    }
    free(data);
    return NULL;
}

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
                flow->rc = vf_fail(&flow->err, VF_FAILED, "byte %llu is wrong",
                                   (unsigned long long)(at + i));
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

/* ---- who gets in ---- */

static void refused(struct tp_tls *client, struct tp_tls *server, const char *host,
                    const char *client_text, const char *server_text)
{
    struct tp *ends[2];
    struct shake shakes[2];

    meet(client, server, host, ends, shakes);
    for (int i = 0; i < 2; i++) {
        const char *want = i == 0 ? client_text : server_text;

        assert_int_equal(shakes[i].rc, -1);
        if (strstr(shakes[i].err.text, want) == NULL)
            fail_msg("\"%s\" is not in \"%s\"", want, shakes[i].err.text);
        assert_string_equal(ends[i]->identity, "");
    }
    part(ends);
}

static void let_in(struct tp_tls *client, struct tp_tls *server, const char *host,
                   const char *client_name)
{
    struct tp *ends[2];
    struct shake shakes[2];

    meet(client, server, host, ends, shakes);
    for (int i = 0; i < 2; i++) {
        if (shakes[i].rc != 0)
            fail_msg("%s", shakes[i].err.text);
    }
    assert_string_equal(ends[1]->identity, client_name);
    part(ends);
}

static void a_host_dialled_by_another_name_is_refused(void **state)
{
    (void)state;
    refused(a_tls, b_tls, "c.example", "certificate is for b.example, not for c.example",
            "refuses this host's certificate: it is not for the name dialled");
    refused(a_tls, b_tls, "10.0.0.2", "certificate is for b.example, not for 10.0.0.2", "refuses");
    refused(b_tls, a_tls, "10.0.0.2", "certificate is for a.example, 10.0.0.1, not for 10.0.0.2",
            "refuses");
    refused(a_tls, b_tls, "example", "not for example", "refuses");
}

static void a_host_may_be_dialled_by_any_of_its_names(void **state)
{
    (void)state;
    let_in(b_tls, a_tls, "a.example", "b.example");
    let_in(b_tls, a_tls, "A.Example.", "b.example");
    let_in(b_tls, a_tls, "10.0.0.1", "b.example");
}

static void a_wildcard_is_no_name(void **state)
{
    const struct certs_wish wish = {.names = {"d.example"}};
    struct certs_host files;
    struct tp_tls *tls;
    struct vf_error err = VF_ERROR_INIT;
    const char *const star[] = {"*.example"};
    struct tp_tls_files with_star;

    (void)state;
    certs_make(&certs, &wish, &files);
    tls = certs_tls(&files, NULL);
    let_in(tls, b_tls, "b.example", "d.example");
    tp_tls_unref(tls);
    with_star = (struct tp_tls_files){files.cert, files.key, files.ca, star, 1};
    assert_int_equal(tp_tls_open(&with_star, &tls, &err), -1);
    assert_int_equal(err.code, VF_USAGE);
    assert_non_null(strstr(err.text, "wildcards"));
}

static void a_list_of_peers_keeps_all_others_out(void **state)
{
    const char *const only_c[] = {"c.example", NULL};
    const char *const a_by_address[] = {"c.example", "10.0.0.1", NULL};
    struct tp_tls *b_only_c = certs_tls(&b_files, only_c);
    struct tp_tls *b_a = certs_tls(&b_files, a_by_address);
    struct tp_tls *a_only_c = certs_tls(&a_files, only_c);

    (void)state;
    refused(a_tls, b_only_c, "b.example", "no --tls-peer there allows the name",
            "certificate is for a.example, 10.0.0.1, which no --tls-peer of this host allows");
    refused(a_only_c, b_tls, "b.example", "which no --tls-peer of this host allows",
            "no --tls-peer there allows the name");
    let_in(a_tls, b_a, "b.example", "10.0.0.1");
    tp_tls_unref(b_only_c);
    tp_tls_unref(b_a);
    tp_tls_unref(a_only_c);
}

/* A context for b.example whose CA is the other one, or that shows what the wish says. */
static struct tp_tls *odd(const struct certs_wish *wish)
{
    struct certs_host files;

    certs_make(&certs, wish, &files);
    return certs_tls(&files, NULL);
}

static void an_unknown_ca_is_refused_on_either_side(void **state)
{
    const struct certs_wish by_other = {.names = {"b.example"}, .other_ca = true};
    const struct certs_wish by_itself = {.names = {"b.example"}, .self_signed = true};
    struct tp_tls *other = odd(&by_other), *itself = odd(&by_itself);

    (void)state;
    refused(a_tls, other, "b.example", "certificate of b.example is from an unknown CA",
            "unknown CA there");
    refused(other, a_tls, "a.example", "unknown CA there",
            "certificate of b.example is from an unknown CA");
    refused(itself, a_tls, "a.example", "unknown CA there",
            "certificate of b.example is from an unknown CA");
    tp_tls_unref(other);
    tp_tls_unref(itself);
}

/* ---- peers that no vferryd would be: plain OpenSSL over the pipe's socket ---- */

struct odd_peer {
    struct tp *plain;
    const struct certs_host *files; /* NULL: shows no certificate */
    bool server;
    int version; /* most it speaks; 0: all */
    int rc;
};

static void *odd_main(void *arg)
{
    struct odd_peer *odd = arg;
    SSL_CTX *context = SSL_CTX_new(TLS_method());
    SSL *ssl;
    char byte;

    SSL_CTX_set_verify(context, SSL_VERIFY_NONE, NULL);
    if (odd->version != 0)
        (void)SSL_CTX_set_max_proto_version(context, odd->version);
    if (odd->files != NULL) {
        (void)SSL_CTX_use_certificate_file(context, odd->files->cert, SSL_FILETYPE_PEM);
        (void)SSL_CTX_use_PrivateKey_file(context, odd->files->key, SSL_FILETYPE_PEM);
    }
    ssl = SSL_new(context);
    (void)SSL_set_fd(ssl, tp_fd(odd->plain));
    odd->rc = odd->server ? SSL_accept(ssl) : SSL_connect(ssl);
    if (odd->rc == 1) /* with TLS 1.3 a client learns only now whether it was let in */
        odd->rc = SSL_read(ssl, &byte, 1) == 1 ? 1 : -1;
    SSL_free(ssl);
    SSL_CTX_free(context);
    tp_abort(odd->plain);
    return NULL;
}

/* What this side, as a.example, has to say about it. */
static void odd_refused(const struct odd_peer *like, const char *text)
{
    struct odd_peer odd = *like;
    struct tp *plain[2], *end;
    struct vf_error err = VF_ERROR_INIT;
    pthread_t thread;

    assert_int_equal(tp_pipe(plain, &err), 0);
    odd.plain = plain[0];
    assert_int_equal(tp_tls_wrap(a_tls, plain[1], odd.server ? "b.example" : NULL, &end, &err), 0);
    assert_int_equal(pthread_create(&thread, NULL, odd_main, &odd), 0);
    assert_int_equal(tp_handshake(end, soon(), &err), -1);
    tp_close(end);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(odd.rc, -1);
    if (strstr(err.text, text) == NULL)
        fail_msg("\"%s\" is not in \"%s\"", text, err.text);
    tp_close(plain[0]);
}

static void odd_cert_refused(const struct certs_wish *wish, bool server, const char *text)
{
    struct certs_host files;
    struct odd_peer odd = {.files = &files, .server = server};

    certs_make(&certs, wish, &files);
    odd_refused(&odd, text);
}

static void an_expired_certificate_is_refused(void **state)
{
    const struct certs_wish wish = {.names = {"b.example"}, .from = -48, .until = -24};

    (void)state;
    odd_cert_refused(&wish, true, "certificate of b.example expired on 2");
    odd_cert_refused(&wish, false, "certificate of b.example expired on 2");
}

static void a_certificate_of_tomorrow_is_refused(void **state)
{
    const struct certs_wish wish = {.names = {"b.example"}, .from = 24, .until = 48};

    (void)state;
    odd_cert_refused(&wish, true, "certificate of b.example is not yet valid, only from 2");
    odd_cert_refused(&wish, false, "certificate of b.example is not yet valid, only from 2");
}

static void a_certificate_for_another_purpose_is_refused(void **state)
{
    const struct certs_wish client = {.names = {"b.example"}, .not_server = true};
    const struct certs_wish server = {.names = {"b.example"}, .not_client = true};

    (void)state;
    odd_cert_refused(&client, true, "wrong purpose: it may not be used as a server's");
    odd_cert_refused(&server, false, "wrong purpose: it may not be used as a client's");
}

static void a_certificate_without_a_name_is_refused(void **state)
{
    const struct certs_wish wish = {.names = {NULL}};

    (void)state;
    odd_cert_refused(&wish, true, "certificate is for no name, not for b.example");
    odd_cert_refused(&wish, false, "certificate is for no name");
}

static void who_shows_no_certificate_is_refused(void **state)
{
    const struct odd_peer odd = {.server = false};

    (void)state;
    odd_refused(&odd, "shows no certificate");
}

static void older_tls_is_refused(void **state)
{
    const struct odd_peer client = {.files = &b_files, .version = TLS1_2_VERSION};
    const struct odd_peer server = {.files = &b_files, .version = TLS1_2_VERSION, .server = true};

    (void)state;
    odd_refused(&client, "does not speak TLS 1.3");
    odd_refused(&server, "does not speak TLS 1.3");
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

/* ---- what is given at the start ---- */

static void not_opened(const struct certs_host *host, enum vf_code code, const char *text)
{
    const struct tp_tls_files files = {.cert = host->cert, .key = host->key, .ca = host->ca};
    struct vf_error err = VF_ERROR_INIT;
    struct tp_tls *tls;

    assert_int_equal(tp_tls_open(&files, &tls, &err), -1);
    assert_null(tls);
    assert_int_equal(err.code, code);
    if (strstr(err.text, text) == NULL)
        fail_msg("\"%s\" is not in \"%s\"", text, err.text);
}

static void files_that_are_missing_or_wrong_are_told_by_their_option(void **state)
{
    struct certs_host host = a_files;

    (void)state;
    (void)snprintf(host.cert, sizeof host.cert, "%s/nowhere", certs.folder);
    not_opened(&host, VF_USAGE, "nowhere: No such file");
    host = a_files;
    memcpy(host.key, b_files.key, sizeof host.key);
    not_opened(&host, VF_USAGE, "is not the key of the certificate");
    memcpy(host.key, a_files.cert, sizeof host.key);
    assert_int_equal(chmod(host.key, 0600), 0);
    not_opened(&host, VF_USAGE, "--tls-key");
    host = a_files;
    memcpy(host.cert, a_files.key, sizeof host.cert);
    not_opened(&host, VF_USAGE, "--tls-cert");
    host = a_files;
    memcpy(host.ca, b_files.cert, sizeof host.ca);
    not_opened(&host, VF_USAGE, "no CA's");
    memcpy(host.ca, b_files.key, sizeof host.ca);
    not_opened(&host, VF_USAGE, "--tls-ca");
    (void)snprintf(host.ca, sizeof host.ca, "%s", certs.folder);
    not_opened(&host, VF_USAGE, "is no regular file");
}

static void a_key_that_others_can_read_is_refused(void **state)
{
    (void)state;
    assert_int_equal(chmod(a_files.key, 0640), 0);
    not_opened(&a_files, VF_USAGE, "chmod 600");
    assert_int_equal(chmod(a_files.key, 0604), 0);
    not_opened(&a_files, VF_USAGE, "chmod 600");
    assert_int_equal(chmod(a_files.key, 0600), 0);
}

static void a_key_with_a_passphrase_is_refused_without_asking(void **state)
{
    struct certs_host host = a_files;
    FILE *file;
    EVP_PKEY *key = EVP_EC_gen("P-256");

    (void)state;
    (void)snprintf(host.key, sizeof host.key, "%s/locked.key", certs.folder);
    certs_write(host.key, "", 0600);
    file = fopen(host.key, "w");
    assert_non_null(file);
    assert_int_equal(
        PEM_write_PrivateKey(file, key, EVP_aes_128_cbc(), NULL, 0, NULL, (void *)(uintptr_t) "pw"),
        1);
    assert_int_equal(fclose(file), 0);
    EVP_PKEY_free(key);
    not_opened(&host, VF_USAGE, "without a passphrase");
}

static void an_own_certificate_that_peers_would_refuse_is_told_at_once(void **state)
{
    const struct certs_wish expired = {.names = {"a.example"}, .from = -48, .until = -24};
    const struct certs_wish early = {.names = {"a.example"}, .from = 24, .until = 48};
    const struct certs_wish nameless = {.names = {NULL}};
    const struct certs_wish half = {.names = {"a.example"}, .not_client = true};
    struct certs_host host;

    (void)state;
    certs_make(&certs, &expired, &host);
    not_opened(&host, VF_FAILED, "expired on");
    certs_make(&certs, &early, &host);
    not_opened(&host, VF_FAILED, "is valid only from");
    certs_make(&certs, &nameless, &host);
    not_opened(&host, VF_USAGE, "has no name");
    certs_make(&certs, &half, &host);
    not_opened(&host, VF_USAGE, "as a client's");
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
        cmocka_unit_test(a_host_dialled_by_another_name_is_refused),
        cmocka_unit_test(a_host_may_be_dialled_by_any_of_its_names),
        cmocka_unit_test(a_wildcard_is_no_name),
        cmocka_unit_test(a_list_of_peers_keeps_all_others_out),
        cmocka_unit_test(an_unknown_ca_is_refused_on_either_side),
        cmocka_unit_test(an_expired_certificate_is_refused),
        cmocka_unit_test(a_certificate_of_tomorrow_is_refused),
        cmocka_unit_test(a_certificate_for_another_purpose_is_refused),
        cmocka_unit_test(a_certificate_without_a_name_is_refused),
        cmocka_unit_test(who_shows_no_certificate_is_refused),
        cmocka_unit_test(older_tls_is_refused),
        cmocka_unit_test(a_peer_may_ask_for_new_keys_while_it_takes_nothing),
        cmocka_unit_test(plain_talk_is_told_from_tls),
        cmocka_unit_test(drips_buy_no_time),
        cmocka_unit_test(files_that_are_missing_or_wrong_are_told_by_their_option),
        cmocka_unit_test(a_key_that_others_can_read_is_refused),
        cmocka_unit_test(a_key_with_a_passphrase_is_refused_without_asking),
        cmocka_unit_test(an_own_certificate_that_peers_would_refuse_is_told_at_once),
    };

    return cmocka_run_group_tests(tests, open_all, close_all);
}
