// SPDX-License-Identifier: Apache-2.0
/* The life of a partition's UMED: worker, crashes, what a new worker gets. See umed.h; the calls
 * that move its data are in migration.c. */
#define LOG_ROOM "umed"
#include "dxgk/umed/private.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/thread.h"
#include "dxgk/ddi/ddi.h"
#include "dxgk/adapter/loader.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <libgen.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>

#define PROGRAM "vferry-umed"
/* A UMED that crashes at once whatever it is given must not keep the host busy: after this many
 * crashes within this time the partition goes without emulation for as long. */
#define CRASHES DXGK_UMED_CRASHES
#define CRASH_SPAN_NS 10000000000ull

/* ---- where things are ---- */

void dxgk_umed_find_worker(const struct dxgk_config *config, char *path, size_t bytes)
{
    char self[PATH_MAX];
    ssize_t length = readlink("/proc/self/exe", self, sizeof self - 1);
    int written;

    if (config->umed_worker != NULL) {
        (void)snprintf(path, bytes, "%s", config->umed_worker);
        return;
    }
    if (length > 0) {
        self[length] = '\0';
        written = snprintf(path, bytes, "%s/" PROGRAM, dirname(self));
        if (written > 0 && (size_t)written < bytes && access(path, X_OK) == 0)
            return;
    }
    written = snprintf(path, bytes, "%s/../" PROGRAM,
                       config->driver_dir != NULL ? config->driver_dir : "");
    if (written < 0 || (size_t)written >= bytes || access(path, X_OK) != 0)
        path[0] = '\0';
}

/* "/x/softgpu.so" -> "/x/softgpu-umed.so" */
static int umed_path(const char *kmd, char *path, size_t bytes)
{
    size_t length = strlen(kmd);
    int written;

    if (length > 3 && strcmp(kmd + length - 3, ".so") == 0)
        length -= 3;
    written = snprintf(path, bytes, "%.*s-umed.so", (int)length, kmd);
    return written > 0 && (size_t)written < bytes ? 0 : -1;
}

/* ---- calls; umed->lock is held ---- */

void dxgk_umed_replace(struct dxgk_blob *blob, void *data, size_t bytes)
{
    free(blob->data);
    *blob = (struct dxgk_blob){.data = bytes != 0 ? data : NULL, .bytes = bytes};
    if (bytes == 0)
        free(data);
}

/* A call to a worker that is being brought up: no crash is counted over it here. */
static int raw_call(struct dxgk_umed *umed, enum umed_op op, const struct dxgk_blob *blob,
                    uint32_t allowed, struct dxgk_worker_reply *reply, struct vf_error *err)
{
    if (dxgk_worker_call(&umed->worker, op, blob->data, (uint32_t)blob->bytes, allowed, reply) != 0)
        return vf_fail(err, VF_FAILED, "its worker was lost while it was started");
    return 0;
}

/* ---- a worker's life ---- */

static int create_object(struct dxgk_umed *umed, struct vf_error *err)
{
    const struct dxgk_partition *partition = umed->partition;
    struct umed_create create = {.luid_low = partition->luid.low,
                                 .luid_high = partition->luid.high};
    const struct dxgk_blob args = {&create, sizeof create};
    struct dxgk_worker_reply reply;
    struct umed_created created;
    int result = -1;

    memcpy(&create.class_id, &umed->class_id, sizeof create.class_id);
    memcpy(&create.vm, partition->params.uuid, sizeof create.vm);
    if (raw_call(umed, UMED_CREATE, &args, 64, &reply, err) != 0)
        return -1;
    if (FAILED(reply.result)) {
        (void)vf_fail(err, VF_FAILED, "its %.*s fails with 0x%x", (int)reply.bytes,
                      reply.data != NULL ? (const char *)reply.data : "", (uint32_t)reply.result);
    } else if (reply.bytes != sizeof created) {
        (void)vf_fail(err, VF_FAILED, "its worker does not say what it is");
    } else {
        memcpy(&created, reply.data, sizeof created);
        umed->interfaces = created.interfaces;
        result = 0;
    }
    free(reply.data);
    return result;
}

/* A new worker takes over where the last one was. */
static int hand_over(struct dxgk_umed *umed, enum umed_op op, const struct dxgk_blob *blob,
                     struct vf_error *err)
{
    struct dxgk_worker_reply reply;

