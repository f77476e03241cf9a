// SPDX-License-Identifier: Apache-2.0
/* The UMED as its host sees it: COM's rules through vtables alone, and the immutable data
 * (SRC-3, TGT-2). */
#include "wdm.h"

#include "igpupvdev.h"
#include <softgpu/hw.h>

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
    assert_int_equal(dev->lpVtbl->Initialize(dev, NULL, &luid, NULL, NULL, NULL), S_OK);
    assert_int_equal(dev->lpVtbl->Initialize(dev, NULL, &luid, NULL, NULL, NULL), E_UNEXPECTED);
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

/* ---- the platform page ---- */

#define PERSIST GpupSavePartitionPersist

static const LUID here = {1, 0};

static IGPUPMitigationDevice *initialized_device(void)
{
    IGPUPMitigationDevice *dev = device();
    LUID luid = here;

    assert_int_equal(dev->lpVtbl->Initialize(dev, NULL, &luid, NULL, NULL, NULL), S_OK);
    return dev;
}

static HRESULT store(IGPUPMitigationDevice *dev, ULONG64 at, ULONG64 length, UINT64 value)
{
    LUID luid = here;
    BYTE bytes[8];

    memcpy(bytes, &value, sizeof bytes);
    return dev->lpVtbl->WriteInterceptedGpup(dev, &luid, BAR0, SG_VF_PLATFORM + at, length, bytes);
}

static UINT64 load(IGPUPMitigationDevice *dev, ULONG64 at, ULONG64 length)
{
    LUID luid = here;
    UINT64 value = 0;

    assert_int_equal(dev->lpVtbl->ReadInterceptedGpup(dev, &luid, BAR0, SG_VF_PLATFORM + at, length,
                                                      (BYTE *)&value),
                     S_OK);
    return value;
}

static void the_platform_page_keeps_what_is_stored_and_counts_it(void **state)
{
    IGPUPMitigationDevice *dev = initialized_device();
    UINT64 sum;

    (void)state;
    assert_int_equal(load(dev, SG_PLAT_ID, 4), SG_PLAT_ID_VALUE);
    assert_int_equal(load(dev, SG_PLAT_STORES64, 8), 0);
    assert_int_equal(load(dev, SG_PLAT_SUM64, 8), 0);
    assert_int_equal(store(dev, SG_PLAT_INDICATOR, 4, 5), S_OK);
    assert_int_equal(load(dev, SG_PLAT_INDICATOR, 4), 5);
    assert_int_equal(load(dev, SG_PLAT_ID, 8), SG_PLAT_ID_VALUE | 5ull << 32);
    sum = load(dev, SG_PLAT_SUM64, 8);
    assert_int_not_equal(sum, 0);
    assert_int_equal(store(dev, SG_PLAT_NOTES + 8, 8, 0x1122334455667788), S_OK);
    assert_int_equal(load(dev, SG_PLAT_NOTES + 12, 4), 0x11223344);
    assert_int_equal(store(dev, SG_PLAT_NOTES + SG_PLAT_NOTES_BYTES - 4, 4, 9), S_OK);
    assert_int_equal(load(dev, SG_PLAT_STORES64, 8), 3);
    assert_int_not_equal(load(dev, SG_PLAT_SUM64, 8), sum);
    assert_int_equal(load(dev, 0x100, 8), 0);
    assert_int_equal(dev->lpVtbl->Release(dev), 0);
}

