// SPDX-License-Identifier: Apache-2.0
/* See digest.h. Numbers are hashed in little-endian form, so that hosts of either kind agree. */
#include "migrate/digest/digest.h"

#define LOG_ROOM "digest"
#include "base/hex.h"
#include "base/log.h"

#include <endian.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#define SECRET_WORDS 24u /* 192 bytes, as XXH3's own */

struct digest_table {
    uint64_t pages, page_bytes, nodes;
    uint64_t zero;
    bool keyed;
    uint64_t secret[SECRET_WORDS]; /* that the key stands for */
    /* By page, xor `zero`, so that memory nobody wrote to says what it should; relaxed: the order
     * against digest_root comes from `changed` or from a join. */
    _Atomic uint64_t *leaves;
    /* By node: set (release) after the leaf, taken (acquire) before the leaves are read. */
    _Atomic bool *changed;
    uint64_t *sums; /* by node, little endian; touched by digest_root only */
};

static uint64_t node_pages(const struct digest_table *table, uint64_t node)
{
    const uint64_t first = node * DIGEST_NODE_PAGES;
    const uint64_t rest = table->pages - first;

    return rest < DIGEST_NODE_PAGES ? rest : DIGEST_NODE_PAGES;
}

static uint64_t leaf(const struct digest_table *table, uint64_t page)
{
    return atomic_load_explicit(&table->leaves[page], memory_order_relaxed) ^ table->zero;
}

static uint64_t hash_node(const struct digest_table *table, uint64_t node)
{
    uint64_t leaves[DIGEST_NODE_PAGES];
    const uint64_t count = node_pages(table, node);

    for (uint64_t i = 0; i < count; i++)
        leaves[i] = htole64(leaf(table, node * DIGEST_NODE_PAGES + i));
    return XXH3_64bits(leaves, count * sizeof *leaves);
}

/* XXH3 takes a secret of such a length for one that is as good as random. */
static void set_key(struct digest_table *table, const uint8_t *key)
{
    static const uint8_t none[DIGEST_KEY_BYTES];

    table->keyed = memcmp(key, none, sizeof none) != 0;
    for (uint64_t i = 0; i < SECRET_WORDS; i++)
        table->secret[i] = htole64(XXH3_64bits_withSeed(key, DIGEST_KEY_BYTES, i + 1));
}

static XXH_errorcode begin(const struct digest_table *table, XXH3_state_t *state)
{
    return table->keyed ? XXH3_64bits_reset_withSecret(state, table->secret, sizeof table->secret)
                        : XXH3_64bits_reset(state);
}

static uint64_t hash_zero_page(const struct digest_table *table)
{
    static const uint8_t zeros[4096];
    XXH3_state_t *state = XXH3_createState();
    uint64_t hash = 0;

    if (state == NULL || begin(table, state) != XXH_OK) {
        (void)XXH3_freeState(state);
        return 0;
    }
    for (uint64_t left = table->page_bytes; left > 0;) {
        const size_t part = left < sizeof zeros ? (size_t)left : sizeof zeros;

        (void)XXH3_64bits_update(state, zeros, part);
        left -= part;
    }
    hash = XXH3_64bits_digest(state);
    (void)XXH3_freeState(state);
    return hash;
}

/* All leaves are the zero page's, so all full nodes are alike. */
static void sum_zeros(struct digest_table *table)
{
    for (uint64_t node = 0; node < table->nodes; node++) {
        if (node > 0 && node + 1 < table->nodes)
            table->sums[node] = table->sums[0];
        else
            table->sums[node] = htole64(hash_node(table, node));
    }
}

int digest_table_new(uint64_t pages, uint64_t page_bytes, struct digest_table **out,
                     struct vf_error *err)
{
    static const uint8_t none[DIGEST_KEY_BYTES];

    return digest_table_new_keyed(pages, page_bytes, none, out, err);
}

int digest_table_new_keyed(uint64_t pages, uint64_t page_bytes, const uint8_t *key,
                           struct digest_table **out, struct vf_error *err)
{
    struct digest_table *table;

