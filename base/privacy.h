// SPDX-License-Identifier: Apache-2.0
/* What of this process others of the same machine may see. */
#ifndef VF_BASE_PRIVACY_H
#define VF_BASE_PRIVACY_H

/* Shuts this process in: it leaves no core file, and no other process of the same user (root aside)
 * may trace it or open its descriptors, since its memory and its descriptors hold what guests
 * store. First thing in main. With VFERRY_DEBUGGABLE=1 in the environment it does nothing: for
 * debuggers, and for tests that are not root and look inside. */
void vf_process_private(void);

#endif
