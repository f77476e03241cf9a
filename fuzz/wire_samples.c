// SPDX-License-Identifier: Apache-2.0
/* See wire_samples.h. */
#include "fuzz/wire_samples.h"

#include "fuzz/target.h"

#include <string.h>

static const struct wire_handoff id = {.job = {1}, .uuid = {2}, .epoch = 3};

static void fill(struct wire_message *m)
{
    switch (m->tag) {
    case WIRE_HELLO:
        m->hello = (struct wire_hello){.version_min = 1,
                                       .version_max = 2,
                                       .host_name = "a",
                                       .stream_index = 1,
                                       .listen_address = "10.0.0.1:7001",
                                       .generation = 1};
        break;
    case WIRE_ADMIT:
        m->admit = (struct wire_admit){.params = {.name = "vm", .vram_bytes = 1u << 30},
                                       .page_bytes = 65536,
                                       .slot_bytes = 1u << 20,
                                       .streams = 2,
                                       .epoch = 4,
                                       .max_blackout_ns = 750000000,
                                       .kmd = {"kmd!", 4},
                                       .umed = {"um", 2},
                                       .max_time_ns = 60000000000,
                                       .queued = 1,
                                       .sent_page_bytes = 4096,
                                       .key = {7, 8}};
        break;
    case WIRE_ADMITTED:
        m->admitted = (struct wire_admitted){.token = {7}, .slot_bytes = 1u << 20};
        break;
    case WIRE_REFUSED:
    case WIRE_VERDICT:
        m->verdict.code = VF_INCOMPATIBLE;
        vf_reason_add(&m->verdict.reasons, "driver", "1.2", "1.1", "update the target");
        vf_reason_add(&m->verdict.reasons, "vram", "4 GiB", "2 GiB", "free some");
        (void)snprintf(m->verdict.text, sizeof m->verdict.text, "two reasons");
        break;
    case WIRE_STATE:
        m->state =
            (struct wire_state){.kmd = {"kmd!", 4}, .msix = {"msx", 3}, .pages_total_sent = 5};
        break;
    case WIRE_READY:
        m->ready = (struct wire_ready){.id = id, .verify_ns = 1, .state_ns = 2};
        break;
    case WIRE_RUNNING:
        m->running = (struct wire_running){.id = id, .resume_ns = 1, .first_run_ns = 2};
        break;
    case WIRE_COMMIT:
    case WIRE_DONE:
    case WIRE_INQUIRE:
    case WIRE_NEVER_RAN:
        m->handoff = id;
        break;
    case WIRE_ACCOUNT:
        m->account = (struct wire_account){.id = id,
                                           .record = 3,
                                           .side = 1,
                                           .held = 7,
                                           .time_ns = 1700000000000000000u,
                                           .text = "why"};
        break;
    case WIRE_CAPACITY:
        m->capacity = (struct wire_capacity){.version = "0.1.0",
                                             .takes = 1,
                                             .partitions = 3,
                                             .count = 1,
                                             .adapters = {{.device = "softgpu",
                                                           .vf_count = 8,
                                                           .vf_free = 5,
                                                           .vram_bytes = 4ull << 30,
                                                           .vram_free_bytes = 2ull << 30,
                                                           .vram_largest_bytes = 1ull << 30,
                                                           .live_migration = 1}}};
        break;
    case WIRE_RESUME:
    case WIRE_RESUMED:
        m->resume = (struct wire_resume){.id = id, .generation = 1, .next_round = 2};
        break;
    case WIRE_TABLE:
        m->table = (struct wire_table){.first = 7, .count = 2, .digests = "digest 7digest 8"};
        break;
    case WIRE_ABORT:
        m->abort = (struct wire_abort){.code = VF_FAILED, .text = "why"};
        break;
    default: /* numbers alone: zeros will do */
        break;
    }
}

bool wire_sample(enum wire_tag tag, struct wire_message *out)
{
    memset(out, 0, sizeof *out);
    out->tag = tag;
    fill(out);
    return !wire_is_frame(tag) && (tag < WIRE_INQUIRE || tag > WIRE_NEVER_RAN) && tag > 0 &&
           tag < WIRE_TAG_END;
}

size_t wire_sample_payload(enum wire_tag tag, uint8_t *out, size_t capacity)
{
    struct vf_error err = VF_ERROR_INIT;
    struct wire_message message;
    struct wire_writer w;
    size_t bytes;

    if (!wire_sample(tag, &message))
        return 0;
    wire_writer_init(&w);
    fuzz_must(wire_encode(&message, &w, &err) == 0 && w.bytes <= capacity);
    bytes = w.bytes;
    if (bytes > 0)
        memcpy(out, w.data, bytes);
    wire_writer_free(&w);
    return bytes;
}
