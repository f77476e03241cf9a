// SPDX-License-Identifier: Apache-2.0
/*
 * The card's command decoder, fed by a hostile guest: rings and tables that it writes, and that its
 * commands write over. Input: a row of actions (enum action). Everything is done twice, with other
 * bytes in all memory that is not the guest's: what the guest ends with must not tell the two
 * apart, and none of that memory may change.
 */
#include "fuzz/card.h"

#include <string.h>

enum action { POKE, COMMAND, RUN, IP, ROOT, ACTIONS };

#define RING 0x8000ull
#define RING_END 0x10000ull
#define SLICES 48u /* of RUN: a slice is one long step, or sixteen short commands */

/* What a guest can see of one run. */
struct outcome {
    uint8_t vram[CARD_RESERVE];
    uint64_t ip[SG_QUEUES], retired[SG_QUEUES], progress[SG_QUEUES], fault_va[SG_QUEUES];
    uint64_t scratch[SG_QUEUES][4], stop[SG_QUEUES];
    uint64_t root, pending;
};

static uint64_t add_command(struct card *card, struct fuzz_input *in, uint64_t ring)
{
    struct sg_cmd cmd = {.op = (uint32_t)fuzz_number(in, 1) % (SG_OP_WAIT + 2),
                         .flags = (uint32_t)fuzz_number(in, 1)};

    for (unsigned i = 0; i < 5; i++)
        cmd.a[i] = card_operand(in);
    if (ring >= RING_END)
        return ring;
    card_store(card, ring, &cmd, sizeof cmd);
    return ring + sizeof cmd;
}

static void poke(struct card *card, struct fuzz_input *in)
{
    uint64_t at = card_operand(in) % (CARD_RESERVE - 8) & ~7ull, word = card_operand(in);

    card_store(card, at, &word, 8);
}

static void run(struct card *card, struct fuzz_input *in, struct outcome *out)
{
    unsigned q = (unsigned)fuzz_number(in, 1) % SG_QUEUES;
    struct sg_context *x = &card->vf.queue[q].x;
    enum sg_stop stop = SG_STOP_SLICE;

    for (unsigned slice = 0; slice < SLICES && stop == SG_STOP_SLICE; slice++)
        stop = sg_execute(x, UINT64_MAX, 0);
    out->stop[q] = out->stop[q] * 8 + (uint64_t)stop;
}

/* As the register does it. */
static void set_ip(struct card *card, struct fuzz_input *in)
{
    struct sg_context *x = &card->vf.queue[fuzz_number(in, 1) % SG_QUEUES].x;

    atomic_store(&x->ip, card_operand(in));
    sg_context_rewind(x);
}

static void act(struct card *card, struct fuzz_input *in, uint64_t *ring, struct outcome *out)
{
    switch (fuzz_number(in, 1) % ACTIONS) {
    case POKE:
        poke(card, in);
        break;
    case COMMAND:
        *ring = add_command(card, in, *ring);
        break;
    case RUN:
        run(card, in, out);
        break;
    case IP:
        set_ip(card, in);
        break;
    default:
        atomic_store(&card->vf.root, card_operand(in));
        atomic_fetch_add(&card->vf.flushes, 1);
        break;
    }
}

static void look(struct card *card, struct outcome *out)
{
    card_load(card, 0, out->vram, CARD_RESERVE);
    for (unsigned q = 0; q < SG_QUEUES; q++) {
        const struct sg_context *x = &card->vf.queue[q].x;

        out->ip[q] = atomic_load(&x->ip);
        out->retired[q] = atomic_load(&x->retired);
        out->progress[q] = x->progress;
        out->fault_va[q] = x->space.fault_va;
        memcpy(out->scratch[q], x->scratch, sizeof out->scratch[q]);
    }
    out->root = atomic_load(&card->vf.root);
    out->pending = card->vf.msix.pending;
}

