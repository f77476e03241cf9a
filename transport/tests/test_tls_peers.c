// SPDX-License-Identifier: Apache-2.0
/* Who gets in over TLS and who does not, with the reason on both sides; and what of a host's own
 * files is refused at its start. */
#include "transport/tests/pipe.h"
#include "transport/tests/tls_rig.h"

#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

static void refused(struct tp_tls *client, struct tp_tls *server, const char *host,
                    const char *client_text, const char *server_text)
{
    struct tp *ends[2];
    struct shake shakes[2];

    meet(client, server, host, ends, shakes);
    for (int i = 0; i < 2; i++) {
        const char *want = i == 0 ? client_text : server_text;

        assert_int_equal(shakes[i].rc, -1);
        if (strstr(shakes[i].err.text, want) == NULL)
            fail_msg("\"%s\" is not in \"%s\"", want, shakes[i].err.text);
        assert_string_equal(ends[i]->identity, "");
    }
    part(ends);
}

static void let_in(struct tp_tls *client, struct tp_tls *server, const char *host,
                   const char *client_name)
{
    struct tp *ends[2];
    struct shake shakes[2];

    meet(client, server, host, ends, shakes);
    for (int i = 0; i < 2; i++) {
        if (shakes[i].rc != 0)
            fail_msg("%s", shakes[i].err.text);
    }
    assert_string_equal(ends[1]->identity, client_name);
    part(ends);
}

static void a_host_dialled_by_another_name_is_refused(void **state)
{
    (void)state;
    refused(a_tls, b_tls, "c.example", "certificate is for b.example, not for c.example",
            "refuses this host's certificate: it is not for the name dialled");
    refused(a_tls, b_tls, "10.0.0.2", "certificate is for b.example, not for 10.0.0.2", "refuses");
    refused(b_tls, a_tls, "10.0.0.2", "certificate is for a.example, 10.0.0.1, not for 10.0.0.2",
            "refuses");
    refused(a_tls, b_tls, "example", "not for example", "refuses");
}

static void a_host_may_be_dialled_by_any_of_its_names(void **state)
{
    (void)state;
    let_in(b_tls, a_tls, "a.example", "b.example");
    let_in(b_tls, a_tls, "A.Example.", "b.example");
    let_in(b_tls, a_tls, "10.0.0.1", "b.example");
}

/* Whatever counts as its identity where certificates are renewed, or other peers allowed, in the
 * middle of a job. */
static void a_peer_is_known_by_each_of_its_names(void **state)
{
    static const char *const peers[] = {"10.0.0.1", NULL};
    struct tp_tls *server = certs_tls(&b_files, peers);
    struct tp *ends[2];
    struct shake shakes[2];

    (void)state;
    meet(a_tls, server, "b.example", ends, shakes);
    assert_int_equal(shakes[1].rc, 0);
    assert_string_equal(ends[1]->identity, "10.0.0.1");
    assert_true(tp_is(ends[1], "10.0.0.1"));
    assert_true(tp_is(ends[1], "a.example"));
    assert_false(tp_is(ends[1], "b.example"));
    assert_false(tp_is(ends[1], ""));
    assert_true(tp_is(ends[0], "b.example"));
    assert_false(tp_is(ends[0], "10.0.0.1"));
    part(ends);
    assert_int_equal(tp_pipe(ends, &shakes[0].err), 0);
    assert_false(tp_is(ends[0], ""));
    part(ends);
    tp_tls_unref(server);
}

static void a_wildcard_is_no_name(void **state)
{
    const struct certs_wish wish = {.names = {"d.example"}};
    struct certs_host files;
    struct tp_tls *tls;
    struct vf_error err = VF_ERROR_INIT;
    const char *const star[] = {"*.example"};
    struct tp_tls_files with_star;

    (void)state;
    certs_make(&certs, &wish, &files);
    tls = certs_tls(&files, NULL);
    let_in(tls, b_tls, "b.example", "d.example");
    tp_tls_unref(tls);
    with_star = (struct tp_tls_files){files.cert, files.key, files.ca, star, 1};
    assert_int_equal(tp_tls_open(&with_star, &tls, &err), -1);
    assert_int_equal(err.code, VF_USAGE);
    assert_non_null(strstr(err.text, "wildcards"));
}

