// SPDX-License-Identifier: Apache-2.0
/* The verb that ends a host, with the kernel side's help or without it. */
#define LOG_ROOM "host"
#include "base/clock.h"
#include "base/log.h"
#include "daemon/kernel/process.h"
#include "daemon/kernel/watchdog.h"
#include "daemon/verbs/verbs.h"

#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#define KERNEL_END_MS 30000 /* giving back all VRAM of a large host takes a while */
#define JOB_END_NS 30000000000ull

/* A stop under way. */
struct stop {
    bool force;
    bool begun;        /* no COMMIT is honoured any more, until the host lives on after all */
    bool unreachable;  /* no call to the kernel side can be made */
    bool accepted;     /* the kernel side ends: it has no partition, or drops them */
    bool killed;       /* ... and did not get done with it */
    uint64_t until_ns; /* by then it has ended or is killed; 0 = none is set */
    struct daemon *daemon;
};

/* A kc_patience: a kernel side that answers, but hangs in a driver, is not waited for either. */
static int stop_patience(void *ctx, uint64_t waited_ns, struct vf_error *err)
{
    const struct stop *stop = ctx;

    if (stop->until_ns != 0 && vf_now_ns() >= stop->until_ns)
        return vf_fail(err, VF_FAILED, "the kernel side, pid %d, has not ended within %u s",
                       stop->daemon->kernel_pid, KERNEL_END_MS / 1000u);
    return watchdog_patience(stop->daemon, waited_ns, err);
}

/* Waits for the jobs to end, which mig_stop_begin has asked for: forcing the host down is no reason
 * to leave a peer in the dark. */
static void await_jobs(struct mig *mig, uint64_t deadline)
{
    json_t *list = mig_jobs(mig);
    size_t index;
    json_t *entry;

    json_array_foreach(list, index, entry) {
        struct mig_job *job;

        if (strcmp(json_string_value(json_object_get(entry, "status")), "running") != 0)
            continue;
        job = mig_job_get(mig, (uint64_t)json_integer_value(json_object_get(entry, "job")));
        if (job == NULL)
            continue;
        while (!mig_job_wait(job, deadline, UINT64_MAX) && vf_now_ns() < deadline)
            continue;
        mig_job_put(job);
    }
    json_decref(list);
}

/* Ends the kernel side. With force no COMMIT is honoured from here on, and what was honoured before
 * is among the partitions that `host` counts. */
static int end_kernel(struct stop *stop, struct kc *kc, struct kc_host *host, struct vf_error *err)
{
    struct daemon *daemon = stop->daemon;
    const uint64_t deadline = vf_now_ns() + JOB_END_NS;

    if (stop->force) {
        stop->begun = true;
        mig_stop_begin(daemon->mig, deadline);
        await_jobs(daemon->mig, deadline);
    }
    stop->until_ns = vf_now_ns() + KERNEL_END_MS * 1000000ull;
    atomic_store(&daemon->kernel_ending, true);
    stop->accepted = (!stop->force || kc_host(kc, host, err) == 0) &&
                     kc_shutdown_begin(kc, stop->force, err) == 0;
    if (stop->accepted)
        return kc_shutdown_wait(kc, err);
    atomic_store(&daemon->kernel_ending, false);
    return -1;
}

/* Without its help: it answers nothing, or does not end. Hand-offs that are just committing are in
 * calls to it, and cannot be waited for; the next daemon answers for them. */
static int kill_kernel(struct request *request, struct stop *stop, struct vf_error *err)
{
    struct daemon *daemon = request->daemon;
    char word[200];

    (void)watchdog_word(daemon, word, sizeof word);
    if (!stop->begun)
        mig_stop_begin(daemon->mig, vf_now_ns());
    stop->begun = true;
    atomic_store(&daemon->kernel_ending, true);
    if (kernel_process_kill(daemon, err) != 0) {
        atomic_store(&daemon->kernel_ending, false);
        return -1;
    }
    stop->killed = true;
    tell(request, "host", 0, "host stop%s: %s; the kernel side, pid %d, was killed",
         stop->force ? " --force" : "", word[0] != '\0' ? word : "the kernel side did not end",
         daemon->kernel_pid);
    return 0;
}

