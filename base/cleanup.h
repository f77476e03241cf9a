// SPDX-License-Identifier: Apache-2.0
/* Scope-bound release: `cleanup_free char *p`, `cleanup_close int fd = -1`; of anything that has a
 * function which frees it (and takes NULL) `cleanup_with(kc_close) struct kc *kc`, after one
 * VF_CLEANUP. Move out with vf_take_ptr / vf_take_fd. */
#ifndef VF_BASE_CLEANUP_H
#define VF_BASE_CLEANUP_H

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static inline void vf_cleanup_free(void *p)
{
    free(*(void **)p);
}

static inline void vf_cleanup_close(int *fd)
{
    if (*fd >= 0)
        (void)close(*fd);
}

static inline void vf_cleanup_fclose(FILE **file)
{
    if (*file != NULL)
        (void)fclose(*file);
}

#define cleanup_free __attribute__((cleanup(vf_cleanup_free)))
#define cleanup_close __attribute__((cleanup(vf_cleanup_close)))
#define cleanup_fclose __attribute__((cleanup(vf_cleanup_fclose)))

/* At file level, once: VF_CLEANUP(struct kc, kc_close) allows cleanup_with(kc_close). */
#define VF_CLEANUP(type, release)                                                                  \
    static inline void vf_cleanup_##release(type **p)                                              \
    {                                                                                              \
        release(*p);                                                                               \
    }
#define cleanup_with(release) __attribute__((cleanup(vf_cleanup_##release)))

/* Hands the resource to the caller: the scope no longer releases it. */
#define vf_take_ptr(p)                                                                             \
    __extension__({                                                                                \
        __typeof__(p) taken_ = (p);                                                                \
        (p) = NULL;                                                                                \
        taken_;                                                                                    \
    })

static inline int vf_take_fd(int *fd)
{
    int taken = *fd;

    *fd = -1;
    return taken;
}

#endif
