// SPDX-License-Identifier: Apache-2.0
/* A partition's MSI-X table in guest terms. See msix.h. */
#define LOG_ROOM "dxgk"
#include "dxgk/partition/msix.h"

#include "base/log.h"
#include "base/thread.h"
#include "dxgk/ddi/ddi.h"
#include "dxgk/adapter/interrupt.h"
#include "dxgk/partition/partition.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define ENTRY_BYTES 16u
#define CONTROL_MASKED 1u
#define BLOB_MAGIC 0x584d4656u /* "VFMX" */
#define BLOB_VERSION 2u /* 1 had no count of messages */
/* Where this host's messages go: unique for one vector of one device, which is all that a route is
 * looked up by. */
#define HOST_ADDRESS(vf) (0xfee00000ull + ((uint64_t)(vf) << 12))
#define HOST_DATA(vector) (0x4000u + (vector))

/* As the PCI specification lays it out. */
struct entry {
    uint64_t address; /* bits 0-1 read as zero */
    uint32_t data;
    uint32_t control;
};
_Static_assert(sizeof(struct entry) == ENTRY_BYTES, "an MSI-X entry has 16 bytes");

/* The record that moves: header, then `count` entries. Little endian, as everything here. */
struct blob_header {
    uint32_t magic;
    uint32_t version;
    uint32_t bytes; /* of the whole */
    uint32_t count;
    uint64_t delivered; /* messages the guest has got since it was created, on all its hosts */
};

struct vector {
    struct dxgk_irq_source source; /* first; fd -1 until the vector is first used */
    struct dxgk_partition *partition;
    struct entry guest; /* guarded by msix->lock */
};

struct dxgk_msix {
    pthread_mutex_t lock; /* guards the guest's entries and orders the writes to hardware */
    uint32_t count;
    struct vector vectors[];
};

static const struct entry reset_entry = {.control = CONTROL_MASKED};

/* ---- one vector ---- */

static void fire(struct dxgk_irq_source *source, uint64_t count)
{
    struct vector *vector = (struct vector *)(void *)source;

    (void)atomic_fetch_add(&vector->partition->interrupts, count);
    dxgk_partition_signal(vector->partition);
}

static uint32_t number_of(const struct dxgk_msix *msix, const struct vector *vector)
{
    return (uint32_t)(vector - msix->vectors);
}

static int open_route(struct dxgk_msix *msix, struct vector *vector, struct vf_error *err)
{
    struct dxgk_partition *partition = vector->partition;
    struct dxgk_adapter *adapter = partition->adapter;
    uint32_t number = number_of(msix, vector);

    if (vector->source.fd >= 0)
        return 0;
    int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (fd < 0)
        return vf_fail_errno(err, VF_FAILED, errno, "interrupt vector %u", number);
    vector->source.fd = fd;
    vector->source.fire = fire;
    if (dxgk_interrupts_add(adapter, &vector->source, err) != 0)
        goto fail;
    int rc = adapter->ops->msi_route(adapter->dev, HOST_ADDRESS(partition->vf), HOST_DATA(number),
                                     fd);
    if (rc == 0)
        return 0;
    (void)vf_fail_errno(err, VF_FAILED, -rc, "interrupt vector %u: no route", number);
    dxgk_interrupts_remove(adapter, &vector->source);
fail:
    (void)close(fd);
    vector->source.fd = -1;
    return -1;
}

static void close_route(struct dxgk_msix *msix, struct vector *vector)
{
    struct dxgk_adapter *adapter = vector->partition->adapter;

    if (vector->source.fd < 0)
        return;
    (void)adapter->ops->msi_route(adapter->dev, HOST_ADDRESS(vector->partition->vf),
                                  HOST_DATA(number_of(msix, vector)), -1);
    dxgk_interrupts_remove(adapter, &vector->source);
    (void)close(vector->source.fd);
    vector->source.fd = -1;
}

/* Makes hardware hold what `guest` says, with this host's address and data in place of the
 * guest's (INT-2). */
static int write_hardware(struct dxgk_msix *msix, struct vector *vector, const struct entry *guest,
                          struct vf_error *err)
{
    struct dxgk_partition *partition = vector->partition;
    uint32_t number = number_of(msix, vector);
    DXGK_INTERRUPT_TABLE_ENTRY host = {HOST_ADDRESS(partition->vf), HOST_DATA(number),
                                       guest->control};

    if (open_route(msix, vector, err) != 0)
        return -1;
    return dxgk_ddi_write_virtualized_interrupt(partition->adapter, partition->vf, (uint16_t)number,
                                                &host, err);
}

/* ---- life ---- */

/* Vectors of the VF by its MSI-X capability; 0 when it has none. The list is the device's word: its
 * length is bounded. */
