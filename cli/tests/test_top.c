// SPDX-License-Identifier: Apache-2.0
/* What "vferry top" shows of a snapshot. */
#include "cli/top.h"

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
    "   'steps_per_s': 100, 'dirty_bytes_per_s': 1048576}],"                                       \
    " 'jobs': [{'job': 3, 'partition': 'p', 'kind': 'move', 'direction': 'out',"                   \
    "   'phase': 'round', 'percent': 42, 'rate_bytes_per_s': 2097152, 'dirty_bytes_per_s': null,"  \
    "   'eta_ns': 1500000000, 'source': 'A', 'target': '10.0.0.2:7001'}]}"
#define SILENT                                                                                     \
    "{'host': '/b', 'answers': false, 'reason': 'connect: refused', 'name': null, 'listen': null," \
    " 'partitions': [], 'jobs': []}"

static char *view(const char *hosts)
{
    char json[4096];
    char *text = NULL;
    size_t bytes = 0;
    FILE *to = open_memstream(&text, &bytes);
    json_t *snapshot;

    (void)snprintf(json, sizeof json, "{'hosts': [%s]}", hosts);
    for (char *c = json; *c != '\0'; c++)
        *c = *c == '\'' ? '"' : *c;
    snapshot = json_loads(json, 0, NULL);
    assert_non_null(snapshot);
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
    assert_line(text,
                "p          A     outgoing  512.0 MiB  churn     running   1234  5000      100  "
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
    char *text = view(SILENT);

    (void)state;
    assert_string_equal(text,
                        "/b: NO ANSWER: connect: refused\n\nno partitions\n\nnothing moves\n");
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_host_is_told_with_its_partitions_and_moves),
        cmocka_unit_test(a_host_that_does_not_answer_is_told_beside_the_others),
        cmocka_unit_test(nothing_is_told_as_nothing),
        cmocka_unit_test(a_name_from_a_host_moves_no_cursor),
    };

    return cmocka_run_group_tests_name("top", tests, NULL, NULL);
}
