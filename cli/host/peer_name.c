// SPDX-License-Identifier: Apache-2.0
/* See peer_name.h. */
#include "cli/host/peer_name.h"

#include "base/cleanup.h"
#include "base/plain.h"
#include "cli/host/client.h"
#include "cli/host/hosts_file.h"
#include "cli/output/table.h"
#include "daemon/control/registry.h"

#include <stdlib.h>
#include <string.h>

#define MAX_HOSTS 64u

/* A host that runs here says itself where it listens. */
static json_t *ask_listen(const struct command *command, const struct registry_entry *host,
                          struct vf_error *err)
{
    struct command other = *command;
    json_t *nothing = json_object();
    json_t *shown = NULL;
    json_t *address = NULL;

    other.host = host->socket;
    if (client_ask_verb(&other, "host show", nothing, &shown, err) == 0) {
        address = json_incref(json_object_get(shown, "listen"));
        if (json_string_length(address) == 0) {
            json_decref(address);
            address = NULL;
            (void)vf_fail(err, VF_USAGE,
                          "host %s: takes no partitions" VF_REMEDY
                          "start its vferryd with --listen HOST:PORT",
                          host->name);
        }
    }
    json_decref(shown);
    json_decref(nothing);
    return address;
}

static json_t *find_running(const struct command *command, const char *name, struct vf_error *err)
{
    cleanup_free struct registry_entry *hosts = calloc(MAX_HOSTS, sizeof *hosts);
    size_t count = hosts != NULL ? registry_list(hosts, MAX_HOSTS) : 0;

    for (size_t i = 0; i < count; i++) {
        if (strcmp(hosts[i].name, name) == 0)
            return ask_listen(command, &hosts[i], err);
    }
    (void)vf_fail(err, VF_USAGE,
                  "host %s: no port, and nobody is called so" VF_REMEDY
                  "give HOST:PORT, or a name of the hosts file or of a host that runs here",
                  VF_SHOWN(name));
    return NULL;
}

/* HOST:PORT for the word, a new reference; NULL with *err. */
static json_t *address_of(const struct command *command, json_t *word, struct vf_error *err)
{
    const char *name = json_string_value(word);
    struct host_entry entry;
    int found;

    if (name == NULL || !vf_name_valid(name))
        return json_incref(word);
    found = hosts_find(name, &entry, err);
    if (found < 0)
        return NULL;
    return found > 0 && entry.address[0] != '\0' ? json_string(entry.address)
                                                 : find_running(command, name, err);
}

static int resolve(struct command *command, const char *key, struct vf_error *err)
{
    json_t *value = json_object_get(command->args, key);
    json_t *address;

    if (value == NULL)
        return 0;
    for (size_t i = 0; i < json_array_size(value); i++) {
        address = address_of(command, json_array_get(value, i), err);
        if (address == NULL || json_array_set_new(value, i, address) != 0)
            return -1;
    }
    if (json_is_array(value))
        return 0;
    address = address_of(command, value, err);
    return address != NULL ? json_object_set_new(command->args, key, address) : -1;
}

int peer_names_resolve(struct command *command, struct vf_error *err)
{
    const struct cli_verb *verb = command->verb;

    for (const struct cli_positional *p = verb->positionals; p->metavar != NULL; p++) {
        if (p->names == NAMES_PEER && resolve(command, p->key, err) != 0)
            return -1;
    }
    for (const struct cli_option *o = verb->options; o != NULL && o->kind != VALUE_END; o++) {
        if (o->names == NAMES_PEER && resolve(command, o->key, err) != 0)
            return -1;
    }
    return 0;
}
