// SPDX-License-Identifier: Apache-2.0
/* The history on a disk that is nearly full. It takes a disk of its own, so a mount namespace of
 * its own; who may not have one has the whole test skipped. */
#include "daemon/tests/history_bench.h"

#include "base/clock.h"

#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <sys/mount.h>
#include <unistd.h>

static void the_last_of_a_disk_is_left_to_the_journal(void **state)
{
    struct bench *bench = *state;
    char path[128];
    int fd;

    assert_int_equal(mount("tmpfs", bench->dir, "tmpfs", 0, "size=10m,mode=0700"), 0);
    begin(bench);
    add_event(bench, 1, vf_realtime_ns(), "a", "x");
    wait_for_events(bench, 1);
    path_of(bench, "journal", path);
    fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0600);
    assert_true(fd >= 0);
    assert_int_equal(posix_fallocate(fd, 0, 3 << 20), 0);
    assert_int_equal(close(fd), 0);
    add_event(bench, 2, vf_realtime_ns(), "a", "x");
    wait_for_warnings(1);
    assert_int_equal(event_count(bench), 1);
    assert_int_equal(unlink(path), 0);
    wait_for_events(bench, 2);
    end(bench);
    assert_int_equal(umount2(bench->dir, MNT_DETACH), 0);
}

static bool put(const char *path, const char *text)
{
    FILE *file = fopen(path, "we");
    bool written;

    if (file == NULL)
        return false;
    written = fputs(text, file) >= 0;
    return fclose(file) == 0 && written;
}

/* In a user namespace everybody may mount, and mounts stay inside. Where there are none, root may
 * do without. */
static bool own_mounts(void)
{
    char users[64], groups[64];

    (void)snprintf(users, sizeof users, "%u %u 1", geteuid(), geteuid());
    (void)snprintf(groups, sizeof groups, "%u %u 1", getegid(), getegid());
    if (unshare(CLONE_NEWUSER | CLONE_NEWNS) == 0)
        return put("/proc/self/setgroups", "deny") && put("/proc/self/uid_map", users) &&
               put("/proc/self/gid_map", groups);
    return unshare(CLONE_NEWNS) == 0 && mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_A_BENCH(the_last_of_a_disk_is_left_to_the_journal),
    };

    /* cmocka's own skip() says "not ok", which meson takes for a failure. */
    if (!own_mounts()) {
        (void)puts("1..0 # SKIP no mount namespace of one's own is to be had here");
        return 0;
    }
    watch_log();
    return cmocka_run_group_tests_name("history room", tests, NULL, NULL);
}
