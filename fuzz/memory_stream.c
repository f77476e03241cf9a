// SPDX-License-Identifier: Apache-2.0
/* See memory_stream.h. */
#include "fuzz/memory_stream.h"

#include "fuzz/target.h"

#include <string.h>

struct memory {
    struct tp tp;
    const uint8_t *data;
    size_t bytes, at;
};

static long memory_send(struct tp *tp, const struct iovec *iov, int count)
{
    long sum = 0;

    (void)tp;
    for (int i = 0; i < count; i++)
        sum += (long)iov[i].iov_len;
    return sum;
}

static long memory_recv(struct tp *tp, void *data, size_t bytes)
{
    struct memory *memory = (struct memory *)(void *)tp;
    size_t left = memory->bytes - memory->at;
    size_t n = bytes < left ? bytes : left;

    if (n > 0)
        memcpy(data, memory->data + memory->at, n);
    memory->at += n;
    return (long)n;
}

/* Never waits: poll(2) ignores it. */
static int memory_fd(const struct tp *tp)
{
    (void)tp;
    return -1;
}

static void memory_shutdown(struct tp *tp)
{
    (void)tp;
}

static void memory_close(struct tp *tp)
{
    tp_fini(tp);
    free(tp);
}

static const struct tp_ops memory_ops = {"memory",  memory_send,     memory_recv,
                                         memory_fd, memory_shutdown, memory_close};

struct tp *memory_stream(const void *data, size_t bytes)
{
    struct memory *memory = calloc(1, sizeof *memory);
    struct vf_error err = VF_ERROR_INIT;

    fuzz_must(memory != NULL);
    memory->data = data;
    memory->bytes = bytes;
    fuzz_must(tp_init(&memory->tp, &memory_ops, "fuzz", &err) == 0);
    return &memory->tp;
}

size_t memory_stream_read(const struct tp *tp)
{
    return ((const struct memory *)(const void *)tp)->at;
}
