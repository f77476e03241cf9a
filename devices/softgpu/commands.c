// SPDX-License-Identifier: Apache-2.0
/*
 * The commands that move data, one step of at most SG_STEP_BYTES a call. A step is done or not
 * begun when the engine stops, so that where a preemption falls never shows in the result. Commands
 * and progress come from outside: nothing of them is believed.
 */
#include "softgpu.h"

#define PREPARE_LEAST (32ull << 10)

enum sg_step sg_fault(struct sg_context *x, uint64_t va)
{
    x->space.fault_va = va;
    return SG_STEP_FAULT;
}

bool sg_step_offset(const struct sg_context *x, uint64_t total, uint64_t *offset)
{
    if (x->progress > total / SG_STEP_BYTES)
        return false;
    *offset = x->progress * SG_STEP_BYTES;
    return true;
}

static enum sg_step step_done(struct sg_context *x, uint64_t at, uint64_t total)
{
    x->progress = at / SG_STEP_BYTES;
    return at == total ? SG_STEP_DONE : SG_STEP_MORE;
}

static uint64_t *span_words(struct sg_context *x, const struct sg_span *span)
{
    return (uint64_t *)(uintptr_t)(span->system ? span->system : x->dev->vram.base + span->phys);
}

static void span_stored(struct sg_context *x, const struct sg_span *span)
{
    if (!span->system)
        sg_vram_stored(&x->dev->vram, span->phys, span->bytes);
}

/* A long write begins or goes on at `va`: if that is still a hole, gets the memory for as much of
 * it as is contiguous. */
static void prepare(struct sg_context *x, uint64_t va, uint64_t bytes)
{
    struct sg_vram *vram = &x->dev->vram;
    struct sg_span span;
    bool populated;

    if (bytes < PREPARE_LEAST || !sg_translate(&x->space, va, 8, true, &span) || span.system)
        return;
    (void)sg_vram_run(vram, span.phys, 8, &populated);
    if (populated || !sg_translate(&x->space, va, sg_min(bytes, SG_BLOCK_BYTES), true, &span))
        return;
    sg_vram_prepare_write(vram, span.phys, span.bytes);
}

/* The same for a copy: no memory for what will be a hole there too. */
static void prepare_copy(struct sg_context *x, uint64_t dst, uint64_t src, uint64_t bytes)
{
    struct sg_span from;
    bool populated = true;

    if (bytes < PREPARE_LEAST ||
        !sg_translate(&x->space, src, sg_min(bytes, SG_STEP_BYTES), false, &from))
        return;
    if (!from.system) {
        bytes = sg_min(bytes, sg_vram_run(&x->dev->vram, from.phys, from.bytes, &populated));
    }
    if (populated)
        prepare(x, dst, bytes);
}

/* A huge page should go back in one piece, small ones cost about 0.7 us each. */
static uint64_t zero_piece(const struct sg_vram *vram)
{
    return vram->wide ? SG_BLOCK_BYTES : 8 * SG_STEP_BYTES;
}

/* Zeros go many pages a step where they can: giving memory back is quick, and quickest in
 * long ranges. */
static enum sg_step fill_zero(struct sg_context *x, uint64_t dst, uint64_t at, uint64_t total)
{
    struct sg_span span;
    uint64_t end = sg_min(total, at + SG_STEP_BYTES), piece = zero_piece(&x->dev->vram), whole;

    if (!sg_translate(&x->space, dst + at, sg_min(total - at, piece), true, &span))
        return SG_STEP_FAULT;
    if (!span.system) {
        whole = sg_min(span.bytes, piece - span.phys % piece);
        if (at + whole != total)
            whole -= whole % SG_STEP_BYTES;
        end = sg_max(end, at + whole);
    }
    while (at < end) {
        if (!sg_translate(&x->space, dst + at, end - at, true, &span))
            return SG_STEP_FAULT;
        if (span.system)
            sg_raw_zero(span.system, span.bytes);
        else
            sg_vram_zero(&x->dev->vram, span.phys, span.bytes);
        at += span.bytes;
    }
    return step_done(x, at, total);
}

enum sg_step sg_step_fill(struct sg_context *x, const struct sg_cmd *cmd)
{
    uint64_t dst = cmd->a[0], total = cmd->a[1], at, end;
    struct sg_span span;

    if ((dst | total) % 8)
        return sg_fault(x, dst);
    if (!sg_step_offset(x, total, &at))
        return sg_fault(x, x->ip);
    if (at == total)
        return SG_STEP_DONE;
    if (!cmd->a[2])
        return fill_zero(x, dst, at, total);
    prepare(x, dst + at, total - at);
    for (end = sg_min(total, at + SG_STEP_BYTES); at < end; at += span.bytes) {
        if (!sg_translate(&x->space, dst + at, end - at, true, &span))
            return SG_STEP_FAULT;
        sg_kernel_fill(span_words(x, &span), span.bytes / 8, cmd->a[2]);
        span_stored(x, &span);
    }
    return step_done(x, at, total);
}

