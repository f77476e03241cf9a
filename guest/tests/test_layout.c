// SPDX-License-Identifier: Apache-2.0
/*
 * VRAM as a started workload leaves it: tables map it one to one, rings stay in bounds, garbage is
 * never believed.
 */
#include "guest/tests/plain.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#define MIB (1ull << 20)

static const struct guest_options wishes[] = {
    {.workload = GUEST_GEMM, .n = 33, .steps = 3, .seed = 5},
    {.workload = GUEST_CHURN,
     .size = 64 << 10,
     .hot = 8192,
     .steps = 9,
     .seed = 6,
     .rate = 1 << 20},
    {.workload = GUEST_FILL, .size = 64 << 10, .seed = 7},
    {.workload = GUEST_DIFFUSE, .input = "P5 1 3 255 abc", .input_bytes = 14, .steps = 4},
};
#define WISHES (sizeof wishes / sizeof wishes[0])

static uint64_t word_at(const struct plain *plain, uint64_t gpa)
{
    uint64_t word;

    assert_in_range(gpa, 0, plain->memory.bytes - 8);
    memcpy(&word, plain->bytes + gpa, sizeof word);
    return word;
}

/* The manual's walk; UINT64_MAX: a fault. */
static uint64_t translate(const struct plain *plain, uint64_t va)
{
    uint64_t table = plain->root;

    for (unsigned level = SG_LEVELS; level-- > 0;) {
        unsigned shift = SG_PAGE_SHIFT + level * SG_LEVEL_BITS;
        uint64_t entry = word_at(plain, table + (va >> shift) % 512 * 8);

        if ((entry & (SG_PTE_VALID | SG_PTE_WRITE)) != (SG_PTE_VALID | SG_PTE_WRITE))
            return UINT64_MAX;
        table = entry & SG_PTE_ADDRESS;
        if (level == 0 || (entry & SG_PTE_LARGE) != 0) {
            assert_int_equal(table % (1ull << shift), 0);
            return table + va % (1ull << shift);
        }
    }
    return UINT64_MAX;
}

static void start(struct plain *plain, const struct guest_options *options, uint64_t bytes)
{
    struct vf_error err = VF_ERROR_INIT;

    plain_open(plain, bytes);
    if (guest_start(options, &plain->memory, &err) != 0)
        fail_msg("start: %s", err.text);
    assert_int_equal(plain->started, 1);
    plain->status[SG_QUEUE_COMPUTE] = SG_Q_RUNNING;
}

static void tables_map_the_reserve_and_no_more(void **state)
{
    static const uint64_t sizes[] = {2 * MIB, 2 * MIB + 4096, 4 * MIB - 4096, 6 * MIB + 64 * 1024,
                                     64 * MIB};

    (void)state;
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        struct plain plain;

        start(&plain, &wishes[2], sizes[i]);
        for (uint64_t gpa = 0; gpa < sizes[i]; gpa += 4096)
            assert_true(translate(&plain, gpa + 8) == gpa + 8);
        for (uint64_t gpa = sizes[i]; gpa < sizes[i] + 8 * MIB; gpa += 4096)
            assert_true(translate(&plain, gpa) == UINT64_MAX);
        assert_true(translate(&plain, 1ull << 30) == UINT64_MAX);
        plain_close(&plain);
    }
}

/* Every GiB has a table of its own; memory of that size is not needed to look at them. */
static int sparse_write(void *ctx, uint64_t gpa, const void *buf, uint64_t n, struct vf_error *err)
{
    struct plain *plain = ctx;

    (void)err;
    assert_in_range(gpa + n, 0, MIB);
    memcpy(plain->bytes + gpa, buf, n);
    return 0;
}

static void tables_reach_beyond_a_gib(void **state)
{
    uint64_t bytes = (3ull << 30) + 6 * MIB + 4096;
    struct plain plain;

    (void)state;
    plain_open(&plain, MIB);
    plain.memory.bytes = bytes;
    plain.memory.write = sparse_write;
    assert_int_equal(guest_start(&wishes[2], &plain.memory, NULL), 0);
    plain.memory.bytes = MIB;
    for (uint64_t gpa = 0; gpa < bytes; gpa += 2 * MIB)
        assert_true(translate(&plain, gpa) == gpa);
    assert_true(translate(&plain, bytes - 8) == bytes - 8);
    assert_true(translate(&plain, bytes) == UINT64_MAX);
    plain_close(&plain);
}

static bool in_ring(const struct plain *plain, uint64_t va)
{
    return va % SG_CMD_BYTES == 0 && va >= plain->ip && va < GUEST_TABLES_GPA;
}

