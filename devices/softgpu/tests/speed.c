// SPDX-License-Identifier: Apache-2.0
/* How fast the card is on this machine, command by command, and how soon a pause is complete.
 * Prints, judges nothing. */
#include "rig.h"

#include <inttypes.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#define A (2 * MIB)
#define B (16 * MIB)
#define BULK (12 * MIB)
#define ROUNDS 20u
#define WINDOW (64 * MIB)
#define WINDOW_VA (5ull << 30)

static void report(const char *what, double bytes, uint64_t ns)
{
    print_message("%-44s %8.2f GB/s\n", what, bytes / (double)ns);
}

static void on_engine(struct rig *r, const char *what, struct sg_cmd cmd, double bytes)
{
    uint64_t best = UINT64_MAX;

    for (unsigned i = 0; i < ROUNDS; i++) {
        uint64_t before = rig_pf_read(r, SG_VFC(0, SG_VFC_RUNTIME_NS64), 8);

        rig_add(r, 0, 0, cmd);
        assert_int_equal(rig_run(r, 0, 0), SG_Q_HALTED);
        before = rig_pf_read(r, SG_VFC(0, SG_VFC_RUNTIME_NS64), 8) - before;
        best = before < best ? before : best;
    }
    report(what, bytes, best);
}

static void engines(void **state)
{
    struct rig r;

    (void)state;
    rig_open(&r, "vram=128M,vfs=1");
    rig_power(&r, 0);
    on_engine(&r, "RANDOM", rig_cmd(SG_OP_RANDOM, A, BULK, 1, 1, 0), BULK);
    on_engine(&r, "FILL", rig_cmd(SG_OP_FILL, B, BULK, 1, 0, 0), BULK);
    on_engine(&r, "COPY", rig_cmd(SG_OP_COPY, B, A, BULK, 0, 0), BULK);
    on_engine(&r, "HASH", rig_cmd(SG_OP_HASH, A - 8, A, BULK, 0, 0), BULK);
    on_engine(&r, "STENCIL 1024 x 1024 (bytes written)",
              rig_cmd(SG_OP_STENCIL, B, A, 1024, 1024, 3), 4 * MIB);
    on_engine(&r, "GEMM 512 (products a ns)", rig_cmd(SG_OP_GEMM, B, A, A + 2 * MIB, 512, 0),
              512.0 * 512 * 512);
    rig_close(&r);
}

/* Pages of `page` bytes in an order that is never contiguous, seen through a window of 4
 * KiB leaves. */
static void map_window(struct rig *r, uint64_t page)
{
    uint64_t *root = (uint64_t *)(void *)r->system,
             *level1 = (uint64_t *)(void *)(r->system + 0x80000);
    uint64_t pages = WINDOW / page;

    root[WINDOW_VA >> 30] = (RIG_IOVA + 0x80000) | SG_PTE_VALID;
    for (uint64_t at = 0; at < WINDOW; at += 4096) {
        uint64_t *level0 = (uint64_t *)(void *)(r->system + 0x81000 + at / (2 * MIB) * 4096);
        uint64_t phys = at / page * 77 % pages * page * 2 + at % page;

        level1[at / (2 * MIB)] = (RIG_IOVA + 0x81000 + at / (2 * MIB) * 4096) | SG_PTE_VALID;
        level0[at / 4096 % 512] = phys | SG_PTE_VALID | SG_PTE_WRITE;
    }
}

static void on_paging(struct rig *r, const char *what, struct sg_cmd cmd)
{
    struct sg_cmd list[] = {rig_cmd(SG_OP_FLUSH_TLB, 0, 0, 0, 0, 0), cmd};
    uint64_t start = rig_now();

    assert_true(rig_page_wait(r, rig_page(r, list, 2)));
    report(what, (double)WINDOW, rig_now() - start);
}

static void paging(void **state)
{
    static const uint64_t page[] = {4096, 65536};
    const uint64_t host = RIG_VA_SYSTEM + RIG_SYSTEM_DATA;

    (void)state;
    for (size_t i = 0; i < sizeof page / sizeof page[0]; i++) {
        struct rig r;
        void *copy = malloc(WINDOW), *source = malloc(WINDOW);
        uint64_t start;

        print_message("paging, scattered pages of %" PRIu64 " KiB\n", page[i] / 1024);
        rig_open(&r, "vram=256M,vfs=1,dirty-page=4K");
        rig_paging_open(&r, WINDOW);
        memset(rig_system(&r, 0), 1, WINDOW);
        map_window(&r, page[i]);
        on_paging(&r, "  scatter to untouched VRAM",
                  rig_cmd(SG_OP_COPY, WINDOW_VA, host, WINDOW, 0, 0));
        on_paging(&r, "  scatter", rig_cmd(SG_OP_COPY, WINDOW_VA, host, WINDOW, 0, 0));
        on_paging(&r, "  gather", rig_cmd(SG_OP_COPY, host, WINDOW_VA, WINDOW, 0, 0));
        on_paging(&r, "  gather again", rig_cmd(SG_OP_COPY, host, WINDOW_VA, WINDOW, 0, 0));
        on_paging(&r, "  zero fill, giving memory back",
                  rig_cmd(SG_OP_FILL, WINDOW_VA, WINDOW, 0, 0, 0));
        on_paging(&r, "  gather of holes", rig_cmd(SG_OP_COPY, host, WINDOW_VA, WINDOW, 0, 0));
        on_paging(&r, "  contiguous to untouched VRAM",
                  rig_cmd(SG_OP_COPY, RIG_VA_VRAM + 128 * MIB, host, WINDOW, 0, 0));
        memset(source, 1, WINDOW);
        memset(copy, 1, WINDOW);
        start = rig_now();
        memcpy(copy, source, WINDOW);
        report("  memcpy, for comparison", (double)WINDOW, rig_now() - start);
        rig_close(&r);
        free(copy);
        free(source);
    }
}

static int by_size(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return x < y ? -1 : x > y;
}

static void pause_latency(void **state)
{
    uint64_t took[200];
    struct rig r;

    (void)state;
    rig_open(&r, "vram=128M,vfs=1");
    rig_power(&r, 0);
    rig_add(&r, 0, 0, rig_cmd(SG_OP_GEMM, B, A, A + 4 * MIB, 700, 0));
    rig_add(&r, 0, 0, rig_cmd(SG_OP_RANDOM, A, BULK, 1, 1, 0));
    rig_add(&r, 0, 0, rig_cmd(SG_OP_FILL, A, BULK, 0, 0, 0));
    rig_add(&r, 0, 0, rig_cmd(SG_OP_JUMP, RIG_RING(0), 0, 0, 0, 0));
    rig_start(&r, 0, 0);
    for (unsigned i = 0; i < 200; i++) {
        uint64_t start;

        (void)poll(NULL, 0, 3);
        start = rig_now();
        rig_pause(&r, 0);
        took[i] = rig_now() - start;
        rig_resume(&r, 0);
    }
    qsort(took, 200, sizeof took[0], by_size);
    print_message("pause to QUIET: median %.0f us, 99%% %.0f us, worst %.0f us\n",
                  (double)took[100] / 1e3, (double)took[198] / 1e3, (double)took[199] / 1e3);
    rig_close(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(engines),
        cmocka_unit_test(paging),
        cmocka_unit_test(pause_latency),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