/* VF-5 */
static void accesses_outside_the_page_or_of_odd_shape_are_refused(void **state)
{
    static const struct {
        ULONG64 at, length;
    } odd[] = {
        {SG_PLAT_NOTES, 1}, {SG_PLAT_NOTES, 2},  {SG_PLAT_NOTES + 2, 4}, {SG_PLAT_NOTES + 4, 8},
        {0x1000, 4},        {SG_PLAT_NOTES, 16}, {SG_PLAT_NOTES, 0},     {0ull - SG_VF_PLATFORM, 4},
        {~0ull - 7, 8}};
    LUID luid = here, other = {2, 0};
    IGPUPMitigationDevice *dev = device();
    BYTE value[16] = {1, 2, 3, 4};

    (void)state;
    /* Before Initialize there is no device. */
    assert_int_equal(dev->lpVtbl->ReadInterceptedGpup(dev, &luid, BAR0, SG_VF_PLATFORM, 4, value),
                     E_INVALIDARG);
    assert_int_equal(dev->lpVtbl->Initialize(dev, NULL, NULL, NULL, NULL, NULL), E_INVALIDARG);
    assert_int_equal(dev->lpVtbl->Initialize(dev, NULL, &luid, NULL, NULL, NULL), S_OK);
    for (size_t i = 0; i < sizeof odd / sizeof odd[0]; i++) {
        ULONG64 at = SG_VF_PLATFORM + odd[i].at;

        assert_int_equal(
            dev->lpVtbl->ReadInterceptedGpup(dev, &luid, BAR0, at, odd[i].length, value),
            E_INVALIDARG);
        assert_int_equal(
            dev->lpVtbl->WriteInterceptedGpup(dev, &luid, BAR0, at, odd[i].length, value),
            E_INVALIDARG);
    }
    assert_int_equal(store(dev, SG_PLAT_ID, 4, 1), E_INVALIDARG);
    assert_int_equal(store(dev, SG_PLAT_STORES64, 8, 1), E_INVALIDARG);
    assert_int_equal(dev->lpVtbl->WriteInterceptedGpup(dev, &luid, BAR2,
                                                       SG_VF_PLATFORM + SG_PLAT_NOTES, 4, value),
                     E_INVALIDARG);
    assert_int_equal(dev->lpVtbl->WriteInterceptedGpup(dev, &other, BAR0,
                                                       SG_VF_PLATFORM + SG_PLAT_NOTES, 4, value),
                     E_INVALIDARG);
    assert_int_equal(dev->lpVtbl->ReadInterceptedGpup(dev, &luid, BAR0, SG_VF_PLATFORM, 4, NULL),
                     E_INVALIDARG);
    assert_int_equal(load(dev, SG_PLAT_STORES64, 8), 0);
    assert_int_equal(dev->lpVtbl->PowerTransitionComplete(dev, &luid, GpupPowerDeviceD0), S_OK);
    assert_int_equal(dev->lpVtbl->PowerTransitionComplete(dev, &luid, GpupPowerDeviceMaximum),
                     E_INVALIDARG);
    assert_int_equal(dev->lpVtbl->Release(dev), 0);
}

/* All pieces of `piece` bytes; gives the size. */
static ULONG save_state(IGPUPMitigationDevice *dev, ULONG piece, BYTE *out, ULONG room)
{
    LUID luid = here;
    ULONG total = 0, at = 0, left;

    assert_int_equal(dev->lpVtbl->PauseGpup(dev, &luid, PERSIST), S_OK);
    assert_int_equal(dev->lpVtbl->SaveGpupBegin(dev, &luid, PERSIST, &total, NULL), S_OK);
    assert_in_range(total, 1, room);
    do {
        ULONG length = piece;

        assert_int_equal(
            dev->lpVtbl->SaveGpupContinue(dev, &luid, PERSIST, &length, &left, out + at), S_OK);
        at += length;
        assert_int_equal(left, total - at);
    } while (left > 0);
    assert_int_equal(dev->lpVtbl->ResumeGpup(dev, &luid, PERSIST), S_OK);
    return total;
}

static void state_moves_in_pieces_and_nothing_of_it_is_lost(void **state)
{
    static BYTE saved[8192];
    LUID luid = here;
    IGPUPMitigationDevice *from = initialized_device(), *to = initialized_device();
    ULONG total;

    (void)state;
    for (ULONG64 at = 0; at < SG_PLAT_NOTES_BYTES; at += 8)
        assert_int_equal(store(from, SG_PLAT_NOTES + at, 8, at * 0x0101010101010101), S_OK);
    assert_int_equal(store(from, SG_PLAT_INDICATOR, 4, 3), S_OK);
    total = save_state(from, 100, saved, sizeof saved);
    assert_int_equal(to->lpVtbl->PauseGpup(to, &luid, PERSIST), S_OK);
    for (ULONG at = 0; at < total; at += 77)
        assert_int_equal(to->lpVtbl->RestoreGpup(to, &luid, PERSIST,
                                                 total - at < 77 ? total - at : 77, at, total,
                                                 saved + at),
                         S_OK);
    assert_int_equal(to->lpVtbl->ResumeGpup(to, &luid, PERSIST), S_OK);
    for (ULONG64 at = 0; at < 0x1000; at += 8)
        assert_int_equal(load(to, at, 8), load(from, at, 8));
    assert_int_equal(from->lpVtbl->Release(from), 0);
    assert_int_equal(to->lpVtbl->Release(to), 0);
    assert_int_equal(can_unload(), S_OK);
}

