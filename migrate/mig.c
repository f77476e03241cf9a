// SPDX-License-Identifier: Apache-2.0
/* A host's migration side: its list of jobs, and what starts and ends them. Who connects to
 * it: target/acceptor.c. */
#define LOG_ROOM "migrate"
#include "migrate/mig.h"

#include "base/clock.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/size.h"
#include "base/thread.h"
#include "kernel/client.h"
#include "migrate/handoff/copy.h"
#include "migrate/handoff/recover.h"
#include "migrate/handoff/redial.h"
#include "migrate/handoff/restart.h"
#include "migrate/handoff/retry.h"
#include "migrate/job/stand.h"
#include "migrate/net/control.h"
#include "migrate/source/source.h"
#include "migrate/stream/stream.h"
#include "migrate/target/target.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define REDIAL_NS 30000000000ull
#define MOST_AUTO_STREAMS 4u
/* Bytes a second; on two cores of a server of 2020 one stream carried 600 MB/s. */
#define ONE_STREAM_CARRIES (200ull << 20)
#define HOLD_PATIENCE_NS 10000000000ull

void mig_event(struct mig *mig, uint64_t job, uint64_t time_ns, const char *format, ...)
{
    char text[800];
    const struct mig_event event = {.job = job, .time_ns = time_ns, .text = text};
    va_list args;

    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    log_info("%s", text);
    if (mig->event != NULL)
        mig->event(mig->event_ctx, &event);
}

void mig_tell_ended(struct mig_job *job)
{
    if (job->mig->ended != NULL)
        job->mig->ended(job->mig->ended_ctx, job);
}

/* The boot id tells whether two daemons share one CLOCK_MONOTONIC. */
static int read_boot_id(uint8_t id[16], struct vf_error *err)
{
    char text[VF_UUID_TEXT] = "";
    int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
    ssize_t got = fd < 0 ? -1 : read(fd, text, sizeof text - 1);

    if (fd >= 0)
        (void)close(fd);
    if (got != (ssize_t)sizeof text - 1 || vf_uuid_parse(text, id) != 0)
        return vf_fail(err, VF_FAILED, "cannot read the boot id (/proc/sys/kernel/random/boot_id)");
    return 0;
}

int mig_open(const struct mig_config *config, struct mig **out, struct vf_error *err)
{
    struct mig *mig = calloc(1, sizeof *mig);

    if (mig == NULL)
        return vf_fail(err, VF_FAILED, VF_NO_MEMORY);
    (void)snprintf(mig->host_name, sizeof mig->host_name, "%s", config->host_name);
    (void)snprintf(mig->kernel_socket, sizeof mig->kernel_socket, "%s", config->kernel_socket);
    (void)snprintf(mig->listen, sizeof mig->listen, "%s", config->listen);
    mig->silence_ns = config->silence_ns != 0 ? config->silence_ns : CONTROL_SILENCE_NS;
    mig->redial_ns = config->redial_ns != 0 ? config->redial_ns : REDIAL_NS;
    mig->insecure = config->insecure;
    mig->tls = config->tls != NULL ? tp_tls_ref(config->tls) : NULL;
    mig->event = config->event;
    mig->event_ctx = config->event_ctx;
    mig->ended = config->ended;
    mig->ended_ctx = config->ended_ctx;
    mig->kernel_mute_ns = config->kernel_mute_ns;
    mig->kernel_mute_ctx = config->kernel_mute_ctx;
    vf_lock_init(&mig->lock);
    vf_cond_init(&mig->idle);
    send_slots_init(&mig->send_slots,
                    config->moves_at_once != 0 ? config->moves_at_once : send_slots_default());
    retry_init(mig);
    vf_cond_init(&mig->stands);
    if (read_boot_id(mig->boot_id, err) != 0 ||
        journal_open(config->state_dir, &mig->journal, err) != 0 || mig_recover(mig, err) != 0) {
        mig_close(mig);
        return -1;
    }
    journal_skip_ids(mig->journal, config->last_id);
    if (vf_spare_thread_open(&mig->spare, err) != 0 || retry_start(mig, err) != 0 ||
        stand_start(mig, err) != 0) {
        mig_close(mig);
        return -1;
    }
    restart_moves(mig);
    *out = mig;
    return 0;
}

