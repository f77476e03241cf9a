// SPDX-License-Identifier: Apache-2.0
/*
 * Paging when driver or engine misbehave: faults, submissions that never end, buffers too small,
 * refusals. The real driver's table is wrapped: adapter->ddi is this adapter's own copy.
 */
#include "base/thread.h"
#include "dxgk/adapter/interrupt.h"
#include "dxgk/ddi/paging.h"
#include "dxgk/paging/paging.h"
#include "dxgk/tests/rig/pagerig.h"

#include <errno.h>
#include <setjmp.h>
#include <string.h>

#include <cmocka.h>

#define MIB (1ull << 20)
#define SPEC "softgpu,vram=128M,vfs=4,dirty-page=4K"
#define PAGES 16u

/* What the wrapped table does; set while nothing is in flight. */
static struct {
    DRIVER_INITIALIZATION_DATA real;
    _Atomic int break_entry;      /* > 0: the next leaf updates write an invalid entry, this many */
    _Atomic int swallow;          /* > 0: submissions that never reach the driver */
    _Atomic int refuse;           /* > 0: submissions refused with STATUS_INVALID_PARAMETER */
    _Atomic int insufficient;     /* > 0: operations that report a full buffer for ever */
    _Atomic int escape;           /* > 0: operations that claim more buffer than there is */
    _Atomic bool skip_dpc;        /* DPCs do nothing */
    _Atomic uint32_t buffers;     /* submissions seen */
    _Atomic uint32_t resubmitted; /* of those with the flag */
} wrap;

static bool take(_Atomic int *count)
{
    int now = atomic_load(count);

    while (now > 0)
        if (atomic_compare_exchange_weak(count, &now, now - 1))
            return true;
    return false;
}

static NTSTATUS wrapped_build(HANDLE adapter, DXGKARG_BUILDPAGINGBUFFER *args)
{
    if (args->Operation == DXGK_OPERATION_UPDATE_PAGE_TABLE &&
        args->UpdatePageTable.PageTableLevel == 0 && !args->UpdatePageTable.Flags.InitialUpdate &&
        take(&wrap.break_entry)) {
        NTSTATUS status = wrap.real.DxgkDdiBuildPagingBuffer(adapter, args);
        DXGK_PTE none = {0};
        DXGKARG_BUILDPAGINGBUFFER again = *args;

        again.UpdatePageTable.pPageTableEntries = &none;
        again.UpdatePageTable.NumPageTableEntries = 1;
        return NT_SUCCESS(status) ? wrap.real.DxgkDdiBuildPagingBuffer(adapter, &again) : status;
    }
    if (args->Operation == DXGK_OPERATION_VIRTUAL_TRANSFER && take(&wrap.insufficient))
        return STATUS_GRAPHICS_INSUFFICIENT_DMA_BUFFER;
    if (args->Operation == DXGK_OPERATION_VIRTUAL_TRANSFER && take(&wrap.escape)) {
        args->pDmaBuffer = (uint8_t *)args->pDmaBuffer + args->DmaSize + 64;
        return STATUS_SUCCESS;
    }
    return wrap.real.DxgkDdiBuildPagingBuffer(adapter, args);
}

static NTSTATUS wrapped_submit(HANDLE adapter, const DXGKARG_SUBMITCOMMANDVIRTUAL *args)
{
    (void)atomic_fetch_add(&wrap.buffers, 1);
    if (args->Flags.Resubmission)
        (void)atomic_fetch_add(&wrap.resubmitted, 1);
    if (take(&wrap.swallow))
        return STATUS_SUCCESS;
    if (take(&wrap.refuse))
        return STATUS_INVALID_PARAMETER;
    return wrap.real.DxgkDdiSubmitCommandVirtual(adapter, args);
}

static void wrapped_dpc(PVOID context)
{
    if (!atomic_load(&wrap.skip_dpc))
        wrap.real.DxgkDdiDpcRoutine(context);
}

