// SPDX-License-Identifier: Apache-2.0
/*
 * What a fuzz target is. The same file is linked with libFuzzer (fuzz-NAME, which looks for new
 * inputs) and with replay.c (fuzz-replay-NAME, a plain program: a test over the seeds and all that
 * ever failed). One target, one file; each call starts from nothing, so that an input alone repeats
 * a failure.
 */
#ifndef FUZZ_TARGET_H
#define FUZZ_TARGET_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#define FUZZ_MAX_BYTES 65536u /* of an input; tools/fuzz.sh says the same to libFuzzer */

/* The target. Always 0; a broken promise aborts by fuzz_must. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The target's `index`-th seed into data[0 … FUZZ_MAX_BYTES); its length, 0 when there are no more.
 * Valid data: the fuzzer spoils it. */
size_t fuzz_seed(unsigned index, uint8_t *data);

/* Also in builds without assertions. */
#define fuzz_must(condition)                                                                       \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            (void)fprintf(stderr, "%s:%d: broken promise: %s\n", __FILE__, __LINE__, #condition);  \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

/* Takes an input apart from its front; past the end everything is zero and `left` is 0. */
struct fuzz_input {
    const uint8_t *at;
    size_t left;
};

static inline const uint8_t *fuzz_take(struct fuzz_input *in, size_t bytes)
{
    const uint8_t *taken = in->at;

    fuzz_must(bytes <= in->left);
    in->at += bytes;
    in->left -= bytes;
    return taken;
}

static inline uint64_t fuzz_number(struct fuzz_input *in, size_t bytes)
{
    uint64_t value = 0;

    for (size_t i = 0; i < bytes && in->left > 0; i++)
        value |= (uint64_t)*fuzz_take(in, 1) << 8 * i;
    return value;
}

#endif
