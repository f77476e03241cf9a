// SPDX-License-Identifier: Apache-2.0
/* A partition's UMED in its worker: guest accesses to the emulated page, what the worker may do,
 * what its end costs, its state on the move (VF-5, SRC-3, SRC-6, TGT-4). */
#include "dxgk/tests/drivers/faulty_umed.h"
#include "dxgk/tests/rig/moverig.h"

#include "base/clock.h"
#include "softgpu/hw.h"

#include <dirent.h>
#include <inttypes.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#define WAIT_NS (20ull * 1000000000ull)

static const char *const one[] = {"softgpu,vram=128M,vfs=4,dirty-page=4K", NULL};
static const char *const two[] = {"softgpu,vram=128M,vfs=4,dirty-page=4K",
                                  "softgpu,vram=128M,vfs=4,dirty-page=4K", NULL};

/* ---- the guest ---- */

static int try_store(struct rig *rig, uint64_t id, uint64_t at, uint64_t value, uint64_t bytes,
                     struct vf_error *err)
{
    return dxgk_partition_bar_write(rig->dxgk, id, SG_VF_BAR_REGS, SG_VF_PLATFORM + at, &value,
                                    bytes, err);
}

static void store(struct rig *rig, uint64_t id, uint64_t at, uint64_t value, uint64_t bytes)
{
    struct vf_error error = VF_ERROR_INIT;

    must(try_store(rig, id, at, value, bytes, &error), &error);
}

static uint64_t load(struct rig *rig, uint64_t id, uint64_t at, uint64_t bytes)
{
    struct vf_error error = VF_ERROR_INIT;
    uint64_t value = 0;

    must(dxgk_partition_bar_read(rig->dxgk, id, SG_VF_BAR_REGS, SG_VF_PLATFORM + at, &value, bytes,
                                 &error),
         &error);
    return value;
}

static uint64_t mix(uint64_t z)
{
    z = (z ^ z >> 30) * SG_MIX_1;
    z = (z ^ z >> 27) * SG_MIX_2;
    return z ^ z >> 31;
}

/* What the page must show after stores, kept beside it. */
struct mirror {
    uint64_t stores, sum, seed;
    uint64_t notes[SG_PLAT_NOTES_BYTES / 8];
};

static void store_some(struct rig *rig, uint64_t id, struct mirror *mirror, unsigned count)
{
    while (count-- > 0) {
        uint64_t value = mirror->seed = mix(mirror->seed + SG_GOLDEN);
        uint64_t slot = value % (SG_PLAT_NOTES_BYTES / 8);

        store(rig, id, SG_PLAT_NOTES + slot * 8, value, 8);
        mirror->notes[slot] = value;
        mirror->stores++;
        mirror->sum = mix(mix(mirror->sum ^ (SG_PLAT_NOTES + slot * 8)) ^ value);
    }
}

static void assert_mirrored(struct rig *rig, uint64_t id, const struct mirror *mirror)
{
    assert_int_equal(load(rig, id, SG_PLAT_STORES64, 8), mirror->stores);
    assert_int_equal(load(rig, id, SG_PLAT_SUM64, 8), mirror->sum);
    for (uint64_t slot = 0; slot < SG_PLAT_NOTES_BYTES / 8; slot++)
        assert_int_equal(load(rig, id, SG_PLAT_NOTES + slot * 8, 8), mirror->notes[slot]);
}

/* ---- processes ---- */

/* Children of this process that hold the UMED of `name`; the last one's id. */
static unsigned workers(const char *name, pid_t *pid)
{
    DIR *proc = opendir("/proc");
    struct dirent *entry;
    unsigned found = 0;

    assert_non_null(proc);
    while ((entry = readdir(proc)) != NULL) {
        char path[300], line[8192] = "";
        pid_t parent = 0;
        size_t bytes;
        FILE *file;

        (void)snprintf(path, sizeof path, "/proc/%s/stat", entry->d_name);
        file = fopen(path, "r");
        if (file == NULL)
            continue;
        if (fscanf(file, "%*d (vferry-umed) %*c %d", &parent) != 1 || parent != getpid())
            parent = 0;
        (void)fclose(file);
        if (parent == 0)
            continue;
        (void)snprintf(path, sizeof path, "/proc/%s/cmdline", entry->d_name);
        file = fopen(path, "r");
        if (file == NULL)
            continue;
        bytes = fread(line, 1, sizeof line - 1, file);
        (void)fclose(file);
        if (bytes > strlen(name) && strcmp(line + bytes - strlen(name) - 1, name) == 0) {
            *pid = (pid_t)atoi(entry->d_name);
            found++;
        }
    }
    (void)closedir(proc);
    return found;
}

