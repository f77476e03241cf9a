// SPDX-License-Identifier: Apache-2.0
/*
 * A KMD's file, copied into sealed memory before anything of it runs. What is tried, loaded and, if
 * need be, loaded again is then the same code, whatever becomes of the file meanwhile: an installer
 * that writes over it in place, or a new driver under the old path.
 */
#ifndef DXGK_ADAPTER_DRIVER_FILE_H
#define DXGK_ADAPTER_DRIVER_FILE_H

#include "base/error.h"

#include <stdatomic.h>
#include <stdint.h>

struct dxgk_driver_file {
    _Atomic uint32_t refs;
    int fd;          /* memfd, owned; stays open as long as the image is loaded: it names it */
    char *path;      /* resolved; where it came from */
    char digest[48]; /* "xxh3-128:HEX" of its bytes */
};

/* One reference for the caller. PASSIVE_LEVEL, any thread. */
int dxgk_driver_file_open(const char *path, struct dxgk_driver_file **out, struct vf_error *err);
/* As _open, of a copy that another process made. Takes the fd over, on failure too. */
int dxgk_driver_file_adopt(int fd, const char *path, struct dxgk_driver_file **out,
                           struct vf_error *err);
struct dxgk_driver_file *dxgk_driver_file_get(struct dxgk_driver_file *file);
void dxgk_driver_file_put(struct dxgk_driver_file *file); /* NULL is allowed */

#endif
