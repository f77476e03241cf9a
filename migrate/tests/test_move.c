// SPDX-License-Identifier: Apache-2.0
/* Moves between two real kernel processes, with both daemons' migration sides in this one: whole path, real pages. */
#include "guest/guest.h"
#include "kernel/client.h"
#include "migrate/migrate.h"

#include "base/size.h"
#include "softgpu/hw.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

struct host {
    char dir[64];
    char socket[108];
    char address[64];
    pid_t kernel;
    struct kc *kc;
    struct mig *mig;
    int listener;
    int stop[2];
    pthread_t acceptor;
};

static const char *need(const char *name)
{
    const char *value = getenv(name);

    if (value == NULL) {
        fprintf(stderr, "%s is not set: run by meson test\n", name);
        exit(1);
    }
    return value;
}

static void die(const char *what, const struct vf_error *err)
{
    fail_msg("%s: %s", what, err->text);
}

static void *accept_loop(void *arg)
{
    struct host *host = arg;

    for (;;) {
        struct pollfd fds[2] = {{.fd = host->listener, .events = POLLIN}, {.fd = host->stop[0], .events = POLLIN}};
        int fd;

        if (poll(fds, 2, -1) < 0 && errno != EINTR)
            return NULL;
        if (fds[1].revents != 0)
            return NULL;
        fd = accept4(host->listener, NULL, NULL, SOCK_CLOEXEC);
        if (fd >= 0)
            mig_accept(host->mig, fd, "peer");
    }
}

static void start_kernel(struct host *host, const char *device)
{
    int ready[2];
    char answer[256] = "";
    ssize_t got;

    assert_int_equal(pipe(ready), 0);
    host->kernel = fork();
    if (host->kernel == 0) {
        char fd[16];

        (void)snprintf(fd, sizeof fd, "%d", ready[1]);
        (void)close(ready[0]);
        (void)execl(need("VF_KERNEL"), "vferry-kernel", "--state", host->dir, "--device", device, "--device-dir",
                    need("VF_DEVICE_DIR"), "--driver-dir", need("VF_DRIVER_DIR"), "--ready-fd", fd, (char *)NULL);
        _exit(127);
    }
    (void)close(ready[1]);
    got = read(ready[0], answer, sizeof answer - 1);
    (void)close(ready[0]);
    if (got <= 0 || strncmp(answer, "ready", 5) != 0)
        fail_msg("kernel: %s", answer);
}

static void start(struct host *host, const char *name, const char *device)
{
    struct mig_config config = {.host_name = name, .kernel_socket = host->socket, .state_dir = host->dir, .listen = host->address};
    struct vf_error err = VF_ERROR_INIT;

    memset(host, 0, sizeof *host);
    (void)snprintf(host->dir, sizeof host->dir, "/tmp/vferry-move-XXXXXX");
    assert_non_null(mkdtemp(host->dir));
    (void)snprintf(host->socket, sizeof host->socket, "%s/kernel.sock", host->dir);
    start_kernel(host, device);
    if (kc_connect(host->socket, &host->kc, &err) != 0)
        die("connect", &err);
    if (tp_tcp_listen("127.0.0.1:0", &host->listener, host->address, sizeof host->address, &err) != 0)
        die("listen", &err);
    if (mig_open(&config, &host->mig, &err) != 0)
        die("mig_open", &err);
    assert_int_equal(pipe(host->stop), 0);
    assert_int_equal(pthread_create(&host->acceptor, NULL, accept_loop, host), 0);
}

static void stop(struct host *host)
{
    struct vf_error err = VF_ERROR_INIT;
    char path[200];
    int status;

    assert_int_equal(write(host->stop[1], "x", 1), 1);
    (void)pthread_join(host->acceptor, NULL);
    mig_close(host->mig);
    (void)close(host->listener);
    (void)close(host->stop[0]);
    (void)close(host->stop[1]);
    (void)kc_shutdown(host->kc, true, &err);
    kc_close(host->kc);
    assert_int_equal(waitpid(host->kernel, &status, 0), host->kernel);
    assert_int_equal(status, 0);
    (void)snprintf(path, sizeof path, "rm -rf %s", host->dir);
    assert_int_equal(system(path), 0);
}

struct view {
    struct kc *kc;
    uint64_t id;
};

