// SPDX-License-Identifier: Apache-2.0
/* Little-endian numbers at places that need not be aligned: for what is written or sent
 * as bytes. */
#ifndef VF_BASE_BYTES_H
#define VF_BASE_BYTES_H

#include <endian.h>
#include <stdint.h>
#include <string.h>

static inline void vf_store_u32(uint8_t *to, uint32_t value)
{
    const uint32_t le = htole32(value);

    memcpy(to, &le, sizeof le);
}

static inline void vf_store_u64(uint8_t *to, uint64_t value)
{
    const uint64_t le = htole64(value);

    memcpy(to, &le, sizeof le);
}

static inline uint32_t vf_load_u32(const uint8_t *from)
{
    uint32_t le;

    memcpy(&le, from, sizeof le);
    return le32toh(le);
}

static inline uint64_t vf_load_u64(const uint8_t *from)
{
    uint64_t le;

    memcpy(&le, from, sizeof le);
    return le64toh(le);
}

#endif
