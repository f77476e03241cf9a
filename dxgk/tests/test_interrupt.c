// SPDX-License-Identifier: Apache-2.0
/* Interrupts: the guest's MSI-X table (INT-1..3), its move, and the levels and locks a driver
 * relies on. */
#include "base/thread.h"
#include "dxgk/adapter/interrupt.h"
#include "dxgk/nt/nt.h"
#include "dxgk/partition/msix.h"
#include "dxgk/tests/rig/pagerig.h"
#include "softgpu/hw.h"

#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define MIB (1ull << 20)
#define SPEC "softgpu,vram=128M,vfs=4,dirty-page=4K"
#define COMMANDS 0x10000ull

static void write_bar(struct rig *rig, uint64_t id, uint32_t bar, uint64_t offset, uint64_t value,
                      uint64_t bytes)
{
    struct vf_error err = VF_ERROR_INIT;

    if (dxgk_partition_bar_write(rig->dxgk, id, bar, offset, &value, bytes, &err) != 0)
        fail_msg("%s", err.text);
}

static uint64_t read_bar(struct rig *rig, uint64_t id, uint32_t bar, uint64_t offset,
                         uint64_t bytes)
{
    struct vf_error err = VF_ERROR_INIT;
    uint64_t value = 0;

    if (dxgk_partition_bar_read(rig->dxgk, id, bar, offset, &value, bytes, &err) != 0)
        fail_msg("%s", err.text);
    return value;
}

static uint64_t entry_at(uint32_t vector, uint32_t field)
{
    return SG_VF_MSIX_TABLE + vector * 16u + field;
}

static void program(struct rig *rig, uint64_t id, uint32_t vector, uint64_t address, uint32_t data,
                    uint32_t control)
{
    write_bar(rig, id, 0, entry_at(vector, 0), address, 8);
    write_bar(rig, id, 0, entry_at(vector, 8), data, 4);
    write_bar(rig, id, 0, entry_at(vector, 12), control, 4);
}

static uint64_t delivered(struct rig *rig, uint64_t id)
{
    struct vf_partition_info info;
    struct vf_error err = VF_ERROR_INIT;

    assert_int_equal(dxgk_partition_info(rig->dxgk, id, &info, &err), 0);
    return info.interrupts;
}

/* Has the VF raise `count` interrupts and waits for its queue to halt. VA 0..2 MiB is VRAM
 * 0..2 MiB. */
static void raise_interrupts(struct rig *rig, uint64_t id, uint32_t vector, uint32_t count)
{
    write_bar(rig, id, 2, 0x0000, 0x1000 | SG_PTE_VALID | SG_PTE_WRITE, 8);
    write_bar(rig, id, 2, 0x1000, SG_PTE_VALID | SG_PTE_WRITE | SG_PTE_LARGE, 8);
    for (uint32_t i = 0; i <= count; i++) {
        write_bar(rig, id, 2, COMMANDS + i * SG_CMD_BYTES, i < count ? SG_OP_INTERRUPT : SG_OP_HALT,
                  8);
        write_bar(rig, id, 2, COMMANDS + i * SG_CMD_BYTES + 8, vector, 8);
    }
    write_bar(rig, id, 0, SG_VF_ROOT64, 0, 8);
    write_bar(rig, id, 0, SG_VF_QUEUE(0) + SG_Q_IP64, COMMANDS, 8);
    write_bar(rig, id, 0, SG_VF_QUEUE(0) + SG_Q_CTRL, 1, 4);
    for (int tries = 0; read_bar(rig, id, 0, SG_VF_QUEUE(0) + SG_Q_STATUS, 4) != SG_Q_HALTED;
         tries++) {
        assert_true(tries < 20000);
        (void)poll(NULL, 0, 1);
    }
}

/* Messages are counted by another thread: waits until it has seen `count`. */
static void await_delivered(struct rig *rig, uint64_t id, uint64_t count)
{
    for (int tries = 0; delivered(rig, id) < count; tries++) {
        assert_true(tries < 20000);
        (void)poll(NULL, 0, 1);
    }
    assert_int_equal(delivered(rig, id), count);
}

/* ---- the table ---- */

