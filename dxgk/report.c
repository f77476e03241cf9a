// SPDX-License-Identifier: Apache-2.0
/* dxgk_event and dxgk_report (internal.h): how everything that happens here is told to the
 * host program. */
#define LOG_ROOM "dxgk"
#include "dxgk/internal.h"

#include "base/log.h"
#include "base/thread.h"

#include <stdio.h>

void dxgk_event(struct dxgk *dxgk, const char *kind, const char *format, ...)
{
    char text[600];
    va_list args;

    if (dxgk->config.event == NULL)
        return;
    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    dxgk->config.event(dxgk->config.event_ctx, kind, text);
}

void dxgk_report(struct dxgk_adapter *adapter, const char *rule, const char *format, ...)
{
    char text[500];
    va_list args;

    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    log_error("adapter %u breaks %s: %s", adapter->index, rule, text);
    vf_lock(&adapter->lock);
    adapter->breaches++;
    vf_unlock(&adapter->lock);
    dxgk_event(adapter->dxgk, "contract", "%s: adapter %u: %s", rule, adapter->index, text);
}
