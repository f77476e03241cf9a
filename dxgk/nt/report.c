// SPDX-License-Identifier: Apache-2.0
/* Where misuse by drivers is told: the host's hook, or the log. */
#define LOG_ROOM "nt"
#include "dxgk/nt/nt.h"

#include "base/log.h"
#include "base/thread.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>

static pthread_mutex_t hook_lock = VF_LOCK_INITIALIZER; /* guards hook and hook_ctx */
static nt_report_fn *hook;
static void *hook_ctx;
static _Atomic uint64_t reports;

void nt_set_report(nt_report_fn *report, void *ctx)
{
    vf_lock(&hook_lock);
    hook = report;
    hook_ctx = ctx;
    vf_unlock(&hook_lock);
}

uint64_t nt_report_count(void)
{
    return atomic_load_explicit(&reports, memory_order_relaxed);
}

void nt_report(enum nt_misuse kind, const char *format, ...)
{
    nt_report_fn *report;
    void *ctx;
    char text[300];
    va_list args;

    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    atomic_fetch_add_explicit(&reports, 1, memory_order_relaxed);

    vf_lock(&hook_lock);
    report = hook;
    ctx = hook_ctx;
    vf_unlock(&hook_lock);
    if (report != NULL)
        report(ctx, kind, text);
    else
        log_error("driver misuse: %s", text);
}
