// SPDX-License-Identifier: Apache-2.0
/* What this host's streams are made from: its certificate, key and CA, read and checked once, so
 * that a mistake in them is told when the daemon starts and not when a partition is to move. */
#include "transport/tls_internal.h"

#include "base/cleanup.h"
#include "base/plain.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define FILE_CAP (1u << 20)
/* CA, one between, host: more is a stranger's way to make work. */
#define CHAIN_DEPTH 4
#define CHAIN_BYTES (32l << 10)

struct tp_tls {
    atomic_uint refs;
    SSL_CTX *context;
    X509 *own; /* context's */
    char name[TP_NAME_BYTES];
    int64_t until;
    size_t allowed_count;
    char (*allowed)[TP_NAME_BYTES]; /* normal */
};

struct tp_tls *tp_tls_ref(struct tp_tls *tls)
{
    atomic_fetch_add(&tls->refs, 1u);
    return tls;
}

void tp_tls_unref(struct tp_tls *tls)
{
    if (tls == NULL || atomic_fetch_sub(&tls->refs, 1u) != 1)
        return;
    SSL_CTX_free(tls->context);
    free(tls->allowed);
    free(tls);
}

const char *tp_tls_name(const struct tp_tls *tls)
{
    return tls->name;
}

int64_t tp_tls_until(const struct tp_tls *tls)
{
    return tls->until;
}

SSL_CTX *tls_context(const struct tp_tls *tls)
{
    return tls->context;
}

/* ---- files ---- */

/* A key is for its owner; root may lend it to a group, as with all of ssh's and PostgreSQL's. */
static int check_mode(const char *path, const struct stat *info, struct vf_error *err)
{
    const mode_t others = info->st_mode & S_IRWXO;
    const mode_t group = info->st_uid == geteuid() ? info->st_mode & S_IRWXG : 0;

    if (others == 0 && group == 0)
        return 0;
    return vf_fail(err, VF_USAGE,
                   "--tls-key %s: others can get at it (mode %04o); chmod 600 it, and make a new "
                   "one if they may have read it",
                   path, (unsigned)(info->st_mode & 07777));
}

/* A memory BIO over a copy that leaves nothing behind. */
static BIO *read_file(const char *option, const char *path, bool secret, struct vf_error *err)
{
    cleanup_close int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    BIO *bio = BIO_new(secret ? BIO_s_secmem() : BIO_s_mem());
    char block[4096];
    struct stat info;
    size_t bytes = 0;
    ssize_t got = -1;

    if (fd < 0 || fstat(fd, &info) != 0)
        vf_fail_errno(err, VF_USAGE, errno, "%s %s", option, path);
    else if (!S_ISREG(info.st_mode))
        vf_fail(err, VF_USAGE, "%s %s: is no regular file", option, path);
    else if (!secret || check_mode(path, &info, err) == 0) {
        while (bio != NULL && bytes < FILE_CAP && (got = read(fd, block, sizeof block)) > 0) {
            if (BIO_write(bio, block, (int)got) != got)
                break;
            bytes += (size_t)got;
        }
        OPENSSL_cleanse(block, sizeof block);
        if (got == 0)
            return bio;
        if (got < 0)
            vf_fail_errno(err, VF_USAGE, errno, "%s %s", option, path);
        else
            vf_fail(err, VF_USAGE, "%s %s: is too large for PEM", option, path);
    }
    (void)BIO_free(bio);
    return NULL;
}

/* Never asks: a daemon has no terminal. */
static int no_passphrase(char *text, int room, int writing, void *ctx)
{
    (void)text;
    (void)room;
    (void)writing;
    (void)ctx;
    return -1;
}

static int fail_pem(const char *option, const char *path, const char *what, struct vf_error *err)
{
    return vf_fail(err, VF_USAGE, "%s %s: holds no %s in PEM (%s)", option, path, what,
                   tls_complaint());
}

