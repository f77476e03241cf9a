// SPDX-License-Identifier: Apache-2.0
/* Texts for JSON that come from paths, peers, drivers and command lines, and may hold anything. */
#ifndef VF_BASE_JSON_TEXT_H
#define VF_BASE_JSON_TEXT_H

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

/* The first `bytes` of the text, which holds no NUL there. In a text that is no UTF-8 (one that was
 * cut may end within a letter) all that is not ASCII becomes '?', rather than losing the text. NULL
 * without memory. */
static inline json_t *vf_json_text_cut(const char *text, size_t bytes)
{
    json_t *json = json_stringn(text, bytes);
    char *plain = json != NULL ? NULL : strndup(text, bytes);

    if (plain == NULL)
        return json;
    for (char *at = plain; *at != '\0'; at++) {
        if ((unsigned char)*at >= 0x80)
            *at = '?';
    }
    json = json_string(plain);
    free(plain);
    return json;
}

/* The whole text. */
static inline json_t *vf_json_text(const char *text)
{
    return vf_json_text_cut(text, strlen(text));
}

#endif
