// SPDX-License-Identifier: Apache-2.0
/* Objects of JSON as aligned tables or as lines "name  value". */
#ifndef CLI_TABLE_H
#define CLI_TABLE_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum cell {
    CELL_END,     /* ends a list of columns */
    CELL_TEXT,    /* texts, numbers and yes/no as they are */
    CELL_COUNT,   /* a whole number that is compared with others: stands right */
    CELL_SIZE,    /* bytes */
    CELL_RATE,    /* bytes a second */
    CELL_TIME,    /* ns */
    CELL_SHARE,   /* 0..1 as percent */
    CELL_PERCENT, /* 0..100 */
    CELL_WHEN,    /* ns since 1970, as local time */
    CELL_STATE,   /* a partition's state; what holds it ("held_by") where that says more */
    CELL_PHASE,   /* a job's phase; "-" once it is over, where its status says all */
};

struct column {
    enum cell cell;
    const char *title;
    const char *key;
};

#define TABLE_COLUMNS 12u
#define CELL_BYTES 640u /* an error, which is a job's reason, is never cut */

/* The value of object[key] as people read it; "-" when there is none. Returns `text`. */
const char *table_cell(const json_t *object, enum cell cell, const char *key,
                       char text[CELL_BYTES]);
/* One row an element of `rows`, with a head; `none` alone when there is none. At most TABLE_COLUMNS
 * columns. On a terminal that is too narrow texts are cut, which "..." shows; where that does not
 * help each row comes as lines "name  value", as table_fields writes them. */
void table_rows(const struct column *columns, const json_t *rows, const char *none);
/* As table_rows, to `to` instead of stdout. */
void table_rows_to(FILE *to, const struct column *columns, const json_t *rows, const char *none);
/* One line a column; on a terminal a long value goes on in the next, below its start. */
void table_fields(const struct column *columns, const json_t *object);
/* Member as a number, 0 when missing. */
uint64_t table_number(const json_t *object, const char *key);
/* Member as text, "" when missing. */
const char *table_text(const json_t *object, const char *key);

#endif
