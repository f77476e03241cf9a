// SPDX-License-Identifier: Apache-2.0
/*
 * What a person may write into vferryd's FILE.ini and onto its command line. Input: u8 mode, then
 * the file (FILE_INI), or arguments between zero bytes (LINE), a number (NUMBERS), or what a
 * device's SPEC says behind its name (SPEC). Whatever it is, it is taken or refused with a text.
 */
#include "fuzz/directory.h"
#include "fuzz/target.h"

#include "base/size.h"
#include "daemon/config.h"
#include "softgpu.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

enum mode { FILE_INI, LINE, NUMBERS, SPEC, MODES };

#define MAX_ARGUMENTS 32u

static const char *const files[] = {"f.ini", NULL};

/* Every text in it has an end. */
static void check_texts(const struct config *config)
{
    fuzz_must(config->device_count <= VF_MAX_ADAPTERS && config->driver_count <= VF_MAX_ADAPTERS);
    fuzz_must(memchr(config->name, 0, sizeof config->name) != NULL);
    fuzz_must(memchr(config->state, 0, sizeof config->state) != NULL);
    fuzz_must(memchr(config->listen, 0, sizeof config->listen) != NULL);
    for (size_t i = 0; i < config->device_count; i++)
        fuzz_must(memchr(config->devices[i], 0, sizeof config->devices[i]) != NULL);
    fuzz_must(config->tls_peer_count <= CONFIG_MAX_PEERS);
    for (size_t i = 0; i < config->tls_peer_count; i++)
        fuzz_must(memchr(config->tls_peers[i], 0, sizeof config->tls_peers[i]) != NULL);
    for (size_t i = 0; i < config->driver_count; i++)
        fuzz_must(memchr(config->drivers[i], 0, sizeof config->drivers[i]) != NULL);
    fuzz_must(memchr(config->tls_cert, 0, sizeof config->tls_cert) != NULL);
    fuzz_must(memchr(config->tls_key, 0, sizeof config->tls_key) != NULL);
    fuzz_must(memchr(config->tls_ca, 0, sizeof config->tls_ca) != NULL);
    fuzz_must(config->tls_peer_count <= CONFIG_MAX_PEERS);
    for (size_t i = 0; i < config->tls_peer_count; i++)
        fuzz_must(memchr(config->tls_peers[i], 0, sizeof config->tls_peers[i]) != NULL);
}

static void judge(struct config *config, int result, const struct vf_error *err)
{
    struct vf_error second = VF_ERROR_INIT;
    int finished;

    check_texts(config);
    fuzz_must(result == 0 || err->text[0] != '\0');
    if (result != 0 || config->action != CONFIG_RUN)
        return;
    if (config->listen[0] != '\0' && config->listen[0] != '[' &&
        strspn(config->listen, "0123456789.:") != strlen(config->listen))
        config->listen[0] = '\0'; /* a name would be looked up */
    finished = config_finish(config, &second);
    fuzz_must(finished == 0 || second.text[0] != '\0');
    fuzz_must(finished != 0 || vf_name_valid(config->name));
    check_texts(config);
}

static void test_file(struct fuzz_input *in)
{
    static struct config config;
    struct vf_error err = VF_ERROR_INIT;
    char path[128];
    int fd;

    (void)snprintf(path, sizeof path, "%s/f.ini", fuzz_directory(files));
    fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    fuzz_must(fd >= 0 && write(fd, in->at, in->left) == (ssize_t)in->left && close(fd) == 0);
    memset(&config, 0, sizeof config);
    judge(&config, config_read(path, &config, &err), &err);
}

static void test_line(struct fuzz_input *in)
{
    static struct config config;
    struct vf_error err = VF_ERROR_INIT;
    char program[] = "vferryd", *argv[MAX_ARGUMENTS + 2] = {program};
    char *text = malloc(in->left + 1), *at = text;
    int argc = 1;

    fuzz_must(text != NULL);
    memcpy(text, in->at, in->left);
    text[in->left] = '\0';
    for (; at < text + in->left && argc <= (int)MAX_ARGUMENTS; at += strlen(at) + 1)
        if (strstr(at, "config") == NULL) /* no file of this machine is read */
            argv[argc++] = at;
    judge(&config, config_parse(argc, argv, &config, &err), &err);
    free(text);
}

