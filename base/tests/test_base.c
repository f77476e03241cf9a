// SPDX-License-Identifier: Apache-2.0
/* The shared idioms: errors keep their text, machines refuse arcs they do not have, sizes parse or
 * are refused. */
#include "base/error.h"
#include "base/fsm.h"
#include "base/nearest.h"
#include "base/plain.h"
#include "base/process_state.h"
#include "base/size.h"

#include <setjmp.h>
#include <stdarg.h>
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static void fail_fills_code_and_text(void **state)
{
    struct vf_error err = VF_ERROR_INIT;

    (void)state;
    assert_int_equal(vf_fail(&err, VF_INCOMPATIBLE, "fw: %d", 7), -1);
    assert_int_equal(err.code, VF_INCOMPATIBLE);
    assert_string_equal(err.text, "fw: 7");
    assert_int_equal(vf_context(&err, "target %s", "B"), -1);
    assert_string_equal(err.text, "target B: fw: 7");
}

static void a_terminal_obeys_nothing_that_others_chose(void **state)
{
    static const struct {
        const char *text, *shown;
    } cases[] = {
        {"p1", "p1"},
        {"a\033[2Jb", "a\\x1b[2Jb"},
        {"a\nb\tc\177", "a\\nb\\tc\\x7f"},
        {"gr\xc3\xbc\xc3\x9f \xf0\x9f\x9a\x80",
         "gr\xc3\xbc\xc3\x9f \xf0\x9f\x9a\x80"}, /* letters */
        {"\xc2\x9b"
         "2J",
         "\\xc2\\x9b2J"}, /* CSI in one letter */
        {"\x9b"
         "2J \xc3",
         "\\x9b2J \\xc3"},
        {"\xc0\xaf\xe0\x80\xaf\xed\xa0\x80", "\\xc0\\xaf\\xe0\\x80\\xaf\\xed\\xa0\\x80"},
    };
    struct vf_error err = VF_ERROR_INIT;

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_string_equal(VF_SHOWN(cases[i].text), cases[i].shown);
        assert_string_equal(VF_SHOWN(cases[i].shown), cases[i].shown);
        vf_fail(&err, VF_USAGE, "%s: no" VF_REMEDY "not %s", cases[i].text, cases[i].text);
        assert_string_equal(vf_remedy(&err) + strlen("not "), cases[i].shown);
        assert_memory_equal(err.text, cases[i].shown, strlen(cases[i].shown));
    }
    /* A mark of a remedy that a stranger sends begins none. */
    vf_fail(&err, VF_USAGE, "x" VF_REMEDY "rm: no" VF_REMEDY "see");
    assert_string_equal(err.text, "x\\x1erm: no; see");
    vf_context(&err, "a\033b");
    assert_string_equal(err.text, "a\\x1bb: x\\x1erm: no; see");
    assert_string_equal(vf_remedy(&err), "see");
}

static void what_is_cut_has_a_sign_of_it(void **state)
{
    char small[8];

    (void)state;
    assert_string_equal(vf_plain("1234567", small, sizeof small), "1234567");
    assert_string_equal(vf_plain("12345678", small, sizeof small), "1234...");
    assert_string_equal(vf_plain("123\033"
                                 "5678",
                                 small, sizeof small),
                        "123...");
    assert_string_equal(vf_plain("123\xc3\xbc"
                                 "5678",
                                 small, sizeof small),
                        "123...");
    assert_string_equal(vf_plain("1234", small, 3), "12");
}

static void fail_status_names_the_status(void **state)
{
    struct vf_error err = VF_ERROR_INIT;

    (void)state;
    vf_fail_status(&err, VF_FAILED, (int32_t)0xc0000024u, "restore");
    assert_string_equal(err.text, "restore: STATUS_OBJECT_TYPE_MISMATCH (0xc0000024)");
    assert_int_equal((uint32_t)err.status, 0xc0000024u);
}

