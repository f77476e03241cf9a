// SPDX-License-Identifier: Apache-2.0
/* See pulse.h. */
#define LOG_ROOM "control"
#include "daemon/control/pulse.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/service.h"
#include "daemon/control/protocol.h"

#include <stdio.h>
#include <stdlib.h>

#define BEAT_NS 1000000000ull

struct pulse {
    struct vf_service service; /* its lock guards what follows; sends below it do not wait */
    struct pulse_beat *beats;
    char stuck[256]; /* "" = nothing */
};

#define WAITS_NS 2000000000ull /* what a request said longer ago is over */

/* Under both locks. */
static void send_one(const struct pulse *pulse, const struct pulse_beat *beat)
{
    const bool waits = beat->waits_ns != 0 && vf_now_ns() - beat->waits_ns < WAITS_NS;
    json_t *line = json_pack("{s:{s:s?,s:s?}}", "alive", "stuck",
                             pulse->stuck[0] != '\0' ? pulse->stuck : NULL, "waits",
                             waits ? beat->waits : NULL);

    if (line != NULL && ctl_send(beat->fd, line, -1, 0) != 0)
        log_debug("a client takes no sign of life");
    json_decref(line);
}

/* A line of this size goes out whole or not at all: a client that reads nothing misses it. A line
 * that is just being sent there is a sign of life as well. */
static void send_all(struct pulse *pulse)
{
    for (struct pulse_beat *beat = pulse->beats; beat != NULL; beat = beat->next) {
        if (pthread_mutex_trylock(&beat->sending) != 0)
            continue;
        send_one(pulse, beat);
        vf_unlock(&beat->sending);
    }
}

static void *pulse_main(void *arg)
{
    struct pulse *pulse = arg;

    vf_lock(&pulse->service.lock);
    while (!pulse->service.ending) {
        const uint64_t until_ns = vf_now_ns() + BEAT_NS;

        if (pulse->beats == NULL) {
            vf_cond_wait(&pulse->service.wake, &pulse->service.lock);
            continue;
        }
        while (!pulse->service.ending &&
               vf_cond_wait_until(&pulse->service.wake, &pulse->service.lock, until_ns))
            continue;
        send_all(pulse);
    }
    vf_unlock(&pulse->service.lock);
    return NULL;
}

int pulse_open(struct pulse **out, struct vf_error *err)
{
    struct pulse *pulse = calloc(1, sizeof *pulse);

    if (pulse == NULL)
        return vf_fail(err, VF_FAILED, "signs of life: " VF_NO_MEMORY);
    if (vf_service_start(&pulse->service, "pulse", pulse_main, pulse, err) != 0) {
        free(pulse);
        return -1;
    }
    *out = pulse;
    return 0;
}

void pulse_close(struct pulse *pulse)
{
    if (pulse == NULL)
        return;
    vf_service_stop(&pulse->service);
    free(pulse);
}

void pulse_begin(struct pulse *pulse, struct pulse_beat *beat)
{
    if (pulse == NULL)
        return;
    vf_lock(&pulse->service.lock);
    if (pulse->beats == NULL)
        vf_cond_signal(&pulse->service.wake);
    beat->next = pulse->beats;
    pulse->beats = beat;
    vf_unlock(&pulse->service.lock);
}

void pulse_end(struct pulse *pulse, struct pulse_beat *beat)
{
    if (pulse == NULL)
        return;
    vf_lock(&pulse->service.lock);
    for (struct pulse_beat **at = &pulse->beats; *at != NULL; at = &(*at)->next) {
        if (*at == beat) {
            *at = beat->next;
            break;
        }
    }
    vf_unlock(&pulse->service.lock);
}

void pulse_stuck(struct pulse *pulse, const char *what)
{
    if (pulse == NULL)
        return;
    vf_lock(&pulse->service.lock);
    (void)snprintf(pulse->stuck, sizeof pulse->stuck, "%s", what != NULL ? what : "");
    vf_unlock(&pulse->service.lock);
}

void pulse_waits(struct pulse_beat *beat, const char *what)
{
    vf_lock(&beat->sending);
    (void)snprintf(beat->waits, sizeof beat->waits, "%s", what);
    beat->waits_ns = vf_now_ns();
    vf_unlock(&beat->sending);
}