/* Under mig->lock: unlinks what is over beyond the newest of its kind, but nothing whose outcome
 * somebody still has to settle, or the peer to be told. Returns jobs to put once the lock is free.
 */
static struct mig_job *unlink_old(struct mig *mig)
{
    struct mig_job **at = &mig->jobs;
    struct mig_job *gone = NULL;
    size_t jobs = 0;
    size_t checks = 0;

    while (*at != NULL) {
        struct mig_job *job = *at;
        bool kept = job->options.dry_run ? checks++ < MIG_KEPT_CHECKS : jobs++ < MIG_KEPT_JOBS;

        if (kept || job_status(job) == MIG_UNKNOWN || !mig_job_wait(job, 0, UINT64_MAX) ||
            redial_owed(job) != SAY_NOTHING) {
            at = &job->next;
            continue;
        }
        *at = job->next;
        job->next = gone;
        gone = job;
    }
    return gone;
}

/* Under mig->lock. */
static struct mig_job *list_locked(struct mig *mig, struct mig_job *job)
{
    atomic_fetch_add(&job->refs, 1u);
    job->next = mig->jobs;
    mig->jobs = job;
    return unlink_old(mig);
}

static void put_all(struct mig_job *gone)
{
    while (gone != NULL) {
        struct mig_job *next = gone->next;

        mig_job_put(gone);
        gone = next;
    }
}

bool mig_list_job(struct mig *mig, struct mig_job *job)
{
    struct mig_job *gone = NULL;
    bool listed;

    vf_lock(&mig->lock);
    listed = !mig_ending(mig);
    if (listed)
        gone = list_locked(mig, job);
    vf_unlock(&mig->lock);
    put_all(gone);
    return listed;
}

void mig_unlist_job(struct mig *mig, struct mig_job *job)
{
    struct mig_job **at = &mig->jobs;
    bool listed;

    vf_lock(&mig->lock);
    while (*at != NULL && *at != job)
        at = &(*at)->next;
    listed = *at == job;
    if (listed)
        *at = job->next;
    vf_unlock(&mig->lock);
    if (listed)
        mig_job_put(job);
}

/* Before COMMIT it is called off; and nobody waits any more for a peer that was lost. */
static void end_job(struct mig_job *job)
{
    job_interrupt(job);
    job_leave(job);
}

void mig_end_jobs(struct mig *mig)
{
    vf_lock(&mig->lock);
    mig->closing = true;
    retry_kick_locked(mig);
    vf_cond_broadcast(&mig->stands);
    mig_abort_handshakes(mig);
    for (struct mig_job *job = mig->jobs; job != NULL; job = job->next)
        end_job(job);
    for (struct target *t = mig->targets; t != NULL; t = t->next)
        end_job(t->job);
    vf_unlock(&mig->lock);
}

void mig_close(struct mig *mig)
{
    mig_end_jobs(mig);
    vf_lock(&mig->lock);
    /* A source past COMMIT ends within its own bounds. */
    while (mig->threads > 0)
        vf_cond_wait(&mig->idle, &mig->lock);
    vf_unlock(&mig->lock);
    vf_spare_thread_close(mig->spare);
    while (mig->jobs != NULL) {
        struct mig_job *job = mig->jobs;

        mig->jobs = job->next;
        mig_job_put(job);
    }
    journal_close(mig->journal);
    send_slots_fini(&mig->send_slots);
    tp_tls_unref(mig->tls);
    vf_cond_fini(&mig->stands);
    vf_cond_fini(&mig->retry_due);
    vf_cond_fini(&mig->idle);
    vf_lock_fini(&mig->lock);
    free(mig);
}