/* INT-3 */
static void the_guest_reads_its_own_terms(void **unused)
{
    struct rig rig;

    (void)unused;
    rig_open(&rig, SPEC);
    uint64_t id = rig_partition(&rig, "p", 8 * MIB, false);
    for (uint32_t vector = 0; vector < SG_MSIX_VECTORS; vector++) {
        assert_int_equal(read_bar(&rig, id, 0, entry_at(vector, 12), 4),
                         1); /* masked after reset */
        program(&rig, id, vector, 0xfee12340ull + vector * 4, 0x31 + vector, 0);
    }
    for (uint32_t vector = 0; vector < SG_MSIX_VECTORS; vector++) {
        assert_int_equal(read_bar(&rig, id, 0, entry_at(vector, 0), 8), 0xfee12340ull + vector * 4);
        assert_int_equal(read_bar(&rig, id, 0, entry_at(vector, 8), 4), 0x31 + vector);
        assert_int_equal(read_bar(&rig, id, 0, entry_at(vector, 8), 8), 0x31 + vector);
        assert_int_equal(read_bar(&rig, id, 0, entry_at(vector, 12), 4), 0);
    }
    /* Behind the last vector: nothing there, nothing kept. */
    write_bar(&rig, id, 0, entry_at(SG_MSIX_VECTORS, 0), UINT64_MAX, 8);
    assert_int_equal(read_bar(&rig, id, 0, entry_at(SG_MSIX_VECTORS, 0), 8), 0);
    assert_int_equal(rig.contract, 0);
    rig_close(&rig);
}

/* INT-2 */
static void an_unmasked_vector_delivers_every_message(void **unused)
{
    struct rig rig;

    (void)unused;
    rig_open(&rig, SPEC);
    uint64_t id = rig_partition(&rig, "p", 8 * MIB, false),
             other = rig_partition(&rig, "q", 8 * MIB, false);
    program(&rig, id, 3, 0xfee00000ull, 0x41, 0);
    /* The same in the other guest's terms: no matter (VF-6). */
    program(&rig, other, 3, 0xfee00000ull, 0x41, 0);
    raise_interrupts(&rig, id, 3, 100);
    await_delivered(&rig, id, 100);
    assert_int_equal(delivered(&rig, other), 0);
    raise_interrupts(&rig, other, 3, 7);
    await_delivered(&rig, other, 7);
    await_delivered(&rig, id, 100);
    rig_close(&rig);
}

/* INT-2 */
static void a_masked_vector_keeps_one_message_until_unmasked(void **unused)
{
    struct rig rig;

    (void)unused;
    rig_open(&rig, SPEC);
    uint64_t id = rig_partition(&rig, "p", 8 * MIB, false);
    program(&rig, id, 2, 0xfee00000ull, 0x41, 0);
    write_bar(&rig, id, 0, entry_at(2, 12), 1, 4);
    raise_interrupts(&rig, id, 2, 5);
    raise_interrupts(&rig, id, 1, 5); /* never unmasked at all */
    assert_int_equal(read_bar(&rig, id, 0, SG_VF_MSIX_PBA, 8), 0x6);
    assert_int_equal(delivered(&rig, id), 0);
    write_bar(&rig, id, 0, entry_at(2, 12), 0, 4);
    await_delivered(&rig, id, 1);
    rig_close(&rig);
}

static void odd_accesses_are_refused(void **unused)
{
    struct rig rig;
    struct vf_error err = VF_ERROR_INIT;
    uint8_t data[16] = {0};

    (void)unused;
    rig_open(&rig, SPEC);
    uint64_t id = rig_partition(&rig, "p", 8 * MIB, false);
    struct dxgk_partition *partition = rig_inside(&rig, id);
    const struct {
        uint64_t offset, bytes;
    } bad[] = {{0, 1},
               {0, 2},
               {2, 4},
               {4, 8},
               {0, 16},
               {0, 0},
               {4096, 4},
               {UINT64_MAX - 3, 4},
               {UINT64_MAX - 7, 8}};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(dxgk_msix_read(partition, bad[i].offset, data, bad[i].bytes, &err), -1);
        assert_int_equal(dxgk_msix_write(partition, bad[i].offset, data, bad[i].bytes, &err), -1);
    }
    rig_close(&rig);
}

/* ---- its move ---- */

