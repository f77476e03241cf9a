// SPDX-License-Identifier: Apache-2.0
/* See certs.h. */
#include "transport/tests/certs.h"

#include "base/tests/folder.h"

#include <dirent.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#define HOUR 3600

static struct tp_certificate *make(const struct tp_certificate_wish *wish,
                                   const struct tp_certificate *issuer)
{
    struct vf_error err = VF_ERROR_INIT;
    struct tp_certificate *made;

    if (tp_certificate_make(wish, issuer, &made, &err) != 0)
        fail_msg("%s", err.text);
    return made;
}

void certs_write(const char *path, const char *text, unsigned mode)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    assert_int_equal(fchmod(fd, mode), 0);
    assert_int_equal(close(fd), 0);
}

static void write_pem(const struct tp_certificate *from, enum tp_pem what, const char *path)
{
    char text[TP_PEM_BYTES];
    struct vf_error err = VF_ERROR_INIT;

    assert_int_equal(tp_certificate_pem(from, what, text, &err), 0);
    certs_write(path, text, what == TP_PEM_KEY ? 0600 : 0644);
}

void certs_open(struct certs *certs)
{
    const int64_t now = time(NULL);
    struct tp_certificate_wish wish = {
        .subject = "test CA", .ca = true, .from = now - 1000 * HOUR, .until = now + 1000 * HOUR};
    char path[PATH_MAX];

    memset(certs, 0, sizeof *certs);
    test_template(certs->folder, "vferry-certs");
    assert_non_null(mkdtemp(certs->folder));
    certs->ca = make(&wish, NULL);
    wish.subject = "other CA";
    certs->other_ca = make(&wish, NULL);
    (void)snprintf(path, sizeof path, "%s/ca.pem", certs->folder);
    write_pem(certs->ca, TP_PEM_CERTIFICATE, path);
}

void certs_close(struct certs *certs)
{
    DIR *folder = opendir(certs->folder);
    struct dirent *entry;

    tp_certificate_free(certs->ca);
    tp_certificate_free(certs->other_ca);
    assert_non_null(folder);
    while ((entry = readdir(folder)) != NULL)
        (void)unlinkat(dirfd(folder), entry->d_name, 0);
    (void)closedir(folder);
    assert_int_equal(rmdir(certs->folder), 0);
}

void certs_make(struct certs *certs, const struct certs_wish *wish, struct certs_host *out)
{
    const int64_t now = time(NULL);
    struct tp_certificate_wish full = {.subject = "test host",
                                       .client = !wish->not_client,
                                       .server = !wish->not_server,
                                       .from = now + HOUR * wish->from,
                                       .until = now + HOUR * wish->until,
                                       .names = wish->names};
    struct tp_certificate *made;

    memset(out, 0, sizeof *out);
    if (wish->from == 0 && wish->until == 0) {
        full.from = now - HOUR;
        full.until = now + HOUR;
    }
    while (full.name_count < 3 && wish->names[full.name_count] != NULL)
        full.name_count++;
    made = make(&full, wish->self_signed ? NULL : wish->other_ca ? certs->other_ca : certs->ca);
    (void)snprintf(out->cert, sizeof out->cert, "%s/%u.pem", certs->folder, certs->made);
    (void)snprintf(out->key, sizeof out->key, "%s/%u.key", certs->folder, certs->made);
    (void)snprintf(out->ca, sizeof out->ca, "%s/ca.pem", certs->folder);
    certs->made++;
    write_pem(made, TP_PEM_CERTIFICATE, out->cert);
    write_pem(made, TP_PEM_KEY, out->key);
    tp_certificate_free(made);
}

struct tp_tls *certs_tls(const struct certs_host *host, const char *const *peers)
{
    struct tp_tls_files files = {
        .cert = host->cert, .key = host->key, .ca = host->ca, .peers = peers};
    struct vf_error err = VF_ERROR_INIT;
    struct tp_tls *tls;

    while (peers != NULL && peers[files.peer_count] != NULL)
        files.peer_count++;
    if (tp_tls_open(&files, &tls, &err) != 0)
        fail_msg("%s", err.text);
    return tls;
}
