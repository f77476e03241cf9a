// SPDX-License-Identifier: Apache-2.0
/*
 * The line between vferry-kernel and a UMED worker: a stream socket that carries one call at a
 * time, head and body each way. Neither end trusts the other: every field is checked before it is
 * used. Both ends come from one build and live on one host, so numbers are in its byte order.
 */
#ifndef DXGK_WORKER_CALL_H
#define DXGK_WORKER_CALL_H

#include <stdint.h>

#define UMED_CALL_MAGIC 0x4d554656u /* "VFUM" */
#define UMED_CALL_VERSION 1u
#define UMED_CALL_MAX_BLOB (1u << 20) /* the largest record a UMED may give or get */
#define UMED_CALL_MAX_BODY (UMED_CALL_MAX_BLOB + 64u)
/* The worker's end of the socket, its only descriptor but stderr. */
#define UMED_CALL_FD 3

enum umed_op {
    UMED_CREATE = 1,        /* first, once: struct umed_create -> struct umed_created */
    UMED_SAVE_IMMUTABLE,    /* nothing -> the record (SRC-3) */
    UMED_RESTORE_IMMUTABLE, /* the record -> nothing (TGT-2) */
    UMED_SAVE,              /* nothing -> the mutable record */
    UMED_RESTORE,           /* the mutable record -> nothing */
    UMED_READ,              /* struct umed_access -> `length` bytes */
    UMED_WRITE,             /* struct umed_access -> nothing, or the mutable record after it */
    UMED_POWER,             /* uint32_t: GPUP_POWER_DEVICE_STATE -> nothing */
    UMED_OPS,
};

struct umed_head {
    uint32_t magic;
    uint16_t version;
    uint16_t op;       /* a reply repeats its call's */
    uint32_t sequence; /* a reply repeats its call's; each call's is one more than the last's */
    uint32_t bytes;    /* of the body; a failed call's reply has none, but for UMED_CREATE's text */
    int32_t result;    /* replies: the HRESULT that decided */
    uint32_t breach; /* replies: enum umed_breach, when the UMED broke its own interface's rules */
};

enum umed_breach {
    UMED_KEPT,
    UMED_SIZE,    /* asked for 0 bytes or more than UMED_CALL_MAX_BLOB */
    UMED_GREW,    /* its record changed its size between two calls of one save */
    UMED_OVERRAN, /* wrote behind the buffer it was given */
    UMED_BREACHES,
};

struct umed_guid {
    uint8_t bytes[16];
};

struct umed_create {
    struct umed_guid class_id;
    struct umed_guid vm; /* the partition's UUID */
    uint32_t luid_low;
    int32_t luid_high;
};

struct umed_created {
    uint32_t interfaces; /* UMED_HAS_* */
    uint32_t reserved;
};
#define UMED_HAS_MIGRATION 1u  /* IGPUPMigration */
#define UMED_HAS_MITIGATION 2u /* IGPUPMitigationDevice */

struct umed_access {
    uint64_t offset; /* in the BAR */
    uint32_t bar;
    uint32_t length; /* 4 or 8 */
    uint8_t value[8];
    uint32_t save; /* writes: 1 = answer with the mutable record */
    uint32_t reserved;
};

#endif
