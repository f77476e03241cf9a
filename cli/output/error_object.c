// SPDX-License-Identifier: Apache-2.0
/* See error_object.h. */
#include "cli/output/error_object.h"

#include <stdio.h>
#include <string.h>

/* The words of a command line need not be UTF-8, and a text that was cut may end within a letter:
 * rather a '?' than no object. */
static json_t *plain(const char *text, size_t bytes)
{
    char copy[sizeof((struct vf_error *)0)->text];
    json_t *json = json_stringn(text, bytes);

    if (json != NULL)
        return json;
    (void)snprintf(copy, sizeof copy, "%.*s", (int)bytes, text);
    for (char *at = copy; *at != '\0'; at++) {
        if ((unsigned char)*at >= 0x80)
            *at = '?';
    }
    return json_string(copy);
}

json_t *error_object(const struct vf_error *err, json_t *reasons)
{
    const char *remedy = vf_remedy(err);

    return json_pack("{s:s, s:i, s:o, s:o, s:o}", "schema", "vferry.error/1", "code",
                     err->code == VF_OK ? VF_FAILED : (int)err->code, "text",
                     plain(err->text, (size_t)vf_bare_bytes(err)), "remedy",
                     remedy != NULL ? plain(remedy, strlen(remedy)) : json_null(), "reasons",
                     json_is_array(reasons) ? json_incref(reasons) : json_array());
}
