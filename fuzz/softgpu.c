// SPDX-License-Identifier: Apache-2.0
/*
 * What a guest can do to the card: rings, page tables, registers, config space, a forged saved
 * state. Input: a row of actions on VF 0 (enum action). The VF then runs for RUN_COMMANDS at most.
 * The card stays usable, a pause completes, nothing outside the VF's reserve changes (VF-6), and
 * every page that changed has its dirty bit (DBT-6).
 */
#include "fuzz/target.h"
#include "softgpu.h"
#include "tests/rig.h"

#include <errno.h>
#include <sched.h>
#include <string.h>
#include <unistd.h>

enum action { POKE, COMMAND, REGISTER, START, HALT, PAUSE, STATE, CONFIG, BAR, RUN, ACTIONS };

#define SCATTER_PAGE 65536ull
#define PAGES 16u /* of the reserve, scattered over VRAM */
#define RESERVE (PAGES * SCATTER_PAGE)
#define RING_BYTES 0x4000ull
#define RUN_COMMANDS 256u
#define RUN_NS 20000000ull      /* for those that take long or wait */
#define PAUSE_NS 20000000000ull /* far beyond what a pause takes, on a busy machine too */

static uint64_t phys_of(unsigned page)
{
    return (3 + 37ull * page) * SCATTER_PAGE;
}

static void map_reserve(struct rig *r)
{
    rig_pf_write(r, SG_VFC(0, SG_VFC_MAP_CMD), 4, SG_MAP_CMD_CLEAR);
    for (unsigned i = 0; i < PAGES; i++) {
        rig_pf_write(r, SG_VFC(0, SG_VFC_MAP_GPA64), 8, i * SCATTER_PAGE);
        rig_pf_write(r, SG_VFC(0, SG_VFC_MAP_PHYS64), 8, phys_of(i));
        rig_pf_write(r, SG_VFC(0, SG_VFC_MAP_BYTES64), 8, SCATTER_PAGE);
        rig_pf_write(r, SG_VFC(0, SG_VFC_MAP_CMD), 4, SG_MAP_CMD_ADD);
        fuzz_must(rig_pf_read(r, SG_VFC(0, SG_VFC_MAP_RESULT), 4) == 0);
    }
}

/* The whole reserve one to one, in small pages; tables at 0, where the guest may write as well. */
static void write_tables(struct rig *r)
{
    uint64_t table[512] = {0};

    rig_set_word(r, 0, 0, 0x1000 | SG_PTE_VALID);
    rig_set_word(r, 0, 0x1000, 0x2000 | SG_PTE_VALID);
    for (uint64_t at = 0; at < RESERVE; at += SG_PAGE_BYTES)
        table[at >> SG_PAGE_SHIFT] = at | SG_PTE_VALID | SG_PTE_WRITE;
    rig_store(r, 0, 0x2000, table, sizeof table);
    rig_vf_write(r, 0, SG_VF_ROOT64, 8, 0);
}

/* A number of eight random bytes is hardly ever a good address: the first byte chooses its kind. */
static uint64_t operand(struct fuzz_input *in)
{
    switch (fuzz_number(in, 1) % 5) {
    case 0:
        return fuzz_number(in, 1) << SG_PAGE_SHIFT; /* a page of the reserve */
    case 1:
        return fuzz_number(in, 1) << 3;
    case 2:
        return fuzz_number(in, 3);
    case 3:
        return 0 - fuzz_number(in, 2);
    default:
        return fuzz_number(in, 8);
    }
}

static uint64_t gpa(struct fuzz_input *in)
{
    return operand(in) % (RESERVE - 64);
}

static void add_command(struct rig *r, struct fuzz_input *in)
{
    unsigned q = (unsigned)fuzz_number(in, 1) % SG_QUEUES;
    struct sg_cmd cmd = {.op = (uint32_t)fuzz_number(in, 1), .flags = (uint32_t)fuzz_number(in, 1)};

    for (unsigned i = 0; i < 5; i++)
        cmd.a[i] = operand(in);
    if (r->ring_at[0][q] < RING_BYTES)
        (void)rig_add(r, 0, q, cmd);
}

