// SPDX-License-Identifier: Apache-2.0
/* Every call of the interface goes there and back over a real socket, with the errors and sizes
 * that belong to it. */
#include "base/clock.h"
#include "kernel/call.h"
#include "kernel/events.h"
#include "kernel/tests/harness.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static void a_watched_partition_hands_out_a_descriptor(void **state)
{
    struct kc *kc = harness_connect(*state);
    struct vf_error err = VF_ERROR_INIT;
    eventfd_t count = 0;
    int fd;

    assert_int_equal(kc_partition_watch(kc, harness_partition(kc, "w", 4096, false), &fd, &err), 0);
    assert_int_equal(eventfd_read(fd, &count), 0);
    assert_int_equal(count, 1);
    (void)close(fd);
    assert_int_equal(kc_partition_watch(kc, 12345, &fd, &err), -1);
    assert_int_equal(fd, -1);
    assert_int_equal(kc_partition_reset(kc, 12345, &err), -1);
    kc_close(kc);
}

static void host_is_told(void **state)
{
    struct kc *kc = harness_connect(*state);
    struct kc_host host;

    assert_int_equal(kc_host(kc, &host, NULL), 0);
    assert_int_equal(host.kernel_pid, getpid());
    assert_int_equal(host.adapters, 2);
    assert_int_equal(host.partitions, 0);
    assert_string_equal(host.version, VFERRY_VERSION);
    assert_string_equal(host.specs, "--device fake");
    kc_close(kc);
}

static void a_drivers_call_under_way_is_told(void **state)
{
    struct kc *kc = harness_connect(*state);
    struct kc_driver_call call;

    assert_int_equal(kc_driver_call(kc, &call, NULL), 0);
    assert_int_equal(call.ns, 5);
    assert_int_equal(call.adapter, 1);
    assert_string_equal(call.ddi, "DxgkDdiStopDevice");
    assert_string_equal(call.driver, "/fake.so");
    kc_close(kc);
}

/* The kernel side of the tests says that whoever asks waits. */
static void who_waits_for_a_driver_is_told_by_connection_and_partition(void **state)
{
    struct kc *kc = harness_connect(*state), *other = harness_connect(*state);
    static struct kc_waiter waiters[KC_WAITERS];
    size_t count;

    assert_int_not_equal(kc_connection(kc), 0);
    assert_int_not_equal(kc_connection(kc), kc_connection(other));
    assert_int_equal(kc_waiters(other, waiters, &count, NULL), 0);
    assert_int_equal(count, 1);
    assert_int_equal(waiters[0].connection, kc_connection(other));
    assert_string_equal(waiters[0].partition, "p");
    assert_string_equal(waiters[0].call.ddi, "DxgkDdiStopDevice");
    kc_close(other);
    kc_close(kc);
}

static void specs_are_one_line(void **state)
{
    const char *devices[] = {"softgpu,vram=4G", "softgpu"};
    const char *drivers[] = {"/a.so"};
    struct vf_error err = VF_ERROR_INIT;
    char line[80];

    (void)state;
    assert_int_equal(kc_specs(devices, 2, drivers, 1, line, sizeof line, &err), 0);
    assert_string_equal(line, "--device softgpu,vram=4G --device softgpu --driver /a.so");
    assert_int_equal(kc_specs(devices, 2, drivers, 1, line, 20, &err), -1);
    assert_int_equal(err.code, VF_USAGE);
}

static void adapters_are_shown(void **state)
{
    struct kc *kc = harness_connect(*state);
    struct vf_error err = VF_ERROR_INIT;
    struct vf_adapter_info info;

    assert_int_equal(kc_adapter_info(kc, 1, &info, &err), 0);
    assert_int_equal(info.index, 1);
    assert_string_equal(info.description, "fake");
    assert_true(info.live_migration);
    assert_int_equal(kc_adapter_info(kc, 2, &info, &err), -1);
    assert_string_equal(err.text, "no adapter 2");
    kc_close(kc);
}

