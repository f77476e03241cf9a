// SPDX-License-Identifier: Apache-2.0
/*
 * Heat diffusion over a picture: every sample is a cell's temperature, each step one STENCIL from
 * one buffer into the other. The CPU pushes the cells, since only it has the picture, and turns the
 * last buffer back into a picture.
 */
#include "base/cleanup.h"
#include "guest/internal.h"

#define CHUNK_CELLS (GUEST_CHUNK_BYTES / sizeof(int32_t))

static uint64_t cells_of(const struct guest_image *image)
{
    return (uint64_t)image->width * image->height;
}

/* One of the two buffers. A picture is below 2^62 samples, so its cells stay below 2^64 bytes. */
static uint64_t buffer_bytes(const struct guest_job *job)
{
    return guest_align(cells_of(&job->image) * sizeof(int32_t), GUEST_DATA_ALIGN);
}

static uint64_t buffer_gpa(const struct guest_job *job, uint64_t step)
{
    return GUEST_DATA_GPA + (step % 2) * buffer_bytes(job);
}

static int check(struct guest_job *job, struct vf_error *err)
{
    if (job->options.input == NULL)
        return vf_fail(err, VF_USAGE,
                       "diffuse: --input is missing, there is no picture to start from" VF_REMEDY
                       "give a PGM file");
    if (guest_check_steps(job, err) != 0)
        return -1;
    return guest_pgm_parse(job->options.input, job->options.input_bytes, &job->image, err);
}

static uint64_t data_bytes(const struct guest_job *job)
{
    return cells_of(&job->image) > GUEST_VRAM_MAX ? UINT64_MAX : 2 * buffer_bytes(job);
}

static int push(const struct guest_job *job, const struct guest_memory *memory,
                struct vf_error *err)
{
    uint64_t count = cells_of(&job->image);
    cleanup_free int32_t *cells = malloc(GUEST_CHUNK_BYTES);

    if (cells == NULL)
        return vf_fail(err, VF_FAILED, "diffuse: a transfer buffer: " VF_NO_MEMORY);
    for (uint64_t first = 0; first < count; first += CHUNK_CELLS) {
        uint64_t n = count - first < CHUNK_CELLS ? count - first : CHUNK_CELLS;

        for (uint64_t i = 0; i < n; i++)
            cells[i] = (int32_t)(guest_pgm_sample(&job->image, first + i) << GUEST_CELL_SHIFT);
        if (guest_write(memory, GUEST_DATA_GPA + first * sizeof *cells, cells, n * sizeof *cells,
                        err) != 0)
            return -1;
    }
    return 0;
}

static void build(const struct guest_job *job, struct guest_ring *ring)
{
    uint64_t even = buffer_gpa(job, 0);
    uint64_t odd = buffer_gpa(job, 1);
    uint64_t width = job->image.width;
    uint64_t height = job->image.height;
    unsigned loop = guest_emit_loop(ring, job->options.steps);

    (void)guest_emit(ring, SG_OP_STENCIL, odd, even, width, height, GUEST_STENCIL_SHIFT);
    guest_emit_step(ring);
    (void)guest_emit_loop(ring, job->options.steps); /* an odd number of steps ends here */
    (void)guest_emit(ring, SG_OP_STENCIL, even, odd, width, height, GUEST_STENCIL_SHIFT);
    guest_emit_step(ring);
    guest_emit_end(ring, loop);
}

static void describe(const struct guest_job *job, struct guest_description *description)
{
    description->width = job->image.width;
    description->height = job->image.height;
    description->maxval = job->image.maxval;
    description->result_gpa = buffer_gpa(job, job->options.steps);
    description->result_bytes = cells_of(&job->image) * sizeof(int32_t);
}

static uint64_t gpa_at(const struct guest_description *description, uint64_t step)
{
    return GUEST_DATA_GPA + (step % 2) * guest_align(description->result_bytes, GUEST_DATA_ALIGN);
}

static bool sane(const struct guest_description *description)
{
    uint64_t cells = (uint64_t)description->width * description->height;

    return description->maxval >= 1 && description->maxval <= 65535 &&
           description->result_bytes % sizeof(int32_t) == 0 &&
           description->result_bytes / sizeof(int32_t) == cells;
}

static uint64_t result_bytes(const struct guest_description *description)
{
    char header[GUEST_PGM_HEADER_BYTES];

    return guest_pgm_header(header, description->width, description->height, description->maxval) +
           description->result_bytes / sizeof(int32_t) *
               guest_pgm_sample_bytes(description->maxval);
}

static uint32_t to_sample(int32_t cell, uint32_t maxval)
{
    int32_t sample = cell >> GUEST_CELL_SHIFT;

    if (sample < 0)
        return 0; /* the engine never cools a cell below zero: only damaged VRAM gets here */
    return (uint32_t)sample < maxval ? (uint32_t)sample : maxval;
}

static int stream(const struct guest_description *description, const struct guest_memory *memory,
                  struct guest_out *out, struct vf_error *err)
{
    char header[GUEST_PGM_HEADER_BYTES];
    size_t header_bytes = guest_pgm_header(header, description->width, description->height,
                                           description->maxval);
    uint64_t count = description->result_bytes / sizeof(int32_t);
    cleanup_free int32_t *cells = malloc(GUEST_CHUNK_BYTES);
    cleanup_free uint8_t *samples = malloc(CHUNK_CELLS * 2);

    if (cells == NULL || samples == NULL)
        return vf_fail(err, VF_FAILED, "diffuse: a transfer buffer: " VF_NO_MEMORY);
    if (guest_out_put(out, header, header_bytes, err) != 0)
        return -1;
    for (uint64_t first = 0; first < count; first += CHUNK_CELLS) {
        uint64_t n = count - first < CHUNK_CELLS ? count - first : CHUNK_CELLS;
        uint8_t *at = samples;

        if (guest_read(memory, description->result_gpa + first * sizeof *cells, cells,
                       n * sizeof *cells, err) != 0)
            return -1;
        for (uint64_t i = 0; i < n; i++)
            at = guest_pgm_put(at, to_sample(cells[i], description->maxval), description->maxval);
        if (guest_out_put(out, samples, (size_t)(at - samples), err) != 0)
            return -1;
    }
    return 0;
}

const struct guest_workload_ops guest_diffuse_ops = {
    .name = "diffuse",
    .keys = " input steps ",
    .check = check,
    .data_bytes = data_bytes,
    .push = push,
    .build = build,
    .describe = describe,
    .sane = sane,
    .result_bytes = result_bytes,
    .stream = stream,
    .gpa_at = gpa_at,
    .reference = guest_reference_diffuse,
};
