// SPDX-License-Identifier: Apache-2.0
/* See error.h. */
#include "base/error.h"

#include "base/plain.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define NO_MEMORY 0xc0000017u /* STATUS_NO_MEMORY */

/* Puts the text and, after "; ", its remedy where people read them, and notes where that begins. */
static void put(struct vf_error *err, char *raw)
{
    char *mark = strrchr(raw, VF_REMEDY[0]);
    size_t used;

    err->remedy = 0;
    if (mark != NULL)
        *mark = '\0';
    (void)vf_plain(raw, err->text, sizeof err->text);
    used = strlen(err->text);
    if (mark == NULL || used + 2 >= sizeof err->text)
        return;
    memcpy(err->text + used, "; ", sizeof "; ");
    (void)vf_plain(mark + 1, err->text + used + 2, sizeof err->text - used - 2);
    if (used + 2 < strlen(err->text))
        err->remedy = (uint16_t)(used + 2);
}

static void set(struct vf_error *err, enum vf_code code, const char *format, va_list args)
{
    char raw[sizeof err->text];

    err->code = code;
    err->status = 0;
    err->scarce = false;
    (void)vsnprintf(raw, sizeof raw, format, args);
    put(err, raw);
}

const char *vf_remedy(const struct vf_error *err)
{
    return err->remedy != 0 && err->remedy < strlen(err->text) ? err->text + err->remedy : NULL;
}

int vf_bare_bytes(const struct vf_error *err)
{
    const char *remedy = vf_remedy(err);
    const size_t bytes =
        remedy != NULL && err->remedy >= 2 ? (size_t)err->remedy - 2 : strlen(err->text);

    return (int)bytes;
}

void vf_remedy_is(struct vf_error *err, const char *remedy)
{
    const size_t used = strlen(err->text);
    const size_t length = remedy != NULL ? strlen(remedy) : 0;

    err->remedy = 0;
    if (length > 0 && length < used && strcmp(err->text + used - length, remedy) == 0)
        err->remedy = (uint16_t)(used - length);
}

void vf_error_pack(const struct vf_error *err, char *out, size_t bytes)
{
    const char *remedy = vf_remedy(err);

    (void)snprintf(out, bytes, "%.*s%s%s", vf_bare_bytes(err), err->text,
                   remedy != NULL ? VF_REMEDY : "", remedy != NULL ? remedy : "");
}

enum vf_code vf_code_from(int64_t number)
{
    const bool known = (number > VF_OK && number <= VF_REFUSED_NOW) || number == VF_STANDS;

    return known ? (enum vf_code)number : VF_FAILED;
}

/* Why it failed, behind the what and before the remedy. */
static void append(struct vf_error *err, const char *text)
{
    const size_t remedy = err->remedy;
    const size_t used = (size_t)vf_bare_bytes(err);
    char rest[sizeof err->text];
    int more;

    memcpy(rest, err->text + used, sizeof rest - used);
    rest[sizeof rest - used - 1] = '\0';
    more = snprintf(err->text + used, sizeof err->text - used, ": %s", text);
    (void)snprintf(err->text + strlen(err->text), sizeof err->text - strlen(err->text), "%s", rest);
    if (remedy != 0)
        err->remedy =
            remedy + (size_t)more < sizeof err->text ? (uint16_t)(remedy + (size_t)more) : 0;
}

/* What the machine does not give, it is asked for in the same way wherever that was. */
static const char *remedy_of(int errnum)
{
    const char *remedy = NULL;

    if (errnum == EMFILE || errnum == ENFILE)
        remedy = "close some, or give a higher limit (ulimit -n, LimitNOFILE=)";
    else if (errnum == ENOMEM)
        remedy = VF_MORE_MEMORY;
    else if (errnum == EAGAIN) /* of pthread_create and fork; who waits for a socket says more */
        remedy = "give a higher limit (TasksMax=, ulimit -u), or try again when less goes on";
    return remedy;
}

static void append_remedy(struct vf_error *err, const char *remedy)
{
    const size_t used = strlen(err->text);

    if (used + 2 >= sizeof err->text)
        return;
    (void)snprintf(err->text + used, sizeof err->text - used, "; %s", remedy);
    err->remedy = (uint16_t)(used + 2);
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
        err->scarce = remedy_of(errnum) != NULL;
        if (err->scarce && err->remedy == 0)
            append_remedy(err, remedy_of(errnum));
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
        err->scarce = (uint32_t)status == NO_MEMORY;
        if (err->scarce && err->remedy == 0)
            append_remedy(err, remedy_of(ENOMEM));
    }
    return -1;
}

int vf_context(struct vf_error *err, const char *format, ...)
{
    if (err != NULL) {
        char inner[sizeof err->text];
        char raw[sizeof err->text];
        va_list args;
        size_t used;

        memcpy(inner, err->text, sizeof inner);
        va_start(args, format);
        (void)vsnprintf(raw, sizeof raw, format, args);
        va_end(args);
        (void)vf_plain(raw, err->text, sizeof err->text);
        used = strlen(err->text);
        (void)snprintf(err->text + used, sizeof err->text - used, ": %s", inner);
        if (err->remedy != 0)
            err->remedy =
                err->remedy + used + 2 < sizeof err->text ? (uint16_t)(err->remedy + used + 2) : 0;
    }
    return -1;
}

