// SPDX-License-Identifier: Apache-2.0
/* What the tests of TLS share: two hosts with certificates of one CA, and a stream between them. */
#ifndef TRANSPORT_TESTS_TLS_RIG_H
#define TRANSPORT_TESTS_TLS_RIG_H

#include "transport/tests/certs.h"

#include <pthread.h>

#define MS 1000000ull
#define SOON_MS 10000ull

extern struct certs certs;
extern struct certs_host a_files, b_files;
extern struct tp_tls *a_tls, *b_tls; /* a.example (10.0.0.1) dials b.example */

/* A group's setup and teardown. */
int open_all(void **state);
int close_all(void **state);

/* A deadline that only a broken stream misses. */
uint64_t soon(void);

struct shake {
    struct tp *tp;
    int rc;
    struct vf_error err;
};
/* A thread's: shakes hands until soon. */
void *shake_main(void *arg);
/* ends[0] dials `host` as `client`, ends[1] is dialled. Both have tried to shake hands. */
void meet(struct tp_tls *client, struct tp_tls *server, const char *host, struct tp *ends[2],
          struct shake out[2]);
void part(struct tp *ends[2]);

enum { FLOW_BYTES = 24 << 20 };

struct flow {
    struct tp *tp;
    uint64_t seed;
    int rc;
    struct vf_error err;
};

/* Byte `at` of a flow. */
uint8_t pattern(uint64_t seed, uint64_t at);
/* A thread's: sends all of it, in pieces of all sizes, several to a call, some empty. */
void *send_flow(void *arg);

#endif
