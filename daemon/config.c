// SPDX-License-Identifier: Apache-2.0
/* One table of keys serves the command line and the INI file, so that they cannot differ.
 * See config.h. */
#include "daemon/config.h"

#include "base/nearest.h"
#include "base/plain.h"
#include "base/size.h"
#include "daemon/history/history.h"

#include <errno.h>
#include <ini.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char config_usage[] =
    "usage: vferryd --state DIR [--name NAME] [--config FILE.ini] [--listen HOST:PORT] [--device "
    "SPEC]...\n"
    "               [--driver FILE.so]... [--moves-at-once N] [--socket-group GROUP]\n"
    "               [--tls-cert FILE --tls-key FILE --tls-ca FILE [--tls-peer NAME]... | "
    "--insecure]\n"
    "               [--silence TIME] [--redial TIME] [--history-days N] [--history-size SIZE]\n"
    "               [--scrub-on-demand] [--background]\n"
    "\n"
    "Runs a vferry host: starts its kernel side (or finds the one that runs on DIR), serves vferry "
    "on\n"
    "DIR/control.sock and takes partitions that other hosts send to --listen.\n"
    "\n"
    "  --state DIR          where sockets, locks and the journal lie; made with mode 0700\n"
    "  --name NAME          the host's name; default: the machine's\n"
    "  --config FILE.ini    the same keys as here, one a line: key = value; the command line wins\n"
    "  --listen HOST:PORT   take partitions here; port 0 = any; none: partitions can only leave\n"
    "  --device SPEC        "
    "softgpu[,vram=4G][,vfs=8][,dirty-page=64K][,performant=on|off][,fw=1.2]\n"
    "                       [,scatter=on|off]; several are adapters 0, 1, ...; default: softgpu, "
    "or what\n"
    "                       the kernel side that is already there has\n"
    "  --driver FILE.so     the k-th drives the k-th device, the last repeats; default: the "
    "device's own\n"
    "  --moves-at-once N    so many moves from here send pages at a time, the others are queued;\n"
    "                       default: one for every four processors\n"
    "  --socket-group GROUP let members of this group use DIR/control.sock too: mode 0660, not "
    "0600\n"
    "  --tls-cert FILE      this host's certificate (PEM); partitions move over TLS 1.3 only\n"
    "  --tls-key FILE       its private key, for nobody else to read\n"
    "  --tls-ca FILE        whose certificates other hosts must have\n"
    "  --tls-peer NAME      and their name, DNS or IP; may repeat; none: any certificate of the "
    "CA\n"
    "  --insecure           let plain TCP go beyond loopback: anybody there can read, change and "
    "send\n"
    "                       partitions\n"
    "  --silence TIME       another host that says nothing for so long is lost; default: 5s\n"
    "  --redial TIME        how long a move whose link was lost is tried again; default: 30s\n"
    "  --history-days N     jobs and events are kept so long in DIR/history.db; 0 = not at all; "
    "default: 30\n"
    "  --history-size SIZE  and take no more room than this, from 1M; default: 64M\n"
    "  --scrub-on-demand    zero-fill free VRAM when a partition is to get it, not in the "
    "background\n"
    "  --background         return when the host is ready, or say why not; log: "
    "DIR/vferryd.log\n"
    "  --version, --help\n"
    "\n"
    "example: vferryd --background --name A --state /tmp/A --listen 127.0.0.1:7001\n"
    "ends with: vferry --host /tmp/A/control.sock host stop\n";

#define MOST_DAYS 36500u

enum key {
    KEY_NAME,
    KEY_STATE,
    KEY_CONFIG,
    KEY_LISTEN,
    KEY_DEVICE,
    KEY_DRIVER,
    KEY_TLS_CERT,
    KEY_TLS_KEY,
    KEY_TLS_CA,
    KEY_TLS_PEER,
    KEY_INSECURE,
    KEY_GROUP,
    KEY_MOVES,
    KEY_SILENCE,
    KEY_REDIAL,
    KEY_HISTORY_DAYS,
    KEY_HISTORY_SIZE,
    KEY_SCRUB_ON_DEMAND,
    KEY_BACKGROUND,
    KEY_HELP,
    KEY_VERSION,
    KEYS
};

