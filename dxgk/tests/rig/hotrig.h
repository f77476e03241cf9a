// SPDX-License-Identifier: Apache-2.0
/* What the tests of driver hot update share: updates by name, drivers that do wrong, a partition
 * at work. */
#ifndef DXGK_TESTS_HOTRIG_H
#define DXGK_TESTS_HOTRIG_H

#include "dxgk/tests/rig/moverig.h"

/* Replaces adapter 0's driver by NAME of VF_DRIVER_DIR. */
int hot_update(struct rig *rig, const char *name, bool dry_run, struct vf_driver_update *out,
               struct vf_error *error);
void hot_must_update(struct rig *rig, const char *name, struct vf_driver_update *out);
/* Is the code of an image of that file name in this process? */
bool hot_mapped(const char *name);
struct vf_driver_info hot_driver_of(struct rig *rig, uint32_t adapter);

/* Updates adapter 0 to the driver that makes the named fault (drivers/hotbad.c). */
int hot_update_bad(struct rig *rig, const char *fault, struct vf_driver_update *out,
                   struct vf_error *error);
/* Group teardown: what hot_update_bad left in the file system. */
int hot_remove_bad_drivers(void **unused);

/* A rig with a partition at work, and what is true of it afterwards, whatever a driver did. */
struct hot_work {
    struct rig rig;
    uint64_t id;
};

void hot_work_begin(struct hot_work *work);
/* It works on, pauses, and could move. */
void hot_work_goes_on(struct hot_work *work);
/* Nothing is stuck: a good update follows; closes the rig. */
void hot_work_end(struct hot_work *work);

#endif
