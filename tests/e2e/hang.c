// SPDX-License-Identifier: Apache-2.0
/*
 * A guest that goes wrong, for the end-to-end tests: puts a command that never ends, or
 * one that faults, in the place of its running workload's next step. Usage: hang
 * KERNEL-SOCKET NAME hang|fault
 */
#include "guest/internal.h"
#include "kernel/client.h"

#include <stdio.h>
#include <string.h>

/* The description's magic, which never is 0 while there is a workload. */
static const struct sg_cmd hang = {
    .op = SG_OP_WAIT, .flags = SG_COND_EQ, .a = {GUEST_DESCRIPTION_GPA, 0}};
static const struct sg_cmd fault = {.op = SG_OP_ADD, .a = {1ull << 38, 1}};

/* The loop's head: every step passes it. */
static int replace(struct kc *kc, uint64_t id, const struct sg_cmd *with, struct vf_error *err)
{
    struct sg_cmd ring[GUEST_RING_COMMANDS];

    if (kc_bar_read(kc, id, SG_VF_BAR_VRAM, GUEST_RING_GPA, ring, sizeof ring, err) != 0)
        return -1;
    for (unsigned i = 0; i < GUEST_RING_COMMANDS; i++) {
        if (ring[i].op == SG_OP_JUMP_IF)
            return kc_bar_write(kc, id, SG_VF_BAR_VRAM, GUEST_RING_GPA + i * SG_CMD_BYTES, with,
                                sizeof *with, err);
    }
    return vf_fail(err, VF_FAILED, "no workload with a loop in it");
}

int main(int argc, char **argv)
{
    struct vf_error err = VF_ERROR_INIT;
    struct vf_partition_info info;
    struct kc *kc = NULL;
    int failed;

    if (argc != 4 || (strcmp(argv[3], "hang") != 0 && strcmp(argv[3], "fault") != 0)) {
        (void)fprintf(stderr, "hang KERNEL-SOCKET NAME hang|fault\n");
        return 2;
    }
    failed = kc_connect(argv[1], &kc, &err) != 0 ||
             kc_partition_find(kc, argv[2], &info, &err) != 0 ||
             replace(kc, info.id, strcmp(argv[3], "hang") == 0 ? &hang : &fault, &err) != 0;
    kc_close(kc);
    if (failed)
        (void)fprintf(stderr, "hang: %s\n", err.text);
    return failed;
}
