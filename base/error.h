// SPDX-License-Identifier: Apache-2.0
/*
 * The project's one idiom for errors: a function returns 0 or -1 and, on -1, has filled the
 * caller's struct vf_error with a code that is also the command line's exit code, and one line:
 * what, why, what to do.
 */
#ifndef VF_BASE_ERROR_H
#define VF_BASE_ERROR_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum vf_code {
    VF_OK = 0,
    VF_FAILED = 1,        /* nothing changed; for a move: the partition runs on at the source */
    VF_USAGE = 2,         /* wrong arguments, or not built yet */
    VF_INCOMPATIBLE = 3,  /* refused as incompatible */
    VF_CANCELLED = 4,     /* cancelled or not converged; the source runs */
    VF_UNREACHABLE = 5,   /* own daemon unreachable */
    VF_UNKNOWN = 6,       /* outcome unknown */
    VF_REFUSED_NOW = 7,   /* refused for now: full or cordoned; may fit later */
    VF_STANDS = 61,       /* the partition is here and whole, but paused and could not be resumed */
    VF_INTERRUPTED = 130, /* the command line was given up by Ctrl-C: it may still happen */
};

struct vf_error {
    enum vf_code code;
    int32_t status;  /* NTSTATUS of the driver call that failed, 0 when none was involved */
    char text[600];  /* one line, no newline at its end; always terminated */
    uint16_t remedy; /* where in text the remedy begins, 0 = the text names none */
    bool scarce; /* the system was out of descriptors, memory or threads: it may do so later. Not
                  * carried to another process. */
};

#define VF_ERROR_INIT                                                                              \
    {                                                                                              \
        VF_OK, 0, "", 0, false                                                                     \
    }

/*
 * Between what is wrong and what to do about it, inside a format:
 *     vf_fail(err, VF_FAILED, "adapter %u has %s free" VF_REMEDY "ask for less", index, room)
 * A reader sees "; " there; JSON tells the remedy apart (vf_remedy). Once a text, after all
 * arguments that a stranger chose.
 */
#define VF_REMEDY "\x1e"
/* What to do where memory is short, and the end of a text about memory that was not given. */
#define VF_MORE_MEMORY "give more memory (MemoryMax=, ulimit -v), or try again when less goes on"
#define VF_NO_MEMORY "out of memory" VF_REMEDY VF_MORE_MEMORY
/* The remedy, or NULL; points into err->text. */
const char *vf_remedy(const struct vf_error *err);
/* How many bytes of err->text come before the "; " of its remedy, all of them if it names none: for
 * "%.*s", where a text is told again without what to do. */
int vf_bare_bytes(const struct vf_error *err);
/* A text that came from another process: its end is the remedy if it ends so (NULL = it
 * names none). */
void vf_remedy_is(struct vf_error *err, const char *remedy);
/* The text with VF_REMEDY in it, to cross a process line: vf_fail(err, code, "%s", out) is the same
 * error again. */
void vf_error_pack(const struct vf_error *err, char *out, size_t bytes);
/* A code from another process: itself if it is one of an error, else VF_FAILED. */
enum vf_code vf_code_from(int64_t number);

/* Fills *err (NULL is allowed) and returns -1: a failing path is one `return vf_fail(...)`. */
int vf_fail(struct vf_error *err, enum vf_code code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* As vf_fail, and appends ": " and the text of errno value `errnum` (positive). Where descriptors,
 * memory or threads are out, err->scarce says so; a remedy is added if the format names none. */
int vf_fail_errno(struct vf_error *err, enum vf_code code, int errnum, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* As vf_fail, and keeps the NTSTATUS: ": STATUS_... (0x...)" is appended. A driver that got no
 * memory (STATUS_NO_MEMORY) failed as in vf_fail_errno with ENOMEM: scarce, with a remedy. */
int vf_fail_status(struct vf_error *err, enum vf_code code, int32_t status, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* Puts "what: " in front of an error that is already there; returns -1. */
int vf_context(struct vf_error *err, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Name of an NTSTATUS the contract uses ("STATUS_OBJECT_TYPE_MISMATCH"), or "NTSTATUS" for others.
 * Static text. */
const char *vf_status_name(int32_t status);

#endif
