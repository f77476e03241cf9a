// SPDX-License-Identifier: Apache-2.0
/* Verbs about the host as a whole: host, adapter. */
#define LOG_ROOM "host"
#include "base/log.h"
#include "base/size.h"
#include "daemon/cordon.h"
#include "daemon/kernel/watchdog.h"
#include "daemon/verbs/verbs.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>


/* What only the kernel side knows; null from one that does not answer. */
static void put_kernel(json_t *result, const struct kc_host *host)
{
    static const char *const keys[] = {"kernel_version", "kernel", "adapters", "partitions"};

    for (size_t i = 0; host == NULL && i < sizeof keys / sizeof keys[0]; i++)
        (void)json_object_set_new(result, keys[i], json_null());
    if (host == NULL)
        return;
    put_text(result, "kernel_version", host->version);
    put_text(result, "kernel", host->specs);
    put_number(result, "adapters", host->adapters);
    put_number(result, "partitions", host->partitions);
}

int verb_host_show(struct request *request, struct vf_error *err)
{
    struct daemon *daemon = request->daemon;
    uint64_t silent_ns = watchdog_silent_ns(daemon);
    bool answers = silent_ns == 0;
    struct kc_host host;
    struct kc *kc;
    char word[200];

    if (answers && (request_kc(request, &kc, err) != 0 || kc_host(kc, &host, err) != 0)) {
        silent_ns = watchdog_silent_ns(daemon);
        if (silent_ns == 0)
            return -1;
        answers = false;
    }
    if (answers)
        watchdog_heard(daemon, host.partitions);
    request->result = new_result("vferry.host/1");
    put_text(request->result, "name", daemon->name);
    put_number(request->result, "pid", (uint64_t)getpid());
    put_number(request->result, "kernel_pid", (uint64_t)daemon->kernel_pid);
    put_text(request->result, "listen", daemon->listen);
    put_text(request->result, "security", mig_security(daemon->mig));
    put_text(request->result, "version", VFERRY_VERSION);
    put_kernel(request->result, answers ? &host : NULL);
    put_text(request->result, "state", daemon->state_dir);
    put_number(request->result, "kernel_silent_ns", silent_ns);
    (void)watchdog_word(daemon, word, sizeof word);
    (void)json_object_set_new(request->result, "kernel_word",
                              word[0] != '\0' ? json_string(word) : json_null());
    put_flag(request->result, "cordoned", mig_cordoned(daemon->mig));
    return 0;
}

static int set_cordon(struct request *request, bool on, struct vf_error *err)
{
    if (cordon_set(request->daemon, on, err) != 0)
        return -1;
    tell(request, "host", 0, "host %s is %s", request->daemon->name,
         on ? "cordoned: it takes in no partition" : "uncordoned: partitions may come again");
    return verb_host_show(request, err);
}

int verb_host_cordon(struct request *request, struct vf_error *err)
{
    return set_cordon(request, true, err);
}

int verb_host_uncordon(struct request *request, struct vf_error *err)
{
    return set_cordon(request, false, err);
}

static void put_adapter(json_t *object, const struct vf_adapter_info *info)
{
    char luid[32];

    put_driver(object, info);
    (void)snprintf(luid, sizeof luid, "0x%08" PRIx32 ":%08" PRIx32, (uint32_t)info->luid.high,
                   info->luid.low);
    put_text(object, "luid", luid);
    put_text(object, "description", info->description);
    put_number(object, "vf_count", info->vf_count);
    put_number(object, "vf_free", info->vf_free);
    put_number(object, "vram_bytes", info->vram_bytes);
    put_number(object, "vram_free_bytes", info->vram_free_bytes);
    put_number(object, "vram_largest_bytes", info->vram_largest_bytes);
    put_number(object, "vram_unproven_bytes", info->vram_unproven_bytes);
    put_number(object, "dirty_page_bytes", info->dirty_page_bytes);
    put_number(object, "scatter_page_bytes", info->scatter_page_bytes);
    put_number(object, "alignment_bytes", info->alignment_bytes);
    put_flag(object, "performant", info->performant);
    put_flag(object, "scatter", info->scatter);
}

int verb_adapter_list(struct request *request, struct vf_error *err)
{
    json_t *list = json_array();
    struct kc_host host;
    struct kc *kc;
    int result = request_kc(request, &kc, err) != 0 ? -1 : kc_host(kc, &host, err);

    for (uint32_t i = 0; result == 0 && i < host.adapters; i++) {
        struct vf_adapter_info info;

        result = kc_adapter_info(kc, i, &info, err);
        if (result == 0) {
            json_t *object = json_object();

            put_adapter(object, &info);
            (void)json_array_append_new(list, object);
        }
    }
    if (result == 0) {
        request->result = new_result("vferry.adapters/1");
        (void)json_object_set(request->result, "adapters", list);
    }
    json_decref(list);
    return result;
}

static int adapter_of(struct request *request, struct vf_adapter_info *info, struct vf_error *err)
{
    uint64_t adapter;
    struct kc *kc;

    if (request_number(request, "adapter", &adapter, err) != 0 ||
        request_kc(request, &kc, err) != 0)
        return -1;
    return kc_adapter_info(kc, adapter > UINT32_MAX ? UINT32_MAX : (uint32_t)adapter, info, err);
}

int verb_adapter_show(struct request *request, struct vf_error *err)
{
    struct vf_adapter_info info;

    if (adapter_of(request, &info, err) != 0)
        return -1;
    request->result = new_result("vferry.adapter/1");
    put_adapter(request->result, &info);
    return 0;
}
