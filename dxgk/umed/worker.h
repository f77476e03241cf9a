// SPDX-License-Identifier: Apache-2.0
/*
 * A UMED worker process as its host sees it: start, call, end. A worker that is silent for too long
 * or answers what call.h does not allow is killed; what that means for the partition is umed.c's.
 * The caller serialises all calls on one worker. PASSIVE_LEVEL.
 */
#ifndef DXGK_UMED_WORKER_H
#define DXGK_UMED_WORKER_H

#include "base/error.h"
#include "dxgk/worker/call.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* How long a call may take; the first one loads the UMED. */
#define DXGK_WORKER_CALL_MS 2000
#define DXGK_WORKER_START_MS 10000

struct dxgk_worker {
    pid_t pid; /* 0 = none */
    int fd;    /* our end of the socket */
    uint32_t sequence;
    uint32_t during; /* enum umed_op of the call that it is in, or was lost over; 0 = none */
    const char *why; /* set when a call lost the worker: what it did; static text or NULL */
};

struct dxgk_worker_reply {
    int32_t result;  /* HRESULT; S_OK is 0 */
    uint32_t breach; /* enum umed_breach */
    void *data;      /* malloc'ed; the caller frees */
    uint32_t bytes;
};

/* Starts `program` on the UMED `path`; `name` is for who looks at the list of processes. 0
 * or -1. */
int dxgk_worker_start(struct dxgk_worker *worker, const char *program, const char *path,
                      const char *name, struct vf_error *err);
/* Makes one call. 0 with *reply filled, or -1: the worker is lost (its process may still be there)
 * and only dxgk_worker_end may be called. A reply without `allowed` bytes at most and of a good
 * form counts as lost. */
int dxgk_worker_call(struct dxgk_worker *worker, enum umed_op op, const void *body, uint32_t bytes,
                     uint32_t allowed, struct dxgk_worker_reply *reply);
/* Ends it: asks when `politely`, kills otherwise or after a second; `how` gets what became of it
 * ("was killed by signal 11 (Segmentation fault) in WriteInterceptedGpup"). NULL-safe in how;
 * harmless without a process. True when somebody else had killed it (SIGKILL): no fault of what
 * it did. */
bool dxgk_worker_end(struct dxgk_worker *worker, bool politely, char *how, size_t how_bytes);

#endif
