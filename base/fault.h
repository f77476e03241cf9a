// SPDX-License-Identifier: Apache-2.0
/*
 * Fault injection, in test builds only (-DVF_FAULTS; docs/faults.md): named points at which a test
 * may have the process die, stand still or be told of an error. Without VF_FAULTS nothing of it
 * is compiled, not even the names.
 */
#ifndef VF_BASE_FAULT_H
#define VF_BASE_FAULT_H

#ifndef VF_FAULTS

/* A place `name` that the process passes. `of` tells several passages apart: a record's kind, a
 * call's name. */
#define VF_FAULT_POINT(name, of) ((void)0)
/* A place before something that may fail: the errno value to fail with instead of doing it,
 * or 0. */
#define VF_FAULT_ERRNO(name, of) 0
/* A place before a write of *bytes: as VF_FAULT_ERRNO, and *bytes may become less (a
 * short write). */
#define VF_FAULT_WRITE(name, of, bytes) 0
/* Tells that so many bytes of fd are on disk: a simulated power cut drops what lies behind them. */
#define VF_FAULT_SYNCED(fd, bytes) ((void)0)
/* A text for people, which a test may have worded otherwise: whatever rests on it then fails. */
#define VF_FAULT_REWORD(text) ((void)0)

#else

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define VF_FAULT_POINT(name, of) ((void)vf_fault_errno(name, of))
#define VF_FAULT_ERRNO(name, of) vf_fault_errno(name, of)
#define VF_FAULT_WRITE(name, of, bytes) vf_fault_write(name, of, bytes)
#define VF_FAULT_SYNCED(fd, bytes) vf_fault_synced(fd, bytes)
#define VF_FAULT_REWORD(text) vf_fault_reword(text)

enum vf_fault_act {
    VF_FAULT_NONE,
    VF_FAULT_KILL,  /* SIGKILL */
    VF_FAULT_POWER, /* unsynced bytes are dropped, then SIGKILL */
    VF_FAULT_HOLD,  /* stands until the test opens the gate */
    VF_FAULT_STALL, /* stands for `value` ms; a stream's direction carries nothing meanwhile */
    VF_FAULT_ERROR, /* errno `value` */
    VF_FAULT_SHORT, /* at most `value` bytes at a time */
    /* Streams only; transport/filter.c. */
    VF_FAULT_CUT,       /* the connection ends before the record */
    VF_FAULT_HALF,      /* in the middle of it */
    VF_FAULT_SILENT,    /* this connection carries nothing any more, both ways, without a word */
    VF_FAULT_DOWN,      /* every connection ends, and no new one works for `value` ms */
    VF_FAULT_FREEZE,    /* every connection carries nothing for `value` ms */
    VF_FAULT_DUPLICATE, /* the record passes twice */
    VF_FAULT_FLIP,      /* bit `value` of it is wrong */
};

struct vf_fault_action {
    enum vf_fault_act act;
    bool after; /* what is done to the process comes when the record has passed */
    uint64_t value;
};

/* Something at which a fault may be armed. Texts are "" where they do not apply. */
struct vf_fault_event {
    const char *kind; /* "point" or "msg" */
    const char *name;
    const char *of;   /* points */
    const char *way;  /* messages: "send" or "recv" */
    const char *role; /* "control" or "data" */
    uint32_t stream;  /* data: its index */
    bool paused;      /* does the partition stand when the message passes? */
};

/* Traces the event and answers what is armed for it; the act is the caller's to do. Any thread. */
struct vf_fault_action vf_fault_judge(const struct vf_fault_event *event);
/* Carries out KILL, POWER, HOLD and STALL (which sleeps); does nothing for any other act. */
void vf_fault_do(const struct vf_fault_action *action);
/* Is anything armed or traced at all? */
bool vf_fault_active(void);

int vf_fault_errno(const char *name, const char *of);
int vf_fault_write(const char *name, const char *of, size_t *bytes);
void vf_fault_synced(int fd, off_t bytes);
/* With "reword": each letter becomes the next one of the alphabet, in place; lengths, digits and
 * marks stay. Any thread. */
void vf_fault_reword(char *text);

#endif

#endif
