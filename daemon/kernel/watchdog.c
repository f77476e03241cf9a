// SPDX-License-Identifier: Apache-2.0
/* See watchdog.h. */
#define LOG_ROOM "watchdog"
#include "daemon/kernel/watchdog.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/process_state.h"
#include "base/service.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define EVERY_NS 1000000000ull
/* An answer that takes so long is not one of a process that works. */
#define MUTE_NS 500000000ull

struct watchdog {
    struct daemon *daemon;
    struct kc *kc; /* of its own: what it asks stands in nobody's queue */
    bool told;             /* own thread: that this question is not answered */
    uint64_t told_call_ns; /* own thread: of a call that was told as one that hangs; 0 = none was */
    struct vf_service service; /* its lock is a leaf and guards what follows */
    uint64_t asked_ns;    /* since when a question is open; 0 = none is */
    uint64_t mute_ns;     /* when the last question was asked that waited for MUTE_NS ... */
    uint64_t heard_ns;    /* ... and when it was answered; 0 = none did */
    uint64_t ending_ns;   /* since when the daemon ends; 0 = it does not */
    bool answered;        /* it has, once */
    uint32_t partitions;  /* what it said then */
    struct kc_driver_call longest; /* what drivers did when it last answered; ns 0 = nothing */
    struct kc_waiter waiters[KC_WAITERS]; /* and who waited for that */
    size_t waiter_count;
};

static uint64_t since(uint64_t begin)
{
    return begin == 0 ? 0 : vf_now_ns() - begin;
}

/* Stopped processes go on by a signal; the others by themselves, or never. */
static const char *remedy(pid_t pid, char *text, size_t bytes)
{
    const char *stop = "end the host with \"vferry host stop --force\", which drops its partitions";

    if (vf_process_stopped(pid))
        (void)snprintf(text, bytes, "let it go on with \"kill -CONT %d\", or %s", (int)pid, stop);
    else
        (void)snprintf(text, bytes, "wait, or %s", stop);
    return text;
}

static void tell_silence(struct watchdog *dog, uint64_t silent_ns)
{
    const pid_t pid = dog->daemon->kernel_pid;
    char state[VF_PROCESS_STATE_BYTES];
    char what[200];

    dog->told = true;
    (void)vf_process_state(pid, state, sizeof state);
    log_warn("the kernel side, pid %d, has not answered for %u s (%s); %s", (int)pid,
             (unsigned)(silent_ns / 1000000000u), state, remedy(pid, what, sizeof what));
}

/* Lock held. */
static bool is_waiter(const struct kc_waiter *waiter, const struct watchdog_waiter *who)
{
    return who->connection != 0
               ? waiter->connection == who->connection
               : who->partition != NULL && strcmp(waiter->partition, who->partition) == 0;
}

/* The driver's call that `who` waits for longest, or anyone if that is NULL: if for `enough_ns`
 * or longer. */
static bool hangs(struct daemon *daemon, const struct watchdog_waiter *who, uint64_t enough_ns,
                  struct kc_driver_call *call)
{
    struct watchdog *dog = daemon->watchdog;

    *call = (struct kc_driver_call){0};
    if (dog == NULL)
        return false;
    vf_lock(&dog->service.lock);
    if (who == NULL)
        *call = dog->longest;
    for (size_t i = 0; who != NULL && i < dog->waiter_count; i++) {
        if (is_waiter(&dog->waiters[i], who) && dog->waiters[i].call.ns > call->ns)
            *call = dog->waiters[i].call;
    }
    vf_unlock(&dog->service.lock);
    return call->ns > 0 && call->ns >= enough_ns;
}

/* "DxgkDdiDestroyVirtualGpu of the driver of adapter 0 (softgpu.so) has not come back for 31 s" */
static const char *call_clause(const struct kc_driver_call *call, char *text, size_t bytes)
{
    const char *slash = strrchr(call->driver, '/');

    (void)snprintf(text, bytes,
                   "%.47s of the driver of adapter %" PRIu32 " (%.60s) has not come back for %u s",
                   call->ddi, call->adapter, slash != NULL ? slash + 1 : call->driver,
                   (unsigned)(call->ns / 1000000000u));
    return text;
}

