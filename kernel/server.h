// SPDX-License-Identifier: Apache-2.0
/*
 * The kernel side's server of the call interface: owns the state directory's lock and socket, one
 * thread a connection. vferry-kernel's life is ks_open, dxgk_open, ks_run, dxgk_close, ks_close, in
 * this order.
 */
#ifndef KERNEL_SERVER_H
#define KERNEL_SERVER_H

#include "base/error.h"
#include "dxgk/dxgk.h"

#define KS_SOCKET_NAME "kernel.sock"
#define KS_LOCK_NAME "kernel.lock"
#define KS_IDLE_MS 10000
#define KS_HELLO_MS 10000u
#define KS_MAX_CONNECTIONS 512u /* sixteen moves in and as many out, of eight streams each: 288 */

struct ks_server;

struct ks_config {
    const char *state_dir;
    const char *specs; /* kc_host.specs; copied, cut to its room */
    int idle_ms;       /* ends after so long with neither connection nor partition */
    int signal_fd;     /* a signalfd of SIGTERM and SIGINT, or -1; the caller's to close */
    /* A connection that says nothing for so long at its start is closed; 0 = KS_HELLO_MS. */
    unsigned hello_ms;
};

/* Takes DIR/kernel.lock (a second kernel on DIR is refused) and listens on DIR/kernel.sock, mode
 * 0600, replacing the socket of a dead kernel. Clients can connect from here and are served once
 * ks_run is called. */
int ks_open(const struct ks_config *config, struct ks_server **out, struct vf_error *err);

/* For dxgk_config.event: `server` is the struct ks_server. Any thread, until ks_close. */
void ks_event(void *server, const char *kind, const char *text);

/* Serves until a shutdown call, a signal without partitions, idleness or ks_stop; then closes every
 * connection, waiting for the calls and transfers in flight, and removes the socket. dxgk is closed
 * by the caller afterwards. */
int ks_run(struct ks_server *server, struct dxgk *dxgk, struct vf_error *err);

/* Makes ks_run return, partitions or not. Any thread. */
void ks_stop(struct ks_server *server);

/* Releases the lock, then tells a client that waits for its shutdown call's end. NULL
 * is allowed. */
void ks_close(struct ks_server *server);

#endif
