// SPDX-License-Identifier: Apache-2.0
/* The file that an image becomes: whole and named, or not there at all; never in
 * another's place. */
#include "migrate/image/file.h"

#include "base/tests/folder.h"

#include <fcntl.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

struct folder {
    char path[64];
};

static int make_folder(void **state)
{
    struct folder *folder = calloc(1, sizeof *folder);

    if (folder == NULL)
        return -1;
    test_template(folder->path, "vferry-image");
    *state = folder;
    return mkdtemp(folder->path) != NULL ? 0 : -1;
}

static int drop_folder(void **state)
{
    struct folder *folder = *state;
    int result = rmdir(folder->path); /* nothing may be left in it */

    free(folder);
    return result;
}

static int open_folder(void **state)
{
    int fd = open(((struct folder *)*state)->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    assert_true(fd >= 0);
    return fd;
}

static void write_and_close(struct image_file *file, const char *text)
{
    int fd = image_file_take(file);

    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    (void)close(fd);
}

static void publish_once(void **state, bool named)
{
    struct image_file file = IMAGE_FILE_INIT;
    struct vf_error err = VF_ERROR_INIT;
    int folder = open_folder(state);
    struct stat info;

    assert_int_equal((named ? image_file_open_named : image_file_open)(&file, open_folder(state),
                                                                       "a.image", &err),
                     0);
    write_and_close(&file, "content");
    assert_int_equal(fstatat(folder, "a.image", &info, 0), -1);
    assert_int_equal(image_file_publish(&file, &err), 0);
    image_file_close(&file);
    assert_int_equal(fstatat(folder, "a.image", &info, 0), 0);
    assert_int_equal(info.st_size, 7);
    assert_int_equal(info.st_mode & 0777, 0600);
    assert_int_equal(info.st_nlink, 1);
    /* A second one is refused at once. */
    assert_int_equal((named ? image_file_open_named : image_file_open)(&file, open_folder(state),
                                                                       "a.image", &err),
                     -1);
    assert_non_null(strstr(err.text, "never replaced"));
    image_file_close(&file);
    assert_int_equal(unlinkat(folder, "a.image", 0), 0);
    (void)close(folder);
}

static void expect_taken(void **state, const char *name, const char *why)
{
    struct image_file file = IMAGE_FILE_INIT;
    struct vf_error err = VF_ERROR_INIT;
    char whole[PATH_MAX];

    (void)snprintf(whole, sizeof whole, "image %s/%s: %s", ((struct folder *)*state)->path, name,
                   why);
    assert_int_equal(image_file_open(&file, open_folder(state), name, &err), -1);
    image_file_close(&file);
    assert_string_equal(err.text, whole);
    assert_non_null(vf_remedy(&err));
}

static void
what_has_the_name_is_told_with_its_path_and_only_a_file_is_offered_for_removal(void **state)
{
    int folder = open_folder(state);

    assert_int_equal(mkdirat(folder, "d", 0700), 0);
    assert_int_equal(mkfifoat(folder, "p", 0600), 0);
    (void)close(openat(folder, "f", O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
    expect_taken(state, "d", "is a directory; give the name of a new file in it");
    expect_taken(state, "p",
                 "is a pipe or a socket, and an image is a file; give the name of a new file");
    expect_taken(state, "f",
                 "there is a file of that name already, and it is never replaced; choose another "
                 "name or remove it first");
    assert_int_equal(unlinkat(folder, "d", AT_REMOVEDIR), 0);
    assert_int_equal(unlinkat(folder, "p", 0), 0);
    assert_int_equal(unlinkat(folder, "f", 0), 0);
    (void)close(folder);
}

static void a_file_has_its_name_only_when_it_is_published(void **state)
{
    publish_once(state, false);
}

static void a_file_system_without_nameless_files_will_do_too(void **state)
{
    publish_once(state, true);
}

/* Between the look and the naming somebody else may be faster. */
static void a_name_taken_meanwhile_is_never_replaced(void **state)
{
    struct vf_error err = VF_ERROR_INIT;
    int folder = open_folder(state);
    struct stat info;

    for (int named = 0; named < 2; named++) {
        struct image_file file = IMAGE_FILE_INIT;
        int other;

        assert_int_equal(
            (named ? image_file_open_named : image_file_open)(&file, open_folder(state), "b", &err),
            0);
        write_and_close(&file, "ours");
        other = openat(folder, "b", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        assert_true(other >= 0);
        (void)close(other);
        assert_int_equal(image_file_publish(&file, &err), -1);
        assert_non_null(strstr(err.text, "never replaced"));
        image_file_close(&file);
        assert_int_equal(fstatat(folder, "b", &info, 0), 0);
        assert_int_equal(info.st_size, 0);
        assert_int_equal(unlinkat(folder, "b", 0), 0);
    }
    (void)close(folder);
}

static void what_is_not_published_leaves_nothing(void **state)
{
    struct vf_error err = VF_ERROR_INIT;

    for (int named = 0; named < 2; named++) {
        struct image_file file = IMAGE_FILE_INIT;

        assert_int_equal(
            (named ? image_file_open_named : image_file_open)(&file, open_folder(state), "c", &err),
            0);
        image_file_close(&file);
        assert_int_equal(
            (named ? image_file_open_named : image_file_open)(&file, open_folder(state), "c", &err),
            0);
        assert_int_equal(image_file_publish(&file, &err), 0);
        image_file_withdraw(&file);
        image_file_close(&file);
    }
}

static void names_that_lead_elsewhere_are_refused(void **state)
{
    static const char *const names[] = {"", ".", "..", "a/b", "/etc/passwd", "../x"};
    struct vf_error err = VF_ERROR_INIT;

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        struct image_file file = IMAGE_FILE_INIT;

        assert_int_equal(image_file_open(&file, open_folder(state), names[i], &err), -1);
        assert_int_equal(err.code, VF_USAGE);
        image_file_close(&file);
    }
}

#define IN_FOLDER(f) cmocka_unit_test_setup_teardown(f, make_folder, drop_folder)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_FOLDER(a_file_has_its_name_only_when_it_is_published),
        IN_FOLDER(
            what_has_the_name_is_told_with_its_path_and_only_a_file_is_offered_for_removal),
        IN_FOLDER(a_file_system_without_nameless_files_will_do_too),
        IN_FOLDER(a_name_taken_meanwhile_is_never_replaced),
        IN_FOLDER(what_is_not_published_leaves_nothing),
        IN_FOLDER(names_that_lead_elsewhere_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
