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

static size_t append(char line[PROGRESS_LINE], size_t at, const char *label, const json_t *numbers,
                     enum cell cell, const char *key)
{
    char text[CELL_BYTES];
    int length = snprintf(line + at, PROGRESS_LINE - at, "%s%s", label,
                          table_cell(numbers, cell, key, text));

    return length < 0 || at + (size_t)length >= PROGRESS_LINE ? PROGRESS_LINE - 1
                                                              : at + (size_t)length;
}

const char *progress_line(const json_t *numbers, size_t width, char line[PROGRESS_LINE])
{
    const char *phase = table_text(numbers, "phase");
    size_t at = append(line, 0, "", numbers, CELL_TEXT, "phase");

    /* The one that is under way; the number is of those that are done. */
    if (strcmp(phase, "round") == 0 || strcmp(phase, "last-round") == 0)
        at += (size_t)snprintf(line + at, PROGRESS_LINE - at, " %" PRIu64,
                               table_number(numbers, "round") + 1);
    at = append(line, at, ": sent ", numbers, CELL_SIZE, "sent_bytes");
    at = append(line, at, ", left ", numbers, CELL_SIZE, "left_bytes");
    if (table_number(numbers, "rate_bytes_per_s") > 0)
        at = append(line, at, ", ", numbers, CELL_RATE, "rate_bytes_per_s");
    /* Both come from a query of the dirty bits, after the first round. */
    if (table_number(numbers, "predicted_blackout_ns") > 0) {
        at = append(line, at, ", dirtied ", numbers, CELL_RATE, "dirty_bytes_per_s");
        at = append(line, at, ", blackout ~", numbers, CELL_TIME, "predicted_blackout_ns");
        at = append(line, at, " of ", numbers, CELL_TIME, "max_blackout_ns");
    }
    if (table_number(numbers, "eta_ns") > 0)
        at = append(line, at, ", ETA ", numbers, CELL_TIME, "eta_ns");
    if (width > 0 && at > width)
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
    bool news = round != progress->round || strcmp(phase, progress->phase) != 0;

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
