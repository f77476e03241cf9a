// SPDX-License-Identifier: Apache-2.0
/* What a PF controls of a VF: map, power, pause, reset, state, interrupts, config space; and the
 * device's options. */
#include "rig.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define A (2 * MIB)

static int setup(void **state)
{
    *state = calloc(1, sizeof(struct rig));
    return 0;
}

static int teardown(void **state)
{
    rig_close(*state);
    free(*state);
    return 0;
}

static struct rig *plain(void **state)
{
    rig_open(*state, "vram=64M,vfs=2");
    return *state;
}

static uint64_t map_add(struct rig *r, uint64_t gpa, uint64_t phys, uint64_t bytes)
{
    rig_pf_write(r, SG_VFC(0, SG_VFC_MAP_GPA64), 8, gpa);
    rig_pf_write(r, SG_VFC(0, SG_VFC_MAP_PHYS64), 8, phys);
    rig_pf_write(r, SG_VFC(0, SG_VFC_MAP_BYTES64), 8, bytes);
    rig_pf_write(r, SG_VFC(0, SG_VFC_MAP_CMD), 4, SG_MAP_CMD_ADD);
    return rig_pf_read(r, SG_VFC(0, SG_VFC_MAP_RESULT), 4);
}

static void map_takes_good_extents_only(void **state)
{
    struct rig *r = plain(state);

    assert_int_equal(map_add(r, 0, 4096, 65536), SG_MAP_BAD_ALIGN);
    assert_int_equal(map_add(r, 65536, 0, 65536), SG_MAP_BAD_RANGE); /* a gap */
    assert_int_equal(map_add(r, 0, 0, 0), SG_MAP_BAD_RANGE);
    assert_int_equal(map_add(r, 0, 64 * MIB, 65536), SG_MAP_BAD_RANGE);
    assert_int_equal(map_add(r, 0, ~0ull << 16, 65536 * 2), SG_MAP_BAD_RANGE); /* wraps */
    assert_int_equal(map_add(r, 0, 0, ~0ull << 16), SG_MAP_BAD_RANGE);
    assert_int_equal(map_add(r, 0, MIB, MIB), 0);
    rig_pf_write(r, SG_VFC(0, SG_VFC_CTRL), 4, SG_VFC_CTRL_ENABLE);
    assert_int_equal(map_add(r, MIB, 8 * MIB, MIB), SG_MAP_BAD_RUNNING);
    rig_pause(r, 0);
    assert_int_equal(map_add(r, MIB, 8 * MIB, MIB), 0);
    assert_int_equal(rig_vf_read(r, 0, SG_VF_VRAM_BYTES64, 8), 2 * MIB);
}

static void map_without_scatter_has_few_extents(void **state)
{
    struct rig *r = plain(state);

    for (uint64_t i = 0; i < SG_MAP_EXTENTS_FLAT; i++)
        assert_int_equal(map_add(r, i * 65536, (63 - 2 * (i % 32)) * 65536, 65536), 0);
    assert_int_equal(map_add(r, SG_MAP_EXTENTS_FLAT * 65536, 32 * MIB, 65536), SG_MAP_BAD_COUNT);
}

static void scattered_reserve_reads_back_by_guest_address(void **state)
{
    struct rig *r = *state;
    const uint64_t pages = 512;
    uint64_t word;

    rig_open(r, "vram=64M,vfs=1,scatter=on");
    for (uint64_t i = 0; i < pages; i++) /* backwards, so nothing is contiguous */
        assert_int_equal(map_add(r, i * 65536, (pages - 1 - i) * 65536, 65536), 0);
    for (uint64_t i = 0; i < pages; i++)
        rig_set_word(r, 0, i * 65536 + 8, i + 1);
    for (uint64_t i = 0; i < pages; i++) {
        assert_int_equal(
            r->ops->bar_read(r->dev, VF_FUNCTION_PF, SG_PF_BAR_VRAM, i * 65536 + 8, &word, 8), 0);
        assert_int_equal(word, pages - i);
    }
    rig_tables(r, 0);
    rig_pf_write(r, SG_VFC(0, SG_VFC_CTRL), 4, SG_VFC_CTRL_ENABLE);
    rig_add(r, 0, 0, rig_cmd(SG_OP_RANDOM, 8 * MIB + 16, 3 * MIB, 1, 1, 0));
    rig_add(r, 0, 0, rig_cmd(SG_OP_COPY, 16 * MIB, 8 * MIB + 16, 3 * MIB, 0, 0));
    assert_int_equal(rig_run(r, 0, 0), SG_Q_HALTED);
    for (uint64_t i = 0; i < 3 * MIB / 8; i += 1001)
        assert_int_equal(rig_word(r, 0, 16 * MIB + i * 8), oracle_random(1, 1, i));
}