static void check_command(const struct plain *plain, const struct sg_cmd *cmd)
{
    switch ((enum sg_op)cmd->op) {
    case SG_OP_RANDOM:
        assert_int_equal(cmd->a[1] % 8, 0);
        assert_true(cmd->a[0] >= GUEST_DATA_GPA && cmd->a[0] + cmd->a[1] <= plain->memory.bytes);
        break;
    case SG_OP_STENCIL:
        assert_true(cmd->a[0] + cmd->a[2] * cmd->a[3] * 4 <= plain->memory.bytes);
        assert_true(cmd->a[1] + cmd->a[2] * cmd->a[3] * 4 <= plain->memory.bytes);
        break;
    case SG_OP_GEMM:
        for (unsigned i = 0; i < 3; i++)
            assert_true(cmd->a[i] + cmd->a[3] * cmd->a[3] * 4 <= plain->memory.bytes);
        break;
    case SG_OP_SCATTER:
        assert_true(cmd->a[0] + cmd->a[1] * cmd->a[2] <= plain->memory.bytes);
        break;
    case SG_OP_JUMP:
        assert_true(in_ring(plain, cmd->a[0]));
        break;
    case SG_OP_JUMP_IF:
        assert_true(in_ring(plain, cmd->a[2]));
        break;
    default:
        break;
    }
}

static void rings_stay_in_bounds_and_end(void **state)
{
    (void)state;
    for (size_t i = 0; i < WISHES; i++) {
        struct plain plain;
        unsigned halts = 0;

        start(&plain, &wishes[i], 2 * MIB);
        for (uint64_t at = plain.ip; at < GUEST_TABLES_GPA; at += SG_CMD_BYTES) {
            struct sg_cmd cmd;

            memcpy(&cmd, plain.bytes + at, sizeof cmd);
            check_command(&plain, &cmd);
            halts += cmd.op == SG_OP_HALT;
        }
        assert_int_equal(halts, 1);
        plain_close(&plain);
    }
}

static void status_follows_the_counters_on_another_host(void **state)
{
    (void)state;
    for (size_t i = 0; i < WISHES; i++) {
        struct guest_counters counters = {.steps = 1};
        struct guest_status status;
        struct plain source, target;

        start(&source, &wishes[i], 2 * MIB);
        memcpy(source.bytes + GUEST_COUNTERS_GPA, &counters, sizeof counters);
        plain_open(&target, 2 * MIB);
        memcpy(target.bytes, source.bytes, 2 * MIB);
        plain_close(&source);
        target.status[SG_QUEUE_COMPUTE] = SG_Q_RUNNING;
        assert_int_equal(guest_status(&target.memory, &status, NULL), 0);
        assert_int_equal(status.workload, wishes[i].workload);
        assert_int_equal(status.state, GUEST_RUNNING);
        assert_int_equal(status.steps_done, 1);
        assert_true(status.steps_wanted ==
                    (wishes[i].workload == GUEST_FILL ? 1 : wishes[i].steps));
        target.status[SG_QUEUE_COMPUTE] = SG_Q_FAULT;
        assert_int_equal(guest_status(&target.memory, &status, NULL), 0);
        assert_int_equal(status.state, GUEST_FAULT);
        target.status[SG_QUEUE_COMPUTE] = SG_Q_HALTED;
        assert_int_equal(guest_status(&target.memory, &status, NULL), 0);
        assert_int_equal(status.state, GUEST_STOPPED);
        counters = (struct guest_counters){UINT64_MAX, GUEST_DONE_VALUE};
        memcpy(target.bytes + GUEST_COUNTERS_GPA, &counters, sizeof counters);
        assert_int_equal(guest_status(&target.memory, &status, NULL), 0);
        assert_int_equal(status.state, GUEST_DONE);
        assert_true(status.steps_done == status.steps_wanted);
        plain_close(&target);
    }
}

