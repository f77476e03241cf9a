// SPDX-License-Identifier: Apache-2.0
/* Fetches and runs commands, step by step, until the queue ends, waits or faults, or the engine is
 * wanted elsewhere. */
#include "softgpu.h"

#define ON_COMPUTE (1u << SG_ENGINE_COMPUTE)
#define ON_COPY (1u << SG_ENGINE_COPY)
#define ON_PAGING (1u << SG_ENGINE_PAGING)
#define ON_VF (ON_COMPUTE | ON_COPY)
#define ON_ALL (ON_VF | ON_PAGING)

/* In short commands: the price of looking at the clock is spread over that many. */
#define LONG_STEP 16u

/* Two counts of PACE this far apart are far enough: no sum of them overflows (146 years). */
#define PACE_MAX_NS (1ull << 62)

static enum sg_step step_nop(struct sg_context *x, const struct sg_cmd *cmd)
{
    (void)x;
    (void)cmd;
    return SG_STEP_DONE;
}

static enum sg_step step_halt(struct sg_context *x, const struct sg_cmd *cmd)
{
    (void)x;
    (void)cmd;
    return SG_STEP_HALT;
}

static enum sg_step step_add(struct sg_context *x, const struct sg_cmd *cmd)
{
    return sg_va_add64(&x->space, cmd->a[0], cmd->a[1]) ? SG_STEP_DONE : SG_STEP_FAULT;
}

static enum sg_step step_fence(struct sg_context *x, const struct sg_cmd *cmd)
{
    return sg_va_store64(&x->space, cmd->a[0], cmd->a[1]) ? SG_STEP_DONE : SG_STEP_FAULT;
}

static enum sg_step step_interrupt(struct sg_context *x, const struct sg_cmd *cmd)
{
    if (cmd->a[0] >= SG_MSIX_VECTORS)
        return sg_fault(x, x->ip);
    sg_msix_raise(x->vf, (unsigned)cmd->a[0]);
    return SG_STEP_DONE;
}

static enum sg_step jump(struct sg_context *x, uint64_t target)
{
    atomic_store_explicit(&x->ip, target, memory_order_relaxed);
    return SG_STEP_JUMPED;
}

static enum sg_step step_jump(struct sg_context *x, const struct sg_cmd *cmd)
{
    return jump(x, cmd->a[0]);
}

/* Word ? value, as JUMP_IF and WAIT have it; STEP_FAULT or STEP_DONE. */
static enum sg_step compare(struct sg_context *x, const struct sg_cmd *cmd, bool *holds)
{
    uint64_t value, with = cmd->a[1];

    if (cmd->flags > SG_COND_NE)
        return sg_fault(x, x->ip);
    if (!sg_va_load64(&x->space, cmd->a[0], &value))
        return SG_STEP_FAULT;
    switch ((enum sg_cond)cmd->flags) {
    case SG_COND_LT:
        *holds = value < with;
        break;
    case SG_COND_GE:
        *holds = value >= with;
        break;
    case SG_COND_EQ:
        *holds = value == with;
        break;
    default:
        *holds = value != with;
        break;
    }
    return SG_STEP_DONE;
}

static enum sg_step step_jump_if(struct sg_context *x, const struct sg_cmd *cmd)
{
    bool taken = false;
    enum sg_step step = compare(x, cmd, &taken);

    return taken ? jump(x, cmd->a[2]) : step;
}

/* Keeps the engine, as a semaphore does on the hardware this stands for: who waits for ever has
 * used its time, not nobody's. */
static enum sg_step step_wait(struct sg_context *x, const struct sg_cmd *cmd)
{
    bool over = false;
    enum sg_step step = compare(x, cmd, &over);

    return step == SG_STEP_DONE && !over ? SG_STEP_HOLD : step;
}

static enum sg_step step_pace(struct sg_context *x, const struct sg_cmd *cmd)
{
    uint64_t epoch = atomic_load(&x->vf->pace_epoch), now = sg_now(), count, due;

    if (!sg_va_load64(&x->space, cmd->a[0], &count))
        return SG_STEP_FAULT;
    if (!x->pacing || x->pace_epoch != epoch) {
        x->pacing = true;
        x->pace_epoch = epoch;
        x->pace_count = count;
        x->pace_start_ns = now;
    }
    if (__builtin_mul_overflow(count - x->pace_count, cmd->a[1], &due) || due > PACE_MAX_NS)
        due = PACE_MAX_NS;
    due += x->pace_start_ns;
    if (now >= due)
        return SG_STEP_DONE;
    x->wake_ns = due;
    return SG_STEP_WAIT;
}

static enum sg_step step_flush_tlb(struct sg_context *x, const struct sg_cmd *cmd)
{
    (void)cmd;
    sg_space_flush(&x->space);
    return SG_STEP_DONE;
}

