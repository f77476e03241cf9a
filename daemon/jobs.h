// SPDX-License-Identifier: Apache-2.0
/*
 * Jobs as people see them: those that migrate/ lists, those that only the history remembers,
 * and the figures that the history has of those that the journal alone knows after a
 * restart. Any thread.
 */
#ifndef DAEMON_JOBS_H
#define DAEMON_JOBS_H

#include "daemon/daemon.h"

/* For mig_config.ended: writes a job that has ended into the history. ctx is the struct daemon. */
void jobs_ended(void *ctx, struct mig_job *job);
/* A job has begun whose number a person is told: it goes into the history as it is, so that "job
 * show" knows it whatever becomes of this daemon before the journal does. Waits as history_sync. */
void jobs_began(struct daemon *daemon, struct mig_job *job);
/* After mig_open: what the journal says of earlier jobs goes into the history. */
void jobs_recall(struct daemon *daemon);

/* The job's report, with all figures that are known. New reference. */
json_t *jobs_report(struct daemon *daemon, struct mig_job *job);
/* The report of a job that is not listed any more; new reference, NULL when nobody knows it. */
json_t *jobs_old_report(struct daemon *daemon, uint64_t id);
/* Short forms of those that fit, newest first; new reference to an array. A job whose start is not
 * known counts by its end. */
json_t *jobs_list(struct daemon *daemon, const struct history_filter *filter);
/* Ids of a partition's jobs that are listed; new reference to an array. */
json_t *jobs_of(struct daemon *daemon, const char *partition);
/* Returns once the history has the job as it is, or cannot take it now: what a person was told is
 * there after a crash. */
void jobs_settle(struct daemon *daemon, struct mig_job *job);

/* Where a partition that once was here went: "HOST:PORT", or "file:/PATH" when it was saved. */
bool jobs_moved_to(struct daemon *daemon, const char *partition, char *to, size_t to_bytes);

#endif
