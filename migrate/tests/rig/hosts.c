// SPDX-License-Identifier: Apache-2.0
/* See hosts.h. */
#include "migrate/tests/rig/hosts.h"

#include "base/clock.h"
#include "base/tests/folder.h"
#include "base/tests/tool.h"
#include "softgpu/hw.h"

#include <errno.h>
#include <poll.h>
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

#define PATIENCE_NS (20000000000ull * TEST_TOOL_FACTOR)

const char *need(const char *name)
{
    const char *value = getenv(name);

    if (value == NULL) {
        fprintf(stderr, "%s is not set: run by meson test\n", name);
        exit(1);
    }
    return value;
}

void die(const char *what, const struct vf_error *err)
{
    fail_msg("%s: %s", what, err->text);
}

static void *accept_loop(void *arg)
{
    struct host *host = arg;

    for (;;) {
        struct pollfd fds[2] = {{.fd = host->listener, .events = POLLIN},
                                {.fd = host->stop[0], .events = POLLIN}};
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
        (void)execl(need("VF_KERNEL"), "vferry-kernel", "--state", host->dir, "--device", device,
                    "--device-dir", need("VF_DEVICE_DIR"), "--driver-dir", need("VF_DRIVER_DIR"),
                    "--ready-fd", fd, (char *)NULL);
        _exit(127);
    }
    (void)close(ready[1]);
    got = read(ready[0], answer, sizeof answer - 1);
    (void)close(ready[0]);
    if (got <= 0 || strncmp(answer, "ready", 5) != 0)
        fail_msg("kernel: %s", answer);
}

void host_start(struct host *host, const char *name, uint64_t silence_ns, uint64_t redial_ns)
{
    struct mig_config config = {.host_name = name,
                                .kernel_socket = host->socket,
                                .state_dir = host->dir,
                                .listen = host->address,
                                .silence_ns = silence_ns,
                                .redial_ns = redial_ns};
    struct vf_error err = VF_ERROR_INIT;

    memset(host, 0, sizeof *host);
    test_template(host->dir, "vferry-move");
    assert_non_null(mkdtemp(host->dir));
    (void)snprintf(host->socket, sizeof host->socket, "%s/kernel.sock", host->dir);
    start_kernel(host, need("VF_TEST_DEVICE"));
    if (kc_connect(host->socket, &host->kc, &err) != 0)
        die("connect", &err);
    if (tp_tcp_listen("127.0.0.1:0", &host->listener, host->address, sizeof host->address, &err) !=
        0)
        die("listen", &err);
    if (mig_open(&config, &host->mig, &err) != 0)
        die("mig_open", &err);
    assert_int_equal(pipe(host->stop), 0);
    assert_int_equal(pthread_create(&host->acceptor, NULL, accept_loop, host), 0);
}

void host_stop(struct host *host)
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
    (void)kc_shutdown_begin(host->kc, true, &err);
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

static int view_reg_write(void *ctx, uint64_t offset, uint64_t value, unsigned width,
                          struct vf_error *err)
{
    struct view *v = ctx;

    return kc_bar_write(v->kc, v->id, SG_VF_BAR_REGS, offset, &value, width, err);
}

static int view_reg_read(void *ctx, uint64_t offset, uint64_t *value, unsigned width,
                         struct vf_error *err)
{
    struct view *v = ctx;

    *value = 0;
    return kc_bar_read(v->kc, v->id, SG_VF_BAR_REGS, offset, value, width, err);
}

static struct guest_memory view_of(struct view *v, struct host *host,
                                   const struct vf_partition_info *p)
{
    *v = (struct view){host->kc, p->id};
    return (struct guest_memory){.ctx = v,
                                 .bytes = p->vram_bytes,
                                 .read = view_read,
                                 .write = view_write,
                                 .reg_write = view_reg_write,
                                 .reg_read = view_reg_read};
}

void create(struct host *host, const char *name, uint64_t vram, struct vf_partition_info *out)
{
    struct vf_partition_params params = {.vram_bytes = vram};
    struct vf_error err = VF_ERROR_INIT;

    (void)snprintf(params.name, sizeof params.name, "%s", name);
    if (kc_partition_create(host->kc, &params, false, out, &err) != 0)
        die("create", &err);
}

void create_incoming(struct host *host, uint64_t job, struct vf_partition_info *out)
{
    struct vf_partition_params params = {.name = "p", .uuid = {5}, .vram_bytes = 32u << 20};
    struct vf_error err = VF_ERROR_INIT;

    if (kc_partition_create(host->kc, &params, true, out, &err) != 0 ||
        kc_prepare(host->kc, out->id, KC_TARGET, job, &err) != 0)
        die("incoming", &err);
}