/* A saved state with some bytes changed, as a hostile source could send it. */
static void forge_state(struct rig *r, struct fuzz_input *in)
{
    struct sg_vf_state state;
    uint8_t *bytes = (uint8_t *)&state;

    rig_save_state(r, 0, &state);
    for (unsigned n = (unsigned)fuzz_number(in, 1) % 16; n > 0; n--) {
        size_t at = fuzz_number(in, 1) % sizeof state;

        bytes[at] = (uint8_t)fuzz_number(in, 1);
    }
    (void)rig_load_state(r, 0, &state);
}

static void access_bar(struct rig *r, struct fuzz_input *in)
{
    uint32_t bar = (uint32_t)fuzz_number(in, 1) % 7;
    bool write = fuzz_number(in, 1) & 1;
    uint64_t offset = operand(in);
    size_t bytes = fuzz_number(in, 2);
    uint8_t *data = calloc(1, bytes + 1);

    fuzz_must(data != NULL);
    memset(data, 0xa5, bytes);
    if (write)
        (void)r->ops->bar_write(r->dev, VF_FUNCTION_VF(0), bar, offset, data, bytes);
    else
        (void)r->ops->bar_read(r->dev, VF_FUNCTION_VF(0), bar, offset, data, bytes);
    free(data);
}

static void access_config(struct rig *r, struct fuzz_input *in)
{
    uint32_t offset = (uint32_t)fuzz_number(in, 2);
    uint64_t value = fuzz_number(in, 8);
    uint32_t bytes = (uint32_t)fuzz_number(in, 1) % 9;

    (void)r->ops->config_write(r->dev, VF_FUNCTION_VF(0), offset, &value, bytes);
    (void)r->ops->config_read(r->dev, VF_FUNCTION_VF(0), offset, &value, bytes);
}

static void access_register(struct rig *r, struct fuzz_input *in)
{
    uint64_t offset = fuzz_number(in, 2);
    unsigned width = fuzz_number(in, 1) & 1 ? 8 : 4;
    uint64_t value = operand(in);

    (void)r->ops->bar_write(r->dev, VF_FUNCTION_VF(0), SG_VF_BAR_REGS, offset, &value, width);
    (void)r->ops->bar_read(r->dev, VF_FUNCTION_VF(0), SG_VF_BAR_REGS, offset, &value, width);
}

/* A pause always completes: not rig_pause, which would wait for ever. */
static void pause_vf(struct rig *r)
{
    uint64_t deadline = rig_now() + PAUSE_NS;

    rig_pf_write(r, SG_VFC(0, SG_VFC_CTRL), 4, SG_VFC_CTRL_ENABLE | SG_VFC_CTRL_PAUSE);
    while (!(rig_pf_read(r, SG_VFC(0, SG_VFC_STATUS), 4) & SG_VFC_STATUS_QUIET))
        fuzz_must(rig_now() < deadline);
}

static uint64_t retired(struct rig *r)
{
    return rig_vf_read(r, 0, SG_VF_QUEUE(0) + SG_Q_RETIRED64, 8) +
           rig_vf_read(r, 0, SG_VF_QUEUE(1) + SG_Q_RETIRED64, 8);
}

/* Lets it run until both queues stand still or RUN_COMMANDS are through, at most RUN_NS. */
static void run(struct rig *r)
{
    uint64_t deadline = rig_now() + RUN_NS;
    uint64_t end = retired(r) + RUN_COMMANDS;

    while ((rig_pf_read(r, SG_VFC(0, SG_VFC_STATUS), 4) & SG_VFC_STATUS_BUSY) != 0 &&
           retired(r) < end && rig_now() < deadline)
        (void)sched_yield(); /* a ring without interrupts tells nobody of its end */
}

