// SPDX-License-Identifier: Apache-2.0
/* See liar.h. */
#include "migrate/tests/rig/liar.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct host left, right;
static struct vf_partition_info
    honest;                      /* a partition on the left: what the false source claims to have */
static struct kc_blob kmd, umed; /* its true immutable data, which opens the door */
static struct kc_blob state_kmd, state_msix, state_umed; /* and what makes a copy of it whole */

int liar_setup(void **state)
{
    struct vf_error err = VF_ERROR_INIT;

    (void)state;
    host_start(&left, "left", SILENCE_NS, 1000000000ull);
    host_start(&right, "right", SILENCE_NS, 1000000000ull);
    create(&left, "honest", VRAM, &honest);
    if (kc_prepare(left.kc, honest.id, KC_SOURCE, 1, &err) != 0 ||
        kc_save_immutable(left.kc, honest.id, &kmd, &umed, &err) != 0 ||
        kc_partition_pause(left.kc, honest.id, &err) != 0 ||
        kc_save_mutable(left.kc, honest.id, &state_kmd, &state_msix, &state_umed, &err) != 0 ||
        kc_partition_resume(left.kc, honest.id, &err) != 0 ||
        kc_end(left.kc, honest.id, &err) != 0)
        die("its state", &err);
    assert_int_equal(honest.page_bytes, PAGE);
    return 0;
}

int liar_teardown(void **state)
{
    (void)state;
    kc_blob_free(&kmd);
    kc_blob_free(&umed);
    kc_blob_free(&state_kmd);
    kc_blob_free(&state_msix);
    kc_blob_free(&state_umed);
    host_stop(&left);
    host_stop(&right);
    return 0;
}

void say_hello(struct liar *liar, uint16_t oldest, uint16_t newest)
{
    struct wire_message message = {.tag = WIRE_HELLO};
    struct vf_error err = VF_ERROR_INIT;
    uint8_t boot_id[16] = {1};

    memset(liar, 0, sizeof *liar);
    liar->hello.version_min = oldest;
    liar->hello.version_max = newest;
    (void)snprintf(liar->hello.host_name, sizeof liar->hello.host_name, "liar");
    memcpy(liar->hello.boot_id, boot_id, sizeof boot_id);
    assert_int_equal(vf_uuid_random(liar->hello.job), 0);
    liar->admit = (struct wire_admit){.params = {.name = "lie", .vram_bytes = VRAM},
                                      .page_bytes = PAGE,
                                      .slot_bytes = SLOT,
                                      .streams = 1,
                                      .epoch = 7,
                                      .max_blackout_ns = UINT64_MAX,
                                      .kmd = {kmd.data, (uint32_t)kmd.bytes},
                                      .umed = {umed.data, (uint32_t)umed.bytes}};
    assert_int_equal(vf_uuid_random(liar->admit.params.uuid), 0);
    if (tp_tcp_connect(right.address, soon(), &liar->control, &err) != 0)
        die("connect", &err);
    message.hello = liar->hello;
    say(liar->control, &message);
}

void lie_in(struct liar *liar, uint16_t oldest, uint16_t newest)
{
    struct wire_message message;

    say_hello(liar, oldest, newest);
    hear(liar->control, WIRE_HELLO, &message);
    assert_int_equal(message.hello.version_min, WIRE_VERSION_MIN);
    assert_int_equal(message.hello.version_max, WIRE_VERSION);
    wire_message_free(&message);
}

void lie(struct liar *liar)
{
    lie_in(liar, WIRE_VERSION_MIN, WIRE_VERSION);
}

void ask(struct liar *liar)
{
    struct wire_message message = {.tag = WIRE_ADMIT, .admit = liar->admit};

    say(liar->control, &message);
}

