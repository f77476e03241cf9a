// SPDX-License-Identifier: Apache-2.0
/*
 * See fault.h. VFERRY_FAULT holds everything, taken apart once:
 *   log=FILE | gate=FIFO | trace | reword | SELECTOR,SELECTOR,…:ACTION[=VALUE]      separated by ;
 * A text that cannot be understood ends the process: a test must not pass for want of its fault.
 */
#include "base/fault.h"

#include "base/clock.h"
#include "base/size.h"
#include "base/thread.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#define MAX_FAULTS 16u
#define MAX_DISKS 16u

struct fault {
    const char *text;                                   /* as given, for the log */
    const char *kind, *name, *of, *way, *role, *thread; /* NULL = any */
    int paused;                                         /* -1 = any */
    int64_t stream;                                     /* -1 = any */
    uint64_t nth;
    bool on; /* also every later one */
    struct vf_fault_action action;
    uint64_t seen; /* guarded by lock */
};

static struct {
    pthread_once_t once;
    bool active, trace, reword;
    char *text; /* what all the names below point into */
    struct fault faults[MAX_FAULTS];
    size_t count;
    const char *log, *gate; /* files; NULL = none */
    pthread_mutex_t lock;   /* counters of faults, and what follows */
    struct {
        int fd;
        off_t synced;
    } disks[MAX_DISKS];
    size_t disk_count;
} all = {.once = PTHREAD_ONCE_INIT, .lock = VF_LOCK_INITIALIZER};

/* ---- reading VFERRY_FAULT ---- */

__attribute__((noreturn)) static void refuse(const char *what, const char *text)
{
    (void)fprintf(stderr, "VFERRY_FAULT: %s: '%s'\n", what, text);
    _exit(2);
}

static const struct {
    const char *name;
    enum vf_fault_act act;
    bool after;
    uint64_t otherwise; /* the value when none is given */
} acts[] = {
    {"kill", VF_FAULT_KILL, false, 0},         {"after-kill", VF_FAULT_KILL, true, 0},
    {"power", VF_FAULT_POWER, false, 0},       {"after-power", VF_FAULT_POWER, true, 0},
    {"hold", VF_FAULT_HOLD, false, 0},         {"after-hold", VF_FAULT_HOLD, true, 0},
    {"stall", VF_FAULT_STALL, false, 0},       {"short", VF_FAULT_SHORT, false, 1},
    {"cut", VF_FAULT_CUT, false, 0},           {"half", VF_FAULT_HALF, false, 0},
    {"silent", VF_FAULT_SILENT, false, 0},     {"down", VF_FAULT_DOWN, false, 1000},
    {"freeze", VF_FAULT_FREEZE, false, 0},     {"dup", VF_FAULT_DUPLICATE, false, 0},
    {"flip", VF_FAULT_FLIP, false, 0},         {"EIO", VF_FAULT_ERROR, false, EIO},
    {"ENOSPC", VF_FAULT_ERROR, false, ENOSPC}, {"EROFS", VF_FAULT_ERROR, false, EROFS},
};

static struct vf_fault_action parse_action(char *text)
{
    char *value = strchr(text, '=');

    if (value != NULL)
        *value++ = '\0';
    for (size_t i = 0; i < sizeof acts / sizeof acts[0]; i++) {
        struct vf_fault_action action = {acts[i].act, acts[i].after, acts[i].otherwise};

        if (strcmp(acts[i].name, text) != 0)
            continue;
        if (value != NULL && vf_number_parse(value, &action.value) != 0)
            refuse("not a number", value);
        return action;
    }
    refuse("no such action", text);
}

