// SPDX-License-Identifier: Apache-2.0
/*
 * How long a command waits for a host that does not answer, and what it says meanwhile: after 3 s
 * one line on stderr with who is waited for, after --timeout the end with exit 5. It knows no
 * socket; client.c asks it when to look again.
 */
#ifndef CLI_PATIENCE_H
#define CLI_PATIENCE_H

#include "cli/syntax/verbs.h"

#include <limits.h>
#include <sys/types.h>

#define PATIENCE_WORD_NS 3000000000ull /* so much silence is worth a word */

struct patience {
    const struct cli_verb *verb; /* what was asked for */
    char host[PATH_MAX];         /* path of the control socket */
    pid_t pid;                   /* of the vferryd there; 0 = not known yet */
    uint64_t limit_ns;           /* 0 = for ever */
    uint64_t since_ns;           /* when the silence began */
    bool lives;                  /* it gave a sign of life */
    bool asked;                  /* the request is out: it may happen, whatever becomes of us */
    bool told;                   /* the line is written, once a silence */
    char stuck[256];             /* what the host says it waits for; "" = nothing */
    char waits[256];             /* likewise, of this command alone */
};

/* Begins to wait for the command's host; its path is filled in by who finds it. */
void patience_begin(struct patience *patience, const struct command *command,
                    const struct cli_verb *verb);
/* The next request on the same connection. */
void patience_next(struct patience *patience, const struct cli_verb *verb);
/* A reply came: the silence ends. */
void patience_heard(struct patience *patience);
/* A sign of life came. It ends the silence of a verb that may take long, unless the host is stuck:
 * `stuck` says at what, or is NULL. `waits` is what the command itself waits for, or NULL: told,
 * but the host ends that wait itself. */
void patience_alive(struct patience *patience, const char *stuck, const char *waits);

/* Milliseconds until patience_check has something to do, for poll; -1 = never. */
int patience_ms(const struct patience *patience);
/* Writes the line about what is waited for if it is time for that. 0, or -1 and VF_UNREACHABLE when
 * the command has waited as long as it may. */
int patience_check(struct patience *patience, struct vf_error *err);
/* Has the command waited as long as it may, and only for want of signs of life, which a vferryd of
 * an older build never sends? */
bool patience_doubts(const struct patience *patience);
/* Fills *err with VF_INTERRUPTED, as the person gave up (Ctrl-C). Returns -1. */
int patience_given_up(const struct patience *patience, struct vf_error *err);

#endif
