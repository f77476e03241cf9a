// SPDX-License-Identifier: Apache-2.0
/* Bytes as hex digits, two a byte. Any thread. */
#ifndef VF_BASE_HEX_H
#define VF_BASE_HEX_H

#include <stddef.h>
#include <stdint.h>

/* Writes 2 * count lower-case digits and a terminator. */
void vf_hex_format(const uint8_t *bytes, size_t count, char *text);
/* Reads 2 * count digits, small or large; what follows them is not looked at. 0, or -1: another
 * character stands there, or the text ends. */
int vf_hex_parse(const char *text, uint8_t *bytes, size_t count);

#endif
