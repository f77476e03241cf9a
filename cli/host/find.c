// SPDX-License-Identifier: Apache-2.0
/* See find.h. */
#include "cli/host/find.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/plain.h"
#include "cli/host/hosts_file.h"
#include "daemon/control/protocol.h"
#include "daemon/control/registry.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <string.h>
#include <sys/stat.h>

#define MAX_HOSTS 64u
#define COME_NS 5000000000ull  /* so long it is waited for when it seems to be starting */
#define GRACE_NS 1000000000ull /* and so long when nothing says so; then a word is due */

/* "A, B, C"; "" for none. */
static void list_names(const struct registry_entry *hosts, size_t count, char *text, size_t bytes)
{
    size_t used = 0;

    text[0] = '\0';
    for (size_t i = 0; i < count && used < bytes; i++) {
        int length = snprintf(text + used, bytes - used, "%s%s", i > 0 ? ", " : "", hosts[i].name);

        used += length > 0 ? (size_t)length : 0;
    }
}

static int find_default(const struct registry_entry *hosts, size_t count, char socket[PATH_MAX],
                        struct vf_error *err)
{
    char names[300];

    if (access(FIND_HOST_SERVICE, W_OK) == 0) {
        (void)strcpy(socket, FIND_HOST_SERVICE);
        return 0;
    }
    if (count == 1) {
        memcpy(socket, hosts[0].socket, strlen(hosts[0].socket) + 1);
        return 0;
    }
    if (count == 0)
        return vf_fail(err, VF_USAGE,
                       "which host? none of yours runs here" VF_REMEDY
                       "give --host DIR, the --state of its vferryd, or set VFERRY_HOST");
    list_names(hosts, count, names, sizeof names);
    return vf_fail(err, VF_USAGE, "which host? %s run here" VF_REMEDY "say e.g. --host %s", names,
                   hosts[0].name);
}

static int find_named(const char *name, const struct registry_entry *hosts, size_t count,
                      char socket[PATH_MAX], struct vf_error *err)
{
    char names[300];

    for (size_t i = 0; i < count; i++) {
        if (strcmp(hosts[i].name, name) == 0) {
            memcpy(socket, hosts[i].socket, strlen(hosts[i].socket) + 1);
            return 0;
        }
    }
    list_names(hosts, count, names, sizeof names);
    return vf_fail(err, VF_UNREACHABLE,
                   "host %s: none of this name runs here%s%s" VF_REMEDY
                   "give its name, or the directory that its vferryd has as --state",
                   name, count > 0 ? ", there is " : "", names);
}

/* A path: a directory's control socket, or the socket itself. What is not there yet is a directory
 * unless its name is the socket's. */
static int find_path(const char *host, char socket[PATH_MAX], struct vf_error *err)
{
    const char *name = strrchr(host, '/');
    struct stat info;
    bool directory = strcmp(name != NULL ? name + 1 : host, CTL_SOCKET_NAME) != 0;
    size_t length = strlen(host);

    if (stat(host, &info) == 0)
        directory = S_ISDIR(info.st_mode);
    while (directory && length > 1 && host[length - 1] == '/')
        length--;
    if (length + sizeof CTL_SOCKET_NAME >= PATH_MAX)
        return vf_fail(err, VF_USAGE, "--host %s: is longer than a path can be", VF_SHOWN(host));
    (void)snprintf(socket, PATH_MAX, "%.*s%s", (int)length, host,
                   directory ? "/" CTL_SOCKET_NAME : "");
    return 0;
}

int find_host(const char *host, char socket[PATH_MAX], struct vf_error *err)
{
    cleanup_free struct registry_entry *hosts = NULL;
    struct host_entry entry;
    size_t count;
    int listed;

    socket[0] = '\0';
    if (host != NULL && host[0] != '\0' &&
        (strchr(host, '/') != NULL || !vf_name_valid(host) || access(host, F_OK) == 0))
        return find_path(host, socket, err);
    listed = host != NULL && host[0] != '\0' ? hosts_find(host, &entry, err) : 0;
    if (listed < 0)
        return -1;
    if (listed > 0 && entry.socket[0] != '\0')
        return find_path(entry.socket, socket, err);
    hosts = calloc(MAX_HOSTS, sizeof *hosts);
    if (hosts == NULL)
        return vf_fail(err, VF_FAILED, "--host: " VF_NO_MEMORY);
    count = registry_list(hosts, MAX_HOSTS);
    return host == NULL || host[0] == '\0' ? find_default(hosts, count, socket, err)
                                           : find_named(host, hosts, count, socket, err);
}

/* The vferryd whose pid stands in the directory's lock, if it lives; else 0. The lock itself is not
 * tried: a vferryd that starts just now must find it free. */
static pid_t holder(const char *directory)
{
    char path[PATH_MAX];
    char text[32] = "";
    long pid;
    int fd;

    if (snprintf(path, sizeof path, "%s/lock", directory) >= (int)sizeof path)
        return 0;
    fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd >= 0 && read(fd, text, sizeof text - 1) < 0)
        text[0] = '\0';
    if (fd >= 0)
        (void)close(fd);
    pid = strtol(text, NULL, 10);
    if (pid <= 0 || pid > INT32_MAX)
        return 0;
    (void)snprintf(path, sizeof path, "/proc/%ld/comm", pid);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd >= 0 && read(fd, text, sizeof text - 1) < 0)
        text[0] = '\0';
    if (fd >= 0)
        (void)close(fd);
    return fd >= 0 && strncmp(text, "vferryd", 7) == 0 ? (pid_t)pid : 0;
}

/* How long it may be waited for, and what to say when that was in vain. */
static uint64_t worth_ns(const char *host, const char *socket, struct vf_error *err)
{
    char directory[PATH_MAX];
    char parent[PATH_MAX];
    pid_t pid;

    if (host == NULL || host[0] == '\0')
        return 0;
    if (socket[0] == '\0')
        return COME_NS; /* a name; the text is find_named's */
    (void)strcpy(parent, socket);
    (void)strcpy(directory, dirname(parent));
    pid = holder(directory);
    if (pid != 0) {
        (void)vf_fail(err, VF_UNREACHABLE,
                      "host %.200s: vferryd (pid %d) is there and takes no connection" VF_REMEDY
                      "see its log: it is starting or ending, or try again",
                      directory, (int)pid);
        return COME_NS;
    }
    (void)vf_fail(err, VF_UNREACHABLE,
                  "host %.200s: no vferryd runs there" VF_REMEDY
                  "start one with \"vferryd --state %.200s\", or name another host",
                  directory, directory);
    if (access(directory, F_OK) == 0)
        return GRACE_NS;
    (void)strcpy(parent, directory);
    return access(dirname(parent), W_OK) == 0 ? COME_NS : 0;
}

bool host_may_come(struct host_wait *wait, const char *host, const char *socket,
                   struct vf_error *err)
{
    const uint64_t now = vf_now_ns();
    uint64_t worth = worth_ns(host, socket, err);

    if (wait->begin_ns == 0)
        wait->begin_ns = now;
    if (wait->limit_ns != 0 && wait->limit_ns < worth)
        worth = wait->limit_ns;
    if (now - wait->begin_ns >= worth)
        return false;
    if (!wait->told && now - wait->begin_ns >= GRACE_NS) {
        (void)fprintf(stderr, "vferry: waiting for host %s to come up; Ctrl-C gives up\n",
                      VF_SHOWN(host));
        wait->told = true;
    }
    return true;
}
