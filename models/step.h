// SPDX-License-Identifier: Apache-2.0
/* The seam between the model and migrate/handoff/core.c. */
#ifndef MODELS_STEP_H
#define MODELS_STEP_H

/* The model's state that a core knows or keeps; arrays by AT(host, move), or by host. */
struct model_view {
    unsigned char *journal, *owes, *admitted, *unsure, *series, *at, *act, *what;
    const unsigned char *copy, *copy_epoch, *newest, *source_of;
    short *wire; /* by move */
    unsigned storm;
};

/* Calls handoff_step for the hand-off in `slot` and says what it has said; the action that is to be
 * carried out next is left in act[slot] and what[slot]. */
void model_step(const struct model_view *view, int slot, int event);

#endif
