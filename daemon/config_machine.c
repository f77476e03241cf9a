// SPDX-License-Identifier: Apache-2.0
/* What of a host's configuration needs the machine: names, groups, files, addresses, certificates.
 * See config.h. */
#include "base/size.h"
#include "daemon/config.h"

#include "daemon/history/history.h"

#include <ctype.h>
#include <errno.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The machine's name with what a host name must not have replaced. */
static void default_name(char name[VF_NAME_BYTES])
{
    if (gethostname(name, VF_NAME_BYTES) != 0)
        name[0] = '\0';
    name[VF_NAME_BYTES - 1] = '\0';
    for (char *c = name; *c != '\0'; c++) {
        if (!isalnum((unsigned char)*c) && strchr("._-", *c) == NULL)
            *c = '-';
    }
    if (!vf_name_valid(name))
        (void)snprintf(name, VF_NAME_BYTES, "vferry");
}

/* All of TLS or nothing of it. */
static int check_tls(const struct config *config, struct vf_error *err)
{
    const bool cert = config->tls_cert[0] != '\0', key = config->tls_key[0] != '\0',
               ca = config->tls_ca[0] != '\0';

    if (cert && key && ca && config->insecure)
        return vf_fail(err, VF_USAGE,
                       "--insecure: with --tls-cert nothing is in plain; leave one of them out");
    if (cert == key && key == ca && (cert || config->tls_peer_count == 0))
        return 0;
    return vf_fail(err, VF_USAGE,
                   "--tls-%s is missing; TLS needs --tls-cert, --tls-key and --tls-ca",
                   !cert  ? "cert"
                   : !key ? "key"
                          : "ca");
}

static int check_listen(const struct config *config, struct vf_error *err)
{
    bool loopback = false;

    if (config->listen[0] == '\0')
        return 0;
    if (tp_is_loopback(config->listen, &loopback, err) != 0) {
        err->code = VF_USAGE;
        return vf_context(err, "--listen %s", config->listen);
    }
    if (!loopback && config->tls_cert[0] == '\0' && !config->insecure)
        return vf_fail(err, VF_USAGE,
                       "--listen %s: is beyond loopback" VF_REMEDY
                       "give certificates (--tls-cert, --tls-key, --tls-ca; \"vferry cert init "
                       "DIR\" makes some to try), or say --insecure to accept that anybody on that "
                       "network can read and send partitions",
                       config->listen);
    return 0;
}

/* By name or by number. */
static int find_group(struct config *config, struct vf_error *err)
{
    char buffer[4096]; /* a group whose members do not fit is told as an error, not cut */
    struct group group;
    struct group *found = NULL;
    uint64_t number;
    int failed;

    if (config->socket_group[0] == '\0')
        return 0;
    failed = getgrnam_r(config->socket_group, &group, buffer, sizeof buffer, &found);
    if (found != NULL)
        config->socket_gid = found->gr_gid;
    else if (vf_number_parse(config->socket_group, &number) == 0 && number < (gid_t)-1)
        config->socket_gid = (gid_t)number;
    else
        return vf_fail(err, VF_USAGE, "--socket-group %s: %s; give a group's name or number",
                       config->socket_group,
                       failed != 0 ? strerrordesc_np(failed) : "there is no such group");
    return 0;
}

int config_open_tls(const struct config *config, struct tp_tls **out, struct vf_error *err)
{
    const char *peers[CONFIG_MAX_PEERS];
    const struct tp_tls_files files = {.cert = config->tls_cert,
                                       .key = config->tls_key,
                                       .ca = config->tls_ca,
                                       .peers = peers,
                                       .peer_count = config->tls_peer_count};

    *out = NULL;
    if (config->tls_cert[0] == '\0')
        return 0;
    for (size_t i = 0; i < config->tls_peer_count; i++)
        peers[i] = config->tls_peers[i];
    return tp_tls_open(&files, out, err);
}

int config_finish(struct config *config, struct vf_error *err)
{
    if (config->name[0] == '\0')
        default_name(config->name);
    if (!vf_name_valid(config->name))
        return vf_fail(err, VF_USAGE,
                       "--name %s: is no name" VF_REMEDY
                       "a name is a letter or digit, then letters, digits and . _ -",
                       config->name);
    if (!config->history_given)
        config->history_days = HISTORY_DAYS;
    if (config->history_bytes == 0)
        config->history_bytes = HISTORY_BYTES;
    if (find_group(config, err) != 0)
        return -1;
    for (size_t i = 0; i < config->driver_count; i++) {
        char path[PATH_MAX];

        if (realpath(config->drivers[i], path) == NULL)
            return vf_fail_errno(err, VF_USAGE, errno,
                                 "--driver %s" VF_REMEDY "give the file of a driver",
                                 config->drivers[i]);
        memcpy(config->drivers[i], path, sizeof path);
    }
    if (config->driver_count > (config->device_count == 0 ? 1 : config->device_count))
        return vf_fail(err, VF_USAGE,
                       "%zu drivers for %zu devices; give no more --driver than --device",
                       config->driver_count, config->device_count == 0 ? 1 : config->device_count);
    return check_tls(config, err) != 0 ? -1 : check_listen(config, err);
}
