// SPDX-License-Identifier: Apache-2.0
/*
 * vferry top: a live screen of one or more hosts. Each host is looked at by itself (host.c),
 * two looks tell a pace (pace.c), and what they tell becomes one object (the snapshot,
 * "vferry.top/1"), which --json prints and the screen shows (view.c, screen.c).
 */
#ifndef CLI_TOP_H
#define CLI_TOP_H

#include "cli/host/glance.h"
#include "cli/syntax/verbs.h"

#include <jansson.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <termios.h>

#define TOP_QUESTIONS 4u
/* How long an answer is waited for. More than vferryd takes to notice that its kernel side is
 * silent, so that it says so when it is asked again. */
#define TOP_LATE_NS 5000000000ull
#define TOP_AGAIN_NS 2000000000ull /* how much longer a second try may take */

/* A host that is looked at again and again. */
struct top_host {
    const char *path; /* what it is called, as find_host understands it; the caller's */
    struct glance glance;
    bool looking;                   /* a question is out, and its answer due */
    bool again;                     /* this look is late, and has begun a second time */
    size_t answered;                /* how many questions of this look */
    json_t *answers[TOP_QUESTIONS]; /* of this look */
    json_t *shown;                  /* what the last whole look told; NULL = there was none */
    uint64_t shown_ns;              /* when, monotonic */
    uint64_t asked_ns;              /* when the present look began */
    char why[sizeof((struct vf_error *)0)->text]; /* why there is no answer; "" = none is due */
};

/* Nothing is connected yet; `path` must stay valid. top_host_fini closes and frees what
 * there is. */
void top_host_init(struct top_host *host, const char *path);
void top_host_fini(struct top_host *host);
/* Begins a look, unless one is under way: a host that does not answer is not asked more. */
void top_host_look(struct top_host *host);
/* Begins a look that is late anew, once, on another connection: the first may wait for a kernel
 * side that is silent. */
void top_host_look_again(struct top_host *host);
/* Takes what has come; for when host->glance.fd is readable. */
void top_host_hear(struct top_host *host);
/* The host's part of the snapshot. New reference. */
json_t *top_host_object(const struct top_host *host);

/*
 * Gives each of the partitions what only two looks can tell: steps_per_s, and gpu_percent, its
 * share of its adapter's GPU (0 to 100; an adapter's together at most 100). Null where `before`,
 * the partitions of the last look (NULL: there was none), does not know the partition, knows it on
 * another adapter, or counted more: then it is not the same work or the same engine any more.
 * `span_ns` lies between the looks.
 */
void top_paces(json_t *partitions, const json_t *before, uint64_t span_ns);

/* The snapshot as lines, for people. */
void top_view(FILE *to, const json_t *snapshot);

/* The terminal while it shows the screen. */
struct top_screen {
    struct termios before;
    bool on;
};

/* Takes the terminal: alternate screen, no cursor, keys at once. -1 when stdin or stdout is none,
 * or TERM says that it can do nothing: then nothing is changed. */
int top_screen_begin(struct top_screen *screen);
/* Gives it back as it was. Harmless when it was not taken. */
void top_screen_end(struct top_screen *screen);
/* Shows the text from the top left, cut to the window; what stood there before goes. */
void top_screen_show(const char *text);

#endif
