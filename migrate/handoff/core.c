// SPDX-License-Identifier: Apache-2.0
/* See core.h. What is decided stands in table.c; this only walks the tables. */
#include "migrate/handoff/core.h"

#include "migrate/handoff/table.h"

/* Rules about what is owed need something to be. */
static bool needs_owed(const struct handoff *h, enum handoff_event_kind kind)
{
    switch (kind) {
    case EVENT_CLOSE:
    case EVENT_NO_RECORD:
    case EVENT_RUNS_THERE:
    case EVENT_NEVER_RAN:
    case EVENT_CANNOT:
    case EVENT_DUE:
    case EVENT_FORGET:
        return h->side == MIG_SOURCE && h->record != RECORD_COMMIT;
    default:
        return false;
    }
}

static enum series find(const struct handoff *h, enum handoff_event_kind kind)
{
    unsigned side = h->side == MIG_SOURCE ? RULE_SOURCE : RULE_TARGET;

    if (h->record == RECORD_UNSURE || (needs_owed(h, kind) && !h->owed))
        return SERIES_NONE;
    for (size_t i = 0; i < handoff_rule_count; i++) {
        const struct handoff_rule *rule = &handoff_rules[i];

        if (rule->event == kind && (rule->side & side) != 0 &&
            ((rule->side & RULE_FILE) == 0 || h->with_file) &&
            (rule->records >> h->record & 1u) != 0 && (rule->copies >> h->copy & 1u) != 0)
            return (enum series)rule->series;
    }
    return SERIES_NONE;
}

enum handoff_owner handoff_owner(enum handoff_record record)
{
    switch (record) {
    case RECORD_NONE:
    case RECORD_OPEN:
    case RECORD_ABORTED:
    case RECORD_SOURCE_RUNS:
        return OWNER_SOURCE;
    case RECORD_COMMITTED:
    case RECORD_DONE:
    case RECORD_TARGET_RUNS:
        return OWNER_TARGET;
    case RECORD_PREPARED:
    case RECORD_COMMIT:
    case RECORD_UNSURE:
    case HANDOFF_RECORDS:
        break;
    }
    return OWNER_OPEN;
}

bool handoff_splits(enum handoff_record is, enum handoff_record becomes)
{
    return becomes != RECORD_DONE && becomes != RECORD_PREPARED &&
           handoff_owner(is) != handoff_owner(becomes);
}

bool handoff_needs_copy(const struct handoff *h, enum handoff_event_kind kind)
{
    struct handoff other = *h;
    enum series seen;

    other.copy = COPY_UNSEEN;
    seen = find(&other, kind);
    for (unsigned copy = COPY_GONE; copy < HANDOFF_COPIES; copy++) {
        other.copy = (enum handoff_copy)copy;
        if (find(&other, kind) != seen)
            return true;
    }
    return false;
}

enum handoff_message handoff_owes(const struct handoff *h)
{
    if (h->with_file)
        return SAY_NOTHING;
    switch (find(h, EVENT_DUE)) {
    case SERIES_ASK_COMMIT:
    case SERIES_NEVER_LEFT:
        return SAY_COMMIT;
    case SERIES_ASK_ABORT:
        return SAY_ABORT;
    case SERIES_INQUIRE:
    case SERIES_ROLL_FORWARD:
    case SERIES_RETRY:
        return SAY_INQUIRE;
    default:
        return SAY_NOTHING;
    }
}

/* ---- the walk ---- */

static void begin(struct handoff *h, enum series name)
{
    bool source = h->side == MIG_SOURCE;

    h->series = (unsigned char)name;
    h->at = 0;
    switch (handoff_series[name].owed) {
    case OWED_CLEAR:
        h->owed = false;
        break;
    case OWED_SET:
        h->owed = source && !h->with_file;
        break;
    case OWED_IF_ADMITTED:
        h->owed = source && h->admitted && !h->with_file;
        break;
    case OWED_KEEP:
        break;
    }
}

/* What FOLLOW means for this copy. */
static enum handoff_action_kind follow(const struct handoff *h)
{
    bool source = h->side == MIG_SOURCE;

    if ((handoff_owner(h->record) == OWNER_SOURCE) != source)
        return HANDOFF_DESTROY;
    return source ? HANDOFF_RESUME : HANDOFF_START;
}

/* Has the copy already become, or can it not become, what the action would make of it? A copy that
 * is to be started and is gone is another matter: that fails. */
