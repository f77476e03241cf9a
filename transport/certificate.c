// SPDX-License-Identifier: Apache-2.0
/* See certificate.h. */
#include "transport/certificate.h"

#include "base/plain.h"
#include "transport/tls_internal.h"

#include <arpa/inet.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define SERIAL_BYTES 16

struct tp_certificate {
    X509 *cert;
    EVP_PKEY *key;
};

void tp_certificate_free(struct tp_certificate *certificate)
{
    if (certificate == NULL)
        return;
    X509_free(certificate->cert);
    EVP_PKEY_free(certificate->key);
    free(certificate);
}

bool tp_certificate_name(const char *name, char out[TP_NAME_BYTES])
{
    return tls_name_normal(name, out);
}

static int add_extension(X509 *cert, const X509 *issuer, int nid, const char *value)
{
    X509_EXTENSION *extension;
    X509V3_CTX context;
    int result;

    X509V3_set_ctx(&context, (X509 *)(uintptr_t)issuer, cert, NULL, NULL, 0);
    extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);
    result = extension != NULL && X509_add_ext(cert, extension, -1) == 1 ? 0 : -1;
    X509_EXTENSION_free(extension);
    return result;
}

static GENERAL_NAME *make_name(const char *normal)
{
    struct in6_addr address;
    int bytes = inet_pton(AF_INET, normal, &address) == 1    ? 4
                : inet_pton(AF_INET6, normal, &address) == 1 ? 16
                                                             : 0;
    ASN1_STRING *value = bytes > 0 ? ASN1_OCTET_STRING_new() : ASN1_IA5STRING_new();
    GENERAL_NAME *name = GENERAL_NAME_new();

    if (name == NULL || value == NULL ||
        (bytes > 0 ? ASN1_STRING_set(value, &address, bytes)
                   : ASN1_STRING_set(value, normal, -1)) != 1) {
        GENERAL_NAME_free(name);
        ASN1_STRING_free(value);
        return NULL;
    }
    GENERAL_NAME_set0_value(name, bytes > 0 ? GEN_IPADD : GEN_DNS, value);
    return name;
}

static int add_names(X509 *cert, const struct tp_certificate_wish *wish, struct vf_error *err)
{
    GENERAL_NAMES *names = GENERAL_NAMES_new();
    int result = names != NULL ? 0 : vf_fail(err, VF_FAILED, VF_NO_MEMORY);

    for (size_t i = 0; i < wish->name_count && result == 0; i++) {
        char normal[TP_NAME_BYTES];
        GENERAL_NAME *name;

        if (!tls_name_normal(wish->names[i], normal)) {
            result = vf_fail(err, VF_USAGE,
                             "'%s' is neither a DNS name nor an address; wildcards are not used",
                             VF_SHOWN(wish->names[i]));
            break;
        }
        name = make_name(normal);
        if (name == NULL || sk_GENERAL_NAME_push(names, name) <= 0) {
            GENERAL_NAME_free(name);
            result = vf_fail(err, VF_FAILED, VF_NO_MEMORY);
        }
    }
    if (result == 0 && wish->name_count > 0 &&
        X509_add1_ext_i2d(cert, NID_subject_alt_name, names, 0, 0) != 1)
        result = vf_fail(err, VF_FAILED, "certificate: %s", tls_complaint());
    GENERAL_NAMES_free(names);
    return result;
}

static int set_identity(X509 *cert, const struct tp_certificate_wish *wish, const X509 *issuer)
{
    uint8_t serial[SERIAL_BYTES];
    BIGNUM *number = NULL;
    X509_NAME *subject = X509_get_subject_name(cert);
    int result = -1;

    if (RAND_bytes(serial, sizeof serial) != 1)
        return -1;
    serial[0] &= 0x7f; /* positive */
    number = BN_bin2bn(serial, sizeof serial, NULL);
    if (number != NULL && BN_to_ASN1_INTEGER(number, X509_get_serialNumber(cert)) != NULL &&
        X509_set_version(cert, X509_VERSION_3) == 1 &&
        X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8,
                                   (const unsigned char *)wish->subject, -1, -1, 0) == 1 &&
        X509_set_issuer_name(cert, X509_get_subject_name(issuer)) == 1 &&
        ASN1_TIME_set(X509_getm_notBefore(cert), (time_t)wish->from) != NULL &&
        ASN1_TIME_set(X509_getm_notAfter(cert), (time_t)wish->until) != NULL)
        result = 0;
    BN_free(number);
    return result;
}

static const char *usage(const struct tp_certificate_wish *wish)
{
    return wish->client && wish->server ? "serverAuth,clientAuth"
           : wish->client               ? "clientAuth"
                                        : "serverAuth";
}

static int add_extensions(X509 *cert, const struct tp_certificate_wish *wish, const X509 *issuer)
{
    if (add_extension(cert, issuer, NID_basic_constraints,
                      wish->ca ? "critical,CA:TRUE" : "critical,CA:FALSE") != 0 ||
        add_extension(cert, issuer, NID_key_usage,
                      wish->ca ? "critical,keyCertSign,cRLSign" : "critical,digitalSignature") !=
            0 ||
        add_extension(cert, issuer, NID_subject_key_identifier, "hash") != 0 ||
        add_extension(cert, issuer, NID_authority_key_identifier, "keyid") != 0)
        return -1;
    return wish->client || wish->server
               ? add_extension(cert, issuer, NID_ext_key_usage, usage(wish))
               : 0;
}

int tp_certificate_make(const struct tp_certificate_wish *wish, const struct tp_certificate *issuer,
                        struct tp_certificate **out, struct vf_error *err)
{
    struct tp_certificate *made = calloc(1, sizeof *made);
    const X509 *above;