/* Nothing that this process holds is worth more than its end: what is known is in the journal. */
static _Noreturn void end_hard(const struct watchdog *dog, bool silent)
{
    struct kc_driver_call call;
    char clause[200] = "a step of its end hangs";

    if (silent)
        (void)snprintf(clause, sizeof clause, "the kernel side answers nothing");
    else if (hangs(dog->daemon, NULL, WATCHDOG_TELL_NS, &call))
        (void)call_clause(&call, clause, sizeof clause);
    if (atomic_load(&dog->daemon->kernel_ending))
        log_warn("ended while %s; the next vferryd brings every job to its end", clause);
    else
        log_warn("ended while %s; the kernel side, pid %d, stays with its partitions, and the next "
                 "vferryd brings every job to its end",
                 clause, dog->daemon->kernel_pid);
    _exit(VF_OK);
}

/* Does the end take longer than any that comes to one by itself? */
static void bound_end(struct watchdog *dog, bool silent)
{
    uint64_t ending_ns;

    vf_lock(&dog->service.lock);
    ending_ns = since(dog->ending_ns);
    vf_unlock(&dog->service.lock);
    if (ending_ns >= WATCHDOG_END_NS)
        end_hard(dog, silent);
}

/* While the question is open, twice a second, on the watchdog's thread. */
static int while_it_waits(void *ctx, uint64_t waited_ns, struct vf_error *err)
{
    struct watchdog *dog = ctx;
    uint64_t silent_ns;
    char word[256];
    bool stop;

    (void)waited_ns; /* the whole question counts, of several calls */
    vf_lock(&dog->service.lock);
    silent_ns = since(dog->asked_ns);
    stop = dog->service.ending;
    vf_unlock(&dog->service.lock);
    if (stop)
        return vf_fail(err, VF_CANCELLED, "the daemon ends");
    if (silent_ns >= WATCHDOG_TELL_NS && !dog->told)
        tell_silence(dog, silent_ns);
    if (silent_ns >= WATCHDOG_TELL_NS)
        pulse_stuck(dog->daemon->pulse, watchdog_word(dog->daemon, word, sizeof word));
    bound_end(dog, silent_ns >= WATCHDOG_TELL_NS);
    return 0;
}

/* What it was told of drivers; a call that hangs once, and its end. */
static void note_call(struct watchdog *dog, const struct kc_driver_call *call)
{
    char clause[200];

    vf_lock(&dog->service.lock);
    dog->longest = *call;
    vf_unlock(&dog->service.lock);
    if (dog->told_call_ns != 0 && call->ns < dog->told_call_ns) {
        log_warn("the driver has come back, after %u s or more",
                 (unsigned)(dog->told_call_ns / 1000000000u));
        dog->told_call_ns = 0;
    }
    if (call->ns < WATCHDOG_GIVE_UP_NS)
        return;
    if (dog->told_call_ns == 0)
        log_warn("%s; wait, or end the host with \"vferry host stop --force\", which drops its "
                 "partitions",
                 call_clause(call, clause, sizeof clause));
    dog->told_call_ns = call->ns;
}

/* Only while a driver's call takes long: that is rare. */
static int ask_who_waits(struct watchdog *dog, const struct kc_driver_call *longest,
                         struct vf_error *err)
{
    cleanup_free struct kc_waiter *waiters = NULL;
    size_t count = 0;

    if (longest->ns >= WATCHDOG_TELL_NS) {
        waiters = calloc(KC_WAITERS, sizeof *waiters);
        if (waiters == NULL)
            return vf_fail(err, VF_FAILED, "watchdog: " VF_NO_MEMORY);
        if (kc_waiters(dog->kc, waiters, &count, err) != 0)
            return -1;
    }
    vf_lock(&dog->service.lock);
    dog->waiter_count = count;
    if (count > 0)
        memcpy(dog->waiters, waiters, count * sizeof *waiters);
    vf_unlock(&dog->service.lock);
    return 0;
}

