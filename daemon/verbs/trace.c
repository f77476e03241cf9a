// SPDX-License-Identifier: Apache-2.0
/* The verb trace record: what a partition writes while it works, by its dirty bits. It takes
 * nothing from a later move: dxgk keeps in its history what is read here. */
#include "base/cleanup.h"
#include "base/clock.h"
#include "daemon/verbs/verbs.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <string.h>

#define MAX_SECONDS 3600u
#define INTERVAL_NS 100000000u
#define MAX_SAMPLES 1000u

/* Who records takes the bits that another would see: one at a time on a host. */
static atomic_flag recording = ATOMIC_FLAG_INIT;

struct record {
    struct vf_partition_info partition;
    uint64_t *bits, *seen; /* of the last sample, of all */
    size_t words;
    struct kc_sample sample;
    uint64_t sampled_ns; /* when the last one was taken */
    json_t *samples;
};

static void put(json_t *object, const char *key, uint64_t value)
{
    (void)json_object_set_new(object, key, json_integer((json_int_t)value));
}

/* Takes a sample. One that a driver update has made meaningless is none; the first one only says
 * from when on the next counts. */
static int take(struct request *request, struct record *record, bool counts, struct vf_error *err)
{
    const uint64_t before = record->sampled_ns;
    json_t *object;

    if (kc_sample_dirty(request->kc, record->partition.id, record->bits, record->words,
                        &record->sample, err) != 0)
        return -1;
    record->sampled_ns = vf_now_ns();
    if (!counts || record->sample.everything)
        return 0;
    for (size_t i = 0; i < record->words; i++)
        record->seen[i] |= record->bits[i];
    object = json_object();
    put(object, "duration_ns", record->sampled_ns - before);
    put(object, "dirty_bytes", record->sample.dirty * record->partition.page_bytes);
    return json_array_append_new(record->samples, object) == 0
               ? 0
               : vf_fail(err, VF_FAILED, "trace record: " VF_NO_MEMORY);
}

/* Samples until the time is over. */
static int record_for(struct request *request, struct record *record, uint64_t ns,
                      uint64_t interval_ns, struct vf_error *err)
{
    struct vf_partition_info again;
    struct vf_error why = VF_ERROR_INIT;
    uint64_t end;

    if (take(request, record, false, err) != 0)
        return -1;
    end = record->sampled_ns + ns;
    while (record->sampled_ns < end) {
        if (request_abandoned(request, (int)(interval_ns / 1000000u)))
            return vf_fail(err, VF_FAILED,
                           "partition %s: the daemon is ending" VF_REMEDY
                           "the partition works on; record it again once the daemon is back",
                           record->partition.name);
        if (take(request, record, true, &why) == 0)
            continue;
        /* It may have moved: then where it went says more. */
        if (find_partition(request, &again, err) == 0)
            *err = why;
        return -1;
    }
    return 0;
}

static uint64_t pages_seen(const struct record *record)
{
    uint64_t count = 0;

    for (size_t i = 0; i < record->words; i++)
        count += (uint64_t)__builtin_popcountll(record->seen[i]);
    return count;
}

static json_t *result_of(struct record *record, uint64_t started_ns, uint64_t interval_ns)
{
    const struct vf_partition_info *partition = &record->partition;
    json_t *object =
        json_pack("{s:s, s:s}", "schema", "vferry.trace/1", "partition", partition->name);

    put(object, "started_unix_ns", started_ns);
    put(object, "vram_bytes", partition->vram_bytes);
    put(object, "page_bytes", partition->page_bytes);
    put(object, "touched_bytes", record->sample.touched * partition->page_bytes);
    put(object, "working_set_bytes", pages_seen(record) * partition->page_bytes);
    put(object, "interval_ns", interval_ns);
    (void)json_object_set_new(object, "samples", vf_take_ptr(record->samples));
    return object;
}

static int record_partition(struct request *request, struct record *record, uint64_t seconds,
                            struct vf_error *err)
{
    const uint64_t ns = seconds * 1000000000u;
    /* A long recording has longer intervals, and no more of them. */
    const uint64_t interval = ns / MAX_SAMPLES > INTERVAL_NS ? ns / MAX_SAMPLES : INTERVAL_NS;
    const uint64_t started = vf_realtime_ns();
    cleanup_free uint64_t *planes = NULL;

    if (record->partition.page_bytes == 0)
        return vf_fail(err, VF_INCOMPATIBLE, "partition %s: its adapter tracks no dirty pages",
                       record->partition.name);
    record->words = (record->partition.vram_bytes / record->partition.page_bytes + 63) / 64;
    planes = calloc(2 * record->words, sizeof *planes);
    if (planes == NULL || record->samples == NULL)
        return vf_fail(err, VF_FAILED, "trace record: " VF_NO_MEMORY);
    record->bits = planes;
    record->seen = planes + record->words;
    if (record_for(request, record, ns, interval, err) != 0)
        return -1;
    if (json_array_size(record->samples) == 0)
        return vf_fail(err, VF_REFUSED_NOW,
                       "partition %s: a driver update came between, and nothing was "
                       "recorded" VF_REMEDY "record it again",
                       record->partition.name);
    request->result = result_of(record, started, interval);
    return 0;
}

int verb_trace_record(struct request *request, struct vf_error *err)
{
    struct record record = {.samples = NULL};
    struct kc *kc;
    uint64_t seconds;
    int status;

    if (request_number(request, "seconds", &seconds, err) != 0)
        return -1;
    if (seconds == 0 || seconds > MAX_SECONDS)
        return vf_fail(err, VF_USAGE, "--seconds: is out of range" VF_REMEDY "give 1s to 1h");
    if (request_kc(request, &kc, err) != 0 || find_partition(request, &record.partition, err) != 0)
        return -1;
    if (atomic_flag_test_and_set(&recording))
        return vf_fail(err, VF_REFUSED_NOW,
                       "partition %s: another recording is under way on this host" VF_REMEDY
                       "try again when it is over",
                       record.partition.name);
    record.samples = json_array();
    status = record_partition(request, &record, seconds, err);
    json_decref(record.samples);
    atomic_flag_clear(&recording);
    return status;
}
