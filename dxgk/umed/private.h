// SPDX-License-Identifier: Apache-2.0
/* What umed.c and migration.c share. */
#ifndef DXGK_UMED_PRIVATE_H
#define DXGK_UMED_PRIVATE_H

#include "dxgk/umed/umed.h"
#include "dxgk/umed/worker.h"

#include "igpupvdev.h"

#include <limits.h>

/* NOLINTNEXTLINE(misc-redundant-expression): two headers, one number, today */
_Static_assert(UMED_CALL_MAX_BLOB == VF_MAX_MIGRATION_BLOB, "a record that moves fits a call");

#define DXGK_UMED_CRASHES 8u
#define DXGK_UMED_HOW 192u

struct dxgk_umed {
    struct dxgk_partition *partition; /* fixed, as the next two */
    GUID class_id;
    char path[PATH_MAX];
    bool blocked; /* fixed: the KMD did not report LiveMigration, so its state was never kept */
    int wake_fd; /* eventfd: something for the watcher to look at */
    pthread_t watcher;

    pthread_mutex_t lock; /* after partition.vcpu; held over a call; guards what follows */
    struct dxgk_worker worker;
    bool alive;                  /* there is a worker, and it has an object */
    bool ending;                 /* the watcher is to end */
    bool saves;                  /* mutable state may be saved, and there is some */
    _Atomic uint32_t interfaces; /* UMED_HAS_*; read by anyone */
    uint64_t generation;         /* of the worker: grows with each */
    struct dxgk_blob immutable;  /* restored from a source; empty at home */
    struct dxgk_blob state;      /* mutable, after the last accepted store; empty = not known */
    char how[DXGK_UMED_HOW];     /* what became of the last worker that was lost */
    uint64_t crashes;
    uint64_t crash_ns[DXGK_UMED_CRASHES]; /* when the last ones were, in a ring */
};

/* All with umed->lock held. */

/* One call, worker brought up before if need be; a worker lost over it is reported and replaced.
 * 0: reply->result says the rest, the caller frees reply->data. */
int dxgk_umed_call(struct dxgk_umed *umed, enum umed_op op, const void *body, uint32_t bytes,
                   uint32_t allowed, struct dxgk_worker_reply *reply, struct vf_error *err);
/* Takes over malloc'ed data in place of what the blob had. */
void dxgk_umed_replace(struct dxgk_blob *blob, void *data, size_t bytes);

#endif
