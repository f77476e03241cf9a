// SPDX-License-Identifier: Apache-2.0
/* Arguments, dispatch and the connection's view of a request. See request.h. */
#include "daemon/control/request.h"

#include "base/plain.h"
#include "base/thread.h"
#include "daemon/control/protocol.h"
#include "daemon/kernel/watchdog.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <string.h>
#include <sys/stat.h>

int request_text_or(const struct request *request, const char *key, const char *otherwise,
                    const char **value, struct vf_error *err)
{
    const json_t *found = json_object_get(request->args, key);

    *value = otherwise;
    if (found == NULL)
        return otherwise != NULL
                   ? 0
                   : vf_fail(err, VF_USAGE, "argument \"%s\": missing; give a text", key);
    if (!json_is_string(found) || strlen(json_string_value(found)) != json_string_length(found))
        return vf_fail(err, VF_USAGE, "argument \"%s\": is no text", key);
    *value = json_string_value(found);
    return 0;
}

int request_text(const struct request *request, const char *key, const char **value,
                 struct vf_error *err)
{
    return request_text_or(request, key, NULL, value, err);
}

int request_new_name(const struct request *request, const char **name, struct vf_error *err)
{
    if (request_text(request, "name", name, err) != 0)
        return -1;
    if (!vf_name_valid(*name))
        return vf_fail(err, VF_USAGE,
                       "partition \"%s\": is no name" VF_REMEDY
                       "a name is a letter or digit, then up to %u letters, "
                       "digits and . _ -",
                       VF_SHOWN(*name), VF_NAME_BYTES - 2);
    return 0;
}

/* NULL when it is missing. */
static int text_or_none(const struct request *request, const char *key, const char **value,
                        struct vf_error *err)
{
    *value = NULL;
    return json_object_get(request->args, key) == NULL ? 0 : request_text(request, key, value, err);
}

int request_filter(const struct request *request, uint64_t limit, struct history_filter *filter,
                   struct vf_error *err)
{
    bool follows = json_is_true(json_object_get(request->args, "follow"));

    if (request_number_or(request, "since_ns", 0, &filter->since_ns, err) != 0 ||
        request_number_or(request, "until_ns", UINT64_MAX, &filter->until_ns, err) != 0 ||
        text_or_none(request, "partition", &filter->partition, err) != 0 ||
        text_or_none(request, "kind", &filter->kind, err) != 0 ||
        request_number_or(request, "limit", limit, &filter->limit, err) != 0)
        return -1;
    if (filter->limit == 0 || filter->limit > FILTER_MOST)
        return vf_fail(err, VF_USAGE, "--limit %" PRIu64 ": give a number from 1 to %u",
                       filter->limit, FILTER_MOST);
    if (follows && filter->until_ns != UINT64_MAX)
        return vf_fail(err, VF_USAGE,
                       "--until: what is followed has no end; leave it or --follow out");
    if (filter->since_ns > filter->until_ns)
        return vf_fail(err, VF_USAGE, "--since: is later than --until; exchange them");
    if (filter->partition != NULL && !vf_name_valid(filter->partition))
        return vf_fail(err, VF_USAGE, "--partition %s: is no name that a partition can have",
                       VF_SHOWN(filter->partition));
    return 0;
}

int request_number_or(const struct request *request, const char *key, uint64_t otherwise,
                      uint64_t *value, struct vf_error *err)
{
    *value = otherwise;
    return json_object_get(request->args, key) == NULL ? 0
                                                       : request_number(request, key, value, err);
}

int request_number(const struct request *request, const char *key, uint64_t *value,
                   struct vf_error *err)
{
    const json_t *found = json_object_get(request->args, key);

    if (found == NULL)
        return vf_fail(err, VF_USAGE, "argument \"%s\": missing; give a whole number", key);
    if (!json_is_integer(found) || json_integer_value(found) < 0)
        return vf_fail(err, VF_USAGE, "argument \"%s\": is no whole number from 0 to 2^63-1", key);
    *value = (uint64_t)json_integer_value(found);
    return 0;
}

int request_flag(const struct request *request, const char *key, bool *value, struct vf_error *err)
{
    const json_t *found = json_object_get(request->args, key);

    *value = json_is_true(found);
    if (found != NULL && !json_is_boolean(found))
        return vf_fail(err, VF_USAGE, "argument \"%s\": is neither true nor false", key);
    return 0;
}

static int fail_lost(struct vf_error *err)
{
    return vf_fail(err, VF_REFUSED_NOW,
                   "no descriptor is left for the file that came along" VF_REMEDY
                   "close some, or give the host a higher limit (ulimit -n, LimitNOFILE=)");
}

int request_file(const struct request *request, int *fd, struct vf_error *err)
{
    struct stat info;

    if (request->file == CTL_FILE_LOST)
        return fail_lost(err);
    if (request->file < 0)
        return vf_fail(err, VF_USAGE,
                       "no file came along with the request; pass its descriptor (SCM_RIGHTS)");
    /* A pipe or a socket could make this thread wait for whoever holds its other end. */
    if (fstat(request->file, &info) != 0 || !S_ISREG(info.st_mode))
        return vf_fail(err, VF_USAGE, "the file that came along is no regular file; pass one");
    *fd = request->file;
    return 0;
}

