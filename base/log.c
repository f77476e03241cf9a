// SPDX-License-Identifier: Apache-2.0
/* See log.h. */
#include "base/log.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/log_limit.h"
#include "base/plain.h"
#include "base/thread.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static const char *const level_names[] = {"debug", "info", "warn", "error"};

/* Written once by vf_log_init/vf_log_tap before threads start, read-only afterwards. */
static const char *program_name = "vferry";
static enum vf_log_level lowest_level = VF_LOG_INFO;
static void (*tap_fn)(void *ctx, enum vf_log_level level, const char *room, const char *text);
static void *tap_ctx;

void vf_log_init(const char *program, enum vf_log_level lowest)
{
    const char *wish = getenv("VFERRY_LOG");

    program_name = program;
    lowest_level = lowest;
    for (size_t i = 0; wish != NULL && i < sizeof level_names / sizeof level_names[0]; i++) {
        if (strcmp(wish, level_names[i]) == 0)
            lowest_level = (enum vf_log_level)i;
    }
}

void vf_log_tap(void (*tap)(void *ctx, enum vf_log_level level, const char *room, const char *text),
                void *ctx)
{
    tap_fn = tap;
    tap_ctx = ctx;
}

static pthread_mutex_t limit_lock = VF_LOCK_INITIALIZER;       /* a leaf */
static struct vf_limit limit;                                  /* limit_lock */

static void write_line(enum vf_log_level level, const char *room, const char *text)
{
    char line[1100];
    char when[32];
    struct timespec now;
    struct tm parts;
    int length;

    if (clock_gettime(CLOCK_REALTIME, &now) != 0 || gmtime_r(&now.tv_sec, &parts) == NULL ||
        strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%S", &parts) == 0)
        (void)snprintf(when, sizeof when, "-");
    length =
        snprintf(line, sizeof line, "%s.%03ldZ %s[%d] %s %s: %s\n", when, now.tv_nsec / 1000000,
                 program_name, (int)getpid(), level_names[level], room, text);
    if (length > 0) {
        size_t bytes = (size_t)length < sizeof line ? (size_t)length : sizeof line - 1;

        /* A log that cannot be written has nowhere to say so. */
        ssize_t ignored = write(STDERR_FILENO, line, bytes);
        (void)ignored;
    }
    if (tap_fn != NULL)
        tap_fn(tap_ctx, level, room, text);
}

/* Tells what was left out where it is time, or all of it. */
static void tell_left_out(bool all)
{
    struct vf_limit_summary out;
    char text[VF_LIMIT_SAMPLE + 80];
    bool due;

    do {
        vf_lock(&limit_lock);
        due = vf_limit_due(&limit, vf_now_ns(), all, &out);
        vf_unlock(&limit_lock);
        if (due) {
            (void)snprintf(text, sizeof text,
                           "%s (and %" PRIu64 " more like this in %" PRIu64 " s)", out.sample,
                           out.left_out, out.span_ns / 1000000000u);
            write_line((enum vf_log_level)out.level, out.room, text);
        }
    } while (due);
}

/* A text with VF_REMEDY in it reads as it does in an error: "; " before what to do. */
static void show_remedy(char *raw, size_t bytes)
{
    char *mark = strrchr(raw, VF_REMEDY[0]);
    const size_t rest = mark != NULL ? strlen(mark) : 0;

    if (mark == NULL || (size_t)(mark - raw) + rest + 2 > bytes)
        return;
    memmove(mark + 2, mark + 1, rest);
    memcpy(mark, "; ", 2);
}

void vf_log(enum vf_log_level level, const char *room, const char *format, ...)
{
    char raw[900];
    char text[sizeof raw];
    va_list args;
    uint64_t key;
    bool may;

    if (level < lowest_level)
        return;
    va_start(args, format);
    (void)vsnprintf(raw, sizeof raw, format, args);
    va_end(args);
    show_remedy(raw, sizeof raw);
    (void)vf_plain(raw, text, sizeof text);
    if (level > VF_LOG_DEBUG) {
        key = vf_limit_key((int)level, room, text, level == VF_LOG_INFO);
        tell_left_out(false);
        vf_lock(&limit_lock);
        may = vf_limit_take(&limit, key, vf_now_ns(), (int)level, room, text);
        vf_unlock(&limit_lock);
        if (!may)
            return;
    }
    write_line(level, room, text);
}

void vf_log_end(void)
{
    tell_left_out(true);
}
