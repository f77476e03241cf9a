// SPDX-License-Identifier: Apache-2.0
/* vferryd's command line and INI file: same keys, clear refusals. */
#include "daemon/config.h"

#include "base/tests/folder.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define MAX_WORDS 48

static struct config config; /* too large for a stack */

static int parse(const char *line, struct vf_error *err)
{
    static char buffer[1024];
    char *argv[MAX_WORDS];
    char *rest = NULL;
    int argc = 0;

    (void)snprintf(buffer, sizeof buffer, "vferryd %s", line);
    for (char *word = strtok_r(buffer, " ", &rest); word != NULL;
         word = strtok_r(NULL, " ", &rest)) {
        assert_true(argc < MAX_WORDS - 1);
        argv[argc++] = word;
    }
    argv[argc] = NULL;
    *err = (struct vf_error)VF_ERROR_INIT;
    return config_parse(argc, argv, &config, err);
}

/* A file with this content; the caller unlinks it. */
static void write_file(char path[64], const char *content)
{
    FILE *file;
    int fd;

    test_template(path, "vferry-config");
    fd = mkstemp(path);
    assert_true(fd >= 0);
    file = fdopen(fd, "w");
    assert_non_null(file);
    assert_true(fputs(content, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static int parse_file(const char *content, const char *more, struct vf_error *err)
{
    char path[64];
    char line[256];
    int result;

    write_file(path, content);
    (void)snprintf(line, sizeof line, "--config %s %s", path, more);
    result = parse(line, err);
    (void)unlink(path);
    return result;
}

static void assert_refused(const char *line, int result, const struct vf_error *err)
{
    if (result != -1 || err->code != VF_USAGE || err->text[0] == '\0' ||
        strchr(err->text, '\n') != NULL)
        fail_msg("\"%s\": result %d, code %d, \"%s\"", line, result, (int)err->code, err->text);
}

static void every_wrong_line_is_a_usage_error_of_one_line(void **state)
{
    static const char *const wrong[] = {
        "",
        "--name A",
        "--state",
        "--state=",
        "--state /tmp/x --nix",
        "--state /tmp/x positional",
        "-s /tmp/x",
        "--state /tmp/x --state /tmp/y",
        "--state /tmp/x --insecure=maybe",
        "--state /tmp/x --version=1",
        "--state /tmp/x --silence 0",
        "--state /tmp/x --silence -1",
        "--state /tmp/x --silence 5x",
        "--state /tmp/x --silence 99ms",
        "--state /tmp/x --silence 61m",
        "--state /tmp/x --insecure --insecure",
        "--state /tmp/x --silence nan",
        "--state /tmp/x --redial 1e99",
        "--state /tmp/x --redial 1 --redial 2",
        "--state /tmp/x --history-days",
        "--state /tmp/x --history-days many",
        "--state /tmp/x --history-days 36501",
        "--state /tmp/x --history-days 0 --history-days 0",
        "--state /tmp/x --history-size 0",
        "--state /tmp/x --history-size 1023K",
        "--state /tmp/x --history-size 2T",
        "--state /tmp/x --history-size 1M --history-size 1M",
        "--state /tmp/x --config /no/such/file.ini",
        "--state /tmp/x --moves-at-once 0",
        "--state /tmp/x --moves-at-once -1",
        "--state /tmp/x --moves-at-once 513",
        "--state /tmp/x --moves-at-once 1 --moves-at-once 2",
        "--state /tmp/x --socket-group a --socket-group b",
        "--state /tmp/x --tls-cert a --tls-cert b",
        "--state /tmp/x --tls-peer",
        "--state /tmp/x --tls-key=",
        "--state /tmp/x --name "
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
        "--state /tmp/x --device a --device a --device a --device a --device a --device a --device "
        "a "
        "--device a --device a --device a --device a --device a --device a --device a --device a "
        "--device a --device a",
    };
    struct vf_error err;

    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        int result = parse(wrong[i], &err);

        assert_refused(wrong[i], result, &err);
    }
}

static void the_command_line_fills_everything(void **state)
{
    struct vf_error err;

    (void)state;
    assert_int_equal(parse("--name A --state /tmp/x --listen 127.0.0.1:0 --device softgpu,vram=1G "
                           "--device softgpu --driver /a.so --moves-at-once 3 --insecure "
                           "--silence 0.5 --redial 3 --history-days 0 --history-size 2M "
                           "--scrub-on-demand",
                           &err),
                     0);
    assert_int_equal(config.action, CONFIG_RUN);
    assert_true(config.scrub_on_demand);
    assert_string_equal(config.name, "A");
    assert_string_equal(config.state, "/tmp/x");
    assert_string_equal(config.listen, "127.0.0.1:0");
    assert_int_equal(config.device_count, 2);
    assert_string_equal(config.devices[0], "softgpu,vram=1G");
    assert_string_equal(config.devices[1], "softgpu");
    assert_int_equal(config.driver_count, 1);
    assert_int_equal(config.moves_at_once, 3);
    assert_true(config.insecure);
    assert_int_equal(config.silence_ns, 500000000);
    assert_int_equal(config.redial_ns, 3000000000);
    assert_true(config.history_given);
    assert_int_equal(config.history_days, 0);
    assert_int_equal(config.history_bytes, 2 << 20);
}

static void a_device_with_equals_signs_is_one_value(void **state)
{
    struct vf_error err;

    (void)state;
    assert_int_equal(parse("--state=/tmp/x --device=softgpu,vram=1G,fw=1.2", &err), 0);
    assert_string_equal(config.devices[0], "softgpu,vram=1G,fw=1.2");
}

static void help_and_version_need_nothing_else(void **state)
{
    struct vf_error err;

    (void)state;
    assert_int_equal(parse("--help", &err), 0);
    assert_int_equal(config.action, CONFIG_HELP);
    assert_int_equal(parse("--version --nix", &err), 0);
    assert_int_equal(config.action, CONFIG_VERSION);
}

static void the_file_has_the_same_keys(void **state)
{
    struct vf_error err;

    (void)state;
    assert_int_equal(
        parse_file("; a host\nstate = /tmp/x\n[vferryd]\nname = B\nlisten = [::1]:7001\n"
                   "device = softgpu,vram=2G\ndevice = softgpu\ninsecure = yes\n"
                   "socket-group = ops\nmoves-at-once = 2\n",
                   "", &err),
        0);
    assert_string_equal(config.state, "/tmp/x");
    assert_string_equal(config.name, "B");
    assert_string_equal(config.listen, "[::1]:7001");
    assert_int_equal(config.device_count, 2);
    assert_string_equal(config.devices[0], "softgpu,vram=2G");
    assert_string_equal(config.socket_group, "ops");
    assert_int_equal(config.moves_at_once, 2);
    assert_true(config.insecure);
}

static void the_command_line_wins_over_the_file(void **state)
{
    struct vf_error err;

    (void)state;
    assert_int_equal(
        parse_file("name = B\nstate = /tmp/x\ndevice = softgpu,vfs=1\ndevice = softgpu,vfs=2\n"
                   "silence = 2\nredial = 7\nhistory-days = 5\nhistory-size = 3M\n"
                   "scrub-on-demand = yes\n",
                   "--name C --device softgpu --silence 1 --history-days 0", &err),
        0);
    assert_int_equal(config.silence_ns, 1000000000);
    assert_int_equal(config.redial_ns, 7000000000);
    assert_int_equal(config.history_days, 0);
    assert_int_equal(config.history_bytes, 3 << 20);
    assert_true(config.scrub_on_demand);
    assert_string_equal(config.name, "C");
    assert_string_equal(config.state, "/tmp/x");
    assert_int_equal(config.device_count, 1);
    assert_string_equal(config.devices[0], "softgpu");
}

static void what_is_wrong_in_the_file_is_told_with_its_line(void **state)
{
    static const struct {
        const char *content;
        const char *line;
    } cases[] = {
        {"state = /tmp/x\nnix = 1\nname = a\nalso = wrong\n", "line 2"},
        {"state = /tmp/x\n\n[other]\nname = a\n", "line 4"},
        {"state = /tmp/x\nno equals sign\n", "line 2"},
        {"state = /tmp/x\nstate = /tmp/y\n", "line 2"},
        {"state = /tmp/x\ninsecure = maybe\n", "line 2"},
        {"state = /tmp/x\ninsecure = no\ninsecure = no\n", "line 3"},
        {"state = /tmp/x\nsilence = 5\nsilence = 5s\n", "line 3"},
        {"config = other.ini\n", "line 1"},
        {"help = yes\n", "line 1"},
        {"state = /tmp/x\nredial = soon\n", "line 2"},
    };
    struct vf_error err;

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        int result = parse_file(cases[i].content, "", &err);

        assert_refused(cases[i].content, result, &err);
        assert_non_null(strstr(err.text, cases[i].line));
    }
}

static void times_take_units(void **state)
{
    struct vf_error err;

    (void)state;
    assert_int_equal(parse("--state /tmp/x --silence 500ms --redial 1m30s", &err), 0);
    assert_int_equal(config.silence_ns, 500000000);
    assert_int_equal(config.redial_ns, 90000000000);
    assert_int_equal(parse("--state /tmp/x --silence 2.5", &err), 0);
    assert_int_equal(config.silence_ns, 2500000000);
}

static void a_slip_of_the_hand_is_told_what_was_meant(void **state)
{
    struct vf_error err;

    (void)state;
    assert_int_equal(parse("--sate /tmp/x", &err), -1);
    assert_non_null(strstr(err.text, "did you mean \"--state\"?"));
    assert_int_equal(parse("--quite-another /tmp/x", &err), -1);
    assert_null(strstr(err.text, "did you mean"));
}

static void a_name_is_found_when_none_is_given(void **state)
{
    struct vf_error err;

    (void)state;
    assert_int_equal(parse("--state /tmp/x", &err), 0);
    assert_int_equal(config_finish(&config, &err), 0);
    assert_true(vf_name_valid(config.name));
}

static void a_port_beyond_loopback_needs_insecure(void **state)
{
    struct vf_error err;
    int result;

    (void)state;
    assert_int_equal(parse("--state /tmp/x --listen 127.0.0.1:7001", &err), 0);
    assert_int_equal(config_finish(&config, &err), 0);
    assert_int_equal(parse("--state /tmp/x --listen 0.0.0.0:7001", &err), 0);
    result = config_finish(&config, &err);
    assert_refused("--listen 0.0.0.0:7001", result, &err);
    assert_non_null(strstr(err.text, "--insecure"));
    assert_int_equal(parse("--state /tmp/x --listen 0.0.0.0:7001 --insecure", &err), 0);
    assert_int_equal(config_finish(&config, &err), 0);
    assert_int_equal(parse("--state /tmp/x --listen nonsense", &err), 0);
    result = config_finish(&config, &err);
    assert_refused("--listen nonsense", result, &err);
}

static void tls_is_given_whole_or_not_at_all(void **state)
{
    static const char *const partly[] = {
        "--tls-cert a",
        "--tls-key a",
        "--tls-ca a",
        "--tls-peer a",
        "--tls-cert a --tls-key a",
        "--tls-cert a --tls-ca a --tls-peer a",
        "--tls-cert a --tls-key a --tls-ca a --insecure",
    };
    struct vf_error err;
    char line[200];

    (void)state;
    for (size_t i = 0; i < sizeof partly / sizeof partly[0]; i++) {
        int result;

        (void)snprintf(line, sizeof line, "--state /tmp/x %s", partly[i]);
        assert_int_equal(parse(line, &err), 0);
        result = config_finish(&config, &err);
        assert_refused(line, result, &err);
    }
    assert_int_equal(parse("--state /tmp/x --listen 0.0.0.0:7001 --tls-cert a --tls-key b "
                           "--tls-ca c --tls-peer d.example --tls-peer 10.0.0.1",
                           &err),
                     0);
    assert_int_equal(config_finish(&config, &err), 0);
    assert_int_equal(config.tls_peer_count, 2);
    assert_string_equal(config.tls_peers[1], "10.0.0.1");
}

static void a_list_of_peers_on_the_command_line_replaces_the_files(void **state)
{
    struct vf_error err;

    (void)state;
    assert_int_equal(parse_file("state = /tmp/x\ntls-cert = a\ntls-key = b\ntls-ca = c\n"
                                "tls-peer = d.example\ntls-peer = e.example\n",
                                "--tls-key other", &err),
                     0);
    assert_string_equal(config.tls_cert, "a");
    assert_string_equal(config.tls_key, "other");
    assert_int_equal(config.tls_peer_count, 2);
    assert_string_equal(config.tls_peers[1], "e.example");
    assert_int_equal(parse_file("state = /tmp/x\ntls-cert = a\ntls-key = b\ntls-ca = c\n"
                                "tls-peer = d.example\n",
                                "--tls-peer f.example", &err),
                     0);
    assert_int_equal(config.tls_peer_count, 1);
    assert_string_equal(config.tls_peers[0], "f.example");
}

static void a_group_is_found_by_name_and_by_number(void **state)
{
    struct vf_error err;
    int result;

    (void)state;
    assert_int_equal(parse("--state /tmp/x --socket-group root", &err), 0);
    assert_int_equal(config_finish(&config, &err), 0);
    assert_int_equal(config.socket_gid, 0);
    assert_int_equal(parse("--state /tmp/x --socket-group 4711", &err), 0);
    assert_int_equal(config_finish(&config, &err), 0);
    assert_int_equal(config.socket_gid, 4711);
    assert_int_equal(parse("--state /tmp/x --socket-group no-such-group", &err), 0);
    result = config_finish(&config, &err);
    assert_refused("no such group", result, &err);
    assert_int_equal(parse("--state /tmp/x --socket-group 4294967295", &err), 0);
    result = config_finish(&config, &err);
    assert_refused("the number that means none", result, &err);
}

static void drivers_must_exist_and_become_absolute(void **state)
{
    struct vf_error err;
    int result;

    (void)state;
    assert_int_equal(parse("--state /tmp/x --driver /proc/self/../self/exe", &err), 0);
    assert_int_equal(config_finish(&config, &err), 0);
    assert_null(strstr(config.drivers[0], ".."));
    assert_int_equal(parse("--state /tmp/x --driver /no/such.so", &err), 0);
    result = config_finish(&config, &err);
    assert_refused("--driver /no/such.so", result, &err);
    assert_int_equal(parse("--state /tmp/x --device a --driver /dev/null --driver /dev/null", &err),
                     0);
    result = config_finish(&config, &err);
    assert_refused("two drivers", result, &err);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_wrong_line_is_a_usage_error_of_one_line),
        cmocka_unit_test(the_command_line_fills_everything),
        cmocka_unit_test(a_device_with_equals_signs_is_one_value),
        cmocka_unit_test(help_and_version_need_nothing_else),
        cmocka_unit_test(the_file_has_the_same_keys),
        cmocka_unit_test(the_command_line_wins_over_the_file),
        cmocka_unit_test(what_is_wrong_in_the_file_is_told_with_its_line),
        cmocka_unit_test(times_take_units),
        cmocka_unit_test(a_slip_of_the_hand_is_told_what_was_meant),
        cmocka_unit_test(a_name_is_found_when_none_is_given),
        cmocka_unit_test(a_group_is_found_by_name_and_by_number),
        cmocka_unit_test(a_port_beyond_loopback_needs_insecure),
        cmocka_unit_test(tls_is_given_whole_or_not_at_all),
        cmocka_unit_test(a_list_of_peers_on_the_command_line_replaces_the_files),
        cmocka_unit_test(drivers_must_exist_and_become_absolute),
    };

    return cmocka_run_group_tests_name("config", tests, NULL, NULL);
}
