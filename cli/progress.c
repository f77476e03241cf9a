// SPDX-License-Identifier: Apache-2.0
/* See progress.h. */
#include "cli/progress.h"

#include "base/size.h"
#include "cli/table.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

void progress_init(struct progress *progress, bool quiet)
{
    *progress =
        (struct progress){.quiet = quiet, .terminal = isatty(STDOUT_FILENO) == 1, .round = -1};
}

/* "60.0 MiB/s" becomes "60M/s", "1.1 s" becomes "1.1s". */
static void squeeze(char *text)
{
    char *to = text;

    for (const char *from = text; *from != '\0'; from++) {
        if (*from == ' ')
            continue;
        if (strncmp(from, "iB", 2) == 0) {
            from++;
            continue;
        }
        if (strncmp(from, ".0 ", 3) == 0) {
            from += 2;
            continue;
        }
        *to++ = *from;
    }
    *to = '\0';
}

struct line {
    char *text; /* PROGRESS_LINE */
    size_t at;
    bool narrow;
};

static void add(struct line *line, const char *wide, const char *narrow, const json_t *numbers,
                enum cell cell, const char *key)
{
    char text[CELL_BYTES];
    int length;

    (void)table_cell(numbers, cell, key, text);
    if (line->narrow && cell != CELL_TEXT)
        squeeze(text);
    length = snprintf(line->text + line->at, PROGRESS_LINE - line->at, "%s%s",
                      line->narrow ? narrow : wide, text);
    line->at = length < 0 || line->at + (size_t)length >= PROGRESS_LINE ? PROGRESS_LINE - 1
                                                                        : line->at + (size_t)length;
}

/* What keeps it says more than numbers that do not change. */
static size_t write_wait(struct line *line, const json_t *numbers)
{
    if (json_is_true(json_object_get(numbers, "stands"))) {
        add(line, "blackout: ", "blackout ", numbers, CELL_TIME, "stood_ns");
        add(line, " so far, waiting for ", ": ", numbers, CELL_TEXT, "waits_for");
        return line->at;
    }
    add(line, "", "", numbers, CELL_TEXT, "phase");
    add(line, ": waiting for ", ": waiting for ", numbers, CELL_TEXT, "waits_for");
    if (table_number(numbers, "stood_ns") > 0)
        add(line, "; it stood for ", "; it stood for ", numbers, CELL_TIME, "stood_ns");
    return line->at;
}

static size_t write_line(const json_t *numbers, bool narrow, char text[PROGRESS_LINE])
{
    struct line line = {.text = text, .narrow = narrow};
    const char *phase = table_text(numbers, "phase");

    if (table_text(numbers, "waits_for")[0] != '\0')
        return write_wait(&line, numbers);
    add(&line, "", "", numbers, CELL_TEXT, "phase");
    /* The one that is under way; the number is of those that are done. */
    if (strcmp(phase, "round") == 0 || strcmp(phase, "last-round") == 0)
        line.at += (size_t)snprintf(text + line.at, PROGRESS_LINE - line.at, " %" PRIu64,
                                    table_number(numbers, "round") + 1);
    add(&line, ": sent ", ": sent ", numbers, CELL_SIZE, "sent_bytes");
    add(&line, ", left ", " left ", numbers, CELL_SIZE, "left_bytes");
    if (table_number(numbers, "rate_bytes_per_s") > 0)
        add(&line, ", ", " ", numbers, CELL_RATE, "rate_bytes_per_s");
    /* Both come from a query of the dirty bits, after the first round. */
    if (table_number(numbers, "predicted_blackout_ns") > 0) {
        add(&line, ", dirtied ", " dirty ", numbers, CELL_RATE, "dirty_bytes_per_s");
        add(&line, ", blackout ~", " pause ~", numbers, CELL_TIME, "predicted_blackout_ns");
        add(&line, " of ", "/", numbers, CELL_TIME, "max_blackout_ns");
    }
    if (table_number(numbers, "eta_ns") > 0)
        add(&line, ", ETA ", " ETA ", numbers, CELL_TIME, "eta_ns");
    return line.at;
}

const char *progress_line(const json_t *numbers, size_t width, char line[PROGRESS_LINE])
{
    size_t length = write_line(numbers, false, line);

    if (width > 0 && length > width)
        length = write_line(numbers, true, line);
    if (width > 0 && length > width)
        line[width] = '\0';
    return line;
}

/* The last column stays free: a full line would make some terminals wrap. */
static size_t terminal_width(void)
{
    struct winsize size;

    return ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 1 ? (size_t)size.ws_col - 1
                                                                           : 79;
}

void progress_show(struct progress *progress, const json_t *numbers)
{
    char line[PROGRESS_LINE];
    const char *phase = table_text(numbers, "phase");
    json_int_t round = json_integer_value(json_object_get(numbers, "round"));
    const char *waits = table_text(numbers, "waits_for");
    bool news = round != progress->round || strcmp(phase, progress->phase) != 0 ||
                (waits[0] != '\0' && strcmp(waits, progress->waits) != 0);

    if (progress->quiet || (!progress->terminal && !news))
        return;
    if (progress->terminal)
        (void)printf("\r%s\033[K", progress_line(numbers, terminal_width(), line));
    else
        (void)printf("%s\n", progress_line(numbers, 0, line));
    (void)fflush(stdout);
    progress->line_open = progress->terminal;
    progress->round = round;
    (void)snprintf(progress->phase, sizeof progress->phase, "%s", phase);
    (void)snprintf(progress->waits, sizeof progress->waits, "%s", waits);
}

void progress_end(struct progress *progress)
{
    /* Now: what follows may go to stderr, ahead of what stdout still holds. */
    if (progress->line_open) {
        (void)printf("\r\033[K");
        (void)fflush(stdout);
    }
    progress->line_open = false;
}
