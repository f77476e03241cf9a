// SPDX-License-Identifier: Apache-2.0
/*
 * A guest that does its worst to the card (VF-6): rings, page tables, registers and a saved
 * state made of what is most likely to go wrong, while its tables are rewritten under the
 * engines. The reserves lie page by page among each other, so that the next page is always
 * somebody else's. After each batch the neighbours, the paging process and all free VRAM are bit
 * for bit what they were.
 */
#include "rig.h"
#include "softgpu.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define SCATTER_PAGE 65536ull
#define PAGES 32u /* of a reserve */
#define RESERVE (PAGES * SCATTER_PAGE)
#define VFS 3u
#define QUIET_ONE 0u /* keeps content, and a ring that stands still */
#define HOSTILE 1u
#define BUSY_ONE 2u /* its ring runs all the time */
#define COUNTER (RESERVE - 4096)
#define TABLES 0x1000ull
#define RING 0x8000ull
#define RING_COMMANDS 64u
#define SYSTEM_DATA MIB
#define PAUSE_NS 20000000000ull
#define RUN_NS 500000ull
#define TURNS 24u

static uint64_t phys_of(unsigned vf, uint64_t gpa)
{
    return (gpa / SCATTER_PAGE * VFS + vf) * SCATTER_PAGE + gpa % SCATTER_PAGE;
}

/* What is not the hostile guest's, as it must stay. */
struct world {
    struct rig rig;
    uint64_t seed;
    uint8_t *before[VFS];
    uint8_t *paging; /* tables and commands of the paging process */
    int message[VFS];
    pthread_t scribbler;
    _Atomic bool scribble;
    uint64_t scribble_seed;
};

/* ---- the neighbours ---- */

static void map_reserve(struct rig *r, unsigned vf)
{
    rig_pf_write(r, SG_VFC(vf, SG_VFC_MAP_CMD), 4, SG_MAP_CMD_CLEAR);
    for (uint64_t gpa = 0; gpa < RESERVE; gpa += SCATTER_PAGE) {
        rig_pf_write(r, SG_VFC(vf, SG_VFC_MAP_GPA64), 8, gpa);
        rig_pf_write(r, SG_VFC(vf, SG_VFC_MAP_PHYS64), 8, phys_of(vf, gpa));
        rig_pf_write(r, SG_VFC(vf, SG_VFC_MAP_BYTES64), 8, SCATTER_PAGE);
        rig_pf_write(r, SG_VFC(vf, SG_VFC_MAP_CMD), 4, SG_MAP_CMD_ADD);
        assert_int_equal(rig_pf_read(r, SG_VFC(vf, SG_VFC_MAP_RESULT), 4), 0);
    }
}

/* One to one in small pages, as a well-behaved guest has them. */
static void write_tables(struct rig *r, unsigned vf)
{
    static uint64_t leaf[512];

    rig_set_word(r, vf, TABLES, (TABLES + 0x1000) | SG_PTE_VALID);
    rig_set_word(r, vf, TABLES + 0x1000, (TABLES + 0x2000) | SG_PTE_VALID);
    for (uint64_t at = 0; at < RESERVE; at += SG_PAGE_BYTES)
        leaf[at >> SG_PAGE_SHIFT] = at | SG_PTE_VALID | SG_PTE_WRITE;
    rig_store(r, vf, TABLES + 0x2000, leaf, sizeof leaf);
    rig_vf_write(r, vf, SG_VF_ROOT64, 8, TABLES);
}

static void route_message(struct world *w, unsigned vf)
{
    struct rig *r = &w->rig;

    w->message[vf] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    assert_true(w->message[vf] >= 0);
    assert_int_equal(r->ops->msi_route(r->dev, 0xfee00000u + vf * 0x1000, vf, w->message[vf]), 0);
    rig_pf_write(r, SG_VFC(vf, SG_VFC_MSIX_INDEX), 4, 0);
    rig_pf_write(r, SG_VFC(vf, SG_VFC_MSIX_ADDR64), 8, 0xfee00000u + vf * 0x1000);
    rig_pf_write(r, SG_VFC(vf, SG_VFC_MSIX_DATA), 4, vf);
    rig_pf_write(r, SG_VFC(vf, SG_VFC_MSIX_CTRL), 4, 0);
}