static void a_list_of_peers_keeps_all_others_out(void **state)
{
    const char *const only_c[] = {"c.example", NULL};
    const char *const a_by_address[] = {"c.example", "10.0.0.1", NULL};
    struct tp_tls *b_only_c = certs_tls(&b_files, only_c);
    struct tp_tls *b_a = certs_tls(&b_files, a_by_address);
    struct tp_tls *a_only_c = certs_tls(&a_files, only_c);

    (void)state;
    refused(a_tls, b_only_c, "b.example", "no --tls-peer there allows the name",
            "certificate is for a.example, 10.0.0.1, which no --tls-peer of this host allows");
    refused(a_only_c, b_tls, "b.example", "which no --tls-peer of this host allows",
            "no --tls-peer there allows the name");
    let_in(a_tls, b_a, "b.example", "10.0.0.1");
    tp_tls_unref(b_only_c);
    tp_tls_unref(b_a);
    tp_tls_unref(a_only_c);
}

/* A context for b.example whose CA is the other one, or that shows what the wish says. */
static struct tp_tls *odd(const struct certs_wish *wish)
{
    struct certs_host files;

    certs_make(&certs, wish, &files);
    return certs_tls(&files, NULL);
}

static void an_unknown_ca_is_refused_on_either_side(void **state)
{
    const struct certs_wish by_other = {.names = {"b.example"}, .other_ca = true};
    const struct certs_wish by_itself = {.names = {"b.example"}, .self_signed = true};
    struct tp_tls *other = odd(&by_other), *itself = odd(&by_itself);

    (void)state;
    refused(a_tls, other, "b.example", "certificate of b.example is from an unknown CA",
            "unknown CA there");
    refused(other, a_tls, "a.example", "unknown CA there",
            "certificate of b.example is from an unknown CA");
    refused(itself, a_tls, "a.example", "unknown CA there",
            "certificate of b.example is from an unknown CA");
    tp_tls_unref(other);
    tp_tls_unref(itself);
}

/* ---- peers that no vferryd would be: plain OpenSSL over the pipe's socket ---- */

struct odd_peer {
    struct tp *plain;
    const struct certs_host *files; /* NULL: shows no certificate */
    bool server;
    int version; /* most it speaks; 0: all */
    int rc;
};

static void *odd_main(void *arg)
{
    struct odd_peer *odd = arg;
    SSL_CTX *context = SSL_CTX_new(TLS_method());
    SSL *ssl;
    char byte;

    SSL_CTX_set_verify(context, SSL_VERIFY_NONE, NULL);
    if (odd->version != 0)
        (void)SSL_CTX_set_max_proto_version(context, odd->version);
    if (odd->files != NULL) {
        (void)SSL_CTX_use_certificate_file(context, odd->files->cert, SSL_FILETYPE_PEM);
        (void)SSL_CTX_use_PrivateKey_file(context, odd->files->key, SSL_FILETYPE_PEM);
    }
    ssl = SSL_new(context);
    (void)SSL_set_fd(ssl, tp_fd(odd->plain));
    odd->rc = odd->server ? SSL_accept(ssl) : SSL_connect(ssl);
    if (odd->rc == 1) /* with TLS 1.3 a client learns only now whether it was let in */
        odd->rc = SSL_read(ssl, &byte, 1) == 1 ? 1 : -1;
    SSL_free(ssl);
    SSL_CTX_free(context);
    tp_abort(odd->plain);
    return NULL;
}

