// SPDX-License-Identifier: Apache-2.0
/*
 * What `vferry plan` reads. Input: u8 mode, then a fleet's description (FLEET) or a recording
 * (TRACE). Whatever it is, it is refused with one line, or planned within all limits.
 */
#include "fuzz/target.h"

#include "cli/plan/fleet.h"
#include "cli/plan/trace.h"

#include <math.h>
#include <string.h>

enum mode { FLEET, TRACE, MODES };

static const struct plan_move limits = {.page_bytes = PLAN_BLOCK_BYTES,
                                        .fixed_blackout_ns = PLAN_FIXED_BLACKOUT_NS,
                                        .max_blackout_ns = PLAN_MAX_BLACKOUT_NS,
                                        .throttle_most = 99};

static void judge(const struct vf_error *err)
{
    fuzz_must(err->code == VF_USAGE && err->text[0] != '\0' && strchr(err->text, '\n') == NULL);
}

static void check_outcome(const struct plan_outcome *outcome)
{
    fuzz_must(outcome->round_count <= PLAN_MAX_ROUNDS + 1 && outcome->why[0] != '\0');
    fuzz_must(!outcome->completes || outcome->blackout_ns <= PLAN_MAX_BLACKOUT_NS);
}

static void check_fleet(const struct fleet *fleet)
{
    const struct fleet_wish wish = {.at_once = 2};
    struct fleet_move *moves = calloc(fleet->partition_count, sizeof *moves);

    fuzz_must(fleet->host_count > 0 && fleet->partition_count > 0 && moves != NULL);
    fuzz_must(fleet_place(fleet, &wish, moves) >= 0);
    fuzz_must(fleet_schedule(fleet, &wish, moves) == 0);
    for (size_t i = 0; i < fleet->partition_count; i++) {
        fuzz_must(fleet->partitions[i].host < fleet->host_count);
        if (!moves[i].leaves || moves[i].to == FLEET_NOWHERE)
            continue;
        fuzz_must(moves[i].to < fleet->host_count && fleet->hosts[moves[i].to].takes);
        fuzz_must(moves[i].bytes_per_s >= FLEET_LEAST_RATE);
        check_outcome(&moves[i].outcome);
    }
    free(moves);
}

static void test_fleet(struct fuzz_input *in)
{
    struct vf_error err = VF_ERROR_INIT;
    struct fleet fleet;

    if (fleet_read((const char *)in->at, in->left, "f", &limits, &fleet, &err) == 0)
        check_fleet(&fleet);
    else
        judge(&err);
    fleet_free(&fleet);
}

static void test_trace(struct fuzz_input *in)
{
    struct vf_error err = VF_ERROR_INIT;
    struct plan_move move = limits;
    struct plan_outcome outcome;
    struct trace_file file;

    if (trace_read((const char *)in->at, in->left, "t", &file, &err) == 0) {
        fuzz_must(file.working_set_bytes <= file.touched_bytes);
        for (size_t i = 0; i < file.trace.count; i++)
            fuzz_must(isfinite(file.rates[i]) && file.rates[i] >= 0);
        move.touched_bytes = file.touched_bytes;
        move.working_set_bytes = file.working_set_bytes;
        move.page_bytes = file.page_bytes;
        move.trace = &file.trace;
        move.link_bytes_per_s = FLEET_LEAST_RATE;
        plan_simulate(&move, &outcome);
        check_outcome(&outcome);
    } else {
        judge(&err);
    }
    trace_free(&file);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input in = {data, size};

    if (fuzz_number(&in, 1) % MODES == FLEET)
        test_fleet(&in);
    else
        test_trace(&in);
    return 0;
}

size_t fuzz_seed(unsigned index, uint8_t *data)
{
    static const struct {
        uint8_t mode;
        const char *text;
    } seeds[] = {
        {FLEET, "{\"schema\":\"vferry.fleet/1\",\"nic_bytes_per_s\":\"1GB/s\",\"hosts\":["
                "{\"name\":\"a\",\"evacuate\":true},{\"name\":\"b\",\"vram_free_bytes\":\"24G\","
                "\"vf_free\":3},{\"name\":\"c\",\"vram_free_bytes\":9999999,\"vf_free\":8,"
                "\"nic_bytes_per_s\":\"500MB/s\"},{\"name\":\"d\",\"cordoned\":true}],"
                "\"links\":[{\"a\":\"a\",\"b\":\"c\",\"bytes_per_s\":2000000}],\"partitions\":["
                "{\"name\":\"p\",\"host\":\"a\",\"vram_bytes\":\"8G\",\"touched_bytes\":\"5G\","
                "\"write_bytes_per_s\":\"50MB/s\",\"page_bytes\":65536},{\"name\":\"q\",\"host\":"
                "\"a\",\"vram_bytes\":\"1M\",\"write_bytes_per_s\":0,\"working_set_bytes\":1}]}"},
        {FLEET, "{\"hosts\":[{\"name\":\"a\",\"evacuate\":true,\"nic_bytes_per_s\":\"1M\"}],"
                "\"partitions\":[{\"name\":\"p\",\"host\":\"a\",\"vram_bytes\":4096,"
                "\"write_bytes_per_s\":1}]}"},
        {TRACE,
         "{\"schema\":\"vferry.trace/1\",\"partition\":\"p\",\"started_unix_ns\":1,"
         "\"vram_bytes\":1048576,\"page_bytes\":65536,\"touched_bytes\":524288,"
         "\"working_set_bytes\":262144,\"interval_ns\":100000000,\"samples\":["
         "{\"duration_ns\":100000000,\"dirty_bytes\":131072},"
         "{\"duration_ns\":1,\"dirty_bytes\":262144},{\"duration_ns\":7,\"dirty_bytes\":0}]}"},
    };
    size_t bytes;

    if (index >= sizeof seeds / sizeof seeds[0])
        return 0;
    bytes = strlen(seeds[index].text);
    data[0] = seeds[index].mode;
    memcpy(data + 1, seeds[index].text, bytes);
    return 1 + bytes;
}
