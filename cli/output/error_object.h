// SPDX-License-Identifier: Apache-2.0
/* A failure as JSON has it: the one object of all verbs ("vferry.error/1"). */
#ifndef CLI_ERROR_OBJECT_H
#define CLI_ERROR_OBJECT_H

#include "base/error.h"

#include <jansson.h>

/* The object of `err`, a new reference; NULL without memory. The remedy stands beside the text and
 * not in it. `reasons` (borrowed, may be NULL) are what a target answered. An error whose code is
 * VF_OK counts as VF_FAILED: who calls has failed. Any thread. */
json_t *error_object(const struct vf_error *err, json_t *reasons);

#endif
