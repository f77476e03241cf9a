// SPDX-License-Identifier: Apache-2.0
/* See card.h. */
#include "guest/tests/card.h"
#include "base/tests/tool.h"
#include "softgpu/hw.h"

#include <dlfcn.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cmocka.h>

#define CHUNK (1u << 20)
#define END_MS (10000 * TEST_TOOL_FACTOR)

static void card_log(void *ctx, enum vf_device_log level, const char *text)
{
    (void)ctx;
    if (level == VF_DEVICE_LOG_ERROR)
        print_message("# device: %s\n", text);
}

void card_open(struct card *card, bool scatter)
{
    const struct vf_device_option options[] = {
        {"vram", "64M"}, {"vfs", "2"}, {"dirty-page", "4K"}, {"scatter", scatter ? "on" : "off"}};
    const char *path = getenv("GUEST_TEST_DEVICE");
    vf_device_entry_fn *entry;
    char why[256] = "";

    assert_non_null(path);
    card->library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (card->library == NULL)
        fail_msg("%s", dlerror());
    *(void **)&entry = dlsym(card->library, VF_DEVICE_ENTRY_SYMBOL);
    assert_non_null(entry);
    card->ops = entry(VF_DEVICE_ABI);
    assert_non_null(card->ops);
    card->host = (struct vf_device_host){sizeof card->host, VF_DEVICE_ABI, NULL, card_log};
    card->vram_bytes = 64ull << 20;
    if (card->ops->open(options, sizeof options / sizeof options[0], &card->host, &card->dev, why,
                        sizeof why) != 0)
        fail_msg("%s", why);
}

void card_close(struct card *card)
{
    card->ops->close(card->dev);
    assert_int_equal(dlclose(card->library), 0);
}

static uint64_t pf_read(const struct card *card, uint32_t reg, unsigned width)
{
    uint64_t value = 0;

    assert_int_equal(
        card->ops->bar_read(card->dev, VF_FUNCTION_PF, SG_PF_BAR_REGS, reg, &value, width), 0);
    return value;
}

static void pf_write(const struct card *card, uint32_t reg, uint64_t value, unsigned width)
{
    assert_int_equal(
        card->ops->bar_write(card->dev, VF_FUNCTION_PF, SG_PF_BAR_REGS, reg, &value, width), 0);
}

static int to_error(int result, const char *what, struct vf_error *err)
{
    return result == 0 ? 0 : vf_fail_errno(err, VF_FAILED, -result, "%s", what);
}

static int vram_read(void *ctx, uint64_t gpa, void *buf, uint64_t n, struct vf_error *err)
{
    const struct vf *vf = ctx;
    const struct card *card = vf->card;

    return to_error(
        card->ops->bar_read(card->dev, VF_FUNCTION_VF(vf->index), SG_VF_BAR_VRAM, gpa, buf, n),
        "read VRAM", err);
}

static int vram_write(void *ctx, uint64_t gpa, const void *buf, uint64_t n, struct vf_error *err)
{
    const struct vf *vf = ctx;
    const struct card *card = vf->card;

    return to_error(
        card->ops->bar_write(card->dev, VF_FUNCTION_VF(vf->index), SG_VF_BAR_VRAM, gpa, buf, n),
        "write VRAM", err);
}

static int reg_write(void *ctx, uint64_t offset, uint64_t value, unsigned width,
                     struct vf_error *err)
{
    const struct vf *vf = ctx;
    const struct card *card = vf->card;

    return to_error(card->ops->bar_write(card->dev, VF_FUNCTION_VF(vf->index), SG_VF_BAR_REGS,
                                         offset, &value, width),
                    "write a register", err);
}

static int reg_read(void *ctx, uint64_t offset, uint64_t *value, unsigned width,
                    struct vf_error *err)
{
    const struct vf *vf = ctx;
    const struct card *card = vf->card;

    *value = 0;
    return to_error(card->ops->bar_read(card->dev, VF_FUNCTION_VF(vf->index), SG_VF_BAR_REGS,
                                        offset, value, width),
                    "read a register", err);
}

static void map_piece(const struct vf *vf, uint64_t gpa, uint64_t phys, uint64_t bytes)
{
    pf_write(vf->card, SG_VFC(vf->index, SG_VFC_MAP_GPA64), gpa, 8);
    pf_write(vf->card, SG_VFC(vf->index, SG_VFC_MAP_PHYS64), phys, 8);
    pf_write(vf->card, SG_VFC(vf->index, SG_VFC_MAP_BYTES64), bytes, 8);
    pf_write(vf->card, SG_VFC(vf->index, SG_VFC_MAP_CMD), SG_MAP_CMD_ADD, 4);
    assert_int_equal(pf_read(vf->card, SG_VFC(vf->index, SG_VFC_MAP_RESULT), 4), 0);
}

