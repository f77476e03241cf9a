// SPDX-License-Identifier: Apache-2.0
/* The door that a guest's accesses (bar.c) pass: partition->vcpu, vcpu_shut and vcpu_gone. The
 * partition's lock is held. */
#ifndef DXGK_PARTITION_VCPU_H
#define DXGK_PARTITION_VCPU_H

#include "dxgk/internal.h"

/* Closes it for guest writes and waits for those under way (SRC-5); opens it. */
void dxgk_vcpu_shut(struct dxgk_partition *partition);
void dxgk_vcpu_open(struct dxgk_partition *partition);
/* The VF is, or may soon be, another tenant's: reads are refused too. Waits for those under way. */
void dxgk_vcpu_set_gone(struct dxgk_partition *partition, bool gone);

#endif