static void result_bytes_is_what_the_result_has(void **state)
{
    (void)state;
    for (size_t i = 0; i < WISHES; i++) {
        struct guest_counters counters = {.done = GUEST_DONE_VALUE};
        char digest[GUEST_DIGEST_BYTES], expected[GUEST_DIGEST_BYTES];
        struct bytes bytes = {NULL, 0};
        struct vf_error err = VF_ERROR_INIT;
        struct guest_status status;
        struct plain plain;

        start(&plain, &wishes[i], 2 * MIB);
        assert_int_equal(guest_result(&plain.memory, bytes_sink, &bytes, &err), -1);
        assert_non_null(strstr(err.text, "not complete"));
        assert_int_equal(bytes.n, 0);
        memcpy(plain.bytes + GUEST_COUNTERS_GPA, &counters, sizeof counters);
        assert_int_equal(guest_result(&plain.memory, bytes_sink, &bytes, NULL), 0);
        assert_int_equal(guest_status(&plain.memory, &status, NULL), 0);
        assert_int_equal(bytes.n, status.result_bytes);
        assert_int_equal(guest_digest(&plain.memory, digest, NULL), 0);
        digest_of(bytes.data, bytes.n, expected);
        assert_string_equal(digest, expected);
        free(bytes.data);
        plain_close(&plain);
    }
}

/* No engine touches it here: the picture that went in comes out, and lies between in cells. */
static void a_picture_survives_its_way_through_vram(void **state)
{
    static const uint32_t maxima[] = {1, 200, 255, 1000, 65535};

    (void)state;
    for (size_t i = 0; i < sizeof maxima / sizeof maxima[0]; i++) {
        struct guest_counters counters = {.done = GUEST_DONE_VALUE};
        struct guest_options options = {.workload = GUEST_DIFFUSE,
                                        .steps = 2}; /* even: the buffer that was pushed */
        struct bytes bytes = {NULL, 0};
        struct guest_image in, out;
        struct plain plain;
        uint8_t *file = noise_picture(700, 411, maxima[i], i, &options.input_bytes);

        options.input = file;
        start(&plain, &options, 4 * MIB);
        memcpy(plain.bytes + GUEST_COUNTERS_GPA, &counters, sizeof counters);
        assert_int_equal(guest_result(&plain.memory, bytes_sink, &bytes, NULL), 0);
        assert_int_equal(guest_pgm_parse(file, options.input_bytes, &in, NULL), 0);
        assert_int_equal(guest_pgm_parse(bytes.data, bytes.n, &out, NULL), 0);
        assert_int_equal(in.maxval, out.maxval);
        for (uint64_t p = 0; p < 700 * 411; p++) {
            int32_t cell;

            memcpy(&cell, plain.bytes + GUEST_DATA_GPA + p * sizeof cell, sizeof cell);
            assert_int_equal(cell, guest_pgm_sample(&in, p) << GUEST_CELL_SHIFT);
            assert_int_equal(guest_pgm_sample(&in, p), guest_pgm_sample(&out, p));
        }
        free(bytes.data);
        free(file);
        plain_close(&plain);
    }
}

static void assert_no_workload(const struct plain *plain)
{
    struct vf_error err = VF_ERROR_INIT;
    char digest[GUEST_DIGEST_BYTES];
    struct guest_status status;

    assert_int_equal(guest_status(&plain->memory, &status, &err), 0);
    assert_int_equal(status.workload, GUEST_NONE);
    assert_int_equal(status.state, GUEST_IDLE);
    assert_int_equal(guest_digest(&plain->memory, digest, &err), -1);
    assert_non_null(strstr(err.text, "no workload"));
}

static void empty_vram_has_no_workload(void **state)
{
    struct plain plain;

    (void)state;
    plain_open(&plain, 2 * MIB);
    assert_no_workload(&plain);
    plain.memory.bytes = 16;
    assert_no_workload(&plain);
    plain_close(&plain);
}

