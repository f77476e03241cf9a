// SPDX-License-Identifier: Apache-2.0
/* Signs of life on a real socket: who has begun hears them, with what the host is stuck at, and who
 * has ended hears none. */
#include "daemon/control/pulse.h"

#include "base/error.h"
#include "daemon/control/protocol.h"

#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#define PATIENCE_MS 60000

struct client {
    int fds[2]; /* the daemon's end, the client's */
    struct pulse_beat beat;
    struct ctl_reader reader;
};

static void make_client(struct client *client)
{
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, client->fds), 0);
    client->beat = (struct pulse_beat)PULSE_BEAT_INIT(client->fds[0]);
    ctl_reader_init(&client->reader, client->fds[1], CTL_MAX_REPLY);
}

static void end_client(struct client *client)
{
    ctl_reader_fini(&client->reader);
    (void)close(client->fds[0]);
    (void)close(client->fds[1]);
}

/* Reads signs of life until one says this; NULL = that nothing is stuck. */
static void expect_stuck(struct client *client, const char *want)
{
    bool found = false;

    for (int tries = 0; !found && tries < 100; tries++) {
        json_t *line;
        const json_t *alive;
        const char *stuck;
        size_t bytes;
        char *text;

        assert_int_equal(ctl_read_line(&client->reader, &text, &bytes, PATIENCE_MS), CTL_LINE);
        line = json_loadb(text, bytes, 0, NULL);
        alive = json_object_get(line, "alive");
        assert_true(json_is_object(alive));
        stuck = json_string_value(json_object_get(alive, "stuck"));
        found = want == NULL ? stuck == NULL : stuck != NULL && strcmp(stuck, want) == 0;
        json_decref(line);
    }
    assert_true(found);
}

static void what_is_stuck_is_told_until_it_is_not(void **state)
{
    struct vf_error err = VF_ERROR_INIT;
    struct pulse *pulse = NULL;
    struct client client;

    (void)state;
    make_client(&client);
    assert_int_equal(pulse_open(&pulse, &err), 0);
    pulse_begin(pulse, &client.beat);
    expect_stuck(&client, NULL);
    pulse_stuck(pulse, "the kernel side, pid 7, has not answered for 4 s");
    expect_stuck(&client, "the kernel side, pid 7, has not answered for 4 s");
    pulse_stuck(pulse, NULL);
    expect_stuck(&client, NULL);
    pulse_end(pulse, &client.beat);
    pulse_close(pulse);
    end_client(&client);
}

static void nothing_comes_after_the_end(void **state)
{
    struct vf_error err = VF_ERROR_INIT;
    struct pulse *pulse = NULL;
    struct client stays, leaves;
    struct pollfd look;

    (void)state;
    make_client(&stays);
    make_client(&leaves);
    assert_int_equal(pulse_open(&pulse, &err), 0);
    pulse_begin(pulse, &stays.beat);
    pulse_begin(pulse, &leaves.beat);
    expect_stuck(&stays, NULL);
    expect_stuck(&leaves, NULL);
    pulse_end(pulse, &leaves.beat);
    while (recv(leaves.fds[1], (char[4096]){0}, 4096, MSG_DONTWAIT) > 0)
        continue; /* what came before the end */
    pulse_stuck(pulse, "two rounds later");
    expect_stuck(&stays, "two rounds later");
    look = (struct pollfd){.fd = leaves.fds[1], .events = POLLIN};
    assert_int_equal(poll(&look, 1, 0), 0);
    pulse_end(pulse, &stays.beat);
    pulse_close(pulse);
    end_client(&stays);
    end_client(&leaves);
}

static void a_client_that_reads_nothing_holds_nobody_up(void **state)
{
    struct vf_error err = VF_ERROR_INIT;
    struct pulse *pulse = NULL;
    struct client deaf, reads;

    (void)state;
    make_client(&deaf);
    make_client(&reads);
    while (send(deaf.fds[0], (char[4096]){0}, 4096, MSG_DONTWAIT | MSG_NOSIGNAL) > 0)
        continue;
    assert_int_equal(pulse_open(&pulse, &err), 0);
    pulse_begin(pulse, &reads.beat);
    pulse_begin(pulse, &deaf.beat); /* before the other in each round */
    expect_stuck(&reads, NULL);
    pulse_stuck(pulse, "the next round");
    expect_stuck(&reads, "the next round");
    pulse_end(pulse, &deaf.beat);
    pulse_end(pulse, &reads.beat);
    pulse_close(pulse);
    end_client(&deaf);
    end_client(&reads);
}

static void without_a_pulse_nothing_happens(void **state)
{
    struct client client;

    (void)state;
    make_client(&client);
    pulse_begin(NULL, &client.beat);
    pulse_stuck(NULL, "anything");
    pulse_end(NULL, &client.beat);
    pulse_close(NULL);
    end_client(&client);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_stuck_is_told_until_it_is_not),
        cmocka_unit_test(nothing_comes_after_the_end),
        cmocka_unit_test(a_client_that_reads_nothing_holds_nobody_up),
        cmocka_unit_test(without_a_pulse_nothing_happens),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
