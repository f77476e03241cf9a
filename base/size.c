// SPDX-License-Identifier: Apache-2.0
/* See size.h. */
#include "base/size.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

int vf_number_parse(const char *text, uint64_t *value)
{
    char *end;
    unsigned long long number;

    if (!isdigit((unsigned char)text[0]))
        return -1;
    errno = 0;
    number = strtoull(text, &end, text[0] == '0' && (text[1] == 'x' || text[1] == 'X') ? 16 : 10);
    if (errno != 0 || *end != '\0')
        return -1;
    *value = number;
    return 0;
}

int vf_size_parse(const char *text, uint64_t *bytes)
{
    static const char units[] = "KMGT";
    char digits[32];
    size_t length = strlen(text);
    unsigned shift = 0;
    uint64_t number;

    if (length == 0 || length >= sizeof digits)
        return -1;
    memcpy(digits, text, length + 1);
    if (!isdigit((unsigned char)digits[length - 1])) {
        const char *unit = strchr(units, toupper((unsigned char)digits[length - 1]));

        if (unit == NULL || *unit == '\0')
            return -1;
        shift = 10u * ((unsigned)(unit - units) + 1u);
        digits[length - 1] = '\0';
    }
    if (vf_number_parse(digits, &number) != 0 || number > (UINT64_MAX >> shift))
        return -1;
    *bytes = number << shift;
    return 0;
}

const char *vf_size_format(uint64_t bytes, char *buffer, size_t buffer_bytes)
{
    static const char *const units[] = {"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    double value = (double)bytes;
    int unit = -1;

    while (value >= 1024.0 && unit < 5) {
        value /= 1024.0;
        unit++;
    }
    if (unit < 0)
        (void)snprintf(buffer, buffer_bytes, "%" PRIu64 " B", bytes);
    else
        (void)snprintf(buffer, buffer_bytes, value < 10.0 ? "%.2f %s" : "%.1f %s", value,
                       units[unit]);
    return buffer;
}

const char *vf_time_format(uint64_t ns, char *buffer, size_t buffer_bytes)
{
    if (ns < 1000)
        (void)snprintf(buffer, buffer_bytes, "%" PRIu64 " ns", ns);
    else if (ns < 1000000)
        (void)snprintf(buffer, buffer_bytes, "%.1f us", (double)ns / 1e3);
    else if (ns < 1000000000)
        (void)snprintf(buffer, buffer_bytes, "%.1f ms", (double)ns / 1e6);
    else if (ns < 120000000000ull)
        (void)snprintf(buffer, buffer_bytes, "%.1f s", (double)ns / 1e9);
    else
        (void)snprintf(buffer, buffer_bytes, "%" PRIu64 " min %" PRIu64 " s",
                       ns / (uint64_t)60000000000, ns / (uint64_t)1000000000 % 60);
    return buffer;
}

/* Neither clock can fail on Linux. */
static uint64_t clock_ns(clockid_t clock)
{
    struct timespec now = {0};

    (void)clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * 1000000000ull + (uint64_t)now.tv_nsec;
}

uint64_t vf_now_ns(void)
{
    return clock_ns(CLOCK_MONOTONIC);
}

uint64_t vf_realtime_ns(void)
{
    return clock_ns(CLOCK_REALTIME);
}

struct timespec vf_timespec(uint64_t ns)
{
    return (struct timespec){.tv_sec = (time_t)(ns / 1000000000u),
                             .tv_nsec = (long)(ns % 1000000000u)};
}

void vf_cond_init(pthread_cond_t *cond)
{
    pthread_condattr_t attr;

    (void)pthread_condattr_init(&attr);
    (void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    (void)pthread_cond_init(cond, &attr);
    (void)pthread_condattr_destroy(&attr);
}
