// SPDX-License-Identifier: Apache-2.0
/* The UMED as its host sees it: COM's rules through vtables alone, and the immutable data (SRC-3,
 * TGT-2). */
#include "wdm.h"

#include "igpupvdev.h"

#include <dlfcn.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

static void *image;
static PFN_DLLGETCLASSOBJECT get_class_object;
static HRESULT (*can_unload)(void);
static const CLSID none;

static int open_image(void **state)
{
    const char *directory = getenv("VF_DRIVER_DIR");
    char path[1024];

    (void)state;
    if (directory == NULL)
        return -1;
    (void)snprintf(path, sizeof path, "%s/softgpu-umed.so", directory);
    image = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (image == NULL) {
        print_error("%s\n", dlerror());
        return -1;
    }
    get_class_object = (PFN_DLLGETCLASSOBJECT)(uintptr_t)dlsym(image, "DllGetClassObject");
    can_unload = (HRESULT(*)(void))(uintptr_t)dlsym(image, "DllCanUnloadNow");
    return get_class_object != NULL && can_unload != NULL ? 0 : -1;
}

static int close_image(void **state)
{
    (void)state;
    return dlclose(image);
}

static IClassFactory *factory(void)
{
    void *object = NULL;

    assert_int_equal(get_class_object(&none, &IID_IClassFactory, &object), S_OK);
    assert_non_null(object);
    return object;
}

static IGPUPMitigationDevice *device(void)
{
    IClassFactory *maker = factory();
    void *object = NULL;

    assert_int_equal(
        maker->lpVtbl->CreateInstance(maker, NULL, &IID_IGPUPMitigationDevice, &object), S_OK);
    (void)maker->lpVtbl->Release(maker);
    return object;
}

static IGPUPMigration *migration_of(IGPUPMitigationDevice *dev)
{
    void *object = NULL;

    assert_int_equal(dev->lpVtbl->QueryInterface(dev, &IID_IGPUPMigration, &object), S_OK);
    return object;
}

static void unknown_classes_and_interfaces_are_refused(void **state)
{
    const CLSID strange = {.Data1 = 0x12345678};
    IClassFactory *maker = factory();
    void *object = &object;

    (void)state;
    assert_int_equal(get_class_object(&strange, &IID_IClassFactory, &object),
                     CLASS_E_CLASSNOTAVAILABLE);
    assert_null(object);
    assert_int_equal(get_class_object(&none, &IID_IGPUPMigration, &object), E_NOINTERFACE);
    assert_int_equal(get_class_object(&none, &IID_IClassFactory, NULL), E_POINTER);
    object = &object;
    assert_int_equal(maker->lpVtbl->CreateInstance(maker, NULL, &IID_IGPUPVDev, &object),
                     E_NOINTERFACE);
    assert_null(object);
    assert_int_equal(
        maker->lpVtbl->CreateInstance(maker, (IUnknown *)maker, &IID_IUnknown, &object),
        CLASS_E_NOAGGREGATION);
    (void)maker->lpVtbl->Release(maker);
    assert_int_equal(can_unload(), S_OK);
}

static void identity_is_one_whichever_interface_is_asked(void **state)
{
    IGPUPMitigationDevice *dev = device();
    IGPUPMigration *migration = migration_of(dev);
    void *a = NULL, *b = NULL, *back = NULL;

    (void)state;
    assert_int_equal(dev->lpVtbl->QueryInterface(dev, &IID_IUnknown, &a), S_OK);
    assert_int_equal(migration->lpVtbl->QueryInterface(migration, &IID_IUnknown, &b), S_OK);
    assert_ptr_equal(a, b);
    assert_int_equal(
        migration->lpVtbl->QueryInterface(migration, &IID_IGPUPMitigationDevice, &back), S_OK);
    assert_ptr_equal(back, dev);
    assert_int_equal(dev->lpVtbl->AddRef(dev), 6);
    for (ULONG left = 5; left > 0; left--)
        assert_int_equal(migration->lpVtbl->Release(migration), left);
    assert_int_equal(dev->lpVtbl->Release(dev), 0);
}

static void the_module_unloads_only_without_objects(void **state)
{
    IClassFactory *maker = factory();
    IGPUPMitigationDevice *dev;

    (void)state;
    assert_int_equal(can_unload(), S_FALSE);
    (void)maker->lpVtbl->Release(maker);
    assert_int_equal(can_unload(), S_OK);
    dev = device();
    assert_int_equal(can_unload(), S_FALSE);
    assert_int_equal(dev->lpVtbl->Release(dev), 0);
    assert_int_equal(can_unload(), S_OK);
}

