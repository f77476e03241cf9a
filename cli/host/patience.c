// SPDX-License-Identifier: Apache-2.0
/* See patience.h. */
#include "cli/host/patience.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/plain.h"
#include "base/size.h"

#include <stdio.h>
#include <string.h>

void patience_begin(struct patience *patience, const struct command *command,
                    const struct cli_verb *verb)
{
    *patience =
        (struct patience){.verb = verb, .limit_ns = command->timeout_ns, .since_ns = vf_now_ns()};
}

void patience_next(struct patience *patience, const struct cli_verb *verb)
{
    patience_heard(patience);
    patience->verb = verb;
    patience->asked = false;
    patience->lives = false;
}

void patience_heard(struct patience *patience)
{
    patience->since_ns = vf_now_ns();
    patience->told = false;
    patience->stuck[0] = patience->waits[0] = '\0';
}

/* What is due next and when: the word, or the end. 0 = nothing any more. */
static uint64_t due_ns(const struct patience *patience)
{
    const bool word =
        !patience->told && (patience->limit_ns == 0 || patience->limit_ns > PATIENCE_WORD_NS);

    if (word)
        return patience->since_ns + PATIENCE_WORD_NS;
    return patience->limit_ns == 0 ? 0 : patience->since_ns + patience->limit_ns;
}

int patience_ms(const struct patience *patience)
{
    const uint64_t due = due_ns(patience);
    const uint64_t now = vf_now_ns();

    if (due == 0)
        return -1;
    return due <= now
               ? 0
               : (int)((due - now) / 1000000u + 1u > 60000u ? 60000u : (due - now) / 1000000u + 1u);
}

/* "vferryd at /tmp/A/control.sock (pid 7)" */
static const char *who(const struct patience *patience, char *text, size_t bytes)
{
    if (patience->pid > 0)
        (void)snprintf(text, bytes, "vferryd at %s (pid %d)", VF_SHOWN(patience->host),
                       (int)patience->pid);
    else
        (void)snprintf(text, bytes, "vferryd at %s", VF_SHOWN(patience->host));
    return text;
}

/* The state letter of /proc/PID/stat, '?' when it cannot be known. */
static char process_state(pid_t pid)
{
    cleanup_free char *line = NULL;
    cleanup_free char *path = NULL;
    size_t bytes = 0;
    const char *end = NULL;
    FILE *file;

    if (pid <= 0 || asprintf(&path, "/proc/%d/stat", (int)pid) < 0) {
        path = NULL;
        return '?';
    }
    file = fopen(path, "re");
    if (file == NULL)
        return '?';
    if (getline(&line, &bytes, file) > 0)
        end = strrchr(line, ')');
    (void)fclose(file);
    return end != NULL && end[1] == ' ' ? end[2] : '?';
}

static bool is_stopped(const struct patience *patience)
{
    const char state = process_state(patience->pid);

    return state == 'T' || state == 't';
}

static void say_word(const struct patience *patience)
{
    const char *what = patience->stuck[0] != '\0' ? patience->stuck : patience->waits;
    char text[300];

    if (what[0] != '\0')
        (void)fprintf(stderr, "vferry: waiting for \"%s\": %s; Ctrl-C gives up\n",
                      patience->verb->words, what);
    else
        (void)fprintf(stderr, "vferry: waiting for %s to answer \"%s\"%s; Ctrl-C gives up\n",
                      who(patience, text, sizeof text), patience->verb->words,
                      is_stopped(patience) ? ": it is stopped (SIGSTOP)" : "");
}

void patience_alive(struct patience *patience, const char *stuck, const char *waits)
{
    const bool goes_on = stuck == NULL && patience->verb->slow;

    patience->lives = true;
    if (goes_on && waits == NULL) {
        patience_heard(patience);
        return;
    }
    if (waits != NULL && patience->waits[0] == '\0')
        patience->told = false; /* now it is known what for */
    (void)snprintf(patience->stuck, sizeof patience->stuck, "%s", stuck != NULL ? stuck : "");
    (void)snprintf(patience->waits, sizeof patience->waits, "%s", waits != NULL ? waits : "");
    if (!goes_on)
        return;
    if (!patience->told)
        say_word(patience);
    patience->told = true;
    patience->since_ns = vf_now_ns();
}