static bool is_idle(const struct handoff *h, enum handoff_action_kind kind, bool follows)
{
    bool gone = h->copy == COPY_GONE || h->copy == COPY_WENT_ON;

    switch (kind) {
    case HANDOFF_RESUME:
    case HANDOFF_DESTROY:
        return gone;
    case HANDOFF_START:
        return h->copy == COPY_RUNS || h->copy == COPY_WENT_ON || (follows && gone);
    case HANDOFF_SEND:
    case HANDOFF_ASK:
    case HANDOFF_RETRY:
        return h->with_file;
    case HANDOFF_NOTHING:
    case HANDOFF_JOURNAL:
    case HANDOFF_REPORT:
        break;
    }
    return false;
}

/* After these records the source may have something to tell. */
static bool may_owe(enum handoff_record record)
{
    return record == RECORD_ABORTED || record == RECORD_SOURCE_RUNS || record == RECORD_TARGET_RUNS;
}

static enum handoff_record record_of(const struct handoff *h, unsigned what)
{
    if (what != RECORD_SAME)
        return (enum handoff_record)what;
    return h->record == RECORD_OPEN ? RECORD_ABORTED : h->record;
}

/* The action that the walk stands at. */
static struct handoff_action action_at(const struct handoff *h)
{
    const struct act *act = &handoff_series[h->series].acts[h->at];
    struct handoff_action action = {
        .kind = act->kind == ACT_FOLLOW ? follow(h) : (enum handoff_action_kind)act->kind};

    switch (action.kind) {
    case HANDOFF_JOURNAL:
        action.record = record_of(h, act->what);
        action.owed = h->owed && may_owe(action.record);
        break;
    case HANDOFF_SEND:
    case HANDOFF_ASK:
        action.message = (enum handoff_message)act->what;
        break;
    case HANDOFF_REPORT:
        action.outcome = (enum handoff_outcome)act->what;
        break;
    default:
        break;
    }
    return action;
}

/* Goes on past actions that have nothing to do, to the one that is to be carried out. */
static struct handoff_action here(struct handoff *h)
{
    struct handoff_action action = action_at(h);

    while (action.kind != HANDOFF_NOTHING &&
           is_idle(h, action.kind, handoff_series[h->series].acts[h->at].kind == ACT_FOLLOW)) {
        h->at++;
        action = action_at(h);
    }
    /* The answer to a question begins a series of its own. */
    if (action.kind == HANDOFF_NOTHING || action.kind == HANDOFF_ASK) {
        h->series = SERIES_NONE;
        h->at = 0;
    }
    return action;
}

static struct handoff_action enter(struct handoff *h, enum series name)
{
    begin(h, name);
    return here(h);
}

static void done(struct handoff *h, const struct handoff_action *action)
{
    switch (action->kind) {
    case HANDOFF_JOURNAL:
        h->record = action->record;
        break;
    case HANDOFF_RESUME:
    case HANDOFF_START:
        h->copy = COPY_RUNS;
        break;
    case HANDOFF_DESTROY:
        h->copy = COPY_GONE;
        break;
    default:
        break;
    }
}

/* The action under way has ended. */
static struct handoff_action go_on(struct handoff *h, enum handoff_event_kind result)
{
    struct handoff_action action = action_at(h);
    unsigned failed = handoff_series[h->series].acts[h->at].failed;

    if (h->series == SERIES_NONE)
        return action;
    if (result == EVENT_UNSURE && action.kind == HANDOFF_JOURNAL &&
        handoff_splits(h->record, action.record)) {
        h->record = RECORD_UNSURE;
        return enter(h, SERIES_UNSURE);
    }
    if (result == EVENT_DID || result == EVENT_DID_LATE) {
        done(h, &action);
        /* Where the kernel side has just lost the copy here, the target's is the only one left. */
        if (result == EVENT_DID_LATE && h->series == SERIES_COMMIT && h->copy == COPY_PAUSED)
            return enter(h, SERIES_TAKE_BACK);
    } else if (failed >= ACT_OTHER) {
        return enter(h, (enum series)(failed - ACT_OTHER));
    } else if (failed == ACT_STOP) {
        if (handoff_series[h->series].owed == OWED_CLEAR)
            h->owed = true; /* nothing was written, so it is owed still */
        return enter(h, SERIES_NONE);
    }
    h->at++;
    return here(h);
}

struct handoff_action handoff_step(struct handoff *h, struct handoff_event event)
{
    if (event.copy != COPY_AS_KNOWN)
        h->copy = event.copy;
    if (event.kind <= EVENT_UNSURE)
        return go_on(h, event.kind);
    if (event.kind == EVENT_ADMITTED) {
        h->admitted = h->side == MIG_SOURCE;
        return (struct handoff_action){.kind = HANDOFF_NOTHING};
    }
    /* A series under way is ended by its results alone. */
    if (h->series != SERIES_NONE)
        return (struct handoff_action){.kind = HANDOFF_NOTHING};
    return enter(h, find(h, event.kind));
}