static int vector_count(struct dxgk_partition *partition, uint32_t *count, struct vf_error *err)
{
    uint16_t status = 0, control = 0;
    uint8_t at = 0;

    *count = 0;
    if (dxgk_ddi_read_config(partition, 0x06, &status, 2, err) != 0 ||
        dxgk_ddi_read_config(partition, 0x34, &at, 1, err) != 0)
        return -1;
    if ((status & 0x10u) == 0)
        return 0;
    for (unsigned hops = 0; hops < 48 && at >= 0x40 && at <= 0xf4; hops++) {
        uint8_t head[2];

        at &= 0xfcu;
        if (dxgk_ddi_read_config(partition, at, head, 2, err) != 0)
            return -1;
        if (head[0] == 0x11) {
            if (dxgk_ddi_read_config(partition, at + 2u, &control, 2, err) != 0)
                return -1;
            *count = (control & 0x7ffu) + 1u;
            return 0;
        }
        at = head[1];
    }
    return 0;
}

int dxgk_msix_create(struct dxgk_partition *partition, struct vf_error *err)
{
    uint32_t count;

    if (vector_count(partition, &count, err) != 0)
        return vf_context(err, "MSI-X");
    if (count > VF_MAX_VECTORS || (uint64_t)count * ENTRY_BYTES > partition->msix_bytes)
        return vf_fail(err, VF_FAILED,
                       "MSI-X: the VF has %u vectors in %" PRIu64
                       " intercepted bytes; up to %u are supported",
                       count, partition->msix_bytes, VF_MAX_VECTORS);
    struct dxgk_msix *msix = calloc(1, sizeof *msix + count * sizeof msix->vectors[0]);
    if (msix == NULL)
        return vf_fail(err, VF_FAILED, "MSI-X: " VF_NO_MEMORY);
    vf_lock_init(&msix->lock);
    msix->count = count;
    for (uint32_t i = 0; i < count; i++)
        msix->vectors[i] = (struct vector){.source = {.fd = -1},
                                           .partition = partition,
                                           .guest = reset_entry};
    partition->msix = msix;
    return 0;
}

void dxgk_msix_destroy(struct dxgk_partition *partition)
{
    struct dxgk_msix *msix = partition->msix;

    if (msix == NULL)
        return;
    for (uint32_t i = 0; i < msix->count; i++)
        close_route(msix, &msix->vectors[i]);
    vf_lock_fini(&msix->lock);
    partition->msix = NULL;
    free(msix);
}

int dxgk_msix_reset(struct dxgk_partition *partition, struct vf_error *err)
{
    struct dxgk_msix *msix = partition->msix;
    int rc = 0;

    if (msix == NULL)
        return 0;
    vf_lock(&msix->lock);
    for (uint32_t i = 0; i < msix->count && rc == 0; i++) {
        msix->vectors[i].guest = reset_entry;
        if (msix->vectors[i].source.fd >= 0)
            rc = write_hardware(msix, &msix->vectors[i], &reset_entry, err);
    }
    vf_unlock(&msix->lock);
    return rc;
}

/* ---- the guest's accesses: answered here, in its own terms (INT-3) ---- */

static int check_access(const struct dxgk_partition *partition, uint64_t offset, uint64_t bytes,
                        struct vf_error *err)
{
    if (partition->msix == NULL)
        return vf_fail(err, VF_FAILED, "the VF has no MSI-X table");
    if ((bytes != 4 && bytes != 8) || offset % bytes != 0 || offset > partition->msix_bytes ||
        bytes > partition->msix_bytes - offset)
        return vf_fail(err, VF_USAGE,
                       "MSI-X table: %" PRIu64 " bytes at 0x%" PRIx64
                       "; aligned 4 or 8 bytes are allowed",
                       bytes, offset);
    return 0;
}

int dxgk_msix_read(struct dxgk_partition *partition, uint64_t offset, void *data, uint64_t bytes,
                   struct vf_error *err)
{
    struct dxgk_msix *msix = partition->msix;

    if (check_access(partition, offset, bytes, err) != 0)
        return -1;
    memset(data, 0, bytes);
    if (offset / ENTRY_BYTES >= msix->count)
        return 0;
    vf_lock(&msix->lock);
    memcpy(data, (const uint8_t *)&msix->vectors[offset / ENTRY_BYTES].guest + offset % ENTRY_BYTES,
           bytes);
    vf_unlock(&msix->lock);
    return 0;
}

