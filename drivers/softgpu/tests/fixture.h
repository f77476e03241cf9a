// SPDX-License-Identifier: Apache-2.0
/*
 * A small OS side for the miniport's unit tests: the real driver image over the real card, with
 * nothing of dxgk but its kernel services. Interrupts are taken by the test's own thread when it
 * waits, so that every test is deterministic.
 */
#ifndef SOFTGPU_TESTS_FIXTURE_H
#define SOFTGPU_TESTS_FIXTURE_H

#include "dxgk/nt/nt.h"
#include "vferry/device.h"

#include "wdm.h"

#include "d3dkmddi.h"
#include "dispmprt.h"

#include <softgpu/hw.h>

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define MIB (1ull << 20)
#define FAKE_EVENTS 16u
#define FAKE_PAGING_IOVA 0x10000000ull
#define FAKE_PAGING_BYTES (48 * MIB)
/* Places in the paging memory, and where the paging process sees things. */
#define FAKE_ROOT 0x0ull
#define FAKE_LEVEL1 0x1000ull
#define FAKE_LEAVES 0x2000ull /* 64 leaf tables: 128 MiB of addresses */
#define FAKE_COMMANDS 0x80000ull
#define FAKE_DATA (1 * MIB)
#define FAKE_VA_MEMORY 0ull     /* the paging memory itself */
#define FAKE_VA_VRAM (64 * MIB) /* what fake_map_vram put there */

struct fake {
    const struct vf_device_ops *ops;
    struct vf_device *dev;
    int irq;
    ULONG bars_shown; /* memory resources StartDevice is told of, 3 unless a test hides some */
    DRIVER_INITIALIZATION_DATA ddi;
    HANDLE adapter;
    BOOLEAN started;
    DXGKDDI_GPU_PARTITION_INTERFACE gpup;
    DXGKDDI_SRIOV_INTERFACE sriov;
    DXGKDDI_MITIGABLE_DEVICE_INTERFACE mitigable;
    struct {
        CM_RESOURCE_LIST list;
        CM_PARTIAL_RESOURCE_DESCRIPTOR more[2];
    } resources;

    pthread_mutex_t interrupt_lock; /* shared by SynchronizeExecution and the interrupt routine */
    UCHAR *paging;                  /* FAKE_PAGING_BYTES of dma-mapped memory */
    ULONG completed, faulted;       /* last fences told of */
    ULONG completions;
    BOOLEAN dpc_wanted;
    ULONG dpcs;

    ULONG event_count;
    char events[FAKE_EVENTS][DXGKDDI_PARTITION_EVENT_DESCRIPTION_MAX];
    ULONG event_partition;
};

/* Opens a softgpu with `options` ("vram=64M,vfs=4") and starts the miniport on it. Fails the test
 * when it can't. */
void fake_start(struct fake *fake, const char *options);
/* Only the card and the image: for tests of a start that fails. */
void fake_open(struct fake *fake, const char *driver, const char *options);
NTSTATUS fake_start_device(struct fake *fake);
void fake_stop(struct fake *fake);
/* The image alone again: unloaded with the last test. */
void fake_unload(void);

ULONG fake_register(struct fake *fake, ULONG reg);
void fake_vram_write(struct fake *fake, ULONG64 offset, const void *data, ULONG64 bytes);
void fake_vram_read(struct fake *fake, ULONG64 offset, void *data, ULONG64 bytes);

/* Creates a vGPU of `bytes` with one contiguous reserve at `offset`. */
void fake_create(struct fake *fake, ULONG id, ULONG64 offset, ULONG64 bytes);
NTSTATUS fake_create_only(struct fake *fake, ULONG id, ULONG64 bytes);
NTSTATUS fake_assign(struct fake *fake, ULONG id, ULONG64 offset, ULONG64 bytes);
NTSTATUS fake_power(struct fake *fake, ULONG id, DEVICE_POWER_STATE state);
NTSTATUS fake_pause(struct fake *fake, ULONG id, BOOLEAN pause);

/* A basis over `count` ranges of segment 1. */
HANDLE fake_basis(struct fake *fake, const DXGK_MEMORYRANGE *ranges, ULONG count);
NTSTATUS fake_query(struct fake *fake, HANDLE basis, ULONG64 index, ULONG64 offset, ULONG64 size,
                    BOOLEAN clear, void *bits, SIZE_T bytes);

/* The guest's side: identity-maps the first 2 MiB of a VF's space and runs commands at `at` (within
 * it) on queue 0. */
void fake_guest_setup(struct fake *fake, ULONG id);
void fake_guest_start(struct fake *fake, ULONG id, ULONG64 at, const struct sg_cmd *commands,
                      ULONG count);
ULONG64 fake_guest_word(struct fake *fake, ULONG id, ULONG64 at);

/* The paging process: tables built by the driver (PAG-1). */
void fake_paging_setup(struct fake *fake);
void fake_map_vram(struct fake *fake, ULONG64 va, ULONG64 vram_offset, ULONG64 bytes);
/* Builds one operation into FAKE_COMMANDS with `room` bytes at a time, submitting each part; waits
 * for all. */
void fake_page(struct fake *fake, DXGKARG_BUILDPAGINGBUFFER *args, ULONG room);
NTSTATUS fake_submit(struct fake *fake, ULONG64 va, ULONG bytes, ULONG fence);
/* Takes interrupts until `fence` is told of as complete or faulted; fails the test after 10 s. TRUE
 * = complete. */
BOOLEAN fake_wait(struct fake *fake, ULONG fence);

/* xorshift for property tests; the seed is printed by whoever starts it. */
ULONG64 fake_random(ULONG64 *state);

#endif
