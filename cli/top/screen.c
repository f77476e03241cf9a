// SPDX-License-Identifier: Apache-2.0
/* The terminal under "vferry top". Plain escape sequences, which every terminal of today knows. */
#include "cli/top/top.h"

#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define SCREEN_ON "\033[?1049h\033[?25l"
#define SCREEN_OFF "\033[?25h\033[?1049l"
#define HOME "\033[H"
#define REST_OF_LINE "\033[K"
#define REST_OF_SCREEN "\033[J"

static bool able(void)
{
    const char *term = getenv("TERM");

    return isatty(STDIN_FILENO) == 1 && isatty(STDOUT_FILENO) == 1 && term != NULL &&
           term[0] != '\0' && strcmp(term, "dumb") != 0;
}

int top_screen_begin(struct top_screen *screen)
{
    struct termios keys;

    if (!able() || tcgetattr(STDIN_FILENO, &screen->before) != 0)
        return -1;
    keys = screen->before;
    keys.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
    if (tcsetattr(STDIN_FILENO, TCSADRAIN, &keys) != 0)
        return -1;
    (void)fputs(SCREEN_ON, stdout);
    (void)fflush(stdout);
    screen->on = true;
    return 0;
}

void top_screen_end(struct top_screen *screen)
{
    if (!screen->on)
        return;
    (void)fputs(SCREEN_OFF, stdout);
    (void)fflush(stdout);
    (void)tcsetattr(STDIN_FILENO, TCSADRAIN, &screen->before);
    screen->on = false;
}

/* How many bytes of the line fill `columns`: a character of UTF-8 is one column, whole or not. */
static size_t fitting(const char *line, size_t length, size_t columns)
{
    size_t at = 0;

    for (size_t column = 0; at < length; at++) {
        bool begins = ((unsigned char)line[at] & 0xc0u) != 0x80;

        if (begins && ++column > columns)
            break;
    }
    return at;
}

void top_screen_show(const char *text)
{
    struct winsize size;
    size_t rows = 24;
    size_t columns = 80;

    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_row > 0 && size.ws_col > 0) {
        rows = size.ws_row;
        columns = size.ws_col;
    }
    (void)fputs(HOME, stdout);
    for (size_t row = 0; row < rows && *text != '\0'; row++) {
        size_t length = strcspn(text, "\n");

        (void)fwrite(text, 1, fitting(text, length, columns), stdout);
        /* Nothing follows a full line but the next one: some terminals would wrap. */
        (void)fputs(length < columns ? REST_OF_LINE : "", stdout);
        (void)fputs(row + 1 < rows ? "\r\n" : "", stdout);
        text += length + (text[length] == '\n');
    }
    (void)fputs(REST_OF_SCREEN, stdout);
    (void)fflush(stdout);
}
