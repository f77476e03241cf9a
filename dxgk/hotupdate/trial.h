// SPDX-License-Identifier: Apache-2.0
/*
 * A new driver's trial: this program, started once more in a process of its own, loads the driver,
 * adds the devices and restores the state that the old driver saved, with no hardware within reach.
 * A crash, a hang or a refusal there costs nothing here.
 *
 *   start: DriverEntry, table, AddDevice        while the old driver works
 *   restore: RestoreMemoryForHotUpdate, RemoveDevice, Unload, leaks and misuse
 */
#ifndef DXGK_HOTUPDATE_TRIAL_H
#define DXGK_HOTUPDATE_TRIAL_H

#include "dxgk/adapter/driver_file.h"
#include "dxgk/ksr.h"

struct dxgk_trial;

/* Starts the process and waits until the driver is loaded there (5 s at most). `set` is empty yet;
 * `needs`: table slots that the driver must fill (dxgk_trial_slots of the old one).
 * VF_INCOMPATIBLE: the driver was refused, hung or crashed. */
int dxgk_trial_start(struct dxgk_driver_file *file, struct dxgk_ksr_set *set, uint32_t adapters,
                     uint64_t needs, struct dxgk_trial **out, struct vf_error *err);
/* Has the driver there restore what `set` has saved meanwhile, and waits for the end of the
 * process: 2 s at most, for all calls that need the driver wait too. VF_INCOMPATIBLE as above. */
int dxgk_trial_restore(struct dxgk_trial *trial, struct dxgk_ksr_set *set, struct vf_error *err);
/* Ends the process. NULL is allowed. */
void dxgk_trial_end(struct dxgk_trial *trial);

/* Which slots of the table that the OS calls are filled, one bit each. */
uint64_t dxgk_trial_slots(const DRIVER_INITIALIZATION_DATA *ddi);
/* The first slot in `needs` that `has` lacks, or NULL. */
const char *dxgk_trial_missing(uint64_t needs, uint64_t has);

/* ---- what travels between the two processes (trial.c, trial_main.c) ---- */

#define DXGK_TRIAL_OPTION "--try-driver"
enum { DXGK_TRIAL_DRIVER_FD = 3, DXGK_TRIAL_STATE_FD, DXGK_TRIAL_IN_FD, DXGK_TRIAL_OUT_FD };

enum dxgk_trial_word {
    DXGK_TRIAL_STAGE,   /* about to call `text` */
    DXGK_TRIAL_LOADED,  /* slots is set; waits for the index of the saved state, 64 bits */
    DXGK_TRIAL_GOOD,    /* all went well */
    DXGK_TRIAL_REFUSED, /* text says why */
};

/* One write to a pipe, so it comes whole. */
struct dxgk_trial_message {
    uint32_t word;
    uint32_t reserved;
    uint64_t slots;
    char text[480];
};

#endif
