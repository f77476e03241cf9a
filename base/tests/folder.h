// SPDX-License-Identifier: Apache-2.0
/* Where a test may write. Below TMPDIR whoever runs the tests clears up behind one that was ended
 * in the middle (tools/family.py). */
#ifndef VF_BASE_TESTS_FOLDER_H
#define VF_BASE_TESTS_FOLDER_H

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define TEST_PATH_BYTES 64u /* leaves room for a socket's name within a socket address */

/* A template for mkdtemp or mkstemp: NAME-XXXXXX below `place`. One that does not fit ends the
 * test: TMPDIR is too long then. */
static inline void test_template_in(char path[TEST_PATH_BYTES], const char *place, const char *name)
{
    int length = snprintf(path, TEST_PATH_BYTES, "%s/%s-XXXXXX", place, name);

    if (length < 0 || (size_t)length >= TEST_PATH_BYTES) {
        (void)fprintf(stderr, "%s: too long for a test's directory: set a shorter TMPDIR\n", place);
        abort();
    }
}

/* Below TMPDIR, or /tmp. */
static inline void test_template(char path[TEST_PATH_BYTES], const char *name)
{
    const char *folder = getenv("TMPDIR");

    test_template_in(path, folder != NULL ? folder : "/tmp", name);
}

/* For thousands of openings, each with its fsyncs: in memory where there is such a place. */
static inline void test_template_in_memory(char path[TEST_PATH_BYTES], const char *name)
{
    const char *folder = getenv("VF_TEST_MEMORY"); /* as TMPDIR, in memory */

    if (folder != NULL)
        test_template_in(path, folder, name);
    else if (access("/dev/shm", W_OK) == 0)
        test_template_in(path, "/dev/shm", name);
    else
        test_template(path, name);
}

#endif