/* When this host or its kernel side has no descriptor left, the one connection that is there. */
static int connect_stop(struct request *request, struct stop *stop, struct kc **kc,
                        struct vf_error *err)
{
    struct vf_error first = VF_ERROR_INIT;
    struct kc_host host;

    if (request_kc(request, kc, &first) == 0 && *kc != stop->daemon->kc) {
        kc_set_patience(*kc, stop_patience, stop);
        return 0;
    }
    if (stop->daemon->kc == NULL) {
        *err = first;
        return -1;
    }
    log_info("host stop: by the connection kept for it");
    *kc = stop->daemon->kc;
    kc_set_patience(*kc, stop_patience, stop);
    stop->unreachable = kc_host(*kc, &host, err) != 0;
    return stop->unreachable ? -1 : 0;
}

/* With the kernel side's help. *dropped is how many partitions went with it. */
static int stop_in_order(struct request *request, struct stop *stop, uint32_t *dropped,
                         struct vf_error *err)
{
    struct daemon *daemon = request->daemon;
    struct kc_host host;
    struct kc *kc;

    if (connect_stop(request, stop, &kc, err) != 0 || kc_host(kc, &host, err) != 0)
        return vf_context(err, "host stop");
    watchdog_heard(daemon, host.partitions); /* newer than its own count */
    if (!stop->force && host.partitions > 0)
        return vf_fail(
            err, VF_FAILED,
            "host stop: %u partition%s would be lost" VF_REMEDY
            "migrate or remove %s first, or say --force",
            host.partitions, host.partitions == 1 ? "" : "s", host.partitions == 1 ? "it" : "them");
    if (end_kernel(stop, kc, &host, err) != 0)
        return vf_context(err, "host stop");
    *dropped = host.partitions;
    return kernel_process_wait(daemon, KERNEL_END_MS) == 0 ? 0 : kill_kernel(request, stop, err);
}

/* It said that it ends, and did not: a driver's call hangs. Or nothing can be said to it, and all
 * that it has may go. */
static bool may_kill(const struct stop *stop)
{
    const bool late = stop->until_ns != 0 && vf_now_ns() >= stop->until_ns;

    return stop->accepted ||
           (stop->force && (stop->unreachable || late || watchdog_silent_ns(stop->daemon) > 0));
}

/* With the kernel side's help, or by killing it where it may be. */
static int stop_host(struct request *request, struct stop *stop, uint32_t *dropped, bool *known,
                     struct vf_error *err)
{
    if (stop_in_order(request, stop, dropped, err) == 0)
        return 0;
    if (!may_kill(stop) || kill_kernel(request, stop, err) != 0) {
        if (stop->begun)
            mig_stop_undo(stop->daemon->mig);
        return -1;
    }
    if (stop->force)
        *known = watchdog_partitions(stop->daemon, dropped);
    return 0;
}

int verb_host_stop(struct request *request, struct vf_error *err)
{
    struct daemon *daemon = request->daemon;
    uint32_t dropped = 0;
    bool known = true;
    struct stop stop = {.daemon = daemon};
    int result;

    if (request_flag(request, "force", &stop.force, err) != 0)
        return -1;
    result = stop_host(request, &stop, &dropped, &known, err);
    if (daemon->kc != NULL)
        kc_set_patience(daemon->kc, watchdog_patience, daemon); /* `stop` ends here */
    if (result != 0)
        return -1;
    log_info("host stop%s: partitions dropped: %" PRIu32, stop.force ? " --force" : "", dropped);
    request->result = new_result("vferry.stop/1");
    put_text(request->result, "name", daemon->name);
    put_number(request->result, "pid", (uint64_t)getpid());
    put_number(request->result, "kernel_pid", (uint64_t)daemon->kernel_pid);
    put_number(request->result, "partitions_dropped", dropped);
    if (!known)
        (void)json_object_set_new(request->result, "partitions_dropped", json_null());
    put_flag(request->result, "killed", stop.killed);
    daemon_stop(daemon);
    return 0;
}
