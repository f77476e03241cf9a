// SPDX-License-Identifier: Apache-2.0
/* See directory.h. */
#include "fuzz/directory.h"

#include "base/tests/folder.h"
#include "fuzz/target.h"

#include <unistd.h>

static char directory[64];
static const char *const *contents;

static void remove_directory(void)
{
    for (size_t i = 0; contents[i] != NULL; i++) {
        char path[128];

        (void)snprintf(path, sizeof path, "%s/%s", directory, contents[i]);
        (void)unlink(path);
    }
    (void)rmdir(directory);
}

const char *fuzz_directory(const char *const *names)
{
    if (directory[0] == '\0') {
        test_template_in_memory(directory, "vferry-fuzz");
        fuzz_must(mkdtemp(directory) != NULL);
        contents = names;
        fuzz_must(atexit(remove_directory) == 0);
    }
    return directory;
}
