// SPDX-License-Identifier: Apache-2.0
/* Interrupts: the PF's vector, the MSI-X tables of the VFs, and the bus that carries messages
 * to eventfds. */
#include "softgpu.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MASKED 1u
/* Far more than the vectors of all VFs: only a host that never removes routes meets it. */
#define MAX_ROUTES 65536u

int sg_irq_open(struct sg_irq *q)
{
    *q = (struct sg_irq){.pf_fd = -1};
    return -pthread_mutex_init(&q->lock, NULL);
}

void sg_irq_close(struct sg_irq *q)
{
    for (size_t i = 0; i < q->routes; i++)
        close(q->route[i].fd);
    free(q->route);
    if (q->pf_fd >= 0)
        close(q->pf_fd);
    pthread_mutex_destroy(&q->lock);
}

static void signal_fd(int fd)
{
    const uint64_t one = 1;

    while (write(fd, &one, sizeof one) < 0 && errno == EINTR)
        ;
    /* A full counter (EAGAIN) means that the receiver has a signal waiting anyway. */
}

/* Signals when `before` had nothing to tell and now there is something: an edge, as a message has
 * no level. */
static void signal_pf_edge(struct sg_irq *q, uint32_t before)
{
    if (!before && (q->status & q->enable) && q->pf_fd >= 0)
        signal_fd(q->pf_fd);
}

void sg_irq_raise(struct sg_device *dev, uint32_t bits)
{
    struct sg_irq *q = &dev->irq;
    uint32_t before;

    pthread_mutex_lock(&q->lock);
    before = q->status & q->enable;
    q->status |= bits;
    signal_pf_edge(q, before);
    pthread_mutex_unlock(&q->lock);
}

/* What was raised between the driver's look and its acknowledgement had no edge of its own: unless
 * it is told now, no message would ever follow, because the status never was zero in between. */
void sg_irq_clear(struct sg_device *dev, uint32_t bits)
{
    struct sg_irq *q = &dev->irq;

    pthread_mutex_lock(&q->lock);
    q->status &= ~bits;
    signal_pf_edge(q, 0);
    pthread_mutex_unlock(&q->lock);
}

void sg_irq_enable(struct sg_device *dev, uint32_t bits)
{
    struct sg_irq *q = &dev->irq;
    uint32_t before;

    pthread_mutex_lock(&q->lock);
    before = q->status & q->enable;
    q->enable = bits & (SG_INT_PAGING | SG_INT_PAGING_FAULT | SG_INT_VF_FAULT | SG_INT_VF_HANG);
    signal_pf_edge(q, before);
    pthread_mutex_unlock(&q->lock);
}

static int duplicate(int fd, int *out)
{
    *out = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    return *out < 0 ? -errno : 0;
}

int sg_irq_pf(struct sg_device *dev, uint32_t vector, int eventfd)
{
    struct sg_irq *q = &dev->irq;
    int fd = -1, old, rc = 0;

    if (vector)
        return -EINVAL;
    if (eventfd >= 0)
        rc = duplicate(eventfd, &fd);
    if (rc)
        return rc;
    pthread_mutex_lock(&q->lock);
    old = q->pf_fd;
    q->pf_fd = fd;
    /* What happened while nobody listened (a driver being replaced) is told now. */
    signal_pf_edge(q, 0);
    pthread_mutex_unlock(&q->lock);
    if (old >= 0)
        close(old);
    return 0;
}

static struct sg_msi_route *find_route(struct sg_irq *q, uint64_t address, uint32_t data)
{
    for (size_t i = 0; i < q->routes; i++)
        if (q->route[i].address == address && q->route[i].data == data)
            return &q->route[i];
    return NULL;
}

/* Lock held; takes over `fd` on success. */
static int set_route(struct sg_irq *q, uint64_t address, uint32_t data, int fd)
{
    struct sg_msi_route *r = find_route(q, address, data), *grown;

    if (r) {
        close(r->fd);
        r->fd = fd;
        if (fd < 0)
            *r = q->route[--q->routes];
        return 0;
    }
    if (fd < 0)
        return -ENOENT;
    if (q->routes == MAX_ROUTES)
        return -ENOSPC;
    grown = realloc(q->route, (q->routes + 1) * sizeof *grown);
    if (!grown)
        return -ENOMEM;
    q->route = grown;
    grown[q->routes++] = (struct sg_msi_route){address, data, fd};
    return 0;
}

int sg_irq_route(struct sg_device *dev, uint64_t address, uint32_t data, int eventfd)
{
    int fd = -1, rc = 0;

    if (eventfd >= 0)
        rc = duplicate(eventfd, &fd);
    if (rc)
        return rc;
    pthread_mutex_lock(&dev->irq.lock);
    rc = set_route(&dev->irq, address, data, fd);
    pthread_mutex_unlock(&dev->irq.lock);
    if (rc && fd >= 0)
        close(fd);
    return rc;
}

/* Irq lock held. */
static void send_message(struct sg_device *dev, const struct sg_msix_entry *e)
{
    const struct sg_msi_route *r = find_route(&dev->irq, e->address, e->data);

    if (r)
        signal_fd(r->fd);
    else
        dev->irq.dropped++;
}

void sg_msix_raise(struct sg_vf *vf, unsigned vector)
{
    struct sg_msix *m = &vf->msix;

    pthread_mutex_lock(&vf->dev->irq.lock);
    m->raised++;
    if (m->entry[vector].control & MASKED)
        m->pending |= 1ull << vector;
    else
        send_message(vf->dev, &m->entry[vector]);
    pthread_mutex_unlock(&vf->dev->irq.lock);
}

void sg_msix_commit(struct sg_vf *vf, unsigned vector, const struct sg_msix_entry *entry)
{
    struct sg_msix *m = &vf->msix;

    pthread_mutex_lock(&vf->dev->irq.lock);
    m->entry[vector] = *entry;
    if (!(entry->control & MASKED) && m->pending >> vector & 1) {
        m->pending &= ~(1ull << vector);
        send_message(vf->dev, entry);
    }
    pthread_mutex_unlock(&vf->dev->irq.lock);
}

void sg_msix_reset(struct sg_vf *vf)
{
    pthread_mutex_lock(&vf->dev->irq.lock);
    memset(&vf->msix, 0, sizeof vf->msix);
    for (unsigned i = 0; i < SG_MSIX_VECTORS; i++)
        vf->msix.entry[i].control = MASKED;
    pthread_mutex_unlock(&vf->dev->irq.lock);
}
