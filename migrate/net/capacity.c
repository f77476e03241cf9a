// SPDX-License-Identifier: Apache-2.0
/* See capacity.h. */
#define LOG_ROOM "migrate"
#include "migrate/net/capacity.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/thread.h"
#include "kernel/client.h"

#include <stdio.h>
#include <string.h>

/* ---- the host that is asked ---- */

static int look(struct mig *mig, struct wire_capacity *out, struct vf_error *err)
{
    struct kc_host host;
    struct kc *kc;
    int result;

    if (kc_connect(mig->kernel_socket, &kc, err) != 0)
        return -1;
    result = kc_host(kc, &host, err);
    for (uint32_t i = 0; result == 0 && i < host.adapters && i < VF_MAX_ADAPTERS; i++) {
        struct vf_adapter_info info;

        result = kc_adapter_info(kc, i, &info, err);
        if (result != 0)
            break;
        out->adapters[out->count] = (struct wire_adapter){
            .vf_count = info.vf_count,
            .vf_free = info.vf_free,
            .vram_bytes = info.vram_bytes,
            .vram_free_bytes = info.vram_free_bytes,
            .vram_largest_bytes = info.vram_largest_bytes,
            .live_migration = info.live_migration,
        };
        memcpy(out->adapters[out->count++].device, info.device, sizeof info.device);
    }
    if (result == 0)
        out->partitions = host.partitions;
    kc_close(kc);
    return result;
}

static void takes(struct mig *mig, struct wire_capacity *out)
{
    bool ending;

    vf_lock(&mig->lock);
    ending = mig_ending(mig);
    vf_unlock(&mig->lock);
    out->takes = !ending && !mig_cordoned(mig);
    if (!out->takes)
        (void)snprintf(out->why, sizeof out->why, "host %s is %s", mig->host_name,
                       ending ? "being stopped" : "cordoned");
}

void capacity_reply(struct mig *mig, struct tp *tp, uint64_t deadline_ns)
{
    struct wire_message message;
    struct vf_error err = VF_ERROR_INIT;

    if (wire_expect(tp, WIRE_ASK_CAPACITY, &message, deadline_ns, &err) != 0) {
        log_debug("%s", err.text);
        tp_close(tp);
        return;
    }
    wire_message_free(&message);
    message = (struct wire_message){.tag = WIRE_CAPACITY};
    (void)snprintf(message.capacity.version, sizeof message.capacity.version, "%s", VFERRY_VERSION);
    takes(mig, &message.capacity);
    if (look(mig, &message.capacity, &err) != 0)
        wire_say_abort(tp, &err);
    else if (wire_say(tp, &message, deadline_ns, &err) == 0)
        (void)wire_hear(tp, &message, deadline_ns, &err); /* its close: it has read all */
    wire_message_free(&message);
    tp_close(tp);
}

/* ---- the host that asks ---- */

static int ask(struct mig *mig, struct tp *tp, struct mig_peer *peer, struct wire_message *out,
               struct vf_error *err)
{
    static const uint8_t none[WIRE_ID_BYTES];
    uint64_t deadline = vf_now_ns() + mig->silence_ns;
    struct wire_message question = {.tag = WIRE_ASK_CAPACITY};
    struct wire_hello hello;

    mig_hello(mig, none, &hello);
    if (mig_greet(tp, &hello, deadline, peer, err) != 0)
        return -1;
    if ((peer->hello.features_optional & WIRE_FEATURE_CAPACITY) == 0)
        return vf_fail(err, VF_FAILED,
                       "peer %s: its vferryd is too old to say what is free there" VF_REMEDY
                       "update it, or name this host as the only one to go to",
                       tp->peer);
    if (wire_say(tp, &question, deadline, err) != 0)
        return -1;
    return wire_expect(tp, WIRE_CAPACITY, out, deadline, err);
}

static json_t *adapter_object(uint32_t index, const struct wire_adapter *adapter)
{
    return json_pack("{s:I, s:s, s:b, s:I, s:I, s:I, s:I, s:I}", "adapter", (json_int_t)index,
                     "device", adapter->device, "live_migration", adapter->live_migration,
                     "vf_count", (json_int_t)adapter->vf_count, "vf_free",
                     (json_int_t)adapter->vf_free, "vram_bytes", (json_int_t)adapter->vram_bytes,
                     "vram_free_bytes", (json_int_t)adapter->vram_free_bytes, "vram_largest_bytes",
                     (json_int_t)adapter->vram_largest_bytes);
}

static json_t *capacity_object(const char *address, const struct mig_peer *peer, bool itself,
                               const struct wire_capacity *capacity)
{
    json_t *adapters = json_array();
    json_t *why = capacity->takes ? json_null() : json_string(capacity->why);

    for (uint32_t i = 0; i < capacity->count; i++)
        (void)json_array_append_new(adapters, adapter_object(i, &capacity->adapters[i]));
    return json_pack("{s:s, s:s, s:s, s:s, s:b, s:b, s:o, s:I, s:o}", "schema", "vferry.peer/1",
                     "name", peer->hello.host_name, "address", address, "version",
                     capacity->version, "itself", itself, "takes_partitions", capacity->takes,
                     "why_not", why, "partitions", (json_int_t)capacity->partitions, "adapters",
                     adapters);
}

int mig_ask_capacity(struct mig *mig, const char *address, json_t **out, struct vf_error *err)
{
    struct wire_message answer = {0};
    struct mig_peer peer;
    struct tp *tp;
    int result;

    if (mig_dial(mig, address, vf_now_ns() + mig->silence_ns, &tp, err) != 0)
        return -1;
    result = ask(mig, tp, &peer, &answer, err);
    tp_close(tp);
    if (result == 0) {
        *out = capacity_object(address, &peer, mig_looks_like_us(mig, &peer.hello),
                               &answer.capacity);
        if (*out == NULL)
            result = vf_fail(err, VF_FAILED, "peer %s: its words are no text in UTF-8", address);
        wire_message_free(&answer);
    }
    return result;
}
