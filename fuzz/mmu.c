// SPDX-License-Identifier: Apache-2.0
/*
 * The page-table walker against one written from the manual. Input: u8 flags (1 = the paging
 * process, whose tables lie in system memory), u8 root, then pokes into the tables and walks (enum
 * action). A walk gives what the manual says, its span is contiguous, and it never leaves the VF's
 * extents, or the memory that was mapped for DMA.
 */
#include "fuzz/card.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum action { POKE, WALK, FLUSH, ACTIONS };

#define PAGING 1u
#define TABLE_BYTES SG_PAGE_BYTES
#define IOVA 0x7000000000ull
#define SYSTEM_BYTES 0x8000ull /* two DMA ranges of half of it each, with a page between them */
#define HALF (SYSTEM_BYTES / 2)
#define MOST_BYTES (4u << 20)

static uint8_t *half[2]; /* the device's view of system memory */

struct place {
    bool system, large;
    uint64_t phys;    /* VRAM address; system: address in this process */
    uint64_t page_at; /* of the leaf */
};

static void open_system(struct card *card)
{
    int fd = memfd_create("fuzz-mmu", MFD_CLOEXEC);

    fuzz_must(fd >= 0 && ftruncate(fd, SYSTEM_BYTES) == 0);
    for (unsigned i = 0; i < 2; i++) {
        uint64_t iova = IOVA + i * (HALF + SG_PAGE_BYTES), bytes;
        size_t hint = 0;

        fuzz_must(sg_dma_map(&card->dev.dma, iova, HALF, fd, i * HALF) == 0);
        half[i] = sg_dma_find(&card->dev.dma, iova, &bytes, &hint);
        fuzz_must(half[i] != NULL && bytes == HALF);
    }
    (void)close(fd);
}

/* A bus address as the process has it; NULL = nowhere. */
static uint8_t *system_at(uint64_t iova, uint64_t bytes)
{
    for (unsigned i = 0; i < 2; i++) {
        uint64_t start = IOVA + i * (HALF + SG_PAGE_BYTES);

        if (iova >= start && iova - start < HALF && bytes <= HALF - (iova - start))
            return half[i] + (iova - start);
    }
    return NULL;
}

/* Entry `index` of the table at `address` of its owner's world. */
static bool entry_of(struct card *card, bool paging, uint64_t address, uint64_t index,
                     uint64_t *entry)
{
    const uint8_t *table = paging ? system_at(address, TABLE_BYTES) : NULL;

    address &= SG_PTE_ADDRESS;
    if (paging && table == NULL)
        return false;
    if (!paging && (address >= CARD_RESERVE || TABLE_BYTES > CARD_RESERVE - address))
        return false;
    if (paging)
        memcpy(entry, table + index * 8, 8);
    else
        card_load(card, address + index * 8, entry, 8);
    return true;
}

/* The manual's three levels, nothing cached. */
static bool walk(struct card *card, bool paging, uint64_t root, uint64_t va, bool write,
                 struct place *out)
{
    uint64_t entry = root & SG_PTE_ADDRESS, address;
    unsigned level = SG_LEVELS;

    if (va >> SG_VA_BITS)
        return false;
    do {
        level--;
        if (!entry_of(card, paging, entry & SG_PTE_ADDRESS,
                      va >> (SG_PAGE_SHIFT + level * SG_LEVEL_BITS) & 511, &entry) ||
            !(entry & SG_PTE_VALID))
            return false;
    } while (level > 0 && !(level == 1 && entry & SG_PTE_LARGE));
    out->large = level == 1;
    address = entry & SG_PTE_ADDRESS;
    if ((write && !(entry & SG_PTE_WRITE)) || (out->large && address % SG_BLOCK_BYTES))
        return false;
    address += va % (out->large ? SG_BLOCK_BYTES : SG_PAGE_BYTES);
    out->system = paging && entry & SG_PTE_SYSTEM;
    if (out->system)
        out->phys = (uint64_t)(uintptr_t)system_at(address, 1);
    else
        out->phys = paging ? address : address < CARD_RESERVE ? card_phys(address) : 0;
    if (!paging)
        return !(entry & SG_PTE_SYSTEM) && address < CARD_RESERVE;
    return out->system ? out->phys != 0 : address < CARD_VRAM;
}