static int load_key(struct tp_tls *tls, const char *path, struct vf_error *err)
{
    BIO *bio = read_file("--tls-key", path, true, err);
    EVP_PKEY *key;
    int result = -1;

    if (bio == NULL)
        return -1;
    key = PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, NULL);
    (void)BIO_free(bio);
    if (key == NULL)
        return fail_pem("--tls-key", path, "private key without a passphrase", err);
    if (X509_check_private_key(tls->own, key) != 1)
        vf_fail(err, VF_USAGE, "--tls-key %s: is not the key of the certificate in --tls-cert",
                path);
    else if (SSL_CTX_use_PrivateKey(tls->context, key) != 1)
        vf_fail(err, VF_USAGE, "--tls-key %s: cannot be used: %s", path, tls_complaint());
    else
        result = 0;
    ERR_clear_error();
    EVP_PKEY_free(key);
    return result;
}

static int check_dates(const char *option, const char *path, const X509 *cert, struct vf_error *err)
{
    char when[32];

    if (X509_cmp_current_time(X509_get0_notBefore(cert)) > 0) {
        tls_time_text(X509_get0_notBefore(cert), when);
        return vf_fail(err, VF_FAILED,
                       "%s %s: is valid only from %s on; is this host's clock right?", option, path,
                       when);
    }
    if (X509_cmp_current_time(X509_get0_notAfter(cert)) < 0) {
        tls_time_text(X509_get0_notAfter(cert), when);
        return vf_fail(err, VF_FAILED, "%s %s: expired on %s; give one that is valid", option, path,
                       when);
    }
    return 0;
}

static bool take_first(void *ctx, const char *name)
{
    (void)snprintf(ctx, TP_NAME_BYTES, "%s", name);
    return true;
}

/* What every peer would refuse is refused here, where it can be mended. */
static int check_own(struct tp_tls *tls, const char *path, struct vf_error *err)
{
    struct tm until = {0};

    if (check_dates("--tls-cert", path, tls->own, err) != 0)
        return -1;
    if (!tls_names(tls->own, take_first, tls->name))
        return vf_fail(err, VF_USAGE,
                       "--tls-cert %s: has no name (DNS or IP subject alternative name) that peers "
                       "could check",
                       path);
    if (X509_check_purpose(tls->own, X509_PURPOSE_SSL_CLIENT, 0) != 1 ||
        X509_check_purpose(tls->own, X509_PURPOSE_SSL_SERVER, 0) != 1)
        return vf_fail(err, VF_USAGE,
                       "--tls-cert %s: must be usable as a server's and as a client's certificate",
                       path);
    if (ASN1_TIME_to_tm(X509_get0_notAfter(tls->own), &until) == 1)
        tls->until = timegm(&until);
    return 0;
}

static int load_cert(struct tp_tls *tls, const char *path, struct vf_error *err)
{
    BIO *bio = read_file("--tls-cert", path, false, err);
    X509 *cert;
    bool bad;

    if (bio == NULL)
        return -1;
    cert = PEM_read_bio_X509(bio, NULL, no_passphrase, NULL);
    bad = cert == NULL || SSL_CTX_use_certificate(tls->context, cert) != 1;
    X509_free(cert);
    while (!bad && (cert = PEM_read_bio_X509(bio, NULL, no_passphrase, NULL)) != NULL) {
        bad = SSL_CTX_add0_chain_cert(tls->context, cert) != 1;
        if (bad)
            X509_free(cert);
    }
    (void)BIO_free(bio);
    if (bad)
        return fail_pem("--tls-cert", path, "certificate that can be used", err);
    ERR_clear_error(); /* reading ended where the file did */
    tls->own = SSL_CTX_get0_certificate(tls->context);
    return check_own(tls, path, err);
}

static int load_ca(struct tp_tls *tls, const char *path, struct vf_error *err)
{
    X509_STORE *store = SSL_CTX_get_cert_store(tls->context);
    BIO *bio = read_file("--tls-ca", path, false, err);
    unsigned count = 0;
    int result = 0;
    X509 *cert;

    if (bio == NULL)
        return -1;
    while (result == 0 && (cert = PEM_read_bio_X509(bio, NULL, no_passphrase, NULL)) != NULL) {
        if (X509_check_ca(cert) == 0)
            result =
                vf_fail(err, VF_USAGE, "--tls-ca %s: holds a certificate that is no CA's", path);
        else if (check_dates("--tls-ca", path, cert, err) != 0)
            result = -1;
        else if (X509_STORE_add_cert(store, cert) != 1)
            result = vf_fail(err, VF_USAGE, "--tls-ca %s: %s", path, tls_complaint());
        X509_free(cert);
        count++;
    }
    (void)BIO_free(bio);
    if (count == 0)
        return fail_pem("--tls-ca", path, "certificate", err);
    ERR_clear_error();
    return result;
}

