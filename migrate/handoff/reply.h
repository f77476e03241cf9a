// SPDX-License-Identifier: Apache-2.0
/*
 * Answers for hand-offs whose thread is gone: their job ended, or an earlier daemon began it. A
 * source that comes back says COMMIT or ABORT; either end may INQUIRE.
 */
#ifndef MIGRATE_HANDOFF_REPLY_H
#define MIGRATE_HANDOFF_REPLY_H

#include "kernel/client.h"
#include "migrate/handoff/core.h"
#include "migrate/mig.h"

/* Answers `message`, the first that was said on this connection, and closes tp. The HELLO's token
 * says which hand-off it is, and that the peer is its other end. The connection's thread. */
void reply_to(struct mig *mig, struct tp *tp, const struct mig_peer *peer,
              const struct wire_message *message);

/* Target, the job claimed: what follows from a person's word that the peer does not contradict
 * (EVENT_AGREE_SOURCE, EVENT_AGREE_TARGET), or from EVENT_DUE while the copy is here. 0: *end and
 * *err are as the job is to show them. -1: nothing is settled by it, *err says why. */
int reply_act(struct mig_job *job, struct kc *kc, enum handoff_event_kind kind, enum job_state *end,
              struct vf_error *err);
/* Target, the job claimed: COMMIT or ABORT came on tp; what follows is done and the answer said.
 * -1: nothing was said, *err is the answer. */
int reply_handoff(struct mig_job *job, struct kc *kc, struct tp *tp, uint16_t version,
                  const struct wire_message *message, struct vf_error *err);
/* What this host's journal and kernel side say of a job. */
int reply_account(struct mig_job *job, struct wire_account *out, struct vf_error *err);

#endif
