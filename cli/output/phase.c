// SPDX-License-Identifier: Apache-2.0
/* See phase.h. cli/tests/test_phases.py holds this list against what the daemon's sources say. */
#include "cli/output/phase.h"

#include <stddef.h>
#include <string.h>

static const struct {
    const char *phase, *wide, *narrow;
    const char *cell; /* NULL = narrow, and nothing is numbered */
} labels[] = {
    /* a move, on both hosts; admit and what comes after the rounds: a restore too */
    {"connect", "connecting", "connecting", NULL},
    {"admit", "making room at the target", "making room", NULL},
    {"queued", "waits for its turn among other moves", "queued", NULL},
    {"round", "copying, round", "round", "copying"},
    {"pause", "pausing the partition", "pausing", NULL},
    {"last-round", "paused, last pages, round", "paused, round", "paused, last pages"},
    {"compare", "paused, comparing all of its VRAM", "paused, comparing", NULL},
    {"state", "paused, copying its state", "paused, state", NULL},
    {"ready", "paused, ready to run at the target", "paused, ready", NULL},
    {"commit", "handed over, finishing", "handed over", NULL},
    /* a move whose link is cut */
    {"reconnect", "link lost, dialling again", "dialling again", NULL},
    {"link-lost", "link lost, waiting for the source", "link lost", NULL},
    {"recall", "called off, telling the target", "called off", NULL},
    {"recommit", "link lost, asking the target whether it runs", "asking the target", NULL},
    /* a save or a restore */
    {"open", "opening the image file", "opening", NULL},
    {"prepare", "preparing", "preparing", NULL},
    {"verify", "checking the image file", "checking", NULL},
    {"pages", "copying its VRAM", "copying", NULL},
    {"disk", "paused, waiting for the disk", "paused, disk", NULL},
    {"name", "paused, giving the image its name", "paused, naming", NULL},
};

const char *phase_label(const char *phase, enum phase_form form, bool *numbered)
{
    for (size_t i = 0; i < sizeof labels / sizeof labels[0]; i++) {
        if (strcmp(labels[i].phase, phase) != 0)
            continue;
        *numbered = labels[i].cell != NULL && form != PHASE_CELL;
        if (form == PHASE_CELL && labels[i].cell != NULL)
            return labels[i].cell;
        return form == PHASE_WIDE ? labels[i].wide : labels[i].narrow;
    }
    *numbered = false;
    return NULL;
}
