// SPDX-License-Identifier: Apache-2.0
/* Whom this host talks to: what a connection must show before a word of vferry's own protocol is
 * read from it or sent to it. */
#define LOG_ROOM "migrate"
#include "migrate/net/peer.h"

#include "base/log.h"
#include "base/thread.h"

#include <inttypes.h>
#include <string.h>

struct tp_tls *mig_tls(struct mig *mig)
{
    struct tp_tls *tls;

    vf_lock(&mig->lock);
    tls = mig->tls != NULL ? tp_tls_ref(mig->tls) : NULL;
    vf_unlock(&mig->lock);
    return tls;
}

const char *mig_security(struct mig *mig)
{
    bool tls;

    vf_lock(&mig->lock);
    tls = mig->tls != NULL;
    vf_unlock(&mig->lock);
    return tls ? "tls" : mig->insecure ? "insecure" : "plain";
}

void mig_set_tls(struct mig *mig, struct tp_tls *tls)
{
    struct tp_tls *before;

    vf_lock(&mig->lock);
    before = mig->tls;
    mig->tls = tp_tls_ref(tls);
    vf_unlock(&mig->lock);
    tp_tls_unref(before);
}

int mig_look(struct mig *mig, struct tp *tp, uint64_t deadline_ns, struct tp_tls **tls,
             struct vf_error *err)
{
    bool offered;

    *tls = mig_tls(mig);
    if (*tls == NULL && !mig->insecure && !tp_peer_is_loopback(tp))
        return vf_fail(err, VF_FAILED,
                       "host %s takes plain TCP from its own machine only; give both hosts "
                       "certificates (--tls-cert, --tls-key, --tls-ca)",
                       mig->host_name);
    if (tp_tls_offered(tp, deadline_ns, &offered, err) != 0)
        return -1;
    if (offered && *tls == NULL)
        return vf_fail(
            err, VF_FAILED,
            "speaks TLS, and host %s speaks plain TCP only; give both hosts certificates "
            "(--tls-cert, --tls-key, --tls-ca) or neither",
            mig->host_name);
    if (!offered && *tls != NULL)
        return vf_fail(
            err, VF_FAILED,
            "speaks plain TCP, and host %s speaks TLS only; give both hosts certificates "
            "(--tls-cert, --tls-key, --tls-ca) or neither",
            mig->host_name);
    return 0;
}

bool mig_same_peer(const struct mig_job *job, const struct tp *tp)
{
    /* A job from before this host had certificates has its token alone, as it had then. */
    if (job->identity[0] == '\0' || tp_is(tp, job->identity))
        return true;
    log_warn("%s, which is %s, shows the token of job %" PRIu64 ", which is %s's: refused",
             tp->peer, tp->identity[0] != '\0' ? tp->identity : "nobody", job->id,
             job->identity[0] != '\0' ? job->identity : "nobody");
    return false;
}

int mig_know_peer(struct mig_job *job, const struct tp *tp, struct vf_error *err)
{
    if (!mig_same_peer(job, tp))
        return vf_fail(err, VF_FAILED, "peer %s: is %s now, the job began with %s", tp->peer,
                       tp->identity[0] != '\0' ? tp->identity : "nobody", job->identity);
    if (job->identity[0] == '\0')
        job_update(job, memcpy(job->identity, tp->identity, sizeof job->identity));
    return 0;
}