static void drivers_are_shown_and_updated(void **state)
{
    struct kc *kc = harness_connect(*state);
    struct vf_error err = VF_ERROR_INIT;
    struct vf_driver_update update;
    struct vf_driver_info info;

    assert_int_equal(kc_driver_info(kc, 1, &info, &err), 0);
    assert_string_equal(info.path, "/old.so");
    assert_int_equal(info.updates, 3);
    assert_int_equal(kc_driver_info(kc, 2, &info, &err), -1);
    assert_int_equal(kc_driver_update(kc, 1, "/new.so", true, &update, &err), 0);
    assert_int_equal(update.adapters, 2);
    assert_int_equal(update.blocks, 7);
    assert_true(update.dry_run);
    assert_string_equal(update.after, "/new.so");
    /* What it did comes with a failure, too. */
    assert_int_equal(kc_driver_update(kc, 0, "/bad.so", false, &update, &err), -1);
    assert_true(update.rolled_back);
    assert_string_equal(err.text, "the old driver is back");
    assert_int_equal(kc_driver_update(kc, 0, "relative.so", false, &update, &err), -1);
    assert_int_equal(err.code, VF_USAGE);
    assert_int_equal(kc_driver_update(kc, 0, "", false, &update, &err), -1);
    assert_int_equal(err.code, VF_USAGE);
    kc_close(kc);
}

static void a_defragmentation_tells_what_it_did_on_failure_too(void **state)
{
    struct kc *kc = harness_connect(*state);
    struct vf_error err = VF_ERROR_INIT;
    struct vf_defrag done;

    assert_int_equal(kc_defrag(kc, 0, true, &done, &err), 0);
    assert_true(done.dry_run);
    assert_int_equal(done.count, 1);
    assert_int_equal(done.moves[0].outcome, VF_DEFRAG_MOVED);
    assert_int_equal(kc_defrag(kc, 1, false, &done, &err), -1);
    assert_string_equal(err.text, "p could not be moved");
    assert_string_equal(done.moves[0].partition, "p");
    assert_int_equal(done.moves[0].outcome, VF_DEFRAG_FAILED);
    kc_close(kc);
}

static void partitions_live_and_die(void **state)
{
    struct kc *kc = harness_connect(*state);
    struct vf_error err = VF_ERROR_INIT;
    struct vf_partition_info *list;
    struct vf_partition_info info;
    struct vf_partition_params params;
    size_t count;
    uint64_t a;
    uint64_t b;

    assert_int_equal(kc_partition_list(kc, &list, &count, &err), 0);
    assert_int_equal(count, 0);
    assert_null(list);
    a = harness_partition(kc, "a", 1 << 20, false);
    b = harness_partition(kc, "b", 2 << 20, true);
    assert_int_equal(kc_partition_list(kc, &list, &count, &err), 0);
    assert_int_equal(count, 2);
    free(list);
    assert_int_equal(kc_partition_info(kc, b, &info, &err), 0);
    assert_string_equal(info.name, "b");
    assert_int_equal(info.state, VF_PARTITION_INCOMING);
    assert_int_equal(kc_partition_params(kc, b, &params, &err), 0);
    assert_int_equal(params.vram_bytes, 2 << 20);
    assert_int_equal(kc_partition_find(kc, "a", &info, &err), 0);
    assert_int_equal(info.id, a);
    assert_int_equal(kc_partition_destroy(kc, a, &err), 0);
    assert_int_equal(kc_partition_destroy(kc, a, &err), -1);
    assert_int_equal(kc_partition_find(kc, "a", &info, &err), -1);
    assert_non_null(strstr(err.text, "no partition a"));
    kc_close(kc);
}