int mig_spawn(struct mig *mig, void *(*main)(void *arg), void *arg)
{
    if (vf_thread_detached(main, arg) == 0)
        return 0;
    mig_thread_over(mig);
    return -1;
}

int mig_spawn_own(struct mig *mig, void *(*main)(void *mig), const char *what, struct vf_error *err)
{
    vf_lock(&mig->lock);
    mig->threads++;
    vf_unlock(&mig->lock);
    return mig_spawn(mig, main, mig) == 0 ? 0 : vf_fail(err, VF_FAILED, "%s: " VF_NO_THREAD, what);
}

void mig_thread_over(struct mig *mig)
{
    vf_lock(&mig->lock);
    mig->threads--;
    vf_cond_broadcast(&mig->idle);
    vf_unlock(&mig->lock);
}

void mig_job_thread_over(struct mig_job *job, enum job_state end)
{
    struct mig *mig = job->mig;

    retry_job_over(job, end);
    mig_job_put(job);
    mig_thread_over(mig);
}

void mig_set_cordon(struct mig *mig, bool on)
{
    atomic_store(&mig->cordoned, on);
}

bool mig_cordoned(const struct mig *mig)
{
    return atomic_load(&mig->cordoned);
}

uint32_t mig_streams_auto(uint64_t bandwidth)
{
    const unsigned processors = vf_processors();

    if (bandwidth != 0 && bandwidth <= ONE_STREAM_CARRIES)
        return 1;
    return processors < MOST_AUTO_STREAMS ? processors : MOST_AUTO_STREAMS;
}

void mig_options_init(struct mig_options *options)
{
    memset(options, 0, sizeof *options);
    options->max_blackout_ns = 750000000ull;
    options->streams = mig_streams_auto(0);
    options->throttle = VF_THROTTLE_MOST;
}

/* The slowest move that works: within --silence each data stream has to carry a frame, or its
 * target takes it for dead; all share the rate, and a quarter more leaves room for chance. */
static uint64_t least_bandwidth(const struct mig *mig, uint32_t streams)
{
    const double seconds = (double)mig->silence_ns / 1e9;
    const double bytes = 1.25 * (double)streams * (double)STREAM_SLOT_BYTES;

    return (uint64_t)(bytes / seconds / 1024.0 + 1.0) * 1024u;
}

static int check_bandwidth(const struct mig *mig, const struct mig_options *options,
                           struct vf_error *err)
{
    const uint64_t least = least_bandwidth(mig, options->streams);
    char silence[32];

    if (options->bandwidth == 0 || options->bandwidth >= least)
        return 0;
    (void)vf_time_format(mig->silence_ns, silence, sizeof silence);
    return vf_fail(err, VF_USAGE,
                   "migrate: --bandwidth %" PRIu64 ": too slow for %u data stream%s: each has to "
                   "carry a frame of %u KiB within the %s after which the target takes it for "
                   "dead" VF_REMEDY "give at least %" PRIu64 "K/s%s",
                   options->bandwidth, options->streams, options->streams == 1 ? "" : "s",
                   STREAM_SLOT_BYTES / 1024u, silence, least / 1024u,
                   options->streams > 1 ? ", or fewer --streams" : "");
}

int mig_check_options(const struct mig *mig, const struct mig_options *options,
                      struct vf_error *err)
{
    char host[TP_NAME_BYTES];

    if (options->to[0] == '\0')
        return vf_fail(err, VF_USAGE, "migrate: no target; give --to HOST:PORT");
    if (options->streams == 0 || options->streams > STREAM_MAX)
        return vf_fail(err, VF_USAGE,
                       "migrate: --streams %u: is no number of streams" VF_REMEDY "give 1 to %u",
                       options->streams, STREAM_MAX);
    if (options->max_blackout_ns == 0)
        return vf_fail(err, VF_USAGE,
                       "migrate: --max-blackout 0: a move needs some blackout" VF_REMEDY
                       "give milliseconds, "
                       "750 is the default");
    if (options->throttle > VF_THROTTLE_MOST)
        return vf_fail(err, VF_USAGE,
                       "migrate: --throttle %u%%: would stop the partition" VF_REMEDY
                       "give off, auto or 1%% to %u%%",
                       options->throttle, VF_THROTTLE_MOST);
    if (check_bandwidth(mig, options, err) != 0)
        return -1;
    /* Here, and not when it connects: what can never be tried makes no job. */
    return tp_address_host(options->to, host, err);
}

