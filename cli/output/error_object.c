// SPDX-License-Identifier: Apache-2.0
/* See error_object.h. */
#include "cli/output/error_object.h"

#include "base/json_text.h"

json_t *error_object(const struct vf_error *err, json_t *reasons)
{
    const char *remedy = vf_remedy(err);

    return json_pack("{s:s, s:i, s:o, s:o, s:o}", "schema", "vferry.error/1", "code",
                     err->code == VF_OK ? VF_FAILED : (int)err->code, "text",
                     vf_json_text_cut(err->text, (size_t)vf_bare_bytes(err)), "remedy",
                     remedy != NULL ? vf_json_text(remedy) : json_null(), "reasons",
                     json_is_array(reasons) ? json_incref(reasons) : json_array());
}
