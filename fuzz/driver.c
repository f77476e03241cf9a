// SPDX-License-Identifier: Apache-2.0
/*
 * What a hostile source can send to the real driver, UMED and MSI-X table: the target half of a
 * move through dxgk, over softgpu.so. Input: u8 mask of what is forged (enum forged), then for each
 * u16 length and its bytes; the rest is what a real source saved. The driver never breaks the
 * contract, a refused partition can always be removed, and one that was accepted runs.
 */
#include "fuzz/target.h"

#include "dxgk/dxgk.h"
#include "softgpu/hw.h"

#include <dlfcn.h>
#include <string.h>

enum forged { IMMUTABLE, UMED, MUTABLE, MSIX, STATE, BLOBS };

#define MIB (1ull << 20)
#define VRAM_BYTES (16 * MIB)
#define MAX_FORGED 8192u

static struct dxgk *dxgk; /* open for the process's life: loading a driver takes long */
static struct dxgk_blob saved[BLOBS];
static struct vf_adapter_info idle;

static void keep_event(void *ctx, const char *kind, const char *text)
{
    (void)ctx;
    if (strcmp(kind, "contract") != 0)
        return;
    (void)fprintf(stderr, "contract: %s\n", text);
    abort();
}

static void close_host(void)
{
    dxgk_close(dxgk);
    for (unsigned i = 0; i < BLOBS; i++)
        free(saved[i].data);
}

static uint64_t create(const char *name, bool incoming)
{
    struct vf_partition_params params = {.vram_bytes = VRAM_BYTES};
    struct vf_error err = VF_ERROR_INIT;
    struct vf_partition_info info;

    (void)snprintf(params.name, sizeof params.name, "%s", name);
    if (dxgk_partition_create(dxgk, &params, incoming, &info, &err) != 0) {
        (void)fprintf(stderr, "%s\n", err.text);
        abort();
    }
    return info.id;
}

/* A guest that has set up one interrupt and moves: what its source sends. */
static void save_all(void)
{
    static const struct {
        uint32_t offset, value;
    } writes[] = {{0, 0xfee00000u}, {4, 0}, {8, 0x4021u}, {12, 0}};
    uint64_t id = create("source", false);
    struct vf_error err = VF_ERROR_INIT;

    for (size_t i = 0; i < sizeof writes / sizeof writes[0]; i++)
        fuzz_must(dxgk_partition_bar_write(dxgk, id, SG_VF_BAR_REGS,
                                           SG_VF_MSIX_TABLE + writes[i].offset, &writes[i].value, 4,
                                           &err) == 0);
    fuzz_must(dxgk_migration_prepare(dxgk, id, DXGK_SOURCE, 1, &err) == 0);
    fuzz_must(dxgk_migration_save_immutable(dxgk, id, &saved[IMMUTABLE], &saved[UMED], &err) == 0);
    fuzz_must(dxgk_partition_pause(dxgk, id, &err) == 0);
    fuzz_must(dxgk_migration_save_mutable(dxgk, id, &saved[MUTABLE], &saved[MSIX], &saved[STATE],
                                          &err) == 0);
    fuzz_must(dxgk_migration_end(dxgk, id, &err) == 0);
    fuzz_must(dxgk_partition_destroy(dxgk, id, &err) == 0);
    fuzz_must(dxgk_adapter_info(dxgk, 0, &idle, &err) == 0);
}

/* libFuzzer's counters lie in the modules: they must stay when dxgk lets a module go. */
static void keep_loaded(const char *folder, const char *name)
{
    char path[4096];

    (void)snprintf(path, sizeof path, "%s/%s.so", folder, name);
    if (dlopen(path, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE) == NULL) {
        (void)fprintf(stderr, "%s\n", dlerror());
        exit(2);
    }
}

static void open_host(void)
{
    const char *device = "softgpu,vram=64M,vfs=1,dirty-page=64K";
    struct dxgk_config config = {.devices = &device,
                                 .device_count = 1,
                                 .device_dir = getenv("VF_DEVICE_DIR"),
                                 .driver_dir = getenv("VF_DRIVER_DIR"),
                                 .event = keep_event};
    struct vf_error err = VF_ERROR_INIT;

    if (config.device_dir == NULL || config.driver_dir == NULL) {
        (void)fputs("set VF_DEVICE_DIR and VF_DRIVER_DIR to the build's devices/ and drivers/\n",
                    stderr);
        exit(2);
    }
    keep_loaded(config.device_dir, "softgpu");
    keep_loaded(config.driver_dir, "softgpu");
    keep_loaded(config.driver_dir, "softgpu-umed");
    if (dxgk_open(&config, &dxgk, &err) != 0) {
        (void)fprintf(stderr, "%s\n", err.text);
        exit(2);
    }
    save_all();
    fuzz_must(atexit(close_host) == 0);
}

