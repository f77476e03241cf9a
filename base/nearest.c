// SPDX-License-Identifier: Apache-2.0
/* See nearest.h. */
#include "base/nearest.h"

#include <stdbool.h>
#include <string.h>

#define LETTERS 31u

static unsigned least(unsigned a, unsigned b)
{
    return a < b ? a : b;
}

/* The usual table, of which the last three lines are needed: at[i % 3][j] is the distance of the
 * first i letters to the first j of the other. */
unsigned vf_edit_distance(const char *word, size_t length, const char *other)
{
    unsigned at[3][LETTERS + 1] = {{0}};
    const size_t others = strlen(other);

    if (length > LETTERS || others > LETTERS)
        return VF_FAR;
    for (size_t j = 0; j <= others; j++)
        at[0][j] = (unsigned)j;
    for (size_t i = 1; i <= length; i++) {
        unsigned *line = at[i % 3];
        const unsigned *above = at[(i - 1) % 3];

        line[0] = (unsigned)i;
        for (size_t j = 1; j <= others; j++) {
            line[j] = least(above[j], line[j - 1]) + 1;
            line[j] = least(line[j], above[j - 1] + (word[i - 1] != other[j - 1]));
            if (i > 1 && j > 1 && word[i - 1] == other[j - 2] && word[i - 2] == other[j - 1])
                line[j] = least(line[j], at[(i - 2) % 3][j - 2] + 1);
        }
    }
    return at[length % 3][others];
}

void vf_nearest_try(struct vf_nearest *nearest, const char *known)
{
    const bool begins = nearest->length >= 3 && strncmp(known, nearest->word, nearest->length) == 0;
    const unsigned distance = begins ? 1 : vf_edit_distance(nearest->word, nearest->length, known);

    if (nearest->best == NULL || distance < nearest->distance) {
        nearest->best = known;
        nearest->distance = distance;
    }
}

const char *vf_nearest(const struct vf_nearest *nearest)
{
    const unsigned most = nearest->length < 3   ? 0
                          : nearest->length < 6 ? 1
                                                : (unsigned)nearest->length / 3;

    return nearest->best != NULL && nearest->distance <= most ? nearest->best : NULL;
}
