// SPDX-License-Identifier: Apache-2.0
/* What may be resolved, and what it costs. See resolve.h. */
#include "migrate/handoff/resolve.h"

#include "migrate/handoff/account.h"
#include "migrate/mig.h"

#include <stdio.h>

/* Who runs it, by the peer's last record. OPEN = it waits for the other end's word. */
static enum handoff_owner peer_owner(const struct wire_account *peer)
{
    bool source = peer->side == MIG_SOURCE;
    bool holds = peer->held != WIRE_COPY_NONE;
    enum journal_kind kind;

    if (!wire_journal_kind(peer->record, &kind))
        return OWNER_SOURCE; /* before its first record nothing can have been promised */
    switch (kind) {
    case JOURNAL_OPEN:
    case JOURNAL_ABORTED:
        return OWNER_SOURCE;
    case JOURNAL_COMMIT:
        return OWNER_OPEN;
    case JOURNAL_PREPARED:
        return holds ? OWNER_OPEN : OWNER_SOURCE;
    case JOURNAL_COMMITTED: /* what ran there and was lost with its host runs nowhere now */
        return holds || source ? OWNER_TARGET : OWNER_OPEN;
    case JOURNAL_SETTLED:
        return peer->runs == MIG_TARGET ? OWNER_TARGET : OWNER_SOURCE;
    case JOURNAL_DONE:
    case JOURNAL_KINDS:
        break;
    }
    return OWNER_TARGET;
}

static const char *peer_says(const struct wire_account *peer)
{
    enum journal_kind kind;

    return wire_journal_kind(peer->record, &kind) ? journal_kind_name(kind) : "nothing";
}

static int wrong(const struct resolve_view *view, enum mig_side runs, const char *why,
                 struct vf_error *err)
{
    return vf_fail(err, VF_FAILED, "%s" VF_REMEDY "use --%s-runs%s", why,
                   runs == MIG_SOURCE ? "target" : "source",
                   view->peer_known ? ""
                                    : ", or bring the other host back and it settles by itself");
}

static int contradicted(const struct resolve_view *view, enum mig_side runs, struct vf_error *err)
{
    char why[4 * VF_NAME_BYTES];

    (void)snprintf(why, sizeof why, "the journal of host %s, its %s, says %s, so partition %s %s",
                   view->other, view->side == MIG_SOURCE ? "target" : "source",
                   peer_says(&view->peer), view->partition,
                   runs == MIG_SOURCE ? "runs on the target" : "never ran on the target");
    return wrong(view, runs, why, err);
}

static const char *source_host(const struct resolve_view *view)
{
    return view->side == MIG_SOURCE ? view->host : view->other;
}

static const char *target_host(const struct resolve_view *view)
{
    return view->side == MIG_SOURCE ? view->other : view->host;
}

/* The host that is said to run it has none of it. */
static int lost_by(const struct resolve_view *view, enum mig_side runs, const char *host,
                   const char *has, struct vf_error *err)
{
    char why[4 * VF_NAME_BYTES];

    (void)snprintf(
        why, sizeof why, "the kernel side of host %s has lost partition %s, and host %s %s it",
        host, view->partition, runs == MIG_SOURCE ? target_host(view) : source_host(view), has);
    return wrong(view, runs, why, err);
}

int resolve_allows(const struct resolve_view *view, enum mig_side runs, struct vf_error *err)
{
    enum handoff_owner owner = view->peer_known ? peer_owner(&view->peer) : OWNER_OPEN;
    bool peer_may_hold = !view->peer_known || view->peer.held != WIRE_COPY_NONE;
    bool source_holds = view->side == MIG_SOURCE ? view->held : peer_may_hold;
    bool target_holds = view->side == MIG_SOURCE ? peer_may_hold : view->held;

    if ((owner == OWNER_SOURCE && runs != MIG_SOURCE) ||
        (owner == OWNER_TARGET && runs != MIG_TARGET))
        return contradicted(view, runs, err);
    /* With neither the books can only be closed, either way. */
    if (owner != OWNER_OPEN || source_holds == target_holds)
        return 0;
    if (runs == MIG_SOURCE && !source_holds)
        return lost_by(view, runs, source_host(view), "may have", err);
    if (runs == MIG_TARGET && !target_holds)
        return lost_by(view, runs, target_host(view), "has", err);
    return 0;
}

/* Nobody there could be asked. */
static const char *warn_alone(const struct resolve_view *view, enum mig_side runs,
                              char out[MIG_WARNING_BYTES])
{
    const char *side = view->side == MIG_SOURCE ? "target" : "source";

    if (view->side == runs)
        (void)snprintf(out, MIG_WARNING_BYTES,
                       "host %s, the %s, could not be asked: if it runs partition %s, two of it "
                       "run now, and what they do from here on differs; before anybody uses it say "
                       "\"vferry partition show %s\" at host %s, and remove one of the two",
                       view->other, side, view->partition, view->partition, view->other);
    else
        (void)snprintf(out, MIG_WARNING_BYTES,
                       "host %s, the %s, could not be asked, and the copy at host %s is gone: if "
                       "host %s %s, partition %s is lost; say \"vferry partition show %s\" there, "
                       "and restore an image if it is not there",
                       view->other, side, view->host, view->other,
                       view->side == MIG_SOURCE ? "never took it over, or has lost it"
                                                : "has given up its own",
                       view->partition, view->partition);
    return out;
}

const char *resolve_warning(const struct resolve_view *view, enum mig_side runs,
                            char out[MIG_WARNING_BYTES])
{
    bool lost_there = view->mine == JOURNAL_COMMITTED ||
                      (view->peer_known && view->peer.record == WIRE_JOURNAL_COMMITTED);

    out[0] = '\0';
    if (!view->held && view->side == runs)
        (void)snprintf(out, MIG_WARNING_BYTES,
                       "the kernel side of host %s has lost partition %s: nothing of it runs "
                       "there; create it anew, or restore an image of it",
                       view->host, view->partition);
    else if (view->peer_known && runs == MIG_SOURCE && lost_there)
        (void)snprintf(out, MIG_WARNING_BYTES,
                       "partition %s ran at host %s, the target, before the kernel side there "
                       "lost it: what it did there is lost, and it goes on at host %s as it was at "
                       "the hand-off",
                       view->partition, target_host(view), source_host(view));
    else if (!view->peer_known)
        (void)warn_alone(view, runs, out);
    return out;
}
