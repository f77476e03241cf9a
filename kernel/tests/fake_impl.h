// SPDX-License-Identifier: Apache-2.0
/* What the two halves of the fake dxgk share. */
#ifndef KERNEL_TESTS_FAKE_IMPL_H
#define KERNEL_TESTS_FAKE_IMPL_H

#include "kernel/tests/fake_dxgk.h"

#include <pthread.h>

#define PARTITIONS 64

struct partition {
    struct vf_partition_info info; /* id 0 = free */
    struct vf_partition_params params;
    unsigned char *vram;
    uint64_t *bits;
    unsigned channels;
};

struct dxgk_channel {
    struct dxgk *dxgk;
    struct partition *partition;
    struct dxgk_channel_config config;
    unsigned char *ring;
    int memfd;
    unsigned flying;
    uint64_t busy;
};

struct job {
    struct job *next;
    struct dxgk_channel *channel;
    enum dxgk_transfer op;
    uint32_t slot;
    uint32_t count;
    uint64_t cookie;
    uint64_t pages[];
};

struct dxgk {
    pthread_mutex_t lock; /* everything */
    pthread_cond_t changed;
    pthread_t worker;
    struct dxgk_config config;
    struct partition partition[PARTITIONS];
    uint64_t last_id;
    struct job *first;
    struct job **end;
    unsigned flying;
    bool hold;
    bool filling; /* a held zero-fill has begun */
    bool unsealable;
    bool stop;
};

void fake_enter(struct dxgk *dxgk);
/* Returns `result`. */
int fake_leave(struct dxgk *dxgk, int result);
/* NULL with *err filled when there is none; the caller has entered. */
struct partition *fake_find(struct dxgk *dxgk, uint64_t id, struct vf_error *err);
uint64_t fake_pages(const struct partition *partition);
/* Body of the thread that does the transfers; arg: the struct dxgk. */
void *fake_worker(void *arg);

#endif
