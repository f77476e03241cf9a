// SPDX-License-Identifier: Apache-2.0
/* See when.h. */
#include "base/when.h"

#include <ctype.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <time.h>

#define SECOND_NS 1000000000ull

static bool is_digit(char c)
{
    return isdigit((unsigned char)c) != 0;
}

/* So many digits at *at, between low and high; *at is behind them then. */
static bool take(const char **at, unsigned digits, int low, int high, int *value)
{
    *value = 0;
    for (unsigned i = 0; i < digits; i++, (*at)++) {
        if (!is_digit(**at))
            return false;
        *value = *value * 10 + (**at - '0');
    }
    return *value >= low && *value <= high;
}

static bool take_char(const char **at, const char *any_of)
{
    if (**at == '\0' || strchr(any_of, **at) == NULL)
        return false;
    (*at)++;
    return true;
}

/* "90s": an age. False when it is none. */
static bool parse_age(const char *text, uint64_t now_ns, uint64_t *ns)
{
    static const char units[] = "smhd";
    static const uint64_t seconds[] = {1, 60, 3600, 86400};
    uint64_t number = 0;
    size_t digits = 0;
    const char *unit;
    uint64_t age;

    while (digits < 10 && is_digit(text[digits]))
        number = number * 10 + (uint64_t)(text[digits++] - '0');
    if (digits == 0 || text[digits] == '\0' || text[digits + 1] != '\0')
        return false;
    unit = strchr(units, text[digits]);
    if (unit == NULL)
        return false;
    age = number * seconds[unit - units];
    *ns = age <= now_ns / SECOND_NS ? now_ns - age * SECOND_NS : 0;
    return true;
}

static int days_of(int year, int month)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;

    return days[month - 1] + (month == 2 && leap);
}

/* "2026-11-29 04:00[:00[.5]]" at *at; *at is behind it then. */
static bool take_time(const char **at, struct tm *tm, uint64_t *fraction_ns)
{
    if (!take(at, 4, 1970, 9999, &tm->tm_year) || !take_char(at, "-") ||
        !take(at, 2, 1, 12, &tm->tm_mon) || !take_char(at, "-") ||
        !take(at, 2, 1, days_of(tm->tm_year, tm->tm_mon), &tm->tm_mday) || !take_char(at, "Tt ") ||
        !take(at, 2, 0, 23, &tm->tm_hour) || !take_char(at, ":") ||
        !take(at, 2, 0, 59, &tm->tm_min))
        return false;
    tm->tm_year -= 1900;
    tm->tm_mon -= 1;
    tm->tm_isdst = -1;
    if (!take_char(at, ":"))
        return true;
    if (!take(at, 2, 0, 60, &tm->tm_sec)) /* 60: a leap second */
        return false;
    if (!take_char(at, "."))
        return true;
    if (!is_digit(**at))
        return false;
    for (uint64_t unit = SECOND_NS / 10; is_digit(**at); (*at)++, unit /= 10)
        *fraction_ns += unit * (uint64_t)(**at - '0');
    return true;
}

/* "Z", "+01:00", or nothing: local time. *east = seconds. */
static bool take_zone(const char **at, bool *local, time_t *east)
{
    int hours;
    int minutes;
    bool minus;

    *local = **at == '\0';
    *east = 0;
    if (*local || take_char(at, "Zz"))
        return true;
    minus = **at == '-';
    if (!take_char(at, "+-") || !take(at, 2, 0, 23, &hours) || !take_char(at, ":") ||
        !take(at, 2, 0, 59, &minutes))
        return false;
    *east = (hours * 3600 + minutes * 60) * (minus ? -1 : 1);
    return true;
}

int vf_when_parse(const char *text, uint64_t now_ns, uint64_t *ns)
{
    struct tm tm = {0};
    uint64_t fraction_ns = 0;
    const char *at = text;
    time_t seconds;
    time_t east;
    bool local;

    if (parse_age(text, now_ns, ns))
        return 0;
    if (!take_time(&at, &tm, &fraction_ns) || !take_zone(&at, &local, &east) || *at != '\0')
        return -1;
    seconds = local ? mktime(&tm) : timegm(&tm) - east;
    /* What does not fit into 63 bits of nanoseconds (the year 2262) is no date that
     * anybody means. */
    if (seconds < 0 || (uint64_t)seconds >= INT64_MAX / SECOND_NS)
        return -1;
    *ns = (uint64_t)seconds * SECOND_NS + fraction_ns;
    return 0;
}