/* SRC-3 */
static void immutable_data_is_saved_in_two_calls_and_accepted_back(void **state)
{
    LUID luid = {3, 4}, other = {3, 5};
    IGPUPMitigationDevice *dev = device();
    IGPUPMigration *migration = migration_of(dev);
    UINT64 length = 0, needed;
    BYTE *data;

    (void)state;
    assert_int_equal(dev->lpVtbl->Initialize(dev, &luid, NULL, NULL, NULL), S_OK);
    assert_int_equal(dev->lpVtbl->Initialize(dev, &luid, NULL, NULL, NULL), E_UNEXPECTED);
    assert_int_equal(migration->lpVtbl->SaveImmutableGpup(migration, &luid, &length, NULL), S_OK);
    assert_true(length > 0);
    needed = length;
    data = test_malloc(needed);
    length = needed - 1;
    assert_int_equal(migration->lpVtbl->SaveImmutableGpup(migration, &luid, &length, data),
                     E_INVALIDARG);
    length = needed;
    assert_int_equal(migration->lpVtbl->SaveImmutableGpup(migration, &other, &length, data),
                     E_INVALIDARG);
    assert_int_equal(migration->lpVtbl->SaveImmutableGpup(migration, NULL, &length, data),
                     E_INVALIDARG);
    assert_int_equal(migration->lpVtbl->SaveImmutableGpup(migration, &luid, NULL, data),
                     E_INVALIDARG);
    assert_int_equal(migration->lpVtbl->SaveImmutableGpup(migration, &luid, &length, data), S_OK);
    assert_int_equal(length, needed);
    assert_int_equal(migration->lpVtbl->RestoreImmutableGpup(migration, &luid, needed, data), S_OK);
    test_free(data);
    (void)migration->lpVtbl->Release(migration);
    (void)dev->lpVtbl->Release(dev);
}

static void every_changed_byte_and_every_length_is_refused(void **state)
{
    LUID luid = {1, 0};
    IGPUPMitigationDevice *dev = device();
    IGPUPMigration *migration = migration_of(dev);
    UINT64 length = 0;
    BYTE *data;

    (void)state;
    assert_int_equal(migration->lpVtbl->SaveImmutableGpup(migration, &luid, &length, NULL), S_OK);
    data = test_malloc(length);
    assert_int_equal(migration->lpVtbl->SaveImmutableGpup(migration, &luid, &length, data), S_OK);
    for (UINT64 i = 0; i < length; i++) {
        BYTE *part = malloc(i ? i : 1);

        assert_non_null(part);
        memcpy(part, data, i);
        assert_int_equal(migration->lpVtbl->RestoreImmutableGpup(migration, &luid, i, part),
                         E_INVALIDARG);
        free(part);
        data[i] ^= 0x10;
        assert_int_equal(migration->lpVtbl->RestoreImmutableGpup(migration, &luid, length, data),
                         E_INVALIDARG);
        data[i] ^= 0x10;
    }
    assert_int_equal(migration->lpVtbl->RestoreImmutableGpup(migration, &luid, ~0ull, data),
                     E_INVALIDARG);
    assert_int_equal(migration->lpVtbl->RestoreImmutableGpup(migration, &luid, length, NULL),
                     E_INVALIDARG);
    test_free(data);
    (void)migration->lpVtbl->Release(migration);
    (void)dev->lpVtbl->Release(dev);
}

static void intercepted_accesses_have_nothing_to_reach(void **state)
{
    LUID luid = {1, 0};
    IGPUPMitigationDevice *dev = device();
    BYTE value[4] = {1, 2, 3, 4};

    (void)state;
    assert_int_equal(dev->lpVtbl->ReadInterceptedGPUP(dev, &luid, BAR0, 0x1000, 4, value),
                     E_INVALIDARG);
    assert_int_equal(dev->lpVtbl->WriteInterceptedGPUP(dev, &luid, BAR0, 0x1000, 4, value),
                     E_INVALIDARG);
    assert_int_equal(dev->lpVtbl->PowerTransitionComplete(dev, &luid, GpupPowerDeviceD0), S_OK);
    assert_int_equal(dev->lpVtbl->PowerTransitionComplete(dev, &luid, GpupPowerDeviceMaximum),
                     E_INVALIDARG);
    assert_int_equal(dev->lpVtbl->Release(dev), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(unknown_classes_and_interfaces_are_refused),
        cmocka_unit_test(identity_is_one_whichever_interface_is_asked),
        cmocka_unit_test(the_module_unloads_only_without_objects),
        cmocka_unit_test(immutable_data_is_saved_in_two_calls_and_accepted_back),
        cmocka_unit_test(every_changed_byte_and_every_length_is_refused),
        cmocka_unit_test(intercepted_accesses_have_nothing_to_reach),
    };

    return cmocka_run_group_tests_name("softgpu-umed", tests, open_image, close_image);
}
