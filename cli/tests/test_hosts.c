// SPDX-License-Identifier: Apache-2.0
/* The hosts file: what is right is found by name, what is wrong is told with its line. */
#include "cli/host/hosts_file.h"

#include "base/cleanup.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static char path[PATH_MAX];

static int make(void **state)
{
    const char *folder = getenv("TMPDIR");
    int fd;

    (void)state;
    (void)snprintf(path, sizeof path, "%s/vferry-hosts-XXXXXX", folder != NULL ? folder : "/tmp");
    fd = mkstemp(path);
    if (fd < 0)
        return -1;
    (void)close(fd);
    return setenv("VFERRY_HOSTS", path, 1);
}

static int remove_it(void **state)
{
    (void)state;
    return unlink(path);
}

static void holds(const char *text)
{
    FILE *file = fopen(path, "w");

    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static void a_host_is_found_by_its_name(void **state)
{
    static struct host_entry found;
    struct vf_error err = VF_ERROR_INIT;

    (void)state;
    holds(
        "; ours\n[left]\nsocket = /tmp/A\naddress = 127.0.0.1:7001\n[right]\naddress=[::1]:7002\n");
    assert_int_equal(hosts_find("left", &found, &err), 1);
    assert_string_equal(found.socket, "/tmp/A");
    assert_string_equal(found.address, "127.0.0.1:7001");
    assert_int_equal(hosts_find("right", &found, &err), 1);
    assert_string_equal(found.socket, "");
    assert_string_equal(found.address, "[::1]:7002");
    assert_int_equal(hosts_find("middle", &found, &err), 0);
}

static void without_a_file_there_are_no_hosts(void **state)
{
    cleanup_free struct host_entry *list = NULL;
    struct vf_error err = VF_ERROR_INIT;
    size_t count = 7;

    (void)state;
    assert_int_equal(unsetenv("VFERRY_HOSTS"), 0);
    assert_int_equal(setenv("XDG_CONFIG_HOME", "/nonexistent", 1), 0);
    if (access("/etc/vferry/hosts", F_OK) != 0) {
        assert_int_equal(hosts_read(&list, &count, &err), 0);
        assert_int_equal(count, 0);
        assert_null(list);
    }
    assert_int_equal(setenv("VFERRY_HOSTS", path, 1), 0);
}

static void what_is_wrong_is_told_with_its_line(void **state)
{
    static const struct {
        const char *text, *said;
    } wrong[] = {
        {"[left]\nsocket = tmp/A\n", "line 2: socket = tmp/A: is no absolute path"},
        {"[left]\naddress = 7001\n", "line 2: address = 7001: has no port"},
        {"[left]\n\nport = 7001\n", "line 3: port: no such key"},
        {"[-left]\naddress = a:1\n", "line 2: [-left]: a name is"},
        {"address = a:1\n", "line 1: []: a name is"},
        {"[left]\naddress = a:1\naddress = b:1\n", "line 3: address: given twice"},
        {"[left]\naddress =\n", "line 2: address = : has no port"},
        {"[left]\nhello\n", "line 2: is neither [NAME] nor key = value"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        static struct host_entry found;
        struct vf_error err = VF_ERROR_INIT;

        holds(wrong[i].text);
        assert_int_equal(hosts_find("left", &found, &err), -1);
        assert_int_equal(err.code, VF_USAGE);
        if (strstr(err.text, wrong[i].said) == NULL || strstr(err.text, path) == NULL)
            fail_msg("\"%s\" instead of \"%s\"", err.text, wrong[i].said);
    }
}

static void one_host_too_many_is_refused(void **state)
{
    cleanup_free struct host_entry *list = NULL;
    struct vf_error err = VF_ERROR_INIT;
    FILE *file = fopen(path, "w");
    size_t count;

    (void)state;
    assert_non_null(file);
    for (unsigned i = 0; i <= HOSTS_MAX; i++)
        assert_true(fprintf(file, "[h%u]\naddress = a:1\n", i) > 0);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(hosts_read(&list, &count, &err), -1);
    assert_non_null(strstr(err.text, "one host too many"));
}

static void a_file_that_cannot_be_read_is_an_error(void **state)
{
    static struct host_entry found;
    struct vf_error err = VF_ERROR_INIT;

    (void)state;
    assert_int_equal(setenv("VFERRY_HOSTS", "/nonexistent/hosts", 1), 0);
    assert_int_equal(hosts_find("left", &found, &err), -1);
    assert_non_null(strstr(err.text, "/nonexistent/hosts: No such file"));
    assert_int_equal(setenv("VFERRY_HOSTS", path, 1), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_host_is_found_by_its_name),
        cmocka_unit_test(without_a_file_there_are_no_hosts),
        cmocka_unit_test(what_is_wrong_is_told_with_its_line),
        cmocka_unit_test(one_host_too_many_is_refused),
        cmocka_unit_test(a_file_that_cannot_be_read_is_an_error),
    };

    return cmocka_run_group_tests(tests, make, remove_it);
}
