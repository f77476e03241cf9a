// SPDX-License-Identifier: Apache-2.0
/* The table of verbs and what they share. See verbs.h. */
#define LOG_ROOM "control"
#include "daemon/verbs/verbs.h"

#include "base/json_text.h"
#include "base/log.h"
#include "base/plain.h"
#include "daemon/jobs.h"
#include "softgpu/hw.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const struct verb verbs[] = {
    {"host show", verb_host_show},
    {"host cordon", verb_host_cordon},
    {"host uncordon", verb_host_uncordon},
    {"host stop", verb_host_stop},
    {"adapter list", verb_adapter_list},
    {"adapter show", verb_adapter_show},
    {"adapter defrag", verb_adapter_defrag},
    {"driver show", verb_driver_show},
    {"driver update", verb_driver_update},
    {"events", verb_events},
    {"partition create", verb_partition_create},
    {"partition list", verb_partition_list},
    {"partition show", verb_partition_show},
    {"partition pause", verb_partition_pause},
    {"partition resume", verb_partition_resume},
    {"partition reset", verb_partition_reset},
    {"partition remove", verb_partition_remove},
    {"run", verb_run},
    {"wait", verb_wait},
    {"read", verb_read},
    {"trace record", verb_trace_record},
    {"check", verb_check},
    {"migrate", verb_migrate},
    {"peer show", verb_peer_show},
    {"save", verb_save},
    {"restore", verb_restore},
    {"job list", verb_job_list},
    {"job show", verb_job_show},
    {"job watch", verb_job_watch},
    {"job cancel", verb_job_cancel},
    {"job set", verb_job_set},
    {"job resolve", verb_job_resolve},
    {"job forget", verb_job_forget},
};

const struct verb *verb_find(const char *words)
{
    for (size_t i = 0; i < sizeof verbs / sizeof verbs[0]; i++) {
        if (strcmp(verbs[i].words, words) == 0)
            return &verbs[i];
    }
    return NULL;
}

json_t *new_result(const char *schema)
{
    return json_pack("{s:s}", "schema", schema);
}

void put_number(json_t *object, const char *key, uint64_t value)
{
    json_int_t number = value > INT64_MAX ? INT64_MAX : (json_int_t)value;

    (void)json_object_set_new(object, key, json_integer(number));
}

void put_text(json_t *object, const char *key, const char *text)
{
    (void)json_object_set_new(object, key, vf_json_text(text));
}

void put_flag(json_t *object, const char *key, bool value)
{
    (void)json_object_set_new(object, key, json_boolean(value));
}

int fail_moved(const char *name, const char *to, struct vf_error *err)
{
    const char *file = strncmp(to, "file:/", 6) == 0 ? to + 5 : NULL;

    if (file != NULL)
        return vf_fail(err, VF_FAILED,
                       "partition %s: was saved to %s" VF_REMEDY
                       "bring it back with \"vferry restore %s --input "
                       "FILE --adapter N\"",
                       name, file, name);
    return vf_fail(err, VF_FAILED,
                   "partition %s: moved to %s" VF_REMEDY "say the same at that host", name, to);
}

void tell(struct request *request, const char *kind, uint64_t job, const char *format, ...)
{
    char text[sizeof((struct event *)0)->text];
    va_list args;

    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    log_info("%s", text);
    events_add(&request->daemon->events, "vferryd", kind, job, text);
}

int work_status(const struct guest_memory *memory, const struct vf_partition_info *info,
                struct guest_status *status, struct vf_error *err)
{
    if (guest_status(memory, status, err) != 0)
        return -1;
    if (info->state == VF_PARTITION_FAULTED && status->state == GUEST_STOPPED)
        status->state = GUEST_FAULT;
    return 0;
}

int find_partition(struct request *request, struct vf_partition_info *info, struct vf_error *err)
{
    struct kc *kc;
    const char *name;
    char to[256];

    if (request_text(request, "name", &name, err) != 0 || request_kc(request, &kc, err) != 0)
        return -1;
    if (kc_partition_find(kc, name, info, err) == 0)
        return 0;
    if (jobs_moved_to(request->daemon, name, to, sizeof to))
        return fail_moved(name, to, err);
    return -1;
}

