// SPDX-License-Identifier: Apache-2.0
/* See harness.h. */
#include "kernel/tests/harness.h"

#include "base/clock.h"
#include "base/tests/folder.h"
#include "kernel/client_impl.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static void *run(void *arg)
{
    struct harness *harness = arg;
    struct vf_error err = VF_ERROR_INIT;

    if (ks_run(harness->server, harness->dxgk, &err) != 0)
        abort();
    return NULL;
}

struct harness *harness_start(int idle_ms, int signal_fd)
{
    return harness_start_with(idle_ms, signal_fd, 0);
}

struct harness *harness_start_with(int idle_ms, int signal_fd, unsigned hello_ms)
{
    struct harness *harness = calloc(1, sizeof *harness);
    struct vf_error err = VF_ERROR_INIT;
    struct ks_config config = {
        .specs = "--device fake", .idle_ms = idle_ms, .signal_fd = signal_fd, .hello_ms = hello_ms};
    struct dxgk_config devices = {.event = ks_event};

    assert_non_null(harness);
    test_template(harness->dir, "vferry-kernel-test");
    assert_non_null(mkdtemp(harness->dir));
    (void)snprintf(harness->socket, sizeof harness->socket, "%s/%s", harness->dir, KS_SOCKET_NAME);
    config.state_dir = harness->dir;
    if (ks_open(&config, &harness->server, &err) != 0)
        fail_msg("%s", err.text);
    devices.event_ctx = harness->server;
    assert_int_equal(dxgk_open(&devices, &harness->dxgk, &err), 0);
    assert_int_equal(pthread_create(&harness->thread, NULL, run, harness), 0);
    return harness;
}

void harness_await_end(struct harness *harness)
{
    (void)pthread_join(harness->thread, NULL);
    dxgk_close(harness->dxgk);
    ks_close(harness->server);
    harness->ended = true;
}

int harness_setup(void **state)
{
    *state = harness_start(60000, -1);
    return 0;
}

int harness_teardown(void **state)
{
    struct harness *harness = *state;
    char lock[96];

    if (!harness->ended) {
        fake_hold(harness->dxgk, false);
        ks_stop(harness->server);
        harness_await_end(harness);
    }
    (void)snprintf(lock, sizeof lock, "%s/%s", harness->dir, KS_LOCK_NAME);
    (void)unlink(lock);
    /* Fails, and with it the test, when the server left its socket behind. */
    if (rmdir(harness->dir) != 0)
        return -1;
    free(harness);
    return 0;
}

struct kc *harness_connect(struct harness *harness)
{
    struct vf_error err = VF_ERROR_INIT;
    struct kc *kc = NULL;

    if (kc_connect(harness->socket, &kc, &err) != 0)
        fail_msg("%s", err.text);
    return kc;
}

uint64_t harness_partition(struct kc *kc, const char *name, uint64_t vram_bytes, bool incoming)
{
    struct vf_partition_params params = {.vram_bytes = vram_bytes};
    struct vf_error err = VF_ERROR_INIT;
    struct vf_partition_info info;

    (void)snprintf(params.name, sizeof params.name, "%s", name);
    if (kc_partition_create(kc, &params, incoming, &info, &err) != 0)
        fail_msg("%s", err.text);
    return info.id;
}

int harness_socket(struct harness *harness)
{
    struct vf_error err = VF_ERROR_INIT;
    int fd = -1;

    if (kc_dial(harness->socket, KC_PATIENCE_MS, &fd, &err) != 0)
        fail_msg("%s", err.text);
    return fd;
}

uint64_t harness_seed(void)
{
    const char *wish = getenv("VFERRY_SEED");
    uint64_t seed = wish != NULL ? strtoull(wish, NULL, 0) : vf_now_ns() ^ (uint64_t)getpid() << 40;

    print_message("# VFERRY_SEED=0x%" PRIx64 "\n", seed);
    return seed;
}

/* splitmix64 */
uint64_t harness_random(uint64_t *seed)
{
    uint64_t z = *seed += 0x9e3779b97f4a7c15u;

    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}
