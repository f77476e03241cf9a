// SPDX-License-Identifier: Apache-2.0
/* See plain.h. */
#include "base/plain.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define CUT "..."

/* Bytes of the letter at `at` that a terminal may get: 0 when it must not. */
static size_t letter(const unsigned char *at)
{
    const size_t length = at[0] < 0x80   ? 1
                          : at[0] < 0xc2 ? 0
                          : at[0] < 0xe0 ? 2
                          : at[0] < 0xf0 ? 3
                          : at[0] < 0xf5 ? 4
                                         : 0;

    for (size_t i = 1; i < length; i++) {
        if ((at[i] & 0xc0) != 0x80)
            return 0; /* also where the text ends within the letter */
    }
    if (length == 1)
        return at[0] >= 0x20 && at[0] != 0x7f;
    if (length == 2)
        return at[0] == 0xc2 && at[1] < 0xa0 ? 0 : 2; /* the second set of control characters */
    if (length == 3) /* written longer than it is, or half of a pair of UTF-16 */
        return (at[0] == 0xe0 && at[1] < 0xa0) || (at[0] == 0xed && at[1] > 0x9f) ? 0 : 3;
    if (length == 4)
        return (at[0] == 0xf0 && at[1] < 0x90) || (at[0] == 0xf4 && at[1] > 0x8f) ? 0 : 4;
    return 0;
}

/* The next piece of the text as it is shown; returns how many bytes of the text it stands for. */
static size_t piece(const char *text, char out[8])
{
    const unsigned char c = (unsigned char)*text;
    const size_t length = letter((const unsigned char *)text);

    out[length] = '\0';
    if (length > 0)
        memcpy(out, text, length);
    else if (c == '\n' || c == '\t')
        (void)snprintf(out, 8, "\\%c", c == '\n' ? 'n' : 't');
    else
        (void)snprintf(out, 8, "\\x%02x", c);
    return length > 0 ? length : 1;
}

const char *vf_plain(const char *text, char *out, size_t bytes)
{
    size_t used = 0;
    size_t cut = 0; /* where the mark of a cut fits behind what is there */

    if (bytes == 0)
        return out;
    while (*text != '\0') {
        char shown[8];
        const size_t taken = piece(text, shown);
        const size_t length = strlen(shown);

        if (used + length >= bytes)
            break;
        memcpy(out + used, shown, length);
        used += length;
        if (used + sizeof CUT <= bytes)
            cut = used;
        text += taken;
    }
    out[used] = '\0';
    if (*text != '\0' && bytes >= sizeof CUT)
        memcpy(out + cut, CUT, sizeof CUT);
    return out;
}
