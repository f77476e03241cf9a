// SPDX-License-Identifier: Apache-2.0
/* What vferryd is asked to do: its command line, and the INI file that has the same keys. */
#ifndef DAEMON_CONFIG_H
#define DAEMON_CONFIG_H

#include "base/error.h"
#include "transport/tls.h"
#include "vferry/vferry.h"

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum config_action { CONFIG_RUN, CONFIG_HELP, CONFIG_VERSION };

#define CONFIG_MAX_PEERS 256u

struct config {
    enum config_action action;
    char name[VF_NAME_BYTES]; /* "" = not given; config_finish then takes the machine's */
    char state[PATH_MAX];
    char file[PATH_MAX];
    char listen[256];
    char devices[VF_MAX_ADAPTERS][VF_TEXT_BYTES];
    size_t device_count;
    char drivers[VF_MAX_ADAPTERS][PATH_MAX]; /* absolute after config_finish */
    size_t driver_count;
    char socket_group[VF_NAME_BYTES]; /* "" = the control socket is its owner's alone */
    gid_t socket_gid;                 /* its number, after config_finish */
    unsigned moves_at_once;           /* 0 = not given */
    char tls_cert[PATH_MAX], tls_key[PATH_MAX], tls_ca[PATH_MAX]; /* "" = not given */
    char tls_peers[CONFIG_MAX_PEERS][TP_NAME_BYTES];
    size_t tls_peer_count;
    bool insecure;
    bool insecure_said;             /* while it is read: the key was there */
    bool background;                /* return once it is ready */
    bool background_said;           /* while it is read: the option was there */
    bool scrub_on_demand;           /* free VRAM is not zero-filled in the background */
    bool scrub_said;                /* while it is read: the key was there */
    uint64_t silence_ns, redial_ns; /* as in struct mig_config; 0 = not given */
    bool history_given;             /* history_days was said */
    unsigned history_days;          /* 0 = no history, HISTORY_DAYS after config_finish */
    uint64_t history_bytes;         /* 0 = not given, HISTORY_BYTES after config_finish */
};

/* The text of vferryd --help. */
extern const char config_usage[];

/* Command line, then the file where the command line is silent. A list on the command line replaces
 * the file's. VF_USAGE with one line for whatever is wrong. */
int config_parse(int argc, char **argv, struct config *config, struct vf_error *err);
/* Reads FILE.ini into an empty config: keys name, state, listen, socket-group, moves-at-once,
 * insecure = yes|no, silence, redial, history-days, history-size, scrub-on-demand = yes|no, and
 * device and driver, which may repeat; in [vferryd] or before any section. */
int config_read(const char *path, struct config *config, struct vf_error *err);
/* The certificates that the config names, as they are now; NULL when it names none. */
int config_open_tls(const struct config *config, struct tp_tls **out, struct vf_error *err);
/* Defaults and checks that need the machine: its name and groups, paths of drivers, is
 * --listen allowed. */
int config_finish(struct config *config, struct vf_error *err);

#endif
