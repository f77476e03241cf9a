// SPDX-License-Identifier: Apache-2.0
/* Register access: the right device, BAR, offset and width, and nothing outside what is mapped. */
#include "harness.h"

#include "base/thread.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>

/* A device that is memory, and remembers the last access. Accesses of several threads are guarded
 * by the lock. */
struct card {
    pthread_mutex_t lock;
    unsigned char bytes[4 * PAGE_SIZE];
    uint32_t bar, width;
    uint64_t offset, block_bytes;
    _Atomic bool gone; /* no access may come any more */
    _Atomic int late;
};

static int note(struct card *card, uint32_t bar, uint64_t offset, uint32_t width, uint64_t bytes)
{
    if (atomic_load(&card->gone))
        atomic_fetch_add(&card->late, 1);
    if (offset > sizeof card->bytes || bytes > sizeof card->bytes - offset)
        return -EINVAL;
    card->bar = bar;
    card->offset = offset;
    card->width = width;
    card->block_bytes = bytes;
    return 0;
}

static int card_read(void *ctx, uint32_t bar, uint64_t offset, uint32_t width, uint64_t *value)
{
    struct card *card = ctx;
    int error;

    vf_lock(&card->lock);
    error = note(card, bar, offset, width, width);
    *value = 0;
    if (error == 0)
        memcpy(value, card->bytes + offset, width);
    vf_unlock(&card->lock);
    return error;
}

static int card_write(void *ctx, uint32_t bar, uint64_t offset, uint32_t width, uint64_t value)
{
    struct card *card = ctx;
    int error;

    vf_lock(&card->lock);
    error = note(card, bar, offset, width, width);
    if (error == 0)
        memcpy(card->bytes + offset, &value, width);
    vf_unlock(&card->lock);
    return error;
}

static int card_read_block(void *ctx, uint32_t bar, uint64_t offset, void *data, uint64_t bytes)
{
    struct card *card = ctx;
    int error = note(card, bar, offset, 8, bytes);

    if (error == 0)
        memcpy(data, card->bytes + offset, bytes);
    return error;
}

static int card_write_block(void *ctx, uint32_t bar, uint64_t offset, const void *data,
                            uint64_t bytes)
{
    struct card *card = ctx;
    int error = note(card, bar, offset, 8, bytes);

    if (error == 0)
        memcpy(card->bytes + offset, data, bytes);
    return error;
}

static const struct nt_mmio_ops card_ops = {card_read, card_write, card_read_block,
                                            card_write_block};

static char *map(struct card *card, const struct nt_mmio_ops *ops, uint32_t bar, uint64_t offset,
                 uint64_t length)
{
    PVOID va = NULL;

    assert_int_equal(nt_mmio_map(ops, card, bar, offset, length, &va, NULL), 0);
    return va;
}

static void unmap(char *va)
{
    assert_int_equal(nt_mmio_unmap(va, NULL), 0);
}

static void each_width_reaches_its_register(void **state)
{
    struct card card = {.lock = VF_LOCK_INITIALIZER};
    char *va = map(&card, &card_ops, 2, 0, PAGE_SIZE);

    (void)state;
    WRITE_REGISTER_ULONG64((ULONG64 *)(va + 8), 0x1122334455667788);
    assert_int_equal(card.bar, 2);
    assert_int_equal(card.width, 8);
    assert_int_equal(READ_REGISTER_ULONG((ULONG *)(va + 12)), 0x11223344);
    assert_int_equal(READ_REGISTER_USHORT((USHORT *)(va + 10)), 0x5566);
    assert_int_equal(READ_REGISTER_UCHAR((UCHAR *)(va + 15)), 0x11);
    assert_int_equal(card.width, 1);
    WRITE_REGISTER_UCHAR((UCHAR *)(va + 8), 0xaa);
    WRITE_REGISTER_USHORT((USHORT *)(va + 10), 0xbbbb);
    WRITE_REGISTER_ULONG((ULONG *)(va + 12), 0xcccccccc);
    assert_int_equal(READ_REGISTER_ULONG64((ULONG64 *)(va + 8)), 0xccccccccbbbb77aa);
    unmap(va);
    assert_no_misuse();
}

