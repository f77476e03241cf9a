// SPDX-License-Identifier: Apache-2.0
/* Whom an event is about. See event.h. */
#include "daemon/history/event.h"

#include <ctype.h>
#include <string.h>

/* What a partition's name may consist of. */
static bool in_name(char c)
{
    return isalnum((unsigned char)c) || c == '_' || c == '-' || c == '.';
}

/* A full stop or dash ends a name, unless the name goes on behind it. */
static bool name_ends(const char *at)
{
    while (*at == '.' || *at == '-')
        at++;
    return !in_name(*at);
}

bool event_names(const char *text, const char *partition)
{
    size_t length = strlen(partition);

    if (length == 0)
        return false;
    for (const char *at = text; (at = strstr(at, partition)) != NULL; at++) {
        if ((at == text || !in_name(at[-1])) && name_ends(at + length))
            return true;
    }
    return false;
}
