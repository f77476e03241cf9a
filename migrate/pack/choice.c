// SPDX-License-Identifier: Apache-2.0
/* See choice.h. */
#include "migrate/pack/choice.h"

#include <string.h>

static const struct pack_way ways[PACK_WAYS] = {
    {WIRE_PLAIN, 0}, {WIRE_LZ4, 0}, {WIRE_ZSTD, 1}, {WIRE_ZSTD, 3}};

static const char *const names[PACK_WISHES] = {"none", "lz4", "zstd", "auto"};

const char *pack_wish_name(enum pack_wish wish)
{
    return names[wish];
}

int pack_wish_of(const char *name)
{
    for (int i = 0; i < PACK_WISHES; i++) {
        if (strcmp(names[i], name) == 0)
            return i;
    }
    return -1;
}

void pack_choice_init(struct pack_choice *choice, enum pack_wish wish)
{
    static const unsigned first[PACK_WISHES] = {0, 1, 2, 0};

    *choice = (struct pack_choice){.wish = wish,
                                   .at = first[wish],
                                   .kept = first[wish],
                                   .step = 1,
                                   .again_up = PACK_TRY_AGAIN,
                                   .again_down = PACK_TRY_AGAIN};
}

void pack_choice_begin(struct pack_choice *choice, bool steady)
{
    choice->steady = steady;
    choice->at = choice->kept;
    choice->bytes = choice->packed_bytes = choice->took_ns = choice->waited_ns = 0;
}

struct pack_way pack_choice_next(const struct pack_choice *choice)
{
    return ways[choice->at];
}

static void later(unsigned *rest, unsigned *again)
{
    *rest = *again;
    if (*again < PACK_TRY_AGAIN_MOST)
        *again *= 2;
}

/* The way that was tried is better: one further that way may be better still, back is not. */
static void keep(struct pack_choice *choice, double ns)
{
    const bool up = choice->at > choice->kept;

    choice->kept = choice->at;
    choice->kept_ns = ns;
    choice->step = 1;
    choice->again_up = choice->again_down = PACK_TRY_AGAIN;
    choice->rest_up = up ? 0 : PACK_TRY_AGAIN;
    choice->rest_down = up ? PACK_TRY_AGAIN : 0;
}

/* The trial is over: what the way took a byte, and whether it packed more than next to nothing. */
static void judge_trial(struct pack_choice *choice, double ns, bool packs)
{
    if (packs && ns * 100 <= choice->kept_ns * (100 - PACK_BETTER_PERCENT)) {
        keep(choice, ns);
        return;
    }
    if (choice->at < choice->kept) {
        later(&choice->rest_down, &choice->again_down);
    } else if (choice->at + 1 < PACK_WAYS && ns * 100 <= choice->kept_ns * PACK_SLOW_PERCENT) {
        choice->step++;
    } else {
        choice->step = 1;
        later(&choice->rest_up, &choice->again_up);
    }
    choice->at = choice->kept;
}

/* Nothing is being tried: shall the next one be? */
static void begin_trial(struct pack_choice *choice, double ns, bool waits)
{
    const bool up = choice->rest_up == 0, down = choice->rest_down == 0;

    choice->kept_ns = ns;
    choice->rest_up -= up ? 0 : 1;
    choice->rest_down -= down ? 0 : 1;
    if (choice->steady)
        return;
    if (up && waits && choice->at + choice->step < PACK_WAYS)
        choice->at += choice->step;
    else if (down && choice->at > 0)
        choice->at--;
}

void pack_choice_note(struct pack_choice *choice, const struct pack_note *note)
{
    bool waits, packs;
    double ns;

    if (choice->wish != PACK_AUTO || note->bytes == 0)
        return;
    choice->bytes += note->bytes;
    choice->packed_bytes += note->packed ? note->bytes : 0;
    choice->took_ns += note->took_ns;
    choice->waited_ns += note->waited_ns;
    /* A trial gets no more time than its bytes would have taken before. */
    if (choice->bytes < PACK_TRY_BYTES &&
        (choice->at == choice->kept ||
         (double)choice->took_ns < choice->kept_ns * (double)PACK_TRY_BYTES))
        return;
    ns = (double)choice->took_ns / (double)choice->bytes;
    waits = choice->waited_ns * 100 >= choice->took_ns * PACK_WAITS_PERCENT;
    packs = choice->at == 0 || choice->packed_bytes * 4 >= choice->bytes;
    choice->bytes = choice->packed_bytes = choice->took_ns = choice->waited_ns = 0;
    if (choice->at != choice->kept)
        judge_trial(choice, ns, packs);
    else
        begin_trial(choice, ns, waits);
}