int request_directory(const struct request *request, int *fd, struct vf_error *err)
{
    struct stat info;

    if (request->file == CTL_FILE_LOST)
        return fail_lost(err);
    if (request->file < 0 || fstat(request->file, &info) != 0 || !S_ISDIR(info.st_mode))
        return vf_fail(err, VF_USAGE,
                       "no directory came along with the request; pass its descriptor "
                       "(SCM_RIGHTS)");
    *fd = request->file;
    return 0;
}

/* A kc_patience: the watchdog's, and the client hears of a driver that keeps it waiting. */
static int patience_of(void *ctx, uint64_t waited_ns, struct vf_error *err)
{
    const struct request *request = ctx;
    const struct watchdog_waiter who = {.connection = kc_connection(request->kc)};
    char word[200];

    if (watchdog_patience_of(request->daemon, &who, waited_ns, err) != 0)
        return -1;
    if (waited_ns >= WATCHDOG_TELL_NS &&
        watchdog_driver_word(request->daemon, &who, word, sizeof word)[0] != '\0')
        pulse_waits(request->beat, word);
    return 0;
}

/* When descriptors or threads are out on either side: by the daemon's own connection, which serves
 * one call at a time. */
static bool shares_kc(struct request *request, const struct vf_error *why)
{
    struct daemon *daemon = request->daemon;

    if (daemon->kc == NULL || (why->code != VF_REFUSED_NOW && !why->scarce))
        return false;
    kc_set_patience(daemon->kc, watchdog_patience, daemon);
    request->kc = daemon->kc;
    return true;
}

int request_kc(struct request *request, struct kc **kc, struct vf_error *err)
{
    struct daemon *daemon = request->daemon;

    if (request->kc == NULL) {
        if (kc_connect(daemon->kernel_socket, &request->kc, err) != 0 && !shares_kc(request, err)) {
            /* The daemon was reached: "unreachable" would be said of the wrong one. */
            err->code = VF_FAILED;
            (void)watchdog_says(daemon, err); /* knows more, if it knows anything */
            return -1;
        }
        if (request->kc != daemon->kc)
            kc_set_patience(request->kc, patience_of, request);
    }
    *kc = request->kc;
    return 0;
}

bool request_abandoned(const struct request *request, int timeout_ms)
{
    struct pollfd look = {.fd = request->socket, .events = POLLRDHUP};

    if (poll(&look, 1, timeout_ms) < 0)
        return errno != EINTR;
    return (look.revents & (POLLRDHUP | POLLHUP | POLLERR | POLLNVAL)) != 0 ||
           atomic_load(&request->daemon->stop);
}

bool request_told(const struct request *request, int fd, int timeout_ms)
{
    struct pollfd look[2] = {{.fd = fd, .events = POLLIN},
                             {.fd = request->socket, .events = POLLRDHUP}};

    return poll(look, 2, timeout_ms) > 0 && (look[0].revents & POLLIN) != 0;
}

int request_send(const struct request *request, json_t *line, int timeout_ms)
{
    int sent = -ENOMEM;

    if (line != NULL) {
        vf_lock(&request->beat->sending);
        sent = ctl_send(request->socket, line, -1, timeout_ms);
        vf_unlock(&request->beat->sending);
    }
    json_decref(line);
    return sent;
}

bool request_progress(const struct request *request, json_t *object)
{
    int sent = request_send(request, json_pack("{s:o}", "progress", object), 0);

    return sent == 0 || sent == -EAGAIN || sent == -ENOMEM;
}

static int dispatch(struct request *request, verb_finder *find, json_t *object,
                    struct vf_error *err)
{
    const json_t *verb = json_object_get(object, "verb");
    const struct verb *found;

    if (!json_is_object(object) || !json_is_string(verb))
        return vf_fail(err, VF_USAGE,
                       "request: is no object with a \"verb\"; see the protocol in vferryd(8)");
    if (request->args != NULL && !json_is_object(request->args))
        return vf_fail(err, VF_USAGE, "request: \"args\" is no object");
    found = find(json_string_value(verb));
    if (found == NULL)
        return vf_fail(err, VF_USAGE, "request: no such verb \"%s\"",
                       VF_SHOWN(json_string_value(verb)));
    return found->run(request, err);
}

json_t *request_reply(struct daemon *daemon, verb_finder *find, struct pulse_beat *beat,
                      json_t *object, int file)
{
    struct request request = {.daemon = daemon,
                              .socket = beat->fd,
                              .beat = beat,
                              .args = json_object_get(object, "args"),
                              .file = file};
    const bool alive = json_is_true(json_object_get(object, "alive"));
    struct vf_error err = VF_ERROR_INIT;
    int result;

    if (alive)
        pulse_begin(daemon->pulse, beat);
    result = dispatch(&request, find, object, &err);
    mig_release(daemon->mig, &request.hold);
    if (request.kc != daemon->kc)
        kc_close(request.kc);
    if (alive)
        pulse_end(daemon->pulse, beat);
    if (result != 0)
        return ctl_error(&err, request.result);
    if (request.result == NULL)
        request.result = json_object();
    return json_pack("{s:o}", "result", request.result);
}
