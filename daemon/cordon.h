// SPDX-License-Identifier: Apache-2.0
/* A cordoned host takes in no partition: none is created, arrives or is restored, until it is
 * uncordoned. What is here works on and may leave. A file in the state directory holds it, so that
 * it outlives vferryd. */
#ifndef DAEMON_CORDON_H
#define DAEMON_CORDON_H

#include "daemon/daemon.h"

/* At the start, once mig is open: as an earlier vferryd left it. */
void cordon_load(const struct daemon *daemon);
/* On disk when it returns 0. Said twice is as once. Any thread. */
int cordon_set(const struct daemon *daemon, bool on, struct vf_error *err);
/* VF_REFUSED_NOW when it is cordoned: `what` cannot begin. Any thread. */
int cordon_refuse(const struct daemon *daemon, const char *what, struct vf_error *err);

#endif