static void bars_end_where_they_end(void **state)
{
    struct rig *r = plain(state);
    uint8_t bytes[16] = {0};
    struct vf_bar_info info;

    rig_power(r, 0);
    assert_int_equal(r->ops->bar_info(r->dev, VF_FUNCTION_VF(0), SG_VF_BAR_VRAM, &info), 0);
    assert_int_equal(info.bytes, RIG_RESERVE);
    assert_int_equal(r->ops->bar_write(r->dev, 1, SG_VF_BAR_VRAM, RIG_RESERVE - 8, bytes, 16),
                     -EINVAL);
    assert_int_equal(r->ops->bar_write(r->dev, 1, SG_VF_BAR_VRAM, ~0ull, bytes, 16), -EINVAL);
    assert_int_equal(r->ops->bar_read(r->dev, 0, SG_PF_BAR_VRAM, 64 * MIB - 8, bytes, 16), -EINVAL);
    assert_int_equal(r->ops->bar_read(r->dev, 0, SG_PF_BAR_REGS, SG_PF_REGS_BYTES, bytes, 4),
                     -EINVAL);
    assert_int_equal(r->ops->bar_read(r->dev, 0, SG_PF_BAR_REGS, 2, bytes, 4), -EINVAL);
    assert_int_equal(r->ops->bar_read(r->dev, 0, SG_PF_BAR_REGS, 0, bytes, 3), -EINVAL);
    assert_int_equal(r->ops->bar_read(r->dev, 0, SG_PF_BAR_REGS, SG_PF_VRAM_BYTES64, bytes, 4),
                     -EINVAL);
    assert_int_equal(r->ops->bar_read(r->dev, 0, 1, 0, bytes, 4), -EINVAL);
    assert_int_equal(r->ops->bar_read(r->dev, 3, 0, 0, bytes, 4), -EINVAL);
    /* No map yet. */
    assert_int_equal(r->ops->bar_read(r->dev, 2, SG_VF_BAR_VRAM, 0, bytes, 1), -EINVAL);
    assert_int_equal(r->ops->bar_read(r->dev, 0, SG_PF_BAR_REGS, SG_PF_ID, bytes, 16), 0);
    assert_memory_equal(bytes, "SGPU", 4);
}

/* DBT-10 */
static void pause_is_complete_only_off_the_engine(void **state)
{
    struct rig *r = plain(state);
    struct sg_vf_state s;

    rig_power(r, 0);
    rig_add(r, 0, 0, rig_cmd(SG_OP_JUMP, RIG_RING(0), 0, 0, 0, 0));
    rig_start(r, 0, 0);
    assert_int_equal(rig_pf_read(r, SG_VFC(0, SG_VFC_STATUS), 4), SG_VFC_STATUS_BUSY);
    rig_pf_write(r, SG_VFC(0, SG_VFC_STATE_CMD), 4, SG_STATE_CMD_SAVE);
    assert_int_equal(rig_pf_read(r, SG_VFC(0, SG_VFC_STATE_RESULT), 4), 1);
    rig_pause(r, 0);
    rig_save_state(r, 0, &s);
    assert_int_equal(s.queue[0].status, SG_Q_RUNNING);
    assert_int_equal(s.queue[0].ip, RIG_RING(0));
    rig_pf_write(r, SG_VFC(0, SG_VFC_CTRL), 4, 0); /* power off is a stop too */
    assert_int_equal(rig_pf_read(r, SG_VFC(0, SG_VFC_STATUS), 4),
                     SG_VFC_STATUS_QUIET | SG_VFC_STATUS_BUSY);
}