static const struct {
    uint32_t status;
    const char *name;
} status_names[] = {
    {0x00000000u, "STATUS_SUCCESS"},
    {0x00000101u, "STATUS_ALERTED"},
    {0x00000102u, "STATUS_TIMEOUT"},
    {0x00000103u, "STATUS_PENDING"},
    {0x80000005u, "STATUS_BUFFER_OVERFLOW"},
    {0x80000011u, "STATUS_DEVICE_BUSY"},
    {0x8000001au, "STATUS_NO_MORE_ENTRIES"},
    {0xc0000001u, "STATUS_UNSUCCESSFUL"},
    {0xc0000002u, "STATUS_NOT_IMPLEMENTED"},
    {0xc0000004u, "STATUS_INFO_LENGTH_MISMATCH"},
    {0xc0000005u, "STATUS_ACCESS_VIOLATION"},
    {0xc0000008u, "STATUS_INVALID_HANDLE"},
    {0xc000000du, "STATUS_INVALID_PARAMETER"},
    {0xc000000eu, "STATUS_NO_SUCH_DEVICE"},
    {0xc0000010u, "STATUS_INVALID_DEVICE_REQUEST"},
    {0xc0000017u, "STATUS_NO_MEMORY"},
    {0xc0000018u, "STATUS_CONFLICTING_ADDRESSES"},
    {0xc0000022u, "STATUS_ACCESS_DENIED"},
    {0xc0000023u, "STATUS_BUFFER_TOO_SMALL"},
    {0xc0000024u, "STATUS_OBJECT_TYPE_MISMATCH"},
    {0xc0000035u, "STATUS_OBJECT_NAME_COLLISION"},
    {0xc000003eu, "STATUS_DATA_ERROR"},
    {0xc000003fu, "STATUS_CRC_ERROR"},
    {0xc0000059u, "STATUS_REVISION_MISMATCH"},
    {0xc0000095u, "STATUS_INTEGER_OVERFLOW"},
    {0xc000009au, "STATUS_INSUFFICIENT_RESOURCES"},
    {0xc000009du, "STATUS_DEVICE_NOT_CONNECTED"},
    {0xc00000a3u, "STATUS_DEVICE_NOT_READY"},
    {0xc00000b5u, "STATUS_IO_TIMEOUT"},
    {0xc00000bbu, "STATUS_NOT_SUPPORTED"},
    {0xc00000c0u, "STATUS_DEVICE_DOES_NOT_EXIST"},
    {0xc00000e5u, "STATUS_INTERNAL_ERROR"},
    {0xc00000efu, "STATUS_INVALID_PARAMETER_1"},
    {0xc00000f0u, "STATUS_INVALID_PARAMETER_2"},
    {0xc00000f1u, "STATUS_INVALID_PARAMETER_3"},
    {0xc0000120u, "STATUS_CANCELLED"},
    {0xc0000182u, "STATUS_DEVICE_CONFIGURATION_ERROR"},
    {0xc0000184u, "STATUS_INVALID_DEVICE_STATE"},
    {0xc0000185u, "STATUS_IO_DEVICE_ERROR"},
    {0xc0000206u, "STATUS_INVALID_BUFFER_SIZE"},
    {0xc0000225u, "STATUS_NOT_FOUND"},
    {0xc000022du, "STATUS_RETRY"},
    {0xc00002b6u, "STATUS_DEVICE_REMOVED"},
    {0xc0000709u, "STATUS_HARDWARE_MEMORY_ERROR"},
    {0xc01e0000u, "STATUS_GRAPHICS_NOT_EXCLUSIVE_MODE_OWNER"},
    {0xc01e0001u, "STATUS_GRAPHICS_INSUFFICIENT_DMA_BUFFER"},
    {0xc01e0002u, "STATUS_GRAPHICS_INVALID_DISPLAY_ADAPTER"},
    {0xc01e0003u, "STATUS_GRAPHICS_ADAPTER_WAS_RESET"},
    {0xc01e0004u, "STATUS_GRAPHICS_INVALID_DRIVER_MODEL"},
    {0xc01e0009u, "STATUS_GRAPHICS_DRIVER_MISMATCH"},
    {0xc01e0100u, "STATUS_GRAPHICS_NO_VIDEO_MEMORY"},
    {0xc01e0101u, "STATUS_GRAPHICS_CANT_LOCK_MEMORY"},
    {0xc01e0102u, "STATUS_GRAPHICS_ALLOCATION_BUSY"},
    {0xc01e0104u, "STATUS_GRAPHICS_TRY_AGAIN_LATER"},
    {0xc01e0105u, "STATUS_GRAPHICS_TRY_AGAIN_NOW"},
    {0xc01e0106u, "STATUS_GRAPHICS_ALLOCATION_INVALID"},
    {0xc01e0110u, "STATUS_GRAPHICS_INVALID_ALLOCATION_USAGE"},
    {0xc01e0112u, "STATUS_GRAPHICS_ALLOCATION_CLOSED"},
    {0xc01e0114u, "STATUS_GRAPHICS_INVALID_ALLOCATION_HANDLE"},
    {0xc01e0200u, "STATUS_GRAPHICS_GPU_EXCEPTION_ON_DEVICE"},
};

const char *vf_status_name(int32_t status)
{
    for (size_t i = 0; i < sizeof status_names / sizeof status_names[0]; i++) {
        if (status_names[i].status == (uint32_t)status)
            return status_names[i].name;
    }
    return "NTSTATUS";
}
