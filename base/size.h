// SPDX-License-Identifier: Apache-2.0
/* Sizes and times as people write and read them. K, M, G, T and KiB... are powers of 1024, kB,
 * MB... of 1000. */
#ifndef VF_BASE_SIZE_H
#define VF_BASE_SIZE_H

#include <stddef.h>
#include <stdint.h>

/* What the four below return for what is well written and has no room in 64 bits. */
#define VF_TOO_LARGE (-2)

/* "64K", "64KiB" -> 65536, "1GB" -> 1000000000, "1.5G" -> 1610612736, "0x1000" -> 4096. 0, or -1
 * for what is no size: empty, trailing characters, negative, no whole number of bytes; or
 * VF_TOO_LARGE. */
int vf_size_parse(const char *text, uint64_t *bytes);

/* A size a second: "100MB/s", or any that vf_size_parse takes. 0, -1 or VF_TOO_LARGE. */
int vf_rate_parse(const char *text, uint64_t *bytes_per_s);

/* "200ms", "1m30s", "1.5s", "2h"; a plain number counts `unit_ns`. Units: h m s ms us ns, each once
 * and the larger first. 0, or -1 for what is no time or no whole number of ns, or VF_TOO_LARGE. */
int vf_duration_parse(const char *text, uint64_t unit_ns, uint64_t *ns);

/* A whole number, decimal or with 0x, without a unit. 0, -1 for anything else, or VF_TOO_LARGE. */
int vf_number_parse(const char *text, uint64_t *value);

/* Bytes as people read them: "1.5 GiB", "312 B". Returns `buffer`; 32 bytes are enough. */
const char *vf_size_format(uint64_t bytes, char *buffer, size_t buffer_bytes);

/* Nanoseconds as people read them: "812 ns", "1.3 ms", "2.4 s", "3 min 5 s". Returns `buffer`; 32
 * bytes are enough. */
const char *vf_time_format(uint64_t ns, char *buffer, size_t buffer_bytes);

#endif
