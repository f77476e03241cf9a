// SPDX-License-Identifier: Apache-2.0
/* See tls_rig.h. */
#include "transport/tests/pipe.h"
#include "transport/tests/tls_rig.h"

#include "base/clock.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

struct certs certs;
struct certs_host a_files, b_files;
struct tp_tls *a_tls, *b_tls; /* a.example (10.0.0.1) dials b.example */

int open_all(void **state)
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

int close_all(void **state)
{
    (void)state;
    tp_tls_unref(a_tls);
    tp_tls_unref(b_tls);
    certs_close(&certs);
    return 0;
}

uint64_t soon(void)
{
    return vf_now_ns() + SOON_MS * MS;
}

void *shake_main(void *arg)
{
    struct shake *shake = arg;

    shake->rc = tp_handshake(shake->tp, soon(), &shake->err);
    return NULL;
}

void meet(struct tp_tls *client, struct tp_tls *server, const char *host, struct tp *ends[2],
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

void part(struct tp *ends[2])
{
    tp_close(ends[0]);
    tp_close(ends[1]);
}

uint8_t pattern(uint64_t seed, uint64_t at)
{
    return (uint8_t)((at + seed) * 2654435761u >> 13);
}

void *send_flow(void *arg)
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
