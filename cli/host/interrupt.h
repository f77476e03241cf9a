// SPDX-License-Identifier: Apache-2.0
/* Ctrl-C and SIGTERM as something to wait for beside a reply. */
#ifndef CLI_INTERRUPT_H
#define CLI_INTERRUPT_H

#include "base/error.h"

/* From here on both signals end nothing by themselves, and make *fd readable. The descriptor is the
 * caller's to close. */
int interrupt_take(int *fd, struct vf_error *err);

#endif
