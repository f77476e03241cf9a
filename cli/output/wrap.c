// SPDX-License-Identifier: Apache-2.0
/* See wrap.h. */
#include "cli/output/wrap.h"

#include <stdint.h>
#include <sys/ioctl.h>
#include <unistd.h>

/* Where less than this would be left beside an indent, there is none. */
#define LEAST 10u

size_t wrap_room(FILE *to)
{
    struct winsize size;

    return to == stdout && ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0
               ? size.ws_col
               : SIZE_MAX;
}

/* How many bytes of the text a line of `room` columns takes: to its last space, if it has one. A
 * character of UTF-8 counts as one column. */
static size_t piece(const char *text, size_t room)
{
    size_t bytes = 0, columns = 0, space = 0;

    for (; text[bytes] != '\0'; bytes++) {
        if (((unsigned char)text[bytes] & 0xc0u) != 0x80u && ++columns > room)
            return text[bytes] == ' ' || space == 0 ? bytes : space;
        if (text[bytes] == ' ')
            space = bytes;
    }
    return bytes;
}

void wrap_text(FILE *to, const char *text, size_t used, size_t indent)
{
    const size_t room = wrap_room(to);

    if (indent > room || room - indent < LEAST)
        indent = 0;
    while (*text != '\0') {
        const size_t length = piece(text, used < room ? room - used : 1);

        (void)fwrite(text, 1, length, to);
        text += length;
        while (*text == ' ')
            text++;
        if (*text != '\0')
            (void)fprintf(to, "\n%*s", (int)indent, "");
        used = indent;
    }
}
