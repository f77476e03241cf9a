// SPDX-License-Identifier: Apache-2.0
/* A stream whose peer has said all it will ever say: reads come from memory, writes go nowhere. */
#ifndef FUZZ_MEMORY_STREAM_H
#define FUZZ_MEMORY_STREAM_H

#include "transport/transport.h"

/* Borrows data, which must outlive the stream. Ends in a failure only without memory
 * or eventfds. */
struct tp *memory_stream(const void *data, size_t bytes);
/* How much of it was read. */
size_t memory_stream_read(const struct tp *tp);

#endif
