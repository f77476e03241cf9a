// SPDX-License-Identifier: Apache-2.0
/*
 * Certificates as tls.h reads them, made (a small CA to try vferry with, and whatever tests want)
 * and looked at. Nothing here touches a file. Any thread.
 */
#ifndef TRANSPORT_CERTIFICATE_H
#define TRANSPORT_CERTIFICATE_H

#include "transport/transport.h"

/* A private key (EC P-256) and its certificate. */
struct tp_certificate;

struct tp_certificate_wish {
    const char *subject; /* for people to read; at most 64 bytes */
    bool ca;
    bool client, server; /* what it may be used for */
    int64_t from, until; /* seconds since 1970 */
    const char *const *names;
    size_t name_count;
};

/* A new key, and a certificate for it that `issuer` signs (NULL: it signs itself). The caller frees
 * *out. VF_USAGE when one of the names can be no name of a host; VF_FAILED when OpenSSL fails. */
int tp_certificate_make(const struct tp_certificate_wish *wish, const struct tp_certificate *issuer,
                        struct tp_certificate **out, struct vf_error *err);
void tp_certificate_free(struct tp_certificate *certificate); /* NULL is allowed */

#define TP_PEM_BYTES 4096u
enum tp_pem { TP_PEM_CERTIFICATE, TP_PEM_KEY };
/* The certificate or its key as text in PEM, terminated. A key's text is secret: it goes into a
 * file that its owner alone can read. VF_FAILED when OpenSSL fails. */
int tp_certificate_pem(const struct tp_certificate *certificate, enum tp_pem what,
                       char text[TP_PEM_BYTES], struct vf_error *err);
/* A certificate with its key, from the terminated PEM texts of both. VF_FAILED when one of them is
 * not what it should be, or they do not belong together. The caller frees *out. */
int tp_certificate_parse(const char *pem, const char *key_pem, struct tp_certificate **out,
                         struct vf_error *err);

/* What a certificate says of itself. */
struct tp_certificate_facts {
    char subject[128], issuer[128];
    int64_t from, until;
    bool ca, client, server;
    uint32_t name_count; /* as many as there is room for */
    char names[16][TP_NAME_BYTES];
};
/* What the first certificate in the PEM text says. VF_FAILED when there is none. */
int tp_certificate_look(const void *pem, size_t bytes, struct tp_certificate_facts *out,
                        struct vf_error *err);
/* Writes a DNS name or an IP address in the form in which names are compared (tls.h). False: it
 * is neither. */
bool tp_certificate_name(const char *name, char out[TP_NAME_BYTES]);

#endif