static void open_wrapped(struct rig *rig, const struct dxgk_paging_limits *limits)
{
    struct vf_error err = VF_ERROR_INIT;

    rig_open(rig, SPEC);
    dxgk_paging_stop(rig->adapter);
    memset(&wrap, 0, sizeof wrap);
    wrap.real = rig->adapter->ddi;
    rig->adapter->ddi.DxgkDdiBuildPagingBuffer = wrapped_build;
    rig->adapter->ddi.DxgkDdiSubmitCommandVirtual = wrapped_submit;
    rig->adapter->ddi.DxgkDdiDpcRoutine = wrapped_dpc;
    if (dxgk_paging_start(rig->adapter, limits, &err) != 0)
        fail_msg("%s", err.text);
}

static const struct dxgk_paging_limits usual = {.buffer_bytes = 4096,
                                                .in_flight = 8,
                                                .tdr_ns = 2000000000ull};
static const struct dxgk_paging_limits impatient = {.buffer_bytes = 4096,
                                                    .in_flight = 8,
                                                    .tdr_ns = 150000000ull};
static const struct dxgk_paging_limits narrow = {.buffer_bytes = 64,
                                                 .in_flight = 8,
                                                 .tdr_ns = 2000000000ull};

/* Scatters a pattern and gathers it again: the way is open. */
static void assert_works(struct rig_channel *channel, uint32_t slot)
{
    uint64_t pages[PAGES];

    for (uint32_t i = 0; i < PAGES; i++)
        pages[i] = (i * 7u + 3u) % 64u;
    memset(rig_slot(channel, slot), 0x5a, PAGES * 4096);
    rig_submit(channel, DXGK_SCATTER, slot, pages, PAGES);
    assert_int_equal(rig_wait(channel, slot), 0);
    memset(rig_slot(channel, slot), 0, PAGES * 4096);
    rig_submit(channel, DXGK_GATHER, slot, pages, PAGES);
    assert_int_equal(rig_wait(channel, slot), 0);
    for (uint32_t i = 0; i < PAGES * 4096; i++)
        assert_int_equal(rig_slot(channel, slot)[i], 0x5a);
}

static void begin(struct rig *rig, struct rig_channel *channel,
                  const struct dxgk_paging_limits *limits)
{
    open_wrapped(rig, limits);
    rig_channel_open(rig, rig_partition(rig, "p", 8 * MIB, true), PAGES * 4096, channel);
    assert_works(channel, 0);
}

static void end(struct rig *rig, struct rig_channel *channel)
{
    rig_channel_close(channel);
    rig_close(rig);
}

static const uint64_t pages16[PAGES] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};

/* PAG-3 */
static void a_fault_fails_its_own_transfer_only(void **unused)
{
    struct rig rig;
    struct rig_channel channel;
    int failed = 0;

    (void)unused;
    begin(&rig, &channel, &usual);
    for (int turn = 0; turn < 20; turn++) {
        for (uint32_t slot = 0; slot < RIG_SLOTS; slot++) {
            if (slot == 3)
                atomic_store(&wrap.break_entry, 1);
            rig_submit(&channel, DXGK_GATHER, slot, pages16, PAGES);
        }
        for (uint32_t slot = 0; slot < RIG_SLOTS; slot++) {
            int status = rig_wait(&channel, slot);

            assert_int_equal(status, slot == 3 ? -EIO : 0);
            failed += status != 0;
        }
    }
    assert_int_equal(failed, 20);
    assert_int_equal(rig.faults, 20);
    assert_works(&channel, 3);
    end(&rig, &channel);
}

/* SRC-9 */
static void a_hung_submission_fails_and_the_others_are_submitted_again(void **unused)
{
    struct rig rig;
    struct rig_channel channel;

    (void)unused;
    begin(&rig, &channel, &impatient);
    assert_non_null(rig.adapter->ddi.DxgkDdiResetEngine);
    atomic_store(&wrap.swallow, 1);
    rig_submit(&channel, DXGK_GATHER, 0, pages16, PAGES);
    assert_int_equal(rig_wait(&channel, 0), -EIO);
    assert_true(rig.contract >= 1);
    assert_works(&channel, 0);

    /* Several that the engine never gets: each in its turn is the one that hangs, or runs after
     * the reset. */
    atomic_store(&wrap.resubmitted, 0);
    atomic_store(&wrap.swallow, 3);
    for (uint32_t slot = 0; slot < 3; slot++)
        rig_submit(&channel, DXGK_GATHER, slot, pages16, PAGES);
    assert_int_equal(rig_wait(&channel, 0), -EIO);
    assert_int_equal(rig_wait(&channel, 1), 0);
    assert_int_equal(rig_wait(&channel, 2), 0);
    assert_int_equal(wrap.resubmitted, 2);
    assert_works(&channel, 1);
    end(&rig, &channel);
}

