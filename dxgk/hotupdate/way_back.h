// SPDX-License-Identifier: Apache-2.0
/*
 * What a driver update keeps back before it takes the old driver down, so that on a machine that
 * gives nothing more there still is a way back: memory and descriptors that only the old driver's
 * return may use, and the address space of its register mappings. One at a time.
 */
#ifndef DXGK_HOTUPDATE_WAY_BACK_H
#define DXGK_HOTUPDATE_WAY_BACK_H

#include "base/error.h"

#define DXGK_WAY_BACK_TRIES 2 /* times the old driver may be brought up */

struct dxgk_way_back {
    struct {
        void *memory; /* NULL = given back */
        int fd;       /* -1 = given back */
    } kept[DXGK_WAY_BACK_TRIES];
    uint64_t bytes; /* of each memory */
};

/* Keeps back what bringing up a driver with `state_bytes` of saved state takes. An error: there is
 * no room for it, and nothing is kept. */
int dxgk_way_back_open(struct dxgk_way_back *way, uint64_t state_bytes, struct vf_error *err);
/* Gives one try's part of memory and descriptors back to the process; false when none is left. */
bool dxgk_way_back_take(struct dxgk_way_back *way);
/* Gives back all of it. */
void dxgk_way_back_close(struct dxgk_way_back *way);

#endif
