// SPDX-License-Identifier: Apache-2.0
/* Is the peer whom it should be? And in words: why not, and why it says no to us. */
#include "transport/tls_stream.h"

#include <openssl/err.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void tls_say(struct tls_stream *stream, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    if (stream->why[0] == '\0') /* the first cause is the one to tell */
        (void)vsnprintf(stream->why, sizeof stream->why, format, args);
    va_end(args);
}

/* The chain is good; do the names of its end fit? */
static int check_names(struct tls_stream *stream, const X509 *cert)
{
    char names[TLS_NAMES_BYTES];
    char identity[TP_NAME_BYTES];

    tls_list_names(cert, names);
    if (stream->host[0] != '\0' && !tls_has_name(cert, stream->host)) {
        tls_say(stream,
                "certificate is for %s, not for %.100s; dial the host by a name it has, or give it "
                "a certificate with this one",
                names, stream->host);
        return X509_V_ERR_HOSTNAME_MISMATCH;
    }
    tls_identity(stream->tls, cert, identity);
    if (identity[0] == '\0') {
        tls_say(stream, "certificate is for %s, which no --tls-peer of this host allows", names);
        return X509_V_ERR_APPLICATION_VERIFICATION;
    }
    return X509_V_OK;
}

/* What is wrong with the certificate at that depth of the peer's chain, whose end (depth 0) is the
 * peer's own. */
static void say_fault(struct tls_stream *stream, const X509_STORE_CTX *context, int depth,
                      int fault)
{
    const X509 *cert = X509_STORE_CTX_get_current_cert(context);
    const char *what = depth > 0 ? "CA above the certificate" : "certificate";
    char names[TLS_NAMES_BYTES];
    char when[32];

    if (X509_STORE_CTX_get0_cert(context) == NULL || cert == NULL) {
        tls_say(stream, "certificate: %s", X509_verify_cert_error_string(fault));
        return;
    }
    tls_list_names(X509_STORE_CTX_get0_cert(context), names);
    switch (fault) {
    case X509_V_ERR_CERT_HAS_EXPIRED:
        tls_time_text(X509_get0_notAfter(cert), when);
        tls_say(stream, "%s of %s expired on %s; renew it there", what, names, when);
        break;
    case X509_V_ERR_CERT_NOT_YET_VALID:
        tls_time_text(X509_get0_notBefore(cert), when);
        tls_say(stream, "%s of %s is not yet valid, only from %s; are both clocks right?", what,
                names, when);
        break;
    case X509_V_ERR_INVALID_PURPOSE:
        tls_say(stream, "certificate of %s has the wrong purpose: it may not be used as a %s's",
                names, stream->host[0] != '\0' ? "server" : "client");
        break;
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
    case X509_V_ERR_CERT_SIGNATURE_FAILURE:
        tls_say(stream,
                "certificate of %s is from an unknown CA, not from one in this host's "
                "--tls-ca",
                names);
        break;
    default:
        tls_say(stream, "%s of %s: %s", what, names, X509_verify_cert_error_string(fault));
    }
}

int tls_verify(int good, X509_STORE_CTX *context)
{
    SSL *ssl = X509_STORE_CTX_get_ex_data(context, SSL_get_ex_data_X509_STORE_CTX_idx());
    struct tls_stream *stream = SSL_get_app_data(ssl);
    int depth = X509_STORE_CTX_get_error_depth(context);
    int fault;

    if (good != 1) {
        say_fault(stream, context, depth, X509_STORE_CTX_get_error(context));
        return 0;
    }
    if (depth > 0)
        return 1;
    fault = check_names(stream, X509_STORE_CTX_get_current_cert(context));
    if (fault == X509_V_OK)
        return 1;
    X509_STORE_CTX_set_error(context, fault);
    return 0;
}

/* The peer's alerts about this host's certificate, and what each means between two vferryd. */
static const struct {
    int alert;
    const char *text;
} refusals[] = {
    {SSL_AD_CERTIFICATE_REQUIRED, "wants a certificate and this host showed none"},
    {SSL_AD_CERTIFICATE_EXPIRED, "refuses this host's certificate: it has expired"},
    {SSL_AD_UNKNOWN_CA, "refuses this host's certificate: it is from an unknown CA there"},
    {SSL_AD_UNSUPPORTED_CERTIFICATE, "refuses this host's certificate: it has the wrong purpose"},
    {SSL_AD_BAD_CERTIFICATE,
     "refuses this host's certificate: it is not for the name dialled, or not yet valid"},
    {SSL_AD_HANDSHAKE_FAILURE,
     "refuses this host: no --tls-peer there allows the name in this host's certificate"},
    {SSL_AD_PROTOCOL_VERSION, "does not speak TLS 1.3"},
};

void tls_say_complaint(struct tls_stream *stream)
{
    const unsigned long error = ERR_peek_error();
    const int reason = ERR_GET_REASON(error);

    if (ERR_GET_LIB(error) == ERR_LIB_SSL) {
        for (size_t i = 0; i < sizeof refusals / sizeof refusals[0]; i++) {
            if (reason == SSL_AD_REASON_OFFSET + refusals[i].alert)
                tls_say(stream, "%s; see the log there", refusals[i].text);
        }
        if (reason == SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE)
            tls_say(stream, "shows no certificate, and this host wants one");
        else if (reason == SSL_R_UNSUPPORTED_PROTOCOL || reason == SSL_R_NO_PROTOCOLS_AVAILABLE)
            tls_say(stream, "does not speak TLS 1.3");
    }
    tls_say(stream, "TLS: %s",
            ERR_reason_error_string(error) != NULL ? ERR_reason_error_string(error)
                                                   : "OpenSSL gives no reason");
    ERR_clear_error();
}
