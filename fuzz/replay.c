// SPDX-License-Identifier: Apache-2.0
/*
 * A fuzz target without a fuzzer: runs its seeds, then every file and every folder's files given,
 * as a test (TAP). `--seeds DIR` writes the seeds there instead: a corpus to start from.
 * `--spoil SEED COUNT` runs that many spoiled ones more: the n-th depends on SEED and n alone, so
 * that a machine without a fuzzer finds the same as any other.
 */
#include "fuzz/target.h"

#include "base/cleanup.h"
#include "base/log.h"

#include <dirent.h>
#include <inttypes.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static unsigned cases;
static uint64_t fuzz_now; /* the spoiled input that runs */
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

/* ---- spoiling ---- */

static uint64_t next_random(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15ull;

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
    return z ^ (z >> 31);
}

static size_t below(uint64_t *state, size_t end)
{
    return end == 0 ? 0 : (size_t)(next_random(state) % end);
}

/* Moves the bytes from `from` on to `to`, which makes or closes a gap. */
static size_t shift(size_t bytes, size_t from, size_t to)
{
    if (to > from && to - from > FUZZ_MAX_BYTES - bytes)
        return bytes;
    memmove(input + to, input + from, bytes - from);
    return bytes - from + to;
}

/* One change somewhere; the length after it. */
static size_t spoil(uint64_t *state, size_t bytes)
{
    static const uint64_t values[] = {0,      1,          0x7f,       0x80,       0xff,
                                      0x7fff, 0xffff,     0x7fffffff, 1ull << 31, 0xffffffff,
                                      4096,   1ull << 32, 1ull << 63, ~0ull,      ~0ull - 4095};
    size_t at = below(state, bytes), other = below(state, bytes), size;
    uint64_t value = values[below(state, sizeof values / sizeof values[0])];

    switch (below(state, 8)) {
    case 0:
        input[at] ^= (uint8_t)(1u << below(state, 8));
        return bytes;
    case 1:
        input[at] = (uint8_t)next_random(state);
        return bytes;
    case 2: /* a number with a history */
        size = 1u << below(state, 4);
        size = size < bytes - at ? size : bytes - at;
        memcpy(input + at, &value, size);
        return bytes;
    case 3: /* a step up or down */
        input[at] = (uint8_t)(input[at] + below(state, 9) - 4);
        return bytes;
    case 4: /* a piece goes */
        size = below(state, bytes - at < 64 ? bytes - at : 64);
        return shift(bytes, at + size, at);
    case 5: /* a piece comes twice */
        size = below(state, bytes - at < 64 ? bytes - at : 64);
        return shift(bytes, at, at + size);
    case 6: /* a piece over another */
        size = below(state, bytes - (at > other ? at : other));
        memmove(input + at, input + other, size);
        return bytes;
    default: /* the end is missing */
        return bytes / 2 + below(state, bytes - bytes / 2);
    }
}

/* A failure aborts, here or in a sanitizer (-fno-sanitize-recover, abort_on_error): the number is
 * all that it takes to repeat it. */
static void tell_number(int signal)
{
    char line[128];
    int bytes = snprintf(line, sizeof line, "# repeat it: --spoil %" PRIu64 " 1\n", fuzz_now);

    if (write(STDERR_FILENO, line, (size_t)bytes) != bytes)
        _exit(1);
    (void)raise(signal); /* SA_RESETHAND: ends it */
}

static int spoil_seeds(const char *seed, const char *count)
{
    uint64_t start = strtoull(seed, NULL, 0), runs = strtoull(count, NULL, 0);
    const struct sigaction tell = {.sa_handler = tell_number, .sa_flags = (int)SA_RESETHAND};
    unsigned seeds = 0;

    if (sigaction(SIGABRT, &tell, NULL) != 0 || sigaction(SIGSEGV, &tell, NULL) != 0)
        return -1;

    while (fuzz_seed(seeds, input) > 0)
        seeds++;
    for (uint64_t i = 0; i < runs; i++) {
        uint64_t state = start + i;
        size_t bytes = fuzz_seed((unsigned)below(&state, seeds), input);
        uint8_t *copy;

        for (size_t changes = 1 + below(&state, 8); changes > 0 && bytes > 0; changes--)
            bytes = spoil(&state, bytes);
        fuzz_now = start + i;
        copy = malloc(bytes > 0 ? bytes : 1);
        fuzz_must(copy != NULL);
        memcpy(copy, input, bytes);
        (void)LLVMFuzzerTestOneInput(copy, bytes);
        free(copy);
    }
    (void)printf("ok %u - %s spoiled from %s on\n", ++cases, count, seed);
    return 0;
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

        if (strcmp(argv[i], "--spoil") == 0 && i + 2 < argc) {
            i += spoil_seeds(argv[i + 1], argv[i + 2]) + 2;
            continue;
        }
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