/* INT-3 */
static void the_table_moves_in_guest_terms_and_delivers_there(void **unused)
{
    struct rig rig;
    struct dxgk_blob blob, again;
    struct vf_error err = VF_ERROR_INIT;

    (void)unused;
    rig_open(&rig, SPEC);
    uint64_t from = rig_partition(&rig, "from", 8 * MIB, false),
             to = rig_partition(&rig, "to", 8 * MIB, false);
    program(&rig, from, 0, 0xfee0beec, 0x77, 0);
    program(&rig, from, 5, 0xfee0cafc, 0x78, 1);
    assert_int_equal(dxgk_msix_save(rig_inside(&rig, from), &blob, &err), 0);
    assert_int_equal(dxgk_msix_restore(rig_inside(&rig, to), &blob, &err), 0);
    assert_int_equal(read_bar(&rig, to, 0, entry_at(0, 0), 8), 0xfee0beec);
    assert_int_equal(read_bar(&rig, to, 0, entry_at(5, 8), 8), 0x100000078ull);
    raise_interrupts(&rig, to, 0, 9);
    await_delivered(&rig, to, 9);
    assert_int_equal(delivered(&rig, from), 0);
    assert_int_equal(dxgk_msix_save(rig_inside(&rig, to), &again, &err), 0);
    assert_int_equal(again.bytes, blob.bytes);
    assert_memory_equal(again.data, blob.data, 16);
    /* The messages that were delivered move too; all else is as it came. */
    assert_int_equal(*(uint64_t *)(void *)((uint8_t *)again.data + 16), 9);
    assert_memory_equal((uint8_t *)again.data + 24, (uint8_t *)blob.data + 24, blob.bytes - 24);
    free(blob.data);
    free(again.data);
    rig_close(&rig);
}

/* TGT-6 */
static void a_forged_record_is_refused_and_changes_nothing(void **unused)
{
    struct rig rig;
    struct dxgk_blob blob, now;
    struct vf_error err = VF_ERROR_INIT;
    uint64_t state = rig_seed("forged record");

    (void)unused;
    rig_open(&rig, SPEC);
    uint64_t id = rig_partition(&rig, "p", 8 * MIB, false);
    struct dxgk_partition *partition = rig_inside(&rig, id);
    program(&rig, id, 1, 0xfee0beec, 0x77, 1);
    assert_int_equal(dxgk_msix_save(partition, &blob, &err), 0);
    uint8_t *copy = malloc(blob.bytes + 16);

    for (size_t bytes = 0; bytes < blob.bytes; bytes++) {
        memcpy(copy, blob.data, bytes);
        assert_int_equal(dxgk_msix_restore(partition, &(struct dxgk_blob){copy, bytes}, &err), -1);
    }
    memcpy(copy, blob.data, blob.bytes);
    assert_int_equal(dxgk_msix_restore(partition, &(struct dxgk_blob){copy, blob.bytes + 16}, &err),
                     -1);
    assert_int_equal(dxgk_msix_restore(partition, &(struct dxgk_blob){NULL, 0}, &err), -1);
    for (size_t at = 0; at < 16; at++) /* any change in the header, but for the count of messages */
        for (unsigned turn = 1; turn < 256; turn += 1 + (unsigned)(rig_random(&state) % 16)) {
            memcpy(copy, blob.data, blob.bytes);
            copy[at] ^= (uint8_t)turn;
            assert_int_equal(
                dxgk_msix_restore(partition, &(struct dxgk_blob){copy, blob.bytes}, &err), -1);
        }
    memcpy(copy, blob.data, blob.bytes);
    copy[24 + 3 * 16] |= 2; /* reserved bit of an address */
    assert_int_equal(dxgk_msix_restore(partition, &(struct dxgk_blob){copy, blob.bytes}, &err), -1);
    memcpy(copy, blob.data, blob.bytes);
    copy[24 + 7 * 16 + 13] = 1; /* reserved bit of the last control word */
    assert_int_equal(dxgk_msix_restore(partition, &(struct dxgk_blob){copy, blob.bytes}, &err), -1);
    assert_int_equal(dxgk_msix_save(partition, &now, &err), 0);
    assert_memory_equal(now.data, blob.data, blob.bytes);
    free(copy);
    free(now.data);
    free(blob.data);
    rig_close(&rig);
}

/* ---- what a driver relies on ---- */

static DRIVER_INITIALIZATION_DATA real;
static pthread_mutex_t dpc_lock = VF_LOCK_INITIALIZER; /* guards dpcs */
static pthread_cond_t dpc_ran = PTHREAD_COND_INITIALIZER;
static uint32_t dpcs;
static _Atomic uint32_t wrong_level;