    *out = NULL;
    ERR_clear_error();
    if (made != NULL) {
        made->cert = X509_new();
        made->key = EVP_EC_gen("P-256");
    }
    if (made == NULL || made->cert == NULL || made->key == NULL) {
        tp_certificate_free(made);
        return vf_fail(err, VF_FAILED, "certificate: no key could be made: %s", tls_complaint());
    }
    above = issuer != NULL ? issuer->cert : made->cert;
    if (add_names(made->cert, wish, err) != 0) {
        tp_certificate_free(made);
        return -1;
    }
    if (set_identity(made->cert, wish, above) != 0 || X509_set_pubkey(made->cert, made->key) != 1 ||
        add_extensions(made->cert, wish, above) != 0 ||
        X509_sign(made->cert, issuer != NULL ? issuer->key : made->key, EVP_sha256()) == 0) {
        tp_certificate_free(made);
        return vf_fail(err, VF_FAILED, "certificate for %s: %s", VF_SHOWN(wish->subject),
                       tls_complaint());
    }
    *out = made;
    return 0;
}

int tp_certificate_pem(const struct tp_certificate *certificate, enum tp_pem what,
                       char text[TP_PEM_BYTES], struct vf_error *err)
{
    BIO *bio = BIO_new(BIO_s_secmem());
    int written = 0;
    int bytes = 0;

    ERR_clear_error();
    if (bio != NULL)
        written = what == TP_PEM_KEY
                      ? PEM_write_bio_PrivateKey(bio, certificate->key, NULL, NULL, 0, NULL, NULL)
                      : PEM_write_bio_X509(bio, certificate->cert);
    if (written == 1)
        bytes = BIO_read(bio, text, TP_PEM_BYTES - 1);
    if (bytes <= 0 || BIO_pending(bio) > 0) {
        (void)BIO_free(bio);
        return vf_fail(err, VF_FAILED, "certificate: cannot be written: %s", tls_complaint());
    }
    text[bytes] = '\0';
    (void)BIO_free(bio);
    return 0;
}

static X509 *parse_certificate(const void *pem, size_t bytes)
{
    BIO *bio = bytes <= INT32_MAX ? BIO_new_mem_buf(pem, (int)bytes) : NULL;
    X509 *cert = bio != NULL ? PEM_read_bio_X509(bio, NULL, NULL, (void *)(uintptr_t) "") : NULL;

    (void)BIO_free(bio);
    return cert;
}

int tp_certificate_parse(const char *pem, const char *key_pem, struct tp_certificate **out,
                         struct vf_error *err)
{
    struct tp_certificate *made = calloc(1, sizeof *made);
    BIO *bio = BIO_new_mem_buf(key_pem, -1);

    *out = NULL;
    ERR_clear_error();
    if (made != NULL && bio != NULL) {
        made->cert = parse_certificate(pem, strlen(pem));
        /* An empty passphrase: nobody is asked. */
        made->key = PEM_read_bio_PrivateKey(bio, NULL, NULL, (void *)(uintptr_t) "");
    }
    (void)BIO_free(bio);
    if (made == NULL || made->cert == NULL || made->key == NULL ||
        X509_check_private_key(made->cert, made->key) != 1) {
        tp_certificate_free(made);
        return vf_fail(err, VF_FAILED, "no certificate with its private key: %s", tls_complaint());
    }
    *out = made;
    return 0;
}

/* For people; what is not plain is written as an escape. */
static void name_text(const X509_NAME *name, char *out, int bytes)
{
    BIO *bio = BIO_new(BIO_s_mem());
    int got = -1;

    if (bio != NULL && X509_NAME_print_ex(bio, name, 0, XN_FLAG_ONELINE) >= 0)
        got = BIO_read(bio, out, bytes - 1);
    out[got > 0 ? got : 0] = '\0';
    (void)BIO_free(bio);
}

static int64_t seconds(const ASN1_TIME *when)
{
    struct tm tm;

    return ASN1_TIME_to_tm(when, &tm) == 1 ? timegm(&tm) : 0;
}

static bool take_name(void *ctx, const char *name)
{
    struct tp_certificate_facts *facts = ctx;

    if (facts->name_count == sizeof facts->names / sizeof facts->names[0])
        return true;
    (void)snprintf(facts->names[facts->name_count++], TP_NAME_BYTES, "%s", name);
    return false;
}

int tp_certificate_look(const void *pem, size_t bytes, struct tp_certificate_facts *out,
                        struct vf_error *err)
{
    X509 *cert;

    ERR_clear_error();
    memset(out, 0, sizeof *out);
    cert = parse_certificate(pem, bytes);
    if (cert == NULL)
        return vf_fail(err, VF_FAILED,
                       "holds no certificate in PEM (%s)" VF_REMEDY
                       "give the file of one, e.g. ca.pem of \"vferry cert init DIR\"",
                       tls_complaint());
    name_text(X509_get_subject_name(cert), out->subject, sizeof out->subject);
    name_text(X509_get_issuer_name(cert), out->issuer, sizeof out->issuer);
    out->from = seconds(X509_get0_notBefore(cert));
    out->until = seconds(X509_get0_notAfter(cert));
    out->ca = X509_check_ca(cert) != 0;
    out->client = X509_check_purpose(cert, X509_PURPOSE_SSL_CLIENT, 0) == 1;
    out->server = X509_check_purpose(cert, X509_PURPOSE_SSL_SERVER, 0) == 1;
    (void)tls_names(cert, take_name, out);
    ERR_clear_error();
    X509_free(cert);
    return 0;
}
