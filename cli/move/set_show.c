// SPDX-License-Identifier: Apache-2.0
/* See set_show.h. */
#include "cli/move/set_show.h"

#include "cli/move/progress.h"
#include "cli/output/error_object.h"
#include "cli/output/table.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define NAME_COLUMNS 14 /* a name, a blank, and the last column, which stays free */
#define LINE_BYTES sizeof *((struct set_show *)0)->text

void set_show_open(struct set_show *show, const struct move_set *set)
{
    *show = (struct set_show){.quiet = set->command->json,
                              .terminal = isatty(STDOUT_FILENO) == 1,
                              .text = calloc(set->count + 1, LINE_BYTES)};
}

static void erase(struct set_show *show)
{
    if (show->lines > 0)
        (void)printf("\033[%uA\r\033[J", show->lines);
    show->lines = 0;
}

static struct winsize window(void)
{
    struct winsize size;

    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col < 20 || size.ws_row < 5)
        size = (struct winsize){.ws_col = 80, .ws_row = 24};
    return size;
}

/* Those that move, as many as the screen has room for, and a line about all. */
static void draw(struct set_show *show, const struct move_set *set)
{
    struct winsize size = window();
    size_t over = 0, moving = 0;

    if (show->quiet || !show->terminal || show->text == NULL)
        return;
    erase(show);
    for (size_t i = 0; i < set->count; i++) {
        over += set->moves[i].state == SET_OVER;
        if (set->moves[i].state != SET_MOVING || ++moving > size.ws_row - 3u)
            continue;
        (void)printf("%.*s\n", size.ws_col - 1, show->text[i]);
        show->lines++;
    }
    (void)printf("%zu of %zu done, %zu under way\n", over, set->count, moving);
    show->lines++;
    (void)fflush(stdout);
}

void set_show_progress(struct set_show *show, struct move_set *set, struct set_move *move,
                       const json_t *numbers)
{
    char line[PROGRESS_LINE];
    size_t at = (size_t)(move - set->moves);

    if (show->text == NULL)
        return;
    (void)snprintf(show->text[at], LINE_BYTES, "%-12s %s", move->name,
                   progress_line(numbers, window().ws_col - NAME_COLUMNS, line));
    draw(show, set);
}

void set_show_begun(struct set_show *show, const struct move_set *set, const struct set_move *move)
{
    size_t at = (size_t)(move - set->moves);
    const char *to = move->tried == 0 ? "its target, since before" : set->hosts[move->host].address;

    if (show->quiet || show->text == NULL)
        return;
    (void)snprintf(show->text[at], LINE_BYTES, "%-12s moves to %s, job %" PRIu64, move->name, to,
                   move->job);
    if (show->terminal)
        draw(show, set);
    else
        (void)printf("%s\n", show->text[at]);
    (void)fflush(stdout);
}

void set_show_over(struct set_show *show, const struct move_set *set, const struct set_move *move)
{
    char text[CELL_BYTES];

    if (show->quiet)
        return;
    erase(show);
    if (move->err.code == VF_OK && set->how == SET_CHECKS)
        (void)printf("%-12s can move to %s\n", move->name, set->hosts[move->host].address);
    else if (move->err.code == VF_OK && set->how == SET_BEGINS)
        (void)printf("%-12s moves to %s, job %" PRIu64 "\n", move->name,
                     set->hosts[move->host].address, table_number(move->result, "job"));
    else if (move->err.code == VF_OK)
        (void)printf("%-12s runs on %s: blackout %s\n", move->name,
                     table_text(move->result, "target"),
                     table_cell(move->result, CELL_TIME, "blackout_ns", text));
    else
        (void)printf("%-12s %s: %s\n", move->name,
                     set->how == SET_CHECKS ? "cannot move" : "did not move", move->err.text);
    draw(show, set);
    (void)fflush(stdout);
}

void set_show_pause(struct set_show *show)
{
    erase(show);
    (void)fflush(stdout);
}

void set_show_close(struct set_show *show)
{
    set_show_pause(show);
    free(show->text);
    show->text = NULL;
}

json_t *set_result(const struct move_set *set, enum vf_code code)
{
    json_t *moves = json_array();
    size_t moved = 0;

    for (size_t i = 0; i < set->count; i++) {
        const struct set_move *move = &set->moves[i];
        json_t *tried = json_array();

        moved += move->err.code == VF_OK && set->how == SET_MOVES;
        for (size_t h = 0; h < set->host_count; h++) {
            if ((move->tried & 1ull << h) != 0)
                (void)json_array_append_new(tried, json_string(set->hosts[h].address));
        }
        (void)json_array_append_new(
            moves, json_pack("{s:s, s:O?, s:o, s:o}", "partition", move->name,
                             set->how == SET_CHECKS ? "check" : "job", move->result, "error",
                             move->err.code == VF_OK ? json_null() : error_object(&move->err, NULL),
                             "tried", tried));
    }
    return json_pack("{s:s, s:s, s:i, s:I, s:I, s:o}", "schema", "vferry.migrate-set/1", "verb",
                     set->what, "code", (int)code, "moved", (json_int_t)moved, "left",
                     (json_int_t)(set->count - moved), "moves", moves);
}
