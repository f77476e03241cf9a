// SPDX-License-Identifier: Apache-2.0
/* Verbs about what runs inside a partition: run, wait, read. */
#include "base/cleanup.h"
#include "base/clock.h"
#include "daemon/jobs.h"
#include "daemon/verbs/verbs.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <unistd.h>

#define INPUT_MAX_BYTES (1ull << 30)
#define MAX_PAIRS 16u
/* How often a wait looks without having been told: at a partition that is here and interrupts when
 * it is done, and at one that is just coming or going. */
#define WAIT_TOLD_MS 250
#define WAIT_STEP_MS 20

static int read_input(int fd, void **data, size_t *bytes, struct vf_error *err)
{
    struct stat info;
    size_t done = 0;

    if (fstat(fd, &info) != 0)
        return vf_fail_errno(err, VF_FAILED, errno, "run: --input");
    if (info.st_size <= 0 || (uint64_t)info.st_size > INPUT_MAX_BYTES)
        return vf_fail(err, VF_USAGE,
                       "run: --input has %" PRId64 " bytes; a picture has 1 byte to 1 GiB",
                       info.st_size);
    *bytes = (size_t)info.st_size;
    *data = malloc(*bytes);
    if (*data == NULL)
        return vf_fail(err, VF_FAILED, "run: --input: " VF_NO_MEMORY);
    while (done < *bytes) {
        ssize_t got = pread(fd, (char *)*data + done, *bytes - done, (off_t)done);

        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return vf_fail_errno(err, VF_FAILED, errno, "run: read --input");
        if (got == 0)
            return vf_fail(err, VF_FAILED,
                           "run: --input became shorter while it was read; try again");
        done += (size_t)got;
    }
    return 0;
}

/* The workload's options as the CLI got them: words, checked by guest/. */
static int parse_options(const struct request *request, struct guest_options *options,
                         struct vf_error *err)
{
    struct guest_pair pairs[MAX_PAIRS];
    json_t *words = json_object_get(request->args, "options");
    const char *workload;
    size_t count = 0;
    const char *key;
    json_t *value;

    if (request_text(request, "workload", &workload, err) != 0)
        return -1;
    if (words != NULL && !json_is_object(words))
        return vf_fail(err, VF_USAGE, "argument \"options\": is no object");
    json_object_foreach(words, key, value) {
        if (count == MAX_PAIRS || !json_is_string(value))
            return vf_fail(err, VF_USAGE, "argument \"options\": is no object of at most %u texts",
                           MAX_PAIRS);
        pairs[count++] = (struct guest_pair){key, json_string_value(value)};
    }
    return guest_options_parse(workload, pairs, count, options, err);
}

int verb_run(struct request *request, struct vf_error *err)
{
    struct guest_options options;
    struct vf_partition_info info;
    struct guest_view view;
    struct guest_memory memory;
    cleanup_free void *input = NULL;
    int fd;

    if (parse_options(request, &options, err) != 0)
        return -1;
    if (options.workload == GUEST_DIFFUSE) {
        if (request_file(request, &fd, err) != 0 ||
            read_input(fd, &input, &options.input_bytes, err) != 0)
            return -1;
        options.input = input;
    }
    if (guest_options_check(&options, err) != 0 || find_partition(request, &info, err) != 0 ||
        keep_from_moves(request, &info, "start a workload", err) != 0)
        return -1;
    /* One that only moves inside VRAM takes it as soon as it runs. */
    if (info.state != VF_PARTITION_RUNNING &&
        (info.state != VF_PARTITION_PAUSED || (info.holders & ~(uint32_t)VF_HOLD_DEFRAG) != 0))
        return vf_fail(err, VF_FAILED,
                       "partition %s: is %s; only a running one can start a workload%s", info.name,
                       vf_partition_state_name((enum vf_partition_state)info.state),
                       info.state == VF_PARTITION_PAUSED    ? ": resume it first"
                       : info.state == VF_PARTITION_FAULTED ? ": reset it first"
                                                            : "");
    memory = guest_view_of(&view, request->kc, &info);
    if (guest_listen(&memory, err) != 0 || guest_start(&options, &memory, err) != 0)
        return vf_context(err, "partition %s", info.name);
    /* It runs: no look at the partition, which a move may just have taken away, can undo that. */
    request->result = new_result("vferry.run/1");
    put_text(request->result, "partition", info.name);
    put_text(request->result, "workload", guest_workload_name(options.workload));
    put_number(request->result, "steps_wanted",
               options.workload == GUEST_FILL ? 1 : options.steps);
    return 0;
}

