// SPDX-License-Identifier: Apache-2.0
/* vferry save, restore, image info and image verify. Files are opened here, with the rights of
 * whoever asks; an image is read without any host. */
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/json_text.h"
#include "base/size.h"
#include "cli/move/migrate.h"
#include "cli/output/style.h"
#include "cli/show.h"
#include "migrate/image/image.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static void put_text(json_t *object, const char *key, const char *text)
{
    (void)json_object_set_new(object, key, vf_json_text(text));
}

static void put_number(json_t *object, const char *key, uint64_t value)
{
    (void)json_object_set_new(object, key,
                              json_integer(value > INT64_MAX ? INT64_MAX : (json_int_t)value));
}

/* The absolute path, for people on both ends: "directory/name". */
static int put_path(json_t *args, const char *directory, const char *name, const char *option,
                    struct vf_error *err)
{
    cleanup_free char *real = realpath(directory, NULL);
    cleanup_free char *path = NULL;

    if (real == NULL)
        return vf_fail_errno(err, VF_FAILED, errno, "%s: %s", option, directory);
    if (asprintf(&path, "%s/%s", strcmp(real, "/") == 0 ? "" : real, name) < 0) {
        path = NULL;
        return vf_fail(err, VF_FAILED, "%s: " VF_NO_MEMORY, option);
    }
    put_text(args, "path", path);
    return 0;
}

/* The directory that a path's last part lies in, "." when it has no other. */
static char *directory_of(const char *path, const char **name)
{
    const char *slash = strrchr(path, '/');

    *name = slash != NULL ? slash + 1 : path;
    if (slash == NULL)
        return strdup(".");
    return slash == path ? strdup("/") : strndup(path, (size_t)(slash - path));
}

int cmd_save(const struct command *command, struct vf_error *err)
{
    const char *name;
    cleanup_free char *directory = directory_of(command->output, &name);
    cleanup_close int fd = -1;

    if (directory == NULL)
        return vf_fail(err, VF_FAILED, "--output: " VF_NO_MEMORY);
    fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return vf_fail_errno(err, VF_FAILED, errno,
                             "--output %s: its directory" VF_REMEDY "make it first",
                             command->output);
    /* The daemon makes the file, and gives it its name only when it is whole: it gets
     * the directory. */
    if (json_object_set_new(command->args, "file", json_string(name)) != 0)
        return vf_fail(err, VF_USAGE, "--output: is no text in UTF-8; write it in plain letters");
    if (put_path(command->args, directory, name, "--output", err) != 0)
        return -1;
    return run_job(command, fd, err);
}

static int open_image_file(const char *path, const char *option, int *fd, struct vf_error *err)
{
    cleanup_close int file =
        open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a fifo must not make it wait */
    struct stat info;

    if (file < 0 || fstat(file, &info) != 0)
        return vf_fail_errno(err, VF_FAILED, errno, "%s%s" VF_REMEDY "give a file that can be read",
                             option, path);
    if (!S_ISREG(info.st_mode))
        return vf_fail(err, VF_FAILED,
                       "%s%s: is no regular file; an image is read more than once" VF_REMEDY
                       "copy it into one",
                       option, path);
    *fd = vf_take_fd(&file);
    return 0;
}

int cmd_restore(const struct command *command, struct vf_error *err)
{
    const char *name;
    cleanup_free char *directory = directory_of(command->input, &name);
    cleanup_close int fd = -1;

    if (directory == NULL)
        return vf_fail(err, VF_FAILED, "--input: " VF_NO_MEMORY);
    if (open_image_file(command->input, "--input ", &fd, err) != 0 ||
        put_path(command->args, directory, name, "--input", err) != 0)
        return -1;
    return run_job(command, fd, err);
}

static void put_time(json_t *object, uint64_t ns)
{
    time_t seconds = (time_t)(ns / 1000000000u);
    struct tm parts;
    char text[40];

    if (gmtime_r(&seconds, &parts) != NULL && strftime(text, sizeof text, "%FT%TZ", &parts) != 0)
        put_text(object, "saved", text);
    put_number(object, "saved_unix_ns", ns);
}

static json_t *image_object(const char *path, const struct image_facts *facts)
{
    const struct vf_partition_params *params = &facts->admit.params;
    json_t *object = json_pack("{s:s}", "schema", "vferry.image/1");
    char uuid[VF_UUID_TEXT];
    char digest[DIGEST_TEXT];

    vf_uuid_format(params->uuid, uuid);
    digest_format(facts->trailer.root, digest);
    put_text(object, "file", path);
    put_number(object, "version", facts->version);
    put_text(object, "partition", params->name);
    put_text(object, "uuid", uuid);
    put_number(object, "epoch", facts->admit.params.epoch);
    put_time(object, facts->origin.saved_ns);
    put_text(object, "host", facts->origin.host_name);
    put_text(object, "vferry", facts->origin.version);
    put_text(object, "device", facts->origin.device);
    put_text(object, "driver", facts->origin.driver);
    put_text(object, "description", facts->origin.description);
    (void)json_object_set_new(object, "kept", json_boolean(facts->origin.kept));
    (void)json_object_set_new(object, "paused", json_boolean(facts->admit.stay_paused != 0));
    put_number(object, "vram_bytes", params->vram_bytes);
    put_number(object, "page_bytes", facts->geometry.page_bytes);
    put_number(object, "pages", facts->trailer.pages);
    put_number(object, "content_bytes", facts->trailer.pages * facts->geometry.page_bytes);
    put_number(object, "immutable_bytes",
               (uint64_t)facts->admit.kmd.bytes + facts->admit.umed.bytes);
    put_number(object, "file_bytes", facts->trailer.file_bytes);
    put_text(object, "digest", digest);
    return object;
}

static int open_image(const char *path, struct image_reader **image, struct vf_error *err)
{
    int fd;

    return open_image_file(path, "", &fd, err) != 0 ? -1 : image_open(fd, path, image, err);
}

int cmd_image_info(const struct command *command, struct vf_error *err)
{
    struct image_reader *image;
    json_t *object;

    if (open_image(command->input, &image, err) != 0)
        return -1;
    object = image_object(command->input, image_facts(image));
    show_result(command, object);
    json_decref(object);
    image_reader_free(image);
    return 0;
}

static void show_progress(void *ctx, uint64_t done, uint64_t total)
{
    char text[2][32];

    (void)ctx;
    (void)printf("\r%s of %s\033[K", vf_size_format(done, text[0], sizeof text[0]),
                 vf_size_format(total, text[1], sizeof text[1]));
    (void)fflush(stdout);
}

int cmd_image_verify(const struct command *command, struct vf_error *err)
{
    bool terminal = !command->json && style_terminal();
    uint64_t begin = vf_now_ns();
    struct image_reader *image;
    int result;

    if (open_image(command->input, &image, err) != 0)
        return -1;
    result = image_verify(image, terminal ? show_progress : NULL, NULL, err);
    if (terminal)
        (void)printf("\r\033[K");
    if (result == 0) {
        json_t *object = image_object(command->input, image_facts(image));

        put_number(object, "duration_ns", vf_now_ns() - begin);
        show_result(command, object);
        json_decref(object);
    }
    image_reader_free(image);
    return result;
}