static void move_in(struct world *w, unsigned vf)
{
    static const struct sg_cmd busy[] = {{.op = SG_OP_ADD, .a = {COUNTER, 1}},
                                         {.op = SG_OP_JUMP, .a = {RING}}};
    struct rig *r = &w->rig;
    uint8_t *content = malloc(RESERVE);

    assert_non_null(content);
    for (uint64_t i = 0; i < RESERVE / 8; i++) {
        uint64_t word = oracle_random(w->seed, vf, i) | 1;

        memcpy(content + i * 8, &word, 8);
    }
    map_reserve(r, vf);
    rig_store(r, vf, 0, content, RESERVE);
    write_tables(r, vf);
    rig_store(r, vf, RING, busy, sizeof busy);
    route_message(w, vf);
    rig_pf_write(r, SG_VFC(vf, SG_VFC_CTRL), 4, SG_VFC_CTRL_ENABLE);
    rig_load(r, vf, 0, content, RESERVE);
    w->before[vf] = content;
}

static void start_queue(struct rig *r, unsigned vf, unsigned q, uint64_t ip)
{
    rig_vf_write(r, vf, SG_VF_QUEUE(q) + SG_Q_IP64, 8, ip);
    rig_vf_write(r, vf, SG_VF_QUEUE(q) + SG_Q_CTRL, 4, 1);
}

static void clear_dirty(struct rig *r)
{
    uint64_t word;

    for (uint64_t at = 0; at < SG_MIN_VRAM / SG_PAGE_BYTES / 8; at += 8)
        assert_int_equal(r->ops->bar_read(r->dev, VF_FUNCTION_PF, SG_PF_BAR_DIRTY,
                                          SG_DIRTY_WINDOW_BYTES + at, &word, 8),
                         0);
}

static void open_world(struct world *w, const char *options)
{
    memset(w, 0, sizeof *w);
    w->seed = rig_seed("isolation");
    rig_open(&w->rig, options);
    for (unsigned vf = 0; vf < VFS; vf++)
        move_in(w, vf);
    rig_paging_open(&w->rig, SYSTEM_DATA);
    w->paging = malloc(w->rig.system_bytes);
    assert_non_null(w->paging);
    memset(rig_system(&w->rig, 0), 0x77, SYSTEM_DATA);
    start_queue(&w->rig, BUSY_ONE, SG_QUEUE_COMPUTE, RING);
}

static void close_world(struct world *w)
{
    rig_close(&w->rig);
    for (unsigned vf = 0; vf < VFS; vf++) {
        free(w->before[vf]);
        close(w->message[vf]);
    }
    free(w->paging);
}

/* ---- the hostile one ---- */

/* Addresses and lengths at the edges of everything that anybody here has. */
static uint64_t nasty(uint64_t *seed)
{
    static const uint64_t edges[] = {
        0,
        RING,
        TABLES,
        COUNTER,
        SCATTER_PAGE,
        RESERVE,
        VFS * RESERVE, /* all that is owned, taken as physical */
        SG_MIN_VRAM,
        2 * MIB, /* a large page */
        1ull << 30,
        1ull << SG_VA_BITS,
        1ull << 52,
        1ull << 63,
        RIG_IOVA,
        RIG_VA_SYSTEM,
        ~0ull,
    };
    static const int64_t steps[] = {0, 0, 0, 8, -8, 64, -64, 4096, -4096, 1, -1};
    uint64_t edge = edges[rig_choose(seed, sizeof edges / sizeof edges[0])];

    switch (rig_choose(seed, 4)) {
    case 0:
        return rig_choose(seed, RESERVE) & ~7ull;
    case 1:
        return rig_choose(seed, ~0ull);
    default:
        return edge + (uint64_t)steps[rig_choose(seed, sizeof steps / sizeof steps[0])];
    }
}