static void act(struct rig *r, struct fuzz_input *in)
{
    unsigned q;

    switch (fuzz_number(in, 1) % ACTIONS) {
    case POKE: {
        uint64_t at = gpa(in);

        rig_set_word(r, 0, at, operand(in));
        break;
    }
    case COMMAND:
        add_command(r, in);
        break;
    case REGISTER:
        access_register(r, in);
        break;
    case START:
        rig_start(r, 0, (unsigned)fuzz_number(in, 1) % SG_QUEUES);
        break;
    case HALT:
        q = (unsigned)fuzz_number(in, 1) % SG_QUEUES;
        rig_vf_write(r, 0, SG_VF_QUEUE(q) + SG_Q_CTRL, 4, 0);
        break;
    case PAUSE:
        pause_vf(r);
        rig_resume(r, 0);
        break;
    case STATE:
        pause_vf(r);
        forge_state(r, in);
        rig_resume(r, 0);
        break;
    case CONFIG:
        access_config(r, in);
        break;
    case BAR:
        access_bar(r, in);
        break;
    default:
        run(r);
        break;
    }
}

static bool owned(uint64_t phys)
{
    for (unsigned i = 0; i < PAGES; i++)
        if (phys - phys_of(i) < SCATTER_PAGE)
            return true;
    return false;
}

/* Everything else in VRAM is still a hole, or zeros in a huge page that reaches over. */
static void check_others(const struct rig *r)
{
    const struct sg_device *dev = (const struct sg_device *)(const void *)r->dev;
    static const uint8_t zeros[SG_PAGE_BYTES];
    off_t at = 0;

    while ((at = lseek(dev->vram.fd, at, SEEK_DATA)) >= 0) {
        if (!owned((uint64_t)at)) {
            uint8_t page[SG_PAGE_BYTES];

            fuzz_must(pread(dev->vram.fd, page, sizeof page, at) == (ssize_t)sizeof page);
            fuzz_must(memcmp(page, zeros, sizeof page) == 0);
        }
        at += (off_t)SG_PAGE_BYTES;
    }
    fuzz_must(errno == ENXIO); /* no data behind */
}

static void check_dirty(struct rig *r, const uint8_t *before)
{
    static uint8_t after[RESERVE];

    rig_load(r, 0, 0, after, RESERVE);
    for (uint64_t at = 0; at < RESERVE; at += SG_PAGE_BYTES) {
        uint64_t phys = phys_of((unsigned)(at / SCATTER_PAGE)) + at % SCATTER_PAGE;
        uint64_t page = phys >> SG_PAGE_SHIFT;
        uint64_t word;

        if (memcmp(before + at, after + at, SG_PAGE_BYTES) == 0)
            continue;
        fuzz_must(r->ops->bar_read(r->dev, VF_FUNCTION_PF, SG_PF_BAR_DIRTY, page / 64 * 8, &word,
                                   8) == 0);
        fuzz_must(word >> page % 64 & 1);
    }
}

