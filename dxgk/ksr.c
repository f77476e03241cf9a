// SPDX-License-Identifier: Apache-2.0
/* See ksr.h. What a driver hands in is checked here, block by block; a refused block spoils the
 * store, so that no half-saved driver is ever taken down. */
#define LOG_ROOM "hotupdate"
#include "dxgk/ksr.h"

#include "base/cleanup.h"
#include "base/log.h"
#include "dxgk/handles.h"
#include "dxgk/nt/nt.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>

enum form { FORM_BUFFER, FORM_RANGES, FORM_MDL };

struct block {
    enum form form;
    uint64_t at, bytes; /* in the memfd, once read */
    uint64_t metadata_at;
    uint32_t metadata_bytes;
    uint32_t range_count;
    DXGK_KSR_MEMORY_RANGE *ranges; /* FORM_RANGES; ours */
    PMDL mdl;                      /* FORM_MDL; the driver's, lent to us. NULL once settled */
};

struct dxgk_ksr {
    struct dxgk_ksr_set *set;
    struct dxgk_adapter *adapter; /* NULL in the trial */
    const void *owner;            /* code of the driver that saved: whose MDLs they are */
    pthread_t thread;             /* that Save runs on */
    char refusal[300];            /* why a block was refused, or "" */
    struct block *blocks;
    uint32_t count, room;
    struct dxgk_ksr *next; /* in the set */
};

struct pages {
    uint64_t first, count;
};

struct dxgk_ksr_set {
    int fd;
    uint64_t end;   /* of what is written */
    uint64_t bytes; /* promised so far: data and metadata */
    struct pages *pages; /* in rising order, disjoint: what ranges and MDLs cover */
    size_t page_runs, page_room;
    struct dxgk_ksr *stores, **tail;
};

/* ---- the set ---- */

static struct dxgk_ksr_set *set_new(int fd)
{
    struct dxgk_ksr_set *set = calloc(1, sizeof *set);

    if (set == NULL)
        return NULL;
    set->fd = fd;
    set->tail = &set->stores;
    return set;
}

int dxgk_ksr_set_new(struct dxgk_ksr_set **out, struct vf_error *err)
{
    cleanup_close int fd = memfd_create("vferry-saved-driver-state", MFD_CLOEXEC);

    if (fd < 0)
        return vf_fail_errno(err, VF_FAILED, errno, "driver update: memory for saved state");
    *out = set_new(fd);
    if (*out == NULL)
        return vf_fail(err, VF_FAILED, "driver update: saved state: " VF_NO_MEMORY);
    fd = -1;
    return 0;
}

static void store_free(struct dxgk_ksr *ksr)
{
    dxgk_ksr_cancel(ksr);
    for (uint32_t i = 0; i < ksr->count; i++)
        free(ksr->blocks[i].ranges);
    free(ksr->blocks);
    free(ksr);
}

void dxgk_ksr_set_free(struct dxgk_ksr_set *set)
{
    if (set == NULL)
        return;
    while (set->stores != NULL) {
        struct dxgk_ksr *ksr = set->stores;

        set->stores = ksr->next;
        store_free(ksr);
    }
    (void)close(set->fd);
    free(set->pages);
    free(set);
}

uint64_t dxgk_ksr_set_bytes(const struct dxgk_ksr_set *set)
{
    return set->bytes;
}

uint32_t dxgk_ksr_set_blocks(const struct dxgk_ksr_set *set)
{
    uint32_t count = 0;

    for (const struct dxgk_ksr *ksr = set->stores; ksr != NULL; ksr = ksr->next)
        count += ksr->count;
    return count;
}

uint32_t dxgk_ksr_blocks(const struct dxgk_ksr *ksr)
{
    return ksr->count;
}

static struct dxgk_ksr *store_new(struct dxgk_ksr_set *set)
{
    struct dxgk_ksr *ksr = calloc(1, sizeof *ksr);

    if (ksr == NULL)
        return NULL;
    ksr->set = set;
    *set->tail = ksr;
    set->tail = &ksr->next;
    return ksr;
}

