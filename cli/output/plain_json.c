// SPDX-License-Identifier: Apache-2.0
/* See plain_json.h. */
#include "cli/output/plain_json.h"

#include "base/cleanup.h"
#include "base/plain.h"

#include <stdlib.h>
#include <string.h>

#define MOST 4u /* bytes that one byte is shown as */

static void plain_text(json_t *text)
{
    const size_t bytes = json_string_length(text) * MOST + 1;
    cleanup_free char *plain = malloc(bytes);

    if (plain == NULL)
        (void)json_string_set(text, "?");
    else if (strcmp(vf_plain(json_string_value(text), plain, bytes), json_string_value(text)) != 0)
        (void)json_string_set(text, plain);
}

void plain_json(json_t *json)
{
    const char *key;
    json_t *value;
    size_t index;

    if (json_is_string(json))
        plain_text(json);
    json_object_foreach(json, key, value)
        plain_json(value);
    json_array_foreach(json, index, value)
        plain_json(value);
}
