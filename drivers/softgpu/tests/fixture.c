// SPDX-License-Identifier: Apache-2.0
/* The small OS side of the miniport's tests. See fixture.h. */
#include "fixture.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define BUS_BAR(bar) (0x100000000000ull + ((uint64_t)(bar) << 40))
#define WAIT_MS 10000

/* ---- callbacks ---- */

static NTSTATUS get_device_information(HANDLE handle, PDXGK_DEVICE_INFO info)
{
    struct fake *fake = handle;
    static const uint32_t bars[3] = {SG_PF_BAR_REGS, SG_PF_BAR_VRAM, SG_PF_BAR_DIRTY};
    CM_PARTIAL_RESOURCE_LIST *partial = &fake->resources.list.List[0].PartialResourceList;

    assert_true(nt_irql_check(PASSIVE_LEVEL, "GetDeviceInformation"));
    memset(info, 0, sizeof *info);
    fake->resources.list.Count = 1;
    partial->Count = fake->bars_shown;
    for (uint32_t i = 0; i < 3; i++) {
        CM_PARTIAL_RESOURCE_DESCRIPTOR *d = &partial->PartialDescriptors[0] + i;
        struct vf_bar_info bar;

        assert_int_equal(fake->ops->bar_info(fake->dev, VF_FUNCTION_PF, bars[i], &bar), 0);
        d->Type = bar.bytes > UINT32_MAX ? CmResourceTypeMemoryLarge : CmResourceTypeMemory;
        d->Flags = bar.bytes > UINT32_MAX ? 0x0200 : 0;
        d->u.Memory.Start.QuadPart = (LONGLONG)BUS_BAR(bars[i]);
        d->u.Memory.Length = (ULONG)(bar.bytes > UINT32_MAX ? bar.bytes >> 8 : bar.bytes);
    }
    info->TranslatedResourceList = &fake->resources.list;
    return STATUS_SUCCESS;
}

static int mmio_read(void *ctx, uint32_t bar, uint64_t offset, uint32_t width, uint64_t *value)
{
    struct fake *fake = ctx;

    *value = 0;
    return fake->ops->bar_read(fake->dev, VF_FUNCTION_PF, bar, offset, value, width);
}

static int mmio_write(void *ctx, uint32_t bar, uint64_t offset, uint32_t width, uint64_t value)
{
    struct fake *fake = ctx;

    return fake->ops->bar_write(fake->dev, VF_FUNCTION_PF, bar, offset, &value, width);
}

static int mmio_read_block(void *ctx, uint32_t bar, uint64_t offset, void *data, uint64_t bytes)
{
    struct fake *fake = ctx;

    return fake->ops->bar_read(fake->dev, VF_FUNCTION_PF, bar, offset, data, bytes);
}

static int mmio_write_block(void *ctx, uint32_t bar, uint64_t offset, const void *data,
                            uint64_t bytes)
{
    struct fake *fake = ctx;

    return fake->ops->bar_write(fake->dev, VF_FUNCTION_PF, bar, offset, data, bytes);
}

static const struct nt_mmio_ops mmio_ops = {mmio_read, mmio_write, mmio_read_block,
                                            mmio_write_block};

static NTSTATUS map_memory(HANDLE handle, PHYSICAL_ADDRESS address, ULONG length, BOOLEAN io,
                           BOOLEAN user, MEMORY_CACHING_TYPE cache, PVOID *va)
{
    uint64_t bus = (uint64_t)address.QuadPart - BUS_BAR(0);
    struct vf_error err = VF_ERROR_INIT;

    (void)io, (void)user, (void)cache;
    assert_true(nt_irql_check(PASSIVE_LEVEL, "MapMemory"));
    return nt_mmio_map(&mmio_ops, handle, (uint32_t)(bus >> 40), bus & ((1ull << 40) - 1), length,
                       va, &err) == 0
               ? STATUS_SUCCESS
               : STATUS_NO_MEMORY;
}

static NTSTATUS unmap_memory(HANDLE handle, PVOID va)
{
    struct vf_error err = VF_ERROR_INIT;

    (void)handle;
    assert_int_equal(nt_mmio_unmap(va, &err), 0);
    return STATUS_SUCCESS;
}

static BOOLEAN queue_dpc(HANDLE handle)
{
    struct fake *fake = handle;
    BOOLEAN fresh = !fake->dpc_wanted;

    fake->dpc_wanted = TRUE;
    return fresh;
}

