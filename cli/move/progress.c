// SPDX-License-Identifier: Apache-2.0
/* See progress.h. */
#include "cli/move/progress.h"

#include "base/size.h"
#include "cli/output/phase.h"
#include "cli/output/style.h"
#include "cli/output/table.h"
#include "cli/output/wrap.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define BAR_CELLS 20u
#define BAR_MIN_WIDTH 70u /* a narrower terminal has no room for it */

void progress_init(struct progress *progress, bool quiet)
{
    *progress = (struct progress){.quiet = quiet, .terminal = style_terminal(), .round = -1};
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
    size_t width; /* what does not fit is left out, and all behind it; 0 = no limit */
    bool full;
};

static void add(struct line *line, const char *wide, const char *narrow, const json_t *numbers,
                enum cell cell, const char *key)
{
    char text[CELL_BYTES];
    int length;

    (void)table_cell(numbers, cell, key, text);
    if (line->narrow && cell != CELL_TEXT)
        squeeze(text);
    line->full = line->full ||
                 (line->width > 0 &&
                  line->at + strlen(line->narrow ? narrow : wide) + strlen(text) > line->width);
    if (line->full)
        return;
    length = snprintf(line->text + line->at, PROGRESS_LINE - line->at, "%s%s",
                      line->narrow ? narrow : wide, text);
    line->at = length < 0 || line->at + (size_t)length >= PROGRESS_LINE ? PROGRESS_LINE - 1
                                                                        : line->at + (size_t)length;
}

static void add_label(struct line *line, const json_t *numbers)
{
    bool numbered;
    const char *label = phase_label(table_text(numbers, "phase"),
                                    line->narrow ? PHASE_NARROW : PHASE_WIDE, &numbered);
    int length;
    char plain[CELL_BYTES];

    if (label == NULL)
        label = table_cell(numbers, CELL_TEXT, "phase", plain);
    /* The number is of those that are done. */
    length = numbered ? snprintf(line->text, PROGRESS_LINE, "%s %" PRIu64, label,
                                 table_number(numbers, "round") + 1)
                      : snprintf(line->text, PROGRESS_LINE, "%s", label);
    line->at = length < 0 ? 0 : (size_t)length;
}

/* What keeps it says more than numbers that do not change. */
static size_t write_wait(struct line *line, const json_t *numbers)
{
    if (json_is_true(json_object_get(numbers, "stands"))) {
        add(line, "blackout: ", "blackout ", numbers, CELL_TIME, "stood_ns");
        add(line, " so far, waiting for ", ": ", numbers, CELL_TEXT, "waits_for");
        return line->at;
    }
    add_label(line, numbers);
    add(line, ": waiting for ", ": waiting for ", numbers, CELL_TEXT, "waits_for");
    if (table_number(numbers, "stood_ns") > 0)
        add(line, "; it stood for ", "; it stood for ", numbers, CELL_TIME, "stood_ns");
    return line->at;
}

static size_t write_line(const json_t *numbers, bool narrow, size_t width, char text[PROGRESS_LINE])
{
    struct line line = {.text = text, .narrow = narrow, .width = width};

    if (table_text(numbers, "waits_for")[0] != '\0')
        return write_wait(&line, numbers);
    add_label(&line, numbers);
    add(&line, ": sent ", ": sent ", numbers, CELL_SIZE, "sent_bytes");
    add(&line, ", left ", " left ", numbers, CELL_SIZE, "left_bytes");
    if (table_number(numbers, "rate_bytes_per_s") > 0)
        add(&line, ", at ", " at ", numbers, CELL_RATE, "rate_bytes_per_s");
    /* Both come from a query of the dirty bits, after the first round. */
    if (table_number(numbers, "predicted_blackout_ns") > 0) {
        add(&line, ", its work rewrites ", " rewritten ", numbers, CELL_RATE, "dirty_bytes_per_s");
        add(&line, ", pause would be ", " pause ", numbers, CELL_TIME, "predicted_blackout_ns");
        add(&line, " of at most ", "/", numbers, CELL_TIME, "max_blackout_ns");
    }
    if (json_number_value(json_object_get(numbers, "throttle")) > 0)
        add(&line, ", slowed by ", " slowed ", numbers, CELL_SHARE, "throttle");
    if (table_number(numbers, "eta_ns") > 0)
        add(&line, ", done in ", " ETA ", numbers, CELL_TIME, "eta_ns");
    return line.at;
}

const char *progress_line(const json_t *numbers, size_t width, char line[PROGRESS_LINE])
{
    size_t length = write_line(numbers, false, 0, line);

    if (width > 0 && length > width)
        length = write_line(numbers, true, width, line);
    if (width > 0 && length > width)
        line[width] = '\0';
    return line;
}

size_t progress_bar(const json_t *numbers, size_t width, char bar[PROGRESS_BAR])
{
    const uint64_t done = table_number(numbers, "done_bytes");
    const uint64_t left = table_number(numbers, "left_bytes");
    const uint64_t all = done > UINT64_MAX - left ? UINT64_MAX : done + left;
    const unsigned percent = all == 0 ? 0 : (unsigned)((double)done / (double)all * 100.0);
    char cells[BAR_CELLS + 1];

    bar[0] = '\0';
    if (all == 0 || width < BAR_MIN_WIDTH)
        return 0;
    for (unsigned i = 0; i < BAR_CELLS; i++)
        cells[i] = (i + 1) * 100 <= percent * BAR_CELLS ? '#' : '.';
    cells[BAR_CELLS] = '\0';
    return (size_t)snprintf(bar, PROGRESS_BAR, "[%s] %3u %%  ", cells, percent);
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
    char bar[PROGRESS_BAR];
    const char *phase = table_text(numbers, "phase");
    const char *colour = style_of("running");
    json_int_t round = json_integer_value(json_object_get(numbers, "round"));
    const char *waits = table_text(numbers, "waits_for");
    bool news = round != progress->round || strcmp(phase, progress->phase) != 0 ||
                (waits[0] != '\0' && strcmp(waits, progress->waits) != 0);

    if (progress->quiet || (!progress->terminal && !news))
        return;
    if (progress->terminal) {
        const size_t width = terminal_width();
        const size_t used = progress_bar(numbers, width, bar);

        (void)printf("\r%s%s%s%s\033[K", colour, bar, style_end(colour),
                     progress_line(numbers, width - used, line));
    } else {
        const size_t room = wrap_room(stdout); /* a terminal without escapes has its width too */

        (void)printf("%s\n", progress_line(numbers, room != SIZE_MAX ? room : 0, line));
    }
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
