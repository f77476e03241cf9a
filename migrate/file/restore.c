// SPDX-License-Identifier: Apache-2.0
/*
 * A partition from a file: the target's sequence (TGT-5). The image is checked from end to end
 * before anything is made; what it says of pages is compared once more with what lies in VRAM.
 * Until COMMITTED is journalled every failure leaves nothing here, and the image is never changed.
 */
#define LOG_ROOM "migrate"
#include "migrate/file/file.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/thread.h"
#include "migrate/job/ending.h"
#include "migrate/stream/page_sink.h"
#include "migrate/target/target.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

struct restoring {
    struct restore *order;
    struct mig_job *job;
    struct image_reader *image; /* the order's */
    struct target target; /* job, kc, partition, table, prepared, committed; its lock */
    struct stream_plan plan;
    struct kc_channel *channel;
    struct page_sink *sink;
    bool known;      /* this host's journal has the image's hand-off, or a later one, as arrived */
    bool journalled; /* OPEN is written: an end must be too */
};

/* Where it is when it could not be restored; returns `where`. */
static const char *nothing_left(const struct mig *mig, char where[ENDING_WHERE])
{
    (void)snprintf(where, ENDING_WHERE, "nothing is left of it at host %s, the image is as it was",
                   mig->host_name);
    return where;
}

static void wake(void *ctx)
{
    struct restoring *r = ctx;

    vf_lock(&r->target.lock);
    target_call_off(&r->target);
    vf_unlock(&r->target.lock);
    tp_abort(image_reader_tp(r->image));
}

static void tell(void *ctx, uint64_t done, uint64_t total)
{
    struct mig_job *job = ctx;

    job_update(job, job->left_bytes = total - done);
}

static int verify_image(struct restoring *r, struct vf_error *err)
{
    job_set_wake(r->job, wake, r);
    if (job_cancel_asked(r->job))
        return vf_fail(err, VF_CANCELLED, "cancelled");
    return image_verify(r->image, tell, r->job, err);
}

static int refuse(struct restoring *r, const struct vf_reasons *reasons, struct vf_error *err)
{
    const struct vf_reason *first = &reasons->list[0];

    job_judged(r->job, reasons);
    if (reasons->count == 0)
        return 0;
    return vf_fail(err, r->target.passing == reasons->count ? VF_REFUSED_NOW : VF_INCOMPATIBLE,
                   "cannot be restored here: %s: image %s, here %s; %s%s", first->field,
                   first->source, first->target, first->remedy,
                   reasons->count > 1 ? " (and more: see job show --json)" : "");
}

/* As target_admit for a move: by doing it, on the adapter that was asked for. */
static int admit(struct restoring *r, struct vf_error *err)
{
    struct mig_job *job = r->job;
    struct wire_admit admit = image_facts(r->image)->admit;
    uint64_t journalled = journal_epoch(job->mig->journal, admit.params.uuid);
    struct vf_reasons reasons = {0};

    memcpy(admit.params.name, job->partition, sizeof admit.params.name);
    /* The save's hand-off ends here, unless this host knows of it or of a later one: an image may
     * be restored again and again. */
    r->known = mig_had_since(job->mig, admit.params.uuid, admit.epoch);
    if (admit.epoch <= journalled)
        admit.epoch = journalled + 1;
    r->target.job = job;
    job->stays_paused = admit.stay_paused != 0;
    job_set_partition(job, admit.params.uuid, admit.epoch, admit.params.vram_bytes,
                      admit.page_bytes);
    if (kc_connect(job->mig->kernel_socket, &r->target.kc, err) != 0 ||
        target_admit_on(&r->target, r->order->adapter, &admit, &reasons, err) != 0 ||
        refuse(r, &reasons, err) != 0)
        return -1;
    if (mig_journal(job, JOURNAL_OPEN, "", err) != 0)
        return -1;
    r->journalled = true;
    return 0;
}