static void offset_counts_from_the_bar_and_keeps_its_place_in_the_page(void **state)
{
    struct card card = {.lock = VF_LOCK_INITIALIZER};
    char *va = map(&card, &card_ops, 0, PAGE_SIZE + 0x20, 0x100);

    (void)state;
    assert_int_equal((uintptr_t)va % PAGE_SIZE, 0x20);
    WRITE_REGISTER_ULONG((ULONG *)(va + 4), 7);
    assert_int_equal(card.offset, PAGE_SIZE + 0x24);
    unmap(va);
    assert_no_misuse();
}

static void several_mappings_are_told_apart(void **state)
{
    struct card cards[3] = {{.lock = VF_LOCK_INITIALIZER},
                            {.lock = VF_LOCK_INITIALIZER},
                            {.lock = VF_LOCK_INITIALIZER}};
    char *va[3];

    (void)state;
    for (uint32_t i = 0; i < 3; i++)
        va[i] = map(&cards[i], &card_ops, i, 0, 2 * PAGE_SIZE);
    for (uint32_t round = 0; round < 4; round++) {
        for (uint32_t i = 0; i < 3; i++)
            WRITE_REGISTER_ULONG((ULONG *)(va[i] + 4 * round), 100 * i + round);
    }
    for (uint32_t i = 0; i < 3; i++) {
        assert_int_equal(cards[i].bar, i);
        assert_int_equal(READ_REGISTER_ULONG((ULONG *)(va[i] + 8)), 100 * i + 2);
    }
    unmap(va[1]);
    assert_int_equal(READ_REGISTER_ULONG((ULONG *)va[2]), 200);
    assert_int_equal(READ_REGISTER_ULONG((ULONG *)va[0]), 0);
    unmap(va[0]);
    unmap(va[2]);
    assert_no_misuse();
}

static void buffers_of_the_longest_items_go_as_blocks_and_others_item_by_item(void **state)
{
    struct card card = {.lock = VF_LOCK_INITIALIZER};
    char *va = map(&card, &card_ops, 1, 0, PAGE_SIZE);
    ULONG64 out[16];
    ULONG64 in[16] = {0};

    (void)state;
    for (int i = 0; i < 16; i++)
        out[i] = 0x0101010101010101u * (unsigned)i;
    WRITE_REGISTER_BUFFER_ULONG64((ULONG64 *)(va + 64), out, 16);
    assert_int_equal(card.block_bytes, sizeof out);
    assert_memory_equal(card.bytes + 64, out, sizeof out);
    READ_REGISTER_BUFFER_ULONG((ULONG *)(va + 64), (ULONG *)in, 32);
    assert_int_equal(card.block_bytes, sizeof(ULONG));
    assert_memory_equal(in, out, sizeof out);
    unmap(va);
    assert_no_misuse();
}

static void access_outside_reads_ones_and_is_reported(void **state)
{
    struct card card = {.lock = VF_LOCK_INITIALIZER};
    char *va = map(&card, &card_ops, 0, 0, 0x100);
    ULONG buffer[8] = {0};

    (void)state;
    assert_int_equal(READ_REGISTER_ULONG((ULONG *)(va + 0x100)), 0xffffffff);
    assert_misuse(NT_MISUSE_MMIO);
    WRITE_REGISTER_ULONG64((ULONG64 *)(va + 0x100), 1);
    assert_misuse(NT_MISUSE_MMIO);
    assert_int_equal(READ_REGISTER_USHORT((USHORT *)(va + 1)), 0xffff); /* not aligned */
    assert_misuse(NT_MISUSE_MMIO);
    READ_REGISTER_BUFFER_ULONG((ULONG *)(va + 0xf0), buffer, 8); /* half of it outside */
    assert_misuse(NT_MISUSE_MMIO);
    assert_int_equal(buffer[0], 0xffffffff);
    assert_int_equal(READ_REGISTER_UCHAR(NULL), 0xff);
    assert_misuse(NT_MISUSE_MMIO);
    unmap(va);
    assert_int_equal(READ_REGISTER_ULONG((ULONG *)va), 0xffffffff);
    assert_misuse(NT_MISUSE_MMIO);
}