static NTSTATUS synchronize(HANDLE handle, PKSYNCHRONIZE_ROUTINE routine, PVOID context,
                            ULONG message, PBOOLEAN result)
{
    struct fake *fake = handle;
    KIRQL old = nt_irql_set(DEVICE_LEVEL);

    (void)message;
    (void)pthread_mutex_lock(&fake->interrupt_lock);
    *result = routine(context);
    (void)pthread_mutex_unlock(&fake->interrupt_lock);
    (void)nt_irql_set(old);
    return STATUS_SUCCESS;
}

static void notify_interrupt(HANDLE handle, const DXGKARGCB_NOTIFY_INTERRUPT_DATA *data)
{
    struct fake *fake = handle;

    assert_int_equal(nt_irql(), DEVICE_LEVEL);
    if (data->InterruptType == DXGK_INTERRUPT_DMA_FAULTED) {
        fake->faulted = data->DmaFaulted.FaultedFenceId;
    } else {
        assert_int_equal(data->InterruptType, DXGK_INTERRUPT_DMA_COMPLETED);
        fake->completed = data->DmaCompleted.SubmissionFenceId;
        fake->completions++;
    }
}

static void notify_dpc(HANDLE handle)
{
    struct fake *fake = handle;

    assert_int_equal(nt_irql(), DISPATCH_LEVEL);
    fake->dpcs++;
}

static void log_etw_event(const GUID *guid, UCHAR type, USHORT bytes, PVOID data)
{
    const DXGKDDICB_PARTITIONING_EVENT_NOTIFICATION *event = data;
    struct fake *fake;

    (void)type;
    assert_int_equal(nt_irql(), PASSIVE_LEVEL); /* its page: PASSIVE_LEVEL above 256 bytes */
    assert_true(IsEqualGUID(guid, &GUID_DXGKDDI_AZURE_TRIAGE_EVENT));
    assert_int_equal(bytes, sizeof *event);
    fake = event->hAdapter;
    assert_true(fake->event_count < FAKE_EVENTS);
    for (size_t i = 0; i < DXGKDDI_PARTITION_EVENT_DESCRIPTION_MAX; i++)
        fake->events[fake->event_count][i] = (char)event->EventDescription[i];
    fake->event_partition = event->PartitionId;
    fake->event_count++;
}

/* ---- images ---- */

static DRIVER_INITIALIZATION_DATA given; /* what the last DriverEntry handed over */
static struct image {
    char name[32];
    void *handle;
    DRIVER_INITIALIZATION_DATA ddi;
} images[2];
static void *device_image;

/* CAP-7: the service DriverEntry calls. Exported to the image. */
NTSTATUS DxgkInitialize(PDRIVER_OBJECT driver, PUNICODE_STRING path,
                        PDRIVER_INITIALIZATION_DATA data)
{
    (void)driver, (void)path;
    given = *data;
    return STATUS_SUCCESS;
}

static void *load(const char *directory_variable, const char *name)
{
    const char *directory = getenv(directory_variable);
    char path[1024];
    void *handle;

    if (directory == NULL)
        fail_msg("%s is not set", directory_variable);
    (void)snprintf(path, sizeof path, "%s/%s.so", directory, name);
    handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (handle == NULL)
        fail_msg("%s", dlerror());
    return handle;
}

static const DRIVER_INITIALIZATION_DATA *image(const char *name)
{
    for (size_t i = 0; i < sizeof images / sizeof images[0]; i++) {
        DRIVER_INITIALIZE *entry;
        DRIVER_OBJECT object = {0};

        if (images[i].handle != NULL && strcmp(images[i].name, name) == 0)
            return &images[i].ddi;
        if (images[i].handle != NULL)
            continue;
        images[i].handle = load("VF_DRIVER_DIR", name);
        (void)snprintf(images[i].name, sizeof images[i].name, "%s", name);
        entry = (DRIVER_INITIALIZE *)(uintptr_t)dlsym(images[i].handle, "DriverEntry");
        assert_non_null(entry);
        assert_int_equal(entry(&object, NULL), STATUS_SUCCESS);
        images[i].ddi = given;
        return &images[i].ddi;
    }
    fail_msg("no place for another image");
    return NULL;
}

void fake_unload(void)
{
    for (size_t i = 0; i < sizeof images / sizeof images[0]; i++) {
        if (images[i].handle == NULL)
            continue;
        if (images[i].ddi.DxgkDdiUnload != NULL)
            images[i].ddi.DxgkDdiUnload();
        (void)dlclose(images[i].handle);
        images[i].handle = NULL;
    }
}

