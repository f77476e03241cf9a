// SPDX-License-Identifier: Apache-2.0
/* See frames.h. */
#include "migrate/pack/frames.h"

#include "base/clock.h"

int frames_out_init(struct frames_out *out, enum pack_wish wish, uint64_t most_bytes,
                    struct vf_error *err)
{
    *out = (struct frames_out){0};
    pack_choice_init(&out->choice, wish);
    return wish == PACK_NONE ? 0 : packer_new(most_bytes, &out->packer, err);
}

void frames_out_free(struct frames_out *out)
{
    packer_free(out->packer);
    out->packer = NULL;
}

void frames_out_begin(struct frames_out *out, bool steady)
{
    pack_choice_begin(&out->choice, steady);
    frames_out_skip(out);
}

void frames_out_skip(struct frames_out *out)
{
    if (out->packer != NULL)
        out->last_ns = vf_now_ns();
}

bool frames_out_pack(struct frames_out *out, const struct wire_frame *frame, const void *slot,
                     const struct wire_geometry *geometry, struct wire_packed *packed)
{
    const struct pack_way way = pack_choice_next(&out->choice);
    struct iovec parts[WIRE_FRAME_PAGES];
    bool is_packed = false;
    int count;

    if (out->packer == NULL)
        return false;
    if (way.packing != WIRE_PLAIN && frame->payload_bytes > 0) {
        count = wire_frame_parts(frame, slot, geometry, parts);
        is_packed = pack(out->packer, way, parts, count, frame->payload_bytes, packed);
    }
    out->ready_ns = vf_now_ns();
    return is_packed;
}

int frames_out_send(struct frames_out *out, struct tp *tp, const struct wire_frame *frame,
                    const void *slot, const struct wire_packed *packed,
                    const struct wire_geometry *geometry, uint64_t *sent, struct vf_error *err)
{
    struct pack_note note = {.bytes = frame->payload_bytes, .packed = packed != NULL};
    int result = packed != NULL ? wire_send_packed(tp, frame, packed, geometry, sent, TP_NEVER, err)
                                : wire_send_frame(tp, frame, slot, geometry, sent, TP_NEVER, err);
    uint64_t now;

    if (out->packer == NULL || result != 0)
        return result;
    now = vf_now_ns();
    note.took_ns = now - out->last_ns;
    note.waited_ns = now - out->ready_ns;
    out->last_ns = now;
    pack_choice_note(&out->choice, &note);
    return 0;
}

void frames_in_free(struct frames_in *in)
{
    packer_free(in->packer);
    in->packer = NULL;
}

int frames_in_take(struct frames_in *in, struct tp *tp, const struct wire_frame *frame,
                   const struct wire_packed *packed, void *slot,
                   const struct wire_geometry *geometry, struct vf_error *err)
{
    struct wire_packed here = *packed;
    void *room;

    if (packed->packing == WIRE_PLAIN)
        return wire_recv_frame_payload(tp, frame, slot, geometry, TP_NEVER, err);
    if (in->packer == NULL && packer_new(geometry->slot_bytes, &in->packer, err) != 0)
        return -1;
    /* Less than the payload, which is no larger than the slot: wire_recv_frame_head saw to it. */
    room = packer_room(in->packer, packed->bytes);
    if (room == NULL)
        return vf_fail(err, VF_FAILED, "peer %s: a frame larger than the slot", tp->peer);
    if (tp_recv(tp, room, packed->bytes, TP_NEVER, err) != 0)
        return -1;
    here.data = room;
    return unpack(in->packer, &here, slot, frame->payload_bytes, err) == 0
               ? 0
               : vf_context(err, "peer %s", tp->peer);
}
