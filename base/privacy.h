// SPDX-License-Identifier: Apache-2.0
/* What of this process others of the same machine may see. */
#ifndef VF_BASE_PRIVACY_H
#define VF_BASE_PRIVACY_H

/* No core file, and nobody of this user (root aside) may trace this process or open what it has
 * open: its memory and its descriptors hold what guests store. First thing in main. With
 * VFERRY_DEBUGGABLE=1 in the environment the process stays as any other is: for debuggers, and for
 * tests that are not root and look inside. */
void vf_process_private(void);

#endif
