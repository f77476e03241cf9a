// SPDX-License-Identifier: Apache-2.0
/* Files of JSON that people write: each member is checked, and what is wrong is told with the file
 * and the place. All failures are VF_USAGE. */
#ifndef CLI_PLAN_READING_H
#define CLI_PLAN_READING_H

#include "base/error.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#define READING_MAX_BYTES (64u << 20) /* of a file */

struct reading {
    const char *file;
    char place[128]; /* "partitions[3]" */
    struct vf_error *err;
};

enum reading_kind { READING_SIZE, READING_RATE, READING_NUMBER };

/* The file's text; malloc'ed, the caller frees it. */
int reading_load(const char *path, char **text, size_t *bytes, struct vf_error *err);
/* An object of this schema, which it may leave out; the caller drops it. */
int reading_object(const struct reading *r, const char *text, size_t bytes, const char *schema,
                   json_t **object);
/* Refuses members that are not in `known` (ends with NULL), and what is no object. */
int reading_members(const struct reading *r, const json_t *object, const char *const *known);
/* A list of at most so many, with `least` at least; NULL where it is not there and may be missing.
 */
int reading_list(const struct reading *r, const json_t *object, const char *key, size_t least,
                 size_t most, const json_t **list);
/* A name of a host or partition; borrowed from the object. */
int reading_name(const struct reading *r, const json_t *object, const char *key, const char **name);
/* A whole number or a text with a unit ("64G"), from `least` to INT64_MAX. Without the member
 * `*value` stays; unless that is UINT64_MAX: then it must be there. */
int reading_amount(const struct reading *r, const json_t *object, const char *key,
                   enum reading_kind kind, uint64_t least, uint64_t *value);
/* true or false; missing: *value stays. */
int reading_flag(const struct reading *r, const json_t *object, const char *key, bool *value);

#endif
