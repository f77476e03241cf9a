// SPDX-License-Identifier: Apache-2.0
/* A job's report (vferry.job/1) as the journal and the history know it. Pure; any thread. */
#ifndef DAEMON_HISTORY_JOB_H
#define DAEMON_HISTORY_JOB_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

/* The report's job number, > 0; 0 when it is no report. */
uint64_t history_job_id(const json_t *report);

/* A job that the journal knows, with the figures that are kept of it: how it ended is the
 * journal's word, all else the history's. `kept` may be NULL or of another job, and is not
 * believed then. New reference. */
json_t *history_job_merge(json_t *journal, json_t *kept);

/* The short form that `job list` has of it; new reference. */
json_t *history_job_short(const json_t *report);

#endif
