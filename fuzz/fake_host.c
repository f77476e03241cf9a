// SPDX-License-Identifier: Apache-2.0
/* See fake_host.h. */
#include "fuzz/fake_host.h"

#include "fuzz/target.h"

#include <sys/eventfd.h>
#include <unistd.h>

static void *serve(void *arg)
{
    struct fake_host *host = arg;
    struct vf_error err = VF_ERROR_INIT;

    fuzz_must(ks_run(host->server, host->dxgk, &err) == 0);
    fuzz_must(eventfd_write(host->ended, 1) == 0);
    return NULL;
}

void fake_host_start(struct fake_host *host, const char *directory)
{
    struct ks_config config = {.state_dir = directory, .idle_ms = 60000, .signal_fd = -1};
    struct dxgk_config devices = {.event = ks_event};
    struct vf_error err = VF_ERROR_INIT;

    fuzz_must(ks_open(&config, &host->server, &err) == 0);
    devices.event_ctx = host->server;
    fuzz_must(dxgk_open(&devices, &host->dxgk, &err) == 0);
    host->ended = eventfd(0, EFD_CLOEXEC);
    fuzz_must(host->ended >= 0);
    fuzz_must(pthread_create(&host->thread, NULL, serve, host) == 0);
}

void fake_host_end(struct fake_host *host)
{
    if (host->server == NULL)
        return;
    ks_stop(host->server);
    (void)pthread_join(host->thread, NULL);
    fuzz_must(fake_channels(host->dxgk) == 0 && fake_flying(host->dxgk) == 0);
    dxgk_close(host->dxgk);
    ks_close(host->server);
    host->server = NULL;
    (void)close(host->ended);
    host->ended = -1;
}
