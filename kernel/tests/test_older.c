// SPDX-License-Identifier: Apache-2.0
/* A kernel side of another build: what it cannot say is made up for, what it says more is heard. */
#include "kernel/client.h"
#include "base/thread.h"
#include "kernel/wire.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

/* A kernel side that speaks `version` and has one partition. */
struct kernel {
    int listener;
    uint32_t version;
    pthread_mutex_t lock;
    struct vf_partition_info partition; /* guarded by lock */
    char dir[32], path[64];
    pthread_t thread;
};

static void answer(int fd, struct kcall_head head, const void *body, size_t bytes)
{
    head.magic = KCALL_MAGIC_REPLY;
    head.code = VF_OK;
    head.status = 0;
    head.body_bytes = (uint32_t)bytes;
    (void)kw_send(fd, &head, body, -1);
}

static void *serve(void *arg)
{
    struct kernel *kernel = arg;
    const struct kcall_hello_result hello = {.version = kernel->version};
    struct kw_buffer body = {NULL, 0};
    struct kcall_head head;
    int fd = accept(kernel->listener, NULL, NULL);
    size_t have;

    while (fd >= 0 && kw_recv_head(fd, KCALL_MAGIC_CALL, &head, &body, &have, NULL) == 0 &&
           kw_recv_rest(fd, &head, &body, have) == 0) {
        struct vf_partition_info partition;

        vf_lock(&kernel->lock);
        partition = kernel->partition;
        vf_unlock(&kernel->lock);
        if (head.op == KCALL_HELLO)
            answer(fd, head, &hello, sizeof hello);
        else
            answer(fd, head, &partition, sizeof partition);
    }
    if (fd >= 0)
        (void)close(fd);
    kw_buffer_free(&body);
    return NULL;
}

static struct kc *start(struct kernel *kernel, uint32_t version)
{
    struct vf_error err = VF_ERROR_INIT;
    struct sockaddr_un address;
    struct kc *kc = NULL;
    int dir_fd;

    *kernel = (struct kernel){.version = version, .dir = "/tmp/vf-older-XXXXXX"};
    assert_int_equal(pthread_mutex_init(&kernel->lock, NULL), 0);
    assert_non_null(mkdtemp(kernel->dir));
    (void)snprintf(kernel->path, sizeof kernel->path, "%s/kernel.sock", kernel->dir);
    kernel->listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    assert_true(kernel->listener >= 0);
    assert_int_equal(kw_address(kernel->path, &address, &dir_fd), 0);
    assert_int_equal(bind(kernel->listener, (const struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(kernel->listener, 1), 0);
    memcpy(kernel->partition.name, "p", sizeof "p");
    assert_int_equal(pthread_create(&kernel->thread, NULL, serve, kernel), 0);
    if (kc_connect(kernel->path, &kc, &err) != 0)
        fail_msg("%s", err.text);
    return kc;
}

static void stop(struct kernel *kernel, struct kc *kc)
{
    kc_close(kc);
    assert_int_equal(pthread_join(kernel->thread, NULL), 0);
    vf_lock_fini(&kernel->lock);
    (void)close(kernel->listener);
    (void)unlink(kernel->path);
    assert_int_equal(rmdir(kernel->dir), 0);
}

/* By each call that tells of a partition. */
static void expect_holders(struct kernel *kernel, struct kc *kc, enum vf_partition_state state,
                           uint32_t sent, uint32_t heard)
{
    struct vf_partition_params params = {.name = "p"};
    struct vf_error err = VF_ERROR_INIT;
    struct vf_partition_info info;

    vf_lock(&kernel->lock);
    kernel->partition.state = state;
    kernel->partition.holders = sent;
    vf_unlock(&kernel->lock);
    assert_int_equal(kc_partition_info(kc, 1, &info, &err), 0);
    assert_int_equal(info.holders, heard);
    assert_int_equal(kc_partition_find(kc, "p", &info, &err), 0);
    assert_int_equal(info.holders, heard);
    assert_int_equal(kc_partition_create(kc, &params, false, &info, &err), 0);
    assert_int_equal(info.holders, heard);
}

/* Before version 4 there was a hole in its place. */
static void of_an_older_kernel_side_the_state_tells_who_holds_a_partition(void **state)
{
    static const struct {
        enum vf_partition_state state;
        uint32_t holders;
    } cases[] = {
        {VF_PARTITION_BUILDING, 0},
        {VF_PARTITION_RUNNING, 0},
        {VF_PARTITION_PAUSED, VF_HOLD_PERSON},
        {VF_PARTITION_OUTGOING, 0},
        {VF_PARTITION_OUTGOING_PAUSED, VF_HOLD_MOVE},
        {VF_PARTITION_INCOMING, VF_HOLD_MOVE},
        {VF_PARTITION_READY, VF_HOLD_MOVE},
        {VF_PARTITION_FAULTED, VF_HOLD_FAULT},
    };

    (void)state;
    for (uint32_t version = KCALL_VERSION_MIN; version < 4; version++) {
        struct kernel kernel;
        struct kc *kc = start(&kernel, version);

        for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
            expect_holders(&kernel, kc, cases[i].state, 0xdeadbeef, cases[i].holders);
        stop(&kernel, kc);
    }
}

static void since_version_4_the_kernel_side_says_it(void **state)
{
    struct kernel kernel;
    struct kc *kc = start(&kernel, 4);

    (void)state;
    expect_holders(&kernel, kc, VF_PARTITION_PAUSED, VF_HOLD_DEFRAG, VF_HOLD_DEFRAG);
    expect_holders(&kernel, kc, VF_PARTITION_RUNNING, 0, 0);
    stop(&kernel, kc);
}

/* As kernel/server_conn.c says of a call that it does not know; tests/e2e/test_remedies.py follows
 * it. */
static void what_an_older_kernel_side_cannot_do_says_how_to_get_a_newer_one(void **state)
{
    struct vf_error err = VF_ERROR_INIT;
    struct vf_driver_info info;
    struct kernel kernel;
    struct kc *kc = start(&kernel, 1);

    (void)state;
    assert_int_equal(kc_driver_info(kc, 0, &info, &err), -1);
    assert_string_equal(vf_remedy(&err),
                        "end both with \"vferry host stop\", then start vferryd again");
    stop(&kernel, kc);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(of_an_older_kernel_side_the_state_tells_who_holds_a_partition),
        cmocka_unit_test(since_version_4_the_kernel_side_says_it),
        cmocka_unit_test(what_an_older_kernel_side_cannot_do_says_how_to_get_a_newer_one),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