static void statuses_of_drivers_have_names(void **state)
{
    (void)state;
    assert_string_equal(vf_status_name((int32_t)0xc01e0100u), "STATUS_GRAPHICS_NO_VIDEO_MEMORY");
    assert_string_equal(vf_status_name((int32_t)0xc0000035u), "STATUS_OBJECT_NAME_COLLISION");
    assert_string_equal(vf_status_name((int32_t)0xc0ffee00u), "NTSTATUS");
}

static void overlong_text_is_cut_and_terminated(void **state)
{
    struct vf_error err = VF_ERROR_INIT;
    char longer[2000];

    (void)state;
    memset(longer, 'x', sizeof longer - 1);
    longer[sizeof longer - 1] = '\0';
    vf_fail(&err, VF_FAILED, "%s", longer);
    vf_context(&err, "%s", longer);
    assert_int_equal(strlen(err.text), sizeof err.text - 1);
}

enum { RED, GREEN, GONE };
static const char *const lamp_states[] = {"red", "green", "gone"};
static const uint64_t lamp_arcs[] = {
    [RED] = VF_ARC(GREEN), [GREEN] = VF_ARC(RED) | VF_ARC(GONE), [GONE] = 0};
static const struct vf_fsm_table lamp = {"lamp", lamp_states, lamp_arcs, 3};

static void test_remedy_is_told_apart_and_crosses_process_lines(void **state)
{
    struct vf_error err = VF_ERROR_INIT;
    struct vf_error there = VF_ERROR_INIT;
    char packed[600];

    (void)state;
    vf_fail_errno(&err, VF_FAILED, ENOSPC, "write %s" VF_REMEDY "free some space", "a");
    assert_string_equal(err.text, "write a: No space left on device; free some space");
    assert_string_equal(vf_remedy(&err), "free some space");
    assert_false(err.scarce);
    vf_context(&err, "journal");
    assert_string_equal(err.text, "journal: write a: No space left on device; free some space");
    assert_string_equal(vf_remedy(&err), "free some space");
    vf_error_pack(&err, packed, sizeof packed);
    vf_fail(&there, VF_FAILED, "%s", packed);
    assert_string_equal(there.text, err.text);
    assert_string_equal(vf_remedy(&there), "free some space");
    vf_fail(&err, VF_FAILED, "nothing to do");
    assert_null(vf_remedy(&err));
    vf_remedy_is(&err, "to do");
    assert_string_equal(vf_remedy(&err), "to do");
    vf_remedy_is(&err, "else");
    assert_null(vf_remedy(&err));
}

static void test_a_text_is_told_without_its_remedy(void **state)
{
    static const struct {
        const char *packed, *bare;
    } cases[] = {
        {"full" VF_REMEDY "free some space", "full"},
        {"full; or so" VF_REMEDY "free some; or more", "full; or so"},
        {"full; free some space", "full; free some space"}, /* no remedy: nobody said it is one */
        {"", ""},
    };
    struct vf_error err = VF_ERROR_INIT;
    char longer[2000];

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        vf_fail(&err, VF_FAILED, "%s", cases[i].packed);
        assert_int_equal(vf_bare_bytes(&err), strlen(cases[i].bare));
        assert_memory_equal(err.text, cases[i].bare, strlen(cases[i].bare));
    }
    memset(longer, 'x', sizeof longer - 1);
    longer[sizeof longer - 1] = '\0';
    for (int room = 590; room < 602; room++) { /* where the remedy is cut off */
        vf_fail(&err, VF_FAILED, "%.*s" VF_REMEDY "wait", room, longer);
        assert_int_equal(vf_bare_bytes(&err),
                         vf_remedy(&err) != NULL ? room : (int)strlen(err.text));
    }
}