static void driver_status_and_code_come_back(void **state)
{
    struct kc *kc = harness_connect(*state);
    struct vf_partition_params params = {.name = "a", .vram_bytes = 4096};
    struct vf_error err = VF_ERROR_INIT;
    struct vf_partition_info info;
    uint64_t id = harness_partition(kc, "a", 4096, false);

    assert_int_equal(kc_partition_create(kc, &params, false, &info, &err), -1);
    assert_int_equal(err.code, VF_INCOMPATIBLE);
    assert_int_equal(err.status, 0);
    assert_int_equal(kc_partition_resume(kc, id, &err), -1);
    assert_int_equal((uint32_t)err.status, 0xc0000184u);
    assert_string_equal(err.text, "partition is running: STATUS_INVALID_DEVICE_STATE (0xc0000184)");
    kc_close(kc);
}

static void names_are_checked(void **state)
{
    static const char *const bad[] = {"", "-a", "a/b", "a b", "\xc3\xa4"};
    struct kc *kc = harness_connect(*state);
    struct vf_partition_params params = {.vram_bytes = 4096};
    struct vf_error err = VF_ERROR_INIT;
    struct vf_partition_info info;

    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        (void)snprintf(params.name, sizeof params.name, "%s", bad[i]);
        assert_int_equal(kc_partition_create(kc, &params, false, &info, &err), -1);
        assert_int_equal(err.code, VF_USAGE);
        assert_int_equal(kc_partition_find(kc, bad[i], &info, &err), -1);
    }
    memset(params.name, 'a', sizeof params.name); /* without its end */
    assert_int_equal(kc_partition_create(kc, &params, false, &info, &err), -1);
    assert_int_equal(err.code, VF_USAGE);
    kc_close(kc);
}

static void pause_clock_and_epoch(void **state)
{
    struct kc *kc = harness_connect(*state);
    uint64_t id = harness_partition(kc, "a", 4096, false);
    struct vf_error err = VF_ERROR_INIT;
    struct vf_partition_clock moments;
    struct vf_partition_info info;

    assert_int_equal(kc_partition_pause(kc, id, &err), 0);
    assert_int_equal(kc_partition_info(kc, id, &info, &err), 0);
    assert_int_equal(info.state, VF_PARTITION_PAUSED);
    assert_int_equal(kc_partition_resume(kc, id, &err), 0);
    assert_int_equal(kc_partition_clock(kc, id, &moments, &err), 0);
    assert_int_equal(moments.last_run_ns, 11);
    assert_int_equal(moments.runtime_ns, 33);
    assert_int_equal(kc_partition_set_epoch(kc, id, 7, &err), 0);
    assert_int_equal(kc_partition_set_epoch(kc, id, 6, &err), -1);
    kc_close(kc);
}

static void long_bar_accesses_are_split(void **state)
{
    enum { BYTES = 3 * 65536 + 17 };
    struct kc *kc = harness_connect(*state);
    uint64_t id = harness_partition(kc, "a", 1 << 20, false);
    struct vf_error err = VF_ERROR_INIT;
    unsigned char *sent = malloc(BYTES);
    unsigned char *got = calloc(1, BYTES);

    assert_non_null(sent);
    assert_non_null(got);
    for (size_t i = 0; i < BYTES; i++)
        sent[i] = (unsigned char)(i * 31 + i / 256);
    assert_int_equal(kc_bar_write(kc, id, FAKE_VRAM_BAR, 5, sent, BYTES, &err), 0);
    assert_int_equal(kc_bar_read(kc, id, FAKE_VRAM_BAR, 5, got, BYTES, &err), 0);
    assert_memory_equal(sent, got, BYTES);
    assert_int_equal(kc_bar_read(kc, id, FAKE_VRAM_BAR, (1 << 20) - 4, got, 8, &err), -1);
    assert_int_equal(kc_bar_read(kc, id, FAKE_VRAM_BAR, UINT64_MAX - 3, got, 8, &err), -1);
    assert_int_equal(kc_bar_write(kc, id, FAKE_VRAM_BAR, 0, sent, 0, &err), 0);
    free(sent);
    free(got);
    kc_close(kc);
}