static const struct {
    enum sg_step (*step)(struct sg_context *x, const struct sg_cmd *cmd);
    unsigned engines;
    unsigned price; /* in short commands */
} ops[] = {
    [SG_OP_NOP] = {step_nop, ON_ALL, 1},
    [SG_OP_HALT] = {step_halt, ON_ALL, 1},
    [SG_OP_FILL] = {sg_step_fill, ON_ALL, LONG_STEP},
    [SG_OP_COPY] = {sg_step_copy, ON_ALL, LONG_STEP},
    [SG_OP_RANDOM] = {sg_step_random, ON_ALL, LONG_STEP},
    [SG_OP_SCATTER] = {sg_step_scatter, ON_VF, LONG_STEP},
    [SG_OP_STENCIL] = {sg_step_stencil, ON_COMPUTE, LONG_STEP},
    [SG_OP_GEMM] = {sg_step_gemm, ON_COMPUTE, LONG_STEP},
    [SG_OP_HASH] = {sg_step_hash, ON_ALL, LONG_STEP},
    [SG_OP_ADD] = {step_add, ON_ALL, 1},
    [SG_OP_FENCE] = {step_fence, ON_ALL, 1},
    [SG_OP_INTERRUPT] = {step_interrupt, ON_VF, LONG_STEP},
    [SG_OP_JUMP] = {step_jump, ON_VF, 1},
    [SG_OP_JUMP_IF] = {step_jump_if, ON_VF, 1},
    [SG_OP_PACE] = {step_pace, ON_VF, 2},
    [SG_OP_FLUSH_TLB] = {step_flush_tlb, ON_PAGING, 1},
    [SG_OP_WAIT] = {step_wait, ON_VF, 2},
};

void sg_context_rewind(struct sg_context *x)
{
    x->progress = 0;
    for (unsigned i = 0; i < sizeof x->scratch / sizeof x->scratch[0]; i++)
        x->scratch[i] = 0;
}

/* The command is fetched anew for each step and then used from the copy: its owner may rewrite it
 * at any time. */
static enum sg_step step_once(struct sg_context *x, unsigned *price)
{
    uint64_t ip = atomic_load_explicit(&x->ip, memory_order_relaxed);
    struct sg_cmd cmd;

    *price = 1;
    if (x->vf)
        sg_space_refresh(&x->space, atomic_load(&x->vf->root), atomic_load(&x->vf->flushes));
    if (ip % SG_CMD_BYTES)
        return sg_fault(x, ip);
    if (!sg_va_read(&x->space, ip, &cmd, sizeof cmd))
        return SG_STEP_FAULT;
    if (cmd.op >= sizeof ops / sizeof ops[0] || !(ops[cmd.op].engines & 1u << x->engine) ||
        (cmd.flags && cmd.op != SG_OP_JUMP_IF && cmd.op != SG_OP_WAIT))
        return sg_fault(x, ip);
    *price = ops[cmd.op].price;
    return ops[cmd.op].step(x, &cmd);
}

static void retire(struct sg_context *x, bool next)
{
    uint64_t ip = atomic_load_explicit(&x->ip, memory_order_relaxed);
    uint64_t retired = atomic_load_explicit(&x->retired, memory_order_relaxed);

    if (next)
        atomic_store_explicit(&x->ip, ip + SG_CMD_BYTES, memory_order_relaxed);
    atomic_store_explicit(&x->retired, retired + 1, memory_order_relaxed);
    sg_context_rewind(x);
}

enum sg_stop sg_execute(struct sg_context *x, uint64_t end, uint64_t deadline_ns)
{
    unsigned spent = 0, price;

    for (;;) {
        enum sg_step step;

        if (atomic_load_explicit(&x->preempt, memory_order_acquire))
            return SG_STOP_PREEMPTED;
        if (!x->vf && atomic_load_explicit(&x->ip, memory_order_relaxed) >= end)
            return SG_STOP_END;
        if (spent >= LONG_STEP) {
            spent = 0;
            if (sg_now() >= deadline_ns)
                return SG_STOP_SLICE;
        }
        if (!x->vf) { /* what it may reach must not go away within a step */
            pthread_rwlock_rdlock(&x->dev->dma.lock);
            sg_space_refresh(&x->space, x->space.root,
                             x->dev->dma.generation + atomic_load(&x->dev->paging.flushes));
        }
        step = step_once(x, &price);
        if (!x->vf)
            pthread_rwlock_unlock(&x->dev->dma.lock);
        spent += price;
        if (step <= SG_STEP_HALT)
            x->stepped = true;
        switch (step) {
        case SG_STEP_DONE:
            retire(x, true);
            break;
        case SG_STEP_JUMPED:
            retire(x, false);
            break;
        case SG_STEP_MORE:
        case SG_STEP_HOLD:
            break;
        case SG_STEP_HALT:
            retire(x, true);
            return SG_STOP_HALTED;
        case SG_STEP_WAIT:
            return SG_STOP_WAIT;
        case SG_STEP_FAULT:
            return SG_STOP_FAULT;
        }
    }
}