/* What a wait has found out. */
enum waited { WAITED_NOT_YET, WAITED_DONE, WAITED_FAILED };

/* It is not here: either its move is just ending, or it never was, or it went. */
static enum waited look_where_it_went(struct request *request, const char *name,
                                      struct vf_error *err)
{
    char to[256];

    if (mig_job_of(request->daemon->mig, name) != 0)
        return WAITED_NOT_YET;
    if (jobs_moved_to(request->daemon, name, to, sizeof to))
        (void)fail_moved(name, to, err);
    return WAITED_FAILED;
}

static enum waited judge(const struct vf_partition_info *info, const struct guest_status *status,
                         struct vf_error *err)
{
    switch (status->state) {
    case GUEST_DONE:
        return WAITED_DONE;
    case GUEST_IDLE:
        (void)vf_fail(err, VF_FAILED,
                      "partition %s: runs no workload" VF_REMEDY
                      "start one: \"vferry run --help\" shows how",
                      info->name);
        return WAITED_FAILED;
    case GUEST_FAULT:
        (void)vf_fail(err, VF_FAILED,
                      "partition %s: its workload %s at step %" PRIu64 " of %" PRIu64
                      "; see \"vferry events\"",
                      info->name,
                      info->state == VF_PARTITION_FAULTED ? "hung, its VF was reset" : "faulted",
                      status->steps_done, status->steps_wanted);
        return WAITED_FAILED;
    case GUEST_STOPPED:
        (void)vf_fail(err, VF_FAILED,
                      "partition %s: its workload was stopped at step %" PRIu64 " of %" PRIu64
                      "; run it again",
                      info->name, status->steps_done, status->steps_wanted);
        return WAITED_FAILED;
    case GUEST_RUNNING:
        break;
    }
    return WAITED_NOT_YET;
}

/* Looks once. A partition that leaves between two calls makes the later one fail: the next look
 * finds it gone. */
static enum waited look(struct request *request, const char *name, struct guest_status *status,
                        char digest[GUEST_DIGEST_BYTES], struct vf_error *err)
{
    struct vf_partition_info info;
    struct vf_partition_info again;
    struct vf_error ignored;
    struct guest_view view;
    struct guest_memory memory;
    enum waited result;

    if (kc_partition_find(request->kc, name, &info, err) != 0)
        return look_where_it_went(request, name, err);
    if (info.state == VF_PARTITION_BUILDING || info.state == VF_PARTITION_INCOMING ||
        info.state == VF_PARTITION_READY)
        return WAITED_NOT_YET;
    memory = guest_view_of(&view, request->kc, &info);
    if (work_status(&memory, &info, status, err) == 0) {
        result = judge(&info, status, err);
        if (result != WAITED_DONE || guest_digest(&memory, digest, err) == 0)
            return result;
    }
    if (kc_partition_info(request->kc, info.id, &again, &ignored) != 0 ||
        again.state == VF_PARTITION_DYING)
        return WAITED_NOT_YET;
    return WAITED_FAILED;
}

/* Tells of interrupts of one partition while it is here. */
struct watch {
    int epoll, event; /* -1: not watching */
    uint64_t id;
};

static void watch_end(struct watch *watch)
{
    if (watch->epoll >= 0)
        (void)close(watch->epoll);
    if (watch->event >= 0)
        (void)close(watch->event);
    *watch = (struct watch){.epoll = -1, .event = -1};
}

/* Begins, or begins again with a partition that came since. Before a look, so that no interrupt
 * falls between look and wait. Without success the wait just looks more often. */
static void watch_begin(struct request *request, const char *name, struct watch *watch)
{
    struct epoll_event event = {.events = EPOLLIN | EPOLLET};
    struct vf_partition_info info;
    struct vf_error ignored;

    if (kc_partition_find(request->kc, name, &info, &ignored) != 0)
        info.id = 0;
    if (watch->epoll >= 0 && watch->id == info.id)
        return;
    watch_end(watch);
    if (info.id == 0 || kc_partition_watch(request->kc, info.id, &watch->event, &ignored) != 0)
        return;
    watch->id = info.id;
    watch->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (watch->epoll < 0 || epoll_ctl(watch->epoll, EPOLL_CTL_ADD, watch->event, &event) != 0)
        watch_end(watch);
}

