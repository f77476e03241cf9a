// SPDX-License-Identifier: Apache-2.0
/* A cordoned host takes in no partition: none is created, arrives or is restored, until it is
 * uncordoned. What is here works on and may leave. A file in the state directory holds it, so that
 * it outlives vferryd. */
#ifndef DAEMON_CORDON_H
#define DAEMON_CORDON_H

#include "daemon/daemon.h"

/* Cordons the host if an earlier vferryd left it so. Main thread, once daemon->mig is open. */
void cordon_load(const struct daemon *daemon);
/* Cordons the host, or uncordons it; one that is so already stays so. On disk when it returns 0.
 * VF_FAILED when the state directory cannot be written to: the host stays as it was. Any thread. */
int cordon_set(const struct daemon *daemon, bool on, struct vf_error *err);
/* VF_REFUSED_NOW when it is cordoned: `what` cannot begin. Any thread. */
int cordon_refuse(const struct daemon *daemon, const char *what, struct vf_error *err);

#endif