static const struct {
    const char *word;
    bool value; /* on the command line */
    bool in_file;
} keys[KEYS] = {
    [KEY_NAME] = {"name", true, true},
    [KEY_STATE] = {"state", true, true},
    [KEY_CONFIG] = {"config", true, false},
    [KEY_LISTEN] = {"listen", true, true},
    [KEY_DEVICE] = {"device", true, true},
    [KEY_DRIVER] = {"driver", true, true},
    [KEY_TLS_CERT] = {"tls-cert", true, true},
    [KEY_TLS_KEY] = {"tls-key", true, true},
    [KEY_TLS_CA] = {"tls-ca", true, true},
    [KEY_TLS_PEER] = {"tls-peer", true, true},
    [KEY_INSECURE] = {"insecure", false, true},
    [KEY_SILENCE] = {"silence", true, true},
    [KEY_REDIAL] = {"redial", true, true},
    [KEY_GROUP] = {"socket-group", true, true},
    [KEY_MOVES] = {"moves-at-once", true, true},
    [KEY_HELP] = {"help", false, false},
    [KEY_VERSION] = {"version", false, false},
    [KEY_HISTORY_DAYS] = {"history-days", true, true},
    [KEY_HISTORY_SIZE] = {"history-size", true, true},
    [KEY_SCRUB_ON_DEMAND] = {"scrub-on-demand", false, true},
    [KEY_BACKGROUND] = {"background", false, false},
};

static enum key find_key(const char *word, size_t length)
{
    size_t key = 0;

    while (key < KEYS &&
           (strlen(keys[key].word) != length || strncmp(keys[key].word, word, length) != 0))
        key++;
    return (enum key)key;
}

static int set_text(char *to, size_t room, const char *key, const char *value, struct vf_error *err)
{
    if (value[0] == '\0')
        return vf_fail(err, VF_USAGE, "%s: has no value" VF_REMEDY "give one or leave it out", key);
    if (strlen(value) >= room)
        return vf_fail(err, VF_USAGE, "%s %s: longer than the %zu characters there is room for",
                       key, VF_SHOWN(value), room - 1);
    memcpy(to, value, strlen(value) + 1);
    return 0;
}

static int set_once(char *to, size_t room, const char *key, const char *value, struct vf_error *err)
{
    if (to[0] != '\0')
        return vf_fail(err, VF_USAGE, "%s: given twice" VF_REMEDY "give it once", key);
    return set_text(to, room, key, value, err);
}

static int add_text(char *list, size_t room, size_t *count, size_t most, const char *key,
                    const char *value, struct vf_error *err)
{
    if (*count == most)
        return vf_fail(err, VF_USAGE, "%s: more than %zu" VF_REMEDY "a host has at most so many",
                       key, most);
    if (set_text(list + *count * room, room, key, value, err) != 0)
        return -1;
    (*count)++;
    return 0;
}

static int set_flag(bool *to, bool *said, const char *key, const char *value, struct vf_error *err)
{
    bool yes = strcmp(value, "yes") == 0 || strcmp(value, "on") == 0 || strcmp(value, "true") == 0;
    bool no = strcmp(value, "no") == 0 || strcmp(value, "off") == 0 || strcmp(value, "false") == 0;

    if (*said)
        return vf_fail(err, VF_USAGE, "%s: given twice" VF_REMEDY "give it once", key);
    *said = true;
    if (!yes && !no)
        return vf_fail(err, VF_USAGE, "%s = %s: is neither yes nor no", key, VF_SHOWN(value));
    *to = yes;
    return 0;
}

