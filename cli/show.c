// SPDX-License-Identifier: Apache-2.0
/* See show.h. */
#include "cli/show.h"

#include "cli/output/error_object.h"
#include "cli/output/plain_json.h"

#include <stdio.h>

static bool object_shown; /* --json prints one object, not two; one thread */

void show_object(const json_t *object)
{
    if (json_dumpf(object, stdout, JSON_COMPACT | JSON_PRESERVE_ORDER) == 0)
        (void)fputc('\n', stdout);
    /* stdout's own error flag is looked at when the program ends. */
}

void show_result(const struct command *command, const json_t *result)
{
    if (result == NULL)
        return;
    if (command->json) {
        show_object(result);
        object_shown = true;
    } else if (command->verb->print != NULL) {
        json_t *plain = json_deep_copy(result);

        plain_json(plain);
        command->verb->print(plain != NULL ? plain : result);
        json_decref(plain);
    }
}

/* The result of a command that has failed, with --json: it has the error as a member. Without a
 * result nothing is printed here: show_error is. */
static void show_failed(const struct command *command, json_t *result, const struct vf_error *err)
{
    if (result == NULL)
        return;
    (void)json_object_set_new(result, "error",
                              error_object(err, json_object_get(result, "reasons")));
    show_result(command, result);
}

void show_outcome(const struct command *command, int status, json_t *result, bool print_failed,
                  const struct vf_error *err)
{
    if (status == 0)
        show_result(command, result);
    else if (command->json || print_failed)
        show_failed(command, result, err);
}

void show_error(const struct vf_error *err)
{
    json_t *object = object_shown ? NULL : error_object(err, NULL);

    if (object != NULL)
        show_object(object);
    json_decref(object);
}