static void saving_and_restoring_out_of_order_is_refused(void **state)
{
    static BYTE saved[8192];
    LUID luid = here;
    IGPUPMitigationDevice *dev = initialized_device();
    const IGPUPMitigationDeviceVtbl *call = dev->lpVtbl;
    ULONG total = 0, length = 16, left = 0;

    (void)state;
    assert_int_equal(store(dev, SG_PLAT_INDICATOR, 4, 7), S_OK);
    assert_int_equal(call->ResumeGpup(dev, &luid, PERSIST), E_UNEXPECTED);
    assert_int_equal(call->SaveGpupBegin(dev, &luid, PERSIST, &total, NULL), E_INVALIDARG);
    assert_int_equal(call->PauseGpup(dev, &luid, GpupSaveInvalid), E_INVALIDARG);
    assert_int_equal(call->PauseGpup(dev, &luid, PERSIST), S_OK);
    assert_int_equal(call->PauseGpup(dev, &luid, PERSIST), E_UNEXPECTED);
    assert_int_equal(store(dev, SG_PLAT_INDICATOR, 4, 8), E_UNEXPECTED);
    assert_int_equal(call->SaveGpupContinue(dev, &luid, PERSIST, &length, &left, saved),
                     E_INVALIDARG);
    assert_int_equal(call->SaveGpupBegin(dev, &luid, GpupSaveMaximum, &total, NULL), E_INVALIDARG);
    assert_int_equal(call->SaveGpupBegin(dev, &luid, PERSIST, NULL, NULL), E_INVALIDARG);
    assert_int_equal(call->SaveGpupBegin(dev, &luid, PERSIST, &total, NULL), S_OK);
    assert_int_equal(call->ResumeGpup(dev, &luid, PERSIST), S_OK); /* given up half way */
    total = save_state(dev, 4096, saved, sizeof saved);
    assert_int_equal(store(dev, SG_PLAT_INDICATOR, 4, 9), S_OK);
    assert_int_equal(call->PauseGpup(dev, &luid, PERSIST), S_OK);
    /* A hole, a wrong total, a piece that reaches beyond it, a piece that comes twice. */
    assert_int_equal(call->RestoreGpup(dev, &luid, PERSIST, 8, 8, total, saved + 8), E_INVALIDARG);
    assert_int_equal(call->RestoreGpup(dev, &luid, PERSIST, 8, 0, total - 1, saved), E_INVALIDARG);
    assert_int_equal(call->RestoreGpup(dev, &luid, PERSIST, total, 8, total, saved), E_INVALIDARG);
    assert_int_equal(call->RestoreGpup(dev, &luid, PERSIST, ~0u, ~0u, total, saved), E_INVALIDARG);
    assert_int_equal(call->RestoreGpup(dev, &luid, PERSIST, 8, 0, total, saved), S_OK);
    assert_int_equal(call->RestoreGpup(dev, &luid, PERSIST, 8, 16, total, saved), E_INVALIDARG);
    assert_int_equal(call->RestoreGpup(dev, &luid, PERSIST, 8, 8, total, saved + 8), S_OK);
    assert_int_equal(call->RestoreGpup(dev, &luid, PERSIST, 8, 8, total, saved + 8), E_INVALIDARG);
    assert_int_equal(call->ResumeGpup(dev, &luid, PERSIST), S_OK);
    assert_int_equal(load(dev, SG_PLAT_INDICATOR, 4),
                     9); /* what was not complete changed nothing */
    assert_int_equal(call->PauseGpup(dev, &luid, PERSIST), S_OK);
    saved[0] ^= 1;
    assert_int_equal(call->RestoreGpup(dev, &luid, PERSIST, total, 0, total, saved), E_INVALIDARG);
    saved[0] ^= 1;
    assert_int_equal(call->RestoreGpup(dev, &luid, PERSIST, total, 0, total, saved), S_OK);
    assert_int_equal(call->ResumeGpup(dev, &luid, PERSIST), S_OK);
    assert_int_equal(load(dev, SG_PLAT_INDICATOR, 4), 7);
    assert_int_equal(call->Release(dev), 0);
    assert_int_equal(can_unload(), S_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(unknown_classes_and_interfaces_are_refused),
        cmocka_unit_test(identity_is_one_whichever_interface_is_asked),
        cmocka_unit_test(the_module_unloads_only_without_objects),
        cmocka_unit_test(immutable_data_is_saved_in_two_calls_and_accepted_back),
        cmocka_unit_test(every_changed_byte_and_every_length_is_refused),
        cmocka_unit_test(the_platform_page_keeps_what_is_stored_and_counts_it),
        cmocka_unit_test(accesses_outside_the_page_or_of_odd_shape_are_refused),
        cmocka_unit_test(state_moves_in_pieces_and_nothing_of_it_is_lost),
        cmocka_unit_test(saving_and_restoring_out_of_order_is_refused),
    };

    return cmocka_run_group_tests_name("softgpu-umed", tests, open_image, close_image);
}
