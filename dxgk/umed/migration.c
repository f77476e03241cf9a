// SPDX-License-Identifier: Apache-2.0
/* A UMED's immutable data (SRC-3, TGT-2) and mutable state on their way to another host.
 * See umed.h. */
#define LOG_ROOM "umed"
#include "base/cleanup.h"
#include "base/thread.h"
#include "dxgk/umed/private.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *copy_of(const struct dxgk_blob *blob)
{
    void *copy = malloc(blob->bytes);

    if (copy != NULL)
        memcpy(copy, blob->data, blob->bytes);
    return copy;
}

bool dxgk_umed_migrates(const struct dxgk_umed *umed)
{
    return umed != NULL && (umed->interfaces & UMED_HAS_MIGRATION) != 0;
}

/* One save; the record is the caller's. */
static int save(struct dxgk_umed *umed, enum umed_op op, const char *what, struct dxgk_blob *blob,
                struct vf_error *err)
{
    struct dxgk_worker_reply reply;
    int result;

    vf_lock(&umed->lock);
    result = dxgk_umed_call(umed, op, NULL, 0, VF_MAX_MIGRATION_BLOB, &reply, err);
    vf_unlock(&umed->lock);
    if (result != 0)
        return -1;
    if (reply.result == S_OK && reply.bytes != 0) {
        *blob = (struct dxgk_blob){.data = reply.data, .bytes = reply.bytes};
        return 0;
    }
    free(reply.data);
    return vf_fail(err, VF_FAILED, "the UMED cannot save its %s (0x%x)", what,
                   (uint32_t)reply.result);
}

int dxgk_umed_save(struct dxgk_umed *umed, struct dxgk_blob *blob, struct vf_error *err)
{
    return save(umed, UMED_SAVE_IMMUTABLE, "immutable data", blob, err);
}

/* What was refused leaves the worker as it was; what was taken is remembered for the next one. */
static int restore(struct dxgk_umed *umed, enum umed_op op, const struct dxgk_blob *blob,
                   struct dxgk_blob *remembered, int32_t *result, struct vf_error *err)
{
    cleanup_free void *copy = copy_of(blob);
    struct dxgk_worker_reply reply;
    int called;

    if (copy == NULL)
        return vf_fail(err, VF_FAILED, "the UMED's data: " VF_NO_MEMORY);
    vf_lock(&umed->lock);
    called = dxgk_umed_call(umed, op, blob->data, (uint32_t)blob->bytes, 0, &reply, err);
    if (called == 0) {
        *result = reply.result;
        if (reply.result == S_OK)
            dxgk_umed_replace(remembered, vf_take_ptr(copy), blob->bytes);
    }
    vf_unlock(&umed->lock);
    return called;
}

int dxgk_umed_restore(struct dxgk_umed *umed, const struct dxgk_blob *blob,
                      struct vf_reasons *reasons, struct vf_error *err)
{
    int32_t result = E_FAIL;
    char code[32];

    if (blob->bytes > VF_MAX_MIGRATION_BLOB)
        return vf_fail(err, VF_FAILED, "UMED data of %zu bytes: at most %u are taken", blob->bytes,
                       VF_MAX_MIGRATION_BLOB);
    if (!dxgk_umed_migrates(umed)) {
        vf_reason_add(reasons, "umed", "present", "none",
                      "install the driver's UMED beside it on the target");
        return vf_fail(err, VF_INCOMPATIBLE,
                       "the source has UMED data, the target has no UMED that takes it");
    }
    if (restore(umed, UMED_RESTORE_IMMUTABLE, blob, &umed->immutable, &result, err) != 0)
        return -1;
    if (result == S_OK)
        return 0;
    if (result == E_OUTOFMEMORY)
        return vf_fail(err, VF_FAILED, "the UMED, for its immutable data: " VF_NO_MEMORY);
    (void)snprintf(code, sizeof code, "refuses it (0x%x)", (uint32_t)result);
    vf_reason_add(reasons, "umed", "its data", code, "use the same UMED version on both hosts");
    return vf_fail(err, VF_INCOMPATIBLE, "the target's UMED refuses the source's data (0x%x)",
                   (uint32_t)result);
}

/* ---- mutable state ---- */

bool dxgk_umed_is_blocked(const struct dxgk_umed *umed)
{
    return umed != NULL && umed->blocked;
}

int dxgk_umed_save_mutable(struct dxgk_umed *umed, struct dxgk_blob *blob, struct vf_error *err)
{
    bool saves;

    *blob = (struct dxgk_blob){0};
    if (umed == NULL)
        return 0;
    vf_lock(&umed->lock);
    saves = umed->saves;
    vf_unlock(&umed->lock);
    return saves ? save(umed, UMED_SAVE, "state", blob, err) : 0;
}

int dxgk_umed_restore_mutable(struct dxgk_umed *umed, const struct dxgk_blob *blob,
                              struct vf_error *err)
{
    int32_t result = E_FAIL;

    if (blob->bytes == 0)
        return 0;
    if (blob->bytes > VF_MAX_MIGRATION_BLOB)
        return vf_fail(err, VF_FAILED, "UMED state of %zu bytes: at most %u are taken", blob->bytes,
                       VF_MAX_MIGRATION_BLOB);
    if (umed == NULL || !umed->partition->adapter->caps.live_migration)
        return vf_fail(err, VF_INCOMPATIBLE,
                       "the source has a UMED's state, the target has no UMED that takes it");
    if (restore(umed, UMED_RESTORE, blob, &umed->state, &result, err) != 0)
        return -1;
    return result == S_OK ? 0
                          : vf_fail(err, VF_FAILED, "the UMED refuses the state it is given (0x%x)",
                                    (uint32_t)result);
}