/* It has two slots as long as the engine works on it, and neither may be another submission's. */
static void a_slot_that_is_read_back_into_is_nobody_else_s(void **unused)
{
    struct rig rig;
    struct rig_channel channel;
    struct vf_error err = VF_ERROR_INIT;

    (void)unused;
    begin(&rig, &channel, &impatient);
    atomic_store(&wrap.swallow, 1);
    rig_submit(&channel, DXGK_SCATTER_READ, 0, pages16, PAGES);
    for (uint32_t slot = 0; slot < 2; slot++) {
        assert_int_equal(
            dxgk_channel_submit(channel.channel, DXGK_GATHER, slot, pages16, PAGES, slot, &err),
            -1);
        assert_non_null(strstr(err.text, "is busy"));
    }
    assert_int_equal(rig_wait(&channel, 0), -EIO);
    assert_works(&channel, 1);
    assert_works(&channel, 0);
    end(&rig, &channel);
}

/* PAG-3 */
static void a_lost_interrupt_or_dpc_costs_time_but_no_transfer(void **unused)
{
    struct rig rig;
    struct rig_channel channel;

    (void)unused;
    begin(&rig, &channel, &impatient);
    dxgk_interrupts_attach(rig.adapter, NULL); /* what the engine tells now, nobody hears */
    rig_submit(&channel, DXGK_GATHER, 0, pages16, PAGES);
    assert_int_equal(rig_wait(&channel, 0), 0);
    assert_int_equal(rig.contract, 1);
    assert_non_null(strstr(rig.last, "interrupt never came"));
    dxgk_interrupts_attach(rig.adapter, rig.adapter->paging);
    assert_works(&channel, 0);

    atomic_store(&wrap.skip_dpc, true);
    rig_submit(&channel, DXGK_GATHER, 0, pages16, PAGES);
    assert_int_equal(rig_wait(&channel, 0), 0);
    assert_int_equal(rig.contract, 2);
    assert_non_null(strstr(rig.last, "DPC never came"));
    atomic_store(&wrap.skip_dpc, false);
    assert_works(&channel, 0);
    assert_int_equal(rig.contract, 2);
    end(&rig, &channel);
}

static void without_a_reset_a_hung_submission_is_abandoned(void **unused)
{
    struct rig rig;
    struct rig_channel channel;

    (void)unused;
    begin(&rig, &channel, &impatient);
    rig.adapter->ddi.DxgkDdiResetEngine = NULL;
    atomic_store(&wrap.swallow, 1);
    rig_submit(&channel, DXGK_GATHER, 0, pages16, PAGES);
    assert_int_equal(rig_wait(&channel, 0), -EIO);
    /* The next fence stands for the lost one too: its buffer comes back, as often as one likes. */
    for (int turn = 0; turn < 12; turn++) {
        atomic_store(&wrap.swallow, 1);
        rig_submit(&channel, DXGK_GATHER, 1, pages16, PAGES);
        assert_int_equal(rig_wait(&channel, 1), -EIO);
        assert_works(&channel, 2);
    }
    end(&rig, &channel);
}

static void an_engine_dead_for_good_refuses_instead_of_waiting(void **unused)
{
    struct rig rig;
    struct rig_channel channel;
    struct vf_error err = VF_ERROR_INIT;

    (void)unused;
    begin(&rig, &channel, &impatient);
    rig.adapter->ddi.DxgkDdiResetEngine = NULL;
    atomic_store(&wrap.swallow, 1000);
    for (uint32_t slot = 0; slot < RIG_SLOTS; slot++)
        rig_submit(&channel, DXGK_GATHER, slot, pages16, PAGES);
    for (uint32_t slot = 0; slot < RIG_SLOTS; slot++)
        assert_int_equal(rig_wait(&channel, slot), -EIO);
    assert_int_equal(dxgk_channel_submit(channel.channel, DXGK_GATHER, 0, pages16, PAGES, 0, &err),
                     -1);
    assert_non_null(strstr(err.text, "hangs"));
    atomic_store(&wrap.swallow, 0);
    end(&rig, &channel);
}

