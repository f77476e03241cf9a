// SPDX-License-Identifier: Apache-2.0
/*
 * The workloads' results by the CPU, meant to err differently than an engine would: other loop
 * orders, other arithmetic (division for shifts, 64-bit sums, powers of a matrix, time walked
 * backwards), nothing shared with devices/.
 */
#include "base/cleanup.h"
#include "guest/internal.h"

#include <inttypes.h>
#include <string.h>

static int no_memory(const char *workload, struct vf_error *err)
{
    return vf_fail(err, VF_FAILED,
                   "reference %s: out of memory" VF_REMEDY
                   "give a smaller problem or free some memory",
                   workload);
}

int guest_reference(const struct guest_options *options, guest_sink *sink, void *ctx, char *digest,
                    struct vf_error *err)
{
    struct guest_out out;
    struct guest_job job;
    int failed;

    if (guest_job_init(&job, options, err) != 0 ||
        guest_out_open(&out, sink, ctx, digest != NULL, err) != 0)
        return -1;
    failed = guest_workload_ops((uint32_t)options->workload)->reference(&job, &out, err);
    guest_out_close(&out, failed != 0 ? NULL : digest);
    return failed;
}

/* Noise: the manual's RANDOM as a Weyl sequence that is mixed, walked by addition. */

static uint64_t mixed(uint64_t word)
{
    word = (word ^ word >> 30) * SG_MIX_1;
    word = (word ^ word >> 27) * SG_MIX_2;
    return word ^ word >> 31;
}

struct noise {
    uint64_t weyl;
};

static struct noise noise_at(uint64_t seed, uint64_t stream, uint64_t word)
{
    return (struct noise){mixed(seed + SG_GOLDEN + stream * SG_GOLDEN) + word * SG_GOLDEN};
}

static uint64_t noise_next(struct noise *noise)
{
    noise->weyl += SG_GOLDEN;
    return mixed(noise->weyl);
}

static void noise_words(struct noise *noise, uint64_t *words, size_t count)
{
    for (size_t i = 0; i < count; i++)
        words[i] = noise_next(noise);
}

/*
 * diffuse, in place and column by column: a column is a run of memory here, its left neighbour's
 * old value is kept aside. The stencil u + floor((n - 4 u) / 8) is floor((4 u + n) / 8), which
 * needs no sign: cells never fall below zero.
 */

struct grid {
    size_t width;
    size_t height;
    uint32_t *cells; /* cell (x, y) at x * height + y */
    uint32_t *left;  /* the column to the left as it was before this step */
    uint32_t *old;   /* this column as it was, one cell of border at each end */
};

static void step_column(uint32_t *restrict column, const uint32_t *restrict left,
                        const uint32_t *restrict right, const uint32_t *restrict old, size_t height)
{
    /* 8 * (65535 << 12) is below 2^32. */
    for (size_t y = 0; y < height; y++)
        column[y] = (4 * old[y + 1] + old[y] + old[y + 2] + left[y] + right[y]) / 8;
}

static void step_grid(const struct grid *grid)
{
    size_t height = grid->height;
    size_t bytes = height * sizeof(uint32_t);

    memcpy(grid->left, grid->cells, bytes); /* the outside of the first column is that column */
    for (size_t x = 0; x < grid->width; x++) {
        uint32_t *column = grid->cells + x * height;

        memcpy(grid->old + 1, column, bytes);
        grid->old[0] = column[0];
        grid->old[height + 1] = column[height - 1];
        step_column(column, grid->left, x + 1 < grid->width ? column + height : grid->old + 1,
                    grid->old, height);
        memcpy(grid->left, grid->old + 1, bytes);
    }
}

static int write_picture(const struct grid *grid, uint32_t maxval, struct guest_out *out,
                         struct vf_error *err)
{
    char header[GUEST_PGM_HEADER_BYTES];
    size_t n = guest_pgm_header(header, (uint32_t)grid->width, (uint32_t)grid->height, maxval);
    cleanup_free uint8_t *row = malloc(grid->width * 2);

    if (row == NULL)
        return no_memory("diffuse", err);
    if (guest_out_put(out, header, n, err) != 0)
        return -1;
    for (size_t y = 0; y < grid->height; y++) {
        uint8_t *at = row;

        for (size_t x = 0; x < grid->width; x++) {
            uint32_t sample = grid->cells[x * grid->height + y] / (1u << GUEST_CELL_SHIFT);

            at = guest_pgm_put(at, sample < maxval ? sample : maxval, maxval);
        }
        if (guest_out_put(out, row, (size_t)(at - row), err) != 0)
            return -1;
    }
    return 0;
}

int guest_reference_diffuse(const struct guest_job *job, struct guest_out *out,
                            struct vf_error *err)
{
    const struct guest_image *image = &job->image;
    struct grid grid = {image->width, image->height, NULL, NULL, NULL};
    cleanup_free uint32_t *cells = calloc(grid.width * grid.height, sizeof *cells);
    cleanup_free uint32_t *left = calloc(grid.height, sizeof *left);
    cleanup_free uint32_t *old = calloc(grid.height + 2, sizeof *old);

