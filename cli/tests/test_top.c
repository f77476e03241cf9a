// SPDX-License-Identifier: Apache-2.0
/* What "vferry top" shows of a snapshot. */
#include "cli/top/top.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define ANSWERING                                                                                  \
    "{'host': '/a', 'answers': true, 'reason': null, 'name': 'A', 'listen': '10.0.0.1:7001',"      \
    " 'vf_count': 8, 'vf_free': 7, 'vram_bytes': 1073741824, 'vram_free_bytes': 536870912,"        \
    " 'partitions': [{'name': 'p', 'state': 'outgoing', 'vram_bytes': 536870912,"                  \
    "   'workload': 'churn', 'workload_state': 'running', 'steps': 1234, 'steps_wanted': 5000,"    \
    "   'steps_per_s': 100, 'gpu_percent': 37, 'dirty_bytes_per_s': 1048576}],"                    \
    " 'jobs': [{'job': 3, 'partition': 'p', 'kind': 'move', 'direction': 'out',"                   \
    "   'phase': 'round', 'percent': 42, 'rate_bytes_per_s': 2097152, 'dirty_bytes_per_s': null,"  \
    "   'eta_ns': 1500000000, 'source': 'A', 'target': '10.0.0.2:7001'}]}"
#define SILENT                                                                                     \
    "{'host': '/b', 'answers': false, 'reason': 'connect: refused', 'name': null, 'listen': null," \
    " 'partitions': null, 'jobs': null}"
#define IDLE                                                                                       \
    "{'host': '/c', 'answers': true, 'reason': null, 'name': 'C', 'listen': null,"                 \
    " 'partitions': [], 'jobs': []}"
#define STUCK                                                                                      \
    "{'host': '/d', 'answers': true, 'reason': null, 'name': 'D', 'listen': null,"                 \
    " 'attention': 'the kernel side has not answered for 4 s (stopped by a signal)',"              \
    " 'partitions': null, 'jobs': []}"

/* JSON in single quotes. */
static json_t *parse(const char *text)
{
    char json[4096];
    json_t *value;

    (void)snprintf(json, sizeof json, "%s", text);
    for (char *c = json; *c != '\0'; c++)
        *c = *c == '\'' ? '"' : *c;
    value = json_loads(json, 0, NULL);
    assert_non_null(value);
    return value;
}

static char *view(const char *hosts)
{
    char json[4096];
    char *text = NULL;
    size_t bytes = 0;
    FILE *to = open_memstream(&text, &bytes);
    json_t *snapshot;

    (void)snprintf(json, sizeof json, "{'hosts': [%s]}", hosts);
    snapshot = parse(json);
    assert_non_null(to);
    top_view(to, snapshot);
    assert_int_equal(fclose(to), 0);
    json_decref(snapshot);
    return text;
}

/* The line that begins so; what of it is not in `text` fails. */
static void assert_line(const char *text, const char *line)
{
    const char *found = strstr(text, line);

    if (found == NULL || (found != text && found[-1] != '\n'))
        fail_msg("no line \"%s\" in:\n%s", line, text);
}

static void a_host_is_told_with_its_partitions_and_moves(void **state)
{
    char *text = view(ANSWERING);

    (void)state;
    assert_line(text, "A     10.0.0.1:7001  1           8    7     1.00 GiB  512.0 MiB\n");
    assert_line(
        text,
        "p          A     outgoing  512.0 MiB  churn     running   1234  5000      100  37 %  "
        "1.00 MiB/s\n");
    assert_line(text, "p          A     3    move  out  copying  42 %  2.00 MiB/s        -  1.5 s  "
                      "10.0.0.2:7001\n");
    free(text);
}

static void a_host_that_does_not_answer_is_told_beside_the_others(void **state)
{
    char *text = view(ANSWERING "," SILENT);

    (void)state;
    assert_line(text, "A     10.0.0.1:7001");
    assert_line(text, "/b: NO ANSWER: connect: refused\n");
    free(text);
}

static void nothing_is_told_as_nothing(void **state)
{
    char *text = view(IDLE);

    (void)state;
    assert_line(text, "C     -        0           -");
    assert_line(text, "no partitions\n\nnothing moves\n");
    free(text);
}

static void what_is_not_known_is_not_told_as_nothing(void **state)
{
    char *text = view(SILENT);

    (void)state;
    assert_string_equal(text, "/b: NO ANSWER: connect: refused\n\n-\n\n-\n");
    free(text);
}

static void a_host_whose_kernel_side_is_silent_answers_and_asks_for_attention(void **state)
{
    char *text = view(IDLE "," STUCK);

    (void)state;
    assert_line(text, "D     -        -           -");
    assert_line(text, "D: ATTENTION: the kernel side has not answered for 4 s (stopped by a "
                      "signal)\n\n-\n\nnothing moves\n");
    assert_null(strstr(text, "NO ANSWER"));
    free(text);
}