/* Is it a job that has the partition in its hands? An arrival whose partition runs here only closes
 * its books, and one that is not admitted yet has nothing but a name. */
static bool holds(struct mig_job *job, const char *partition)
{
    bool held;

    if (strcmp(job->partition, partition) != 0)
        return false;
    vf_lock(&job->lock);
    held = !job_ended(job) &&
           (job->side == MIG_SOURCE || (job->t.first_run == 0 && job->journal != JOB_UNRECORDED));
    vf_unlock(&job->lock);
    return held;
}

/* Under mig->lock. */
static uint64_t job_of(struct mig *mig, const char *partition)
{
    for (struct mig_job *job = mig->jobs; job != NULL; job = job->next) {
        if (holds(job, partition))
            return job->id;
    }
    return 0;
}

uint64_t mig_job_of(struct mig *mig, const char *partition)
{
    return vf_locked(&mig->lock, job_of(mig, partition));
}

void mig_release(struct mig *mig, struct mig_hold *hold)
{
    struct mig_hold **at = &mig->holds;

    if (hold->partition[0] == '\0')
        return;
    vf_lock(&mig->lock);
    while (*at != hold)
        at = &(*at)->next;
    *at = hold->next;
    vf_cond_broadcast(&mig->idle);
    vf_unlock(&mig->lock);
    hold->partition[0] = '\0';
}

/* Under mig->lock. */
static bool held(const struct mig *mig, const char *partition)
{
    for (const struct mig_hold *hold = mig->holds; hold != NULL; hold = hold->next) {
        if (strcmp(hold->partition, partition) == 0)
            return true;
    }
    return false;
}

int mig_hold(struct mig *mig, const char *partition, struct mig_hold *hold, struct vf_error *err)
{
    const uint64_t until_ns = vf_now_ns() + HOLD_PATIENCE_NS;
    bool taken;

    vf_lock(&mig->lock);
    while (held(mig, partition) && vf_cond_wait_until(&mig->idle, &mig->lock, until_ns))
        continue;
    taken = held(mig, partition);
    if (!taken) {
        (void)snprintf(hold->partition, sizeof hold->partition, "%s", partition);
        hold->next = mig->holds;
        mig->holds = hold;
    }
    vf_unlock(&mig->lock);
    return !taken ? 0
                  : vf_fail(err, VF_REFUSED_NOW,
                            "partition %s: another command works on it" VF_REMEDY
                            "wait for its end, then try again",
                            partition);
}

/* Under mig->lock: is it just about to run here? Then mig->idle tells when it does. */
static bool arriving(const struct mig *mig, const char *partition)
{
    for (struct mig_job *job = mig->jobs; job != NULL; job = job->next) {
        if (job->side == MIG_TARGET && !job_with_file(job) &&
            vf_fsm_get(&job->fsm) == JOB_COMMITTED && holds(job, partition))
            return true;
    }
    return false;
}

uint64_t mig_unsettled(struct mig *mig, const struct vf_partition_info *partition)
{
    uint64_t id = 0;

    vf_lock(&mig->lock);
    for (struct mig_job *job = mig->jobs; job != NULL && id == 0; job = job->next) {
        if (job_status(job) == MIG_UNKNOWN && handoff_is_copy(job, partition))
            id = job->id;
    }
    vf_unlock(&mig->lock);
    return id;
}

int mig_refuse_unsettled(struct mig *mig, const struct vf_partition_info *partition,
                         struct vf_error *err)
{
    uint64_t id = mig_unsettled(mig, partition);