/* Appends to the memfd. The system call reads the driver's memory, so that a wild pointer is an
 * error and no crash; not through libc, whose checkers would end the process instead. */
static int append(struct dxgk_ksr_set *set, const void *from, uint64_t bytes)
{
    for (uint64_t done = 0; done < bytes;) {
        long part = syscall(SYS_pwrite64, set->fd, (const char *)from + done, bytes - done,
                            set->end + done);

        if (part < 0 && errno != EINTR)
            return -errno;
        done += part > 0 ? (uint64_t)part : 0;
    }
    set->end += bytes;
    return 0;
}

static int read_at(const struct dxgk_ksr_set *set, void *to, uint64_t bytes, uint64_t at)
{
    for (uint64_t done = 0; done < bytes;) {
        ssize_t part = pread(set->fd, (char *)to + done, bytes - done, (off_t)(at + done));

        if (part < 0 && errno != EINTR)
            return -errno;
        if (part == 0)
            return -ENODATA;
        done += part > 0 ? (uint64_t)part : 0;
    }
    return 0;
}

static int read_at_fail(int rc, struct vf_error *err)
{
    return vf_fail_errno(err, VF_FAILED, -rc, "driver update: saved state cannot be read");
}

/* ---- refusing ---- */

static NTSTATUS __attribute__((format(printf, 3, 4)))
refuse(struct dxgk_ksr *ksr, NTSTATUS status, const char *format, ...)
{
    char text[300];
    va_list args;

    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    dxgk_report(ksr->adapter, "HOT-2", "block %u: %s", ksr->count, text);
    if (ksr->refusal[0] == '\0')
        (void)snprintf(ksr->refusal, sizeof ksr->refusal, "block %u: %.270s", ksr->count, text);
    return status;
}

/* `rc` of an append: a wild pointer of the driver's, or this host has no room for the bytes. */
static NTSTATUS refuse_bytes(struct dxgk_ksr *ksr, int rc, const char *what, uint32_t bytes,
                             const void *at)
{
    if (rc == -EFAULT)
        return refuse(ksr, STATUS_INVALID_PARAMETER, "its %u %s at %p cannot be read", bytes, what,
                      at);
    return refuse(ksr, STATUS_INSUFFICIENT_RESOURCES, "its %u %s cannot be kept: %s", bytes, what,
                  strerrordesc_np(-rc));
}

/* ---- no page twice ---- */

/* Enters a run of pages; false when one of them is there already, or there is no memory. */
static bool claim_pages(struct dxgk_ksr_set *set, uint64_t first, uint64_t count)
{
    size_t low = 0, high = set->page_runs;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (set->pages[middle].first < first)
            low = middle + 1;
        else
            high = middle;
    }
    if ((low < set->page_runs && set->pages[low].first - first < count) ||
        (low > 0 && first - set->pages[low - 1].first < set->pages[low - 1].count))
        return false;
    if (set->page_runs == set->page_room) {
        size_t room = set->page_room != 0 ? set->page_room * 2 : 64;
        struct pages *more = reallocarray(set->pages, room, sizeof *more);

        if (more == NULL)
            return false;
        set->pages = more;
        set->page_room = room;
    }
    memmove(&set->pages[low + 1], &set->pages[low], (set->page_runs - low) * sizeof *set->pages);
    set->pages[low] = (struct pages){first, count};
    set->page_runs++;
    return true;
}

/* ---- the three forms ---- */

static NTSTATUS take_ranges(struct dxgk_ksr *ksr, const DXGKARGCB_SAVEMEMORYFORHOTUPDATE *args,
                            struct block *block)
{
    struct dxgk_ksr_set *set = ksr->set;
    uint64_t at = set->end, bytes = (uint64_t)args->NumDataMemoryRanges * sizeof *block->ranges;

