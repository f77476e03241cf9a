// SPDX-License-Identifier: Apache-2.0
/* Dirty tracking of a partition: no write is lost, history survives jobs, and what cannot be known
 * counts as dirty (DBT-1..9). */
#include "dxgk/tests/rig/pagerig.h"
#include "dxgk/tracking/tracking.h"

#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define MIB (1ull << 20)
#define SPEC "softgpu,vram=128M,vfs=4,dirty-page=4K"
#define RESERVE (8 * MIB)
#define PAGES (RESERVE / 4096)

static DRIVER_INITIALIZATION_DATA real;
static _Atomic int fail_queries;   /* > 0: that many queries fail */
static _Atomic int overrun;        /* > 0: that many queries write behind their buffer */
static _Atomic uint32_t queries;   /* seen */
static _Atomic uint64_t most_bits; /* largest buffer seen */

static NTSTATUS wrapped_query(HANDLE adapter, DXGKARG_QUERYDIRTYBITDATA *args)
{
    (void)atomic_fetch_add(&queries, 1);
    if (args->BufferSize > atomic_load(&most_bits))
        atomic_store(&most_bits, args->BufferSize);
    NTSTATUS status = real.DxgkDdiQueryDirtyBitData(adapter, args);
    if (atomic_load(&fail_queries) > 0) {
        (void)atomic_fetch_sub(&fail_queries, 1);
        return STATUS_UNSUCCESSFUL; /* and the bits are gone from hardware: the worst case */
    }
    if (atomic_load(&overrun) > 0) {
        (void)atomic_fetch_sub(&overrun, 1);
        ((uint8_t *)args->Buffer)[args->BufferSize] = 1;
    }
    return status;
}

static void begin(struct rig *rig, const char *spec)
{
    rig_open(rig, spec);
    real = rig->adapter->ddi;
    rig->adapter->ddi.DxgkDdiQueryDirtyBitData = wrapped_query;
    atomic_store(&fail_queries, 0);
    atomic_store(&overrun, 0);
    atomic_store(&queries, 0);
    atomic_store(&most_bits, 0);
}

static void prepare(struct rig *rig, uint64_t id)
{
    struct vf_error err = VF_ERROR_INIT;

    if (dxgk_migration_prepare(rig->dxgk, id, DXGK_SOURCE, 1, &err) != 0)
        fail_msg("%s", err.text);
}

static void end_move(struct rig *rig, uint64_t id)
{
    struct vf_error err = VF_ERROR_INIT;

    if (dxgk_migration_end(rig->dxgk, id, &err) != 0)
        fail_msg("%s", err.text);
}

static uint64_t query(struct rig *rig, uint64_t id, uint8_t *bits, size_t bytes)
{
    struct vf_error err = VF_ERROR_INIT;
    uint64_t dirty = 0;

    if (dxgk_migration_query_dirty(rig->dxgk, id, bits, bytes, &dirty, &err) != 0)
        fail_msg("%s", err.text);
    return dirty;
}

static bool bit(const uint8_t *bits, uint64_t page)
{
    return (bits[page / 8] >> (page % 8)) & 1;
}

static int write_word(struct rig *rig, uint64_t id, uint64_t at, uint64_t value)
{
    struct vf_error err = VF_ERROR_INIT;

    return dxgk_partition_bar_write(rig->dxgk, id, 2, at, &value, sizeof value, &err);
}

static void touch(struct rig *rig, uint64_t id, uint64_t page, uint64_t page_bytes)
{
    assert_int_equal(write_word(rig, id, page * page_bytes + 8, page + 1), 0);
}

/* ---- no write is lost ---- */

struct writer {
    struct rig *rig;
    uint64_t id, state;
    _Atomic uint64_t *written;
};

/* Writes until the door shuts: a pause refuses guest writes (SRC-5). */
static void *write_until_paused(void *arg)
{
    struct writer *writer = arg;

    for (uint64_t value = 1;; value++) {
        uint64_t r = rig_random(&writer->state);

        if (write_word(writer->rig, writer->id, r % PAGES * 4096 + (r >> 32) % 512 * 8, value) != 0)
            return NULL;
        (void)atomic_fetch_add(writer->written, 1);
    }
}

