// SPDX-License-Identifier: Apache-2.0
/* Frames packed on their way out and unpacked on their way in, for streams and images. Each struct
 * belongs to one thread; zeroed it is valid to be freed. */
#ifndef MIGRATE_PACK_FRAMES_H
#define MIGRATE_PACK_FRAMES_H

#include "migrate/pack/choice.h"

struct frames_out {
    struct packer *packer; /* NULL: nothing is ever packed */
    struct pack_choice choice;
    uint64_t last_ns;  /* when the frame before was sent */
    uint64_t ready_ns; /* when this one was packed */
};

/* For payloads of so many bytes at most. -1: no memory. Due: frames_out_free. */
int frames_out_init(struct frames_out *out, enum pack_wish wish, uint64_t most_bytes,
                    struct vf_error *err);
void frames_out_free(struct frames_out *out);
/* A round begins: what was before it is no part of what a frame takes. `steady`: in it nothing is
 * tried, for the partition stands. */
void frames_out_begin(struct frames_out *out, bool steady);
/* What was read had nothing to send: the time for it is no part of what the next frame takes. */
void frames_out_skip(struct frames_out *out);
/* Packs the frame's payload, if it is to be and gets smaller by it: then true, with *packed valid
 * until the next call. The frame is to be sent by frames_out_send next. */
bool frames_out_pack(struct frames_out *out, const struct wire_frame *frame, const void *slot,
                     const struct wire_geometry *geometry, struct wire_packed *packed);
/* Sends it, packed or (NULL) as it is. *sent: bytes on the wire. */
int frames_out_send(struct frames_out *out, struct tp *tp, const struct wire_frame *frame,
                    const void *slot, const struct wire_packed *packed,
                    const struct wire_geometry *geometry, uint64_t *sent, struct vf_error *err);

struct frames_in {
    struct packer *packer; /* made with the first packed frame */
};

void frames_in_free(struct frames_in *in);
/* The payload of the frame whose head wire_recv_frame_head has received, into the slot. */
int frames_in_take(struct frames_in *in, struct tp *tp, const struct wire_frame *frame,
                   const struct wire_packed *packed, void *slot,
                   const struct wire_geometry *geometry, struct vf_error *err);

#endif