static void compare(struct card *card, struct sg_space *space, uint64_t va, uint64_t bytes,
                    bool write)
{
    bool paging = space->vf == NULL,
         found = sg_translate(space, va, bytes, write, &(struct sg_span){0});
    struct sg_span span = {0};
    struct place place;

    fuzz_must(found == walk(card, paging, space->root, va, write, &place));
    if (!found) {
        fuzz_must(space->fault_va == va);
        return;
    }
    fuzz_must(sg_translate(space, va, bytes, write, &span));
    fuzz_must(span.bytes > 0 && span.bytes <= bytes);
    for (uint64_t at = 0; at < span.bytes; at += SG_PAGE_BYTES - (va + at) % SG_PAGE_BYTES) {
        uint64_t last = SG_PAGE_BYTES - (va + at) % SG_PAGE_BYTES - 1;

        last = sg_min(last, span.bytes - at - 1);
        fuzz_must(walk(card, paging, space->root, va + at, write, &place));
        if (place.system) {
            fuzz_must(span.system != NULL);
            fuzz_must(place.phys == (uint64_t)(uintptr_t)span.system + at);
            fuzz_must((span.system + at >= half[0] && span.system + at + last < half[0] + HALF) ||
                      (span.system + at >= half[1] && span.system + at + last < half[1] + HALF));
        } else {
            fuzz_must(span.system == NULL && place.phys == span.phys + at);
            fuzz_must(paging ? span.phys + at + last < CARD_VRAM
                             : card_owns(span.phys + at) && card_owns(span.phys + at + last));
        }
    }
}

static void poke(struct card *card, struct fuzz_input *in, bool paging)
{
    uint64_t at = fuzz_number(in, 2) * 8, entry = card_operand(in);

    entry |= fuzz_number(in, 1) % 16;
    if (paging) {
        entry += fuzz_number(in, 1) & 1 ? IOVA : 0;
        memcpy(half[at / HALF % 2] + at % HALF, &entry, 8);
    } else {
        card_store(card, at % CARD_RESERVE, &entry, 8);
    }
}

