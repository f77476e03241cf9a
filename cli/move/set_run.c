// SPDX-License-Identifier: Apache-2.0
/* Beginning, following and cancelling several moves. See set.h. */
#include "cli/host/interrupt.h"
#include "cli/move/set_show.h"
#include "cli/output/print.h"
#include "cli/output/table.h"
#include "cli/show.h"

#include "base/cleanup.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>

/* More would only wait in the daemon, each with VRAM reserved at its target. */
#define AT_ONCE 8u

struct running {
    struct move_set *set;
    struct set_show show;
    struct pollfd *fds; /* one a move, and the signals last */
    int signal_fd;
    unsigned interrupts;
};

/* How bad an outcome is: an unknown one, and a partition that stands, are told of before anything
 * that leaves it at work. */
static unsigned rank(enum vf_code code)
{
    static const enum vf_code order[] = {VF_OK,           VF_CANCELLED,   VF_REFUSED_NOW,
                                         VF_INCOMPATIBLE, VF_UNREACHABLE, VF_USAGE,
                                         VF_FAILED,       VF_STANDS,      VF_UNKNOWN};
    unsigned at = 0;

    while (at < sizeof order / sizeof *order && order[at] != code)
        at++;
    return at;
}

enum vf_code move_set_worse(enum vf_code a, enum vf_code b)
{
    return rank(a) >= rank(b) ? a : b;
}

/* A further try that could not even begin: what the one before it ended with says more, of a daemon
 * that has ended, say. */
static bool tells_less(const struct set_move *move, const struct vf_error *err)
{
    return move->err.code == VF_FAILED &&
           move_set_worse(move->err.code, err->code) == move->err.code;
}

static void over(struct running *r, struct set_move *move, json_t *result,
                 const struct vf_error *err)
{
    client_close(&move->client);
    json_decref(move->result);
    move->result = result;
    move->err = *err;
    move->job = 0;
    move->state = SET_OVER;
    set_show_over(&r->show, r->set, move);
}

/* May another host take it, now that this try has failed? The partition works on here. */
static bool goes_on(const struct running *r, struct set_move *move)
{
    const struct move_set *set = r->set;

    if (r->interrupts > 0 || move->err.code == VF_OK ||
        (move->err.code != VF_FAILED && move->err.code != VF_INCOMPATIBLE &&
         move->err.code != VF_REFUSED_NOW))
        return false;
    return place_choose(set->hosts, set->host_count, move->vram_bytes, move->tried) != PLACE_NONE;
}

static enum client_reply last_reply(struct client *client, json_t **answer, struct vf_error *err)
{
    enum client_reply reply;

    while ((reply = client_next(client, answer, err)) == CLIENT_PROGRESS)
        json_decref(*answer);
    return reply;
}

/* The daemon's word on this try: begins the move, or checks it. */
static int ask(struct running *r, struct set_move *move, json_t **answer, struct vf_error *err)
{
    struct move_set *set = r->set;
    json_t *args = json_deep_copy(set->options);
    int status = -1;

    *answer = NULL;
    if (args == NULL || json_object_set_new(args, "name", json_string(move->name)) != 0 ||
        json_object_set_new(args, "to", json_string(set->hosts[move->host].address)) != 0)
        (void)vf_fail(err, VF_FAILED, "%s: " VF_NO_MEMORY, set->what);
    else if (client_send(&move->client, args, -1, err) == 0 &&
             last_reply(&move->client, answer, err) == CLIENT_RESULT)
        status = 0;
    json_decref(args);
    return status;
}

static int begin_watch(const struct command *command, struct set_move *move, struct vf_error *err)
{
    json_t *job = json_pack("{s:I}", "job", (json_int_t)move->job);
    int status = job == NULL ? vf_fail(err, VF_FAILED, VF_NO_MEMORY) : 0;

    if (status == 0) {
        pid_t pid = move->client.patience.pid;

        patience_begin(&move->client.patience, command, cli_verb_named("job watch"));
        move->client.patience.pid = pid;
        status = client_send(&move->client, job, -1, err);
    }
    json_decref(job);
    return status;
}

