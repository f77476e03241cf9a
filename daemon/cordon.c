// SPDX-License-Identifier: Apache-2.0
/* See cordon.h. */
#define LOG_ROOM "host"
#include "daemon/cordon.h"

#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#define MARK "cordoned"

void cordon_load(const struct daemon *daemon)
{
    bool on = faccessat(daemon->state_fd, MARK, F_OK, 0) == 0;

    mig_set_cordon(daemon->mig, on);
    if (on)
        log_info("cordoned: no partition is created, arrives or is restored here");
}

/* Makes or removes the mark; the directory holds it once that is on disk. */
static int mark(const struct daemon *daemon, bool on)
{
    int fd;

    if (!on && unlinkat(daemon->state_fd, MARK, 0) != 0 && errno != ENOENT)
        return -1;
    if (on) {
        fd = openat(daemon->state_fd, MARK, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (fd < 0 || close(fd) != 0)
            return -1;
    }
    return fsync(daemon->state_fd);
}

int cordon_set(const struct daemon *daemon, bool on, struct vf_error *err)
{
    /* First: nothing comes in while the disk is asked. */
    bool was = mig_cordoned(daemon->mig);

    mig_set_cordon(daemon->mig, on || was);
    if (mark(daemon, on) != 0) {
        int why = errno;

        mig_set_cordon(daemon->mig, was);
        return vf_fail_errno(err, VF_FAILED, why, "host: %s/" MARK, daemon->state_dir);
    }
    mig_set_cordon(daemon->mig, on);
    return 0;
}

int cordon_refuse(const struct daemon *daemon, const char *what, struct vf_error *err)
{
    return !mig_cordoned(daemon->mig)
               ? 0
               : vf_fail(err, VF_REFUSED_NOW,
                         "%s: host %s is cordoned and takes in no partition" VF_REMEDY
                         "use another host, or say \"vferry host uncordon\"",
                         what, daemon->name);
}
