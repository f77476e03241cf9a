// SPDX-License-Identifier: Apache-2.0
/*
 * The plug-in interface of a hardware model. A device is a .so that exports vf_device_entry().
 * It is "the card": it knows nothing of drivers, dxgk or migration. It is shaped so that a device
 * could live behind a process line: memory by file descriptor, DMA only into what was mapped,
 * interrupts by eventfd. Structs are append only; `size` comes first and the loader zero-fills
 * what an older device does not have.
 */
#ifndef VFERRY_DEVICE_H
#define VFERRY_DEVICE_H

#include <stddef.h>
#include <stdint.h>

#define VF_DEVICE_ABI 1u

/* A function of the device: 0 is the PF, 1 + n is VF n. */
typedef uint32_t vf_function;
#define VF_FUNCTION_PF 0u
#define VF_FUNCTION_VF(n) (1u + (n))

struct vf_device; /* opaque, owned by the device */

struct vf_device_option {
    const char *key;   /* as written in SPEC, e.g. "vram" */
    const char *value; /* as written, e.g. "4G"; "" when there was no '=' */
};

/* Severity of a device log line. */
enum vf_device_log { VF_DEVICE_LOG_DEBUG, VF_DEVICE_LOG_INFO, VF_DEVICE_LOG_ERROR };

/* What the host gives a device; valid from open() to the end of close(). */
struct vf_device_host {
    uint32_t size;
    uint32_t abi;
    void *ctx;
    /* Any thread. `text` is one line without newline. */
    void (*log)(void *ctx, enum vf_device_log level, const char *text);
};

enum vf_bar_kind {
    VF_BAR_NONE,
    VF_BAR_REGISTERS, /* every access has effects: goes through bar_read/bar_write */
    VF_BAR_VRAM, /* CPU aperture of VRAM: through bar_read/bar_write, so that writes are tracked */
};

struct vf_bar_info {
    enum vf_bar_kind kind;
    uint64_t bytes; /* 0 with VF_BAR_NONE */
};

/* Moments and sums of one function's schedule, CLOCK_MONOTONIC nanoseconds; read for
 * measuring only. */
struct vf_function_clock {
    uint64_t last_run_ns;  /* last moment any of its engines ran a command; 0 = never */
    uint64_t first_run_ns; /* first such moment since it was last taken out of pause; 0 = not yet */
    uint64_t runtime_ns;   /* engine time used since power on, all engines added */
    uint64_t lent_ns;      /* time of its own slots it gave to the paging engine */
};

/*
 * Operations. All return 0 or a negative errno unless said otherwise, may be called from any
 * thread, and never block longer than one register access takes. Offsets and lengths are checked by
 * the device (-EINVAL).
 */
struct vf_device_ops {
    uint32_t size;
    uint32_t abi;
    const char *name;           /* "softgpu" */
    const char *default_driver; /* file name under drivers/, without ".so" */
    const char *options_help;   /* one line: the options it knows */

    /* Makes a device. On failure `why` gets one line naming the option and the remedy. */
    int (*open)(const struct vf_device_option *options, size_t count,
                const struct vf_device_host *host, struct vf_device **out, char *why,
                size_t why_bytes);
    /* Stops every engine, joins every thread, frees all. */
    void (*close)(struct vf_device *dev);

    /* PCI config space of a function, 256 bytes. */
    int (*config_read)(struct vf_device *dev, vf_function fn, uint32_t offset, void *data,
                       uint32_t bytes);
    int (*config_write)(struct vf_device *dev, vf_function fn, uint32_t offset, const void *data,
                        uint32_t bytes);

    int (*bar_info)(struct vf_device *dev, vf_function fn, uint32_t bar, struct vf_bar_info *out);
    /* Registers: naturally aligned 4 or 8 bytes each, longer accesses are split into 8-byte ones in
     * rising order. VRAM: any length. A VF's VRAM BAR is its guest physical space. */
    int (*bar_read)(struct vf_device *dev, vf_function fn, uint32_t bar, uint64_t offset,
                    void *data, uint64_t bytes);
    int (*bar_write)(struct vf_device *dev, vf_function fn, uint32_t bar, uint64_t offset,
                     const void *data, uint64_t bytes);

    /* Host memory the PF may reach at bus address `iova`: [fd_offset, +bytes) of fd, page aligned.
     * The device maps it itself and keeps no reference to the caller's fd. -EEXIST on overlap. */
    int (*dma_map)(struct vf_device *dev, uint64_t iova, uint64_t bytes, int fd,
                   uint64_t fd_offset);
    /* Returns once no engine can reach the range any more. -ENOENT unless it is exactly one
     * mapped range. */
    int (*dma_unmap)(struct vf_device *dev, uint64_t iova, uint64_t bytes);

    /* The PF's interrupt vector signals `eventfd`; -1 removes it. The device keeps its
     * own duplicate. */
    int (*pf_irq)(struct vf_device *dev, uint32_t vector, int eventfd);
    /* Where messages go: a VF interrupt that writes (address, data) signals `eventfd`; -1 removes
     * the route. A message to an address with no route is dropped and counted, as on a real bus. */
    int (*msi_route)(struct vf_device *dev, uint64_t address, uint32_t data, int eventfd);

    /* Measuring only; may be NULL. */
    int (*function_clock)(struct vf_device *dev, vf_function fn, struct vf_function_clock *out);

    /* Reserved for guest RAM (vm/): DMA dirty logging over mapped ranges. NULL until VMs
     * are attached. */
    int (*dma_log_start)(struct vf_device *dev, uint64_t iova, uint64_t bytes, uint64_t page_bytes);
    int (*dma_log_read_clear)(struct vf_device *dev, uint64_t iova, uint64_t bytes, void *bits,
                              size_t bits_bytes);
    int (*dma_log_stop)(struct vf_device *dev, uint64_t iova, uint64_t bytes);
};

/* The one symbol a device exports. Returns NULL when it cannot serve `abi`. */
typedef const struct vf_device_ops *vf_device_entry_fn(uint32_t abi);
#define VF_DEVICE_ENTRY_SYMBOL "vf_device_entry"

#endif
