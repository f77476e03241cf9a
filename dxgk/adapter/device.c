// SPDX-License-Identifier: Apache-2.0
/* See device.h. */
#define LOG_ROOM "device"
#include "dxgk/adapter/device.h"

#include "base/cleanup.h"
#include "base/log.h"

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

#define MAX_OPTIONS 32

struct dxgk_device_lib {
    void *handle;
    struct vf_device_ops ops; /* the device's table; what an older device lacks is NULL */
};

static void device_log(void *ctx, enum vf_device_log level, const char *text)
{
    const struct dxgk_adapter *adapter = ctx;

    if (level == VF_DEVICE_LOG_ERROR)
        log_error("adapter %u: %s", adapter->index, text);
    else if (level == VF_DEVICE_LOG_INFO)
        log_info("adapter %u: %s", adapter->index, text);
    else
        log_debug("adapter %u: %s", adapter->index, text);
}

static bool ops_complete(const struct vf_device_ops *ops)
{
    return ops->open != NULL && ops->close != NULL && ops->config_read != NULL &&
           ops->config_write != NULL && ops->bar_info != NULL && ops->bar_read != NULL &&
           ops->bar_write != NULL && ops->dma_map != NULL && ops->dma_unmap != NULL &&
           ops->pf_irq != NULL && ops->msi_route != NULL;
}

static int lib_open(const char *name, const char *dir, struct dxgk_device_lib **out,
                    struct vf_error *err)
{
    cleanup_free struct dxgk_device_lib *lib = calloc(1, sizeof *lib);
    const struct vf_device_ops *ops = NULL;
    vf_device_entry_fn *entry;
    char path[4096];
    int length = snprintf(path, sizeof path, "%s/%s.so", dir, name);

    if (lib == NULL)
        return vf_fail(err, VF_FAILED, "cannot load device \"%s\": " VF_NO_MEMORY, name);
    if (length < 0 || (size_t)length >= sizeof path)
        return vf_fail(
            err, VF_USAGE,
            "cannot load device \"%s\": its path in %s is longer than %zu bytes" VF_REMEDY
            "give its short name, as \"softgpu\"",
            name, dir, sizeof path - 1);
    lib->handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (lib->handle == NULL)
        return vf_fail(err, VF_FAILED,
                       "cannot load device \"%s\": %s; known devices are the .so files in %s", name,
                       dlerror(), dir);
    /* POSIX lets an object pointer become a function pointer; ISO C has no cast for it. */
    *(void **)&entry = dlsym(lib->handle, VF_DEVICE_ENTRY_SYMBOL);
    if (entry != NULL)
        ops = entry(VF_DEVICE_ABI);
    if (ops == NULL || ops->abi != VF_DEVICE_ABI ||
        ops->size < offsetof(struct vf_device_ops, open)) {
        (void)dlclose(lib->handle);
        return vf_fail(err, VF_FAILED,
                       "%s is no device for interface %u; build it against include/vferry/device.h",
                       path, VF_DEVICE_ABI);
    }
    memcpy(&lib->ops, ops, ops->size < sizeof lib->ops ? ops->size : sizeof lib->ops);
    if (!ops_complete(&lib->ops)) {
        (void)dlclose(lib->handle);
        return vf_fail(
            err, VF_FAILED,
            "%s lacks operations that every device has; build it against include/vferry/device.h",
            path);
    }
    *out = vf_take_ptr(lib);
    return 0;
}

/* Cuts "key=value,key,..." in place. Returns the number of options or -1. */
static int split_options(char *text, struct vf_device_option *options, struct vf_error *err)
{
    int count = 0;
    char *save = NULL;

    for (char *word = strtok_r(text, ",", &save); word != NULL; word = strtok_r(NULL, ",", &save)) {
        char *equals = strchr(word, '=');

        if (count == MAX_OPTIONS)
            return vf_fail(err, VF_USAGE, "more than %d options", (int)MAX_OPTIONS);
        if (word[0] == '=')
            return vf_fail(err, VF_USAGE, "an option without a name before \"%s\"", word);
        if (equals != NULL)
            *equals = '\0';
        options[count].key = word;
        options[count].value = equals != NULL ? equals + 1 : "";
        count++;
    }
    return count;
}

int dxgk_device_open(struct dxgk_adapter *adapter, const char *spec, const char *device_dir,
                     struct vf_error *err)
{
    struct vf_device_option options[MAX_OPTIONS];
    struct dxgk_device_lib *lib = NULL;
    char name[VF_TEXT_BYTES];
    char why[400] = "";
    char *rest;
    int count;

    if (snprintf(name, sizeof name, "%s", spec) >= (int)sizeof name)
        return vf_fail(err, VF_USAGE, "device specification is longer than %zu characters",
                       sizeof name - 1);
    rest = strchr(name, ',');
    if (rest != NULL)
        *rest++ = '\0';
    count = rest != NULL ? split_options(rest, options, err) : 0;
    if (count < 0)
        return vf_context(err, "device \"%s\"", spec);
    if (!vf_name_valid(name))
        return vf_fail(err, VF_USAGE,
                       "cannot read device \"%s\"; write it as NAME[,option=value]...", spec);
    if (lib_open(name, device_dir, &lib, err) != 0)
        return -1;

    adapter->device_host = (struct vf_device_host){.size = sizeof adapter->device_host,
                                                   .abi = VF_DEVICE_ABI,
                                                   .ctx = adapter,
                                                   .log = device_log};
    if (lib->ops.open(options, (size_t)count, &adapter->device_host, &adapter->dev, why,
                      sizeof why) != 0) {
        (void)vf_fail(err, VF_USAGE, "cannot open device \"%s\": %s%s%s", spec,
                      why[0] != '\0' ? why : "it gives no reason",
                      lib->ops.options_help != NULL ? "; options: " : "",
                      lib->ops.options_help != NULL ? lib->ops.options_help : "");
        (void)dlclose(lib->handle);
        free(lib);
        return -1;
    }
    adapter->device_lib = lib;
    adapter->ops = &lib->ops;
    return 0;
}

void dxgk_device_close(struct dxgk_adapter *adapter)
{
    if (adapter->device_lib == NULL)
        return;
    adapter->ops->close(adapter->dev);
    adapter->dev = NULL;
    adapter->ops = NULL;
    (void)dlclose(adapter->device_lib->handle);
    free(adapter->device_lib);
    adapter->device_lib = NULL;
}
