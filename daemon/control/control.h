// SPDX-License-Identifier: Apache-2.0
/*
 * The control socket: who connects there gets a thread of its own, at most CONTROL_MAX at once; one
 * more takes the place of the one that has been silent longest. Requests are answered by the verbs
 * that control_open is given.
 */
#ifndef DAEMON_CONTROL_H
#define DAEMON_CONTROL_H

#include "daemon/control/request.h"

#define CONTROL_MAX 64u

struct control;

/* Listens on state_dir/control.sock, mode 0600; with group_access 0660 and that group. What clients
 * ask is looked up with `find`. */
int control_open(struct daemon *daemon, verb_finder *find, struct control **out,
                 struct vf_error *err);
/* The listening socket, to poll. Main thread. */
int control_fd(const struct control *control);
/* Call it when that is readable: takes one connection. False: there is no descriptor for it, not
 * even to say so; leave it waiting for VF_ACCEPT_PAUSE_MS. Main thread. */
bool control_accept(struct control *control);
/* Ends every connection and returns when their threads are gone: idle ones at once, busy ones once
 * their request is answered (daemon->stop is set and jobs are ending by then). Removes the socket.
 * NULL is allowed. */
void control_close(struct control *control);

#endif