static pid_t worker_of(const char *name)
{
    pid_t pid = 0;

    assert_int_equal(workers(name, &pid), 1);
    return pid;
}

static void await_event(struct rig *rig, const char *part)
{
    uint64_t deadline = vf_now_ns() + WAIT_NS;

    while (!rig_expect(rig, "umed", part)) {
        if (vf_now_ns() > deadline)
            fail_msg("no event \"%s\"", part);
        (void)nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
}

/* ---- tests ---- */

/* VF-5 */
static void a_guest_reaches_the_emulated_page_through_the_worker(void **state)
{
    struct vf_error error = VF_ERROR_INIT;
    struct mirror mirror = {.seed = 1};
    struct rig rig;
    uint64_t id, words[2];

    (void)state;
    rig_open(&rig, one, NULL);
    id = rig_create(&rig, "p", 0, 16, false);
    assert_int_equal(load(&rig, id, SG_PLAT_ID, 4), SG_PLAT_ID_VALUE);
    store_some(&rig, id, &mirror, 100);
    assert_mirrored(&rig, id, &mirror);
    assert_int_equal(try_store(&rig, id, SG_PLAT_ID, 1, 4, &error), -1);
    assert_int_equal(try_store(&rig, id, SG_PLAT_NOTES, 1, 2, &error), -1);
    assert_mirrored(&rig, id, &mirror);
    /* One access over the line between the pending bits and the page is two. */
    must(dxgk_partition_bar_read(rig.dxgk, id, SG_VF_BAR_REGS, SG_VF_PLATFORM - 8, words, 16,
                                 &error),
         &error);
    assert_int_equal(words[0], 0);
    assert_int_equal(words[1] & UINT32_MAX, SG_PLAT_ID_VALUE);
    /* Another partition's page is another one (VF-6). */
    assert_int_equal(load(&rig, rig_create(&rig, "q", 0, 16, false), SG_PLAT_STORES64, 8), 0);
    rig_close(&rig);
}

static void a_partition_has_one_worker_and_leaves_none(void **state)
{
    struct vf_error error = VF_ERROR_INIT;
    struct rig rig;
    uint64_t id;
    pid_t pid;

    (void)state;
    rig_open(&rig, one, NULL);
    id = rig_create(&rig, "first", 0, 16, false);
    (void)rig_create(&rig, "second", 0, 16, false);
    assert_int_not_equal(worker_of("first"), worker_of("second"));
    pid = worker_of("first");
    must(dxgk_partition_destroy(rig.dxgk, id, &error), &error);
    assert_int_equal(kill(pid, 0), -1); /* ended and waited for */
    rig_close(&rig);
    assert_int_equal(workers("second", &pid), 0);
}

/* No files, no network, no more rights: as the kernel of this machine sees it. */
static void a_worker_holds_nothing_but_its_socket_and_stderr(void **state)
{
    struct rig rig;
    char path[64], line[256];
    struct dirent *entry;
    unsigned seccomp = 0, no_new_privs = 0, fds = 0;
    struct stat info;
    FILE *status;
    DIR *dir;
    pid_t pid;

    (void)state;
    rig_open(&rig, one, NULL);
    (void)rig_create(&rig, "p", 0, 16, false);
    pid = worker_of("p");
    (void)snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
    status = fopen(path, "r");
    assert_non_null(status);
    while (fgets(line, sizeof line, status) != NULL) {
        (void)sscanf(line, "Seccomp: %u", &seccomp);
        (void)sscanf(line, "NoNewPrivs: %u", &no_new_privs);
    }
    (void)fclose(status);
    assert_int_equal(seccomp, 2);
    assert_int_equal(no_new_privs, 1);
    (void)snprintf(path, sizeof path, "/proc/%d/fd", (int)pid);
    dir = opendir(path);
    assert_non_null(dir);
    while ((entry = readdir(dir)) != NULL) {
        char name[400];

        if (entry->d_name[0] == '.')
            continue;
        fds++;
        assert_true(strcmp(entry->d_name, "2") == 0 || strcmp(entry->d_name, "3") == 0);
        (void)snprintf(name, sizeof name, "%s/%s", path, entry->d_name);
        assert_int_equal(stat(name, &info), 0);
        assert_true(entry->d_name[0] == '2' || S_ISSOCK(info.st_mode));
    }
    (void)closedir(dir);
    assert_in_range(fds, 1, 2);
    (void)snprintf(path, sizeof path, "/proc/%d/environ", (int)pid);
    status = fopen(path, "r");
    assert_non_null(status);
    assert_int_equal(fread(line, 1, sizeof line, status), 0);
    (void)fclose(status);
    rig_close(&rig);
}

static void a_killed_worker_is_told_of_and_replaced_with_its_state(void **state)
{
    struct mirror mirror = {.seed = 2};
    struct mirror none = {.seed = 3};
    struct rig rig;
    uint64_t id, other, at;

    (void)state;
    rig_open(&rig, one, NULL);
    id = rig_create(&rig, "p", 0, 16, false);
    other = rig_create(&rig, "q", 0, 16, false);
    rig_run(&rig, id, 16 << 20, 5, 0);
    /* Before any store, then between stores, and once with the guest quicker than the watcher. */
    for (unsigned round = 0; round < 3; round++) {
        (void)kill(worker_of("p"), SIGKILL);
        if (round < 2)
            await_event(&rig, "was killed by signal 9 (Killed) between two calls, by somebody or "
                              "for want of memory; started again with its state");
        assert_mirrored(&rig, id, &mirror);
        store_some(&rig, id, &mirror, 20);
        if (round == 2)
            await_event(&rig, "was killed by signal 9");
    }
    assert_mirrored(&rig, id, &mirror);
    assert_mirrored(&rig, other, &none);
    at = rig_counter(&rig, id);
    rig_wait(&rig, id, at + 100);
    rig_close(&rig);
}

/* Every fault ends in the worker, costs the access and is told; the state before it stays. */
static void a_fault_costs_the_access_and_nothing_else(void **state)
{
    static const struct {
        uint32_t fault;
        const char *told;
    } faults[] = {
        {FAULT_CRASH, "was killed by signal 4 (Illegal instruction) in WriteInterceptedGpup"},
        {FAULT_EXIT, "ended with status 9 in WriteInterceptedGpup"},
        {FAULT_GARBAGE, "broke the protocol"},
        {FAULT_HANG, "gave no answer in time and was ended, in WriteInterceptedGpup"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++) {
        struct vf_error error = VF_ERROR_INIT;
        struct mirror mirror = {.seed = i};
        struct rig rig;
        uint64_t id;

        rig_open(&rig, one, "faulty.so");
        id = rig_create(&rig, "p", 0, 16, false);
        store_some(&rig, id, &mirror, 10);
        assert_int_equal(try_store(&rig, id, SG_PLAT_INDICATOR, FAULT | faults[i].fault, 4, &error),
                         -1);
        assert_non_null(strstr(error.text, "crashed over this call"));
        await_event(&rig, faults[i].told);
        assert_mirrored(&rig, id, &mirror);
        rig_close(&rig);
    }
}

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define SIGSEGV_KILLS 1 /* a sanitizer's handler takes it and exits */
#else
#define SIGSEGV_KILLS 0
#endif

struct killer {
    pid_t pid;
    int signal;
};

/* Hits it in the call that hangs: nothing else has it run for so long. */
static void *kill_running(void *arg)
{
    const struct killer *killer = arg;
    unsigned long ticks = 0, rest = 0;
    char path[64], state = '?';

    (void)snprintf(path, sizeof path, "/proc/%d/stat", (int)killer->pid);
    for (unsigned long first = 0; state != 'R' || ticks < first + 5;) {
        FILE *stat = fopen(path, "re");

        if (stat == NULL)
            return NULL;
        if (fscanf(stat, "%*d (%*[^)]) %c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &state,
                   &ticks, &rest) != 3)
            ticks = 0;
        (void)fclose(stat);
        if (state != 'R' || first == 0)
            first = ticks + 1;
        (void)sched_yield();
    }
    (void)kill(killer->pid, killer->signal);
    return NULL;
}

/* Signal, partition, driver, call. */
static void a_worker_that_is_killed_in_a_call_is_told_of_with_all_of_it(void **state)
{
    static const struct {
        int signal;
        const char *told;
    } kills[] = {
        {SIGKILL, "was killed by signal 9 (Killed) in WriteInterceptedGpup, by somebody"},
        {SIGSEGV, "was killed by signal 11 (Segmentation fault) in WriteInterceptedGpup; "},
    };

    (void)state;
    for (size_t i = 0; i < 1 + SIGSEGV_KILLS; i++) {
        struct vf_error error = VF_ERROR_INIT;
        struct mirror mirror = {.seed = i};
        struct killer killer = {.signal = kills[i].signal};
        pthread_t thread;
        struct rig rig;
        char told[200];
        uint64_t id;

        rig_open(&rig, one, "faulty.so");
        id = rig_create(&rig, "p", 0, 16, false);
        store_some(&rig, id, &mirror, 10);
        killer.pid = worker_of("p");
        (void)snprintf(told, sizeof told,
                       "partition p: its emulation (faulty-umed.so, process %d) %s",
                       (int)killer.pid, kills[i].told);
        assert_int_equal(pthread_create(&thread, NULL, kill_running, &killer), 0);
        /* One that was killed from outside is called once more, and hangs again. */
        assert_int_equal(try_store(&rig, id, SG_PLAT_INDICATOR, FAULT | FAULT_HANG, 4, &error), -1);
        assert_int_equal(pthread_join(thread, NULL), 0);
        await_event(&rig, told);
        if (kills[i].signal == SIGKILL)
            await_event(&rig, "gave no answer in time");
        else
            assert_non_null(strstr(error.text, kills[i].told));
        assert_mirrored(&rig, id, &mirror);
        rig_close(&rig);
    }
}

static void a_worker_that_asks_for_more_is_ended(void **state)
{
    (void)state;
    for (uint32_t fault = FAULT_OPEN; fault <= FAULT_READ_FD; fault++) {
        struct vf_error error = VF_ERROR_INIT;
        struct rig rig;
        uint64_t id;

        rig_open(&rig, one, "faulty.so");
        id = rig_create(&rig, "p", 0, 16, false);
        assert_int_equal(try_store(&rig, id, SG_PLAT_INDICATOR, FAULT | fault, 4, &error), -1);
        if (!rig_expect(&rig, "umed", "made a forbidden system call (SIGSYS)"))
            fail_msg("fault %u was let through", fault);
        assert_int_equal(load(&rig, id, SG_PLAT_ID, 4), SG_PLAT_ID_VALUE);
        rig_close(&rig);
    }
}

static void one_that_crashes_too_often_stays_away_for_a_while(void **state)
{
    struct vf_error error = VF_ERROR_INIT;
    struct rig rig;
    uint64_t id, at;
    pid_t pid;

    (void)state;
    rig_open(&rig, one, "faulty.so");
    id = rig_create(&rig, "p", 0, 16, false);
    rig_run(&rig, id, 16 << 20, 5, 0);
    for (unsigned i = 0; i < 8; i++)
        assert_int_equal(try_store(&rig, id, SG_PLAT_INDICATOR, FAULT | FAULT_CRASH, 4, &error),
                         -1);
    assert_true(rig_expect(&rig, "umed", "crashes too often"));
    assert_int_equal(workers("p", &pid), 0);
    assert_int_equal(try_store(&rig, id, SG_PLAT_INDICATOR, 1, 4, &error), -1);
    assert_non_null(strstr(error.text, "crashes too often"));
    /* The partition itself works on. */
    at = rig_counter(&rig, id);
    rig_wait(&rig, id, at + 100);
    rig_close(&rig);
}

/* SRC-6, TGT-4 */
static void the_emulation_moves_and_nothing_of_it_is_lost(void **state)
{
    struct mirror mirror = {.seed = 9};
    struct move move;
    struct rig rig;
    uint64_t id;

    (void)state;
    rig_open(&rig, two, NULL);
    id = rig_create(&rig, "p0", 0, 16, false);
    for (unsigned i = 1; i <= 4; i++) {
        char name[16];

        (void)snprintf(name, sizeof name, "p%u", i);
        store_some(&rig, id, &mirror, 30);
        move_begin(&move, &rig, id, i % 2, name);
        store_some(&rig, id, &mirror, 5);
        (void)move_round(&move);
        move_pause(&move);
        id = move_finish(&move);
        assert_mirrored(&rig, id, &mirror);
        /* The target's worker has it to come back to as well. */
        (void)kill(worker_of(name), SIGKILL);
        await_event(&rig, "with its state");
        assert_mirrored(&rig, id, &mirror);
    }
    rig_close(&rig);
}

static void a_worker_killed_during_a_move_loses_nothing(void **state)
{
    struct mirror mirror = {.seed = 10};
    struct move move;
    struct rig rig;
    uint64_t id;

    (void)state;
    rig_open(&rig, two, NULL);
    id = rig_create(&rig, "from", 0, 16, false);
    store_some(&rig, id, &mirror, 30);
    move_begin(&move, &rig, id, 1, "to");
    (void)kill(worker_of("from"), SIGKILL);
    (void)kill(worker_of("to"), SIGKILL);
    await_event(&rig, "partition to: its emulation");
    (void)move_round(&move);
    store_some(&rig, id, &mirror, 5);
    move_pause(&move);
    (void)kill(worker_of("from"), SIGKILL);
    id = move_finish(&move);
    assert_mirrored(&rig, id, &mirror);
    rig_close(&rig);
}

/* SRC-6: the move fails, cleanly; the source runs with its emulation as it was. */
static void a_save_that_goes_wrong_fails_the_move_alone(void **state)
{
    static const struct {
        uint32_t fault;
        const char *breach;
    } faults[] = {
        {FAULT_SAVE_HUGE, "asked for a size"},
        {FAULT_SAVE_GROWS, "changed the size"},
        {FAULT_SAVE_OVERRUN, "wrote behind"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++) {
        struct vf_error error = VF_ERROR_INIT;
        struct dxgk_blob kmd, msix, umed;
        struct move move;
        struct rig rig;
        uint64_t id, at;

        rig_open(&rig, two, "faulty.so");
        id = rig_create(&rig, "p", 0, 16, false);
        rig_run(&rig, id, 16 << 20, 5, 0);
        store(&rig, id, SG_PLAT_INDICATOR, FAULT | faults[i].fault, 4);
        assert_true(rig_expect(&rig, "contract", faults[i].breach));
        move_begin(&move, &rig, id, 1, "t");
        (void)move_round(&move);
        move_pause(&move);
        assert_int_equal(dxgk_migration_save_mutable(rig.dxgk, id, &kmd, &msix, &umed, &error), -1);
        assert_null(kmd.data);
        assert_null(msix.data);
        assert_true(rig_expect(&rig, "contract", faults[i].breach));
        move_cancel(&move);
        assert_int_equal(load(&rig, id, SG_PLAT_INDICATOR, 4), FAULT | faults[i].fault);
        at = rig_counter(&rig, id);
        rig_wait(&rig, id, at + 100);
        rig_close(&rig);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_guest_reaches_the_emulated_page_through_the_worker),
        cmocka_unit_test(a_partition_has_one_worker_and_leaves_none),
        cmocka_unit_test(a_worker_holds_nothing_but_its_socket_and_stderr),
        cmocka_unit_test(a_killed_worker_is_told_of_and_replaced_with_its_state),
        cmocka_unit_test(a_fault_costs_the_access_and_nothing_else),
        cmocka_unit_test(a_worker_that_is_killed_in_a_call_is_told_of_with_all_of_it),
        cmocka_unit_test(a_worker_that_asks_for_more_is_ended),
        cmocka_unit_test(one_that_crashes_too_often_stays_away_for_a_while),
        cmocka_unit_test(the_emulation_moves_and_nothing_of_it_is_lost),
        cmocka_unit_test(a_worker_killed_during_a_move_loses_nothing),
        cmocka_unit_test(a_save_that_goes_wrong_fails_the_move_alone),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
