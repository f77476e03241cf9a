// SPDX-License-Identifier: Apache-2.0
/*
 * May a partition come here? Answered by doing it: a vGPU with the source's creation parameters,
 * Prepare(TARGET) and RestoreImmutable. What stands in the way of even that (no VF, no VRAM, a
 * name) becomes a reason beside the driver's own.
 */
#define LOG_ROOM "migrate"
#include "migrate/target/target.h"

#include "base/clock.h"
#include "base/hex.h"
#include "base/log.h"
#include "base/size.h"
#include "base/thread.h"
#include "migrate/job/stand.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define AGAIN_NS 10000000ull
/* So many silences are waited for what is just going; the source waits longer for its answer. */
#define GOING_SILENCES 3u

static bool has_reason(const struct vf_reasons *reasons, const char *field)
{
    for (uint32_t i = 0; i < reasons->count; i++) {
        if (strcmp(reasons->list[i].field, field) == 0)
            return true;
    }
    return false;
}

static void add_size_reason(struct vf_reasons *reasons, const char *field, uint64_t source,
                            uint64_t target, const char *remedy)
{
    char here[48];
    char there[48];
    char size[32];

    (void)snprintf(there, sizeof there, "%" PRIu64 " (%s)", source,
                   vf_size_format(source, size, sizeof size));
    (void)snprintf(here, sizeof here, "%" PRIu64 " (%s)", target,
                   vf_size_format(target, size, sizeof size));
    vf_reason_add(reasons, field, there, here, remedy);
}

/* Is it a copy of the partition that is about to go? What an earlier try to come here left goes as
 * soon as its link is seen to have ended; what left this host by a hand-off just before, with that
 * job's last steps. */
static bool just_going(struct target *t, const struct vf_partition_info *p)
{
    switch (p->state) {
    case VF_PARTITION_BUILDING:
    case VF_PARTITION_INCOMING:
    case VF_PARTITION_READY:
    case VF_PARTITION_DYING:
        return true;
    default:
        return mig_handed_over(t->job->mig, p->uuid) != 0;
    }
}

/* Until it is gone it would be taken for the partition itself. */
static void await_earlier_try(struct target *t, const struct wire_admit *admit)
{
    uint64_t deadline = vf_now_ns() + GOING_SILENCES * t->job->mig->silence_ns;
    bool there;

    stand_does(t->job, "the end of what host %s still does with its earlier copy of partition %s",
               t->job->host_name, admit->params.name);

    do {
        struct vf_partition_info *list = NULL;
        size_t count = 0;

        there = false;
        target_supersede(t->job->mig, admit->params.uuid, t->job->peer_name);
        if (kc_partition_list(t->kc, &list, &count, NULL) != 0)
            return;
        for (size_t i = 0; i < count; i++)
            there = there || (memcmp(list[i].uuid, admit->params.uuid, VF_UUID_BYTES) == 0 &&
                              just_going(t, &list[i]));
        free(list);
    } while (there && vf_now_ns() < deadline && !control_ended(&t->control) &&
             job_doze(t->job, vf_now_ns() + AGAIN_NS));
    stand_calls(t->job, NULL);
}

/* One that may be gone later. */
static void add_passing(struct target *t, struct vf_reasons *reasons, const char *field,
                        const char *source, const char *target, const char *remedy)
{
    uint32_t before = reasons->count;

    vf_reason_add(reasons, field, source, target, remedy);
    t->passing += reasons->count - before;
}

/* A move fails at its first record; a check, which writes none, tells of it beforehand. */
static void journal_reason(struct target *t, struct vf_reasons *reasons)
{
    struct vf_error why = VF_ERROR_INIT;
    char what[sizeof why.text];
    const char *remedy;

    if (!t->job->options.dry_run || journal_usable(t->job->mig->journal, &why) == 0)
        return;
    remedy = vf_remedy(&why);
    (void)snprintf(what, sizeof what, "%.*s", vf_bare_bytes(&why), why.text);
    add_passing(t, reasons, "state-directory", "-", what,
                remedy != NULL ? remedy : "see the target's log");
}

/* Reasons of the host as a whole: its state, identity. */
static int host_reasons(struct target *t, const struct wire_admit *admit,
                        struct vf_reasons *reasons, struct vf_error *err)
{
    struct vf_partition_info *list = NULL;
    size_t count = 0;
    uint64_t epoch = journal_epoch(t->job->mig->journal, admit->params.uuid);