static void migration_data_keeps_every_byte(void **state)
{
    struct kc *kc = harness_connect(*state);
    uint64_t id = harness_partition(kc, "a", 4096, false);
    struct vf_error err = VF_ERROR_INIT;
    struct vf_partition_info info;
    struct vf_reasons reasons;
    struct kc_blob first;
    struct kc_blob second;
    struct kc_blob third = {0};

    assert_int_equal(kc_prepare(kc, id, KC_SOURCE, 77, &err), 0);
    assert_int_equal(kc_partition_info(kc, id, &info, &err), 0);
    assert_int_equal(info.state, VF_PARTITION_OUTGOING);
    assert_int_equal(info.job, 77);
    assert_int_equal(kc_save_immutable(kc, id, &first, &second, &err), 0);
    assert_int_equal(first.bytes, FAKE_KMD_BYTES);
    assert_int_equal(second.bytes, FAKE_UMED_BYTES);
    assert_int_equal(kc_restore_immutable(kc, id, &first, &second, &reasons, &err), 0);
    assert_int_equal(reasons.count, 0);
    kc_blob_free(&first);
    kc_blob_free(&second);
    assert_int_equal(kc_save_mutable(kc, id, &first, &second, &third, &err), 0);
    assert_int_equal(first.bytes, VF_MAX_MIGRATION_BLOB);
    assert_int_equal(second.bytes, 0);
    assert_int_equal(third.bytes, FAKE_UMED_BYTES);
    assert_int_equal(kc_restore_mutable(kc, id, &first, &second, &third, &err), 0);
    third.bytes--;
    assert_int_equal(kc_restore_mutable(kc, id, &first, &second, &third, &err), -1);
    first.bytes++; /* never read: refused before it is sent */
    assert_int_equal(kc_restore_mutable(kc, id, &first, &second, &third, &err), -1);
    kc_blob_free(&first);
    kc_blob_free(&third);
    assert_int_equal(kc_end(kc, id, &err), 0);
    kc_close(kc);
}

static void a_mismatch_brings_its_reasons(void **state)
{
    struct kc *kc = harness_connect(*state);
    uint64_t id = harness_partition(kc, "a", 4096, true);
    struct vf_error err = VF_ERROR_INIT;
    struct kc_blob kmd = {(void *)(uintptr_t) "other", 5};
    struct kc_blob umed = {NULL, 0};
    struct vf_reasons reasons;

    assert_int_equal(kc_restore_immutable(kc, id, &kmd, &umed, &reasons, &err), -1);
    assert_int_equal(err.code, VF_INCOMPATIBLE);
    assert_int_equal((uint32_t)err.status, 0xc0000024u);
    assert_int_equal(reasons.count, 2);
    assert_string_equal(reasons.list[0].field, "firmware");
    assert_string_equal(reasons.list[1].target, "6");
    kc_close(kc);
}