static void clear_dirty(struct rig *r)
{
    uint64_t word;

    for (uint64_t at = 0; at < SG_MIN_VRAM / SG_PAGE_BYTES / 8; at += 8)
        fuzz_must(r->ops->bar_read(r->dev, VF_FUNCTION_PF, SG_PF_BAR_DIRTY,
                                   SG_DIRTY_WINDOW_BYTES + at, &word, 8) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input in = {data, size};
    static uint8_t before[RESERVE];
    struct rig r;

    rig_open(&r, "vram=64M,vfs=1,dirty-page=4K,scatter=on");
    map_reserve(&r);
    write_tables(&r);
    rig_pf_write(&r, SG_VFC(0, SG_VFC_CTRL), 4, SG_VFC_CTRL_ENABLE);
    clear_dirty(&r);
    rig_load(&r, 0, 0, before, RESERVE);
    while (in.left > 0)
        act(&r, &in);
    run(&r);
    pause_vf(&r);
    check_dirty(&r, before);
    check_others(&r);
    rig_close(&r);
    return 0;
}

/* A command whose operands are given whole. */
static size_t put_command(uint8_t *to, uint32_t op, uint32_t flags, const uint64_t a[5])
{
    size_t used = 0;

    to[used++] = COMMAND;
    to[used++] = 0;
    to[used++] = (uint8_t)op;
    to[used++] = (uint8_t)flags;
    for (unsigned i = 0; i < 5; i++) {
        to[used++] = 4;
        memcpy(to + used, &a[i], 8);
        used += 8;
    }
    return used;
}

static size_t put_ring(uint8_t *to)
{
    /* Each writes pages of its own: a lost dirty bit is seen. */
    static const struct {
        uint32_t op, flags;
        uint64_t a[5];
    } ring[] = {
        {SG_OP_FILL, 0, {0x40000, 0x8000, 0x1122334455667788}},
        {SG_OP_COPY, 0, {0x50000, 0x40000, 0x4008}},
        {SG_OP_FILL, 0, {0xd8000, 0x10000, 7}}, /* over the edge of a scatter page */
        {SG_OP_RANDOM, 0, {0x60000, 0x1000, 3, 4}},
        {SG_OP_SCATTER, 0, {0x70000, 16, 4096, 9, 0x30000}},
        {SG_OP_STENCIL, 0, {0x90000, 0xa0000, 64, 32, 3}},
        {SG_OP_GEMM, 0, {0xb0000, 0xb8000, 0xbc000, 16}},
        {SG_OP_HASH, 0, {0x31008, 0x40000, 0x2000, 1}},
        {SG_OP_ADD, 0, {0x30000, 1}},
        {SG_OP_FENCE, 0, {0x32010, 5}},
        {SG_OP_PACE, 0, {0x30000, 1000}},
        {SG_OP_INTERRUPT, 0, {0}},
        {SG_OP_WAIT, SG_COND_GE, {0x30000, 1}},
        {SG_OP_JUMP_IF, SG_COND_LT, {0x30000, 20, 0x10000}},
        {SG_OP_HALT, 0, {0}},
    };
    size_t used = 0;

    for (size_t i = 0; i < sizeof ring / sizeof ring[0]; i++)
        used += put_command(to + used, ring[i].op, ring[i].flags, ring[i].a);
    to[used++] = START;
    to[used++] = 0;
    return used;
}

/* The tables say one large page, which reaches over scattered pages and beyond the reserve; a write
 * of ROOT makes the card look. */
static size_t put_large_page(uint8_t *to)
{
    static const uint8_t actions[] = {
        POKE, 4, 0,        0x10,
        0,    0, 0,        0,
        0,    0, 2,        SG_PTE_VALID | SG_PTE_WRITE | SG_PTE_LARGE,
        0,    0, REGISTER, SG_VF_ROOT64,
        0,    1, 1,        0,
    };

    memcpy(to, actions, sizeof actions);
    return sizeof actions;
}

size_t fuzz_seed(unsigned index, uint8_t *data)
{
    static const uint8_t others[] = {
        CONFIG, 4, 0, 6, 0,  0, 0,        0, 0, 0, 0, 2, BAR, 2, 1,    2, 0, 1, 0, 16,   0, BAR, 2,
        0,      3, 8, 0, 64, 0, REGISTER, 0, 1, 1, 2, 0, 0,   0, POKE, 1, 1, 0, 5, HALT, 0, RUN};
    size_t used;

    switch (index) {
    case 0:
        used = put_ring(data);
        data[used++] = RUN;
        return used;
    case 1: /* moved in the middle, with a forged state */
        used = put_ring(data);
        data[used++] = PAUSE;
        data[used++] = STATE;
        data[used++] = 1;
        data[used++] = 40;
        data[used++] = 2;
        data[used++] = RUN;
        return used;
    case 2:
        memcpy(data, others, sizeof others);
        return sizeof others;
    case 3:
        used = put_large_page(data);
        used += put_ring(data + used);
        data[used++] = RUN;
        return used;
    default:
        return 0;
    }
}
