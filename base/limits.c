// SPDX-License-Identifier: Apache-2.0
/* See limits.h. */
#define LOG_ROOM "base"
#include "base/limits.h"

#include "base/log.h"

#include <errno.h>
#include <inttypes.h>
#include <sched.h>
#include <string.h>
#include <sys/resource.h>

/* Beyond this nothing is gained, and a system without a limit would cost others: some walk all. */
#define ENOUGH 65536u

void vf_raise_open_files(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return;
    if (limit.rlim_cur >= ENOUGH || limit.rlim_cur == limit.rlim_max)
        return;
    limit.rlim_cur = limit.rlim_max < ENOUGH ? limit.rlim_max : ENOUGH;
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0)
        log_warn("open files stay limited: %s", strerrordesc_np(errno));
}

int vf_need_open_files(unsigned least, const char *who, struct vf_error *err)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= least)
        return 0;
    return vf_fail(err, VF_FAILED,
                   "%" PRIu64 " open files are allowed, and %s needs %u" VF_REMEDY
                   "give it a higher limit (LimitNOFILE=, ulimit -n)",
                   limit.rlim_cur, who, least);
}

bool vf_accept_withdrawn(int errnum)
{
    return errnum == EAGAIN || errnum == EINTR || errnum == ECONNABORTED;
}

unsigned vf_processors(void)
{
    cpu_set_t set;
    int count = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;

    return count > 1 ? (unsigned)count : 1;
}
