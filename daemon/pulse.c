// SPDX-License-Identifier: Apache-2.0
/* See pulse.h. */
#define LOG_ROOM "control"
#include "daemon/pulse.h"

#include "base/log.h"
#include "base/size.h"
#include "daemon/protocol.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>

#define BEAT_NS 1000000000ull

struct pulse {
    pthread_t thread;
    pthread_mutex_t lock; /* guards what follows; sends below it do not wait */
    pthread_cond_t news;  /* a first beat, or the end */
    struct pulse_beat *beats;
    bool ending;
    char stuck[256]; /* "" = nothing */
};

/* A line of this size goes out whole or not at all: a client that reads nothing misses it. A line
 * that is just being sent there is a sign of life as well. */
static void send_all(struct pulse *pulse)
{
    json_t *line =
        json_pack("{s:{s:s?}}", "alive", "stuck", pulse->stuck[0] != '\0' ? pulse->stuck : NULL);

    for (struct pulse_beat *beat = pulse->beats; line != NULL && beat != NULL; beat = beat->next) {
        if (pthread_mutex_trylock(&beat->sending) != 0)
            continue;
        if (ctl_send(beat->fd, line, -1, 0) != 0)
            log_debug("a client takes no sign of life");
        (void)pthread_mutex_unlock(&beat->sending);
    }
    json_decref(line);
}

static void *pulse_main(void *arg)
{
    struct pulse *pulse = arg;

    (void)prctl(PR_SET_NAME, "pulse");
    (void)pthread_mutex_lock(&pulse->lock);
    while (!pulse->ending) {
        struct timespec until = vf_timespec(vf_now_ns() + BEAT_NS);
        int woken = 0;

        if (pulse->beats == NULL) {
            (void)pthread_cond_wait(&pulse->news, &pulse->lock);
            continue;
        }
        while (!pulse->ending && woken != ETIMEDOUT)
            woken = pthread_cond_timedwait(&pulse->news, &pulse->lock, &until);
        send_all(pulse);
    }
    (void)pthread_mutex_unlock(&pulse->lock);
    return NULL;
}

int pulse_open(struct pulse **out, struct vf_error *err)
{
    struct pulse *pulse = calloc(1, sizeof *pulse);
    int failed;

    if (pulse == NULL)
        return vf_fail(err, VF_FAILED, "signs of life: out of memory");
    (void)pthread_mutex_init(&pulse->lock, NULL);
    vf_cond_init(&pulse->news);
    failed = pthread_create(&pulse->thread, NULL, pulse_main, pulse);
    if (failed != 0) {
        (void)pthread_cond_destroy(&pulse->news);
        (void)pthread_mutex_destroy(&pulse->lock);
        free(pulse);
        return vf_fail_errno(err, VF_FAILED, failed, "start the thread for signs of life");
    }
    *out = pulse;
    return 0;
}

void pulse_close(struct pulse *pulse)
{
    if (pulse == NULL)
        return;
    (void)pthread_mutex_lock(&pulse->lock);
    pulse->ending = true;
    (void)pthread_cond_signal(&pulse->news);
    (void)pthread_mutex_unlock(&pulse->lock);
    (void)pthread_join(pulse->thread, NULL);
    (void)pthread_cond_destroy(&pulse->news);
    (void)pthread_mutex_destroy(&pulse->lock);
    free(pulse);
}

void pulse_begin(struct pulse *pulse, struct pulse_beat *beat)
{
    if (pulse == NULL)
        return;
    (void)pthread_mutex_lock(&pulse->lock);
    if (pulse->beats == NULL)
        (void)pthread_cond_signal(&pulse->news);
    beat->next = pulse->beats;
    pulse->beats = beat;
    (void)pthread_mutex_unlock(&pulse->lock);
}

void pulse_end(struct pulse *pulse, struct pulse_beat *beat)
{
    if (pulse == NULL)
        return;
    (void)pthread_mutex_lock(&pulse->lock);
    for (struct pulse_beat **at = &pulse->beats; *at != NULL; at = &(*at)->next) {
        if (*at == beat) {
            *at = beat->next;
            break;
        }
    }
    (void)pthread_mutex_unlock(&pulse->lock);
}

void pulse_stuck(struct pulse *pulse, const char *what)
{
    if (pulse == NULL)
        return;
    (void)pthread_mutex_lock(&pulse->lock);
    (void)snprintf(pulse->stuck, sizeof pulse->stuck, "%s", what != NULL ? what : "");
    (void)pthread_mutex_unlock(&pulse->lock);
}
