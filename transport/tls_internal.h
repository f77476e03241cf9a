// SPDX-License-Identifier: Apache-2.0
/* What the files of TLS share: names in certificates, and the context that streams are
 * made from. */
#ifndef TRANSPORT_TLS_INTERNAL_H
#define TRANSPORT_TLS_INTERNAL_H

#include "transport/tls.h"

#include <openssl/ssl.h>

/* Room for a few names in one line of text. */
#define TLS_NAMES_BYTES 200u

/* A name in the one way it is compared: addresses as inet_ntop writes them, letters small. False:
 * it is none. */
bool tls_name_normal(const char *name, char out[TP_NAME_BYTES]);
/* Calls `each` with every DNS and IP name of the certificate, in its order and normal, until it
 * says true; that is the result. */
bool tls_names(const X509 *cert, bool (*each)(void *ctx, const char *name), void *ctx);
bool tls_has_name(const X509 *cert, const char *normal);
/* "a.example, 10.0.0.1", cut when there are many; "no name" when there is none. */
void tls_list_names(const X509 *cert, char text[TLS_NAMES_BYTES]);
/* "2026-11-20 07:00 UTC" */
void tls_time_text(const ASN1_TIME *when, char text[32]);
/* What OpenSSL last complained of in this thread; forgets it. */
const char *tls_complaint(void);

SSL_CTX *tls_context(const struct tp_tls *tls);
/* The name of the certificate that counts for this host's list; "" = none is allowed. */
void tls_identity(const struct tp_tls *tls, const X509 *cert, char out[TP_NAME_BYTES]);

#endif
