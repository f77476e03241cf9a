// SPDX-License-Identifier: Apache-2.0
/* See log_limit.h. */
#include "base/log_limit.h"

#include <stdio.h>
#include <string.h>

#define FNV_BASIS 0xcbf29ce484222325ull
#define FNV_PRIME 0x100000001b3ull

static bool in_word(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static uint64_t mix(uint64_t hash, const char *text, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++)
        hash = (hash ^ (unsigned char)text[i]) * FNV_PRIME;
    return hash;
}

static bool has_digit(const char *text, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++) {
        if (text[i] >= '0' && text[i] <= '9')
            return true;
    }
    return false;
}

uint64_t vf_limit_key(int level, const char *room, const char *text, bool exact)
{
    uint64_t hash = mix(FNV_BASIS ^ (unsigned)level, room, strlen(room) + 1);

    while (*text != '\0') {
        size_t word = 0;

        while (in_word(text[word]))
            word++;
        if (word == 0)
            hash = mix(hash, text, 1);
        else if (exact || !has_digit(text, word))
            hash = mix(hash, text, word);
        else
            hash = mix(hash, "#", 1);
        text += word == 0 ? 1 : word;
    }
    return hash == 0 ? 1 : hash;
}

/* Its entry, or the one to forget for it. */
static struct vf_limit_text *entry_of(struct vf_limit *limit, uint64_t key)
{
    struct vf_limit_text *oldest = &limit->texts[0];

    for (size_t i = 0; i < VF_LIMIT_TEXTS; i++) {
        struct vf_limit_text *text = &limit->texts[i];

        if (text->key == key)
            return text;
        /* One that still has something to tell is the last to go. */
        if (oldest->key != 0 &&
            (text->key == 0 || (text->left_out == 0) > (oldest->left_out == 0) ||
             ((text->left_out == 0) == (oldest->left_out == 0) && text->last_ns < oldest->last_ns)))
            oldest = text;
    }
    return oldest;
}

bool vf_limit_take(struct vf_limit *limit, uint64_t key, uint64_t now_ns, int level,
                   const char *room, const char *text)
{
    struct vf_limit_text *entry = entry_of(limit, key);

    if (entry->key != key || now_ns - entry->last_ns >= entry->period_ns) {
        *entry = (struct vf_limit_text){
            .key = key, .begin_ns = now_ns, .period_ns = VF_LIMIT_PERIOD_NS, .level = level};
        (void)snprintf(entry->room, sizeof entry->room, "%s", room);
        (void)snprintf(entry->sample, sizeof entry->sample, "%s", text);
    } else if (now_ns - entry->begin_ns >= entry->period_ns) {
        /* vf_limit_due told what was left out; it goes on: the next count comes later. */
        if (entry->told >= VF_LIMIT_BURST && entry->period_ns < VF_LIMIT_MOST_NS)
            entry->period_ns *= 2;
        entry->begin_ns = now_ns;
        entry->told = 0;
    }
    entry->last_ns = now_ns;
    if (entry->told < VF_LIMIT_BURST) {
        entry->told++;
        return true;
    }
    entry->left_out++;
    return false;
}

bool vf_limit_due(struct vf_limit *limit, uint64_t now_ns, bool all, struct vf_limit_summary *out)
{
    for (size_t i = 0; i < VF_LIMIT_TEXTS; i++) {
        struct vf_limit_text *text = &limit->texts[i];

        if (text->key == 0 || text->left_out == 0 ||
            (!all && now_ns - text->begin_ns < text->period_ns))
            continue;
        *out = (struct vf_limit_summary){
            .left_out = text->left_out, .span_ns = now_ns - text->begin_ns, .level = text->level};
        memcpy(out->room, text->room, sizeof out->room);
        memcpy(out->sample, text->sample, sizeof out->sample);
        text->left_out = 0;
        return true;
    }
    return false;
}
