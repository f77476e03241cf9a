// SPDX-License-Identifier: Apache-2.0
/* {"v":1,…,"sum":"HEX"}: the checksum is XXH3_64 of all that stands before `,"sum"`, so a line is
 * judged before it is parsed. */
#include "migrate/journal/line.h"

#include "base/cleanup.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <xxhash.h>

#define FORMAT_VERSION 1
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
static const char *const sides[JOURNAL_SIDES] = {
    [JOURNAL_SOURCE] = "source", [JOURNAL_TARGET] = "target"};

const char *journal_kind_name(enum journal_kind kind)
{
    return (unsigned)kind < JOURNAL_KINDS ? kinds[kind] : "?";
}

/* Optional members came later: a journal from before is read as well, and a record without them
 * looks as it did then. */
#define TOKEN "token"
#define OWED "owed"
#define IDENTITY "peer_identity"
#define STAYS_PAUSED "stays_paused"
#define STAYS_PAUSED_TEXT "stays paused" /* how the text told it before */

/* JSON integers are signed: ids, epochs and nanoseconds stay below 2^63. */
static bool writable(const struct journal_record *record)
{
    return (unsigned)record->kind < JOURNAL_KINDS && (unsigned)record->side < JOURNAL_SIDES &&
           record->id != 0 && record->id <= INT64_MAX && record->epoch <= INT64_MAX &&
           record->time_ns <= INT64_MAX;
}

static void cleanup_json(json_t **json)
{
    json_decref(*json);
}

#define cleanup_json __attribute__((cleanup(cleanup_json)))

/* Texts come from peers and drivers and may hold anything; what is no UTF-8 becomes '?', rather
 * than losing the record. */
static json_t *text_json(const char *text)
{
    char plain[sizeof((struct journal_record *)0)->text];
    json_t *json = json_string(text);

    if (json != NULL)
        return json;
    (void)snprintf(plain, sizeof plain, "%s", text);
    for (char *at = plain; *at != '\0'; at++)
        if ((unsigned char)*at >= 0x80)
            *at = '?';
    return json_string(plain);
}

static int put_later_members(json_t *json, const struct journal_record *record)
{
    static const uint8_t none[sizeof record->token];
    char token[2 * sizeof record->token + 1];

    if ((record->owed && json_object_set_new(json, OWED, json_true()) != 0) ||
        (record->stays_paused && json_object_set_new(json, STAYS_PAUSED, json_true()) != 0) ||
        (record->identity[0] != '\0' &&
         json_object_set_new(json, IDENTITY, text_json(record->identity)) != 0))
        return -1;
    if (memcmp(record->token, none, sizeof none) == 0)
        return 0;
    for (size_t i = 0; i < sizeof record->token; i++)
        (void)snprintf(token + 2 * i, 3, "%02x", record->token[i]);
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
    json = json_pack("{si ss sI sI ss ss ss ss sI so so}", "v", FORMAT_VERSION, "kind",
                     kinds[record->kind], "time_ns", (json_int_t)record->time_ns, "id",
                     (json_int_t)record->id, "job", job, "side", sides[record->side], "partition",
                     record->partition, "uuid", uuid, "epoch", (json_int_t)record->epoch, "peer",
                     text_json(record->peer), "text", text_json(record->text));
    if (json == NULL || put_later_members(json, record) != 0)
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

static int index_of(const char *const *names, int count, const char *name)
{
    for (int i = 0; i < count; i++)
        if (strcmp(names[i], name) == 0)
            return i;
    return -1;
}

static bool copy_text(char *to, size_t capacity, const char *from)
{
    const int n = snprintf(to, capacity, "%s", from);

    return n >= 0 && (size_t)n < capacity;
}

static int digit(char c)
{
    static const char digits[] = "0123456789abcdef";
    const char *at = c == '\0' ? NULL : strchr(digits, c);

    return at == NULL ? -1 : (int)(at - digits);
}

/* NULL = none. */
static bool parse_token(const char *text, uint8_t token[16])
{
    if (text == NULL)
        return true;
    for (size_t i = 0; i < 16; i++) {
        const int high = digit(text[2 * i]);
        const int low = high < 0 ? -1 : digit(text[2 * i + 1]);

        if (low < 0)
            return false;
        token[i] = (uint8_t)(high << 4 | low);
    }
    return text[32] == '\0';
}

bool journal_line_parse(const char *line, size_t bytes, struct journal_record *out)
{
    cleanup_json json_t *json = NULL;
    const char *kind, *job, *side, *partition, *uuid, *peer, *text, *sum, *token = NULL,
                                                                          *identity = "";
    json_int_t time_ns, id, epoch;
    int version, kind_index, side_index, owed = 0, stays_paused = 0;

    if (!sum_right(line, bytes))
        return false;
    json = json_loadb(line, bytes, JSON_REJECT_DUPLICATES, NULL);
    if (json == NULL ||
        json_unpack(json, "{si ss sI sI ss ss ss ss sI ss ss ss s?s s?b s?b s?s !}", "v", &version,
                    "kind", &kind, "time_ns", &time_ns, "id", &id, "job", &job, "side", &side,
                    "partition", &partition, "uuid", &uuid, "epoch", &epoch, "peer", &peer, "text",
                    &text, "sum", &sum, TOKEN, &token, OWED, &owed, STAYS_PAUSED, &stays_paused,
                    IDENTITY, &identity) != 0)
        return false;
    kind_index = index_of(kinds, JOURNAL_KINDS, kind);
    side_index = index_of(sides, JOURNAL_SIDES, side);
    if (version != FORMAT_VERSION || kind_index < 0 || side_index < 0 || id <= 0 || epoch < 0 ||
        time_ns < 0)
        return false;
    memset(out, 0, sizeof *out);
    out->kind = (enum journal_kind)kind_index;
    out->side = (enum journal_side)side_index;
    out->id = (uint64_t)id;
    out->epoch = (uint64_t)epoch;
    out->time_ns = (uint64_t)time_ns;
    out->owed = owed != 0;
    out->stays_paused = stays_paused != 0 || strcmp(text, STAYS_PAUSED_TEXT) == 0;
    return parse_token(token, out->token) && vf_uuid_parse(job, out->job) == 0 &&
           vf_uuid_parse(uuid, out->uuid) == 0 &&
           copy_text(out->partition, sizeof out->partition, partition) &&
           copy_text(out->peer, sizeof out->peer, peer) &&
           copy_text(out->identity, sizeof out->identity, identity) &&
           copy_text(out->text, sizeof out->text, text);
}