static void parse_selector(struct fault *fault, char *text)
{
    char *value = strchr(text, '=');
    size_t length;
    uint64_t number = 0;

    if (value == NULL)
        refuse("a selector is NAME=VALUE", text);
    *value++ = '\0';
    length = strlen(value);
    if (strcmp(text, "point") == 0 || strcmp(text, "msg") == 0) {
        fault->kind = text;
        fault->name = value;
        return;
    }
    if (strcmp(text, "nth") == 0 && length > 0 && value[length - 1] == '+') {
        fault->on = true;
        value[length - 1] = '\0';
    }
    if (strcmp(text, "of") == 0)
        fault->of = value;
    else if (strcmp(text, "dir") == 0)
        fault->way = value;
    else if (strcmp(text, "role") == 0)
        fault->role = value;
    else if (strcmp(text, "thread") == 0)
        fault->thread = value;
    else if (vf_number_parse(value, &number) != 0 || number > INT32_MAX)
        refuse("not a number", value);
    else if (strcmp(text, "nth") == 0)
        fault->nth = number;
    else if (strcmp(text, "stream") == 0)
        fault->stream = (int64_t)number;
    else if (strcmp(text, "paused") == 0)
        fault->paused = number != 0;
    else
        refuse("no such selector", text);
}

static void parse_fault(char *text, char *action)
{
    struct fault *fault = &all.faults[all.count];
    char *rest = NULL;
    char *whole = strdup(text); /* kept until the process ends, as all.text is */

    if (all.count == MAX_FAULTS || whole == NULL)
        refuse("too many faults", text);
    *fault = (struct fault){.text = whole, .paused = -1, .stream = -1, .nth = 1};
    *action = '\0';
    for (char *one = strtok_r(text, ",", &rest); one != NULL; one = strtok_r(NULL, ",", &rest))
        parse_selector(fault, one);
    if (fault->kind == NULL || fault->nth == 0)
        refuse("a fault needs point=NAME or msg=NAME, and counts from 1", whole);
    fault->action = parse_action(action + 1);
    all.count++;
}

static void parse(void)
{
    const char *given = getenv("VFERRY_FAULT");
    char *rest = NULL;

    if (given == NULL || given[0] == '\0')
        return;
    all.text = strdup(given);
    if (all.text == NULL)
        refuse("out of memory", given);
    for (char *one = strtok_r(all.text, ";", &rest); one != NULL;
         one = strtok_r(NULL, ";", &rest)) {
        char *action = strchr(one, ':');
        char *value = strchr(one, '=');

        if (strncmp(one, "point=", 6) == 0 || strncmp(one, "msg=", 4) == 0) {
            if (action == NULL)
                refuse("a fault is SELECTORS:ACTION", one);
            parse_fault(one, action);
        } else if (strcmp(one, "trace") == 0) {
            all.trace = true;
        } else if (strcmp(one, "reword") == 0) {
            all.reword = true;
        } else if (value != NULL && strncmp(one, "log=", 4) == 0) {
            all.log = value + 1;
        } else if (value != NULL && strncmp(one, "gate=", 5) == 0) {
            all.gate = value + 1;
        } else {
            refuse("neither a fault nor a setting", one);
        }
    }
    all.active = all.trace || all.count > 0;
}

bool vf_fault_active(void)
{
    (void)pthread_once(&all.once, parse);
    return all.active;
}

void vf_fault_reword(char *text)
{
    (void)pthread_once(&all.once, parse);
    for (char *at = text; all.reword && *at != '\0'; at++) {
        if (*at == 'z' || *at == 'Z')
            *at = (char)(*at - 25);
        else if ((*at >= 'a' && *at < 'z') || (*at >= 'A' && *at < 'Z'))
            (*at)++;
    }
}

/* ---- telling the test ---- */

/* One write a line, so that threads and processes do not mix theirs. */
static void tell(const char *format, ...) __attribute__((format(printf, 1, 2)));
static void tell(const char *format, ...)
{
    char line[512];
    va_list args;
    int length;
    int fd;

    if (all.log == NULL)
        return;
    va_start(args, format);
    length = vsnprintf(line, sizeof line, format, args);
    va_end(args);
    fd = open(all.log, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0 || length < 0 || (size_t)length >= sizeof line ||
        write(fd, line, (size_t)length) != length)
        refuse("the log cannot be written", all.log);
    (void)close(fd);
}

