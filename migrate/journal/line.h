// SPDX-License-Identifier: Apache-2.0
/* One record as one line of the journal, and back. Shared by the journal's files only. */
#ifndef MIGRATE_JOURNAL_LINE_H
#define MIGRATE_JOURNAL_LINE_H

#include "migrate/journal/journal.h"

#include <stdbool.h>
#include <stddef.h>

/* Longest line, with its newline; escapes can make a text six times as long. */
#define JOURNAL_LINE_BYTES 8192u

/* Writes the line with its newline; its length, or 0 when the record cannot be written (a bug of
 * the caller or no memory). */
size_t journal_line_format(const struct journal_record *record, char line[JOURNAL_LINE_BYTES]);

enum journal_line {
    JOURNAL_LINE_READ,
    JOURNAL_LINE_DAMAGED, /* or not a line of ours */
    JOURNAL_LINE_NEWER,   /* whole, and of a version that only a newer vferryd reads */
};

/* `bytes` without the newline. Lines of version 1 are read as well: what they told in their texts
 * only is in the record's own fields then. */
enum journal_line journal_line_parse(const char *line, size_t bytes, struct journal_record *out);

#endif
