// SPDX-License-Identifier: Apache-2.0
/* {"v":2,…,"sum":"HEX"}: the checksum is XXH3_64 of all that stands before `,"sum"`, so a line is
 * judged before it is parsed. docs/handoff.md lists the members. */
#include "migrate/journal/line.h"

#include "base/cleanup.h"
#include "base/hex.h"
#include "base/json_text.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <xxhash.h>

#define FORMAT_VERSION 2 /* as written; 1 is read as well */
#define SUM_START ",\"sum\":\""
#define SUM_END "\"}"
#define SUM_DIGITS 16u
#define TAIL_BYTES (sizeof SUM_START - 1 + SUM_DIGITS + sizeof SUM_END - 1)

static const char *const kinds[JOURNAL_KINDS] = {
    [JOURNAL_OPEN] = "OPEN",       [JOURNAL_PREPARED] = "PREPARED",
    [JOURNAL_COMMIT] = "COMMIT",   [JOURNAL_COMMITTED] = "COMMITTED",
    [JOURNAL_DONE] = "DONE",       [JOURNAL_ABORTED] = "ABORTED",
    [JOURNAL_SETTLED] = "SETTLED",
};
static const char *const sides[MIG_SIDES] = {[MIG_SOURCE] = "source", [MIG_TARGET] = "target"};
static const char *const operations[JOURNAL_OPERATIONS] = {
    [JOURNAL_MOVE] = "move", [JOURNAL_SAVE] = "save", [JOURNAL_RESTORE] = "restore"};
static const char *const verifies[] = {"delta", "full"};

const char *journal_kind_name(enum journal_kind kind)
{
    return (unsigned)kind < JOURNAL_KINDS ? kinds[kind] : "?";
}

/* Members that stand there only where they apply. */
#define TOKEN "token"
#define OWED "owed"
#define IDENTITY "peer_identity"
#define STAYS_PAUSED "stays_paused"
#define RUNS "runs"
#define CANCELLED "cancelled"
#define RESTART "restart"

/* JSON integers are signed: ids, epochs, nanoseconds and rates stay below 2^63. */
static bool writable(const struct journal_record *record)
{
    return (unsigned)record->kind < JOURNAL_KINDS && (unsigned)record->side < MIG_SIDES &&
           (unsigned)record->operation < JOURNAL_OPERATIONS && (unsigned)record->runs < MIG_SIDES &&
           record->id != 0 && record->id <= INT64_MAX && record->epoch <= INT64_MAX &&
           record->time_ns <= INT64_MAX && record->restart.max_blackout_ns <= INT64_MAX &&
           record->restart.max_time_ns <= INT64_MAX && record->restart.bandwidth <= INT64_MAX;
}

static void cleanup_json(json_t **json)
{
    json_decref(*json);
}

#define cleanup_json __attribute__((cleanup(cleanup_json)))

/* Throttle and compression are said only where they are not what every move has: vferryd did not
 * always know them. */
static json_t *restart_options(const struct journal_restart *restart)
{
    json_t *json = json_pack(
        "{sI sI sI ss sI}", "max_blackout_ns", (json_int_t)restart->max_blackout_ns, "max_time_ns",
        (json_int_t)restart->max_time_ns, "bandwidth", (json_int_t)restart->bandwidth, "verify",
        verifies[restart->verify_full], "streams", (json_int_t)restart->streams);

    if ((restart->throttle != VF_THROTTLE_MOST &&
         json_object_set_new(json, "throttle", json_integer(restart->throttle)) != 0) ||
        (restart->compress != PACK_NONE &&
         json_object_set_new(json, "compress", json_string(pack_wish_name(restart->compress))) !=
             0)) {
        json_decref(json);
        return NULL;
    }
    return json;
}