    if (args->NumDataMemoryRanges > DXGK_KSR_MAX_RANGES)
        return refuse(ksr, STATUS_INVALID_PARAMETER, "%u page ranges; at most %u are taken",
                      args->NumDataMemoryRanges, DXGK_KSR_MAX_RANGES);
    block->ranges = calloc(args->NumDataMemoryRanges, sizeof *block->ranges);
    if (block->ranges == NULL || append(set, args->pDataMemoryRanges, bytes) != 0 ||
        read_at(set, block->ranges, bytes, at) != 0)
        return refuse(ksr, STATUS_INVALID_PARAMETER, "its array of page ranges cannot be read");
    block->range_count = args->NumDataMemoryRanges;
    for (uint32_t i = 0; i < block->range_count; i++) {
        uint64_t first = DXGK_KSR_MEMORY_RANGE_PAGE(block->ranges[i].MemoryRangeDesc);
        uint64_t count = DXGK_KSR_MEMORY_RANGE_COUNT(block->ranges[i].MemoryRangeDesc);

        if (count == 0)
            return refuse(ksr, STATUS_INVALID_PARAMETER, "page range %u has no pages", i);
        if (nt_pages_va(first, count) == NULL)
            return refuse(ksr, STATUS_INVALID_PARAMETER,
                          "page range %u, %" PRIu64 " pages from 0x%" PRIx64
                          " on, is not memory of the driver",
                          i, count, first);
        if (!claim_pages(set, first, count))
            return refuse(ksr, STATUS_INVALID_PARAMETER,
                          "page range %u, %" PRIu64 " pages from 0x%" PRIx64
                          " on: a page is saved twice",
                          i, count, first);
        block->bytes += count << PAGE_SHIFT;
    }
    return STATUS_SUCCESS;
}

/* HOT-5: the MDL's pages go to the OS, so it must have some of its own. */
static NTSTATUS take_mdl(struct dxgk_ksr *ksr, const DXGKARGCB_SAVEMEMORYFORHOTUPDATE *args,
                         struct block *block)
{
    PMDL mdl = args->pDataMdl;
    const void *va;

    if (!nt_mdl_has_pages(mdl))
        return refuse(
            ksr, STATUS_INVALID_PARAMETER,
            "its MDL has no pages of its own to give (MmAllocatePagesForMdlEx makes one)");
    va = nt_mdl_va(mdl);
    if (va == NULL || mdl->ByteCount == 0)
        return refuse(ksr, STATUS_INVALID_PARAMETER, "its MDL describes no memory");
    if (!claim_pages(ksr->set, (uintptr_t)va >> PAGE_SHIFT,
                     ADDRESS_AND_SIZE_TO_SPAN_PAGES(va, mdl->ByteCount)))
        return refuse(ksr, STATUS_INVALID_PARAMETER, "a page of its MDL is saved twice");
    block->bytes = mdl->ByteCount;
    block->mdl = mdl;
    return STATUS_SUCCESS;
}

static NTSTATUS take_buffer(struct dxgk_ksr *ksr, const DXGKARGCB_SAVEMEMORYFORHOTUPDATE *args,
                            struct block *block)
{
    block->at = ksr->set->end;
    block->bytes = args->DataSize;
    if (ksr->set->bytes + block->bytes > DXGK_KSR_LIMIT)
        return STATUS_SUCCESS; /* not read: the total limit refuses it right away */
    int rc = append(ksr->set, args->pData, args->DataSize);
    return rc == 0 ? STATUS_SUCCESS : refuse_bytes(ksr, rc, "bytes", args->DataSize, args->pData);
}

static NTSTATUS take_metadata(struct dxgk_ksr *ksr, const DXGKARGCB_SAVEMEMORYFORHOTUPDATE *args,
                              struct block *block)
{
    if (args->MetaDataSize == 0)
        return STATUS_SUCCESS;
    if (args->MetaDataSize > DXGK_KSR_MAX_METADATA)
        return refuse(ksr, STATUS_INVALID_PARAMETER, "%u bytes of metadata; at most %u are taken",
                      args->MetaDataSize, DXGK_KSR_MAX_METADATA);
    block->metadata_at = ksr->set->end;
    block->metadata_bytes = args->MetaDataSize;
    int rc =
        args->pMetaData != NULL ? append(ksr->set, args->pMetaData, args->MetaDataSize) : -EFAULT;
    return rc == 0
               ? STATUS_SUCCESS
               : refuse_bytes(ksr, rc, "bytes of metadata", args->MetaDataSize, args->pMetaData);
}