/* What this side, as a.example, has to say about it. */
static void odd_refused(const struct odd_peer *like, const char *text)
{
    struct odd_peer odd = *like;
    struct tp *plain[2], *end;
    struct vf_error err = VF_ERROR_INIT;
    pthread_t thread;

    assert_int_equal(tp_pipe(plain, &err), 0);
    odd.plain = plain[0];
    assert_int_equal(tp_tls_wrap(a_tls, plain[1], odd.server ? "b.example" : NULL, &end, &err), 0);
    assert_int_equal(pthread_create(&thread, NULL, odd_main, &odd), 0);
    assert_int_equal(tp_handshake(end, soon(), &err), -1);
    tp_close(end);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(odd.rc, -1);
    if (strstr(err.text, text) == NULL)
        fail_msg("\"%s\" is not in \"%s\"", text, err.text);
    tp_close(plain[0]);
}

static void odd_cert_refused(const struct certs_wish *wish, bool server, const char *text)
{
    struct certs_host files;
    struct odd_peer odd = {.files = &files, .server = server};

    certs_make(&certs, wish, &files);
    odd_refused(&odd, text);
}

static void an_expired_certificate_is_refused(void **state)
{
    const struct certs_wish wish = {.names = {"b.example"}, .from = -48, .until = -24};

    (void)state;
    odd_cert_refused(&wish, true, "certificate of b.example expired on 2");
    odd_cert_refused(&wish, false, "certificate of b.example expired on 2");
}

static void a_certificate_of_tomorrow_is_refused(void **state)
{
    const struct certs_wish wish = {.names = {"b.example"}, .from = 24, .until = 48};

    (void)state;
    odd_cert_refused(&wish, true, "certificate of b.example is not yet valid, only from 2");
    odd_cert_refused(&wish, false, "certificate of b.example is not yet valid, only from 2");
}

static void a_certificate_for_another_purpose_is_refused(void **state)
{
    const struct certs_wish client = {.names = {"b.example"}, .not_server = true};
    const struct certs_wish server = {.names = {"b.example"}, .not_client = true};

    (void)state;
    odd_cert_refused(&client, true, "wrong purpose: it may not be used as a server's");
    odd_cert_refused(&server, false, "wrong purpose: it may not be used as a client's");
}

static void a_certificate_without_a_name_is_refused(void **state)
{
    const struct certs_wish wish = {.names = {NULL}};

    (void)state;
    odd_cert_refused(&wish, true, "certificate is for no name, not for b.example");
    odd_cert_refused(&wish, false, "certificate is for no name");
}

static void who_shows_no_certificate_is_refused(void **state)
{
    const struct odd_peer odd = {.server = false};

    (void)state;
    odd_refused(&odd, "shows no certificate");
}

static void older_tls_is_refused(void **state)
{
    const struct odd_peer client = {.files = &b_files, .version = TLS1_2_VERSION};
    const struct odd_peer server = {.files = &b_files, .version = TLS1_2_VERSION, .server = true};

    (void)state;
    odd_refused(&client, "does not speak TLS 1.3");
    odd_refused(&server, "does not speak TLS 1.3");
}

/* ---- what is given at the start ---- */

static void not_opened(const struct certs_host *host, enum vf_code code, const char *text)
{
    const struct tp_tls_files files = {.cert = host->cert, .key = host->key, .ca = host->ca};
    struct vf_error err = VF_ERROR_INIT;
    struct tp_tls *tls;

    assert_int_equal(tp_tls_open(&files, &tls, &err), -1);
    assert_null(tls);
    assert_int_equal(err.code, code);
    if (strstr(err.text, text) == NULL)
        fail_msg("\"%s\" is not in \"%s\"", text, err.text);
}