static void route_vector(const struct vf *vf)
{
    uint64_t address = 0xfee00000u + vf->index * 0x1000u;

    assert_int_equal(vf->card->ops->msi_route(vf->card->dev, address, 7, vf->ended), 0);
    pf_write(vf->card, SG_VFC(vf->index, SG_VFC_MSIX_INDEX), 0, 4);
    pf_write(vf->card, SG_VFC(vf->index, SG_VFC_MSIX_ADDR64), address, 8);
    pf_write(vf->card, SG_VFC(vf->index, SG_VFC_MSIX_DATA), 7, 4);
    pf_write(vf->card, SG_VFC(vf->index, SG_VFC_MSIX_CTRL), 0, 4);
}

void vf_open(struct vf *vf, struct card *card, uint32_t index, uint64_t phys, uint64_t bytes,
             unsigned pieces)
{
    uint64_t piece = bytes / pieces;

    *vf =
        (struct vf){.card = card, .index = index, .ended = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
    vf->memory = (struct guest_memory){vf, bytes, vram_read, vram_write, reg_write, reg_read};
    assert_true(vf->ended >= 0);
    pf_write(card, SG_VFC(index, SG_VFC_MAP_CMD), SG_MAP_CMD_CLEAR, 4);
    for (unsigned i = 0; i < pieces; i++)
        map_piece(vf, i * piece, phys + (pieces - 1 - i) * piece, piece);
    route_vector(vf);
    pf_write(card, SG_VFC(index, SG_VFC_CTRL), SG_VFC_CTRL_ENABLE, 4);
}

void vf_close(struct vf *vf)
{
    pf_write(vf->card, SG_VFC(vf->index, SG_VFC_CTRL), 0, 4);
    pf_write(vf->card, SG_VFC(vf->index, SG_VFC_RESET), 1, 4);
    assert_int_equal(
        vf->card->ops->msi_route(vf->card->dev, 0xfee00000u + vf->index * 0x1000u, 7, -1), 0);
    (void)close(vf->ended);
}

bool vf_wait_end(const struct vf *vf)
{
    struct pollfd wanted = {vf->ended, POLLIN, 0};
    uint64_t count;

    return poll(&wanted, 1, END_MS) == 1 && read(vf->ended, &count, sizeof count) == sizeof count;
}

void vf_pause(const struct vf *vf)
{
    pf_write(vf->card, SG_VFC(vf->index, SG_VFC_CTRL), SG_VFC_CTRL_ENABLE | SG_VFC_CTRL_PAUSE, 4);
    /* The read itself waits for quiet; a device that never gets there is stopped by the test's
     * time limit. */
    while ((pf_read(vf->card, SG_VFC(vf->index, SG_VFC_STATUS), 4) & SG_VFC_STATUS_QUIET) == 0)
        ;
}

void vf_resume(const struct vf *vf)
{
    pf_write(vf->card, SG_VFC(vf->index, SG_VFC_CTRL), SG_VFC_CTRL_ENABLE, 4);
}

void vf_move(const struct vf *from, const struct vf *to)
{
    uint8_t state[(sizeof(struct sg_vf_state) + 7) & ~7ull] = {0};
    uint8_t *chunk = malloc(CHUNK);
    uint32_t at = SG_VFC(from->index, SG_VFC_STATE);

    assert_non_null(chunk);
    for (uint64_t gpa = 0; gpa < from->memory.bytes; gpa += CHUNK) {
        assert_int_equal(from->memory.read(from->memory.ctx, gpa, chunk, CHUNK, NULL), 0);
        assert_int_equal(to->memory.write(to->memory.ctx, gpa, chunk, CHUNK, NULL), 0);
    }
    free(chunk);
    pf_write(from->card, SG_VFC(from->index, SG_VFC_STATE_CMD), SG_STATE_CMD_SAVE, 4);
    assert_int_equal(pf_read(from->card, SG_VFC(from->index, SG_VFC_STATE_RESULT), 4), 0);
    assert_int_equal(from->card->ops->bar_read(from->card->dev, VF_FUNCTION_PF, SG_PF_BAR_REGS, at,
                                               state, sizeof state),
                     0);
    at = SG_VFC(to->index, SG_VFC_STATE);
    assert_int_equal(to->card->ops->bar_write(to->card->dev, VF_FUNCTION_PF, SG_PF_BAR_REGS, at,
                                              state, sizeof state),
                     0);
    pf_write(to->card, SG_VFC(to->index, SG_VFC_STATE_CMD), SG_STATE_CMD_LOAD, 4);
    assert_int_equal(pf_read(to->card, SG_VFC(to->index, SG_VFC_STATE_RESULT), 4), 0);
}
