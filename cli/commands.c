// SPDX-License-Identifier: Apache-2.0
/* Handlers that ask once and print the answer. */
#include "base/cleanup.h"
#include "base/clock.h"
#include "cli/files.h"
#include "cli/host/client.h"
#include "cli/host/interrupt.h"
#include "cli/output/print.h"
#include "cli/show.h"
#include "cli/syntax/args.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/pidfd.h>

#define STOP_MS 30000u
#define WORD_MS (PATIENCE_WORD_NS / 1000000u)

static int ask(const struct command *command, int file, struct vf_error *err)
{
    json_t *result;
    int status = client_ask(command, file, &result, err);

    show_outcome(command, status, result, true, err);
    json_decref(result);
    return status;
}

int cmd_request(const struct command *command, struct vf_error *err)
{
    return ask(command, -1, err);
}

/* The workload's options as the request carries them: words, which guest/ understands
 * over there. */
static json_t *work_words(const struct command *command)
{
    json_t *words = json_object();

    for (size_t i = 0; i < command->work_count; i++)
        (void)json_object_set_new(words, command->work[i].key, json_string(command->work[i].value));
    return words;
}

int cmd_run(const struct command *command, struct vf_error *err)
{
    cleanup_close int file = -1;
    struct guest_options options;

    /* The daemon checks again; wrong words are said without one. */
    if (args_work(command, &options, err) != 0)
        return -1;
    if (command->input != NULL && input_open(command->input, &file, err) != 0)
        return -1;
    if (json_object_set_new(command->args, "options", work_words(command)) != 0)
        return vf_fail(err, VF_FAILED, "run: " VF_NO_MEMORY);
    return ask(command, file, err);
}

int cmd_read(const struct command *command, struct vf_error *err)
{
    struct output output = OUTPUT_INIT;
    json_t *result = NULL;
    int status = output_open(&output, command->output, err);
    bool to_file = output.temporary != NULL;

    if (status == 0)
        status = client_ask(command, output.fd, &result, err);
    if (status == 0)
        status = output_commit(&output, err);
    /* A result that went to /dev/stdout has no remark behind it. */
    if (status == 0 && (to_file || command->json))
        show_result(command, result);
    json_decref(result);
    output_close(&output);
    return status;
}

/* Makes the file at once with all of the recording in it: nothing is left of one that was given
 * up. */
static int write_recording(const char *path, const json_t *recording, struct vf_error *err)
{
    struct output output = OUTPUT_INIT;
    cleanup_free char *text = json_dumps(recording, JSON_PRESERVE_ORDER | JSON_INDENT(2));
    int status = output_open(&output, path, err);

    if (status == 0 && text == NULL)
        status = vf_fail(err, VF_FAILED, "--output: " VF_NO_MEMORY);
    if (status == 0)
        status = output_write(&output, text, strlen(text), err);
    if (status == 0)
        status = output_write(&output, "\n", 1, err);
    if (status == 0)
        status = output_commit(&output, err);
    output_close(&output);
    return status;
}

/* Can the file be made? Better asked before a recording than after. */
static int try_output(const char *path, struct vf_error *err)
{
    struct output output = OUTPUT_INIT;
    int status = output_open(&output, path, err);

    output_close(&output);
    return status;
}

int cmd_trace_record(const struct command *command, struct vf_error *err)
{
    json_t *result = NULL;
    int status = command->output != NULL ? try_output(command->output, err) : 0;

    if (status == 0)
        status = client_ask(command, -1, &result, err);
    if (status == 0 && command->output != NULL)
        status = write_recording(command->output, result, err);
    if (status == 0)
        show_result(command, result);
    json_decref(result);
    return status;
}

/* What may have been lost or doubled is for a person's eyes, also beside --json. */
int cmd_resolve(const struct command *command, struct vf_error *err)
{
    json_t *result;
    int status = client_ask(command, -1, &result, err);
    const char *warning = json_string_value(json_object_get(result, "warning"));

    if (warning != NULL && warning[0] != '\0')
        (void)fprintf(stderr, "vferry: warning: %s\n", warning);
    show_outcome(command, status, result, true, err);
    json_decref(result);
    return status;
}