static int open_receiver(struct restoring *r, struct vf_error *err)
{
    const struct image_facts *facts = image_facts(r->image);

    r->plan = stream_plan_of(r->job, &r->target.partition, 1, r->target.partition.page_bytes);
    r->plan.geometry = facts->geometry;
    r->sink = calloc(1, sizeof *r->sink);
    if (r->sink == NULL)
        return vf_fail(err, VF_FAILED, VF_NO_MEMORY);
    if (digest_table_new(facts->geometry.pages_total, facts->geometry.page_bytes, &r->target.table,
                         err) != 0 ||
        kc_channel_open(r->plan.kernel_socket, r->plan.partition, 2 * page_sink_items(&r->plan),
                        facts->geometry.slot_bytes, facts->geometry.page_bytes, &r->channel,
                        err) != 0)
        return -1;
    r->sink->channel = r->channel;
    r->sink->tp = image_reader_tp(r->image);
    r->sink->plan = &r->plan;
    r->sink->table = r->target.table;
    r->sink->items = page_sink_items(&r->plan);
    return 0;
}

/* All pages into VRAM, read back and compared. The second reading of the file is believed no more
 * than the first. */
static int restore_pages(struct restoring *r, struct vf_error *err)
{
    const struct image_facts *facts = image_facts(r->image);
    struct mig_job *job = r->job;
    struct page_sink *sink = r->sink;
    struct job_round round = {.pages = facts->trailer.pages, .dirty_pages = facts->trailer.pages};
    uint64_t begin = vf_now_ns();
    uint32_t index;
    bool end = false;

    job_update(job, job->left_bytes = facts->trailer.pages * facts->geometry.page_bytes);
    image_rewind(r->image);
    while (!end) {
        if (page_sink_room(sink, &index, err) != 0 ||
            image_next(r->image, &sink->frame, page_sink_slot(sink, index), &end, err) != 0)
            return -1;
        if (end)
            break;
        if (page_sink_write(sink, index, err) != 0)
            return -1;
        job_sent(job, sink->frame.payload_bytes, sink->frame.count);
    }
    if (page_sink_drain(sink, err) != 0)
        return -1;
    round.bytes = job->bytes_sent;
    round.duration_ns = vf_now_ns() - begin;
    job_round_done(job, &round);
    return 0;
}

/* The state is the one the checksum met. */
static int restore_state(struct restoring *r, struct vf_error *err)
{
    uint8_t root[DIGEST_ROOT_BYTES];

    kc_channel_close(r->channel);
    r->channel = NULL;
    if (target_restore_state(&r->target, image_state(r->image), "image's", root, err) != 0)
        return -1;
    job_update(r->job, digest_format(root, r->job->digest));
    return 0;
}

/* There is no peer that could believe it: PREPARED says nothing that OPEN does not, so COMMITTED
 * follows at once. */
static int commit(struct restoring *r, struct vf_error *err)
{
    if (!job_begin_commit(r->job))
        return vf_fail(err, VF_CANCELLED, "cancelled");
    if (mig_journal(r->job, JOURNAL_COMMITTED, "", err) != 0)
        return -1;
    return target_start(&r->target, err);
}

static int run(struct restoring *r, struct vf_error *err)
{
    struct mig_job *job = r->job;

    job_enter(job, JOB_CONNECT, "verify");
    if (verify_image(r, err) != 0)
        return -1;
    job_enter(job, JOB_ADMIT, "admit");
    if (admit(r, err) != 0 || open_receiver(r, err) != 0)
        return -1;
    job_enter(job, JOB_ROUNDS, "pages");
    if (restore_pages(r, err) != 0)
        return -1;
    job_enter(job, JOB_PAUSED, "state"); /* it was paused all the way (TGT-1) */
    job_enter(job, JOB_STATE, "state");
    if (restore_state(r, err) != 0)
        return -1;
    job_enter(job, JOB_PREPARED, "ready");
    return commit(r, err);
}

/* Is it perhaps the second one of its kind? No host can know of all others; but what the image and
 * the journal tell is said. */
