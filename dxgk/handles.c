// SPDX-License-Identifier: Apache-2.0
/* See handles.h. */
#include "dxgk/handles.h"

#include "base/thread.h"

/* Adapters whose drivers may call back. Written at start and stop only. */
static pthread_rwlock_t known_lock = PTHREAD_RWLOCK_INITIALIZER;
static struct dxgk_adapter *known[VF_MAX_ADAPTERS * 4];

struct dxgk_adapter *dxgk_adapter_from_context(HANDLE handle)
{
    struct dxgk_adapter *found = NULL;

    if (handle == NULL)
        return NULL;
    vf_read_lock(&known_lock);
    for (size_t i = 0; i < RTL_NUMBER_OF(known) && found == NULL; i++) {
        if (known[i] != NULL && (handle == known[i] || handle == known[i]->hAdapter))
            found = known[i];
    }
    vf_rw_unlock(&known_lock);
    return found;
}

int dxgk_adapter_remember(struct dxgk_adapter *adapter, struct vf_error *err)
{
    bool room = false;

    vf_write_lock(&known_lock);
    for (size_t i = 0; i < RTL_NUMBER_OF(known) && !room; i++) {
        room = known[i] == NULL;
        if (room)
            known[i] = adapter;
    }
    vf_rw_unlock(&known_lock);
    if (!room)
        return vf_fail(err, VF_FAILED, "more than %zu adapters in one process",
                       RTL_NUMBER_OF(known));
    return 0;
}

void dxgk_adapter_forget(const struct dxgk_adapter *adapter)
{
    vf_write_lock(&known_lock);
    for (size_t i = 0; i < RTL_NUMBER_OF(known); i++) {
        if (known[i] == adapter)
            known[i] = NULL;
    }
    vf_rw_unlock(&known_lock);
}

void dxgk_adapter_set_context(struct dxgk_adapter *adapter, HANDLE context)
{
    vf_write_lock(&known_lock);
    adapter->hAdapter = context;
    vf_rw_unlock(&known_lock);
}

struct dxgk_adapter *dxgk_adapter_find(const struct dxgk *dxgk, uint32_t index,
                                       struct vf_error *err)
{
    if (index < dxgk->adapter_count)
        return dxgk->adapters[index];
    (void)vf_fail(err, VF_USAGE,
                  "there is no adapter %u, of %u that there are" VF_REMEDY
                  "see \"vferry adapter list\"",
                  index, dxgk->adapter_count);
    return NULL;
}