    *out = NULL;
    if (pages == 0 || pages > SIZE_MAX / 16 || page_bytes == 0 || page_bytes % 64 != 0 ||
        page_bytes > 1ull << 31)
        return vf_fail(err, VF_FAILED,
                       "digests: %" PRIu64 " pages of %" PRIu64 " bytes are not possible", pages,
                       page_bytes);
    table = calloc(1, sizeof *table);
    if (table == NULL)
        return vf_fail(err, VF_FAILED, "digests: " VF_NO_MEMORY);
    table->pages = pages;
    table->page_bytes = page_bytes;
    table->nodes = (pages - 1) / DIGEST_NODE_PAGES + 1;
    set_key(table, key);
    table->zero = hash_zero_page(table);
    table->leaves = calloc(pages, sizeof *table->leaves);
    table->changed = calloc(table->nodes, sizeof *table->changed);
    table->sums = calloc(table->nodes, sizeof *table->sums);
    if (table->zero == 0 || table->leaves == NULL || table->changed == NULL ||
        table->sums == NULL) {
        digest_table_free(table);
        return vf_fail(err, VF_FAILED, "digests of %" PRIu64 " pages: " VF_NO_MEMORY, pages);
    }
    sum_zeros(table);
    *out = table;
    return 0;
}

void digest_table_free(struct digest_table *table)
{
    if (table == NULL)
        return;
    free(table->leaves);
    free(table->changed);
    free(table->sums);
    free(table);
}

uint64_t digest_table_pages(const struct digest_table *table)
{
    return table->pages;
}

uint64_t digest_table_zero(const struct digest_table *table)
{
    return table->zero;
}

void digest_set(struct digest_table *table, uint64_t page, uint64_t digest)
{
    if (page >= table->pages) {
        log_error("bug: digest of page %" PRIu64 " of %" PRIu64, page, table->pages);
        return;
    }
    atomic_store_explicit(&table->leaves[page], digest ^ table->zero, memory_order_relaxed);
    /* After the leaf: who takes the flag sees it, or the flag is set again for the next root. */
    atomic_store_explicit(&table->changed[page / DIGEST_NODE_PAGES], true, memory_order_release);
}

uint64_t digest_get(const struct digest_table *table, uint64_t page)
{
    if (page >= table->pages) {
        log_error("bug: digest of page %" PRIu64 " of %" PRIu64, page, table->pages);
        return 0;
    }
    return leaf(table, page);
}

void digest_root(struct digest_table *table, uint8_t root[DIGEST_ROOT_BYTES], uint64_t *hashed)
{
    /* The geometry's hash seeds the hash over the nodes. */
    const uint64_t geometry[2] = {htole64(table->pages), htole64(table->page_bytes)};
    XXH128_canonical_t canonical;
    uint64_t count = 0;

    for (uint64_t node = 0; node < table->nodes; node++) {
        if (!atomic_exchange_explicit(&table->changed[node], false, memory_order_acquire))
            continue;
        table->sums[node] = htole64(hash_node(table, node));
        count++;
    }
    XXH128_canonicalFromHash(&canonical,
                             XXH3_128bits_withSeed(table->sums, table->nodes * sizeof *table->sums,
                                                   XXH3_64bits(geometry, sizeof geometry)));
    memcpy(root, canonical.digest, DIGEST_ROOT_BYTES);
    if (hashed != NULL)
        *hashed = count;
}

void digest_format(const uint8_t root[DIGEST_ROOT_BYTES], char text[DIGEST_TEXT])
{
    const int used = snprintf(text, DIGEST_TEXT, "xxh3-128:");

    vf_hex_format(root, DIGEST_ROOT_BYTES, text + used);
}

uint64_t digest_of(const struct digest_table *table, const void *page, bool *zero)
{
    const bool is_zero = digest_is_zero_page(page, table->page_bytes);

    if (zero != NULL)
        *zero = is_zero;
    if (is_zero)
        return table->zero;
    return table->keyed ? XXH3_64bits_withSecret(page, table->page_bytes, table->secret,
                                                 sizeof table->secret)
                        : digest_page(page, table->page_bytes);
}

uint64_t digest_page(const void *page, size_t bytes)
{
    return XXH3_64bits(page, bytes);
}

bool digest_is_zero_page(const void *page, size_t bytes)
{
    static const uint8_t zeros[64];
    const uint8_t *at = page;
    const size_t head = bytes < sizeof zeros ? bytes : sizeof zeros;

    /* Most pages differ at their start; after that, the page against itself one step on: memcmp
     * runs at memory speed. */
    return memcmp(at, zeros, head) == 0 && memcmp(at, at + head, bytes - head) == 0;
}