/* One round: what the query says is gathered into the copy. */
static void copy_dirty(struct rig_channel *channel, const uint8_t *bits, uint8_t *copy)
{
    uint64_t list[64];
    uint32_t count = 0;

    for (uint64_t page = 0; page <= PAGES; page++) {
        if (page < PAGES && bit(bits, page))
            list[count++] = page;
        if (count == 0 || (count < 64 && page < PAGES))
            continue;
        rig_submit(channel, DXGK_GATHER, 0, list, count);
        assert_int_equal(rig_wait(channel, 0), 0);
        for (uint32_t i = 0; i < count; i++)
            memcpy(copy + list[i] * 4096, rig_slot(channel, 0) + i * 4096, 4096);
        count = 0;
    }
}

/* Copies a partition while two threads write to it; true when the copy ends equal to what
 * is there. */
static bool copy_under_load(const char *spec)
{
    struct rig rig;
    struct rig_channel channel;
    struct vf_error err = VF_ERROR_INIT;
    uint64_t state = rig_seed("no lost write");
    uint8_t bits[PAGES / 8], *copy = calloc(1, RESERVE), *truth = calloc(1, RESERVE);
    _Atomic uint64_t written = 0;
    struct writer writers[2];
    pthread_t threads[2];

    begin(&rig, spec);
    uint64_t id = rig_partition(&rig, "p", RESERVE, false);
    rig_channel_open(&rig, id, 64 * 4096, &channel);
    prepare(&rig, id);
    for (int i = 0; i < 2; i++) {
        writers[i] = (struct writer){&rig, id, rig_random(&state), &written};
        assert_int_equal(pthread_create(&threads[i], NULL, write_until_paused, &writers[i]), 0);
    }
    for (int round = 0; round < 40 || atomic_load(&written) < 2000; round++) {
        (void)query(&rig, id, bits, sizeof bits);
        copy_dirty(&channel, bits, copy);
    }
    assert_int_equal(dxgk_partition_pause(rig.dxgk, id, &err), 0);
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    (void)query(&rig, id, bits, sizeof bits);
    copy_dirty(&channel, bits, copy);
    assert_int_equal(query(&rig, id, bits, sizeof bits), 0);
    memset(bits, 0xff, sizeof bits);
    copy_dirty(&channel, bits, truth);
    bool equal = memcmp(copy, truth, RESERVE) == 0;
    rig_channel_close(&channel);
    end_move(&rig, id);
    assert_int_equal(rig.contract, 0);
    rig_close(&rig);
    free(copy);
    free(truth);
    return equal;
}

/* DBT-6 */
static void no_write_is_lost_under_load(void **unused)
{
    (void)unused;
    assert_true(copy_under_load(SPEC));
    assert_true(copy_under_load(SPEC ",performant=off"));
}

/* One write to each page, one round: true when the copy then equals what is there. */
static bool one_round_finds_every_write(const char *spec)
{
    struct rig rig;
    struct rig_channel channel;
    uint8_t bits[PAGES / 8], *copy = calloc(1, RESERVE), *truth = calloc(1, RESERVE);

    begin(&rig, spec);
    uint64_t id = rig_partition(&rig, "p", RESERVE, false);
    rig_channel_open(&rig, id, 64 * 4096, &channel);
    prepare(&rig, id);
    assert_int_equal(query(&rig, id, bits, sizeof bits), 0);
    for (uint64_t page = 0; page < PAGES; page++)
        touch(&rig, id, page, 4096);
    (void)query(&rig, id, bits, sizeof bits);
    copy_dirty(&channel, bits, copy);
    memset(bits, 0xff, sizeof bits);
    copy_dirty(&channel, bits, truth);
    bool equal = memcmp(copy, truth, RESERVE) == 0;
    rig_channel_close(&channel);
    end_move(&rig, id);
    rig_close(&rig);
    free(copy);
    free(truth);
    return equal;
}

