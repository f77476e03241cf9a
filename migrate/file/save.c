// SPDX-License-Identifier: Apache-2.0
/*
 * A partition into a file: the sequence of a move with no active round (SRC-8). It goes from here
 * only after the file is whole, on disk and named; every failure before that ends with the
 * partition running on and no file.
 */
#define LOG_ROOM "migrate"
#include "migrate/file/file.h"

#include "base/clock.h"
#include "base/log.h"
#include "migrate/handoff/copy.h"
#include "migrate/image/image.h"
#include "migrate/job/ending.h"
#include "migrate/source/partition_out.h"
#include "migrate/stream/stream.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

struct saving {
    struct save *order;
    struct mig_job *job;
    struct kc *kc;
    struct vf_partition_info partition;
    struct wire_admit admit; /* its blobs are kmd's and umed's */
    struct kc_blob kmd, umed;
    struct image_writer *writer;
    struct kc_channel *channel;
    struct stream_plan plan;
    struct digest_table *table;
    uint64_t *bits;
    struct wire_frame frame;
    bool journalled; /* OPEN is written: an end must be too */
    bool prepared;   /* Prepare(SOURCE) needs its End (SRC-7) */
    bool paused;     /* by us: it must run again unless it is saved */
    bool published;
};

static int cancelled(struct vf_error *err)
{
    return vf_fail(err, VF_CANCELLED, "cancelled");
}

/* Ends the waits of the job's thread; also when the daemon ends. */
static void wake(void *ctx)
{
    tp_abort(image_writer_tp(((struct saving *)ctx)->writer));
}

static int open_partition(struct saving *s, struct vf_error *err)
{
    struct mig_job *job = s->job;

    if (partition_out_open(job, "be saved", &s->kc, &s->partition, err) != 0)
        return -1;
    if (s->partition.page_bytes == 0)
        return vf_fail(err, VF_INCOMPATIBLE,
                       "partition %s: its adapter has no dirty tracking, so it cannot be saved",
                       job->partition);
    if (mig_journal(job, JOURNAL_OPEN, "", err) != 0)
        return -1;
    s->journalled = true;
    return 0;
}

static int describe(struct saving *s, struct image_origin *origin, struct vf_error *err)
{
    struct vf_adapter_info adapter;

    if (kc_adapter_info(s->kc, s->partition.adapter, &adapter, err) != 0)
        return -1;
    memset(origin, 0, sizeof *origin);
    origin->kept = s->order->options.keep;
    origin->saved_ns = vf_realtime_ns();
    memcpy(origin->id, s->job->uuid, sizeof origin->id);
    memcpy(origin->host_name, s->job->mig->host_name, sizeof origin->host_name);
    (void)snprintf(origin->version, sizeof origin->version, "%s", VFERRY_VERSION);
    memcpy(origin->device, adapter.device, sizeof origin->device);
    memcpy(origin->driver, adapter.driver, sizeof origin->driver);
    memcpy(origin->description, adapter.description, sizeof origin->description);
    return 0;
}

/* Prepare, SaveImmutable and the image's start (SRC-1…3). */
static int prepare(struct saving *s, struct vf_error *err)
{
    struct mig_job *job = s->job;
    struct image_origin origin;

    if (partition_out_prepare(job, s->kc, &s->partition, &s->prepared, &s->kmd, &s->umed, err) !=
            0 ||
        partition_out_describe(job, s->kc, &s->partition, &s->admit, err) != 0 ||
        describe(s, &origin, err) != 0)
        return -1;
    s->admit.streams = 1;
    s->admit.kmd = (struct wire_blob){s->kmd.data, (uint32_t)s->kmd.bytes};
    s->admit.umed = (struct wire_blob){s->umed.data, (uint32_t)s->umed.bytes};
    if (image_create(image_file_take(&s->order->file), s->order->file.name, &origin, &s->admit,
                     s->order->options.compress, &s->writer, err) != 0)
        return -1;
    job_set_wake(job, wake, s);
    return job_cancel_asked(job) ? cancelled(err) : 0;
}

static int open_channel(struct saving *s, struct vf_error *err)
{
    s->plan = stream_plan_of(s->job, &s->partition, 1, s->partition.page_bytes);
    s->bits = calloc((s->plan.geometry.pages_total + 63) / 64, sizeof *s->bits);
    if (s->bits == NULL)
        return vf_fail(err, VF_FAILED, "the dirty bitplane: " VF_NO_MEMORY);
    if (digest_table_new(s->plan.geometry.pages_total, s->plan.geometry.page_bytes, &s->table,
                         err) != 0)
        return -1;
    return kc_channel_open(s->plan.kernel_socket, s->plan.partition, stream_slots(&s->plan),
                           s->plan.geometry.slot_bytes, s->plan.geometry.page_bytes, &s->channel,
                           err);
}

/* A gathered slot becomes a frame in the file; pages of zeros stay away. */
static int keep_pages(void *ctx, const uint64_t *pages, uint32_t count, const uint8_t *slot,
                      struct vf_error *err)
{
    struct saving *s = ctx;
    uint64_t zeros;
    uint64_t written;