/* 2 GiB in 4 KiB pages: more bits than one packet holds. */
static void dirty_bits_come_whole(void **state)
{
    enum { PAGES = 524288 + 8, WORDS = (PAGES + 63) / 64 };
    struct kc *kc = harness_connect(*state);
    uint64_t id = harness_partition(kc, "a", (uint64_t)PAGES * FAKE_PAGE, false);
    static const uint64_t touched[] = {0, 63, 64, 300000, PAGES - 1};
    struct vf_error err = VF_ERROR_INIT;
    uint64_t *bits = malloc(WORDS * sizeof *bits + 8);
    struct kc_sample sample;
    uint64_t dirty;

    assert_non_null(bits);
    for (size_t i = 0; i < 5; i++)
        assert_int_equal(kc_bar_write(kc, id, FAKE_VRAM_BAR, touched[i] * FAKE_PAGE, "x", 1, &err),
                         0);
    assert_int_equal(kc_query_dirty(kc, id, bits, WORDS - 1, &dirty, &err),
                     -1); /* and takes nothing away */
    assert_int_equal(err.code, VF_USAGE);
    memset(bits, 0xff, WORDS * sizeof *bits + 8);
    assert_int_equal(kc_query_dirty(kc, id, bits, WORDS + 1, &dirty, &err), 0);
    assert_int_equal(dirty, 5);
    for (size_t i = 0; i < 5; i++) {
        assert_true(bits[touched[i] / 64] >> touched[i] % 64 & 1);
        bits[touched[i] / 64] &= ~(1ull << touched[i] % 64);
    }
    for (size_t i = 0; i < WORDS + 1; i++)
        assert_int_equal(bits[i], 0);
    assert_int_equal(kc_query_dirty(kc, id, bits, WORDS, &dirty, &err), 0);
    assert_int_equal(dirty, 0);
    assert_int_equal(kc_bar_write(kc, id, FAKE_VRAM_BAR, 300000 * FAKE_PAGE, "x", 1, &err), 0);
    assert_int_equal(kc_sample_dirty(kc, id, bits, WORDS - 1, &sample, &err), -1);
    assert_int_equal(kc_sample_dirty(kc, id, bits, WORDS + 1, &sample, &err), 0);
    assert_true(sample.dirty == 1 && sample.touched == 3 && !sample.everything);
    assert_true(bits[300000 / 64] >> 300000 % 64 & 1);
    free(bits);
    kc_close(kc);
}

static void events_are_numbered_and_the_oldest_go(void **state)
{
    struct harness *harness = *state;
    struct kc *kc = harness_connect(harness);
    struct kc_event *events = calloc(1100, sizeof *events);
    struct vf_error err = VF_ERROR_INIT;
    uint64_t before, after;
    char text[620], filler[600];
    size_t count;

    assert_non_null(events);
    assert_int_equal(kc_events(kc, 0, events, 10, &count, &err), 0);
    assert_int_equal(count, 0);
    before = vf_realtime_ns();
    fake_event(harness->dxgk, "triage", "one\ntwo");
    after = vf_realtime_ns();
    assert_int_equal(kc_events(kc, 0, events, 10, &count, &err), 0);
    assert_int_equal(count, 1);
    assert_int_equal(events[0].number, 1);
    assert_in_range(events[0].time_ns, before, after);
    assert_string_equal(events[0].kind, "triage");
    assert_string_equal(events[0].text, "one two");
    memset(filler, 'x', sizeof filler - 1);
    filler[sizeof filler - 1] = '\0';
    for (unsigned i = 0; i < 1100; i++) {
        (void)snprintf(text, sizeof text, "adapter %u: %.580s", i, filler);
        fake_event(harness->dxgk, "fault", text);
    }
    assert_int_equal(kc_events(kc, 1, events, 1100, &count, &err), 0);
    assert_int_equal(count, 1024);
    assert_int_equal(events[0].number, 1101 - 1023);
    assert_int_equal(events[1023].number, 1101);
    assert_int_equal(strlen(events[0].text), sizeof events[0].text - 1);
    assert_int_equal(kc_events(kc, 1099, events, 1, &count, &err), 0);
    assert_int_equal(count, 1);
    assert_int_equal(events[0].number, 1100);
    assert_int_equal(kc_events(kc, 1101, events, 9, &count, &err), 0);
    assert_int_equal(count, 0);
    assert_int_equal(kc_events(kc, UINT64_MAX, events, 9, &count, &err), 0);
    assert_int_equal(count, 0);
    free(events);
    kc_close(kc);
}