    if (blob->bytes == 0)
        return 0;
    if (raw_call(umed, op, blob, 0, &reply, err) != 0)
        return -1;
    return reply.result == S_OK
               ? 0
               : vf_fail(err, VF_FAILED, "it refuses its own state (0x%x)", (uint32_t)reply.result);
}

/* The state to come back to if it crashes before the guest's first store. */
static int take_first_state(struct dxgk_umed *umed, struct vf_error *err)
{
    const struct dxgk_blob none = {0};
    struct dxgk_worker_reply reply;

    if (!umed->saves || umed->state.bytes != 0 || (umed->interfaces & UMED_HAS_MITIGATION) == 0)
        return 0;
    if (raw_call(umed, UMED_SAVE, &none, VF_MAX_MIGRATION_BLOB, &reply, err) != 0)
        return -1;
    if (reply.result == S_OK && reply.bytes != 0) {
        dxgk_umed_replace(&umed->state, reply.data, reply.bytes);
        return 0;
    }
    free(reply.data);
    if (reply.result != E_NOTIMPL)
        return vf_fail(err, VF_FAILED, "it cannot save its state (0x%x)", (uint32_t)reply.result);
    umed->saves = false; /* it keeps none */
    return 0;
}

static int start(struct dxgk_umed *umed, struct vf_error *err)
{
    const char *name = umed->partition->params.name;

    if (dxgk_worker_start(&umed->worker, umed->partition->adapter->dxgk->umed_worker, umed->path,
                          name, err) != 0)
        return vf_context(err, "UMED %s", umed->path);
    if (create_object(umed, err) != 0 ||
        hand_over(umed, UMED_RESTORE_IMMUTABLE, &umed->immutable, err) != 0 ||
        hand_over(umed, UMED_RESTORE, &umed->state, err) != 0 || take_first_state(umed, err) != 0) {
        char how[DXGK_UMED_HOW] = "";

        (void)dxgk_worker_end(&umed->worker, false, how, sizeof how);
        return vf_context(err, "UMED %s: its worker %s", umed->path, how);
    }
    umed->alive = true;
    umed->generation++;
    log_debug("%s: UMED worker %d", name, (int)umed->worker.pid);
    (void)eventfd_write(umed->wake_fd, 1);
    return 0;
}

/* Is there a place for one more crash? */
static bool may_start(const struct dxgk_umed *umed)
{
    return umed->crashes < CRASHES ||
           vf_now_ns() - umed->crash_ns[umed->crashes % CRASHES] > CRASH_SPAN_NS;
}

/* The worker is lost: buries it, tells, starts another. True when it was killed from outside. */
static bool crashed(struct dxgk_umed *umed)
{
    struct dxgk_partition *partition = umed->partition;
    struct vf_error error = VF_ERROR_INIT;
    pid_t pid = umed->worker.pid;
    const char *driver = strrchr(umed->path, '/');
    const char *then;
    bool outside;

    umed->alive = false;
    driver = driver != NULL ? driver + 1 : umed->path;
    outside = dxgk_worker_end(&umed->worker, false, umed->how, sizeof umed->how);
    umed->crash_ns[umed->crashes++ % CRASHES] = vf_now_ns();
    if (!may_start(umed))
        then = "it crashes too often and stays away for some seconds";
    else if (start(umed, &error) != 0)
        then = error.text;
    else if (umed->state.bytes != 0)
        then = "started again with its state";
    else
        then = "started again";
    log_warn("%s: UMED worker %d of %s %s; %s", partition->params.name, (int)pid, driver,
             umed->how, then);
    dxgk_event(partition->adapter->dxgk, "umed",
               "partition %s: its emulation (%s, process %d) %s; %s", partition->params.name,
               driver, (int)pid, umed->how, then);
    return outside;
}

/* Sees to it that there is a worker. */
static int up(struct dxgk_umed *umed, struct vf_error *err)
{
    struct pollfd watch = {.fd = umed->worker.fd, .events = POLLRDHUP};

    /* One that died while nobody called it is replaced before this call, not by it. */
    if (umed->alive && poll(&watch, 1, 0) > 0)
        (void)crashed(umed);
    if (umed->alive)
        return 0;
    if (!may_start(umed))
        return vf_fail(err, VF_FAILED,
                       "the emulation of partition %s crashes too often and is away for some "
                       "seconds; try again, or move or remove the partition",
                       umed->partition->params.name);
    return start(umed, err);
}