static void ask(struct watchdog *dog)
{
    struct vf_error err = VF_ERROR_INIT;
    uint64_t begin = vf_now_ns();
    struct kc_driver_call call = {0};
    struct kc_host host;
    int result;

    vf_lock(&dog->service.lock);
    dog->asked_ns = begin;
    vf_unlock(&dog->service.lock);
    result = kc_host(dog->kc, &host, &err);
    if (result == 0)
        result = kc_driver_call(dog->kc, &call, &err);
    if (result == 0)
        result = ask_who_waits(dog, &call, &err);
    vf_lock(&dog->service.lock);
    dog->asked_ns = 0;
    if (since(begin) >= MUTE_NS) {
        dog->mute_ns = begin;
        dog->heard_ns = vf_now_ns();
    }
    vf_unlock(&dog->service.lock);
    if (result == 0) {
        watchdog_heard(dog->daemon, host.partitions);
        note_call(dog, &call);
    }
    /* One that is gone ends the host: main sees it. */
    if (result != 0)
        log_debug("%s", err.text);
    else if (dog->told)
        log_warn("the kernel side, pid %d, answers again, after %u s", dog->daemon->kernel_pid,
                 (unsigned)((vf_now_ns() - begin) / 1000000000u));
    if (dog->told)
        pulse_stuck(dog->daemon->pulse, NULL);
    dog->told = false;
}

static void *watch(void *arg)
{
    struct watchdog *dog = arg;

    do {
        ask(dog);
        bound_end(dog, false);
    } while (vf_service_nap(&dog->service, EVERY_NS));
    return NULL;
}

static void destroy(struct watchdog *dog)
{
    if (dog->kc != NULL)
        kc_abort(dog->kc);
    vf_service_stop(&dog->service);
    dog->daemon->watchdog = NULL;
    kc_close(dog->kc);
    free(dog);
}

int watchdog_start(struct daemon *daemon, struct vf_error *err)
{
    struct watchdog *dog = calloc(1, sizeof *dog);

    if (dog == NULL)
        return vf_fail(err, VF_FAILED, "watchdog: " VF_NO_MEMORY);
    dog->daemon = daemon;
    daemon->watchdog = dog; /* before its thread and all others, which read it */
    if (kc_connect(daemon->kernel_socket, &dog->kc, err) == 0) {
        kc_set_patience(dog->kc, while_it_waits, dog);
        if (vf_service_start(&dog->service, "watchdog", watch, dog, err) == 0)
            return 0;
    }
    destroy(dog);
    return -1;
}

void watchdog_stop(struct daemon *daemon)
{
    if (daemon->watchdog != NULL)
        destroy(daemon->watchdog);
}

void watchdog_ending(struct daemon *daemon)
{
    struct watchdog *dog = daemon->watchdog;

    if (dog == NULL)
        return;
    vf_lock(&dog->service.lock);
    dog->ending_ns = vf_now_ns();
    vf_unlock(&dog->service.lock);
}

/* Since when a question is open, by whatever little. */
static uint64_t open_ns(struct watchdog *dog)
{
    uint64_t asked;

    if (dog == NULL)
        return 0;
    vf_lock(&dog->service.lock);
    asked = dog->asked_ns;
    vf_unlock(&dog->service.lock);
    return since(asked);
}

uint64_t watchdog_silent_ns(struct daemon *daemon)
{
    uint64_t silent_ns = open_ns(daemon->watchdog);

    return silent_ns >= WATCHDOG_TELL_NS ? silent_ns : 0;
}

/* How much of begin...end lies after `since_ns`. */
static uint64_t part_after(uint64_t begin, uint64_t end, uint64_t since_ns)
{
    begin = begin > since_ns ? begin : since_ns;
    return end > begin ? end - begin : 0;
}

uint64_t watchdog_mute_ns(void *ctx, uint64_t since_ns)
{
    struct watchdog *dog = ((struct daemon *)ctx)->watchdog;
    uint64_t now = vf_now_ns();
    uint64_t open = 0, past;

    if (dog == NULL)
        return 0;
    vf_lock(&dog->service.lock);
    if (dog->asked_ns != 0 && now - dog->asked_ns >= MUTE_NS)
        open = part_after(dog->asked_ns, now, since_ns);
    past = part_after(dog->mute_ns, dog->heard_ns, since_ns);
    vf_unlock(&dog->service.lock);
    return open > past ? open : past;
}

