// SPDX-License-Identifier: Apache-2.0
/*
 * Answers for hand-offs whose thread is gone: their job ended, or an earlier daemon began it. A
 * source that comes back says COMMIT or ABORT; either end may INQUIRE.
 */
#ifndef MIGRATE_HANDOFF_REPLY_H
#define MIGRATE_HANDOFF_REPLY_H

#include "kernel/client.h"
#include "migrate/mig.h"

/* Answers `word`, the first that was said on this connection, and closes tp. The HELLO's token says
 * which hand-off it is, and that the peer is its other end. */
void reply_to(struct mig *mig, struct tp *tp, const struct mig_peer *peer,
              const struct wire_message *word);

/* Target, the job claimed: what COMMIT asks for. 0: it runs here. VF_FAILED: not now. VF_UNKNOWN:
 * it cannot. VF_CANCELLED: it never ran here and never will, which is in the journal. */
int reply_commit(struct mig_job *job, struct kc *kc, struct vf_error *err);
/* Likewise ABORT. 0: nothing is left of it here. VF_UNKNOWN: it runs here. */
int reply_abort(struct mig_job *job, struct kc *kc, const char *why, struct vf_error *err);
/* What this host's journal and kernel side say of a job. */
int reply_account(struct mig_job *job, struct wire_account *out, struct vf_error *err);

#endif