static void load_refuses_what_it_does_not_know(void **state)
{
    struct rig *r = plain(state);
    struct sg_vf_state good, bad;

    rig_power(r, 0);
    rig_pause(r, 0);
    rig_save_state(r, 0, &good);
    bad = good;
    bad.version++;
    assert_int_equal(rig_load_state(r, 0, &bad), 2);
    bad = good;
    bad.bytes--;
    assert_int_equal(rig_load_state(r, 0, &bad), 2);
    bad = good;
    bad.queue[1].status = 3;
    assert_int_equal(rig_load_state(r, 0, &bad), 2);
    bad = good;
    bad.msix_pending = 1u << SG_MSIX_VECTORS;
    assert_int_equal(rig_load_state(r, 0, &bad), 2);
    bad = good;
    bad.queue[0].reserved = 1;
    assert_int_equal(rig_load_state(r, 0, &bad), 2);
    assert_int_equal(rig_load_state(r, 0, &good), 0);
}

static void loaded_progress_beyond_the_command_faults(void **state)
{
    static const uint64_t progress[] = {18, 1ull << 48, ~0ull};
    static const uint32_t op[] = {SG_OP_FILL,    SG_OP_COPY, SG_OP_RANDOM, SG_OP_SCATTER,
                                  SG_OP_STENCIL, SG_OP_GEMM, SG_OP_HASH};
    struct rig *r = plain(state);
    struct sg_vf_state s;

    rig_power(r, 0);
    for (size_t i = 0; i < sizeof op / sizeof op[0]; i++)
        for (size_t p = 0; p < sizeof progress / sizeof progress[0]; p++) {
            struct sg_cmd cmd = rig_cmd(op[i], A, MIB, MIB, 8, 0);

            if (op[i] == SG_OP_STENCIL)
                cmd = rig_cmd(op[i], A, 4 * MIB, 8, 8, 3);
            else if (op[i] == SG_OP_COPY || op[i] == SG_OP_HASH || op[i] == SG_OP_GEMM)
                cmd = rig_cmd(op[i], A, 4 * MIB, MIB, 8, 3);
            else if (op[i] == SG_OP_SCATTER)
                cmd = rig_cmd(op[i], A, 4, MIB, 8, A);
            rig_add(r, 0, 0, cmd);
            rig_empty(r, 0, 0);
            rig_pause(r, 0);
            rig_save_state(r, 0, &s);
            s.queue[0].ip = RIG_RING(0);
            s.queue[0].progress = progress[p];
            s.queue[0].status = SG_Q_RUNNING;
            assert_int_equal(rig_load_state(r, 0, &s), 0);
            rig_resume(r, 0);
            assert_int_equal(rig_wait(r, 0, 0), SG_Q_FAULT);
        }
}

/* ---- interrupts ---- */
static void set_entry(struct rig *r, unsigned vf, unsigned vector, uint64_t address, uint32_t data,
                      uint32_t ctrl)
{
    rig_pf_write(r, SG_VFC(vf, SG_VFC_MSIX_INDEX), 4, vector);
    rig_pf_write(r, SG_VFC(vf, SG_VFC_MSIX_ADDR64), 8, address);
    rig_pf_write(r, SG_VFC(vf, SG_VFC_MSIX_DATA), 4, data);
    rig_pf_write(r, SG_VFC(vf, SG_VFC_MSIX_CTRL), 4, ctrl);
}

static uint64_t signals(int fd)
{
    uint64_t n = 0;

    return read(fd, &n, sizeof n) == sizeof n ? n : 0;
}

static void raise_vector(struct rig *r, unsigned vector)
{
    rig_add(r, 0, 0, rig_cmd(SG_OP_INTERRUPT, vector, 0, 0, 0, 0));
    assert_int_equal(rig_run(r, 0, 0), SG_Q_HALTED);
}