/* PAG-2 */
static void a_small_paging_buffer_only_takes_more_of_them(void **unused)
{
    struct rig rig;
    struct rig_channel channel;

    (void)unused;
    begin(&rig, &channel, &narrow); /* one command a buffer: flush and copy need two (PAG-2) */
    atomic_store(&wrap.buffers, 0);
    rig_submit(&channel, DXGK_GATHER, 0, pages16, PAGES);
    assert_int_equal(rig_wait(&channel, 0), 0);
    assert_int_equal(wrap.buffers, 2);
    memset(rig_slot(&channel, 0), 0x77, PAGES * 4096);
    rig_submit(&channel, DXGK_SCATTER_READ, 0, pages16, PAGES);
    assert_int_equal(rig_wait(&channel, 0), 0);
    assert_int_equal(wrap.buffers, 5);
    assert_memory_equal(rig_slot(&channel, 1), rig_slot(&channel, 0), PAGES * 4096);
    for (uint32_t slot = 0; slot < RIG_SLOTS; slot++)
        assert_works(&channel, slot);
    assert_int_equal(rig.contract, 0);
    end(&rig, &channel);
}

static void a_fault_in_one_buffer_of_several_fails_the_transfer(void **unused)
{
    struct rig rig;
    struct rig_channel channel;

    (void)unused;
    begin(&rig, &channel, &narrow);
    atomic_store(&wrap.break_entry, 1);
    rig_submit(&channel, DXGK_GATHER, 0, pages16, PAGES);
    assert_int_equal(rig_wait(&channel, 0), -EIO);
    assert_works(&channel, 0);
    end(&rig, &channel);
}

/* PAG-2 */
static void a_driver_that_never_has_room_is_reported(void **unused)
{
    struct rig rig;
    struct rig_channel channel;
    struct vf_error err = VF_ERROR_INIT;

    (void)unused;
    begin(&rig, &channel, &usual);
    atomic_store(&wrap.insufficient, 1000);
    /* The flush before it went out by then: the transfer ends through its callback, or is refused
     * at once. */
    vf_lock(&channel.lock);
    channel.done[0] = false;
    vf_unlock(&channel.lock);
    if (dxgk_channel_submit(channel.channel, DXGK_GATHER, 0, pages16, PAGES, 0, &err) == 0)
        assert_int_equal(rig_wait(&channel, 0), -EIO);
    assert_int_equal(rig.contract, 1);
    assert_non_null(strstr(rig.last, "PAG-2"));
    atomic_store(&wrap.insufficient, 0);
    assert_works(&channel, 0);
    end(&rig, &channel);
}

/* PAG-2 */
static void a_driver_that_leaves_its_buffer_is_reported(void **unused)
{
    struct rig rig;
    struct rig_channel channel;
    struct vf_error err = VF_ERROR_INIT;

    (void)unused;
    begin(&rig, &channel, &usual);
    atomic_store(&wrap.escape, 1);
    assert_int_equal(dxgk_channel_submit(channel.channel, DXGK_GATHER, 0, pages16, PAGES, 0, &err),
                     -1);
    assert_int_equal(rig.contract, 1);
    assert_non_null(strstr(rig.last, "PAG-2"));
    assert_works(&channel, 0);
    end(&rig, &channel);
}

static void a_refused_submission_is_the_callers_error(void **unused)
{
    struct rig rig;
    struct rig_channel channel;
    struct vf_error err = VF_ERROR_INIT;

    (void)unused;
    begin(&rig, &channel, &usual);
    atomic_store(&wrap.refuse, 1);
    assert_int_equal(dxgk_channel_submit(channel.channel, DXGK_GATHER, 0, pages16, PAGES, 0, &err),
                     -1);
    assert_int_equal(err.status, STATUS_INVALID_PARAMETER);
    assert_works(&channel, 0);
    end(&rig, &channel);
}

