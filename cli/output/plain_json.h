// SPDX-License-Identifier: Apache-2.0
#ifndef VF_CLI_PLAIN_JSON_H
#define VF_CLI_PLAIN_JSON_H

#include <jansson.h>

/* Makes every text in it one that may go to a terminal (base/plain.h), however deep it lies; keys
 * stay. What there is no memory for becomes "?". NULL is allowed. */
void plain_json(json_t *json);

#endif
