// SPDX-License-Identifier: Apache-2.0
/* What another host has free is its own truth, and a host that cannot be asked says so. */
#include "migrate/tests/rig/hosts.h"

#include "base/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static struct host left, right;

static int setup(void **state)
{
    (void)state;
    host_start(&left, "left", 0, 0);
    host_start(&right, "right", 0, 0);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    host_stop(&left);
    host_stop(&right);
    return 0;
}

static json_t *ask(void)
{
    struct vf_error err = VF_ERROR_INIT;
    json_t *answer = NULL;

    if (mig_ask_capacity(left.mig, right.address, &answer, &err) != 0)
        die("ask", &err);
    return answer;
}

static json_int_t number(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);

    assert_true(json_is_integer(value));
    return json_integer_value(value);
}

static void what_is_free_is_what_the_adapter_says(void **state)
{
    struct vf_error err = VF_ERROR_INIT;
    struct vf_adapter_info info;
    struct vf_partition_info p;
    const json_t *adapter;
    json_t *before;
    json_t *after;

    (void)state;
    before = ask();
    assert_string_equal(json_string_value(json_object_get(before, "name")), "right");
    assert_true(json_is_true(json_object_get(before, "takes_partitions")));
    assert_int_equal(number(before, "partitions"), 0);
    create(&right, "p", 64u << 20, &p);
    after = ask();
    assert_int_equal(kc_adapter_info(right.kc, 0, &info, &err), 0);
    adapter = json_array_get(json_object_get(after, "adapters"), 0);
    assert_int_equal(number(after, "partitions"), 1);
    assert_int_equal(number(adapter, "vf_free"), info.vf_free);
    assert_int_equal(number(adapter, "vram_bytes"), info.vram_bytes);
    assert_int_equal(number(adapter, "vram_free_bytes"), info.vram_free_bytes);
    assert_int_equal(number(adapter, "vram_largest_bytes"), info.vram_largest_bytes);
    adapter = json_array_get(json_object_get(before, "adapters"), 0);
    assert_int_equal(number(adapter, "vf_free"), info.vf_free + 1);
    assert_int_equal(number(adapter, "vram_free_bytes"), info.vram_free_bytes + (64 << 20));
    assert_int_equal(kc_partition_destroy(right.kc, p.id, &err), 0);
    json_decref(before);
    json_decref(after);
}

static void a_host_that_is_being_stopped_says_that_it_takes_none(void **state)
{
    json_t *answer;

    (void)state;
    mig_stop_begin(right.mig, vf_now_ns());
    answer = ask();
    mig_stop_undo(right.mig);
    assert_true(json_is_false(json_object_get(answer, "takes_partitions")));
    assert_string_equal(json_string_value(json_object_get(answer, "why_not")),
                        "host right is being stopped");
    json_decref(answer);
}

static void nobody_there_is_told(void **state)
{
    struct vf_error err = VF_ERROR_INIT;
    json_t *answer = NULL;

    (void)state;
    assert_int_equal(mig_ask_capacity(left.mig, "127.0.0.1:1", &answer, &err), -1);
    assert_null(answer);
    assert_non_null(strstr(err.text, "127.0.0.1:1"));
}

/* One that has no job, and then says something else than the question. */
static void whoever_asks_otherwise_gets_no_answer(void **state)
{
    static const uint8_t none[WIRE_ID_BYTES];
    struct wire_message hello = {.tag = WIRE_HELLO};
    struct wire_message word = {.tag = WIRE_DONE, .handoff.epoch = 1};
    struct vf_error err = VF_ERROR_INIT;
    struct wire_message answer;
    struct tp *tp;

    (void)state;
    wire_hello_init(&hello.hello);
    memcpy(hello.hello.job, none, sizeof none);
    if (tp_tcp_connect(right.address, soon(), &tp, &err) != 0)
        die("connect", &err);
    say(tp, &hello);
    hear(tp, WIRE_HELLO, &answer);
    assert_int_equal(answer.hello.features_optional & WIRE_FEATURE_CAPACITY, WIRE_FEATURE_CAPACITY);
    wire_message_free(&answer);
    say(tp, &word);
    assert_int_equal(wire_hear(tp, &answer, soon(), &err), -1);
    tp_close(tp);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_free_is_what_the_adapter_says),
        cmocka_unit_test(a_host_that_is_being_stopped_says_that_it_takes_none),
        cmocka_unit_test(nobody_there_is_told),
        cmocka_unit_test(whoever_asks_otherwise_gets_no_answer),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
