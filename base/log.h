// SPDX-License-Identifier: Apache-2.0
/* The project's one idiom for logging: one line to stderr, with time, program, room and level.
 * Define LOG_ROOM before including. */
#ifndef VF_BASE_LOG_H
#define VF_BASE_LOG_H

enum vf_log_level { VF_LOG_DEBUG, VF_LOG_INFO, VF_LOG_WARN, VF_LOG_ERROR };

/* Sets the program's name and the lowest level that is written; call once, before threads
 * start. `program` must stay valid. VFERRY_LOG=debug|info|warn|error in the environment wins
 * over `lowest`. */
void vf_log_init(const char *program, enum vf_log_level lowest);

/* A second receiver for every line at or above `lowest` (the daemon's event list); call before
 * threads start. */
void vf_log_tap(void (*tap)(void *ctx, enum vf_log_level level, const char *room, const char *text),
                void *ctx);

/* Any thread; the line is written with one write(2), so lines never mix. What repeats itself,
 * warnings in nothing but their numbers, is told less and less often and then counted
 * (base/log_limit.h):
 * "... (and 4711 more like this in 10 s)". */
void vf_log(enum vf_log_level level, const char *room, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* The program ends: what was left out is told now. */
void vf_log_end(void);

#ifndef LOG_ROOM
#define LOG_ROOM "-"
#endif
#define log_debug(...) vf_log(VF_LOG_DEBUG, LOG_ROOM, __VA_ARGS__)
#define log_info(...) vf_log(VF_LOG_INFO, LOG_ROOM, __VA_ARGS__)
#define log_warn(...) vf_log(VF_LOG_WARN, LOG_ROOM, __VA_ARGS__)
#define log_error(...) vf_log(VF_LOG_ERROR, LOG_ROOM, __VA_ARGS__)

#endif