static int set_count(unsigned *to, const char *key, const char *value, struct vf_error *err)
{
    uint64_t count;

    if (*to != 0)
        return vf_fail(err, VF_USAGE, "%s: given twice" VF_REMEDY "give it once", key);
    if (vf_number_parse(value, &count) != 0 || count == 0 || count > VF_MAX_PARTITIONS)
        return vf_fail(err, VF_USAGE, "%s %s: is no number of moves" VF_REMEDY "give 1 to %u", key,
                       VF_SHOWN(value), VF_MAX_PARTITIONS);
    *to = (unsigned)count;
    return 0;
}

/* A time from 0.1 s on; a plain number is seconds. */
static int set_time(uint64_t *to, uint64_t most_s, const char *key, const char *value,
                    struct vf_error *err)
{
    uint64_t ns;

    if (*to != 0)
        return vf_fail(err, VF_USAGE, "%s: given twice" VF_REMEDY "give it once", key);
    if (vf_duration_parse(value, 1000000000u, &ns) != 0 || ns < 100000000u ||
        ns > most_s * 1000000000u)
        return vf_fail(err, VF_USAGE,
                       "%s %s: is no time from 100ms to %" PRIu64 "s" VF_REMEDY
                       "give seconds, or e.g. 500ms or 1m30s",
                       key, VF_SHOWN(value), most_s);
    *to = ns;
    return 0;
}

static int set_days(struct config *config, const char *key, const char *value, struct vf_error *err)
{
    uint64_t days;

    if (config->history_given)
        return vf_fail(err, VF_USAGE, "%s: given twice; give it once", key);
    if (vf_number_parse(value, &days) != 0 || days > MOST_DAYS)
        return vf_fail(err, VF_USAGE, "%s %s: give days, from 1 to %u, or 0 for no history", key,
                       VF_SHOWN(value), MOST_DAYS);
    config->history_days = (unsigned)days;
    config->history_given = true;
    return 0;
}

static int set_history_size(uint64_t *to, const char *key, const char *value, struct vf_error *err)
{
    if (*to != 0)
        return vf_fail(err, VF_USAGE, "%s: given twice; give it once", key);
    if (vf_size_parse(value, to) != 0 || *to < HISTORY_MIN_BYTES || *to > HISTORY_MOST_BYTES) {
        *to = 0;
        return vf_fail(err, VF_USAGE, "%s %s: give a size from 1M to 1T", key, VF_SHOWN(value));
    }
    return 0;
}

/* `shown` is the key as the person wrote it. */
static int set(struct config *config, enum key key, const char *shown, const char *value,
               struct vf_error *err)
{
    switch (key) {
    case KEY_NAME:
        return set_once(config->name, sizeof config->name, shown, value, err);
    case KEY_STATE:
        return set_once(config->state, sizeof config->state, shown, value, err);
    case KEY_CONFIG:
        return set_once(config->file, sizeof config->file, shown, value, err);
    case KEY_LISTEN:
        return set_once(config->listen, sizeof config->listen, shown, value, err);
    case KEY_DEVICE:
        return add_text(config->devices[0], sizeof config->devices[0], &config->device_count,
                        VF_MAX_ADAPTERS, shown, value, err);
    case KEY_DRIVER:
        return add_text(config->drivers[0], sizeof config->drivers[0], &config->driver_count,
                        VF_MAX_ADAPTERS, shown, value, err);
    case KEY_TLS_CERT:
        return set_once(config->tls_cert, sizeof config->tls_cert, shown, value, err);
    case KEY_TLS_KEY:
        return set_once(config->tls_key, sizeof config->tls_key, shown, value, err);
    case KEY_TLS_CA:
        return set_once(config->tls_ca, sizeof config->tls_ca, shown, value, err);
    case KEY_TLS_PEER:
        return add_text(config->tls_peers[0], sizeof config->tls_peers[0], &config->tls_peer_count,
                        CONFIG_MAX_PEERS, shown, value, err);
    case KEY_INSECURE:
        return set_flag(&config->insecure, &config->insecure_said, shown, value, err);
    case KEY_GROUP:
        return set_once(config->socket_group, sizeof config->socket_group, shown, value, err);
    case KEY_MOVES:
        return set_count(&config->moves_at_once, shown, value, err);
    case KEY_SILENCE:
        return set_time(&config->silence_ns, 3600, shown, value, err);
    case KEY_REDIAL:
        return set_time(&config->redial_ns, 86400, shown, value, err);
    case KEY_HISTORY_DAYS:
        return set_days(config, shown, value, err);
    case KEY_HISTORY_SIZE:
        return set_history_size(&config->history_bytes, shown, value, err);
    case KEY_SCRUB_ON_DEMAND:
        return set_flag(&config->scrub_on_demand, &config->scrub_said, shown, value, err);
    case KEY_BACKGROUND:
        return set_flag(&config->background, &config->background_said, shown, value, err);
    case KEY_HELP:
        config->action = CONFIG_HELP;
        return 0;
    case KEY_VERSION:
        config->action = CONFIG_VERSION;
        return 0;
    case KEYS:
        break;
    }
    return vf_fail(err, VF_USAGE, "%s: no such option" VF_REMEDY "see vferryd --help",
                   VF_SHOWN(shown));
}