/* Exactly one form, and all of it. */
static NTSTATUS take_form(struct dxgk_ksr *ksr, const DXGKARGCB_SAVEMEMORYFORHOTUPDATE *args,
                          struct block *block)
{
    bool ranges = args->NumDataMemoryRanges != 0 || args->pDataMemoryRanges != NULL;
    bool mdl = args->pDataMdl != NULL;
    bool buffer = args->DataSize != 0 || args->pData != NULL;

    if (ranges + mdl + buffer > 1)
        return refuse(ksr, STATUS_INVALID_PARAMETER,
                      "%d forms are set (page ranges%s%s); exactly one may be",
                      ranges + mdl + buffer, mdl ? ", MDL" : "", buffer ? ", buffer" : "");
    if (ranges + mdl + buffer == 0)
        return refuse(ksr, STATUS_INVALID_PARAMETER,
                      "none of page ranges, MDL and buffer is set; exactly one must be");
    if (ranges && (args->NumDataMemoryRanges == 0 || args->pDataMemoryRanges == NULL))
        return refuse(ksr, STATUS_INVALID_PARAMETER, "zero page ranges, or no array of them");
    if (buffer && (args->DataSize == 0 || args->pData == NULL))
        return refuse(ksr, STATUS_INVALID_PARAMETER, "a buffer of zero bytes, or at no address");
    block->form = ranges ? FORM_RANGES : mdl ? FORM_MDL : FORM_BUFFER;
    if (ranges)
        return take_ranges(ksr, args, block);
    return mdl ? take_mdl(ksr, args, block) : take_buffer(ksr, args, block);
}

static bool make_room(struct dxgk_ksr *ksr)
{
    uint32_t room = ksr->room != 0 ? ksr->room * 2 : 16;
    struct block *more;

    if (ksr->count < ksr->room)
        return true;
    more = reallocarray(ksr->blocks, room, sizeof *more);
    if (more == NULL)
        return false;
    ksr->blocks = more;
    ksr->room = room;
    return true;
}

static NTSTATUS take_block(struct dxgk_ksr *ksr, const DXGKARGCB_SAVEMEMORYFORHOTUPDATE *args)
{
    struct block block = {0};
    NTSTATUS status;

    if (ksr->count >= DXGK_KSR_MAX_BLOCKS)
        return refuse(ksr, STATUS_INSUFFICIENT_RESOURCES, "more than %u blocks",
                      DXGK_KSR_MAX_BLOCKS);
    if (!make_room(ksr))
        return refuse(ksr, STATUS_NO_MEMORY, "the OS has no memory for it");
    status = take_form(ksr, args, &block);
    if (NT_SUCCESS(status))
        status = take_metadata(ksr, args, &block);
    if (NT_SUCCESS(status) &&
        block.bytes + block.metadata_bytes > DXGK_KSR_LIMIT - ksr->set->bytes)
        status = refuse(ksr, STATUS_INSUFFICIENT_RESOURCES,
                        "%" PRIu64 " bytes more; %" PRIu64 " are the most one update may save",
                        block.bytes, (uint64_t)DXGK_KSR_LIMIT);
    if (!NT_SUCCESS(status)) {
        free(block.ranges);
        return status;
    }
    ksr->set->bytes += block.bytes + block.metadata_bytes;
    if (block.mdl != NULL)
        nt_mdl_give(block.mdl, NULL); /* no leak of the driver's when it is unloaded */
    ksr->blocks[ksr->count++] = block;
    return STATUS_SUCCESS;
}