const char *watchdog_word(struct daemon *daemon, char *text, size_t bytes)
{
    uint64_t silent_ns = watchdog_silent_ns(daemon);
    char state[VF_PROCESS_STATE_BYTES];

    struct kc_driver_call call;

    text[0] = '\0';
    if (silent_ns == 0 && hangs(daemon, NULL, WATCHDOG_GIVE_UP_NS, &call))
        return call_clause(&call, text, bytes);
    if (silent_ns != 0)
        (void)snprintf(text, bytes, "the kernel side has not answered for %u s (%s)",
                       (unsigned)(silent_ns / 1000000000u),
                       vf_process_state(daemon->kernel_pid, state, sizeof state));
    return text;
}

const char *watchdog_driver_word(struct daemon *daemon, const struct watchdog_waiter *who,
                                 char *text, size_t bytes)
{
    struct kc_driver_call call;

    text[0] = '\0';
    return hangs(daemon, who, WATCHDOG_TELL_NS, &call) ? call_clause(&call, text, bytes) : text;
}

int watchdog_says(struct daemon *daemon, struct vf_error *err)
{
    uint64_t silent_ns = watchdog_silent_ns(daemon);
    char state[VF_PROCESS_STATE_BYTES];
    char what[200];

    if (silent_ns == 0)
        return 0;
    (void)vf_process_state(daemon->kernel_pid, state, sizeof state);
    return vf_fail(
        err, VF_FAILED,
        "the kernel side, pid %d, has not answered for %u s (%s); what was asked for may "
        "still happen when it goes on" VF_REMEDY "%s",
        daemon->kernel_pid, (unsigned)(silent_ns / 1000000000u), state,
        remedy(daemon->kernel_pid, what, sizeof what));
}

/* A call waits for a driver, its own or one that holds what it needs. */
static int driver_says(struct daemon *daemon, const struct watchdog_waiter *who, uint64_t waited_ns,
                       struct vf_error *err)
{
    const bool ends = atomic_load(&daemon->stop);
    struct kc_driver_call call;
    char clause[200];

    if (waited_ns < (ends ? WATCHDOG_TELL_NS : WATCHDOG_GIVE_UP_NS) ||
        !hangs(daemon, who, ends ? WATCHDOG_TELL_NS : WATCHDOG_DRIVER_NS, &call))
        return 0;
    return vf_fail(err, VF_FAILED,
                   "%s; what was asked for may still happen when it does" VF_REMEDY
                   "look again then, or end the host with \"vferry host stop --force\", which "
                   "drops its partitions",
                   call_clause(&call, clause, sizeof clause));
}

int watchdog_patience_of(struct daemon *daemon, const struct watchdog_waiter *who,
                         uint64_t waited_ns, struct vf_error *err)
{
    uint64_t enough = atomic_load(&daemon->stop) ? WATCHDOG_TELL_NS : WATCHDOG_GIVE_UP_NS;

    return watchdog_silent_ns(daemon) < enough ? driver_says(daemon, who, waited_ns, err)
                                               : watchdog_says(daemon, err);
}

int watchdog_patience(void *ctx, uint64_t waited_ns, struct vf_error *err)
{
    return watchdog_patience_of(ctx, NULL, waited_ns, err);
}

void watchdog_heard(struct daemon *daemon, uint32_t partitions)
{
    struct watchdog *dog = daemon->watchdog;

    if (dog == NULL)
        return;
    vf_lock(&dog->service.lock);
    dog->answered = true;
    dog->partitions = partitions;
    vf_unlock(&dog->service.lock);
}

bool watchdog_partitions(struct daemon *daemon, uint32_t *count)
{
    struct watchdog *dog = daemon->watchdog;
    bool known;

    if (dog == NULL)
        return false;
    vf_lock(&dog->service.lock);
    known = dog->answered;
    *count = dog->partitions;
    vf_unlock(&dog->service.lock);
    return known;
}