void walk_in(struct liar *liar)
{
    struct wire_message message;
    struct vf_error err = VF_ERROR_INIT;

    ask(liar);
    hear(liar->control, WIRE_ADMITTED, &message);
    memcpy(liar->hello.token, message.admitted.token, sizeof liar->hello.token);
    wire_message_free(&message);
    if (tp_tcp_connect(right.address, soon(), &liar->data, &err) != 0)
        die("connect", &err);
    message = (struct wire_message){.tag = WIRE_HELLO, .hello = liar->hello};
    message.hello.role = WIRE_DATA;
    say(liar->data, &message);
}

void get_in(struct liar *liar)
{
    lie(liar);
    walk_in(liar);
}

void leave(struct liar *liar)
{
    const struct vf_error why = {VF_FAILED, 0, "enough"};

    /* Else the target waits for it to come back. */
    wire_say_abort(liar->control, &why);
    tp_close(liar->control);
    tp_close(liar->data);
    expect_empty(&right);
}

void expect_abort(struct liar *liar, const char *words)
{
    struct wire_message message;
    struct vf_error err = VF_ERROR_INIT;

    if (wire_hear(liar->control, &message, soon(), &err) != 0)
        die("where an ABORT was due", &err);
    if (message.tag != WIRE_ABORT || strstr(message.abort.text, words) == NULL)
        fail_msg("%s \"%s\", not an ABORT about \"%s\"", wire_tag_name(message.tag),
                 message.tag == WIRE_ABORT ? message.abort.text : "", words);
    wire_message_free(&message);
    leave(liar);
}

void say_round(struct liar *liar, uint32_t number, uint64_t pages, bool paused)
{
    struct wire_message message = {.tag = WIRE_ROUND,
                                   .round = {.round = number, .pages = pages, .paused = paused}};

    say(liar->control, &message);
}

void say_state(struct liar *liar, const uint8_t root[DIGEST_ROOT_BYTES])
{
    struct wire_message message = {.tag = WIRE_STATE, .state = {.kmd = {"nonsense", 8}}};

    if (root != NULL)
        memcpy(message.state.root, root, DIGEST_ROOT_BYTES);
    say(liar->control, &message);
}

void empty_root(uint8_t root[DIGEST_ROOT_BYTES])
{
    struct vf_error err = VF_ERROR_INIT;
    struct digest_table *table;

    if (digest_table_new(VRAM / PAGE, PAGE, &table, &err) != 0)
        die("digests", &err);
    digest_root(table, root, NULL);
    digest_table_free(table);
}

void say_true_state(struct liar *liar)
{
    struct wire_message message = {
        .tag = WIRE_STATE,
        .state = {.kmd = {state_kmd.data, (uint32_t)state_kmd.bytes},
                  .msix = {state_msix.data, (uint32_t)state_msix.bytes},
                  .umed = {state_umed.data, (uint32_t)state_umed.bytes}}};

    empty_root(message.state.root);
    say(liar->control, &message);
}

void pass_round(struct liar *liar)
{
    struct wire_message message = {.tag = WIRE_ROUND_END};

    say_round(liar, 0, 0, true);
    say(liar->data, &message);
    hear(liar->data, WIRE_ACK, &message);
    wire_message_free(&message);
}

const uint8_t page_slot[SLOT] = {1};

void send_page(struct liar *liar, uint64_t page, uint64_t digest, bool zero)
{
    struct wire_geometry anything = {
        .page_bytes = PAGE, .pages_total = 1ull << 40, .slot_bytes = SLOT};
    struct wire_frame *frame = calloc(1, sizeof *frame);
    struct vf_error err = VF_ERROR_INIT;

    assert_non_null(frame);
    memcpy(frame->job, liar->hello.job, sizeof frame->job);
    frame->epoch = liar->admit.epoch;
    frame->generation = liar->generation;
    assert_true(wire_frame_add(frame, page, digest, zero, 0, PAGE));
    if (wire_send_frame(liar->data, frame, page_slot, &anything, NULL, soon(), &err) != 0)
        die("frame", &err);
    free(frame);
}
