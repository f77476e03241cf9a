// SPDX-License-Identifier: Apache-2.0
/*
 * vferry migrate and job watch, and what all verbs that start a job share. The job lives in the
 * daemon; this end starts it, watches it and passes Ctrl-C on as a cancel, on a second connection
 * because the first is busy with the watch.
 */
#include "cli/move/migrate.h"

#include "base/cleanup.h"
#include "cli/host/client.h"
#include "cli/host/interrupt.h"
#include "cli/move/progress.h"
#include "cli/output/print.h"
#include "cli/output/table.h"
#include "cli/show.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>

struct follow {
    const struct command *command;
    json_t *job; /* {"job": ID} */
    struct client watch;
    struct client cancel; /* open once a cancel was asked */
    struct progress progress;
    int signal_fd; /* -1: signals end this program as usual */
    unsigned interrupts;
    bool heard;     /* the daemon has told of it */
    json_t *result; /* the job's last object */
};

static uint64_t job_id(const struct follow *follow)
{
    return table_number(follow->job, "job");
}

/* A failed cancel is told, and the watch goes on: the move has its own end. */
static void ask_cancel(struct follow *follow)
{
    struct vf_error err = VF_ERROR_INIT;

    progress_end(&follow->progress);
    (void)fprintf(stderr, "vferry: cancelling job %" PRIu64 "; once more leaves it to itself\n",
                  job_id(follow));
    if (client_open(&follow->cancel, follow->command, cli_verb_named("job cancel"), &err) != 0 ||
        client_send(&follow->cancel, follow->job, -1, &err) != 0) {
        (void)fprintf(stderr, "vferry: %s\n", err.text);
        client_close(&follow->cancel);
    }
}

static void hear_cancel(struct follow *follow)
{
    struct vf_error err = VF_ERROR_INIT;
    json_t *object;
    enum client_reply reply;

    while ((reply = client_poll(&follow->cancel, &object, &err)) == CLIENT_PROGRESS)
        json_decref(object);
    json_decref(object);
    if (reply == CLIENT_NOTHING)
        return;
    if (reply == CLIENT_ERROR) {
        progress_end(&follow->progress);
        (void)fprintf(stderr, "vferry: %s\n", err.text);
    }
    client_close(&follow->cancel);
}

/* 1 = it is over, 0 = not yet. */
static int hear_watch(struct follow *follow, enum client_reply *reply, struct vf_error *err)
{
    json_t *object;

    while ((*reply = client_poll(&follow->watch, &object, err)) == CLIENT_PROGRESS) {
        progress_show(&follow->progress, object);
        json_decref(object);
        follow->heard = true;
    }
    if (*reply == CLIENT_NOTHING)
        return 0;
    follow->result = object;
    return 1;
}

static int on_signal(struct follow *follow, struct vf_error *err)
{
    struct signalfd_siginfo info;

    if (read(follow->signal_fd, &info, sizeof info) != (ssize_t)sizeof info)
        return 0;
    if (follow->interrupts++ == 0) {
        ask_cancel(follow);
        return 0;
    }
    return vf_fail(err, VF_UNKNOWN,
                   "job %" PRIu64 ": left to itself" VF_REMEDY "see \"vferry job show %" PRIu64
                   "\"",
                   job_id(follow), job_id(follow));
}

/* The word is due, or the end. Of a job that was seen at work the end is not known. */
static int on_silence(struct follow *follow, struct vf_error *err)
{
    progress_end(&follow->progress);
    if (client_overdue(&follow->watch, err) == 0)
        return 0;
    if (follow->heard || follow->command->verb != follow->watch.patience.verb)
        err->code = VF_UNKNOWN;
    return vf_context(err, "job %" PRIu64 ": nobody tells of it any more", job_id(follow));
}

/* Until the job's last reply: 0, or -1 when there will be none. */
static int await_last(struct follow *follow, enum client_reply *reply, struct vf_error *err)
{
    int over = hear_watch(follow, reply, err);

    while (!over) {
        struct pollfd fds[] = {{.fd = follow->watch.fd, .events = POLLIN},
                               {.fd = follow->signal_fd, .events = POLLIN},
                               {.fd = follow->cancel.fd, .events = POLLIN}};
        int ready = poll(fds, 3, client_ms(&follow->watch));

        if (ready < 0 && errno != EINTR)
            return vf_fail_errno(err, VF_FAILED, errno, "poll");
        if (ready < 0)
            continue;
        if (ready == 0 && on_silence(follow, err) != 0)
            return -1;
        if (fds[1].revents != 0 && on_signal(follow, err) != 0)
            return -1;
        if (fds[2].revents != 0)
            hear_cancel(follow);
        if (fds[0].revents != 0)
            over = hear_watch(follow, reply, err);
    }
    return 0;
}