/* What only the records of an end say. */
static int put_end(json_t *json, const struct journal_record *record)
{
    const struct journal_restart *restart = &record->restart;

    if (record->kind == JOURNAL_SETTLED)
        return json_object_set_new(json, RUNS, json_string(sides[record->runs]));
    if (record->kind != JOURNAL_ABORTED)
        return 0;
    if (record->cancelled && json_object_set_new(json, CANCELLED, json_true()) != 0)
        return -1;
    return !restart->wanted ? 0 : json_object_set_new(json, RESTART, restart_options(restart));
}

static int put_optional_members(json_t *json, const struct journal_record *record)
{
    static const uint8_t none[sizeof record->token];
    char token[2 * sizeof record->token + 1];

    if ((record->owed && json_object_set_new(json, OWED, json_true()) != 0) ||
        (record->stays_paused && json_object_set_new(json, STAYS_PAUSED, json_true()) != 0) ||
        (record->identity[0] != '\0' &&
         json_object_set_new(json, IDENTITY, vf_json_text(record->identity)) != 0))
        return -1;
    if (memcmp(record->token, none, sizeof none) == 0)
        return 0;
    vf_hex_format(record->token, sizeof record->token, token);
    return json_object_set_new(json, TOKEN, json_string(token));
}

size_t journal_line_format(const struct journal_record *record, char line[JOURNAL_LINE_BYTES])
{
    char job[VF_UUID_TEXT], uuid[VF_UUID_TEXT];
    cleanup_json json_t *json = NULL;
    size_t used;
    int n;

    if (!writable(record))
        return 0;
    vf_uuid_format(record->job, job);
    vf_uuid_format(record->uuid, uuid);
    json = json_pack("{si ss sI sI ss ss ss ss ss sI so so}", "v", FORMAT_VERSION, "kind",
                     kinds[record->kind], "time_ns", (json_int_t)record->time_ns, "id",
                     (json_int_t)record->id, "job", job, "operation", operations[record->operation],
                     "side", sides[record->side], "partition", record->partition, "uuid", uuid,
                     "epoch", (json_int_t)record->epoch, "peer", vf_json_text(record->peer), "text",
                     vf_json_text(record->text));
    if (json == NULL || put_optional_members(json, record) != 0 || put_end(json, record) != 0)
        return 0;
    used = json_dumpb(json, line, JOURNAL_LINE_BYTES, JSON_COMPACT | JSON_ENSURE_ASCII);
    if (used == 0 || used > JOURNAL_LINE_BYTES - TAIL_BYTES - 2)
        return 0;
    used--; /* the closing brace comes after the sum */
    n = snprintf(line + used, JOURNAL_LINE_BYTES - used, SUM_START "%016" PRIx64 SUM_END "\n",
                 (uint64_t)XXH3_64bits(line, used));
    return used + (size_t)n;
}

static bool sum_right(const char *line, size_t bytes)
{
    char tail[TAIL_BYTES + 1];
    const size_t used = bytes - TAIL_BYTES;

    if (bytes <= TAIL_BYTES)
        return false;
    (void)snprintf(tail, sizeof tail, SUM_START "%016" PRIx64 SUM_END,
                   (uint64_t)XXH3_64bits(line, used));
    return memcmp(line + used, tail, TAIL_BYTES) == 0;
}

/* Which of the names it is; -1: none, as no name (NULL) is. */
static int index_of(const char *const *names, int count, const char *name)
{
    for (int i = 0; i < count && name != NULL; i++)
        if (strcmp(names[i], name) == 0)
            return i;
    return -1;
}

static bool copy_text(char *to, size_t capacity, const char *from)
{
    const int n = snprintf(to, capacity, "%s", from);

    return n >= 0 && (size_t)n < capacity;
}

/* NULL = none. */
static bool parse_token(const char *text, uint8_t token[16])
{
    return text == NULL || (vf_hex_parse(text, token, 16) == 0 && text[32] == '\0');
}

/* A line's members as they stand there: NULL, 0 and "" where one is missing. */
struct members {
    int version, owed, stays_paused, cancelled;
    const char *kind, *job, *operation, *side, *partition, *uuid, *peer, *text, *sum, *token,
        *identity, *runs;
    json_int_t time_ns, id, epoch;
    json_t *restart;
};

