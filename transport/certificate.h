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

/* `issuer` NULL: signed by itself. VF_USAGE for a name that is none. */
int tp_certificate_make(const struct tp_certificate_wish *wish, const struct tp_certificate *issuer,
                        struct tp_certificate **out, struct vf_error *err);
void tp_certificate_free(struct tp_certificate *certificate); /* NULL is allowed */

#define TP_PEM_BYTES 4096u
enum tp_pem { TP_PEM_CERTIFICATE, TP_PEM_KEY };
/* As text in PEM; a key's goes nowhere but into its file. */
int tp_certificate_pem(const struct tp_certificate *certificate, enum tp_pem what,
                       char text[TP_PEM_BYTES], struct vf_error *err);
/* From the texts of both files again. */
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
/* Of the first certificate in the text. */
int tp_certificate_look(const void *pem, size_t bytes, struct tp_certificate_facts *out,
                        struct vf_error *err);
/* A name in the one way it is compared, see tls.h. False: it is none. */
bool tp_certificate_name(const char *name, char out[TP_NAME_BYTES]);

#endif