    if (kc_partition_list(t->kc, &list, &count, err) != 0)
        return -1;
    if (mig_cordoned(t->job->mig))
        add_passing(t, reasons, "cordon", "-", "cordoned",
                    "the host takes in no partition: use another one, or say \"vferry host "
                    "uncordon\" there");
    journal_reason(t, reasons);
    for (size_t i = 0; i < count; i++) {
        char uuid[VF_UUID_TEXT];

        if (memcmp(list[i].uuid, admit->params.uuid, VF_UUID_BYTES) == 0) {
            vf_uuid_format(list[i].uuid, uuid);
            if (just_going(t, &list[i]))
                add_passing(t, reasons, "uuid", uuid, list[i].name,
                            "another move of it has not ended on the target yet: see its jobs");
            else
                vf_reason_add(reasons, "uuid", uuid, list[i].name,
                              "a copy of this very partition is on the target already: use another "
                              "host, or find out which copy is wanted, and remove the other");
        } else if (strcmp(list[i].name, admit->params.name) == 0) {
            vf_uuid_format(list[i].uuid, uuid);
            vf_reason_add(reasons, "name", admit->params.name, uuid,
                          "another partition has that name on the target: use another host, or "
                          "remove that one if nobody wants it");
        }
    }
    free(list);
    /* The copy itself explains a newer epoch. */
    if (admit->epoch <= epoch && !has_reason(reasons, "uuid")) {
        char source[24];
        char target[24];

        (void)snprintf(source, sizeof source, "%" PRIu64, admit->epoch);
        (void)snprintf(target, sizeof target, "%" PRIu64, epoch);
        vf_reason_add(reasons, "epoch", source, target,
                      "the target knows a newer hand-off of this partition: this is a stale copy");
    }
    return 0;
}

/* What the adapter itself says no to, before any driver is asked. */
static void adapter_reasons(struct target *t, const struct vf_adapter_info *adapter,
                            const struct wire_admit *admit, struct vf_reasons *reasons)
{
    uint32_t before;
    char text[64];

    if (!adapter->live_migration)
        vf_reason_add(reasons, "live-migration", "yes", "no",
                      "the target's driver does not report LiveMigration: update it");
    if (adapter->vf_free == 0) {
        (void)snprintf(text, sizeof text, "0 free of %u", adapter->vf_count);
        add_passing(t, reasons, "vf", "1 needed", text,
                    "remove a partition on the target or start it with more VFs (vfs=N); its "
                    "driver can only be asked with a VF, so check again then");
    }
    if (adapter->dirty_page_bytes != admit->page_bytes)
        add_size_reason(
            reasons, "dirty-page", admit->page_bytes, adapter->dirty_page_bytes,
            "start the target's device with the source's dirty page size (dirty-page=SIZE)");
    if (admit->params.vram_bytes == 0)
        vf_reason_add(reasons, "vram", "0", "-", "a partition without VRAM cannot move");
    before = reasons->count;
    if (adapter->vram_largest_bytes < admit->params.vram_bytes)
        add_size_reason(reasons, "vram", admit->params.vram_bytes, adapter->vram_largest_bytes,
                        "the target's value is the largest partition that fits: free VRAM there or "
                        "use a larger device");
    /* An empty adapter would hold it. */
    if (adapter->vram_bytes >= admit->params.vram_bytes)
        t->passing += reasons->count - before;
}

static void restore_reasons(struct target *t, const struct wire_admit *admit,
                            struct vf_reasons *reasons)
{
    struct vf_error err = VF_ERROR_INIT;
    struct vf_reasons driver = {0};
    struct kc_blob kmd = {(void *)(uintptr_t)admit->kmd.data, admit->kmd.bytes};
    struct kc_blob umed = {(void *)(uintptr_t)admit->umed.data, admit->umed.bytes};

    stand_calls(t->job, "DxgkDdiPrepareLiveMigration");
    if (kc_prepare(t->kc, t->partition.id, KC_TARGET, t->job->id, &err) != 0) {
        vf_reason_add(reasons, "prepare", "-", "-", err.text);
        return;
    }
    t->prepared = true;
    stand_calls(t->job, "DxgkDdiRestoreImmutableMigrationData");
    if (kc_restore_immutable(t->kc, t->partition.id, &kmd, &umed, &driver, &err) == 0)
        return;
    if (driver.count == 0)
        vf_reason_add(&driver, "driver", "-", "-", err.text);
    for (uint32_t i = 0; i < driver.count; i++) {
        if (!has_reason(reasons, driver.list[i].field))
            vf_reason_add(reasons, driver.list[i].field, driver.list[i].source,
                          driver.list[i].target, driver.list[i].remedy);
    }
}

void target_call_off(struct target *t)
{
    if (t->maker != NULL)
        kc_call_off(t->maker);
}

/* Does anybody still want it here? */
static bool wanted(struct target *t)
{
    return !job_cancel_asked(t->job) && !(target_linked(t) && control_ended(&t->control));
}

/* Fills *err: why not. */
static int not_wanted(struct target *t, struct vf_error *err)
{
    if (job_cancel_asked(t->job))
        return target_cancelled(t, err);
    (void)vf_fail(err, VF_FAILED, "peer %s: is gone", t->job->peer);
    (void)control_explain(&t->control, vf_now_ns(), err);
    return -1;
}

/* Its zero-fill takes as long as VRAM is large: on a connection of its own, which can call it off
 * at any moment. */
static int make_partition(struct target *t, const struct vf_partition_params *params,
                          struct vf_error *err)
{
    struct kc *maker;
    int result;

