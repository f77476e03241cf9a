// SPDX-License-Identifier: Apache-2.0
/* See reading.h. */
#include "cli/plan/reading.h"

#include "base/cleanup.h"
#include "base/nearest.h"
#include "base/plain.h"
#include "base/size.h"
#include "vferry/vferry.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>

#define PIECE_BYTES 65536u
/* Where a member is, in front of every complaint. */
#define AT "%s: %s%s%s: "
#define WHERE(r, key)                                                                              \
    VF_SHOWN((r)->file), (r)->place, (r)->place[0] != '\0' && (key)[0] != '\0' ? ": " : "", (key)

int reading_load(const char *path, char **text, size_t *bytes, struct vf_error *err)
{
    cleanup_close int fd = open(path, O_RDONLY | O_CLOEXEC);
    cleanup_free char *all = NULL;
    size_t room = 0, done = 0;

    for (;;) {
        ssize_t got;

        if (done == room) {
            char *more = realloc(all, room += PIECE_BYTES + room);

            if (more == NULL)
                return vf_fail(err, VF_USAGE, "%s: " VF_NO_MEMORY, VF_SHOWN(path));
            all = more;
        }
        got = fd < 0 ? -1 : read(fd, all + done, room - done);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return vf_fail_errno(err, VF_USAGE, errno,
                                 "%s" VF_REMEDY "give a file that can be read", VF_SHOWN(path));
        done += (size_t)got;
        if (done > READING_MAX_BYTES)
            return vf_fail(err, VF_USAGE,
                           "%s: has more than %u MiB" VF_REMEDY "give several smaller ones",
                           VF_SHOWN(path), READING_MAX_BYTES >> 20);
        if (got == 0)
            break;
    }
    *text = vf_take_ptr(all);
    *bytes = done;
    return 0;
}

int reading_object(const struct reading *r, const char *text, size_t bytes, const char *schema,
                   json_t **object)
{
    json_error_t why;
    const json_t *said;

    *object = json_loadb(text, bytes, JSON_REJECT_DUPLICATES, &why);
    if (*object == NULL)
        return vf_fail(r->err, VF_USAGE,
                       "%s, line %d: is no JSON: %s" VF_REMEDY "mend it there; docs/json.md has an "
                       "example",
                       VF_SHOWN(r->file), why.line, VF_SHOWN(why.text));
    if (!json_is_object(*object))
        return vf_fail(r->err, VF_USAGE,
                       "%s: is no object" VF_REMEDY "begin it with {; docs/json.md has an example",
                       VF_SHOWN(r->file));
    said = json_object_get(*object, "schema");
    if (said != NULL && (!json_is_string(said) || strcmp(json_string_value(said), schema) != 0))
        return vf_fail(r->err, VF_USAGE,
                       "%s: schema: \"%s\" is not \"%s\"" VF_REMEDY "give a file of that kind",
                       VF_SHOWN(r->file),
                       json_is_string(said) ? VF_SHOWN(json_string_value(said)) : "?", schema);
    return 0;
}

int reading_members(const struct reading *r, const json_t *object, const char *const *known)
{
    const char *key;
    json_t *value;

    if (!json_is_object(object))
        return vf_fail(r->err, VF_USAGE, AT "is no object" VF_REMEDY "write it as {...}",
                       WHERE(r, ""));
    json_object_foreach((json_t *)object, key, value) {
        struct vf_nearest nearest = {.word = key, .length = strlen(key)};
        bool found = false;

        for (size_t i = 0; known[i] != NULL && !found; i++) {
            found = strcmp(known[i], key) == 0;
            vf_nearest_try(&nearest, known[i]);
        }
        if (!found && vf_nearest(&nearest) != NULL)
            return vf_fail(r->err, VF_USAGE,
                           AT "there is no such member" VF_REMEDY "did you mean \"%s\"?",
                           WHERE(r, VF_SHOWN(key)), vf_nearest(&nearest));
        if (!found)
            return vf_fail(r->err, VF_USAGE, AT "there is no such member" VF_REMEDY "leave it out",
                           WHERE(r, VF_SHOWN(key)));
    }
    return 0;
}