/* PAG-3 */
static void a_fence_never_submitted_completes_nothing(void **unused)
{
    struct rig rig;
    struct rig_channel channel;
    DXGKARGCB_NOTIFY_INTERRUPT_DATA data = {.InterruptType = DXGK_INTERRUPT_DMA_COMPLETED};

    (void)unused;
    begin(&rig, &channel, &usual);
    dxgk_cb_notify_interrupt(rig.adapter, &data); /* at PASSIVE_LEVEL: no */
    assert_int_equal(rig.contract, 1);
    dxgk_cb_notify_dpc(rig.adapter); /* outside the DPC routine: no */
    assert_int_equal(rig.contract, 2);
    dxgk_paging_note_done(rig.adapter->paging, 1u << 30); /* what the interrupt routine would do */
    assert_int_equal(rig.contract, 3);
    assert_works(&channel, 0);
    assert_works(&channel, 1);
    assert_int_equal(rig.contract, 3);
    end(&rig, &channel);
}

/* TGT-3, TGT-4: a page that landed after the unpause would be an old copy on top of a newer one. */
static void no_target_gets_ready_while_pages_land(void **unused)
{
    struct rig rig;
    struct rig_channel channel;
    struct vf_error err = VF_ERROR_INIT;
    struct vf_partition_info info;

    (void)unused;
    open_wrapped(&rig, &usual);
    uint64_t id = rig_partition(&rig, "p", 8 * MIB, true);
    struct dxgk_partition *partition = rig_inside(&rig, id);
    rig_channel_open(&rig, id, PAGES * 4096, &channel);
    assert_int_equal(dxgk_migration_prepare(rig.dxgk, id, DXGK_TARGET, 1, &err), 0);
    assert_int_equal(pthread_mutex_lock(&partition->lock), 0);
    partition->check.mutable_done = true; /* as RestoreMutable leaves it */
    assert_int_equal(pthread_mutex_unlock(&partition->lock), 0);
    atomic_store(&wrap.skip_dpc, true); /* the scatter is under way until this ends */
    rig_submit(&channel, DXGK_SCATTER, 0, pages16, PAGES);
    assert_int_equal(dxgk_migration_end(rig.dxgk, id, &err), -1);
    assert_int_equal(dxgk_partition_info(rig.dxgk, id, &info, &err), 0);
    assert_int_equal(info.state, VF_PARTITION_INCOMING);
    atomic_store(&wrap.skip_dpc, false);
    rig_submit(&channel, DXGK_GATHER, 1, pages16, PAGES); /* its DPC retires both */
    assert_int_equal(rig_wait(&channel, 0), 0);
    assert_int_equal(rig_wait(&channel, 1), 0);
    assert_int_equal(dxgk_migration_end(rig.dxgk, id, &err), 0);
    assert_int_equal(dxgk_partition_info(rig.dxgk, id, &info, &err), 0);
    assert_int_equal(info.state, VF_PARTITION_READY);
    /* And none begins from here on. */
    assert_int_equal(
        dxgk_channel_submit(channel.channel, DXGK_SCATTER, 0, pages16, PAGES, 0, &err), -1);
    end(&rig, &channel);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_fault_fails_its_own_transfer_only),
        cmocka_unit_test(a_hung_submission_fails_and_the_others_are_submitted_again),
        cmocka_unit_test(a_slot_that_is_read_back_into_is_nobody_else_s),
        cmocka_unit_test(a_lost_interrupt_or_dpc_costs_time_but_no_transfer),
        cmocka_unit_test(without_a_reset_a_hung_submission_is_abandoned),
        cmocka_unit_test(an_engine_dead_for_good_refuses_instead_of_waiting),
        cmocka_unit_test(a_small_paging_buffer_only_takes_more_of_them),
        cmocka_unit_test(a_fault_in_one_buffer_of_several_fails_the_transfer),
        cmocka_unit_test(a_driver_that_never_has_room_is_reported),
        cmocka_unit_test(a_driver_that_leaves_its_buffer_is_reported),
        cmocka_unit_test(a_refused_submission_is_the_callers_error),
        cmocka_unit_test(a_fence_never_submitted_completes_nothing),
        cmocka_unit_test(no_target_gets_ready_while_pages_land),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
