// SPDX-License-Identifier: Apache-2.0
/*
 * The DLL's entry points and its class factory, a static object: only the devices it makes are
 * counted and freed.
 */
#include "umed.h"

static LONG umed_alive; /* atomic */

void umed_module_hold(void)
{
    (void)InterlockedIncrement(&umed_alive);
}

void umed_module_drop(void)
{
    (void)InterlockedDecrement(&umed_alive);
}

static HRESULT STDMETHODCALLTYPE factory_query_interface(IClassFactory *This, REFIID riid,
                                                         void **ppvObject)
{
    if (!ppvObject)
        return E_POINTER;
    *ppvObject = NULL;
    if (!riid)
        return E_INVALIDARG;
    if (!IsEqualIID(riid, &IID_IUnknown) && !IsEqualIID(riid, &IID_IClassFactory))
        return E_NOINTERFACE;
    *ppvObject = This;
    (void)This->lpVtbl->AddRef(This);
    return S_OK;
}

/* Static: the counts only have to be plausible. They hold the module, as a reference on the
 * factory must. */
static ULONG STDMETHODCALLTYPE factory_add_ref(IClassFactory *This)
{
    UNREFERENCED_PARAMETER(This);
    umed_module_hold();
    return 2;
}

static ULONG STDMETHODCALLTYPE factory_release(IClassFactory *This)
{
    UNREFERENCED_PARAMETER(This);
    umed_module_drop();
    return 1;
}

static HRESULT STDMETHODCALLTYPE factory_create_instance(IClassFactory *This, IUnknown *pUnkOuter,
                                                         REFIID riid, void **ppvObject)
{
    UNREFERENCED_PARAMETER(This);
    if (!ppvObject)
        return E_POINTER;
    *ppvObject = NULL;
    if (pUnkOuter)
        return CLASS_E_NOAGGREGATION;
    if (!riid)
        return E_INVALIDARG;
    return umed_device_create(riid, ppvObject);
}

static HRESULT STDMETHODCALLTYPE factory_lock_server(IClassFactory *This, BOOL fLock)
{
    UNREFERENCED_PARAMETER(This);
    if (fLock)
        umed_module_hold();
    else
        umed_module_drop();
    return S_OK;
}

static const IClassFactoryVtbl factory_vtbl = {
    .QueryInterface = factory_query_interface,
    .AddRef = factory_add_ref,
    .Release = factory_release,
    .CreateInstance = factory_create_instance,
    .LockServer = factory_lock_server,
};

static IClassFactory factory = {.lpVtbl = &factory_vtbl};

HRESULT STDAPICALLTYPE DllGetClassObject(REFCLSID rclsid, REFIID riid, void **ppv)
{
    static const CLSID none;

    if (!ppv)
        return E_POINTER;
    *ppv = NULL;
    if (!rclsid || !riid)
        return E_INVALIDARG;
    if (!IsEqualCLSID(rclsid, &CLSID_SoftgpuDevice) && !IsEqualCLSID(rclsid, &none))
        return CLASS_E_CLASSNOTAVAILABLE;
    return factory.lpVtbl->QueryInterface(&factory, riid, ppv);
}

HRESULT STDAPICALLTYPE DllCanUnloadNow(void)
{
    return ReadAcquire(&umed_alive) == 0 ? S_OK : S_FALSE;
}