int reading_list(const struct reading *r, const json_t *object, const char *key, size_t least,
                 size_t most, const json_t **list)
{
    *list = json_object_get(object, key);
    if (*list == NULL && least == 0)
        return 0;
    if (!json_is_array(*list) || json_array_size(*list) < least)
        return vf_fail(r->err, VF_USAGE, AT "%s" VF_REMEDY "write it as [{...}, ...]",
                       WHERE(r, key),
                       *list == NULL          ? "is missing"
                       : json_is_array(*list) ? "is empty"
                                              : "is no list");
    if (json_array_size(*list) > most)
        return vf_fail(r->err, VF_USAGE,
                       AT "has %zu" VF_REMEDY "give at most %zu, or several files", WHERE(r, key),
                       json_array_size(*list), most);
    return 0;
}

int reading_name(const struct reading *r, const json_t *object, const char *key, const char **name)
{
    const json_t *value = json_object_get(object, key);

    if (value == NULL)
        return vf_fail(r->err, VF_USAGE, AT "is missing" VF_REMEDY "give a name", WHERE(r, key));
    *name = json_string_value(value);
    if (*name == NULL || !vf_name_valid(*name))
        return vf_fail(r->err, VF_USAGE,
                       AT "\"%s\" is no name" VF_REMEDY
                          "begin with a letter or digit, then up to %u of them and . _ -",
                       WHERE(r, key), *name != NULL ? VF_SHOWN(*name) : "?", VF_NAME_BYTES - 2);
    return 0;
}

static const struct {
    const char *what, *example;
    int (*parse)(const char *text, uint64_t *value);
} kinds[] = {
    [READING_SIZE] = {"size", "\"512M\", or bytes as a number", vf_size_parse},
    [READING_RATE] = {"rate", "\"100MB/s\", or bytes a second as a number", vf_rate_parse},
    [READING_NUMBER] = {"whole number", "4", vf_number_parse},
};

int reading_amount(const struct reading *r, const json_t *object, const char *key,
                   enum reading_kind kind, uint64_t least, uint64_t *value)
{
    const json_t *given = json_object_get(object, key);
    const char *text = json_string_value(given);
    uint64_t read = 0;
    char bound[32];
    bool good;

    if (given == NULL && *value != UINT64_MAX)
        return 0;
    if (given == NULL)
        return vf_fail(r->err, VF_USAGE, AT "is missing" VF_REMEDY "give e.g. %s", WHERE(r, key),
                       kinds[kind].example);
    if (text != NULL) {
        good = kinds[kind].parse(text, &read) == 0;
    } else {
        good = json_is_integer(given) && json_integer_value(given) >= 0;
        read = good ? (uint64_t)json_integer_value(given) : 0;
    }
    if (!good)
        return vf_fail(r->err, VF_USAGE, AT "%s%s%sis no %s" VF_REMEDY "give e.g. %s",
                       WHERE(r, key), text != NULL ? "\"" : "", text != NULL ? VF_SHOWN(text) : "",
                       text != NULL ? "\" " : "", kinds[kind].what, kinds[kind].example);
    if (read > INT64_MAX)
        return vf_fail(r->err, VF_USAGE, AT "is too large" VF_REMEDY "the largest is %" PRIu64,
                       WHERE(r, key), (uint64_t)INT64_MAX);
    if (read < least)
        return vf_fail(r->err, VF_USAGE, AT "is too small" VF_REMEDY "give at least %s",
                       WHERE(r, key),
                       kind == READING_NUMBER ? "1" : vf_size_format(least, bound, sizeof bound));
    *value = read;
    return 0;
}

int reading_flag(const struct reading *r, const json_t *object, const char *key, bool *value)
{
    const json_t *given = json_object_get(object, key);

    if (given == NULL)
        return 0;
    if (!json_is_boolean(given))
        return vf_fail(r->err, VF_USAGE, AT "is neither true nor false" VF_REMEDY "give one",
                       WHERE(r, key));
    *value = json_is_true(given);
    return 0;
}