/* The kernel side reads the driver itself: it gets the path, made absolute here. */
int cmd_driver_update(const struct command *command, struct vf_error *err)
{
    cleanup_free char *path = realpath(command->input, NULL);

    if (path == NULL)
        return vf_fail_errno(err, VF_USAGE, errno,
                             "--driver %s" VF_REMEDY "give the file of a driver", command->input);
    if (json_object_set_new(command->args, "driver", json_string(path)) != 0)
        return vf_fail(err, VF_USAGE, "--driver %s: its path is no text", path);
    return ask(command, -1, err);
}

/* Waits for the end of the vferryd that has answered. Without a pidfd (an old kernel) there is
 * nothing to wait for. */
static int await_end(const struct client *client, int pidfd, struct vf_error *err)
{
    const uint64_t begin = vf_now_ns();
    bool told = false;

    while (pidfd >= 0) {
        struct pollfd fds[] = {{.fd = pidfd, .events = POLLIN},
                               {.fd = client->interrupt_fd, .events = POLLIN}};
        const uint64_t waited_ms = (vf_now_ns() - begin) / 1000000u;

        if (waited_ms >= STOP_MS)
            return vf_fail(err, VF_FAILED,
                           "host stop: vferryd (pid %d) has not ended within 30 s" VF_REMEDY
                           "see its log",
                           (int)client->patience.pid);
        if (poll(fds, 2, (int)((told || waited_ms >= WORD_MS ? STOP_MS : WORD_MS) - waited_ms)) <
                0 &&
            errno != EINTR)
            return vf_fail_errno(err, VF_FAILED, errno, "poll");
        if (fds[0].revents != 0)
            return 0;
        if (fds[1].revents != 0)
            return patience_given_up(&client->patience, err);
        if (!told && vf_now_ns() - begin >= WORD_MS * 1000000ull)
            (void)fprintf(stderr, "vferry: waiting for vferryd (pid %d) to end; Ctrl-C gives up\n",
                          (int)client->patience.pid);
        told = told || vf_now_ns() - begin >= WORD_MS * 1000000ull;
    }
    return 0;
}

/* Returns once both processes are gone, so that a script may start the host again at once. */
int cmd_host_stop(const struct command *command, struct vf_error *err)
{
    struct client client = CLIENT_INIT;
    cleanup_close int interrupt_fd = -1;
    cleanup_close int pidfd = -1;
    json_t *result = NULL;
    int status = interrupt_take(&interrupt_fd, err);

    client.interrupt_fd = interrupt_fd;
    if (status == 0)
        status = client_open(&client, command, command->verb, err);
    if (status == 0) {
        pidfd = client.patience.pid > 0 ? pidfd_open(client.patience.pid, 0) : -1;
        status = client_send(&client, command->args, -1, err);
    }
    if (status == 0)
        status = client_next(&client, &result, err) == CLIENT_RESULT ? 0 : -1;
    client_close(&client);
    if (status == 0)
        status = await_end(&client, pidfd, err);
    if (status == 0)
        show_result(command, result);
    json_decref(result);
    return status;
}

int cmd_events(const struct command *command, struct vf_error *err)
{
    struct client client = CLIENT_INIT;
    enum client_reply reply = CLIENT_LOST;
    json_t *object = NULL;

    if (!json_is_true(json_object_get(command->args, "follow")))
        return ask(command, -1, err);
    if (client_open(&client, command, command->verb, err) == 0 &&
        client_send(&client, command->args, -1, err) == 0) {
        while ((reply = client_next(&client, &object, err)) == CLIENT_PROGRESS) {
            if (command->json) /* a stream: one object a line, and an error is its last */
                show_object(object);
            else
                print_event(object);
            json_decref(object);
            if (fflush(stdout) != 0) {
                reply = CLIENT_RESULT;
                object = NULL;
                break;
            }
        }
        json_decref(object);
    }
    client_close(&client);
    return reply == CLIENT_RESULT ? 0 : -1;
}
