// SPDX-License-Identifier: Apache-2.0
/* Work items: from DISPATCH_LEVEL to PASSIVE_LEVEL, once each, and what a driver does wrong
 * with them. */
#include "dxgk/nt/tests/harness.h"

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>

static atomic_bool no_threads;

int __real_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*main)(void *),
                          void *arg);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*main)(void *),
                          void *arg);

/* The linker puts it in the place of pthread_create: a system that gives no more threads. */
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*main)(void *),
                          void *arg)
{
    return no_threads ? EAGAIN : __real_pthread_create(thread, attr, main, arg);
}

static int marker;
#define DEVICE ((PDEVICE_OBJECT)(void *)&marker)

struct job {
    PIO_WORKITEM item;
    sem_t begun, go;
    _Atomic int runs;
    _Atomic int irql;
    PDEVICE_OBJECT device;
};

static void work(PDEVICE_OBJECT device, PVOID context)
{
    struct job *job = context;

    job->device = device;
    job->irql = nt_irql();
    job->runs++;
    assert_int_equal(sem_post(&job->begun), 0);
    assert_int_equal(sem_wait(&job->go), 0);
}

static void open_job(struct job *job)
{
    *job = (struct job){.item = IoAllocateWorkItem(DEVICE), .irql = -1};
    assert_non_null(job->item);
    assert_int_equal(sem_init(&job->begun, 0, 0), 0);
    assert_int_equal(sem_init(&job->go, 0, 0), 0);
}

/* Without a thread there is no item, so that none is ever queued that nobody runs. */
static void no_item_is_given_as_long_as_the_system_gives_no_thread(void **unused)
{
    PIO_WORKITEM item;

    (void)unused;
    no_threads = true;
    assert_null(IoAllocateWorkItem(DEVICE));
    no_threads = false;
    item = IoAllocateWorkItem(DEVICE);
    assert_non_null(item);
    IoFreeWorkItem(item);
}

static void what_is_queued_runs_though_the_system_gives_no_more_threads(void **unused)
{
    struct job job;

    (void)unused;
    open_job(&job);
    no_threads = true;
    for (int i = 1; i <= 3; i++) {
        IoQueueWorkItem(job.item, work, DelayedWorkQueue, &job);
        assert_int_equal(sem_post(&job.go), 0);
        nt_work_drain();
        assert_int_equal(job.runs, i);
    }
    no_threads = false;
    IoFreeWorkItem(job.item);
}

static void a_routine_queued_by_a_dpc_runs_once_at_passive_level(void **unused)
{
    struct job job;
    KIRQL before;

    (void)unused;
    open_job(&job);
    before = nt_irql_set(DISPATCH_LEVEL);
    IoQueueWorkItem(job.item, work, DelayedWorkQueue, &job);
    (void)nt_irql_set(before);
    assert_int_equal(sem_post(&job.go), 0);
    nt_work_drain();
    assert_int_equal(job.runs, 1);
    assert_int_equal(job.irql, PASSIVE_LEVEL);
    assert_ptr_equal(job.device, DEVICE);
    IoFreeWorkItem(job.item);
}

static void an_item_may_be_queued_again_once_its_routine_has_begun(void **unused)
{
    struct job job;

    (void)unused;
    open_job(&job);
    IoQueueWorkItem(job.item, work, DelayedWorkQueue, &job);
    assert_int_equal(sem_wait(&job.begun), 0);
    IoQueueWorkItem(job.item, work, DelayedWorkQueue, &job);
    assert_int_equal(sem_post(&job.go), 0);
    assert_int_equal(sem_post(&job.go), 0);
    nt_work_drain();
    assert_int_equal(job.runs, 2);
    IoFreeWorkItem(job.item);
}

static void queueing_twice_and_freeing_while_queued_are_reported_and_change_nothing(void **unused)
{
    struct job busy, job;

    (void)unused;
    open_job(&busy);
    open_job(&job);
    IoQueueWorkItem(busy.item, work, DelayedWorkQueue, &busy);
    assert_int_equal(sem_wait(&busy.begun), 0); /* it keeps the thread */
    IoQueueWorkItem(job.item, work, DelayedWorkQueue, &job);
    IoQueueWorkItem(job.item, work, DelayedWorkQueue, &job);
    assert_misuse(NT_MISUSE_WORK);
    IoFreeWorkItem(job.item);
    assert_misuse(NT_MISUSE_WORK);
    assert_int_equal(sem_post(&job.go), 0);
    assert_int_equal(sem_post(&busy.go), 0);
    nt_work_drain();
    assert_int_equal(job.runs, 1);
    IoFreeWorkItem(job.item);
    IoFreeWorkItem(busy.item);
}

static void what_is_no_work_item_is_reported(void **unused)
{
    void *memory = ExAllocatePool2(POOL_FLAG_NON_PAGED, 64, 0x31323334u);

    (void)unused;
    IoFreeWorkItem(memory);
    assert_misuse(NT_MISUSE_WORK);
    IoQueueWorkItem(memory, work, DelayedWorkQueue, NULL);
    assert_misuse(NT_MISUSE_WORK);
    ExFreePoolWithTag(memory, 0x31323334u);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        /* The first: the thread starts with the first item. */
        nt_test(no_item_is_given_as_long_as_the_system_gives_no_thread),
        nt_test(what_is_queued_runs_though_the_system_gives_no_more_threads),
        nt_test(a_routine_queued_by_a_dpc_runs_once_at_passive_level),
        nt_test(an_item_may_be_queued_again_once_its_routine_has_begun),
        nt_test(queueing_twice_and_freeing_while_queued_are_reported_and_change_nothing),
        nt_test(what_is_no_work_item_is_reported),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
