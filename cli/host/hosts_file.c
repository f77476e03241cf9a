// SPDX-License-Identifier: Apache-2.0
/* See hosts_file.h. */
#include "cli/host/hosts_file.h"

#include "base/cleanup.h"
#include "base/plain.h"

#include <errno.h>
#include <ini.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct reading {
    struct host_entry *list;
    size_t count;
    struct vf_error *err;
    bool failed;
};

/* Which file it is; "" when there is none. One that $VFERRY_HOSTS names must be there. */
static int find_file(char path[PATH_MAX])
{
    const char *given = getenv("VFERRY_HOSTS");
    const char *config = getenv("XDG_CONFIG_HOME");
    const char *home = getenv("HOME");
    int length = 0;

    if (given != NULL && given[0] != '\0')
        return snprintf(path, PATH_MAX, "%s", given);
    path[0] = '\0';
    if (config != NULL && config[0] == '/')
        length = snprintf(path, PATH_MAX, "%s/vferry/hosts", config);
    else if (home != NULL && home[0] == '/')
        length = snprintf(path, PATH_MAX, "%s/.config/vferry/hosts", home);
    if (length > 0 && length < PATH_MAX && access(path, F_OK) == 0)
        return length;
    length = snprintf(path, PATH_MAX, "/etc/vferry/hosts");
    if (access(path, F_OK) != 0)
        path[length = 0] = '\0';
    return length;
}

static struct host_entry *entry_of(struct reading *reading, const char *name)
{
    struct host_entry *entry;

    for (size_t i = 0; i < reading->count; i++) {
        if (strcmp(reading->list[i].name, name) == 0)
            return &reading->list[i];
    }
    if (!vf_name_valid(name)) {
        (void)vf_fail(reading->err, VF_USAGE,
                      "[%s]: a name is a letter or digit, then up to %u letters, digits and "
                      ". _ -",
                      VF_SHOWN(name), VF_NAME_BYTES - 2);
        return NULL;
    }
    if (reading->count == HOSTS_MAX) {
        (void)vf_fail(reading->err, VF_USAGE, "[%s]: is one host too many; there may be %u", name,
                      HOSTS_MAX);
        return NULL;
    }
    entry = &reading->list[reading->count++];
    memcpy(entry->name, name, strlen(name) + 1);
    return entry;
}

static int set(char *to, size_t bytes, const char *key, const char *value, struct vf_error *err)
{
    if (to[0] != '\0')
        return vf_fail(err, VF_USAGE, "%s: given twice; give it once", key);
    if (value[0] == '\0' || strlen(value) >= bytes)
        return vf_fail(err, VF_USAGE, "%s: is empty, or longer than %zu bytes; mend it", key,
                       bytes - 1);
    memcpy(to, value, strlen(value) + 1);
    return 0;
}

static int take_key(struct host_entry *entry, const char *key, const char *value,
                    struct vf_error *err)
{
    if (strcmp(key, "socket") == 0 && value[0] != '/')
        return vf_fail(err, VF_USAGE, "socket = %s: is no absolute path; begin it with /",
                       VF_SHOWN(value));
    if (strcmp(key, "socket") == 0)
        return set(entry->socket, sizeof entry->socket, key, value, err);
    if (strcmp(key, "address") == 0 && strchr(value, ':') == NULL)
        return vf_fail(err, VF_USAGE, "address = %s: has no port; give HOST:PORT", VF_SHOWN(value));
    if (strcmp(key, "address") == 0)
        return set(entry->address, sizeof entry->address, key, value, err);
    return vf_fail(err, VF_USAGE, "%s: no such key; there are socket and address", VF_SHOWN(key));
}

static int take_line(void *user, const char *section, const char *key, const char *value)
{
    struct reading *reading = user;
    struct host_entry *entry;

    if (reading->failed)
        return 0; /* the parser goes on after an error; the first one is what people need */
    entry = entry_of(reading, section);
    reading->failed = entry == NULL || take_key(entry, key, value, reading->err) != 0;
    return !reading->failed;
}

int hosts_read(struct host_entry **list, size_t *count, struct vf_error *err)
{
    cleanup_free struct host_entry *room = NULL;
    struct reading reading = {.err = err};
    char path[PATH_MAX];
    int line;

    *list = NULL;
    *count = 0;
    if (find_file(path) == 0)
        return 0;
    room = calloc(HOSTS_MAX, sizeof *room);
    if (room == NULL)
        return vf_fail(err, VF_FAILED, "hosts file: " VF_NO_MEMORY);
    reading.list = room;
    errno = 0;
    line = ini_parse(path, take_line, &reading);
    if (line < 0)
        return vf_fail_errno(err, VF_USAGE, errno != 0 ? errno : EIO, "hosts file %s", path);
    if (reading.failed)
        return vf_context(err, "hosts file %s, line %d", path, line);
    if (line > 0)
        return vf_fail(err, VF_USAGE,
                       "hosts file %s, line %d: is neither [NAME] nor key = value; mend it", path,
                       line);
    *count = reading.count;
    if (reading.count > 0) {
        *list = room;
        room = NULL;
    }
    return 0;
}

int hosts_find(const char *name, struct host_entry *out, struct vf_error *err)
{
    cleanup_free struct host_entry *list = NULL;
    size_t count;

    if (hosts_read(&list, &count, err) != 0)
        return -1;
    for (size_t i = 0; i < count; i++) {
        if (strcmp(list[i].name, name) == 0) {
            *out = list[i];
            return 1;
        }
    }
    return 0;
}
