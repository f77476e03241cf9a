// SPDX-License-Identifier: Apache-2.0
/* See table.h. Text from the daemon may come from a guest or a peer: control characters are never
 * sent to a terminal. */
#include "cli/output/table.h"

#include "base/size.h"
#include "cli/output/phase.h"
#include "cli/output/style.h"
#include "cli/output/wrap.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

/* A text that is cut ends so, and no column of texts gets narrower. */
#define ELLIPSIS "..."
#define NARROWEST 6u

uint64_t table_number(const json_t *object, const char *key)
{
    json_int_t value = json_integer_value(json_object_get(object, key));

    return value > 0 ? (uint64_t)value : 0;
}

const char *table_text(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));

    return text != NULL ? text : "";
}

static void copy_plain(char text[CELL_BYTES], const char *from)
{
    size_t length = 0;

    for (; length < CELL_BYTES - 1 && from[length] != '\0'; length++)
        text[length] =
            (unsigned char)from[length] < 0x20 || from[length] == 0x7f ? ' ' : from[length];
    text[length] = '\0';
}

static void format_when(uint64_t unix_ns, char text[CELL_BYTES])
{
    time_t seconds = (time_t)(unix_ns / 1000000000u);
    struct tm parts;

    if (localtime_r(&seconds, &parts) == NULL || strftime(text, CELL_BYTES, "%F %T", &parts) == 0)
        (void)snprintf(text, CELL_BYTES, "-");
}

/* NULL where the state's own name says it all. */
static const char *state_held(const json_t *object)
{
    const char *state = table_text(object, "state");
    const char *holder = table_text(object, "held_by");

    if (strcmp(holder, "defrag") == 0)
        return "moving inside VRAM";
    if (strcmp(state, "paused") == 0 && strcmp(holder, "fault") == 0)
        return "stands paused"; /* nobody wants it so: the driver could not resume it */
    return NULL;
}

/* NULL where the daemon's own word must do. */
static const char *phase_plain(const json_t *object, const char *phase)
{
    bool numbered;

    return strcmp(phase, table_text(object, "status")) == 0
               ? "-"
               : phase_label(phase, PHASE_CELL, &numbered);
}

const char *table_cell(const json_t *object, enum cell cell, const char *key, char text[CELL_BYTES])
{
    const json_t *value = json_object_get(object, key);

    (void)snprintf(text, CELL_BYTES, "-");
    if (json_is_string(value) && json_string_length(value) > 0) {
        const char *word = json_string_value(value);
        const char *plain = cell == CELL_STATE   ? state_held(object)
                            : cell == CELL_PHASE ? phase_plain(object, word)
                                                 : NULL;

        copy_plain(text, plain != NULL ? plain : word);
    } else if (json_is_boolean(value)) {
        (void)snprintf(text, CELL_BYTES, "%s", json_is_true(value) ? "yes" : "no");
    } else if (json_is_number(value)) {
        double number = json_number_value(value);
        uint64_t whole = table_number(object, key);

        switch (cell) {
        case CELL_SIZE:
            (void)vf_size_format(whole, text, CELL_BYTES);
            break;
        case CELL_RATE:
            (void)vf_size_format(whole, text, CELL_BYTES - 3);
            (void)strcat(text, "/s");
            break;
        case CELL_TIME:
            (void)vf_time_format(whole, text, CELL_BYTES);
            break;
        case CELL_SHARE:
            (void)snprintf(text, CELL_BYTES, "%.0f %%", number * 100.0);
            break;
        case CELL_PERCENT:
            (void)snprintf(text, CELL_BYTES, "%.0f %%", number);
            break;
        case CELL_WHEN:
            format_when(whole, text);
            break;
        case CELL_TEXT:
        case CELL_COUNT:
        case CELL_STATE:
        case CELL_PHASE:
        case CELL_END:
            (void)snprintf(text, CELL_BYTES, "%.0f", number);
            break;
        }
    }
    return text;
}

static bool left(enum cell cell)
{
    return cell == CELL_TEXT || cell == CELL_STATE || cell == CELL_PHASE;
}

/* How something stands is seen at a glance where there are colours. */
static const char *style_in(FILE *to, const struct column *column, const char *text)
{
    static const char *const keys[] = {"status", "state", "outcome"};

    if (to != stdout || !left(column->cell))
        return "";
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        if (strcmp(column->key, keys[i]) == 0)
            return style_of(text);
    }
    return "";
}