/* Loops, tables that are their own leaves, large pages over small extents, what is beyond. */
static uint64_t nasty_entry(uint64_t *seed)
{
    static const uint64_t tables[] = {TABLES, TABLES + 0x1000, TABLES + 0x2000};
    uint64_t flags = rig_choose(seed, 16) | (rig_choose(seed, 8) ? SG_PTE_VALID : 0);

    if (rig_choose(seed, 3) == 0)
        return tables[rig_choose(seed, 3)] | flags;
    return (nasty(seed) & ~0xfffull) | flags;
}

/* What each operand of a command is: an Address, a Size, a Count, a Jump's target, a Vector. */
static const char *const operands[SG_OP_WAIT + 3] = {
    [SG_OP_FILL] = "AS",       [SG_OP_COPY] = "AAS",      [SG_OP_RANDOM] = "AS",
    [SG_OP_SCATTER] = "ACSCA", [SG_OP_STENCIL] = "AACCC", [SG_OP_GEMM] = "AAAC",
    [SG_OP_HASH] = "AAS",      [SG_OP_ADD] = "A",         [SG_OP_FENCE] = "A",
    [SG_OP_INTERRUPT] = "V",   [SG_OP_JUMP] = "J",        [SG_OP_JUMP_IF] = "ACJ",
    [SG_OP_PACE] = "AC",       [SG_OP_WAIT] = "AC",
};

static uint64_t tame(uint64_t *seed, char what)
{
    switch (what) {
    case 'A':
        return rig_choose(seed, RESERVE) & ~7ull;
    case 'S':
        return rig_choose(seed, 4 * SG_STEP_BYTES) & ~7ull;
    case 'C':
        return 2 + rig_choose(seed, 60);
    case 'J':
        return RING + rig_choose(seed, RING_COMMANDS) * SG_CMD_BYTES;
    case 'V':
        return rig_choose(seed, SG_MSIX_VECTORS + 1);
    default:
        return nasty(seed);
    }
}

/* Mostly one that would work, with something in it that is not right. */
static struct sg_cmd nasty_command(uint64_t *seed)
{
    struct sg_cmd cmd = {.op = (uint32_t)rig_choose(seed, SG_OP_WAIT + 3)};
    const char *kinds = operands[cmd.op] ? operands[cmd.op] : "";
    size_t count = strlen(kinds);

    for (unsigned i = 0; i < 7; i++)
        cmd.a[i] = tame(seed, i < count ? kinds[i] : '\0');
    if (cmd.op == SG_OP_JUMP_IF || cmd.op == SG_OP_WAIT)
        cmd.flags = (uint32_t)rig_choose(seed, 5);
    else if (rig_choose(seed, 16) == 0)
        cmd.flags = (uint32_t)rig_choose(seed, 6);
    if (rig_choose(seed, 3) == 0)
        cmd.a[rig_choose(seed, 5)] = nasty(seed);
    if (cmd.op == SG_OP_HALT && rig_choose(seed, 4))
        cmd.op = SG_OP_NOP;
    return cmd;
}

/* Tables change under the engines' hands, through the CPU's aperture. */
static void *scribbler_main(void *arg)
{
    struct world *w = arg;
    uint64_t seed = w->scribble_seed;

    while (atomic_load(&w->scribble)) {
        uint64_t entry = nasty_entry(&seed), at = TABLES + rig_choose(&seed, 0x3000 / 8) * 8;

        (void)w->rig.ops->bar_write(w->rig.dev, VF_FUNCTION_VF(HOSTILE), SG_VF_BAR_VRAM, at, &entry,
                                    8);
    }
    return NULL;
}