static void refusal_by_the_device_is_reported(void **state)
{
    struct card card = {.lock = VF_LOCK_INITIALIZER};
    char *va = map(&card, &card_ops, 0, 0, 8 * PAGE_SIZE); /* more than the card has */

    (void)state;
    assert_int_equal(READ_REGISTER_ULONG((ULONG *)(va + 5 * PAGE_SIZE)), 0xffffffff);
    assert_misuse(NT_MISUSE_MMIO);
    unmap(va);
}

static void nonsense_is_not_mapped_nor_unmapped(void **state)
{
    struct card card = {.lock = VF_LOCK_INITIALIZER};
    struct vf_error err = VF_ERROR_INIT;
    char *va = map(&card, &card_ops, 0, 0, PAGE_SIZE);
    PVOID none;

    (void)state;
    assert_int_equal(nt_mmio_map(&card_ops, &card, 0, 0, 0, &none, &err), -1);
    assert_int_equal(nt_mmio_map(&card_ops, &card, 0, UINT64_MAX, 2, &none, &err), -1);
    assert_int_equal(nt_mmio_map(&card_ops, &card, 0, 0, UINT64_MAX, &none, &err), -1);
    assert_int_equal(nt_mmio_unmap(va + 1, &err), -1);
    unmap(va);
    assert_int_equal(nt_mmio_unmap(va, &err), -1);
    assert_int_not_equal(err.text[0], 0);
}

struct poller {
    struct card *card;
    char *va;
    _Atomic bool started;
};

static void *poll_register(void *arg)
{
    struct poller *poller = arg;

    /* Until the mapping goes away under it, which reads as all ones. */
    do
        atomic_store(&poller->started, true);
    while (READ_REGISTER_ULONG((ULONG *)poller->va) != 0xffffffff);
    return NULL;
}

static void unmap_waits_for_accesses_and_lets_none_follow(void **state)
{
    struct card card = {.lock = VF_LOCK_INITIALIZER};
    struct poller poller = {.card = &card, .va = map(&card, &card_ops, 0, 0, PAGE_SIZE)};
    pthread_t threads[2];

    (void)state;
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, poll_register, &poller), 0);
    while (!atomic_load(&poller.started))
        ;
    unmap(poller.va);
    atomic_store(&card.gone, true);
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    assert_int_equal(atomic_load(&card.late), 0);
}

/* What replaces a mapping finds room although something else took all that there was. */
static void kept_address_space_is_there_for_the_next(void **state)
{
    struct card card = {.lock = VF_LOCK_INITIALIZER};
    char *first = map(&card, &card_ops, 0, 0, 3 * PAGE_SIZE);
    char *other, *second;

    (void)state;
    nt_mmio_keep(true);
    unmap(first);
    other = map(&card, &card_ops, 0, 0, PAGE_SIZE);
    assert_ptr_not_equal(other, first);
    second = map(&card, &card_ops, 0, 0, 3 * PAGE_SIZE);
    assert_ptr_equal(second, first);
    unmap(second);
    nt_mmio_keep(false);
    unmap(other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        nt_test(each_width_reaches_its_register),
        nt_test(offset_counts_from_the_bar_and_keeps_its_place_in_the_page),
        nt_test(several_mappings_are_told_apart),
        nt_test(buffers_of_the_longest_items_go_as_blocks_and_others_item_by_item),
        nt_test(access_outside_reads_ones_and_is_reported),
        nt_test(refusal_by_the_device_is_reported),
        nt_test(nonsense_is_not_mapped_nor_unmapped),
        nt_test(unmap_waits_for_accesses_and_lets_none_follow),
        nt_test(kept_address_space_is_there_for_the_next),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
