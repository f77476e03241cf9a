// SPDX-License-Identifier: Apache-2.0
/* The names of a certificate, which a stranger may have written: only what is plainly a DNS name or
 * an address is one. */
#include "transport/tls_internal.h"

#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static bool address_normal(const char *name, char out[TP_NAME_BYTES])
{
    const size_t length = strcspn(name, "%"); /* an interface is no part of who somebody is */
    char bare[INET6_ADDRSTRLEN];
    struct in6_addr address; /* large enough for both */
    int family;

    if (length >= sizeof bare)
        return false;
    memcpy(bare, name, length);
    bare[length] = '\0';
    family = strchr(bare, ':') != NULL ? AF_INET6 : AF_INET;
    return inet_pton(family, bare, &address) == 1 &&
           inet_ntop(family, &address, out, TP_NAME_BYTES) != NULL;
}

bool tls_name_normal(const char *name, char out[TP_NAME_BYTES])
{
    size_t length = strlen(name);

    if (address_normal(name, out))
        return true;
    if (length > 0 && name[length - 1] == '.')
        length--; /* the root's dot */
    if (length == 0 || length >= TP_NAME_BYTES)
        return false;
    for (size_t i = 0; i < length; i++) {
        const char c = name[i];
        const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');

        if (!letter && !(c >= '0' && c <= '9') && c != '-' && c != '.' && c != '_')
            return false;
        out[i] = c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
    }
    out[length] = '\0';
    return true;
}

/* False: another kind of name, or none that could be meant. */
static bool read_name(const GENERAL_NAME *entry, char out[TP_NAME_BYTES])
{
    char text[TP_NAME_BYTES];
    const ASN1_STRING *value;
    size_t length;

    if (entry->type != GEN_DNS && entry->type != GEN_IPADD)
        return false;
    value = entry->type == GEN_DNS ? entry->d.dNSName : entry->d.iPAddress;
    length = (size_t)ASN1_STRING_length(value);
    if (entry->type == GEN_IPADD)
        return (length == 4 || length == 16) &&
               inet_ntop(length == 4 ? AF_INET : AF_INET6, ASN1_STRING_get0_data(value), out,
                         TP_NAME_BYTES) != NULL;
    if (length >= sizeof text)
        return false;
    memcpy(text, ASN1_STRING_get0_data(value), length);
    text[length] = '\0';
    /* A byte 0 in it would make it another one; and an address is no DNS name. */
    return strlen(text) == length && !address_normal(text, out) && tls_name_normal(text, out);
}

bool tls_names(const X509 *cert, bool (*each)(void *ctx, const char *name), void *ctx)
{
    GENERAL_NAMES *list = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);
    bool stop = false;

    for (int i = 0; i < sk_GENERAL_NAME_num(list) && !stop; i++) {
        char name[TP_NAME_BYTES];

        if (read_name(sk_GENERAL_NAME_value(list, i), name))
            stop = each(ctx, name);
    }
    GENERAL_NAMES_free(list);
    return stop;
}

static bool same(void *ctx, const char *name)
{
    return strcmp(ctx, name) == 0;
}

bool tls_has_name(const X509 *cert, const char *normal)
{
    return tls_names(cert, same, (void *)(uintptr_t)normal);
}

static bool append(void *ctx, const char *name)
{
    char *text = ctx;
    const size_t used = strlen(text);
    const size_t room = TLS_NAMES_BYTES - used;

    if (strlen(name) + sizeof ", , ..." > room) {
        (void)snprintf(text + used, room, used > 0 ? ", ..." : "%.150s...", name);
        return true;
    }
    (void)snprintf(text + used, room, "%s%s", used > 0 ? ", " : "", name);
    return false;
}

void tls_list_names(const X509 *cert, char text[TLS_NAMES_BYTES])
{
    text[0] = '\0';
    (void)tls_names(cert, append, text);
    if (text[0] == '\0')
        (void)snprintf(text, TLS_NAMES_BYTES, "no name");
}

void tls_time_text(const ASN1_TIME *when, char text[32])
{
    struct tm tm;

    if (when == NULL || ASN1_TIME_to_tm(when, &tm) != 1 ||
        strftime(text, 32, "%Y-%m-%d %H:%M UTC", &tm) == 0)
        (void)snprintf(text, 32, "a date that is none");
}

const char *tls_complaint(void)
{
    const char *text = ERR_reason_error_string(ERR_peek_last_error());

    ERR_clear_error();
    return text != NULL ? text : "OpenSSL gives no reason";
}
