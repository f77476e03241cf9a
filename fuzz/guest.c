// SPDX-License-Identifier: Apache-2.0
/*
 * guest/: pictures, options, and the description found in a moved partition's VRAM. Input: u8 mode,
 * then OPTIONS: lines `workload`, `key`, `value`, `key`, …, an empty line and a picture; or VRAM:
 * a struct guest_description (sealed here) and the counters behind it.
 */
#include "fuzz/target.h"
#include "guest/internal.h"

#include <string.h>

enum mode { OPTIONS, VRAM, MODES };

#define VRAM_BYTES (2ull << 20)
#define MAX_PAIRS 8u
#define MAX_REFERENCE 4096u /* bytes and steps of work that the CPU does here */

struct partition {
    uint8_t *bytes;
    uint64_t queue_status;
};

static int vram_read(void *ctx, uint64_t gpa, void *buf, uint64_t n, struct vf_error *err)
{
    struct partition *partition = ctx;

    (void)err;
    fuzz_must(gpa <= VRAM_BYTES && n <= VRAM_BYTES - gpa); /* guest/ has checked it */
    memcpy(buf, partition->bytes + gpa, n);
    return 0;
}

static int vram_write(void *ctx, uint64_t gpa, const void *buf, uint64_t n, struct vf_error *err)
{
    struct partition *partition = ctx;

    (void)err;
    fuzz_must(gpa <= VRAM_BYTES && n <= VRAM_BYTES - gpa);
    memcpy(partition->bytes + gpa, buf, n);
    return 0;
}

static int reg_write(void *ctx, uint64_t offset, uint64_t value, unsigned width,
                     struct vf_error *err)
{
    (void)ctx;
    (void)value;
    (void)err;
    fuzz_must(offset + width <= SG_VF_REGS_BYTES);
    return 0;
}

static int reg_read(void *ctx, uint64_t offset, uint64_t *value, unsigned width,
                    struct vf_error *err)
{
    struct partition *partition = ctx;

    (void)err;
    fuzz_must(offset + width <= SG_VF_REGS_BYTES);
    *value = offset == SG_VF_ID ? SG_ID_VALUE : partition->queue_status;
    return 0;
}

static int count_bytes(void *ctx, const void *bytes, size_t n, struct vf_error *err)
{
    uint64_t *sum = ctx;

    (void)err;
    fuzz_must(bytes != NULL && n > 0);
    *sum += n;
    return 0;
}

/* What anyone does with a partition he was given. */
static void look(struct guest_memory *memory)
{
    struct vf_error err = VF_ERROR_INIT;
    char digest[GUEST_DIGEST_BYTES];
    struct guest_status status;
    uint64_t sum = 0;

    fuzz_must(guest_status(memory, &status, &err) == 0);
    fuzz_must(status.steps_done <= status.steps_wanted);
    fuzz_must(guest_workload_name(status.workload) != NULL);
    if (guest_result(memory, count_bytes, &sum, &err) == 0)
        fuzz_must(sum == status.result_bytes);
    (void)guest_digest(memory, digest, &err);
}

static bool small(const struct guest_options *options)
{
    return options->steps <= 16 && options->n <= 16 && options->size <= MAX_REFERENCE &&
           options->input_bytes <= MAX_REFERENCE;
}

static void run_options(const struct guest_options *options, struct guest_memory *memory)
{
    struct vf_error err = VF_ERROR_INIT;
    char digest[GUEST_DIGEST_BYTES];
    bool good = guest_options_check(options, &err) == 0;

    fuzz_must(good == (guest_vram_needed(options) != UINT64_MAX));
    if (!good) {
        fuzz_must(err.text[0] != '\0');
        return;
    }
    if (guest_vram_needed(options) <= VRAM_BYTES)
        fuzz_must(guest_start(options, memory, &err) == 0);
    else
        fuzz_must(guest_start(options, memory, &err) != 0);
    if (small(options))
        fuzz_must(guest_reference(options, NULL, NULL, digest, &err) == 0);
}

/* The next line in place, terminated; NULL at the end or at an empty one. */
static const char *next_line(char **at)
{
    char *line = *at;
    char *end = line == NULL ? NULL : strchr(line, '\n');

    if (line == NULL || *line == '\0')
        return NULL;
    *at = end == NULL ? NULL : end + 1;
    if (end != NULL)
        *end = '\0';
    return *line == '\0' ? NULL : line;
}