/* DBT-6: That the comparison can fail: a card that forgets dirty bits gives itself away. */
static void a_card_that_drops_dirty_bits_is_caught(void **unused)
{
    (void)unused;
    assert_true(one_round_finds_every_write(SPEC));
    assert_false(one_round_finds_every_write(SPEC ",fault=drop-dirty:3"));
}

/* ---- history ---- */

/* CAP-4, DBT-9 */
static void a_moves_first_round_is_all_that_was_ever_touched(void **unused)
{
    struct rig rig;
    uint8_t bits[PAGES / 8];

    (void)unused;
    begin(&rig, SPEC);
    uint64_t id = rig_partition(&rig, "p", RESERVE, false);
    touch(&rig, id, 3, 4096);
    touch(&rig, id, 700, 4096);
    prepare(&rig, id);
    assert_int_equal(query(&rig, id, bits, sizeof bits), 2);
    assert_true(bit(bits, 3) && bit(bits, 700));
    touch(&rig, id, 9, 4096);
    touch(&rig, id, 700, 4096);
    assert_int_equal(query(&rig, id, bits, sizeof bits), 2);
    assert_true(bit(bits, 9) && bit(bits, 700));
    assert_int_equal(query(&rig, id, bits, sizeof bits), 0);
    end_move(&rig, id); /* it failed: what the target may never have got is owed again */
    touch(&rig, id, PAGES - 1, 4096);
    prepare(&rig, id);
    assert_int_equal(query(&rig, id, bits, sizeof bits), 4);
    assert_true(bit(bits, 3) && bit(bits, 9) && bit(bits, 700) && bit(bits, PAGES - 1));
    assert_int_equal(query(&rig, id, bits, sizeof bits), 0);
    end_move(&rig, id);
    rig_close(&rig);
}

/* CAP-4 */
static void without_performant_tracking_the_first_round_is_everything(void **unused)
{
    struct rig rig;
    uint8_t bits[PAGES / 8];

    (void)unused;
    begin(&rig, SPEC ",performant=off");
    uint64_t id = rig_partition(&rig, "p", RESERVE, false);
    for (int move = 0; move < 2; move++) {
        prepare(&rig, id);
        assert_int_equal(query(&rig, id, bits, sizeof bits), PAGES);
        touch(&rig, id, 5, 4096);
        assert_int_equal(query(&rig, id, bits, sizeof bits), 1);
        assert_true(bit(bits, 5));
        end_move(&rig, id);
    }
    assert_int_equal(rig.contract, 0);
    rig_close(&rig);
}

/* DBT-9 */
static void a_failed_query_makes_everything_dirty(void **unused)
{
    struct rig rig;
    uint8_t bits[PAGES / 8];

    (void)unused;
    begin(&rig, SPEC);
    uint64_t id = rig_partition(&rig, "p", RESERVE, false);
    prepare(&rig, id);
    assert_int_equal(query(&rig, id, bits, sizeof bits), 0);
    touch(&rig, id, 5, 4096);
    atomic_store(&fail_queries, 1);
    assert_int_equal(query(&rig, id, bits, sizeof bits), PAGES);
    assert_int_equal(rig.contract, 1);
    assert_non_null(strstr(rig.last, "DBT-9"));
    touch(&rig, id, 6, 4096);
    assert_int_equal(query(&rig, id, bits, sizeof bits), 1);
    end_move(&rig, id);
    prepare(&rig, id); /* the next job's first round knows no better */
    assert_int_equal(query(&rig, id, bits, sizeof bits), PAGES);
    end_move(&rig, id);
    rig_close(&rig);
}

/* DBT-4 */
static void a_driver_that_writes_behind_the_bits_is_reported(void **unused)
{
    struct rig rig;
    uint8_t bits[PAGES / 8];

    (void)unused;
    begin(&rig, SPEC);
    uint64_t id = rig_partition(&rig, "p", RESERVE, false);
    prepare(&rig, id);
    atomic_store(&overrun, 1);
    assert_int_equal(query(&rig, id, bits, sizeof bits), PAGES);
    assert_true(rig.contract >= 1);
    end_move(&rig, id);
    rig_close(&rig);
}