NTSTATUS dxgk_cb_save_memory_for_hot_update(HANDLE handle,
                                            const DXGKARGCB_SAVEMEMORYFORHOTUPDATE *args)
{
    struct dxgk_adapter *adapter = dxgk_adapter_from_context(handle);

    if (adapter == NULL || args == NULL) {
        log_error("DxgkCbSaveMemoryForHotUpdate without an adapter's handle or argument");
        return STATUS_INVALID_PARAMETER;
    }
    if (!nt_irql_check(PASSIVE_LEVEL, "DxgkCbSaveMemoryForHotUpdate"))
        return STATUS_INVALID_DEVICE_STATE;
    if (adapter->ksr == NULL || !pthread_equal(adapter->ksr->thread, pthread_self())) {
        dxgk_report(adapter, "HOT-2",
                    "DxgkCbSaveMemoryForHotUpdate outside DxgkDdiSaveMemoryForHotUpdate");
        return STATUS_INVALID_DEVICE_STATE;
    }
    return take_block(adapter->ksr, args);
}

/* ---- around the driver's Save ---- */

int dxgk_ksr_begin(struct dxgk_ksr_set *set, struct dxgk_adapter *adapter, struct dxgk_ksr **out,
                   struct vf_error *err)
{
    struct dxgk_ksr *ksr = store_new(set);

    if (ksr == NULL)
        return vf_fail(err, VF_FAILED, "driver update: saved state: " VF_NO_MEMORY);
    ksr->adapter = adapter;
    ksr->owner = (const void *)(uintptr_t)adapter->ddi.DxgkDdiSaveMemoryForHotUpdate;
    ksr->thread = pthread_self();
    adapter->ksr = ksr;
    *out = ksr;
    return 0;
}

/* Reads what lies in the driver's pages. They were checked when they were handed in; a driver that
 * freed them since has saved nothing. */
static bool read_pages(struct dxgk_ksr *ksr, struct block *block)
{
    if (block->form == FORM_BUFFER)
        return true;
    block->at = ksr->set->end;
    if (block->form == FORM_MDL) {
        const void *va = nt_mdl_has_pages(block->mdl) ? nt_mdl_va(block->mdl) : NULL;

        return va != NULL && block->mdl->ByteCount == block->bytes &&
               append(ksr->set, va, block->bytes) == 0;
    }
    for (uint32_t i = 0; i < block->range_count; i++) {
        uint64_t count = DXGK_KSR_MEMORY_RANGE_COUNT(block->ranges[i].MemoryRangeDesc);
        const void *va =
            nt_pages_va(DXGK_KSR_MEMORY_RANGE_PAGE(block->ranges[i].MemoryRangeDesc), count);

        if (va == NULL || append(ksr->set, va, count << PAGE_SHIFT) != 0)
            return false;
    }
    return true;
}

int dxgk_ksr_end(struct dxgk_ksr *ksr, NTSTATUS status, struct vf_error *err)
{
    struct dxgk_adapter *adapter = ksr->adapter;

    adapter->ksr = NULL;
    if (!NT_SUCCESS(status))
        return vf_fail_status(err, VF_INCOMPATIBLE, status,
                              "the driver of adapter %u cannot save its state%s%s", adapter->index,
                              ksr->refusal[0] != '\0' ? " (HOT-2, " : "",
                              ksr->refusal[0] != '\0' ? ksr->refusal : "");
    for (uint32_t i = 0; i < ksr->count && ksr->refusal[0] == '\0'; i++) {
        if (!read_pages(ksr, &ksr->blocks[i])) {
            (void)snprintf(ksr->refusal, sizeof ksr->refusal,
                           "block %u: its pages were gone when Save returned", i);
            dxgk_report(adapter, "HOT-2", "%s", ksr->refusal);
        }
    }
    if (ksr->refusal[0] != '\0')
        return vf_fail(err, VF_INCOMPATIBLE,
                       "the driver of adapter %u saves its state wrongly (HOT-2): %s",
                       adapter->index, ksr->refusal);
    return 0;
}

void dxgk_ksr_cancel(struct dxgk_ksr *ksr)
{
    for (uint32_t i = 0; i < ksr->count; i++) {
        if (ksr->blocks[i].mdl != NULL)
            nt_mdl_give(ksr->blocks[i].mdl, ksr->owner);
        ksr->blocks[i].mdl = NULL;
    }
}

