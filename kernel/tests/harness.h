// SPDX-License-Identifier: Apache-2.0
/* A server over a fake dxgk on a directory of its own, for one test. */
#ifndef KERNEL_TESTS_HARNESS_H
#define KERNEL_TESTS_HARNESS_H

#include "kernel/client.h"
#include "kernel/server.h"
#include "kernel/tests/fake_dxgk.h"

#include <pthread.h>

struct harness {
    char dir[64];
    char socket[96];
    struct ks_server *server;
    struct dxgk *dxgk;
    pthread_t thread;
    int idle_ms;
    int signal_fd;
    bool ended; /* harness_await_end was called */
};

/* cmocka setup and teardown; *state is the harness. Teardown ends the server if the test
 * did not. */
int harness_setup(void **state);
int harness_teardown(void **state);

/* As the setup, with another idle time and a signalfd. */
struct harness *harness_start(int idle_ms, int signal_fd);
/* ... and another time in which a new connection has to say hello. */
struct harness *harness_start_with(int idle_ms, int signal_fd, unsigned hello_ms);
/* Waits for the server's own end, then closes it; the directory stays until the teardown. */
void harness_await_end(struct harness *harness);

/* Fail the test when it does not work. */
struct kc *harness_connect(struct harness *harness);
uint64_t harness_partition(struct kc *kc, const char *name, uint64_t vram_bytes, bool incoming);

/* A connected socket without hello. */
int harness_socket(struct harness *harness);

/* The seed of this run's random data: VFERRY_SEED or the clock; printed. Then numbers from it. */
uint64_t harness_seed(void);
uint64_t harness_random(uint64_t *seed);

#endif