static bool unpack(json_t *json, struct members *m)
{
    *m = (struct members){.identity = ""};
    return json_unpack(
               json, "{si ss sI sI ss s?s ss ss ss sI ss ss ss s?s s?b s?b s?s s?s s?b s?o !}", "v",
               &m->version, "kind", &m->kind, "time_ns", &m->time_ns, "id", &m->id, "job", &m->job,
               "operation", &m->operation, "side", &m->side, "partition", &m->partition, "uuid",
               &m->uuid, "epoch", &m->epoch, "peer", &m->peer, "text", &m->text, "sum", &m->sum,
               TOKEN, &m->token, OWED, &m->owed, STAYS_PAUSED, &m->stays_paused, IDENTITY,
               &m->identity, RUNS, &m->runs, CANCELLED, &m->cancelled, RESTART, &m->restart) == 0;
}

static bool parse_restart(json_t *json, struct journal_restart *out)
{
    json_int_t max_blackout_ns, max_time_ns, bandwidth, streams;
    json_int_t throttle = VF_THROTTLE_MOST;
    const char *verify, *compress = "none";
    int index;

    if (json_unpack(json, "{sI sI sI ss sI s?I s?s !}", "max_blackout_ns", &max_blackout_ns,
                    "max_time_ns", &max_time_ns, "bandwidth", &bandwidth, "verify", &verify,
                    "streams", &streams, "throttle", &throttle, "compress", &compress) != 0)
        return false;
    index = index_of(verifies, 2, verify);
    if (max_blackout_ns < 0 || max_time_ns < 0 || bandwidth < 0 || streams < 0 ||
        streams > UINT32_MAX || index < 0 || throttle < 0 || throttle > VF_THROTTLE_MOST ||
        pack_wish_of(compress) < 0)
        return false;
    *out = (struct journal_restart){.wanted = true,
                                    .verify_full = index == 1,
                                    .streams = (uint32_t)streams,
                                    .throttle = (uint32_t)throttle,
                                    .compress = (enum pack_wish)pack_wish_of(compress),
                                    .max_blackout_ns = (uint64_t)max_blackout_ns,
                                    .max_time_ns = (uint64_t)max_time_ns,
                                    .bandwidth = (uint64_t)bandwidth};
    return true;
}

/* Version 2 says each fact in a member of its own, and only where it applies. */
static bool take_facts(const struct members *m, struct journal_record *out)
{
    const int operation = index_of(operations, JOURNAL_OPERATIONS, m->operation);
    const int runs = index_of(sides, MIG_SIDES, m->runs);

    if (operation < 0 || (m->runs != NULL) != (out->kind == JOURNAL_SETTLED) ||
        (m->runs != NULL && runs < 0) ||
        ((m->cancelled != 0 || m->restart != NULL) && out->kind != JOURNAL_ABORTED))
        return false;
    out->operation = (enum journal_operation)operation;
    out->runs = runs > 0 ? (enum mig_side)runs : MIG_SOURCE;
    out->cancelled = m->cancelled != 0;
    return m->restart == NULL || parse_restart(m->restart, &out->restart);
}

/* ---- version 1 ---- */

/* It had these facts in its texts; nothing else may read them there. */
#define OLD_STAYS_PAUSED "stays paused"
#define OLD_CANCELLED "[cancelled] "
#define OLD_TARGET_RUNS "resolved: the target runs it"
#define OLD_FILE "file:/"
#define OLD_RESTART "interrupted by the daemon's end; the next one starts it over"
#define OLD_OPTIONS                                                                                \
    ": max_blackout_ns %" SCNu64 " max_time_ns %" SCNu64 " bandwidth %" SCNu64                     \
    " verify %u streams %" SCNu32

static bool begins(const char *text, const char *with)
{
    return strncmp(text, with, strlen(with)) == 0;
}

