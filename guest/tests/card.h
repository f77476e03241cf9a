// SPDX-License-Identifier: Apache-2.0
/*
 * A software GPU for tests, driven through its registers as hw.h says: what a driver does for a
 * partition, in a few lines. The device is the .so that the environment's GUEST_TEST_DEVICE names.
 */
#ifndef GUEST_TESTS_CARD_H
#define GUEST_TESTS_CARD_H

#include "guest/guest.h"
#include "vferry/device.h"

struct card {
    void *library;
    const struct vf_device_ops *ops;
    struct vf_device *dev;
    struct vf_device_host host;
    uint64_t vram_bytes;
};

/* `scatter`: the device's option. Fails the test when there is no such device. */
void card_open(struct card *card, bool scatter);
void card_close(struct card *card);

/*
 * A VF with a reserve, powered, its MSI-X vector 0 routed to an eventfd. Stays where it
 * is until vf_close.
 */
struct vf {
    struct card *card;
    uint32_t index;
    int ended; /* eventfd of vector 0 */
    struct guest_memory memory;
};

/*
 * The reserve consists of `pieces` extents in falling physical order from `phys` on, so that no
 * address is its own image.
 */
void vf_open(struct vf *vf, struct card *card, uint32_t index, uint64_t phys, uint64_t bytes,
             unsigned pieces);
void vf_close(struct vf *vf);

/* Waits for vector 0; false after ten seconds, or as much longer as the tool takes. */
bool vf_wait_end(const struct vf *vf);

/* Takes it out of scheduling and waits until it is quiet; puts it back. */
void vf_pause(const struct vf *vf);
void vf_resume(const struct vf *vf);

/* Both quiet, reserves of one size: moves VRAM and execution state. */
void vf_move(const struct vf *from, const struct vf *to);

#endif