/* ---- start and stop ---- */

static void open_card(struct fake *fake, const char *options)
{
    struct vf_device_option list[8];
    static const struct vf_device_host host = {.size = sizeof host, .abi = VF_DEVICE_ABI};
    vf_device_entry_fn *entry;
    char text[256], why[256] = "", *save = NULL;
    size_t count = 0;

    if (device_image == NULL)
        device_image = load("VF_DEVICE_DIR", "softgpu");
    entry = (vf_device_entry_fn *)(uintptr_t)dlsym(device_image, VF_DEVICE_ENTRY_SYMBOL);
    assert_non_null(entry);
    fake->ops = entry(VF_DEVICE_ABI);
    assert_non_null(fake->ops);
    (void)snprintf(text, sizeof text, "%s", options);
    for (char *item = strtok_r(text, ",", &save); item != NULL; item = strtok_r(NULL, ",", &save)) {
        char *value = strchr(item, '=');

        assert_true(value != NULL && count < sizeof list / sizeof list[0]);
        *value = '\0';
        list[count++] = (struct vf_device_option){item, value + 1};
    }
    if (fake->ops->open(list, count, &host, &fake->dev, why, sizeof why) != 0)
        fail_msg("softgpu %s: %s", options, why);
    fake->irq = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    assert_true(fake->irq >= 0);
    assert_int_equal(fake->ops->pf_irq(fake->dev, 0, fake->irq), 0);
}

void fake_open(struct fake *fake, const char *driver, const char *options)
{
    memset(fake, 0, sizeof *fake);
    fake->bars_shown = 3;
    (void)pthread_mutex_init(&fake->interrupt_lock, NULL);
    open_card(fake, options);
    fake->ddi = *image(driver);
    assert_int_equal(fake->ddi.DxgkDdiAddDevice(NULL, &fake->adapter), STATUS_SUCCESS);
}

NTSTATUS fake_start_device(struct fake *fake)
{
    DXGKRNL_INTERFACE callbacks = {
        .Size = sizeof callbacks,
        .Version = DXGKDDI_INTERFACE_VERSION,
        .DeviceHandle = fake,
        .DxgkCbGetDeviceInformation = get_device_information,
        .DxgkCbMapMemory = map_memory,
        .DxgkCbUnmapMemory = unmap_memory,
        .DxgkCbQueueDpc = queue_dpc,
        .DxgkCbSynchronizeExecution = synchronize,
        .DxgkCbNotifyInterrupt = notify_interrupt,
        .DxgkCbNotifyDpc = notify_dpc,
        .DxgkCbLogEtwEvent = log_etw_event,
    };
    DXGK_START_INFO start = {0};
    ULONG sources = 1, children = 1;
    NTSTATUS status =
        fake->ddi.DxgkDdiStartDevice(fake->adapter, &start, &callbacks, &sources, &children);

    fake->started = NT_SUCCESS(status);
    if (fake->started) {
        assert_int_equal(sources, 0);
        assert_int_equal(children, 0);
    }
    return status;
}

static void take_interface(struct fake *fake, const GUID *guid, void *table, USHORT bytes)
{
    QUERY_INTERFACE query = {
        .InterfaceType = guid, .Size = bytes, .Version = 1, .Interface = table};

    assert_int_equal(fake->ddi.DxgkDdiQueryInterface(fake->adapter, &query), STATUS_SUCCESS);
}

void fake_start(struct fake *fake, const char *options)
{
    fake_open(fake, "softgpu", options);
    assert_int_equal(fake_start_device(fake), STATUS_SUCCESS);
    take_interface(fake, &GUID_DXGKDDI_GPU_PARTITION_INTERFACE, &fake->gpup, sizeof fake->gpup);
    take_interface(fake, &GUID_DXGKDDI_SRIOV_INTERFACE, &fake->sriov, sizeof fake->sriov);
    take_interface(fake, &GUID_DXGKDDI_MITIGABLE_DEVICE_INTERFACE, &fake->mitigable,
                   sizeof fake->mitigable);
}

