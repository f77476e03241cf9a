// SPDX-License-Identifier: Apache-2.0
/*
 * STENCIL and GEMM: they work on copies in the engine's own memory, so that VRAM is only touched by
 * the few functions that may race, and rows may lie anywhere.
 */
#include "softgpu.h"

#include <string.h>

/* ---- STENCIL ---- */

/* A unit is a segment of SG_STENCIL_CELLS cells of one row; a step takes several units of
 * narrow grids. */
#define ROW_ROOM (SG_STENCIL_CELLS + 16u) /* cells; the halo before and behind, and alignment */
#define STEP_CELLS (2u * SG_STENCIL_CELLS)

struct grid {
    uint64_t dst, src, width, height;
    uint32_t shift;
};

struct segment {
    uint64_t row, x0;
    uint32_t cells;
};

/* Cells [x0 - 1, x0 + cells] of a row to row[0…]; beyond the grid's sides the border
 * cell repeats. */
static bool read_row(struct sg_context *x, const struct grid *g, uint64_t row,
                     const struct segment *s, int32_t *to)
{
    uint64_t left = s->x0 ? 1 : 0, right = s->x0 + s->cells < g->width ? 1 : 0;

    if (!sg_va_read(&x->space, g->src + (row * g->width + s->x0 - left) * 4, to + 1 - left,
                    (s->cells + left + right) * 4))
        return false;
    if (!left)
        to[0] = to[1];
    if (!right)
        to[s->cells + 1] = to[s->cells];
    return true;
}

/* Rows of the work memory; they rotate while a step goes down the grid, so that each row is
 * read once. */
struct rows {
    int32_t *up, *mid, *down, *out;
};

static bool stencil_unit(struct sg_context *x, const struct grid *g, const struct segment *s,
                         struct rows *r, bool rolled)
{
    if (rolled) {
        int32_t *free_row = r->up;

        r->up = r->mid;
        r->mid = r->down;
        r->down = free_row;
    } else {
        if (!read_row(x, g, s->row, s, r->mid))
            return false;
        if (s->row == 0)
            memcpy(r->up, r->mid, ROW_ROOM * 4);
        else if (!read_row(x, g, s->row - 1, s, r->up))
            return false;
    }
    if (s->row + 1 == g->height)
        memcpy(r->down, r->mid, ROW_ROOM * 4);
    else if (!read_row(x, g, s->row + 1, s, r->down))
        return false;
    sg_kernel_stencil(r->out, r->up + 1, r->mid + 1, r->down + 1, s->cells, g->shift);
    return sg_va_write(&x->space, g->dst + (s->row * g->width + s->x0) * 4, r->out,
                       (uint64_t)s->cells * 4);
}

enum sg_step sg_step_stencil(struct sg_context *x, const struct sg_cmd *cmd)
{
    struct grid g = {cmd->a[0], cmd->a[1], cmd->a[2], cmd->a[3], (uint32_t)cmd->a[4]};
    int32_t *work = (int32_t *)(void *)x->work;
    struct rows r = {work, work + ROW_ROOM, work + 2 * ROW_ROOM, work + 3 * ROW_ROOM};
    uint64_t cells, segments, units, done = 0, first = x->progress;

    _Static_assert(4 * ROW_ROOM * 4 <= SG_WORK_BYTES, "the rows fit into the work memory");
    if ((g.dst | g.src) % 8 || cmd->a[4] < 2 || cmd->a[4] > 16)
        return sg_fault(x, g.dst % 8 ? g.dst : g.src % 8 ? g.src : x->ip);
    if (__builtin_mul_overflow(g.width, g.height, &cells) || cells >> (SG_VA_BITS - 2))
        return sg_fault(x, g.src);
    if (!cells)
        return SG_STEP_DONE;
    segments = (g.width + SG_STENCIL_CELLS - 1) / SG_STENCIL_CELLS;
    units = segments * g.height;
    if (x->progress >= units)
        return sg_fault(x, x->ip);
    while (x->progress < units && done < STEP_CELLS) {
        struct segment s = {.row = x->progress / segments,
                            .x0 = x->progress % segments * SG_STENCIL_CELLS};
        bool rolled = segments == 1 && x->progress != first;

        s.cells = (uint32_t)sg_min(g.width - s.x0, SG_STENCIL_CELLS);
        if (!stencil_unit(x, &g, &s, &r, rolled))
            return SG_STEP_FAULT;
        /* A unit has a price of its own: keeps a step short on a grid one cell wide. */
        done += s.cells + 64;
        x->progress++;
    }
    return x->progress == units ? SG_STEP_DONE : SG_STEP_MORE;
}

