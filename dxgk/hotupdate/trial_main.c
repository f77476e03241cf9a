// SPDX-License-Identifier: Apache-2.0
/* The child's side of a driver's trial. See trial.h. What goes wrong here ends this process and
 * nothing else. */
#define LOG_ROOM "trial"
#include "dxgk/adapter/adapter.h"
#include "dxgk/ddi/ddi.h"
#include "dxgk/ddi/hotupdate.h"
#include "dxgk/adapter/loader.h"
#include "dxgk/nt/nt.h"
#include "dxgk/hotupdate/trial.h"

#include "base/log.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

/* An OS side without devices, partitions or callbacks. */
struct trial_run {
    struct dxgk dxgk;
    uint32_t count;
    struct dxgk_adapter adapters[VF_MAX_ADAPTERS];
    struct dxgk_image *image;
    char breach[400]; /* first contract event or misuse, or "" */
};

static void say(enum dxgk_trial_word word, uint64_t slots, const char *text)
{
    struct dxgk_trial_message message = {.word = word, .slots = slots};

    (void)snprintf(message.text, sizeof message.text, "%s", text);
    if (write(DXGK_TRIAL_OUT_FD, &message, sizeof message) != (ssize_t)sizeof message)
        _exit(1); /* nobody listens any more */
}

static void refuse(const struct vf_error *err)
{
    char text[sizeof((struct dxgk_trial_message *)0)->text];

    vf_error_pack(err, text, sizeof text);
    say(DXGK_TRIAL_REFUSED, 0, text);
}

static void stage(const char *call)
{
    say(DXGK_TRIAL_STAGE, 0, call);
}

static void note_breach(struct trial_run *run, const char *text)
{
    if (run->breach[0] == '\0')
        (void)snprintf(run->breach, sizeof run->breach, "%.399s", text);
}

static void event(void *ctx, const char *kind, const char *text)
{
    if (strcmp(kind, "contract") == 0)
        note_breach(ctx, text);
}

static void misuse(void *ctx, enum nt_misuse kind, const char *text)
{
    (void)kind;
    log_error("driver misuse: %s", text);
    note_breach(ctx, text);
}

static int load(struct trial_run *run, const char *path, struct vf_error *err)
{
    struct dxgk_driver_file *file;

    stage("DriverEntry");
    if (dxgk_driver_file_adopt(DXGK_TRIAL_DRIVER_FD, path, &file, err) != 0 ||
        dxgk_image_load(file, &run->image, err) != 0)
        return -1;
    stage("DxgkDdiAddDevice");
    for (uint32_t i = 0; i < run->count; i++) {
        struct dxgk_adapter *adapter = &run->adapters[i];

        adapter->dxgk = &run->dxgk;
        adapter->index = i;
        adapter->ddi = *dxgk_image_ddi(run->image);
        if (dxgk_ddi_add_device(adapter, err) != 0)
            return -1;
    }
    return 0;
}

static int restore(struct trial_run *run, uint64_t index, struct vf_error *err)
{
    struct dxgk_ksr *stores[VF_MAX_ADAPTERS];
    struct dxgk_ksr_set *set;

    if (dxgk_ksr_set_adopt(DXGK_TRIAL_STATE_FD, index, run->count, &set, stores, err) != 0)
        return -1;
    stage("DxgkDdiRestoreMemoryForHotUpdate");
    for (uint32_t i = 0; i < run->count; i++) {
        if (dxgk_ddi_restore_memory(&run->adapters[i], stores[i], err) != 0)
            return -1;
    }
    dxgk_ksr_set_free(set);
    return 0;
}

static void take_down(struct trial_run *run)
{
    struct dxgk_image_rest rest;

    stage("DxgkDdiRemoveDevice");
    for (uint32_t i = 0; i < run->count; i++)
        dxgk_ddi_remove_device(&run->adapters[i]);
    stage("DxgkDdiUnload");
    dxgk_image_put(run->image, &rest);
    dxgk_adapter_judge_rest(&run->adapters[0], &rest);
}

static void try_driver(struct trial_run *run, const char *path)
{
    struct vf_error err = VF_ERROR_INIT;
    uint64_t index;

    if (load(run, path, &err) != 0) {
        refuse(&err);
        return;
    }
    say(DXGK_TRIAL_LOADED, dxgk_trial_slots(dxgk_image_ddi(run->image)), "");
    if (read(DXGK_TRIAL_IN_FD, &index, sizeof index) != (ssize_t)sizeof index)
        return; /* not wanted any more */
    if (restore(run, index, &err) != 0) {
        refuse(&err);
        return;
    }
    take_down(run);
    say(run->breach[0] != '\0' ? DXGK_TRIAL_REFUSED : DXGK_TRIAL_GOOD, 0, run->breach);
}

void dxgk_trial_main(int argc, char **argv)
{
    const struct rlimit no_core = {0, 0};
    struct trial_run *run;

    if (argc != 4 || strcmp(argv[1], DXGK_TRIAL_OPTION) != 0)
        return;
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    (void)prctl(PR_SET_NAME, "driver-trial");
    (void)setrlimit(RLIMIT_CORE, &no_core);
    run = calloc(1, sizeof *run);
    if (run == NULL)
        _exit(1);
    run->count = (uint32_t)strtoul(argv[3], NULL, 10);
    if (run->count == 0 || run->count > VF_MAX_ADAPTERS)
        _exit(1);
    run->dxgk.config.event = event;
    run->dxgk.config.event_ctx = run;
    nt_set_report(misuse, run);
    try_driver(run, argv[2]);
    _exit(0);
}