static void counting_dpc(PVOID context)
{
    if (KeGetCurrentIrql() != DISPATCH_LEVEL)
        (void)atomic_fetch_add(&wrong_level, 1);
    real.DxgkDdiDpcRoutine(context);
    vf_lock(&dpc_lock);
    dpcs++;
    vf_cond_broadcast(&dpc_ran);
    vf_unlock(&dpc_lock);
}

/* PAG-3 */
static void a_queued_dpc_runs_once(void **unused)
{
    struct rig rig;
    uint32_t fresh = 0;

    (void)unused;
    rig_open(&rig, SPEC);
    real = rig.adapter->ddi;
    rig.adapter->ddi.DxgkDdiDpcRoutine = counting_dpc;
    dpcs = 0;
    for (int i = 0; i < 10000; i++)
        fresh += dxgk_cb_queue_dpc(rig.adapter) ? 1 : 0;
    vf_lock(&dpc_lock);
    while (dpcs < fresh)
        vf_cond_wait(&dpc_ran, &dpc_lock);
    vf_unlock(&dpc_lock);
    assert_true(fresh >= 1);
    assert_int_equal(wrong_level, 0);
    dxgk_interrupts_attach(rig.adapter, rig.adapter->paging); /* waits for a DPC that runs */
    assert_int_equal(dpcs, fresh);
    rig_close(&rig);
}

/* Plain, on purpose: only the interrupt lock makes it add up. */
static uint64_t guarded_count;

static BOOLEAN count_one(PVOID context)
{
    (void)context;
    if (KeGetCurrentIrql() < DEVICE_LEVEL)
        (void)atomic_fetch_add(&wrong_level, 1);
    guarded_count++;
    return TRUE;
}

static void *count_synchronised(void *arg)
{
    struct rig *rig = arg;

    for (int i = 0; i < 5000; i++) {
        BOOLEAN result = FALSE;

        if (dxgk_cb_synchronize_execution(rig->adapter, count_one, NULL, 0, &result) !=
                STATUS_SUCCESS ||
            !result)
            return (void *)1;
    }
    return NULL;
}

static void synchronised_routines_never_run_beside_each_other(void **unused)
{
    struct rig rig;
    pthread_t threads[4];
    void *failed;

    (void)unused;
    rig_open(&rig, SPEC);
    guarded_count = 0;
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, count_synchronised, &rig), 0);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(pthread_join(threads[i], &failed), 0);
        assert_null(failed);
    }
    assert_int_equal(guarded_count, 20000);
    assert_int_equal(wrong_level, 0);
    assert_int_equal(nt_irql(), PASSIVE_LEVEL);
    rig_close(&rig);
}

static BOOLEAN synchronise_again(PVOID context)
{
    struct rig *rig = context;
    BOOLEAN result;

    return dxgk_cb_synchronize_execution(rig->adapter, count_one, NULL, 0, &result) ==
           STATUS_SUCCESS;
}

static void synchronising_inside_itself_is_refused(void **unused)
{
    struct rig rig;
    BOOLEAN result = TRUE;

    (void)unused;
    rig_open(&rig, SPEC);
    assert_int_equal(dxgk_cb_synchronize_execution(rig.adapter, synchronise_again, &rig, 0,
                                                   &result),
                     STATUS_SUCCESS);
    assert_false(result);
    assert_int_equal(rig.contract, 1);
    assert_int_equal(dxgk_cb_synchronize_execution(rig.adapter, count_one, NULL, DXGK_PF_VECTORS,
                                                   &result),
                     STATUS_INVALID_PARAMETER);
    assert_int_equal(dxgk_cb_synchronize_execution((HANDLE)(uintptr_t)0x1234, count_one, NULL, 0,
                                                   &result),
                     STATUS_INVALID_PARAMETER);
    rig_close(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_guest_reads_its_own_terms),
        cmocka_unit_test(an_unmasked_vector_delivers_every_message),
        cmocka_unit_test(a_masked_vector_keeps_one_message_until_unmasked),
        cmocka_unit_test(odd_accesses_are_refused),
        cmocka_unit_test(the_table_moves_in_guest_terms_and_delivers_there),
        cmocka_unit_test(a_forged_record_is_refused_and_changes_nothing),
        cmocka_unit_test(a_queued_dpc_runs_once),
        cmocka_unit_test(synchronised_routines_never_run_beside_each_other),
        cmocka_unit_test(synchronising_inside_itself_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