/* Numbers stand right, texts left; after the last one nothing is filled up. */
static void print_cell(FILE *to, const struct column *column, size_t width, const char *text,
                       const char *style)
{
    bool last = column[1].cell == CELL_END;
    int filled = last && left(column->cell) ? 0 : left(column->cell) ? -(int)width : (int)width;

    (void)fprintf(to, "%s%*s%s%s", style, filled, text, style_end(style), last ? "\n" : "  ");
}

/* Cuts what is too wide for its column, at the end, and shows that. */
static void fit(char text[CELL_BYTES], size_t width)
{
    size_t end = width - strlen(ELLIPSIS);

    if (strlen(text) <= width)
        return;
    while (end > 0 && ((unsigned char)text[end] & 0xc0u) == 0x80u)
        end--; /* not in the middle of a letter */
    (void)strcpy(text + end, ELLIPSIS);
}

/* Takes from the widest texts until all columns fit; false when that is not enough. */
static bool narrow(const struct column *columns, size_t width[TABLE_COLUMNS], size_t room)
{
    for (;;) {
        size_t widest = TABLE_COLUMNS, all = 0;

        for (size_t c = 0; columns[c].cell != CELL_END; c++) {
            all += width[c] + (c > 0 ? 2 : 0);
            if (left(columns[c].cell) && (widest == TABLE_COLUMNS || width[c] > width[widest]))
                widest = c;
        }
        if (all <= room)
            return true;
        if (widest == TABLE_COLUMNS || width[widest] <= NARROWEST)
            return false;
        width[widest]--;
    }
}

static void print_fields(FILE *to, const struct column *columns, const json_t *object)
{
    size_t width = 0;
    char text[CELL_BYTES];

    for (size_t c = 0; columns[c].cell != CELL_END; c++)
        width = strlen(columns[c].title) > width ? strlen(columns[c].title) : width;
    for (size_t c = 0; columns[c].cell != CELL_END; c++) {
        const char *style;

        (void)table_cell(object, columns[c].cell, columns[c].key, text);
        style = style_in(to, &columns[c], text);
        (void)fprintf(to, "%-*s  %s", (int)width, columns[c].title, style);
        wrap_text(to, text, width + 2, width + 2);
        (void)fprintf(to, "%s\n", style_end(style));
    }
}

/* Each row as lines "name  value", where no table fits. */
static void print_blocks(FILE *to, const struct column *columns, const json_t *rows)
{
    size_t index;
    json_t *row;

    json_array_foreach(rows, index, row) {
        if (index > 0)
            (void)fputc('\n', to);
        print_fields(to, columns, row);
    }
}

static void print_table(FILE *to, const struct column *columns, const json_t *rows,
                        const size_t width[TABLE_COLUMNS])
{
    char text[CELL_BYTES];
    size_t index;
    json_t *row;

    for (size_t c = 0; columns[c].cell != CELL_END; c++) {
        (void)snprintf(text, sizeof text, "%s", columns[c].title);
        fit(text, width[c]);
        print_cell(to, &columns[c], width[c], text, "");
    }
    json_array_foreach(rows, index, row) {
        for (size_t c = 0; columns[c].cell != CELL_END; c++) {
            const char *style;

            (void)table_cell(row, columns[c].cell, columns[c].key, text);
            style = style_in(to, &columns[c], text);
            fit(text, width[c]);
            print_cell(to, &columns[c], width[c], text, style);
        }
    }
}

void table_rows_to(FILE *to, const struct column *columns, const json_t *rows, const char *none)
{
    const size_t room = wrap_room(to);
    size_t width[TABLE_COLUMNS] = {0};
    char text[CELL_BYTES];
    size_t index;
    json_t *row;

    if (json_array_size(rows) == 0) {
        (void)fprintf(to, "%s\n", none);
        return;
    }
    for (size_t c = 0; columns[c].cell != CELL_END; c++) {
        width[c] = strlen(columns[c].title);
        json_array_foreach(rows, index, row) {
            size_t length = strlen(table_cell(row, columns[c].cell, columns[c].key, text));

            width[c] = length > width[c] ? length : width[c];
        }
    }
    if (narrow(columns, width, room))
        print_table(to, columns, rows, width);
    else
        print_blocks(to, columns, rows);
}

void table_rows(const struct column *columns, const json_t *rows, const char *none)
{
    table_rows_to(stdout, columns, rows, none);
}

void table_fields(const struct column *columns, const json_t *object)
{
    print_fields(stdout, columns, object);
}