    if (kc_connect(t->job->mig->kernel_socket, &maker, err) != 0)
        return -1;
    vf_lock(&t->lock);
    t->maker = maker;
    vf_unlock(&t->lock);
    /* Whatever came before this was not called off by target_call_off. */
    result = wanted(t) ? kc_partition_create(maker, params, true, &t->partition, err)
                       : not_wanted(t, err);
    vf_lock(&t->lock);
    t->maker = NULL;
    vf_unlock(&t->lock);
    kc_close(maker);
    return result;
}

/* The sequence on one adapter; what was created stays in t->partition. */
static void try_adapter(struct target *t, const struct vf_adapter_info *adapter,
                        const struct wire_admit *admit, struct vf_reasons *reasons)
{
    struct vf_error err = VF_ERROR_INIT;
    struct vf_partition_params params = admit->params;
    char size[32];

    adapter_reasons(t, adapter, admit, reasons);
    params.adapter = adapter->index;
    /* A move that is refused anyway is tried under another identity and in what room there is, so
     * that the driver's reasons come too. */
    if (reasons->count > 0 || t->job->options.dry_run) {
        if (vf_uuid_random(params.uuid) != 0) {
            vf_reason_add(reasons, "uuid", "-", "-", "the target's system gives no random bytes");
            return;
        }
        vf_hex_format(params.uuid, 4,
                      params.name + snprintf(params.name, sizeof params.name, "trial-"));
        if (params.vram_bytes > adapter->vram_largest_bytes)
            params.vram_bytes = adapter->vram_largest_bytes;
    }
    if (adapter->vf_free == 0 || params.vram_bytes == 0 || !adapter->live_migration)
        return;
    stand_driver(t->job, t->kc, adapter->index);
    stand_does(t->job, "the zero-fill of %s at host %s",
               vf_size_format(params.vram_bytes, size, sizeof size), t->job->host_name);
    if (make_partition(t, &params, &err) != 0) {
        t->partition.id = 0;
        if (err.code == VF_REFUSED_NOW || err.scarce)
            add_passing(t, reasons, "create", "-", "-", err.text);
        else
            vf_reason_add(reasons, "create", "-", "-", err.text);
        return;
    }
    restore_reasons(t, admit, reasons);
}

int target_discard(struct target *t)
{
    struct vf_error err = VF_ERROR_INIT;

    int result;

    if (t->partition.id == 0)
        return 0;
    if (t->prepared && kc_end(t->kc, t->partition.id, &err) != 0)
        log_error("job %" PRIu64 ": EndLiveMigration: %s", t->job->id, err.text);
    t->prepared = false;
    result = kc_partition_destroy(t->kc, t->partition.id, &err);
    if (result != 0)
        log_error("job %" PRIu64 ": an incoming partition stays behind: %s", t->job->id, err.text);
    t->partition.id = 0;
    return result;
}

/* What stands against this adapter, `host` among it. Without reasons the partition is there; else
 * nothing is left. */
static int admit_on(struct target *t, uint32_t index, const struct wire_admit *admit,
                    const struct vf_reasons *host, struct vf_reasons *reasons, struct vf_error *err)
{
    struct vf_adapter_info adapter;

    *reasons = *host;
    if (kc_adapter_info(t->kc, index, &adapter, err) != 0)
        return -1;
    try_adapter(t, &adapter, admit, reasons);
    stand_calls(t->job, NULL);
    if (!wanted(t)) {
        (void)target_discard(t);
        return not_wanted(t, err);
    }
    /* A kernel side that died meanwhile is no reason against the partition. */
    if (reasons->count > 0 && kc_adapter_info(t->kc, index, &adapter, err) != 0)
        return -1;
    if (reasons->count > 0 || t->job->options.dry_run)
        (void)target_discard(t);
    return 0;
}

int target_admit_on(struct target *t, uint32_t adapter, const struct wire_admit *admit,
                    struct vf_reasons *reasons, struct vf_error *err)
{
    struct vf_reasons host = {0};

    return host_reasons(t, admit, &host, err) != 0
               ? -1
               : admit_on(t, adapter, admit, &host, reasons, err);
}

int target_admit(struct target *t, const struct wire_admit *admit, struct vf_reasons *reasons,
                 struct vf_error *err)
{
    struct vf_reasons host = {0};
    struct kc_host kernel;
    uint32_t passing, best;

    await_earlier_try(t, admit);
    if (kc_host(t->kc, &kernel, err) != 0 || host_reasons(t, admit, &host, err) != 0)
        return -1;
    *reasons = host;
    passing = best = t->passing;
    if (kernel.adapters == 0)
        vf_reason_add(reasons, "adapter", "1 needed", "none", "give the target a --device");
    for (uint32_t i = 0; i < kernel.adapters; i++) {
        struct vf_reasons here;

        t->passing = passing; /* of the host's own */
        if (admit_on(t, i, admit, &host, &here, err) != 0)
            return -1;
        /* The adapter that lacks least is the one worth telling of; one that is only full before
         * one that will never do. */
        if (i == 0 || here.count < reasons->count ||
            (t->passing == here.count && best != reasons->count)) {
            *reasons = here;
            best = t->passing;
        }
        if (t->partition.id != 0)
            break;
    }
    t->passing = best;
    return 0;
}