    return id == 0 ? 0
                   : vf_fail(err, VF_FAILED,
                             "partition %s: it is not known who runs it" VF_REMEDY
                             "see \"vferry job show %" PRIu64
                             "\"; if its peer never comes back, say it "
                             "with \"vferry job resolve %" PRIu64
                             "\" and --source-runs or --target-runs",
                             partition->name, id, id);
}

/* One look and one step: two jobs of one partition must not both find it free. */
static int list_to_start(struct mig *mig, struct mig_job *job, struct vf_error *err)
{
    struct mig_job *gone = NULL;
    uint64_t other;
    bool closing;

    vf_lock(&mig->lock);
    while (!mig_ending(mig) && (held(mig, job->partition) || arriving(mig, job->partition)))
        vf_cond_wait(&mig->idle, &mig->lock);
    closing = mig_ending(mig);
    other = job_of(mig, job->partition);
    if (!closing && other == 0) {
        mig->threads++;
        atomic_fetch_add(&job->refs, 1u); /* the thread's */
        gone = list_locked(mig, job);
    }
    vf_unlock(&mig->lock);
    put_all(gone);
    if (closing)
        return vf_fail(err, VF_FAILED, "partition %s: the daemon is shutting down", job->partition);
    if (other != 0)
        return vf_fail(err, VF_FAILED,
                       "partition %s: job %" PRIu64
                       " works on it already; watch or cancel that one",
                       job->partition, other);
    return 0;
}

int mig_start_job(struct mig *mig, struct mig_job *job, void *(*main)(void *arg), void *arg,
                  struct vf_error *err)
{
    if (list_to_start(mig, job, err) != 0)
        return -1;
    if (mig_spawn(mig, main, arg) == 0)
        return 0;
    vf_fail(err, VF_FAILED, "partition %s: " VF_NO_THREAD, job->partition);
    (void)job_fail(job, err);
    retry_job_over(job, JOB_FAILED);
    mig_job_put(job); /* the thread's */
    return -1;
}

struct mig_job *mig_new_file_job(struct mig *mig, const char *partition, const char *path,
                                 bool save)
{
    struct mig_job *job;
    uint8_t uuid[VF_UUID_BYTES];
    size_t length = strlen(path);

    if (vf_uuid_random(uuid) != 0 || (job = job_new(mig, journal_take_id(mig->journal), uuid,
                                                    save ? MIG_SOURCE : MIG_TARGET)) == NULL)
        return NULL;
    job->shared_clock = true;
    job->operation = save ? JOURNAL_SAVE : JOURNAL_RESTORE;
    (void)snprintf(job->partition, sizeof job->partition, "%s", partition);
    if (length <= sizeof job->peer - sizeof JOB_FILE)
        (void)snprintf(job->peer, sizeof job->peer, JOB_FILE "%s", path);
    else /* the end of a path tells more than its start */
        (void)snprintf(job->peer, sizeof job->peer, JOB_FILE "/...%s",
                       path + length - (sizeof job->peer - sizeof JOB_FILE - 4));
    return job;
}

int mig_source_start(struct mig *mig, const char *partition, const struct mig_options *options,
                     struct mig_job **out, struct vf_error *err)
{
    uint8_t uuid[VF_UUID_BYTES];
    struct mig_job *job;

    if (mig_check_options(mig, options, err) != 0)
        return -1;
    if (vf_uuid_random(uuid) != 0 ||
        (job = job_new(mig, journal_take_id(mig->journal), uuid, MIG_SOURCE)) == NULL)
        return vf_fail(err, VF_FAILED, "migrate: " VF_NO_MEMORY);
    (void)snprintf(job->partition, sizeof job->partition, "%s", partition);
    (void)snprintf(job->peer, sizeof job->peer, "%s", options->to);
    job->options = *options;
    if (mig_start_job(mig, job, source_main, job, err) != 0) {
        mig_job_put(job);
        return -1;
    }
    *out = job;
    return 0;
}