int dxgk_msix_write(struct dxgk_partition *partition, uint64_t offset, const void *data,
                    uint64_t bytes, struct vf_error *err)
{
    struct dxgk_msix *msix = partition->msix;
    int rc = 0;

    if (check_access(partition, offset, bytes, err) != 0)
        return -1;
    if (offset / ENTRY_BYTES >= msix->count)
        return 0;
    struct vector *vector = &msix->vectors[offset / ENTRY_BYTES];
    vf_lock(&msix->lock);
    struct entry wanted = vector->guest;
    memcpy((uint8_t *)&wanted + offset % ENTRY_BYTES, data, bytes);
    wanted.address &= ~3ull;
    wanted.control &= CONTROL_MASKED;
    /* A masked entry's address is the guest's business alone: hardware hears of it with
     * the unmask. */
    if ((wanted.control & CONTROL_MASKED) == 0 || (vector->guest.control & CONTROL_MASKED) == 0)
        rc = write_hardware(msix, vector, &wanted, err);
    if (rc == 0)
        vector->guest = wanted;
    vf_unlock(&msix->lock);
    return rc;
}

/* ---- moving ---- */

int dxgk_msix_save(struct dxgk_partition *partition, struct dxgk_blob *blob, struct vf_error *err)
{
    struct dxgk_msix *msix = partition->msix;
    uint32_t count = msix == NULL ? 0 : msix->count;
    struct blob_header header = {BLOB_MAGIC, BLOB_VERSION,
                                 (uint32_t)(sizeof header + count * ENTRY_BYTES), count, 0};
    uint8_t *data = malloc(header.bytes);

    if (data == NULL)
        return vf_fail(err, VF_FAILED, "MSI-X: " VF_NO_MEMORY);
    if (msix != NULL) {
        vf_lock(&msix->lock);
        for (uint32_t i = 0; i < count; i++) {
            /* The VF is quiet: what it sent on the edge of its pause has left the hardware
             * and counts here; what is still masked is pending in the driver's data and
             * counts there. */
            if (msix->vectors[i].source.fd >= 0)
                dxgk_interrupts_drain(partition->adapter, &msix->vectors[i].source);
            memcpy(data + sizeof header + i * ENTRY_BYTES, &msix->vectors[i].guest, ENTRY_BYTES);
        }
        vf_unlock(&msix->lock);
    }
    header.delivered = atomic_load(&partition->interrupts);
    memcpy(data, &header, sizeof header);
    *blob = (struct dxgk_blob){data, header.bytes};
    return 0;
}

/* TGT-6: the record comes from a peer. */
static int check_blob(const struct dxgk_blob *blob, uint32_t count, struct vf_error *err)
{
    struct blob_header header;

    if (blob->data == NULL || blob->bytes < sizeof header)
        return vf_fail(err, VF_FAILED, "MSI-X record: %zu bytes are too short", blob->bytes);
    memcpy(&header, blob->data, sizeof header);
    if (header.magic != BLOB_MAGIC || header.version != BLOB_VERSION)
        return vf_fail(err, VF_FAILED,
                       "MSI-X record: magic 0x%x, version %u; version %u is known here",
                       header.magic, header.version, BLOB_VERSION);
    if (header.bytes != blob->bytes || header.count > VF_MAX_VECTORS ||
        blob->bytes != sizeof header + header.count * ENTRY_BYTES)
        return vf_fail(err, VF_FAILED, "MSI-X record: %u vectors do not fit its %zu bytes",
                       header.count, blob->bytes);
    if (header.count != count)
        return vf_fail(err, VF_FAILED, "MSI-X record: it has %u vectors, this host's VF %u",
                       header.count, count);
    for (uint32_t i = 0; i < count; i++) {
        struct entry entry;

        memcpy(&entry, (const uint8_t *)blob->data + sizeof header + i * ENTRY_BYTES, sizeof entry);
        if ((entry.address & 3u) != 0 || (entry.control & ~CONTROL_MASKED) != 0)
            return vf_fail(err, VF_FAILED, "MSI-X record: vector %u has reserved bits set", i);
    }
    return 0;
}

int dxgk_msix_restore(struct dxgk_partition *partition, const struct dxgk_blob *blob,
                      struct vf_error *err)
{
    struct dxgk_msix *msix = partition->msix;
    struct blob_header header;
    int rc = 0;

    if (check_blob(blob, msix == NULL ? 0 : msix->count, err) != 0)
        return -1;
    if (msix == NULL)
        return 0;
    memcpy(&header, blob->data, sizeof header);
    vf_lock(&msix->lock);
    for (uint32_t i = 0; i < msix->count && rc == 0; i++) {
        struct vector *vector = &msix->vectors[i];
        struct entry entry;

        memcpy(&entry, (const uint8_t *)blob->data + sizeof(struct blob_header) + i * ENTRY_BYTES,
               sizeof entry);
        /* A vector no guest has unmasked is as reset left it: hardware knows that already. */
        if ((entry.control & CONTROL_MASKED) == 0 || vector->source.fd >= 0)
            rc = write_hardware(msix, vector, &entry, err);
        if (rc == 0)
            vector->guest = entry;
    }
    vf_unlock(&msix->lock);
    if (rc == 0)
        (void)atomic_fetch_add(&partition->interrupts, header.delivered);
    return rc;
}