/* ---- whom to talk to ---- */

static int load_peers(struct tp_tls *tls, const struct tp_tls_files *files, struct vf_error *err)
{
    if (files->peer_count == 0)
        return 0;
    tls->allowed = calloc(files->peer_count, sizeof *tls->allowed);
    if (tls->allowed == NULL)
        return vf_fail(err, VF_FAILED, VF_NO_MEMORY);
    for (; tls->allowed_count < files->peer_count; tls->allowed_count++) {
        const char *name = files->peers[tls->allowed_count];

        if (!tls_name_normal(name, tls->allowed[tls->allowed_count]))
            return vf_fail(err, VF_USAGE,
                           "--tls-peer %s: is neither a DNS name nor an address; give the name "
                           "in the peer's certificate, without wildcards",
                           VF_SHOWN(name));
    }
    return 0;
}

struct identity {
    const struct tp_tls *tls;
    char *out;
};

static bool take_allowed(void *ctx, const char *name)
{
    const struct identity *identity = ctx;
    const struct tp_tls *tls = identity->tls;

    for (size_t i = 0; i < tls->allowed_count; i++) {
        if (strcmp(tls->allowed[i], name) == 0)
            return take_first(identity->out, name);
    }
    return tls->allowed_count == 0 && take_first(identity->out, name);
}

void tls_identity(const struct tp_tls *tls, const X509 *cert, char out[TP_NAME_BYTES])
{
    struct identity identity = {tls, out};

    out[0] = '\0';
    (void)tls_names(cert, take_allowed, &identity);
}

/* ---- all of it ---- */

/* TLS 1.3 and nothing that a move has no use for: no resumption, so every connection proves anew
 * who its ends are; no early data, which could be played again. */
static int set_up(SSL_CTX *context)
{
    (void)SSL_CTX_set_options(context, SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION |
                                           SSL_OP_NO_COMPRESSION | SSL_OP_CIPHER_SERVER_PREFERENCE);
    (void)SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_read_ahead(context, 1);
    SSL_CTX_set_default_read_buffer_len(context, 64u << 10);
    /* Nobody is sent a CA he either knows or does not. */
    (void)SSL_CTX_set_mode(context, SSL_MODE_NO_AUTO_CHAIN);
    SSL_CTX_set_verify_depth(context, CHAIN_DEPTH);
    SSL_CTX_set_max_cert_list(context, CHAIN_BYTES);
    return SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION) == 1 &&
                   SSL_CTX_set_max_proto_version(context, TLS1_3_VERSION) == 1 &&
                   SSL_CTX_set_num_tickets(context, 0) == 1 &&
                   SSL_CTX_set_max_early_data(context, 0) == 1 &&
                   /* 128 bits are enough and cost less; the last is for machines without
                    * AES instructions. */
                   SSL_CTX_set_ciphersuites(context,
                                            "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:"
                                            "TLS_CHACHA20_POLY1305_SHA256") == 1
               ? 0
               : -1;
}

int tp_tls_open(const struct tp_tls_files *files, struct tp_tls **out, struct vf_error *err)
{
    struct tp_tls *tls = calloc(1, sizeof *tls);

    *out = NULL;
    if (tls == NULL)
        return vf_fail(err, VF_FAILED, VF_NO_MEMORY);
    atomic_init(&tls->refs, 1u);
    ERR_clear_error();
    tls->context = SSL_CTX_new(TLS_method());
    if (tls->context == NULL || set_up(tls->context) != 0) {
        vf_fail(err, VF_FAILED, "TLS 1.3 cannot be set up: %s", tls_complaint());
    } else if (load_cert(tls, files->cert, err) == 0 && load_key(tls, files->key, err) == 0 &&
               load_ca(tls, files->ca, err) == 0 && load_peers(tls, files, err) == 0) {
        *out = tls;
        return 0;
    }
    tp_tls_unref(tls);
    return -1;
}