/* Identity over the first table's 2 MiB, as a paging process might have it. */
static void system_tables(void)
{
    static const uint64_t upper[2] = {(IOVA + 0x1000) | SG_PTE_VALID,
                                      (IOVA + 0x2000) | SG_PTE_VALID};

    memset(half[0], 0, HALF);
    memset(half[1], 0, HALF);
    memcpy(half[0], &upper[0], 8);
    memcpy(half[0] + 0x1000, &upper[1], 8);
    for (uint64_t i = 0; i < 512; i++) {
        uint64_t leaf =
            i < CARD_VRAM / SG_PAGE_BYTES
                ? i << SG_PAGE_SHIFT | SG_PTE_VALID | SG_PTE_WRITE
                : (IOVA + (i << SG_PAGE_SHIFT) % SYSTEM_BYTES) | SG_PTE_VALID | SG_PTE_SYSTEM;

        memcpy(half[0] + 0x2000 + i * 8, &leaf, 8);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input in = {data, size};
    struct card *card = card_new(0x5a);
    bool paging = fuzz_number(&in, 1) & PAGING;
    static struct sg_space space;
    uint64_t root = paging ? IOVA : CARD_TABLES, generation = 1;

    if (half[0] == NULL)
        open_system(card);
    system_tables();
    root += fuzz_number(&in, 1) % 4 * SG_PAGE_BYTES;
    space = (struct sg_space){.dev = &card->dev, .vf = paging ? NULL : &card->vf};
    sg_space_refresh(&space, root, generation);
    while (in.left > 0) {
        switch (fuzz_number(&in, 1) % ACTIONS) {
        case POKE:
            poke(card, &in, paging);
            sg_space_refresh(&space, root, ++generation); /* the manual: then caches are dropped */
            break;
        case WALK: {
            uint64_t va = card_operand(&in), bytes = card_operand(&in) % MOST_BYTES + 1;

            compare(card, &space, va, bytes, fuzz_number(&in, 1) & 1);
            break;
        }
        default:
            sg_space_flush(&space);
            break;
        }
    }
    return 0;
}

static size_t put_poke(uint8_t *to, uint16_t word, uint64_t entry, uint8_t flags, bool paging)
{
    size_t used = 0;

    to[used++] = POKE;
    to[used++] = (uint8_t)word;
    to[used++] = (uint8_t)(word >> 8);
    to[used++] = 5;
    memcpy(to + used, &entry, 8);
    used += 8;
    to[used++] = flags;
    if (paging)
        to[used++] = 0;
    return used;
}

static size_t put_walk(uint8_t *to, uint64_t va, uint64_t bytes, uint8_t write)
{
    size_t used = 0;

    to[used++] = WALK;
    to[used++] = 5;
    memcpy(to + used, &va, 8);
    used += 8;
    to[used++] = 5;
    memcpy(to + used, &bytes, 8);
    used += 8;
    to[used++] = write;
    return used;
}

/* Walks over every edge, behind tables with one thing in them each that is not as it should be. */
size_t fuzz_seed(unsigned index, uint8_t *data)
{
    static const struct {
        uint16_t word;
        uint64_t entry;
        uint8_t flags;
    } pokes[] = {
        {0, 0, 0},                                           /* nothing */
        {CARD_TABLES / 8, CARD_TABLES, 1},                   /* a root that is its own table */
        {CARD_TABLES / 8 + 0x200, CARD_TABLES, 3},           /* and one level below */
        {CARD_TABLES / 8 + 0x200, 0, 0xb},                   /* a large page over extents */
        {CARD_TABLES / 8 + 0x200, 0x1000, 0xb},              /* one that is not aligned */
        {CARD_TABLES / 8 + 0x400, CARD_RESERVE - 0x1000, 3}, /* the last page */
        {CARD_TABLES / 8 + 0x401, CARD_RESERVE, 3},          /* and the one behind it */
        {CARD_TABLES / 8 + 0x400, 0, 7},                     /* system memory */
        {CARD_TABLES / 8 + 0x200, CARD_RESERVE - 0x800, 1},  /* a table over the end */
        {CARD_TABLES / 8 + 0x400, SG_PTE_ADDRESS, 3},        /* as far as addresses go */
    };
    static const uint64_t addresses[] = {0,
                                         0xffff,
                                         0x10000,
                                         CARD_RESERVE - 8,
                                         CARD_RESERVE,
                                         0x200000,
                                         1ull << 30,
                                         (1ull << SG_VA_BITS) - 8,
                                         1ull << SG_VA_BITS,
                                         ~0ull};
    const unsigned count = sizeof pokes / sizeof pokes[0];
    bool paging = index >= count;
    size_t used = 0;

    if (index >= 2 * count)
        return 0;
    data[used++] = paging ? PAGING : 0;
    data[used++] = 0;
    /* The paging process' tables begin where its memory does. */
    used += put_poke(data + used,
                     (uint16_t)(pokes[index % count].word - (paging ? CARD_TABLES / 8 : 0)),
                     pokes[index % count].entry, pokes[index % count].flags, paging);
    for (unsigned i = 0; i < sizeof addresses / sizeof addresses[0]; i++) {
        used += put_walk(data + used, addresses[i], 7, 0);
        used += put_walk(data + used, addresses[i], 0x20000 - 1, 1);
    }
    return used;
}
