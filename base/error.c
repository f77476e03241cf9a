// SPDX-License-Identifier: Apache-2.0
/* See error.h. */
#include "base/error.h"

#include <stdio.h>
#include <string.h>

static void set(struct vf_error *err, enum vf_code code, const char *format, va_list args)
{
    err->code = code;
    err->status = 0;
    (void)vsnprintf(err->text, sizeof err->text, format, args);
}

static void append(struct vf_error *err, const char *text)
{
    size_t used = strlen(err->text);

    (void)snprintf(err->text + used, sizeof err->text - used, ": %s", text);
}

int vf_fail(struct vf_error *err, enum vf_code code, const char *format, ...)
{
    if (err != NULL) {
        va_list args;

        va_start(args, format);
        set(err, code, format, args);
        va_end(args);
    }
    return -1;
}

int vf_fail_errno(struct vf_error *err, enum vf_code code, int errnum, const char *format, ...)
{
    if (err != NULL) {
        char buffer[96];
        va_list args;

        va_start(args, format);
        set(err, code, format, args);
        va_end(args);
        append(err, strerror_r(errnum, buffer, sizeof buffer));
    }
    return -1;
}

int vf_fail_status(struct vf_error *err, enum vf_code code, int32_t status, const char *format, ...)
{
    if (err != NULL) {
        char buffer[96];
        va_list args;

        va_start(args, format);
        set(err, code, format, args);
        va_end(args);
        (void)snprintf(buffer, sizeof buffer, "%s (0x%08x)", vf_status_name(status),
                       (unsigned)status);
        append(err, buffer);
        err->status = status;
    }
    return -1;
}

int vf_context(struct vf_error *err, const char *format, ...)
{
    if (err != NULL) {
        char inner[sizeof err->text];
        va_list args;
        size_t used;

        memcpy(inner, err->text, sizeof inner);
        va_start(args, format);
        (void)vsnprintf(err->text, sizeof err->text, format, args);
        va_end(args);
        used = strlen(err->text);
        (void)snprintf(err->text + used, sizeof err->text - used, ": %s", inner);
    }
    return -1;
}

static const struct {
    uint32_t status;
    const char *name;
} status_names[] = {
    {0x00000000u, "STATUS_SUCCESS"},
    {0xc0000001u, "STATUS_UNSUCCESSFUL"},
    {0xc0000002u, "STATUS_NOT_IMPLEMENTED"},
    {0xc0000008u, "STATUS_INVALID_HANDLE"},
    {0xc000000du, "STATUS_INVALID_PARAMETER"},
    {0xc0000010u, "STATUS_INVALID_DEVICE_REQUEST"},
    {0xc0000017u, "STATUS_NO_MEMORY"},
    {0xc0000022u, "STATUS_ACCESS_DENIED"},
    {0xc0000023u, "STATUS_BUFFER_TOO_SMALL"},
    {0xc0000024u, "STATUS_OBJECT_TYPE_MISMATCH"},
    {0xc0000059u, "STATUS_REVISION_MISMATCH"},
    {0xc000009au, "STATUS_INSUFFICIENT_RESOURCES"},
    {0xc00000a3u, "STATUS_DEVICE_NOT_READY"},
    {0xc00000b5u, "STATUS_IO_TIMEOUT"},
    {0xc00000bbu, "STATUS_NOT_SUPPORTED"},
    {0xc0000184u, "STATUS_INVALID_DEVICE_STATE"},
    {0xc0000185u, "STATUS_IO_DEVICE_ERROR"},
    {0xc0000225u, "STATUS_NOT_FOUND"},
    {0xc01e0001u, "STATUS_GRAPHICS_INSUFFICIENT_DMA_BUFFER"},
};

const char *vf_status_name(int32_t status)
{
    for (size_t i = 0; i < sizeof status_names / sizeof status_names[0]; i++) {
        if (status_names[i].status == (uint32_t)status)
            return status_names[i].name;
    }
    return "NTSTATUS";
}