/* Restores until something is refused; true when the partition was READY. */
static bool restore(uint64_t id, const struct dxgk_blob *blob)
{
    static struct vf_reasons reasons;
    struct vf_error err = VF_ERROR_INIT;

    reasons.count = 0;
    fuzz_must(dxgk_migration_prepare(dxgk, id, DXGK_TARGET, 1, &err) == 0);
    if (dxgk_migration_restore_immutable(dxgk, id, &blob[IMMUTABLE], &blob[UMED], &reasons, &err) !=
        0) {
        fuzz_must(err.text[0] != '\0' && (err.code != VF_INCOMPATIBLE || reasons.count > 0));
        fuzz_must(dxgk_migration_end(dxgk, id, &err) == 0);
        return false;
    }
    if (dxgk_migration_restore_mutable(dxgk, id, &blob[MUTABLE], &blob[MSIX], &blob[STATE], &err) !=
        0) {
        fuzz_must(err.text[0] != '\0');
        (void)dxgk_migration_end(dxgk, id, &err);
        return false;
    }
    fuzz_must(dxgk_migration_end(dxgk, id, &err) == 0);
    return true;
}

/* It runs, if only into a fault, and stands still again when told. */
static void run(uint64_t id)
{
    struct vf_error err = VF_ERROR_INIT;
    struct vf_partition_info info;

    fuzz_must(dxgk_partition_resume(dxgk, id, &err) == 0);
    fuzz_must(dxgk_partition_info(dxgk, id, &info, &err) == 0);
    fuzz_must(dxgk_partition_pause(dxgk, id, &err) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input in = {data, size};
    uint32_t mask = (uint32_t)fuzz_number(&in, 1);
    struct vf_error err = VF_ERROR_INIT;
    struct dxgk_blob blob[BLOBS];
    struct vf_adapter_info after;
    uint64_t id;

    if (dxgk == NULL)
        open_host();
    for (unsigned i = 0; i < BLOBS; i++) {
        size_t bytes = mask >> i & 1 ? fuzz_number(&in, 2) % MAX_FORGED : saved[i].bytes;

        if (mask >> i & 1)
            bytes = bytes < in.left ? bytes : in.left;
        blob[i] = (struct dxgk_blob){malloc(bytes > 0 ? bytes : 1), bytes};
        fuzz_must(blob[i].data != NULL);
        if (bytes > 0)
            memcpy(blob[i].data, mask >> i & 1 ? fuzz_take(&in, bytes) : saved[i].data, bytes);
    }
    id = create("target", true);
    if (restore(id, blob))
        run(id);
    fuzz_must(dxgk_partition_destroy(dxgk, id, &err) == 0);
    fuzz_must(dxgk_adapter_info(dxgk, 0, &after, &err) == 0);
    fuzz_must(after.vf_free == idle.vf_free && after.vram_free_bytes == idle.vram_free_bytes);
    for (unsigned i = 0; i < BLOBS; i++)
        free(blob[i].data);
    return 0;
}

/* Seed i: what mask i lets through unforged, written out. */
size_t fuzz_seed(unsigned index, uint8_t *data)
{
    static const uint8_t masks[] = {1u << IMMUTABLE, 1u << UMED,  1u << MUTABLE,
                                    1u << MSIX,      1u << STATE, 0x1f};
    size_t used = 1;

    if (index >= sizeof masks)
        return 0;
    if (dxgk == NULL)
        open_host();
    data[0] = masks[index];
    for (unsigned i = 0; i < BLOBS; i++) {
        if ((masks[index] >> i & 1) == 0)
            continue;
        data[used++] = (uint8_t)saved[i].bytes;
        data[used++] = (uint8_t)(saved[i].bytes >> 8);
        if (saved[i].bytes > 0)
            memcpy(data + used, saved[i].data, saved[i].bytes);
        used += saved[i].bytes;
    }
    return used;
}