static void play(const uint8_t *data, size_t size, uint8_t foreign, struct outcome *out)
{
    static uint8_t before[CARD_RESERVE];
    struct fuzz_input in = {data, size};
    struct card *card = card_new(foreign);
    uint64_t ring = RING;

    memset(out, 0, sizeof *out);
    card_load(card, 0, before, CARD_RESERVE);
    for (unsigned q = 0; q < SG_QUEUES; q++)
        atomic_store(&card->vf.queue[q].x.ip, RING);
    while (in.left > 0)
        act(card, &in, &ring, out);
    look(card, out);
    card_check(card, before);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct outcome first, second;

    play(data, size, 0x5a, &first);
    play(data, size, 0xc3, &second);
    fuzz_must(memcmp(&first, &second, sizeof first) == 0);
    return 0;
}

static size_t put_command(uint8_t *to, const struct sg_cmd *cmd)
{
    size_t used = 0;

    to[used++] = COMMAND;
    to[used++] = (uint8_t)cmd->op;
    to[used++] = (uint8_t)cmd->flags;
    for (unsigned i = 0; i < 5; i++) {
        to[used++] = 5;
        memcpy(to + used, &cmd->a[i], 8);
        used += 8;
    }
    return used;
}

/* One large page over scattered extents and behind them; then a fill over the first edge. */
static size_t put_large_page(uint8_t *to)
{
    static const uint8_t large[] = {
        POKE, 2, 0,    0x20, 0, 1,    (SG_PTE_VALID | SG_PTE_WRITE | SG_PTE_LARGE) >> 3,
        POKE, 2, 0,    0x20, 0, 2,    SG_PTE_VALID | SG_PTE_WRITE | SG_PTE_LARGE,
        0,    0, ROOT, 2,    0, 0x10, 0,
    };
    const struct sg_cmd fill = {.op = SG_OP_FILL, .a = {0xf000, 0x60000, 7}};

    memcpy(to, large, sizeof large);
    return sizeof large + put_command(to + sizeof large, &fill);
}

/* Each command as a guest means it; after every one a run, so that each can be spoilt alone. */
size_t fuzz_seed(unsigned index, uint8_t *data)
{
    static const struct sg_cmd commands[] = {
        {.op = SG_OP_NOP},
        {.op = SG_OP_FILL, .a = {0x20000, 0x8000, 0x1122334455667788}},
        {.op = SG_OP_FILL, .a = {0x20000, 0x12000, 0}},
        {.op = SG_OP_COPY, .a = {0x30000, 0x20000, 0x14008}},
        {.op = SG_OP_RANDOM, .a = {0x1f008, 0x12000, 3, 4}},
        {.op = SG_OP_SCATTER, .a = {0x20000, 8, 4096, 9, 0x11000}},
        {.op = SG_OP_STENCIL, .a = {0x20000, 0x40000, 70, 50, 3}},
        {.op = SG_OP_GEMM, .a = {0x20000, 0x30000, 0x40000, 70}},
        {.op = SG_OP_HASH, .a = {0x11008, 0x20000, 0x12000, 1}},
        {.op = SG_OP_ADD, .a = {0x11000, 1}},
        {.op = SG_OP_FENCE, .a = {0x11010, 5}},
        {.op = SG_OP_INTERRUPT, .a = {1}},
        {.op = SG_OP_PACE, .a = {0x11000, 100}},
        {.op = SG_OP_WAIT, .flags = SG_COND_NE, .a = {0x11000, 77}},
        {.op = SG_OP_JUMP_IF, .flags = SG_COND_LT, .a = {0x11000, 20, RING}},
        {.op = SG_OP_JUMP, .a = {RING}},
        {.op = SG_OP_HALT},
    };
    const unsigned count = sizeof commands / sizeof commands[0];
    size_t used = 0;

    if (index > count + 1)
        return 0;
    if (index == count + 1)
        used = put_large_page(data);
    for (unsigned i = 0; i < count; i++)
        if (index == count || index == i)
            used += put_command(data + used, &commands[i]);
    data[used++] = RUN;
    data[used++] = (uint8_t)(index % 3 == 2);
    return used;
}
