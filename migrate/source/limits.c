// SPDX-License-Identifier: Apache-2.0
/* The limits of a move as its thread reads them before each decision. A person may change them
 * (job/retune.c): what goes on by the old ones then follows at once. */
#include "base/thread.h"
#include "migrate/source/source.h"

struct mig_options source_limits(struct source *s)
{
    return vf_locked(&s->job->lock, s->job->options);
}

void source_retune(void *ctx)
{
    struct source *s = ctx;
    const struct mig_job *job = s->job;
    uint64_t limit = job->options.max_time_ns;

    stream_group_set_rate(&s->group, job->options.bandwidth);
    stream_group_set_deadline(&s->group, limit != 0 ? job->t.start + limit : TP_NEVER);
    atomic_store(&s->retuned, true);
    send_slots_wake(&job->mig->send_slots);
}
