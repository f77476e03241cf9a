// SPDX-License-Identifier: Apache-2.0
/* The parent's side of a driver's trial. See trial.h. */
#define LOG_ROOM "hotupdate"
#include "dxgk/hotupdate/trial.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#define LOAD_NS 5000000000ull
#define RESTORE_NS 2000000000ull
#define FIRST_FREE_FD 16 /* above the numbers the child wants: no dup2 lands on another's source */

struct dxgk_trial {
    pid_t pid;  /* 0 once reaped */
    int in, out; /* ours: what the child reads, what it writes */
    struct dxgk_driver_file *file;
    char stage[sizeof((struct dxgk_trial_message *)0)->text];
};

/* ---- tables ---- */

/* What the OS calls of a driver that has partitions. */
static const struct {
    const char *name;
    size_t offset;
} slots[] = {
#define SLOT(member) {#member, offsetof(DRIVER_INITIALIZATION_DATA, member)}
    SLOT(DxgkDdiAddDevice),
    SLOT(DxgkDdiStartDevice),
    SLOT(DxgkDdiStopDevice),
    SLOT(DxgkDdiRemoveDevice),
    SLOT(DxgkDdiUnload),
    SLOT(DxgkDdiQueryInterface),
    SLOT(DxgkDdiQueryAdapterInfo),
    SLOT(DxgkDdiInterruptRoutine),
    SLOT(DxgkDdiDpcRoutine),
    SLOT(DxgkDdiCreateProcess),
    SLOT(DxgkDdiDestroyProcess),
    SLOT(DxgkDdiCreateDevice),
    SLOT(DxgkDdiDestroyDevice),
    SLOT(DxgkDdiCreateContext),
    SLOT(DxgkDdiDestroyContext),
    SLOT(DxgkDdiBuildPagingBuffer),
    SLOT(DxgkDdiSubmitCommandVirtual),
    SLOT(DxgkDdiSetRootPageTable),
    SLOT(DxgkDdiQueryCurrentFence),
    SLOT(DxgkDdiResetEngine),
    SLOT(DxgkDdiCreateMemoryBasis),
    SLOT(DxgkDdiDestroyMemoryBasis),
    SLOT(DxgkDdiStartDirtyTracking),
    SLOT(DxgkDdiStopDirtyTracking),
    SLOT(DxgkDdiQueryDirtyBitData),
    SLOT(DxgkDdiPrepareLiveMigration),
    SLOT(DxgkDdiEndLiveMigration),
    SLOT(DxgkDdiSaveImmutableMigrationData),
    SLOT(DxgkDdiSaveMutableMigrationData),
    SLOT(DxgkDdiRestoreImmutableMigrationData),
    SLOT(DxgkDdiRestoreMutableMigrationData),
    SLOT(DxgkDdiWriteVirtualizedInterrupt),
    SLOT(DxgkDdiSetVirtualGpuResources2),
    SLOT(DxgkDdiSetVirtualFunctionPauseState),
    SLOT(DxgkDdiRestoreMemoryForHotUpdate),
#undef SLOT
};

uint64_t dxgk_trial_slots(const DRIVER_INITIALIZATION_DATA *ddi)
{
    uint64_t mask = 0;

    for (size_t i = 0; i < RTL_NUMBER_OF(slots); i++) {
        void *entry;

        memcpy(&entry, (const char *)ddi + slots[i].offset, sizeof entry);
        mask |= entry != NULL ? 1ull << i : 0;
    }
    return mask;
}

const char *dxgk_trial_missing(uint64_t needs, uint64_t has)
{
    for (size_t i = 0; i < RTL_NUMBER_OF(slots); i++) {
        if ((needs & ~has & 1ull << i) != 0)
            return slots[i].name;
    }
    return NULL;
}

/* ---- the process ---- */