void fake_stop(struct fake *fake)
{
    if (fake->started)
        assert_int_equal(fake->ddi.DxgkDdiStopDevice(fake->adapter), STATUS_SUCCESS);
    assert_int_equal(fake->ddi.DxgkDdiRemoveDevice(fake->adapter), STATUS_SUCCESS);
    if (fake->paging != NULL) {
        assert_int_equal(fake->ops->dma_unmap(fake->dev, FAKE_PAGING_IOVA, FAKE_PAGING_BYTES), 0);
        (void)munmap(fake->paging, FAKE_PAGING_BYTES);
    }
    fake->ops->close(fake->dev);
    (void)close(fake->irq);
    (void)pthread_mutex_destroy(&fake->interrupt_lock);
    assert_int_equal(nt_irql(), PASSIVE_LEVEL);
    assert_int_equal(nt_locks_held(), 0);
    assert_int_equal(nt_report_count(), 0);
}

/* ---- the card, seen from outside ---- */

ULONG fake_register(struct fake *fake, ULONG reg)
{
    ULONG value = 0;

    assert_int_equal(
        fake->ops->bar_read(fake->dev, VF_FUNCTION_PF, SG_PF_BAR_REGS, reg, &value, sizeof value),
        0);
    return value;
}

void fake_vram_write(struct fake *fake, ULONG64 offset, const void *data, ULONG64 bytes)
{
    assert_int_equal(
        fake->ops->bar_write(fake->dev, VF_FUNCTION_PF, SG_PF_BAR_VRAM, offset, data, bytes), 0);
}

void fake_vram_read(struct fake *fake, ULONG64 offset, void *data, ULONG64 bytes)
{
    assert_int_equal(
        fake->ops->bar_read(fake->dev, VF_FUNCTION_PF, SG_PF_BAR_VRAM, offset, data, bytes), 0);
}

/* ---- partitions ---- */

NTSTATUS fake_create_only(struct fake *fake, ULONG id, ULONG64 bytes)
{
    DXGKARG_CREATEVIRTUALGPU args = {.PartitionId = id, .VirtualGpuLuid = {id + 1, 7}};
    DXGK_VIRTUALGPUCAPABILITY *memory = &args.Profile.Capability[DXGK_VGPU_CAPABILITY_MEMORY];

    *memory = (DXGK_VIRTUALGPUCAPABILITY){bytes, bytes, bytes};
    return fake->gpup.DxgkDdiCreateVirtualGpu(fake->gpup.Context, &args);
}

NTSTATUS fake_assign(struct fake *fake, ULONG id, ULONG64 offset, ULONG64 bytes)
{
    DXGKARG_SETVIRTUALGPURESOURCES args = {.PartitionId = id, .NumMemoryAllocations = 1};

    args.MemoryInfo[0].AllocationAddress = (DXGK_GPU_PHYSICAL_ADDRESS){1, offset};
    args.MemoryInfo[0].AllocationSize = bytes;
    return fake->gpup.DxgkDdiSetVirtualGpuResources(fake->gpup.Context, &args);
}

void fake_create(struct fake *fake, ULONG id, ULONG64 offset, ULONG64 bytes)
{
    assert_int_equal(fake_create_only(fake, id, bytes), STATUS_SUCCESS);
    assert_int_equal(fake_assign(fake, id, offset, bytes), STATUS_SUCCESS);
}

NTSTATUS fake_power(struct fake *fake, ULONG id, DEVICE_POWER_STATE state)
{
    DXGKARG_SETVIRTUALFUNCTIONPOWERSTATE args = {.VirtualFunctionIndex = id, .PowerState = state};

    return fake->sriov.DxgkDdiSetVirtualFunctionPowerState(fake->sriov.Context, &args);
}

NTSTATUS fake_pause(struct fake *fake, ULONG id, BOOLEAN pause)
{
    DXGKARG_SETVIRTUALFUNCTIONPAUSESTATE args = {.vfIndex = id, .bPause = pause};

    return fake->ddi.DxgkDdiSetVirtualFunctionPauseState(fake->adapter, &args);
}

/* ---- dirty tracking ---- */

HANDLE fake_basis(struct fake *fake, const DXGK_MEMORYRANGE *ranges, ULONG count)
{
    DXGKARG_CREATEMEMORYBASIS *args = calloc(1, sizeof *args + count * sizeof *ranges);
    HANDLE basis;

    assert_non_null(args);
    args->SegmentId = 1;
    args->RangeCount = count;
    memcpy((UCHAR *)args + offsetof(DXGKARG_CREATEMEMORYBASIS, Ranges), ranges,
           count * sizeof *ranges);
    basis = fake->ddi.DxgkDdiCreateMemoryBasis(fake->adapter, args);
    free(args);
    return basis;
}