/* Every BAR there is and some there are not, in and out of range; what comes back is no matter. */
static void knock_on_bars(struct rig *r, uint64_t *seed)
{
    static uint8_t buffer[4096];

    for (unsigned i = 0; i < 16; i++) {
        uint32_t bar = (uint32_t)rig_choose(seed, 7);
        uint64_t bytes = rig_choose(seed, 3) ? 8 : rig_choose(seed, sizeof buffer);

        if (bar == SG_VF_BAR_REGS && rig_choose(seed, 2)) { /* every register, also the unnamed */
            uint64_t value = nasty(seed);

            (void)r->ops->bar_write(r->dev, VF_FUNCTION_VF(HOSTILE), bar,
                                    rig_choose(seed, SG_VF_REGS_BYTES) & ~7ull, &value, 8);
        } else if (rig_choose(seed, 2)) {
            (void)r->ops->bar_write(r->dev, VF_FUNCTION_VF(HOSTILE), bar, nasty(seed), buffer,
                                    bytes);
        } else {
            (void)r->ops->bar_read(r->dev, VF_FUNCTION_VF(HOSTILE), bar, nasty(seed), buffer,
                                   bytes);
        }
    }
}

static void forge_state(struct rig *r, uint64_t *seed)
{
    struct sg_vf_state state;

    rig_save_state(r, HOSTILE, &state);
    state.root = nasty(seed);
    for (unsigned q = 0; q < SG_QUEUES; q++) {
        state.queue[q].ip = nasty(seed) & ~63ull;
        state.queue[q].progress = rig_choose(seed, 2) ? rig_choose(seed, 64) : nasty(seed);
        state.queue[q].scratch[0] = nasty(seed);
        state.queue[q].status = (uint32_t)rig_choose(seed, 4);
    }
    (void)rig_load_state(r, HOSTILE, &state); /* taken or refused: no matter */
}

/* A pause always completes: not rig_pause, which would wait for ever. */
static void pause_hostile(struct rig *r)
{
    uint64_t deadline = rig_now() + PAUSE_NS;

    rig_pf_write(r, SG_VFC(HOSTILE, SG_VFC_CTRL), 4, SG_VFC_CTRL_ENABLE | SG_VFC_CTRL_PAUSE);
    while (!(rig_pf_read(r, SG_VFC(HOSTILE, SG_VFC_STATUS), 4) & SG_VFC_STATUS_QUIET))
        assert_true(rig_now() < deadline);
}

/* Until the queue stands still, in a fault mostly; one that loops or waits is stopped by the
 * next turn. */
static void let_run(struct rig *r, unsigned q)
{
    uint64_t deadline = rig_now() + RUN_NS;

    while (rig_vf_read(r, HOSTILE, SG_VF_QUEUE(q) + SG_Q_STATUS, 4) == SG_Q_RUNNING &&
           rig_now() < deadline)
        (void)sched_yield(); /* no interrupt tells of a fault */
}

static void batch(struct world *w, uint64_t *seed)
{
    static struct sg_cmd ring[RING_COMMANDS];
    struct rig *r = &w->rig;
    bool scribble = rig_choose(seed, 4) == 0;

    pause_hostile(r);
    if (rig_choose(seed, 8)) /* most of it works, so that commands come far */
        write_tables(r, HOSTILE);
    for (uint64_t left = rig_choose(seed, 12); left > 0; left--)
        rig_set_word(r, HOSTILE, TABLES + rig_choose(seed, 0x3000 / 8) * 8, nasty_entry(seed));
    for (unsigned i = 0; i < RING_COMMANDS; i++)
        ring[i] = nasty_command(seed);
    rig_store(r, HOSTILE, RING, ring, sizeof ring);
    if (rig_choose(seed, 4) == 0)
        forge_state(r, seed);
    rig_vf_write(r, HOSTILE, SG_VF_ROOT64, 8, rig_choose(seed, 8) ? TABLES : nasty(seed));
    w->scribble_seed = rig_choose(seed, ~0ull);
    atomic_store(&w->scribble, scribble);
    if (scribble)
        assert_int_equal(pthread_create(&w->scribbler, NULL, scribbler_main, w), 0);
    rig_resume(r, HOSTILE);
    for (unsigned turn = 0; turn < TURNS; turn++) {
        unsigned q = turn % SG_QUEUES;

        /* On from the command behind the one that faulted; where it is now is its own affair. */
        rig_vf_write(r, HOSTILE, SG_VF_QUEUE(q) + SG_Q_CTRL, 4, 0);
        start_queue(r, HOSTILE, q, rig_choose(seed, 8) ? tame(seed, 'J') : nasty(seed) & ~7ull);
        let_run(r, q);
    }
    knock_on_bars(r, seed);
    pause_hostile(r);
    atomic_store(&w->scribble, false);
    if (scribble)
        assert_int_equal(pthread_join(w->scribbler, NULL), 0);
}

