// SPDX-License-Identifier: Apache-2.0
/*
 * A fuzz target without a fuzzer: runs its seeds, then every file and every folder's files given,
 * as a test (TAP). `--seeds DIR` writes the seeds there instead: a corpus to start from.
 */
#include "fuzz/target.h"

#include "base/cleanup.h"
#include "base/log.h"

#include <dirent.h>
#include <string.h>
#include <sys/stat.h>

static unsigned cases;
static uint8_t input[FUZZ_MAX_BYTES];

/* On the heap, with nothing behind it: a sanitizer sees a read past the end. */
static void run(const char *name, const uint8_t *data, size_t bytes)
{
    uint8_t *copy = malloc(bytes > 0 ? bytes : 1);

    fuzz_must(copy != NULL);
    memcpy(copy, data, bytes);
    (void)printf("# %s\n", name);
    (void)fflush(stdout); /* should it crash, the last line names the input */
    (void)LLVMFuzzerTestOneInput(copy, bytes);
    (void)printf("ok %u - %s\n", ++cases, name);
    free(copy);
}

static int read_file(const char *path, size_t *bytes)
{
    cleanup_fclose FILE *file = fopen(path, "rbe");

    if (file == NULL)
        return -1;
    *bytes = fread(input, 1, sizeof input, file);
    return ferror(file) != 0 ? -1 : 0;
}

static int replay_file(const char *path)
{
    const char *name = strrchr(path, '/');
    size_t bytes;

    if (read_file(path, &bytes) != 0)
        return -1;
    run(name != NULL ? name + 1 : path, input, bytes);
    return 0;
}

static int visible(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

/* In the order of the names, so that two runs are the same. A folder that is not there is empty. */
static int replay_folder(const char *path)
{
    struct dirent **entries;
    int count = scandir(path, &entries, visible, alphasort);
    int result = 0;

    for (int i = 0; i < count; i++) {
        char file[4096];

        (void)snprintf(file, sizeof file, "%s/%s", path, entries[i]->d_name);
        if (result == 0)
            result = replay_file(file);
        free(entries[i]);
    }
    if (count >= 0)
        free(entries);
    return result;
}

static int write_seeds(const char *folder)
{
    size_t bytes;

    for (unsigned i = 0; (bytes = fuzz_seed(i, input)) > 0; i++) {
        cleanup_fclose FILE *file = NULL;
        char path[4096];

        (void)snprintf(path, sizeof path, "%s/seed-%02u", folder, i);
        file = fopen(path, "wbe");
        if (file == NULL || fwrite(input, 1, bytes, file) != bytes) {
            perror(path);
            return 1;
        }
    }
    return 0;
}

int main(int argc, char **argv)
{
    size_t bytes;

    vf_log_init("fuzz", VF_LOG_ERROR);
    if (argc == 3 && strcmp(argv[1], "--seeds") == 0)
        return write_seeds(argv[2]);
    for (unsigned i = 0; (bytes = fuzz_seed(i, input)) > 0; i++) {
        char name[16];

        (void)snprintf(name, sizeof name, "seed-%02u", i);
        run(name, input, bytes);
    }
    run("empty", input, 0);
    for (int i = 1; i < argc; i++) {
        struct stat stat_buf;
        int result = stat(argv[i], &stat_buf) != 0 ? 0
                     : S_ISDIR(stat_buf.st_mode)   ? replay_folder(argv[i])
                                                   : replay_file(argv[i]);

        if (result != 0) {
            perror(argv[i]);
            return 1;
        }
    }
    (void)printf("1..%u\n", cases);
    return 0;
}