static void test_what_the_system_is_out_of_has_a_remedy(void **state)
{
    static const int out_of[] = {EMFILE, ENFILE, ENOMEM, EAGAIN};

    (void)state;
    for (size_t i = 0; i < sizeof out_of / sizeof out_of[0]; i++) {
        struct vf_error err = VF_ERROR_INIT;

        vf_fail_errno(&err, VF_FAILED, out_of[i], "open");
        assert_true(err.scarce);
        assert_non_null(vf_remedy(&err));
        assert_int_equal(vf_remedy(&err)[-2], ';');
        vf_fail_errno(&err, VF_FAILED, out_of[i], "open" VF_REMEDY "wait");
        assert_true(err.scarce);
        assert_string_equal(vf_remedy(&err), "wait");
        vf_fail_errno(&err, VF_FAILED, EPERM, "open");
        assert_false(err.scarce);
        assert_null(vf_remedy(&err));
    }
}

static void test_a_driver_that_got_no_memory_has_a_remedy(void **state)
{
    struct vf_error err = VF_ERROR_INIT;

    (void)state;
    vf_fail_status(&err, VF_FAILED, (int32_t)0xc0000017u, "start it");
    assert_true(err.scarce);
    assert_non_null(strstr(err.text, "start it: STATUS_NO_MEMORY (0xc0000017); give more memory"));
    assert_int_equal(vf_remedy(&err)[-2], ';');
    vf_fail_status(&err, VF_FAILED, (int32_t)0xc0000017u, "start it" VF_REMEDY "wait");
    assert_string_equal(vf_remedy(&err), "wait");
    vf_fail_status(&err, VF_FAILED, (int32_t)0xc000000du, "start it");
    assert_false(err.scarce);
    assert_null(vf_remedy(&err));
}

static void test_remedy_that_does_not_fit_ends_where_the_text_does(void **state)
{
    struct vf_error err = VF_ERROR_INIT;
    char longer[2000];

    (void)state;
    memset(longer, 'x', sizeof longer - 1);
    longer[sizeof longer - 1] = '\0';
    for (int room = 590; room < 602; room++) {
        vf_fail_errno(&err, VF_FAILED, ENOSPC, "%.*s" VF_REMEDY "%s", room, longer, longer);
        assert_in_range(strlen(err.text), 590, sizeof err.text - 1);
        assert_true(vf_remedy(&err) == NULL || strlen(vf_remedy(&err)) > 0);
        vf_context(&err, "%s", longer);
        assert_null(vf_remedy(&err));
    }
}

static void test_codes_from_elsewhere_are_known_or_failed(void **state)
{
    (void)state;
    assert_int_equal(vf_code_from(VF_REFUSED_NOW), VF_REFUSED_NOW);
    assert_int_equal(vf_code_from(VF_STANDS), VF_STANDS);
    assert_int_equal(vf_code_from(0), VF_FAILED);
    assert_int_equal(vf_code_from(60), VF_FAILED);
    assert_int_equal(vf_code_from(INT64_MAX), VF_FAILED);
}

static void machine_takes_legal_arcs_only(void **state)
{
    struct vf_fsm fsm;

    (void)state;
    vf_fsm_init(&fsm, &lamp, "test", RED);
    assert_false(vf_fsm_set(&fsm, GONE, "test"));
    assert_int_equal(vf_fsm_get(&fsm), RED);
    assert_true(vf_fsm_set(&fsm, GREEN, "test"));
    assert_true(vf_fsm_set(&fsm, GONE, "test"));
    assert_false(vf_fsm_set(&fsm, 99, "test"));
}

static void sizes_parse_or_are_refused(void **state)
{
    static const char *const bad[] = {
        "",    "K",    "-1",  "1.G",     ".5G",  " 4K",  "0x",   "4 K", "1X",
        "1Ki", "1bit", "1.5", "1.0001K", "1KB ", "0x1G", "1GBs", "1iB", "1.1234567890123456789G"};
    static const struct {
        const char *text;
        uint64_t bytes;
    } good[] = {{"0", 0},
                {"64K", 65536},
                {"8g", 8ull << 30},
                {"0x1000", 4096},
                {"1GiB", 1ull << 30},
                {"1gib", 1ull << 30},
                {"1GB", 1000000000},
                {"1kB", 1000},
                {"1KB", 1000},
                {"1KiB", 1024},
                {"2TB", 2000000000000},
                {"2T", 2ull << 40},
                {"512B", 512},
                {"1.5G", 1610612736},
                {"1.5GB", 1500000000},
                {"0.25M", 262144},
                {"2.0", 2},
                {"1.000000001GB", 1000000001},
                {"18446744073709551615", UINT64_MAX}};
    uint64_t bytes = 0;

    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        assert_int_equal(vf_size_parse(good[i].text, &bytes), 0);
        assert_int_equal(bytes, good[i].bytes);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        if (vf_size_parse(bad[i], &bytes) != -1)
            fail_msg("\"%s\" passes for a size", bad[i]);
    }
}

