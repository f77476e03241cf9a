// SPDX-License-Identifier: Apache-2.0
/* See file.h. */
#define LOG_ROOM "image"
#include "migrate/image/file.h"

#include "base/cleanup.h"
#include "base/log.h"
#include "base/plain.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>

#define TRIES 16

/* Is it a plain name, to be opened in a directory? */
static bool name_valid(const char *name)
{
    const size_t length = strlen(name);

    return length > 0 && length < sizeof((struct image_file *)0)->name &&
           strchr(name, '/') == NULL && strcmp(name, ".") != 0 && strcmp(name, "..") != 0;
}

/* Where the name lies, for texts: its directory as this process sees it. */
static const char *whole_path(int directory, const char *name, char path[PATH_MAX])
{
    char self[64];
    char where[PATH_MAX];
    ssize_t length;

    (void)snprintf(self, sizeof self, "/proc/self/fd/%d", directory);
    length = readlink(self, where, sizeof where - 1);
    where[length > 0 ? length : 0] = '\0';
    if (length <= 0 ||
        snprintf(path, PATH_MAX, "%s/%s", strcmp(where, "/") == 0 ? "" : where, name) >= PATH_MAX)
        (void)snprintf(path, PATH_MAX, "%s", name);
    return path;
}

/* Only a file that may be an older image is offered for removal. */
static int fail_taken(int directory, const char *name, struct vf_error *err)
{
    char path[PATH_MAX];
    struct stat info;
    mode_t mode = S_IFREG;

    if (fstatat(directory, name, &info, AT_SYMLINK_NOFOLLOW) == 0)
        mode = info.st_mode;
    (void)whole_path(directory, name, path);
    if (S_ISDIR(mode))
        return vf_fail(err, VF_FAILED,
                       "image %.400s: is a directory" VF_REMEDY "give the name of a new file in it",
                       path);
    if (S_ISCHR(mode) || S_ISBLK(mode))
        return vf_fail(err, VF_FAILED,
                       "image %.400s: is a device, and an image is a file" VF_REMEDY
                       "give the name of a new file",
                       path);
    if (S_ISFIFO(mode) || S_ISSOCK(mode))
        return vf_fail(err, VF_FAILED,
                       "image %.400s: is a pipe or a socket, and an image is a file" VF_REMEDY
                       "give the name of a new file",
                       path);
    return vf_fail(err, VF_FAILED,
                   "image %.400s: there is a file of that name already, and it is never "
                   "replaced" VF_REMEDY "choose another name or remove it first",
                   path);
}

static int start(struct image_file *file, int directory, const char *name, struct vf_error *err)
{
    struct stat info;

    *file = (struct image_file)IMAGE_FILE_INIT;
    file->directory = directory;
    if (!name_valid(name))
        return vf_fail(err, VF_USAGE, "image \"%s\": is no name for a file", VF_SHOWN(name));
    (void)snprintf(file->name, sizeof file->name, "%s", name);
    /* Asked for now so that nobody waits for a save that cannot be named;
     * image_file_publish decides. */
    if (fstatat(directory, name, &info, AT_SYMLINK_NOFOLLOW) == 0)
        return fail_taken(directory, name, err);
    return 0;
}

/* The file exists: a second descriptor names it at the end. */
static int finish_open(struct image_file *file, struct vf_error *err)
{
    file->link_fd = fcntl(file->fd, F_DUPFD_CLOEXEC, 0);
    return file->link_fd >= 0 ? 0 : vf_fail_errno(err, VF_FAILED, errno, "image %s", file->name);
}

static int make_named(struct image_file *file, struct vf_error *err)
{
    for (int i = 0; i < TRIES; i++) {
        uint32_t random;

        if (getrandom(&random, sizeof random, 0) != (ssize_t)sizeof random)
            break;
        (void)snprintf(file->temporary, sizeof file->temporary, ".%.200s.vferry-%08" PRIx32,
                       file->name, random);
        file->fd = openat(file->directory, file->temporary,
                          O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (file->fd >= 0)
            return finish_open(file, err);
        if (errno != EEXIST)
            break;
    }
    file->temporary[0] = '\0';
    return vf_fail_errno(err, VF_FAILED, errno, "image %s: cannot be made there", file->name);
}

int image_file_open_named(struct image_file *file, int directory, const char *name,
                          struct vf_error *err)
{
    return start(file, directory, name, err) != 0 ? -1 : make_named(file, err);
}

int image_file_open(struct image_file *file, int directory, const char *name, struct vf_error *err)
{
    if (start(file, directory, name, err) != 0)
        return -1;
    file->fd = openat(directory, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (file->fd >= 0)
        return finish_open(file, err);
    /* What file systems and kernels say that do not know O_TMPFILE. */
    if (errno == EOPNOTSUPP || errno == EISDIR || errno == EINVAL || errno == ENOENT)
        return make_named(file, err);
    return vf_fail_errno(err, VF_FAILED, errno, "image %s: cannot be made there", file->name);
}

int image_file_take(struct image_file *file)
{
    return vf_take_fd(&file->fd);
}

/* linkat never replaces, unlike rename. */
static int link_name(struct image_file *file)
{
    char self[64];

    if (file->temporary[0] != '\0')
        return linkat(file->directory, file->temporary, file->directory, file->name, 0);
    (void)snprintf(self, sizeof self, "/proc/self/fd/%d", file->link_fd);
    return linkat(AT_FDCWD, self, file->directory, file->name, AT_SYMLINK_FOLLOW);
}

int image_file_publish(struct image_file *file, struct vf_error *err)
{
    if (link_name(file) != 0)
        return errno == EEXIST
                   ? fail_taken(file->directory, file->name, err)
                   : vf_fail_errno(err, VF_FAILED, errno, "image %s: cannot be named", file->name);
    if (file->temporary[0] != '\0' && unlinkat(file->directory, file->temporary, 0) == 0)
        file->temporary[0] = '\0';
    if (fsync(file->directory) != 0) {
        (void)vf_fail_errno(err, VF_FAILED, errno, "image %s: its directory cannot be synced",
                            file->name);
        image_file_withdraw(file);
        return -1;
    }
    return 0;
}

void image_file_withdraw(struct image_file *file)
{
    if (unlinkat(file->directory, file->name, 0) != 0)
        log_warn("image %s: cannot be removed again: %s", file->name, strerrordesc_np(errno));
}

void image_file_close(struct image_file *file)
{
    if (file->temporary[0] != '\0' && unlinkat(file->directory, file->temporary, 0) != 0)
        log_warn("image %s: %s stays behind: %s", file->name, file->temporary,
                 strerrordesc_np(errno));
    if (file->fd >= 0)
        (void)close(file->fd);
    if (file->link_fd >= 0)
        (void)close(file->link_fd);
    if (file->directory >= 0)
        (void)close(file->directory);
    *file = (struct image_file)IMAGE_FILE_INIT;
}
