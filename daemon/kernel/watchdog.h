// SPDX-License-Identifier: Apache-2.0
/*
 * Does the kernel side answer, and do its drivers come back? A thread with a connection of its own
 * asks it every second. One that has not answered for 3 s is told as a warning with what its
 * process does (stopped, waits for a disk), and so is its first answer after that; likewise a
 * driver's call that takes more than 10 s. Whoever else waits for the kernel side asks here
 * what to tell, and whether to go on.
 */
#ifndef DAEMON_WATCHDOG_H
#define DAEMON_WATCHDOG_H

#include "daemon/daemon.h"

/* A silence of the kernel side is told, and shown by `host show`, after WATCHDOG_TELL_NS;
 * verbs give up after WATCHDOG_GIVE_UP_NS; a daemon that ends waits WATCHDOG_END_NS for
 * threads in calls. */
#define WATCHDOG_TELL_NS 3000000000ull
#define WATCHDOG_GIVE_UP_NS 10000000000ull
#define WATCHDOG_END_NS 8000000000ull
/* A driver's call that takes longer than this counts as hung: verbs wait for it no longer. */
#define WATCHDOG_DRIVER_NS 30000000000ull

/* Main thread. Fills daemon->watchdog. */
int watchdog_start(struct daemon *daemon, struct vf_error *err);
/* Main thread; returns at once even while the kernel side answers nothing. */
void watchdog_stop(struct daemon *daemon);

/* The daemon ends: if it has not within WATCHDOG_END_NS the process exits the hard way, since
 * threads are in calls that have no end: the kernel side does not answer, or a driver's call never
 * comes back. It is safe as kill -9 is: the journal knows all. Main thread. */
void watchdog_ending(struct daemon *daemon);

/* How long the kernel side has not answered; 0 while that is less than WATCHDOG_TELL_NS. Any
 * thread; `daemon` may have no watchdog. */
uint64_t watchdog_silent_ns(struct daemon *daemon);

/* For how long of the time since then the kernel side answered nothing: what is known of that,
 * from half a second on. ctx is the struct daemon; as in mig_config. Any thread. */
uint64_t watchdog_mute_ns(void *ctx, uint64_t since_ns);

/* "the kernel side has not answered for 4 s (stopped by a signal)"; or, of a driver, "DxgkDdi...
 * of the driver of adapter 0 (softgpu.so) has not come back for 12 s"; or "". Any thread;
 * returns `text`. */
const char *watchdog_word(struct daemon *daemon, char *text, size_t bytes);

/* Who waits: what drivers do concerns it only where it waits for them. */
struct watchdog_waiter {
    uint32_t connection;   /* kc_connection of the call that it makes; 0 = see the next */
    const char *partition; /* or all that works on this one, as a job's threads; NULL = none */
};

/* The text about a driver's call alone, from WATCHDOG_TELL_NS on, if that call is one that `who`
 * waits for; else "". A kernel side that does not know who waits (version 5 and before) is taken to
 * mean everybody. Any thread; returns `text`. */
const char *watchdog_driver_word(struct daemon *daemon, const struct watchdog_waiter *who,
                                 char *text, size_t bytes);

/* Is the kernel side silent (watchdog_silent_ns)? Then -1, and *err says so and what to do; else 0.
 * Any thread. */
int watchdog_says(struct daemon *daemon, struct vf_error *err);

/* Has `who` waited too long? A call may take as long as the kernel side answers the watchdog and
 * the driver that it waits for comes back, as in watchdog_driver_word. 0, or -1 with *err. */
int watchdog_patience_of(struct daemon *daemon, const struct watchdog_waiter *who,
                         uint64_t waited_ns, struct vf_error *err);
/* A kc_patience for callers that wait for all drivers: as watchdog_patience_of, but any driver's
 * call that hangs ends the wait. ctx is the struct daemon. */
int watchdog_patience(void *ctx, uint64_t waited_ns, struct vf_error *err);

/* Somebody else was told how many partitions there are. Any thread. */
void watchdog_heard(struct daemon *daemon, uint32_t partitions);
/* How many partitions the kernel side had when it last answered; false: it never has. */
bool watchdog_partitions(struct daemon *daemon, uint32_t *count);

#endif