static int duplicate(int fd, int *out, struct vf_error *err)
{
    *out = fcntl(fd, F_DUPFD_CLOEXEC, FIRST_FREE_FD);
    if (*out >= 0)
        return 0;
    return vf_fail_errno(err, VF_FAILED, errno, "trial of a driver");
}

/* fds[]: the child's ends of what it gets as 3, 4, 5, 6. */
static int spawn(struct dxgk_trial *trial, const int fds[4], uint32_t adapters,
                 struct vf_error *err)
{
    char option[] = DXGK_TRIAL_OPTION;
    char count[16];
    char *argv[] = {program_invocation_name, option, trial->file->path, count, NULL};
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attr;
    sigset_t none, all;
    int rc;

    (void)snprintf(count, sizeof count, "%u", adapters);
    (void)sigemptyset(&none);
    (void)sigfillset(&all);
    (void)posix_spawnattr_init(&attr);
    (void)posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    (void)posix_spawnattr_setsigmask(&attr, &none);
    (void)posix_spawnattr_setsigdefault(&attr, &all);
    (void)posix_spawn_file_actions_init(&actions);
    for (int i = 0; i < 4; i++)
        (void)posix_spawn_file_actions_adddup2(&actions, fds[i], DXGK_TRIAL_DRIVER_FD + i);
    /* The running program's own file, even where a newer one was installed over it: the child's
     * services are the ones the driver will meet here. */
    rc = posix_spawn(&trial->pid, "/proc/self/exe", &actions, &attr, argv, environ);
    (void)posix_spawn_file_actions_destroy(&actions);
    (void)posix_spawnattr_destroy(&attr);
    if (rc == 0)
        return 0;
    trial->pid = 0;
    return vf_fail_errno(err, VF_FAILED, rc, "trial of a driver: no process");
}

static int open_and_spawn(struct dxgk_trial *trial, int state, uint32_t adapters,
                          struct vf_error *err)
{
    int in[2] = {-1, -1}, out[2] = {-1, -1}, fds[4] = {-1, -1, -1, -1};
    int result = -1;

    if (pipe2(in, O_CLOEXEC) != 0 || pipe2(out, O_CLOEXEC) != 0)
        (void)vf_fail_errno(err, VF_FAILED, errno, "trial of a driver");
    else if (duplicate(trial->file->fd, &fds[0], err) == 0 &&
             duplicate(state, &fds[1], err) == 0 && duplicate(in[0], &fds[2], err) == 0 &&
             duplicate(out[1], &fds[3], err) == 0)
        result = spawn(trial, fds, adapters, err);
    trial->in = vf_take_fd(&in[1]);
    trial->out = vf_take_fd(&out[0]);
    for (int i = 0; i < 4; i++)
        vf_cleanup_close(&fds[i]);
    vf_cleanup_close(&in[0]);
    vf_cleanup_close(&out[1]);
    return result;
}

/* Ends and reaps it; how it ended, for a message. A process that died has its status already: the
 * kill changes nothing then. */
static void end_of(struct dxgk_trial *trial, char *text, size_t bytes)
{
    int status = 0;

    (void)kill(trial->pid, SIGKILL);
    while (waitpid(trial->pid, &status, 0) < 0 && errno == EINTR)
        ;
    trial->pid = 0;
    if (WIFSIGNALED(status))
        (void)snprintf(text, bytes, "signal %d, %s", WTERMSIG(status),
                       sigdescr_np(WTERMSIG(status)));
    else
        (void)snprintf(text, bytes, "it ended the process with code %d", WEXITSTATUS(status));
}

/* 1 = a message, 0 = the child is gone, -1 = nothing came in time. */
static int next_message(struct dxgk_trial *trial, uint64_t deadline,
                        struct dxgk_trial_message *message)
{
    struct pollfd fd = {.fd = trial->out, .events = POLLIN};

