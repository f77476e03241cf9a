// SPDX-License-Identifier: Apache-2.0
/* A kernel side in this process: the real call server over the tests' fake dxgk. */
#ifndef FUZZ_FAKE_HOST_H
#define FUZZ_FAKE_HOST_H

#include "kernel/server.h"
#include "kernel/tests/fake_dxgk.h"

#include <pthread.h>

struct fake_host {
    struct ks_server *server;
    struct dxgk *dxgk;
    pthread_t thread;
    int ended; /* eventfd, readable once the server has ended by itself */
};

/* Serves on the folder's kernel.sock. Does not return unless it works. */
void fake_host_start(struct fake_host *host, const char *directory);
/* Ends the server unless it has ended already, checks that no channel or transfer is left, and
 * closes it; who asked for its end hears of that now. Once it is closed, does nothing. */
void fake_host_end(struct fake_host *host);

#endif