/* A guest that faults without end. Another one's fault is told as ever. */
static void repeated_events_are_told_less_often_and_counted(void **state)
{
    struct ks_events *events = calloc(1, sizeof *events);
    struct kc_event *told = calloc(64, sizeof *told);
    uint64_t last;
    char text[64];

    (void)state;
    assert_non_null(events);
    assert_non_null(told);
    ks_events_init(events);
    for (unsigned i = 0; i < 50; i++) {
        (void)snprintf(text, sizeof text, "adapter 0 VF 1: fault at 0x%x", i);
        ks_events_add(events, "triage", text);
    }
    ks_events_add(events, "triage", "adapter 0 VF 2: fault at 0x1");
    assert_int_equal(ks_events_read(events, 0, told, 64), VF_LIMIT_BURST + 1);
    assert_string_equal(told[VF_LIMIT_BURST].text, "adapter 0 VF 2: fault at 0x1");
    last = told[VF_LIMIT_BURST].number;
    for (size_t i = 0; i < VF_LIMIT_TEXTS; i++) /* the period is over */
        events->limit.texts[i].begin_ns -= 2 * VF_LIMIT_PERIOD_NS;
    assert_int_equal(ks_events_read(events, last, told, 64), 1);
    assert_string_equal(told[0].kind, "triage");
    assert_non_null(strstr(told[0].text, "adapter 0 VF 1: fault at 0x0 (and 30 more like this in"));
    ks_events_destroy(events);
    free(told);
    free(events);
}

struct caller {
    struct kc *kc;
    uint64_t id;
    unsigned wrong;
};

static void *call_often(void *arg)
{
    struct caller *caller = arg;

    for (unsigned i = 0; i < 200; i++) {
        uint64_t offset = (caller->id * 200 + i) * 8 % 4096;
        uint64_t sent = caller->id << 32 | i;
        uint64_t got = 0;

        if (kc_bar_write(caller->kc, caller->id, FAKE_VRAM_BAR, offset, &sent, sizeof sent, NULL) !=
                0 ||
            kc_bar_read(caller->kc, caller->id, FAKE_VRAM_BAR, offset, &got, sizeof got, NULL) !=
                0 ||
            got != sent)
            caller->wrong++;
    }
    return NULL;
}

static void threads_share_a_connection(void **state)
{
    struct kc *kc = harness_connect(*state);
    struct caller callers[4];
    pthread_t threads[4];

    for (unsigned i = 0; i < 4; i++) {
        char name[8];

        (void)snprintf(name, sizeof name, "p%u", i);
        callers[i] = (struct caller){kc, harness_partition(kc, name, 8192, false), 0};
    }
    for (unsigned i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, call_often, &callers[i]), 0);
    for (unsigned i = 0; i < 4; i++) {
        (void)pthread_join(threads[i], NULL);
        assert_int_equal(callers[i].wrong, 0);
    }
    kc_close(kc);
}

static void the_socket_is_for_its_user_only(void **state)
{
    struct harness *harness = *state;
    struct stat about;

    assert_int_equal(stat(harness->socket, &about), 0);
    assert_int_equal(about.st_mode & 0777, 0600);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, harness_setup, harness_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(repeated_events_are_told_less_often_and_counted),
        CASE(host_is_told),
        CASE(a_drivers_call_under_way_is_told),
        CASE(who_waits_for_a_driver_is_told_by_connection_and_partition),
        CASE(specs_are_one_line),
        CASE(adapters_are_shown),
        CASE(drivers_are_shown_and_updated),
        CASE(a_defragmentation_tells_what_it_did_on_failure_too),
        CASE(partitions_live_and_die),
        CASE(driver_status_and_code_come_back),
        CASE(names_are_checked),
        CASE(pause_clock_and_epoch),
        CASE(a_watched_partition_hands_out_a_descriptor),
        CASE(long_bar_accesses_are_split),
        CASE(migration_data_keeps_every_byte),
        CASE(a_mismatch_brings_its_reasons),
        CASE(dirty_bits_come_whole),
        CASE(events_are_numbered_and_the_oldest_go),
        CASE(threads_share_a_connection),
        CASE(the_socket_is_for_its_user_only),
    };

    return cmocka_run_group_tests_name("kernel: calls", tests, NULL, NULL);
}
