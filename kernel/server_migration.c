// SPDX-License-Identifier: Apache-2.0
/*
 * The calls of a live migration: what the driver saves and restores, as blobs that cross the line,
 * and dirty bits. What server_calls.c says of handlers holds here too.
 */
#define LOG_ROOM "kernel"
#include "kernel/server_impl.h"

#include "base/log.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

int ks_call_prepare(struct ks_call *call, struct vf_error *err)
{
    const struct kcall_prepare *args = call->args;

    if (args->side != KC_SOURCE && args->side != KC_TARGET)
        return vf_fail(err, VF_USAGE, "prepare migration: side is source or target");
    return dxgk_migration_prepare(call->server->dxgk, args->id,
                                  args->side == KC_SOURCE ? DXGK_SOURCE : DXGK_TARGET, args->job,
                                  err);
}

/* The KMD's blob, the MSI-X table and the UMED's blob, as everywhere below. */
static int reply_blobs(struct ks_call *call, uint64_t id, const struct dxgk_blob blob[3],
                       struct vf_error *err)
{
    struct kcall_blobs *result;
    unsigned char *at;

    for (int i = 0; i < 3; i++) {
        if (blob[i].bytes > VF_MAX_MIGRATION_BLOB)
            return vf_fail(err, VF_FAILED,
                           "save migration data: a part of %zu bytes, %u is the most",
                           blob[i].bytes, VF_MAX_MIGRATION_BLOB);
    }
    result = ks_result(call, sizeof *result + blob[0].bytes + blob[1].bytes + blob[2].bytes, err);
    if (result == NULL)
        return -1;
    *result = (struct kcall_blobs){id, (uint32_t)blob[0].bytes, (uint32_t)blob[1].bytes,
                                   (uint32_t)blob[2].bytes, 0};
    at = (unsigned char *)(result + 1);
    for (int i = 0; i < 3; i++) {
        if (blob[i].bytes > 0)
            memcpy(at, blob[i].data, blob[i].bytes);
        at += blob[i].bytes;
    }
    return 0;
}

static int save(struct ks_call *call, bool mutable, struct vf_error *err)
{
    uint64_t id = ((const struct kcall_partition *)call->args)->id;
    struct dxgk *dxgk = call->server->dxgk;
    struct dxgk_blob blob[3] = {{NULL, 0}};
    int result = mutable ? dxgk_migration_save_mutable(dxgk, id, &blob[0], &blob[1], &blob[2], err)
                         : dxgk_migration_save_immutable(dxgk, id, &blob[0], &blob[2], err);

    if (result == 0)
        result = reply_blobs(call, id, blob, err);
    for (int i = 0; i < 3; i++)
        free(blob[i].data);
    return result;
}

int ks_call_save_immutable(struct ks_call *call, struct vf_error *err)
{
    return save(call, false, err);
}

int ks_call_save_mutable(struct ks_call *call, struct vf_error *err)
{
    return save(call, true, err);
}

/* The blobs stay in the call's own memory; the driver may read but not keep them. */
static int take_blobs(const struct ks_call *call, struct dxgk_blob blob[3], struct vf_error *err)
{
    const struct kcall_blobs *args = call->args;
    const uint32_t bytes[3] = {args->kmd_bytes, args->msix_bytes, args->umed_bytes};
    size_t total = 0;

    for (int i = 0; i < 3; i++) {
        if (bytes[i] > VF_MAX_MIGRATION_BLOB)
            return vf_fail(err, VF_USAGE, "restore migration data: %u bytes each is the most",
                           VF_MAX_MIGRATION_BLOB);
        blob[i] = (struct dxgk_blob){(void *)(uintptr_t)(call->tail + total), bytes[i]};
        total += bytes[i];
    }
    return ks_exact(call, "restore migration data", total, err);
}