    if (stream_frame(&s->frame, pages, count, slot, s->plan.geometry.page_bytes, s->table, true,
                     err) != 0 ||
        image_add(s->writer, &s->frame, slot, &written, err) != 0)
        return -1;
    zeros = (count - s->frame.count) * s->plan.geometry.page_bytes;
    job_update(s->job,
               s->job->left_bytes -= zeros < s->job->left_bytes ? zeros : s->job->left_bytes);
    job_sent(s->job, written, s->frame.count);
    return 0;
}

/* All that was ever written (DBT-9): pages that never were are zero, and what is not in the
 * image is. */
static int save_pages(struct saving *s, struct vf_error *err)
{
    struct mig_job *job = s->job;
    struct job_round round = {0};
    uint64_t begin = vf_now_ns();
    uint64_t dirty;

    if (kc_query_dirty(s->kc, s->partition.id, s->bits, (s->plan.geometry.pages_total + 63) / 64,
                       &dirty, err) != 0)
        return -1;
    job_update(job, job->left_bytes = dirty * s->plan.geometry.page_bytes);
    if (stream_gather(s->channel, image_writer_tp(s->writer), &s->plan, 0, s->bits, keep_pages, s,
                      err) != 0)
        return -1;
    round.pages = round.dirty_pages = dirty;
    round.bytes = job->bytes_sent;
    round.duration_ns = vf_now_ns() - begin;
    job_round_done(job, &round);
    job_update(job, job->t.pages = vf_now_ns());
    return 0;
}

static int save_state(struct saving *s, uint8_t root[DIGEST_ROOT_BYTES], struct vf_error *err)
{
    struct partition_out_state saved;
    int result;

    if (partition_out_state(s->job, s->kc, &s->partition, TP_NEVER, &saved, err) != 0)
        return -1;
    digest_root(s->table, root, NULL);
    memcpy(saved.state.root, root, sizeof saved.state.root);
    result = image_add_state(s->writer, &saved.state, err);
    partition_out_state_free(&saved);
    if (result == 0)
        job_update(s->job, {
            s->job->t.ready = vf_now_ns();
            digest_format(root, s->job->digest);
        });
    return result;
}

/* Back to "never happened", or with --keep to "nothing but a pause did" (SRC-7). */
static int run_on(struct saving *s, struct vf_error *err)
{
    uint64_t resume = vf_now_ns();
    int result = 0;

    kc_channel_close(s->channel);
    s->channel = NULL;
    if (s->prepared)
        result = partition_out_run_on(s->job, s->kc, &s->partition, s->paused, err);
    s->prepared = false;
    if (s->paused && result == 0)
        job_update(s->job, {
            s->job->t.resume = resume;
            s->job->t.first_run = vf_now_ns();
        });
    s->paused = false;
    return result;
}

/* The image is durable and named before anything here is given up. */
static int commit(struct saving *s, const uint8_t root[DIGEST_ROOT_BYTES], struct vf_error *err)
{
    struct mig_job *job = s->job;

    if (image_seal(s->writer, root, err) != 0)
        return -1;
    job_enter(job, JOB_PREPARED, "name");
    if (!job_begin_commit(job))
        return cancelled(err);
    if (image_file_publish(&s->order->file, err) != 0)
        return -1;
    s->published = true;
    if (!s->order->options.keep && mig_journal(job, JOURNAL_COMMIT, "", err) != 0)
        return -1;
    job_enter(job, JOB_COMMITTED, "commit");
    return 0;
}

static int run(struct saving *s, struct vf_error *err)
{
    struct mig_job *job = s->job;
    uint8_t root[DIGEST_ROOT_BYTES];

    job_enter(job, JOB_CONNECT, "open");
    if (open_partition(s, err) != 0)
        return -1;
    job_enter(job, JOB_ADMIT, "prepare");
    if (prepare(s, err) != 0 || open_channel(s, err) != 0)
        return -1;
    job_enter(job, JOB_ROUNDS, "pause"); /* there is no round while it runs */
    if (partition_out_pause(job, s->kc, &s->partition, &s->paused, err) != 0)
        return -1;
    job_update(job, job->t.quiet = vf_now_ns());
    job_enter(job, JOB_PAUSED, "pages");
    if (save_pages(s, err) != 0)
        return -1;
    job_enter(job, JOB_STATE, "state");
    if (save_state(s, root, err) != 0)
        return -1;
    /* All there is to know lies in the file: a partition that stays need not wait for the disk. */
    if (s->order->options.keep && run_on(s, err) != 0)
        return -1;
    job_enter(job, JOB_STATE, "disk");
    return commit(s, root, err);
}

static void destroy(struct saving *s)
{
    struct vf_error err = VF_ERROR_INIT;

    kc_channel_close(s->channel);
    s->channel = NULL;
    if (kc_end(s->kc, s->partition.id, &err) != 0)
        log_error("job %" PRIu64 ": EndLiveMigration: %s", s->job->id, err.text);
    if (kc_partition_destroy(s->kc, s->partition.id, &err) != 0)
        mig_event(s->job->mig, s->job->id, vf_realtime_ns(),
                  "job %" PRIu64
                  ": partition %s is saved and yet stays here, paused; remove it, never "
                  "resume it: %s",
                  s->job->id, s->job->partition, err.text);
}

