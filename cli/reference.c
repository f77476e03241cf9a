// SPDX-License-Identifier: Apache-2.0
/* vferry reference: the same work on the CPU, for a digest to compare with. */
#include "base/cleanup.h"
#include "cli/files.h"
#include "cli/show.h"
#include "cli/syntax/args.h"

#include <stdint.h>

static int sink(void *ctx, const void *bytes, size_t n, struct vf_error *err)
{
    return output_write(ctx, bytes, n, err);
}

static int compute(const struct command *command, const struct guest_options *options,
                   struct vf_error *err)
{
    char digest[GUEST_DIGEST_BYTES];
    struct output output = OUTPUT_INIT;
    int status = command->output != NULL ? output_open(&output, command->output, err) : 0;

    if (status == 0)
        status =
            guest_reference(options, command->output != NULL ? sink : NULL, &output, digest, err);
    if (status == 0 && command->output != NULL)
        status = output_commit(&output, err);
    output_close(&output);
    if (status == 0) {
        uint64_t steps = options->workload == GUEST_FILL ? 1 : options->steps;
        json_t *result = json_pack("{s:s, s:s, s:I, s:s}", "schema", "vferry.result/1", "workload",
                                   guest_workload_name(options->workload), "steps",
                                   (json_int_t)steps, "digest", digest);

        show_result(command, result);
        json_decref(result);
    }
    return status;
}

int cmd_reference(const struct command *command, struct vf_error *err)
{
    struct guest_options options;
    cleanup_free void *input = NULL;

    if (args_work(command, &options, err) != 0)
        return -1;
    if (command->input != NULL &&
        input_load(command->input, &input, &options.input_bytes, err) != 0)
        return -1;
    options.input = input;
    if (guest_options_check(&options, err) != 0)
        return -1;
    return compute(command, &options, err);
}
