// SPDX-License-Identifier: Apache-2.0
/* What people see of several moves at once: a line for each that is over, and on a terminal a block
 * of live lines below. Nothing but the one object with --json. */
#ifndef CLI_MOVE_SET_SHOW_H
#define CLI_MOVE_SET_SHOW_H

#include "cli/move/set.h"

struct set_show {
    bool quiet, terminal;
    unsigned lines; /* of the block that stands on the terminal */
    char (*text)[160];
};

/* Begins to show the set, which must stay valid; set_show_close is due. Main thread, as
 * all here. */
void set_show_open(struct set_show *show, const struct move_set *set);
/* New progress of one move: `numbers` is the object that `migrate` gets too; borrowed. */
void set_show_progress(struct set_show *show, struct move_set *set, struct set_move *move,
                       const json_t *numbers);
/* A move has begun; a move is over, or goes on to another host. */
void set_show_begun(struct set_show *show, const struct move_set *set, const struct set_move *move);
void set_show_over(struct set_show *show, const struct move_set *set, const struct set_move *move);
/* Clears the live lines until the next progress, so that other output begins at the left. */
void set_show_pause(struct set_show *show);
void set_show_close(struct set_show *show);

/* The result of all ("vferry.migrate-set/1"), a new reference. */
json_t *set_result(const struct move_set *set, enum vf_code code);

#endif
