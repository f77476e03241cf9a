// SPDX-License-Identifier: Apache-2.0
/* What a person calls the phases of a job: one plain label for each word that the daemon says. */
#ifndef CLI_PHASE_H
#define CLI_PHASE_H

#include <stdbool.h>

enum phase_form {
    PHASE_WIDE,   /* a whole line has room for it */
    PHASE_NARROW, /* the same on a narrow terminal */
    PHASE_CELL,   /* a column of a table */
};

/* The label of the phase `phase`; NULL for a word that is none, as of another version. *numbered =
 * whether the number of the round that is under way belongs behind it; not in a cell. Static. */
const char *phase_label(const char *phase, enum phase_form form, bool *numbered);

#endif
