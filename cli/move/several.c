// SPDX-License-Identifier: Apache-2.0
/* migrate of several partitions, and host evacuate: what the command line asks for, as a set. */
#include "cli/host/client.h"
#include "cli/move/migrate.h"
#include "cli/move/set.h"

#include <stdio.h>

/* What each migrate request carries besides its partition and target. */
static json_t *move_options(const json_t *args)
{
    static const char *const of_the_set[] = {"names", "partitions", "all",
                                             "to",    "dry-run",    "detach"};
    json_t *options = json_copy((json_t *)(uintptr_t)args);

    for (size_t i = 0; i < sizeof of_the_set / sizeof *of_the_set; i++)
        (void)json_object_del(options, of_the_set[i]);
    return options;
}

static enum set_how how(const struct command *command)
{
    return json_is_true(json_object_get(command->args, "dry-run"))  ? SET_CHECKS
           : json_is_true(json_object_get(command->args, "detach")) ? SET_BEGINS
                                                                    : SET_MOVES;
}

/* "host cordon", "host uncordon" or "host show"; *cordoned is what the host says it is then. */
static int ask_cordon(const struct command *command, const char *verb, bool *cordoned,
                      struct vf_error *err)
{
    json_t *nothing = json_object();
    json_t *result = NULL;
    int status = client_ask_verb(command, verb, nothing, &result, err);

    *cordoned = json_is_true(json_object_get(result, "cordoned"));
    json_decref(result);
    json_decref(nothing);
    return status;
}

static int choose(struct move_set *set, bool all, struct vf_error *err)
{
    const json_t *args = set->command->args;

    return move_set_choose(set, json_object_get(args, "names"), json_object_get(args, "partitions"),
                           all, err);
}

/* Nothing may come while the host is emptied, and nothing after it: a cordon stays until a person
 * takes it away. By it a target that is this host itself is known for sure: it takes nothing now.
 * When there is no other, the host is as it was. */
static int cordon_and_choose(struct move_set *set, const json_t *targets, struct vf_error *err)
{
    struct vf_error other = VF_ERROR_INIT;
    bool before = true, now;

    if (set->how != SET_CHECKS && (ask_cordon(set->command, "host show", &before, err) != 0 ||
                                   ask_cordon(set->command, "host cordon", &now, err) != 0))
        return -1;
    if (choose(set, true, err) == 0 && move_set_targets(set, targets, err) == 0 &&
        move_set_leaves(set, err) == 0)
        return 0;
    if (!before && ask_cordon(set->command, "host uncordon", &now, &other) != 0)
        (void)fprintf(stderr, "vferry: the host stays cordoned: %s\n", other.text);
    return -1;
}

static int run(const struct command *command, const char *what, const json_t *targets, bool all,
               struct vf_error *err)
{
    const bool empties = command->verb->run == cmd_evacuate;
    struct move_set set = {.command = command,
                           .how = how(command),
                           .what = what,
                           .options = move_options(command->args)};
    int status = -1;

    if (set.options == NULL)
        return vf_fail(err, VF_FAILED, "%s: " VF_NO_MEMORY, what);
    if (empties)
        status = cordon_and_choose(&set, targets, err);
    else if (choose(&set, all, err) == 0)
        status = move_set_targets(&set, targets, err);
    if (status == 0)
        status = move_set_run(&set, err);
    move_set_free(&set);
    json_decref(set.options);
    return status;
}

int migrate_several(const struct command *command, struct vf_error *err)
{
    bool all = json_is_true(json_object_get(command->args, "all"));
    json_t *targets = json_pack("[O]", json_object_get(command->args, "to"));
    int status;

    if (all && (json_object_get(command->args, "names") != NULL ||
                json_object_get(command->args, "partitions") != NULL))
        status = vf_fail(err, VF_USAGE,
                         "migrate: --all beside names or --partition" VF_REMEDY
                         "say the one or the other");
    else if (targets == NULL)
        status = vf_fail(err, VF_FAILED, "migrate: " VF_NO_MEMORY);
    else
        status = run(command, "migrate", targets, all, err);
    json_decref(targets);
    return status;
}

int cmd_evacuate(const struct command *command, struct vf_error *err)
{
    return run(command, "host evacuate", json_object_get(command->args, "to"), true, err);
}
