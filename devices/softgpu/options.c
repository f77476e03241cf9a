// SPDX-License-Identifier: Apache-2.0
/* The option list of a softgpu: every value is checked, every refusal names the option and
 * the remedy. */
#include "softgpu.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define MIN_DIRTY_PAGE (4ull << 10)
#define MAX_DIRTY_PAGE (2ull << 20)

static bool parse_number(const char **text, uint64_t *out)
{
    const char *p = *text;
    uint64_t value = 0;

    if (*p < '0' || *p > '9')
        return false;
    for (; *p >= '0' && *p <= '9'; p++)
        if (__builtin_mul_overflow(value, 10u, &value) ||
            __builtin_add_overflow(value, (uint64_t)(*p - '0'), &value))
            return false;
    *text = p;
    *out = value;
    return true;
}

static bool parse_plain(const char *text, uint64_t *out)
{
    return parse_number(&text, out) && *text == '\0';
}

/* What a unit's letters stand for; 0 = nothing. K and KiB are 1024, kB is 1000. */
static uint64_t size_unit(const char *unit)
{
    static const char letters[] = "KMG";
    const char *letter;
    uint64_t factor = 1, base;

    if (!*unit || !strcasecmp(unit, "B"))
        return 1;
    letter = memchr(letters, *unit & ~0x20, sizeof letters - 1);
    if (!letter)
        return 0;
    if (!unit[1] || !strcasecmp(unit + 1, "iB"))
        base = 1024;
    else if (!strcasecmp(unit + 1, "B"))
        base = 1000;
    else
        return 0;
    for (const char *at = letters; at <= letter; at++)
        factor *= base;
    return factor;
}

/* "4G", "1.5GiB": a whole number of bytes, or no size. */
static bool parse_size(const char *text, uint64_t *out)
{
    uint64_t value, part = 0, parts = 1, unit;

    if (!parse_number(&text, &value))
        return false;
    if (*text == '.') {
        const char *digits = ++text;

        if (!parse_number(&text, &part) || text - digits > 9)
            return false;
        for (; digits < text; digits++)
            parts *= 10;
    }
    unit = size_unit(text);
    /* At most 9 digits times 2^30: it fits. */
    if (!unit || part * unit % parts || __builtin_mul_overflow(value, unit, &value) ||
        __builtin_add_overflow(value, part * unit / parts, &value))
        return false;
    *out = value;
    return true;
}

static const char *set_vram(struct sg_options *o, const char *value)
{
    if (!parse_size(value, &o->vram_bytes) || o->vram_bytes < SG_MIN_VRAM ||
        o->vram_bytes > SG_MAX_VRAM || o->vram_bytes % SG_BLOCK_BYTES)
        return "VRAM is 64M to 64G in steps of 2M; say for example vram=4G";
    return NULL;
}

static const char *set_vfs(struct sg_options *o, const char *value)
{
    uint64_t n;

    if (!parse_plain(value, &n) || n < 1 || n > SG_MAX_VFS)
        return "the device has 1 to 32 VFs; say for example vfs=8";
    o->vfs = (uint32_t)n;
    return NULL;
}

static const char *set_dirty_page(struct sg_options *o, const char *value)
{
    if (!parse_size(value, &o->dirty_page_bytes) || o->dirty_page_bytes < MIN_DIRTY_PAGE ||
        o->dirty_page_bytes > MAX_DIRTY_PAGE || (o->dirty_page_bytes & (o->dirty_page_bytes - 1)))
        return "a dirty page is a power of two from 4K to 2M; say for example dirty-page=64K";
    return NULL;
}

static const char *set_switch(bool *out, const char *value)
{
    if (strcmp(value, "on") && strcmp(value, "off"))
        return "it is a switch; say on or off";
    *out = !strcmp(value, "on");
    return NULL;
}

static const char *set_performant(struct sg_options *o, const char *value)
{
    return set_switch(&o->performant, value);
}

static const char *set_scatter(struct sg_options *o, const char *value)
{
    return set_switch(&o->scatter, value);
}

static const char *set_prealloc(struct sg_options *o, const char *value)
{
    return set_switch(&o->prealloc, value);
}

static const char *set_fw(struct sg_options *o, const char *value)
{
    uint64_t major, minor;

    if (!parse_number(&value, &major) || *value++ != '.' || !parse_plain(value, &minor) ||
        major > 0xffff || minor > 0xffff)
        return "a firmware version is MAJOR.MINOR, each up to 65535; say for example fw=1.2";
    o->fw_version = (uint32_t)(major << 16 | minor);
    return NULL;
}

static const char *set_fault(struct sg_options *o, const char *value)
{
    if (strncmp(value, "drop-dirty:", 11) || !parse_plain(value + 11, &o->drop_dirty) ||
        !o->drop_dirty)
        return "the only fault is losing every N-th dirty bit; say fault=drop-dirty:N with N at "
               "least 1";
    return NULL;
}

static const struct {
    const char *key;
    /* NULL, or why not and what to do */
    const char *(*set)(struct sg_options *o, const char *value);
} keys[] = {
    {"vram", set_vram},
    {"vfs", set_vfs},
    {"dirty-page", set_dirty_page},
    {"performant", set_performant},
    {"scatter", set_scatter},
    {"prealloc", set_prealloc},
    {"fw", set_fw},
    {"fault", set_fault},
};

int sg_options_parse(struct sg_options *o, const struct vf_device_option *option, size_t count,
                     char *why, size_t why_bytes)
{
    unsigned seen = 0; /* bit k: keys[k] was given */

    *o = (struct sg_options){.vram_bytes = 4ull << 30,
                             .dirty_page_bytes = 64ull << 10,
                             .vfs = 8,
                             .fw_version = 1u << 16 | 2u,
                             .performant = true};
    for (size_t i = 0; i < count; i++) {
        const size_t known = sizeof keys / sizeof keys[0];
        const char *bad;
        size_t k = 0;

        while (k < known && strcmp(keys[k].key, option[i].key))
            k++;
        if (k == known) {
            (void)snprintf(why, why_bytes,
                           "option '%s': softgpu has no such option; it knows vram, vfs, "
                           "dirty-page, performant, fw, "
                           "scatter, prealloc and fault",
                           option[i].key);
            return -EINVAL;
        }
        if (seen & 1u << k) {
            (void)snprintf(why, why_bytes, "option '%s': given twice; say it once", option[i].key);
            return -EINVAL;
        }
        seen |= 1u << k;
        bad = keys[k].set(o, option[i].value);
        if (bad) {
            (void)snprintf(why, why_bytes, "option %s=%s: not accepted: %s", option[i].key,
                           option[i].value, bad);
            return -EINVAL;
        }
    }
    return 0;
}