struct reading {
    struct config *config;
    struct vf_error *err;
    bool failed;
};

static int take_line(void *user, const char *section, const char *name, const char *value)
{
    struct reading *reading = user;
    enum key key = find_key(name, strlen(name));
    int result;

    if (reading->failed)
        return 0; /* the parser goes on after an error; the first one is what people need */
    if (section[0] != '\0' && strcmp(section, "vferryd") != 0)
        result = vf_fail(reading->err, VF_USAGE,
                         "[%s]: no such section" VF_REMEDY "the keys go into [vferryd]",
                         VF_SHOWN(section));
    else if (key == KEYS || !keys[key].in_file)
        result = vf_fail(reading->err, VF_USAGE,
                         "%s: no such key" VF_REMEDY
                         "there are name, state, listen, device, driver, tls-cert, tls-key, "
                         "tls-ca, tls-peer, insecure, silence, redial, socket-group, "
                         "moves-at-once, "
                         "history-days, history-size, scrub-on-demand",
                         VF_SHOWN(name));
    else
        result = set(reading->config, key, name, value, reading->err);
    reading->failed = result != 0;
    return result == 0;
}

int config_read(const char *path, struct config *config, struct vf_error *err)
{
    struct reading reading = {.config = config, .err = err};
    int line = ini_parse(path, take_line, &reading);

    if (line == -1)
        return vf_fail_errno(err, VF_USAGE, errno != 0 ? errno : EIO,
                             "--config %s" VF_REMEDY "give a file that can be read", path);
    if (line < 0)
        return vf_fail(err, VF_FAILED, "--config %s: " VF_NO_MEMORY, path);
    if (reading.failed)
        return vf_context(err, "%s, line %d", path, line);
    if (line > 0)
        return vf_fail(err, VF_USAGE, "%s, line %d: is neither [section] nor key = value", path,
                       line);
    return 0;
}

/* What was meant, of the keys; NULL when nothing is close. */
static const char *meant(const char *word, size_t length)
{
    struct vf_nearest nearest = {.word = word, .length = length};

    for (size_t key = 0; key < KEYS; key++)
        vf_nearest_try(&nearest, keys[key].word);
    return vf_nearest(&nearest);
}

static int no_such_option(const char *argument, size_t length, struct vf_error *err)
{
    const char *word = meant(argument + 2, length - 2);

    return vf_fail(err, VF_USAGE, "%s: no such option" VF_REMEDY "%s%s%ssee vferryd --help",
                   VF_SHOWN(argument), word != NULL ? "did you mean \"--" : "",
                   word != NULL ? word : "", word != NULL ? "\"? else " : "");
}