static void files_that_are_missing_or_wrong_are_told_by_their_option(void **state)
{
    struct certs_host host = a_files;

    (void)state;
    (void)snprintf(host.cert, sizeof host.cert, "%s/nowhere", certs.folder);
    not_opened(&host, VF_USAGE, "nowhere: No such file");
    host = a_files;
    memcpy(host.key, b_files.key, sizeof host.key);
    not_opened(&host, VF_USAGE, "is not the key of the certificate");
    memcpy(host.key, a_files.cert, sizeof host.key);
    assert_int_equal(chmod(host.key, 0600), 0);
    not_opened(&host, VF_USAGE, "--tls-key");
    host = a_files;
    memcpy(host.cert, a_files.key, sizeof host.cert);
    not_opened(&host, VF_USAGE, "--tls-cert");
    host = a_files;
    memcpy(host.ca, b_files.cert, sizeof host.ca);
    not_opened(&host, VF_USAGE, "no CA's");
    memcpy(host.ca, b_files.key, sizeof host.ca);
    not_opened(&host, VF_USAGE, "--tls-ca");
    (void)snprintf(host.ca, sizeof host.ca, "%s", certs.folder);
    not_opened(&host, VF_USAGE, "is no regular file");
}

static void a_key_that_others_can_read_is_refused(void **state)
{
    (void)state;
    assert_int_equal(chmod(a_files.key, 0640), 0);
    not_opened(&a_files, VF_USAGE, "chmod 600");
    assert_int_equal(chmod(a_files.key, 0604), 0);
    not_opened(&a_files, VF_USAGE, "chmod 600");
    assert_int_equal(chmod(a_files.key, 0600), 0);
}

static void a_key_with_a_passphrase_is_refused_without_asking(void **state)
{
    struct certs_host host = a_files;
    FILE *file;
    EVP_PKEY *key = EVP_EC_gen("P-256");

    (void)state;
    (void)snprintf(host.key, sizeof host.key, "%s/locked.key", certs.folder);
    certs_write(host.key, "", 0600);
    file = fopen(host.key, "w");
    assert_non_null(file);
    assert_int_equal(
        PEM_write_PrivateKey(file, key, EVP_aes_128_cbc(), NULL, 0, NULL, (void *)(uintptr_t) "pw"),
        1);
    assert_int_equal(fclose(file), 0);
    EVP_PKEY_free(key);
    not_opened(&host, VF_USAGE, "without a passphrase");
}

static void an_own_certificate_that_peers_would_refuse_is_told_at_once(void **state)
{
    const struct certs_wish expired = {.names = {"a.example"}, .from = -48, .until = -24};
    const struct certs_wish early = {.names = {"a.example"}, .from = 24, .until = 48};
    const struct certs_wish nameless = {.names = {NULL}};
    const struct certs_wish half = {.names = {"a.example"}, .not_client = true};
    struct certs_host host;

    (void)state;
    certs_make(&certs, &expired, &host);
    not_opened(&host, VF_FAILED, "expired on");
    certs_make(&certs, &early, &host);
    not_opened(&host, VF_FAILED, "is valid only from");
    certs_make(&certs, &nameless, &host);
    not_opened(&host, VF_USAGE, "has no name");
    certs_make(&certs, &half, &host);
    not_opened(&host, VF_USAGE, "as a client's");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_host_dialled_by_another_name_is_refused),
        cmocka_unit_test(a_host_may_be_dialled_by_any_of_its_names),
        cmocka_unit_test(a_peer_is_known_by_each_of_its_names),
        cmocka_unit_test(a_wildcard_is_no_name),
        cmocka_unit_test(a_list_of_peers_keeps_all_others_out),
        cmocka_unit_test(an_unknown_ca_is_refused_on_either_side),
        cmocka_unit_test(an_expired_certificate_is_refused),
        cmocka_unit_test(a_certificate_of_tomorrow_is_refused),
        cmocka_unit_test(a_certificate_for_another_purpose_is_refused),
        cmocka_unit_test(a_certificate_without_a_name_is_refused),
        cmocka_unit_test(who_shows_no_certificate_is_refused),
        cmocka_unit_test(older_tls_is_refused),
        cmocka_unit_test(files_that_are_missing_or_wrong_are_told_by_their_option),
        cmocka_unit_test(a_key_that_others_can_read_is_refused),
        cmocka_unit_test(a_key_with_a_passphrase_is_refused_without_asking),
        cmocka_unit_test(an_own_certificate_that_peers_would_refuse_is_told_at_once),
    };

    return cmocka_run_group_tests(tests, open_all, close_all);
}