static void rates_are_sizes_a_second(void **state)
{
    uint64_t rate = 0;

    (void)state;
    assert_int_equal(vf_rate_parse("100MB/s", &rate), 0);
    assert_int_equal(rate, 100000000);
    assert_int_equal(vf_rate_parse("1G", &rate), 0);
    assert_int_equal(rate, 1ull << 30);
    assert_int_equal(vf_rate_parse("/s", &rate), -1);
    assert_int_equal(vf_rate_parse("1G/m", &rate), -1);
    assert_int_equal(vf_rate_parse("100Mbit/s", &rate), -1);
}

static void what_is_too_large_is_told_from_what_is_none(void **state)
{
    static const char *const sizes[] = {"99999999999999999999", "18446744073709551616", "16777216T",
                                        "99999999999999999999.5G", "0x10000000000000000"};
    static const char *const times[] = {"999999999999999h", "99999999999999999999",
                                        "5100000h5100000m", "1h99999999999999999999ns"};
    uint64_t value;

    (void)state;
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
        assert_int_equal(vf_size_parse(sizes[i], &value), VF_TOO_LARGE);
    for (size_t i = 0; i < sizeof times / sizeof times[0]; i++)
        assert_int_equal(vf_duration_parse(times[i], 1000000000, &value), VF_TOO_LARGE);
    assert_int_equal(vf_number_parse("18446744073709551616", &value), VF_TOO_LARGE);
    assert_int_equal(vf_rate_parse("16777216T/s", &value), VF_TOO_LARGE);
    assert_int_equal(vf_number_parse("18446744073709551616x", &value), -1);
    assert_int_equal(vf_size_parse("99999999999999999999Q", &value), -1);
    assert_int_equal(vf_duration_parse("99999999999999999999h1x", 1, &value), -1);
}

static void times_parse_or_are_refused(void **state)
{
    static const char *const bad[] = {"",    "s",   "-1",   "1m30", "30s1m", "1s1s",  "1x",  " 1s",
                                      "1 s", "1s ", "0x10", "1S",   "1.s",   "0.1ns", "1e3s"};
    static const struct {
        const char *text;
        uint64_t unit, ns;
    } good[] = {{"200ms", 1000000000, 200000000},
                {"1m30s", 1000000000, 90000000000},
                {"10s", 1000000, 10000000000},
                {"750", 1000000, 750000000},
                {"1.5", 1000000000, 1500000000},
                {"0", 1000000000, 0},
                {"0s", 1000000000, 0},
                {"1h0.5s", 1, 3600500000000},
                {"1.5us", 1, 1500},
                {"7ns", 1000, 7}};
    uint64_t ns = 0;

    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        assert_int_equal(vf_duration_parse(good[i].text, good[i].unit, &ns), 0);
        assert_int_equal(ns, good[i].ns);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        if (vf_duration_parse(bad[i], 1000000000, &ns) != -1)
            fail_msg("\"%s\" passes for a time", bad[i]);
    }
}