static int view_read(void *ctx, uint64_t gpa, void *buf, uint64_t n, struct vf_error *err)
{
    struct view *v = ctx;

    return kc_bar_read(v->kc, v->id, SG_VF_BAR_VRAM, gpa, buf, n, err);
}

static int view_write(void *ctx, uint64_t gpa, const void *buf, uint64_t n, struct vf_error *err)
{
    struct view *v = ctx;

    return kc_bar_write(v->kc, v->id, SG_VF_BAR_VRAM, gpa, buf, n, err);
}

static int view_reg_write(void *ctx, uint64_t offset, uint64_t value, unsigned width, struct vf_error *err)
{
    struct view *v = ctx;

    return kc_bar_write(v->kc, v->id, SG_VF_BAR_REGS, offset, &value, width, err);
}

static int view_reg_read(void *ctx, uint64_t offset, uint64_t *value, unsigned width, struct vf_error *err)
{
    struct view *v = ctx;

    *value = 0;
    return kc_bar_read(v->kc, v->id, SG_VF_BAR_REGS, offset, value, width, err);
}

static struct guest_memory view_of(struct view *v, struct host *host, const struct vf_partition_info *p)
{
    *v = (struct view){host->kc, p->id};
    return (struct guest_memory){.ctx = v, .bytes = p->vram_bytes, .read = view_read, .write = view_write,
                                 .reg_write = view_reg_write, .reg_read = view_reg_read};
}

static void create(struct host *host, const char *name, uint64_t vram, struct vf_partition_info *out)
{
    struct vf_partition_params params = {.vram_bytes = vram};
    struct vf_error err = VF_ERROR_INIT;

    (void)snprintf(params.name, sizeof params.name, "%s", name);
    if (kc_partition_create(host->kc, &params, false, out, &err) != 0)
        die("create", &err);
}

/* Starts the move and returns its job, over. */
static struct mig_job *move(struct host *from, struct host *to, const char *name, const struct mig_options *wish)
{
    struct mig_options options = *wish;
    struct vf_error err = VF_ERROR_INIT;
    struct mig_job *job;

    (void)snprintf(options.to, sizeof options.to, "%s", to->address);
    if (mig_source_start(from->mig, name, &options, &job, &err) != 0)
        die("start", &err);
    assert_true(mig_job_wait(job, TP_NEVER, UINT64_MAX));
    return job;
}

static void expect_moved(struct mig_job *job)
{
    struct vf_error err = VF_ERROR_INIT;

    if (mig_job_result(job, &err) != 0)
        die("move", &err);
    mig_job_put(job);
}

static void await_done(struct host *host, const struct vf_partition_info *p, char digest[GUEST_DIGEST_BYTES])
{
    struct view v;
    struct guest_memory memory = view_of(&v, host, p);
    struct guest_status status;
    struct vf_error err = VF_ERROR_INIT;

    do {
        (void)poll(NULL, 0, 5); /* there is no event of a guest's end yet */
        if (guest_status(&memory, &status, &err) != 0)
            die("status", &err);
    } while (status.state == GUEST_RUNNING);
    assert_int_equal(status.state, GUEST_DONE);
    if (guest_digest(&memory, digest, &err) != 0)
        die("digest", &err);
}

static struct host left, right;

static int setup(void **state)
{
    (void)state;
    start(&left, "left", need("VF_TEST_DEVICE"));
    start(&right, "right", need("VF_TEST_DEVICE"));
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    stop(&left);
    stop(&right);
    return 0;
}

static void run_workload(struct host *host, const struct vf_partition_info *p, const struct guest_options *work)
{
    struct view v;
    struct guest_memory memory = view_of(&v, host, p);
    struct vf_error err = VF_ERROR_INIT;

    if (guest_start(work, &memory, &err) != 0)
        die("guest_start", &err);
}

