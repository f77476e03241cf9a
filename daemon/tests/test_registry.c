// SPDX-License-Identifier: Apache-2.0
/* The running hosts by name: who listens is found, who ended is not, and a directory that others
 * may write is never looked at. */
#include "daemon/control/registry.h"

#include "daemon/control/protocol.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

struct place {
    char dir[64];
    char vferry[80]; /* where the entries lie */
};

static int set_up(void **state)
{
    struct place *place = calloc(1, sizeof *place);

    assert_non_null(place);
    (void)strcpy(place->dir, "/tmp/vferry-registry-XXXXXX");
    assert_non_null(mkdtemp(place->dir));
    (void)snprintf(place->vferry, sizeof place->vferry, "%s/vferry", place->dir);
    assert_int_equal(setenv("XDG_RUNTIME_DIR", place->dir, 1), 0);
    *state = place;
    return 0;
}

static int tear_down(void **state)
{
    struct place *place = *state;
    char command[128];

    (void)snprintf(command, sizeof command, "rm -rf %s", place->dir);
    assert_int_equal(system(command), 0);
    free(place);
    return 0;
}

/* Somebody who listens on a socket of this name in the directory. */
static int listen_at(const struct place *place, const char *name, char path[PATH_MAX])
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_true(fd >= 0);
    (void)snprintf(path, PATH_MAX, "%s/%s", place->dir, name);
    (void)strcpy(address.sun_path, path);
    assert_int_equal(bind(fd, (const struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(fd, 8), 0);
    return fd;
}

/* What the list has of our directory: others of this user may run too. */
static size_t find(const char *name, char socket[PATH_MAX])
{
    static struct registry_entry entries[64];
    size_t count = registry_list(entries, 64);
    size_t found = 0;

    for (size_t i = 0; i < count; i++) {
        if (strcmp(entries[i].name, name) == 0) {
            (void)strcpy(socket, entries[i].socket);
            found++;
        }
    }
    return found;
}

static void a_host_is_found_until_it_leaves(void **state)
{
    struct vf_error err = VF_ERROR_INIT;
    char path[PATH_MAX];
    char found[PATH_MAX];
    int fd = listen_at(*state, "a.sock", path);

    assert_int_equal(registry_enter("here-1", path, &err), 0);
    assert_int_equal(find("here-1", found), 1);
    assert_string_equal(found, path);
    registry_leave("here-1", "/another.sock");
    assert_int_equal(find("here-1", found), 1);
    registry_leave("here-1", path);
    assert_int_equal(find("here-1", found), 0);
    (void)close(fd);
}

static void one_that_ended_without_a_word_is_removed(void **state)
{
    const struct place *place = *state;
    struct vf_error err = VF_ERROR_INIT;
    char path[PATH_MAX];
    char found[PATH_MAX];
    char entry[128];
    struct stat info;
    int fd = listen_at(place, "a.sock", path);

    assert_int_equal(registry_enter("here-1", path, &err), 0);
    (void)close(fd);
    assert_int_equal(find("here-1", found), 0);
    (void)snprintf(entry, sizeof entry, "%s/here-1", place->vferry);
    assert_int_not_equal(lstat(entry, &info), 0);
}

static void a_name_that_is_taken_stays_with_who_runs(void **state)
{
    struct vf_error err = VF_ERROR_INIT;
    char first[PATH_MAX], second[PATH_MAX], found[PATH_MAX];
    int one = listen_at(*state, "a.sock", first);
    int two = listen_at(*state, "b.sock", second);

    assert_int_equal(registry_enter("here-1", first, &err), 0);
    assert_int_equal(registry_enter("here-1", second, &err), -1);
    assert_non_null(strstr(err.text, first));
    assert_int_equal(find("here-1", found), 1);
    assert_string_equal(found, first);
    (void)close(one);
    assert_int_equal(registry_enter("here-1", second, &err), 0);
    assert_int_equal(find("here-1", found), 1);
    assert_string_equal(found, second);
    (void)close(two);
}

static void a_directory_that_others_may_write_is_not_looked_at(void **state)
{
    const struct place *place = *state;
    struct vf_error err = VF_ERROR_INIT;
    char path[PATH_MAX];
    char entry[128];
    int fd = listen_at(place, "a.sock", path);

    assert_int_equal(mkdir(place->vferry, 0700), 0);
    assert_int_equal(chmod(place->vferry, 0777), 0);
    (void)snprintf(entry, sizeof entry, "%s/planted-1", place->vferry);
    assert_int_equal(symlink(path, entry), 0);
    assert_int_equal(find("planted-1", path), 0);
    /* Nor is anything put there: it goes to the other place. */
    if (registry_enter("mine-1", path, &err) == 0)
        registry_leave("mine-1", path);
    (void)snprintf(entry, sizeof entry, "%s/mine-1", place->vferry);
    assert_int_not_equal(access(entry, F_OK), 0);
    (void)close(fd);
}

static void a_place_that_cannot_be_used_is_named_with_the_reason(void **state)
{
    const struct place *place = *state;
    struct vf_error err = VF_ERROR_INIT;
    char file[128];
    int fd;

    (void)snprintf(file, sizeof file, "%s/vferry-%u", place->dir, (unsigned)geteuid());
    fd = open(file, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    (void)close(fd);
    assert_int_equal(setenv("XDG_RUNTIME_DIR", "/nonexistent", 1), 0);
    assert_int_equal(setenv("TMPDIR", place->dir, 1), 0);
    assert_int_equal(registry_enter("here-1", "/a.sock", &err), -1);
    assert_int_equal(unsetenv("TMPDIR"), 0);
    assert_non_null(strstr(err.text, file));
    assert_non_null(strstr(err.text, strerrordesc_np(ENOTDIR)));
}

static void a_link_in_its_place_is_not_followed(void **state)
{
    const struct place *place = *state;
    char elsewhere[80];
    char entry[128];
    char path[PATH_MAX];
    int fd = listen_at(place, "a.sock", path);

    (void)snprintf(elsewhere, sizeof elsewhere, "%s/elsewhere", place->dir);
    assert_int_equal(mkdir(elsewhere, 0700), 0);
    (void)snprintf(entry, sizeof entry, "%s/planted-1", elsewhere);
    assert_int_equal(symlink(path, entry), 0);
    assert_int_equal(symlink(elsewhere, place->vferry), 0);
    assert_int_equal(find("planted-1", path), 0);
    (void)close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_host_is_found_until_it_leaves, set_up, tear_down),
        cmocka_unit_test_setup_teardown(one_that_ended_without_a_word_is_removed, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_name_that_is_taken_stays_with_who_runs, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_directory_that_others_may_write_is_not_looked_at, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_place_that_cannot_be_used_is_named_with_the_reason,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_link_in_its_place_is_not_followed, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