static uint64_t below_2_63(uint64_t value)
{
    return value <= INT64_MAX ? value : INT64_MAX;
}

/* The wish to start the move over, which the text then tells no more. */
static void take_old_restart(const char **text, struct journal_restart *out)
{
    unsigned verify = 0;

    if (!begins(*text, OLD_RESTART) ||
        sscanf(*text + strlen(OLD_RESTART), OLD_OPTIONS, &out->max_blackout_ns, &out->max_time_ns,
               &out->bandwidth, &verify, &out->streams) != 5) {
        *out = (struct journal_restart){.wanted = false};
        return;
    }
    out->wanted = true;
    out->throttle = VF_THROTTLE_MOST;
    out->verify_full = verify == 1;
    out->max_blackout_ns = below_2_63(out->max_blackout_ns);
    out->max_time_ns = below_2_63(out->max_time_ns);
    out->bandwidth = below_2_63(out->bandwidth);
    *text = OLD_RESTART;
}

static bool take_old_facts(struct members *m, struct journal_record *out)
{
    if (m->operation != NULL || m->runs != NULL || m->cancelled != 0 || m->restart != NULL)
        return false;
    out->operation = !begins(m->peer, OLD_FILE) ? JOURNAL_MOVE
                     : out->side == MIG_SOURCE  ? JOURNAL_SAVE
                                                : JOURNAL_RESTORE;
    out->stays_paused = out->stays_paused || strcmp(m->text, OLD_STAYS_PAUSED) == 0;
    if (out->kind == JOURNAL_SETTLED && begins(m->text, OLD_TARGET_RUNS))
        out->runs = MIG_TARGET;
    if (out->kind != JOURNAL_ABORTED)
        return true;
    out->cancelled = begins(m->text, OLD_CANCELLED);
    if (out->cancelled)
        m->text += strlen(OLD_CANCELLED);
    if (out->side == MIG_SOURCE)
        take_old_restart(&m->text, &out->restart);
    return true;
}

/* ---- both ---- */

static bool take(struct members *m, struct journal_record *out)
{
    const int kind = index_of(kinds, JOURNAL_KINDS, m->kind);
    const int side = index_of(sides, MIG_SIDES, m->side);

    if (kind < 0 || side < 0 || m->id <= 0 || m->epoch < 0 || m->time_ns < 0)
        return false;
    *out = (struct journal_record){.kind = (enum journal_kind)kind,
                                   .side = (enum mig_side)side,
                                   .id = (uint64_t)m->id,
                                   .epoch = (uint64_t)m->epoch,
                                   .time_ns = (uint64_t)m->time_ns,
                                   .owed = m->owed != 0,
                                   .stays_paused = m->stays_paused != 0};
    return (m->version == 1 ? take_old_facts(m, out) : take_facts(m, out)) &&
           parse_token(m->token, out->token) && vf_uuid_parse(m->job, out->job) == 0 &&
           vf_uuid_parse(m->uuid, out->uuid) == 0 &&
           copy_text(out->partition, sizeof out->partition, m->partition) &&
           copy_text(out->peer, sizeof out->peer, m->peer) &&
           copy_text(out->identity, sizeof out->identity, m->identity) &&
           copy_text(out->text, sizeof out->text, m->text);
}

enum journal_line journal_line_parse(const char *line, size_t bytes, struct journal_record *out)
{
    cleanup_json json_t *json = NULL;
    struct members members;
    int version;

    if (!sum_right(line, bytes))
        return JOURNAL_LINE_DAMAGED;
    json = json_loadb(line, bytes, JSON_REJECT_DUPLICATES, NULL);
    if (json == NULL || json_unpack(json, "{si}", "v", &version) != 0 || version < 1)
        return JOURNAL_LINE_DAMAGED;
    if (version > FORMAT_VERSION)
        return JOURNAL_LINE_NEWER;
    return unpack(json, &members) && take(&members, out) ? JOURNAL_LINE_READ : JOURNAL_LINE_DAMAGED;
}
