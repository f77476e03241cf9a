// SPDX-License-Identifier: Apache-2.0
/* See process_state.h. */
#include "base/process_state.h"

#include "base/cleanup.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* The letter after the name in /proc/PID/stat; the name may hold anything but ends with the last
 * parenthesis. '\0' when it cannot be read. */
static char letter_of(pid_t pid)
{
    char path[32];
    char line[512];
    cleanup_close int fd = -1;
    const char *end;
    ssize_t got;

    (void)snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    got = fd < 0 ? -1 : read(fd, line, sizeof line - 1);
    if (got <= 0)
        return '\0';
    line[got] = '\0';
    end = strrchr(line, ')');
    return end != NULL && end[1] == ' ' ? end[2] : '\0';
}

bool vf_process_stopped(pid_t pid)
{
    const char letter = letter_of(pid);

    return letter == 'T' || letter == 't';
}

const char *vf_process_state(pid_t pid, char *text, size_t bytes)
{
    static const struct {
        char letter;
        const char *words;
    } states[] = {
        {'T', "stopped by a signal"},
        {'t', "stopped by a debugger"},
        {'D', "waits for a disk or a device, and for no signal"},
        {'R', "works, or wants to"},
        {'S', "sleeps"},
        {'Z', "has ended"},
        {'X', "has ended"},
    };
    char letter = letter_of(pid);
    const char *words = "its state cannot be read";

    for (size_t i = 0; i < sizeof states / sizeof states[0]; i++) {
        if (states[i].letter == letter)
            words = states[i].words;
    }
    (void)snprintf(text, bytes, "%s", words);
    return text;
}