static int loop(struct follow *follow, struct vf_error *err)
{
    enum client_reply reply = CLIENT_NOTHING;

    if (await_last(follow, &reply, err) != 0)
        return -1;
    if (reply == CLIENT_RESULT)
        return 0;
    /* Whether the move ended, and where the partition runs, only the daemon's journal can tell. */
    if (reply == CLIENT_LOST)
        return vf_fail(err, VF_UNKNOWN,
                       "vferryd went away during job %" PRIu64 ", its outcome is unknown" VF_REMEDY
                       "start vferryd again, then see \"vferry job show %" PRIu64 "\"",
                       job_id(follow), job_id(follow));
    return -1;
}

/* Follows the job on the open connection to its end and prints what became of it. */
static int follow_job(const struct command *command, struct client *client, json_t *job,
                      int signal_fd, struct vf_error *err)
{
    struct follow follow = {.command = command,
                            .job = job,
                            .watch = *client,
                            .cancel = CLIENT_INIT,
                            .signal_fd = signal_fd};
    int status;

    progress_init(&follow.progress, command->json);
    patience_next(&follow.watch.patience, cli_verb_named("job watch"));
    status = client_send(&follow.watch, job, -1, err);
    if (status == 0)
        status = loop(&follow, err);
    progress_end(&follow.progress);
    /* Without --json the error's line says what the object would, but for the reasons. */
    show_outcome(command, status, follow.result, false, err);
    if (status != 0 && !command->json)
        print_reasons(follow.result);
    if (table_text(follow.result, "warning")[0] != '\0')
        (void)fprintf(stderr, "vferry: warning: %s\n", table_text(follow.result, "warning"));
    json_decref(follow.result);
    client_close(&follow.cancel);
    *client = follow.watch;
    return status;
}

static int start(struct client *client, const struct command *command, int file, json_t **started,
                 struct vf_error *err)
{
    if (client_open(client, command, command->verb, err) != 0 ||
        client_send(client, command->args, file, err) != 0)
        return -1;
    return client_next(client, started, err) == CLIENT_RESULT ? 0 : -1;
}

int run_job(const struct command *command, int file, struct vf_error *err)
{
    struct client client = CLIENT_INIT;
    cleanup_close int signal_fd = -1;
    json_t *started = NULL;
    json_t *job = NULL;
    int status;

    /* Before it begins: a Ctrl-C in between must not leave it running unwatched. */
    status = interrupt_take(&signal_fd, err);
    client.interrupt_fd = signal_fd;
    if (status == 0)
        status = start(&client, command, file, &started, err);
    if (status == 0) {
        job = json_pack("{s:O}", "job", json_object_get(started, "job"));
        if (!json_is_true(json_object_get(command->args, "detach")))
            status = follow_job(command, &client, job, signal_fd, err);
        else if (command->json)
            show_result(command, started);
        else
            (void)printf("job %" PRIu64 " moves %s to %s\n", table_number(started, "job"),
                         table_text(started, "partition"), table_text(started, "target"));
    }
    json_decref(job);
    json_decref(started);
    client_close(&client);
    return status;
}

/* Does the command line mean more than one, or may it? Then even one is told of as a set. */
static bool several(const struct command *command)
{
    return json_is_true(json_object_get(command->args, "all")) ||
           json_object_get(command->args, "partitions") != NULL ||
           json_array_size(json_object_get(command->args, "names")) > 1;
}

static int one_name(const struct command *command, struct vf_error *err)
{
    json_t *name = json_array_get(json_object_get(command->args, "names"), 0);

    return json_object_set(command->args, "name", name) == 0 &&
                   json_object_del(command->args, "names") == 0
               ? 0
               : vf_fail(err, VF_FAILED, "migrate: " VF_NO_MEMORY);
}

int cmd_migrate(const struct command *command, struct vf_error *err)
{
    if (several(command))
        return migrate_several(command, err);
    if (one_name(command, err) != 0)
        return -1;
    if (json_is_true(json_object_get(command->args, "dry-run"))) {
        struct command check = *command;

        check.verb = cli_verb_named("check");
        return check.verb->run(&check, err);
    }
    return run_job(command, -1, err);
}

int cmd_watch(const struct command *command, struct vf_error *err)
{
    struct client client = CLIENT_INIT;
    int status = client_open(&client, command, command->verb, err);

    if (status == 0)
        status = follow_job(command, &client, command->args, -1, err);
    client_close(&client);
    return status;
}