int ks_call_restore_immutable(struct ks_call *call, struct vf_error *err)
{
    const struct kcall_blobs *args = call->args;
    struct vf_reasons *reasons;
    struct dxgk_blob blob[3];

    if (take_blobs(call, blob, err) != 0)
        return -1;
    if (blob[1].bytes != 0)
        return vf_fail(err, VF_USAGE, "restore migration data: immutable data has no MSI-X table");
    reasons = ks_result(call, sizeof *reasons, err);
    if (reasons == NULL)
        return -1;
    call->result_on_failure = true;
    return dxgk_migration_restore_immutable(call->server->dxgk, args->id, &blob[0], &blob[2],
                                            reasons, err);
}

int ks_call_restore_mutable(struct ks_call *call, struct vf_error *err)
{
    const struct kcall_blobs *args = call->args;
    struct dxgk_blob blob[3];

    if (take_blobs(call, blob, err) != 0)
        return -1;
    return dxgk_migration_restore_mutable(call->server->dxgk, args->id, &blob[0], &blob[1],
                                          &blob[2], err);
}

/* Bytes of the partition's bitplane, for which the caller has room. A query takes the bits away
 * (DBT-5): all that can fail comes before it. */
static int plane_bytes(struct ks_call *call, uint64_t *bytes, struct vf_error *err)
{
    const struct kcall_query_dirty *args = call->args;
    struct vf_partition_info info;

    if (dxgk_partition_info(call->server->dxgk, args->id, &info, err) != 0)
        return -1;
    if (info.page_bytes == 0)
        return vf_fail(err, VF_INCOMPATIBLE, "partition %s: its adapter tracks no dirty pages",
                       info.name);
    *bytes = (info.vram_bytes / info.page_bytes + 63) / 64 * 8;
    if (*bytes > KCALL_MAX_DIRTY_BYTES || args->bits_bytes < *bytes)
        return vf_fail(err, VF_USAGE,
                       "query dirty bits: %" PRIu64 " bytes of room, %" PRIu64
                       " needed, %u at most",
                       args->bits_bytes, *bytes, KCALL_MAX_DIRTY_BYTES);
    return 0;
}

int ks_call_query_dirty(struct ks_call *call, struct vf_error *err)
{
    const struct kcall_query_dirty *args = call->args;
    struct kcall_dirty_result *result;
    uint64_t bytes;

    if (plane_bytes(call, &bytes, err) != 0)
        return -1;
    result = ks_result(call, sizeof *result + bytes, err);
    if (result == NULL)
        return -1;
    return dxgk_migration_query_dirty(call->server->dxgk, args->id, result + 1, bytes,
                                      &result->dirty, err);
}

int ks_call_sample_dirty(struct ks_call *call, struct vf_error *err)
{
    const struct kcall_query_dirty *args = call->args;
    struct kcall_sample_result *result;
    struct dxgk_sample sample;
    uint64_t bytes;

    if (plane_bytes(call, &bytes, err) != 0)
        return -1;
    result = ks_result(call, sizeof *result + bytes, err);
    if (result == NULL || dxgk_partition_sample_dirty(call->server->dxgk, args->id, result + 1,
                                                      bytes, &sample, err) != 0)
        return -1;
    *result = (struct kcall_sample_result){sample.dirty, sample.touched, sample.everything, 0};
    return 0;
}

int ks_call_throttle(struct ks_call *call, struct vf_error *err)
{
    const struct kcall_throttle *args = call->args;

    if (call->conn->slows != args->id)
        ks_throttle_over(call->conn);
    if (dxgk_partition_throttle(call->server->dxgk, args->id, args->percent, err) != 0)
        return -1;
    call->conn->slows = args->percent != 0 ? args->id : 0;
    return 0;
}

void ks_throttle_over(struct ks_conn *conn)
{
    struct vf_error err = VF_ERROR_INIT;

    if (conn->slows != 0 && dxgk_partition_throttle(conn->server->dxgk, conn->slows, 0, &err) != 0)
        log_debug("%s: throttle: %s", conn->state.id, err.text); /* the partition is gone */
    conn->slows = 0;
}

int ks_call_end(struct ks_call *call, struct vf_error *err)
{
    return dxgk_migration_end(call->server->dxgk, ((const struct kcall_partition *)call->args)->id,
                              err);
}