    if (cells == NULL || left == NULL || old == NULL)
        return no_memory("diffuse", err);
    grid.cells = cells;
    grid.left = left;
    grid.old = old;
    for (size_t y = 0; y < grid.height; y++) {
        for (size_t x = 0; x < grid.width; x++)
            cells[x * grid.height + y] = guest_pgm_sample(image, y * grid.width + x) *
                                         (1u << GUEST_CELL_SHIFT);
    }
    for (uint64_t step = 0; step < job->options.steps; step++)
        step_grid(&grid);
    return write_picture(&grid, image->maxval, out, err);
}

/*
 * gemm: A x (A x (... X)) is A^K x X, and A^K takes log2 K squarings: all exact modulo 2^32, so the
 * order cannot matter.
 */

#define BLOCK 16u

/*
 * C = A x B by blocks of columns; sums of 64 bits wrap modulo 2^64 and are cut at the end. C is
 * neither A nor B.
 */
static void product(uint32_t *restrict c, const uint32_t *a, const uint32_t *b, size_t n)
{
    for (size_t left = 0; left < n; left += BLOCK) {
        size_t columns = n - left < BLOCK ? n - left : BLOCK;

        for (size_t row = 0; row < n; row++) {
            uint64_t sum[BLOCK] = {0};

            for (size_t k = 0; k < n; k++) {
                uint64_t factor = a[row * n + k];
                const uint32_t *other = b + k * n + left;

                for (size_t i = 0; i < columns; i++)
                    sum[i] += factor * other[i];
            }
            for (size_t i = 0; i < columns; i++)
                c[row * n + left + i] = (uint32_t)sum[i];
        }
    }
}

static void swap(uint32_t **a, uint32_t **b)
{
    uint32_t *kept = *a;

    *a = *b;
    *b = kept;
}

static void random_matrix(uint32_t *matrix, size_t n, uint64_t seed, uint64_t stream)
{
    struct noise noise = noise_at(seed, stream, 0);

    for (size_t i = 0; i < n * n; i += 2) {
        uint64_t word = noise_next(&noise);

        matrix[i] = (uint32_t)word;
        if (i + 1 < n * n)
            matrix[i + 1] = (uint32_t)(word >> 32);
    }
}

int guest_reference_gemm(const struct guest_job *job, struct guest_out *out, struct vf_error *err)
{
    size_t n = (size_t)job->options.n;
    cleanup_free uint32_t *power = malloc(n * n * sizeof *power);
    cleanup_free uint32_t *x = malloc(n * n * sizeof *x);
    cleanup_free uint32_t *spare = malloc(n * n * sizeof *spare);

    if (power == NULL || x == NULL || spare == NULL)
        return no_memory("gemm", err);
    random_matrix(power, n, job->options.seed, GUEST_STREAM_A);
    random_matrix(x, n, job->options.seed, GUEST_STREAM_X);
    for (uint64_t left = job->options.steps; left != 0; left >>= 1) {
        if ((left & 1) != 0) {
            product(spare, power, x, n);
            swap(&spare, &x);
        }
        if (left > 1) {
            product(spare, power, power, n);
            swap(&spare, &power);
        }
    }
    return guest_out_put(out, x, n * n * sizeof *x, err);
}

/*
 * churn and fill: only a page's last writer matters, and walking the steps backwards, the first to
 * name a page is it.
 */

#define PAGE_WORDS (GUEST_PAGE_BYTES / sizeof(uint64_t))
#define NO_WRITER UINT64_MAX

static void find_writers(const struct guest_options *options, uint64_t *writer, uint64_t pages)
{
    uint64_t seed = GUEST_SCATTER_SEED(options->seed);
    uint64_t untouched = pages;

    for (uint64_t page = 0; page < pages; page++)
        writer[page] = NO_WRITER;
    for (uint64_t step = options->steps; step-- > 0 && untouched > 0;) {
        struct noise noise = noise_at(seed, step, 0);
        uint64_t page = noise_next(&noise) % pages;

        if (writer[page] == NO_WRITER) {
            writer[page] = step;
            untouched--;
        }
    }
}

int guest_reference_churn(const struct guest_job *job, struct guest_out *out, struct vf_error *err)
{
    const struct guest_options *options = &job->options;
    uint64_t hot = options->hot / GUEST_PAGE_BYTES;
    cleanup_free uint64_t *writer = malloc(hot * sizeof *writer);
    uint64_t words[PAGE_WORDS];

    if (writer == NULL)
        return no_memory("churn", err);
    find_writers(options, writer, hot);
    for (uint64_t page = 0; page < options->size / GUEST_PAGE_BYTES; page++) {
        struct noise noise = noise_at(options->seed, 0, page * PAGE_WORDS);

        if (page < hot && writer[page] != NO_WRITER)
            noise = noise_at(GUEST_SCATTER_SEED(options->seed), writer[page], 1);
        noise_words(&noise, words, PAGE_WORDS);
        if (guest_out_put(out, words, sizeof words, err) != 0)
            return -1;
    }
    return 0;
}

int guest_reference_fill(const struct guest_job *job, struct guest_out *out, struct vf_error *err)
{
    struct noise noise = noise_at(job->options.seed, 0, 0);
    uint64_t words[PAGE_WORDS];

    for (uint64_t page = 0; page < job->options.size / GUEST_PAGE_BYTES; page++) {
        noise_words(&noise, words, PAGE_WORDS);
        if (guest_out_put(out, words, sizeof words, err) != 0)
            return -1;
    }
    return 0;
}