static void warn_of_two(struct restoring *r)
{
    const struct image_facts *facts = image_facts(r->image);
    struct mig_job *job = r->job;
    const char *remedy = "if that one is still somewhere there are two with one UUID now, and no "
                         "host takes in both: remove one of them";

    if (facts->origin.kept)
        job_update(job, (void)snprintf(job->warning, sizeof job->warning,
                                       "partition %s ran on at host %s when it was saved; %s",
                                       facts->admit.params.name, facts->origin.host_name, remedy));
    else if (r->known)
        job_update(job, (void)snprintf(job->warning, sizeof job->warning,
                                       "this host has had partition %s since the image was made: "
                                       "it was restored before, or came back; %s",
                                       facts->admit.params.name, remedy));
    if (job->warning[0] != '\0')
        mig_event(job->mig, job->id, vf_realtime_ns(), "job %" PRIu64 ": %s", job->id,
                  job->warning);
}

static enum job_state finish(struct restoring *r, int result, struct vf_error *err)
{
    struct mig_job *job = r->job;
    struct vf_error also = VF_ERROR_INIT;
    char where[ENDING_WHERE];

    if (result == 0) {
        if (mig_journal(job, JOURNAL_DONE, "", &also) != 0)
            log_error("job %" PRIu64 ": %s", job->id, also.text);
        warn_of_two(r);
        return JOB_COMPLETED;
    }
    if (job_committed(job)) {
        struct vf_error why = *err;

        (void)vf_fail(err, VF_UNKNOWN,
                      "when it was to run here: %.300s; partition %s is whole at host %s and could "
                      "not be started" VF_REMEDY "restart vferryd, which tries again",
                      why.text, job->partition, job->host_name);
        (void)job_fail(job, err);
        return JOB_UNKNOWN;
    }
    kc_channel_close(r->channel);
    r->channel = NULL;
    (void)target_discard(&r->target);
    if (job_cancel_asked(job))
        (void)ending_called_off(job, false, err);
    ending_tell(job, nothing_left(job->mig, where), err);
    if (r->journalled && mig_journal_end(job, err, &also) != 0)
        log_error("job %" PRIu64 ": %s", job->id, also.text);
    (void)job_fail(job, err);
    return err->code == VF_CANCELLED ? JOB_CANCELLED : JOB_FAILED;
}

static enum job_state restore(struct restore *order)
{
    struct restoring *r = calloc(1, sizeof *r);
    struct vf_error err = VF_ERROR_INIT;
    enum job_state end;

    if (r == NULL) {
        (void)vf_fail(&err, VF_FAILED, VF_NO_MEMORY);
        (void)job_fail(order->job, &err);
        return JOB_FAILED;
    }
    r->order = order;
    r->job = order->job;
    r->image = order->image;
    vf_lock_init(&r->target.lock);
    end = finish(r, run(r, &err), &err);
    job_set_wake(r->job, NULL, NULL);
    kc_channel_close(r->channel);
    digest_table_free(r->target.table);
    free(r->sink);
    if (r->target.kc != NULL)
        kc_close(r->target.kc);
    vf_lock_fini(&r->target.lock);
    free(r);
    return end;
}

void *restore_main(void *arg)
{
    struct restore *order = arg;
    struct mig_job *job = order->job;
    enum job_state end;

    (void)prctl(PR_SET_NAME, "job-restore");
    end = restore(order);
    restore_free(order);
    mig_job_thread_over(job, end);
    return NULL;
}

void restore_free(struct restore *order)
{
    image_reader_free(order->image);
    free(order);
}

int mig_restore_start(struct mig *mig, const char *partition, int fd, const char *path,
                      uint32_t adapter, struct mig_job **out, struct vf_error *err)
{
    struct restore *order = calloc(1, sizeof *order);

    if (order == NULL) {
        (void)close(fd);
        return vf_fail(err, VF_FAILED, "restore: " VF_NO_MEMORY);
    }
    order->adapter = adapter;
    if (image_open(fd, path, &order->image, err) != 0) {
        char where[ENDING_WHERE];

        restore_free(order);
        ending_add(err, nothing_left(mig, where));
        return -1;
    }
    order->job = mig_new_file_job(mig, partition, path, false);
    if (order->job == NULL) {
        restore_free(order);
        return vf_fail(err, VF_FAILED, "restore: " VF_NO_MEMORY);
    }
    *out = order->job;
    if (mig_start_job(mig, *out, restore_main, order, err) == 0)
        return 0;
    restore_free(order);
    mig_job_put(*out);
    return -1;
}
