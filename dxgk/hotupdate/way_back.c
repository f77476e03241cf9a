// SPDX-License-Identifier: Apache-2.0
/* See way_back.h. */
#include "dxgk/hotupdate/way_back.h"

#include "base/cleanup.h"
#include "dxgk/nt/nt.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sys/mman.h>

/* What a driver takes beside its saved state: its image, its pools, a heap's growth. */
#define DRIVER_BYTES (4ull << 20)

/* Address space and, where it is counted, memory: it is written by nobody. */
static int keep(struct dxgk_way_back *way, int try, struct vf_error *err)
{
    void *memory =
        mmap(NULL, way->bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (memory == MAP_FAILED)
        return vf_fail_errno(err, VF_REFUSED_NOW, errno,
                             "driver update: %" PRIu64
                             " MiB are missing to bring the old driver back "
                             "with, should the new one fail",
                             way->bytes * DXGK_WAY_BACK_TRIES >> 20);
    way->kept[try].memory = memory;
    way->kept[try].fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (way->kept[try].fd < 0)
        return vf_fail_errno(err, VF_REFUSED_NOW, errno,
                             "driver update: a descriptor is missing to bring the old driver "
                             "back with, should the new one fail");
    return 0;
}

static void let_go(struct dxgk_way_back *way, int try)
{
    if (way->kept[try].memory != NULL)
        (void)munmap(way->kept[try].memory, way->bytes);
    way->kept[try].memory = NULL;
    if (way->kept[try].fd >= 0)
        (void)close(vf_take_fd(&way->kept[try].fd));
}

int dxgk_way_back_open(struct dxgk_way_back *way, uint64_t state_bytes, struct vf_error *err)
{
    way->bytes = DRIVER_BYTES + ROUND_TO_PAGES(2 * state_bytes);
    for (int i = 0; i < DXGK_WAY_BACK_TRIES; i++) {
        way->kept[i].memory = NULL;
        way->kept[i].fd = -1;
    }
    for (int i = 0; i < DXGK_WAY_BACK_TRIES; i++) {
        if (keep(way, i, err) != 0) {
            for (int kept = i; kept >= 0; kept--)
                let_go(way, kept);
            return -1;
        }
    }
    nt_mmio_keep(true);
    return 0;
}

bool dxgk_way_back_take(struct dxgk_way_back *way)
{
    for (int i = 0; i < DXGK_WAY_BACK_TRIES; i++) {
        if (way->kept[i].memory != NULL) {
            let_go(way, i);
            return true;
        }
    }
    return false;
}

void dxgk_way_back_close(struct dxgk_way_back *way)
{
    for (int i = 0; i < DXGK_WAY_BACK_TRIES; i++)
        let_go(way, i);
    nt_mmio_keep(false);
}