/* ---- GEMM ---- */

/* A unit adds a tile of A x B to a tile of C. The depth runs innermost; partial sums wait in C. */

/* A tile of `rows` x `cols` words at (row, col) of an n x n matrix, from or to work memory of
 * `pitch` words a row. */
static bool read_tile(struct sg_context *x, uint64_t matrix, uint64_t n, uint64_t row, uint64_t col,
                      uint64_t rows, uint64_t cols, uint32_t *to, uint64_t pitch)
{
    for (uint64_t r = 0; r < rows; r++)
        if (!sg_va_read(&x->space, matrix + ((row + r) * n + col) * 4, to + r * pitch, cols * 4))
            return false;
    return true;
}

static bool write_tile(struct sg_context *x, uint64_t matrix, uint64_t n, uint64_t row,
                       uint64_t col, uint64_t rows, uint64_t cols, const uint32_t *from,
                       uint64_t pitch)
{
    for (uint64_t r = 0; r < rows; r++)
        if (!sg_va_write(&x->space, matrix + ((row + r) * n + col) * 4, from + r * pitch, cols * 4))
            return false;
    return true;
}

enum sg_step sg_step_gemm(struct sg_context *x, const struct sg_cmd *cmd)
{
    uint32_t *c = (uint32_t *)(void *)x->work, *a = c + SG_GEMM_ROWS * SG_GEMM_COLS;
    uint32_t *b = a + SG_GEMM_ROWS * SG_GEMM_DEPTH;
    uint64_t n = cmd->a[3], units_k, units_j, units, i, j, k, rows, cols, depth;

    _Static_assert(4 * (SG_GEMM_ROWS * SG_GEMM_COLS + SG_GEMM_ROWS * SG_GEMM_DEPTH +
                        SG_GEMM_DEPTH * SG_GEMM_COLS) <=
                       SG_WORK_BYTES,
                   "the tiles fit into the work memory");
    /* More than that has no room in the address space. */
    if ((cmd->a[0] | cmd->a[1] | cmd->a[2]) % 8 || n > 1u << 18)
        return sg_fault(x, cmd->a[0]);
    if (!n)
        return SG_STEP_DONE;
    units_k = (n + SG_GEMM_DEPTH - 1) / SG_GEMM_DEPTH;
    units_j = (n + SG_GEMM_COLS - 1) / SG_GEMM_COLS;
    units = (n + SG_GEMM_ROWS - 1) / SG_GEMM_ROWS * units_j * units_k;
    if (x->progress >= units)
        return sg_fault(x, x->ip);
    k = x->progress % units_k * SG_GEMM_DEPTH;
    j = x->progress / units_k % units_j * SG_GEMM_COLS;
    i = x->progress / units_k / units_j * SG_GEMM_ROWS;
    rows = sg_min(n - i, SG_GEMM_ROWS);
    cols = sg_min(n - j, SG_GEMM_COLS);
    depth = sg_min(n - k, SG_GEMM_DEPTH);
    if (k == 0)
        memset(c, 0, SG_GEMM_ROWS * SG_GEMM_COLS * 4);
    else if (!read_tile(x, cmd->a[0], n, i, j, rows, cols, c, SG_GEMM_COLS))
        return SG_STEP_FAULT;
    if (!read_tile(x, cmd->a[1], n, i, k, rows, depth, a, SG_GEMM_DEPTH) ||
        !read_tile(x, cmd->a[2], n, k, j, depth, cols, b, SG_GEMM_COLS))
        return SG_STEP_FAULT;
    sg_kernel_gemm(c, a, b, (uint32_t)rows, (uint32_t)depth, (uint32_t)cols);
    if (!write_tile(x, cmd->a[0], n, i, j, rows, cols, c, SG_GEMM_COLS))
        return SG_STEP_FAULT;
    return ++x->progress == units ? SG_STEP_DONE : SG_STEP_MORE;
}
