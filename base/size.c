// SPDX-License-Identifier: Apache-2.0
/* See size.h. */
#include "base/size.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

int vf_number_parse(const char *text, uint64_t *value)
{
    char *end;
    unsigned long long number;

    if (!isdigit((unsigned char)text[0]))
        return -1;
    errno = 0;
    number = strtoull(text, &end, text[0] == '0' && (text[1] == 'x' || text[1] == 'X') ? 16 : 10);
    if (*end != '\0')
        return -1;
    *value = number;
    return errno == 0 ? 0 : VF_TOO_LARGE;
}

/* "12", "1.5", ".5" is none: digits before the point, and after it if there is one. At most 18 of
 * either count, so that both fit; more are VF_TOO_LARGE. *text moves behind them. */
struct decimal {
    uint64_t whole;
    uint64_t part;   /* digits after the point, read as a number */
    uint64_t tenths; /* 10 to the power of how many they are */
};

static int take_digits(const char **text, uint64_t *value, uint64_t *power)
{
    unsigned count = 0;

    *value = 0;
    *power = 1;
    for (; isdigit((unsigned char)**text); (*text)++, count++) {
        if (count >= 18)
            continue;
        *value = *value * 10u + (uint64_t)(**text - '0');
        *power *= 10u;
    }
    return count == 0 ? -1 : count > 18 ? VF_TOO_LARGE : 0;
}

static int take_decimal(const char **text, struct decimal *decimal)
{
    uint64_t ignored;
    int result;

    decimal->part = 0;
    decimal->tenths = 1;
    result = take_digits(text, &decimal->whole, &ignored);
    if (result == -1 || **text != '.')
        return result;
    (*text)++;
    return take_digits(text, &decimal->part, &decimal->tenths) != 0 ? -1 : result;
}

static uint64_t common_divisor(uint64_t a, uint64_t b)
{
    while (b != 0) {
        uint64_t rest = a % b;

        a = b;
        b = rest;
    }
    return a;
}

/* decimal * unit, exactly or not at all. */
static int times(const struct decimal *decimal, uint64_t unit, uint64_t *product)
{
    const uint64_t divisor = common_divisor(unit, decimal->tenths);
    const uint64_t rest = decimal->tenths / divisor;
    uint64_t part;

    if (decimal->part % rest != 0)
        return -1;
    return __builtin_mul_overflow(decimal->part / rest, unit / divisor, &part) ||
                   __builtin_mul_overflow(decimal->whole, unit, product) ||
                   __builtin_add_overflow(*product, part, product)
               ? VF_TOO_LARGE
               : 0;
}

/* What a unit's letters stand for; 0 = nothing. K and KiB are 1024, kB is 1000: as people
 * mean them. */
static uint64_t size_unit(const char *unit)
{
    static const char letters[] = "KMGT";
    const char *letter;
    uint64_t factor = 1;
    uint64_t base;

    if (unit[0] == '\0' || strcasecmp(unit, "B") == 0)
        return 1;
    letter = memchr(letters, toupper((unsigned char)unit[0]), sizeof letters - 1);
    if (letter == NULL)
        return 0;
    if (unit[1] == '\0' || strcasecmp(unit + 1, "iB") == 0)
        base = 1024;
    else if (strcasecmp(unit + 1, "B") == 0)
        base = 1000;
    else
        return 0;
    for (const char *at = letters; at <= letter; at++)
        factor *= base;
    return factor;
}

int vf_size_parse(const char *text, uint64_t *bytes)
{
    struct decimal decimal;
    uint64_t unit;
    int result = vf_number_parse(text, bytes);

    if (result != -1)
        return result;
    result = take_decimal(&text, &decimal);
    if (result == -1)
        return -1;
    unit = size_unit(text);
    if (unit == 0)
        return -1;
    return result != 0 ? result : times(&decimal, unit, bytes);
}

int vf_rate_parse(const char *text, uint64_t *bytes_per_s)
{
    char size[128];
    size_t length = strlen(text);

    if (length >= sizeof size)
        return -1;
    memcpy(size, text, length + 1);
    if (length > 2 && strcmp(size + length - 2, "/s") == 0)
        size[length - 2] = '\0';
    return vf_size_parse(size, bytes_per_s);
}

/* From the largest on: "1m30s" goes down. */
static const struct {
    const char *word;
    uint64_t ns;
} time_units[] = {{"h", 3600000000000ull}, {"m", 60000000000ull}, {"s", 1000000000ull},
                  {"ms", 1000000ull},      {"us", 1000ull},       {"ns", 1ull}};

/* Which unit stands here: its index, or -1. *text moves behind it. */
static int take_time_unit(const char **text)
{
    const size_t length = strspn(*text, "abcdefghijklmnopqrstuvwxyz");

    for (size_t i = 0; i < sizeof time_units / sizeof time_units[0]; i++) {
        if (strlen(time_units[i].word) == length &&
            strncmp(time_units[i].word, *text, length) == 0) {
            *text += length;
            return (int)i;
        }
    }
    return -1;
}

int vf_duration_parse(const char *text, uint64_t unit_ns, uint64_t *ns)
{
    struct decimal decimal;
    uint64_t piece = 0;
    uint64_t sum = 0;
    int result = 0; /* -1 ends it; what is too large may still be badly written */
    int last = -1;

    do {
        int one = take_decimal(&text, &decimal);
        int unit = 0;

        if (one == -1)
            return -1;
        if (last < 0 && *text == '\0')
            return one != 0 ? one : times(&decimal, unit_ns, ns);
        unit = take_time_unit(&text);
        if (unit <= last)
            return -1;
        if (one == 0)
            one = times(&decimal, time_units[unit].ns, &piece);
        if (one == 0 && __builtin_add_overflow(sum, piece, &sum))
            one = VF_TOO_LARGE;
        if (one == -1)
            return -1;
        result = one != 0 ? one : result;
        last = unit;
    } while (*text != '\0');
    *ns = sum;
    return result;
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
