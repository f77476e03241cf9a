// SPDX-License-Identifier: Apache-2.0
/* Certificates that "vferry cert" would not make, for the tests of TLS: expired, of tomorrow,
 * for one purpose only. Usage: make_cert PREFIX ISSUER both|client|server FROM UNTIL NAME...:
 * writes PREFIX.pem and PREFIX.key, signed by ISSUER.pem and ISSUER.key; FROM and UNTIL are
 * seconds from now. */
#include "transport/certificate.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static int die(const char *what)
{
    (void)fprintf(stderr, "make_cert: %s\n", what);
    return 1;
}

static int load(const char *prefix, const char *suffix, char text[TP_PEM_BYTES])
{
    char path[4096];
    FILE *file;
    size_t got;

    (void)snprintf(path, sizeof path, "%s.%s", prefix, suffix);
    file = fopen(path, "re");
    if (file == NULL)
        return -1;
    got = fread(text, 1, TP_PEM_BYTES - 1, file);
    text[got] = '\0';
    return fclose(file);
}

static int store(const char *prefix, const char *suffix, const char *text)
{
    char path[4096];
    FILE *file;
    int result;

    (void)snprintf(path, sizeof path, "%s.%s", prefix, suffix);
    file = fopen(path, "we");
    if (file == NULL)
        return -1;
    result = fputs(text, file) < 0 ? -1 : 0;
    return fclose(file) != 0 ? -1 : result;
}

int main(int argc, char **argv)
{
    char cert[TP_PEM_BYTES], key[TP_PEM_BYTES];
    struct vf_error err = VF_ERROR_INIT;
    struct tp_certificate *issuer, *made;
    struct tp_certificate_wish wish = {.subject = "made by a test"};

    if (argc < 6)
        return die("PREFIX ISSUER both|client|server FROM UNTIL NAME...");
    (void)umask(077);
    wish.client = strcmp(argv[3], "server") != 0;
    wish.server = strcmp(argv[3], "client") != 0;
    wish.from = time(NULL) + atol(argv[4]);
    wish.until = time(NULL) + atol(argv[5]);
    wish.names = (const char *const *)argv + 6;
    wish.name_count = (size_t)argc - 6;
    if (load(argv[2], "pem", cert) != 0 || load(argv[2], "key", key) != 0)
        return die("no issuer");
    if (tp_certificate_parse(cert, key, &issuer, &err) != 0 ||
        tp_certificate_make(&wish, issuer, &made, &err) != 0 ||
        tp_certificate_pem(made, TP_PEM_CERTIFICATE, cert, &err) != 0 ||
        tp_certificate_pem(made, TP_PEM_KEY, key, &err) != 0)
        return die(err.text);
    if (store(argv[1], "pem", cert) != 0 || store(argv[1], "key", key) != 0)
        return die("cannot write");
    tp_certificate_free(made);
    tp_certificate_free(issuer);
    return 0;
}