/* ---- piecewise ---- */

/* DBT-4, DBT-7: A reserve of ranges whose page counts are no multiples of 8: pieces start and end
 * inside bytes. */
static void piecewise_queries_tell_the_same(void **unused)
{
    struct rig rig;
    struct vf_error err = VF_ERROR_INIT;
    uint64_t state = rig_seed("piecewise"), ids[4];
    const uint64_t page_bytes = 65536, bytes = 56 * MIB - 5 * page_bytes,
                   pages = bytes / page_bytes;
    const size_t limits[] = {0, 1, 2, 7, 64};
    uint8_t bits[128], model[128];

    (void)unused;
    begin(&rig, "softgpu,vram=128M,vfs=4,dirty-page=64K,scatter=on");
    for (int i = 0; i < 4; i++)
        ids[i] = rig_partition(&rig, (const char *[]){"a", "b", "c", "d"}[i],
                               24 * MIB - 3 * page_bytes, false);
    assert_int_equal(dxgk_partition_destroy(rig.dxgk, ids[0], &err), 0);
    assert_int_equal(dxgk_partition_destroy(rig.dxgk, ids[2], &err), 0);
    uint64_t id = rig_partition(&rig, "wide", bytes, false);
    struct dxgk_partition *partition = rig_inside(&rig, id);
    assert_true(partition->range_count > 1);
    prepare(&rig, id);
    assert_true(sizeof bits >= (pages + 7) / 8);
    (void)query(&rig, id, bits, sizeof bits);
    for (size_t l = 0; l < sizeof limits / sizeof limits[0]; l++)
        for (int turn = 0; turn < 20; turn++) {
            uint64_t set = 0;

            assert_int_equal(pthread_mutex_lock(&partition->lock), 0);
            dxgk_tracking_limit_buffer(partition, limits[l]);
            assert_int_equal(pthread_mutex_unlock(&partition->lock), 0);
            memset(model, 0, sizeof model);
            for (uint64_t i = rig_random(&state) % 300; i > 0; i--) {
                uint64_t page = rig_random(&state) % pages;

                set += !bit(model, page);
                model[page / 8] |= (uint8_t)(1u << page % 8);
                touch(&rig, id, page, page_bytes);
            }
            atomic_store(&most_bits, 0);
            atomic_store(&queries, 0);
            assert_int_equal(query(&rig, id, bits, sizeof bits), set);
            assert_memory_equal(bits, model, (pages + 7) / 8);
            assert_true(limits[l] == 0
                            ? queries == 1
                            : queries > partition->range_count - 1 && most_bits <= limits[l]);
        }
    end_move(&rig, id);
    assert_int_equal(rig.contract, 0);
    rig_close(&rig);
}

/* ---- refusals ---- */

static NTSTATUS failing_destroy(HANDLE adapter, HANDLE basis)
{
    NTSTATUS status = real.DxgkDdiDestroyMemoryBasis(adapter, basis);

    return NT_SUCCESS(status) ? STATUS_UNSUCCESSFUL : status;
}

/* DBT-8 */
static void a_basis_that_cannot_be_destroyed_is_a_broken_invariant(void **unused)
{
    struct rig rig;
    struct vf_error err = VF_ERROR_INIT;

    (void)unused;
    begin(&rig, SPEC);
    uint64_t id = rig_partition(&rig, "p", RESERVE, false);
    rig.adapter->ddi.DxgkDdiDestroyMemoryBasis = failing_destroy;
    (void)dxgk_partition_destroy(rig.dxgk, id, &err);
    assert_true(rig.contract >= 1);
    assert_non_null(strstr(rig.last, "DBT-8"));
    rig.adapter->ddi = real;
    rig_close(&rig);
}

