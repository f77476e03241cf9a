// SPDX-License-Identifier: Apache-2.0
/* Verbs that put a partition into a file and bring it back. Files come as descriptors, opened with
 * the rights of whoever asks. */
#include "base/cleanup.h"
#include "daemon/cordon.h"
#include "daemon/jobs.h"
#include "daemon/verbs/verbs.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

/* A descriptor that outlives the request: the job's. */
static int keep_fd(int fd, struct vf_error *err)
{
    int kept = fcntl(fd, F_DUPFD_CLOEXEC, 0);

    return kept >= 0 ? kept : vf_fail_errno(err, VF_FAILED, errno, "keep the file open");
}

/* The path is only shown and remembered: what counts is the descriptor. */
static int take_path(const struct request *request, const char **path, struct vf_error *err)
{
    if (request_text(request, "path", path, err) != 0)
        return -1;
    if ((*path)[0] != '/')
        return vf_fail(err, VF_USAGE, "argument \"path\": is not absolute");
    return 0;
}

static int started(struct request *request, struct mig_job *job)
{
    jobs_began(request->daemon, job);
    request->result = mig_job_report(job);
    mig_job_put(job);
    return 0;
}

int verb_save(struct request *request, struct vf_error *err)
{
    struct vf_partition_info info;
    struct mig_job *job;
    struct mig_save_options options;
    const char *name;
    const char *path;
    int directory;

    if (request_text(request, "file", &name, err) != 0 || take_path(request, &path, err) != 0 ||
        request_flag(request, "keep", &options.keep, err) != 0 ||
        take_compress(request, &options.compress, err) != 0 ||
        request_directory(request, &directory, err) != 0 ||
        find_partition(request, &info, err) != 0)
        return -1;
    directory = keep_fd(directory, err);
    if (directory < 0 || mig_save_start(request->daemon->mig, info.name, directory, name, path,
                                        &options, &job, err) != 0)
        return -1;
    return started(request, job);
}

/* What is not there is refused before there is a job. */
static int find_adapter(struct request *request, uint32_t *adapter, struct vf_error *err)
{
    struct vf_adapter_info info;
    uint64_t number;
    struct kc *kc;

    if (request_number(request, "adapter", &number, err) != 0 || request_kc(request, &kc, err) != 0)
        return -1;
    *adapter = number > UINT32_MAX ? UINT32_MAX : (uint32_t)number;
    return kc_adapter_info(kc, *adapter, &info, err);
}

int verb_restore(struct request *request, struct vf_error *err)
{
    struct mig_job *job;
    const char *name;
    const char *path;
    uint32_t adapter;
    int file;

    if (request_new_name(request, &name, err) != 0 || take_path(request, &path, err) != 0 ||
        request_file(request, &file, err) != 0 ||
        cordon_refuse(request->daemon, "restore", err) != 0 ||
        find_adapter(request, &adapter, err) != 0)
        return -1;
    file = keep_fd(file, err);
    if (file < 0 ||
        mig_restore_start(request->daemon->mig, name, file, path, adapter, &job, err) != 0)
        return -1;
    return started(request, job);
}
