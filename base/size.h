// SPDX-License-Identifier: Apache-2.0
/* Sizes and times as people write and read them. K/M/G/T are powers of 1024. */
#ifndef VF_BASE_SIZE_H
#define VF_BASE_SIZE_H

#include <pthread.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

/* "64K" -> 65536. 0 or -1 (empty, trailing characters, overflow, negative). */
int vf_size_parse(const char *text, uint64_t *bytes);

/* Whole decimal or 0x number, no unit. 0 or -1. */
int vf_number_parse(const char *text, uint64_t *value);

/* "1.5 GiB", "312 B"; returns `buffer`. */
const char *vf_size_format(uint64_t bytes, char *buffer, size_t buffer_bytes);

/* "812 ns", "1.3 ms", "2.4 s", "3 min 5 s"; returns `buffer`. */
const char *vf_time_format(uint64_t ns, char *buffer, size_t buffer_bytes);

/* CLOCK_MONOTONIC in nanoseconds. */
uint64_t vf_now_ns(void);
/* CLOCK_REALTIME in nanoseconds since 1970: for what people read, never for waiting. */
uint64_t vf_realtime_ns(void);
/* A moment of CLOCK_MONOTONIC as pthread_cond_timedwait takes it. */
struct timespec vf_timespec(uint64_t ns);
/* A condition whose timed waits go by CLOCK_MONOTONIC. */
void vf_cond_init(pthread_cond_t *cond);

#endif
