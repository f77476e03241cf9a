// SPDX-License-Identifier: Apache-2.0
/*
 * What this driver saves for its successor: three blocks in each format it knows, told apart by
 * their metadata. Format 1 is that of driver 1.0, format 2 that of 1.1. A block is checked as a
 * stranger's: the successor may be anyone's build.
 */
#ifndef SOFTGPU_SAVED_H
#define SOFTGPU_SAVED_H

#include "softgpu_kmd.h"

#define SGK_SAVED_MAGIC 0x55484753u /* "SGHU" */

/* Metadata of every block. */
struct sgk_saved_header {
    ULONG magic;
    ULONG format;
    ULONG kind;           /* enum sgk_saved_kind */
    ULONG bytes;          /* of the data; a block of pages may be longer */
    ULONG driver_version; /* who saved it: major << 16 | minor */
    ULONG reserved;
};

/* The header of a block as it is now; bytes is 0 when there is nothing of the kind. */
struct sgk_saved_header sgk_saved_header(const struct sgk_adapter *adapter, ULONG format,
                                         enum sgk_saved_kind kind);
/* Writes the header's bytes at `data`. */
void sgk_saved_fill(const struct sgk_adapter *adapter, const struct sgk_saved_header *header,
                    PVOID data);
/* STATUS_SUCCESS while parts are missing, and when all are there and make sense together. */
NTSTATUS sgk_saved_check(const struct sgk_staged *staged);
/* Takes what is staged over into the adapter; the card is the one it was saved for. PASSIVE_LEVEL,
 * before anyone else uses the adapter. */
NTSTATUS sgk_saved_apply(struct sgk_adapter *adapter);

#endif
