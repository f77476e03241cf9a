// SPDX-License-Identifier: Apache-2.0
/* What the tests of paging, tracking and interrupts stand on: a dxgk with the real card and driver,
 * partitions, channels. */
#ifndef DXGK_TESTS_PAGERIG_H
#define DXGK_TESTS_PAGERIG_H

#include "dxgk/dxgk.h"
#include "dxgk/internal.h"

#define RIG_SLOTS 8u

struct rig {
    struct dxgk *dxgk;
    struct dxgk_adapter *adapter; /* the first */
    _Atomic uint32_t contract;    /* breaches told */
    _Atomic uint32_t faults;      /* paging faults told */
    char last[600];               /* text of the last breach; read when nothing runs */
    pthread_mutex_t lock;         /* guards last */
};

struct rig_channel {
    struct dxgk_channel *channel;
    uint8_t *memory; /* mapping of the slots */
    uint64_t slot_bytes;
    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t cond;
    bool done[RIG_SLOTS];
    int status[RIG_SLOTS];
};

/* Opens a dxgk with one card of this SPEC; asserts. */
void rig_open(struct rig *rig, const char *spec);
void rig_close(struct rig *rig);
/* A new partition; its id. */
uint64_t rig_partition(struct rig *rig, const char *name, uint64_t bytes, bool incoming);
/* The partition itself; stays valid while it is not destroyed. */
struct dxgk_partition *rig_inside(struct rig *rig, uint64_t id);

/* RIG_SLOTS slots. */
void rig_channel_open(struct rig *rig, uint64_t id, uint64_t slot_bytes, struct rig_channel *out);
/* One whose lists count in pages of so many bytes. */
void rig_channel_open_pages(struct rig *rig, uint64_t id, uint64_t slot_bytes, uint64_t page_bytes,
                            struct rig_channel *out);
void rig_channel_close(struct rig_channel *channel);
/* Submits with cookie = slot; asserts that it is taken. */
void rig_submit(struct rig_channel *channel, enum dxgk_transfer op, uint32_t slot,
                const uint64_t *pages, uint32_t count);
/* Waits for the slot's completion and gives its status. */
int rig_wait(struct rig_channel *channel, uint32_t slot);
uint8_t *rig_slot(const struct rig_channel *channel, uint32_t slot);

/* A printed seed (or VFERRY_SEED) and its stream of numbers. */
uint64_t rig_seed(const char *test);
uint64_t rig_random(uint64_t *state);
/* `count` different pages below `total`, in random order. */
void rig_pick_pages(uint64_t *state, uint64_t total, uint64_t *pages, uint32_t count);

#endif
