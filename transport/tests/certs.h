// SPDX-License-Identifier: Apache-2.0
/* Certificates for the tests of TLS, good ones and every kind of bad one, in files of a directory
 * that goes with the test. */
#ifndef TRANSPORT_TESTS_CERTS_H
#define TRANSPORT_TESTS_CERTS_H

#include "transport/certificate.h"
#include "transport/tls.h"

#include <limits.h>

struct certs {
    char folder[64];
    struct tp_certificate *ca, *other_ca;
    unsigned made;
};

/* A CA and another one. */
void certs_open(struct certs *certs);
void certs_close(struct certs *certs);

struct certs_wish {
    const char *names[3]; /* the first may be NULL: no name at all */
    int64_t from, until;  /* hours from now; both 0: from an hour ago to in an hour */
    bool other_ca;        /* signed by the other one */
    bool self_signed;
    bool not_client, not_server;
};

/* Files of one host. */
struct certs_host {
    char cert[PATH_MAX], key[PATH_MAX], ca[PATH_MAX];
};
void certs_make(struct certs *certs, const struct certs_wish *wish, struct certs_host *out);
/* A context of that host that lets in `peers` (NULL-terminated; NULL: all of its CA). Asserts that
 * it can be opened. */
struct tp_tls *certs_tls(const struct certs_host *host, const char *const *peers);
void certs_write(const char *path, const char *text, unsigned mode);

#endif