static void trace(const struct vf_fault_event *event, const char *thread)
{
    tell("%" PRIu64 "\t%s\t%s\t%s\t%s\t%s\t%" PRIu32 "\t%d\t%s\n", vf_now_ns(), event->kind,
         event->name, event->of, event->way, event->role, event->stream, event->paused, thread);
}

/* ---- judging ---- */

static bool same(const char *wanted, const char *is)
{
    return wanted == NULL || strcmp(wanted, is) == 0;
}

static bool meant(const struct fault *fault, const struct vf_fault_event *event, const char *thread)
{
    return strcmp(fault->kind, event->kind) == 0 && same(fault->name, event->name) &&
           same(fault->of, event->of) && same(fault->way, event->way) &&
           same(fault->role, event->role) && same(fault->thread, thread) &&
           (fault->paused < 0 || (fault->paused != 0) == event->paused) &&
           (fault->stream < 0 || fault->stream == (int64_t)event->stream);
}

struct vf_fault_action vf_fault_judge(const struct vf_fault_event *event)
{
    struct vf_fault_action action = {VF_FAULT_NONE, false, 0};
    char thread[16] = "";

    if (!vf_fault_active())
        return action;
    (void)prctl(PR_GET_NAME, thread);
    if (all.trace)
        trace(event, thread);
    vf_lock(&all.lock);
    for (size_t i = 0; i < all.count; i++) {
        struct fault *fault = &all.faults[i];

        if (!meant(fault, event, thread))
            continue;
        fault->seen++;
        if (fault->seen == fault->nth || (fault->on && fault->seen > fault->nth)) {
            action = fault->action;
            tell("fired\t%s\n", fault->text);
        }
    }
    vf_unlock(&all.lock);
    return action;
}

/* ---- what is done to the process ---- */

static void drop_unsynced(void)
{
    vf_lock(&all.lock);
    for (size_t i = 0; i < all.disk_count; i++) {
        if (ftruncate(all.disks[i].fd, all.disks[i].synced) != 0)
            refuse("cannot drop what is not synced", strerrordesc_np(errno));
    }
    vf_unlock(&all.lock);
}

/* The gate is a FIFO: opening it waits until the test opens the other end. */
static void hold(void)
{
    const int fd = all.gate == NULL ? -1 : open(all.gate, O_RDONLY | O_CLOEXEC);

    if (fd < 0)
        refuse("hold needs gate=FIFO", all.gate == NULL ? "" : all.gate);
    (void)close(fd);
}

void vf_fault_do(const struct vf_fault_action *action)
{
    struct timespec left = {.tv_sec = (time_t)(action->value / 1000),
                            .tv_nsec = (long)(action->value % 1000 * 1000000)};

    switch (action->act) {
    case VF_FAULT_POWER:
        drop_unsynced();
        /* fall through */
    case VF_FAULT_KILL:
        (void)raise(SIGKILL);
        break;
    case VF_FAULT_HOLD:
        hold();
        break;
    case VF_FAULT_STALL:
        while (nanosleep(&left, &left) != 0 && errno == EINTR)
            continue;
        break;
    default:
        break;
    }
}

int vf_fault_write(const char *name, const char *of, size_t *bytes)
{
    const struct vf_fault_event event = {
        .kind = "point", .name = name, .of = of, .way = "", .role = ""};
    const struct vf_fault_action action = vf_fault_judge(&event);

    vf_fault_do(&action);
    if (action.act == VF_FAULT_SHORT && action.value < *bytes)
        *bytes = action.value;
    return action.act == VF_FAULT_ERROR ? (int)action.value : 0;
}

int vf_fault_errno(const char *name, const char *of)
{
    size_t ignored = 0;

    return vf_fault_write(name, of, &ignored);
}

void vf_fault_synced(int fd, off_t bytes)
{
    size_t at = 0;

    vf_lock(&all.lock);
    while (at < all.disk_count && all.disks[at].fd != fd)
        at++;
    if (at < MAX_DISKS) {
        all.disks[at].fd = fd;
        all.disks[at].synced = bytes;
        if (at == all.disk_count)
            all.disk_count++;
    } else {
        refuse("too many files that a power cut would hit", "");
    }
    vf_unlock(&all.lock);
}