    for (;;) {
        uint64_t now = vf_now_ns();
        int ready = now >= deadline ? 0 : poll(&fd, 1, (int)((deadline - now) / 1000000u) + 1);

        if (ready < 0 && errno == EINTR)
            continue;
        if (ready <= 0)
            return -1;
        ssize_t got = read(trial->out, message, sizeof *message);
        if (got < 0 && errno == EINTR)
            continue;
        message->text[sizeof message->text - 1] = '\0';
        return got == (ssize_t)sizeof *message ? 1 : 0;
    }
}

/* Waits for `wanted`; anything else but stages is the driver's end. */
static int await(struct dxgk_trial *trial, enum dxgk_trial_word wanted, uint64_t limit_ns,
                 struct dxgk_trial_message *message, struct vf_error *err)
{
    uint64_t deadline = vf_now_ns() + limit_ns;
    const char *path = trial->file->path;
    char how[128];
    int got;

    while ((got = next_message(trial, deadline, message)) == 1) {
        if (message->word == (uint32_t)wanted)
            return 0;
        if (message->word != DXGK_TRIAL_STAGE)
            return vf_fail(err, VF_INCOMPATIBLE, "trial of %s: %s", path,
                           message->word == DXGK_TRIAL_REFUSED ? message->text : "out of order");
        (void)snprintf(trial->stage, sizeof trial->stage, "%s", message->text);
    }
    if (got < 0)
        return vf_fail(err, VF_INCOMPATIBLE, "trial of %s: it hung in %s for %" PRIu64 " ms", path,
                       trial->stage, limit_ns / 1000000u);
    end_of(trial, how, sizeof how);
    return vf_fail(err, VF_INCOMPATIBLE, "trial of %s: it crashed in %s (%s)", path, trial->stage,
                   how);
}

int dxgk_trial_start(struct dxgk_driver_file *file, struct dxgk_ksr_set *set, uint32_t adapters,
                     uint64_t needs, struct dxgk_trial **out, struct vf_error *err)
{
    struct dxgk_trial *trial = calloc(1, sizeof *trial);
    struct dxgk_trial_message message;
    const char *missing;
    uint64_t unused;
    int state;

    if (trial == NULL)
        return vf_fail(err, VF_FAILED, "trial of a driver: " VF_NO_MEMORY);
    trial->in = trial->out = -1;
    trial->file = dxgk_driver_file_get(file);
    (void)snprintf(trial->stage, sizeof trial->stage, "its start");
    if (dxgk_ksr_set_export(set, &state, &unused, err) != 0 ||
        open_and_spawn(trial, state, adapters, err) != 0 ||
        await(trial, DXGK_TRIAL_LOADED, LOAD_NS, &message, err) != 0)
        goto fail;
    missing = dxgk_trial_missing(needs, message.slots);
    if (missing != NULL) {
        (void)vf_fail(err, VF_INCOMPATIBLE,
                      "trial of %s: its table lacks %s, which the old driver has", file->path,
                      missing);
        goto fail;
    }
    *out = trial;
    return 0;
fail:
    dxgk_trial_end(trial);
    return -1;
}

int dxgk_trial_restore(struct dxgk_trial *trial, struct dxgk_ksr_set *set, struct vf_error *err)
{
    struct dxgk_trial_message message;
    uint64_t index;
    int state;

    if (dxgk_ksr_set_export(set, &state, &index, err) != 0)
        return -1;
    /* A child that is gone is noticed by the read; SIGPIPE is ignored in every program of ours. */
    if (write(trial->in, &index, sizeof index) != (ssize_t)sizeof index)
        log_debug("trial: %s", strerrordesc_np(errno));
    return await(trial, DXGK_TRIAL_GOOD, RESTORE_NS, &message, err);
}

void dxgk_trial_end(struct dxgk_trial *trial)
{
    char how[128];

    if (trial == NULL)
        return;
    if (trial->pid != 0)
        end_of(trial, how, sizeof how);
    vf_cleanup_close(&trial->in);
    vf_cleanup_close(&trial->out);
    dxgk_driver_file_put(trial->file);
    free(trial);
}
