// SPDX-License-Identifier: Apache-2.0
/* Drivers' debug output, as lines of the host's log. */
#define LOG_ROOM "driver"
#include "dxgk/nt/nt.h"

#include "base/log.h"

#include <stdio.h>
#include <string.h>

#define DBGPRINT_BYTES 512 /* longer output is cut, as on Windows */

static void print(enum vf_log_level level, const char *format, va_list args)
{
    char text[DBGPRINT_BYTES];
    char *rest = NULL;

    (void)vsnprintf(text, sizeof text, format, args);
    for (char *line = strtok_r(text, "\r\n", &rest); line != NULL;
         line = strtok_r(NULL, "\r\n", &rest))
        vf_log(level, LOG_ROOM, "%s", line);
}

/* DbgPrint has no level of its own; Windows files it under information. */
ULONG DbgPrint(PCSTR format, ...)
{
    va_list args;

    va_start(args, format);
    print(VF_LOG_INFO, format, args);
    va_end(args);
    return (ULONG)STATUS_SUCCESS;
}

ULONG vDbgPrintEx(ULONG component, ULONG level, PCSTR format, va_list args)
{
    static const enum vf_log_level levels[] = {
        [DPFLTR_ERROR_LEVEL] = VF_LOG_ERROR,
        [DPFLTR_WARNING_LEVEL] = VF_LOG_WARN,
        [DPFLTR_TRACE_LEVEL] = VF_LOG_DEBUG,
        [DPFLTR_INFO_LEVEL] = VF_LOG_INFO,
    };

    (void)component;
    print(level < RTL_NUMBER_OF(levels) ? levels[level] : VF_LOG_DEBUG, format, args);
    return (ULONG)STATUS_SUCCESS;
}

ULONG DbgPrintEx(ULONG component, ULONG level, PCSTR format, ...)
{
    va_list args;
    ULONG status;

    va_start(args, format);
    status = vDbgPrintEx(component, level, format, args);
    va_end(args);
    return status;
}
