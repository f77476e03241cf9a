// SPDX-License-Identifier: Apache-2.0
/* vferry cert: a small CA with certificates for hosts, to try TLS with; and what a certificate
 * says. Files only, no host is asked. */
#include "base/cleanup.h"
#include "base/plain.h"
#include "cli/show.h"
#include "transport/certificate.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define CA "ca"
#define DAY 86400
#define HOST_DAYS 397
#define CA_DAYS 3650
#define MAX_NAMES 16u
#define MAX_FILES 130u
#define FILE_BYTES (TP_NAME_BYTES + 8u)

/* A command under way; what it has made is taken back unless all is made. */
struct making {
    const char *path; /* of the directory, as given */
    int directory;
    struct tp_certificate *ca;
    json_t *hosts;
    size_t count;
    char made[MAX_FILES][FILE_BYTES];
};

static int write_file(struct making *making, const char *name, const char *suffix, const char *text,
                      mode_t mode, struct vf_error *err)
{
    cleanup_close int fd = -1;
    size_t bytes = strlen(text);
    char *file;

    if (making->count == MAX_FILES)
        return vf_fail(err, VF_USAGE, "--for: too many hosts for one command; \"cert add\" adds");
    file = making->made[making->count];
    (void)snprintf(file, FILE_BYTES, "%s.%s", name, suffix);
    fd = openat(making->directory, file, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
    if (fd < 0 && errno == EEXIST)
        return vf_fail(err, VF_FAILED, "%s/%s: is there already, and stays as it is", making->path,
                       file);
    if (fd < 0)
        return vf_fail_errno(err, VF_FAILED, errno, "%s/%s", making->path, file);
    making->count++;
    if (fchmod(fd, mode) != 0 || write(fd, text, bytes) != (ssize_t)bytes || fsync(fd) != 0)
        return vf_fail_errno(err, VF_FAILED, errno, "%s/%s", making->path, file);
    return 0;
}

static int write_pair(struct making *making, const char *name,
                      const struct tp_certificate *certificate, struct vf_error *err)
{
    char text[TP_PEM_BYTES];
    int result = -1;

    if (tp_certificate_pem(certificate, TP_PEM_KEY, text, err) == 0 &&
        write_file(making, name, "key", text, 0600, err) == 0 &&
        tp_certificate_pem(certificate, TP_PEM_CERTIFICATE, text, err) == 0)
        result = write_file(making, name, "pem", text, 0644, err);
    explicit_bzero(text, sizeof text);
    return result;
}

static int make_ca(struct making *making, struct vf_error *err)
{
    const int64_t from = time(NULL) - 3600; /* clocks differ */
    struct tp_certificate_wish wish = {
        .ca = true, .from = from, .until = from + (int64_t)CA_DAYS * DAY};
    char subject[32];
    uint32_t number = 0;

    /* Two CAs must not pass for one: whoever mixes them up shall read "unknown CA". */
    if (getrandom(&number, sizeof number, 0) != (ssize_t)sizeof number)
        return vf_fail_errno(err, VF_FAILED, errno, "no random number");
    (void)snprintf(subject, sizeof subject, "vferry CA %08x", number);
    wish.subject = subject;
    return tp_certificate_make(&wish, NULL, &making->ca, err) != 0
               ? -1
               : write_pair(making, CA, making->ca, err);
}

static int read_file(int directory, const char *file, char text[TP_PEM_BYTES], const char *shown,
                     struct vf_error *err)
{
    cleanup_close int fd = openat(directory, file, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    ssize_t got = fd < 0 ? -1 : read(fd, text, TP_PEM_BYTES - 1);

    if (got < 0)
        return vf_fail_errno(err, VF_FAILED, errno, "%s%s", shown, file);
    text[got] = '\0';
    return 0;
}

static int read_ca(struct making *making, struct vf_error *err)
{
    char cert[TP_PEM_BYTES], key[TP_PEM_BYTES];
    int result = -1;

    if (read_file(making->directory, CA ".pem", cert, "", err) == 0 &&
        read_file(making->directory, CA ".key", key, "", err) == 0)
        result = tp_certificate_parse(cert, key, &making->ca, err);
    explicit_bzero(key, sizeof key);
    if (result == 0)
        return 0;
    if (faccessat(making->directory, CA ".pem", F_OK, AT_SYMLINK_NOFOLLOW) != 0 && errno == ENOENT)
        return vf_fail(err, VF_FAILED,
                       "%.200s: has no CA to sign with (" CA ".pem)" VF_REMEDY
                       "make one with \"vferry cert init %.200s\"",
                       making->path, making->path);
    return vf_context(err, "%s: its CA", making->path);
}

/* "NAME,ALT,...": what the host is called, normal. */
static int split_names(const char *list, char names[MAX_NAMES][TP_NAME_BYTES], size_t *count,
                       struct vf_error *err)
{
    *count = 0;
    for (const char *at = list;; at++) {
        const size_t length = strcspn(at, ",");
        char name[TP_NAME_BYTES];

        if (*count == MAX_NAMES)
            return vf_fail(err, VF_USAGE, "--for %s: more than %u names", VF_SHOWN(list),
                           MAX_NAMES);
        (void)snprintf(name, sizeof name, "%.*s", (int)length, at);
        if (length >= sizeof name || !tp_certificate_name(name, names[*count]))
            return vf_fail(err, VF_USAGE,
                           "--for %s: '%s' is neither a DNS name nor an "
                           "address" VF_REMEDY "a name means one host, without wildcards; names "
                           "stand apart by commas",
                           VF_SHOWN(list), VF_SHOWN(name));
        (*count)++;
        at += length;
        if (*at == '\0')
            return 0;
    }
}

static int append_host(struct making *making, const char *const names[MAX_NAMES], size_t count,
                       int64_t until)
{
    json_t *list = json_array();
    json_t *host = json_pack("{s:o, s:s+, s:s+, s:I}", "names", list, "cert", names[0], ".pem",
                             "key", names[0], ".key", "until_unix_s", (json_int_t)until);

    for (size_t i = 0; i < count; i++)
        (void)json_array_append_new(list, json_string(names[i]));
    return json_array_append_new(making->hosts, host);
}

static int make_host(struct making *making, const char *list, struct vf_error *err)
{
    const int64_t from = time(NULL) - 3600;
    char names[MAX_NAMES][TP_NAME_BYTES];
    const char *pointers[MAX_NAMES];
    struct tp_certificate_wish wish = {.client = true,
                                       .server = true,
                                       .names = pointers,
                                       .from = from,
                                       .until = from + (int64_t)HOST_DAYS * DAY};
    struct tp_certificate *certificate;
    char subject[65];
    int result;

    if (split_names(list, names, &wish.name_count, err) != 0)
        return -1;
    for (size_t i = 0; i < wish.name_count; i++)
        pointers[i] = names[i];
    if (strcmp(names[0], CA) == 0)
        return vf_fail(err, VF_USAGE, "--for %s: the CA's own files are called so", VF_SHOWN(list));
    (void)snprintf(subject, sizeof subject, "%.64s", names[0]);
    wish.subject = subject;
    if (tp_certificate_make(&wish, making->ca, &certificate, err) != 0)
        return -1;
    result = write_pair(making, names[0], certificate, err);
    tp_certificate_free(certificate);
    if (result == 0 && append_host(making, pointers, wish.name_count, wish.until) != 0)
        result = vf_fail(err, VF_FAILED, VF_NO_MEMORY);
    return result;
}

static int make_hosts(struct making *making, const json_t *lists, struct vf_error *err)
{
    size_t index;
    json_t *list;

    if (lists == NULL)
        return make_host(making, "localhost,127.0.0.1,::1", err);
    json_array_foreach(lists, index, list) {
        if (make_host(making, json_string_value(list), err) != 0)
            return -1;
    }
    return 0;
}

static json_t *path_json(const char *path)
{
    json_t *json = json_string(path);

    return json != NULL ? json : json_string("?"); /* no UTF-8: the files are there all the same */
}

/* "init" makes it where it is not there yet: *made. */
static int open_directory(struct making *making, bool init, bool *made, struct vf_error *err)
{
    *made = init && mkdir(making->path, 0700) == 0;
    if (init && !*made && errno != EEXIST)
        return vf_fail_errno(err, VF_FAILED, errno,
                             "%.400s" VF_REMEDY "name a directory where this user may make files",
                             making->path);
    making->directory = open(making->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (making->directory >= 0)
        return 0;
    if (errno == ENOENT)
        return vf_fail_errno(err, VF_FAILED, errno,
                             "%.200s" VF_REMEDY "make it with \"vferry cert init %.200s\"",
                             making->path, making->path);
    return vf_fail_errno(err, VF_FAILED, errno, "%.400s" VF_REMEDY "name %s", making->path,
                         init ? "a directory, or one that is not there yet"
                              : "the directory that holds the CA");
}

static int run(const struct command *command, bool init, struct vf_error *err)
{
    struct making making = {.path = command->input, .directory = -1, .hosts = json_array()};
    bool new_directory = false;
    int result = open_directory(&making, init, &new_directory, err);

    if (result == 0)
        result = init ? make_ca(&making, err) : read_ca(&making, err);
    if (result == 0)
        result = make_hosts(&making, json_object_get(command->args, "for"), err);
    for (size_t i = 0; result != 0 && i < making.count; i++)
        (void)unlinkat(making.directory, making.made[i], 0);
    if (result != 0 && new_directory)
        (void)rmdir(making.path);
    if (result == 0) {
        json_t *object = json_pack("{s:s, s:o, s:s, s:O}", "schema", "vferry.cert/1", "directory",
                                   path_json(making.path), "ca", CA ".pem", "hosts", making.hosts);

        show_result(command, object);
        json_decref(object);
    }
    json_decref(making.hosts);
    tp_certificate_free(making.ca);
    if (making.directory >= 0)
        (void)close(making.directory);
    return result;
}

int cmd_cert_init(const struct command *command, struct vf_error *err)
{
    return run(command, true, err);
}

int cmd_cert_add(const struct command *command, struct vf_error *err)
{
    return run(command, false, err);
}

static json_t *time_json(int64_t seconds)
{
    const time_t when = (time_t)seconds;
    struct tm parts;
    char text[40];

    if (gmtime_r(&when, &parts) == NULL || strftime(text, sizeof text, "%FT%TZ", &parts) == 0)
        return json_null();
    return json_string(text);
}

int cmd_cert_show(const struct command *command, struct vf_error *err)
{
    struct tp_certificate_facts facts;
    char text[TP_PEM_BYTES];
    json_t *names;
    json_t *object;
    const time_t now = time(NULL);

    if (read_file(AT_FDCWD, command->input, text, "", err) != 0)
        return -1;
    if (tp_certificate_look(text, strlen(text), &facts, err) != 0)
        return vf_context(err, "%s", command->input);
    names = json_array();
    for (uint32_t i = 0; i < facts.name_count; i++)
        (void)json_array_append_new(names, json_string(facts.names[i]));
    object = json_pack("{s:s, s:o, s:o, s:s, s:s, s:o, s:o, s:b, s:b, s:b, s:b}", "schema",
                       "vferry.certificate/1", "file", path_json(command->input), "names", names,
                       "subject", facts.subject, "issuer", facts.issuer, "from",
                       time_json(facts.from), "until", time_json(facts.until), "valid",
                       (int)(facts.from <= now && now <= facts.until), "ca", (int)facts.ca,
                       "client", (int)facts.client, "server", (int)facts.server);
    show_result(command, object);
    json_decref(object);
    return 0;
}