static void messages_follow_mask_and_route(void **state)
{
    struct rig *r = plain(state);
    int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    struct sg_vf_state s;

    rig_power(r, 0);
    assert_int_equal(r->ops->msi_route(r->dev, 0xfee00000, 33, fd), 0);
    raise_vector(r, 2); /* masked since reset */
    assert_int_equal(signals(fd), 0);
    assert_int_equal(rig_vf_read(r, 0, SG_VF_MSIX_PBA, 8), 4);
    set_entry(r, 0, 2, 0xfee00000, 33, 0);
    assert_int_equal(signals(fd), 1);
    assert_int_equal(rig_vf_read(r, 0, SG_VF_MSIX_PBA, 8), 0);
    raise_vector(r, 2);
    assert_int_equal(signals(fd), 1);
    set_entry(r, 0, 2, 0xfee00000, 34, 0); /* nobody is there */
    raise_vector(r, 2);
    assert_int_equal(signals(fd), 0);
    set_entry(r, 0, 2, 0xfee00000, 33, 1);
    raise_vector(r, 2);
    rig_pause(r, 0);
    rig_save_state(r, 0, &s);
    assert_int_equal(s.msix_pending, 4);
    assert_int_equal(s.interrupts_raised, 4);
    rig_pf_write(r, SG_VFC(0, SG_VFC_RESET), 4, 1);
    assert_int_equal(rig_vf_read(r, 0, SG_VF_MSIX_PBA, 8), 0);
    assert_int_equal(rig_load_state(r, 0, &s), 0);
    set_entry(r, 0, 2, 0xfee00000, 33, 0); /* pending moved with the state */
    assert_int_equal(signals(fd), 1);
    assert_int_equal(r->ops->msi_route(r->dev, 0xfee00000, 33, -1), 0);
    assert_int_equal(r->ops->msi_route(r->dev, 0xfee00000, 33, -1), -ENOENT);
    close(fd);
}

static void pf_interrupt_fires_on_the_edge(void **state)
{
    struct rig *r = plain(state);
    struct sg_cmd nop = rig_cmd(SG_OP_NOP, 0, 0, 0, 0, 0);
    uint64_t before;

    rig_paging_open(r, 0);
    assert_int_equal(r->ops->pf_irq(r->dev, 1, r->paging_event), -EINVAL);
    assert_true(rig_page_wait(r, rig_page(r, &nop, 1)));
    rig_pf_write(r, SG_PF_INT_ENABLE, 4, 0);
    rig_pf_write(r, SG_PF_INT_STATUS, 4, SG_INT_PAGING);
    (void)signals(r->paging_event);
    before = rig_page(r, &nop, 1);
    while (rig_pf_read(r, SG_PF_PAGING_DONE, 4) != before || !rig_pf_read(r, SG_PF_INT_STATUS, 4))
        ;
    assert_int_equal(signals(r->paging_event), 0); /* not enabled */
    rig_pf_write(r, SG_PF_INT_ENABLE, 4, SG_INT_PAGING);
    assert_int_equal(signals(r->paging_event), 1); /* enabling what waits is an edge */
    rig_pf_write(r, SG_PF_INT_ENABLE, 4, SG_INT_PAGING | SG_INT_VF_FAULT);
    assert_int_equal(signals(r->paging_event), 0);
}

static void acknowledging_one_of_two_tells_the_other(void **state)
{
    struct rig *r = plain(state);
    struct sg_cmd nop = rig_cmd(SG_OP_NOP, 0, 0, 0, 0, 0);

    rig_paging_open(r, 0);
    rig_power(r, 0);
    rig_pf_write(r, SG_PF_INT_ENABLE, 4, SG_INT_PAGING | SG_INT_VF_FAULT);
    rig_add(r, 0, 0, rig_cmd(SG_OP_FLUSH_TLB, 0, 0, 0, 0, 0));
    assert_int_equal(rig_run(r, 0, 0), SG_Q_FAULT);
    (void)rig_page(r, &nop, 1);
    while (rig_pf_read(r, SG_PF_INT_STATUS, 4) != (SG_INT_PAGING | SG_INT_VF_FAULT))
        ;
    (void)signals(r->paging_event);
    rig_pf_write(r, SG_PF_INT_STATUS, 4, SG_INT_PAGING);
    assert_int_equal(signals(r->paging_event), 1);
    rig_pf_write(r, SG_PF_INT_STATUS, 4, SG_INT_VF_FAULT);
    assert_int_equal(signals(r->paging_event), 0);
}