/* Where a person sees whether a command that was given up has happened; NULL when it
 * changes nothing. */
static const char *where_to_look(const struct patience *patience)
{
    static const struct {
        const char *words, *look;
    } places[] = {{"partition ", "partition list"}, {"run", "partition list"},
                  {"adapter ", "adapter list"},     {"driver ", "adapter list"},
                  {"host ", "host show"},           {"", "job list"}};
    size_t i = 0;

    if (patience->verb->shows || !patience->asked ||
        strcmp(patience->verb->words, "job watch") == 0)
        return NULL;
    while (strncmp(patience->verb->words, places[i].words, strlen(places[i].words)) != 0)
        i++;
    return places[i].look;
}

/* Ends the text: what a person can do, and that it may happen all the same. */
static void advise(const struct patience *patience, char *text, size_t bytes)
{
    const char *look = where_to_look(patience);
    size_t used;

    if (patience->stuck[0] != '\0')
        (void)snprintf(text, bytes,
                       "see its kernel.log, or end it with \"vferry host stop --force\"");
    else if (is_stopped(patience))
        (void)snprintf(text, bytes, "it is stopped, \"kill -CONT %d\" lets it go on",
                       (int)patience->pid);
    else
        (void)snprintf(text, bytes, "see its log, or wait longer with --timeout");
    used = strlen(text);
    if (look != NULL)
        (void)snprintf(text + used, bytes - used,
                       "; \"%s\" may still happen, see \"vferry %s\" then", patience->verb->words,
                       look);
}

static int at_its_end(const struct patience *patience, struct vf_error *err)
{
    char silent[32];
    char name[300];
    char advice[200];

    (void)vf_time_format(vf_now_ns() - patience->since_ns, silent, sizeof silent);
    advise(patience, advice, sizeof advice);
    (void)who(patience, name, sizeof name);
    if (patience->stuck[0] != '\0')
        return vf_fail(err, VF_UNREACHABLE, "%s: %s" VF_REMEDY "%s", name, patience->stuck, advice);
    if (patience->waits[0] != '\0')
        return vf_fail(err, VF_UNREACHABLE,
                       "%s: has not got done with \"%s\" in %s: %s" VF_REMEDY "%s", name,
                       patience->verb->words, silent, patience->waits, advice);
    if (patience->lives)
        return vf_fail(err, VF_UNREACHABLE,
                       "%s: lives, and has not got done with \"%s\" in %s" VF_REMEDY "%s", name,
                       patience->verb->words, silent, advice);
    return vf_fail(err, VF_UNREACHABLE, "%s: has not answered \"%s\" for %s" VF_REMEDY "%s", name,
                   patience->verb->words, silent, advice);
}

int patience_check(struct patience *patience, struct vf_error *err)
{
    const uint64_t silent = vf_now_ns() - patience->since_ns;

    if (patience->limit_ns != 0 && silent >= patience->limit_ns)
        return at_its_end(patience, err);
    if (!patience->told && silent >= PATIENCE_WORD_NS) {
        say_word(patience);
        patience->told = true;
    }
    return 0;
}

bool patience_doubts(const struct patience *patience)
{
    return patience->verb->slow && patience->asked && !patience->lives && patience->limit_ns != 0 &&
           !is_stopped(patience) && vf_now_ns() - patience->since_ns >= patience->limit_ns;
}

int patience_given_up(const struct patience *patience, struct vf_error *err)
{
    const char *look = where_to_look(patience);

    if (look == NULL)
        return vf_fail(err, VF_INTERRUPTED, "%s: given up", patience->verb->words);
    return vf_fail(err, VF_INTERRUPTED,
                   "%s: given up here, and may still happen" VF_REMEDY "see \"vferry %s\"",
                   patience->verb->words, look);
}
