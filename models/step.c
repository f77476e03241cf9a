// SPDX-License-Identifier: Apache-2.0
/* See step.h. Linked into the verifier. */
#include "step.h"

#include "migrate/handoff/core.h"

#include "names.h"

#ifndef MOVES
#define MOVES 2
#endif

#define SAME(model, code) _Static_assert((int)(model) == (int)(code), #model)
SAME(REC_NONE, RECORD_NONE);
SAME(REC_OPEN, RECORD_OPEN);
SAME(REC_PREPARED, RECORD_PREPARED);
SAME(REC_COMMIT, RECORD_COMMIT);
SAME(REC_COMMITTED, RECORD_COMMITTED);
SAME(REC_DONE, RECORD_DONE);
SAME(REC_ABORTED, RECORD_ABORTED);
SAME(DO_NOTHING, HANDOFF_NOTHING);
SAME(DO_JOURNAL, HANDOFF_JOURNAL);
SAME(DO_RESUME, HANDOFF_RESUME);
SAME(DO_START, HANDOFF_START);
SAME(DO_DESTROY, HANDOFF_DESTROY);
SAME(DO_SEND, HANDOFF_SEND);
SAME(DO_ASK, HANDOFF_ASK);
SAME(DO_RETRY, HANDOFF_RETRY);
SAME(DO_REPORT, HANDOFF_REPORT);
SAME(EV_DID, EVENT_DID);
SAME(EV_DID_LATE, EVENT_DID_LATE);
SAME(EV_FAILED, EVENT_FAILED);
SAME(EV_UNSURE, EVENT_UNSURE);
SAME(EV_ADMITTED, EVENT_ADMITTED);
SAME(EV_PROVEN, EVENT_PROVEN);
SAME(EV_GIVES_UP, EVENT_GIVES_UP);
SAME(EV_RESTART, EVENT_RESTART);
SAME(EV_DUE, EVENT_DUE);
SAME(EV_AGREE_SOURCE, EVENT_AGREE_SOURCE);
SAME(EV_AGREE_TARGET, EVENT_AGREE_TARGET);
SAME(EV_READY, EVENT_READY);
SAME(EV_RUNNING, EVENT_RUNNING);
SAME(EV_NEVER_RAN, EVENT_NEVER_RAN);
SAME(EV_CLOSE, EVENT_CLOSE);
SAME(EV_RUNS_THERE, EVENT_RUNS_THERE);
SAME(EV_CANNOT, EVENT_CANNOT);
SAME(EV_COMMIT, EVENT_COMMIT);
SAME(EV_ABORT, EVENT_ABORT);
SAME(MSG_READY, SAY_READY);
SAME(MSG_COMMIT, SAY_COMMIT);
SAME(MSG_RUNNING, SAY_RUNNING);
SAME(MSG_NEVER_RAN, SAY_NEVER_RAN);
SAME(MSG_ABORT, SAY_ABORT);
SAME(MSG_CLOSE, SAY_CLOSE);
SAME(MSG_NOT_NOW, SAY_NOT_NOW);
SAME(MSG_RUNS_HERE, SAY_RUNS_HERE);
SAME(MSG_LOST, SAY_LOST);

/* enum vf_partition_state, as far as the model has them. */
enum { IS_ABSENT, IS_RUNNING, IS_OUTGOING, IS_OUTGOING_PAUSED, IS_INCOMING, IS_READY };

/* This hand-off's copy. What a later move of the partition has begun with is none of it. */
static enum handoff_copy seen(const struct model_view *view, int host, int move, bool source)
{
    bool here = view->copy[host] != IS_ABSENT;

    if (source) {
        if (!here || view->copy_epoch[host] >= move || view->newest[host] != move)
            return COPY_GONE;
        return view->copy[host] == IS_OUTGOING_PAUSED ? COPY_PAUSED : COPY_RUNS;
    }
    if (!here || view->copy_epoch[host] != move)
        return view->newest[host] > move ? COPY_WENT_ON : COPY_GONE;
    if (view->copy[host] == IS_INCOMING)
        return COPY_PARTIAL;
    return view->copy[host] == IS_READY ? COPY_PAUSED : COPY_RUNS;
}

static const short on_wire[HANDOFF_MESSAGES] = {
    [SAY_READY] = READY,         [SAY_COMMIT] = COMMIT,        [SAY_RUNNING] = RUNNING,
    [SAY_NEVER_RAN] = NEVER_RAN, [SAY_ABORT] = ABORT,          [SAY_CLOSE] = CLOSE,
    [SAY_NOT_NOW] = CANNOT,      [SAY_RUNS_HERE] = RUNS_THERE, [SAY_LOST] = RUNS_THERE,
};

/* What is no step of its own: it changes nothing that a crash would leave. */
static bool is_talk(const struct handoff_action *action, bool storm)
{
    if (action->kind == HANDOFF_SEND)
        return action->message != SAY_READY || !storm;
    return action->kind == HANDOFF_RETRY || action->kind == HANDOFF_REPORT;
}

void model_step(const struct model_view *view, int slot, int event)
{
    int host = slot / (MOVES + 1);
    int move = slot % (MOVES + 1);
    bool source = view->source_of[move] == host;
    struct handoff handoff = {
        .side = source ? MIG_SOURCE : MIG_TARGET,
        .admitted = view->admitted[slot] != 0,
        .owed = view->owes[slot] != 0,
        .record =
            view->unsure[slot] != 0 ? RECORD_UNSURE : (enum handoff_record)view->journal[slot],
        .series = view->series[slot],
        .at = view->at[slot],
    };
    struct handoff_event happened = {(enum handoff_event_kind)event,
                                     seen(view, host, move, source)};
    struct handoff_action action = handoff_step(&handoff, happened);

    happened.kind = EVENT_DID;
    while (is_talk(&action, view->storm != 0)) {
        if (action.kind == HANDOFF_SEND)
            view->wire[move] |= on_wire[action.message];
        action = handoff_step(&handoff, happened);
    }
    if (action.kind == HANDOFF_ASK) {
        view->wire[move] |= on_wire[action.message];
        action = (struct handoff_action){.kind = HANDOFF_NOTHING};
    }
    if (handoff.record != RECORD_UNSURE)
        view->journal[slot] = (unsigned char)handoff.record;
    view->admitted[slot] = handoff.admitted;
    view->owes[slot] = handoff.owed;
    view->unsure[slot] = handoff.record == RECORD_UNSURE;
    view->series[slot] = handoff.series;
    view->at[slot] = handoff.at;
    view->act[slot] = (unsigned char)action.kind;
    view->what[slot] =
        (unsigned char)(action.kind == HANDOFF_JOURNAL ? (int)action.record : (int)action.message);
}