static void config_space_says_who_it_is(void **state)
{
    struct rig *r = plain(state);
    uint16_t id[2];
    uint32_t bar, control = 0xffffffff;
    uint8_t cap[4];

    assert_int_equal(r->ops->config_read(r->dev, VF_FUNCTION_PF, 0, id, 4), 0);
    assert_int_equal(id[1], SG_PCI_DEVICE);
    assert_int_equal(r->ops->config_read(r->dev, VF_FUNCTION_VF(1), 0, id, 4), 0);
    assert_int_equal(id[0], SG_PCI_VENDOR);
    assert_int_equal(id[1], SG_PCI_VF_DEVICE);
    /* Ids stay. */
    assert_int_equal(r->ops->config_write(r->dev, VF_FUNCTION_VF(1), 0, &control, 4), 0);
    assert_int_equal(r->ops->config_read(r->dev, VF_FUNCTION_VF(1), 0, id, 4), 0);
    assert_int_equal(id[1], SG_PCI_VF_DEVICE);
    /* Sizing. */
    assert_int_equal(r->ops->config_write(r->dev, VF_FUNCTION_VF(1), 0x10, &control, 4), 0);
    assert_int_equal(r->ops->config_read(r->dev, VF_FUNCTION_VF(1), 0x10, &bar, 4), 0);
    assert_int_equal(~(bar & ~0xfu) + 1, SG_VF_REGS_BYTES);
    assert_int_equal(r->ops->config_read(r->dev, VF_FUNCTION_VF(1), 0x40, cap, 4), 0);
    assert_int_equal(cap[0], 0x11);
    assert_int_equal(cap[2], SG_MSIX_VECTORS - 1);
    assert_int_equal(r->ops->config_read(r->dev, VF_FUNCTION_VF(1), 254, cap, 4), -EINVAL);
    assert_int_equal(r->ops->config_read(r->dev, VF_FUNCTION_VF(2), 0, cap, 4), -EINVAL);
    assert_int_equal(rig_pf_read(r, SG_VFC(1, SG_VFC_CONFIG), 4),
                     SG_PCI_VF_DEVICE << 16 | SG_PCI_VENDOR);
}

static void bad_options_are_refused_by_name(void **state)
{
    static const char *const bad[] = {"vram=63M",      "vram=65M",
                                      "vram=65G",      "vram=x",
                                      "vram=",         "vram=18446744073709551615G",
                                      "vram=128MM",    "vfs=0",
                                      "vfs=33",        "vfs=8x",
                                      "dirty-page=2K", "dirty-page=12K",
                                      "dirty-page=4M", "performant=yes",
                                      "fw=1",          "fw=1.99999",
                                      "fw=1.2.3",      "scatter=",
                                      "fault=none",    "fault=drop-dirty:0",
                                      "nonsense=1",    "vram"};
    struct rig r;

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        char why[256] = "", key[32] = "";

        memcpy(key, bad[i], strcspn(bad[i], "="));
        assert_int_equal(rig_try_open(&r, bad[i], why), -EINVAL);
        assert_non_null(strstr(why, key));
        assert_non_null(strchr(why, ';')); /* what to do */
        assert_null(strchr(why, '\n'));
    }
}

static void options_show_in_registers(void **state)
{
    struct rig *r = *state;

    rig_open(r, "vram=1G,vfs=32,dirty-page=2M,performant=off,fw=7.31,scatter=on");
    assert_int_equal(rig_pf_read(r, SG_PF_VRAM_BYTES64, 8), 1ull << 30);
    assert_int_equal(rig_pf_read(r, SG_PF_VF_COUNT, 4), 32);
    assert_int_equal(rig_pf_read(r, SG_PF_DIRTY_PAGE_SHIFT, 4), 21);
    assert_int_equal(rig_pf_read(r, SG_PF_SCATTER_PAGE_SHIFT, 4), 21);
    assert_int_equal(rig_pf_read(r, SG_PF_FW_VERSION, 4), 7u << 16 | 31);
    assert_int_equal(rig_pf_read(r, SG_PF_FEATURES, 4), SG_FEATURE_SCATTER);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(map_takes_good_extents_only),
        T(map_without_scatter_has_few_extents),
        T(scattered_reserve_reads_back_by_guest_address),
        T(bars_end_where_they_end),
        T(pause_is_complete_only_off_the_engine),
        T(load_refuses_what_it_does_not_know),
        T(loaded_progress_beyond_the_command_faults),
        T(messages_follow_mask_and_route),
        T(pf_interrupt_fires_on_the_edge),
        T(acknowledging_one_of_two_tells_the_other),
        T(config_space_says_who_it_is),
        cmocka_unit_test(bad_options_are_refused_by_name),
        T(options_show_in_registers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
