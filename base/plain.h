// SPDX-License-Identifier: Apache-2.0
/* What others chose (words of a command line, names and texts of a peer), as it may stand in a line
 * that people read: a terminal obeys none of it. */
#ifndef VF_BASE_PLAIN_H
#define VF_BASE_PLAIN_H

#include <stddef.h>

/*
 * Copies the text, every control character and every byte that is no UTF-8 as \xNN (in hex), a line
 * end as \n and a tab as \t. What does not fit into `bytes` ends with "...". Doing it again changes
 * nothing. Returns `out`. Any thread.
 */
const char *vf_plain(const char *text, char *out, size_t bytes);

/* Room for a word that is shown whole up to 120 bytes. */
#define VF_SHOWN_BYTES 121u
/* The text by vf_plain, as an argument of a format; it lasts to the end of the block. */
#define VF_SHOWN(text) vf_plain(text, (char[VF_SHOWN_BYTES]){""}, VF_SHOWN_BYTES)

#endif