/* ---- a call to the worker that is there ---- */

static const char *const breach_texts[UMED_BREACHES] = {
    [UMED_SIZE] = "asked for a size that is not allowed",
    [UMED_GREW] = "changed the size of its data within one save",
    [UMED_OVERRAN] = "wrote behind the buffer it was given",
};

int dxgk_umed_call(struct dxgk_umed *umed, enum umed_op op, const void *body, uint32_t bytes,
                   uint32_t allowed, struct dxgk_worker_reply *reply, struct vf_error *err)
{
    bool again = false;
    int lost;

    do {
        if (up(umed, err) != 0)
            return -1;
        lost = dxgk_worker_call(&umed->worker, op, body, bytes, allowed, reply);
        if (lost == 0)
            break;
        /* One that was killed from outside is no fault of the call: it is made again, once.
         * All that a worker can change is its own state, and the next one has that of before
         * the call. */
        again = crashed(umed) && !again && (op != UMED_WRITE || umed->state.bytes != 0);
    } while (again);
    if (lost == 0) {
        if (reply->breach == UMED_KEPT)
            return 0;
        dxgk_report(umed->partition->adapter, op == UMED_SAVE_IMMUTABLE ? "SRC-3" : "SRC-6",
                    "the UMED of %s %s", umed->partition->params.name, breach_texts[reply->breach]);
        return 0;
    }
    return vf_fail(err, VF_FAILED,
                   "the emulation of partition %s crashed over this call: it %s; it is started "
                   "again with the state it had before, see \"vferry events\"",
                   umed->partition->params.name, umed->how);
}

/* ---- the watcher: tells of a worker that dies between two calls as it happens ---- */

/* A descriptor of the live worker's socket that nobody else closes, or -1. */
static int watched_fd(struct dxgk_umed *umed, uint64_t *generation, bool *ending)
{
    int fd = -1;

    vf_lock(&umed->lock);
    *ending = umed->ending;
    *generation = umed->generation;
    if (umed->alive)
        fd = fcntl(umed->worker.fd, F_DUPFD_CLOEXEC, 0);
    vf_unlock(&umed->lock);
    return fd;
}

static void *watcher(void *arg)
{
    struct dxgk_umed *umed = arg;

    for (;;) {
        uint64_t generation;
        bool ending;
        cleanup_close int fd = watched_fd(umed, &generation, &ending);
        struct pollfd wait[2] = {{.fd = umed->wake_fd, .events = POLLIN},
                                 {.fd = fd, .events = POLLRDHUP}};
        eventfd_t woken;

        if (ending)
            return NULL;
        if (poll(wait, 2, -1) < 0 && errno != EINTR) {
            log_error("%s: cannot watch its UMED: %s", umed->partition->params.name,
                      strerror(errno));
            return NULL;
        }
        if (wait[0].revents != 0)
            (void)eventfd_read(umed->wake_fd, &woken);
        if (wait[1].revents == 0)
            continue;
        vf_lock(&umed->lock);
        if (umed->alive && umed->generation == generation && !umed->ending)
            (void)crashed(umed);
        vf_unlock(&umed->lock);
    }
}

/* ---- create and destroy ---- */

static void free_umed(struct dxgk_umed *umed)
{
    dxgk_umed_replace(&umed->immutable, NULL, 0);
    dxgk_umed_replace(&umed->state, NULL, 0);
    if (umed->wake_fd >= 0)
        (void)close(umed->wake_fd);
    vf_lock_fini(&umed->lock);
    free(umed);
}

static int bring_up(struct dxgk_umed *umed, struct vf_error *err)
{
    int rc;

    umed->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (umed->wake_fd < 0)
        return vf_fail_errno(err, VF_FAILED, errno, "UMED");
    if (start(umed, err) != 0)
        return -1;
    rc = pthread_create(&umed->watcher, NULL, watcher, umed);
    if (rc == 0)
        return 0;
    (void)dxgk_worker_end(&umed->worker, true, NULL, 0);
    return vf_fail_errno(err, VF_FAILED, rc, "UMED: no thread to watch it");
}

int dxgk_umed_create(struct dxgk_partition *partition, const GUID *class_id, struct dxgk_umed **out,
                     struct vf_error *err)
{
    static const GUID own; /* all zero: the UMED's own class */
    const struct dxgk *dxgk = partition->adapter->dxgk;
    struct dxgk_umed *umed;