NTSTATUS fake_query(struct fake *fake, HANDLE basis, ULONG64 index, ULONG64 offset, ULONG64 size,
                    BOOLEAN clear, void *bits, SIZE_T bytes)
{
    DXGKARG_QUERYDIRTYBITDATA args = {
        .MemoryBasis = basis,
        .SubrangeIndex = index,
        .SubrangeOffset = offset,
        .SubrangeSize = size,
        .Buffer = bits,
        .BufferSize = bytes,
        .Flags = clear ? DXGKARG_QUERYDIRTYBITDATAFLAGS_CLEARDATA : 0,
    };

    return fake->ddi.DxgkDdiQueryDirtyBitData(fake->adapter, &args);
}

/* ---- the guest ---- */

static void guest_write(struct fake *fake, ULONG id, ULONG bar, ULONG64 at, const void *data,
                        ULONG64 bytes)
{
    assert_int_equal(fake->ops->bar_write(fake->dev, VF_FUNCTION_VF(id), bar, at, data, bytes), 0);
}

/* Tables at 1 MiB of the guest's space: root, middle, leaf; each page maps to itself. */
void fake_guest_setup(struct fake *fake, ULONG id)
{
    const ULONG64 root = 1 * MIB, middle = root + 0x1000, leaf = middle + 0x1000;
    ULONG64 entry = middle | SG_PTE_VALID | SG_PTE_WRITE;

    guest_write(fake, id, SG_VF_BAR_VRAM, root, &entry, sizeof entry);
    entry = leaf | SG_PTE_VALID | SG_PTE_WRITE;
    guest_write(fake, id, SG_VF_BAR_VRAM, middle, &entry, sizeof entry);
    for (ULONG64 page = 0; page < 512; page++) {
        entry = page << SG_PAGE_SHIFT | SG_PTE_VALID | SG_PTE_WRITE;
        guest_write(fake, id, SG_VF_BAR_VRAM, leaf + page * 8, &entry, sizeof entry);
    }
    guest_write(fake, id, SG_VF_BAR_REGS, SG_VF_ROOT64, &root, sizeof root);
}

void fake_guest_start(struct fake *fake, ULONG id, ULONG64 at, const struct sg_cmd *commands,
                      ULONG count)
{
    const ULONG start = 1;

    guest_write(fake, id, SG_VF_BAR_VRAM, at, commands, count * sizeof *commands);
    guest_write(fake, id, SG_VF_BAR_REGS, SG_VF_QUEUE(0) + SG_Q_IP64, &at, sizeof at);
    guest_write(fake, id, SG_VF_BAR_REGS, SG_VF_QUEUE(0) + SG_Q_CTRL, &start, sizeof start);
}

ULONG64 fake_guest_word(struct fake *fake, ULONG id, ULONG64 at)
{
    ULONG64 word = 0;

    assert_int_equal(
        fake->ops->bar_read(fake->dev, VF_FUNCTION_VF(id), SG_VF_BAR_VRAM, at, &word, sizeof word),
        0);
    return word;
}

/* ---- the paging process ---- */

static void update_table(struct fake *fake, ULONG level, ULONG64 table, ULONG index,
                         DXGK_PTE *entries, ULONG count)
{
    DXGKARG_BUILDPAGINGBUFFER args = {.Operation = DXGK_OPERATION_UPDATE_PAGE_TABLE};

    args.UpdatePageTable.PageTableLevel = level;
    args.UpdatePageTable.PageTableAddress.CpuVirtual = fake->paging + table;
    args.UpdatePageTable.pPageTableEntries = entries;
    args.UpdatePageTable.StartIndex = index;
    args.UpdatePageTable.NumPageTableEntries = count;
    args.UpdatePageTable.UpdateMode = DXGK_PAGETABLEUPDATE_CPU_VIRTUAL;
    assert_int_equal(fake->ddi.DxgkDdiBuildPagingBuffer(fake->adapter, &args), STATUS_SUCCESS);
}

static void map_pages(struct fake *fake, ULONG64 va, ULONG64 address, ULONG64 bytes, ULONG segment)
{
    for (ULONG64 at = 0; at < bytes; at += PAGE_SIZE) {
        ULONG64 page = (va + at) >> SG_PAGE_SHIFT;
        DXGK_PTE pte = {.PageAddress = (address + at) >> SG_PAGE_SHIFT};

        pte.Valid = 1;
        pte.Segment = segment & 0x1fu;
        update_table(fake, 0, FAKE_LEAVES + (page >> 9) * PAGE_SIZE, (ULONG)(page & 511), &pte, 1);
    }
}

