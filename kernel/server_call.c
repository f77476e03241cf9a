// SPDX-License-Identifier: Apache-2.0
/* What the handlers of all calls use. See server_impl.h. */
#include "kernel/server_impl.h"

#include <string.h>

void *ks_result(struct ks_call *call, size_t bytes, struct vf_error *err)
{
    struct kw_buffer *out = &call->conn->out;

    if (bytes > UINT32_MAX - KS_RESULT_AT || kw_buffer_reserve(out, KS_RESULT_AT + bytes) != 0) {
        (void)vf_fail(err, VF_FAILED, "a reply of %zu bytes of the kernel side: " VF_NO_MEMORY,
                      bytes);
        return NULL;
    }
    call->result_bytes = bytes;
    memset(out->data + KS_RESULT_AT, 0, bytes);
    return out->data + KS_RESULT_AT;
}

int ks_exact(const struct ks_call *call, const char *what, size_t tail_bytes, struct vf_error *err)
{
    if (call->tail_bytes == tail_bytes)
        return 0;
    return vf_fail(err, VF_USAGE, "%s: %zu bytes of data given, %zu announced", what,
                   call->tail_bytes, tail_bytes);
}

int ks_check_name(const char *name, struct vf_error *err)
{
    /* vf_name_valid looks at VF_NAME_BYTES bytes at most, so a name without its end is
     * refused there. */
    if (vf_name_valid(name))
        return 0;
    return vf_fail(err, VF_USAGE,
                   "partition name: letters, digits, '.', '_' and '-', at most %u of them",
                   VF_NAME_BYTES - 1);
}
