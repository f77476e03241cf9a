// SPDX-License-Identifier: Apache-2.0
/* Names for traces, tests and the model's trails. */
#include "migrate/handoff/table.h"

#define NAME(value, names)                                                                         \
    ((size_t)(value) < sizeof(names) / sizeof *(names) ? (names)[value] : "?")

const char *handoff_record_name(enum handoff_record record)
{
    static const char *const names[] = {
        [RECORD_NONE] = "NONE",
        [RECORD_OPEN] = "OPEN",
        [RECORD_PREPARED] = "PREPARED",
        [RECORD_COMMIT] = "COMMIT",
        [RECORD_COMMITTED] = "COMMITTED",
        [RECORD_DONE] = "DONE",
        [RECORD_ABORTED] = "ABORTED",
        [RECORD_SOURCE_RUNS] = "SOURCE-RUNS",
        [RECORD_TARGET_RUNS] = "TARGET-RUNS",
        [RECORD_UNSURE] = "UNSURE",
    };

    return NAME(record, names);
}

const char *handoff_event_name(enum handoff_event_kind kind)
{
    static const char *const names[] = {
        [EVENT_DID] = "DID",
        [EVENT_DID_LATE] = "DID-LATE",
        [EVENT_FAILED] = "FAILED",
        [EVENT_UNSURE] = "UNSURE",
        [EVENT_ADMITTED] = "ADMITTED",
        [EVENT_PROVEN] = "PROVEN",
        [EVENT_GIVES_UP] = "GIVES-UP",
        [EVENT_RESTART] = "RESTART",
        [EVENT_DUE] = "DUE",
        [EVENT_FORGET] = "FORGET",
        [EVENT_AGREE_SOURCE] = "AGREE-SOURCE",
        [EVENT_AGREE_TARGET] = "AGREE-TARGET",
        [EVENT_RESOLVE_SOURCE] = "SETTLE-SOURCE",
        [EVENT_RESOLVE_TARGET] = "SETTLE-TARGET",
        [EVENT_READY] = "READY",
        [EVENT_RUNNING] = "RUNNING",
        [EVENT_NEVER_RAN] = "NEVER-RAN",
        [EVENT_CLOSE] = "CLOSE",
        [EVENT_NO_RECORD] = "NO-RECORD",
        [EVENT_RUNS_THERE] = "RUNS-THERE",
        [EVENT_CANNOT] = "CANNOT",
        [EVENT_COMMIT] = "COMMIT",
        [EVENT_ABORT] = "ABORT",
        [EVENT_DONE] = "DONE",
        [EVENT_SOURCE_DONE] = "SOURCE-DONE",
        [EVENT_SOURCE_NOT_DONE] = "SOURCE-NOT-DONE",
    };

    return NAME(kind, names);
}

const char *handoff_action_name(enum handoff_action_kind kind)
{
    static const char *const names[] = {
        [HANDOFF_NOTHING] = "NOTHING",
        [HANDOFF_JOURNAL] = "JOURNAL",
        [HANDOFF_RESUME] = "RESUME",
        [HANDOFF_START] = "START",
        [HANDOFF_DESTROY] = "DESTROY",
        [HANDOFF_SEND] = "SEND",
        [HANDOFF_ASK] = "ASK",
        [HANDOFF_RETRY] = "RETRY",
        [HANDOFF_REPORT] = "REPORT",
    };

    return NAME(kind, names);
}

const char *handoff_message_name(enum handoff_message message)
{
    static const char *const names[] = {
        [SAY_NOTHING] = "NOTHING",
        [SAY_READY] = "READY",
        [SAY_COMMIT] = "COMMIT",
        [SAY_RUNNING] = "RUNNING",
        [SAY_NEVER_RAN] = "NEVER-RAN",
        [SAY_ABORT] = "ABORT",
        [SAY_CLOSE] = "CLOSE",
        [SAY_ENDED] = "ENDED",
        [SAY_DONE] = "DONE",
        [SAY_INQUIRE] = "INQUIRE",
        [SAY_NOT_NOW] = "NOT-NOW",
        [SAY_RUNS_HERE] = "RUNS-HERE",
        [SAY_LOST] = "LOST",
    };

    return NAME(message, names);
}

const char *handoff_copy_name(enum handoff_copy copy)
{
    static const char *const names[] = {
        [COPY_AS_KNOWN] = "AS-KNOWN",
        [COPY_UNSEEN] = "UNSEEN",
        [COPY_GONE] = "GONE",
        [COPY_WENT_ON] = "WENT-ON",
        [COPY_PARTIAL] = "PARTIAL",
        [COPY_PAUSED] = "PAUSED",
        [COPY_RUNS] = "RUNS",
    };

    return NAME(copy, names);
}

const char *handoff_series_name(unsigned series)
{
    return series < SERIES_COUNT ? handoff_series[series].name : "?";
}