static void a_flipped_bit_is_no_workload(void **state)
{
    struct plain plain;

    (void)state;
    start(&plain, &wishes[0], 2 * MIB);
    for (size_t bit = 0; bit < sizeof(struct guest_description) * 8; bit++) {
        plain.bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_no_workload(&plain);
        plain.bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    plain_close(&plain);
}

/*
 * A forger knows how to compute the check: whatever he writes, reads stay inside the partition
 * (plain_read fails outside).
 */
static void a_forged_description_reads_nothing_outside(void **state)
{
    uint64_t seed = (uint64_t)time(NULL);
    unsigned believed = 0;

    (void)state;
    print_message("# seed %" PRIu64 "\n", seed);
    for (uint64_t round = 0; round < 4000; round++) {
        struct guest_counters counters = {.done = GUEST_DONE_VALUE};
        struct vf_error err = VF_ERROR_INIT;
        struct guest_description forged;
        char digest[GUEST_DIGEST_BYTES];
        uint64_t words[sizeof forged / 8];
        struct guest_status status;
        struct plain plain;
        uint64_t r = sg_random(seed, 1, round);

        start(&plain, &wishes[r % WISHES], 2 * MIB);
        memcpy(plain.bytes + GUEST_COUNTERS_GPA, &counters, sizeof counters);
        memcpy(words, plain.bytes, sizeof words);
        words[2 + (r >> 8) % (sizeof words / 8 - 3)] = sg_random(seed, 2, round) >> (r >> 16) % 64;
        if (r >> 63 != 0)
            words[2 + (r >> 24) % (sizeof words / 8 - 3)] = sg_random(seed, 3, round) >>
                                                            (r >> 32) % 64;
        memcpy(&forged, words, sizeof forged);
        forged.check = XXH3_64bits(&forged, offsetof(struct guest_description, check));
        memcpy(plain.bytes, &forged, sizeof forged);
        if (guest_status(&plain.memory, &status, &err) != 0)
            fail_msg("round %" PRIu64 ": %s", round, err.text);
        if (status.workload != GUEST_NONE && status.state == GUEST_DONE) {
            believed++;
            if (guest_digest(&plain.memory, digest, &err) != 0)
                fail_msg("round %" PRIu64 ": %s", round, err.text);
        }
        plain_close(&plain);
    }
    assert_true(believed > 0);
}

/* What `start` wrote, with one word of the description changed and the check made right again. */
static void forge(struct plain *plain, const struct guest_description *forged)
{
    struct guest_description sealed = *forged;

    sealed.check = XXH3_64bits(&sealed, offsetof(struct guest_description, check));
    memcpy(plain->bytes, &sealed, sizeof sealed);
}

static void sizes_that_only_agree_modulo_2_64_are_no_workload(void **state)
{
    struct guest_description forged;
    struct plain plain;

    (void)state;
    start(&plain, &wishes[0], 2 * MIB);
    memcpy(&forged, plain.bytes, sizeof forged);
    forged.n = 0x8000000000000001ull; /* its square is 1 */
    forged.result_bytes = 4;
    forge(&plain, &forged);
    assert_no_workload(&plain);
    plain_close(&plain);
}

static void a_maximum_no_picture_has_is_no_workload(void **state)
{
    static const uint32_t maxima[] = {0, 65536, UINT32_MAX};
    struct guest_description forged;
    struct plain plain;

    (void)state;
    start(&plain, &wishes[3], 2 * MIB);
    memcpy(&forged, plain.bytes, sizeof forged);
    for (size_t i = 0; i < sizeof maxima / sizeof maxima[0]; i++) {
        forged.maxval = maxima[i];
        forge(&plain, &forged);
        assert_no_workload(&plain);
    }
    plain_close(&plain);
}

static void a_running_workload_is_left_alone(void **state)
{
    struct vf_error err = VF_ERROR_INIT;
    struct guest_status status;
    struct plain plain;

    (void)state;
    start(&plain, &wishes[1], 2 * MIB);
    assert_int_equal(guest_start(&wishes[0], &plain.memory, &err), -1);
    assert_non_null(strstr(err.text, "still runs"));
    assert_int_equal(guest_status(&plain.memory, &status, NULL), 0);
    assert_int_equal(status.workload, GUEST_CHURN);
    plain_close(&plain);
}

/* A wait ends with the done word; the queue's HALT may be some moments away. */
static void a_start_may_follow_the_end_at_once(void **state)
{
    struct guest_counters counters = {.done = GUEST_DONE_VALUE};
    struct plain plain;

    (void)state;
    start(&plain, &wishes[1], 2 * MIB);
    memcpy(plain.bytes + GUEST_COUNTERS_GPA, &counters, sizeof counters);
    plain.halt_after = 100;
    assert_int_equal(guest_start(&wishes[0], &plain.memory, NULL), 0);
    assert_int_equal(plain.status[SG_QUEUE_COMPUTE], SG_Q_HALTED);
    assert_int_equal(plain.started, 2);
    plain_close(&plain);
}

static void a_queue_that_does_not_halt_is_an_error(void **state)
{
    struct vf_error err = VF_ERROR_INIT;
    struct plain plain;

    (void)state;
    plain_open(&plain, 2 * MIB);
    plain.status[SG_QUEUE_COMPUTE] = SG_Q_FAULT;
    plain.halt_after = UINT64_MAX;
    assert_int_equal(guest_start(&wishes[0], &plain.memory, &err), -1);
    assert_non_null(strstr(err.text, "does not halt"));
    assert_int_equal(plain.started, 0);
    plain_close(&plain);
}

static void a_faulted_partition_can_start_again(void **state)
{
    struct plain plain;

    (void)state;
    start(&plain, &wishes[1], 2 * MIB);
    plain.status[SG_QUEUE_COMPUTE] = SG_Q_FAULT;
    assert_int_equal(guest_start(&wishes[0], &plain.memory, NULL), 0);
    assert_int_equal(plain.status[SG_QUEUE_COMPUTE], SG_Q_HALTED);
    assert_int_equal(plain.started, 2);
    plain_close(&plain);
}

/* However far a start gets: it fails with the cause, and what it leaves reads as no workload. */
static void a_start_that_fails_leaves_no_workload(void **state)
{
    struct vf_error err = VF_ERROR_INIT;
    uint64_t allowed;

    (void)state;
    for (allowed = 1;; allowed++) { /* 0: not even the erasing of an older description succeeds */
        struct plain plain;

        plain_open(&plain, 2 * MIB);
        plain.writes_left = allowed;
        if (guest_start(&wishes[3], &plain.memory, &err) == 0) {
            plain_close(&plain);
            break;
        }
        assert_non_null(strstr(err.text, "ordered to fail"));
        assert_int_equal(plain.started, 0);
        plain.writes_left = UINT64_MAX;
        /* The last write is the doorbell; there the erasing fails with it, and the queue's
         * halt tells. */
        if (plain.bytes[0] == 0)
            assert_no_workload(&plain);
        plain_close(&plain);
    }
    assert_true(allowed > 6);
}

/* VRAM whose owner makes a step each time somebody looks at its counters. */
static int read_of_a_busy_one(void *ctx, uint64_t gpa, void *buf, uint64_t n, struct vf_error *err)
{
    struct plain *plain = ctx;

    if (gpa == GUEST_COUNTERS_GPA)
        ((struct guest_counters *)(void *)(plain->bytes + gpa))->steps++;
    if (!guest_range_ok(&plain->memory, gpa, n))
        return vf_fail(err, VF_FAILED, "outside");
    memcpy(buf, plain->bytes + gpa, n);
    return 0;
}

static void a_picture_that_changes_under_the_reader_is_refused(void **state)
{
    struct vf_error err = VF_ERROR_INIT;
    struct guest_memory busy;
    struct bytes got = {0};
    struct plain plain;
    uint64_t steps;

    (void)state;
    start(&plain, &wishes[3], 2 * MIB);
    busy = plain.memory;
    busy.ctx = &plain;
    busy.read = read_of_a_busy_one;
    assert_int_equal(guest_present(&busy, bytes_sink, &got, &steps, &err), -1);
    assert_non_null(strstr(err.text, "from step 1 to 2"));
    free(got.data);
    got = (struct bytes){0};
    assert_int_equal(guest_present(&plain.memory, bytes_sink, &got, &steps, NULL), 0);
    assert_int_equal(steps, 2);
    free(got.data);
    plain_close(&plain);
}

static void work_in_place_shows_nothing_before_its_end(void **state)
{
    struct vf_error err = VF_ERROR_INIT;
    struct plain plain;
    uint64_t steps;

    (void)state;
    start(&plain, &wishes[1], 2 * MIB);
    assert_int_equal(guest_present(&plain.memory, bytes_sink, NULL, &steps, &err), -1);
    assert_non_null(strstr(err.text, "churn"));
    plain_close(&plain);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tables_map_the_reserve_and_no_more),
        cmocka_unit_test(tables_reach_beyond_a_gib),
        cmocka_unit_test(rings_stay_in_bounds_and_end),
        cmocka_unit_test(status_follows_the_counters_on_another_host),
        cmocka_unit_test(result_bytes_is_what_the_result_has),
        cmocka_unit_test(a_picture_survives_its_way_through_vram),
        cmocka_unit_test(empty_vram_has_no_workload),
        cmocka_unit_test(a_flipped_bit_is_no_workload),
        cmocka_unit_test(a_forged_description_reads_nothing_outside),
        cmocka_unit_test(sizes_that_only_agree_modulo_2_64_are_no_workload),
        cmocka_unit_test(a_maximum_no_picture_has_is_no_workload),
        cmocka_unit_test(a_running_workload_is_left_alone),
        cmocka_unit_test(a_start_may_follow_the_end_at_once),
        cmocka_unit_test(a_queue_that_does_not_halt_is_an_error),
        cmocka_unit_test(a_faulted_partition_can_start_again),
        cmocka_unit_test(a_start_that_fails_leaves_no_workload),
        cmocka_unit_test(a_picture_that_changes_under_the_reader_is_refused),
        cmocka_unit_test(work_in_place_shows_nothing_before_its_end),
    };

    return cmocka_run_group_tests_name("guest layout", tests, NULL, NULL);
}