static void a_buffer_too_small_and_an_untracked_partition_are_refused(void **unused)
{
    struct rig rig;
    struct vf_error err = VF_ERROR_INIT;
    uint8_t bits[PAGES / 8];
    uint64_t dirty;

    (void)unused;
    begin(&rig, SPEC);
    uint64_t id = rig_partition(&rig, "p", RESERVE, false);
    assert_int_equal(dxgk_migration_query_dirty(rig.dxgk, id, bits, sizeof bits, &dirty, &err), -1);
    prepare(&rig, id);
    assert_int_equal(dxgk_migration_query_dirty(rig.dxgk, id, bits, sizeof bits - 1, &dirty, &err),
                     -1);
    end_move(&rig, id);
    rig_close(&rig);
}

/* Who watches what a partition writes takes nothing from the move that comes later (DBT-9). */
static void samples_between_moves_take_nothing_from_a_move(void **unused)
{
    struct rig rig;
    struct vf_error err = VF_ERROR_INIT;
    struct dxgk_sample sample;
    uint8_t bits[PAGES / 8];

    (void)unused;
    begin(&rig, SPEC);
    uint64_t id = rig_partition(&rig, "p", RESERVE, false);
    assert_int_equal(
        dxgk_partition_sample_dirty(rig.dxgk, id, bits, sizeof bits - 1, &sample, &err), -1);
    touch(&rig, id, 3, 4096);
    touch(&rig, id, 5, 4096);
    assert_int_equal(dxgk_partition_sample_dirty(rig.dxgk, id, bits, sizeof bits, &sample, &err),
                     0);
    assert_true(sample.dirty == 2 && sample.touched == 2 && !sample.everything);
    assert_true(bit(bits, 3) && bit(bits, 5));
    touch(&rig, id, 5, 4096);
    assert_int_equal(dxgk_partition_sample_dirty(rig.dxgk, id, bits, sizeof bits, &sample, &err),
                     0);
    assert_true(sample.dirty == 1 && sample.touched == 2 && bit(bits, 5) && !bit(bits, 3));
    prepare(&rig, id);
    assert_int_equal(dxgk_partition_sample_dirty(rig.dxgk, id, bits, sizeof bits, &sample, &err),
                     -1);
    assert_int_equal(err.code, VF_REFUSED_NOW);
    assert_int_equal(query(&rig, id, bits, sizeof bits), 2);
    assert_true(bit(bits, 3) && bit(bits, 5));
    end_move(&rig, id);
    assert_int_equal(rig.contract, 0);
    rig_close(&rig);
}

static void without_performant_tracking_there_is_nothing_to_sample(void **unused)
{
    struct rig rig;
    struct vf_error err = VF_ERROR_INIT;
    struct dxgk_sample sample;
    uint8_t bits[PAGES / 8];

    (void)unused;
    begin(&rig, SPEC ",performant=off");
    uint64_t id = rig_partition(&rig, "p", RESERVE, false);
    assert_int_equal(dxgk_partition_sample_dirty(rig.dxgk, id, bits, sizeof bits, &sample, &err),
                     -1);
    assert_int_equal(err.code, VF_INCOMPATIBLE);
    rig_close(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_write_is_lost_under_load),
        cmocka_unit_test(a_card_that_drops_dirty_bits_is_caught),
        cmocka_unit_test(a_moves_first_round_is_all_that_was_ever_touched),
        cmocka_unit_test(without_performant_tracking_the_first_round_is_everything),
        cmocka_unit_test(a_failed_query_makes_everything_dirty),
        cmocka_unit_test(a_driver_that_writes_behind_the_bits_is_reported),
        cmocka_unit_test(piecewise_queries_tell_the_same),
        cmocka_unit_test(a_basis_that_cannot_be_destroyed_is_a_broken_invariant),
        cmocka_unit_test(a_buffer_too_small_and_an_untracked_partition_are_refused),
        cmocka_unit_test(samples_between_moves_take_nothing_from_a_move),
        cmocka_unit_test(without_performant_tracking_there_is_nothing_to_sample),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