static void tell_end(struct saving *s, struct vf_error *err)
{
    char here[ENDING_WHERE], where[ENDING_WHERE + 40];

    (void)snprintf(where, sizeof where, "%s and there is no image",
                   ending_here(s->job, s->kc, s->partition.id, here));
    ending_tell(s->job, where, err);
}

/* The one way back: the partition runs before anybody is told, and no file stays. */
static enum job_state call_off(struct saving *s, struct vf_error *err)
{
    struct vf_error also = VF_ERROR_INIT;
    int resumed = s->kc == NULL ? 0 : run_on(s, &also);

    if (s->published)
        image_file_withdraw(&s->order->file);
    if (job_cancel_asked(s->job) && err->code != VF_STANDS)
        (void)ending_called_off(s->job, false, err);
    if (s->journalled)
        tell_end(s, err);
    if (resumed != 0 && also.code == VF_STANDS)
        copy_stands(err, &also);
    else if (resumed != 0)
        vf_context(err, "%s", also.text);
    if (s->journalled && mig_journal_end(s->job, err, &also) != 0)
        log_error("job %" PRIu64 ": %s", s->job->id, also.text);
    (void)job_fail(s->job, err);
    return err->code == VF_CANCELLED ? JOB_CANCELLED : JOB_FAILED;
}

static void warn_of_two(struct mig_job *job)
{
    char uuid[VF_UUID_TEXT];

    vf_uuid_format(job->partition_uuid, uuid);
    job_update(job, (void)snprintf(job->warning, sizeof job->warning,
                                   "partition %s runs on and is in the image too: whoever restores "
                                   "that, here or elsewhere, makes a second one with UUID %s",
                                   job->partition, uuid));
    mig_event(job->mig, job->id, vf_realtime_ns(), "job %" PRIu64 ": %s", job->id, job->warning);
}

static enum job_state finish(struct saving *s, int result, struct vf_error *err)
{
    struct vf_error also = VF_ERROR_INIT;

    if (result != 0 && job_unsure(s->job)) {
        ending_unsure(s->job, "after the image had its name", err);
        (void)job_fail(s->job, err);
        return JOB_UNKNOWN;
    }
    if (result != 0)
        return call_off(s, err);
    if (s->order->options.keep)
        warn_of_two(s->job);
    else
        destroy(s);
    if (mig_journal(s->job, JOURNAL_DONE, "", &also) != 0)
        log_error("job %" PRIu64 ": %s", s->job->id, also.text);
    return JOB_COMPLETED;
}

static void release(struct saving *s)
{
    job_set_wake(s->job, NULL, NULL);
    kc_channel_close(s->channel);
    image_writer_free(s->writer);
    digest_table_free(s->table);
    free(s->bits);
    kc_blob_free(&s->kmd);
    kc_blob_free(&s->umed);
    if (s->kc != NULL)
        kc_close(s->kc);
    free(s);
}

static enum job_state save(struct save *order)
{
    struct saving *s = calloc(1, sizeof *s);
    struct vf_error err = VF_ERROR_INIT;
    enum job_state end;

    if (s == NULL) {
        (void)vf_fail(&err, VF_FAILED, VF_NO_MEMORY);
        (void)job_fail(order->job, &err);
        return JOB_FAILED;
    }
    s->order = order;
    s->job = order->job;
    end = finish(s, run(s, &err), &err);
    release(s);
    return end;
}

void *save_main(void *arg)
{
    struct save *order = arg;
    struct mig_job *job = order->job;
    enum job_state end;

    (void)prctl(PR_SET_NAME, "job-save");
    end = save(order);
    save_free(order); /* before it is over: who hears of the end finds no temporary file */
    mig_job_thread_over(job, end);
    return NULL;
}

void save_free(struct save *order)
{
    image_file_close(&order->file);
    free(order);
}

int mig_save_start(struct mig *mig, const char *partition, int directory, const char *name,
                   const char *path, const struct mig_save_options *options, struct mig_job **out,
                   struct vf_error *err)
{
    struct save *order = calloc(1, sizeof *order);

    if (order == NULL) {
        (void)close(directory);
        return vf_fail(err, VF_FAILED, "save: " VF_NO_MEMORY);
    }
    order->options = *options;
    if (image_file_open(&order->file, directory, name, err) != 0) {
        save_free(order);
        return -1;
    }
    order->job = mig_new_file_job(mig, partition, path, true);
    if (order->job != NULL)
        order->job->options.compress = options->compress;
    else {
        save_free(order);
        return vf_fail(err, VF_FAILED, "save: " VF_NO_MEMORY);
    }
    *out = order->job;
    if (mig_start_job(mig, *out, save_main, order, err) == 0)
        return 0;
    save_free(order);
    mig_job_put(*out);
    return -1;
}