static void test_options(struct fuzz_input *in, struct guest_memory *memory)
{
    const uint8_t *blank = memmem(in->at, in->left, "\n\n", 2);
    size_t text_bytes = blank == NULL ? in->left : (size_t)(blank - in->at) + 1;
    char *text = strndup((const char *)in->at, text_bytes);
    char *at = text;
    const char *workload;
    struct guest_pair pairs[MAX_PAIRS];
    struct guest_options options;
    struct vf_error err = VF_ERROR_INIT;
    size_t count = 0;

    fuzz_must(text != NULL);
    (void)fuzz_take(in, text_bytes + (blank != NULL ? 1 : 0));
    workload = next_line(&at);
    while (workload != NULL && count < MAX_PAIRS) {
        pairs[count].key = next_line(&at);
        pairs[count].value = pairs[count].key == NULL ? NULL : next_line(&at);
        if (pairs[count].value == NULL)
            break;
        count++;
    }
    if (workload != NULL && guest_options_parse(workload, pairs, count, &options, &err) == 0) {
        options.input = in->at;
        options.input_bytes = in->left;
        run_options(&options, memory);
    }
    free(text);
}

static void test_vram(struct fuzz_input *in, struct guest_memory *memory)
{
    struct partition *partition = memory->ctx;
    struct guest_description *description = (struct guest_description *)(void *)partition->bytes;
    size_t head = in->left < sizeof *description ? in->left : sizeof *description;
    size_t rest;

    partition->queue_status = fuzz_number(in, 1) % 4;
    head = in->left < head ? in->left : head;
    memcpy(partition->bytes, fuzz_take(in, head), head);
    rest = in->left < GUEST_PAGE_BYTES ? in->left : GUEST_PAGE_BYTES;
    memcpy(partition->bytes + GUEST_COUNTERS_GPA, fuzz_take(in, rest), rest);
    description->check = XXH3_64bits(description, offsetof(struct guest_description, check));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input in = {data, size};
    struct partition partition = {.bytes = calloc(1, VRAM_BYTES)};
    struct guest_memory memory = {&partition, VRAM_BYTES, vram_read,
                                  vram_write, reg_write,  reg_read};

    fuzz_must(partition.bytes != NULL);
    if (fuzz_number(&in, 1) % MODES == VRAM)
        test_vram(&in, &memory);
    else
        test_options(&in, &memory);
    look(&memory);
    free(partition.bytes);
    return 0;
}

static size_t put_text(uint8_t *data, const char *text)
{
    data[0] = OPTIONS;
    memcpy(data + 1, text, strlen(text));
    return 1 + strlen(text);
}

/* A workload as guest_start leaves it in VRAM. */
static size_t put_vram(uint8_t *data, uint32_t workload)
{
    struct guest_description description = {.magic = GUEST_MAGIC,
                                            .version = GUEST_DESCRIPTION_VERSION,
                                            .workload = workload,
                                            .steps = 4,
                                            .n = workload == GUEST_GEMM ? 8 : 0,
                                            .size = workload >= GUEST_CHURN ? 8192 : 0,
                                            .hot = workload == GUEST_CHURN ? 4096 : 0,
                                            .width = workload == GUEST_DIFFUSE ? 8 : 0,
                                            .height = workload == GUEST_DIFFUSE ? 8 : 0,
                                            .maxval = workload == GUEST_DIFFUSE ? 255 : 0,
                                            .result_gpa = GUEST_DATA_GPA,
                                            .result_bytes = workload >= GUEST_CHURN ? 8192 : 256,
                                            .counters_gpa = GUEST_COUNTERS_GPA,
                                            .ring_gpa = GUEST_RING_GPA};
    struct guest_counters counters = {4, GUEST_DONE_VALUE};

    data[0] = VRAM;
    data[1] = SG_Q_HALTED;
    memcpy(data + 2, &description, sizeof description);
    memcpy(data + 2 + sizeof description, &counters, sizeof counters);
    return 2 + sizeof description + sizeof counters;
}

size_t fuzz_seed(unsigned index, uint8_t *data)
{
    static const char *const texts[] = {
        "diffuse\nsteps\n3\n\nP5\n4 2\n255\nabcdefgh",
        "diffuse\nsteps\n2\n\nP5 # a comment\n2 2 1000\naabbccdd",
        "gemm\nn\n8\nsteps\n4\nseed\n7\n",
        "churn\nsize\n4K\nhot\n4096\nsteps\n3\nrate\n100M\n",
        "fill\nsize\n1M\nseed\n0x10\n",
        "churn\nsize\n1G\nsteps\n18446744073709551615\n",
    };
    const unsigned count = sizeof texts / sizeof texts[0];

    if (index < count)
        return put_text(data, texts[index]);
    return index < count + 4 ? put_vram(data, index - count + 1) : 0;
}
