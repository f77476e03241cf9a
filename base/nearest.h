// SPDX-License-Identifier: Apache-2.0
/* Which known word a person may have meant by one that is not known. */
#ifndef VF_BASE_NEAREST_H
#define VF_BASE_NEAREST_H

#include <stddef.h>

/* Begin with {.word, .length}; try every known word; then ask vf_nearest. One thread. */
struct vf_nearest {
    const char *word; /* as it was typed; need not be terminated */
    size_t length;
    const char *best; /* of those tried; borrowed */
    unsigned distance;
};

/* Letters to insert, leave out, change or swap with their neighbour to make one of the other. Words
 * of more than 31 letters are VF_FAR from all. */
#define VF_FAR (~0u)
unsigned vf_edit_distance(const char *word, size_t length, const char *other);

/* Compares with one known word, which must stay valid as long as `nearest` is used. */
void vf_nearest_try(struct vf_nearest *nearest, const char *known);
/* The word that was probably meant, or NULL when none is close: a third of its letters may be
 * wrong, or it is the beginning of one, 3 letters at least. */
const char *vf_nearest(const struct vf_nearest *nearest);

#endif
