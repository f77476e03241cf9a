// SPDX-License-Identifier: Apache-2.0
/*
 * A journal found on disk. Input: its content. A line `!TEXT` stands for TEXT with the right
 * checksum behind it, so that the fuzzer gets behind that. A journal that opens can be written, and
 * says the same when opened again.
 */
#include "fuzz/directory.h"
#include "fuzz/target.h"
#include "migrate/journal/journal.h"
#include "migrate/journal/line.h"

#include "base/cleanup.h"

#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <xxhash.h>

#define SUM_ROOM 40u /* ,"sum":"…"} */

/* The file's bytes from the input; in `to` with room for a checksum a line. */
static size_t unfold(const uint8_t *data, size_t size, char *to)
{
    size_t used = 0;

    while (size > 0) {
        const uint8_t *end = memchr(data, '\n', size);
        size_t line = end != NULL ? (size_t)(end - data) : size;
        bool sealed = line > 0 && data[0] == '!';
        size_t text = sealed ? line - 1 : line;

        memcpy(to + used, data + (sealed ? 1 : 0), text);
        if (sealed)
            text += (size_t)sprintf(to + used + text, ",\"sum\":\"%016" PRIx64 "\"}",
                                    XXH3_64bits(to + used, text));
        used += text;
        if (end != NULL)
            to[used++] = '\n';
        data += line + (end != NULL ? 1 : 0);
        size -= line + (end != NULL ? 1 : 0);
    }
    return used;
}

static void write_file(const char *directory, const char *bytes, size_t count)
{
    char path[96];
    cleanup_close int fd = -1;

    (void)snprintf(path, sizeof path, "%s/journal", directory);
    fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    fuzz_must(fd >= 0 && write(fd, bytes, count) == (ssize_t)count);
}

struct content {
    size_t jobs;
    uint64_t last_id;
    XXH64_hash_t sum;
};

static void look_at(void *ctx, const struct journal_record *record)
{
    struct content *content = ctx;

    fuzz_must(record->id > content->last_id && record->kind < JOURNAL_KINDS);
    fuzz_must(memchr(record->text, '\0', sizeof record->text) != NULL);
    content->last_id = record->id;
    content->jobs++;
    content->sum = XXH3_64bits_withSeed(record, sizeof *record, content->sum);
}

static struct content content_of(struct journal *journal)
{
    struct content content = {0};

    journal_each(journal, look_at, &content);
    return content;
}

/* The highest id has no successor: such a journal takes no new job, and need not. */
static void write_one(struct journal *journal)
{
    struct journal_record record = {
        .id = journal_take_id(journal), .kind = JOURNAL_OPEN, .epoch = 5, .partition = "vm"};
    struct vf_error err = VF_ERROR_INIT;
    int result = journal_write(journal, &record, &err);

    fuzz_must(result == 0 || record.id > INT64_MAX);
    fuzz_must(result != 0 || journal_epoch(journal, record.uuid) >= 5);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const files[] = {"journal", NULL};
    const char *directory = fuzz_directory(files);
    char *file = malloc(size * (1 + SUM_ROOM) + SUM_ROOM);
    struct vf_error err = VF_ERROR_INIT;
    struct journal *journal;
    struct content before, after;

    fuzz_must(file != NULL);
    write_file(directory, file, unfold(data, size, file));
    free(file);
    if (journal_open(directory, &journal, &err) != 0) {
        fuzz_must(err.text[0] != '\0');
        return 0;
    }
    write_one(journal);
    before = content_of(journal);
    journal_close(journal);
    fuzz_must(journal_open(directory, &journal, &err) == 0);
    after = content_of(journal);
    fuzz_must(before.jobs == after.jobs && before.last_id == after.last_id &&
              before.sum == after.sum);
    journal_close(journal);
    return 0;
}

/* A record as the journal writes it, folded: `!`, without its checksum. */
static size_t fold(const struct journal_record *record, uint8_t *to)
{
    char line[JOURNAL_LINE_BYTES];
    size_t bytes = journal_line_format(record, line);
    const char *sum;

    fuzz_must(bytes > 0);
    line[bytes - 1] = '\0'; /* its newline */
    sum = strstr(line, ",\"sum\":");
    fuzz_must(sum != NULL);
    to[0] = '!';
    bytes = (size_t)(sum - line);
    memcpy(to + 1, line, bytes);
    to[1 + bytes] = '\n';
    return bytes + 2;
}

size_t fuzz_seed(unsigned index, uint8_t *data)
{
    static const enum journal_kind kinds[] = {JOURNAL_OPEN, JOURNAL_COMMIT, JOURNAL_DONE};
    static const enum journal_kind ends[] = {JOURNAL_OPEN, JOURNAL_SETTLED, JOURNAL_ABORTED};
    size_t used = 0;

    if (index > 3)
        return 0;
    for (unsigned i = 0; i < 3; i++) {
        struct journal_record record = {.job = {1},
                                        .id = index == 1 ? i + 1 : 7,
                                        .kind = index == 3 ? ends[i] : kinds[i],
                                        .side = MIG_SOURCE,
                                        .operation = (enum journal_operation)i,
                                        .runs = MIG_TARGET,
                                        .cancelled = true,
                                        .restart = {.wanted = true, .streams = 2},
                                        .partition = "p1",
                                        .uuid = {9},
                                        .epoch = 4 + i,
                                        .peer = "10.0.0.2:7001",
                                        .time_ns = 1700000000000000000u,
                                        .text = "diffuse \"a\""};

        used += fold(&record, data + used);
    }
    if (index == 2) { /* a torn last line */
        memcpy(data + used, "{\"v\":2,\"kind\":\"OP", 17);
        used += 17;
    }
    return used;
}