static int choose_host(struct move_set *set, struct set_move *move, struct vf_error *err)
{
    size_t host = place_choose(set->hosts, set->host_count, move->vram_bytes, move->tried);

    if (host == PLACE_NONE && move_set_leaves(set, err) != 0)
        return -1;
    if (host == PLACE_NONE)
        return vf_fail(err, VF_REFUSED_NOW,
                       "no host that is named has a free VF and the VRAM for it" VF_REMEDY
                       "name one more host, or make room there");
    move->host = host;
    move->tried |= 1ull << host;
    return 0;
}

/* Begins the next try, or takes up a move that is under way already. */
static void begin(struct running *r, struct set_move *move)
{
    struct move_set *set = r->set;
    bool ours = move->job == 0;
    struct vf_error err = VF_ERROR_INIT;
    json_t *answer = NULL;
    int status;

    move->client = (struct client)CLIENT_INIT;
    status = client_open(&move->client, set->command,
                         cli_verb_named(set->how == SET_CHECKS ? "check" : "migrate"), &err);
    if (status == 0 && ours)
        status = choose_host(set, move, &err);
    if (status == 0 && ours)
        status = ask(r, move, &answer, &err);
    if (status == 0 && ours)
        place_take(&set->hosts[move->host], move->vram_bytes);
    if (status == 0 && set->how == SET_MOVES) {
        move->job = ours ? table_number(answer, "job") : move->job;
        status = begin_watch(set->command, move, &err);
    }
    if (status != 0 && set->how == SET_MOVES && tells_less(move, &err)) {
        client_close(&move->client);
        json_decref(answer);
        move->state = SET_OVER;
        return;
    }
    if (status != 0 || set->how != SET_MOVES) {
        over(r, move, answer, &err);
        if (goes_on(r, move))
            move->state = SET_WAITING;
        return;
    }
    json_decref(answer);
    move->state = SET_MOVING;
    set_show_begun(&r->show, set, move);
}

static void hear(struct running *r, struct set_move *move)
{
    struct vf_error err = VF_ERROR_INIT;
    enum client_reply reply;
    json_t *object;

    while ((reply = client_poll(&move->client, &object, &err)) == CLIENT_PROGRESS) {
        set_show_progress(&r->show, r->set, move, object);
        json_decref(object);
    }
    if (reply == CLIENT_NOTHING)
        return;
    if (reply == CLIENT_LOST)
        err.code = VF_UNKNOWN; /* where it runs only the daemon's journal can tell */
    over(r, move, object, &err);
    if (goes_on(r, move))
        move->state = SET_WAITING;
}

/* Ctrl-C: nothing more begins, and what is under way is called off. */
static void cancel_all(struct running *r)
{
    for (size_t i = 0; i < r->set->count; i++) {
        struct set_move *move = &r->set->moves[i];
        struct vf_error err = VF_ERROR_INIT;
        json_t *result = NULL;
        json_t *job;

        if (move->state == SET_WAITING) {
            (void)vf_fail(&err, VF_CANCELLED, "was not begun");
            over(r, move, NULL, &err);
        }
        if (move->state != SET_MOVING)
            continue;
        job = json_pack("{s:I}", "job", (json_int_t)move->job);
        if (job == NULL ||
            client_ask_verb(r->set->command, "job cancel", job, &result, &err) != 0)
            (void)fprintf(stderr, "vferry: %s\n", err.text);
        json_decref(result);
        json_decref(job);
    }
}

static int on_signal(struct running *r, struct vf_error *err)
{
    struct signalfd_siginfo info;

    if (read(r->signal_fd, &info, sizeof info) != (ssize_t)sizeof info)
        return 0;
    if (r->interrupts++ > 0)
        return vf_fail(err, VF_UNKNOWN, "%s: left to itself" VF_REMEDY "see \"vferry job list\"",
                       r->set->what);
    set_show_pause(&r->show);
    (void)fprintf(stderr, "vferry: cancelling; once more leaves the moves to themselves\n");
    cancel_all(r);
    return 0;
}

