// SPDX-License-Identifier: Apache-2.0
/*
 * A host in a test: dxgk opened over real device and driver images, its events kept, and a small
 * program for a partition that writes VRAM for ever or for a number of steps.
 */
#ifndef DXGK_TESTS_RIG_H
#define DXGK_TESTS_RIG_H

#include "dxgk/dxgk.h"

#include <pthread.h>

#define RIG_EVENTS 64u

struct sg_cmd;

struct rig {
    struct dxgk *dxgk;
    pthread_mutex_t lock; /* guards what follows: events come from any thread */
    unsigned events;
    char kind[RIG_EVENTS][16];
    char text[RIG_EVENTS][600];
};

/* Set by a test whose main() begins with dxgk_trial_main: it updates drivers. */
extern bool rig_trials;
/* Set by a test that wants free VRAM proven in the background, as hosts have it. */
extern bool rig_scrub;

/* Opens `devices` (SPECs, NULL at the end) with `driver` (a file in the tests' build folder, NULL =
 * the device's own). */
int rig_try(struct rig *rig, const char *const *devices, const char *driver, struct vf_error *err);
/* As rig_try; the test fails when it fails. */
void rig_open(struct rig *rig, const char *const *devices, const char *driver);
/* Closes, and asserts that no contract event came that rig_expect did not take. */
void rig_close(struct rig *rig);
/* True when an event of `kind` has `part` in its text; takes every such event away. */
bool rig_expect(struct rig *rig, const char *kind, const char *part);

/* Waits until all free VRAM of the adapter is proven to be zero; fails the test when it is not in
 * half a minute. */
void rig_await_proven(struct rig *rig, uint32_t adapter);
/* Bytes of free VRAM that are not. */
uint64_t rig_unproven(struct rig *rig, uint32_t adapter);

/* A partition of `mib` MiB on `adapter`. */
uint64_t rig_create(struct rig *rig, const char *name, uint32_t adapter, uint64_t mib,
                    bool incoming);

/* ---- a guest: VRAM mapped one to one, a ring that scatters random pages behind RIG_HEAP ---- */

#define RIG_RING 0x10000ull   /* guest physical address of the ring */
#define RIG_COUNTER 0x8000ull /* counts steps */
#define RIG_HEAP 0x200000ull

/* Maps VRAM one to one and starts these commands at RIG_RING. */
void rig_start(struct rig *rig, uint64_t id, uint64_t vram_bytes, const struct sg_cmd *ring,
               size_t count);
/* Starts `steps` steps; every step writes one page that depends on seed and step alone. 0 =
 * for ever. */
void rig_run(struct rig *rig, uint64_t id, uint64_t vram_bytes, uint64_t seed, uint64_t steps);
uint64_t rig_counter(struct rig *rig, uint64_t id);
/* Waits until the counter reaches `steps`; fails the test when it stands for half a minute. */
void rig_wait(struct rig *rig, uint64_t id, uint64_t steps);
/* The guest sets up MSI-X vector 0, which its program raises at its end. */
void rig_unmask(struct rig *rig, uint64_t id);
/* Waits until vector 0 has a message pending behind its mask. */
void rig_wait_pending(struct rig *rig, uint64_t id);
/* Waits until the partition got `count` messages. */
void rig_wait_interrupts(struct rig *rig, uint64_t id, uint64_t count);
/* A hash of the whole VRAM as the guest sees it. */
uint64_t rig_digest(struct rig *rig, uint64_t id, uint64_t vram_bytes);

#endif