static void what_was_meant_is_found_when_it_is_close(void **state)
{
    static const char *const known[] = {"partition", "adapter", "migrate", "max-time",
                                        "max-blackout"};
    static const struct {
        const char *word, *meant;
    } cases[] = {{"parition", "partition"},
                 {"partiiton", "partition"},
                 {"adaptor", "adapter"},
                 {"mig", "migrate"},
                 {"max-tiem", "max-time"},
                 {"max-blackot", "max-blackout"},
                 {"zebra", NULL},
                 {"m", NULL},
                 {"", NULL},
                 {"a-word-that-is-longer-than-any-that-we-know", NULL}};

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct vf_nearest nearest = {.word = cases[i].word, .length = strlen(cases[i].word)};
        const char *meant;

        for (size_t k = 0; k < sizeof known / sizeof known[0]; k++)
            vf_nearest_try(&nearest, known[k]);
        meant = vf_nearest(&nearest);
        if ((meant == NULL) != (cases[i].meant == NULL) ||
            (meant != NULL && strcmp(meant, cases[i].meant) != 0))
            fail_msg("\"%s\": meant \"%s\"", cases[i].word, meant != NULL ? meant : "nothing");
    }
    assert_int_equal(vf_edit_distance("kitten", 6, "sitting"), 3);
    assert_int_equal(vf_edit_distance("ab", 2, "ba"), 1);
    assert_int_equal(vf_edit_distance("", 0, "abc"), 3);
}

static void sizes_and_times_read_well(void **state)
{
    char text[32];

    (void)state;
    assert_string_equal(vf_size_format(312, text, sizeof text), "312 B");
    assert_string_equal(vf_size_format(3ull << 29, text, sizeof text), "1.50 GiB");
    assert_string_equal(vf_time_format(1300000, text, sizeof text), "1.3 ms");
    assert_string_equal(vf_time_format(185000000000ull, text, sizeof text), "3 min 5 s");
}

static void what_a_process_does_is_told(void **state)
{
    char text[VF_PROCESS_STATE_BYTES];
    pid_t child = fork();
    int status;

    (void)state;
    assert_true(child >= 0);
    if (child == 0) {
        for (;;)
            (void)pause();
    }
    assert_int_equal(kill(child, SIGSTOP), 0);
    assert_int_equal(waitpid(child, &status, WUNTRACED), child);
    assert_string_equal(vf_process_state(child, text, sizeof text), "stopped by a signal");
    assert_int_equal(kill(child, SIGKILL), 0);
    assert_int_equal(waitid(P_PID, (id_t)child, NULL, WEXITED | WNOWAIT), 0);
    assert_string_equal(vf_process_state(child, text, sizeof text), "has ended");
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_string_equal(vf_process_state(child, text, sizeof text), "its state cannot be read");
    assert_string_equal(vf_process_state(getpid(), text, sizeof text), "works, or wants to");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_remedy_is_told_apart_and_crosses_process_lines),
        cmocka_unit_test(test_a_text_is_told_without_its_remedy),
        cmocka_unit_test(test_what_the_system_is_out_of_has_a_remedy),
        cmocka_unit_test(test_a_driver_that_got_no_memory_has_a_remedy),
        cmocka_unit_test(test_remedy_that_does_not_fit_ends_where_the_text_does),
        cmocka_unit_test(test_codes_from_elsewhere_are_known_or_failed),
        cmocka_unit_test(fail_fills_code_and_text),
        cmocka_unit_test(a_terminal_obeys_nothing_that_others_chose),
        cmocka_unit_test(what_is_cut_has_a_sign_of_it),
        cmocka_unit_test(fail_status_names_the_status),
        cmocka_unit_test(statuses_of_drivers_have_names),
        cmocka_unit_test(overlong_text_is_cut_and_terminated),
        cmocka_unit_test(machine_takes_legal_arcs_only),
        cmocka_unit_test(sizes_parse_or_are_refused),
        cmocka_unit_test(rates_are_sizes_a_second),
        cmocka_unit_test(what_is_too_large_is_told_from_what_is_none),
        cmocka_unit_test(times_parse_or_are_refused),
        cmocka_unit_test(what_was_meant_is_found_when_it_is_close),
        cmocka_unit_test(sizes_and_times_read_well),
        cmocka_unit_test(what_a_process_does_is_told),
    };

    return cmocka_run_group_tests_name("base", tests, NULL, NULL);
}