static int parse_argument(int argc, char **argv, int *at, struct config *config,
                          struct vf_error *err)
{
    const char *argument = argv[*at];
    const char *equals = strchr(argument, '=');
    size_t length = equals != NULL ? (size_t)(equals - argument) : strlen(argument);
    const char *value = equals != NULL ? equals + 1 : NULL;
    enum key key;

    if (strncmp(argument, "--", 2) != 0 || length <= 2)
        return vf_fail(err, VF_USAGE,
                       "%.200s: vferryd takes options only" VF_REMEDY "see vferryd --help",
                       argument);
    key = find_key(argument + 2, length - 2);
    if (key == KEYS)
        return no_such_option(argument, length, err);
    if (!keys[key].value && value != NULL)
        return vf_fail(err, VF_USAGE, "--%s: takes no value; leave \"=%s\" out", keys[key].word,
                       VF_SHOWN(value));
    if (keys[key].value && value == NULL) {
        if (*at + 1 >= argc)
            return vf_fail(err, VF_USAGE, "%s: its value is missing" VF_REMEDY "see vferryd --help",
                           argument);
        value = argv[++*at];
    }
    return set(config, key, argument, value != NULL ? value : "yes", err);
}

/* Where the command line is silent, the file speaks. */
static void merge(struct config *config, const struct config *file)
{
    if (config->name[0] == '\0')
        memcpy(config->name, file->name, sizeof config->name);
    if (config->state[0] == '\0')
        memcpy(config->state, file->state, sizeof config->state);
    if (config->listen[0] == '\0')
        memcpy(config->listen, file->listen, sizeof config->listen);
    if (config->socket_group[0] == '\0')
        memcpy(config->socket_group, file->socket_group, sizeof config->socket_group);
    if (config->moves_at_once == 0)
        config->moves_at_once = file->moves_at_once;
    if (config->device_count == 0) {
        memcpy(config->devices, file->devices, sizeof config->devices);
        config->device_count = file->device_count;
    }
    if (config->driver_count == 0) {
        memcpy(config->drivers, file->drivers, sizeof config->drivers);
        config->driver_count = file->driver_count;
    }
    if (config->tls_cert[0] == '\0')
        memcpy(config->tls_cert, file->tls_cert, sizeof config->tls_cert);
    if (config->tls_key[0] == '\0')
        memcpy(config->tls_key, file->tls_key, sizeof config->tls_key);
    if (config->tls_ca[0] == '\0')
        memcpy(config->tls_ca, file->tls_ca, sizeof config->tls_ca);
    if (config->tls_peer_count == 0) {
        memcpy(config->tls_peers, file->tls_peers, sizeof config->tls_peers);
        config->tls_peer_count = file->tls_peer_count;
    }
    config->insecure = config->insecure || file->insecure;
    if (config->silence_ns == 0)
        config->silence_ns = file->silence_ns;
    if (config->redial_ns == 0)
        config->redial_ns = file->redial_ns;
    config->scrub_on_demand = config->scrub_on_demand || file->scrub_on_demand;
    if (!config->history_given) {
        config->history_given = file->history_given;
        config->history_days = file->history_days;
    }
    if (config->history_bytes == 0)
        config->history_bytes = file->history_bytes;
}

int config_parse(int argc, char **argv, struct config *config, struct vf_error *err)
{
    struct config *file;
    int result = 0;

    memset(config, 0, sizeof *config);
    for (int i = 1; i < argc && config->action == CONFIG_RUN; i++) {
        if (parse_argument(argc, argv, &i, config, err) != 0)
            return -1;
    }
    if (config->action != CONFIG_RUN)
        return 0;
    if (config->file[0] != '\0') {
        file = calloc(1, sizeof *file);
        result = file == NULL ? vf_fail(err, VF_FAILED, VF_NO_MEMORY)
                              : config_read(config->file, file, err);
        if (result == 0)
            merge(config, file);
        free(file);
    }
    if (result == 0 && config->state[0] == '\0')
        return vf_fail(err, VF_USAGE,
                       "no --state DIR" VF_REMEDY
                       "say where this host keeps its sockets and journal");
    return result;
}