    *out = NULL;
    umed = calloc(1, sizeof *umed);
    if (umed == NULL)
        return vf_fail(err, VF_FAILED, "the UMED: " VF_NO_MEMORY);
    umed->partition = partition;
    umed->class_id = *class_id;
    umed->blocked = !partition->adapter->caps.live_migration;
    umed->saves = !umed->blocked;
    umed->wake_fd = umed->worker.fd = -1;
    vf_lock_init(&umed->lock);
    if (umed_path(dxgk_image_path(partition->adapter->image), umed->path, sizeof umed->path) != 0) {
        (void)vf_fail(err, VF_FAILED, "path of the UMED is too long");
        goto fail;
    }
    if (access(umed->path, F_OK) != 0) {
        if (!IsEqualGUID(class_id, &own))
            log_warn("partition %s names a UMED class, but there is no %s", partition->params.name,
                     umed->path);
        free_umed(umed);
        return 0;
    }
    if (dxgk->umed_worker[0] == '\0') {
        (void)vf_fail(err, VF_FAILED,
                      "there is a UMED (%s), but no " PROGRAM
                      " beside vferry-kernel to hold it; install it",
                      umed->path);
        goto fail;
    }
    if (bring_up(umed, err) != 0)
        goto fail;
    *out = umed;
    return 0;
fail:
    free_umed(umed);
    return -1;
}

void dxgk_umed_destroy(struct dxgk_umed *umed)
{
    char how[96] = "";

    if (umed == NULL)
        return;
    vf_lock(&umed->lock);
    umed->ending = true;
    vf_unlock(&umed->lock);
    (void)eventfd_write(umed->wake_fd, 1);
    (void)pthread_join(umed->watcher, NULL);
    (void)dxgk_worker_end(&umed->worker, true, how, sizeof how);
    free_umed(umed);
}

/* ---- guest accesses ---- */

static int run_access(struct dxgk_umed *umed, enum umed_op op, struct umed_access *access,
                      uint32_t allowed, struct dxgk_worker_reply *reply, struct vf_error *err)
{
    if (dxgk_umed_call(umed, op, access, sizeof *access, allowed, reply, err) != 0)
        return -1;
    if (reply->result == S_OK)
        return 0;
    free(reply->data);
    reply->data = NULL;
    return vf_fail(err, VF_USAGE,
                   "the emulation refuses to %s %u bytes at 0x%" PRIx64 " of BAR %u (0x%x)",
                   op == UMED_READ ? "read" : "write", access->length, access->offset, access->bar,
                   (uint32_t)reply->result);
}

int dxgk_umed_read(struct dxgk_umed *umed, uint32_t bar, uint64_t offset, void *data,
                   uint32_t bytes, struct vf_error *err)
{
    struct umed_access access = {.offset = offset, .bar = bar, .length = bytes};
    struct dxgk_worker_reply reply;
    int result;

    if (umed == NULL)
        return vf_fail(err, VF_FAILED, "the driver has no UMED that emulates this page");
    vf_lock(&umed->lock);
    result = run_access(umed, UMED_READ, &access, bytes, &reply, err);
    vf_unlock(&umed->lock);
    if (result != 0)
        return -1;
    if (reply.bytes == bytes)
        memcpy(data, reply.data, bytes);
    else
        result = vf_fail(err, VF_FAILED, "the emulation gave %u bytes of %u", reply.bytes, bytes);
    free(reply.data);
    return result;
}

int dxgk_umed_write(struct dxgk_umed *umed, uint32_t bar, uint64_t offset, const void *data,
                    uint32_t bytes, struct vf_error *err)
{
    struct umed_access access = {.offset = offset, .bar = bar, .length = bytes};
    struct dxgk_worker_reply reply;
    int result;

    if (umed == NULL)
        return vf_fail(err, VF_FAILED, "the driver has no UMED that emulates this page");
    memcpy(access.value, data, bytes);
    vf_lock(&umed->lock);
    access.save = umed->saves;
    result = run_access(umed, UMED_WRITE, &access, VF_MAX_MIGRATION_BLOB, &reply, err);
    /* What a new worker would get is what the guest has seen accepted, or nothing. */
    if (result == 0)
        dxgk_umed_replace(&umed->state, reply.data, reply.bytes);
    vf_unlock(&umed->lock);
    return result;
}