/* Moves while it writes, there and back and there again; the content ends as if it never had. */
static void churn_moves_back_and_forth(void **state)
{
    struct guest_options work = {.workload = GUEST_CHURN, .size = 32u << 20, .steps = 60000, .seed = 11, .rate = 200000000};
    struct mig_options options;
    struct vf_partition_info p;
    struct vf_error err = VF_ERROR_INIT;
    char got[GUEST_DIGEST_BYTES];
    char want[GUEST_DIGEST_BYTES];

    (void)state;
    mig_options_init(&options);
    create(&left, "churn", 64u << 20, &p);
    run_workload(&left, &p, &work);
    expect_moved(move(&left, &right, "churn", &options));
    expect_moved(move(&right, &left, "churn", &options));
    expect_moved(move(&left, &right, "churn", &options));
    if (kc_partition_find(right.kc, "churn", &p, &err) != 0)
        die("find", &err);
    assert_int_equal(p.epoch, 3);
    await_done(&right, &p, got);
    assert_int_equal(guest_reference(&work, NULL, NULL, want, &err), 0);
    assert_string_equal(got, want);
    assert_int_equal(kc_partition_destroy(right.kc, p.id, &err), 0);
}

static void full_verify_agrees(void **state)
{
    struct guest_options work = {.workload = GUEST_FILL, .size = 40u << 20, .steps = 1, .seed = 3};
    struct mig_options options;
    struct vf_partition_info p;
    struct vf_error err = VF_ERROR_INIT;
    char got[GUEST_DIGEST_BYTES];
    char want[GUEST_DIGEST_BYTES];

    (void)state;
    mig_options_init(&options);
    options.verify = MIG_VERIFY_FULL;
    options.max_blackout_ns = 60000000000ull;
    options.streams = 3;
    create(&left, "full", 64u << 20, &p);
    run_workload(&left, &p, &work);
    await_done(&left, &p, got);
    expect_moved(move(&left, &right, "full", &options));
    if (kc_partition_find(right.kc, "full", &p, &err) != 0)
        die("find", &err);
    await_done(&right, &p, got);
    assert_int_equal(guest_reference(&work, NULL, NULL, want, &err), 0);
    assert_string_equal(got, want);
    assert_int_equal(kc_partition_destroy(right.kc, p.id, &err), 0);
}

static void a_paused_partition_moves_and_arrives_paused(void **state)
{
    struct guest_options work = {.workload = GUEST_CHURN, .size = 8u << 20, .steps = 20000, .seed = 5, .rate = 100000000};
    struct mig_options options;
    struct vf_partition_info p;
    struct vf_error err = VF_ERROR_INIT;
    char got[GUEST_DIGEST_BYTES];
    char want[GUEST_DIGEST_BYTES];

    (void)state;
    mig_options_init(&options);
    create(&left, "paused", 64u << 20, &p);
    run_workload(&left, &p, &work);
    assert_int_equal(kc_partition_pause(left.kc, p.id, &err), 0);
    expect_moved(move(&left, &right, "paused", &options));
    if (kc_partition_find(right.kc, "paused", &p, &err) != 0)
        die("find", &err);
    assert_int_equal(p.state, VF_PARTITION_PAUSED);
    assert_int_equal(kc_partition_resume(right.kc, p.id, &err), 0);
    await_done(&right, &p, got);
    assert_int_equal(guest_reference(&work, NULL, NULL, want, &err), 0);
    assert_string_equal(got, want);
    assert_int_equal(kc_partition_destroy(right.kc, p.id, &err), 0);
}

static void a_move_to_itself_is_refused_and_the_partition_runs_on(void **state)
{
    struct mig_options options;
    struct vf_partition_info p;
    struct vf_error err = VF_ERROR_INIT;
    struct mig_job *job;

    (void)state;
    mig_options_init(&options);
    create(&left, "self", 64u << 20, &p);
    job = move(&left, &left, "self", &options);
    assert_int_equal(mig_job_result(job, &err), -1);
    assert_int_equal(err.code, VF_INCOMPATIBLE);
    mig_job_put(job);
    assert_int_equal(kc_partition_info(left.kc, p.id, &p, &err), 0);
    assert_int_equal(p.state, VF_PARTITION_RUNNING);
    assert_int_equal(kc_partition_destroy(left.kc, p.id, &err), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(churn_moves_back_and_forth),
        cmocka_unit_test(full_verify_agrees),
        cmocka_unit_test(a_paused_partition_moves_and_arrives_paused),
        cmocka_unit_test(a_move_to_itself_is_refused_and_the_partition_runs_on),
    };

    return cmocka_run_group_tests_name("move", tests, setup, teardown);
}
