// SPDX-License-Identifier: Apache-2.0
/* The one way out to another host: every connection of a job, and of what outlives it, is made
 * here. */
#include "migrate/mig.h"

int mig_dial(struct mig *mig, const char *address, uint64_t deadline_ns, struct tp **out,
             struct vf_error *err)
{
    if (tp_tcp_connect(address, deadline_ns, out, err) != 0)
        return -1;
    tp_set_silence(*out, mig->silence_ns);
    return 0;
}
