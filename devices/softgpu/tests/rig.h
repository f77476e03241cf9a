// SPDX-License-Identifier: Apache-2.0
/*
 * A bench for the card: opens a device, powers VFs with an identity-mapped reserve, writes commands
 * into their rings, and feeds the paging engine. Everything goes through vf_device_ops and the
 * manual's registers, as a driver would do it.
 */
#ifndef SOFTGPU_TEST_RIG_H
#define SOFTGPU_TEST_RIG_H

#include "softgpu/hw.h"
#include "vferry/device.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define MIB (1ull << 20)
#define RIG_RESERVE (32 * MIB) /* of each VF, at VRAM address vf x RIG_RESERVE */
/* Within a reserve: the tables, then one ring a queue; the rest is the test's. */
#define RIG_TABLES 0ull
#define RIG_RING(q) (0x10000ull + (uint64_t)(q)*0x10000ull)
#define RIG_DATA (1 * MIB)

struct rig {
    const struct vf_device_ops *ops;
    struct vf_device *dev;
    uint8_t *system; /* host memory of the paging process */
    int system_fd;
    uint64_t system_bytes;
    uint64_t ring_at[SG_MAX_VFS][SG_QUEUES];
    uint32_t fence; /* last one submitted */
    int paging_event;
};

/* `options` like "vram=128M,vfs=3"; fails the test when the device does not open. */
void rig_open(struct rig *r, const char *options);
void rig_close(struct rig *r);
/* As open() of the device; `why` of 256 bytes. */
int rig_try_open(struct rig *r, const char *options, char *why);

uint64_t rig_pf_read(struct rig *r, uint64_t reg, unsigned width);
void rig_pf_write(struct rig *r, uint64_t reg, unsigned width, uint64_t value);
uint64_t rig_vf_read(struct rig *r, unsigned vf, uint64_t reg, unsigned width);
void rig_vf_write(struct rig *r, unsigned vf, uint64_t reg, unsigned width, uint64_t value);

/* Maps the reserve, writes identity tables of large pages, sets ROOT, and enables the VF. */
void rig_power(struct rig *r, unsigned vf);
/* Only the tables and ROOT. */
void rig_tables(struct rig *r, unsigned vf);
void rig_load(struct rig *r, unsigned vf, uint64_t gpa, void *to, uint64_t bytes);
void rig_store(struct rig *r, unsigned vf, uint64_t gpa, const void *from, uint64_t bytes);
uint64_t rig_word(struct rig *r, unsigned vf, uint64_t gpa);
void rig_set_word(struct rig *r, unsigned vf, uint64_t gpa, uint64_t value);

struct sg_cmd rig_cmd(uint32_t op, uint64_t a0, uint64_t a1, uint64_t a2, uint64_t a3, uint64_t a4);
/* Adds a command to the queue's ring; returns its address. */
uint64_t rig_add(struct rig *r, unsigned vf, unsigned q, struct sg_cmd cmd);
/* Starts the ring from its beginning. */
void rig_start(struct rig *r, unsigned vf, unsigned q);
/* Adds HALT, starts, waits for the end; returns SG_Q_HALTED or SG_Q_FAULT. Empties the ring. */
uint32_t rig_run(struct rig *r, unsigned vf, unsigned q);
/* Waits until the queue does not run any more. */
uint32_t rig_wait(struct rig *r, unsigned vf, unsigned q);
void rig_empty(struct rig *r, unsigned vf, unsigned q);
void rig_pause(struct rig *r, unsigned vf); /* until QUIET */
void rig_resume(struct rig *r, unsigned vf);
void rig_save_state(struct rig *r, unsigned vf, struct sg_vf_state *s);
uint32_t rig_load_state(struct rig *r, unsigned vf, const struct sg_vf_state *s);

/* The paging process: VRAM by identity at RIG_VA_VRAM (large pages), system memory page by page
 * at RIG_VA_SYSTEM. */
#define RIG_VA_VRAM 0ull
#define RIG_VA_SYSTEM (256ull << 30)
#define RIG_IOVA 0x7000000000ull
#define RIG_SYSTEM_DATA (2 * MIB) /* system memory below it holds tables and commands */
void rig_paging_open(struct rig *r, uint64_t data_bytes);
uint8_t *rig_system(struct rig *r, uint64_t offset); /* data area */
/* Submits `count` commands as one buffer and returns its fence. */
uint32_t rig_page(struct rig *r, const struct sg_cmd *cmd, unsigned count);
/* Waits for the fence; false = the engine faulted. */
bool rig_page_wait(struct rig *r, uint32_t fence);

uint64_t rig_blocks(struct rig *r); /* bytes of host memory behind VRAM */
uint64_t rig_now(void);

/* The oracle: the manual's arithmetic, written for the tests. */
uint64_t oracle_mix(uint64_t z);
uint64_t oracle_random(uint64_t s, uint64_t t, uint64_t i);

/* A test's own choices, from a printed seed (VFERRY_SEED repeats a run). */
uint64_t rig_seed(const char *test);
uint64_t rig_choose(uint64_t *state, uint64_t below);

#endif