static void a_name_from_a_host_moves_no_cursor(void **state)
{
    char *text = view("{'host': '/a', 'answers': false, 'reason': '\\u001b[2Jgone', 'name': "
                      "'x\\u0007y', 'partitions': [{'name': 'a\\nb', 'state': '\\u001b[H'}],"
                      " 'jobs': []}");

    (void)state;
    assert_null(strpbrk(text, "\x1b\a"));
    assert_line(text, "x y: NO ANSWER:  [2Jgone\n");
    assert_line(text, "a b");
    free(text);
}

/* A partition as a host tells it, on its adapter. */
#define USED(uuid, adapter, gpu_ns, read_ns)                                                       \
    "{'uuid': '" uuid "', 'adapter': " adapter ", 'steps': 5, 'gpu_ns': " gpu_ns                   \
    ", 'gpu_read_ns': " read_ns "}"

#define TWO(a, b) "[" a "," b "]"

/* `want` is a percentage for each partition of the look, -1 for null. */
static void assert_shares(const char *now, const char *before, const int *want)
{
    json_t *partitions = parse(now);
    json_t *then = before != NULL ? parse(before) : NULL;
    size_t index;
    json_t *item;

    top_paces(partitions, then, 1000);
    json_array_foreach(partitions, index, item) {
        const json_t *share = json_object_get(item, "gpu_percent");

        assert_non_null(share);
        assert_int_equal(json_is_null(share) ? -1 : json_integer_value(share), want[index]);
    }
    json_decref(partitions);
    json_decref(then);
}

static void a_share_is_engine_time_over_the_time_that_passed(void **state)
{
    static const char *const before =
        TWO(USED("b", "0", "100", "1000"), USED("a", "0", "350", "1000"));
    static const char *const now =
        TWO(USED("a", "0", "600", "2000"), USED("b", "0", "100", "2000"));

    (void)state;
    assert_shares(now, before, (const int[]){25, 0});
}

static void engines_side_by_side_give_no_more_than_all(void **state)
{
    static const char *const before = TWO(USED("a", "0", "0", "0"), USED("b", "0", "0", "0"));
    static const char *const now =
        TWO(USED("a", "0", "900", "1000"), USED("b", "0", "900", "1000"));

    (void)state;
    assert_shares(now, before, (const int[]){50, 50});
}

static void each_adapter_is_a_whole(void **state)
{
    static const char *const before = TWO(USED("a", "0", "0", "0"), USED("b", "1", "0", "0"));
    static const char *const now =
        TWO(USED("a", "0", "900", "1000"), USED("b", "1", "800", "1000"));

    (void)state;
    assert_shares(now, before, (const int[]){90, 80});
}

static void a_share_that_cannot_be_known_is_none(void **state)
{
    static const char *const now = "[" USED("a", "0", "9", "1000") "]";
    static const char *const no_clock = "[" USED("a", "0", "null", "null") "]";
    static const int none[] = {-1};

    (void)state;
    assert_shares(now, NULL, none);
    assert_shares(now, "[" USED("b", "0", "1", "0") "]", none);    /* it was not there */
    assert_shares(now, "[" USED("a", "1", "1", "0") "]", none);    /* on another adapter */
    assert_shares(now, "[" USED("a", "0", "10", "0") "]", none);   /* counted anew */
    assert_shares(now, "[" USED("a", "0", "1", "1000") "]", none); /* no time passed */
    assert_shares(now, no_clock, none);
    assert_shares(no_clock, now, none);
}

static void a_counter_that_is_out_of_all_bounds_stays_in_them(void **state)
{
#define MOST "9223372036854775807"
    static const char *const before = TWO(USED("a", "0", "0", "0"), USED("b", "0", "-" MOST, "0"));
    static const char *const now = TWO(USED("a", "0", MOST, "1000"), USED("b", "0", MOST, "1000"));

    (void)state;
    assert_shares(now, before, (const int[]){33, 66});
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_host_is_told_with_its_partitions_and_moves),
        cmocka_unit_test(a_host_that_does_not_answer_is_told_beside_the_others),
        cmocka_unit_test(nothing_is_told_as_nothing),
        cmocka_unit_test(what_is_not_known_is_not_told_as_nothing),
        cmocka_unit_test(a_host_whose_kernel_side_is_silent_answers_and_asks_for_attention),
        cmocka_unit_test(a_name_from_a_host_moves_no_cursor),
        cmocka_unit_test(a_share_is_engine_time_over_the_time_that_passed),
        cmocka_unit_test(engines_side_by_side_give_no_more_than_all),
        cmocka_unit_test(each_adapter_is_a_whole),
        cmocka_unit_test(a_share_that_cannot_be_known_is_none),
        cmocka_unit_test(a_counter_that_is_out_of_all_bounds_stays_in_them),
    };

    return cmocka_run_group_tests_name("top", tests, NULL, NULL);
}
