// SPDX-License-Identifier: Apache-2.0
/* What may be resolved, and what it costs. See resolve.h. */
#include "migrate/resolve.h"

#include "migrate/mig.h"

#include <string.h>

/* Who runs it, by the peer's last record. OPEN = it waits for the other end's word. */
static enum handoff_fate peer_fate(const struct wire_account *peer)
{
    bool source = peer->side == JOURNAL_SOURCE;

    if (peer->record == 0) /* before its first record nothing can have been promised */
        return FATE_SOURCE;
    switch ((enum journal_kind)(peer->record - 1)) {
    case JOURNAL_OPEN:
    case JOURNAL_ABORTED:
        return FATE_SOURCE;
    case JOURNAL_COMMIT:
        return FATE_OPEN;
    case JOURNAL_PREPARED:
        return peer->held != 0 ? FATE_OPEN : FATE_SOURCE;
    case JOURNAL_COMMITTED: /* what ran there and was lost with its host runs nowhere now */
        return peer->held != 0 || source ? FATE_TARGET : FATE_OPEN;
    case JOURNAL_SETTLED:
        return strncmp(peer->text, MIG_TARGET_RUNS, strlen(MIG_TARGET_RUNS)) == 0 ? FATE_TARGET
                                                                                  : FATE_SOURCE;
    case JOURNAL_DONE:
    case JOURNAL_KINDS:
        break;
    }
    return FATE_TARGET;
}

static const char *peer_says(const struct wire_account *peer)
{
    return peer->record == 0 ? "nothing" : journal_kind_name((enum journal_kind)(peer->record - 1));
}

static int wrong(const struct resolve_view *view, bool source_runs, const char *why,
                 struct vf_error *err)
{
    return vf_fail(
        err, VF_FAILED, "%s" VF_REMEDY "use --%s-runs%s", why, source_runs ? "target" : "source",
        view->peer_known ? "" : ", or bring the other host back and it settles by itself");
}

static int contradicted(const struct resolve_view *view, bool source_runs, struct vf_error *err)
{
    char why[200];

    (void)snprintf(why, sizeof why, "the %s's journal says %s, so it %s",
                   view->source ? "target" : "source", peer_says(&view->peer),
                   source_runs ? "runs on the target" : "never ran on the target");
    return wrong(view, source_runs, why, err);
}

int resolve_allows(const struct resolve_view *view, bool source_runs, struct vf_error *err)
{
    enum handoff_fate fate = view->peer_known ? peer_fate(&view->peer) : FATE_OPEN;
    bool peer_may_hold = !view->peer_known || view->peer.held != 0;
    bool source_holds = view->source ? view->held : peer_may_hold;
    bool target_holds = view->source ? peer_may_hold : view->held;

    if ((fate == FATE_SOURCE && !source_runs) || (fate == FATE_TARGET && source_runs))
        return contradicted(view, source_runs, err);
    /* With neither the books can only be closed, either way. */
    if (fate != FATE_OPEN || source_holds == target_holds)
        return 0;
    if (source_runs && !source_holds)
        return wrong(view, source_runs,
                     "the source's kernel side has lost the partition, and the target may have it",
                     err);
    if (!source_runs && !target_holds)
        return wrong(view, source_runs,
                     "the target's kernel side has lost the partition, and the source has it", err);
    return 0;
}

const char *resolve_warning(const struct resolve_view *view, bool source_runs)
{
    bool lost_there = view->mine == JOURNAL_COMMITTED ||
                      (view->peer_known && view->peer.record == JOURNAL_COMMITTED + 1);

    if (!view->held && view->source == source_runs)
        return "the kernel side here has lost the partition: nothing runs here";
    if (view->peer_known && source_runs && lost_there)
        return "the partition ran on the target before its kernel side lost it: what it did there "
               "is lost, and the source goes on from the hand-off";
    if (view->peer_known)
        return "";
    if (view->source && source_runs)
        return "the target could not be asked: if it took the partition over, it now runs twice, "
               "and what the copies do from here on differs; find out before anybody uses it, and "
               "remove one of them";
    if (view->source)
        return "the target could not be asked, and the copy here is gone: if the target never took "
               "the partition over, or has lost it, the partition is lost";
    if (source_runs)
        return "the source could not be asked, and the copy here is gone: if the source has given "
               "up its own, the partition is lost";
    return "the source could not be asked: if it runs the partition, it now runs twice, and what "
           "the copies do from here on differs; find out before anybody uses it, and remove one of "
           "them";
}
