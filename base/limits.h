// SPDX-License-Identifier: Apache-2.0
/* What the system allows a process. */
#ifndef VF_BASE_LIMITS_H
#define VF_BASE_LIMITS_H

/* Takes as many open files as the hard limit grants: the soft one is low for the sake of select(2),
 * which nothing here uses. Before threads and children; best effort. */
void vf_raise_open_files(void);

#endif
