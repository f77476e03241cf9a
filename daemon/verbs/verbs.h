// SPDX-License-Identifier: Apache-2.0
/* The verbs that the control socket knows, each a function in a file of this
 * folder; and what these share. */
#ifndef DAEMON_VERBS_H
#define DAEMON_VERBS_H

#include "daemon/control/request.h"
#include "guest/guest.h"
#include "migrate/pack/wish.h"

/* The verb of these words ("partition show"); NULL when there is none. Any thread. */
const struct verb *verb_find(const char *words);

/* Each answers one request on its connection's thread: 0 with request->result, or -1 with *err. */
int verb_host_show(struct request *request, struct vf_error *err);
int verb_host_cordon(struct request *request, struct vf_error *err);
int verb_host_uncordon(struct request *request, struct vf_error *err);
int verb_host_stop(struct request *request, struct vf_error *err);
int verb_adapter_list(struct request *request, struct vf_error *err);
int verb_adapter_show(struct request *request, struct vf_error *err);
int verb_adapter_defrag(struct request *request, struct vf_error *err);
int verb_driver_show(struct request *request, struct vf_error *err);
int verb_driver_update(struct request *request, struct vf_error *err);
int verb_events(struct request *request, struct vf_error *err);
int verb_partition_create(struct request *request, struct vf_error *err);
int verb_partition_list(struct request *request, struct vf_error *err);
int verb_partition_show(struct request *request, struct vf_error *err);
int verb_partition_pause(struct request *request, struct vf_error *err);
int verb_partition_resume(struct request *request, struct vf_error *err);
int verb_partition_reset(struct request *request, struct vf_error *err);
int verb_partition_remove(struct request *request, struct vf_error *err);
int verb_run(struct request *request, struct vf_error *err);
int verb_wait(struct request *request, struct vf_error *err);
int verb_read(struct request *request, struct vf_error *err);
int verb_trace_record(struct request *request, struct vf_error *err);
int verb_check(struct request *request, struct vf_error *err);
int verb_migrate(struct request *request, struct vf_error *err);
int verb_peer_show(struct request *request, struct vf_error *err);
int verb_save(struct request *request, struct vf_error *err);
int verb_restore(struct request *request, struct vf_error *err);
int verb_job_list(struct request *request, struct vf_error *err);
int verb_job_show(struct request *request, struct vf_error *err);
int verb_job_watch(struct request *request, struct vf_error *err);
int verb_job_cancel(struct request *request, struct vf_error *err);
int verb_job_set(struct request *request, struct vf_error *err);
int verb_job_resolve(struct request *request, struct vf_error *err);
int verb_job_forget(struct request *request, struct vf_error *err);

/* guest_status of a partition whose VF may have been reset under its workload: that is a fault,
 * though the queue stands as after a stop. */
int work_status(const struct guest_memory *memory, const struct vf_partition_info *info,
                struct guest_status *status, struct vf_error *err);
/* The partition of argument "name". VF_FAILED "moved to HOST:PORT" or "saved to FILE" when it was
 * here once and went. */
int find_partition(struct request *request, struct vf_partition_info *info, struct vf_error *err);
/* Fails with VF_FAILED because partition `name` has left for `to` (jobs_moved_to's text). */
int fail_moved(const char *name, const char *to, struct vf_error *err);
/* The argument "compress", which may be missing: PACK_NONE. VF_USAGE for what is no way to
 * compress. */
int take_compress(const struct request *request, enum pack_wish *wish, struct vf_error *err);
/* Refuses `what` ("a reset") while a move or a check works on the partition, or a move of it has an
 * unknown outcome; and keeps it so: until the request has ended no move begins, nor another command
 * that changes the partition. Such commands wait for each other, for 10 s at most. *info is filled
 * anew after the wait. Once a request. */
int keep_from_moves(struct request *request, struct vf_partition_info *info, const char *what,
                    struct vf_error *err);

/* Logs what a person did to the host, and puts it among the events. `job`: the one it was done to,
 * 0 = none. */
void tell(struct request *request, const char *kind, uint64_t job, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* The partition's memory and registers as its own CPU sees them; valid as long as `view`. */
struct guest_view {
    struct kc *kc;
    uint64_t id;
};
struct guest_memory guest_view_of(struct guest_view *view, struct kc *kc,
                                  const struct vf_partition_info *info);

/* What an adapter's driver is and can. */
void put_driver(json_t *object, const struct vf_adapter_info *info);

/* A result with its schema; the others add members. Without memory a member is missing. */
json_t *new_result(const char *schema);
/* JSON's integers are signed: more than 2^63-1 is cut. */
void put_number(json_t *object, const char *key, uint64_t value);
/* Text may come from paths and drivers: what is not UTF-8 becomes '?'. */
void put_text(json_t *object, const char *key, const char *text);
void put_flag(json_t *object, const char *key, bool value);

#endif
