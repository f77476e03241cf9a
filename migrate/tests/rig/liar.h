// SPDX-License-Identifier: Apache-2.0
/* A source that speaks the wire format perfectly and lies, against a real target. What the target
 * does otherwise than expected ends the test. */
#ifndef MIGRATE_TESTS_LIAR_H
#define MIGRATE_TESTS_LIAR_H

#include "migrate/digest/digest.h"
#include "migrate/tests/rig/hosts.h"
#include "migrate/wire/wire.h"

#include "base/clock.h"
#include "base/tests/tool.h"

#define SILENCE_NS (1500000000ull * TEST_TOOL_FACTOR)
#define PATIENCE_NS (20000000000ull * TEST_TOOL_FACTOR)
#define VRAM (8u << 20)
#define PAGE 65536u
#define SLOT (1u << 20)

extern struct host left, right;
extern const uint8_t page_slot[SLOT]; /* what send_page sends */

/* cmocka's, for a group. */
int liar_setup(void **state);
int liar_teardown(void **state);

struct liar {
    struct tp *control;
    struct tp *data;
    uint32_t generation; /* of its frames */
    struct wire_hello hello;
    struct wire_admit admit;
};

/* A new lie, of a source that speaks these versions, as far as its HELLO. */
void say_hello(struct liar *liar, uint16_t oldest, uint16_t newest);
/* The same, and the target's HELLO. */
void lie_in(struct liar *liar, uint16_t oldest, uint16_t newest);
void lie(struct liar *liar);
void ask(struct liar *liar);
/* Through the door, with one data stream. */
void walk_in(struct liar *liar);
/* lie and walk_in. */
void get_in(struct liar *liar);
/* The target keeps nothing. */
void leave(struct liar *liar);
/* The target says ABORT, with these words in it, and keeps nothing. */
void expect_abort(struct liar *liar, const char *words);

void say_round(struct liar *liar, uint32_t number, uint64_t pages, bool paused);
void say_state(struct liar *liar, const uint8_t root[DIGEST_ROOT_BYTES]);
/* Of a partition that nobody ever wrote to. */
void empty_root(uint8_t root[DIGEST_ROOT_BYTES]);
/* For once what is so: the target becomes PREPARED. */
void say_true_state(struct liar *liar);
/* An empty paused round, proven. */
void pass_round(struct liar *liar);
/* A frame of one page. */
void send_page(struct liar *liar, uint64_t page, uint64_t digest, bool zero);

#endif
