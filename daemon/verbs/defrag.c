// SPDX-License-Identifier: Apache-2.0
/* The verb that moves partitions together in an adapter's VRAM (VF-4, CAP-5). */
#define LOG_ROOM "defrag"
#include "base/log.h"
#include "daemon/verbs/verbs.h"

#include <inttypes.h>

static const char *outcome_name(uint32_t outcome)
{
    switch ((enum vf_defrag_outcome)outcome) {
    case VF_DEFRAG_PLANNED:
        return "planned";
    case VF_DEFRAG_MOVED:
        return "moved";
    case VF_DEFRAG_SKIPPED:
        return "skipped";
    case VF_DEFRAG_FAILED:
        break;
    }
    return "failed";
}

static json_t *move_object(const struct vf_defrag_move *move)
{
    json_t *object = json_object();

    put_text(object, "partition", move->partition);
    put_text(object, "outcome", outcome_name(move->outcome));
    put_number(object, "from_bytes", move->from_bytes);
    put_number(object, "to_bytes", move->to_bytes);
    put_number(object, "bytes", move->bytes);
    put_number(object, "pause_ns", move->pause_ns);
    put_text(object, "reason", move->why);
    return object;
}

static json_t *defrag_object(const struct vf_defrag *done)
{
    json_t *object = new_result("vferry.defrag/1");
    json_t *moves = json_array();

    put_number(object, "adapter", done->adapter);
    put_flag(object, "dry_run", done->dry_run);
    put_flag(object, "scatter", done->scatter);
    put_number(object, "largest_before_bytes", done->largest_before_bytes);
    put_number(object, "largest_after_bytes", done->largest_after_bytes);
    put_number(object, "moved_bytes", done->moved_bytes);
    for (uint32_t i = 0; i < done->count; i++)
        (void)json_array_append_new(moves, move_object(&done->moves[i]));
    (void)json_object_set_new(object, "moves", moves);
    return object;
}

int verb_adapter_defrag(struct request *request, struct vf_error *err)
{
    struct vf_defrag done;
    uint64_t adapter;
    struct kc *kc;
    bool dry_run;
    int result;

    if (request_number(request, "adapter", &adapter, err) != 0 ||
        request_flag(request, "dry_run", &dry_run, err) != 0 || request_kc(request, &kc, err) != 0)
        return -1;
    result =
        kc_defrag(kc, adapter > UINT32_MAX ? UINT32_MAX : (uint32_t)adapter, dry_run, &done, err);
    if (!dry_run)
        log_info("defragmentation of adapter %" PRIu64 ": %" PRIu64
                 " bytes moved, largest hole %" PRIu64 " -> %" PRIu64 ": %s",
                 adapter, done.moved_bytes, done.largest_before_bytes, done.largest_after_bytes,
                 result == 0 ? "done" : err->text);
    /* Who moved is told beside a failure, too. */
    if (result == 0 || done.count != 0)
        request->result = defrag_object(&done);
    return result;
}