void make_ready(struct host *host, const struct vf_partition_info *p, uint64_t epoch)
{
    struct vf_partition_info source;
    struct vf_reasons reasons = {0};
    struct vf_error err = VF_ERROR_INIT;
    struct kc_blob kmd, umed, state, msix, emulated;

    create(host, "donor", p->vram_bytes, &source);
    if (kc_prepare(host->kc, source.id, KC_SOURCE, 0, &err) != 0 ||
        kc_save_immutable(host->kc, source.id, &kmd, &umed, &err) != 0 ||
        kc_partition_pause(host->kc, source.id, &err) != 0 ||
        kc_save_mutable(host->kc, source.id, &state, &msix, &emulated, &err) != 0 ||
        kc_restore_immutable(host->kc, p->id, &kmd, &umed, &reasons, &err) != 0 ||
        kc_restore_mutable(host->kc, p->id, &state, &msix, &emulated, &err) != 0 ||
        kc_end(host->kc, p->id, &err) != 0 ||
        kc_partition_set_epoch(host->kc, p->id, epoch, &err) != 0 ||
        kc_end(host->kc, source.id, &err) != 0 ||
        kc_partition_destroy(host->kc, source.id, &err) != 0)
        die("ready", &err);
    kc_blob_free(&kmd);
    kc_blob_free(&umed);
    kc_blob_free(&state);
    kc_blob_free(&msix);
    kc_blob_free(&emulated);
}

struct mig_job *start_move(struct host *from, const char *to, const char *name,
                           const struct mig_options *wish)
{
    struct mig_options options = *wish;
    struct vf_error err = VF_ERROR_INIT;
    struct mig_job *job;

    (void)snprintf(options.to, sizeof options.to, "%s", to);
    if (mig_source_start(from->mig, name, &options, &job, &err) != 0)
        die("start", &err);
    return job;
}

struct mig_job *move(struct host *from, struct host *to, const char *name,
                     const struct mig_options *wish)
{
    struct mig_job *job = start_move(from, to->address, name, wish);

    assert_true(mig_job_wait(job, TP_NEVER, UINT64_MAX));
    return job;
}

/* The pieces are consecutive: nothing of the blackout is lost between them, nothing
 * counted twice. */
static void expect_sum(struct mig_job *job)
{
    json_t *report = mig_job_report(job);
    json_t *pieces = json_object_get(report, "blackout");
    json_int_t sum = 0;
    const char *name;
    json_t *piece;

    assert_int_equal(json_object_size(pieces), 6);
    json_object_foreach(pieces, name, piece)
    {
        assert_true(json_integer_value(piece) >= 0);
        sum += json_integer_value(piece);
    }
    assert_int_equal(sum, json_integer_value(json_object_get(report, "blackout_ns")));
    assert_true(sum > 0);
    json_decref(report);
}

void expect_moved(struct mig_job *job)
{
    struct vf_error err = VF_ERROR_INIT;

    if (mig_job_result(job, &err) != 0)
        die("move", &err);
    expect_sum(job);
    mig_job_put(job);
}

void await_done(struct host *host, const struct vf_partition_info *p,
                char digest[GUEST_DIGEST_BYTES])
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

void run_workload(struct host *host, const struct vf_partition_info *p,
                  const struct guest_options *work)
{
    struct view v;
    struct guest_memory memory = view_of(&v, host, p);
    struct vf_error err = VF_ERROR_INIT;

    if (guest_start(work, &memory, &err) != 0)
        die("guest_start", &err);
}

uint64_t soon(void)
{
    return vf_now_ns() + PATIENCE_NS;
}

void expect_empty(struct host *host)
{
    uint64_t end = soon();
    size_t count = 1;

    /* The host clears up after its last word to us: there is no other sign of it. */
    while (count != 0) {
        struct vf_partition_info *list = NULL;
        struct vf_error err = VF_ERROR_INIT;

        if (kc_partition_list(host->kc, &list, &count, &err) != 0)
            die("list", &err);
        free(list);
        if (count != 0 && vf_now_ns() > end)
            fail_msg("%zu partitions are left", count);
        (void)poll(NULL, 0, count != 0 ? 2 : 0);
    }
}

void say(struct tp *tp, const struct wire_message *message)
{
    struct vf_error err = VF_ERROR_INIT;

    if (wire_say(tp, message, soon(), &err) != 0)
        die("say", &err);
}

void hear(struct tp *tp, enum wire_tag tag, struct wire_message *out)
{
    struct vf_error err = VF_ERROR_INIT;

    if (wire_expect(tp, tag, out, soon(), &err) != 0)
        die(wire_tag_name(tag), &err);
}

void await_phase(struct mig_job *job, const char *phase)
{
    uint64_t until = soon();
    struct mig_progress now = {0};

    do {
        if (vf_now_ns() >= until || mig_job_wait(job, until, now.change))
            fail_msg("it did not come to %s", phase);
        mig_job_progress(job, &now);
    } while (strcmp(now.phase, phase) != 0);
}