void dxgk_ksr_settle(struct dxgk_ksr *ksr)
{
    for (uint32_t i = 0; i < ksr->count; i++) {
        if (ksr->blocks[i].mdl != NULL)
            nt_mdl_free(ksr->blocks[i].mdl);
        ksr->blocks[i].mdl = NULL;
    }
}

/* ---- reading back ---- */

int dxgk_ksr_read(const struct dxgk_ksr *ksr, uint32_t index, struct dxgk_ksr_restored *out,
                  struct vf_error *err)
{
    const struct block *block = &ksr->blocks[index];

    *out = (struct dxgk_ksr_restored){.mdl = nt_mdl_alloc(block->bytes),
                                      .metadata_bytes = block->metadata_bytes};
    if (block->metadata_bytes != 0)
        out->metadata = dxgk_guarded_alloc(block->metadata_bytes);
    if (out->mdl != NULL && (block->metadata_bytes == 0 || out->metadata != NULL) &&
        read_at(ksr->set, nt_mdl_va(out->mdl), block->bytes, block->at) == 0 &&
        read_at(ksr->set, out->metadata, block->metadata_bytes, block->metadata_at) == 0)
        return 0;
    if (out->mdl != NULL)
        nt_mdl_free(out->mdl);
    dxgk_guarded_free(out->metadata);
    return vf_fail_errno(err, VF_FAILED, ENOMEM,
                         "driver update: a saved block of %" PRIu64 " bytes", block->bytes);
}

/* ---- for the trial process ---- */

struct record {
    uint64_t at, bytes, metadata_at, metadata_bytes;
};

int dxgk_ksr_set_export(struct dxgk_ksr_set *set, int *fd, uint64_t *index, struct vf_error *err)
{
    *fd = set->fd;
    *index = set->end;
    for (const struct dxgk_ksr *ksr = set->stores; ksr != NULL; ksr = ksr->next) {
        uint64_t count = ksr->count;
        int rc = append(set, &count, sizeof count);

        for (uint32_t i = 0; i < ksr->count && rc == 0; i++) {
            const struct block *block = &ksr->blocks[i];
            struct record record = {block->at, block->bytes, block->metadata_at,
                                    block->metadata_bytes};

            rc = append(set, &record, sizeof record);
        }
        if (rc != 0)
            return vf_fail_errno(err, VF_FAILED, -rc, "driver update: saved state for the trial");
    }
    return 0;
}

static int adopt_store(struct dxgk_ksr_set *set, uint64_t *at, struct dxgk_ksr **out,
                       struct vf_error *err)
{
    struct dxgk_ksr *ksr = store_new(set);
    uint64_t count = 0;
    int rc = ksr != NULL ? read_at(set, &count, sizeof count, *at) : -ENOMEM;

    if (rc != 0)
        return read_at_fail(rc, err);
    if (count > DXGK_KSR_MAX_BLOCKS)
        return vf_fail(err, VF_FAILED, "driver update: saved state names %" PRIu64 " blocks",
                       count);
    *at += sizeof count;
    for (; ksr->count < count; *at += sizeof(struct record)) {
        struct record record;

        rc = make_room(ksr) ? read_at(set, &record, sizeof record, *at) : -ENOMEM;
        if (rc != 0)
            return read_at_fail(rc, err);
        ksr->blocks[ksr->count++] = (struct block){.at = record.at,
                                                   .bytes = record.bytes,
                                                   .metadata_at = record.metadata_at,
                                                   .metadata_bytes =
                                                       (uint32_t)record.metadata_bytes};
    }
    *out = ksr;
    return 0;
}

int dxgk_ksr_set_adopt(int fd, uint64_t index, uint32_t count, struct dxgk_ksr_set **out,
                       struct dxgk_ksr **stores, struct vf_error *err)
{
    struct dxgk_ksr_set *set = set_new(fd);

    if (set == NULL) {
        (void)close(fd);
        return vf_fail(err, VF_FAILED, "saved state: " VF_NO_MEMORY);
    }
    for (uint32_t i = 0; i < count; i++) {
        if (adopt_store(set, &index, &stores[i], err) != 0) {
            dxgk_ksr_set_free(set);
            return -1;
        }
    }
    *out = set;
    return 0;
}