/* Waits for an interrupt, or a while; false when nobody waits for the answer any more. */
static bool watch_wait(struct request *request, struct watch *watch)
{
    struct epoll_event event;

    if (watch->epoll < 0)
        return !request_abandoned(request, WAIT_STEP_MS);
    if (request_told(request, watch->epoll, WAIT_TOLD_MS))
        (void)epoll_wait(watch->epoll, &event, 1, 0); /* takes the edge */
    return !request_abandoned(request, 0);
}

/* Looks until there is an answer; an interrupt has it look at once. */
static int wait_for(struct request *request, const char *name, uint64_t timeout_s,
                    struct watch *watch, struct guest_status *status,
                    char digest[GUEST_DIGEST_BYTES], struct vf_error *err)
{
    uint64_t begin = vf_now_ns();
    enum waited waited;

    for (;;) {
        watch_begin(request, name, watch);
        waited = look(request, name, status, digest, err);
        if (waited != WAITED_NOT_YET)
            return waited == WAITED_DONE ? 0 : -1;
        if ((vf_now_ns() - begin) / 1000000000u >= timeout_s)
            return vf_fail(err, VF_FAILED,
                           "partition %s: not done within %" PRIu64 " s, at step %" PRIu64
                           " of %" PRIu64 "; wait longer",
                           name, timeout_s, status->steps_done, status->steps_wanted);
        if (!watch_wait(request, watch))
            return vf_fail(err, VF_FAILED,
                           "partition %s: the daemon is ending; the partition works on, wait again "
                           "once it is back",
                           name);
    }
}

int verb_wait(struct request *request, struct vf_error *err)
{
    struct guest_status status = {.workload = GUEST_NONE};
    struct watch watch = {.epoll = -1, .event = -1};
    char digest[GUEST_DIGEST_BYTES];
    const char *name;
    struct kc *kc;
    uint64_t timeout;
    int result;

    if (request_text(request, "name", &name, err) != 0 ||
        request_number_or(request, "timeout", UINT64_MAX, &timeout, err) != 0 ||
        request_kc(request, &kc, err) != 0)
        return -1;
    result = wait_for(request, name, timeout, &watch, &status, digest, err);
    watch_end(&watch);
    if (result != 0)
        return -1;
    request->result = new_result("vferry.result/1");
    put_text(request->result, "partition", name);
    put_text(request->result, "workload", guest_workload_name(status.workload));
    put_number(request->result, "steps", status.steps_done);
    put_text(request->result, "digest", digest);
    return 0;
}

struct output {
    int fd;
    uint64_t bytes;
};

static int write_out(void *ctx, const void *bytes, size_t n, struct vf_error *err)
{
    struct output *output = ctx;
    size_t done = 0;

    while (done < n) {
        ssize_t wrote = write(output->fd, (const char *)bytes + done, n - done);

        if (wrote < 0 && errno != EINTR)
            return vf_fail_errno(err, VF_FAILED, errno, "write the result");
        done += wrote > 0 ? (size_t)wrote : 0;
    }
    output->bytes += n;
    return 0;
}

/* The result into the file; with `now` what there is of it, and `status` tells of that step. */
static int read_out(const struct guest_memory *memory, bool now, struct output *output,
                    struct guest_status *status, struct vf_error *err)
{
    if (guest_status(memory, status, err) != 0)
        return -1;
    return now ? guest_present(memory, write_out, output, &status->steps_done, err)
               : guest_result(memory, write_out, output, err);
}

int verb_read(struct request *request, struct vf_error *err)
{
    struct output output = {0};
    struct vf_partition_info info;
    struct guest_status status;
    struct guest_view view;
    struct guest_memory memory;
    bool now;

    if (request_flag(request, "now", &now, err) != 0 ||
        request_file(request, &output.fd, err) != 0 || find_partition(request, &info, err) != 0)
        return -1;
    if (info.state == VF_PARTITION_BUILDING || info.state == VF_PARTITION_INCOMING ||
        info.state == VF_PARTITION_READY)
        return vf_fail(err, VF_FAILED, "partition %s: is %s; read its result once it runs here",
                       info.name, vf_partition_state_name((enum vf_partition_state)info.state));
    memory = guest_view_of(&view, request->kc, &info);
    if (read_out(&memory, now, &output, &status, err) != 0)
        return vf_context(err, "partition %s", info.name);
    request->result = new_result("vferry.read/1");
    put_text(request->result, "partition", info.name);
    put_text(request->result, "workload", guest_workload_name(status.workload));
    put_number(request->result, "steps", status.steps_done);
    put_number(request->result, "bytes", output.bytes);
    put_flag(request->result, "now", now);
    return 0;
}