/* ---- after it ---- */

static void check_neighbour(struct world *w, unsigned vf)
{
    static uint8_t page[SCATTER_PAGE], guest[SCATTER_PAGE];
    struct rig *r = &w->rig;

    for (uint64_t gpa = 0; gpa < RESERVE; gpa += SCATTER_PAGE) {
        assert_int_equal(r->ops->bar_read(r->dev, VF_FUNCTION_PF, SG_PF_BAR_VRAM, phys_of(vf, gpa),
                                          page, SCATTER_PAGE),
                         0);
        rig_load(r, vf, gpa, guest, SCATTER_PAGE);
        if (vf == BUSY_ONE && gpa == COUNTER / SCATTER_PAGE * SCATTER_PAGE) {
            memcpy(page + COUNTER % SCATTER_PAGE, w->before[vf] + COUNTER, 8);
            memcpy(guest + COUNTER % SCATTER_PAGE, w->before[vf] + COUNTER, 8);
        }
        assert_memory_equal(page, w->before[vf] + gpa, SCATTER_PAGE);
        assert_memory_equal(guest, w->before[vf] + gpa, SCATTER_PAGE);
    }
    assert_int_equal(rig_vf_read(r, vf, SG_VF_ROOT64, 8), TABLES);
    assert_int_equal(rig_vf_read(r, vf, SG_VF_VRAM_BYTES64, 8), RESERVE);
    assert_int_equal(rig_vf_read(r, vf, SG_VF_MSIX_PBA, 8), 0);
    assert_int_equal(rig_vf_read(r, vf, SG_VF_QUEUE(0) + SG_Q_STATUS, 4),
                     vf == BUSY_ONE ? SG_Q_RUNNING : SG_Q_HALTED);
    assert_int_equal(rig_vf_read(r, vf, SG_VF_QUEUE(1) + SG_Q_STATUS, 4), SG_Q_HALTED);
}

/* Nobody's dirty bits but the hostile one's, and the page that the busy one counts on. */
static void check_dirty(struct rig *r)
{
    for (uint64_t page = 0; page < SG_MIN_VRAM / SG_PAGE_BYTES; page += 64) {
        uint64_t word, at = page * SG_PAGE_BYTES;

        assert_int_equal(
            r->ops->bar_read(r->dev, VF_FUNCTION_PF, SG_PF_BAR_DIRTY, page / 8, &word, 8), 0);
        for (uint64_t bits = word; bits != 0; bits &= bits - 1) {
            uint64_t dirty = at + SG_PAGE_BYTES * (unsigned)__builtin_ctzll(bits);

            if (dirty >= VFS * RESERVE ||
                (dirty / SCATTER_PAGE % VFS != HOSTILE && dirty != phys_of(BUSY_ONE, COUNTER)))
                fail_msg("a dirty bit of somebody else's at 0x%" PRIx64, dirty);
        }
    }
}