static void copy_span(struct sg_context *x, const struct sg_span *to, const struct sg_span *from)
{
    struct sg_vram *vram = &x->dev->vram;

    if (to->system && from->system)
        sg_raw_copy(to->system, from->system, from->bytes);
    else if (to->system)
        sg_vram_read(vram, from->phys, to->system, from->bytes);
    else if (from->system)
        sg_vram_write(vram, to->phys, from->system, from->bytes);
    else
        sg_vram_copy(vram, to->phys, from->phys, from->bytes);
}

enum sg_step sg_step_copy(struct sg_context *x, const struct sg_cmd *cmd)
{
    uint64_t dst = cmd->a[0], src = cmd->a[1], total = cmd->a[2], at, end;
    struct sg_span to, from;

    if ((dst | src | total) % 8)
        return sg_fault(x, dst % 8 ? dst : src);
    if (!sg_step_offset(x, total, &at))
        return sg_fault(x, x->ip);
    if (at == total)
        return SG_STEP_DONE;
    prepare_copy(x, dst + at, src + at, total - at);
    for (end = sg_min(total, at + SG_STEP_BYTES); at < end; at += from.bytes) {
        if (!sg_translate(&x->space, dst + at, end - at, true, &to) ||
            !sg_translate(&x->space, src + at, to.bytes, false, &from))
            return SG_STEP_FAULT;
        copy_span(x, &to, &from);
    }
    return step_done(x, at, total);
}

/* Random words `first`… of a stream into [dst + at, dst + end). */
static bool random_words(struct sg_context *x, uint64_t dst, uint64_t at, uint64_t end,
                         uint64_t seed, uint64_t stream, uint64_t first)
{
    struct sg_span span;

    for (; at < end; at += span.bytes) {
        if (!sg_translate(&x->space, dst + at, end - at, true, &span))
            return false;
        sg_kernel_random(span_words(x, &span), span.bytes / 8, seed, stream, first + at / 8);
        span_stored(x, &span);
    }
    return true;
}

enum sg_step sg_step_random(struct sg_context *x, const struct sg_cmd *cmd)
{
    uint64_t dst = cmd->a[0], total = cmd->a[1], at, end;

    if ((dst | total) % 8)
        return sg_fault(x, dst);
    if (!sg_step_offset(x, total, &at))
        return sg_fault(x, x->ip);
    if (at == total)
        return SG_STEP_DONE;
    prepare(x, dst + at, total - at);
    end = sg_min(total, at + SG_STEP_BYTES);
    if (!random_words(x, dst, at, end, cmd->a[2], cmd->a[3], 0))
        return SG_STEP_FAULT;
    return step_done(x, end, total);
}

/* scratch[0] is the counter as the first step found it: the page must not change half way. */
enum sg_step sg_step_scatter(struct sg_context *x, const struct sg_cmd *cmd)
{
    uint64_t base = cmd->a[0], pages = cmd->a[1], total = cmd->a[2], seed = cmd->a[3], at, end, dst,
             all;

    if ((base | total) % 8 || !pages || __builtin_mul_overflow(pages, total, &all))
        return sg_fault(x, base);
    if (!sg_step_offset(x, total, &at))
        return sg_fault(x, x->ip);
    if (at == total)
        return SG_STEP_DONE;
    if (!x->progress && !sg_va_load64(&x->space, cmd->a[4], &x->scratch[0]))
        return SG_STEP_FAULT;
    dst = base + sg_kernel_random_word(seed, x->scratch[0], 0) % pages * total;
    end = sg_min(total, at + SG_STEP_BYTES);
    prepare(x, dst + at, total - at);
    if (!random_words(x, dst, at, end, seed, x->scratch[0], 1))
        return SG_STEP_FAULT;
    return step_done(x, end, total);
}

/* scratch[0] is h so far. The last step also stores it. */
enum sg_step sg_step_hash(struct sg_context *x, const struct sg_cmd *cmd)
{
    uint64_t dst = cmd->a[0], src = cmd->a[1], total = cmd->a[2], at, bytes, h;

    if ((dst | src | total) % 8)
        return sg_fault(x, dst % 8 ? dst : src);
    if (!sg_step_offset(x, total, &at))
        return sg_fault(x, x->ip);
    h = x->progress ? x->scratch[0] : cmd->a[3];
    bytes = sg_min(total - at, SG_STEP_BYTES);
    if (!sg_va_read(&x->space, src + at, x->work, bytes))
        return SG_STEP_FAULT;
    h = sg_kernel_hash((const uint64_t *)(const void *)x->work, bytes / 8, h);
    if (at + bytes == total && !sg_va_store64(&x->space, dst, h))
        return SG_STEP_FAULT;
    x->scratch[0] = h;
    return step_done(x, at + bytes, total);
}