/* Begins what may begin; how many are under way. */
static unsigned begin_some(struct running *r)
{
    unsigned moving = 0;

    for (size_t i = 0; i < r->set->count; i++)
        moving += r->set->moves[i].state == SET_MOVING;
    for (size_t i = 0; i < r->set->count && moving < AT_ONCE; i++) {
        struct set_move *move = &r->set->moves[i];

        while (move->state == SET_WAITING)
            begin(r, move);
        moving += move->state == SET_MOVING;
    }
    return moving;
}

/* Nobody tells of it: the word is due, or the end. Where it runs is not known then. */
static void on_silence(struct running *r, struct set_move *move)
{
    struct vf_error err = VF_ERROR_INIT;

    set_show_pause(&r->show);
    if (client_overdue(&move->client, &err) == 0)
        return;
    err.code = VF_UNKNOWN;
    over(r, move, NULL, &err);
}

static int next_ms(const struct move_set *set)
{
    int next = -1;

    for (size_t i = 0; i < set->count; i++) {
        int ms = set->moves[i].state == SET_MOVING ? client_ms(&set->moves[i].client) : -1;

        next = ms >= 0 && (next < 0 || ms < next) ? ms : next;
    }
    return next;
}

static int loop(struct running *r, struct vf_error *err)
{
    struct move_set *set = r->set;

    while (begin_some(r) > 0) {
        for (size_t i = 0; i < set->count; i++)
            r->fds[i] = (struct pollfd){.fd = set->moves[i].client.fd, .events = POLLIN};
        r->fds[set->count] = (struct pollfd){.fd = r->signal_fd, .events = POLLIN};
        if (poll(r->fds, set->count + 1, next_ms(set)) < 0) {
            if (errno != EINTR)
                return vf_fail_errno(err, VF_FAILED, errno, "poll");
            continue;
        }
        if (r->fds[set->count].revents != 0 && on_signal(r, err) != 0)
            return -1;
        for (size_t i = 0; i < set->count; i++) {
            if (set->moves[i].state == SET_MOVING && r->fds[i].revents != 0)
                hear(r, &set->moves[i]);
            else if (set->moves[i].state == SET_MOVING && client_ms(&set->moves[i].client) == 0)
                on_silence(r, &set->moves[i]);
        }
    }
    return 0;
}

/* One line for all that is left, with the worst reason's own words. */
static int conclude(const struct move_set *set, struct vf_error *err)
{
    const struct set_move *worst = NULL;
    size_t left = 0;

    for (size_t i = 0; i < set->count; i++) {
        const struct set_move *move = &set->moves[i];

        left += move->err.code != VF_OK;
        if (move->err.code != VF_OK &&
            (worst == NULL || move_set_worse(move->err.code, worst->err.code) != worst->err.code))
            worst = move;
    }
    if (worst == NULL)
        return 0;
    return vf_fail(err, worst->err.code, "%s: %zu of %zu partitions %s; %s: %.380s", set->what,
                   left, set->count, set->how == SET_CHECKS ? "cannot move" : "did not move",
                   worst->name, worst->err.text);
}

int move_set_run(struct move_set *set, struct vf_error *err)
{
    cleanup_close int signal_fd = -1;
    struct running r = {.set = set};
    int status;

    if (interrupt_take(&signal_fd, err) != 0)
        return -1;
    r.signal_fd = signal_fd;
    r.fds = calloc(set->count + 1, sizeof *r.fds);
    if (r.fds == NULL)
        return vf_fail(err, VF_FAILED, "%s: " VF_NO_MEMORY, set->what);
    set_show_open(&r.show, set);
    status = loop(&r, err);
    set_show_close(&r.show);
    free(r.fds);
    if (status == 0)
        status = conclude(set, err);
    if (err->code != VF_UNKNOWN || r.interrupts < 2) {
        json_t *result = set_result(set, status == 0 ? VF_OK : err->code);

        if (set->command->json)
            show_result(set->command, result);
        else
            print_move_set(result);
        json_decref(result);
    }
    return status;
}