/* VRAM that nobody owns is a hole, or zeros where memory is there from the start. */
static void check_free(const struct rig *r)
{
    const struct sg_device *dev = (const struct sg_device *)(const void *)r->dev;
    static uint8_t page[SCATTER_PAGE], zeros[SCATTER_PAGE];
    off_t at = (off_t)(VFS * RESERVE);

    while ((at = lseek(dev->vram.fd, at, SEEK_DATA)) >= 0) {
        assert_int_equal(pread(dev->vram.fd, page, sizeof page, at), sizeof page);
        assert_memory_equal(page, zeros, sizeof page);
        at += (off_t)sizeof page;
    }
    assert_int_equal(errno, ENXIO);
}

static void check_messages(const struct world *w)
{
    for (unsigned vf = 0; vf < VFS; vf++) {
        uint64_t count;

        if (vf != HOSTILE)
            assert_int_equal(read(w->message[vf], &count, sizeof count), -1);
    }
}

/* The paging engine works, and what it stands on is as the PF made it. */
static void check_paging(struct world *w)
{
    struct rig *r = &w->rig;
    const struct sg_cmd work[] = {
        {.op = SG_OP_COPY, .a = {RIG_VA_SYSTEM + RIG_SYSTEM_DATA, phys_of(QUIET_ONE, 0), 4096}},
    };

    assert_memory_equal(r->system, w->paging, RIG_SYSTEM_DATA);
    assert_true(rig_page_wait(r, rig_page(r, work, 1)));
    assert_memory_equal(rig_system(r, 0), w->before[QUIET_ONE], 4096);
    for (uint64_t at = 4096; at < SYSTEM_DATA; at += 4096)
        assert_int_equal(*rig_system(r, at), 0x77);
    memset(rig_system(r, 0), 0x77, 4096);
    memcpy(w->paging, r->system, RIG_SYSTEM_DATA);
}

/* Its share of the engine comes, whatever the other does with its own. */
static uint64_t busy_one_works(struct rig *r, uint64_t counted)
{
    uint64_t deadline = rig_now() + PAUSE_NS, count;

    while ((count = rig_word(r, BUSY_ONE, COUNTER)) == counted)
        assert_true(rig_now() < deadline);
    return count;
}

static void neighbours_survive(const char *options, unsigned batches)
{
    const char *given = getenv("VFERRY_BATCHES");
    struct world w;
    uint64_t seed, retired, counted = 0;

    if (given)
        batches = (unsigned)strtoul(given, NULL, 0);
    open_world(&w, options);
    seed = w.seed;
    memcpy(w.paging, w.rig.system, RIG_SYSTEM_DATA);
    for (unsigned i = 0; i < batches; i++) {
        clear_dirty(&w.rig);
        batch(&w, &seed);
        check_dirty(&w.rig);
        check_neighbour(&w, QUIET_ONE);
        check_neighbour(&w, BUSY_ONE);
        check_free(&w.rig);
        check_messages(&w);
        check_paging(&w);
        counted = busy_one_works(&w.rig, counted);
    }
    retired = rig_vf_read(&w.rig, HOSTILE, SG_VF_QUEUE(0) + SG_Q_RETIRED64, 8) +
              rig_vf_read(&w.rig, HOSTILE, SG_VF_QUEUE(1) + SG_Q_RETIRED64, 8);
    print_message("# %" PRIu64 " commands of the hostile guest were carried out\n", retired);
    assert_true(retired > batches); /* else this test is about faults alone */
    close_world(&w);
}

/* VF-6 */
static void a_hostile_guest_reaches_nobody(void **unused)
{
    (void)unused;
    neighbours_survive("vram=64M,vfs=3,dirty-page=4K,scatter=on", 60);
}

/* Zero fills take other ways where no holes are punched. */
static void a_hostile_guest_reaches_nobody_in_preallocated_vram(void **unused)
{
    (void)unused;
    neighbours_survive("vram=64M,vfs=3,dirty-page=4K,scatter=on,prealloc=on", 15);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_hostile_guest_reaches_nobody),
        cmocka_unit_test(a_hostile_guest_reaches_nobody_in_preallocated_vram),
    };

    return cmocka_run_group_tests_name("softgpu isolation", tests, NULL, NULL);
}