static int not_in_a_move(const struct request *request, const struct vf_partition_info *info,
                         const char *what, struct vf_error *err)
{
    uint64_t job = mig_job_of(request->daemon->mig, info->name);
    uint64_t unknown = mig_unsettled(request->daemon->mig, info);

    if (unknown != 0)
        return vf_fail(err, VF_FAILED,
                       "partition %s: cannot %s: it is not known who runs it" VF_REMEDY
                       "see \"vferry job show %" PRIu64
                       "\"; if its peer never comes back, say it with "
                       "\"vferry job resolve %" PRIu64 "\" and --source-runs or --target-runs",
                       info->name, what, unknown, unknown);
    if (job != 0)
        return vf_fail(err, VF_FAILED,
                       "partition %s: cannot %s while job %" PRIu64 " works on it" VF_REMEDY
                       "wait for its end, or \"vferry job cancel %" PRIu64 "\"",
                       info->name, what, job, job);
    switch (info->state) {
    case VF_PARTITION_OUTGOING:
    case VF_PARTITION_OUTGOING_PAUSED:
    case VF_PARTITION_INCOMING:
    case VF_PARTITION_READY:
        return vf_fail(err, VF_FAILED,
                       "partition %s: cannot %s: it is %s and the outcome of its move is not known "
                       "yet" VF_REMEDY "see \"vferry job "
                       "list\" on both hosts",
                       info->name, what,
                       vf_partition_state_name((enum vf_partition_state)info->state));
    default:
        return 0;
    }
}

int take_compress(const struct request *request, enum pack_wish *wish, struct vf_error *err)
{
    const char *text;
    int found;

    if (request_text_or(request, "compress", "none", &text, err) != 0)
        return -1;
    found = pack_wish_of(text);
    if (found < 0)
        return vf_fail(err, VF_USAGE,
                       "--compress %s: is no way to compress" VF_REMEDY
                       "say none, lz4, zstd or auto",
                       VF_SHOWN(text));
    *wish = (enum pack_wish)found;
    return 0;
}

int keep_from_moves(struct request *request, struct vf_partition_info *info, const char *what,
                    struct vf_error *err)
{
    if (mig_hold(request->daemon->mig, info->name, &request->hold, err) != 0 ||
        find_partition(request, info, err) != 0)
        return -1;
    return not_in_a_move(request, info, what, err);
}

static int view_read(void *ctx, uint64_t gpa, void *buf, uint64_t n, struct vf_error *err)
{
    const struct guest_view *view = ctx;

    return kc_bar_read(view->kc, view->id, SG_VF_BAR_VRAM, gpa, buf, n, err);
}

static int view_write(void *ctx, uint64_t gpa, const void *buf, uint64_t n, struct vf_error *err)
{
    const struct guest_view *view = ctx;

    return kc_bar_write(view->kc, view->id, SG_VF_BAR_VRAM, gpa, buf, n, err);
}

/* Registers are little endian, as every host this builds for is. */
static int view_reg_write(void *ctx, uint64_t offset, uint64_t value, unsigned width,
                          struct vf_error *err)
{
    const struct guest_view *view = ctx;

    return kc_bar_write(view->kc, view->id, SG_VF_BAR_REGS, offset, &value, width, err);
}

static int view_reg_read(void *ctx, uint64_t offset, uint64_t *value, unsigned width,
                         struct vf_error *err)
{
    const struct guest_view *view = ctx;

    *value = 0;
    return kc_bar_read(view->kc, view->id, SG_VF_BAR_REGS, offset, value, width, err);
}

struct guest_memory guest_view_of(struct guest_view *view, struct kc *kc,
                                  const struct vf_partition_info *info)
{
    *view = (struct guest_view){kc, info->id};
    return (struct guest_memory){.ctx = view,
                                 .bytes = info->vram_bytes,
                                 .read = view_read,
                                 .write = view_write,
                                 .reg_write = view_reg_write,
                                 .reg_read = view_reg_read};
}