/* Sizes and numbers, as they stand in both and on vferry's command line. */
static void test_numbers(struct fuzz_input *in)
{
    char *text = strndup((const char *)in->at, in->left);
    char shown[64];
    uint64_t value = 0;

    fuzz_must(text != NULL);
    if (vf_size_parse(text, &value) == 0)
        fuzz_must(strlen(vf_size_format(value, shown, sizeof shown)) < sizeof shown - 1);
    if (vf_number_parse(text, &value) == 0)
        fuzz_must(strlen(vf_time_format(value, shown, sizeof shown)) < sizeof shown - 1);
    free(text);
}

/* A device's own options, taken apart at the commas as its loader does it. */
static void test_spec(struct fuzz_input *in)
{
    char *text = strndup((const char *)in->at, in->left), *next = NULL;
    struct vf_device_option list[MAX_ARGUMENTS];
    char why[256] = "";
    struct sg_options options;
    size_t count = 0;

    fuzz_must(text != NULL);
    for (char *one = strtok_r(text, ",", &next); one != NULL && count < MAX_ARGUMENTS;
         one = strtok_r(NULL, ",", &next)) {
        char *value = strchr(one, '=');

        if (value != NULL)
            *value++ = '\0';
        list[count++] = (struct vf_device_option){one, value != NULL ? value : ""};
    }
    if (sg_options_parse(&options, list, count, why, sizeof why) == 0) {
        fuzz_must(options.vram_bytes >= SG_MIN_VRAM && options.vram_bytes <= SG_MAX_VRAM);
        fuzz_must(options.vfs >= 1 && options.vfs <= SG_MAX_VFS);
        fuzz_must(options.dirty_page_bytes >= 4096 && options.dirty_page_bytes <= 2u << 20 &&
                  (options.dirty_page_bytes & (options.dirty_page_bytes - 1)) == 0);
    } else {
        fuzz_must(why[0] != '\0' && memchr(why, 0, sizeof why) != NULL);
    }
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input in = {data, size};

    switch (fuzz_number(&in, 1) % MODES) {
    case FILE_INI:
        test_file(&in);
        break;
    case LINE:
        test_line(&in);
        break;
    case NUMBERS:
        test_numbers(&in);
        break;
    default:
        test_spec(&in);
        break;
    }
    return 0;
}

size_t fuzz_seed(unsigned index, uint8_t *data)
{
    static const struct {
        uint8_t mode;
        const char *text;
    } seeds[] = {
        {FILE_INI, "name = A\nstate = /tmp/A\nlisten = 127.0.0.1:7001\ndevice = softgpu,vram=4G\n"
                   "device = softgpu\ndriver = /x/softgpu.so\ninsecure = no\n"},
        {FILE_INI, "; a comment\n[vferryd]\nname: B # another\nstate = /tmp/B\n\nsilence = 2.5\n"
                   "redial = 40\n"},
        {FILE_INI, "listen = 127.0.0.1:1\ntls-cert = /a\ntls-key = /b\ntls-ca = /c\ntls-peer = B\n"
                   "tls-peer = *.cluster\nsocket-group = root\nmoves-at-once = 16\nstate = s\n"},
        {FILE_INI, "[other]\nname = A\n"},
        {FILE_INI, "\xef\xbb\xbfname = A\n state\n= x\nno such key = 1\n"},
        {LINE,
         "--name\nA\n--state=/tmp/A\n--listen\n[::1]:0\n--device\nsoftgpu,vram=4G\n--insecure"},
        {LINE, "--state\nx\n--silence\n0.1\n--redial=86400\n--driver\na.so\n--driver\nb.so"},
        {LINE, "--help"},
        {NUMBERS, "4G"},
        {NUMBERS, "18446744073709551615"},
        {NUMBERS, "0x10K"},
        {SPEC, "vram=4G,vfs=8,dirty-page=64K,performant=on,scatter=off,fw=1.2"},
        {SPEC, "vram=64M,prealloc=on,fault=drop-dirty:3"},
    };
    size_t bytes;

    if (index >= sizeof seeds / sizeof seeds[0])
        return 0;
    bytes = strlen(seeds[index].text);
    data[0] = seeds[index].mode;
    memcpy(data + 1, seeds[index].text, bytes);
    for (size_t i = 1; seeds[index].mode == LINE && i <= bytes; i++)
        data[i] = data[i] == '\n' ? '\0' : data[i];
    return 1 + bytes;
}