void fake_map_vram(struct fake *fake, ULONG64 va, ULONG64 vram_offset, ULONG64 bytes)
{
    map_pages(fake, va, vram_offset, bytes, 1);
}

void fake_paging_setup(struct fake *fake)
{
    DXGKARG_SETROOTPAGETABLE root = {.Address = {.SegmentOffset = FAKE_PAGING_IOVA + FAKE_ROOT},
                                     .NumEntries = 512};
    DXGK_PTE pte = {.PageTableAddress = (FAKE_PAGING_IOVA + FAKE_LEVEL1) >> SG_PAGE_SHIFT};
    int fd = memfd_create("paging", MFD_CLOEXEC);

    assert_true(fd >= 0 && ftruncate(fd, (off_t)FAKE_PAGING_BYTES) == 0);
    fake->paging = mmap(NULL, FAKE_PAGING_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    assert_true(fake->paging != MAP_FAILED);
    assert_int_equal(fake->ops->dma_map(fake->dev, FAKE_PAGING_IOVA, FAKE_PAGING_BYTES, fd, 0), 0);
    (void)close(fd);
    pte.Valid = 1;
    update_table(fake, 2, FAKE_ROOT, 0, &pte, 1);
    for (ULONG i = 0; i < 64; i++) {
        pte.PageTableAddress = (FAKE_PAGING_IOVA + FAKE_LEAVES + i * PAGE_SIZE) >> SG_PAGE_SHIFT;
        update_table(fake, 1, FAKE_LEVEL1, i, &pte, 1);
    }
    map_pages(fake, FAKE_VA_MEMORY, FAKE_PAGING_IOVA, FAKE_PAGING_BYTES, 0);
    fake->ddi.DxgkDdiSetRootPageTable(fake->adapter, &root);
}

NTSTATUS fake_submit(struct fake *fake, ULONG64 va, ULONG bytes, ULONG fence)
{
    DXGKARG_SUBMITCOMMANDVIRTUAL args = {
        .DmaBufferVirtualAddress = va, .DmaBufferSize = bytes, .SubmissionFenceId = fence};

    args.Flags.Paging = 1;
    return fake->ddi.DxgkDdiSubmitCommandVirtual(fake->adapter, &args);
}

static void take_interrupt(struct fake *fake)
{
    KIRQL old = nt_irql_set(DEVICE_LEVEL);

    (void)pthread_mutex_lock(&fake->interrupt_lock);
    (void)fake->ddi.DxgkDdiInterruptRoutine(fake->adapter, 0);
    (void)pthread_mutex_unlock(&fake->interrupt_lock);
    (void)nt_irql_set(DISPATCH_LEVEL);
    if (fake->dpc_wanted) {
        fake->dpc_wanted = FALSE;
        fake->ddi.DxgkDdiDpcRoutine(fake->adapter);
    }
    (void)nt_irql_set(old);
}

BOOLEAN fake_wait(struct fake *fake, ULONG fence)
{
    while (fake->completed != fence && fake->faulted != fence) {
        struct pollfd ready = {.fd = fake->irq, .events = POLLIN};
        uint64_t count;

        if (poll(&ready, 1, WAIT_MS) != 1)
            fail_msg("fence %u was not told of within %d ms", fence, WAIT_MS);
        assert_int_equal(read(fake->irq, &count, sizeof count), sizeof count);
        take_interrupt(fake);
    }
    return fake->completed == fence;
}

void fake_page(struct fake *fake, DXGKARG_BUILDPAGINGBUFFER *args, ULONG room)
{
    ULONG fence = fake->completed;

    for (NTSTATUS status = STATUS_GRAPHICS_INSUFFICIENT_DMA_BUFFER; status != STATUS_SUCCESS;) {
        ULONG used;

        args->pDmaBuffer = fake->paging + FAKE_COMMANDS;
        args->DmaSize = room;
        status = fake->ddi.DxgkDdiBuildPagingBuffer(fake->adapter, args);
        assert_true(status == STATUS_SUCCESS || status == STATUS_GRAPHICS_INSUFFICIENT_DMA_BUFFER);
        used = (ULONG)((UCHAR *)args->pDmaBuffer - (fake->paging + FAKE_COMMANDS));
        assert_true(used > 0 && used <= room);
        assert_int_equal(fake_submit(fake, FAKE_VA_MEMORY + FAKE_COMMANDS, used, ++fence),
                         STATUS_SUCCESS);
        assert_true(fake_wait(fake, fence));
    }
}

ULONG64 fake_random(ULONG64 *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}
