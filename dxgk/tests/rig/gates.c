// SPDX-License-Identifier: Apache-2.0
/* See gates.h. */
#include "dxgk/tests/rig/gates.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#define PATIENCE_MS 60000

static char folder[64];

void gates_open(void)
{
    (void)snprintf(folder, sizeof folder, "/tmp/vf-gates-XXXXXX");
    assert_non_null(mkdtemp(folder));
    assert_int_equal(setenv("VF_GATES", folder, 1), 0);
}

void gates_close(void)
{
    gates_take("copy.at");
    assert_int_equal(rmdir(folder), 0);
}

const char *gates_path(const char *name)
{
    static char path[128];

    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

void gates_put(const char *name)
{
    const int fd = open(gates_path(name), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

    assert_true(fd >= 0);
    (void)close(fd);
}

void gates_take(const char *name)
{
    (void)unlink(gates_path(name));
}

void gates_shut(const char *name)
{
    assert_int_equal(mkfifo(gates_path(name), 0600), 0);
}

/* O_RDWR: to open a FIFO so does not wait for a reader, who may have said that it comes and then
 * find no gate any more. */
void gates_lift(const char *name)
{
    char gone[160];
    int fd;

    (void)snprintf(gone, sizeof gone, "%s-gone", gates_path(name));
    assert_int_equal(rename(gates_path(name), gone), 0);
    fd = open(gone, O_RDWR | O_CLOEXEC);
    assert_true(fd >= 0);
    (void)close(fd);
    (void)unlink(gone);
}

static void await(const char *name, bool there)
{
    for (int i = 0; (access(gates_path(name), F_OK) == 0) != there; i++) {
        assert_true(i < PATIENCE_MS);
        (void)nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
}

void gates_await_taken(const char *name)
{
    await(name, false);
}

void gates_await_put(const char *name)
{
    await(name, true);
}
