// SPDX-License-Identifier: Apache-2.0
/*
 * What the parts of vferryd share: one struct daemon, made by main.c and constant but for
 * what says otherwise.
 */
#ifndef DAEMON_DAEMON_H
#define DAEMON_DAEMON_H

#include "base/spare_fd.h"
#include "daemon/control/pulse.h"
#include "daemon/events/events.h"
#include "daemon/history/history.h"
#include "kernel/client.h"
#include "migrate/migrate.h"

#include <limits.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/types.h>

struct daemon {
    char name[VF_NAME_BYTES];
    char state_dir[PATH_MAX]; /* absolute */
    char kernel_socket[108];  /* by /proc/self/fd/... when the directory's path is too long */
    char listen[256];         /* as bound; "" = none */
    bool group_access;        /* members of socket_gid may use the control socket */
    gid_t socket_gid;
    /* Main thread's, for who comes to `listen` when no descriptor is left: one to take the
     * connection with, one for the stream over it. */
    struct vf_spare_fd listen_spare, listen_spare_stream;
    int state_fd; /* of state_dir */
    int lock_fd;
    int kernel_pidfd; /* readable once the kernel side has ended */
    int32_t kernel_pid;
    _Atomic pid_t kernel_child; /* started by this daemon, which is not up yet; 0 = none */
    struct kc
        *kc; /* keeps an idle kernel side from leaving; a request's when no other can be made */
    struct mig *mig;
    struct startup *startup;    /* main thread: NULL once it is over; see startup.h */
    struct watchdog *watchdog;  /* NULL before it is started; see watchdog.h */
    struct events events;       /* has its own lock */
    struct history *history;    /* likewise; NULL = none is wanted */
    struct pulse *pulse;        /* has its own lock; outlives the control socket */
    int wake_fd;                /* eventfd: the main loop looks at `stop` */
    _Atomic bool stop;          /* set once: the daemon ends */
    _Atomic bool kernel_ending; /* host stop is under way: the kernel side's end is no accident */
};

/* Has the main loop end the daemon: sets `stop` and wakes it. Any thread; returns at once. */
void daemon_stop(struct daemon *daemon);

#endif
