// SPDX-License-Identifier: Apache-2.0
/* The bench for the card, see rig.h. */
#include "rig.h"

#include "softgpu.h"

#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define MAX_OPTIONS 8

uint64_t rig_now(void)
{
    struct timespec t;

    assert_int_equal(clock_gettime(CLOCK_MONOTONIC, &t), 0);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

uint64_t oracle_mix(uint64_t z)
{
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
    return z ^ (z >> 31);
}

uint64_t oracle_random(uint64_t s, uint64_t t, uint64_t i)
{
    const uint64_t g = 0x9e3779b97f4a7c15ull;

    return oracle_mix(oracle_mix(s + g * (t + 1)) + g * (i + 1));
}

uint64_t rig_seed(const char *test)
{
    const char *given = getenv("VFERRY_SEED");
    uint64_t seed = given ? strtoull(given, NULL, 0) : rig_now();

    print_message("# %s: VFERRY_SEED=0x%" PRIx64 "\n", test, seed);
    return seed;
}

uint64_t rig_choose(uint64_t *state, uint64_t below)
{
    return oracle_mix(*state += 0x9e3779b97f4a7c15ull) % below;
}

int rig_try_open(struct rig *r, const char *options, char *why)
{
    struct vf_device_option list[MAX_OPTIONS];
    size_t count = 0;
    char text[256];

    memset(r, 0, sizeof *r);
    r->system_fd = r->paging_event = -1;
    r->ops = vf_device_entry(VF_DEVICE_ABI);
    assert_non_null(r->ops);
    (void)snprintf(text, sizeof text, "%s", options);
    for (char *next = NULL, *one = strtok_r(text, ",", &next); one;
         one = strtok_r(NULL, ",", &next)) {
        char *value = strchr(one, '=');

        assert_true(count < MAX_OPTIONS);
        if (value)
            *value++ = '\0';
        list[count++] = (struct vf_device_option){one, value ? value : ""};
    }
    return r->ops->open(list, count, NULL, &r->dev, why, 256);
}

void rig_open(struct rig *r, const char *options)
{
    char why[256] = "";

    if (rig_try_open(r, options, why))
        fail_msg("open %s: %s", options, why);
}

void rig_close(struct rig *r)
{
    r->ops->close(r->dev);
    if (r->system)
        munmap(r->system, r->system_bytes);
    if (r->system_fd >= 0)
        close(r->system_fd);
    if (r->paging_event >= 0)
        close(r->paging_event);
}

uint64_t rig_pf_read(struct rig *r, uint64_t reg, unsigned width)
{
    uint64_t value = 0;

    assert_int_equal(r->ops->bar_read(r->dev, VF_FUNCTION_PF, SG_PF_BAR_REGS, reg, &value, width),
                     0);
    return value;
}

void rig_pf_write(struct rig *r, uint64_t reg, unsigned width, uint64_t value)
{
    assert_int_equal(r->ops->bar_write(r->dev, VF_FUNCTION_PF, SG_PF_BAR_REGS, reg, &value, width),
                     0);
}

uint64_t rig_vf_read(struct rig *r, unsigned vf, uint64_t reg, unsigned width)
{
    uint64_t value = 0;

    assert_int_equal(
        r->ops->bar_read(r->dev, VF_FUNCTION_VF(vf), SG_VF_BAR_REGS, reg, &value, width), 0);
    return value;
}

void rig_vf_write(struct rig *r, unsigned vf, uint64_t reg, unsigned width, uint64_t value)
{
    assert_int_equal(
        r->ops->bar_write(r->dev, VF_FUNCTION_VF(vf), SG_VF_BAR_REGS, reg, &value, width), 0);
}

void rig_load(struct rig *r, unsigned vf, uint64_t gpa, void *to, uint64_t bytes)
{
    assert_int_equal(r->ops->bar_read(r->dev, VF_FUNCTION_VF(vf), SG_VF_BAR_VRAM, gpa, to, bytes),
                     0);
}

void rig_store(struct rig *r, unsigned vf, uint64_t gpa, const void *from, uint64_t bytes)
{
    assert_int_equal(
        r->ops->bar_write(r->dev, VF_FUNCTION_VF(vf), SG_VF_BAR_VRAM, gpa, from, bytes), 0);
}

uint64_t rig_word(struct rig *r, unsigned vf, uint64_t gpa)
{
    uint64_t value;

    rig_load(r, vf, gpa, &value, 8);
    return value;
}

void rig_set_word(struct rig *r, unsigned vf, uint64_t gpa, uint64_t value)
{
    rig_store(r, vf, gpa, &value, 8);
}

void rig_tables(struct rig *r, unsigned vf)
{
    const uint64_t level2 = RIG_TABLES, level1 = RIG_TABLES + 0x1000;

    rig_set_word(r, vf, level2, level1 | SG_PTE_VALID);
    for (uint64_t at = 0; at < RIG_RESERVE; at += 2 * MIB)
        rig_set_word(r, vf, level1 + at / (2 * MIB) * 8,
                     at | SG_PTE_VALID | SG_PTE_WRITE | SG_PTE_LARGE);
    rig_vf_write(r, vf, SG_VF_ROOT64, 8, level2);
}

void rig_power(struct rig *r, unsigned vf)
{
    rig_pf_write(r, SG_VFC(vf, SG_VFC_MAP_CMD), 4, SG_MAP_CMD_CLEAR);
    rig_pf_write(r, SG_VFC(vf, SG_VFC_MAP_GPA64), 8, 0);
    rig_pf_write(r, SG_VFC(vf, SG_VFC_MAP_PHYS64), 8, vf * RIG_RESERVE);
    rig_pf_write(r, SG_VFC(vf, SG_VFC_MAP_BYTES64), 8, RIG_RESERVE);
    rig_pf_write(r, SG_VFC(vf, SG_VFC_MAP_CMD), 4, SG_MAP_CMD_ADD);
    assert_int_equal(rig_pf_read(r, SG_VFC(vf, SG_VFC_MAP_RESULT), 4), 0);
    rig_tables(r, vf);
    rig_pf_write(r, SG_VFC(vf, SG_VFC_CTRL), 4, SG_VFC_CTRL_ENABLE);
}

struct sg_cmd rig_cmd(uint32_t op, uint64_t a0, uint64_t a1, uint64_t a2, uint64_t a3, uint64_t a4)
{
    return (struct sg_cmd){.op = op, .a = {a0, a1, a2, a3, a4}};
}

uint64_t rig_add(struct rig *r, unsigned vf, unsigned q, struct sg_cmd cmd)
{
    uint64_t at = RIG_RING(q) + r->ring_at[vf][q];

    rig_store(r, vf, at, &cmd, sizeof cmd);
    r->ring_at[vf][q] += sizeof cmd;
    return at;
}

void rig_empty(struct rig *r, unsigned vf, unsigned q)
{
    r->ring_at[vf][q] = 0;
}

void rig_start(struct rig *r, unsigned vf, unsigned q)
{
    rig_vf_write(r, vf, SG_VF_QUEUE(q) + SG_Q_IP64, 8, RIG_RING(q));
    rig_vf_write(r, vf, SG_VF_QUEUE(q) + SG_Q_CTRL, 4, 1);
}

uint32_t rig_wait(struct rig *r, unsigned vf, unsigned q)
{
    uint32_t status;

    while ((status = (uint32_t)rig_vf_read(r, vf, SG_VF_QUEUE(q) + SG_Q_STATUS, 4)) == SG_Q_RUNNING)
        /* The queue has no other way to tell a test that set up no interrupt. */
        (void)poll(NULL, 0, 1);
    return status;
}

uint32_t rig_run(struct rig *r, unsigned vf, unsigned q)
{
    rig_add(r, vf, q, rig_cmd(SG_OP_HALT, 0, 0, 0, 0, 0));
    rig_start(r, vf, q);
    rig_empty(r, vf, q);
    return rig_wait(r, vf, q);
}

void rig_pause(struct rig *r, unsigned vf)
{
    rig_pf_write(r, SG_VFC(vf, SG_VFC_CTRL), 4, SG_VFC_CTRL_ENABLE | SG_VFC_CTRL_PAUSE);
    while (!(rig_pf_read(r, SG_VFC(vf, SG_VFC_STATUS), 4) & SG_VFC_STATUS_QUIET))
        ;
}

void rig_resume(struct rig *r, unsigned vf)
{
    rig_pf_write(r, SG_VFC(vf, SG_VFC_CTRL), 4, SG_VFC_CTRL_ENABLE);
}

void rig_save_state(struct rig *r, unsigned vf, struct sg_vf_state *s)
{
    rig_pf_write(r, SG_VFC(vf, SG_VFC_STATE_CMD), 4, SG_STATE_CMD_SAVE);
    assert_int_equal(rig_pf_read(r, SG_VFC(vf, SG_VFC_STATE_RESULT), 4), 0);
    assert_int_equal(r->ops->bar_read(r->dev, VF_FUNCTION_PF, SG_PF_BAR_REGS,
                                      SG_VFC(vf, SG_VFC_STATE), s, sizeof *s),
                     0);
}

uint32_t rig_load_state(struct rig *r, unsigned vf, const struct sg_vf_state *s)
{
    assert_int_equal(r->ops->bar_write(r->dev, VF_FUNCTION_PF, SG_PF_BAR_REGS,
                                       SG_VFC(vf, SG_VFC_STATE), s, sizeof *s),
                     0);
    rig_pf_write(r, SG_VFC(vf, SG_VFC_STATE_CMD), 4, SG_STATE_CMD_LOAD);
    return (uint32_t)rig_pf_read(r, SG_VFC(vf, SG_VFC_STATE_RESULT), 4);
}

/* System memory: page 0 root, page 1 level 1 of VRAM, page 2 level 1 of system memory, pages 3..
 * its level 0 tables, then commands from 1 MiB on, data from RIG_SYSTEM_DATA on. */
#define COMMANDS_AT MIB
#define COMMANDS_BYTES MIB

void rig_paging_open(struct rig *r, uint64_t data_bytes)
{
    uint64_t *table, vram = rig_pf_read(r, SG_PF_VRAM_BYTES64, 8);

    r->system_bytes = RIG_SYSTEM_DATA + data_bytes;
    r->system_fd = memfd_create("rig", MFD_CLOEXEC);
    assert_true(r->system_fd >= 0);
    assert_int_equal(ftruncate(r->system_fd, (off_t)r->system_bytes), 0);
    r->system = mmap(NULL, r->system_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, r->system_fd, 0);
    assert_ptr_not_equal(r->system, MAP_FAILED);
    table = (uint64_t *)(void *)r->system;
    table[RIG_VA_VRAM >> 30] = (RIG_IOVA + 0x1000) | SG_PTE_VALID;
    table[RIG_VA_SYSTEM >> 30] = (RIG_IOVA + 0x2000) | SG_PTE_VALID;
    for (uint64_t at = 0; at < vram && at < 1024 * MIB; at += 2 * MIB)
        table[512 + at / (2 * MIB)] = at | SG_PTE_VALID | SG_PTE_WRITE | SG_PTE_LARGE;
    for (uint64_t at = 0; at < r->system_bytes; at += 0x1000) {
        table[1024 + at / (2 * MIB)] = (RIG_IOVA + 0x3000 + at / (2 * MIB) * 0x1000) | SG_PTE_VALID;
        table[1536 + at / 0x1000] = (RIG_IOVA + at) | SG_PTE_VALID | SG_PTE_WRITE | SG_PTE_SYSTEM;
    }
    assert_int_equal(r->ops->dma_map(r->dev, RIG_IOVA, r->system_bytes, r->system_fd, 0), 0);
    r->paging_event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    assert_true(r->paging_event >= 0);
    assert_int_equal(r->ops->pf_irq(r->dev, 0, r->paging_event), 0);
    rig_pf_write(r, SG_PF_INT_ENABLE, 4, SG_INT_PAGING | SG_INT_PAGING_FAULT);
    rig_pf_write(r, SG_PF_PAGING_ROOT64, 8, RIG_IOVA);
}

uint8_t *rig_system(struct rig *r, uint64_t offset)
{
    return r->system + RIG_SYSTEM_DATA + offset;
}

uint32_t rig_page(struct rig *r, const struct sg_cmd *cmd, unsigned count)
{
    /* One place of the command area a submission in flight; the rig never has more than eight. */
    uint64_t at = COMMANDS_AT + (r->fence + 1) % 8 * (COMMANDS_BYTES / 8);

    assert_true(count * sizeof *cmd <= COMMANDS_BYTES / 8);
    memcpy(r->system + at, cmd, count * sizeof *cmd);
    rig_pf_write(r, SG_PF_PAGING_VA64, 8, RIG_VA_SYSTEM + at);
    rig_pf_write(r, SG_PF_PAGING_BYTES, 4, count * sizeof *cmd);
    rig_pf_write(r, SG_PF_PAGING_FENCE, 4, ++r->fence);
    return r->fence;
}

bool rig_page_wait(struct rig *r, uint32_t fence)
{
    for (;;) {
        struct pollfd p = {.fd = r->paging_event, .events = POLLIN};
        uint64_t count, status = rig_pf_read(r, SG_PF_INT_STATUS, 4);

        rig_pf_write(r, SG_PF_INT_STATUS, 4, SG_INT_PAGING);
        if (status & SG_INT_PAGING_FAULT)
            return false;
        if ((int32_t)((uint32_t)rig_pf_read(r, SG_PF_PAGING_DONE, 4) - fence) >= 0)
            return true;
        assert_int_equal(poll(&p, 1, 20000), 1);
        assert_int_equal(read(r->paging_event, &count, sizeof count), (int)sizeof count);
    }
}

uint64_t rig_blocks(struct rig *r)
{
    const struct sg_device *dev = (const struct sg_device *)(const void *)r->dev;
    struct stat st;

    assert_int_equal(fstat(dev->vram.fd, &st), 0);
    return (uint64_t)st.st_blocks * 512;
}
