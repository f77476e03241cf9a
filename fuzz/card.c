// SPDX-License-Identifier: Apache-2.0
/* See card.h. Linked with --wrap=sg_now: time passes by being asked for. */
#include "fuzz/card.h"

#include <string.h>

uint64_t __wrap_sg_now(void);

/* One for each `foreign`: its foreign VRAM need not be written again, as card_check has seen to. */
static struct card cards[2];
static struct card *current = &cards[0];

uint64_t __wrap_sg_now(void)
{
    return current->now += 1000;
}

uint64_t card_phys(uint64_t gpa)
{
    return (2 * (gpa / CARD_EXTENT) + 1) * CARD_EXTENT + gpa % CARD_EXTENT;
}

bool card_owns(uint64_t phys)
{
    return phys < CARD_VRAM && phys / CARD_EXTENT % 2 == 1;
}

static void open_card(struct card *card, uint8_t foreign)
{
    static uint8_t extent[CARD_EXTENT];
    char why[256] = "";

    card->foreign = foreign;
    card->dev.options = (struct sg_options){.vram_bytes = CARD_VRAM,
                                            .dirty_page_bytes = SG_PAGE_BYTES,
                                            .vfs = 1,
                                            .performant = true,
                                            .scatter = true};
    card->dev.scatter_shift = 16;
    card->dev.vf = &card->vf;
    if (sg_vram_open(&card->dev.vram, &card->dev.options, why, sizeof why) != 0) {
        (void)fprintf(stderr, "%s\n", why);
        exit(2);
    }
    fuzz_must(sg_dma_open(&card->dev.dma) == 0 && sg_irq_open(&card->dev.irq) == 0);
    fuzz_must(pthread_mutex_init(&card->dev.lock, NULL) == 0);
    fuzz_must(pthread_cond_init(&card->dev.quiet, NULL) == 0);
    memset(extent, foreign, sizeof extent);
    for (uint64_t at = 0; at < CARD_VRAM; at += CARD_EXTENT)
        if (!card_owns(at))
            sg_vram_write(&card->dev.vram, at, extent, CARD_EXTENT);
}

static void new_vf(struct card *card)
{
    memset(&card->vf, 0, sizeof card->vf);
    fuzz_must(sg_vf_open(&card->vf, &card->dev, 0) == 0);
    for (uint64_t gpa = 0; gpa < CARD_RESERVE; gpa += CARD_EXTENT)
        fuzz_must(sg_map_add(&card->vf.map, gpa, card_phys(gpa), CARD_EXTENT) == 0);
    for (unsigned q = 0; q < SG_QUEUES; q++)
        card->vf.queue[q].x.work = card->work;
}

static void write_tables(struct card *card)
{
    uint64_t entry = (CARD_TABLES + 0x1000) | SG_PTE_VALID, leaf[CARD_RESERVE / SG_PAGE_BYTES];

    card_store(card, CARD_TABLES, &entry, 8);
    entry += 0x1000;
    card_store(card, CARD_TABLES + 0x1000, &entry, 8);
    for (uint64_t at = 0; at < CARD_RESERVE; at += SG_PAGE_BYTES)
        leaf[at / SG_PAGE_BYTES] = at | SG_PTE_VALID | SG_PTE_WRITE;
    card_store(card, CARD_TABLES + 0x2000, leaf, sizeof leaf);
    atomic_store(&card->vf.root, CARD_TABLES);
}

struct card *card_new(uint8_t foreign)
{
    struct card *card =
        cards[0].dev.vram.base == NULL || cards[0].foreign == foreign ? &cards[0] : &cards[1];

    current = card;
    if (card->dev.vram.base == NULL)
        open_card(card, foreign);
    else
        sg_vf_close(&card->vf);
    fuzz_must(card->foreign == foreign);
    card->now = 1;
    memset(card->work, foreign, sizeof card->work);
    for (uint64_t at = 0; at < CARD_RESERVE; at += CARD_EXTENT)
        sg_vram_zero(&card->dev.vram, card_phys(at), CARD_EXTENT);
    new_vf(card);
    write_tables(card);
    for (uint64_t word = 0; word < card->dev.vram.dirty.words; word++)
        (void)sg_dirty_exchange(&card->dev.vram.dirty, word, ~0ull);
    return card;
}

void card_load(struct card *c, uint64_t gpa, void *to, uint64_t bytes)
{
    fuzz_must(sg_vf_bar(&c->vf, gpa, to, NULL, bytes) == 0);
}

void card_store(struct card *c, uint64_t gpa, const void *from, uint64_t bytes)
{
    fuzz_must(sg_vf_bar(&c->vf, gpa, NULL, from, bytes) == 0);
}

static bool is_dirty(struct card *c, uint64_t phys)
{
    uint64_t page = phys / SG_PAGE_BYTES;

    return sg_dirty_read(&c->dev.vram.dirty, page / 64) >> page % 64 & 1;
}

void card_check(struct card *c, const uint8_t *before)
{
    static uint8_t page[SG_PAGE_BYTES], foreign[SG_PAGE_BYTES];

    memset(foreign, c->foreign, sizeof foreign);
    for (uint64_t at = 0; at < CARD_VRAM; at += SG_PAGE_BYTES) {
        if (card_owns(at))
            continue;
        sg_vram_read(&c->dev.vram, at, page, sizeof page);
        fuzz_must(memcmp(page, foreign, sizeof page) == 0);
        fuzz_must(!is_dirty(c, at));
    }
    for (uint64_t gpa = 0; before != NULL && gpa < CARD_RESERVE; gpa += SG_PAGE_BYTES) {
        card_load(c, gpa, page, sizeof page);
        fuzz_must(memcmp(page, before + gpa, sizeof page) == 0 || is_dirty(c, card_phys(gpa)));
    }
}

uint64_t card_operand(struct fuzz_input *in)
{
    switch (fuzz_number(in, 1) % 6) {
    case 0:
        return fuzz_number(in, 1) << SG_PAGE_SHIFT; /* a page of the reserve, or behind it */
    case 1:
        return fuzz_number(in, 1) << 3;
    case 2:
        return fuzz_number(in, 3);
    case 3:
        return 0 - fuzz_number(in, 2);
    case 4:
        return CARD_RESERVE + fuzz_number(in, 1) - 128; /* around its end */
    default:
        return fuzz_number(in, 8);
    }
}
