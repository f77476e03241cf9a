// SPDX-License-Identifier: Apache-2.0
/* What the files of vferry-umed share. The program is one thread: nothing here has a lock. */
#ifndef DXGK_WORKER_WORKER_H
#define DXGK_WORKER_WORKER_H

#include "dxgk/worker/call.h"

#include "wdm.h"

#include "igpupvdev.h"

#include <stdbool.h>

/* ---- object.c: the UMED's object, reached by COM alone ---- */

struct object {
    PFN_DLLGETCLASSOBJECT get_class;
    IUnknown *unknown;
    IGPUPMigration *migration;         /* NULL when it has none */
    IGPUPMitigationDevice *mitigation; /* NULL when it has none */
    LUID luid;
};

/* A record made by one of the savers: `bytes` of malloc'ed `data`. */
struct record {
    uint8_t *data;
    uint32_t bytes;
    uint32_t breach; /* enum umed_breach; not UMED_KEPT: there is no data */
};

/* Class factory, instance, interfaces, Initialize. On failure *what names the step. */
HRESULT object_create(struct object *object, const struct umed_create *args, const char **what);
/* Gives every reference back. */
void object_release(struct object *object);
HRESULT object_save_immutable(struct object *object, struct record *record);
HRESULT object_restore_immutable(struct object *object, uint8_t *data, uint32_t bytes);
/* Pause, save, resume. */
HRESULT object_save(struct object *object, struct record *record);
/* Pause, restore, resume. */
HRESULT object_restore(struct object *object, uint8_t *data, uint32_t bytes);
HRESULT object_read(struct object *object, const struct umed_access *access, uint8_t value[8]);
HRESULT object_write(struct object *object, const struct umed_access *access);
HRESULT object_power(struct object *object, uint32_t state);

/* ---- sandbox.c ---- */

/* From here on: memory, the socket and stderr that are open, clocks, the end. No files, no
 * network, no program, no thread. A forbidden system call ends the process with SIGSYS. 0 or -1
 * with errno. */
int sandbox_enter(void);

#endif
