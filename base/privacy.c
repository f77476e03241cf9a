// SPDX-License-Identifier: Apache-2.0
/* See privacy.h. */
#include "base/privacy.h"

#include "base/log.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>

void vf_process_private(void)
{
    const struct rlimit none = {0, 0};
    const char *debuggable = getenv("VFERRY_DEBUGGABLE");

    if (debuggable != NULL && strcmp(debuggable, "1") == 0)
        return;
    /* The limit passes to programs started from here; the flag does not, they set it themselves. */
    if (prctl(PR_SET_DUMPABLE, 0) != 0 || setrlimit(RLIMIT_CORE, &none) != 0)
        log_warn("this process cannot be closed to others: %s", strerrordesc_np(errno));
}
